"""Campaigns: thousands of real kills over several worker processes, and what they came to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from engine.core.errors import BadInput
from engine.testing.kills.points import POINTS
from engine.testing.kills.runs import RunResult, Violation
from engine.testing.places import child_environment, memory_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReport:
    """Hold what a campaign came to."""

    #: Processes that died by SIGKILL, and all that were started for the runs.
    kills: int
    lives: int
    #: Runs that came to their end.
    runs: int
    #: Kills before the account was open, and those of them that directly followed a kill.
    kills_in_recovery: int
    double_kills: int
    by_point: dict[str, int]
    violations: list[Violation]
    seconds: float
    #: Points at which no process was killed.
    not_reached: list[str] = field(default_factory=list)

    @property
    def kills_per_hour(self) -> float:
        """Return the rate at which processes were killed, with everything that was done between."""
        return self.kills / self.seconds * 3600 if self.seconds else 0.0

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        yield f"kills            {self.kills:>8,}"
        yield f"  in recovery    {self.kills_in_recovery:>8,}"
        yield f"  double         {self.double_kills:>8,}"
        yield f"lives            {self.lives:>8,}"
        yield f"runs             {self.runs:>8,}"
        yield f"kills per hour   {self.kills_per_hour:>8,.0f}"
        yield f"violations       {len(self.violations):>8,}"
        yield "killed at"
        yield from (f"  {point:<20}{count:>7,}" for point, count in sorted(self.by_point.items()))
        if self.not_reached:
            yield f"not reached: {', '.join(self.not_reached)}"
        yield from (f"VIOLATION {each}" for each in self.violations)


def run_kills(
    kills: int, seed: int, jobs: int = 1, *, only_run: int | None = None, keep: Path | None = None
) -> KillReport:
    """Kill processes of `ratchet run` until so many have died, each run watched to its end.

    Runs have numbers from 0; `only_run` makes a single one again. The files of a run with a violation are copied to
    `keep`. Raises BadInput for a number that cannot be, RuntimeError when a worker itself fails.
    """
    if kills < 1 or jobs < 1 or seed < 0:
        raise BadInput(f"{kills} kills of seed {seed} by {jobs} jobs are none: give at least 1, 0 and 1.")
    began = time.perf_counter()
    share = _Share(kills, only_run)
    with memory_folder("kills") as folder:
        with ThreadPoolExecutor(jobs) as pool:
            tasks = [pool.submit(_work, share, seed, Path(folder) / str(job), keep) for job in range(jobs)]
        for task in tasks:
            task.result()
    return _report(share.results, time.perf_counter() - began)


class _Share:
    """Give out the numbers of runs until enough have been killed."""

    def __init__(self, kills: int, only_run: int | None) -> None:
        self._kills = kills
        self._lock = Lock()
        self._numbers = iter([only_run]) if only_run is not None else iter(range(sys.maxsize))
        self.results: list[RunResult] = []

    def take(self) -> int | None:
        """Return the number of the next run, None when there is none."""
        with self._lock:
            if sum(each.kills for each in self.results) >= self._kills:
                return None
            return next(self._numbers, None)

    def give(self, result: RunResult) -> None:
        """Take note of a run."""
        with self._lock:
            self.results.append(result)


def _work(share: _Share, seed: int, folder: Path, keep: Path | None) -> None:
    folder.mkdir()
    with _worker(seed, folder, keep) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while (number := share.take()) is not None:
            process.stdin.write(f"{number}\n".encode())
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"The worker of seed {seed} ended at run {number}: see what it said above.")
            share.give(msgspec.json.decode(line, type=RunResult))


@contextmanager
def _worker(seed: int, folder: Path, keep: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "engine.testing.kills.worker", str(seed), str(folder)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        [*command, *([] if keep is None else [str(keep)])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _report(results: list[RunResult], seconds: float) -> KillReport:
    by_point: Counter[str] = Counter()
    for each in results:
        by_point.update(each.by_point)
    return KillReport(
        kills=sum(each.kills for each in results),
        lives=sum(each.lives for each in results),
        runs=len(results),
        kills_in_recovery=sum(each.kills_in_recovery for each in results),
        double_kills=sum(each.double_kills for each in results),
        by_point=dict(by_point),
        violations=[violation for each in results for violation in each.violations],
        seconds=seconds,
        not_reached=[point for point in POINTS if point not in by_point],
    )
