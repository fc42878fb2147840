"""The one place that reads a clock."""

from __future__ import annotations

import time
from typing import Final


class SystemClock:
    """Tell UTC in nanoseconds, never decreasing: the wall's time at the start, moved on by the monotonic clock."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - _ticks_ns()

    def now_ns(self) -> int:
        """Return UTC in nanoseconds."""
        return self._offset_ns + _ticks_ns()


# Linux lets its monotonic clock stand while the machine is suspended; after that every deadline would be late.
def _ticks_ns() -> int:
    return time.clock_gettime_ns(_TICKS)


_TICKS: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
