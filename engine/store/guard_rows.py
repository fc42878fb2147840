"""Rows of what the gate watches: circuit breakers, what exchanges say of instruments, and quotes it looked at."""

from __future__ import annotations

from decimal import Decimal

from engine.core.messages import BreakerChanged, InstrumentStatusChanged, QuoteConsulted
from engine.core.values import PRICE_DECIMALS, scaled_integer

_Row = tuple[int | float | str | None, ...]


def breaker_row(fact: BreakerChanged, step: int, _: int) -> _Row:
    """Return the row of a breaker that tripped or was armed."""
    return (
        step,
        fact.breaker,
        fact.strategy_id,
        fact.instrument_id,
        fact.from_state,
        fact.to_state,
        fact.trigger,
        str(fact.value),
        str(fact.limit),
        fact.reason,
        fact.source,
        fact.ts_ns,
    )


def status_row(fact: InstrumentStatusChanged, step: int, _: int) -> _Row:
    """Return the row of what an exchange says of an instrument."""
    return (
        step,
        fact.instrument_id,
        int(fact.halted),
        fact.reason,
        _optional_price(fact.lower_price),
        _optional_price(fact.upper_price),
        fact.ts_ns,
    )


def quote_row(fact: QuoteConsulted, step: int, _: int) -> _Row:
    """Return the row of a quote that a decision looked at."""
    return (step, fact.instrument_id, fact.bid + 0.0, fact.ask + 0.0, fact.venue_ts_ns, fact.received_ts_ns)


def _optional_price(number: Decimal | None) -> int | None:
    return None if number is None else scaled_integer(number, decimals=PRICE_DECIMALS)
