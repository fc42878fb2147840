"""The decision path by hand: a scripted strategy, and reports in every order that a broker may send them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.messages import (
    EMPTY_STEP,
    BarClosed,
    BracketTransitioned,
    DecisionMade,
    EquityMarked,
    ExecutionBusted,
    Flatten,
    InputsRefused,
    Kill,
    OrderFilled,
    OrderTransitioned,
    OutcomeUnknown,
    Pause,
    PositionChanged,
    QueryOrder,
    Resume,
    Signal,
    SubmitOrder,
    TimeAdvanced,
    TradeBooked,
    TradingState,
    TradingStateChanged,
)
from engine.core.risk.limits import Limits
from engine.core.values import ClientOrderId, ExecutionId, Leg, OrderType, Side, TimeInForce
from engine.testing.scenario import SPY, Scenario, enter, leave


def entered(script: dict[int, Signal] | None = None) -> tuple[Scenario, SubmitOrder, SubmitOrder, SubmitOrder]:
    """Return a scenario with 33 shares bought at 100, and its entry, stop and target (all acknowledged)."""
    scenario = Scenario({0: enter(), **(script or {})})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    _, stop, target = scenario.submitted()
    scenario.ack(stop)
    scenario.ack(target)
    return scenario, entry, stop, target


def bracket_states(scenario: Scenario) -> list[str]:
    return [fact.to_state for fact in scenario.made(BracketTransitioned)]


def test_entry_is_sized_by_the_gate() -> None:
    """floor(min(0.005 x 100,000 / 1.5, 0.10 x 100,000 / 100)) = floor(min(333.3, 100)) = 100."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    assert (entry.side, entry.order_type, entry.quantity) == (Side.BUY, OrderType.MARKET, Decimal(100))
    assert entry.time_in_force is TimeInForce.DAY
    (decision,) = scenario.made(DecisionMade)
    assert decision.approved
    assert [check.number for check in decision.checks] == list(range(1, 28))


def test_a_wide_stop_makes_a_small_position() -> None:
    scenario = Scenario({0: enter(stop_distance=30.0)})
    scenario.bar(0)
    assert scenario.submitted()[0].quantity == Decimal(16)


def test_a_stop_so_wide_that_not_one_share_fits_is_refused() -> None:
    scenario = Scenario({0: enter(stop_distance=90.0)}, limits=Limits(risk_fraction=Decimal("0.0005")))
    scenario.bar(0)
    assert scenario.submitted() == []
    assert scenario.made(DecisionMade)[0].reason == "quantity_below_lot"


def test_stop_and_target_are_written_in_the_step_of_the_fill() -> None:
    """I-13: the stop's intent belongs to the same transaction as the fill that needs it."""
    scenario = Scenario({0: enter(stop_distance=1.234, target_distance=2.345)})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    step = scenario.fill(entry, "100.005")
    stop, target = [command for command in step.commands if isinstance(command, SubmitOrder)]
    assert (stop.order_type, stop.stop_price, stop.limit_price) == (OrderType.STOP, Decimal("98.77"), None)
    assert (target.order_type, target.limit_price) == (OrderType.LIMIT, Decimal("102.35"))
    assert stop.link == target.link == stop.client_order_id
    assert stop.quantity == target.quantity == entry.quantity
    assert any(isinstance(fact, TradeBooked) for fact in step.facts)


def test_the_bracket_is_protected_when_the_stop_is_acknowledged() -> None:
    scenario, *_ = entered()
    assert bracket_states(scenario) == ["UNPROTECTED", "PROTECTING", "PROTECTED"]


def test_a_stop_closes_the_position_and_the_books_balance() -> None:
    scenario, _, stop, target = entered()
    scenario.fill(stop, "98.50")
    scenario.cancel(target)
    assert bracket_states(scenario)[-1] == "CLOSED"
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"
    assert scenario.pipeline.ledger.cash == Decimal(100_000) - Decimal("150.00")
    assert scenario.made(PositionChanged)[-1].quantity == 0
    assert scenario.made(PositionChanged)[-1].realized_pnl == Decimal("-150.00")


def test_equity_is_written_only_where_it_changed() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    scenario.bar(1, 101.0)
    assert [fact.equity for fact in scenario.made(EquityMarked)] == [Decimal(100_000)]
    scenario.fill(scenario.submitted()[0], "101.00")
    scenario.bar(2, 101.5)
    scenario.bar(3, 101.5)
    assert [fact.equity for fact in scenario.made(EquityMarked)] == [Decimal(100_000), Decimal(100_050)]


def test_the_fill_may_come_before_the_acknowledgement() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    scenario.ack(entry)
    assert len(scenario.submitted()) == 3
    assert [fact.to_state for fact in scenario.made(OrderTransitioned)] == ["FILLED"]


def test_an_execution_counts_once() -> None:
    """I-7: the same execution id again is no news at all."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00", execution="x-1")
    assert scenario.fill(entry, "100.00", execution="x-1") is EMPTY_STEP
    assert len(scenario.made(TradeBooked)) == 1


def test_every_part_of_a_fill_gets_its_own_pair() -> None:
    """One stop per entry execution, so that nothing already protected is touched."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00", "40")
    scenario.fill(entry, "101.00", "60")
    stops = [order for order in scenario.submitted() if order.order_type is OrderType.STOP]
    assert [(stop.quantity, stop.stop_price) for stop in stops] == [
        (Decimal(40), Decimal("98.50")),
        (Decimal(60), Decimal("99.50")),
    ]
    assert stops[0].link != stops[1].link
    assert all(decision.approved for decision in scenario.made(DecisionMade))


def test_the_time_exit_cancels_both_legs_before_it_sells() -> None:
    """I-14: swap, not overlap."""
    scenario, _, stop, target = entered({5: leave()})
    scenario.bar(5)
    assert set(scenario.canceled()) == {stop.client_order_id, target.client_order_id}
    assert len(scenario.submitted()) == 3
    scenario.cancel(stop)
    assert len(scenario.submitted()) == 3
    scenario.cancel(target)
    exit_order = scenario.submitted()[3]
    assert (exit_order.side, exit_order.order_type, exit_order.quantity) == (Side.SELL, OrderType.MARKET, Decimal(100))
    scenario.fill(exit_order, "100.10")
    assert bracket_states(scenario)[-3:] == ["SWAPPING", "EXITING", "CLOSED"]
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "time"


def test_a_leg_that_fills_during_the_swap_leaves_nothing_to_sell() -> None:
    scenario, _, stop, target = entered({5: leave()})
    scenario.bar(5)
    scenario.fill(stop, "98.50")
    scenario.cancel(target)
    assert len(scenario.submitted()) == 3
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"
    assert scenario.made(PositionChanged)[-1].quantity == 0


def test_a_refused_stop_leaves_at_market() -> None:
    """A sell stop at or through the market is refused: exit at once instead."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    _, stop, target = scenario.submitted()
    scenario.reject(stop)
    assert scenario.canceled() == [target.client_order_id]
    scenario.cancel(target)
    exit_order = scenario.submitted()[3]
    assert (exit_order.order_type, exit_order.quantity) == (OrderType.MARKET, Decimal(100))
    scenario.fill(exit_order, "98.00")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "stop"


def test_a_stop_that_is_never_acknowledged_is_left_at_market_in_time() -> None:
    """I-13: exposure without a working stop is bounded."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    _, stop, target = scenario.submitted()
    scenario.wait(59)
    assert scenario.canceled() == []
    scenario.wait(1)
    assert set(scenario.canceled()) == {stop.client_order_id, target.client_order_id}


def test_silence_makes_an_order_unknown_and_asks_about_it() -> None:
    """I-4: no local timer makes a terminal state."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    step = scenario.wait(30)
    assert [fact.to_state for fact in scenario.made(OrderTransitioned)] == ["UNKNOWN"]
    assert [command.client_order_id for command in step.commands if isinstance(command, QueryOrder)] == [
        entry.client_order_id
    ]
    scenario.fill(entry, "100.00")
    assert len(scenario.submitted()) == 3


def test_an_unknown_entry_blocks_the_next_one() -> None:
    scenario = Scenario({0: enter(), 1: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.give(
        OutcomeUnknown(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=entry.client_order_id,
            reason="timeout",
        )
    )
    scenario.bar(1)
    assert len(scenario.submitted()) == 1
    assert scenario.made(DecisionMade)[1].reason == "open_entries"


def test_an_entry_that_ends_unfilled_aborts_its_bracket() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    scenario.expire(scenario.submitted()[0])
    assert bracket_states(scenario) == ["ABORTED"]
    scenario.bar(1)
    assert scenario.strategy.was_flat[1]


def test_a_fill_after_the_cancel_is_protected() -> None:
    """I-9: the entry's execution comes after its end, and needs a stop all the same."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.cancel(entry)
    scenario.fill(entry, "100.00")
    assert [order.order_type for order in scenario.submitted()[1:]] == [OrderType.STOP, OrderType.LIMIT]


def test_a_report_about_a_foreign_order_halts_the_account() -> None:
    scenario, *_ = entered()
    scenario.give(
        OrderFilled(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=ClientOrderId("foreign"),
            execution_id=ExecutionId("x"),
            price=Decimal(1),
            quantity=Decimal(1),
            fee=Decimal(0),
        )
    )
    (change,) = scenario.made(TradingStateChanged)
    assert change.to_state is TradingState.HALTED
    assert "foreign" in change.reason


def test_a_busted_entry_is_taken_back_and_halts() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00", execution="x-1")
    scenario.give(
        ExecutionBusted(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=entry.client_order_id,
            execution_id=ExecutionId("x-1"),
            reason="clearly erroneous",
        )
    )
    assert scenario.pipeline.ledger.cash == Decimal(100_000)
    assert scenario.made(PositionChanged)[-1].quantity == 0
    assert scenario.made(TradingStateChanged)[0].to_state is TradingState.HALTED


def test_pause_refuses_entries_and_lets_exits_pass() -> None:
    scenario, _, stop, _ = entered({1: enter()})
    now = scenario.now_ts_ns
    scenario.give(Pause(venue_ts_ns=now, received_ts_ns=now, reason="lunch", requested_by="owner"))
    scenario.fill(stop, "98.50")
    scenario.bar(1)
    assert scenario.made(DecisionMade)[-1].reason == "reducing_only"
    scenario.give(Resume(venue_ts_ns=now, received_ts_ns=now, reason="back", requested_by="owner"))
    assert [fact.to_state for fact in scenario.made(TradingStateChanged)] == ["REDUCING", "ACTIVE"]


def test_kill_cancels_entries_keeps_stops_and_is_sticky() -> None:
    """I-27."""
    scenario, *_ = entered({1: enter()})
    now = scenario.now_ts_ns
    step = scenario.give(Kill(venue_ts_ns=now, received_ts_ns=now, reason="panic", requested_by="owner"))
    assert step.commands == ()
    scenario.bar(1)
    assert scenario.made(DecisionMade)[-1].reason in {"halted", "open_entries"}
    assert not scenario.made(DecisionMade)[-1].approved
    scenario.give(Pause(venue_ts_ns=now, received_ts_ns=now, reason="no", requested_by="owner"))
    assert scenario.made(TradingStateChanged)[-1].to_state is TradingState.HALTED


def test_kill_cancels_a_working_entry() -> None:
    scenario = Scenario({0: enter(limit=99.0)})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.give(
        Kill(venue_ts_ns=scenario.now_ts_ns, received_ts_ns=scenario.now_ts_ns, reason="panic", requested_by="owner")
    )
    assert scenario.canceled() == [entry.client_order_id]


def test_flatten_closes_everything_as_kill() -> None:
    scenario, _, stop, target = entered()
    scenario.give(
        Flatten(venue_ts_ns=scenario.now_ts_ns, received_ts_ns=scenario.now_ts_ns, reason="out", requested_by="owner")
    )
    scenario.cancel(stop)
    scenario.cancel(target)
    scenario.fill(scenario.submitted()[3], "100.00")
    assert scenario.made(BracketTransitioned)[-1].exit_reason == "kill"


def test_an_exit_that_keeps_ending_unfilled_halts_the_instrument() -> None:
    scenario, _, stop, target = entered({5: leave()})
    scenario.bar(5)
    scenario.cancel(stop)
    scenario.cancel(target)
    for _ in range(3):
        scenario.reject(scenario.submitted()[-1])
    exits = [
        order for order in scenario.submitted() if order.order_type is OrderType.MARKET and order.side is Side.SELL
    ]
    assert len(exits) == 3
    assert "close the position by hand" in scenario.made(TradingStateChanged)[-1].reason


def test_legs_that_do_not_confirm_their_cancel_halt_the_instrument() -> None:
    scenario, *_ = entered({5: leave()})
    scenario.bar(5)
    scenario.wait(60)
    assert "still SWAPPING" in scenario.made(TradingStateChanged)[-1].reason
    assert any(isinstance(command, QueryOrder) for command in scenario.commands)


def test_a_sibling_that_the_venue_leaves_is_canceled() -> None:
    """I-15: no orphan exits."""
    scenario, _, stop, target = entered()
    scenario.fill(stop, "98.50")
    assert scenario.canceled() == []
    scenario.wait(30)
    assert scenario.canceled() == [target.client_order_id]


def test_the_daily_loss_cap_ends_entries_for_the_session() -> None:
    scenario = Scenario({0: enter(), 1: enter()}, limits=Limits(daily_loss_cap=Decimal("0.001")))
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    _, stop, target = scenario.submitted()
    scenario.fill(stop, "98.50")
    scenario.cancel(target)
    scenario.bar(1)
    assert scenario.made(DecisionMade)[-1].reason == "daily_loss_cap"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_order_quantity=Decimal(99)), "order_quantity"),
        (Limits(max_order_notional=Decimal(9_999)), "order_notional"),
        (Limits(max_position_fraction=Decimal("0.05")), "concentration"),
        (Limits(max_gross_exposure_fraction=Decimal("0.05")), "gross_exposure"),
        (Limits(allowed_symbols=frozenset({"QQQ"})), "instrument_not_allowed"),
        (Limits(blocked_symbols=frozenset({"SPY"})), "instrument_not_allowed"),
        (Limits(max_positions=0), "max_positions"),
        (Limits(max_open_orders=0), "open_orders"),
        (Limits(max_entries_per_session=0), "entries_per_session"),
    ],
)
def test_each_limit_refuses_with_its_reason(limits: Limits, reason: str) -> None:
    scenario = Scenario({0: enter()}, limits=limits)
    scenario.bar(0)
    assert scenario.submitted() == []
    (decision,) = scenario.made(DecisionMade)
    assert (decision.approved, decision.reason) == (False, reason)


def test_a_limit_far_from_the_market_hits_the_collar() -> None:
    scenario = Scenario({0: enter(limit=80.0)})
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "collar"


def test_an_entry_at_the_close_is_outside_the_session() -> None:
    scenario = Scenario({389: enter()})
    scenario.bar(389)
    assert scenario.made(DecisionMade)[0].reason == "outside_session"


def test_a_signal_without_a_stop_is_refused() -> None:
    """A52: a stop is mandatory."""
    scenario = Scenario({0: replace(enter(), stop_distance=None)})
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "no_stop_distance"


def test_the_same_entry_again_inside_the_window_is_refused() -> None:
    scenario = Scenario({0: enter(), 1: enter()}, limits=Limits(duplicate_window_ns=61 * 10**9))
    scenario.bar(0)
    scenario.expire(scenario.submitted()[0])
    scenario.bar(1)
    assert scenario.made(DecisionMade)[1].reason == "duplicate_order"


def test_an_old_bar_is_refused_with_a_count() -> None:
    scenario = Scenario({})
    scenario.bar(3)
    scenario.bar(2)
    assert [(fact.reason, fact.count) for fact in scenario.made(InputsRefused)] == [("late", 1)]


def test_signals_after_a_fill_are_taken() -> None:
    scenario = Scenario({0: enter()}, on_fill=[leave("signal")])
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.00")
    assert len(scenario.canceled()) == 2


def test_the_same_events_give_the_same_steps() -> None:
    """I-19."""
    first, _, stop, _ = entered({5: leave()})
    first.bar(5)
    first.fill(stop, "98.50")
    again = Scenario({0: enter(), 5: leave()})
    facts = list(again.facts)
    for event in first.events[1:]:
        facts += again.pipeline.restore(event, ()).facts
    assert facts == first.facts


def test_time_that_wakes_nothing_is_an_empty_step() -> None:
    scenario = Scenario({})
    moment = scenario.now_ts_ns + 1
    assert scenario.give(TimeAdvanced(venue_ts_ns=moment, received_ts_ns=moment)) is EMPTY_STEP


def test_a_leg_is_never_larger_than_the_position() -> None:
    """I-12 after every step of a life with parts."""
    scenario = Scenario({0: enter(), 4: leave()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    for part in ("30", "30", "40"):
        scenario.fill(entry, "100.00", part)
        outstanding = sum(bracket.outstanding() for bracket in scenario.pipeline.execution.open_brackets())
        assert outstanding == scenario.pipeline.ledger.position(scenario.pipeline.execution.bracket(1).strategy_id, SPY)
    stop = next(order for order in scenario.submitted() if order.order_type is OrderType.STOP)
    scenario.fill(stop, "98.00")
    bracket = scenario.pipeline.execution.bracket(1)
    assert bracket.held == Decimal(70)
    assert [order.leg for order in bracket.open_exits()].count(Leg.STOP) == 2


def test_bar_event_type_is_journaled_with_its_bar() -> None:
    scenario = Scenario({})
    step = scenario.bar(0)
    event = scenario.events[-1]
    assert isinstance(event, BarClosed)
    assert step.facts[0] is event.bar
