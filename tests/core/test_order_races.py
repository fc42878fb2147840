"""Single lives that once went wrong: each shows one race or silence and what has to come of it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import BracketState
from engine.core.execution.order_table import OrderState
from engine.core.messages import (
    BracketTransitioned,
    CancelRejected,
    DecisionMade,
    Event,
    ExecutionBusted,
    Flatten,
    Kill,
    OrderAwaitingApproval,
    OrderFilled,
    Resume,
    Signal,
    SubmitOrder,
)
from engine.core.risk.limits import Limits
from engine.core.values import MINUTE_NS, ExecutionId, OrderType, Side
from engine.testing.scenario import DAY_NS, OPEN_TS_NS, Scenario, enter, leave


def bought(*parts: str, script: dict[int, Signal] | None = None, limits: Limits | None = None) -> Scenario:
    """Return a scenario with an entry of 100 shares that was filled in parts: executions `x-1`, `x-2` and so on."""
    scenario = Scenario({0: enter(), **(script or {})}, limits=limits)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    for number, part in enumerate(parts, start=1):
        scenario.fill(entry, "100.00", part, execution=f"x-{number}")
    return scenario


def told(scenario: Scenario, kind: Callable[..., Event], **fields: object) -> Event:
    return kind(venue_ts_ns=scenario.now_ts_ns, received_ts_ns=scenario.now_ts_ns, **fields)


def bust(scenario: Scenario, order: SubmitOrder, execution: str) -> None:
    scenario.give(
        told(
            scenario,
            ExecutionBusted,
            client_order_id=order.client_order_id,
            execution_id=ExecutionId(execution),
            reason="erroneous",
        )
    )


def test_an_entry_that_filled_in_part_ends_with_its_session() -> None:
    """The rest of a day order is canceled although its bracket is long protected."""
    scenario = bought("40")
    entry, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    scenario.wait(390 * 60 - 1)
    assert scenario.canceled() == []
    scenario.wait(3600)
    assert scenario.canceled() == [entry.client_order_id]
    for _ in range(3):
        scenario.wait(600)
    assert "left 3 questions unanswered" in scenario.halts()[0]


def test_a_late_acknowledgement_does_not_save_an_orphan() -> None:
    """I-15: the target's old acknowledgement arrives after the stop has sold; its cancel is still owed."""
    scenario = bought("100")
    _, stop, target = scenario.submitted()
    scenario.fill(stop, "98.50")
    scenario.ack(target)
    scenario.wait(30)
    assert scenario.canceled() == [target.client_order_id]


def test_the_sibling_of_a_filled_leg_is_canceled_while_other_pairs_live() -> None:
    scenario = bought("40", "60")
    _, stop, target, *_ = scenario.submitted()
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    scenario.fill(stop, "98.50")
    scenario.wait(30)
    assert scenario.canceled() == [target.client_order_id]


def test_no_entry_while_a_leg_of_a_closed_bracket_could_still_sell() -> None:
    """I-12: the stop of a second position would make two sells out of one."""
    scenario = bought("100", script={1: enter(), 2: enter()}, limits=Limits(duplicate_window_ns=0))
    _, stop, target = scenario.submitted()
    scenario.fill(stop, "98.50")
    scenario.bar(1)
    assert scenario.made(DecisionMade)[-1].reason == "exits_exceed_position"
    scenario.cancel(target)
    scenario.bar(2)
    assert scenario.made(DecisionMade)[-1].approved


def test_flatten_cancels_what_a_closed_bracket_left_over() -> None:
    scenario = bought("100")
    _, stop, target = scenario.submitted()
    scenario.fill(stop, "98.50")
    scenario.give(told(scenario, Flatten, reason="out", requested_by="owner"))
    assert scenario.canceled() == [target.client_order_id]


def test_a_busted_entry_takes_its_exits_with_it() -> None:
    """I-12: what the stop was to sell was never bought."""
    scenario = bought("100")
    entry, stop, target = scenario.submitted()
    scenario.ack(stop)
    bust(scenario, entry, "x-1")
    assert set(scenario.canceled()) == {entry.client_order_id, stop.client_order_id, target.client_order_id}
    for order in (entry, stop, target):
        scenario.cancel(order)
    assert scenario.pipeline.execution.open_brackets() == []
    assert scenario.pipeline.execution.bracket(1).state is BracketState.CLOSED


def test_an_exit_that_ends_twice_over_is_no_bug() -> None:
    """The venue takes an exit's execution back and then ends the exit: EXIT_ENDED finds UNPROTECTED."""
    scenario = bought("100", script={5: leave()})
    scenario.bar(5)
    for order in scenario.submitted()[1:3]:
        scenario.cancel(order)
    exit_order = scenario.submitted()[3]
    scenario.fill(exit_order, "99.00", "50", execution="y-1")
    bust(scenario, exit_order, "y-1")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.EXITING
    scenario.cancel(exit_order)
    assert scenario.submitted()[4].quantity == Decimal(100)


def test_exits_that_end_after_the_attempts_are_used_up_are_no_bug() -> None:
    scenario = bought("60", script={5: leave()})
    entry = scenario.submitted()[0]
    scenario.bar(5)
    for order in scenario.submitted()[1:3]:
        scenario.cancel(order)
    scenario.fill(entry, "100.00", "40", execution="x-2")
    first, second = scenario.submitted()[3:5]
    scenario.reject(first)
    third = scenario.submitted()[5]
    scenario.reject(third)
    scenario.reject(second)
    assert "market exits ended unfilled" in scenario.halts()[0]
    assert scenario.pipeline.execution.bracket(1).state is BracketState.UNPROTECTED


def test_a_stop_in_doubt_again_is_waited_for_and_left_at_market() -> None:
    """I-13: a stop that waits for a human protects nothing."""
    scenario = bought("100")
    _, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED
    scenario.give(told(scenario, OrderAwaitingApproval, client_order_id=stop.client_order_id))
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTING
    scenario.wait(60)
    assert set(scenario.canceled()) >= {stop.client_order_id, target.client_order_id}


def test_a_left_over_stop_covers_nothing() -> None:
    """The first pair is done: its stop, about to be canceled, is no protection for the second."""
    scenario = bought("50", "50")
    _, first_stop, first_target, second_stop, _ = scenario.submitted()
    scenario.ack(first_stop)
    scenario.fill(first_target, "103.00")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTING
    scenario.ack(second_stop)
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED


def test_a_pair_that_is_sold_before_its_stop_was_acknowledged_needs_none() -> None:
    scenario = bought("50", "50")
    _, first_stop, _, _, second_target = scenario.submitted()
    scenario.ack(first_stop)
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTING
    scenario.fill(second_target, "103.00")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED


def test_every_reason_of_a_halt_is_told() -> None:
    """A kill that came first must not swallow what the engine found out later."""
    scenario = bought("100")
    scenario.give(told(scenario, Kill, reason="panic", requested_by="owner"))
    stranger = told(
        scenario,
        OrderFilled,
        client_order_id="stranger",
        execution_id=ExecutionId("s-1"),
        price=Decimal(1),
        quantity=Decimal(1),
        fee=Decimal(0),
    )
    scenario.give(stranger)
    scenario.give(stranger)
    assert [reason.partition(",")[0] for reason in scenario.halts()] == ["panic", "the venue reports order stranger"]
    scenario.give(told(scenario, Resume, reason="seen", requested_by="owner"))
    scenario.give(told(scenario, Kill, reason="panic", requested_by="owner"))
    assert scenario.halts()[-1] == "panic"


def test_a_refused_cancel_leaves_the_order_to_its_own_reports() -> None:
    scenario = bought("100", script={1: leave()})
    stop = scenario.submitted()[1]
    scenario.ack(stop)
    scenario.bar(1)
    scenario.give(told(scenario, CancelRejected, client_order_id=stop.client_order_id, reason="too late"))
    order = scenario.pipeline.execution.order(stop.client_order_id)
    assert order is not None
    assert order.state is OrderState.ACK
    scenario.fill(stop, "98.50")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.CLOSED


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0, 0.0, 1e-9, 1e300])
def test_a_limit_that_is_no_price_is_refused_not_raised(limit: float) -> None:
    """I-26: what a strategy gets wrong is a decision row, not a crash."""
    scenario = Scenario({0: enter(limit=limit)})
    scenario.bar(0)
    (decision,) = scenario.made(DecisionMade)
    assert (decision.approved, scenario.submitted()) == (False, [])
    assert decision.reason in {"price_out_of_range", "not_a_tick_multiple"}


@pytest.mark.parametrize("order_type", [OrderType.MARKET, OrderType.LIMIT])
def test_an_entry_that_sells_is_refused_not_raised(order_type: OrderType) -> None:
    limit = 101.0 if order_type is OrderType.LIMIT else None
    scenario = Scenario({0: replace(enter(limit=limit), side=Side.SELL)})
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "wrong_side"


@pytest.mark.parametrize("distance", [float("nan"), float("inf"), 0.0, -1.0, 1e300])
def test_a_target_that_no_price_can_meet_is_refused_before_the_fill_needs_it(distance: float) -> None:
    scenario = Scenario({0: enter(target_distance=distance)})
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "bad_target_distance"


def test_waits_pause_while_the_exchange_is_closed() -> None:
    """An exit decided a minute before the close has its time from the next open on, not over the night."""
    scenario = Scenario({0: enter(), 388: leave()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    _, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    scenario.bar(388)
    scenario.cancel(stop)
    scenario.cancel(target)
    exit_order = scenario.submitted()[-1]
    scenario.ack(exit_order)
    state = scenario.made(BracketTransitioned)[-1]
    assert state.to_state == "EXITING"
    # Ten minutes: one before the close, nine after the next open.
    assert state.deadline_ts_ns == OPEN_TS_NS + DAY_NS + 9 * MINUTE_NS


def test_the_end_of_a_leg_whose_pair_is_done_is_no_loss_of_protection() -> None:
    """Target 1 fills and the venue cancels its linked stop: pair 2 goes on as it was."""
    scenario = bought("40", "60")
    _, first_stop, first_target, second_stop, second_target = scenario.submitted()
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    scenario.fill(first_target, "103.00")
    scenario.cancel(first_stop)
    assert (scenario.canceled(), len(scenario.submitted())) == ([], 5)
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED
    scenario.fill(second_target, "103.00")
    scenario.cancel(second_stop)
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "target"
    assert scenario.pipeline.execution.open_brackets() == []


def test_the_end_of_a_living_stop_is_a_loss_of_protection() -> None:
    scenario = bought("40", "60")
    _, first_stop, first_target, second_stop, second_target = scenario.submitted()
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    scenario.fill(first_target, "103.00")
    scenario.cancel(second_stop)
    assert (scenario.canceled(), scenario.pipeline.execution.bracket(1).state) == ([], BracketState.UNPROTECTED)
    scenario.wait(2)
    assert set(scenario.canceled()) == {first_stop.client_order_id, second_target.client_order_id}
    scenario.cancel(first_stop)
    scenario.cancel(second_target)
    assert scenario.submitted()[-1].order_type is OrderType.MARKET


def test_a_linked_stop_that_ends_before_the_fill_of_its_target_is_told_is_no_reason_to_leave() -> None:
    """Two reports of one moment, in the other order."""
    scenario = bought("100")
    _, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    scenario.cancel(stop)
    scenario.wait(1)
    scenario.fill(target, "103.00")
    assert (scenario.canceled(), scenario.made(BracketTransitioned)[-1].exit_reason) == ([], "target")


def test_a_linked_stop_that_the_venue_rejects_is_left_at_once() -> None:
    scenario = bought("100")
    _, stop, target = scenario.submitted()
    scenario.ack(target)
    scenario.reject(stop)
    assert scenario.canceled() == [target.client_order_id]


def test_a_target_that_filled_in_part_leaves_room_for_the_next_stop() -> None:
    """A venue lowers both linked legs by a part: stop 1 can sell 30, although 40 is written on it."""
    scenario = bought("40")
    entry, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    scenario.fill(target, "103.00", "10")
    assert scenario.pipeline.execution.bracket(1).outstanding() == Decimal(30)
    scenario.fill(entry, "100.00", "60")
    assert all(decision.approved for decision in scenario.made(DecisionMade))
    assert (scenario.halts(), scenario.submitted()[3].quantity) == ([], Decimal(60))
    assert scenario.pipeline.execution.bracket(1).outstanding() == Decimal(90)


def test_a_stop_covers_only_what_its_pair_has_left() -> None:
    """40 is written on stop 1, but its pair can sell only 10 more: the 10 of pair 2 wait for their own stop."""
    scenario = bought("40", "10")
    _, first_stop, first_target, second_stop, _ = scenario.submitted()
    scenario.ack(first_stop)
    scenario.fill(first_target, "103.00", "30")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTING
    scenario.ack(second_stop)
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED


def leaving(attempts: int) -> Scenario:
    """Return a scenario that leaves at market and whose first exits expired, so many."""
    scenario = bought("100", script={1: leave(), 2: leave(), 3: leave()})
    _, stop, target = scenario.submitted()
    scenario.bar(1)
    scenario.cancel(stop)
    scenario.cancel(target)
    for _ in range(attempts):
        scenario.expire(scenario.submitted()[-1])
    return scenario


def test_an_old_exit_that_ends_again_moves_nothing_while_a_newer_one_works() -> None:
    scenario = leaving(2)
    scenario.ack(scenario.submitted()[-1])
    known = len(scenario.facts)
    scenario.expire(scenario.submitted()[3])
    assert (scenario.facts[known:], scenario.halts()) == ([], [])
    assert scenario.pipeline.execution.bracket(1).state is BracketState.EXITING


def test_a_stop_that_is_reported_filled_again_moves_nothing() -> None:
    """The fill of stop 1, told twice, says nothing about pair 2."""
    scenario = bought("40", "60")
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    stop = scenario.submitted()[1]
    scenario.fill(stop, "98.50", execution="y-1")
    known = len(scenario.facts)
    scenario.fill(stop, "98.50", execution="y-1")
    assert (scenario.facts[known:], scenario.canceled()) == ([], [])


def test_further_signals_to_leave_send_no_more_exits_than_may_be_attempted() -> None:
    scenario = leaving(3)
    reason = "3 market exits ended unfilled (EXPIRED): close the position by hand"
    assert scenario.halts() == [reason]
    scenario.bar(2)
    scenario.wait(600)
    scenario.bar(3)
    assert (len(scenario.submitted()), scenario.halts()) == (6, [reason])


def test_an_operator_who_wants_out_gets_new_attempts() -> None:
    scenario = leaving(3)
    scenario.give(told(scenario, Flatten, reason="out", requested_by="owner"))
    assert len(scenario.submitted()) == 7
    scenario.fill(scenario.submitted()[-1], "99.00")
    assert scenario.pipeline.execution.open_brackets() == []


def test_a_limit_above_the_last_price_is_costed_and_reserved_at_the_limit() -> None:
    """What is approved can be paid even where the whole entry fills at its limit."""
    limits = Limits(
        risk_fraction=Decimal(1),
        max_notional_fraction=Decimal(1),
        max_position_fraction=Decimal(1),
        max_gross_exposure_fraction=Decimal(1),
        max_open_entries_per_instrument=2,
    )
    scenario = Scenario({0: enter(limit=104.0), 1: enter(limit=103.0)}, limits=limits)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    assert entry.quantity == Decimal(961)
    scenario.ack(entry)
    scenario.bar(1)
    power = next(result for result in scenario.made(DecisionMade)[1].checks if result.name == "buying_power")
    assert (power.passed, power.limit) == (False, Decimal(100_000) - 961 * Decimal(104))
    scenario.fill(entry, "104.00")
    assert scenario.pipeline.ledger.cash == Decimal(100_000) - 961 * Decimal(104)


def test_a_stop_is_not_refused_for_a_leg_that_only_waits_for_its_cancel() -> None:
    """The entry fills on between the fill of target 1 and the end of stop 1, which its link keeps from selling."""
    scenario = bought("40")
    entry, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    scenario.fill(target, "103.00", "30")
    scenario.fill(entry, "100.00", "30")
    scenario.fill(target, "103.00", "10")
    scenario.fill(entry, "100.00", "30")
    scenario.cancel(stop)
    assert all(decision.approved for decision in scenario.made(DecisionMade))
    assert (scenario.halts(), scenario.canceled()) == ([], [])
