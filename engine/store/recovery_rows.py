"""Rows of recovery: orders that are not ours, and comparisons of positions with the venue's."""

from __future__ import annotations

from decimal import Decimal

from engine.core.messages import ExternalOrderSeen, PositionCompared
from engine.core.values import PRICE_DECIMALS, QUANTITY_DECIMALS, scaled_integer

_Row = tuple[int | float | str | None, ...]


def external_order_row(fact: ExternalOrderSeen, step: int, _: int) -> _Row:
    """Return the row of an order that the venue lists and that is not ours."""
    return (
        step,
        fact.venue_order_id,
        fact.instrument_id,
        fact.symbol,
        fact.side.value,
        fact.order_type.value,
        _quantity(fact.quantity),
        _quantity(fact.filled_quantity),
        fact.status.value,
        _optional_price(fact.limit_price),
        _optional_price(fact.stop_price),
        fact.created_ts_ns,
        fact.ts_ns,
    )


def comparison_row(fact: PositionCompared, step: int, _: int) -> _Row:
    """Return the row of a position that was compared with the venue's."""
    return (
        step,
        fact.instrument_id,
        fact.symbol,
        _quantity(fact.booked),
        _quantity(fact.listed),
        fact.verdict.value,
        fact.ts_ns,
    )


def _quantity(number: Decimal) -> int:
    return scaled_integer(number, decimals=QUANTITY_DECIMALS)


def _optional_price(number: Decimal | None) -> int | None:
    return None if number is None else scaled_integer(number, decimals=PRICE_DECIMALS)
