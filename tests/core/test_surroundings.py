"""What the exchange and the shell report reaches the gate, and a restart decides on the same reports."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pytest

from engine.core.errors import BadInput
from engine.core.messages import (
    EMPTY_STEP,
    AccountFunded,
    Bar,
    DecisionMade,
    Event,
    HealthReported,
    InstrumentStatus,
    InstrumentStatusChanged,
    Quote,
    QuoteConsulted,
    Step,
    Tick,
    Verdict,
)
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.risk.limits import Limits, MessageLimits
from engine.core.risk.sources import ROBINHOOD, SIMULATED, VenueSources
from engine.core.values import SECOND_NS, AccountId, InstrumentId, instrument_from_symbol
from engine.testing.scenario import OPEN_TS_NS, SPY, STRATEGY, TWO_SESSIONS, Scenario, ScriptedStrategy, enter


def pipeline_of(venue: VenueSources = SIMULATED, **script: int) -> Pipeline:
    minutes = script or {"a": 0, "b": 4}
    strategy = ScriptedStrategy({minute: enter() for minute in minutes.values()})
    pipeline = Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments={SPY: instrument_from_symbol("SPY", 1)},
            sessions={SPY: TWO_SESSIONS},
            strategies=[StrategyBinding(strategy_id=STRATEGY, instrument_id=SPY, strategy=strategy)],
            venue=venue,
        )
    )
    pipeline.step(funding())
    return pipeline


def funding() -> AccountFunded:
    return AccountFunded(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS, amount=Decimal(100_000), source="test")


def quote(second: int, bid: float = 99.99, ask: float = 100.01) -> Quote:
    ts_ns = OPEN_TS_NS + second * SECOND_NS
    return Quote(
        instrument_id=SPY, bid=bid, ask=ask, bid_size=1.0, ask_size=1.0, venue_ts_ns=ts_ns, received_ts_ns=ts_ns
    )


def tick(second: int, price: float = 100.0) -> Tick:
    ts_ns = OPEN_TS_NS + second * SECOND_NS
    return Tick(instrument_id=SPY, price=price, size=1.0, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)


def played(pipeline: Pipeline, events: Sequence[Event]) -> list[tuple[Event, Step]]:
    """Return the steps that a journal would keep."""
    steps = [(event, pipeline.step(event)) for event in events]
    return [(event, step) for event, step in steps if step is not EMPTY_STEP]


def repeated(pipeline: Pipeline, kept: Sequence[tuple[Event, Step]]) -> list[Step]:
    return [
        pipeline.restore(
            event,
            [fact for fact in step.facts if isinstance(fact, Bar)],
            quotes=[fact for fact in step.facts if isinstance(fact, QuoteConsulted)],
        )
        for event, step in kept
    ]


def decisions(kept: Sequence[tuple[Event, Step]]) -> list[DecisionMade]:
    return [fact for _, step in kept for fact in step.facts if isinstance(fact, DecisionMade)]


def market_check(decision: DecisionMade) -> tuple[Verdict, str]:
    (result,) = (result for result in decision.checks if result.number == 10)
    return result.verdict, result.reason


def test_a_decision_keeps_the_quote_that_it_looked_at_and_a_restart_looks_at_the_same() -> None:
    """Quotes are not journaled; without the fact the repeated decision would see none, and differ."""
    events: list[Event] = [
        tick(5),
        quote(10),
        quote(70),
        tick(72),
        quote(73),
        quote(74, 98.0, 102.0),
        tick(310),
        tick(400),
    ]
    kept = played(pipeline_of(), events)
    assert len(kept) < len(events)
    (first,) = decisions(kept)
    assert market_check(first) == (Verdict.PASSED, "")
    consulted = [fact for _, step in kept for fact in step.facts if isinstance(fact, QuoteConsulted)]
    assert [fact.received_ts_ns for fact in consulted] == [quote(70).received_ts_ns]
    assert repeated(pipeline_of(), kept) == [step for _, step in kept]


def test_a_stale_and_a_wide_quote_refuse() -> None:
    stale = decisions(played(pipeline_of(), [tick(5), quote(10), tick(80)]))
    assert [market_check(each) for each in stale] == [(Verdict.REFUSED, "stale_quote")]
    wide = decisions(played(pipeline_of(), [tick(5), quote(79, 98.0, 102.0), tick(80)]))
    assert [market_check(each) for each in wide] == [(Verdict.REFUSED, "wide_spread")]


def test_the_quote_that_closes_the_minute_is_the_one_that_is_looked_at() -> None:
    events: list[Event] = [tick(5), quote(10), quote(80)]
    kept = played(pipeline_of(), events)
    assert [market_check(each) for each in decisions(kept)] == [(Verdict.PASSED, "")]
    assert repeated(pipeline_of(), kept) == [step for _, step in kept]


def health(second: int, **fields: object) -> HealthReported:
    ts_ns = OPEN_TS_NS + second * SECOND_NS
    return HealthReported(venue_ts_ns=ts_ns, received_ts_ns=ts_ns, **fields)  # type: ignore[arg-type]  # named fields


def test_a_health_report_is_kept_only_where_it_says_something_new() -> None:
    pipeline = pipeline_of()
    assert pipeline.step(health(1, storage_writable=True, storage_free_bytes=2**40)) is not EMPTY_STEP
    assert pipeline.step(health(2, storage_writable=True, storage_free_bytes=2**40)) is EMPTY_STEP
    assert pipeline.step(health(3, storage_writable=False, storage_free_bytes=2**40)) is not EMPTY_STEP


def test_a_real_broker_is_not_traded_blind() -> None:
    """I-16: nothing reported, nothing bought; and everything in order buys."""
    blind = Scenario({0: enter()})
    pipeline = pipeline_of(ROBINHOOD)
    assert blind.bar(0).commands
    (refused,) = decisions(played(pipeline, [tick(5), tick(80)]))
    assert {result.number for result in refused.checks if not result.passed} == {2, 3, 10, 22, 25, 26, 27}
    at_ns = OPEN_TS_NS + 60 * SECOND_NS
    told = health(
        60,
        authorised=True,
        lease_held=True,
        clock_offset_ns=1,
        token_expires_ts_ns=at_ns + 3_600 * SECOND_NS,
        storage_writable=True,
        storage_free_bytes=2**40,
        reconciled_ts_ns=at_ns,
    )
    status = InstrumentStatus(venue_ts_ns=at_ns, received_ts_ns=at_ns, instrument_id=SPY, halted=False)
    events: list[Event] = [tick(5), told, status, quote(79), tick(80)]
    kept = played(pipeline_of(ROBINHOOD), events)
    (decision,) = decisions(kept)
    assert decision.approved, decision.reason
    assert repeated(pipeline_of(ROBINHOOD), kept) == [step for _, step in kept]


def test_a_halt_by_the_exchange_holds_back_entries_until_it_is_over() -> None:
    scenario = Scenario({0: enter(), 2: enter()})
    halted = InstrumentStatus(
        venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS, instrument_id=SPY, halted=True, reason="LUDP"
    )
    assert [type(fact) for fact in scenario.give(halted).facts] == [InstrumentStatusChanged]
    assert scenario.give(halted) is EMPTY_STEP
    scenario.bar(0)
    assert scenario.made(DecisionMade)[-1].reason == "halt"
    scenario.give(
        InstrumentStatus(
            venue_ts_ns=scenario.now_ts_ns, received_ts_ns=scenario.now_ts_ns, instrument_id=SPY, halted=False
        )
    )
    scenario.bar(2)
    assert scenario.made(DecisionMade)[-1].approved


def test_a_halt_pauses_the_wait_for_protection() -> None:
    """A stop cannot work while the exchange is halted: its deadline goes on when trading does."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.00")
    now = scenario.now_ts_ns
    scenario.give(InstrumentStatus(venue_ts_ns=now, received_ts_ns=now, instrument_id=SPY, halted=True))
    sent = len(scenario.submitted())
    scenario.wait(25)
    assert len(scenario.submitted()) == sent
    scenario.wait(300)
    assert not [order for order in scenario.submitted()[sent:] if order.stop_price is None], "no exit during the halt"


def test_messages_are_counted_and_the_reserve_is_left_to_exits() -> None:
    """Three orders leave for one entry and its legs; the fourth message of the minute may not be an entry."""
    limits = Limits(messages=MessageLimits(per_second=4, per_minute=4, per_session=4, reserve=1))
    scenario = Scenario({0: enter(), 2: enter(), 1440: enter()}, limits=limits)
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.00")
    stop, target = scenario.submitted()[1:]
    scenario.fill(stop, "98.50")
    scenario.cancel(target)
    scenario.bar(2)
    refused = scenario.made(DecisionMade)[-1]
    assert {result.reason for result in refused.checks if not result.passed} == {"messages_per_session"}
    scenario.bar(1440)
    assert scenario.made(DecisionMade)[-1].approved, "a new session counts from none"


def test_an_own_sell_at_the_entrys_price_is_not_bought() -> None:
    """FINRA 5210: the target of one position is no offer to the next entry."""
    scenario = Scenario({0: enter(target_distance=0.02), 2: enter(limit=100.05)})
    scenario.bar(0)
    entry = scenario.submitted()[0]
    scenario.ack(entry)
    scenario.fill(entry, "100.00")
    for order in scenario.submitted()[1:]:
        scenario.ack(order)
    scenario.bar(2)
    failed = {result.reason for result in scenario.made(DecisionMade)[-1].checks if not result.passed}
    assert "self_trade" in failed


def test_an_unknown_order_of_the_instrument_holds_back_entries() -> None:
    scenario = Scenario({0: enter(), 3: enter()}, limits=Limits(max_open_entries_per_instrument=2))
    scenario.bar(0)
    scenario.wait(31)
    scenario.bar(3)
    failed = {result.reason for result in scenario.made(DecisionMade)[-1].checks if not result.passed}
    assert "unknown_order" in failed


def test_an_unknown_instrument_is_refused_by_name() -> None:
    event = InstrumentStatus(venue_ts_ns=1, received_ts_ns=1, instrument_id=InstrumentId(9), halted=True)
    with pytest.raises(BadInput, match="instrument 9"):
        pipeline_of().step(event)


def test_a_jump_from_bar_to_bar_is_not_bought() -> None:
    scenario = Scenario({1: enter(), 3: enter()})
    scenario.bar(0, close=100.0)
    scenario.bar(1, close=121.0)
    assert "price_jump" in {result.reason for result in scenario.made(DecisionMade)[-1].checks}
    scenario.bar(2, close=121.0)
    scenario.bar(3, close=121.0)
    assert scenario.made(DecisionMade)[-1].approved
