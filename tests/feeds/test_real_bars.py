"""Real data: published bars come out of real ticks, quotes and seconds; batch and live agree bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.calendars import load_sessions
from engine.core.bars import BarBuilder
from engine.core.messages import Bar, BarClosed, Tick
from engine.feeds.bar_files import build_bars
from engine.feeds.batch_bars import bars_from_ticks
from engine.feeds.files import MarketKind, MarketTable, read_market
from engine.feeds.replay import ReplayFeed

Real = Callable[..., Path]


def assert_equal_bars(built: MarketTable, published: MarketTable) -> None:
    assert built.symbols == published.symbols
    assert built.codes.tolist() == published.codes.tolist()
    assert built.ts_ns.tolist() == published.ts_ns.tolist()
    for name in ("open", "high", "low", "close"):
        assert built.columns[name].tolist() == published.columns[name].tolist(), name
    units = [np.rint(table.columns["volume"] * 1e8).tolist() for table in (built, published)]
    assert units[0] == units[1]


def test_ticks_of_a_coin_make_the_candles_of_its_exchange(real: Real, tmp_path: Path) -> None:
    ticks = real("crypto/binance_xrpeth_trades_201910.parquet", {"price_e8": "price", "qty_e8": "size"})
    out = tmp_path / "bars.parquet"
    assert build_bars(MarketKind.TICKS, ticks, out).bars == 1022
    candles = read_market(real("crypto/binance_xrpeth_1min_201910.parquet"), MarketKind.BARS)
    assert_equal_bars(read_market(out, MarketKind.BARS), candles)


def test_seconds_make_the_minutes_of_the_same_source(real: Real, tmp_path: Path) -> None:
    out = tmp_path / "bars.parquet"
    build_bars(MarketKind.BARS, real("crypto/coinbase_second_trades.parquet"), out)
    built = read_market(out, MarketKind.BARS)
    minutes = read_market(real("crypto/coinbase_minute_trades.parquet"), MarketKind.BARS, symbols=list(built.symbols))
    days = np.isin(minutes.ts_ns, built.ts_ns)
    assert (len(built), int(np.count_nonzero(days))) == (2819, 2819)
    published = MarketTable(
        kind=MarketKind.BARS,
        symbols=minutes.symbols,
        codes=minutes.codes[days],
        ts_ns=minutes.ts_ns[days],
        received_ts_ns=minutes.received_ts_ns[days],
        columns={name: values[days] for name, values in minutes.columns.items()},
        extras={},
    )
    assert_equal_bars(built, published)


@pytest.mark.parametrize(
    "name", ["us_equity_lean/tick_trades_IBM.parquet", "crypto/binance_xrpeth_trades_201910.parquet"]
)
def test_live_bars_of_real_ticks_are_the_batch_bit_for_bit(real: Real, name: str) -> None:
    path = real(name, {"px_e4": "price", "price_e8": "price", "qty_e8": "size"})
    feed = ReplayFeed.ticks(path)
    (instrument,) = feed.instruments
    builder = BarBuilder(instrument.instrument_id, feed.sessions[instrument.instrument_id])
    bars: list[Bar] = []
    for event in feed.events():
        bars += (builder.on_tick(event) if isinstance(event, Tick) else builder.on_time(event.received_ts_ns)) or ()
    table = read_market(path, MarketKind.TICKS)
    columns = bars_from_ticks(table.ts_ns, table.columns["price"], table.columns["size"])
    assert columns.start_ts_ns.tolist() == [bar.start_ts_ns for bar in bars]
    for field in ("open", "high", "low", "close", "volume", "vwap"):
        assert columns.columns[field].tobytes() == np.array([getattr(bar, field) for bar in bars]).tobytes(), field
    assert columns.tick_count is not None
    assert columns.tick_count.tolist() == [bar.tick_count for bar in bars]
    assert builder.refused == columns.refused == {}


def test_half_days_of_a_real_year_end_early(real: Real) -> None:
    feed = ReplayFeed.bars(real("us_equity_minute/spy_1min_2024-03-26_2024-12-31.parquet"))
    assert feed.rows == 75_707
    sessions = load_sessions("XNYS")
    regular: dict[str, int] = {}
    for event in feed.events():
        if isinstance(event, BarClosed) and event.bar.session_kind == "regular":
            day = sessions.session_from(event.bar.start_ts_ns).date
            regular[day] = regular.get(day, 0) + 1
    assert len(regular) == 194
    assert {day: number for day, number in regular.items() if number != 390} == {
        "2024-07-03": 210,
        "2024-11-29": 210,
        "2024-12-24": 210,
    }
