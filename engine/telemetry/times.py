"""Moments as log lines write them."""

from __future__ import annotations

from datetime import UTC, datetime


def event_time(ts_ns: int) -> str:
    """Return a moment in ns UTC as ISO 8601 with milliseconds, rounded down: `2025-01-02T14:30:00.000Z`."""
    seconds, rest_ns = divmod(ts_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"
