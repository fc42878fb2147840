"""The runner: many scenarios over several processes, one after the other by seed, and what they came to.

What a seed comes to depends on the trial alone, so the summary of the same seeds is the same whatever the number of
processes; only the rates depend on the machine.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.testing.chaos.crew import Crew, crew
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.plan import SHORT_MINUTES
from engine.testing.chaos.regressions import Schedule, save_schedule
from engine.testing.chaos.shrink import Shrunk
from engine.testing.chaos.trial import Trial

#: A scenario counts with so many brackets and faults at least.
BRACKETS_MIN: Final = 1
FAULTS_MIN: Final = 5
#: Scenarios that wait at each process, so that none of them is ever idle.
_AHEAD: Final = 6
#: So many violations are shrunk, each of another invariant first: a defect breaks a hundred seeds the same way.
SHRUNK_MAX: Final = 4
_ATTEMPTS_MAX: Final = 250
_SHRINK_SECONDS_MAX: Final = 20.0
_KEPT_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hold one scenario that broke an invariant."""

    seed: int
    invariant: str
    message: str
    #: How many faults there were until then.
    faults: int
    #: The least that breaks it; None where it was not shrunk.
    schedule: Schedule | None
    #: Whether nothing more could be left out of the schedule.
    is_minimal: bool
    #: The command that lives it again and tells its story.
    replay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Hold what a run of scenarios came to."""

    strategy: str
    #: The first seed; they follow one another.
    seed: int
    #: All that were lived, and those of them that count: long enough, with a bracket and with enough faults.
    lived: int
    scenarios: int
    faults: dict[str, int]
    violations: tuple[Found, ...]
    #: SHA-256 over the event logs of all scenarios in the order of their seeds, hexadecimal.
    event_log_hash: str
    brackets: int
    orders: int
    executions: int
    #: Processes that were started, over all scenarios.
    lives: int
    #: Scenarios in which the engine was halted in the end.
    halted: int
    #: The longest time that something was held without any exit, seconds.
    longest_exposure_s: float
    #: How often each point was passed at which something may go wrong.
    passages: dict[str, int]
    #: Of living them, without the shrinking.
    seconds: float

    @property
    def scenarios_per_hour(self) -> float:
        """Return the rate of those that count."""
        return self.scenarios / self.seconds * 3_600 if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Hold how far a run is."""

    lived: int
    scenarios: int
    violations: int
    seconds: float
    #: Whether all are lived, and the violations are being shrunk.
    is_shrinking: bool = False


def counts(outcome: Outcome) -> bool:
    """Return whether a scenario is one: 45 market minutes or more, a bracket or more, five faults or more."""
    return (
        outcome.plan.minutes >= SHORT_MINUTES and outcome.brackets >= BRACKETS_MIN and len(outcome.faults) >= FAULTS_MIN
    )


def run_trial(
    trial: Trial,
    *,
    seed: int = 0,
    seeds: int | None = None,
    minutes: float | None = None,
    jobs: int = 1,
    keep: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Live scenarios from a seed on: `seeds` of them, or as many as begin within `minutes` of wall time.

    With `jobs` of one everything happens in this process. `keep` is a folder for the schedules and databases of
    violations. Raises BadInput where the strategy, its parameters or the risk file is wrong.
    """
    assert (seeds is None) != (minutes is None), "either a number of seeds or a time"
    tally = _Tally()
    with crew(trial, jobs) as workers:
        began = time.monotonic()
        ends = None if minutes is None else began + minutes * 60
        for outcome in _in_order(workers, _numbers(seed, seeds, ends), ahead=jobs * _AHEAD if jobs > 1 else 1):
            tally.add(outcome)
            if on_progress is not None:
                on_progress(tally.progress(time.monotonic() - began))
        seconds = time.monotonic() - began
        if on_progress is not None and tally.broken:
            on_progress(replace(tally.progress(seconds), is_shrinking=True))
        found = _explained(trial, workers, tally.broken, keep)
    return tally.summary(trial, seed=seed, seconds=seconds, found=found)


def _numbers(seed: int, seeds: int | None, ends: float | None) -> Iterator[int]:
    number = seed
    while (seeds is None or number < seed + seeds) and (ends is None or time.monotonic() < ends):
        yield number
        number += 1


def _in_order(workers: Crew, numbers: Iterator[int], *, ahead: int) -> Iterator[Outcome]:
    waiting: deque[Future[Outcome]] = deque()
    for number in numbers:
        waiting.append(workers.live(number))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# --- what it comes to ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tally:
    lived: int = 0
    scenarios: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    passages: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    longest_exposure_s: float = 0.0
    broken: list[Outcome] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.lived += 1
        self.scenarios += counts(outcome)
        self.faults.update(fault.kind.value for fault in outcome.faults)
        self.passages.update(outcome.passages)
        self.numbers.update(
            brackets=outcome.brackets,
            orders=outcome.orders,
            executions=outcome.executions,
            lives=outcome.lives,
            halted=bool(outcome.halted),
        )
        self.longest_exposure_s = max(self.longest_exposure_s, outcome.exposed_s)
        self.digest.append(outcome.event_log_hash)
        if outcome.violations:
            self.broken.append(outcome)

    def progress(self, seconds: float) -> Progress:
        return Progress(lived=self.lived, scenarios=self.scenarios, violations=len(self.broken), seconds=seconds)

    def summary(self, trial: Trial, *, seed: int, seconds: float, found: tuple[Found, ...]) -> Summary:
        return Summary(
            strategy=trial.strategy,
            seed=seed,
            lived=self.lived,
            scenarios=self.scenarios,
            faults=dict(self.faults.most_common()),
            violations=found,
            event_log_hash=sha256("\n".join(self.digest).encode()).hexdigest(),
            brackets=self.numbers["brackets"],
            orders=self.numbers["orders"],
            executions=self.numbers["executions"],
            lives=self.numbers["lives"],
            halted=self.numbers["halted"],
            longest_exposure_s=self.longest_exposure_s,
            passages=dict(self.passages),
            seconds=seconds,
        )


def _explained(trial: Trial, workers: Crew, broken: Sequence[Outcome], keep: Path | None) -> tuple[Found, ...]:
    chosen = {outcome.plan.seed for outcome in _worth_shrinking(broken)}
    shrinking = {
        outcome.plan.seed: workers.shrink(outcome, attempts_max=_ATTEMPTS_MAX, seconds_max=_SHRINK_SECONDS_MAX)
        for outcome in broken
        if outcome.plan.seed in chosen
    }
    found = []
    for number, outcome in enumerate(broken):
        seed, violation = outcome.plan.seed, outcome.violations[0]
        shrunk = shrinking[seed].result() if seed in shrinking else None
        schedule = None if shrunk is None else _schedule(trial, shrunk, seed)
        found.append(
            Found(
                seed=seed,
                invariant=violation.invariant,
                message=violation.message,
                faults=len(outcome.faults),
                schedule=schedule,
                is_minimal=shrunk is not None and shrunk.is_minimal,
                replay=trial.replay_line(seed),
            )
        )
        if keep is not None and number < _KEPT_MAX:
            whole = _schedule(trial, outcome, seed)
            save_schedule(schedule or whole, keep / f"{violation.invariant}-seed-{seed}.json")
            workers.keep(outcome, keep / f"{violation.invariant}-seed-{seed}.sqlite").result()
    return tuple(found)


# The first of each invariant, then the first of all.
def _worth_shrinking(broken: Sequence[Outcome]) -> list[Outcome]:
    first: dict[str, Outcome] = {}
    for outcome in broken:
        first.setdefault(outcome.violations[0].invariant, outcome)
    rest = [outcome for outcome in broken if outcome not in first.values()]
    return [*first.values(), *rest][:SHRUNK_MAX]


def _schedule(trial: Trial, what: Shrunk | Outcome, seed: int) -> Schedule:
    violation = what.violation if isinstance(what, Shrunk) else what.violations[0]
    return Schedule(
        strategy=trial.strategy,
        parameters=trial.parameters,
        risk_text=trial.risk_text,
        layer=trial.layer,
        plan=what.plan,
        faults=what.faults,
        invariant=violation.invariant,
        message=violation.message,
        found_by=trial.replay_line(seed),
    )
