"""Exchange sessions from frozen tables, so that no calendar library is needed to run.

A table has one line per session: its exchange date and the minutes after that date's midnight UTC at which it
opens and closes, so half days, holidays and daylight saving are data. `tools/freeze_calendars.py` writes the
tables; a test compares them with their source.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

from engine.core.errors import BadInput
from engine.core.values import DAY_NS, MINUTE_NS, AlwaysOpen, SessionTable

ALWAYS_OPEN: Final = AlwaysOpen.name

_TABLES: Final = Path(__file__).with_name("calendar_tables")
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


def known_calendars() -> tuple[str, ...]:
    """Return the names that `load_sessions` knows, sorted."""
    return tuple(sorted([ALWAYS_OPEN, *(path.stem for path in _TABLES.glob("*.csv"))]))


@lru_cache(maxsize=8)
def load_sessions(name: str) -> SessionTable | AlwaysOpen:
    """Return the sessions of a calendar, `XNYS` (2000 to 2030) or `24/7` (UTC days); loaded once per process.

    A table refuses a moment outside its years with BadInput.

    Raises BadInput for a name without a table.
    """
    if name == ALWAYS_OPEN:
        return AlwaysOpen()
    if name not in known_calendars():
        raise BadInput(f"The calendar {name!r} is unknown: use one of {', '.join(known_calendars())}.")
    return parse_sessions(name, (_TABLES / f"{name}.csv").read_text(encoding="ascii"))


def parse_sessions(name: str, text: str) -> SessionTable:
    """Return the table that a file's text holds: lines of `date,open,close` below comments and a heading."""
    _, _, body = text.partition("date,open,close\n")
    fields = body.replace("\n", ",").split(",")
    dates = fields[0:-1:3]
    midnights = [(date.fromisoformat(day).toordinal() - _EPOCH_DAY) * DAY_NS for day in dates]
    return SessionTable(
        name,
        dates=tuple(dates),
        opens=_moments(midnights, fields[1::3]),
        closes=_moments(midnights, fields[2::3]),
    )


def _moments(midnights: list[int], minutes: list[str]) -> tuple[int, ...]:
    # A calendar knows a handful of minutes, so each is converted once: start-up pays for this function.
    offsets_ns = {minute: int(minute) * MINUTE_NS for minute in set(minutes)}
    return tuple([midnight + offsets_ns[minute] for midnight, minute in zip(midnights, minutes, strict=True)])
