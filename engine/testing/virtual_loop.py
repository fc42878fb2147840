"""An event loop of asyncio in virtual time: whoever drives it says what time it is, and a seed says who runs first.

    loop = virtual_loop(Random(7))
    loop.create_task(something())
    loop.pass_to(ts_ns)          # everything that is due by then, one call after the other
    loop.due_ns()                 # when the next call is due

Nothing here reads a clock, a socket or a thread. What is ready at one moment runs in an order that is drawn, and now
and then something waits a little, as on a busy machine. Between two calls of `pass_to` nothing moves: a process that is
stopped is a loop that is not driven.
"""

from __future__ import annotations

import asyncio
from asyncio import _set_running_loop as set_running_loop  # its documentation offers it to makers of loops
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Final

from engine.core.values import SECOND_NS

_MILLISECOND_NS: Final = 1_000_000


class VirtualLoop(asyncio.AbstractEventLoop):
    """Run tasks in virtual time; only what tasks, futures and time-outs need of a loop is there."""

    def __init__(self, random: Random, *, ts_ns: int = 0, delayed: float = 0.0, delay_ms_max: int = 50) -> None:
        """Begin at a moment; a call is put off by up to `delay_ms_max` with the probability `delayed`."""
        self._random = random
        self._origin_ns = ts_ns
        self._delayed = delayed
        self._delay_ms_max = delay_ms_max
        #: The time, ns.
        self.ts_ns = ts_ns
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[int, int, asyncio.Handle]] = []
        self._numbers = count()
        self._is_running = False
        #: What ended a call that no task took care of.
        self.failure: BaseException | None = None

    # --- driving -------------------------------------------------------------------------------------------

    def due_ns(self) -> int | None:
        """Return when the next call is due, ns; None where nothing is waited for."""
        if self._ready:
            return self.ts_ns
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def pass_to(self, ts_ns: int, *, until: Callable[[], bool] = lambda: False) -> None:
        """Run everything that is due by a moment, ns, or until `until` holds after a call.

        Raises what a callback raised; what a task raises stands in the task.
        """
        with self._running():
            while not until():
                due_ns = self.due_ns()
                if due_ns is None or due_ns > ts_ns:
                    self.ts_ns = max(self.ts_ns, ts_ns)
                    break
                self.ts_ns = max(self.ts_ns, due_ns)
                self._run_one()
                if self.failure is not None:
                    failure, self.failure = self.failure, None
                    raise failure

    @contextmanager
    def _running(self) -> Iterator[None]:
        set_running_loop(self)
        self._is_running = True
        try:
            yield
        finally:
            self._is_running = False
            set_running_loop(None)

    def _run_one(self) -> None:
        # Timers go off in their order, each among whatever is ready.
        if self._timers and self._timers[0][0] <= self.ts_ns:
            self._ready.append(heappop(self._timers)[2])
        handle = self._ready.pop(self._random.randrange(len(self._ready)) if len(self._ready) > 1 else 0)
        if not handle.cancelled():
            handle._run()  # noqa: SLF001 - every loop runs its handles so

    def shut_down(self) -> None:
        """Cancel every task and let it end; what is raised meanwhile is nobody's any more."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        while any(not task.done() for task in asyncio.all_tasks(self)):
            with suppress(BaseException):
                self.pass_to(self.ts_ns + SECOND_NS)

    # --- what asyncio asks of a loop -------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Return the time, ns: the loop is a clock."""
        return self.ts_ns

    def time(self) -> float:
        """Return seconds since the loop began: small numbers, which floats hold to the nanosecond."""
        return (self.ts_ns - self._origin_ns) / SECOND_NS

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back at this moment, or a little later."""
        if self._delayed and self._random.random() < self._delayed:
            delay_ns = self._random.randint(1, self._delay_ms_max) * _MILLISECOND_NS
            return self._schedule(asyncio.Handle(callback, args, self, context), self.ts_ns + delay_ns)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back after some seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time of the loop's."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._schedule(handle, self._origin_ns + round(when * SECOND_NS))
        return handle

    def _schedule(self, handle: asyncio.Handle, due_ns: int) -> asyncio.Handle:
        heappush(self._timers, (due_ns, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Return a task of this loop."""
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody took care of, for whoever drives the loop."""
        self.failure = self.failure or context.get("exception") or RuntimeError(context["message"])

    def get_debug(self) -> bool:
        """Return False: there is no debug mode."""
        return False

    def is_running(self) -> bool:
        """Return whether a call is being made."""
        return self._is_running

    def is_closed(self) -> bool:
        """Return False: nothing is open that could be closed."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Hear that a timer was canceled; it is left out when its time comes."""


def virtual_loop(random: Random, *, ts_ns: int = 0, delayed: float = 0.0, delay_ms_max: int = 50) -> VirtualLoop:
    """Return a loop that begins at a moment; a call is put off by up to `delay_ms_max` with probability `delayed`."""
    # What asks for sockets, files or processes is abstract in it on purpose.
    return VirtualLoop(random, ts_ns=ts_ns, delayed=delayed, delay_ms_max=delay_ms_max)  # type: ignore[abstract]
