"""An engine at a venue that keeps the account: nothing is stepped before the first listings; no wrong clock starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.app.live import CLOCK_ERROR_NS_MAX, LiveEngine
from engine.app.loop import SendFence
from engine.core.errors import Halt
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    BarClosed,
    CancelOrder,
    Command,
    EngineStarted,
    EngineStopping,
    Event,
    Kill,
    ListedOrder,
    ListedStatus,
    OrderAcknowledged,
    OrderCanceled,
    SubmitOrder,
    TimeAdvanced,
    VenueReport,
)
from engine.core.pipeline import Pipeline
from engine.core.values import SECOND_NS
from engine.store.writer import MemoryJournal
from engine.testing.chaos.market import OPENS_TS_NS
from engine.testing.chaos.plan import draw_plan
from engine.testing.chaos.subject import chaos_trader, market_of, warm_up_events
from engine.testing.scenario import Scenario, enter

NOW = OPENS_TS_NS[0] + 60 * SECOND_NS
RECONCILE_NS = 20 * SECOND_NS


class Recorder:
    """A venue that notes what it is sent and says nothing."""

    exit_styles = tuple(ExitStyle)

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.asked: list[int] = []

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def query_account(self, asked_ts_ns: int) -> None:
        self.asked.append(asked_ts_ns)

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        return ()


class Still:
    """A clock that stands."""

    def now_ns(self) -> int:
        return NOW


class Engine:
    """A live engine in memory, and what it did."""

    def __init__(self, *, journal_ends_ts_ns: int | None = None, pipeline: Pipeline | None = None) -> None:
        plan = draw_plan(1, first_minute=0)
        self.pipeline = pipeline or chaos_trader().pipeline(plan)
        self.journal = MemoryJournal()
        for event in warm_up_events(market_of(plan.market_seed), 0) if pipeline is None else ():
            self.journal.append(event, self.pipeline.step(event))
        self.pipeline.now_ts_ns = journal_ends_ts_ns or self.pipeline.now_ts_ns
        self.venue = Recorder()
        self.engine = LiveEngine(
            self.pipeline,
            self.venue,
            self.journal,
            epoch=3,
            fence=SendFence(clock=Still(), verify=lambda: None),
            reconcile_ns=RECONCILE_NS,
        )

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event, _ in self.journal.steps[1:]]


def working(order: SubmitOrder) -> ListedOrder:
    return ListedOrder(
        venue_order_id="v-1",
        client_order_id=order.client_order_id,
        instrument_id=order.instrument_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        filled_quantity=Decimal(0),
        status=ListedStatus.WORKING,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        created_ts_ns=order.decided_ts_ns,
    )


def listed(asked_ts_ns: int = NOW, venue_ts_ns: int | None = None, received_ts_ns: int | None = None) -> AccountListed:
    received = asked_ts_ns + SECOND_NS if received_ts_ns is None else received_ts_ns
    return AccountListed(
        venue_ts_ns=asked_ts_ns if venue_ts_ns is None else venue_ts_ns,
        received_ts_ns=received,
        asked_ts_ns=asked_ts_ns,
        orders=(),
        positions=(),
        is_complete=True,
    )


def test_listings_are_asked_for_often_at_first_and_then_in_their_time() -> None:
    engine = Engine()
    for seconds in range(0, 61, 5):
        engine.engine.pass_time(NOW + seconds * SECOND_NS)
    assert engine.venue.asked == [NOW + seconds * SECOND_NS for seconds in range(0, 61, 5)]
    engine.engine.take(listed(NOW + 60 * SECOND_NS))
    for seconds in range(65, 81, 5):
        engine.engine.pass_time(NOW + seconds * SECOND_NS)
    assert engine.venue.asked[13:] == [NOW + 80 * SECOND_NS]


def test_listings_that_do_not_come_in_whole_are_asked_for_again_soon() -> None:
    engine = Engine()
    engine.engine.pass_time(NOW)
    engine.engine.take(listed())
    for seconds in range(1, 31):
        engine.engine.pass_time(NOW + seconds * SECOND_NS)
        if seconds == 22:
            engine.engine.take(replace(listed(NOW + 20 * SECOND_NS), is_complete=False))
    assert engine.venue.asked == [NOW + seconds * SECOND_NS for seconds in (0, 20, 25, 30)]
    engine.engine.take(listed(NOW + 30 * SECOND_NS))
    for seconds in range(31, 51):
        engine.engine.pass_time(NOW + seconds * SECOND_NS)
    assert engine.venue.asked[4:] == [NOW + 50 * SECOND_NS]


def test_listings_are_asked_for_soon_while_something_is_held_without_protection() -> None:
    before = Scenario({0: enter()}, exit_style=ExitStyle.REST_STOP)
    before.bar(0)
    before.fill(before.submitted()[0], "100")
    stop, now = before.submitted()[1], before.now_ts_ns + SECOND_NS
    engine = Engine(pipeline=before.pipeline)
    engine.engine.take(listed(now))
    for seconds in range(21):
        engine.engine.pass_time(now + seconds * SECOND_NS)
    assert engine.venue.asked == [now + seconds * SECOND_NS for seconds in (0, 5, 10, 15, 20)]
    engine.engine.take(listed(now + 20 * SECOND_NS))
    at = now + 21 * SECOND_NS
    engine.engine.take(
        OrderAcknowledged(venue_ts_ns=at, received_ts_ns=at, client_order_id=stop.client_order_id, venue_order_id="v-2")
    )
    for seconds in range(21, 44):
        engine.engine.pass_time(now + seconds * SECOND_NS)
    assert engine.venue.asked[5:] == [now + 40 * SECOND_NS]


def test_listings_are_asked_for_soon_while_an_entry_works_that_may_fill_untold() -> None:
    before = Scenario({0: enter(limit=99.5)})
    before.bar(0)
    entry, now = before.submitted()[0], before.now_ts_ns + SECOND_NS
    before.ack(entry)
    engine = Engine(pipeline=before.pipeline)
    works = replace(listed(now), orders=(working(entry),))
    engine.engine.take(works)
    for seconds in range(21):
        engine.engine.pass_time(now + seconds * SECOND_NS)
    assert engine.venue.asked == [now + seconds * SECOND_NS for seconds in (0, 5, 10, 15, 20)]
    engine.engine.take(replace(works, asked_ts_ns=now + 20 * SECOND_NS, received_ts_ns=now + 21 * SECOND_NS))
    at = now + 22 * SECOND_NS
    engine.engine.take(
        OrderCanceled(
            venue_ts_ns=at, received_ts_ns=at, client_order_id=entry.client_order_id, filled_quantity=None, reason="day"
        )
    )
    for seconds in range(22, 44):
        engine.engine.pass_time(now + seconds * SECOND_NS)
    assert engine.venue.asked[5:] == [now + 40 * SECOND_NS]


def test_after_a_stop_only_the_venue_is_heard() -> None:
    """A bar that closes meanwhile would let a strategy enter again, and nobody would cancel that."""
    before = Scenario({0: enter(limit=99.5), 1: enter(limit=99.4)})
    before.bar(0)
    entry, now = before.submitted()[0], before.now_ts_ns + SECOND_NS
    engine = Engine(pipeline=before.pipeline)
    engine.engine.take(replace(listed(now), orders=(working(entry),)))
    assert engine.engine.has_work(now)
    engine.engine.stop("the owner goes home", now + 2 * SECOND_NS)
    assert [type(each) for each in engine.venue.sent] == [CancelOrder]
    before.bar(0)
    bar = before.events[-1]
    assert isinstance(bar, BarClosed)
    later = bar.bar.start_ts_ns + 120 * SECOND_NS
    steps, asked = len(engine.journal.steps), len(engine.venue.asked)
    engine.engine.take(
        replace(
            bar,
            bar=replace(bar.bar, start_ts_ns=bar.bar.start_ts_ns + 60 * SECOND_NS),
            venue_ts_ns=later,
            received_ts_ns=later,
        )
    )
    for seconds in range(120, 130):
        engine.engine.pass_time(now + seconds * SECOND_NS)
    assert (len(engine.journal.steps), len(engine.venue.sent)) == (steps, 1)
    assert len(engine.venue.asked) > asked
    engine.engine.take(
        OrderCanceled(
            venue_ts_ns=later,
            received_ts_ns=later,
            client_order_id=entry.client_order_id,
            filled_quantity=None,
            reason="on request",
        )
    )
    assert not engine.engine.has_work(later)


def test_a_listing_heard_by_a_clock_that_stands_brings_news_and_opens_no_eyes() -> None:
    stands = NOW + 30 * SECOND_NS
    engine = Engine(journal_ends_ts_ns=stands)
    engine.engine.take(listed(stands, venue_ts_ns=NOW, received_ts_ns=stands))
    assert engine.kinds() == [EngineStarted, AccountListed]
    assert engine.pipeline.reconciler.is_blind
    # Asked for while it stood, and heard an instant after: nobody knows how old it is.
    engine.engine.take(listed(stands, venue_ts_ns=NOW, received_ts_ns=stands + 1))
    assert engine.pipeline.reconciler.is_blind
    engine.engine.take(listed(stands + 1, venue_ts_ns=stands, received_ts_ns=stands + SECOND_NS))
    assert not engine.pipeline.reconciler.is_blind


def test_nothing_is_stepped_before_the_first_listings() -> None:
    engine = Engine()
    engine.engine.take(TimeAdvanced(venue_ts_ns=NOW, received_ts_ns=NOW))
    engine.engine.pass_time(NOW)
    assert engine.kinds() == []
    engine.engine.take(listed())
    assert engine.kinds() == [EngineStarted, AccountListed]
    assert engine.engine.is_started


def test_reports_before_the_listings_are_stepped_after_the_start_in_their_order() -> None:
    engine = Engine()
    report = OrderAcknowledged(venue_ts_ns=NOW, received_ts_ns=NOW, client_order_id="x", venue_order_id="v")  # type: ignore[arg-type]
    engine.engine.take(report)
    engine.engine.take(listed())
    assert engine.kinds() == [EngineStarted, OrderAcknowledged, AccountListed]


@pytest.mark.parametrize(("off_s", "word"), [(3_600, "ahead of"), (-3_600, "behind")])
def test_an_engine_with_a_wrong_clock_does_not_start(off_s: int, word: str) -> None:
    engine = Engine()
    with pytest.raises(Halt, match=rf"3[56]\d\d s {word} the venue's: set it"):
        engine.engine.take(listed(venue_ts_ns=NOW - off_s * SECOND_NS))
    assert engine.kinds() == []
    assert engine.venue.sent == []


def test_a_clock_behind_the_journal_does_not_start() -> None:
    engine = Engine()
    engine.pipeline.now_ts_ns = NOW + 2 * CLOCK_ERROR_NS_MAX
    with pytest.raises(Halt, match="set the clock of this machine"):
        engine.engine.take(listed())


def test_an_answer_that_took_too_long_is_none() -> None:
    engine = Engine()
    engine.engine.take(listed(received_ts_ns=NOW + CLOCK_ERROR_NS_MAX + 1))
    assert not engine.engine.is_started
    engine.engine.take(listed(NOW + CLOCK_ERROR_NS_MAX))
    assert engine.engine.is_started


def test_an_end_in_order_is_journaled_and_one_before_the_start_is_nothing() -> None:
    engine = Engine()
    engine.engine.stop("test", NOW)
    assert engine.kinds() == []
    engine.engine.take(listed())
    engine.engine.stop("test", NOW + SECOND_NS)
    assert EngineStopping not in engine.kinds()  # no entry worked: nothing changed
    assert not [each for each in engine.venue.sent if isinstance(each, SubmitOrder | CancelOrder)]


def test_an_operators_word_before_the_listings_is_not_lost() -> None:
    engine = Engine()
    killed = Kill(venue_ts_ns=NOW, received_ts_ns=NOW, reason="test", requested_by="test")
    engine.engine.take(killed)
    engine.engine.take(listed())
    assert engine.kinds() == [EngineStarted, Kill, AccountListed]


def test_a_part_of_the_listings_starts_nothing() -> None:
    engine = Engine()
    engine.engine.take(replace(listed(), is_complete=False))
    assert not engine.engine.is_started
