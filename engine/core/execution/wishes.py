"""Wishes: what execution wants after an event."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.messages import HaltWanted, OrderRequest

#: Orders that the gate has to pass, or a halt.
Wish = OrderRequest | HaltWanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Say that a signal about what is held cannot be followed, with a reason code."""

    reason: str
