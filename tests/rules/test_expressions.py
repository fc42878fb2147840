"""A rule gives the same bits on one row as on columns, and says what it cannot hold."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import BadInput
from engine.core.messages import Bar
from engine.core.signals import Context
from engine.core.values import MINUTE_NS, InstrumentId, Session, instrument_from_symbol
from engine.rules import (
    BarColumns,
    Condition,
    NoParameters,
    Number,
    RuleBar,
    RuleStrategy,
    absolute,
    crosses_above,
    crosses_below,
    is_known,
    maximum,
    minimum,
    previous,
    where,
)

READINGS = ("open", "high", "low", "close", "volume", "vwap", "seconds_from_open", "seconds_to_close")
SESSION = Session(date="2024-01-02", open_ts_ns=10**18, close_ts_ns=10**18 + 390 * MINUTE_NS)
BAR = RuleBar(READINGS)

Part = Callable[[RuleBar], Number]
Ask = Callable[[RuleBar], Condition]


class Written(RuleStrategy[NoParameters]):
    """Be a strategy of a given condition and number."""

    def __init__(self, condition: Ask, number: Part) -> None:
        self.condition = condition
        self.number = number
        super().__init__()

    def entry(self, bar: RuleBar) -> Condition:
        return self.condition(bar)

    def exit(self, bar: RuleBar) -> Condition:
        return ~self.condition(bar)

    def stop_distance(self, bar: RuleBar) -> Number:
        return self.number(bar)


def bits(value: float) -> bytes:
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)


def make_bars(rows: list[tuple[float, ...]]) -> list[Bar]:
    return [
        Bar(
            instrument_id=InstrumentId(1),
            start_ts_ns=SESSION.open_ts_ns + minute * MINUTE_NS,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            vwap=vwap,
        )
        for minute, (opened, high, low, close, volume, vwap) in enumerate(rows)
    ]


def both_ways(strategy: Written, bars: list[Bar]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    context = Context(instrument_from_symbol("SPY", 1))
    context.session = SESSION
    rows = [strategy.row(bar, context) for bar in bars]
    columns = strategy.signals(BarColumns.from_bars(bars, [SESSION] * len(bars)))
    by_row: list[tuple[object, ...]] = [(row.entry, row.exit, bits(row.stop_distance)) for row in rows]
    by_column: list[tuple[object, ...]] = [
        (entry, leaving, bits(stop))
        for entry, leaving, stop in zip(
            columns.entry.tolist(), columns.exit.tolist(), columns.stop_distance.tolist(), strict=True
        )
    ]
    return by_row, by_column


plain = st.sampled_from([0.0, -0.0, 1.0, -1.5, 3, 1e-310, 1e308, math.inf, math.nan, 0.1, np.float64(0.3)])
leaves: st.SearchStrategy[Part] = st.one_of(
    st.sampled_from(READINGS).map(lambda name: lambda bar: getattr(bar, name)),
    st.sampled_from(READINGS).map(lambda name: lambda bar: getattr(bar.previous, name)),
    plain.map(lambda value: lambda bar: bar.close * value),
)


def joined(parts: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    operations = st.sampled_from(
        [
            lambda a, b: a + b,
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: a / b,
            lambda a, b: -a + absolute(b),
            maximum,
            minimum,
            lambda a, b: where(a < b, a, b * 2),
            lambda a, b: where((a >= b) | (a != b), b, 1 / a),
            lambda a, b: (a + b) * (a + b),
        ]
    )
    return st.builds(lambda join, a, b: lambda bar: join(a(bar), b(bar)), operations, parts, parts)


numbers = st.recursive(leaves, joined, max_leaves=12)
conditions = st.builds(
    lambda join, a, b: lambda bar: join(a(bar), b(bar)),
    st.sampled_from(
        [
            lambda a, b: a > b,
            lambda a, b: (a <= b) & is_known(a),
            lambda a, b: ~(a == b) | (b != a),
            lambda a, b: True & (a >= b),
            lambda a, b: (a < b) | False,
        ]
    ),
    numbers,
    numbers,
)
floats = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7e308]), st.floats(allow_nan=True, allow_infinity=True))
tables = st.lists(st.tuples(*[floats] * 6), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(conditions, numbers, tables)
def test_a_row_has_the_bits_of_the_columns(condition: Ask, number: Part, table: list[tuple[float, ...]]) -> None:
    by_row, by_column = both_ways(Written(condition, number), make_bars(table))
    assert by_row == by_column


def test_crosses_look_at_both_bars() -> None:
    closes = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 2.5]
    bars = make_bars([(2.0, 0.0, 0.0, close, 0.0, 0.0) for close in closes])
    columns = BarColumns.from_bars(bars, [SESSION] * len(bars))
    above = Written(lambda bar: crosses_above(bar.close, bar.open), lambda bar: bar.open)
    below = Written(lambda bar: crosses_below(bar.close, 2), lambda bar: bar.open)
    assert above.signals(columns).entry.tolist() == [False, False, True, False, False, False, True]
    assert below.signals(columns).entry.tolist() == [False, False, False, False, False, True, False]


def test_previous_of_an_expression_is_its_value_one_bar_earlier() -> None:
    bars = make_bars([(1.0, 0.0, 0.0, close, 0.0, 0.0) for close in (3.0, 5.0)])
    strategy = Written(lambda bar: previous(bar.close * 2 - bar.open) == 5, lambda bar: bar.open)
    by_row, by_column = both_ways(strategy, bars)
    assert [row[0] for row in by_row] == [False, True]
    assert by_row == by_column


def test_a_division_by_zero_is_infinite_or_unknown() -> None:
    bars = make_bars([(value, 0.0, 0.0, -0.0, 0.0, 0.0) for value in (1.0, -1.0, 0.0)])
    strategy = Written(lambda bar: bar.open / bar.close < 0, lambda bar: bar.open / bar.high)
    by_row, by_column = both_ways(strategy, bars)
    assert by_row == by_column
    assert [row[2] for row in by_row] == [bits(math.inf), bits(-math.inf), b"NaN"]
    # The third row has no entry since its distance is not known.
    assert [row[0] for row in by_row] == [True, False, False]


def test_unknown_values_make_comparisons_false() -> None:
    strategy = Written(lambda bar: (bar.open <= bar.close) | (bar.open > bar.close), lambda bar: bar.high)
    by_row, by_column = both_ways(strategy, make_bars([(math.nan, 1.0, 1.0, 1.0, 1.0, 1.0)]))
    assert by_row == by_column == [(False, True, bits(1.0))]


def test_deep_and_shared_rules_compile() -> None:
    def deep(bar: RuleBar) -> Number:
        total = bar.close
        for _ in range(3_000):
            total = total + bar.open
        for _ in range(60):
            total = total + total
        return total

    by_row, by_column = both_ways(Written(lambda bar: deep(bar) > 0, deep), make_bars([(1.0,) * 6]))
    assert by_row == by_column == [(True, False, bits(3_001.0 * 2**60))]


REFUSED: dict[str, tuple[Callable[[RuleBar], object], str]] = {
    "and": (lambda bar: bar.close > 1 and bar.open > 1, "write &, |, ~"),
    "not": (lambda bar: not bar.close > 1, "write &, |, ~"),
    "chain": (lambda bar: 1 < bar.close < 2, r"\(a <= x\) & \(x <= b\)"),
    "max": (lambda bar: max(bar.close, bar.open) > 1, "maximum"),
    "power": (lambda bar: bar.close**2 > 1, "multiply instead"),
    "power of": (lambda bar: 2**bar.close > 1, "multiply instead"),
    "math": (lambda bar: math.sqrt(bar.close) > 1, "declare an indicator"),
    "modulo": (lambda bar: bar.close % 2 == 0, "comparisons"),
    "no parentheses": (lambda bar: bar.close > bar.open & bar.high > 1, "into parentheses"),
    "equal conditions": (lambda bar: (bar.close > 1) == (bar.open > 1), "join them by"),
    "sum of conditions": (lambda bar: (bar.close > 1) + 1 > 1, "where"),
    "exclusive or": (lambda bar: (bar.close > 1) ^ (bar.open > 1), "write"),
    "text": (lambda bar: bar.close + cast("float", "1") > 1, "give an expression"),
    "condition as number": (lambda bar: bar.close > (bar.open > 1), "use where"),
    "number as condition": (lambda bar: where(cast("Condition", bar.close), 1, 2) > 1, "compare numbers"),
    "unknown reading": (lambda bar: bar.closes > 1, "did you mean 'close'"),
    "two bars back": (lambda bar: bar.previous.previous.close > 1, "looks further back"),
    "previous twice": (lambda bar: previous(bar.previous.close) > 1, "looks further back"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_rule_cannot_hold_is_refused_with_a_remedy(name: str) -> None:
    write, remedy = REFUSED[name]
    with pytest.raises(BadInput, match=remedy):
        write(BAR)


def test_a_rule_reads_as_it_was_written() -> None:
    rule = (BAR.close > 1.5 * BAR.open) & ~(BAR.previous.high <= -1)
    assert repr(rule) == "((bar.close > (1.5 * bar.open)) and (not (bar.previous.high <= (-1.0))))"
