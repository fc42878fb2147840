"""Batch bars are bit for bit those of the live builder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.bars import BarBuilder, PrintSource
from engine.core.errors import BadInput
from engine.core.messages import Bar, Quote, Tick
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen, InstrumentId
from engine.feeds.bar_columns import BarColumns
from engine.feeds.bar_files import BarRules, build_bars
from engine.feeds.batch_bars import bars_from_bars, bars_from_quotes, bars_from_ticks
from engine.feeds.files import Floats, Ints, MarketKind, read_market

Write = Callable[[Mapping[str, Sequence[Any]]], Path]

ONE = InstrumentId(1)
START = 1_735_828_200 * SECOND_NS
NAMES = ("open", "high", "low", "close", "volume", "vwap")
QUOTE_NAMES = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in NAMES[:4])


def live_bars(inputs: Iterable[Tick | Quote], prints_from: PrintSource) -> tuple[list[Bar], dict[str, int]]:
    builder = BarBuilder(ONE, AlwaysOpen(), prints_from=prints_from)
    bars: list[Bar] = []
    for entry in inputs:
        bars += (builder.on_tick(entry) if isinstance(entry, Tick) else builder.on_quote(entry)) or ()
    bars += builder.on_time(2**62) or ()
    return bars, builder.refused


def ticks_of(ts_ns: Ints, price: Floats, size: Floats) -> Iterable[Tick]:
    received = 0
    for ts, price_, size_ in zip(ts_ns.tolist(), price.tolist(), size.tolist(), strict=True):
        received = max(received, ts)
        yield Tick(venue_ts_ns=ts, received_ts_ns=received, instrument_id=ONE, price=price_, size=size_)


def quotes_of(ts_ns: Ints, bid: Floats, ask: Floats) -> Iterable[Quote]:
    received = 0
    for ts, bid_, ask_ in zip(ts_ns.tolist(), bid.tolist(), ask.tolist(), strict=True):
        received = max(received, ts)
        yield Quote(
            venue_ts_ns=ts, received_ts_ns=received, instrument_id=ONE, bid=bid_, ask=ask_, bid_size=1.0, ask_size=1.0
        )


def assert_same_bits(columns: BarColumns, bars: list[Bar]) -> None:
    assert columns.start_ts_ns.tolist() == [bar.start_ts_ns for bar in bars]
    for name in NAMES:
        values = np.array([getattr(bar, name) for bar in bars], dtype=np.float64)
        assert columns.columns[name].tobytes() == values.tobytes(), name
    for name in QUOTE_NAMES if "bid_open" in columns.columns else ():
        values = np.array([getattr(bar.quotes, name) for bar in bars], dtype=np.float64)
        assert columns.columns[name].tobytes() == values.tobytes(), name
    assert columns.tick_count is not None
    assert columns.quote_count is not None
    assert columns.tick_count.tolist() == [bar.tick_count for bar in bars]
    assert columns.quote_count.tolist() == [bar.quote_count for bar in bars]


PRINTS = st.lists(
    st.tuples(
        st.integers(0, 5 * 60),
        st.floats(0.01, 1e6) | st.sampled_from([10.0, float("nan"), 0.0, -1.0, float("inf")]),
        st.floats(1e-8, 1e6) | st.sampled_from([1.0, 0.0, float("nan")]),
    ),
    max_size=50,
)


@settings(deadline=None)
@given(PRINTS, st.booleans())
def test_ticks_in_and_out_of_order(prints: list[tuple[int, float, float]], in_order: bool) -> None:  # noqa: FBT001
    rows = sorted(prints, key=lambda row: row[0]) if in_order else prints
    ts_ns = np.array([START + second * SECOND_NS for second, _, _ in rows], dtype=np.int64)
    price = np.array([price for _, price, _ in rows], dtype=np.float64)
    size = np.array([size for _, _, size in rows], dtype=np.float64)
    columns = bars_from_ticks(ts_ns, price, size)
    bars, refused = live_bars(ticks_of(ts_ns, price, size), PrintSource.TICKS)
    assert_same_bits(columns, bars)
    assert columns.refused == refused


@settings(deadline=None)
@given(PRINTS, st.booleans())
def test_quotes_in_and_out_of_order(prints: list[tuple[int, float, float]], in_order: bool) -> None:  # noqa: FBT001
    rows = sorted(prints, key=lambda row: row[0]) if in_order else prints
    ts_ns = np.array([START + second * SECOND_NS for second, _, _ in rows], dtype=np.int64)
    bid = np.array([bid for _, bid, _ in rows], dtype=np.float64)
    ask = np.array([ask for _, _, ask in rows], dtype=np.float64)
    ones = np.ones(len(rows))
    columns = bars_from_quotes(ts_ns, bid=bid, ask=ask, bid_size=ones, ask_size=ones)
    bars, refused = live_bars(quotes_of(ts_ns, bid, ask), PrintSource.QUOTES)
    assert_same_bits(columns, bars)
    assert columns.refused == refused


@pytest.mark.parametrize("per_minute", [3, 700, 150_000])
def test_many_ticks_in_pieces(per_minute: int) -> None:
    random = np.random.Generator(np.random.PCG64(5))
    number = 200_000
    span = max(1, number // per_minute) * MINUTE_NS
    ts_ns = START + np.sort(random.integers(0, span, number))
    price = 100 + np.round(random.random(number), 4)
    size = random.random(number) * 1000
    price[70_000:70_010] = np.nan
    size[140_000] = 0.0
    columns = bars_from_ticks(ts_ns, price, size)
    bars, refused = live_bars(ticks_of(ts_ns, price, size), PrintSource.TICKS)
    assert_same_bits(columns, bars)
    assert columns.refused == refused == {"price": 10, "size": 1}


def test_no_input_makes_no_bars() -> None:
    none, no_times = np.empty(0), np.empty(0, dtype=np.int64)
    assert len(bars_from_ticks(no_times, none, none)) == 0
    assert len(bars_from_quotes(no_times, bid=none, ask=none, bid_size=none, ask_size=none)) == 0


def test_finer_bars_become_minutes() -> None:
    columns = {
        "open": np.array([10.0, 11.0, 12.0, 20.0]),
        "high": np.array([10.5, 13.0, 12.5, 20.0]),
        "low": np.array([9.5, 10.5, 9.0, 20.0]),
        "close": np.array([11.0, 12.0, 12.5, 20.0]),
        "volume": np.array([1.0, 2.0, 1.0, 0.0]),
        "vwap": np.array([10.0, 12.0, 12.0, 19.0]),
    }
    bars = bars_from_bars(START + np.array([0, 1, 59, 60]) * SECOND_NS, columns)
    assert bars.start_ts_ns.tolist() == [START, START + MINUTE_NS]
    assert {name: values.tolist() for name, values in bars.columns.items()} == {
        "open": [10.0, 20.0],
        "high": [13.0, 20.0],
        "low": [9.0, 20.0],
        "close": [12.5, 20.0],
        "volume": [4.0, 0.0],
        "vwap": [11.5, 20.0],
    }
    assert (bars.tick_count, bars.quote_count) == (None, None)
    with pytest.raises(BadInput, match="do not ascend"):
        bars_from_bars(START - np.array([0, 1, 59, 60]) * SECOND_NS, columns)


TICKS: dict[str, Sequence[Any]] = {
    "symbol": ["A", "B", "A"],
    "ts": ["2025-01-02T14:30:01Z", "2025-01-02T14:30:02Z", "2025-01-02T14:31:03Z"],
    "price": [10.1, 20.0, 10.3],
    "size": [0.1, 2, 3],
}


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_built_files_are_market_files(write_csv: Write, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    assert build_bars(MarketKind.TICKS, write_csv(TICKS), out).bars == 3
    table = read_market(out, MarketKind.BARS)
    assert table.symbols == ("A", "B")
    assert table.codes.tolist() == [0, 1, 0]
    assert ((table.ts_ns - START) // MINUTE_NS).tolist() == [0, 0, 1]
    assert table.columns["close"].tolist() == [10.1, 20.0, 10.3]
    assert table.columns["volume"].tolist() == [0.1, 2.0, 3.0]
    assert table.columns["vwap"].tolist() == [10.1 * 0.1 / 0.1, 20.0, 10.3 * 3 / 3]
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_bars_of_quotes_carry_bid_and_ask(write_csv: Write, tmp_path: Path) -> None:
    quotes = {**TICKS, "bid": [1, 2, 3], "ask": [2, 3, 5], "bid_size": [1] * 3, "ask_size": [1] * 3}
    out = tmp_path / "bars.csv"
    build_bars(MarketKind.QUOTES, write_csv(quotes), out, symbols=["A"])
    first, second, third = out.read_text().splitlines()
    names = ["symbol", "ts", "open", "high", "low", "close", "volume", "vwap", "tick_count", "quote_count"]
    assert first.replace('"', "").split(",") == [*names, *QUOTE_NAMES]
    assert second.replace('"', "").split(",")[:7] == ["A", "2025-01-02T14:30:00Z", "1.5", "1.5", "1.5", "1.5", "0"]
    assert third.split(",")[-1] == "5"


def test_places_that_cannot_be_written_are_refused(write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(TICKS)
    with pytest.raises(BadInput, match=r"ends neither in \.parquet nor in \.csv"):
        build_bars(MarketKind.TICKS, path, tmp_path / "bars.txt")
    with pytest.raises(BadInput, match="is the input itself"):
        build_bars(MarketKind.TICKS, path, path)
    with pytest.raises(BadInput, match="cannot be written"):
        build_bars(MarketKind.TICKS, path, tmp_path / "nowhere" / "bars.csv")
    assert read_market(path, MarketKind.TICKS).symbols == ("A", "B")


def test_times_outside_the_calendar_are_refused(write_csv: Write, tmp_path: Path) -> None:
    path = write_csv({**TICKS, "ts": ["1980-01-02T14:30:01Z"] * 3})
    with pytest.raises(BadInput, match="outside the calendar XNYS"):
        build_bars(MarketKind.TICKS, path, tmp_path / "bars.csv")
    assert build_bars(MarketKind.TICKS, path, tmp_path / "bars.csv", rules=BarRules(calendar="24/7")).bars == 2
