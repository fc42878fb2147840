"""Everything that one decision is made from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.core.messages import HealthReported, InstrumentStatusChanged, OrderRequest, QuoteConsulted, TradingState
from engine.core.messages.quick import quick_init
from engine.core.risk.sources import VenueSources
from engine.core.values import AccountKind, Instrument, Session

#: Before the first report: nothing is known.
NO_HEALTH: Final = HealthReported(venue_ts_ns=0, received_ts_ns=0)


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCounts:
    """Hold how many commands were sent, this decision's own not counted."""

    last_second: int
    last_minute: int
    this_session: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupExposure:
    """Hold what a group of symbols is worth, held and reserved, and may be worth, in account currency."""

    name: str
    value: Decimal
    bound: Decimal


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Hold everything that a decision is made from, at one moment. Amounts in account currency."""

    request: OrderRequest
    instrument: Instrument
    ts_ns: int
    venue: VenueSources
    trading_state: TradingState
    #: Circuit breakers that are tripped for this strategy and instrument, by name.
    tripped: tuple[str, ...]
    #: The session at the decision; None between sessions.
    session: Session | None

    # --- market data
    quote: QuoteConsulted | None
    status: InstrumentStatusChanged | None
    #: Close of the bar before the last one, in the same session; None where there is none.
    previous_close: Decimal | None

    # --- books
    account_kind: AccountKind
    equity: Decimal
    cash: Decimal
    #: What of the cash may be spent in an account that has to settle first.
    settled_cash: Decimal
    #: Sales of the last 365 days of what was not yet paid for with settled money.
    good_faith_violations: int
    #: What open entries may still cost.
    reserved: Decimal
    session_start_equity: Decimal
    #: Of the strategy in the instrument, in shares or coins.
    position: Decimal
    #: Of the instrument and of its groups: value at last close, and what open entries may still cost.
    instrument_exposure: Decimal
    groups: tuple[GroupExposure, ...]
    #: Of everything: value at last close.
    gross_exposure: Decimal

    # --- orders
    #: Positions and working entries of the account, this one not counted.
    open_brackets: int
    open_entries: int
    open_orders: int
    #: Of the instrument: orders whose outcome is not known, and own sells that this entry could meet.
    unknown_orders: int
    crossing_orders: int
    #: What working and unknown exits could sell, with this request where it is an exit.
    exits_with: Decimal
    #: Of the request's bracket: what exits sold and could sell, with this one; and what its entry bought.
    bracket_exits_with: Decimal
    bracket_entered: Decimal

    # --- what was done before
    entries_this_session: int
    #: Since the same entry was last approved, ns; None if never.
    since_same_ns: int | None
    #: Approved entries of the same strategy, instrument and side inside the window.
    repeated_entries: int
    #: Price of the first entry of the instrument that was approved inside the window.
    window_price: Decimal | None
    messages: MessageCounts

    health: HealthReported
