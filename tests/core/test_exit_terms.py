"""What a signal may state beyond a stop and one target, in both exit styles."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import BracketState, ExitStyle
from engine.core.messages import (
    EMPTY_STEP,
    BracketPlanned,
    BracketTransitioned,
    DecisionMade,
    Signal,
    SignalKind,
    SignalRefused,
    SubmitOrder,
)
from engine.core.values import MINUTE_NS, OrderType
from engine.testing.scenario import DAY_NS, OPEN_TS_NS, SPY, Scenario, enter, leave

BOTH = pytest.mark.parametrize("style", list(ExitStyle))
REST, LINKED = ExitStyle.REST_STOP, ExitStyle.BOTH_LEGS


def held(
    entry: Signal, style: ExitStyle = REST, *, parts: Sequence[str] = ("100",), script: dict[int, Signal] | None = None
) -> Scenario:
    """Return a scenario that holds 100 shares from 100.00, bought in parts, with every leg accepted."""
    scenario = Scenario({0: entry, **(script or {})}, exit_style=style)
    scenario.bar(0)
    (order,) = scenario.submitted()
    scenario.ack(order)
    for part in parts:
        scenario.fill(order, "100.00", part)
    accept(scenario)
    return scenario


def working(scenario: Scenario) -> list[SubmitOrder]:
    """Return the orders that may still fill, oldest first."""
    open_ids = {order.client_order_id for order in scenario.pipeline.execution.open_orders()}
    return [order for order in scenario.submitted() if order.client_order_id in open_ids]


def accept(scenario: Scenario) -> None:
    for order in working(scenario):
        scenario.ack(order)


def confirm(scenario: Scenario) -> None:
    """Confirm every cancel that was asked for."""
    for order in working(scenario):
        if order.client_order_id in scenario.canceled():
            scenario.cancel(order)


def shape(orders: Sequence[SubmitOrder]) -> list[tuple[str, str, str]]:
    return [
        (order.order_type.value, str(order.quantity), str(order.stop_price or order.limit_price)) for order in orders
    ]


def state(scenario: Scenario) -> BracketState:
    return scenario.pipeline.execution.bracket(1).state


def refusals(scenario: Scenario) -> list[str]:
    return [fact.reason for fact in scenario.made(SignalRefused)]


# --- trailing, break-even, and a stop that is moved -------------------------------------------------------------------

TRAILING = replace(enter(target_distance=None), trail_distance=1.5, trail_step=0.5)


@BOTH
def test_a_trailing_stop_follows_in_steps_and_never_down(style: ExitStyle) -> None:
    scenario = held(TRAILING, style)
    assert scenario.tick(100.49) is EMPTY_STEP
    scenario.tick(100.73)
    confirm(scenario)
    accept(scenario)
    assert shape(working(scenario)) == [("stop", "100", "99.23")]
    assert scenario.tick(101.22) is EMPTY_STEP
    assert scenario.tick(99.24) is EMPTY_STEP
    scenario.tick(101.23)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "100", "99.73")]


def test_without_a_step_a_trailing_stop_follows_by_the_tick() -> None:
    scenario = held(replace(TRAILING, trail_step=None))
    assert scenario.tick(100.009) is EMPTY_STEP
    scenario.tick(100.01)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "100", "98.51")]


def test_a_step_between_two_ticks_is_the_next_tick() -> None:
    scenario = held(replace(TRAILING, trail_step=0.012))
    assert scenario.tick(100.019) is EMPTY_STEP
    scenario.tick(100.02)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "100", "98.52")]


def test_a_moved_stop_follows_the_confirmed_end_of_the_old_one_within_its_deadline() -> None:
    scenario = held(TRAILING)
    scenario.tick(101.0)
    assert (state(scenario), len(scenario.submitted())) == (BracketState.SWAPPING, 2)
    confirm(scenario)
    assert state(scenario) is BracketState.PROTECTING
    scenario.wait(60)
    assert scenario.canceled()[-1] == scenario.submitted()[-1].client_order_id
    confirm(scenario)
    assert shape(working(scenario)) == [("market", "100", "None")]


def test_linked_legs_are_replaced_as_a_new_pair() -> None:
    scenario = held(replace(TRAILING, target_distance=3.0), LINKED)
    old = scenario.submitted()[1]
    scenario.tick(101.0)
    assert len(scenario.canceled()) == 2
    confirm(scenario)
    stop, target = working(scenario)
    assert shape([stop, target]) == [("stop", "100", "99.50"), ("limit", "100", "103.00")]
    assert stop.link == target.link != old.link


def test_a_moved_stop_that_the_venue_refuses_is_left_at_market() -> None:
    scenario = held(TRAILING)
    scenario.tick(101.0)
    confirm(scenario)
    scenario.reject(scenario.submitted()[-1])
    assert shape(working(scenario)) == [("market", "100", "None")]


def test_a_price_through_the_new_stop_during_its_swap_leaves_at_market() -> None:
    scenario = held(TRAILING)
    scenario.tick(101.0)
    scenario.tick(99.4)
    confirm(scenario)
    assert shape(working(scenario)) == [("market", "100", "None")]
    scenario.fill(scenario.submitted()[-1], "99.30")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"


@BOTH
def test_the_stop_moves_to_the_entry_once(style: ExitStyle) -> None:
    scenario = held(replace(enter(target_distance=None), break_even_distance=1.0), style)
    assert scenario.quote(100.99) is EMPTY_STEP
    scenario.quote(101.0)
    confirm(scenario)
    accept(scenario)
    assert shape(working(scenario)) == [("stop", "100", "100.00")]
    assert scenario.quote(105.0) is EMPTY_STEP
    assert state(scenario) is BracketState.PROTECTED


@BOTH
def test_a_signal_moves_the_stop_up(style: ExitStyle) -> None:
    move = Signal(kind=SignalKind.MOVE_STOP, stop_price=99.254)
    scenario = held(enter(target_distance=None), style, script={1: move})
    scenario.bar(1)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "100", "99.25")]
    assert refusals(scenario) == []


@pytest.mark.parametrize(
    ("price", "reason"),
    [(98.5, "stop_not_higher"), (97.0, "stop_not_higher"), (float("nan"), "bad_stop_price"), (None, "bad_stop_price")],
)
def test_a_stop_is_not_moved_down_or_nowhere(price: float | None, reason: str) -> None:
    scenario = held(enter(), script={1: Signal(kind=SignalKind.MOVE_STOP, stop_price=price)})
    scenario.bar(1)
    assert (refusals(scenario), scenario.canceled()) == ([reason], [])


def test_a_stop_that_is_moved_to_the_market_leaves_at_market() -> None:
    scenario = held(enter(), script={1: Signal(kind=SignalKind.MOVE_STOP, stop_price=100.0)})
    scenario.bar(1)
    confirm(scenario)
    assert shape(working(scenario)) == [("market", "100", "None")]


@pytest.mark.parametrize("kind", [SignalKind.MOVE_STOP, SignalKind.SCALE_OUT])
def test_nothing_can_be_adjusted_where_nothing_is_held(kind: SignalKind) -> None:
    scenario = Scenario({0: Signal(kind=kind, stop_price=99.0, fraction=0.5)})
    scenario.bar(0)
    assert refusals(scenario) == ["nothing_held"]


# --- stop-limits ------------------------------------------------------------------------------------------------------

STOP_LIMIT = replace(enter(target_distance=None), stop_limit_offset=0.25)


@BOTH
def test_a_stop_limit_that_is_touched_and_not_filled_is_left_at_market(style: ExitStyle) -> None:
    scenario = held(STOP_LIMIT, style)
    (stop,) = working(scenario)
    assert (stop.order_type, stop.stop_price, stop.limit_price) == (
        OrderType.STOP_LIMIT,
        Decimal("98.50"),
        Decimal("98.25"),
    )
    scenario.tick(98.5)
    assert (state(scenario), scenario.canceled()) == (BracketState.UNPROTECTED, [])
    scenario.wait(29)
    assert scenario.canceled() == []
    scenario.wait(1)
    assert scenario.canceled() == [stop.client_order_id]
    confirm(scenario)
    assert shape(working(scenario)) == [("market", "100", "None")]


def test_a_stop_limit_that_fills_in_time_is_a_stop() -> None:
    scenario = held(STOP_LIMIT)
    scenario.tick(98.4)
    scenario.fill(working(scenario)[0], "98.40")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"
    scenario.wait(60)
    assert scenario.canceled() == []


# --- several targets --------------------------------------------------------------------------------------------------

TARGETS = replace(enter(target_distance=None), targets=((1.0, 0.5), (2.0, 0.3)))


def test_linked_targets_share_an_execution_by_whole_lots() -> None:
    scenario = held(TARGETS, LINKED, parts=("33", "67"))
    assert [(order.order_type.value, str(order.quantity)) for order in working(scenario)] == [
        *[("stop", "16"), ("limit", "16"), ("stop", "10"), ("limit", "10"), ("stop", "7")],
        *[("stop", "34"), ("limit", "34"), ("stop", "20"), ("limit", "20"), ("stop", "13")],
    ]
    assert scenario.made(BracketPlanned)[0].plan.targets == (
        (Decimal("1.0"), Decimal("0.5")),
        (Decimal("2.0"), Decimal("0.3")),
    )


def test_each_watched_target_is_taken_at_its_own_price() -> None:
    scenario = held(TARGETS)
    scenario.tick(101.0)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "30", "98.50"), ("stop", "20", "98.50"), ("limit", "50", "101.00")]
    scenario.tick(102.0)
    confirm(scenario)
    assert shape(working(scenario)) == [("stop", "20", "98.50"), ("limit", "50", "101.00"), ("limit", "30", "102.00")]
    for order in working(scenario)[1:]:
        scenario.fill(order, str(order.limit_price))
    assert state(scenario) is BracketState.PROTECTED
    scenario.fill(working(scenario)[0], "98.50")
    assert (state(scenario), scenario.halts()) == (BracketState.CLOSED, [])


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"targets": ((1.0, 0.6), (2.0, 0.5))}, "bad_targets"),
        ({"targets": ((0.0, 0.5),)}, "bad_targets"),
        ({"targets": ((1.0, float("nan")),)}, "bad_targets"),
        ({"targets": ((1.0, 0.5),), "target_distance": 3.0}, "bad_targets"),
        ({"stop_limit_offset": -0.1}, "bad_stop_limit_offset"),
        ({"trail_distance": 0.0}, "bad_trail"),
        ({"trail_step": 0.1}, "bad_trail"),
        ({"trail_distance": 1.0, "trail_step": float("inf")}, "bad_trail"),
        ({"break_even_distance": -1.0}, "bad_break_even_distance"),
        ({"hold_s_max": 0}, "bad_hold_time"),
        ({"hold_s_max": 10**9}, "bad_hold_time"),
        ({"expires_after_s": -1}, "bad_expiry"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_by_the_gate(terms: dict[str, object], reason: str) -> None:
    scenario = Scenario({0: replace(enter(target_distance=None), **terms)})  # type: ignore[arg-type]
    scenario.bar(0)
    assert [decision.reason for decision in scenario.made(DecisionMade)] == [reason]


# --- time -------------------------------------------------------------------------------------------------------------


@BOTH
def test_a_position_is_left_after_its_longest_time(style: ExitStyle) -> None:
    scenario = held(replace(enter(), hold_s_max=120), style)
    scenario.wait(119)
    assert scenario.canceled() == []
    scenario.wait(1)
    confirm(scenario)
    scenario.fill(scenario.submitted()[-1], "100.00")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "time"


def test_the_longest_time_is_session_time() -> None:
    scenario = held(replace(enter(), hold_s_max=390 * 60))
    until = scenario.pipeline.execution.next_deadline_ts_ns()
    assert until == OPEN_TS_NS + DAY_NS + MINUTE_NS


# --- a part is sold ---------------------------------------------------------------------------------------------------


def part(fraction: float | None) -> Signal:
    return Signal(kind=SignalKind.SCALE_OUT, fraction=fraction)


@BOTH
def test_a_part_is_sold_from_the_newest_pair_on_and_the_rest_keeps_its_stop(style: ExitStyle) -> None:
    scenario = held(enter(), style, parts=("60", "40"), script={1: part(0.555)})
    before = working(scenario)
    scenario.bar(1)
    assert len(scenario.canceled()) == len(before)
    assert state(scenario) is BracketState.SWAPPING
    confirm(scenario)
    orders = shape(working(scenario))
    assert ("market", "40", "None") in orders
    assert ("market", "15", "None") in orders
    assert ("stop", "45", "98.50") in orders
    assert (("limit", "45", "103.00") in orders) is (style is LINKED)
    assert state(scenario) is BracketState.EXITING
    for order in working(scenario):
        if order.order_type is OrderType.MARKET:
            scenario.fill(order, "100.00")
    accept(scenario)
    assert (state(scenario), scenario.halts()) == (BracketState.PROTECTED, [])
    assert scenario.pipeline.execution.bracket(1).held == 45


def test_a_part_whose_exit_ends_unfilled_gets_its_stop_back() -> None:
    scenario = held(enter(), script={1: part(0.5)})
    scenario.bar(1)
    confirm(scenario)
    exit_order = scenario.submitted()[-1]
    assert exit_order.order_type is OrderType.MARKET
    scenario.expire(exit_order)
    accept(scenario)
    assert shape(working(scenario)) == [("stop", "50", "98.50"), ("stop", "50", "98.50")]
    assert state(scenario) is BracketState.PROTECTED


def test_a_stop_that_was_triggered_while_a_part_was_to_be_sold_takes_everything_out() -> None:
    scenario = held(enter(), script={1: part(0.5)})
    stop = scenario.submitted()[1]
    scenario.bar(1)
    scenario.fill(stop, "98.50", "10")
    scenario.cancel(stop)
    assert shape(working(scenario)) == [("market", "90", "None")]


@pytest.mark.parametrize(
    ("fraction", "reason"),
    [
        (None, "bad_fraction"),
        (0.0, "bad_fraction"),
        (1.5, "bad_fraction"),
        (float("nan"), "bad_fraction"),
        (0.001, "less_than_a_lot"),
    ],
)
def test_a_part_that_cannot_be_sold_is_refused(fraction: float | None, reason: str) -> None:
    scenario = held(enter(), script={1: part(fraction)})
    scenario.bar(1)
    assert (refusals(scenario), scenario.canceled()) == ([reason], [])


def test_no_part_is_sold_while_its_pair_is_being_swapped() -> None:
    scenario = held(enter(), script={1: part(0.5)})
    scenario.tick(103.0)
    scenario.bar(1, 103.0)
    assert refusals(scenario) == ["swap_under_way"]


def test_all_of_it_is_a_part_too() -> None:
    scenario = held(enter(), script={1: part(1.0)})
    scenario.bar(1)
    confirm(scenario)
    scenario.fill(scenario.submitted()[-1], "100.00")
    assert (state(scenario), scenario.pipeline.execution.open_brackets()) == (BracketState.CLOSED, [])


# --- a halt of the exchange -------------------------------------------------------------------------------------------


def test_waits_pause_while_the_exchange_halts_the_instrument() -> None:
    scenario = held(enter())
    execution = scenario.pipeline.execution
    scenario.tick(103.0)
    confirm(scenario)
    before = execution.next_deadline_ts_ns()
    execution.pause_waits(SPY, scenario.now_ts_ns)
    scenario.wait(300)
    assert scenario.canceled() == [scenario.submitted()[1].client_order_id]
    execution.resume_waits(SPY, scenario.now_ts_ns)
    target = scenario.submitted()[2]
    scenario.ack(target)
    assert before is not None
    scenario.wait(59)
    assert len(scenario.canceled()) == 1
    scenario.wait(1)
    assert scenario.canceled()[-1] == target.client_order_id


def test_no_swap_begins_while_the_exchange_halts_the_instrument() -> None:
    scenario = held(enter(), script={1: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.0), 2: leave()})
    scenario.pipeline.execution.pause_waits(SPY, scenario.now_ts_ns)
    assert scenario.tick(104.0) is EMPTY_STEP
    scenario.bar(1, 104.0)
    assert (scenario.canceled(), refusals(scenario)) == ([], ["exchange_halt"])
    scenario.bar(2, 104.0)
    assert len(scenario.canceled()) == 1


# --- executions that are told after the end, or taken back ------------------------------------------------------------


def test_a_stop_that_fills_after_its_end_takes_a_sale_in_part_with_it() -> None:
    """What is open never exceeds what is held, whatever is told late: the smaller exit follows the larger one's end."""
    scenario = held(enter(target_distance=None), parts=("40", "10"), script={1: part(0.4)})
    _, first, second = scenario.submitted()
    scenario.bar(1)
    scenario.cancel(second)
    sale = scenario.submitted()[-1]
    scenario.fill(second, "98.50", "1")
    assert sale.client_order_id in scenario.canceled()
    scenario.cancel(first)
    assert shape(working(scenario)[1:]) == [("market", "10", "None"), ("market", "39", "None")]
    scenario.cancel(sale)
    assert shape(working(scenario)[1:]) == [("market", "39", "None"), ("market", "10", "None")]
    assert scenario.halts() == []
