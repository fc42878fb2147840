"""Write the session tables that Ratchet ships, from exchange_calendars.

Run `.venv/bin/python tools/freeze_calendars.py` after raising the version of exchange_calendars or the last year,
and read the difference before committing it. With `--check` nothing is written: the exit code tells.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import exchange_calendars

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES: Final = Path(__file__).resolve().parents[1] / "engine" / "calendar_tables"
CALENDARS: Final = ("XNYS",)
FIRST: Final = "2000-01-01"
LAST: Final = "2030-12-31"


def table_text(name: str) -> str:
    """Return a calendar as the text of its table."""
    return "\n".join(_lines(name)) + "\n"


def _lines(name: str) -> Iterator[str]:
    schedule = exchange_calendars.get_calendar(name, start=FIRST, end=LAST).schedule
    yield f"# Sessions of {name} from {FIRST} to {LAST}, by exchange_calendars {version('exchange-calendars')}."
    yield "# open and close: minutes after midnight UTC of the date. Written by tools/freeze_calendars.py."
    yield "date,open,close"
    for day, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True):
        midnight = day.tz_localize("UTC")
        bounds = [int((moment - midnight).total_seconds()) // 60 for moment in (opens, closes)]
        yield f"{day:%Y-%m-%d},{bounds[0]},{bounds[1]}"


def main(arguments: list[str]) -> int:
    """Write the tables, or compare them when `--check` is given; return the exit code."""
    stale = 0
    for name in CALENDARS:
        path, text = TABLES / f"{name}.csv", table_text(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="ascii")
        elif not path.exists() or path.read_text(encoding="ascii") != text:
            stale += 1
            print(f"{path} differs from exchange_calendars: run tools/freeze_calendars.py and read the difference.")
    return min(stale, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
