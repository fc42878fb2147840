"""Wishes: what execution wants after an event."""

from __future__ import annotations

from engine.core.messages import HaltWanted, OrderRequest

#: Orders that the gate has to pass, or a halt.
Wish = OrderRequest | HaltWanted
