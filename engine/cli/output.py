"""What commands print: one JSON object, or one sentence about what went wrong.

| Exit code | Means |
| --- | --- |
| 0 | done |
| 1 | failed: a reason outside this program (a full disk, a missing permission) |
| 2 | bad input: a file, a setting or a request has to be mended |
| 3 | halted, or a check did not hold: a human has to look |
| 4 | try again later: something is locked or away |
| 70 | a bug of ours |
| 130 | interrupted by Ctrl-C |
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError


class ExitCode(IntEnum):
    """Name what the exit code of a command means."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    HALTED = 3
    TRY_AGAIN = 4
    BUG = 70
    INTERRUPTED = 130


_MEANINGS: Final = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed: a reason outside this program",
    ExitCode.BAD_INPUT: "bad input: mend what the sentence names",
    ExitCode.HALTED: "halted, or a check did not hold: a human has to look",
    ExitCode.TRY_AGAIN: "try again later",
    ExitCode.BUG: "a bug of ours",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def exit_code_help() -> str:
    """Return the table of exit codes as lines of text, for help pages and documents."""
    return "\n".join(f"{code.value:>4}  {_MEANINGS[code]}" for code in ExitCode)


def program() -> str:
    """Return the program as it was started, so that a printed command runs as it stands: `ratchet` where on PATH."""
    import os
    import shlex
    import shutil

    started = Path(sys.argv[0] or "ratchet")
    if started.parts[-3:] == ("engine", "cli", "__main__.py"):
        return f"{shlex.quote(_shorter(Path(sys.executable)))} -m engine.cli"
    found = shutil.which("ratchet")
    if started.stem != "ratchet" or (found and os.path.realpath(found) == os.path.realpath(started)):
        return "ratchet"
    return shlex.quote(_shorter(started))


# A bare name would be looked for on PATH, so one in the working directory gets its dot.
def _shorter(path: Path) -> str:
    import os

    # Not resolved: the interpreter of an environment is a link, and what it links to is another.
    whole = str(path.absolute())
    try:
        relative = os.path.relpath(whole)
    except ValueError:
        # Another drive.
        return whole
    if os.sep not in relative:
        relative = f"{os.curdir}{os.sep}{relative}"
    return min(relative, whole, key=len)


def emit_json(value: object) -> None:
    """Print a value as JSON on standard output: keys in their given order, decimals as strings without exponents.

    Dataclasses become objects, sets become sorted lists, moments ISO 8601. Raises TypeError for any other type and
    ValueError for a float that is not finite: JSON has no word for it.
    """
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A value of type {type(value).__name__} cannot be written as JSON.")


def fail(error: BaseException) -> ExitCode:
    """Print the one sentence of an error on standard error, without a traceback, and return its exit code."""
    code, sentence = _outcome(error)
    print(f"ratchet: {_one_line(sentence)}", file=sys.stderr)
    return code


def _outcome(error: BaseException) -> tuple[ExitCode, str]:
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "Interrupted; everything that was journaled is kept."
    if isinstance(error, EngineError):
        return ExitCode(error.exit_code), str(error) or f"{type(error).__name__} without a message."
    if isinstance(error, OSError):
        return ExitCode.FAILED, _system_sentence(error)
    if isinstance(error, MemoryError):
        return ExitCode.FAILED, "Memory ran out: give fewer symbols or a shorter file."
    return ExitCode.BUG, f"This is a bug of ours, please report it: {type(error).__name__}: {error}."


def _system_sentence(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = f" for {error.filename!r}" if error.filename else ""
    return f"The system said {what!r}{where}: check the path, its permissions and the free space."


# A message may quote a file: no line break and no control character of it may reach the terminal.
def _one_line(sentence: str) -> str:
    return "".join(character if character.isprintable() else " " for character in " ".join(sentence.split()))
