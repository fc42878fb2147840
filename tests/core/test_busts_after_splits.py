"""Executions taken back after a split or a sale, and exits that sold too much: brackets hold what the books hold."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import BracketState, ExitStyle
from engine.core.messages import (
    BracketTransitioned,
    CancelOrder,
    ExecutionBusted,
    ShareSplit,
    Signal,
    SignalKind,
    Step,
    SubmitOrder,
)
from engine.core.risk.limits import Limits
from engine.core.values import ExecutionId, OrderType, Side
from engine.testing.scenario import SPY, STRATEGY, Scenario, enter, leave

STYLES = tuple(ExitStyle)
SCALE_IN = replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.5)


def holding(style: ExitStyle, *parts: tuple[str, str], script: dict[int, Signal] | None = None) -> Scenario:
    """Return a scenario whose first entry is filled in parts, each an execution and its quantity, and protected."""
    scenario = Scenario({0: enter(), **(script or {})}, exit_style=style, limits=Limits(duplicate_window_ns=0))
    scenario.bar(0)
    buy(scenario, scenario.submitted()[0], *parts)
    return scenario


def buy(scenario: Scenario, entry: SubmitOrder, *parts: tuple[str, str]) -> None:
    scenario.ack(entry)
    for execution, quantity in parts:
        scenario.fill(entry, "100.00", quantity, execution=execution)
    for order in working(scenario):
        scenario.ack(order)


def split(scenario: Scenario, new: int, old: int) -> None:
    """Split the shares, and let the venue confirm every cancel and accept what follows."""
    now = scenario.now_ts_ns = scenario.now_ts_ns + 10**9
    scenario.give(
        ShareSplit(
            venue_ts_ns=now, received_ts_ns=now, instrument_id=SPY, new_shares=new, old_shares=old, source="test"
        )
    )
    confirm(scenario)
    for order in working(scenario):
        scenario.ack(order)


def bust(scenario: Scenario, order: SubmitOrder, execution: str) -> Step:
    now = scenario.now_ts_ns = scenario.now_ts_ns + 10**9
    return scenario.give(
        ExecutionBusted(
            venue_ts_ns=now,
            received_ts_ns=now,
            client_order_id=order.client_order_id,
            execution_id=ExecutionId(execution),
            reason="test",
        )
    )


def confirm(scenario: Scenario) -> None:
    """Confirm every cancel that was asked for."""
    asked = set(scenario.canceled())
    for order in working(scenario):
        if order.client_order_id in asked:
            scenario.cancel(order)


def working(scenario: Scenario) -> list[SubmitOrder]:
    known = {order.client_order_id for order in scenario.pipeline.execution.open_orders()}
    return [order for order in scenario.submitted() if order.client_order_id in known]


def held(scenario: Scenario, *brackets: int) -> list[Decimal]:
    return [scenario.pipeline.execution.bracket(number).held for number in brackets]


def position(scenario: Scenario) -> Decimal:
    return scenario.pipeline.ledger.position(STRATEGY, SPY)


def sells(scenario: Scenario) -> list[Decimal]:
    return [order.quantity for order in working(scenario) if order.order_type is OrderType.MARKET]


def protecting(scenario: Scenario) -> list[Decimal]:
    kinds = (OrderType.MARKET, OrderType.STOP)
    return [order.quantity for order in working(scenario) if order.side is Side.SELL and order.order_type in kinds]


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize(("new", "old", "left"), [(2, 1, 120), (1, 2, 30), (3, 2, 90), (1, 7, 8)])
def test_what_is_left_after_the_bust_of_a_purchase_is_sold(style: ExitStyle, new: int, old: int, left: int) -> None:
    scenario = holding(style, ("x1", "60"), ("x2", "40"))
    split(scenario, new, old)
    bust(scenario, scenario.submitted()[0], "x2")
    assert held(scenario, 1) == [left]
    assert int(position(scenario)) == left
    confirm(scenario)
    assert sells(scenario) == [left]
    scenario.fill(working(scenario)[0], "50.00")
    assert scenario.pipeline.execution.bracket(1).state is BracketState.CLOSED
    assert position(scenario) < 1


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize(("new", "old", "left"), [(2, 1, 200), (1, 2, 50)])
def test_a_sale_before_the_split_is_taken_back_in_new_shares(style: ExitStyle, new: int, old: int, left: int) -> None:
    scenario = holding(style, ("x1", "100"), script={2: leave()})
    scenario.bar(2)
    confirm(scenario)
    (order,) = working(scenario)
    scenario.fill(order, "101.00", execution="sold")
    assert held(scenario, 1) == [0]
    split(scenario, new, old)
    bust(scenario, order, "sold")
    assert held(scenario, 1) == [left] == [position(scenario)]
    # The order works again, for what it has not sold; where that is more than is held it goes first.
    confirm(scenario)
    assert sum(sells(scenario)) == left
    bracket = scenario.pipeline.execution.bracket(1)
    assert bracket.exited >= 0


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_a_bust_after_cash_in_lieu_leaves_a_part_of_a_share(style: ExitStyle) -> None:
    scenario = holding(style, ("x1", "51"), script={2: SCALE_IN})
    scenario.cancel(scenario.submitted()[0])
    scenario.bar(2)
    buy(scenario, scenario.submitted()[-1], ("x2", "50"))
    split(scenario, 1, 2)
    assert held(scenario, 1, 2) == [25, 25]
    assert position(scenario) == 50
    # Neither waits without an exit for what the other's cancel has set free.
    assert sum(protecting(scenario)) == 50
    bust(scenario, scenario.submitted()[0], "x1")
    # The payment for half a share stays: 50 old shares are 25, less that half.
    assert position(scenario) == Decimal("24.5")
    assert held(scenario, 2) == [24]
    confirm(scenario)
    # A stop again, or a sale at market where the exit of the first bracket still had the shares reserved.
    assert sum(protecting(scenario)) == 24


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_a_bust_of_shares_that_were_sold_takes_them_from_the_other_bracket(style: ExitStyle) -> None:
    scenario = holding(style, ("x1", "60"), script={2: SCALE_IN})
    scenario.cancel(scenario.submitted()[0])
    scenario.bar(2)
    buy(scenario, scenario.submitted()[-1], ("x2", "100"))
    stop = scenario.submitted()[1]
    scenario.fill(stop, "98.50", execution="stopped")
    assert held(scenario, 1, 2) == [0, 100]
    bust(scenario, scenario.submitted()[0], "x1")
    assert position(scenario) == 40
    assert held(scenario, 2) == [40]
    confirm(scenario)
    stops = [order for order in working(scenario) if order.order_type is OrderType.STOP]
    assert sum(order.quantity for order in stops) == 40


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_an_exit_that_sells_too_much_takes_it_from_the_other_bracket(style: ExitStyle) -> None:
    scenario = holding(style, ("x1", "100"), script={2: SCALE_IN})
    scenario.bar(2)
    buy(scenario, scenario.submitted()[-1], ("x2", "50"))
    stop = scenario.submitted()[1]
    scenario.fill(stop, "98.50", execution="stopped")
    assert held(scenario, 1, 2) == [0, 50]
    # The venue has filled both linked legs, or more of the stop than was ordered.
    crossed = stop if style is ExitStyle.REST_STOP else scenario.submitted()[2]
    scenario.fill(crossed, "98.50", "20", execution="too much")
    assert position(scenario) == 30
    assert held(scenario, 2) == [30]
    confirm(scenario)
    assert [order.quantity for order in working(scenario) if order.order_type is OrderType.STOP] == [30]
    # The usual remedy: what was too much is taken back, and belongs to nobody's stop any more.
    for order in working(scenario):
        scenario.ack(order)
    bust(scenario, crossed, "too much")
    assert position(scenario) == 50
    assert held(scenario, 1, 2) == [20, 30]
    confirm(scenario)
    assert sum(protecting(scenario)) == 50


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_a_fill_after_exits_that_sold_too_much_is_protected_or_sold(style: ExitStyle) -> None:
    scenario = holding(style, ("x1", "100"), script={2: SCALE_IN})
    scenario.bar(2)
    entry = scenario.submitted()[-1]
    buy(scenario, entry, ("x2", "30"))
    first = len(scenario.submitted())
    stop, crossed = scenario.submitted()[first - 1], scenario.submitted()[first - 1]
    if style is ExitStyle.BOTH_LEGS:
        stop, crossed = scenario.submitted()[first - 2 : first]
    scenario.fill(stop, "98.50", execution="stopped")
    step = scenario.fill(crossed, "98.50", "20", execution="too much")
    assert "exits sold more than the bracket held" in str(step.facts)
    assert held(scenario, 1, 2) == [80, 0]
    scenario.fill(entry, "100.00", str(entry.quantity - 30), execution="x3")
    confirm(scenario)
    assert held(scenario, 1, 2) == [80, 20]
    assert sum(protecting(scenario)) == position(scenario) == 100


def test_a_stop_that_a_bust_lets_work_again_is_canceled_again_for_the_exit_that_waits() -> None:
    scenario = holding(ExitStyle.REST_STOP, ("x1", "100"), script={2: leave()})
    stop = scenario.submitted()[1]
    scenario.bar(2)
    scenario.fill(stop, "98.50", execution="raced")
    assert scenario.canceled() == [stop.client_order_id]
    step = bust(scenario, stop, "raced")
    assert [type(command) for command in step.commands] == [CancelOrder]
    confirm(scenario)
    assert sells(scenario) == [100]


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_exits_that_are_canceled_as_too_large_are_no_failures(style: ExitStyle) -> None:
    scenario = holding(style, ("x1", "100"), script={2: SCALE_IN, 3: leave()})
    scenario.bar(2)
    buy(scenario, scenario.submitted()[-1], ("x2", "50"))
    stop = scenario.submitted()[1]
    scenario.fill(stop, "98.50", execution="stopped")
    scenario.bar(3)
    confirm(scenario)
    for number in range(4):
        scenario.fill(stop, "98.50", "5", execution=f"too much {number}")
        confirm(scenario)
    assert sells(scenario) == [30] == held(scenario, 2)
    rows = [fact for fact in scenario.made(BracketTransitioned) if fact.bracket_id == 1]
    assert rows[-1].exited_quantity == rows[-1].entered_quantity == 100
