"""What listings and questions show: the truth of a while ago, a part of it, or words that nobody knows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.messages import (
    ListedStatus,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderNotListed,
)
from engine.core.values import SECOND_NS, OrderType, Side
from engine.testing.reference_desk import Desk
from engine.testing.reference_temper import Fate, ForeignOrder, VenueTemper
from engine.testing.scenario import OPEN_TS_NS, SPY


def test_a_listing_holds_orders_executions_and_positions() -> None:
    desk = Desk()
    desk.bought()
    desk.sell("stop", stop="98")
    desk.wait()
    listed = desk.listing()
    assert listed is not None
    assert listed.is_complete
    bought, stop = listed.orders
    assert (bought.status, bought.filled_quantity, bought.venue_order_id) == (ListedStatus.FILLED, Decimal(10), "v1")
    assert [(each.execution_id, each.price, each.quantity) for each in bought.executions] == [
        ("x1", Decimal(100), Decimal(10))
    ]
    assert (stop.status, stop.order_type, stop.stop_price) == (ListedStatus.WORKING, OrderType.STOP, Decimal(98))
    assert [(each.instrument_id, each.symbol, each.quantity) for each in listed.positions] == [
        (SPY, "SPY", Decimal(10))
    ]


def test_what_is_flat_is_not_listed() -> None:
    desk = Desk()
    desk.bought()
    desk.sell("out")
    desk.wait()
    listed = desk.listing()
    assert listed is not None
    assert listed.positions == ()
    assert len(listed.orders) == 2


def test_a_question_is_answered_by_the_order_s_reports() -> None:
    desk = Desk()
    desk.submit("a", limit="99")
    desk.wait()
    desk.price("99")
    desk.wait()
    answer = [each.report for each in desk.query("a")]
    assert [type(each) for each in answer] == [OrderAcknowledged, OrderFilled]


def test_a_question_about_nothing_finds_nothing() -> None:
    desk = Desk()
    asked = desk.now_ts_ns
    (delivery,) = desk.query("a")
    assert isinstance(delivery.report, OrderNotListed)
    assert delivery.report.is_complete
    assert not delivery.report.is_certain
    assert delivery.report.asked_ts_ns == asked


def test_without_echo_questions_prove_nothing_and_listings_have_no_ids() -> None:
    desk = Desk(VenueTemper(echoes_ids=False))
    desk.bought()
    (delivery,) = desk.query("bought")
    assert isinstance(delivery.report, OrderNotListed)
    assert not delivery.report.is_complete
    listed = desk.listing()
    assert listed is not None
    assert listed.is_complete
    assert [each.client_order_id for each in listed.orders] == [None]


def test_a_lagging_question_misses_a_new_order_and_finds_it_later() -> None:
    # Whatever is drawn, an order of that moment is missed by most lags and found once the lag has passed.
    missed = 0
    for seed in range(20):
        desk = Desk(VenueTemper(read_lag_ms=10_000), seed=seed)
        desk.submit("a", limit="90")
        missed += any(isinstance(each.report, OrderNotListed) for each in desk.query("a"))
        desk.wait(10)
        assert [type(each.report) for each in desk.query("a")] == [OrderAcknowledged]
    assert missed > 10


def test_lagging_listings_show_orders_and_positions_each_as_of_its_own_moment() -> None:
    views = set()
    for seed in range(30):
        desk = Desk(VenueTemper(read_lag_ms=2_000), seed=seed)
        desk.submit("a")
        desk.wait(1)
        listed = desk.listing()
        assert listed is not None
        views.add((len(listed.orders), len(listed.positions)))
    assert views == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_listing_may_omit_what_changed_lately() -> None:
    desk = Desk(VenueTemper(read_lag_ms=1_000, list_omits=1.0))
    desk.submit("a", limit="90")
    desk.wait(0.5)
    listed = desk.listing()
    assert listed is not None
    assert listed.is_complete
    assert listed.orders == ()
    listed = desk.listing()
    assert listed is not None
    assert len(listed.orders) == 1


def test_a_truncated_listing_is_incomplete() -> None:
    desk = Desk()
    for number in range(5):
        desk.submit(f"{number}", limit="90", quantity=1)
    desk.bought()
    sizes = set()
    for _ in range(20):
        listed = desk.listing(fate=Fate(truncated=True))
        assert listed is not None
        assert not listed.is_complete
        assert listed.positions == ()
        sizes.add(len(listed.orders))
    assert max(sizes) < 6
    assert len(sizes) > 2
    (delivery,) = desk.query("bought", fate=Fate(truncated=True))
    assert isinstance(delivery.report, OrderNotListed)
    assert not delivery.report.is_complete


def test_an_unknown_word_is_unreadable_and_hides_the_end_in_an_answer() -> None:
    desk = Desk(VenueTemper(odd_words=1.0))
    desk.submit("a", limit="90")
    desk.wait()
    desk.cancel("a")
    desk.wait()
    listed = desk.listing()
    assert listed is not None
    assert [each.status for each in listed.orders] == [ListedStatus.UNREADABLE]
    assert [type(each.report) for each in desk.query("a")] == [OrderAcknowledged]
    desk.venue.heal()
    assert [type(each.report) for each in desk.query("a")] == [OrderAcknowledged, OrderCanceled]


def test_healing_ends_the_lag() -> None:
    desk = Desk(VenueTemper(read_lag_ms=600_000, list_omits=1.0))
    desk.venue.heal()
    desk.submit("a")
    desk.wait(1)
    listed = desk.listing()
    assert listed is not None
    assert (len(listed.orders), len(listed.positions)) == (1, 1)


def _foreign(symbol: str, side: Side, quantity: int) -> ForeignOrder:
    return ForeignOrder(
        ts_ns=OPEN_TS_NS + 90 * SECOND_NS, symbol=symbol, side=side, quantity=Decimal(quantity), limit_price=None
    )


def test_what_a_human_does_is_listed_and_never_pushed() -> None:
    desk = Desk(VenueTemper(foreign=(_foreign("SPY", Side.BUY, 3), _foreign("GME", Side.BUY, 2))))
    desk.wait(60)
    assert desk.deliveries == []
    listed = desk.listing()
    assert listed is not None
    assert [(each.symbol, each.client_order_id, each.instrument_id) for each in listed.orders] == [
        ("SPY", None, SPY),
        ("GME", None, None),
    ]
    assert [(each.symbol, each.quantity) for each in listed.positions] == [("GME", Decimal(2)), ("SPY", Decimal(3))]
    assert desk.venue.cash == 100_000 - 300 - 20
    assert desk.venue.accepted_by_intent == {}


@pytest.mark.parametrize(("is_free", "position"), [(True, 6), (False, 10)])
def test_a_human_sells_only_what_no_stop_of_ours_holds(is_free: bool, position: int) -> None:  # noqa: FBT001
    desk = Desk(VenueTemper(foreign=(_foreign("SPY", Side.SELL, 4),)))
    desk.bought()
    if not is_free:
        desk.sell("stop", stop="98")
    desk.wait(60)
    assert desk.venue.position(SPY) == position
    assert not desk.venue.oversell_attempts


def test_a_healed_venue_sees_no_more_of_the_human() -> None:
    desk = Desk(VenueTemper(foreign=(_foreign("SPY", Side.BUY, 3),)))
    desk.venue.heal()
    desk.wait(60)
    assert not desk.venue.orders
