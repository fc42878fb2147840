"""Events: anything that happens. Each carries when it happened there and when it was received here, ns UTC."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.core.messages.books import AdjustmentKind, CashMovementKind
from engine.core.messages.facts import Bar
from engine.core.messages.listings import ListedOrder, ListedPosition
from engine.core.messages.quick import quick_init
from engine.core.values import ClientOrderId, ExecutionId, InstrumentId, StrategyId


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Carry the two times of every event."""

    #: When it happened at its source, ns UTC.
    venue_ts_ns: int
    #: When it reached the engine, ns UTC, never decreasing.
    received_ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Tick(Happened):
    """Report one print of the tape."""

    instrument_id: InstrumentId
    price: float
    #: Shares or coins.
    size: float
    sequence: int | None = None
    exchange: str | None = None
    #: Sale conditions: SIP letters, or an integer mask, as the source gives them.
    conditions: str | int | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TickChanged(Happened):
    """Carry what a correction and a cancel of a print have: its sequence, and what it was where the tape says so."""

    instrument_id: InstrumentId
    sequence: int
    old_price: float | None = None
    old_size: float | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TickCorrected(TickChanged):
    """Report that a print of the tape was wrong, and what it is now; its time and conditions stay."""

    price: float
    size: float


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TickCanceled(TickChanged):
    """Report that a print of the tape did not happen."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Happened):
    """Report a best bid and offer; sizes in shares or coins."""

    instrument_id: InstrumentId
    bid: float
    ask: float
    bid_size: float
    ask_size: float


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class BarClosed(Happened):
    """Report a finished bar of a feed that sends bars; `venue_ts_ns` is the end of its minute."""

    bar: Bar


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInterrupted(Happened):
    """Report that a feed lost the interval `[from_ts_ns, until_ts_ns)` of an instrument."""

    instrument_id: InstrumentId
    from_ts_ns: int
    until_ts_ns: int
    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAdvanced(Happened):
    """Tell the core what time it is, so that bars close and deadlines fire without market data."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentStatus(Happened):
    """Report whether the exchange trades an instrument now, and the prices between which it may trade (LULD)."""

    instrument_id: InstrumentId
    halted: bool
    reason: str = ""
    #: None where the source states no band.
    lower_price: Decimal | None = None
    upper_price: Decimal | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReported(Happened):
    """Report what surrounds the engine, as the shell measured it. None where nobody has measured.

    Journaled only where it differs from the report before, so a shell may send it as often as it likes.
    """

    #: Whether this account may trade with these settings, and whether this engine alone may act for it.
    authorised: bool | None = None
    lease_held: bool | None = None
    #: Wall clock less a trusted clock, ns.
    clock_offset_ns: int | None = None
    #: Until when the login is good, ns UTC.
    token_expires_ts_ns: int | None = None
    storage_writable: bool | None = None
    storage_free_bytes: int | None = None
    #: As of when orders and positions were last found equal to the broker's, ns UTC.
    reconciled_ts_ns: int | None = None
    #: Where they differ.
    drifted: tuple[InstrumentId, ...] = ()


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFunded(Happened):
    """Report money that came into the account (an opening balance, a deposit) or left it (negative)."""

    amount: Decimal
    source: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport(Happened):
    """Carry what every report of a venue about an order has."""

    client_order_id: ClientOrderId


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAcknowledged(OrderReport):
    """Report that the venue has accepted an order."""

    venue_order_id: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAwaitingApproval(OrderReport):
    """Report that the venue holds an order until a human approves it."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled(OrderReport):
    """Report one execution; the only thing that moves a quantity."""

    execution_id: ExecutionId
    price: Decimal
    quantity: Decimal
    #: Fees of this execution, in account currency, at or above zero.
    fee: Decimal
    #: The same by kind, where the venue tells them apart; they add up to `fee`.
    fees: tuple[tuple[str, Decimal], ...] = ()


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCanceled(OrderReport):
    """Report that an order no longer works; what was filled stays filled."""

    reason: str
    #: All that it has filled, in shares or coins; None where the venue does not say. Fills that are not told yet are
    #: waited for before anything takes the order's place.
    filled_quantity: Decimal | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExpired(OrderReport):
    """Report that an order reached the end of its time in force."""

    reason: str
    #: As in `OrderCanceled`.
    filled_quantity: Decimal | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected(OrderReport):
    """Report that the venue refused an order, for certain."""

    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRejected(OrderReport):
    """Report that a cancel came too late or was refused; the order's own reports tell its state."""

    reason: str
    #: Whether the refusal shows that the venue has or had the order: from then on it is never taken for absent.
    is_known: bool = False


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown(OrderReport):
    """Report that a request may or may not have reached the venue (time-out, reset, 5xx, unreadable answer)."""

    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionBusted(OrderReport):
    """Report that the venue took an execution back."""

    execution_id: ExecutionId
    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotListed(OrderReport):
    """Report that a question about an order found nothing: evidence only where listings have had time to settle."""

    #: When the question was asked, by the engine's clock, ns UTC.
    asked_ts_ns: int
    #: Whether every page of the listing was read; a part of it proves nothing.
    is_complete: bool
    #: Whether the venue answers out of its own memory, which cannot lag behind what it took.
    is_certain: bool = False


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountListed(Happened):
    """Report a venue's listings of an account: its orders with their executions, and what it holds.

    A read that failed is no event: it must never look like an account without orders or positions.
    """

    #: When it was asked for, by the engine's clock, ns UTC. `venue_ts_ns` is the venue's own clock at its answer.
    asked_ts_ns: int
    orders: tuple[ListedOrder, ...]
    positions: tuple[ListedPosition, ...]
    #: Whether every page was read; what is in a part counts, and what is not in it proves nothing.
    is_complete: bool


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted(Happened):
    """Report that an engine has taken the account over: nobody knows what its predecessor's last requests came to."""

    #: Counts the engines of the account; only the highest may act.
    epoch: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStopping(Happened):
    """Report that the engine is about to end in order: working entries are canceled, stops stay."""

    reason: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCommand(Happened):
    """Carry what every command of an operator has. Both scopes None means everything."""

    reason: str
    requested_by: str
    strategy_id: str | None = None
    instrument_id: InstrumentId | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(OperatorCommand):
    """Stop entries; exits and protection go on (REDUCING)."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(OperatorCommand):
    """Clear a pause, a halt or the kill switch of a scope (ACTIVE)."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Kill(OperatorCommand):
    """Halt, and cancel working entries; stops stay (HALTED, sticky)."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(OperatorCommand):
    """Cancel working entries and close positions at market."""


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSplit(Happened):
    """Report that each `old_shares` of an instrument have become `new_shares`, before the trading of its ex date."""

    instrument_id: InstrumentId
    new_shares: int
    old_shares: int
    source: str
    #: Paid for each new share of which only a part is left; None: the last close, at the ratio.
    cash_in_lieu_price: Decimal | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class DividendDeclared(Happened):
    """Report a dividend to whoever holds the instrument now, before the trading of its ex date."""

    instrument_id: InstrumentId
    #: In account currency.
    per_share: Decimal
    #: When the money arrives, ns UTC.
    pays_ts_ns: int
    source: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRenamed(Happened):
    """Report that an instrument bears another symbol from `venue_ts_ns` on."""

    instrument_id: InstrumentId
    symbol: str
    source: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CashCorrected(Happened):
    """Report money that the broker paid (or took, negative) outside trades: interest, a corrected fee, a dividend."""

    amount: Decimal
    kind: CashMovementKind
    source: str
    #: When the money can be used, ns UTC.
    settlement_ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PositionCorrected(Happened):
    """Report a position that came (an opening, an adoption) or went (a negative quantity) without a trade."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    kind: AdjustmentKind
    quantity: Decimal
    #: What the quantity cost, in account currency; 0 for one that goes, which leaves at the cost of its lots.
    cost: Decimal
    source: str


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class LotsChosen(Happened):
    """Choose which lots the next sales of a position take first (`T12` was bought by trade 12, `A3` adjusted in)."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    lots: tuple[str, ...]
    requested_by: str


CorporateAction = ShareSplit | DividendDeclared | SymbolRenamed
MarketEvent = Tick | TickCorrected | TickCanceled | Quote | BarClosed | FeedInterrupted | TimeAdvanced | CorporateAction
BookEvent = AccountFunded | CashCorrected | PositionCorrected | LotsChosen | CorporateAction
VenueReport = (
    OrderAcknowledged
    | OrderAwaitingApproval
    | OrderFilled
    | OrderCanceled
    | OrderExpired
    | OrderRejected
    | CancelRejected
    | OutcomeUnknown
    | ExecutionBusted
    | OrderNotListed
)
#: What the shell tells of its own life.
LifeEvent = EngineStarted | EngineStopping
Event = (
    MarketEvent
    | VenueReport
    | BookEvent
    | InstrumentStatus
    | HealthReported
    | Pause
    | Resume
    | Kill
    | Flatten
    | AccountListed
    | LifeEvent
)
