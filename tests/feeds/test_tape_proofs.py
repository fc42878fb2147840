"""Real tapes: the published bars of a vendor come out of its ticks, by the stream and by whole columns."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from engine.core.bars import PrintSource, TapeRules, trade_filter
from engine.core.messages import Bar, Quote
from engine.core.pipeline import Pipeline, PipelineSettings
from engine.core.values import MINUTE_NS, AccountId
from engine.feeds.bar_diff import Comparison, compare_bars
from engine.feeds.bar_files import BarRules, build_bars
from engine.feeds.files import MarketKind, read_market
from engine.feeds.replay import ReplayFeed

Real = Callable[..., Path]

LISTINGS = {"IBM": "N", "BAC": "N", "SPY": "P"}
TICKS = {"px_e4": "price", "cond": "conditions"}
SIDES = [f"{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close")]


def published(name: str, symbol: str, days: set[Any]) -> dict[int, dict[str, int]]:
    """Return the published bars of a symbol on some days, as whole ten-thousandths and shares, by their start."""
    table = pq.read_table(Path(os.environ["RATCHET_DATA_DIR"]) / "us_equity_lean" / f"{name}.parquet")
    return {
        int(row["ts_utc"].timestamp()) * 10**9: row
        for row in table.to_pylist()
        if row["symbol"] == symbol and row["date_ny"] in days
    }


def days_of(path: Path) -> set[Any]:
    return set(pq.read_table(path, columns=["date_ny"])["date_ny"].to_pylist())


def last_revisions(feed: ReplayFeed, symbol: str, prints_from: PrintSource = PrintSource.TICKS) -> dict[int, Bar]:
    """Return what `Pipeline.step` makes of each event of a feed, at its last revision."""
    (instrument,) = feed.instruments
    key = instrument.instrument_id
    pipeline = Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments={key: instrument},
            sessions=feed.sessions,
            strategies=[],
            prints_from=prints_from,
            tape=TapeRules(filter=trade_filter("lean"), listing_exchanges={key: LISTINGS[symbol]}),
        )
    )
    bars: dict[int, Bar] = {}
    for event in feed.events():
        for fact in pipeline.step(event).facts:
            assert isinstance(fact, Bar), fact
            bars[fact.start_ts_ns] = fact
    return bars


def prices(bar: Any, names: list[str]) -> list[int]:
    return [round(getattr(bar, name) * 10**4) for name in names]


OHLC = ["open", "high", "low", "close"]


@pytest.mark.parametrize(("symbol", "count", "revised"), [("IBM", 1300, 3), ("BAC", 1168, 2)])
def test_every_published_minute_comes_out_of_the_tape(
    real: Real, tmp_path: Path, symbol: str, count: int, revised: int
) -> None:
    path = real(f"us_equity_lean/tick_trades_{symbol}.parquet", TICKS)
    expected = published("minute_trades", symbol, days_of(path))
    assert len(expected) == count
    bars = last_revisions(ReplayFeed([read_market(path, MarketKind.TICKS, drops_suspicious=True)]), symbol)
    assert {ts: [*prices(bar, OHLC), int(bar.volume)] for ts, bar in bars.items()} == {
        ts: [row[f"{name}_e4"] for name in OHLC] + [row["volume"]] for ts, row in expected.items()
    }
    # The closing auctions come after the grace; nothing else of these days does.
    assert sum(bar.revision for bar in bars.values()) == revised
    out = tmp_path / "bars.parquet"
    rules = BarRules(filter="lean", listing_exchanges={symbol: LISTINGS[symbol]})
    assert build_bars(MarketKind.TICKS, path, out, rules=rules).revised == revised
    for row in pq.read_table(out).to_pylist():
        bar = bars[row["ts"].value if hasattr(row["ts"], "value") else int(row["ts"].timestamp()) * 10**9]
        for name in (*OHLC, "volume", "vwap", "tick_count", "revision"):
            assert row[name] == getattr(bar, name), name


def test_the_prices_of_spy_come_out_of_the_tape(real: Real) -> None:
    path = real("us_equity_lean/tick_trades_SPY.parquet", TICKS)
    expected = published("minute_trades", "SPY", days_of(path))
    bars = last_revisions(ReplayFeed([read_market(path, MarketKind.TICKS, drops_suspicious=True)]), "SPY")
    assert len(bars) == len(expected) == 828
    assert {ts: prices(bar, OHLC) for ts, bar in bars.items()} == {
        ts: [row[f"{name}_e4"] for name in OHLC] for ts, row in expected.items()
    }
    # The volume of this listing exchange's auctions is counted otherwise by the publisher.
    assert sum(int(bar.volume) != expected[ts]["volume"] for ts, bar in bars.items()) == 2


def last_sizes(feed: ReplayFeed) -> dict[int, tuple[int, int]]:
    """Return the sizes of the last quote of each minute, bid and ask, by the minute's start."""
    return {
        event.venue_ts_ns // MINUTE_NS * MINUTE_NS: (int(event.bid_size), int(event.ask_size))
        for event in feed.events()
        if isinstance(event, Quote)
    }


@pytest.mark.parametrize(("symbol", "count", "equal"), [("IBM", 1727, 1725), ("BAC", 1277, 1277)])
def test_published_quotes_come_out_of_the_sides(
    real: Real, tmp_path: Path, symbol: str, count: int, equal: int
) -> None:
    """Every published minute, and two more of IBM that the publisher left out.

    Those are 16:05 New York on the second and third day. The next published minute of each of these days, 16:07 and
    16:09, opens where the last one before the left-out minute closed: these are the two that are not equal.
    """
    path = real(f"us_equity_lean/tick_quotes_{symbol}.parquet", {"px_e4": "price"})
    expected = published("minute_quotes", symbol, days_of(path))
    feed = ReplayFeed([read_market(path, MarketKind.QUOTES, drops_suspicious=True)])
    bars = last_revisions(feed, symbol, PrintSource.QUOTES)
    found = [prices(bars[ts].quotes, SIDES) == [row[f"{name}_e4"] for name in SIDES] for ts, row in expected.items()]
    assert (len(found), sum(found)) == (count, equal)
    left_out = ["2013-10-08T20:05:00+00:00", "2013-10-09T20:05:00+00:00"] if symbol == "IBM" else []
    assert [datetime.fromtimestamp(ts // 10**9, UTC).isoformat() for ts in sorted(bars.keys() - expected)] == left_out
    sizes = last_sizes(feed)
    assert {ts: sizes[ts] for ts in expected} == {
        ts: (row["bid_size"], row["ask_size"]) for ts, row in expected.items()
    }
    out = tmp_path / "bars.parquet"
    assert build_bars(MarketKind.QUOTES, path, out, rules=BarRules(filter="lean")).bars == len(bars)
    for row in pq.read_table(out).to_pylist():
        quotes = bars[int(row["ts"].timestamp()) * 10**9].quotes
        assert [row[name] for name in SIDES] == [getattr(quotes, name) for name in SIDES]


def test_odd_lots_count_for_volume_only(real: Real, tmp_path: Path) -> None:
    """A day of a stock in 2018: half of its prints are odd lots."""
    path = real("us_equity_taq/taq_trades_XXX_2018-01-02.parquet", {"px_e4": "price", "cond": "conditions"})
    rules = BarRules(filter="sip", listing_exchanges={"XXX": "N"})
    out, naive = tmp_path / "sip.parquet", tmp_path / "none.parquet"
    built = build_bars(MarketKind.TICKS, path, out, rules=rules)
    assert built.refused == {}
    build_bars(MarketKind.TICKS, path, naive)
    tape = pq.read_table(path).to_pylist()
    # Official opens and closes repeat a print; everything else is volume, of some bar.
    volume = sum(row["size"] for row in tape if not {"M", "Q"} & set(row["conditions"]))
    bars = pq.read_table(out).to_pylist()
    assert sum(row["volume"] for row in bars) == volume
    whole = {row["ts"]: row for row in pq.read_table(naive).to_pylist()}
    tighter = [row["high"] < whole[row["ts"]]["high"] or row["low"] > whole[row["ts"]]["low"] for row in bars]
    assert sum(tighter) > 100
    assert all(row["high"] <= whole[row["ts"]]["high"] for row in bars[1:-1])
    found: Comparison = compare_bars(out, naive)
    assert not found.is_equal
    assert found.fields["high"] > 50
