"""The synthetic feed: the same for ever, resumable, and shaped as a market day."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from engine.calendars import load_sessions
from engine.core.bars import BarBuilder
from engine.core.errors import BadInput
from engine.core.messages import Bar, BarClosed, FeedInterrupted, Quote, Tick, TimeAdvanced
from engine.core.values import MINUTE_NS, SECOND_NS
from engine.feeds.files import MarketKind
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import Outage, SyntheticFeed, SyntheticMode, synthetic_bars


def bars_of(feed: SyntheticFeed, symbol: str) -> list[Bar]:
    wanted = next(entry.instrument_id for entry in feed.instruments if entry.symbol == symbol)
    closed = (event.bar for event in feed.events() if isinstance(event, BarClosed))
    return [bar for bar in closed if bar.instrument_id == wanted]


def minutes_of(bars: Sequence[Bar], feed: SyntheticFeed, session: int) -> set[int]:
    start, close = feed.schedule[session].open_ts_ns, feed.schedule[session].close_ts_ns
    return {(bar.start_ts_ns - start) // MINUTE_NS for bar in bars if start <= bar.start_ts_ns < close}


@pytest.mark.parametrize("mode", list(SyntheticMode))
def test_a_seed_means_the_same_events(mode: SyntheticMode) -> None:
    first, second = SyntheticFeed(sessions=1, mode=mode), SyntheticFeed(sessions=1, mode=mode)
    assert list(first.events()) == list(second.events())
    assert first.fingerprint == second.fingerprint
    other = SyntheticFeed(seed=2, sessions=1, mode=mode)
    assert other.fingerprint != first.fingerprint
    assert next(other.events()) != next(first.events())


def test_the_data_of_a_seed_are_those_of_the_release() -> None:
    # A change here changes every first run: raise the version in the generator and say so in the changelog.
    assert (
        synthetic_bars(7, sessions=3).fingerprint()
        == "1666a188a53e6f1c7ee095becc7c9bbafec1dac482698eb9363a9cb4e77684b2"
    )


@pytest.mark.parametrize("mode", list(SyntheticMode))
def test_events_ascend_and_resume_at_any_moment(mode: SyntheticMode) -> None:
    feed = SyntheticFeed(mode=mode, gaps=[Outage(session=1, minute=30, minutes=2)])
    events = list(feed.events())
    received = [event.received_ts_ns for event in events]
    assert received == sorted(received)
    data = [event for event in events if not isinstance(event, TimeAdvanced)]
    for moment in (received[0] - 1, received[100], received[len(received) // 2], received[-300]):
        rest = [event for event in feed.events(moment) if not isinstance(event, TimeAdvanced)]
        assert rest == [event for event in data if event.received_ts_ns > moment]


def test_days_come_from_the_calendar() -> None:
    feed = SyntheticFeed(start_date="2025-07-02", sessions=3)
    assert [session.date for session in feed.schedule] == ["2025-07-02", "2025-07-03", "2025-07-07"]
    bars = bars_of(feed, "ALFA")
    assert [len(minutes_of(bars, feed, session)) for session in range(3)] == [390, 210, 390]
    assert {bar.session_kind for bar in bars} == {"regular"}
    assert [session.date for session in SyntheticFeed(sessions=None).schedule][-1] == "2030-12-31"


def test_bars_are_possible_bars_in_cents() -> None:
    table = synthetic_bars(3, sessions=20)
    columns = table.columns
    low, high = columns["low"], columns["high"]
    for name in ("open", "close", "vwap"):
        assert (columns[name] >= low).all(), name
        assert (columns[name] <= high).all(), name
    for name in ("open", "high", "low", "close"):
        assert (np.round(columns[name], 2) == columns[name]).all(), name
    assert columns["volume"].min() >= 1
    assert (columns["volume"] == np.rint(columns["volume"])).all()


def test_volume_and_volatility_are_high_at_the_ends_of_the_day() -> None:
    columns = synthetic_bars(sessions=20).columns
    volume = columns["volume"].reshape(20, 390).mean(axis=0)
    movement = (columns["high"] - columns["low"]).reshape(20, 390).mean(axis=0)
    for measure in (volume, movement):
        assert measure[:15].mean() > 1.5 * measure[150:240].mean()
        assert measure[-15:].mean() > 1.2 * measure[150:240].mean()


def test_a_year_of_bars_for_measurements() -> None:
    table = synthetic_bars()
    assert len(table) == 98_280
    assert table.kind is MarketKind.BARS
    assert 0.5 < table.columns["close"].min() / table.columns["close"].max() < 1
    assert ReplayFeed([table]).rows == 98_280


def test_ticks_trade_at_the_quote_before_them() -> None:
    feed = SyntheticFeed(sessions=1, mode=SyntheticMode.TICKS)
    quotes: dict[int, Quote] = {}
    builders = {
        instrument.instrument_id: BarBuilder(instrument.instrument_id, load_sessions("XNYS"))
        for instrument in feed.instruments
    }
    bars: list[Bar] = []
    for event in feed.events():
        if isinstance(event, Quote):
            assert 0 < event.bid < event.ask
            quotes[event.instrument_id] = event
            bars += builders[event.instrument_id].on_quote(event) or ()
        elif isinstance(event, Tick):
            at = quotes[event.instrument_id]
            assert at.bid - 0.2 <= event.price <= at.ask + 0.2
            bars += builders[event.instrument_id].on_tick(event) or ()
        else:
            for builder in builders.values():
                bars += builder.on_time(event.received_ts_ns) or ()
    assert len(bars) == 3 * 390
    assert all(builder.refused == {} for builder in builders.values())


def test_a_quote_that_stands_is_stated_again_and_nothing_is_stated_of_a_gap() -> None:
    gap = Outage(session=0, minute=200, minutes=3)
    feed = SyntheticFeed(sessions=1, symbols=("ALFA",), mode=SyntheticMode.TICKS, gaps=[gap])
    quotes = [event for event in feed.events() if isinstance(event, Quote)]
    times = [quote.received_ts_ns for quote in quotes]
    lost_from_ts_ns = feed.schedule[0].open_ts_ns + gap.minute * MINUTE_NS
    lost_until_ts_ns = lost_from_ts_ns + gap.minutes * MINUTE_NS
    assert not [ts_ns for ts_ns in times if lost_from_ts_ns <= ts_ns < lost_until_ts_ns]
    silences = {
        after - before
        for before, after in pairwise([*times, feed.schedule[0].close_ts_ns])
        if before < lost_from_ts_ns - 2 * SECOND_NS or before >= lost_until_ts_ns
    }
    assert max(silences) == 2 * SECOND_NS
    again = sum(
        (before.bid, before.ask, before.bid_size, before.ask_size)
        == (after.bid, after.ask, after.bid_size, after.ask_size)
        for before, after in pairwise(quotes)
    )
    assert again > len(quotes) // 3


def test_a_halt_is_silent_and_reopens_elsewhere() -> None:
    plain = SyntheticFeed()
    halted = SyntheticFeed(halts=[Outage(session=1, minute=60, minutes=10, symbol="BETA")])
    bars = bars_of(halted, "BETA")
    assert minutes_of(bars, halted, 1) == set(range(390)) - set(range(60, 70))
    assert bars_of(halted, "ALFA") == bars_of(plain, "ALFA")
    assert bars[: 390 + 60] == bars_of(plain, "BETA")[: 390 + 60]
    assert bars[390 + 60].open != bars_of(plain, "BETA")[390 + 70].open
    assert not any(isinstance(event, FeedInterrupted) for event in halted.events())


@pytest.mark.parametrize("mode", list(SyntheticMode))
def test_a_gap_is_reported_when_it_ends(mode: SyntheticMode) -> None:
    feed = SyntheticFeed(mode=mode, gaps=[Outage(session=0, minute=5, minutes=3)])
    start = feed.schedule[0].open_ts_ns
    reports = [event for event in feed.events() if isinstance(event, FeedInterrupted)]
    assert [event.instrument_id for event in reports] == [1, 2, 3]
    for event in reports:
        assert (event.from_ts_ns, event.until_ts_ns) == (start + 5 * MINUTE_NS, start + 8 * MINUTE_NS)
        assert event.received_ts_ns == event.until_ts_ns
    lost = [
        event
        for event in feed.events()
        if isinstance(event, Tick | Quote) and start + 5 * MINUTE_NS <= event.venue_ts_ns < start + 8 * MINUTE_NS
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("outage", "sentence"),
    [
        (Outage(session=2, minute=0, minutes=1), "names a session beyond the 2 of the feed"),
        (Outage(session=0, minute=389, minutes=2), "does not fit into the 390 minutes of its session"),
        (Outage(session=0, minute=0, minutes=1, symbol="X"), "names a symbol that the feed does not send"),
    ],
)
def test_outages_that_fit_nowhere_are_refused(outage: Outage, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        SyntheticFeed(halts=[outage])


def test_other_bad_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="The start date 'today' is no date: write it as 2025-01-02"):
        SyntheticFeed(start_date="today")
    with pytest.raises(BadInput, match="outside the calendar XNYS"):
        SyntheticFeed(start_date="1960-01-04")
    with pytest.raises(BadInput, match="The seed -1 is negative"):
        SyntheticFeed(seed=-1)
