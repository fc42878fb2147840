"""Waits in session time: while the exchange is closed nothing can move, so a wait pauses."""

from __future__ import annotations

from engine.core.values import Sessions


def in_session_time(sessions: Sessions, ts_ns: int, lasting_ns: int) -> int:
    """Return when a wait of `lasting_ns` that begins at a moment ends, ns UTC; a market that never closes never pauses.

    What is left of it at a close goes on at the next open.
    """
    session = sessions.session_from(ts_ns)
    ends_ts_ns = max(ts_ns, session.open_ts_ns) + lasting_ns
    while not session.always_open and ends_ts_ns > session.close_ts_ns:
        left_ns = ends_ts_ns - session.close_ts_ns
        session = sessions.session_from(session.close_ts_ns)
        ends_ts_ns = session.open_ts_ns + left_ns
    return ends_ts_ns
