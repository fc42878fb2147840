"""Facts: what became true, past tense. Each is one row of one table; state tables follow from them.

Ids count from 1 inside one account; a store may shift them. `ts_ns` of a fact is the engine's time at its step.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.core.messages.books import (
    FeeCharged,
    GoodFaithViolated,
    LotClosed,
    PositionAdjusted,
    SuspenseBooked,
    SymbolChanged,
)
from engine.core.messages.listings import ExternalOrderSeen, PositionCompared
from engine.core.messages.plans import ExitPlan
from engine.core.messages.quick import quick_init
from engine.core.values import (
    ClientOrderId,
    ExecutionId,
    InstrumentId,
    Leg,
    OrderType,
    SessionKind,
    Side,
    StrategyId,
    TimeInForce,
)


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBar:
    """Hold open, high, low and close of bid and ask over one minute."""

    bid_open: float
    bid_high: float
    bid_low: float
    bid_close: float
    ask_open: float
    ask_high: float
    ask_low: float
    ask_close: float


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Hold one finished minute of one instrument, labelled by its start."""

    instrument_id: InstrumentId
    start_ts_ns: int
    open: float
    high: float
    low: float
    close: float
    #: Shares or coins traded; 0 for a bar made of quotes.
    volume: float
    #: Volume-weighted average price of the minute; its close where nothing traded.
    vwap: float
    #: None where the source does not tell (bars from a file).
    tick_count: int | None = None
    quote_count: int | None = None
    quotes: QuoteBar | None = None
    session_kind: SessionKind = SessionKind.REGULAR
    #: 0 is final after the grace and is what strategies see.
    revision: int = 0
    #: False where the feed lost part of the minute.
    complete: bool = True


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class GapMarked:
    """Say that `[from_ts_ns, until_ts_ns)` of an instrument was lost; never filled silently."""

    instrument_id: InstrumentId
    from_ts_ns: int
    until_ts_ns: int
    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class InputsRefused:
    """Say how many inputs of an instrument were refused for one reason since the last such fact."""

    instrument_id: InstrumentId
    reason: str
    count: int
    ts_ns: int


class SignalKind(StrEnum):
    """Name what a strategy wants."""

    ENTER = "enter"
    EXIT = "exit"
    CANCEL_ENTRY = "cancel_entry"
    #: A further entry, in a bracket of its own.
    SCALE_IN = "scale_in"
    #: Sell a part of what is held.
    SCALE_OUT = "scale_out"
    #: Move the stop of what is held to `stop_price`.
    MOVE_STOP = "move_stop"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """State what a strategy wants at a bar's close; the gate sizes it or refuses it. Distances in price units."""

    kind: SignalKind
    side: Side = Side.BUY
    order_type: OrderType = OrderType.MARKET
    #: Only for a limit entry.
    limit_price: float | None = None
    stop_distance: float | None = None
    target_distance: float | None = None
    reason: str = ""
    #: Indicator values at the bar, by name, for the record.
    values: tuple[tuple[str, float], ...] = ()
    #: A limit entry so far below the last price for a buy (negative: above), in price units or in basis points.
    limit_offset: float | None = None
    limit_offset_bps: float | None = None
    #: The stop is a stop-limit, whose limit is so far below its stop price.
    stop_limit_offset: float | None = None
    #: (distance, fraction of the position) of several targets, in place of `target_distance`; fractions sum to <= 1.
    targets: tuple[tuple[float, float], ...] = ()
    #: The stop follows the highest price at this distance, in steps of at least `trail_step` (else one tick).
    trail_distance: float | None = None
    trail_step: float | None = None
    #: Once the price is so far above the entry, the stop moves to the entry's price.
    break_even_distance: float | None = None
    #: Seconds of session time after which an entry that still works is canceled.
    expires_after_s: int | None = None
    #: Seconds of session time after the first fill at which the position is left.
    hold_s_max: int | None = None
    #: SCALE_OUT: the part of the position to sell. SCALE_IN: the part of the gate's size to buy.
    fraction: float | None = None
    #: MOVE_STOP: the new stop price.
    stop_price: float | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEmitted:
    """Say that a strategy wanted something."""

    signal_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    bar_start_ts_ns: int
    ts_ns: int
    signal: Signal


class Verdict(StrEnum):
    """Name what a pre-trade check said."""

    PASSED = "passed"
    REFUSED = "refused"
    #: The venue has no source for it; the policy of the risk file decided whether that passes.
    NOT_OFFERED = "not_offered"
    DOES_NOT_APPLY = "does_not_apply"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRefused:
    """Say that a signal about what is held could not be followed; nothing was changed."""

    signal_id: int
    #: Reason code.
    reason: str
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Hold the verdict of one pre-trade check with what it looked at."""

    #: Number in the pre-trade check list of `docs/risk.md`.
    number: int
    name: str
    passed: bool
    #: What was looked at and the bound ("-" where there is none).
    value: Decimal | int | str
    limit: Decimal | int | str
    #: Reason code when refused.
    reason: str = ""
    verdict: Verdict = Verdict.PASSED
    #: Where what was looked at comes from.
    source: str = ""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade:
    """Say what the risk gate decided about one request, with each check."""

    decision_id: int
    signal_id: int | None
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    leg: Leg
    side: Side
    order_type: OrderType
    #: 0 where sizing found none.
    quantity: Decimal
    approved: bool
    #: Reason code of the first refusing check; "" when approved.
    reason: str
    checks: tuple[CheckResult, ...]
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCreated:
    """Say that an order was decided and its command written; its state is NEW."""

    order_id: int
    client_order_id: ClientOrderId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    bracket_id: int
    decision_id: int
    leg: Leg
    side: Side
    order_type: OrderType
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    link: ClientOrderId | None
    #: Last price when it was decided, for slippage.
    reference_price: Decimal
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTransitioned:
    """Say that an order moved by a trigger (states may be equal: a wish to cancel, a late report)."""

    order_id: int
    #: Counts the order's events from 1; the state row is compared and set by it.
    version: int
    from_state: str
    to_state: str
    trigger: str
    #: Who says so: `engine` or `venue`.
    source: str
    reason: str
    filled_quantity: Decimal
    cancel_requested: bool
    venue_order_id: str | None
    #: When the venue says that it happened, ns UTC.
    venue_ts_ns: int
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class BracketOpened:
    """Say that an entry was approved and its bracket waits for fills; its state is ENTERING."""

    bracket_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    signal_id: int | None
    exit_style: str
    #: Unrounded distances in price units; None where the strategy set none.
    stop_distance: Decimal | None
    target_distance: Decimal | None
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class BracketPlanned:
    """Say how a bracket is to be left, where that is more than a stop and one target."""

    bracket_id: int
    plan: ExitPlan
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class BracketTransitioned:
    """Say that a bracket moved by a trigger."""

    bracket_id: int
    version: int
    from_state: str
    to_state: str
    trigger: str
    #: Why the position is left, once known: stop, target, time, signal or kill; "" before.
    exit_reason: str
    entered_quantity: Decimal
    exited_quantity: Decimal
    #: Until when the state may last, ns UTC; None where it may last.
    deadline_ts_ns: int | None
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TradeBooked:
    """Say that an execution was booked, once."""

    trade_id: int
    order_id: int
    bracket_id: int
    execution_id: ExecutionId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    leg: Leg
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    #: Profit against the lots it closed (FIFO), before fees; 0 for a buy.
    realized_pnl: Decimal
    #: True for the reversal of a busted execution.
    is_bust: bool
    venue_ts_ns: int
    ts_ns: int
    #: When shares and money change hands, ns UTC; a reversal settles with what it takes back.
    settlement_ts_ns: int | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChanged:
    """Say what a strategy holds of an instrument after a trade or an adjustment."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    quantity: Decimal
    #: Cost of the open lots, in account currency.
    cost: Decimal
    realized_pnl: Decimal
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CashMoved:
    """Say that cash changed otherwise than by a trade."""

    movement_id: int
    amount: Decimal
    kind: str
    source: str
    #: When the money can be used, ns UTC.
    settlement_ts_ns: int
    ts_ns: int
    #: Whose position it is for, where it is for one: a dividend, cash in lieu.
    strategy_id: StrategyId | None = None
    instrument_id: InstrumentId | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMarked:
    """Say what the account was worth at a bar's close, where that changed."""

    ts_ns: int
    cash: Decimal
    #: Cash plus positions at last close.
    equity: Decimal


class TradingState(StrEnum):
    """Name what may be traded: everything, only reductions, nothing new."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStateChanged:
    """Say that a scope may trade more or less than before. Both scope fields None means the account."""

    strategy_id: StrategyId | None
    instrument_id: InstrumentId | None
    from_state: TradingState
    to_state: TradingState
    reason: str
    #: `operator:NAME` or the rule that fired.
    source: str
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged:
    """Say that a circuit breaker has tripped, or was armed again. Both scope fields None means the account."""

    breaker: str
    strategy_id: StrategyId | None
    instrument_id: InstrumentId | None
    from_state: str
    to_state: str
    trigger: str
    #: What was measured and the limit that it reached ("-" where it was armed again).
    value: Decimal | int | str
    limit: Decimal | int | str
    reason: str
    #: `engine`, `operator:NAME` or `session`.
    source: str
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentStatusChanged:
    """Say that the exchange halted an instrument, resumed it, or moved its price band."""

    instrument_id: InstrumentId
    halted: bool
    reason: str
    lower_price: Decimal | None
    upper_price: Decimal | None
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteConsulted:
    """Keep the quote that a decision of this step looked at: most quotes are not journaled, and a replay needs it."""

    instrument_id: InstrumentId
    bid: float
    ask: float
    venue_ts_ns: int
    received_ts_ns: int


Fact = (
    Bar
    | GapMarked
    | InputsRefused
    | SignalEmitted
    | SignalRefused
    | DecisionMade
    | OrderCreated
    | OrderTransitioned
    | BracketOpened
    | BracketPlanned
    | BracketTransitioned
    | TradeBooked
    | PositionChanged
    | CashMoved
    | EquityMarked
    | TradingStateChanged
    | LotClosed
    | FeeCharged
    | PositionAdjusted
    | SuspenseBooked
    | SymbolChanged
    | GoodFaithViolated
    | BreakerChanged
    | InstrumentStatusChanged
    | QuoteConsulted
    | ExternalOrderSeen
    | PositionCompared
)
