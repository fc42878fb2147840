"""How orders live at the reference venue: what fills, what is held, what is refused, late or at once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    CancelRejected,
    ExecutionBusted,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from engine.core.values import MINUTE_NS, SECOND_NS, ZERO, Side, TimeInForce
from engine.testing.reference_desk import Desk
from engine.testing.reference_temper import VenueTemper
from engine.testing.scenario import DAY_NS, OPEN_TS_NS, SESSION_NS, SPY

# --- matching ---------------------------------------------------------------------------------------------------------


def _filled(desk: Desk, name: str) -> list[Decimal]:
    desk.wait()
    return [each.price for each in desk.told(OrderFilled, name)]


def test_limits_fill_at_the_price_once_it_is_as_good() -> None:
    desk = Desk()
    desk.submit("buy", limit="99")
    assert _filled(desk, "buy") == []
    desk.price("98.50")
    assert _filled(desk, "buy") == [Decimal("98.50")]
    desk.sell("sell", limit="101")
    desk.wait()
    desk.price("101")
    assert _filled(desk, "sell") == [101]


def test_a_sell_stop_fills_at_the_price_that_reaches_it() -> None:
    desk = Desk()
    desk.bought()
    desk.sell("stop", stop="98")
    desk.wait()
    desk.price("98.01")
    assert _filled(desk, "stop") == []
    desk.price("97")
    assert _filled(desk, "stop") == [97]
    assert desk.venue.position(SPY) == 0


def test_a_stop_limit_that_the_market_gaps_through_protects_no_longer() -> None:
    desk = Desk()
    desk.bought()
    desk.sell("stop", stop="98", limit="97.50")
    desk.wait()
    assert desk.venue.protected(SPY) == 10
    desk.price("97")
    assert _filled(desk, "stop") == []
    assert desk.venue.protected(SPY) == 0
    assert desk.venue.working_exits(SPY) == 10
    desk.price("97.60")
    assert _filled(desk, "stop") == [Decimal("97.60")]


@pytest.mark.parametrize("stop", ["100", "101"])
def test_a_sell_stop_at_or_through_the_market_is_refused(stop: str) -> None:
    desk = Desk()
    desk.bought()
    desk.sell("stop", stop=stop)
    desk.wait()
    assert len(desk.told(OrderRejected, "stop")) == 1
    assert list(desk.venue.orders) == ["v1"]
    assert "stop" not in desk.venue.accepted_by_intent


def test_nothing_fills_in_a_halt() -> None:
    desk = Desk()
    desk.venue.halt(SPY, desk.now_ts_ns + 60 * SECOND_NS)
    desk.submit("a")
    desk.wait(30)
    desk.price("99")
    assert _filled(desk, "a") == []
    desk.wait(40)
    desk.price("98")
    assert _filled(desk, "a") == [98]


def test_nothing_fills_outside_of_sessions_nor_at_yesterday_s_price() -> None:
    desk = Desk()
    desk.now_ts_ns = OPEN_TS_NS + SESSION_NS + MINUTE_NS
    desk.submit("a")
    desk.price("90")
    assert _filled(desk, "a") == []
    desk.now_ts_ns = OPEN_TS_NS + DAY_NS
    assert _filled(desk, "a") == []
    desk.price("95")
    assert _filled(desk, "a") == [95]


def test_day_orders_expire_at_the_close_and_others_rest() -> None:
    desk = Desk()
    desk.submit("day", limit="90", quantity=1, time_in_force=TimeInForce.DAY)
    desk.submit("gtc", limit="90", quantity=1)
    desk.wait(SESSION_NS // SECOND_NS)
    assert [(each.client_order_id, each.filled_quantity) for each in desk.told(OrderExpired)] == [("day", ZERO)]
    assert [each.client_order_id for each in desk.venue.orders.values() if each.is_open] == ["gtc"]


# --- holds ------------------------------------------------------------------------------------------------------------


def test_a_sell_beyond_what_is_held_and_free_is_refused_and_noted() -> None:
    desk = Desk()
    desk.bought()
    desk.sell("stop", stop="98")
    desk.wait()
    desk.sell("exit", 1)
    desk.wait()
    assert [each.reason for each in desk.told(OrderRejected, "exit")] == ["Not enough shares to sell"]
    (attempt,) = desk.venue.oversell_attempts
    assert (attempt.position, attempt.held, attempt.is_after_bust) == (Decimal(10), Decimal(11), False)
    assert not desk.venue.short_ever


def test_a_venue_that_lends_shares_lets_the_account_go_short() -> None:
    desk = Desk(VenueTemper(refuses_oversell=False))
    desk.bought()
    desk.sell("exit")
    desk.sell("again")
    desk.wait()
    assert desk.venue.position(SPY) == -10
    assert desk.venue.short_ever
    assert len(desk.venue.oversell_attempts) == 1


def test_a_buy_beyond_the_cash_is_refused() -> None:
    desk = Desk(opening_cash=Decimal(1_500))
    desk.submit("resting", limit="90")
    desk.wait()
    desk.submit("a", quantity=7)
    desk.submit("b", quantity=6)
    desk.wait()
    assert [each.reason for each in desk.told(OrderRejected, "a")] == ["Not enough buying power"]
    assert desk.told(OrderFilled, "b")


@pytest.mark.parametrize(("limit", "quantity"), [("90.001", 10), ("90", 0)])
def test_what_is_off_the_tick_or_the_lot_is_refused(limit: str, quantity: int) -> None:
    desk = Desk()
    desk.submit("a", quantity=quantity, limit=limit)
    desk.wait()
    assert desk.told(OrderRejected, "a")


def _legs(desk: Desk) -> None:
    desk.bought()
    desk.submit("stop", Side.SELL, stop="98", link="pair")
    desk.submit("target", Side.SELL, limit="102", link="pair")
    desk.wait()


def test_linked_legs_hold_once_and_the_fill_of_one_cancels_the_other() -> None:
    desk = Desk(exit_style=ExitStyle.BOTH_LEGS)
    _legs(desk)
    assert (desk.venue.working_exits(SPY), desk.venue.protected(SPY)) == (Decimal(10), Decimal(10))
    desk.price("102")
    desk.wait()
    assert desk.told(OrderFilled, "target")
    assert [each.filled_quantity for each in desk.told(OrderCanceled, "stop")] == [0]
    assert (desk.venue.position(SPY), desk.venue.working_exits(SPY)) == (ZERO, ZERO)


def test_a_venue_that_does_not_link_refuses_the_second_leg() -> None:
    desk = Desk(exit_style=ExitStyle.REST_STOP)
    _legs(desk)
    assert desk.told(OrderRejected, "target")


def test_a_part_of_one_leg_lowers_the_other() -> None:
    desk = Desk(VenueTemper(partial_then_canceled=1.0), exit_style=ExitStyle.BOTH_LEGS)
    desk.submit("a", quantity=40)
    desk.wait()
    held = int(desk.venue.position(SPY))
    assert 0 < held < 40
    desk.submit("stop", Side.SELL, held, stop="98", link="pair")
    desk.submit("target", Side.SELL, held, limit="102", link="pair")
    desk.wait()
    desk.price("102")
    desk.wait()
    assert 0 < desk.venue.position(SPY) < held
    assert desk.venue.working_exits(SPY) == desk.venue.position(SPY)
    desk.venue.heal()
    desk.price("97")
    desk.wait()
    assert desk.venue.position(SPY) == 0
    # The fills of the stop do not add up to it, so its end is told as well.
    (ended,) = desk.told(OrderCanceled, "stop", channel="push")
    assert ended.filled_quantity == sum(each.quantity for each in desk.told(OrderFilled, "stop"))


# --- what the venue does to orders ------------------------------------------------------------------------------------


def test_an_order_fills_in_parts() -> None:
    desk = Desk(VenueTemper(partial_fills=1.0, parts_max=4))
    desk.submit("a", quantity=40)
    desk.wait(20)
    parts = [each.quantity for each in desk.told(OrderFilled, "a")]
    assert 2 <= len(parts) <= 4
    assert sum(parts) == 40


def test_a_part_fills_and_the_venue_cancels_the_rest() -> None:
    desk = Desk(VenueTemper(partial_then_canceled=1.0))
    desk.submit("a", quantity=40)
    desk.wait()
    (filled,) = desk.told(OrderFilled, "a")
    (ended,) = desk.told(OrderCanceled, "a")
    assert filled.quantity == ended.filled_quantity == desk.venue.position(SPY) < 40


def test_an_order_is_taken_and_refused_late() -> None:
    desk = Desk(VenueTemper(rejects_late=1.0))
    desk.submit("a")
    desk.wait(1)
    assert len(desk.told(OrderAcknowledged, "a", channel="reply")) == 1
    desk.wait(20)
    assert len(desk.told(OrderRejected, "a")) == 1
    assert desk.venue.accepted_by_intent == {"a": 1}
    assert desk.venue.position(SPY) == 0


def test_an_order_waits_for_a_human() -> None:
    desk = Desk(VenueTemper(needs_approval=1.0, approval_s=30))
    desk.submit("a")
    desk.wait(29)
    assert desk.told(OrderAwaitingApproval, "a")
    assert not desk.told(OrderAcknowledged)
    listed = desk.listing()
    desk.wait(3)
    assert desk.told(OrderAcknowledged, "a")
    assert desk.told(OrderFilled, "a")
    assert listed is not None


def test_an_approval_that_never_comes_is_given_by_healing() -> None:
    desk = Desk(VenueTemper(needs_approval=1.0, approval_s=None))
    desk.submit("a")
    desk.wait(1_000)
    listed = desk.listing()
    assert listed is not None
    assert [each.status for each in listed.orders] == ["awaiting_approval"]
    desk.venue.heal()
    assert _filled(desk, "a") == [100]


def test_a_stop_that_waits_for_a_human_protects_nothing_and_may_come_too_late() -> None:
    desk = Desk(VenueTemper(needs_approval=1.0, approval_s=30))
    desk.submit("a")
    desk.wait(40)
    desk.sell("stop", stop="98")
    desk.wait()
    assert (desk.venue.working_exits(SPY), desk.venue.protected(SPY)) == (Decimal(10), ZERO)
    desk.price("97")
    desk.wait(40)
    assert desk.told(OrderRejected, "stop")


def test_what_healing_finds_doomed_works() -> None:
    desk = Desk(VenueTemper(rejects_late=1.0))
    desk.submit("a")
    desk.wait(0.5)
    desk.venue.heal()
    assert _filled(desk, "a") == [100]
    desk.wait(30)
    assert not desk.told(OrderRejected)


def test_stops_are_canceled_overnight() -> None:
    desk = Desk(VenueTemper(stop_canceled_overnight=True))
    desk.bought()
    desk.sell("stop", stop="98")
    desk.wait(SESSION_NS // SECOND_NS)
    assert desk.venue.protected(SPY) == 10
    desk.wait(3_600)
    assert len(desk.told(OrderCanceled, "stop")) == 1
    assert desk.venue.protected(SPY) == 0


def test_an_execution_is_taken_back() -> None:
    desk = Desk(VenueTemper(busts=1.0, bust_s=(5, 5)))
    desk.submit("a")
    desk.wait(4)
    assert desk.venue.position(SPY) == 10
    desk.wait(3)
    assert [each.execution_id for each in desk.told(ExecutionBusted, "a")] == ["x1"]
    assert (desk.venue.position(SPY), desk.venue.cash) == (ZERO, Decimal(100_000))
    assert [each.is_busted for each in desk.venue.executions] == [True]
    listed = desk.listing()
    assert listed is not None
    assert [(each.filled_quantity, each.executions) for each in listed.orders] == [(ZERO, ())]


def test_a_bust_of_what_was_sold_is_not_our_short() -> None:
    desk = Desk(VenueTemper(busts=1.0, bust_s=(5, 5)))
    desk.submit("a")
    desk.wait(4)
    desk.sell("out")
    desk.wait(2)
    assert desk.venue.position(SPY) == -10
    assert (desk.venue.short_ever, desk.venue.short_by_bust) == (False, True)


def test_a_healed_venue_takes_nothing_back() -> None:
    desk = Desk(VenueTemper(busts=1.0))
    desk.submit("a")
    desk.wait()
    desk.venue.heal()
    desk.wait(700)
    assert desk.venue.position(SPY) == 10


# --- cancels ----------------------------------------------------------------------------------------------------------


def test_an_order_is_canceled_on_request() -> None:
    desk = Desk()
    desk.submit("a", limit="90")
    desk.wait()
    desk.cancel("a")
    desk.wait()
    assert [each.filled_quantity for each in desk.told(OrderCanceled, "a", channel="reply")] == [0]
    assert not desk.venue.orders["v1"].is_open


def test_a_fill_overtakes_the_cancel() -> None:
    outcomes = set()
    for seed in range(20):
        desk = Desk(VenueTemper(cancel_fill_race=1.0), seed=seed)
        desk.submit("a", limit="90")
        desk.wait()
        desk.cancel("a")
        assert _filled(desk, "a") == [90]
        position = desk.venue.position(SPY)
        if position == 10:
            assert [each.reason for each in desk.told(CancelRejected, "a")] == ["the order is filled"]
            outcomes.add("whole")
        else:
            assert {each.filled_quantity for each in desk.told(OrderCanceled, "a")} == {position}
            outcomes.add("part")
    assert outcomes == {"whole", "part"}


def test_a_cancel_waits_for_the_end_of_a_halt() -> None:
    desk = Desk(VenueTemper(cancels_wait=True))
    desk.submit("a", limit="90")
    desk.wait()
    desk.venue.halt(SPY, desk.now_ts_ns + 60 * SECOND_NS)
    desk.cancel("a")
    desk.wait(50)
    assert not desk.told(OrderCanceled)
    assert not desk.told(CancelRejected)
    desk.wait(20)
    assert len(desk.told(OrderCanceled, "a")) == 1


def test_a_cancel_may_overtake_its_order() -> None:
    # Two requests on two connections: the cancel arrives first, finds nothing, and the order works.
    outcomes = set()
    for seed in range(20):
        desk = Desk(VenueTemper(latency_ms=(0, 500)), seed=seed)
        desk.submit("a", limit="90")
        desk.cancel("a")
        desk.wait()
        outcomes.add((bool(desk.told(CancelRejected)), desk.venue.orders["v1"].is_open))
    assert outcomes == {(True, True), (False, False)}
