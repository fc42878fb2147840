"""The limits of the gate, as read from `risk.yaml`. The defaults are those of the shipped file."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from engine.core.risk.sources import Capability
from engine.core.values import MINUTE_NS, SECOND_NS, ZERO

_GIBIBYTE: Final = 1024**3
#: What passes where the venue offers no source: market data that a file of bars cannot have.
_REFUSED_WITHOUT: Final = frozenset(Capability) - {
    Capability.QUOTES,
    Capability.HALT_STATUS,
    Capability.PRICE_BANDS,
}


class BreakerAction(StrEnum):
    """Name what a tripped breaker makes of its scope."""

    REDUCING = "reducing"
    HALTED = "halted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureGroup:
    """Hold symbols that move together, and what they may be worth together, as a fraction of equity."""

    name: str
    symbols: frozenset[str]
    max_fraction: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """Hold at what the circuit breakers trip, and what then happens. None turns one off."""

    #: True: the daily loss ends entries until the next session, without a human. False: until a human resumes.
    daily_loss_ends_with_session: bool = True
    daily_loss_action: BreakerAction = BreakerAction.REDUCING
    #: Loss from the highest equity so far, as a fraction of it.
    drawdown: Decimal | None = Decimal("0.25")
    drawdown_action: BreakerAction = BreakerAction.HALTED
    #: Round trips of one strategy that lost, one after the other.
    consecutive_losses: int | None = 25
    consecutive_losses_action: BreakerAction = BreakerAction.REDUCING
    #: Orders that were rejected or whose outcome became unknown, of the account.
    errors: int | None = 10
    errors_window_ns: int = 10 * MINUTE_NS
    errors_action: BreakerAction = BreakerAction.HALTED
    #: Approved entries of one strategy, instrument and side.
    repeated_entries: int | None = 10
    repeated_window_ns: int = 10 * MINUTE_NS
    repeated_action: BreakerAction = BreakerAction.REDUCING


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDataLimits:
    """Hold what market data have to be like for an entry to be made on them."""

    #: How long ago the last quote may have been received, and have happened at its source.
    quote_age_ns_max: int = 5 * SECOND_NS
    #: Ask less bid, as a fraction of their middle.
    spread_max: Decimal = Decimal("0.01")
    #: From the last bar to the quote's middle, and from the bar before to the last one, as a fraction.
    jump_max: Decimal = Decimal("0.20")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """Hold how many orders, cancels and questions may leave. Only entries are held back."""

    per_second: int = 50
    per_minute: int = 500
    per_session: int = 20_000
    #: So many of each are left to cancels, exits and questions: entries may not use them.
    reserve: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """Hold what the engine's surroundings have to be like for an entry to be made."""

    reconciliation_age_ns_max: int = MINUTE_NS
    clock_offset_ns_max: int = SECOND_NS // 2
    #: For so long the login has to last.
    login_ns_min: int = 30 * MINUTE_NS
    storage_free_bytes_min: int = _GIBIBYTE


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
    #: How far an entry may be from the first one of its instrument that was approved inside the window.
    collar_window: Decimal = Decimal("0.10")
    collar_window_ns: int = 60 * MINUTE_NS
    #: A stop has to be so many ticks below the entry.
    stop_ticks_min: int = 1
    #: So many good-faith violations in a year end entries of a cash account.
    good_faith_max: int = 3
    groups: tuple[ExposureGroup, ...] = ()
    market_data: MarketDataLimits = field(default_factory=MarketDataLimits)
    messages: MessageLimits = field(default_factory=MessageLimits)
    health: HealthLimits = field(default_factory=HealthLimits)
    breakers: BreakerLimits = field(default_factory=BreakerLimits)
    #: Where the venue offers no source: what refuses then. All else passes.
    refused_without: frozenset[Capability] = _REFUSED_WITHOUT
