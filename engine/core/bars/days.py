"""The day of a tape: a session with the extended hours on both of its sides."""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.core.errors import BadInput
from engine.core.values import DAY_NS, MINUTE_NS, Session, Sessions

# No exchange of ours was ever closed longer than this.
_CLOSED_DAYS_MAX: Final = 10
# How far a day reaches where the calendar ends.
_OPEN_END_NS: Final = 8 * 60 * MINUTE_NS


class TradingDay(NamedTuple):
    """Hold a session and the span of time that belongs to it, `[start, end)` in ns UTC."""

    session: Session
    start_ts_ns: int
    end_ts_ns: int


def trading_day(sessions: Sessions, ts_ns: int) -> TradingDay:
    """Return the day that holds a moment: it turns halfway between the close of a session and the next open.

    Raises BadInput for a moment outside the calendar.
    """
    session = sessions.session_from(ts_ns)
    if session.always_open:
        return TradingDay(session, session.open_ts_ns, session.close_ts_ns)
    before = _session_before(sessions, session)
    start = session.open_ts_ns - _OPEN_END_NS if before is None else _turn(before, session)
    if before is not None and ts_ns < start:
        earlier = _session_before(sessions, before)
        earlier_start = before.open_ts_ns - _OPEN_END_NS if earlier is None else _turn(earlier, before)
        return TradingDay(before, earlier_start, start)
    return TradingDay(session, min(start, ts_ns), _end_of(sessions, session))


def _turn(session: Session, following: Session) -> int:
    return session.close_ts_ns + (following.open_ts_ns - session.close_ts_ns) // 2


def _end_of(sessions: Sessions, session: Session) -> int:
    try:
        return _turn(session, sessions.session_from(session.close_ts_ns))
    except BadInput:
        return session.close_ts_ns + _OPEN_END_NS


def _session_before(sessions: Sessions, session: Session) -> Session | None:
    # A calendar answers forward only: a day back at a time, the first other answer is the session before.
    for days in range(1, _CLOSED_DAYS_MAX + 1):
        try:
            found = sessions.session_from(session.open_ts_ns - days * DAY_NS)
        except BadInput:
            return None
        if found.open_ts_ns < session.open_ts_ns:
            return found
    return None
