"""One run: it is killed, started, killed again until it comes to its end, and watched at each death."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from engine.testing.kills.forks import Ending, fork_life
from engine.testing.kills.life import LifePlan, last_word
from engine.testing.kills.monitors import Remains, breaches, copied, final_breaches, read_remains
from engine.testing.kills.points import POINTS
from engine.testing.kills.trials import TRIALS, Trial

#: After so many kills a run is let come to its end.
KILLS_PER_RUN_MAX: Final = 40
#: Seeds of markets: the truth of each is made once by each worker.
_MARKETS: Final = (1, 2, 5)
_RANDOM: Final = "random moment"
#: How many lives are killed at a random moment, and how many while they open: after a kill, in its recovery.
_RANDOM_PART: Final = 0.35
_OPENING_PART: Final = 0.2
_OPENING_POINTS: Final = tuple(name for name, door in POINTS.items() if door.is_opening)
#: Where there is more to lose, more are killed.
_DRAWN_POINTS: Final = tuple(name for name, door in POINTS.items() for _ in range(4 if door.passages > 1 else 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Hold one thing that did not hold, and the line that repeats it."""

    seed: int
    run: int
    life: int
    trial: str
    #: Where the life was killed.
    point: str
    what: str

    @property
    def repeat(self) -> str:
        """Return the command that makes the same run again; a random moment is only about the same."""
        return f"python -m engine.testing.kills --seed {self.seed} --run {self.run}"

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"seed {self.seed}, run {self.run} ({self.trial}), life {self.life}, killed at {self.point}: {self.what}; "
            f"again: {self.repeat}"
        )


@dataclass(slots=True, kw_only=True)
class RunResult:
    """Count what one run saw."""

    lives: int = 0
    kills: int = 0
    #: Kills that came before the account was open: while it was made or recovered.
    kills_in_recovery: int = 0
    #: Those of them that followed a kill directly.
    double_kills: int = 0
    by_point: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Hold a trial on its market, and what an uninterrupted run of it leaves."""

    trial: Trial
    arguments: list[str]
    truth: Remains
    seconds: float


class Proving:
    """Make runs of one seed, each by its number; keeps the truths that it has made."""

    def __init__(self, seed: int, folder: Path, *, keep: Path | None = None) -> None:
        """Work in a folder; the files of a run with a violation are copied to `keep`."""
        self._seed = seed
        self._folder = folder
        self._keep = keep
        self._prepared: dict[tuple[int, int], Prepared] = {}

    def run(self, number: int) -> RunResult:
        """Make a run, and return what it came to."""
        random = Random(f"kills {self._seed} {number}")
        prepared = self.prepare(number % len(TRIALS), random.choice(_MARKETS))
        folder = self._folder / f"run{number}"
        folder.mkdir()
        shutil.copytree(self._folder / "strategies", folder / "strategies")
        result = _KilledRun(self._seed, number, prepared, folder, random).play()
        if result.violations and self._keep is not None:
            shutil.copytree(folder, self._keep / folder.name, dirs_exist_ok=True)
        shutil.rmtree(folder)
        return result

    def prepare(self, trial_number: int, market: int) -> Prepared:
        """Return a trial with its truth, made at the first call."""
        key = trial_number, market
        if key not in self._prepared:
            self._prepared[key] = self._prepare(TRIALS[trial_number], market, trial_number)
        return self._prepared[key]

    def _prepare(self, trial: Trial, market: int, trial_number: int) -> Prepared:
        folder = self._folder / f"trial{trial_number}_{market}"
        arguments = trial.prepare(folder, market)
        shutil.copytree(folder / "strategies", self._folder / "strategies", dirs_exist_ok=True)
        database = folder / "whole.sqlite"
        ending = fork_life(LifePlan(), [*arguments, "--db", str(database)], folder)
        if ending.code != 0:
            raise RuntimeError(f"The uninterrupted run of {trial.name} ended with {ending.code}: {ending.said}")
        truth = read_remains(copied(database, folder / "seen"))
        if not truth.trades:
            raise RuntimeError(f"The uninterrupted run of {trial.name} on market {market} does not trade.")
        return Prepared(trial=trial, arguments=arguments, truth=truth, seconds=ending.seconds)


class _KilledRun:
    """Play one run."""

    def __init__(self, seed: int, number: int, prepared: Prepared, folder: Path, random: Random) -> None:
        self._seed, self._number = seed, number
        self._prepared = prepared
        self._folder = folder
        self._random = random
        self._database = folder / "paper.sqlite"
        self._word = folder / "word"
        self._remains = Remains()
        self._result = RunResult()

    def play(self) -> RunResult:
        result = self._result
        was_killed = False
        while True:
            plan, seconds, point = self._draw()
            self._word.unlink(missing_ok=True)
            ending = self._live(plan, seconds)
            result.lives += 1
            self._look(point)
            if not ending.is_killed:
                self._end(ending, point)
                return result
            self._count(point, was_killed=was_killed)
            was_killed = True

    def _live(self, plan: LifePlan, seconds: float | None) -> Ending:
        arguments = [*self._prepared.arguments, "--db", str(self._database)]
        return fork_life(plan, arguments, self._folder, kill_after_seconds=seconds)

    def _count(self, point: str, *, was_killed: bool) -> None:
        result = self._result
        has_opened = last_word(self._word).has_opened
        result.kills += 1
        result.kills_in_recovery += not has_opened
        result.double_kills += was_killed and not has_opened
        result.by_point[point] = result.by_point.get(point, 0) + 1

    def _draw(self) -> tuple[LifePlan, float | None, str]:
        # Everything is drawn in any case, so that a life more or less moves no other one's numbers.
        random, word = self._random, str(self._word)
        fate, share, name = random.random(), random.random(), random.choice(_DRAWN_POINTS)
        opening, nth = random.choice(_OPENING_POINTS), random.random()
        if self._result.kills >= KILLS_PER_RUN_MAX:
            return LifePlan(word=word), None, "no point"
        if fate < _RANDOM_PART:
            return LifePlan(word=word), 0.005 + share * self._prepared.seconds, _RANDOM
        if fate < _RANDOM_PART + _OPENING_PART:
            return LifePlan(word=word, point=opening), None, opening
        return LifePlan(word=word, point=name, nth=1 + int(nth * POINTS[name].passages)), None, name

    def _look(self, point: str) -> None:
        remains = read_remains(copied(self._database, self._folder / "seen"))
        for what in breaches(remains, before=self._remains, word=last_word(self._word)):
            self._violate(point, what)
        self._remains = remains

    def _end(self, ending: Ending, point: str) -> None:
        if ending.hung or ending.code != 0:
            how = "hung" if ending.hung else f"ended with {_how(ending.code)}"
            self._violate(point, f"the life {how}: {' '.join(ending.said.split())[-300:]}")
            return
        for what in final_breaches(self._remains, truth=self._prepared.truth):
            self._violate(point, what)
        replayed = fork_life(LifePlan(), ["db", "replay", "--db", str(self._database)], self._folder)
        if replayed.code != 0:
            self._violate(point, f"I-19: ratchet db replay ended with {replayed.code}: {replayed.said.strip()[-300:]}")

    def _violate(self, point: str, what: str) -> None:
        self._result.violations.append(
            Violation(
                seed=self._seed,
                run=self._number,
                life=self._result.lives,
                trial=self._prepared.trial.name,
                point=point,
                what=what,
            )
        )


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
