"""The ledger stage: cash with settlement dates, positions in lots, and equity."""

from engine.core.ledger.ledger import Booking, Ledger

__all__ = ["Booking", "Ledger"]
