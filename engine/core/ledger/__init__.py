"""The ledger stage: cash with settlement dates, holdings in lots, corporate actions, and equity."""

from engine.core.ledger.actions import record, split
from engine.core.ledger.bookings import Booking
from engine.core.ledger.ledger import Booked, Ledger
from engine.core.ledger.lots import Lot, split_quantity

__all__ = ["Booked", "Booking", "Ledger", "Lot", "record", "split", "split_quantity"]
