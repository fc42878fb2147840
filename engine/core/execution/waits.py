"""Waits: until when something may last, in session time, and their pause while the exchange halts an instrument."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.execution.waiting import in_session_time
from engine.core.values import InstrumentId, Sessions


class Waits:
    """Reckon moments in session time: while the exchange is closed, or has halted an instrument, no time passes."""

    def __init__(self, sessions: Mapping[InstrumentId, Sessions]) -> None:
        self._sessions = sessions
        self._paused: dict[InstrumentId, int] = {}

    def until(self, instrument_id: InstrumentId, ts_ns: int, lasting_ns: int) -> int:
        """Return the moment at which so much session time will have passed, ns UTC.

        In a pause it is reckoned from the pause's beginning: its end moves every moment by its length.
        """
        from_ts_ns = min(ts_ns, self._paused.get(instrument_id, ts_ns))
        return in_session_time(self._sessions[instrument_id], from_ts_ns, lasting_ns)

    def is_open(self, instrument_id: InstrumentId, ts_ns: int) -> bool:
        """Return whether orders may fill at a moment: in a session, and not halted."""
        return instrument_id not in self._paused and self._sessions[instrument_id].session_at(ts_ns) is not None

    def is_paused(self, instrument_id: InstrumentId) -> bool:
        """Return whether the exchange has halted the instrument."""
        return instrument_id in self._paused

    def pause(self, instrument_id: InstrumentId, ts_ns: int) -> None:
        """Begin a pause; a second beginning changes nothing."""
        self._paused.setdefault(instrument_id, ts_ns)

    def resume(self, instrument_id: InstrumentId, ts_ns: int) -> int:
        """End a pause and return how long it lasted, ns; 0 where there was none."""
        since = self._paused.pop(instrument_id, ts_ns)
        return max(0, ts_ns - since)


def is_over(deadline_ts_ns: int | None, ts_ns: int) -> bool:
    """Return whether a moment that something may wait until has come; where there is none it never does."""
    return deadline_ts_ns is not None and deadline_ts_ns <= ts_ns


def later(moment_ts_ns: int | None, lasted_ns: int) -> int | None:
    """Return a moment moved by the length of a pause, where there is one."""
    return None if moment_ts_ns is None else moment_ts_ns + lasted_ns
