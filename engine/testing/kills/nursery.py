"""Lives side by side: a process that forks lives on request, for whoever has to stop, continue and kill them by hand.

    with Nursery(tmp_path) as nursery:
        life = nursery.start(LifePlan(), ["run", "--bars", "bars.csv"], tmp_path)
        life.signal(signal.SIGSTOP)

A life stays a child of the nursery until it is waited for, so that its process id names nothing else meanwhile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from engine.testing.kills.forks import Ending, fork_child
from engine.testing.kills.life import LifePlan
from engine.testing.kills.worker import warm_up
from engine.testing.places import child_environment

_PATIENCE_SECONDS: Final = 30.0
_WAIT_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """Ask for a life, or for the end of one."""

    plan: LifePlan = field(default_factory=LifePlan)
    arguments: list[str] = field(default_factory=list)
    folder: str = ""
    said: str = ""
    #: Process to wait for; 0: begin a life.
    wait_for: int = 0


class Life:
    """Hold a life that a nursery has begun."""

    def __init__(self, nursery: Nursery, pid: int, said: Path) -> None:
        self.pid = pid
        self._nursery = nursery
        self._said = said
        self._began = time.perf_counter()
        self._ending: Ending | None = None

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens to a life that has been waited for."""
        if self._ending is None:
            os.kill(self.pid, number)

    def state(self) -> str:
        """Return the letter of the process's state, as proc(5) has it: T is stopped, Z has ended."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[0]

    def wait_for_state(self, letters: str) -> str:
        """Wait until the process is in one of some states, and return it; raises TimeoutError after half a minute."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while (state := self.state()) not in letters:
            if time.monotonic() > end:
                raise TimeoutError(f"Process {self.pid} is in state {state} and not in one of {letters}.")
            time.sleep(_WAIT_SECONDS)
        return state

    def wait(self) -> Ending:
        """Wait for the end, and return how it ended; raises TimeoutError when it does not within half a minute."""
        if self._ending is None:
            self.wait_for_state("Z")
            code = self._nursery.ask(_Request(wait_for=self.pid))
            self._ending = Ending(
                code=code,
                said=self._said.read_text(encoding="utf-8", errors="replace"),
                seconds=time.perf_counter() - self._began,
            )
        return self._ending

    def end(self) -> None:
        """Kill it where it still lives."""
        self.signal(signal.SIGKILL)
        self.wait()


class Nursery:
    """Begin lives in a process that has imported the command; whatever still lives at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives: list[Life] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "engine.testing.kills.nursery", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for life in self._lives:
            life.end()
        self._process.communicate()

    def start(self, plan: LifePlan, arguments: list[str], folder: Path) -> Life:
        """Begin a life in a folder."""
        said = self._folder / f"said{len(self._lives)}.txt"
        request = _Request(plan=plan, arguments=arguments, folder=str(folder), said=str(said))
        life = Life(self, self.ask(request), said)
        self._lives.append(life)
        return life

    def live(self, plan: LifePlan, arguments: list[str], folder: Path) -> Ending:
        """Let a life come to its end, and return that."""
        return self.start(plan, arguments, folder).wait()

    def ask(self, request: _Request) -> int:
        """Return the answer to a request: a process id, or an exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(request) + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[int]:
    """Mount a file system of a size on a folder, for one process and those that join its mounts; yield its id.

    Others see the files below `/proc/PID/root`. Raises OSError where this user may not mount.
    """
    folder.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={size_bytes} ratchet "$0" && echo mounted && cat'
    holder = subprocess.Popen(  # noqa: S603 - constants and our own folder
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(folder)],  # noqa: S607
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"mounted\n":
            raise OSError("A file system of a size cannot be mounted here.")
        yield holder.pid
    finally:
        holder.communicate()


def main() -> None:
    """Serve requests until the input ends."""
    warm_up(Path(sys.argv[1]) / "warm")
    for line in sys.stdin.buffer:
        request = msgspec.json.decode(line, type=_Request)
        if request.wait_for:
            _, status = os.waitpid(request.wait_for, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = fork_child(request.plan, request.arguments, Path(request.folder), Path(request.said))
        sys.stdout.buffer.write(f"{answer}\n".encode())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
