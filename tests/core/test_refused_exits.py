"""What follows when the gate refuses an exit: what is held gets as much of a stop, or a way out, as the books allow."""

from decimal import Decimal

import pytest

from engine.core.execution.bracket_table import BracketState, ExitStyle
from engine.core.ledger import record
from engine.core.messages import AdjustmentKind, Draft, PositionCorrected, Signal, SignalKind, TradingStateChanged
from engine.core.values import OrderType
from engine.testing.scenario import SPY, STRATEGY, Scenario, enter, leave


def holding(known: int, script: dict[int, Signal] | None = None) -> Scenario:
    """Return a scenario whose bracket holds 100 with a stop that works, and whose books know of so many only."""
    scenario = Scenario({0: enter(), **(script or {})}, exit_style=ExitStyle.REST_STOP)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    scenario.ack(scenario.submitted()[1])
    now = scenario.now_ts_ns
    event = PositionCorrected(
        venue_ts_ns=now,
        received_ts_ns=now,
        strategy_id=STRATEGY,
        instrument_id=SPY,
        quantity=Decimal(known - 100),
        cost=Decimal(0),
        kind=AdjustmentKind.CORRECTION,
        source="test",
    )
    # Past execution: the bracket does not learn of it.
    record(scenario.pipeline.ledger, event, Draft(now))
    return scenario


def sent(scenario: Scenario) -> list[tuple[OrderType, int]]:
    """Return what was sent after the entry and its first stop."""
    return [(order.order_type, int(order.quantity)) for order in scenario.submitted()[2:]]


def halts(scenario: Scenario) -> list[str]:
    return [fact.reason for fact in scenario.made(TradingStateChanged)]


def test_a_refused_target_brings_the_stop_back() -> None:
    """I-14: what is held is not left without a stop because its target may not be sent."""
    scenario = holding(40)
    scenario.tick(103.0)
    scenario.cancel(scenario.submitted()[1])
    assert sent(scenario) == [(OrderType.STOP, 40)]
    assert halts(scenario) == ["the gate refused the target of an open position"]
    scenario.ack(scenario.submitted()[-1])
    assert scenario.pipeline.execution.bracket(1).state is BracketState.PROTECTED


def test_a_refused_stop_is_left_at_market() -> None:
    scenario = holding(40, {1: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.0, reason="script")})
    scenario.bar(1)
    scenario.cancel(scenario.submitted()[1])
    assert sent(scenario) == [(OrderType.MARKET, 40)]
    assert halts(scenario)[0] == "the gate refused the stop of an open position"
    scenario.fill(scenario.submitted()[-1], "100.00")
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 0


def test_a_refused_exit_sells_what_is_there() -> None:
    scenario = holding(40, {1: leave()})
    scenario.bar(1)
    scenario.cancel(scenario.submitted()[1])
    assert sent(scenario) == [(OrderType.MARKET, 40)]
    assert halts(scenario) == ["the gate refused the exit of an open position"]


def test_a_refused_sale_in_part_brings_the_stop_back() -> None:
    scenario = holding(40, {1: Signal(kind=SignalKind.SCALE_OUT, fraction=1.0, reason="script")})
    scenario.bar(1)
    scenario.cancel(scenario.submitted()[1])
    assert sent(scenario) == [(OrderType.STOP, 40)]
    assert halts(scenario) == ["the gate refused the exit of an open position"]


@pytest.mark.parametrize("price", [103.0, 100.0])
def test_where_nothing_is_held_nothing_is_sent(price: float) -> None:
    scenario = holding(0, {1: leave()})
    scenario.tick(price)
    if price == 100.0:
        scenario.bar(1)
    scenario.cancel(scenario.submitted()[1])
    assert sent(scenario) == []
    assert halts(scenario)
