"""What the ledger says about a change, as facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.core.ledger.lots import Change, Figures, Holding
from engine.core.messages import LotClosed, PositionChanged, SuspenseBooked, SuspenseKind, TradeBooked
from engine.core.messages.quick import quick_init
from engine.core.values import (
    DAY_NS,
    SECOND_NS,
    ZERO,
    AssetClass,
    ClientOrderId,
    ExecutionId,
    Instrument,
    InstrumentId,
    Leg,
    Side,
    StrategyId,
    notional,
)

#: The exchange's day begins at five in UTC (at four in summer, when no session runs between).
_EXCHANGE_MIDNIGHT_NS: Final = 5 * 3_600 * SECOND_NS


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Hold what the ledger needs to know of one execution."""

    order_id: int
    bracket_id: int
    execution_id: ExecutionId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    leg: Leg
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_bust: bool
    venue_ts_ns: int
    #: The fee by kind, where the venue tells; a bust gives back what was booked.
    fees: tuple[tuple[str, Decimal], ...] = ()
    client_order_id: ClientOrderId | None = None


def trade_fact(
    booking: Booking, *, trade_id: int, symbol: str, realized_pnl: Decimal, settles_ts_ns: int, ts_ns: int
) -> TradeBooked:
    """Return the fact of a booked execution."""
    return TradeBooked(
        trade_id=trade_id,
        order_id=booking.order_id,
        bracket_id=booking.bracket_id,
        execution_id=booking.execution_id,
        strategy_id=booking.strategy_id,
        instrument_id=booking.instrument_id,
        symbol=symbol,
        leg=booking.leg,
        side=booking.side,
        price=booking.price,
        quantity=booking.quantity,
        fee=booking.fee,
        realized_pnl=realized_pnl,
        is_bust=booking.is_bust,
        venue_ts_ns=booking.venue_ts_ns,
        ts_ns=ts_ns,
        settlement_ts_ns=settles_ts_ns,
    )


def closed_facts(
    changes: Iterable[Change], *, strategy_id: StrategyId, instrument: Instrument, ts_ns: int
) -> list[LotClosed]:
    """Return a fact for each lot, or part of one, that was closed or is open again."""
    return [
        LotClosed(
            strategy_id=strategy_id,
            instrument_id=instrument.instrument_id,
            symbol=instrument.symbol,
            opening_trade_id=closure.origin.trade_id,
            opening_adjustment_id=closure.origin.adjustment_id,
            closing_trade_id=entry.origin.trade_id,
            closing_adjustment_id=entry.origin.adjustment_id,
            quantity=closure.quantity,
            cost=closure.cost,
            proceeds=closure.proceeds,
            realized_pnl=closure.proceeds - closure.cost,
            opened_ts_ns=closure.opened_ts_ns,
            closed_ts_ns=entry.ts_ns,
            holding_days=_day(entry.ts_ns, instrument) - _day(closure.opened_ts_ns, instrument),
            is_reversal=is_reversal,
            ts_ns=ts_ns,
        )
        for entry, closure, is_reversal in changes
    ]


def _day(ts_ns: int, instrument: Instrument) -> int:
    midnight_ns = 0 if instrument.asset_class is AssetClass.CRYPTO else _EXCHANGE_MIDNIGHT_NS
    return (ts_ns - midnight_ns) // DAY_NS


def position_fact(holding: Holding, *, strategy_id: StrategyId, instrument: Instrument, ts_ns: int) -> PositionChanged:
    """Return the fact of what is held now."""
    return PositionChanged(
        strategy_id=strategy_id,
        instrument_id=instrument.instrument_id,
        symbol=instrument.symbol,
        quantity=holding.quantity,
        cost=holding.cost,
        realized_pnl=holding.realized_pnl,
        ts_ns=ts_ns,
    )


def oversold_fact(booking: Booking, symbol: str, change: tuple[Decimal, ...], *, ts_ns: int) -> SuspenseBooked:
    """Return the fact that a part of what was sold was never held; (quantity, value), negative where not any more."""
    return SuspenseBooked(
        kind=SuspenseKind.OVERSOLD,
        execution_id=booking.execution_id,
        client_order_id=booking.client_order_id,
        strategy_id=booking.strategy_id,
        instrument_id=booking.instrument_id,
        symbol=symbol,
        side=booking.side,
        price=booking.price,
        quantity=change[0],
        value=change[1],
        reason=_why_oversold(booking),
        ts_ns=ts_ns,
    )


def _why_oversold(booking: Booking) -> str:
    if not booking.is_bust:
        return "more was sold than was held"
    return "the purchase was taken back" if booking.side is Side.BUY else "the sale was taken back"


def split_suspense_fact(
    key: tuple[StrategyId, InstrumentId], symbol: str, *, quantity: Decimal, ts_ns: int
) -> SuspenseBooked:
    """Return the fact that a split changed how much is owed."""
    return SuspenseBooked(
        kind=SuspenseKind.OVERSOLD,
        execution_id=ExecutionId(""),
        client_order_id=None,
        strategy_id=key[0],
        instrument_id=key[1],
        symbol=symbol,
        side=None,
        price=ZERO,
        quantity=quantity,
        value=ZERO,
        reason="the instrument was split",
        ts_ns=ts_ns,
    )


def rest_of_bust(bust: Booking, change: Figures) -> tuple[Decimal, Decimal]:
    """Return what a bust changed of quantity and cost beyond what its trade, its profit and the suspense say."""
    sign = 1 if bust.side is Side.BUY else -1
    value = notional(bust.price, bust.quantity)
    return (
        change.quantity + sign * bust.quantity - change.owed,
        change.cost + sign * value - change.profit - change.owed_value,
    )
