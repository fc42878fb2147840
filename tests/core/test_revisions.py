"""Finished minutes are revised by what comes late; what comes twice, or not at all, is told by its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.core.bars import BarBuilder, PrintSource, TapeRules, trade_filter
from engine.core.messages import Bar, GapMarked, Quote, Tick, TickCanceled, TickCorrected
from engine.core.values import MINUTE_NS, SECOND_NS, InstrumentId, SessionKind
from engine.testing.scenario import OPEN_TS_NS, TWO_SESSIONS

ONE = InstrumentId(1)
SESSION = TWO_SESSIONS.session_from(OPEN_TS_NS)
CLOSE_TS_NS = SESSION.close_ts_ns
LAST_MINUTE = CLOSE_TS_NS - MINUTE_NS
REGULAR, VOLUME_ONLY, OPENING, CLOSING = 0x1, 0x20, 0x40, 0x80
LEAN = TapeRules(filter=trade_filter("lean"), listing_exchanges={ONE: "N"})
KEPT = TapeRules(keeps_prints=True)


def builder(rules: TapeRules = LEAN, *, prints_from: PrintSource = PrintSource.TICKS) -> BarBuilder:
    return BarBuilder(ONE, TWO_SESSIONS, rules=rules, prints_from=prints_from)


def tick(ts_ns: int, price: float, size: float = 1.0, *, at: int | None = None, **more: Any) -> Tick:
    received = ts_ns if at is None else at
    more.setdefault("conditions", REGULAR)
    return Tick(venue_ts_ns=ts_ns, received_ts_ns=received, instrument_id=ONE, price=price, size=size, **more)


def bars_of(made: Sequence[Bar] | None) -> list[Bar]:
    return list(made or ())


def ohlcv(bar: Bar) -> tuple[float, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


def test_the_closing_auction_closes_the_last_minute_whenever_it_comes() -> None:
    bars = builder()
    bars.on_tick(tick(LAST_MINUTE + SECOND_NS, 10.0))
    bars.on_tick(tick(LAST_MINUTE + 2 * SECOND_NS, 10.2))
    (first,) = bars_of(bars.on_time(CLOSE_TS_NS + 2 * SECOND_NS))
    late = tick(CLOSE_TS_NS + 40 * SECOND_NS, 9.9, 500.0, conditions=CLOSING, exchange="N")
    (second,) = bars_of(bars.on_tick(late))
    assert (first.revision, ohlcv(first)) == (0, (10.0, 10.2, 10.0, 10.2, 2.0))
    assert (second.revision, ohlcv(second)) == (1, (10.0, 10.2, 9.9, 9.9, 502.0))
    assert (second.start_ts_ns, second.session_kind) == (LAST_MINUTE, SessionKind.REGULAR)
    assert second.vwap == (10.0 + 10.2 + 9.9 * 500.0) / 502.0
    assert bars.refused == {}


def test_an_auction_in_the_grace_is_in_the_first_revision() -> None:
    bars = builder()
    bars.on_tick(tick(LAST_MINUTE + SECOND_NS, 10.0))
    assert bars.on_tick(tick(CLOSE_TS_NS + SECOND_NS, 9.9, 500.0, conditions=CLOSING, exchange="N")) is None
    (only,) = bars_of(bars.on_time(CLOSE_TS_NS + 2 * SECOND_NS))
    assert (only.revision, ohlcv(only)) == (0, (10.0, 10.0, 9.9, 9.9, 501.0))


def test_the_opening_auction_opens_its_minute_after_other_prints() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    bars.on_tick(tick(OPEN_TS_NS + 16 * SECOND_NS, 9.5, 100.0, conditions=OPENING, exchange="N"))
    bars.on_tick(tick(OPEN_TS_NS + 20 * SECOND_NS, 10.1))
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert ohlcv(bar) == (9.5, 10.1, 9.5, 10.1, 102.0)


def test_auctions_elsewhere_and_at_other_times_change_no_price() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    bars.on_tick(tick(OPEN_TS_NS + 2 * SECOND_NS, 5.0, conditions=OPENING, exchange="Q"))
    made = bars_of(bars.on_tick(tick(OPEN_TS_NS + 70 * SECOND_NS, 5.0, conditions=OPENING, exchange="N")))
    made += bars_of(bars.on_tick(tick(OPEN_TS_NS + 71 * SECOND_NS, 5.0, conditions=CLOSING, exchange="N")))
    made += bars_of(bars.on_time(OPEN_TS_NS + 5 * MINUTE_NS))
    assert [ohlcv(bar) for bar in made] == [(10.0, 10.0, 10.0, 10.0, 1.0)]


def test_an_auction_alone_is_a_whole_bar() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 9.5, 100.0, conditions=OPENING, exchange="N"))
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert ohlcv(bar) == (9.5, 9.5, 9.5, 9.5, 100.0)


def test_a_late_print_takes_its_place_by_its_time() -> None:
    bars = builder()
    for second, price in ((10, 10.0), (20, 10.2)):
        bars.on_tick(tick(OPEN_TS_NS + second * SECOND_NS, price))
    assert len(bars_of(bars.on_time(OPEN_TS_NS + 62 * SECOND_NS))) == 1
    at = OPEN_TS_NS + 70 * SECOND_NS
    revised = [
        bars_of(bars.on_tick(tick(OPEN_TS_NS + second * SECOND_NS, price, at=at)))[0]
        for second, price in ((15, 11.0), (5, 9.0), (30, 10.5))
    ]
    assert [bar.revision for bar in revised] == [1, 2, 3]
    assert ohlcv(revised[0]) == (10.0, 11.0, 10.0, 10.2, 3.0)
    assert ohlcv(revised[1]) == (9.0, 11.0, 9.0, 10.2, 4.0)
    assert ohlcv(revised[2]) == (9.0, 11.0, 9.0, 10.5, 5.0)


def test_a_late_print_of_an_empty_minute_makes_its_bar_as_a_revision() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    bars.on_tick(tick(OPEN_TS_NS + 150 * SECOND_NS, 10.1))
    (late,) = bars_of(bars.on_tick(tick(OPEN_TS_NS + 65 * SECOND_NS, 10.4, at=OPEN_TS_NS + 151 * SECOND_NS)))
    assert (late.start_ts_ns, late.revision) == (OPEN_TS_NS + MINUTE_NS, 1)
    assert ohlcv(late) == (10.4, 10.4, 10.4, 10.4, 1.0)


def test_a_minute_without_a_price_gives_its_volume_to_the_bar_before() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    bars.on_tick(tick(OPEN_TS_NS + 65 * SECOND_NS, 99.0, 7.0, conditions=VOLUME_ONLY))
    (revised,) = bars_of(bars.on_time(OPEN_TS_NS + 3 * MINUTE_NS))
    assert (revised.start_ts_ns, revised.revision) == (OPEN_TS_NS, 1)
    assert ohlcv(revised) == (10.0, 10.0, 10.0, 10.0, 8.0)
    assert revised.tick_count == 2


def test_volume_before_the_first_bar_waits_for_it() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 99.0, 7.0, conditions=VOLUME_ONLY))
    assert bars.on_time(OPEN_TS_NS + 63 * SECOND_NS) is None
    bars.on_tick(tick(OPEN_TS_NS + 65 * SECOND_NS, 10.0))
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 3 * MINUTE_NS))
    assert (bar.revision, ohlcv(bar)) == (0, (10.0, 10.0, 10.0, 10.0, 8.0))


def test_a_print_of_yesterday_is_too_late_for_a_revision() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    tomorrow = TWO_SESSIONS.session_from(CLOSE_TS_NS).open_ts_ns
    bars.on_tick(tick(tomorrow + SECOND_NS, 11.0))
    bars.on_time(tomorrow + 2 * MINUTE_NS)
    assert bars.on_tick(tick(OPEN_TS_NS + 2 * SECOND_NS, 10.0, at=tomorrow + 2 * MINUTE_NS)) is None
    assert bars.refused == {"late": 1}


def test_unknown_conditions_are_refused_and_counted() -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0, conditions="@"))
    assert bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS) is None
    assert bars.take_refusals() == {"condition": 1}


@pytest.mark.parametrize(("price", "size", "reason"), [(0.0, 1.0, "price"), (10.0, 0.0, "size")])
def test_a_late_print_that_is_none_is_refused_for_what_it_is(price: float, size: float, reason: str) -> None:
    bars = builder()
    bars.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS)
    assert bars.on_tick(tick(OPEN_TS_NS + 2 * SECOND_NS, price, size, at=OPEN_TS_NS + 2 * MINUTE_NS)) is None
    assert bars.refused == {reason: 1}


# --- sequences ---------------------------------------------------------------------------------------------------


def numbered(bars: BarBuilder, *numbers: int) -> list[Any]:
    made: list[Any] = []
    for place, number in enumerate(numbers):
        made += bars.on_tick(tick(OPEN_TS_NS + place * SECOND_NS, 10.0, sequence=number)) or ()
        made += bars.take_gaps()
    return made


def test_equal_prints_count_twice_and_equal_sequences_once() -> None:
    bars = builder(TapeRules())
    assert numbered(bars, 7, 8, 8, 9) == []
    for second in (10, 10):
        bars.on_tick(tick(OPEN_TS_NS + second * SECOND_NS, 10.0))
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert (bar.volume, bar.tick_count) == (5.0, 5)
    assert bars.refused == {"duplicate": 1}


def test_missing_numbers_are_a_gap_and_their_minute_is_incomplete() -> None:
    bars = builder(TapeRules())
    (gap,) = numbered(bars, 7, 11)
    assert gap == GapMarked(
        instrument_id=ONE,
        from_ts_ns=OPEN_TS_NS,
        until_ts_ns=OPEN_TS_NS + SECOND_NS,
        reason="sequences 8 to 10 are missing before the print 11",
    )
    # A lost one that comes after all counts once.
    assert numbered(bars, 9, 9) == []
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert (bar.complete, bar.tick_count) == (False, 3)
    assert bars.refused == {"duplicate": 1}


def lost_over_a_minute(rules: TapeRules) -> list[Bar]:
    """Return the bars of prints 1, 2 and 5, where 3 and 4 were lost from the first minute to the third."""
    bars = builder(rules)
    made: list[Bar] = []
    for number, seconds in ((1, 5), (2, 30), (5, 130), (6, 200)):
        made.extend(bars_of(bars.on_tick(tick(OPEN_TS_NS + seconds * SECOND_NS, 10.0, sequence=number))))
    return made


def test_a_final_minute_in_which_prints_were_lost_is_revised() -> None:
    first, again, third = lost_over_a_minute(KEPT)
    assert (first.revision, first.complete) == (0, True)
    assert (again.start_ts_ns, again.revision, again.complete) == (first.start_ts_ns, 1, False)
    assert ohlcv(again) == ohlcv(first)
    assert (third.revision, third.complete) == (0, False)


def test_a_final_minute_that_is_not_revised_stays_as_it_was_seen() -> None:
    first, third = lost_over_a_minute(TapeRules())
    assert (first.revision, first.complete, third.complete) == (0, True, False)


def test_the_numbers_of_a_line_of_many_symbols_are_distinct_and_no_more() -> None:
    bars = builder()
    assert numbered(bars, 7, 1_000, 900, 1_000, 900) == []
    assert bars.refused == {"duplicate": 2}


def test_a_tape_with_numbers_is_followed_from_its_first_print_on() -> None:
    bars = builder(TapeRules())
    quote = Quote(
        venue_ts_ns=OPEN_TS_NS,
        received_ts_ns=OPEN_TS_NS,
        instrument_id=ONE,
        bid=9.0,
        ask=11.0,
        bid_size=1.0,
        ask_size=1.0,
    )
    bars.on_quote(quote)
    numbered(bars, 1, 2, 2)
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert (bar.tick_count, bar.quote_count) == (2, 1)
    assert bars.refused == {"duplicate": 1}


# --- corrections and cancels -------------------------------------------------------------------------------------


def corrected(sequence: int, price: float, size: float, *, at: int, **old: float) -> TickCorrected:
    return TickCorrected(
        venue_ts_ns=at, received_ts_ns=at, instrument_id=ONE, sequence=sequence, price=price, size=size, **old
    )


def canceled(sequence: int, *, at: int, **old: float) -> TickCanceled:
    return TickCanceled(venue_ts_ns=at, received_ts_ns=at, instrument_id=ONE, sequence=sequence, **old)


def three_prints(rules: TapeRules = KEPT) -> BarBuilder:
    bars = builder(rules)
    for number, price in enumerate((10.0, 12.0, 9.0), start=1):
        bars.on_tick(tick(OPEN_TS_NS + number * SECOND_NS, price, sequence=number))
    return bars


def test_a_correction_in_the_open_minute_needs_no_revision() -> None:
    bars = three_prints()
    assert bars.on_correction(corrected(2, 11.0, 5.0, at=OPEN_TS_NS + 10 * SECOND_NS, old_price=12.0)) is None
    (bar,) = bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))
    assert (bar.revision, ohlcv(bar)) == (0, (10.0, 11.0, 9.0, 9.0, 7.0))


def test_corrections_and_cancels_of_a_final_minute_revise_it() -> None:
    bars = three_prints()
    assert len(bars_of(bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS))) == 1
    at = OPEN_TS_NS + 2 * MINUTE_NS
    (first,) = bars_of(bars.on_correction(corrected(1, 10.5, 2.0, at=at)))
    (second,) = bars_of(bars.on_correction(canceled(3, at=at, old_price=9.0, old_size=1.0)))
    assert (first.revision, ohlcv(first)) == (1, (10.5, 12.0, 9.0, 9.0, 4.0))
    assert (second.revision, ohlcv(second)) == (2, (10.5, 12.0, 10.5, 12.0, 3.0))
    assert second.vwap == (10.5 * 2.0 + 12.0) / 3.0


def test_a_minute_whose_prints_were_all_canceled_is_withdrawn() -> None:
    bars = three_prints()
    bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS)
    made = [bars_of(bars.on_correction(canceled(number, at=OPEN_TS_NS + 2 * MINUTE_NS)))[0] for number in (1, 2, 3)]
    assert ohlcv(made[-1]) == (9.0, 9.0, 9.0, 9.0, 0.0)
    assert (made[-1].tick_count, made[-1].revision, made[-1].vwap) == (0, 3, 9.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (canceled(4, at=OPEN_TS_NS + MINUTE_NS), "unknown"),
        (canceled(2, at=OPEN_TS_NS + MINUTE_NS, old_price=12.5), "unknown"),
        (corrected(2, 12.5, 1.0, at=OPEN_TS_NS + MINUTE_NS, old_size=9.0), "unknown"),
        (corrected(2, float("nan"), 1.0, at=OPEN_TS_NS + MINUTE_NS), "price"),
        (corrected(2, 12.5, 0.0, at=OPEN_TS_NS + MINUTE_NS), "size"),
    ],
)
def test_changes_of_prints_that_are_not_there_are_refused(change: TickCorrected | TickCanceled, reason: str) -> None:
    bars = three_prints()
    assert bars.on_correction(change) is None
    assert bars.refused == {reason: 1}


def test_a_print_is_canceled_once() -> None:
    bars = three_prints()
    for _ in range(2):
        bars.on_correction(canceled(2, at=OPEN_TS_NS + MINUTE_NS))
    assert bars.refused == {"unknown": 1}


def test_a_tape_that_keeps_nothing_refuses_changes() -> None:
    bars = three_prints(TapeRules())
    bars.on_correction(canceled(2, at=OPEN_TS_NS + MINUTE_NS))
    assert bars.refused == {"unknown": 1}


# --- quotes of one side ------------------------------------------------------------------------------------------


def side(ts_ns: int, bid: float, ask: float) -> Quote:
    return Quote(
        venue_ts_ns=ts_ns, received_ts_ns=ts_ns, instrument_id=ONE, bid=bid, ask=ask, bid_size=1.0, ask_size=1.0
    )


def test_sides_open_where_they_stood_and_may_cross_on_their_way() -> None:
    bars = builder(prints_from=PrintSource.QUOTES)
    made: list[Bar] = []
    for second, bid, ask in ((0, 0.0, 10.2), (1, 10.0, 10.2), (61, 10.4, 10.2), (62, 10.4, 10.6)):
        made += bars_of(bars.on_quote(side(OPEN_TS_NS + second * SECOND_NS, bid, ask)))
    made += bars_of(bars.on_time(OPEN_TS_NS + 3 * MINUTE_NS))
    quotes = [bar.quotes for bar in made if bar.quotes is not None]
    assert [(each.bid_open, each.bid_high, each.bid_close) for each in quotes] == [
        (10.0, 10.0, 10.0),
        (10.0, 10.4, 10.4),
    ]
    assert [(each.ask_open, each.ask_low, each.ask_close) for each in quotes] == [
        (10.2, 10.2, 10.2),
        (10.2, 10.2, 10.6),
    ]
    assert [(bar.open, bar.high, bar.close) for bar in made] == [(10.1, 10.1, 10.1), (10.1, 10.5, 10.5)]
    assert bars.refused == {}


def test_a_minute_of_one_side_only_makes_no_bar() -> None:
    bars = builder(prints_from=PrintSource.QUOTES)
    bars.on_quote(side(OPEN_TS_NS, 0.0, 10.2))
    assert bars.on_time(OPEN_TS_NS + 2 * MINUTE_NS) is None
    bars.on_quote(side(OPEN_TS_NS + 3 * MINUTE_NS, 0.0, 0.0))
    assert bars.refused == {"price": 1}


# --- after a restart ---------------------------------------------------------------------------------------------


def test_a_restarted_builder_revises_the_bars_of_the_journal() -> None:
    before = builder()
    before.on_tick(tick(LAST_MINUTE + SECOND_NS, 10.0))
    (journaled,) = bars_of(before.on_time(CLOSE_TS_NS + 2 * SECOND_NS))
    after = builder()
    after.start_from(CLOSE_TS_NS, bars=[journaled])
    auction = tick(CLOSE_TS_NS + 40 * SECOND_NS, 9.9, 500.0, conditions=CLOSING, exchange="N")
    (expected,) = bars_of(before.on_tick(auction))
    # What came in the grace is sent again, and is in the bar already.
    assert after.on_tick(tick(LAST_MINUTE + 59 * SECOND_NS, 10.0, at=CLOSE_TS_NS + SECOND_NS)) is None
    (revised,) = bars_of(after.on_tick(auction))
    assert revised == expected


def test_a_restarted_builder_does_not_repeat_a_revision() -> None:
    before = builder()
    before.on_tick(tick(OPEN_TS_NS + SECOND_NS, 10.0))
    moved = tick(OPEN_TS_NS + 65 * SECOND_NS, 99.0, 7.0, conditions=VOLUME_ONLY)
    before.on_tick(moved)
    at = OPEN_TS_NS + 122 * SECOND_NS
    (revised,) = bars_of(before.on_time(at))
    after = builder()
    after.start_from(OPEN_TS_NS + MINUTE_NS, bars=[revised], revised_ts_ns=at)
    assert after.on_tick(moved) is None
    after.on_tick(tick(OPEN_TS_NS + 130 * SECOND_NS, 10.3))
    (following,) = bars_of(after.on_time(OPEN_TS_NS + 10 * MINUTE_NS))
    assert (following.start_ts_ns, following.volume) == (OPEN_TS_NS + 2 * MINUTE_NS, 1.0)
