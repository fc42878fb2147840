"""The bar builder: what it takes, what it refuses, when a minute is final."""

from __future__ import annotations

from math import inf, nan

import pytest

from engine.core.bars import GRACE_NS, BarBuilder, PrintSource, Refusal
from engine.core.errors import BadInput
from engine.core.messages import Bar, FeedInterrupted, Quote, QuoteBar, Tick
from engine.core.values import (
    DAY_NS,
    MINUTE_NS,
    SECOND_NS,
    AlwaysOpen,
    InstrumentId,
    SessionKind,
    Sessions,
    SessionTable,
)

ONE = InstrumentId(1)
START = 1_735_828_200 * SECOND_NS  # 2025-01-02 14:30 UTC
END = 2**61

#: A full session and a half day, as an exchange has them.
TWO_DAYS = SessionTable(
    "TEST",
    dates=("2025-01-02", "2025-01-03", "2025-01-06"),
    opens=(START, START + DAY_NS, START + 4 * DAY_NS),
    closes=(START + 390 * MINUTE_NS, START + DAY_NS + 210 * MINUTE_NS, START + 4 * DAY_NS + 390 * MINUTE_NS),
)


def tick(at_s: float, price: float = 10.0, size: float = 1.0, *, received_s: float | None = None) -> Tick:
    received = at_s if received_s is None else received_s
    return Tick(
        venue_ts_ns=START + int(at_s * SECOND_NS),
        received_ts_ns=START + int(received * SECOND_NS),
        instrument_id=ONE,
        price=price,
        size=size,
    )


def quote(at_s: float, bid: float, ask: float, *, sizes: tuple[float, float] = (1.0, 1.0)) -> Quote:
    ts_ns = START + int(at_s * SECOND_NS)
    return Quote(
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
        instrument_id=ONE,
        bid=bid,
        ask=ask,
        bid_size=sizes[0],
        ask_size=sizes[1],
    )


def builder(sessions: Sessions | None = None, *, prints_from: PrintSource = PrintSource.TICKS) -> BarBuilder:
    return BarBuilder(ONE, sessions or AlwaysOpen(), prints_from=prints_from)


def only(bars: object) -> Bar:
    assert isinstance(bars, list)
    assert len(bars) == 1
    bar = bars[0]
    assert isinstance(bar, Bar)
    return bar


def test_a_minute_of_ticks_becomes_a_bar_when_its_grace_is_over() -> None:
    bars = builder()
    for entry in (tick(0, 10.0, 1.0), tick(20, 12.0, 2.0), tick(40, 9.0, 3.0), tick(59.9, 11.0, 4.0)):
        assert bars.on_tick(entry) is None
    assert bars.on_time(START + MINUTE_NS + GRACE_NS - 1) is None
    bar = only(bars.on_time(START + MINUTE_NS + GRACE_NS))
    assert bar == Bar(
        instrument_id=ONE,
        start_ts_ns=START,
        open=10.0,
        high=12.0,
        low=9.0,
        close=11.0,
        volume=10.0,
        vwap=(10.0 + 24.0 + 27.0 + 44.0) / 10.0,
        tick_count=4,
        quote_count=0,
    )
    assert bars.on_time(END) is None


def test_the_next_tick_closes_a_minute_and_belongs_to_its_own() -> None:
    bars = builder()
    bars.on_tick(tick(30, 10.0))
    assert bars.on_tick(tick(61, 20.0)) is None
    assert only(bars.on_tick(tick(62, 21.0))).close == 10.0
    assert only(bars.on_time(END)).open == 20.0


def test_late_ticks_inside_the_grace_go_to_their_own_minute_by_venue_time() -> None:
    bars = builder()
    bars.on_tick(tick(30, 10.0))
    bars.on_tick(tick(60.5, 20.0))
    assert bars.on_tick(tick(59, 12.0, received_s=61)) is None
    assert bars.on_tick(tick(1, 8.0, received_s=61.5)) is None
    first = only(bars.on_time(START + 62 * SECOND_NS))
    assert (first.open, first.high, first.low, first.close, first.tick_count) == (8.0, 12.0, 8.0, 12.0, 3)
    assert only(bars.on_time(END)).tick_count == 1
    assert bars.refused == {}


def test_of_ticks_at_one_moment_the_first_opens_and_the_last_closes() -> None:
    bars = builder()
    for price in (10.0, 11.0, 9.0):
        bars.on_tick(tick(5, price))
    bars.on_tick(tick(5, 9.5, received_s=6))
    bar = only(bars.on_time(END))
    assert (bar.open, bar.close) == (10.0, 9.5)


def test_a_tick_for_a_final_minute_is_refused_as_late() -> None:
    bars = builder()
    bars.on_tick(tick(30))
    assert only(bars.on_tick(tick(59, 99.0, received_s=62))).high == 10.0
    # The minute before had no print at all; it is final all the same.
    bars.on_tick(tick(-10, received_s=63))
    assert bars.refused == {"late": 2}
    assert bars.on_time(END) is None


def test_a_tick_whose_minute_is_far_ahead_is_refused_as_early() -> None:
    bars = builder()
    bars.on_tick(tick(119, received_s=0))
    bars.on_tick(tick(120, received_s=0))
    assert bars.refused == {"early": 1}
    assert only(bars.on_time(END)).tick_count == 1


@pytest.mark.parametrize("price", [0.0, -1.0, nan, inf, -inf, 1e12])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    bars = builder()
    bars.on_tick(tick(1, price))
    bars.on_tick(tick(2, 10.0))
    bars.on_tick(tick(3, price))
    assert bars.refused == {Refusal.PRICE: 2}
    bar = only(bars.on_time(END))
    assert (bar.tick_count, bar.high, bar.low, bar.volume) == (1, 10.0, 10.0, 1.0)


@pytest.mark.parametrize("size", [0.0, -1.0, nan, inf, 1e18])
def test_a_size_that_is_none_is_refused(size: float) -> None:
    bars = builder()
    bars.on_tick(tick(2, 10.0))
    bars.on_tick(tick(3, 11.0, size))
    assert bars.refused == {Refusal.SIZE: 1}
    assert only(bars.on_time(END)).high == 10.0


@pytest.mark.parametrize(
    ("bid", "ask", "sizes", "reason"),
    [
        (10.01, 10.0, (1.0, 1.0), Refusal.CROSSED),
        (0.0, 10.0, (1.0, 1.0), Refusal.PRICE),
        (-1.0, 10.0, (1.0, 1.0), Refusal.PRICE),
        (nan, 10.0, (1.0, 1.0), Refusal.PRICE),
        (10.0, nan, (1.0, 1.0), Refusal.PRICE),
        (10.0, inf, (1.0, 1.0), Refusal.PRICE),
        (10.0, 10.1, (-1.0, 1.0), Refusal.SIZE),
        (10.0, 10.1, (1.0, nan), Refusal.SIZE),
    ],
)
def test_a_quote_that_is_none_is_refused(bid: float, ask: float, sizes: tuple[float, float], reason: Refusal) -> None:
    bars = builder(prints_from=PrintSource.QUOTES)
    bars.on_quote(quote(1, bid, ask, sizes=sizes))
    bars.on_quote(quote(2, 10.0, 10.0, sizes=(0.0, 0.0)))
    bars.on_quote(quote(3, bid, ask, sizes=sizes))
    assert bars.refused == {reason: 2}
    assert only(bars.on_time(END)).quote_count == 1


def test_refusals_are_handed_over_once_and_totalled() -> None:
    bars = builder()
    bars.on_tick(tick(1, nan))
    assert bars.take_refusals() == {"price": 1}
    assert bars.take_refusals() == {}
    bars.on_tick(tick(2, nan))
    assert bars.take_refusals() == {"price": 1}
    assert bars.refused == {"price": 2}


def test_quotes_stand_beside_the_prices_of_ticks() -> None:
    bars = builder()
    bars.on_quote(quote(1, 9.0, 11.0))
    bars.on_tick(tick(2, 10.0))
    bars.on_quote(quote(3, 8.0, 12.0))
    bars.on_quote(quote(4, 9.5, 10.5))
    bar = only(bars.on_time(END))
    assert (bar.open, bar.close, bar.volume, bar.tick_count, bar.quote_count) == (10.0, 10.0, 1.0, 1, 3)
    assert bar.quotes == QuoteBar(
        bid_open=9.0,
        bid_high=9.5,
        bid_low=8.0,
        bid_close=9.5,
        ask_open=11.0,
        ask_high=12.0,
        ask_low=10.5,
        ask_close=10.5,
    )


def test_quotes_alone_make_no_bar_where_ticks_make_the_prices() -> None:
    bars = builder()
    bars.on_quote(quote(1, 9.0, 11.0))
    assert bars.on_time(END) is None
    assert bars.refused == {}


def test_bars_of_quotes_are_made_of_the_middle() -> None:
    bars = builder(prints_from=PrintSource.QUOTES)
    for at_s, bid, ask in ((1, 9.0, 11.0), (2, 10.0, 14.0), (3, 8.0, 9.0), (4, 9.0, 10.0)):
        bars.on_quote(quote(at_s, bid, ask))
    bars.on_tick(tick(5))
    bar = only(bars.on_time(END))
    assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 12.0, 8.5, 9.5)
    assert (bar.volume, bar.vwap, bar.tick_count, bar.quote_count) == (0.0, 9.5, 0, 4)
    assert bar.quotes is not None
    assert (bar.quotes.bid_high, bar.quotes.ask_low) == (10.0, 9.0)
    assert bars.refused == {Refusal.UNEXPECTED: 1}


def test_a_bar_carries_the_session_kind_of_its_start_on_full_and_half_days() -> None:
    bars = builder(TWO_DAYS)
    half_close = DAY_NS // SECOND_NS + 210 * 60
    moments = [-60, 0, 389 * 60, 390 * 60, half_close - 60, half_close, half_close + 60]
    kinds = []
    for at_s in moments:
        bars.on_tick(tick(at_s))
        kinds.append(only(bars.on_time(START + (at_s + 120) * SECOND_NS)).session_kind)
    regular, extended = SessionKind.REGULAR, SessionKind.EXTENDED
    assert kinds == [extended, regular, regular, extended, regular, extended, extended]


def test_a_moment_outside_the_calendar_is_bad_input() -> None:
    bars = builder(TWO_DAYS)
    with pytest.raises(BadInput, match="outside the calendar TEST"):
        bars.on_tick(tick(30 * 86_400))


def test_a_lost_interval_marks_the_minutes_that_it_touches() -> None:
    bars = builder()
    bars.on_tick(tick(10))
    bars.on_interrupted(
        FeedInterrupted(
            venue_ts_ns=START + 130 * SECOND_NS,
            received_ts_ns=START + 130 * SECOND_NS,
            instrument_id=ONE,
            from_ts_ns=START + 60 * SECOND_NS,
            until_ts_ns=START + 121 * SECOND_NS,
            reason="socket closed",
        )
    )
    seen = list(bars.on_time(START + 130 * SECOND_NS) or ())
    for at_s in (130, 190):
        seen += bars.on_tick(tick(at_s)) or ()
    seen += bars.on_time(END) or ()
    assert [(bar.start_ts_ns - START) // MINUTE_NS for bar in seen] == [0, 2, 3]
    assert [bar.complete for bar in seen] == [True, False, True]


def test_minutes_that_were_journaled_before_are_passed_over_without_a_count() -> None:
    bars = builder()
    bars.start_from(START + MINUTE_NS)
    bars.on_tick(tick(10))
    bars.on_tick(tick(20, nan))
    bars.on_tick(tick(60, 20.0))
    assert only(bars.on_time(END)).open == 20.0
    assert bars.refused == {}
