"""A life on asyncio: the same process as `ratchet run` has it, with the runner's tasks on a loop in virtual time.

What differs from a `Life`: events wait in the inbox until the consumer is let in, commands leave by tasks of the
dispatcher, the engine looks at its clock by its own pulse, and who runs first is drawn from the seed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from engine.app.dispatcher import Dispatcher
from engine.app.inbox import BoundedInbox
from engine.app.live import LiveEngine
from engine.app.loop import SendFence
from engine.app.runner import Runner
from engine.core.execution.settings import Deadlines
from engine.core.messages import AccountListed, Command, Event, VenueReport
from engine.core.pipeline import Pipeline
from engine.ports import Inbox
from engine.testing.chaos.life import Life, VenuePort
from engine.testing.chaos.store import Crash
from engine.testing.virtual_loop import virtual_loop

#: How often a call is put off, as on a machine that has other work.
_DELAYED: Final = 0.1
_SETTLE_NS: Final = Deadlines().settle_ns


class LoopLife(Life):
    """Hold one process whose engine is driven by a `Runner`."""

    def _engine(self, pipeline: Pipeline, reconcile_ns: int, fence: SendFence) -> LiveEngine:
        now_ts_ns, epoch = self.port.now_ts_ns, self.lease.epoch
        self.loop = virtual_loop(Random(f"loop:{self.seed}:{epoch}:{now_ts_ns}"), ts_ns=now_ts_ns, delayed=_DELAYED)
        self._mortal = _Mortal()
        self.inbox = BoundedInbox()
        venue = self._venue = _PortVenue(self.port, self._mortal)
        clock = _LoopClock(self)
        dispatcher = Dispatcher(venue, self.inbox, clock, fence, settle_ns=_SETTLE_NS)
        engine = LiveEngine(pipeline, dispatcher, self.journal, epoch=epoch, fence=fence, reconcile_ns=reconcile_ns)
        self._mortal.guard(engine)
        self.runner = Runner(engine, dispatcher, venue, self.inbox, clock, on_started=super().started)
        self._running = self.loop.create_task(self.runner.run())
        return engine

    def take(self, event: Event) -> None:
        """Give an answer to who waits for it, put any other event into the inbox, and let the process work."""
        if not self._venue.answer(event):
            self.inbox.put(event)
        self.wake(self.port.now_ts_ns)

    def pulse(self, now_ts_ns: int) -> None:
        """Let the process work; it looks at its clock by itself."""
        self.wake(now_ts_ns)

    def due_ts_ns(self) -> int | None:
        """Return when the process goes on by itself, ns UTC by the kernel's time."""
        return self.loop.due_ns()

    def wake(self, now_ts_ns: int) -> None:
        """Let every task work that is due; raises what ended the process."""
        # A process that was stopped finds that it is later, not what it has missed.
        self.loop.ts_ns = max(self.loop.ts_ns, now_ts_ns)
        self.loop.pass_to(now_ts_ns, until=lambda: self._mortal.crash is not None)
        if self._mortal.crash is not None:
            raise self._mortal.crash
        if self._running.done():
            self._running.result()

    def started(self, now_ts_ns: int) -> None:
        """Do nothing: the runner has noted the start."""

    def die(self) -> None:
        """Leave nothing behind that was not committed; whatever a task still wants to do is refused."""
        self._mortal.is_dead = True
        super().die()
        self.loop.shut_down()
        if not self._running.cancelled():
            self._running.exception()


class _Mortal:
    # Notices where the process dies, so that nothing of it runs any more, and refuses what comes after.
    def __init__(self) -> None:
        self.crash: Crash | None = None
        self.is_dead = False

    def guard(self, engine: LiveEngine) -> None:
        process = engine.loop.process
        engine.loop.process = lambda event, **options: self.call(process, event, **options)  # type: ignore[method-assign]

    def call(self, does: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
        if self.is_dead:
            raise Crash("after its death")
        try:
            return does(*arguments, **options)
        except Crash as crash:
            self.crash = crash
            raise


class _LoopClock:
    # What the process's clock says, with its error.
    def __init__(self, life: Life) -> None:
        self._life = life

    def now_ns(self) -> int:
        return self._life.clock(self._life.port.now_ts_ns)


class _PortVenue:
    # The port behind requests and answers. What the kernel hands over answers the oldest request of its order that
    # still waits, or the question for listings. What nobody waits for any more is as a push.
    exit_styles = VenuePort.exit_styles

    def __init__(self, port: VenuePort, mortal: _Mortal) -> None:
        self._port = port
        self._mortal = mortal
        self._waiting: defaultdict[str, deque[asyncio.Future[Any]]] = defaultdict(deque)

    async def request(self, command: Command) -> Sequence[VenueReport]:
        self._mortal.call(self._port.send, command)
        return (await self._answer(command.client_order_id),)

    async def list_account(self, asked_ts_ns: int) -> AccountListed | None:
        self._mortal.call(self._port.query_account, asked_ts_ns)
        listed: AccountListed = await self._answer("")
        return listed

    async def listen(self, inbox: Inbox) -> None:
        """Nothing: the kernel puts what comes into the inbox."""

    async def _answer(self, key: str) -> Any:  # noqa: ANN401 - of whatever kind was asked for
        future = asyncio.get_running_loop().create_future()
        self._waiting[key].append(future)
        return await future

    def answer(self, event: Event) -> bool:
        if not isinstance(event, VenueReport | AccountListed):
            return False
        waiting = self._waiting["" if isinstance(event, AccountListed) else event.client_order_id]
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(event)
                return True
        return False
