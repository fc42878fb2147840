"""One life of the real command: a process that is prepared to die, and that leaves word of what it acknowledged.

    RATCHET_LIFE='{"point": "send.before", "nth": 2}' python -m engine.testing.kills.life run --bars bars.csv

`live` prepares the process that calls it and then runs the command line, which is found by its name: this room lies
below the command line's.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.app.trading import TradingAccount
from engine.store.writer import SqliteJournal
from engine.testing.kills.points import Door, Fuse, arm, wrap

#: The environment variable that a life of its own reads its plan from.
PLAN_VARIABLE: Final = "RATCHET_LIFE"

_COMMIT: Final = Door(name="acknowledge", owner=SqliteJournal, attribute="commit")
_OPENED: Final = Door(name="opened", owner=TradingAccount, attribute="__enter__")
#: Last committed step, whether the account had been recovered, and the step's hash.
_WORD: Final = struct.Struct("<qq32s")


@dataclass(frozen=True, slots=True, kw_only=True)
class LifePlan:
    """Hold what shall happen to one life; the defaults let it be."""

    #: Where it gets a signal, at which passage, and which; no point: nowhere.
    point: str = ""
    nth: int = 1
    signal_number: int = signal.SIGKILL
    #: File that keeps the last acknowledged commit, "" for none.
    word: str = ""
    #: File with the wall clock's error in ns, read at every look at the clock; "" for none.
    clock: str = ""
    #: No file may grow beyond so many bytes; 0: without bound.
    file_bytes_max: int = 0
    #: Process whose mounts it sees; 0: those of its parent.
    mounts_of: int = 0

    def text(self) -> str:
        """Return the plan as JSON."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """Hold what a life left word of: its last acknowledged commit."""

    #: 0: none.
    step: int = 0
    #: In hexadecimal.
    digest: str = ""
    #: Whether the account had been opened and recovered.
    has_opened: bool = False


def last_word(path: Path) -> Word:
    """Return what a life wrote, or the word of one that died before it could."""
    content = path.read_bytes() if path.exists() else b""
    if len(content) != _WORD.size:
        return Word()
    step, opened, digest = _WORD.unpack(content)
    return Word(step=step, digest=digest.hex() if step else "", has_opened=bool(opened))


def live(plan: LifePlan, arguments: list[str]) -> int:
    """Prepare this process as planned, run the command line, and return its exit code."""
    if plan.mounts_of:
        _join_mounts(plan.mounts_of)
    if plan.file_bytes_max:
        # Python ignores SIGXFSZ, so that a write beyond the bound fails as one on a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan.file_bytes_max, plan.file_bytes_max))
    if plan.clock:
        _shift_clock(plan.clock)
    if plan.word:
        _keep_word(plan.word)
    if plan.point:
        arm(Fuse(point=plan.point, passages_left=plan.nth, signal_number=plan.signal_number))
    guarded: Any = importlib.import_module("engine.cli.main").guarded
    return int(guarded(arguments))


def _keep_word(path: str) -> None:
    # One write of a few bytes into the page cache, which outlives the process: it is there whole or not at all.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    said = [0, 0, b""]

    def say() -> None:
        os.pwrite(descriptor, _WORD.pack(*said), 0)

    def committed(journal: SqliteJournal) -> None:
        said[0], said[2] = journal.step_count, bytes.fromhex(journal.journal_hash)
        say()

    def opened(*_: object) -> None:
        said[1] = 1
        say()

    wrap(_COMMIT, before=_nothing, after=committed)
    wrap(_OPENED, before=_nothing, after=opened)


def _nothing() -> None:
    pass


def _join_mounts(pid: int) -> None:
    here = os.getcwd()  # noqa: PTH109 - joining moves to the root, and back by the same name
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), "The mounts of another process cannot be joined")
    os.close(descriptor)
    os.chdir(here)


def _shift_clock(path: str) -> None:
    real = time.time_ns
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def shifted_ns() -> int:
        return real() + int(os.pread(descriptor, 32, 0).split(b"\n")[0] or b"0")

    time.time_ns = shifted_ns
    time.time = lambda: shifted_ns() / 1e9


def main() -> None:
    """Live as the environment says, with the arguments of this process."""
    plan = msgspec.json.decode(os.environ.pop(PLAN_VARIABLE, "{}"), type=LifePlan)
    sys.exit(live(plan, sys.argv[1:]))


if __name__ == "__main__":
    main()
