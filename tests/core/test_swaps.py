"""Exits where the venue links nothing: the stop rests, and whatever takes its place follows its confirmed end."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import BracketState, ExitStyle
from engine.core.messages import (
    EMPTY_STEP,
    BracketTransitioned,
    OrderCanceled,
    QueryOrder,
    Signal,
    Step,
    SubmitOrder,
)
from engine.core.values import OrderType
from engine.testing.scenario import Scenario, enter, leave


def resting(*parts: str, script: dict[int, Signal] | None = None, entry: Signal | None = None) -> Scenario:
    """Return a scenario that holds 100 shares from 100.00, bought in parts, whose stops at 98.50 work."""
    scenario = Scenario({0: entry or enter(), **(script or {})}, exit_style=ExitStyle.REST_STOP)
    scenario.bar(0)
    (order,) = scenario.submitted()
    scenario.ack(order)
    for part in parts or ("100",):
        scenario.fill(order, "100.00", part)
    for stop in scenario.submitted()[1:]:
        scenario.ack(stop)
    return scenario


def state(scenario: Scenario) -> BracketState:
    return scenario.pipeline.execution.bracket(1).state


def legs(scenario: Scenario) -> list[str]:
    """Return the legs that were sent, oldest first."""
    return [leg_of(scenario, order) for order in scenario.submitted()]


def leg_of(scenario: Scenario, order: SubmitOrder) -> str:
    known = scenario.pipeline.execution.order(order.client_order_id)
    assert known is not None
    return known.leg.value


def reached(scenario: Scenario) -> SubmitOrder:
    """Let the price reach the target, confirm the cancel of the stop, and return the target's order."""
    scenario.tick(103.0)
    scenario.cancel(scenario.submitted()[1])
    return scenario.submitted()[-1]


# --- the stop rests, the target is watched ----------------------------------------------------------------------------


def test_only_the_stop_rests_and_it_is_linked_to_nothing() -> None:
    scenario = resting()
    _, stop = scenario.submitted()
    assert (stop.order_type, stop.stop_price, stop.link) == (OrderType.STOP, Decimal("98.50"), None)
    assert state(scenario) is BracketState.PROTECTED


@pytest.mark.parametrize(
    "show",
    [
        lambda scenario: scenario.tick(103.0),
        lambda scenario: scenario.quote(103.0),
        lambda scenario: scenario.bar(1, 103.0),
    ],
    ids=["print", "bid", "close"],
)
def test_a_price_at_the_target_cancels_the_stop_and_sends_nothing_yet(show: Callable[[Scenario], Step]) -> None:
    """I-14: the target may not be sent before the stop is confirmed gone."""
    scenario = resting()
    _, stop = scenario.submitted()
    show(scenario)
    assert scenario.canceled() == [stop.client_order_id]
    assert (len(scenario.submitted()), state(scenario)) == (2, BracketState.SWAPPING)


@pytest.mark.parametrize("price", [102.99, 98.5, 97.0, float("nan"), float("inf"), -1.0])
def test_a_price_between_the_levels_or_no_price_changes_nothing(price: float) -> None:
    """What the resting stop is for is the venue's matter."""
    scenario = resting()
    assert scenario.tick(price) is EMPTY_STEP


def test_a_target_that_fills_in_the_place_of_its_stop_closes_the_bracket() -> None:
    scenario = resting()
    target = reached(scenario)
    assert (target.order_type, target.limit_price, target.quantity) == (
        OrderType.LIMIT,
        Decimal("103.00"),
        Decimal(100),
    )
    scenario.ack(target)
    scenario.fill(target, "103.05")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "target"
    assert (state(scenario), scenario.pipeline.execution.open_brackets()) == (BracketState.CLOSED, [])
    assert scenario.pipeline.execution.watched == {}


def test_each_part_of_an_entry_has_its_own_stop_and_both_are_swapped() -> None:
    scenario = resting("40", "60")
    first, second = scenario.submitted()[1:]
    scenario.tick(104.0)
    assert scenario.canceled() == [first.client_order_id, second.client_order_id]
    scenario.cancel(second)
    assert scenario.submitted()[-1].quantity == 60
    scenario.cancel(first)
    assert scenario.submitted()[-1].quantity == 40


def test_a_target_that_is_not_filled_in_time_gives_its_place_back_to_the_stop() -> None:
    scenario = resting()
    target = reached(scenario)
    scenario.ack(target)
    scenario.wait(60)
    assert scenario.canceled()[-1] == target.client_order_id
    assert legs(scenario) == ["entry", "stop", "target"]
    scenario.cancel(target)
    stop = scenario.submitted()[-1]
    assert (legs(scenario)[-1], stop.stop_price, stop.quantity) == ("stop", Decimal("98.50"), Decimal(100))
    scenario.ack(stop)
    assert state(scenario) is BracketState.PROTECTED
    assert scenario.halts() == []


def test_what_a_target_has_filled_before_its_time_was_over_is_not_protected_again() -> None:
    scenario = resting()
    target = reached(scenario)
    scenario.ack(target)
    scenario.fill(target, "103.00", "30")
    scenario.wait(60)
    scenario.cancel(target)
    assert scenario.submitted()[-1].quantity == 70


def test_a_target_that_fills_during_its_cancel_leaves_nothing_to_protect() -> None:
    scenario = resting()
    target = reached(scenario)
    scenario.wait(60)
    scenario.fill(target, "103.00")
    assert (state(scenario), len(scenario.submitted())) == (BracketState.CLOSED, 3)


def test_a_refused_target_brings_the_stop_back_at_once() -> None:
    scenario = resting()
    scenario.reject(reached(scenario))
    assert legs(scenario) == ["entry", "stop", "target", "stop"]
    scenario.ack(scenario.submitted()[-1])
    assert state(scenario) is BracketState.PROTECTED


def test_a_target_that_is_refused_again_and_again_is_given_up() -> None:
    """No loop: after three failures the stop rests, whatever the price."""
    scenario = resting()
    for _ in range(3):
        scenario.tick(103.0)
        scenario.cancel(scenario.submitted()[-1])
        scenario.reject(scenario.submitted()[-1])
        scenario.ack(scenario.submitted()[-1])
    assert scenario.tick(103.5) is EMPTY_STEP
    assert (legs(scenario)[-1], state(scenario)) == ("stop", BracketState.PROTECTED)


def test_a_price_at_the_stop_while_the_target_works_alone_leaves_at_market() -> None:
    scenario = resting()
    target = reached(scenario)
    scenario.ack(target)
    scenario.tick(98.5)
    assert scenario.canceled()[-1] == target.client_order_id
    assert legs(scenario)[-1] == "target"
    scenario.cancel(target)
    exit_order = scenario.submitted()[-1]
    assert (exit_order.order_type, exit_order.quantity) == (OrderType.MARKET, Decimal(100))
    scenario.fill(exit_order, "98.40")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"


def test_a_stop_at_or_through_the_market_is_not_sent_back_but_left_at_market() -> None:
    """The price has fallen to the stop while the cancel of the target was under way."""
    scenario = resting()
    target = reached(scenario)
    scenario.wait(60)
    scenario.bar(4, 98.0)
    scenario.cancel(target)
    assert legs(scenario)[-1] == "exit"


# --- the stop during its cancel ---------------------------------------------------------------------------------------


def test_a_stop_that_fills_during_its_cancel_ends_it_all() -> None:
    scenario = resting()
    scenario.tick(103.0)
    scenario.fill(scenario.submitted()[1], "98.45")
    assert (state(scenario), len(scenario.submitted())) == (BracketState.CLOSED, 2)
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"


def test_what_a_stop_leaves_that_filled_in_part_during_its_cancel_goes_at_market() -> None:
    scenario = resting()
    stop = scenario.submitted()[1]
    scenario.tick(103.0)
    scenario.fill(stop, "98.45", "30")
    assert len(scenario.submitted()) == 2
    scenario.cancel(stop)
    assert (legs(scenario)[-1], scenario.submitted()[-1].quantity) == ("exit", Decimal(70))


def test_a_cancel_that_hangs_is_asked_about_and_asked_again_and_then_halts() -> None:
    """I-12: whatever the silence, no second exit."""
    scenario = resting()
    stop = scenario.submitted()[1]
    scenario.tick(103.0)
    scenario.wait(30)
    assert [command.client_order_id for command in scenario.commands if isinstance(command, QueryOrder)]
    assert scenario.canceled() == [stop.client_order_id] * 2
    scenario.wait(30)
    assert scenario.halts() == ["pair 1 of bracket 1 still waits for the cancel of its orders: look at its orders"]
    assert len(scenario.submitted()) == 2
    scenario.cancel(stop)
    assert legs(scenario)[-1] == "target"


def test_a_refused_cancel_is_asked_again() -> None:
    scenario = resting()
    stop = scenario.submitted()[1]
    scenario.tick(103.0)
    scenario.refuse_cancel(stop)
    scenario.wait(30)
    assert scenario.canceled() == [stop.client_order_id] * 2
    scenario.cancel(stop)
    assert legs(scenario)[-1] == "target"


def test_an_exit_signal_in_the_middle_of_a_swap_leaves_at_market() -> None:
    scenario = resting(script={2: leave()})
    target = reached(scenario)
    scenario.ack(target)
    scenario.bar(2, 101.0)
    assert scenario.canceled()[-1] == target.client_order_id
    scenario.cancel(target)
    assert legs(scenario)[-1] == "exit"
    scenario.fill(scenario.submitted()[-1], "101.00")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "time"


def test_a_fill_of_the_entry_in_the_middle_of_a_swap_is_protected_by_itself() -> None:
    scenario = resting("40")
    entry = scenario.submitted()[0]
    reached(scenario)
    scenario.fill(entry, "102.00", "60")
    assert (legs(scenario)[-1], scenario.submitted()[-1].quantity) == ("stop", Decimal(60))
    assert state(scenario) is BracketState.SWAPPING


def test_a_stop_that_fills_after_its_cancel_was_confirmed_takes_the_target_with_it() -> None:
    """The venue's reports came in the wrong order: what took the stop's place would sell short."""
    scenario = resting()
    stop = scenario.submitted()[1]
    target = reached(scenario)
    scenario.ack(target)
    scenario.fill(stop, "98.45")
    assert scenario.canceled()[-1] == target.client_order_id
    scenario.cancel(target)
    assert scenario.pipeline.execution.open_brackets() == []


def test_what_a_stop_leaves_that_fills_in_part_after_its_cancel_was_confirmed_goes_at_market() -> None:
    scenario = resting()
    stop = scenario.submitted()[1]
    target = reached(scenario)
    scenario.fill(stop, "98.45", "40")
    assert scenario.canceled()[-1] == target.client_order_id
    scenario.cancel(target)
    assert (legs(scenario)[-1], scenario.submitted()[-1].quantity) == ("exit", Decimal(60))


def test_a_cancel_that_tells_of_fills_to_come_is_confirmed_when_they_are_there() -> None:
    """I-14: confirmed terminal means with all that it has filled."""
    scenario = resting()
    stop = scenario.submitted()[1]
    scenario.tick(103.0)
    scenario.give(
        OrderCanceled(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=stop.client_order_id,
            reason="canceled on request",
            filled_quantity=Decimal(40),
        )
    )
    assert len(scenario.submitted()) == 2
    scenario.wait(30)
    assert [command for command in scenario.commands if isinstance(command, QueryOrder)]
    scenario.fill(stop, "98.50", "40")
    assert (legs(scenario)[-1], scenario.submitted()[-1].quantity) == ("exit", Decimal(60))


def test_a_price_with_the_noise_of_float_arithmetic_is_a_price() -> None:
    scenario = resting()
    assert scenario.tick(103.00000000000001) is not EMPTY_STEP
    assert len(scenario.canceled()) == 1
