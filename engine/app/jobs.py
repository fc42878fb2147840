"""Jobs: what happens at set times. A job only posts events, so that whatever it brings about is a step like any other.

The triggers are APScheduler's, and ours for exchange sessions; what waits for them is our own, since the scheduler
reads the wall's clock by itself, and here all time comes from one clock (which a simulation turns).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from apscheduler.triggers.base import BaseTrigger

from engine.core.errors import BadInput
from engine.core.values import SECOND_NS, InstrumentId, Sessions
from engine.ports import Clock

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: How often the clock is looked at while no job is due, ns.
_LOOK_NS: Final = 30 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Hold what is done when."""

    name: str
    #: When: `get_next_fire_time(previous, now)`, of APScheduler or with its interface.
    trigger: BaseTrigger
    #: Called with the time at which it is called, ns UTC.
    act: Callable[[int], None]


class SessionTrigger(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Fire at the opening and at the close of every session of some instruments; never where they always trade."""

    def __init__(self, sessions: Mapping[InstrumentId, Sessions] | Iterable[Sessions]) -> None:
        every = sessions.values() if isinstance(sessions, Mapping) else sessions
        self._sessions = tuple(dict.fromkeys(every))

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next opening or close after both moments; None where no session is known any more."""
        since = now if previous_fire_time is None else max(now, previous_fire_time + _MICROSECOND)
        moments = [moment for each in self._sessions for moment in _moments(each, ns_of(since))]
        return datetime_of(min(moments)) if moments else None


def _moments(sessions: Sessions, since_ts_ns: int) -> Sequence[int]:
    try:
        session = sessions.session_from(since_ts_ns)
    except BadInput:
        # After the last year of the table; whoever trades then is told so by every other question.
        return ()
    if session.always_open:
        return ()
    return [moment for moment in (session.open_ts_ns, session.close_ts_ns) if moment >= since_ts_ns]


async def run_jobs(jobs: Sequence[Job], clock: Clock) -> None:
    """Call every job at its times, until canceled. What was missed, in a suspended process, is done once."""
    agenda: list[tuple[int, int]] = []
    for number, job in enumerate(jobs):
        first = job.trigger.get_next_fire_time(None, datetime_of(clock.now_ns()))
        if first is not None:
            heappush(agenda, (ns_of(first), number))
    while agenda:
        due_ts_ns, number = agenda[0]
        now_ts_ns = clock.now_ns()
        if due_ts_ns > now_ts_ns:
            # A loop's own clock may stand while the machine is suspended; ours does not.
            await asyncio.sleep(min(due_ts_ns - now_ts_ns, _LOOK_NS) / SECOND_NS)
            continue
        heappop(agenda)
        jobs[number].act(now_ts_ns)
        following = _following(jobs[number].trigger, due_ts_ns, now_ts_ns)
        if following is not None:
            heappush(agenda, (following, number))


# The first time after now: those between that and the last one were missed.
def _following(trigger: BaseTrigger, due_ts_ns: int, now_ts_ns: int) -> int | None:
    while due_ts_ns <= now_ts_ns:
        due = trigger.get_next_fire_time(datetime_of(due_ts_ns), datetime_of(now_ts_ns))
        if due is None:
            return None
        due_ts_ns = ns_of(due)
    return due_ts_ns


def datetime_of(ts_ns: int) -> datetime:
    """Return a moment, ns UTC, as a datetime: to the microsecond, as triggers count."""
    return _EPOCH + timedelta(microseconds=ts_ns // 1_000)


def ns_of(moment: datetime) -> int:
    """Return a datetime as ns UTC."""
    return (moment - _EPOCH) // _MICROSECOND * 1_000
