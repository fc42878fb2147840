"""A whole engine on asyncio: real journal, real dispatcher, the reference venue over its link, a market that moves.

The loop is in virtual time, but for the tests of signals: they have a real one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from engine.app.clock import SystemClock
from engine.app.dispatcher import Dispatcher
from engine.app.inbox import BoundedInbox
from engine.app.jobs import Job, SessionTrigger
from engine.app.live import LiveEngine
from engine.app.loop import SendFence
from engine.app.operators import Postbox
from engine.app.recovery import restore
from engine.app.runner import LagWatch, Runner, stopping_on_signals
from engine.core.errors import Halt
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Command, Kill, SubmitOrder, TimeAdvanced
from engine.core.values import SECOND_NS, Instrument, InstrumentId, Leg, Sessions
from engine.ports import Clock, Inbox
from engine.store.accounts import list_accounts, post_request
from engine.store.connection import open_writer, sqlite
from engine.store.lease import take_lease
from engine.store.writer import SqliteJournal
from engine.testing.chaos.market import INSTRUMENT, OPENS_TS_NS, SESSIONS, STEP_NS
from engine.testing.chaos.plan import draw_plan
from engine.testing.chaos.subject import CASH, chaos_trader, market_of
from engine.testing.chaos.templates import Templates
from engine.testing.chaos.wires import quote, tick
from engine.testing.reference_link import ReferenceLink
from engine.testing.reference_temper import HONEST, Fate, VenueTemper
from engine.testing.reference_venue import ReferenceVenue
from engine.testing.virtual_loop import VirtualLoop, virtual_loop

KEY = INSTRUMENT.instrument_id
START_TS_NS = OPENS_TS_NS[0] - 60 * SECOND_NS


class Tape:
    """A feed: quotes and prints of a simulated market, every five seconds from its open on."""

    def __init__(self, seed: int, venue: ReferenceVenue, clock: Clock) -> None:
        self.instruments: tuple[Instrument, ...] = (INSTRUMENT,)
        self.sessions: Mapping[InstrumentId, Sessions] = {KEY: SESSIONS}
        self._prices = market_of(seed).prices
        self._venue = venue
        self._clock = clock
        #: Raised at a step, where one is given.
        self.fails: tuple[int, Exception] | None = None

    async def listen(self, inbox: Inbox) -> None:
        for step, price in enumerate(self._prices):
            due_ts_ns = OPENS_TS_NS[0] + step * STEP_NS
            await asyncio.sleep((due_ts_ns - self._clock.now_ns()) / SECOND_NS)
            if self.fails is not None and self.fails[0] == step:
                raise self.fails[1]
            await inbox.room()
            now_ts_ns = self._clock.now_ns()
            self._venue.price(KEY, Decimal(str(price)), now_ts_ns)
            inbox.put(quote(price - 0.01, price + 0.01, now_ts_ns))
            inbox.put(tick(price, now_ts_ns))


def venue_of(seed: int, temper: VenueTemper) -> ReferenceVenue:
    return ReferenceVenue(
        temper,
        seed=seed,
        instruments={KEY: INSTRUMENT},
        sessions={KEY: SESSIONS},
        exit_style=ExitStyle.BOTH_LEGS,
        opening_cash=CASH,
    )


class World:
    """An account at the reference venue, and a runner that trades it."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        seed: int = 1,
        temper: VenueTemper | None = None,
        after: World | None = None,
    ) -> None:
        plan = draw_plan(seed, first_minute=0, kinds=frozenset(), exit_style=ExitStyle.BOTH_LEGS)
        subject = chaos_trader()
        self.connection: sqlite.Connection = (
            after.connection if after else open_writer(Templates(subject, folder).database(plan))
        )
        account = list_accounts(self.connection)[0]
        self.account_id = account.account_id
        self.pipeline = subject.pipeline(plan)
        restore(self.pipeline, self.connection, account)
        now_ts_ns = clock.now_ns()
        lease = take_lease(
            self.connection, account.account_id, owner="test", now_ts_ns=now_ts_ns, is_clock_proven=False
        )
        self.journal = SqliteJournal(self.connection, account, epoch=lease.epoch)
        self.venue: ReferenceVenue = after.venue if after else venue_of(seed, temper or VenueTemper())
        #: What befalls requests.
        self.fate: Fate = HONEST
        self.requests: list[Command] = []
        link = ReferenceLink(self.venue, clock, fate=self._befall)
        self.inbox = BoundedInbox()
        fence = SendFence(clock=clock, verify=self.journal.verify_lease)
        dispatcher = Dispatcher(link, self.inbox, clock, fence, settle_ns=10 * SECOND_NS)
        self.engine = LiveEngine(
            self.pipeline, dispatcher, self.journal, epoch=lease.epoch, fence=fence, reconcile_ns=20 * SECOND_NS
        )
        self.tape = Tape(plan.market_seed, self.venue, clock)
        self.started: list[int] = []
        self.has_started = asyncio.Event()
        self.lags: list[int] = []
        self.runner = Runner(
            self.engine,
            dispatcher,
            link,
            self.inbox,
            clock,
            feeds=[self.tape],
            jobs=[Job(name="sessions", trigger=SessionTrigger([SESSIONS]), act=self._tell_time)],
            posted=Postbox(self.connection, account.account_id, self.journal),
            on_started=self._note_start,
            lag=LagWatch(on_lag=self.lags.append),
        )

    def _befall(self, command: Command | None) -> Fate:
        if command is None:
            return HONEST
        self.requests.append(command)
        return self.fate

    def _note_start(self, now_ts_ns: int) -> None:
        self.started.append(now_ts_ns)
        self.has_started.set()

    def _tell_time(self, now_ts_ns: int) -> None:
        self.inbox.put(TimeAdvanced(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns))

    def kinds(self) -> list[str]:
        """Return the kinds of the journal's inputs, oldest first."""
        return [kind for (kind,) in self.connection.execute("SELECT kind FROM inputs ORDER BY id")]

    def working(self, leg: Leg) -> int:
        """Return how many orders of a leg work at the venue."""
        ours = {each.client_order_id for each in self.pipeline.execution.open_orders() if each.leg is leg}
        return sum(order.is_open and order.client_order_id in ours for order in self.venue.orders.values())


class VirtualWorld(World):
    """A world in virtual time, whose runner has begun a minute before the open."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        temper: VenueTemper | None = None,
        after: VirtualWorld | None = None,
    ) -> None:
        begins_ts_ns = after.loop.now_ns() if after else START_TS_NS
        self.loop: VirtualLoop = virtual_loop(Random(seed), ts_ns=begins_ts_ns, delayed=0.02)
        super().__init__(folder, self.loop, seed=seed, temper=temper, after=after)
        self.task = self.loop.create_task(self.runner.run())

    def until(self, minutes: float) -> None:
        """Let time pass until so many minutes after the open."""
        self.loop.pass_to(OPENS_TS_NS[0] + round(minutes * 60 * SECOND_NS))

    def until_working(self, *legs: Leg) -> None:
        """Let time pass until orders of all these legs work at the venue."""
        for second in range(3_600):
            self.loop.pass_to(OPENS_TS_NS[0] + second * SECOND_NS)
            if all(self.working(leg) for leg in legs):
                return
        pytest.fail(f"{legs} never work together in an hour")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[VirtualWorld]:
    # A seed whose trader has an entry and a stop at work together, soon.
    made = VirtualWorld(tmp_path, seed=14)
    yield made
    made.loop.shut_down()
    made.connection.close()


def test_it_trades_and_its_books_are_those_of_the_venue(world: VirtualWorld) -> None:
    world.until(40)
    assert not world.task.done()
    assert len(world.started) == 1
    assert world.kinds().count("EngineStarted") == 1
    assert len(world.venue.executions) >= 4
    booked = world.connection.execute("SELECT count(*) FROM trades").fetchone()[0]
    assert booked == len(world.venue.executions)
    held = sum(bracket.held for bracket in world.pipeline.execution.open_brackets())
    assert held == world.venue.position(KEY)
    assert not world.pipeline.execution.is_exposed(world.loop.now_ns())
    assert (world.inbox.superseded, world.lags) == (0, [])
    # Bars are closed by the time that the pulse tells, whatever the tape does.
    assert world.connection.execute("SELECT count(*) FROM bars").fetchone()[0] >= 39


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_is_the_same_journal(tmp_path: Path, seed: int) -> None:
    hashes = set()
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = VirtualWorld(folder, seed=seed, temper=VenueTemper(partial_fills=0.5, latency_ms=(50, 2_500)))
        world.until(15)
        hashes.add(world.journal.journal_hash)
        world.loop.shut_down()
        world.connection.close()
    assert len(hashes) == 1


def test_a_stop_in_order_cancels_entries_and_keeps_stops(world: VirtualWorld) -> None:
    world.until_working(Leg.STOP, Leg.ENTRY)
    stops, held = world.working(Leg.STOP), world.venue.position(KEY)
    assert stops
    world.runner.stop("the owner goes home")
    world.loop.pass_to(world.loop.now_ns() + 30 * SECOND_NS, until=world.task.done)
    assert world.task.result() is None
    assert world.working(Leg.ENTRY) == 0
    assert world.working(Leg.STOP) == stops
    assert world.venue.position(KEY) == held
    kinds = world.kinds()
    assert "EngineStopping" in kinds
    assert "OrderCanceled" in kinds[kinds.index("EngineStopping") :]
    assert not world.connection.in_transaction


def test_a_stop_does_not_wait_for_a_venue_that_is_silent(world: VirtualWorld) -> None:
    world.until_working(Leg.ENTRY)
    world.fate = Fate(request_lost=True)
    stopped_ts_ns = world.loop.now_ns()
    world.runner.stop("the owner goes home")
    world.loop.pass_to(stopped_ts_ns + 60 * SECOND_NS, until=world.task.done)
    assert world.task.result() is None
    assert 15 * SECOND_NS < world.loop.now_ns() - stopped_ts_ns < 30 * SECOND_NS


def test_a_stop_before_the_first_listings_ends_at_once(world: VirtualWorld) -> None:
    world.loop.pass_to(START_TS_NS)
    assert not world.started
    world.runner.stop("changed his mind")
    world.loop.pass_to(START_TS_NS + SECOND_NS)
    assert world.task.result() is None
    assert "EngineStopping" not in world.kinds()


def test_a_stop_waits_until_what_has_filled_has_its_stop(world: VirtualWorld) -> None:
    """I-13: the request of the stop is lost; the listings that prove it are waited for, and it is sent again."""
    executed = len(world.venue.executions)
    while len(world.venue.executions) == executed:
        world.loop.pass_to(world.loop.now_ns() + SECOND_NS // 10)
    assert world.venue.position(KEY) > 0
    world.fate = Fate(request_lost=True)
    world.runner.stop("the owner goes home")
    world.loop.pass_to(world.loop.now_ns() + 3 * SECOND_NS)
    assert world.venue.protected(KEY) == 0
    world.fate = HONEST
    world.loop.pass_to(world.loop.now_ns() + 30 * SECOND_NS, until=world.task.done)
    assert world.task.result() is None
    assert world.venue.protected(KEY) == world.venue.position(KEY) > 0


def test_a_stop_before_the_first_listings_cancels_what_an_engine_before_has_left(
    world: VirtualWorld, tmp_path: Path
) -> None:
    world.until_working(Leg.ENTRY)
    world.venue.engine_died(world.loop.now_ns())
    again = VirtualWorld(tmp_path, seed=14, after=world)
    again.runner.stop("changed his mind")
    again.loop.pass_to(again.loop.now_ns() + 30 * SECOND_NS, until=again.task.done)
    assert again.task.result() is None
    assert again.working(Leg.ENTRY) == 0
    assert not any(order.is_open and order.command.side == "buy" for order in again.venue.orders.values())
    assert "EngineStopping" in again.kinds()
    again.loop.shut_down()


@pytest.mark.parametrize("asleep_s", [0, 1_800])
def test_what_waited_through_a_suspension_enters_nothing(world: VirtualWorld, asleep_s: int) -> None:
    """The moment at which the trader enters stands in the inbox, read and not yet taken, when the machine sleeps."""
    decided_ts_ns = OPENS_TS_NS[0] + 122 * SECOND_NS
    world.loop.pass_to(decided_ts_ns - SECOND_NS // 10)
    world.inbox.put(TimeAdvanced(venue_ts_ns=decided_ts_ns, received_ts_ns=decided_ts_ns))
    world.loop.ts_ns += asleep_s * SECOND_NS
    world.loop.pass_to(world.loop.now_ns() + SECOND_NS)
    entries = [each for each in world.requests if isinstance(each, SubmitOrder) and each.side == "buy"]
    assert len(entries) == (0 if asleep_s else 1)


def test_what_ends_one_task_ends_the_run_with_its_own_error(world: VirtualWorld) -> None:
    world.tape.fails = (30, Halt("The feed needs a human."))
    world.until(10)
    with pytest.raises(Halt, match="needs a human"):
        world.task.result()
    assert not world.connection.in_transaction


def test_an_engine_that_was_replaced_ends(world: VirtualWorld) -> None:
    """I-17: its next commit is refused."""
    world.until(5)
    take_lease(
        world.connection, world.account_id, owner="another", now_ts_ns=world.loop.now_ns(), is_clock_proven=False
    )
    steps = world.journal.step_count
    world.until(10)
    with pytest.raises(Halt, match="taken"):
        world.task.result()
    assert world.connection.execute("SELECT count(*) FROM inputs").fetchone()[0] == steps


@pytest.mark.parametrize("minutes", [-1, 3])
def test_what_an_operator_posts_is_taken_once(world: VirtualWorld, minutes: float) -> None:
    world.until(minutes)
    command = Kill(venue_ts_ns=START_TS_NS, received_ts_ns=START_TS_NS, reason="panic", requested_by="owner")
    number = post_request(world.connection, world.account_id, command)
    world.until(20)
    assert world.kinds().count("Kill") == 1
    taken = world.connection.execute("SELECT taken_step_id FROM operator_requests WHERE id = ?", (number,)).fetchone()
    assert world.connection.execute("SELECT kind FROM inputs WHERE id = ?", taken).fetchone() == ("Kill",)
    killed_at = world.kinds().index("Kill")
    entries = [each for each in world.requests if isinstance(each, SubmitOrder) and each.side == "buy"]
    assert (minutes < 0) <= (not entries)
    assert "EngineStarted" in world.kinds()[:killed_at]


def test_a_process_that_was_kept_from_working_is_told_of(world: VirtualWorld) -> None:
    world.until(2)
    assert world.lags == []
    world.loop.ts_ns += 7 * SECOND_NS
    world.until(4)
    assert [late_ns // SECOND_NS for late_ns in world.lags] in ([6], [7])
    assert world.runner.lag.count == 1
    assert world.runner.lag.longest_ns == world.lags[0]
    assert not world.task.done()


# --- a real loop ---------------------------------------------------------------------------------------------------


class Moved:
    """The real clock, moved to where the simulated sessions are."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._offset_ns = START_TS_NS - self._clock.now_ns()

    def now_ns(self) -> int:
        return self._clock.now_ns() + self._offset_ns


def real_run(folder: Path, number: signal.Signals) -> World:
    """Run in real time until the engine has started; then a signal comes."""

    async def scene() -> World:
        world = World(folder, Moved())
        with stopping_on_signals(world.runner):
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                group.create_task(world.runner.run())
                await world.has_started.wait()
                os.kill(os.getpid(), number)
        return world

    return asyncio.run(scene())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    handler = signal.getsignal(number)
    began_s = time.monotonic()
    world = real_run(tmp_path, number)
    assert time.monotonic() - began_s < 8
    # With nothing to cancel, the stop is no news.
    assert world.kinds()[-2:] == ["EngineStarted", "AccountListed"]
    assert not world.connection.in_transaction
    assert signal.getsignal(number) is handler
    world.connection.close()


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(tmp_path, Moved())
        with stopping_on_signals(world.runner):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)
            assert world.runner.is_stopping
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(scene())
