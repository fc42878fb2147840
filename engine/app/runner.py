"""The runner: one engine at one venue on the network, on asyncio.

Feeds, the venue and jobs are tasks that put events into one inbox. One consumer takes them out, steps and commits, so
that the decision path is as synchronous as in a backtest; what it decides leaves through the dispatcher. Everything
ends together: what any task raises ends the run, and a stop in order lets entries be canceled first.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from engine.app.dispatcher import Dispatcher
from engine.app.inbox import BoundedInbox
from engine.app.jobs import Job, run_jobs
from engine.app.live import LiveEngine
from engine.app.operators import Posted
from engine.core.messages import Event, MarketEvent, TimeAdvanced
from engine.core.values import SECOND_NS
from engine.ports import Clock, LiveFeed, LiveVenue

#: How often the engine is told the time, ns.
PULSE_NS: Final = SECOND_NS
#: A pulse that comes so late has waited for something that kept the whole process, ns.
LAG_NS_MAX: Final = SECOND_NS // 2
#: So long a stop in order waits for the answers to its cancels, ns.
STOP_NS: Final = 20 * SECOND_NS
#: So many events are taken before the tasks that read and write are let in again.
_TURN: Final = 64


@dataclass(slots=True, kw_only=True)
class LagWatch:
    """Tell when the process was kept from working: a pulse that comes late was kept waiting, and so was all else."""

    #: Called with how late a pulse came, ns, where that is too much.
    on_lag: Callable[[int], None] = field(default=lambda _: None)
    limit_ns: int = LAG_NS_MAX
    #: How often that happened, and the worst of it.
    count: int = 0
    longest_ns: int = 0

    def see(self, late_ns: int) -> None:
        """Take in how late a pulse came, ns."""
        self.longest_ns = max(self.longest_ns, late_ns)
        if late_ns > self.limit_ns:
            self.count += 1
            self.on_lag(late_ns)


class Runner:
    """Run a `LiveEngine` until it is stopped, or something ends it."""

    def __init__(
        self,
        engine: LiveEngine,
        dispatcher: Dispatcher,
        venue: LiveVenue,
        inbox: BoundedInbox,
        clock: Clock,
        *,
        feeds: Sequence[LiveFeed] = (),
        jobs: Sequence[Job] = (),
        posted: Callable[[int], Iterable[Posted]] = lambda _: (),
        on_started: Callable[[int], None] = lambda _: None,
        lag: LagWatch | None = None,
        stop_ns: int = STOP_NS,
    ) -> None:
        """Put the parts together.

        `posted` is asked at every pulse for what operators have posted, at a moment (ns UTC); `on_started` is called
        once, when the engine has its first listings.
        """
        self._engine = engine
        self._dispatcher = dispatcher
        self._venue = venue
        self._inbox = inbox
        self._clock = clock
        self._feeds = feeds
        self._jobs = jobs
        self._posted = posted
        self._on_started = on_started
        self._stop_s = stop_ns / SECOND_NS
        self._stop_reason = ""
        self._stopping = asyncio.Event()
        self._has_taken = asyncio.Event()
        self._was_started = False
        #: How late pulses come.
        self.lag = lag or LagWatch()

    def stop(self, reason: str) -> None:
        """End in order, soon: working entries are canceled, stops stay."""
        if not self.is_stopping:
            self._stop_reason = reason
            self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Return whether somebody asked to stop."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Work until `stop`; raises what ended a task by itself, such as Halt."""
        try:
            async with asyncio.TaskGroup() as group:
                # What brings new things to decide on, and what has to go on until the last cancel is answered.
                sources = [group.create_task(each) for each in self._sources()]
                workers = [group.create_task(each) for each in self._workers()]
                await self._stopping.wait()
                for task in sources:
                    task.cancel()
                await self._finish()
                for task in workers:
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise first_of(failures) from failures

    def _sources(self) -> Iterator[Coroutine[Any, Any, None]]:
        for feed in self._feeds:
            yield feed.listen(self._inbox)
        if self._jobs:
            yield run_jobs(self._jobs, self._clock)

    def _workers(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._venue.listen(self._inbox)
        yield self._dispatcher.run()
        yield self._pulse()
        yield self._consume()

    # --- what comes ------------------------------------------------------------------------------------------

    async def _consume(self) -> None:
        self._pass_time(self._clock.now_ns())
        while True:
            self._take(await self._inbox.get())
            for _ in range(_TURN):
                event = self._inbox.take()
                if event is None:
                    break
                self._take(event)
            await asyncio.sleep(0)

    def _take(self, event: Event) -> None:
        self._has_taken.set()
        now_ts_ns = self._clock.now_ns()
        if isinstance(event, TimeAdvanced):
            self._pass_time(now_ts_ns)
        elif isinstance(event, MarketEvent):
            # A price that has waited is as old as it says, and no order that is decided of it leaves late.
            self._dispatcher.decide_at(event.received_ts_ns)
            self._engine.take(event)
        else:
            # What the venue says is heard now, however long the process slept.
            self._dispatcher.decide_at(now_ts_ns)
            is_late = now_ts_ns - event.received_ts_ns > PULSE_NS
            self._engine.take(replace(event, received_ts_ns=now_ts_ns) if is_late else event)
        if not self._was_started and self._engine.is_started:
            self._was_started = True
            self._on_started(self._clock.now_ns())

    def _pass_time(self, now_ts_ns: int) -> None:
        self._dispatcher.decide_at(now_ts_ns)
        for event, on_append in self._posted(now_ts_ns):
            self._engine.take(event, on_append=on_append)
        self._engine.pass_time(now_ts_ns)

    async def _pulse(self) -> None:
        due_ts_ns = self._clock.now_ns() + PULSE_NS
        while True:
            await asyncio.sleep(max(0, due_ts_ns - self._clock.now_ns()) / SECOND_NS)
            now_ts_ns = self._clock.now_ns()
            self.lag.see(now_ts_ns - due_ts_ns)
            self._inbox.put(TimeAdvanced(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns))
            due_ts_ns = max(due_ts_ns, now_ts_ns - PULSE_NS) + PULSE_NS

    # --- the end ---------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        self._engine.stop(self._stop_reason, self._clock.now_ns())
        try:
            async with asyncio.timeout(self._stop_s):
                # Every pulse is a look.
                while (
                    self._engine.has_work(self._clock.now_ns()) or self._inbox.waiting or not self._dispatcher.is_idle
                ):
                    self._has_taken.clear()
                    await self._has_taken.wait()
        except TimeoutError:
            # Whatever is still on its way is UNKNOWN to the next engine, which asks.
            pass


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group that may hold groups: whatever else went wrong went wrong after it."""
    first = failures.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


@contextmanager
def stopping_on_signals(runner: Runner) -> Iterator[None]:
    """Turn a termination signal and Ctrl-C into a stop in order; a second Ctrl-C interrupts at once."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if runner.is_stopping:
            # Whatever is open is closed on the way out; nothing that was committed is lost.
            loop.remove_signal_handler(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        runner.stop("interrupted from the keyboard")

    loop.add_signal_handler(signal.SIGTERM, runner.stop, "the engine was told to stop")
    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
