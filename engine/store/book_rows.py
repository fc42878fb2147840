"""Rows of the facts of the books."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from engine.core.messages import (
    FeeCharged,
    GoodFaithViolated,
    LotClosed,
    PositionAdjusted,
    SuspenseBooked,
    SymbolChanged,
)
from engine.core.values import CASH_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, scaled_integer
from engine.store.layouts import (
    GOOD_FAITH_VIOLATIONS,
    LOT_CLOSURES,
    POSITION_ADJUSTMENTS,
    SUSPENSE,
    SYMBOL_CHANGES,
    TRADE_FEES,
)

_Row = tuple[int | float | str | bytearray | None, ...]


def _quantity(number: Decimal) -> int:
    return scaled_integer(number, decimals=QUANTITY_DECIMALS)


def _money(number: Decimal) -> int:
    return scaled_integer(number, decimals=CASH_DECIMALS)


def _lot_closure(fact: LotClosed, step: int, _: int) -> _Row:
    return (
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.opening_trade_id,
        fact.opening_adjustment_id,
        fact.closing_trade_id,
        fact.closing_adjustment_id,
        _quantity(fact.quantity),
        _money(fact.cost),
        _money(fact.proceeds),
        _money(fact.realized_pnl),
        fact.opened_ts_ns,
        fact.closed_ts_ns,
        fact.holding_days,
        int(fact.is_reversal),
        fact.ts_ns,
    )


def _trade_fee(fact: FeeCharged, step: int, _: int) -> _Row:
    return (step, fact.trade_id, fact.kind, _money(fact.amount), fact.ts_ns)


def _position_adjustment(fact: PositionAdjusted, step: int, _: int) -> _Row:
    return (
        fact.adjustment_id,
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.kind.value,
        _quantity(fact.quantity),
        _money(fact.cost),
        fact.source,
        fact.settlement_ts_ns,
        fact.ts_ns,
        _money(fact.realized_pnl),
        fact.ratio or None,
    )


def _suspense(fact: SuspenseBooked, step: int, _: int) -> _Row:
    return (
        step,
        fact.kind.value,
        fact.execution_id,
        fact.client_order_id,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        None if fact.side is None else fact.side.value,
        scaled_integer(fact.price, decimals=PRICE_DECIMALS),
        _quantity(fact.quantity),
        _money(fact.value),
        fact.reason,
        fact.ts_ns,
    )


def _symbol_change(fact: SymbolChanged, step: int, _: int) -> _Row:
    return (
        step,
        fact.instrument_id,
        fact.from_symbol,
        fact.to_symbol,
        fact.source,
        fact.venue_ts_ns,
        fact.ts_ns,
    )


def _good_faith_violation(fact: GoodFaithViolated, step: int, _: int) -> _Row:
    return (
        step,
        fact.trade_id,
        fact.opening_trade_id,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        _quantity(fact.quantity),
        fact.paid_ts_ns,
        fact.ts_ns,
    )


#: Type of fact -> number of its table, and what makes its row. `Any`: the key proves which fact it takes.
BOOK_FACT_ROWS: Final[dict[type, tuple[int, Callable[[Any, int, int], _Row]]]] = {
    LotClosed: (LOT_CLOSURES, _lot_closure),
    FeeCharged: (TRADE_FEES, _trade_fee),
    PositionAdjusted: (POSITION_ADJUSTMENTS, _position_adjustment),
    SuspenseBooked: (SUSPENSE, _suspense),
    SymbolChanged: (SYMBOL_CHANGES, _symbol_change),
    GoodFaithViolated: (GOOD_FAITH_VIOLATIONS, _good_faith_violation),
}
