"""The limits of the gate, as read from `risk.yaml`. The defaults are those of the shipped file."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.core.values import SECOND_NS, ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hold every bound of the gate. Fractions are of the account's equity unless said otherwise."""

    #: Sizing: what a stop may lose, and what a position may be worth.
    risk_fraction: Decimal = Decimal("0.005")
    max_notional_fraction: Decimal = Decimal("0.10")
    #: What an entry is expected to cost in fees, in account currency: for each share or coin, and at least. Sizing
    #: keeps room for it inside `max_notional_fraction`; what is charged is the venue's business.
    fee_per_unit: Decimal = ZERO
    fee_min: Decimal = ZERO
    #: Loss since the session's start at which entries end for the session.
    daily_loss_cap: Decimal = Decimal("0.03")
    #: Positions and working entries together.
    max_positions: int = 5
    max_order_quantity: Decimal = Decimal(1_000_000)
    max_order_notional: Decimal = Decimal(1_000_000)
    #: How far a limit price may be from the last price, as a fraction of it.
    price_collar: Decimal = Decimal("0.05")
    #: Of one instrument, with the order filled.
    max_position_fraction: Decimal = Decimal("0.25")
    #: Of everything held, with the order filled.
    max_gross_exposure_fraction: Decimal = Decimal("1.0")
    max_open_entries_per_instrument: int = 1
    max_open_orders: int = 100
    #: The same entry again inside this time is refused.
    duplicate_window_ns: int = 60 * SECOND_NS
    max_entries_per_session: int = 200
    #: Empty means every instrument of the run.
    allowed_symbols: frozenset[str] = frozenset()
    blocked_symbols: frozenset[str] = frozenset()
    extended_hours_entries: bool = False
    #: Entries decided between sessions may wait at the venue for the next open.
    next_open_entries: bool = False
