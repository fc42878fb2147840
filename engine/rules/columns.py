"""Whole columns: bars as arrays, and expressions evaluated on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import BadInput
from engine.core.messages import Bar
from engine.core.values import MINUTE_NS, SECOND_NS, Session, Sessions
from engine.indicators import SESSION_COLUMN
from engine.rules.expressions import Expression, Reading, in_order

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

#: Readings that are fields of a bar, and those that follow from its place in its session.
BAR_FIELDS: Final = ("open", "high", "low", "close", "volume", "vwap")
TIME_READINGS: Final = ("seconds_from_open", "seconds_to_close", "session_number")

#: Stands for the bounds of a bar that lies outside regular hours.
OUTSIDE_TS_NS: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarColumns:
    """Hold the bars of one instrument as columns of one length, ascending, as a strategy is shown them."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    start_ts_ns: Integers
    #: Bounds of the bar's session; OUTSIDE_TS_NS in both where it lies outside regular hours.
    session_open_ts_ns: Integers
    session_close_ts_ns: Integers
    #: Counts the sessions in the columns, from 0; bars outside keep the number of the session before them.
    session_number: Integers
    #: True for a market that never closes.
    always_open: bool = False

    def __len__(self) -> int:
        """Return how many bars the columns hold."""
        return len(self.start_ts_ns)

    @classmethod
    def from_bars(cls, bars: Sequence[Bar], sessions: Sequence[Session | None]) -> BarColumns:
        """Return bars as columns, each with its session (None outside regular hours)."""
        if len(bars) != len(sessions):
            raise BadInput(f"There are {len(bars)} bars and {len(sessions)} sessions: give each bar its own.")
        bounds = [
            (session.open_ts_ns, session.close_ts_ns) if session else (OUTSIDE_TS_NS,) * 2 for session in sessions
        ]
        opens, closes = np.array(bounds, dtype=np.int64).reshape(-1, 2).T.copy()
        return cls(
            **{name: np.array([getattr(bar, name) for bar in bars], dtype=np.float64) for name in BAR_FIELDS},
            start_ts_ns=np.array([bar.start_ts_ns for bar in bars], dtype=np.int64),
            session_open_ts_ns=opens,
            session_close_ts_ns=closes,
            session_number=session_numbers(opens),
            always_open=any(session.always_open for session in sessions if session),
        )

    def head(self, bars: int) -> BarColumns:
        """Return the first bars only."""
        names = [field.name for field in fields(self) if field.name != "always_open"]
        return replace(self, **{name: getattr(self, name)[:bars] for name in names})

    def indicator_inputs(self) -> dict[str, NDArray[Any]]:
        """Return the columns that indicators read, by name."""
        return {name: getattr(self, name) for name in BAR_FIELDS} | {SESSION_COLUMN: self.session_open_ts_ns}

    def readings(self) -> dict[str, Floats]:
        """Return the columns that rules read, by name, without those of indicators."""
        values: dict[str, Floats] = {name: getattr(self, name) for name in BAR_FIELDS}
        values["seconds_from_open"] = self._seconds(self.start_ts_ns - (self.session_open_ts_ns - MINUTE_NS))
        values["seconds_to_close"] = self._seconds((self.session_close_ts_ns - MINUTE_NS) - self.start_ts_ns)
        values["session_number"] = self.session_number.astype(np.float64)
        return values

    def _seconds(self, distance_ns: Integers) -> Floats:
        if self.always_open:
            return np.full(len(self), np.inf)
        return np.where(self.session_open_ts_ns == OUTSIDE_TS_NS, np.nan, distance_ns / SECOND_NS)


def session_numbers(session_open_ts_ns: Integers) -> Integers:
    """Return the number of each bar's session, from 0 for the first one seen."""
    seen_until = np.maximum.accumulate(session_open_ts_ns) if len(session_open_ts_ns) else session_open_ts_ns
    is_first = np.diff(seen_until, prepend=OUTSIDE_TS_NS) > 0
    numbers: Integers = np.maximum(np.cumsum(is_first) - 1, 0).astype(np.int64)
    return numbers


def shown_bars(
    bars: Sequence[Bar], sessions: Sessions, *, extended_hours: bool = False
) -> tuple[list[Bar], list[Session | None]]:
    """Return the bars that a strategy is shown, each with its session (None outside regular hours)."""
    shown: list[Bar] = []
    where: list[Session | None] = []
    session: Session | None = None
    for bar in bars:
        if session is None or not session.open_ts_ns <= bar.start_ts_ns < session.close_ts_ns:
            session = sessions.session_at(bar.start_ts_ns)
        if session is not None or extended_hours:
            shown.append(bar)
            where.append(session)
    return shown, where


def evaluate(root: Expression, readings: Mapping[str, Floats], *, bars: int) -> NDArray[Any]:
    """Return the column of an expression, given the columns of its readings by name."""
    values: dict[int, NDArray[Any]] = {}
    with np.errstate(all="ignore"):
        for part in in_order(root):
            if isinstance(part, Reading):
                values[id(part)] = _read(part, readings)
            else:
                values[id(part)] = part.operation.columns(*(values[id(operand)] for operand in part.operands))
    return np.broadcast_to(values[id(root)], (bars,)).copy()


def _read(reading: Reading, readings: Mapping[str, Floats]) -> Floats:
    column = readings[reading.name]
    if not reading.is_previous:
        return column
    return np.concatenate((np.full(min(1, len(column)), np.nan), column[:-1]))
