"""What the whole pipeline makes of splits, other symbols, and executions that no position can hold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    EMPTY_STEP,
    AdjustmentKind,
    Bar,
    DecisionMade,
    Flatten,
    LotClosed,
    OrderFilled,
    PositionChanged,
    PositionCorrected,
    QuoteConsulted,
    ShareSplit,
    Signal,
    Step,
    SuspenseBooked,
    SuspenseKind,
    SymbolChanged,
    SymbolRenamed,
    TradingStateChanged,
)
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.signals import Context
from engine.core.values import (
    DAY_NS,
    MINUTE_NS,
    SECOND_NS,
    AccountId,
    ClientOrderId,
    ExecutionId,
    InstrumentId,
    Leg,
    Side,
    StrategyId,
    instrument_from_symbol,
)
from engine.testing.books import prove_books
from engine.testing.scenario import (
    OPEN_TS_NS,
    SPY,
    STRATEGY,
    TWO_SESSIONS,
    Scenario,
    ScriptedStrategy,
    enter,
    leave,
)


def two_for_one(scenario: Scenario, new: int = 2, old: int = 1) -> Step:
    return scenario.give(
        ShareSplit(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            instrument_id=SPY,
            new_shares=new,
            old_shares=old,
            source="x",
        )
    )


@pytest.mark.parametrize("exit_style", ExitStyle)
def test_a_split_puts_the_stop_and_the_target_into_new_shares(exit_style: ExitStyle) -> None:
    """100 shares with a stop at 98.50 and a target at 103.00 become 200, at 49.25 and 51.50: cancel, confirm, place."""
    scenario = Scenario({0: enter()}, exit_style=exit_style)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    legs = scenario.submitted()[1:]
    for order in legs:
        scenario.ack(order)
    two_for_one(scenario)
    assert set(scenario.canceled()) == {order.client_order_id for order in legs}
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 2 * entry.quantity
    assert not scenario.made(TradingStateChanged)
    for order in legs:
        scenario.cancel(order)
    anew = scenario.submitted()[1 + len(legs) :]
    prices = {(order.quantity, order.stop_price, order.limit_price) for order in anew}
    stop, target = (2 * entry.quantity, Decimal("49.25"), None), (2 * entry.quantity, None, Decimal("51.50"))
    assert prices == ({stop, target} if exit_style is ExitStyle.BOTH_LEGS else {stop})
    for order in anew:
        scenario.ack(order)
    scenario.fill(anew[0], "49.25")
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 0
    assert scenario.made(PositionChanged)[-1].realized_pnl == entry.quantity * Decimal("-1.50")


def test_a_split_that_leaves_less_than_a_share_closes_the_bracket() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    two_for_one(scenario, 1, int(entry.quantity) + 1)
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 0
    assert scenario.pipeline.execution.bracket(1).held == 0
    assert len(scenario.canceled()) == 2


def confirm(scenario: Scenario) -> None:
    """Confirm every cancel that was asked for and not confirmed."""
    still = {order.client_order_id for order in scenario.pipeline.execution.open_orders()}
    for order in scenario.submitted():
        if order.client_order_id in scenario.canceled() and order.client_order_id in still:
            scenario.cancel(order)


def could_sell(scenario: Scenario) -> Decimal:
    """Return the quantity of the stops and market exits that may still fill."""
    open_exits = [order for order in scenario.pipeline.execution.open_orders() if order.leg in (Leg.STOP, Leg.EXIT)]
    return sum((order.remaining for order in open_exits), Decimal(0))


@pytest.mark.parametrize("exit_style", ExitStyle)
def test_the_stop_of_a_part_that_a_split_leaves_nothing_of_is_canceled(exit_style: ExitStyle) -> None:
    """I-12: bought as 1, 2 and 97 shares; of one share after 1:60 only one part has anything left to protect."""
    scenario = Scenario({0: enter()}, exit_style=exit_style)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    for part in ("1", "2", "97"):
        scenario.fill(entry, "100.00", part)
    two_for_one(scenario, 1, 60)
    confirm(scenario)
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == could_sell(scenario) == 1


@pytest.mark.parametrize("exit_style", ExitStyle)
@pytest.mark.parametrize(("new", "old", "held"), [(1, 50, 2), (3, 1, 300)])
def test_an_exit_that_works_when_the_shares_are_split_is_made_anew(
    exit_style: ExitStyle, new: int, old: int, held: int
) -> None:
    scenario = Scenario({0: enter(), 1: leave()}, exit_style=exit_style)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00", "100")
    scenario.bar(1)
    confirm(scenario)
    assert could_sell(scenario) == 100
    two_for_one(scenario, new, old)
    confirm(scenario)
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == could_sell(scenario) == held


def test_a_split_ends_an_entry_that_works() -> None:
    scenario = Scenario({0: enter(limit=99.0)})
    scenario.bar(0)
    two_for_one(scenario)
    assert scenario.canceled() == [scenario.submitted()[0].client_order_id]


class EntersByTimer(ScriptedStrategy):
    """Want to enter at one minute, whether a bar has come or not."""

    wants_timer = True
    at_ts_ns = OPEN_TS_NS + DAY_NS + MINUTE_NS

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        del context
        return (enter(),) if ts_ns == self.at_ts_ns else ()


def timed(strategy: ScriptedStrategy) -> Pipeline:
    binding = StrategyBinding(strategy_id=STRATEGY, instrument_id=SPY, strategy=strategy)
    return Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments={SPY: instrument_from_symbol("SPY", 1)},
            sessions={SPY: TWO_SESSIONS},
            strategies=[binding],
        )
    )


@pytest.mark.parametrize(("new", "old", "quantity"), [(1, 10, 10), (4, 1, 333)])
def test_an_entry_between_a_split_and_the_next_bar_is_sized_by_the_new_price(new: int, old: int, quantity: int) -> None:
    """For 10,000: 10 shares of 1,000, not 100 of what was 100. Of 25 it could be 400; the stop may lose 500 / 1.50."""
    scenario = Scenario({})
    scenario.pipeline = timed(EntersByTimer({}))
    scenario.give(scenario.events[0])
    scenario.bar(389)
    scenario.quote(100.0)
    scenario.now_ts_ns = OPEN_TS_NS + DAY_NS - SECOND_NS
    two_for_one(scenario, new, old)
    scenario.wait(61)
    (decision,) = scenario.made(DecisionMade)
    (entry,) = scenario.submitted()
    assert decision.approved
    assert entry.quantity == quantity
    again = timed(EntersByTimer({}))
    again.step(scenario.events[0])
    kept = list(zip(scenario.events[1:], scenario.outcomes[1:], strict=True))[1:]
    for event, step in kept:
        if step is not EMPTY_STEP:
            bars = [fact for fact in step.facts if isinstance(fact, Bar)]
            quotes = [fact for fact in step.facts if isinstance(fact, QuoteConsulted)]
            assert again.restore(event, bars, quotes=quotes) == step


def flatten(scenario: Scenario) -> Step:
    now = scenario.now_ts_ns
    return scenario.give(Flatten(venue_ts_ns=now, received_ts_ns=now, reason="enough", requested_by="me"))


def test_a_flatten_between_a_split_and_the_next_bar_refers_to_the_new_price() -> None:
    scenario = Scenario({0: enter()}, exit_style=ExitStyle.REST_STOP)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    two_for_one(scenario)
    flatten(scenario)
    confirm(scenario)
    assert scenario.pipeline.execution.bracket(1).reference_price == 50
    assert scenario.submitted()[-1].quantity == 2 * entry.quantity


def test_a_fill_of_an_unknown_order_is_suspended_and_halts() -> None:
    scenario = Scenario({})
    step = scenario.give(
        OrderFilled(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=ClientOrderId("never-sent"),
            execution_id=ExecutionId("x"),
            price=Decimal(5),
            quantity=Decimal(3),
            fee=Decimal(0),
        )
    )
    (suspended,) = (fact for fact in step.facts if isinstance(fact, SuspenseBooked))
    assert (suspended.kind, suspended.value) == (SuspenseKind.UNMATCHED, Decimal(15))
    (halted,) = (fact for fact in step.facts if isinstance(fact, TradingStateChanged))
    assert (halted.instrument_id, "not ours" in halted.reason) == (None, True)
    assert scenario.pipeline.ledger.cash == Decimal(100_000)


def test_an_oversold_position_halts_its_instrument() -> None:
    """Short of nothing: a venue that fills a sale twice over leaves a halt, not a short position."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    exit_order = next(order for order in scenario.submitted() if order.side is Side.SELL)
    step = scenario.fill(exit_order, "101.00", str(exit_order.quantity + 5))
    assert any(isinstance(fact, TradingStateChanged) and "suspense" in fact.reason for fact in step.facts)
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 0
    assert scenario.pipeline.ledger.oversold(STRATEGY, SPY) == 5


def test_an_instrument_bears_its_new_symbol_from_then_on() -> None:
    scenario = Scenario({0: enter(), 2: enter()})
    scenario.bar(0)
    step = scenario.give(
        SymbolRenamed(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            instrument_id=SPY,
            symbol="SPYX",
            source="exchange",
        )
    )
    (changed,) = (fact for fact in step.facts if isinstance(fact, SymbolChanged))
    assert (changed.from_symbol, changed.to_symbol) == ("SPY", "SPYX")
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100.00")
    assert {order.symbol for order in scenario.submitted()[1:]} == {"SPYX"}
    with pytest.raises(BadInput, match="not another one"):
        scenario.give(
            SymbolRenamed(
                venue_ts_ns=scenario.now_ts_ns,
                received_ts_ns=scenario.now_ts_ns,
                instrument_id=SPY,
                symbol="SPYX",
                source="exchange",
            )
        )


def test_the_books_of_a_whole_scenario_are_proved() -> None:
    scenario = Scenario({0: enter()})
    steps: list[tuple[Any, Step]] = [(scenario.events[0], Step(tuple(scenario.facts), ()))]
    step = scenario.bar(0)
    steps.append((scenario.events[-1], step))
    (entry,) = scenario.submitted()
    step = scenario.fill(entry, "100.01")
    steps.append((scenario.events[-1], step))
    step = scenario.bar(1, 101.25)
    steps.append((scenario.events[-1], step))
    assert prove_books(steps, scenario.pipeline.ledger).steps == 4
    # A figure that does not follow is found.
    wrong = [fact for fact in steps[2][1].facts if not isinstance(fact, LotClosed | PositionChanged)]
    steps[2] = (steps[2][0], Step((*wrong, _other(steps[2][1])), ()))
    with pytest.raises(AssertionError, match=r"The cost of .* is 1, the facts make"):
        prove_books(steps)


def _other(step: Step) -> PositionChanged:
    (changed,) = (fact for fact in step.facts if isinstance(fact, PositionChanged))
    return PositionChanged(
        strategy_id=changed.strategy_id,
        instrument_id=changed.instrument_id,
        symbol=changed.symbol,
        quantity=changed.quantity,
        cost=Decimal(1),
        realized_pnl=changed.realized_pnl,
        ts_ns=changed.ts_ns,
    )


def corrected(scenario: Scenario, strategy: str = STRATEGY, instrument: int = SPY, *, by: int = 5) -> Step:
    return scenario.give(
        PositionCorrected(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            strategy_id=StrategyId(strategy),
            instrument_id=InstrumentId(instrument),
            kind=AdjustmentKind.ADOPTION if by > 0 else AdjustmentKind.CORRECTION,
            quantity=Decimal(by),
            cost=Decimal(max(0, by * 100)),
            source="broker",
        )
    )


def test_an_adopted_position_is_seen_by_its_strategy() -> None:
    scenario = Scenario({})
    corrected(scenario, STRATEGY, SPY)
    scenario.bar(0)
    assert scenario.strategy.was_flat == {0: False}
    with pytest.raises(BadInput, match="strategy 'stranger' does not trade the instrument; these do: scripted"):
        corrected(scenario, "stranger", SPY)
    with pytest.raises(BadInput, match="instrument 9 is not of this run"):
        corrected(scenario, STRATEGY, 9)


def held_in_parts(exit_style: ExitStyle, *parts: str) -> Scenario:
    """Return a scenario that holds 100 shares, bought in these parts, each with its working legs."""
    scenario = Scenario({0: enter(), 1: leave()}, exit_style=exit_style)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    for part in parts:
        scenario.fill(entry, "100.00", part)
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    return scenario


def wished(scenario: Scenario) -> Decimal:
    """Return what could be sold by stops and market exits whose cancel is not asked for."""
    canceled = set(scenario.canceled())
    orders = [order for order in scenario.pipeline.execution.open_orders() if order.leg in (Leg.STOP, Leg.EXIT)]
    return sum((order.remaining for order in orders if order.client_order_id not in canceled), Decimal(0))


@pytest.mark.parametrize("exit_style", ExitStyle)
@pytest.mark.parametrize("parts", [("100",), ("1", "59", "40"), ("40", "60")])
@pytest.mark.parametrize("leaves_at", [None, 1])
def test_what_a_correction_takes_out_no_exit_sells(
    exit_style: ExitStyle, parts: tuple[str, ...], leaves_at: int | None
) -> None:
    """I-12: of 100 shares 60 are gone; the stops that work are to sell 40, and do."""
    scenario = held_in_parts(exit_style, *parts)
    if leaves_at is not None:
        scenario.bar(leaves_at)
        confirm(scenario)
    corrected(scenario, by=-60)
    assert wished(scenario) <= 40
    confirm(scenario)
    bracket = scenario.pipeline.execution.bracket(1)
    assert (
        scenario.pipeline.ledger.position(STRATEGY, SPY)
        == bracket.held
        == could_sell(scenario)
        == wished(scenario)
        == 40
    )
    for order in scenario.submitted():
        working = scenario.pipeline.execution.order(order.client_order_id)
        if order.side is Side.SELL and order.limit_price is None and working is not None and working.is_open:
            scenario.fill(order, "98.50")
    assert scenario.pipeline.ledger.position(STRATEGY, SPY) == 0
    assert scenario.pipeline.ledger.oversold(STRATEGY, SPY) == 0
    assert bracket.is_final
    assert not scenario.made(TradingStateChanged)


@pytest.mark.parametrize("exit_style", ExitStyle)
def test_a_correction_that_leaves_nothing_closes_the_bracket(exit_style: ExitStyle) -> None:
    scenario = held_in_parts(exit_style, "40", "60")
    corrected(scenario, by=-100)
    assert wished(scenario) == 0
    confirm(scenario)
    assert scenario.pipeline.execution.bracket(1).is_settled
    assert scenario.pipeline.execution.open_brackets() == []


def test_a_correction_first_takes_what_no_bracket_holds() -> None:
    scenario = held_in_parts(ExitStyle.REST_STOP, "100")
    corrected(scenario, by=60)
    corrected(scenario, by=-60)
    assert scenario.canceled() == []
    assert wished(scenario) == scenario.pipeline.ledger.position(STRATEGY, SPY) == 100


def test_a_target_is_taken_for_what_a_correction_left() -> None:
    scenario = held_in_parts(ExitStyle.REST_STOP, "100")
    corrected(scenario, by=-60)
    confirm(scenario)
    scenario.ack(scenario.submitted()[-1])
    scenario.tick(103.0)
    confirm(scenario)
    target = scenario.submitted()[-1]
    assert (target.quantity, target.limit_price) == (Decimal(40), Decimal("103.00"))


def halts(scenario: Scenario) -> list[str]:
    return [fact.reason for fact in scenario.made(TradingStateChanged)]


def test_what_a_correction_brings_halts_and_a_flatten_names_what_it_does_not_sell() -> None:
    scenario = held_in_parts(ExitStyle.REST_STOP, "100")
    corrected(scenario, by=60)
    nothing_protects = "scripted holds 60 SPY in no bracket: nothing protects them: sell them, or resume"
    assert halts(scenario) == [nothing_protects]
    flatten(scenario)
    confirm(scenario)
    assert halts(scenario)[1:] == [
        "scripted holds 60 SPY in no bracket: flatten does not sell them: close them by hand"
    ]
    assert scenario.submitted()[-1].quantity == 100


def test_a_flatten_of_what_brackets_hold_halts_nothing() -> None:
    scenario = held_in_parts(ExitStyle.REST_STOP, "100")
    flatten(scenario)
    assert halts(scenario) == []
