"""Pacing: market time at a chosen multiple of real time, interruptible at any moment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Flag
from types import FrameType
from typing import Final

from engine.core.messages import MarketEvent
from engine.core.values import SECOND_NS
from engine.ports import Clock

#: A gap of the market longer than this (a night, a weekend) is not waited for, ns of market time.
_LONGEST_GAP_NS: Final = 15 * 60 * SECOND_NS


class Pacer:
    """Let market events pass when their time has come: `speed` market seconds per second, None for at once."""

    def __init__(self, clock: Clock, *, speed: float | None, full_speed_until_ts_ns: int = 0) -> None:
        self._clock = clock
        self._speed = speed
        self._full_speed_until_ts_ns = full_speed_until_ts_ns
        self._stop = Flag()
        self._last_ts_ns = 0
        self._due_ns = 0

    @property
    def is_stopped(self) -> bool:
        """Return whether somebody asked to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask to stop; a wait ends at once."""
        self._stop.set()

    def __call__(self, event: MarketEvent) -> bool:
        """Wait for an event's time; return False when it is time to stop."""
        ts_ns = event.received_ts_ns
        if self._speed is not None and ts_ns > self._full_speed_until_ts_ns:
            self._wait(ts_ns, self._speed)
        self._last_ts_ns = ts_ns
        return not self._stop.is_set()

    def _wait(self, ts_ns: int, speed: float) -> None:
        now_ns = self._clock.now_ns()
        gap_ns = ts_ns - self._last_ts_ns
        if not self._due_ns or gap_ns > _LONGEST_GAP_NS:
            self._due_ns = now_ns
            return
        self._due_ns += round(gap_ns / speed)
        if self._due_ns > now_ns:
            self._stop.wait((self._due_ns - now_ns) / SECOND_NS)


@contextmanager
def stopping_on_signals(pacer: Pacer) -> Iterator[None]:
    """Turn Ctrl-C and a termination signal into a stop at the next step; a second Ctrl-C interrupts at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if pacer.is_stopped and number == signal.SIGINT:
            raise KeyboardInterrupt
        pacer.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
