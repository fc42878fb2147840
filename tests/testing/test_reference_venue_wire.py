"""What the wire between the engine and the reference venue loses, repeats, delays and makes of ids."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.messages import (
    AccountListed,
    CancelRejected,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OutcomeUnknown,
)
from engine.core.values import SECOND_NS
from engine.testing.reference_desk import Desk
from engine.testing.reference_temper import Dedupe, Fate, Outage, Status, VenueTemper
from engine.testing.scenario import OPEN_TS_NS, SPY

_STATUSES: list[Status] = [401, 429, 500, "html", "reset"]


def _send_twice(desk: Desk, *, apart_s: float = 3) -> None:
    # The second send carries the byte-identical payload, as a resend does.
    command = desk.submit("a", limit="90")
    desk.wait(apart_s)
    desk.deliveries.clear()
    desk.venue.send(command, desk.now_ts_ns)
    desk.wait()


def test_an_honest_order_is_acknowledged_and_filled() -> None:
    desk = Desk()
    desk.submit("a")
    desk.wait()
    assert len(desk.told(OrderAcknowledged, "a", channel="reply")) == 1
    (filled,) = desk.told(OrderFilled, "a")
    assert (filled.price, filled.quantity, filled.execution_id) == (Decimal(100), Decimal(10), "x1")
    assert desk.venue.cash == 99_000
    assert [each.is_accepted for each in desk.venue.requests] == [True]
    assert desk.venue.accepted_by_intent == {"a": 1}


def test_dedupe_original_tells_the_original_again() -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.ORIGINAL))
    _send_twice(desk)
    assert [each.venue_order_id for each in desk.told(OrderAcknowledged)] == ["v1"]
    assert list(desk.venue.orders) == ["v1"]
    assert [each.is_accepted for each in desk.venue.requests] == [True, False]


def test_dedupe_error_is_unknown_and_never_a_refusal() -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.ERROR))
    _send_twice(desk)
    assert [each.reason for each in desk.told(OutcomeUnknown)] == ["duplicate id"]
    assert not desk.told(OrderRejected)
    assert desk.venue.accepted_by_intent == {"a": 1}


@pytest.mark.parametrize(("apart_s", "orders"), [(59, 1), (61, 2)])
def test_dedupe_windowed_forgets(apart_s: float, orders: int) -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.WINDOWED, dedupe_window_s=60))
    _send_twice(desk, apart_s=apart_s)
    assert desk.venue.accepted_by_intent == {"a": orders}


def test_dedupe_none_places_a_second_order() -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.NONE))
    _send_twice(desk)
    assert [each.venue_order_id for each in desk.venue.orders_of(desk.told(OrderAcknowledged)[0].client_order_id)] == [
        "v1",
        "v2",
    ]
    desk.cancel("a")
    desk.wait()
    assert [each.is_open for each in desk.venue.orders.values()] == [False, True]


def test_a_lost_request_never_arrives_and_is_unknown_after_the_time_out() -> None:
    desk = Desk()
    desk.submit("a", fate=Fate(request_lost=True))
    assert desk.wait(4.9) == []
    desk.wait(0.2)
    assert len(desk.told(OutcomeUnknown, "a")) == 1
    assert desk.venue.requests == []
    assert not desk.venue.orders


def test_a_lost_reply_leaves_an_order_of_which_pushes_may_tell() -> None:
    desk = Desk()
    desk.submit("a", fate=Fate(reply_lost=True))
    desk.wait(6)
    assert [type(each.report) for each in desk.deliveries] == [OrderAcknowledged, OrderFilled, OutcomeUnknown]
    assert [each.channel for each in desk.deliveries] == ["push", "push", "reply"]


def test_without_push_a_lost_reply_leaves_silence() -> None:
    desk = Desk(VenueTemper(push=False))
    desk.submit("a", fate=Fate(reply_lost=True))
    desk.wait(6)
    assert [type(each.report) for each in desk.deliveries] == [OutcomeUnknown]
    assert desk.venue.position(SPY) == 10
    assert [type(each.report) for each in desk.query("a")] == [OrderAcknowledged, OrderFilled]


def test_a_reply_after_the_time_out_reaches_nobody() -> None:
    desk = Desk(VenueTemper(push=False))
    desk.submit("a", limit="90", fate=Fate(reply_delay_ms=6_000))
    desk.wait(20)
    assert [type(each.report) for each in desk.deliveries] == [OutcomeUnknown]
    assert len(desk.venue.orders) == 1


def test_a_repeated_request_is_two_orders_where_nothing_dedupes() -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.NONE))
    desk.submit("a", limit="90", fate=Fate(duplicated=True))
    desk.wait()
    assert desk.venue.accepted_by_intent == {"a": 2}
    assert desk.venue.repeated_by_network == {"a": 1}
    assert [each.is_repeat for each in desk.venue.requests] == [False, True]
    assert len(desk.told(OrderAcknowledged, channel="reply")) == 1


def test_a_repeated_request_is_one_order_where_the_venue_dedupes() -> None:
    desk = Desk()
    desk.submit("a", limit="90", fate=Fate(duplicated=True))
    desk.wait()
    assert (len(desk.venue.requests), len(desk.venue.orders)) == (2, 1)


@pytest.mark.parametrize("status", _STATUSES)
def test_a_failed_request_is_unknown_at_once(status: Status) -> None:
    desk = Desk()
    desk.submit("a", fate=Fate(status=status))
    desk.wait(1)
    assert [each.reason for each in desk.told(OutcomeUnknown, "a")] == [f"the answer was {status}"]
    assert not desk.venue.orders
    assert [each.is_accepted for each in desk.venue.requests] == [False]


def test_a_request_may_fail_after_its_order_was_taken() -> None:
    desk = Desk(VenueTemper(push=False))
    desk.submit("a", fate=Fate(status=500, status_after_acceptance=True))
    desk.wait(1)
    assert [type(each.report) for each in desk.deliveries] == [OutcomeUnknown]
    assert desk.venue.position(SPY) == 10
    assert desk.venue.accepted_by_intent == {"a": 1}


def test_an_outage_fails_everything_within_it() -> None:
    until = OPEN_TS_NS + 120 * SECOND_NS
    desk = Desk(VenueTemper(outages=(Outage(from_ts_ns=0, until_ts_ns=until, status=429),)))
    desk.submit("a")
    desk.wait(1)
    assert desk.told(OutcomeUnknown, "a")
    assert desk.listing() is None
    desk.wait(120)
    desk.submit("b")
    desk.wait(1)
    assert desk.told(OrderFilled, "b")


@pytest.mark.parametrize("fate", [Fate(request_lost=True), Fate(reply_lost=True), Fate(status=429), Fate(status=401)])
def test_a_failed_read_yields_nothing(fate: Fate) -> None:
    desk = Desk()
    desk.bought()
    assert desk.query("bought", fate=fate) == []
    assert desk.listing(fate=fate) is None


def test_a_cancel_whose_reply_is_lost_is_unknown() -> None:
    desk = Desk(VenueTemper(push=False))
    desk.submit("a", limit="90")
    desk.wait()
    desk.cancel("a", fate=Fate(reply_lost=True))
    desk.wait(6)
    assert desk.told(OutcomeUnknown, "a")
    assert not desk.told(OrderCanceled)
    desk.query("a")
    assert [each.filled_quantity for each in desk.told(OrderCanceled, "a")] == [0]


def test_a_cancel_of_a_gone_order_is_refused() -> None:
    desk = Desk()
    desk.bought()
    desk.cancel("bought")
    desk.cancel("never sent")
    desk.wait()
    reasons = {each.client_order_id: each.reason for each in desk.told(CancelRejected)}
    assert reasons == {"bought": "the order is filled", "never sent": "no such order"}


def test_both_spellings_of_canceled_are_told() -> None:
    desk = Desk()
    for number in range(20):
        desk.submit(f"{number}", limit="90", quantity=1)
        desk.wait(1)
        desk.cancel(f"{number}")
        desk.wait(1)
    words = {each.reason.split(":")[0] for each in desk.told(OrderCanceled)}
    assert words == {"canceled", "cancelled"}
    listed = desk.listing()
    assert listed is not None
    assert {each.status for each in listed.orders} == {"canceled"}


def test_a_dead_engine_hears_nothing_and_the_truth_stays() -> None:
    desk = Desk()
    desk.submit("a")
    desk.venue.engine_died(desk.now_ts_ns)
    assert desk.wait(6) == []
    assert desk.venue.position(SPY) == 10
    assert desk.venue.accepted_by_intent == {"a": 1}
    listed = desk.listing()
    assert listed is not None
    assert [each.client_order_id for each in listed.orders] == ["a"]


def test_pushes_go_to_a_new_engine() -> None:
    desk = Desk()
    desk.submit("a", limit="99")
    desk.wait()
    desk.venue.engine_died(desk.now_ts_ns)
    desk.deliveries.clear()
    desk.venue.engine_started(desk.now_ts_ns)
    desk.price("99")
    desk.wait()
    assert [type(each.report) for each in desk.deliveries] == [OrderFilled]


def test_without_echo_a_push_is_told_only_of_an_order_that_a_reply_made_known() -> None:
    desk = Desk(VenueTemper(echoes_ids=False))
    desk.submit("a", limit="99", fate=Fate(reply_lost=True))
    desk.submit("b", limit="99")
    desk.wait(6)
    desk.price("99")
    desk.wait()
    assert [each.client_order_id for each in desk.told(OrderFilled)] == ["b"]
    assert desk.venue.position(SPY) == 20


def test_a_delivery_is_handed_over_again_by_the_same_number() -> None:
    desk = Desk()
    desk.submit("a")
    first = desk.wait()[0]
    desk.venue.redeliver(first, desk.now_ts_ns + SECOND_NS)
    assert desk.wait(0.9) == []
    assert desk.wait(0.2) == [first]


def test_the_venue_s_clock_may_be_off() -> None:
    desk = Desk()
    desk.venue.clock_offset_ns = 7 * SECOND_NS
    asked = desk.now_ts_ns
    listed = desk.listing()
    assert listed is not None
    assert listed.asked_ts_ns == asked
    assert 7 * SECOND_NS < listed.venue_ts_ns - asked < 8 * SECOND_NS


def test_a_healed_venue_overrules_every_fate() -> None:
    desk = Desk(VenueTemper(dedupe=Dedupe.NONE, outages=(Outage(from_ts_ns=0, until_ts_ns=2**62, status=500),)))
    desk.venue.clock_offset_ns = 7 * SECOND_NS
    desk.venue.heal()
    desk.submit("a", fate=Fate(request_lost=True))
    desk.wait(1)
    assert desk.told(OrderFilled, "a")
    assert desk.venue.clock_offset_ns == 0
    assert desk.venue.temper.dedupe is Dedupe.NONE
    assert isinstance(desk.listing(fate=Fate(reply_lost=True)), AccountListed)
