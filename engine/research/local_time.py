"""Moments in the time of an exchange."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from engine.core.errors import Halt
from engine.core.values import DAY_NS, SECOND_NS
from engine.research.report_inputs import Moments

_NOON_SECONDS: Final = 43_200


@lru_cache(maxsize=4)
def find_zone(name: str) -> tzinfo:
    """Return a time zone by its name.

    Raises Halt on a machine without a zone database: hours of the exchange would be wrong.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise Halt(f"The time zone {name} is not on this machine: install its package tzdata.") from error


def local(ts_ns: int, zone: tzinfo) -> datetime:
    """Return a moment in a zone, to the microsecond."""
    return datetime.fromtimestamp(ts_ns // SECOND_NS, zone).replace(microsecond=ts_ns % SECOND_NS // 1000)


def local_text(ts_ns: int, zone: tzinfo) -> str:
    """Return a moment as ISO 8601 in a zone, with its offset from UTC, to the second."""
    return datetime.fromtimestamp(ts_ns // SECOND_NS, zone).isoformat()


def local_minutes(ts_ns: Moments, zone: tzinfo) -> Moments:
    """Return moments as minutes of local wall time since 1970.

    The offset is taken once per UTC day, at noon: clocks change at weekends and by night, when nothing trades.
    """
    days, position = np.unique(ts_ns // DAY_NS, return_inverse=True)
    offsets = [datetime.fromtimestamp(day * 86_400 + _NOON_SECONDS, zone).utcoffset() for day in days.tolist()]
    minutes = np.array([0 if each is None else each.total_seconds() // 60 for each in offsets], dtype=np.int64)
    return ts_ns // (60 * SECOND_NS) + minutes[position]
