"""Circuit breakers: they trip at their limit, hold back entries only, survive a restart, and a human arms them."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.core.messages import (
    BreakerChanged,
    CancelOrder,
    DecisionMade,
    Draft,
    OrderTransitioned,
    OutcomeUnknown,
    Resume,
    Signal,
    TradingState,
    TradingStateChanged,
)
from engine.core.risk.breakers import Breaker, Breakers
from engine.core.risk.limits import BreakerAction, BreakerLimits, Limits
from engine.core.risk.states import ACCOUNT
from engine.testing.scenario import SPY, STRATEGY, Scenario, enter, leave

OFF = BreakerLimits(drawdown=None, consecutive_losses=None, errors=None, repeated_entries=None)


def limits(**changes: Any) -> Limits:
    return Limits(breakers=replace(OFF, **changes))


def lost(scenario: Scenario, minute: int, *, exit_price: str) -> None:
    """Play one round trip: bought at 100, sold by a market exit at a price."""
    scenario.bar(minute)
    entry = scenario.submitted()[-1]
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    stop, target = scenario.submitted()[-2:]
    scenario.ack(stop)
    scenario.ack(target)
    scenario.bar(minute + 1)
    scenario.cancel(stop)
    scenario.cancel(target)
    scenario.fill(scenario.submitted()[-1], exit_price)


def trades(count: int) -> dict[int, Signal]:
    return {
        minute: signal for turn in range(count) for minute, signal in ((4 * turn, enter()), (4 * turn + 1, leave()))
    }


def resume(scenario: Scenario, strategy_id: str | None = None, instrument_id: Any = None) -> None:
    times = {"venue_ts_ns": scenario.now_ts_ns, "received_ts_ns": scenario.now_ts_ns}
    scenario.give(
        Resume(**times, reason="looked", requested_by="me", strategy_id=strategy_id, instrument_id=instrument_id)
    )


def restored(scenario: Scenario, script: Mapping[int, Signal], its: Limits) -> list[Any]:
    """Return the facts of a fresh account that repeats every step of another."""
    again = Scenario(script, limits=its)
    facts = list(again.facts)
    for event in scenario.events[1:]:
        bars = [event.bar] if hasattr(event, "bar") else []
        facts += again.pipeline.restore(event, bars).facts
    return facts


def test_losses_in_a_row_stop_a_strategy_until_a_human_resumes_it() -> None:
    script, its = trades(6), limits(consecutive_losses=2)
    scenario = Scenario(script, limits=its)
    lost(scenario, 0, exit_price="99.00")
    assert not scenario.made(BreakerChanged)
    lost(scenario, 4, exit_price="99.00")
    (trip,) = scenario.made(BreakerChanged)
    assert (trip.breaker, trip.strategy_id, trip.instrument_id) == ("consecutive_losses", STRATEGY, None)
    assert (trip.from_state, trip.to_state, trip.value, trip.limit) == ("ARMED", "TRIPPED", 2, 2)
    assert trip.reason == "consecutive losses: 2 reached 2"
    (state,) = scenario.made(TradingStateChanged)
    assert (state.to_state, state.source) == (TradingState.REDUCING, "breaker:consecutive_losses")
    scenario.bar(8)
    decision = scenario.made(DecisionMade)[-1]
    assert (decision.approved, decision.reason) == (False, "reducing_only")
    assert {result.number for result in decision.checks if not result.passed} == {1, 23}
    # Another scope arms nothing.
    resume(scenario)
    assert len(scenario.made(BreakerChanged)) == 1
    resume(scenario, STRATEGY)
    assert scenario.made(BreakerChanged)[-1].to_state == "ARMED"
    assert scenario.made(BreakerChanged)[-1].source == "operator:me"
    # Counted anew: one more loss does not trip it again.
    lost(scenario, 12, exit_price="99.00")
    assert scenario.made(DecisionMade)[-1].approved
    assert scenario.made(BreakerChanged)[-1].to_state == "ARMED"
    assert restored(scenario, script, its) == scenario.facts


def test_a_gain_between_losses_counts_them_anew() -> None:
    scenario = Scenario(trades(3), limits=limits(consecutive_losses=2))
    for minute, price in ((0, "99.00"), (4, "101.00"), (8, "99.00")):
        lost(scenario, minute, exit_price=price)
    assert not scenario.made(BreakerChanged)


def test_a_drawdown_halts_the_account_when_it_happens_and_not_at_the_next_entry() -> None:
    """100 shares lose 5 % of 10,000: half a per cent of the account, at the close of a bar."""
    script, its = {0: enter()}, limits(drawdown=Decimal("0.005"))
    scenario = Scenario(script, limits=its)
    scenario.bar(0)
    entry = scenario.submitted()[-1]
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    scenario.bar(1, close=95.01)
    assert not scenario.made(BreakerChanged)
    step = scenario.bar(2, close=95.0)
    assert [fact.breaker for fact in step.facts if isinstance(fact, BreakerChanged)] == ["drawdown"]
    assert scenario.made(TradingStateChanged)[-1].to_state is TradingState.HALTED
    scenario.bar(3, close=94.0)
    assert len(scenario.made(BreakerChanged)) == 1, "tripped once is tripped"
    resume(scenario)
    scenario.bar(4, close=94.0)
    assert [fact.to_state for fact in scenario.made(BreakerChanged)] == ["TRIPPED", "ARMED"], "from this equity on"
    assert restored(scenario, script, its) == scenario.facts


def test_a_drawdown_is_reckoned_from_the_peak_and_not_from_the_start() -> None:
    scenario = Scenario({0: enter(target_distance=None)}, limits=limits(drawdown=Decimal("0.005")))
    scenario.bar(0)
    scenario.fill(scenario.submitted()[-1], "100.00")
    scenario.bar(1, close=110.0)
    scenario.bar(2, close=104.95)
    # From 101,000 to 100,495: half a per cent, with a gain since the start.
    assert [fact.breaker for fact in scenario.made(BreakerChanged)] == ["drawdown"]


def test_a_halting_breaker_cancels_working_entries() -> None:
    scenario = Scenario({0: enter(limit=99.0)}, limits=limits(errors=1))
    scenario.bar(0)
    entry = scenario.submitted()[-1]
    # An outcome that becomes unknown is an error too.
    step = scenario.give(
        OutcomeUnknown(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=entry.client_order_id,
            reason="reset",
        )
    )
    assert [fact.breaker for fact in step.facts if isinstance(fact, BreakerChanged)] == ["error_rate"]
    assert any(isinstance(command, CancelOrder) for command in step.commands)


def test_errors_count_inside_their_window_only() -> None:
    minute = 60 * 10**9
    scenario = Scenario(
        {minute: enter() for minute in range(0, 40, 2)}, limits=limits(errors=3, errors_window_ns=5 * minute)
    )
    for number in (0, 2, 8, 10):
        scenario.bar(number)
        scenario.reject(scenario.submitted()[-1])
    assert not scenario.made(BreakerChanged)
    scenario.bar(12)
    scenario.reject(scenario.submitted()[-1])
    (trip,) = scenario.made(BreakerChanged)
    assert (trip.breaker, trip.value) == ("error_rate", 3)
    assert scenario.made(OrderTransitioned)[-1].to_state == "REJECTED"
    scenario.bar(14)
    assert scenario.made(DecisionMade)[-1].reason == "halted"


def test_repeated_entries_disable_the_strategy_there_until_a_human_looks() -> None:
    """RTS 6 art. 15(3): the entry beyond the limit is refused, and trips."""
    script = {minute: enter() for minute in range(0, 40, 2)}
    its = limits(repeated_entries=2)
    scenario = Scenario(script, limits=its)
    for minute in (0, 2):
        scenario.bar(minute)
        assert scenario.made(DecisionMade)[-1].approved
        scenario.cancel(scenario.submitted()[-1])
    scenario.bar(4)
    assert scenario.made(DecisionMade)[-1].reason == "repeated_executions"
    (trip,) = scenario.made(BreakerChanged)
    assert (trip.breaker, trip.strategy_id, trip.instrument_id) == ("repeated_executions", STRATEGY, SPY)
    # The window is over, and it is still disabled.
    scenario.bar(30)
    assert scenario.made(DecisionMade)[-1].reason == "reducing_only"
    resume(scenario, STRATEGY, SPY)
    scenario.bar(32)
    assert scenario.made(DecisionMade)[-1].approved
    assert restored(scenario, script, its) == scenario.facts


def test_the_daily_loss_ends_entries_for_the_session_though_equity_recovers() -> None:
    day = 1440
    script = {0: enter(), 3: enter(), day: enter()}
    its = replace(limits(), daily_loss_cap=Decimal("0.005"), max_position_fraction=Decimal(1))
    scenario = Scenario(script, limits=its)
    scenario.bar(0)
    entry = scenario.submitted()[-1]
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    for order in scenario.submitted()[-2:]:
        scenario.ack(order)
    scenario.bar(1, close=95.0)
    assert [fact.breaker for fact in scenario.made(BreakerChanged)] == ["daily_loss"]
    assert not scenario.made(TradingStateChanged), "the check is enough: no human is needed for tomorrow"
    scenario.bar(2, close=100.0)
    scenario.bar(3, close=100.0)
    refused = scenario.made(DecisionMade)[-1]
    assert (refused.approved, refused.reason) == (False, "breaker_tripped")
    scenario.bar(day, close=100.0)
    armed = scenario.made(BreakerChanged)[-1]
    assert (armed.to_state, armed.trigger, armed.source) == ("ARMED", "session_began", "session")
    assert "breaker_tripped" not in {result.reason for result in scenario.made(DecisionMade)[-1].checks}


def test_the_daily_loss_may_wait_for_a_human() -> None:
    its = replace(
        limits(daily_loss_ends_with_session=False, daily_loss_action=BreakerAction.HALTED),
        daily_loss_cap=Decimal("0.005"),
    )
    scenario = Scenario({0: enter(), 1440: enter()}, limits=its)
    scenario.bar(0)
    scenario.fill(scenario.submitted()[-1], "100.00")
    scenario.bar(1, close=95.0)
    assert scenario.made(TradingStateChanged)[-1].to_state is TradingState.HALTED
    scenario.bar(1440, close=95.0)
    assert scenario.made(DecisionMade)[-1].reason == "halted"
    resume(scenario)
    assert scenario.made(BreakerChanged)[-1].to_state == "ARMED"


def test_money_that_comes_or_goes_is_neither_gain_nor_loss() -> None:
    breakers = Breakers(limits(drawdown=Decimal("0.10")))
    draft = Draft(1)
    breakers.fund(Decimal(1_000))
    assert breakers.watch_equity(Decimal(1_000), draft) == []
    breakers.start_session(Decimal(1_000), draft)
    breakers.fund(Decimal(-500))
    assert breakers.watch_equity(Decimal(500), draft) == []
    (trip,) = [each for each in breakers.watch_equity(Decimal(450), draft) if each.breaker is Breaker.DRAWDOWN]
    assert (trip.scope, trip.reason) == (ACCOUNT, "drawdown: 0.1 reached 0.1")


def test_what_is_turned_off_never_trips() -> None:
    breakers, draft = Breakers(replace(limits(), daily_loss_cap=Decimal(1))), Draft(1)
    breakers.fund(Decimal(1_000))
    breakers.start_session(Decimal(1_000), draft)
    assert breakers.watch_equity(Decimal(1), draft) == []
    assert [breakers.error(draft) for _ in range(100)] == [[]] * 100
    assert [breakers.round_trip(STRATEGY, Decimal(-1), draft) for _ in range(100)] == [[]] * 100
    assert breakers.repeated((STRATEGY, SPY), 10**6, draft) == []
    assert draft.facts == []
