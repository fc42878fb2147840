"""The one place that reads a clock."""

from __future__ import annotations

import time


class SystemClock:
    """Tell UTC in nanoseconds, never decreasing: the wall's time at the start, moved on by the monotonic clock."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return UTC in nanoseconds."""
        return self._offset_ns + time.monotonic_ns()
