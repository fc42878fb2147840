"""Is what a power cut left a database that the engine may go on with, and is everything acknowledged in it?"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError
from engine.store.check import check_database
from engine.store.connection import explained, open_writer, sqlite
from engine.store.migrate import upgrade
from engine.testing.power.marks import EMPTY, Mark, State, read_state
from engine.testing.power.workload import DATABASE, Recording, final_hash, history, journal_of


class Outcome(Enum):
    """Name what became of a database."""

    WHOLE = "whole"
    #: Sound, and as it was earlier: something acknowledged is missing.
    LOST = "lost"
    #: It cannot be opened, is not sound, or holds a part of a step.
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Hold what was found in an image."""

    outcome: Outcome
    #: What is wrong; "" for a whole one.
    message: str = ""


_WHOLE: Final = Verdict(outcome=Outcome.WHOLE)


def examine(folder: Path, recording: Recording, cut: int, *, is_deep: bool = True) -> Verdict:
    """Examine the image in a folder that a power cut after `cut` operations left; the files are changed by it.

    The database is opened as the engine opens it (so it recovers), its pages are checked, and its tables are compared
    with those of the marks: it has to hold all that was acknowledged, and nothing or the whole of the call that ran.
    `is_deep` also runs `ratchet db check` and then lets the session go on to its last step, whose hash is known.
    """
    path = folder / DATABASE
    acknowledged = bisect_right([mark.position for mark in recording.marks], cut) - 1
    try:
        state, complaint = _read(path)
        if complaint:
            return _damaged(complaint)
        place = _place_of(state, recording.marks[: acknowledged + 2])
        if place is None:
            return _damaged(f"it holds a part of a step or of a call ({state.steps} steps, schema {state.revision!r})")
        if is_deep:
            complaint = _go_on(path, state)
            if complaint:
                return _damaged(complaint)
    except (EngineError, sqlite.Error) as error:
        return _damaged(str(error))
    if place < acknowledged:
        missing = recording.marks[acknowledged].what
        return Verdict(
            outcome=Outcome.LOST, message=f"{missing} was acknowledged; it ends with {_end(recording, place)}"
        )
    return _WHOLE


def _damaged(message: str) -> Verdict:
    return Verdict(outcome=Outcome.DAMAGED, message=message)


def _end(recording: Recording, place: int) -> str:
    return recording.marks[place].what


def _read(path: Path) -> tuple[State, str]:
    connection = open_writer(path)
    try:
        with explained(path):
            rows = connection.execute("PRAGMA integrity_check").fetchall()
            if rows != [("ok",)]:
                # A damaged page may hold anything: what is read from it proves nothing.
                return EMPTY, f"pages: {rows[0][0]}"
            return read_state(connection), ""
    finally:
        connection.close()


# The newest mark whose tables are these: the same ones may stand at two marks.
def _place_of(state: State, marks: tuple[Mark, ...]) -> int | None:
    for place in range(len(marks) - 1, -1, -1):
        if marks[place].state == state:
            return place
    return None


# Start again on what is there, as an engine does: bring it up to date, check it, and write what is missing.
def _go_on(path: Path, state: State) -> str:
    upgrade(path)
    report = check_database(path)
    if not report.is_sound:
        return f"{report.findings[0].check}: {report.findings[0].message}"
    if state.steps and state.journal_hash not in report.journal_hashes.values():
        return f"no journal ends with {state.journal_hash}, as the writer's did"
    connection = open_writer(path)
    try:
        journal = journal_of(connection)
        for event, step in history()[journal.step_count :]:
            journal.append(event, step)
        journal.commit()
        return "" if journal.journal_hash == final_hash() else "the session did not come to its hash"
    finally:
        connection.close()
