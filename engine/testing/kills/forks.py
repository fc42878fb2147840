"""Lives made by fork: a process that has imported what the command needs, and dies as often as it is told to."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from engine.testing.kills.life import LifePlan, live

#: A life that goes on for longer hangs.
LIFE_SECONDS_MAX: Final = 60.0
#: Exit code of a child whose own preparation failed.
_UNPREPARED: Final = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Hold how a life ended."""

    #: Exit code; negative: the signal that ended it.
    code: int
    #: What it printed on standard error.
    said: str
    seconds: float
    #: Whether it was still alive after `LIFE_SECONDS_MAX`.
    hung: bool = False

    @property
    def is_killed(self) -> bool:
        """Return whether a SIGKILL ended it, and not our patience."""
        return self.code == -signal.SIGKILL and not self.hung


def fork_life(plan: LifePlan, arguments: list[str], folder: Path, *, kill_after_seconds: float | None = None) -> Ending:
    """Let a child live, by SIGKILL at most so long; it must be the only thread of this process that forks."""
    began = time.perf_counter()
    said = folder / "stderr.txt"
    pid = fork_child(plan, arguments, folder, said)
    # By its descriptor: a number could meanwhile be another process.
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        patience = LIFE_SECONDS_MAX if kill_after_seconds is None else kill_after_seconds
        has_ended = bool(poll.poll(patience * 1000))
        if not has_ended:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(descriptor)
    return Ending(
        code=os.waitstatus_to_exitcode(status),
        said=said.read_text(encoding="utf-8", errors="replace") if said.exists() else "",
        seconds=time.perf_counter() - began,
        hung=not has_ended and kill_after_seconds is None,
    )


def fork_child(plan: LifePlan, arguments: list[str], folder: Path, said: Path) -> int:
    """Begin a life in a folder, with its standard error in a file; return the child's process id, to be waited for."""
    pid = os.fork()
    if pid == 0:
        _be_born(plan, arguments, folder, said)
    return pid


def _be_born(plan: LifePlan, arguments: list[str], folder: Path, said: Path) -> NoReturn:
    code = _UNPREPARED
    try:
        os.chdir(folder)
        for number, target in ((0, os.devnull), (1, os.devnull), (2, said)):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(target, flags, 0o644)
            os.dup2(opened, number)
            os.close(opened)
        code = live(plan, arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Without the parent's clean-up: it is not this process's.
        os._exit(code)


def import_what_is_needed(arguments: list[str], folder: Path) -> None:
    """Import whatever a whole life of the command imports, by trying one in a child and looking.

    Nothing of the command itself runs in this process: libraries must not start their threads here.
    """
    found = folder / "modules.txt"
    before = set(sys.modules)
    pid = os.fork()
    if pid == 0:
        code = _UNPREPARED
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = live(LifePlan(), arguments)
            found.write_text("\n".join(name for name in sys.modules if name not in before), encoding="utf-8")
        finally:
            os._exit(code)
    os.waitpid(pid, 0)
    for name in found.read_text(encoding="utf-8").split():
        # A strategy of the trial's own folder is the life's to find.
        if not name.startswith(("strategies", "__")) and _can_be_found(name):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _can_be_found(name: str) -> bool:
    # Modules that others put there under a name of their own are made again by those.
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
