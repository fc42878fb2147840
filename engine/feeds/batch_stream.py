"""Columns through the live builder: for input that no column arithmetic covers, one event at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, Final

import numpy as np

from engine.core.bars import BarBuilder, PrintSource, TapeRules
from engine.core.messages import Bar, Quote, Tick, TickCanceled, TickCorrected
from engine.core.values import AlwaysOpen, InstrumentId, Sessions
from engine.feeds.bar_columns import PRICE_NAMES, QUOTE_NAMES, BarColumns
from engine.feeds.files import Floats, Ints

#: The instrument whose columns are worked on: columns have no other.
ONLY: Final = InstrumentId(1)

Input = Tick | TickCorrected | TickCanceled | Quote


def ticks_of(
    ts_ns: Ints,
    price: Floats,
    size: Floats,
    *,
    received_ts_ns: Ints | None = None,
    sequence: Sequence[int | None] | None = None,
    exchange: Sequence[str | None] | None = None,
    conditions: Sequence[str | int | None] | None = None,
) -> Iterator[Tick]:
    """Yield prints given as columns, in the order of arrival."""
    received = np.maximum.accumulate(ts_ns) if received_ts_ns is None else received_ts_ns
    for ts, arrived, price_, size_, number, where, how in zip(
        ts_ns.tolist(),
        received.tolist(),
        price.tolist(),
        size.tolist(),
        *(repeat(None, len(ts_ns)) if values is None else values for values in (sequence, exchange, conditions)),
        strict=True,
    ):
        yield Tick(
            venue_ts_ns=ts,
            received_ts_ns=arrived,
            instrument_id=ONLY,
            price=price_,
            size=size_,
            sequence=number,
            exchange=where,
            conditions=how,
        )


def changes_of(ticks: Iterable[Tick], corrects: Iterable[int | None]) -> Iterator[Tick | TickCorrected | TickCanceled]:
    """Yield rows of a tape as prints, corrections and cancels: a row that corrects a print to size 0 cancels it."""
    for tick, sequence in zip(ticks, corrects, strict=True):
        if sequence is None:
            yield tick
        elif tick.size:
            yield TickCorrected(
                venue_ts_ns=tick.venue_ts_ns,
                received_ts_ns=tick.received_ts_ns,
                instrument_id=tick.instrument_id,
                sequence=sequence,
                price=tick.price,
                size=tick.size,
            )
        else:
            yield TickCanceled(
                venue_ts_ns=tick.venue_ts_ns,
                received_ts_ns=tick.received_ts_ns,
                instrument_id=tick.instrument_id,
                sequence=sequence,
            )


def quotes_of(ts_ns: Ints, *numbers: Floats) -> Iterator[Quote]:
    """Yield quotes given as columns (bid, ask, bid size, ask size), in the order of arrival."""
    received = np.maximum.accumulate(ts_ns)
    columns = [values.tolist() for values in numbers]
    for ts, arrived, bid, ask, bid_size, ask_size in zip(ts_ns.tolist(), received.tolist(), *columns, strict=True):
        yield Quote(
            venue_ts_ns=ts,
            received_ts_ns=arrived,
            instrument_id=ONLY,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
        )


def through_builder(
    inputs: Iterable[Input],
    prints_from: PrintSource,
    *,
    sessions: Sessions | None = None,
    rules: TapeRules | None = None,
) -> BarColumns:
    """Return the bars that the live builder makes of events, each at its last revision.

    Columns carry no session kind, so that any calendar serves where no filter asks for one.
    """
    rules = rules or TapeRules()
    builder = BarBuilder(ONLY, sessions or AlwaysOpen(), prints_from=prints_from, rules=rules)
    last: dict[int, Bar] = {}
    for entry in inputs:
        if isinstance(entry, Tick):
            made = builder.on_tick(entry)
        elif isinstance(entry, Quote):
            made = builder.on_quote(entry)
        else:
            made = builder.on_correction(entry)
        last.update((bar.start_ts_ns, bar) for bar in made or ())
    last.update((bar.start_ts_ns, bar) for bar in builder.on_time(2**62) or ())
    # A bar whose every print was taken back is none.
    bars = [bar for _, bar in sorted(last.items()) if bar.tick_count or bar.quote_count]
    return columns_of(bars, builder.refused, from_quotes=prints_from is PrintSource.QUOTES, revises=rules.revises)


def columns_of(bars: Sequence[Bar], refused: dict[str, int], *, from_quotes: bool, revises: bool) -> BarColumns:
    """Return bars as columns."""
    complete = _gathered(bars, "complete", np.bool_)
    return BarColumns(
        start_ts_ns=_gathered(bars, "start_ts_ns", np.int64),
        columns={name: _gathered(bars, name, np.float64) for name in PRICE_NAMES}
        | {name: _gathered(bars, f"quotes.{name}", np.float64) for name in QUOTE_NAMES if from_quotes},
        tick_count=_gathered(bars, "tick_count", np.int64),
        quote_count=_gathered(bars, "quote_count", np.int64),
        refused=refused,
        revision=_gathered(bars, "revision", np.int64) if revises else None,
        complete=None if complete.all() else complete,
    )


def _gathered(bars: Sequence[Bar], name: str, dtype: Any) -> Any:
    return np.fromiter(map(attrgetter(name), bars), dtype=dtype, count=len(bars))
