"""Facts of the books: what lots were sold, what changed without a trade, and what could not be booked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.core.messages.quick import quick_init
from engine.core.values import ClientOrderId, ExecutionId, InstrumentId, Side, StrategyId


class CashMovementKind(StrEnum):
    """Name why cash moved otherwise than by a trade."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    FEE_CORRECTION = "fee_correction"
    #: Paid for the part of a share that a split leaves over.
    CASH_IN_LIEU = "cash_in_lieu"


class AdjustmentKind(StrEnum):
    """Name why a position changed otherwise than by a trade."""

    OPENING = "opening"
    ADOPTION = "adoption"
    SPLIT = "split"
    CORRECTION = "correction"
    #: The part of a share that a split leaves over: the broker keeps it and pays.
    CASH_IN_LIEU = "cash_in_lieu"
    #: The part of a sale that no lot covers: it stands in the table `suspense` until a human has looked.
    SUSPENSE = "suspense"
    #: What a bust changes beyond its trade: splits and corrections after the purchase that it takes back.
    BUST = "bust"


class SuspenseKind(StrEnum):
    """Name why an execution, or a part of it, is not in a position."""

    #: More was sold than was held.
    OVERSOLD = "oversold"
    #: The order is not ours.
    UNMATCHED = "unmatched"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class LotClosed:
    """Say that a part of a lot was sold, or, as a reversal, that it was not after all (a bust)."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    #: What opened the lot: a trade, or an adjustment.
    opening_trade_id: int | None
    opening_adjustment_id: int | None
    #: What closed it.
    closing_trade_id: int | None
    closing_adjustment_id: int | None
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    realized_pnl: Decimal
    opened_ts_ns: int
    closed_ts_ns: int
    #: Whole days from the date of the purchase to that of the sale.
    holding_days: int
    is_reversal: bool
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class FeeCharged:
    """Say which fee a trade paid; a reversal has the opposite sign. Only where the venue tells them apart."""

    trade_id: int
    kind: str
    amount: Decimal
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAdjusted:
    """Say that a position changed otherwise than by a trade; quantity, cost and profit are changes."""

    adjustment_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    kind: AdjustmentKind
    quantity: Decimal
    cost: Decimal
    realized_pnl: Decimal
    #: A split's `new:old`, else "".
    ratio: str
    source: str
    settlement_ts_ns: int
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SuspenseBooked:
    """Say that an execution, or a part of it, is in no position. A negative quantity takes an earlier one back."""

    kind: SuspenseKind
    execution_id: ExecutionId
    client_order_id: ClientOrderId | None
    strategy_id: StrategyId | None
    instrument_id: InstrumentId | None
    symbol: str
    side: Side | None
    price: Decimal
    quantity: Decimal
    #: Its part of the trade's value; nothing of an unmatched execution is in the books.
    value: Decimal
    reason: str
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolChanged:
    """Say that an instrument bears another symbol from now on."""

    instrument_id: InstrumentId
    from_symbol: str
    to_symbol: str
    source: str
    #: From when on it is valid, ns UTC.
    venue_ts_ns: int
    ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class GoodFaithViolated:
    """Say that a cash account sold what it had not yet paid for with settled money, or that this is no longer so."""

    trade_id: int
    opening_trade_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    #: Negative: an earlier violation is taken back, because the sale or the purchase was.
    quantity: Decimal
    #: When the money that paid for the lot settles, ns UTC.
    paid_ts_ns: int
    ts_ns: int
