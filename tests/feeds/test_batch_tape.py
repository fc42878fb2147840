"""Whole columns of a filtered tape make the bits and the revisions of the live builder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calendars import load_sessions
from engine.core.bars import PrintSource, TapeRules, trade_filter
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen, Sessions
from engine.feeds.bar_columns import PRICE_NAMES, QUOTE_NAMES, BarColumns
from engine.feeds.batch_stream import ONLY, quotes_of, through_builder
from engine.feeds.batch_tape import TapeRows, bars_from_sides, bars_from_tape

XNYS = load_sessions("XNYS")
#: A Thursday before a half day, the half day, and the Monday after.
OPENS = [XNYS.session_from(1_732_752_000 * SECOND_NS + day * 86_400 * SECOND_NS).open_ts_ns for day in (-1, 1, 4)]
CLOSES = [XNYS.session_from(moment).close_ts_ns for moment in OPENS]
LETTERS = ["", "@", "F", "I", "T", "FT", "TI", "Z", "4", "C", "O", "6", "M", "9", "O  I", "?"]
MASKS = [0x1, 0x20, 0x2000, 0x40, 0x80, 0x20000040, 0x20000080, 0x100000, 0x200, 0x1000000, 0x81, -1, None]


def rules_of(name: str, *, keeps_prints: bool = False) -> TapeRules:
    return TapeRules(filter=trade_filter(name), listing_exchanges={ONLY: "N"}, keeps_prints=keeps_prints)


def assert_same_bars(columns: BarColumns, expected: BarColumns, names: Sequence[str] = PRICE_NAMES) -> None:
    assert columns.start_ts_ns.tolist() == expected.start_ts_ns.tolist()
    for name in names:
        assert columns.columns[name].tobytes() == expected.columns[name].tobytes(), name
    for name in ("tick_count", "quote_count", "revision", "complete"):
        found, wanted = getattr(columns, name), getattr(expected, name)
        assert (found is None) == (wanted is None), name
        assert found is None or found.tolist() == wanted.tolist(), name
    assert columns.refused == expected.refused


# Moments around the opens and closes of several days, so that auctions, empty minutes and new days meet.
MOMENTS = st.builds(
    lambda base, minute, second: base + minute * MINUTE_NS + second * SECOND_NS,
    st.sampled_from([*OPENS, *CLOSES]),
    st.integers(-4, 4),
    st.integers(0, 59),
)
PRICES = st.floats(0.01, 1e4) | st.sampled_from([10.0, 10.1, float("nan"), 0.0])
SIZES = st.floats(1e-3, 1e5) | st.sampled_from([1.0, 100.0, 0.0])


def prints(conditions: Sequence[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    row = st.tuples(MOMENTS, PRICES, SIZES, st.sampled_from(conditions), st.sampled_from(["N", "Q", None]))
    return st.lists(row, max_size=40)


def rows_of(found: list[tuple[Any, ...]], *, in_order: bool, **more: Any) -> TapeRows:
    rows = sorted(found, key=lambda row: row[0]) if in_order else found
    return TapeRows(
        ts_ns=np.array([row[0] for row in rows], dtype=np.int64),
        price=np.array([row[1] for row in rows], dtype=np.float64),
        size=np.array([row[2] for row in rows], dtype=np.float64),
        conditions=[row[3] for row in rows],
        exchange=[row[4] for row in rows],
        **more,
    )


def live(rows: TapeRows, rules: TapeRules, sessions: Sessions = XNYS) -> BarColumns:
    return through_builder(rows.events(), PrintSource.TICKS, sessions=sessions, rules=rules)


@settings(deadline=None, max_examples=300)
@given(prints(LETTERS))
def test_letters_in_order(found: list[tuple[Any, ...]]) -> None:
    rows, rules = rows_of(found, in_order=True), rules_of("sip")
    assert_same_bars(bars_from_tape(rows, XNYS, rules), live(rows, rules))


@settings(deadline=None, max_examples=300)
@given(prints(MASKS))
def test_masks_in_order(found: list[tuple[Any, ...]]) -> None:
    rows, rules = rows_of(found, in_order=True), rules_of("lean")
    assert_same_bars(bars_from_tape(rows, XNYS, rules), live(rows, rules))


@settings(deadline=None)
@given(prints([""]), st.sampled_from(["none", "sip", "lean"]))
def test_prints_out_of_order(found: list[tuple[Any, ...]], name: str) -> None:
    rows, rules = rows_of(found, in_order=False), rules_of(name, keeps_prints=True)
    assert_same_bars(bars_from_tape(rows, XNYS, rules), live(rows, rules))


@settings(deadline=None)
@given(prints([None]), st.lists(st.integers(0, 30), min_size=40, max_size=40))
def test_sequences(found: list[tuple[Any, ...]], steps: list[int]) -> None:
    """Numbers that go on, jump, repeat and go back."""
    numbers = np.cumsum([step - 1 if step < 4 else 1 for step in steps]).tolist()[: len(found)]
    for name in ("none", "lean"):
        rows, rules = rows_of(found, in_order=True, sequence=numbers), rules_of(name)
        assert_same_bars(bars_from_tape(rows, XNYS, rules), live(rows, rules))


@settings(deadline=None)
@given(prints([None]), st.lists(st.none() | st.integers(0, 40), min_size=40, max_size=40))
def test_corrections_and_cancels(found: list[tuple[Any, ...]], corrects: list[int | None]) -> None:
    changes = corrects[: len(found)]
    numbers = [None if change is not None else place for place, change in enumerate(changes)]
    rows = rows_of(found, in_order=True, sequence=numbers, corrects=changes)
    rules = rules_of("lean")
    assert_same_bars(bars_from_tape(rows, XNYS, rules), live(rows, rules))


def test_whole_columns_are_used_where_the_numbers_go_on() -> None:
    """A market that never closes, with ids from 5 on: the same bars as without ids."""
    rows = rows_of([(OPENS[0] + second * SECOND_NS, 10.0, 1.0, None, None) for second in range(200)], in_order=True)
    numbered = rows_of(
        [(OPENS[0] + second * SECOND_NS, 10.0, 1.0, None, None) for second in range(200)],
        in_order=True,
        sequence=list(range(5, 205)),
    )
    plain = bars_from_tape(rows, AlwaysOpen(), rules_of("none"))
    assert_same_bars(bars_from_tape(numbered, AlwaysOpen(), rules_of("none")), plain)
    assert plain.columns["volume"].tolist() == [60.0, 60.0, 60.0, 20.0]


QUOTES = st.lists(
    st.tuples(
        MOMENTS,
        st.floats(1.0, 20.0) | st.sampled_from([0.0, 10.0, float("nan"), -1.0]),
        st.floats(1.0, 20.0) | st.sampled_from([0.0, 10.0, float("inf")]),
        st.sampled_from([0.0, 1.0, 100.0, -1.0]),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(QUOTES, st.booleans())
def test_sides(found: list[tuple[int, float, float, float]], in_order: bool) -> None:  # noqa: FBT001
    rows = sorted(found, key=lambda row: row[0]) if in_order else found
    ts_ns = np.array([row[0] for row in rows], dtype=np.int64)
    columns = {
        name: np.array([row[place] for row in rows], dtype=np.float64)
        for name, place in (("bid", 1), ("ask", 2), ("bid_size", 3), ("ask_size", 3))
    }
    rules = rules_of("lean")
    made = bars_from_sides(ts_ns, columns, XNYS, rules)
    expected = through_builder(quotes_of(ts_ns, *columns.values()), PrintSource.QUOTES, sessions=XNYS, rules=rules)
    assert_same_bars(made, expected, (*PRICE_NAMES, *QUOTE_NAMES))


@pytest.mark.parametrize("name", ["none", "sip", "lean"])
def test_no_prints_make_no_bars(name: str) -> None:
    rows = rows_of([], in_order=True)
    assert len(bars_from_tape(rows, XNYS, rules_of(name))) == 0
