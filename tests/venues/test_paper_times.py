"""When the paper venue's orders end and its commands take effect: sessions and latency."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from engine.core.messages import (
    AccountListed,
    BarClosed,
    ListedStatus,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    VenueReport,
)
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen, Side, instrument_from_symbol
from engine.ports import SimulatedVenue
from engine.testing.venue_contract import (
    SESSIONS,
    SPY,
    VenueDriver,
    bar,
    cancel,
    extended_bar,
    minute,
    order,
    query,
    quote,
    tick,
)
from engine.venues.paper import PaperSettings, PaperVenue

BUY = Side.BUY
CLOSE = minute(390)
NEXT_OPEN = SESSIONS[1].open_ts_ns
FLAT = (100.0, 100.0, 100.0, 100.0)


def driver_of(*, submit_latency_ns: int = 0, cancel_latency_ns: int = 0) -> VenueDriver:
    settings = PaperSettings(
        opening_cash=Decimal(100_000), submit_latency_ns=submit_latency_ns, cancel_latency_ns=cancel_latency_ns
    )
    return VenueDriver(PaperVenue({SPY.instrument_id: SPY}, {SPY.instrument_id: SESSIONS}, settings))


def reports_of(venue: SimulatedVenue) -> list[VenueReport]:
    return [report for report in venue.drain() if not isinstance(report, AccountListed)]


def names(reports: Sequence[VenueReport]) -> list[str]:
    return [f"{type(report).__name__} {report.client_order_id}" for report in reports]


def reasons(reports: Sequence[VenueReport]) -> list[str]:
    return [getattr(report, "reason", "") for report in reports]


def fills(reports: Sequence[VenueReport]) -> list[tuple[str, str]]:
    return [(r.client_order_id, str(r.price)) for r in reports if isinstance(r, OrderFilled)]


# Sessions


@pytest.mark.parametrize(
    ("decided", "shown", "expected"),
    [
        pytest.param(minute(388), bar(minute(389), FLAT), "OrderFilled", id="same session"),
        pytest.param(minute(389) + 1, bar(NEXT_OPEN, FLAT), "OrderExpired", id="a later session's bar"),
        pytest.param(minute(389) + 1, extended_bar(CLOSE, FLAT), "OrderExpired", id="any bar after the close"),
        pytest.param(CLOSE, bar(NEXT_OPEN, FLAT), "OrderFilled", id="decided at the close: the next session"),
        pytest.param(CLOSE, bar(SESSIONS[2].open_ts_ns, FLAT), "OrderExpired", id="and not the one after"),
        pytest.param(minute(389) + 1, tick(NEXT_OPEN, 100.0), "OrderExpired", id="a later session's print"),
        pytest.param(minute(389) + 1, quote(NEXT_OPEN, 99.0, 100.0), "OrderExpired", id="a later session's quote"),
        pytest.param(
            SESSIONS[2].close_ts_ns - 1,
            bar(SESSIONS[2].close_ts_ns, FLAT),
            "OrderExpired",
            id="a half day closes early",
        ),
    ],
)
def test_an_order_for_the_day_ends_with_its_session(decided: int, shown: BarClosed, expected: str) -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 1, day=True, decided_ts_ns=decided))
    (report,) = driver.show(shown)
    assert names([report]) == [f"{expected} buy"]
    assert driver.show(bar(SESSIONS[3].open_ts_ns, FLAT)) == []


def test_an_order_until_canceled_rests_on() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 1, limit="90", decided_ts_ns=minute(389)))
    assert driver.show(bar(NEXT_OPEN, FLAT)) == []
    assert driver.venue.has_work(SPY.instrument_id)


def test_a_market_that_never_closes_ends_nothing() -> None:
    bitcoin = instrument_from_symbol("BTC-USD", 1)
    venue = PaperVenue(
        {bitcoin.instrument_id: bitcoin},
        {bitcoin.instrument_id: AlwaysOpen()},
        PaperSettings(opening_cash=Decimal(1000)),
    )
    driver = VenueDriver(venue)
    driver.send(order("buy", BUY, "0.5", day=True, limit="99", decided_ts_ns=minute(0)))
    assert driver.show(bar(minute(5_000), FLAT)) == []
    assert fills(driver.show(bar(minute(5_001), (98.0, 98.0, 98.0, 98.0)))) == [("buy", "98.0")]


def test_a_cancel_sent_after_the_close_finds_its_order_expired() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 1, day=True, limit="90", decided_ts_ns=minute(389)))
    sent = driver.send(cancel("buy", decided_ts_ns=CLOSE + MINUTE_NS))
    assert names(sent) == ["OrderExpired buy", "CancelRejected buy"]


def test_a_cancel_in_a_thin_market_is_answered_at_once() -> None:
    """The next bar may be a night away: the answer carries the time of the wish, not that of the bar."""
    driver = driver_of()
    driver.send(order("buy", BUY, 1, limit="90", decided_ts_ns=minute(386)))
    (canceled,) = driver.send(cancel("buy", decided_ts_ns=minute(386)))
    assert isinstance(canceled, OrderCanceled)
    assert canceled.received_ts_ns == minute(386)
    assert fills(driver.show(bar(NEXT_OPEN, (80.0,) * 4))) == []


# Latency


def test_a_command_takes_effect_after_its_latency() -> None:
    driver = driver_of(submit_latency_ns=SECOND_NS, cancel_latency_ns=2 * SECOND_NS)
    assert driver.send(order("buy", BUY, 10, limit="99", decided_ts_ns=minute(0))) == []
    assert driver.show(tick(minute(0) + SECOND_NS - 1, 90.0)) == []
    (acknowledged,) = driver.show(tick(minute(0) + SECOND_NS, 100.0))
    assert isinstance(acknowledged, OrderAcknowledged)
    assert (acknowledged.venue_ts_ns, acknowledged.received_ts_ns) == (minute(0) + SECOND_NS,) * 2
    now = minute(0) + SECOND_NS
    driver.send(cancel("buy", decided_ts_ns=now))
    assert driver.show(tick(now + SECOND_NS, 99.5)) == []
    assert names(driver.show(tick(now + 2 * SECOND_NS, 98.0))) == ["OrderCanceled buy"]


def test_a_fill_wins_over_a_cancel_that_is_on_its_way() -> None:
    driver = driver_of(cancel_latency_ns=10 * SECOND_NS)
    driver.send(order("buy", BUY, 10, limit="99", decided_ts_ns=minute(0)))
    driver.send(cancel("buy", decided_ts_ns=minute(0)))
    assert names(driver.show(bar(minute(0), (100.0, 100.0, 98.0, 98.0)))) == ["OrderFilled buy"]
    late = driver.show(bar(minute(1), FLAT))
    assert names(late) == ["CancelRejected buy"]
    assert reasons(late) == ["the order is gone"]


def test_commands_arrive_in_their_order_and_are_answered_at_their_own_time() -> None:
    driver = driver_of(submit_latency_ns=40, cancel_latency_ns=30)
    venue = driver.venue
    assert venue.is_delayed
    assert not driver_of().venue.is_delayed
    assert not venue.let_arrive(minute(9))
    driver.send(order("a", BUY, 10, limit="99", decided_ts_ns=minute(0)))
    driver.send(order("b", BUY, 10, limit="99", decided_ts_ns=minute(0) + 5))
    driver.send(cancel("a", decided_ts_ns=minute(0) + 12))
    assert not venue.let_arrive(minute(0) + 39)
    told = []
    while venue.let_arrive(minute(0) + 45):
        told += [
            (type(each).__name__, each.client_order_id, each.received_ts_ns - minute(0)) for each in reports_of(venue)
        ]
    assert told == [("OrderAcknowledged", "a", 40), ("OrderCanceled", "a", 42), ("OrderAcknowledged", "b", 45)]


def test_an_order_on_its_way_is_listed_so_that_nobody_takes_it_for_absent() -> None:
    driver = driver_of(submit_latency_ns=40)
    driver.send(order("a", BUY, 10, limit="99", decided_ts_ns=minute(0)))
    driver.venue.query_account(minute(0) + 1)
    driver.settle()
    (listed,) = driver.listings[0].orders
    assert (listed.client_order_id, listed.status, listed.venue_order_id) == ("a", ListedStatus.WORKING, "P1")
    assert listed.created_ts_ns == minute(0) + 1
    assert driver.reports == []


def test_inside_a_minute_an_order_arrives_after_the_open_and_a_canceled_one_misses_the_rest() -> None:
    driver = driver_of(submit_latency_ns=SECOND_NS, cancel_latency_ns=SECOND_NS)
    venue = driver.venue
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0) - SECOND_NS))
    low = bar(minute(0), (100.0, 100.0, 90.0, 90.0))
    venue.observe_open(low)
    assert names(reports_of(venue)) == ["OrderAcknowledged buy", "OrderFilled buy"]
    for name, stop in (("near", "95"), ("far", "91")):
        driver.send(order(name, Side.SELL, 5, stop=stop, decided_ts_ns=minute(0)))
    assert venue.let_arrive(minute(1) - 1)
    assert venue.let_arrive(minute(1) - 1)
    acknowledged = reports_of(venue)
    assert names(acknowledged) == ["OrderAcknowledged near", "OrderAcknowledged far"]
    assert {report.received_ts_ns for report in acknowledged} == {minute(0) + SECOND_NS}
    # The engine's clock may have gone on with another instrument; the answer belongs to what was answered.
    driver.send(cancel("near", decided_ts_ns=minute(1)))
    assert venue.let_arrive(minute(1) - 1)
    (canceled,) = reports_of(venue)
    assert (names([canceled]), canceled.venue_ts_ns) == (["OrderCanceled near"], minute(0) + 2 * SECOND_NS)
    venue.observe_open(low)
    venue.observe_rest(low)
    assert fills(reports_of(venue)) == [("far", "91")]


def test_a_market_order_with_latency_meets_the_next_bar() -> None:
    driver = driver_of(submit_latency_ns=200_000_000)
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(1)))
    assert names(driver.show(bar(minute(1), FLAT))) == ["OrderAcknowledged buy"]
    assert fills(driver.show(bar(minute(2), (101.0,) * 4))) == [("buy", "101.0")]


def test_a_cancel_that_overtakes_its_order_is_refused_and_may_be_sent_again() -> None:
    driver = driver_of(submit_latency_ns=3 * SECOND_NS)
    driver.send(order("buy", BUY, 10, limit="90", decided_ts_ns=minute(0)), cancel("buy", decided_ts_ns=minute(0)))
    assert reasons(driver.show(tick(minute(0), 100.0))) == ["the order has not arrived"]
    assert driver.send(query("buy", decided_ts_ns=minute(0))) == []
    assert names(driver.show(tick(minute(1), 100.0))) == ["OrderAcknowledged buy"]
    sent = driver.send(cancel("buy", decided_ts_ns=minute(1)), cancel("buy", decided_ts_ns=minute(1)))
    assert names(sent) == ["OrderCanceled buy", "CancelRejected buy"]
    assert driver.show(tick(minute(2), 80.0)) == []
