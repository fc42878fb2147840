"""A restart repeats journaled steps: whatever a step changed must be in the journal, and its order must not drift."""

from collections.abc import Sequence
from uuid import UUID

from engine.core.messages import EMPTY_STEP, Bar, Event, OrderAcknowledged, OrderTransitioned, Quote, Signal, Step, Tick
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.signals import Context
from engine.core.values import MINUTE_NS, SECOND_NS, AccountId, InstrumentId, instrument_from_symbol
from engine.testing.scenario import OPEN_TS_NS, SPY, STRATEGY, TWO_SESSIONS, Scenario, ScriptedStrategy, enter, leave

QQQ = InstrumentId(2)


def acknowledged(scenario: Scenario, venue_order_id: str) -> Step:
    return scenario.give(
        OrderAcknowledged(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=scenario.submitted()[0].client_order_id,
            venue_order_id=venue_order_id,
        )
    )


def restored(scenario: Scenario, steps: Sequence[tuple[Event, Step]]) -> list[Step]:
    """Return what a fresh account makes of the kept steps of another."""
    again = Scenario({0: enter()})
    bars = [[fact for fact in step.facts if isinstance(fact, Bar)] for _, step in steps]
    return [again.pipeline.restore(event, made) for (event, _), made in zip(steps, bars, strict=True)]


def test_an_acknowledgement_after_the_fill_is_kept_for_its_number() -> None:
    """The venue's number is on the next transition, so the report that brought it cannot be left out."""
    scenario = Scenario({0: enter()})
    steps = [(scenario.bar(0), scenario.events[-1])]
    entry = scenario.submitted()[0]
    steps.append((scenario.fill(entry, "100.00", "40"), scenario.events[-1]))
    steps.append((acknowledged(scenario, "V9"), scenario.events[-1]))
    assert steps[-1][0] is not EMPTY_STEP
    assert acknowledged(scenario, "V9") is EMPTY_STEP
    steps.append((scenario.fill(entry, "100.00", "60"), scenario.events[-1]))
    kept = [(event, step) for step, event in steps if step is not EMPTY_STEP]
    assert [step.facts for step in restored(scenario, kept)] == [step.facts for _, step in kept]
    assert scenario.made(OrderTransitioned)[-1].venue_order_id == "V9"


def two_markets(strategy: ScriptedStrategy) -> Pipeline:
    instruments = {SPY: instrument_from_symbol("SPY", 1), QQQ: instrument_from_symbol("QQQ", 2)}
    return Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments=instruments,
            sessions=dict.fromkeys(instruments, TWO_SESSIONS),
            strategies=[StrategyBinding(strategy_id=STRATEGY, instrument_id=SPY, strategy=strategy)],
        )
    )


def tick(instrument_id: InstrumentId, ts_ns: int) -> Tick:
    return Tick(instrument_id=instrument_id, price=100.0, size=1.0, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)


def test_minutes_of_several_instruments_end_in_the_order_of_the_settings() -> None:
    """Which instrument prints first is an accident, and another one after a restart."""
    for first, second in ((SPY, QQQ), (QQQ, SPY)):
        pipeline = two_markets(ScriptedStrategy({}))
        pipeline.step(tick(first, OPEN_TS_NS + 1))
        pipeline.step(tick(second, OPEN_TS_NS + 2))
        step = pipeline.step(tick(first, OPEN_TS_NS + MINUTE_NS + 30 * SECOND_NS))
        assert [fact.instrument_id for fact in step.facts if isinstance(fact, Bar)] == [SPY, QQQ]


class QuoteCounter(ScriptedStrategy):
    """Leave at the third quote: a strategy whose state is made of quotes that yielded nothing."""

    wants_quotes = True

    def __init__(self) -> None:
        super().__init__({})
        self.quotes = 0

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        del quote, context
        self.quotes += 1
        return (leave(),) if self.quotes == 3 else ()


def quote(ts_ns: int) -> Quote:
    return Quote(
        instrument_id=SPY,
        bid=99.99,
        ask=100.01,
        bid_size=1.0,
        ask_size=1.0,
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
    )


def test_a_quote_that_a_strategy_saw_is_kept_and_seen_again() -> None:
    strategy, again = QuoteCounter(), QuoteCounter()
    pipeline, restarted = two_markets(strategy), two_markets(again)
    for number in range(2):
        event = quote(OPEN_TS_NS + number)
        step = pipeline.step(event)
        assert (step is not EMPTY_STEP, step.facts) == (True, ())
        assert restarted.restore(event, ()) == step
    assert (strategy.quotes, again.quotes) == (2, 2)
