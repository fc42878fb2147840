"""The replay feed: events, their times, sessions and order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.calendars import load_sessions
from engine.core.bars import GRACE_NS, BarBuilder
from engine.core.errors import BadInput
from engine.core.messages import Bar, BarClosed, MarketEvent, Quote, Tick, TimeAdvanced
from engine.core.values import MINUTE_NS, SECOND_NS, AssetClass, InstrumentId, SessionKind
from engine.feeds.replay import ReplayFeed

Columns = dict[str, Sequence[Any]]
Write = Callable[[Mapping[str, Sequence[Any]]], Path]

START = 1_735_828_200 * SECOND_NS  # 2025-01-02 14:30 UTC


def bars_at(*moments: str, symbols: Sequence[str] | None = None) -> Columns:
    number = len(moments)
    return {
        "symbol": symbols or ["ACME"] * number,
        "ts": moments,
        "open": [10.0] * number,
        "high": [10.5] * number,
        "low": [9.5] * number,
        "close": [10.25] * number,
        "volume": [100] * number,
    }


def bars_of(feed: ReplayFeed, start_after_ts_ns: int | None = None) -> list[Bar]:
    return [event.bar for event in feed.events(start_after_ts_ns) if isinstance(event, BarClosed)]


def test_a_bar_arrives_at_its_end(write_csv: Write) -> None:
    feed = ReplayFeed.bars(write_csv(bars_at("2025-01-02T14:30:00Z")))
    assert feed.rows == 1
    assert list(feed.events()) == [
        BarClosed(
            venue_ts_ns=START + MINUTE_NS,
            received_ts_ns=START + MINUTE_NS,
            bar=Bar(
                instrument_id=InstrumentId(1),
                start_ts_ns=START,
                open=10.0,
                high=10.5,
                low=9.5,
                close=10.25,
                volume=100.0,
                vwap=10.25,
            ),
        )
    ]


def test_the_average_price_of_the_file_is_used(write_csv: Write) -> None:
    feed = ReplayFeed.bars(write_csv({**bars_at("2025-01-02T14:30:00Z"), "vwap": [10.125]}))
    assert bars_of(feed)[0].vwap == 10.125


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        ("2024-07-03T13:29:00Z", SessionKind.EXTENDED),
        ("2024-07-03T13:30:00Z", SessionKind.REGULAR),
        ("2024-07-03T16:59:00Z", SessionKind.REGULAR),
        ("2024-07-03T17:00:00Z", SessionKind.EXTENDED),  # a half day
        ("2024-07-04T14:00:00Z", SessionKind.EXTENDED),  # a holiday
        ("2024-07-05T19:59:00Z", SessionKind.REGULAR),
        ("2024-07-05T20:00:00Z", SessionKind.EXTENDED),  # the 16:00 bar
        ("2024-07-06T14:00:00Z", SessionKind.EXTENDED),  # a Saturday
    ],
)
def test_session_kinds_follow_the_calendar(write_csv: Write, moment: str, kind: SessionKind) -> None:
    around = ["2024-07-01T14:00:00Z", moment, "2024-07-09T14:00:00Z"]
    kinds = [bar.session_kind for bar in bars_of(ReplayFeed.bars(write_csv(bars_at(*around))))]
    assert kinds == [SessionKind.REGULAR, kind, SessionKind.REGULAR]


def test_symbols_become_instruments_in_the_order_of_appearance(write_csv: Write) -> None:
    moments = ["2025-01-04T14:30:00Z", "2025-01-04T14:30:00Z", "2025-01-04T14:31:00Z"]
    feed = ReplayFeed.bars(write_csv(bars_at(*moments, symbols=["BTC-USD", "ACME", "BTC-USD"])))
    coin, share = feed.instruments
    assert (coin.instrument_id, coin.symbol, coin.asset_class, coin.lot) == (
        1,
        "BTC-USD",
        AssetClass.CRYPTO,
        Decimal("1e-8"),
    )
    assert (share.instrument_id, share.calendar, share.lot) == (2, "XNYS", Decimal(1))
    kinds = [(bar.instrument_id, bar.session_kind) for bar in bars_of(feed)]
    assert kinds == [(1, "regular"), (2, "extended"), (1, "regular")]
    assert feed.sessions[coin.instrument_id] is load_sessions("24/7")


def test_a_named_calendar_overrides(write_csv: Write) -> None:
    path = write_csv(bars_at("2025-01-04T14:30:00Z"))
    feed = ReplayFeed.bars(path, calendar="24/7")
    assert feed.instruments[0].asset_class is AssetClass.CRYPTO
    assert bars_of(feed)[0].session_kind is SessionKind.REGULAR
    with pytest.raises(BadInput, match="The calendar 'XMAS' is unknown"):
        ReplayFeed.bars(path, calendar="XMAS")


def test_data_outside_the_calendar_are_refused_before_the_first_event(write_csv: Write) -> None:
    path = write_csv(bars_at("2025-01-02T14:30:00Z", "2051-01-02T14:30:00Z"))
    with pytest.raises(BadInput, match="outside the calendar XNYS"):
        ReplayFeed.bars(path)


def test_a_replay_starts_after_a_moment(write_csv: Write) -> None:
    moments = [f"2025-01-02T14:3{minute}:00Z" for minute in range(5)]
    feed = ReplayFeed.bars(write_csv(bars_at(*moments)))
    assert bars_of(feed, START + 2 * MINUTE_NS) == bars_of(feed)[2:]
    assert bars_of(feed, START + 9 * MINUTE_NS) == []


def ticks_and_quotes(write_csv: Write, tmp_path: Path) -> ReplayFeed:
    ticks: Columns = {
        "symbol": ["A", "A", "B", "A"],
        "ts": ["2025-01-02T14:30:01Z", "2025-01-02T14:30:03Z", "2025-01-02T14:30:03Z", "2025-01-02T14:30:02Z"],
        "price": [10.0, 10.1, 20.0, 10.2],
        "size": [1, 2, 3, 4],
    }
    quotes: Columns = {
        "symbol": ["B", "A"],
        "ts": ["2025-01-02T14:30:01Z", "2025-01-02T14:30:03Z"],
        "bid": [19.9, 10.0],
        "ask": [20.1, 10.1],
        "bid_size": [1, 1],
        "ask_size": [1, 1],
    }
    moved = write_csv(ticks).rename(tmp_path / "ticks.csv")
    return ReplayFeed.ticks_and_quotes(moved, write_csv(quotes))


def described(events: Iterator[MarketEvent]) -> list[tuple[str, float, float]]:
    return [
        (type(event).__name__, (event.venue_ts_ns - START) / SECOND_NS, (event.received_ts_ns - START) / SECOND_NS)
        for event in events
    ]


def test_quotes_come_before_ticks_at_equal_times_and_the_last_minute_becomes_final(
    write_csv: Write, tmp_path: Path
) -> None:
    feed = ticks_and_quotes(write_csv, tmp_path)
    assert [(instrument.symbol, instrument.instrument_id) for instrument in feed.instruments] == [("A", 1), ("B", 2)]
    assert described(feed.events()) == [
        ("Quote", 1, 1),
        ("Tick", 1, 1),
        ("TimeAdvanced", 2, 2),
        ("Quote", 3, 3),
        ("Tick", 3, 3),
        ("Tick", 3, 3),
        ("Tick", 2, 3),
        ("TimeAdvanced", 62, 62),
    ]
    assert feed.rows == 6


def test_ticks_carry_what_the_file_adds(write_csv: Write) -> None:
    columns: Columns = {"symbol": ["A"], "ts": ["2025-01-02T14:30:01Z"], "price": [10.5], "size": [2]}
    bare = next(ReplayFeed.ticks(write_csv(columns)).events())
    assert isinstance(bare, Tick)
    assert (bare.price, bare.size, bare.sequence, bare.exchange, bare.conditions) == (10.5, 2.0, None, None, None)
    extras: Columns = {"sequence": [7], "exchange": ["T"], "conditions": ["@ I"]}
    full = next(ReplayFeed.ticks(write_csv({**columns, **extras})).events())
    assert isinstance(full, Tick)
    assert (full.sequence, full.exchange, full.conditions) == (7, "T", "@ I")


@pytest.mark.parametrize(
    ("at_s", "times_s"),
    [
        ([0, 30, 61, 62, 63], [2, 62, 122]),
        ([0, 61, 500], [2, 62, 122, 542]),
        ([59.5], [62]),
        ([61.5], [62, 122]),
        ([0, 3600], [2, 62, 3602, 3662]),
    ],
)
def test_time_advances_when_minutes_become_final(write_csv: Write, at_s: list[float], times_s: list[float]) -> None:
    number = len(at_s)
    stamps = [
        f"2025-01-02T{14 + (1800 + s) // 3600:02.0f}:{(1800 + s) % 3600 // 60:02.0f}:{s % 60:04.1f}Z" for s in at_s
    ]
    columns: Columns = {"symbol": ["A"] * number, "ts": stamps, "price": [10.0] * number, "size": [1] * number}
    events = list(ReplayFeed.ticks(write_csv(columns)).events())
    times = [event.received_ts_ns for event in events if isinstance(event, TimeAdvanced)]
    assert [(ts_ns - START) / SECOND_NS for ts_ns in times] == times_s
    received = [event.received_ts_ns for event in events]
    assert received == sorted(received)
    builder = BarBuilder(InstrumentId(1), load_sessions("XNYS"))
    closed = []
    for event in events:
        bars = builder.on_tick(event) if isinstance(event, Tick) else builder.on_time(event.received_ts_ns)
        closed += [(bar.start_ts_ns + MINUTE_NS + GRACE_NS, event.received_ts_ns) for bar in bars or ()]
    assert len(closed) == len({int(s // 60) for s in at_s})
    assert all(final == received for final, received in closed)


def test_quotes_alone_are_replayed(write_csv: Write) -> None:
    columns: Columns = {
        "symbol": ["A"],
        "ts": ["2025-01-02T14:30:01Z"],
        "bid": [1],
        "ask": [2],
        "bid_size": [3],
        "ask_size": [4],
    }
    quote = next(ReplayFeed.quotes(write_csv(columns)).events())
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (1.0, 2.0, 3.0, 4.0)
