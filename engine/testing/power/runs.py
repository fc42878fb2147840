"""Thousands of power cuts in recorded lives of a database; each is known by a seed and its number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from engine.testing.places import memory_folder
from engine.testing.power.images import CrashImage, Disk
from engine.testing.power.verify import Outcome, Verdict, examine
from engine.testing.power.workload import (
    Recording,
    Synchronous,
    history,
    record_restart,
    record_session,
    record_upgrade,
)

#: One of so many images is examined to the end: the whole check, and the session goes on to its last step.
DEEP_IN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut:
    """Hold one power cut: where it happened, what it left and what was found in that."""

    seed: int
    index: int
    #: Name of the recording.
    recording: str
    #: Operations that had been done.
    cut: int
    image: CrashImage
    verdict: Verdict

    def __str__(self) -> str:
        """Say it in one line, with what repeats it."""
        found = f"{self.verdict.outcome.value}: {self.verdict.message}"
        return f"seed {self.seed} index {self.index} ({self.recording}, after operation {self.cut}): {found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReport:
    """Hold what a number of power cuts did."""

    #: Images that were examined.
    images: int
    #: Of those, how many miss something that was acknowledged.
    lost: int
    #: How many hold a write in part.
    torn: int
    #: How many miss something that was written and not synced.
    dropped: int
    #: Damaged images, and with FULL those that lost something: one line each.
    failures: tuple[str, ...]
    seconds: float


@cache
def recordings(synchronous: Synchronous) -> tuple[Recording, ...]:
    """Return the lives that power is cut in; made once in a process, the same each time."""
    session = record_session(synchronous)
    restart = record_restart(session, synchronous, at_step=len(history()) // 2)
    return session, restart, record_upgrade(synchronous)


def power_loss(
    images: int,
    seed: int,
    synchronous: Synchronous = Synchronous.FULL,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> PowerReport:
    """Cut the power `images` times and examine what is left; the same seed gives the same images.

    `on_progress` is told the number of images done, now and then. Takes about 6 ms for each image.
    """
    started = time.perf_counter()
    lives = recordings(synchronous)
    lost, torn, dropped, failures = 0, 0, 0, []
    points = sorted((*_point(seed, index, lives), index) for index in range(images))
    with memory_folder("power") as folder:
        for number, cut in enumerate(_cuts(points, lives, seed, Path(folder)), start=1):
            lost += cut.verdict.outcome is Outcome.LOST
            torn += bool(cut.image.torn)
            dropped += bool(cut.image.dropped)
            is_loss_expected = synchronous is Synchronous.NORMAL and cut.verdict.outcome is Outcome.LOST
            if cut.verdict.outcome is not Outcome.WHOLE and not is_loss_expected:
                failures.append(str(cut))
            if on_progress is not None and number % 500 == 0:
                on_progress(number)
    return PowerReport(
        images=images,
        lost=lost,
        torn=torn,
        dropped=dropped,
        failures=tuple(failures),
        seconds=time.perf_counter() - started,
    )


def replay(seed: int, index: int, synchronous: Synchronous, keep: Path | None = None) -> PowerCut:
    """Make one image again and examine it to its end; `keep` is an empty folder that gets its files, unexamined."""
    lives = recordings(synchronous)
    recording, cut = _point(seed, index, lives)
    with memory_folder("power") as copy:
        (found,) = _cuts([(recording, cut, index)], lives, seed, Path(copy), deep_in=1)
    if keep is not None:
        found.image.write(keep)
    return found


def cut_power(recording: Recording, images: int, seed: int, *, until: int | None = None) -> list[PowerCut]:
    """Cut the power in one recording, at points and with chances drawn by a seed; examine every tenth to its end.

    `until` is the last operation after which it is cut, where that is not the last one of the recording.
    """
    random = Random(f"{seed}:{recording.name}")
    last = len(recording.operations) if until is None else until
    points = sorted((0, random.randrange(last + 1), index) for index in range(images))
    with memory_folder("power") as folder:
        return list(_cuts(points, (recording,), seed, Path(folder)))


# Where the power is cut: in which recording, and after how many operations.
def _point(seed: int, index: int, lives: Sequence[Recording]) -> tuple[int, int]:
    random = Random(f"{seed}:{index}:point")
    number = random.choices(range(len(lives)), weights=[len(life.operations) for life in lives])[0]
    return number, random.randrange(len(lives[number].operations) + 1)


# In the order of the points, so that each recording is followed once.
def _cuts(
    points: Sequence[tuple[int, int, int]],
    lives: Sequence[Recording],
    seed: int,
    folder: Path,
    *,
    deep_in: int = DEEP_IN,
) -> Iterator[PowerCut]:
    disk, current, done = Disk(), -1, 0
    for number, cut, index in points:
        recording = lives[number]
        if number != current:
            disk, current, done = Disk(recording.files), number, 0
        disk.follow(recording.operations[done:cut])
        done = cut
        image = disk.cut(Random(f"{seed}:{index}:image"))
        image.write(folder)
        verdict = examine(folder, recording, cut, is_deep=index % deep_in == 0)
        yield PowerCut(seed=seed, index=index, recording=recording.name, cut=cut, image=image, verdict=verdict)
