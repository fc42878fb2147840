"""Break scripted lives at every place, one after the other: crashes, second crashes, failures that last.

    python -m engine.testing.chaos.exhaustive --every 1 --second-every 4
    python -m engine.testing.chaos.exhaustive --repeat "target rest_stop commit.after:12:crash:0"

A life is lived once without faults, and every passage of a point is written down: its trail. Then, as SQLite's own
tests do, it is lived again for every place of the trail, with a fault there; later faults are places of the trail of
the life that the first one broke. Every run ends in a quiet time, and has to keep all invariants.

Places between which nothing changes, neither in the file nor at the venue nor in time (the statements of one
transaction, say), leave the same behind when a process dies there: they are one class, of which one is tried.
`tests/simulation` proves that for the whole of a life.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

from engine.core.execution.bracket_table import ExitStyle
from engine.store.connection import open_reader
from engine.testing.chaos.faults import POINTS, Fault, FaultKind, RecordedChooser
from engine.testing.chaos.lives import LIVES, ScriptedKernel, ScriptedLife, life_of
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.templates import Templates
from engine.testing.places import memory_folder

K = FaultKind

#: A passage of a point: the point, and how often it was passed by then.
Place = tuple[str, int]
#: A new engine counts as settled when it asks for its third listing: two have proved what there is to prove.
_LISTINGS_UNTIL_SETTLED: Final = 3
#: Passing one of these changes something outside of the process, or follows a change of time.
_CHANGES: Final = frozenset(
    {"commit.after", "submit", "cancel", "question", "listing", "push", "pulse", "receive.before", "start"}
)
_ASKING: Final = ("submit", "cancel", "question", "listing")
#: What befalls one exchange. Amounts: a reply that is late yet comes, and one that comes after it was given up, ms; a
#: status before anything was served, and after it.
_ONCE: Final[dict[FaultKind, tuple[int, ...]]] = {
    K.REQUEST_LOST: (0,),
    K.REPLY_LOST: (0,),
    K.REPLY_LATE: (3_000, 8_000),
    K.REQUEST_TWICE: (0,),
    K.SERVER_ERROR: (2, 7),
    K.READ_FAILED: (0,),
    K.READ_TRUNCATED: (0,),
    K.PUSH_LOST: (0,),
    K.PUSH_LATE: (2_000, 30_000),
    K.PUSH_TWICE: (500, 60_000),
}
#: Fails from a place on: the kind, and at which points; no request reaches the venue, or each fails by a status.
_LASTING: Final[tuple[tuple[FaultKind, tuple[str, ...]], ...]] = (
    (K.DISK_FULL, ("commit.before",)),
    (K.DISK_ERROR, ("commit.before",)),
    (K.REQUEST_LOST, _ASKING),
    (K.SERVER_ERROR, _ASKING),
)
_SERVED_BEFORE_IT_FAILS: Final = 7


class Search(StrEnum):
    """Name how a life is broken."""

    #: The process dies once, at each place.
    CRASH = "crash"
    #: It dies, and the next one dies before it has settled.
    CRASH_TWICE = "crash_twice"
    #: From a place on every commit fails, or every exchange, until all is healed.
    LASTING = "lasting"
    #: One exchange or push goes wrong, in each way.
    EXCHANGE = "exchange"
    #: The process dies, and one exchange of the next one goes wrong before it has settled.
    CRASH_EXCHANGE = "crash_exchange"


_TWICE: Final = frozenset({Search.CRASH_TWICE, Search.CRASH_EXCHANGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Hold the faults of one run."""

    faults: tuple[Fault, ...] = ()
    #: Points at which the last fault happens at every passage from its own on, until all is healed.
    lasting_at: tuple[str, ...] = ()

    def __str__(self) -> str:
        faults = " ".join(f"{each.point}:{each.passage}:{each.kind}:{each.amount}" for each in self.faults)
        return faults + (" lasting" if self.lasting_at else "")


class TrailChooser(RecordedChooser):
    """Repeat a schedule, and write down every place that is passed before all is healed."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule.faults)
        self.trail: list[Place] = []
        self._last = schedule.faults[-1] if schedule.faults else None
        self._lasting_at = schedule.lasting_at
        self._has_begun = False

    def at(self, point: str) -> Fault | None:
        """Return what goes wrong at this passage of a point; usually nothing."""
        fault = super().at(point)
        if self._is_healed:
            return None
        passage = self.passages[point]
        self.trail.append((point, passage))
        if not self._lasting_at or self._last is None:
            return fault
        self._has_begun = self._has_begun or fault is self._last
        if fault is None and self._has_begun and point in self._lasting_at:
            fault = self._happen(Fault(point=point, passage=passage, kind=self._last.kind, amount=self._last.amount))
        return fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Hold a run that broke an invariant."""

    life: str
    exit_style: ExitStyle
    schedule: Schedule
    violations: tuple[str, ...]

    def __str__(self) -> str:
        repeat = f'--repeat "{self.life} {self.exit_style} {self.schedule}"'
        return "\n    ".join((repeat, *self.violations))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold what one search of one life came to."""

    life: str
    exit_style: ExitStyle
    search: Search
    #: Places of the trail without faults, and classes of them at which a crash is another crash.
    places: int
    classes: int
    runs: int
    duration_s: float
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        return (
            f"{self.life:16} {self.exit_style:10} {self.search:15} {self.places:6} {self.classes:5} {self.runs:6} "
            f"{len(self.findings):4} {self.duration_s:7.1f} s"
        )


class Breaker:
    """Break one life under one exit style."""

    def __init__(self, life: ScriptedLife, style: ExitStyle, folder: Path) -> None:
        """Keep what runs start from; `folder` is for their databases, one at a time."""
        self.life = life
        self.exit_style = style
        self._templates = Templates(life.subject(), folder)
        self._plan = life.plan(style)
        self.database = folder
        outcome, self.trail = self.live(Schedule())
        assert not outcome.violations, f"{life.name} breaks without faults: {outcome.violations[0]}"

    def live(self, schedule: Schedule, *, tells: bool = False) -> tuple[Outcome, list[Place]]:
        """Live it with the faults of a schedule; return what came of it and its trail."""
        chooser = TrailChooser(schedule)
        self.database = self._templates.database(self._plan)
        outcome = ScriptedKernel(self.life, self.exit_style, chooser, self.database, tells=tells).run()
        return outcome, chooser.trail

    def executed_legs(self) -> tuple[str, ...]:
        """Return which legs executed in the last run, in order, several executions of one order once."""
        reader = open_reader(self.database)
        try:
            rows = reader.execute(
                "SELECT orders.leg FROM trades JOIN orders ON orders.id = trades.order_id GROUP BY orders.id "
                "ORDER BY min(trades.id)"
            ).fetchall()
        finally:
            reader.close()
        return tuple(row[0] for row in rows)

    def search(self, search: Search, *, every: int = 1, second_every: int = 1, begin: int = 0) -> Row:
        """Try every n-th place from the `begin`-th on, and for each of these every n-th second one.

        Returns what came of it; a run that breaks an invariant ends no search.
        """
        began = time.monotonic()
        runs, findings = 0, []
        for schedule, outcome in self._runs(search, every, second_every, begin):
            runs += 1
            if outcome.violations:
                findings.append(
                    Finding(
                        life=self.life.name,
                        exit_style=self.exit_style,
                        schedule=schedule,
                        violations=tuple(map(str, outcome.violations)),
                    )
                )
        return Row(
            life=self.life.name,
            exit_style=self.exit_style,
            search=search,
            places=len(self.trail),
            classes=len(crash_places(self.trail)),
            runs=runs,
            duration_s=time.monotonic() - began,
            findings=tuple(findings),
        )

    def _runs(self, search: Search, every: int, second_every: int, begin: int) -> Iterator[tuple[Schedule, Outcome]]:
        if search in _TWICE:
            yield from self._double_runs(search, every, second_every, begin)
            return
        for schedule in _every(self._firsts(search), every, begin=begin):
            yield schedule, self.live(schedule)[0]

    def _firsts(self, search: Search) -> list[Schedule]:
        if search is Search.CRASH:
            return crashes(self.trail)
        if search is Search.EXCHANGE:
            return exchange_faults(self.trail)
        # A process that cannot commit ends and is started again every few seconds: not through a whole night.
        return lasting_failures(self.trail, with_disk=not self.life.spans_night)

    def _double_runs(
        self, search: Search, every: int, second_every: int, begin: int
    ) -> Iterator[tuple[Schedule, Outcome]]:
        for number, first in enumerate(_every(crashes(self.trail), every, begin=begin), start=begin):
            _, trail = self.live(first)
            recovery = recovery_of(trail)
            seconds = crashes(recovery) if search is Search.CRASH_TWICE else exchange_faults(recovery)
            # Each first crash begins at another second place, so that strides do not meet the same ones for ever.
            for second in _every(seconds, second_every, begin=number):
                schedule = Schedule(faults=first.faults + second.faults)
                yield schedule, self.live(schedule)[0]


def crash_places(trail: Sequence[Place]) -> list[Place]:
    """Return one place of each class in which a crash leaves the same behind, in order."""
    places, has_changed = [], True
    for point, passage in trail:
        has_changed = has_changed or point in _CHANGES
        if has_changed and K.CRASH in POINTS[point]:
            places.append((point, passage))
            has_changed = False
    return places


def recovery_of(trail: Sequence[Place]) -> list[Place]:
    """Return the places that the second process passes until it is settled; none where all was healed before."""
    start = next((at for at, place in enumerate(trail) if place == ("start", 2)), len(trail))
    listings, places = 0, []
    for place in islice(trail, start, None):
        listings += place[0] == "listing"
        if listings == _LISTINGS_UNTIL_SETTLED:
            break
        places.append(place)
    return places


def crashes(trail: Sequence[Place]) -> list[Schedule]:
    """Return a crash in each class of places."""
    return [_at(place, K.CRASH) for place in crash_places(trail)]


def exchange_faults(trail: Sequence[Place]) -> list[Schedule]:
    """Return each way in which one exchange or push can go wrong."""
    return [
        _at(place, kind, amount)
        for place in trail
        if place[0] in _ASKING or place[0] == "push"
        for kind in POINTS[place[0]]
        for amount in _ONCE[kind]
    ]


def lasting_failures(trail: Sequence[Place], *, with_disk: bool = True) -> list[Schedule]:
    """Return each place at which commits (`with_disk`), or exchanges, begin to fail for good."""
    return [
        Schedule(faults=(Fault(point=place[0], passage=place[1], kind=kind, amount=amount),), lasting_at=points)
        for kind, points in _LASTING
        if with_disk or points == _ASKING
        for amount in ((2, _SERVED_BEFORE_IT_FAILS) if kind is K.SERVER_ERROR else (0,))
        for place in trail
        if place[0] in points
    ]


def _at(place: Place, kind: FaultKind, amount: int = 0) -> Schedule:
    return Schedule(faults=(Fault(point=place[0], passage=place[1], kind=kind, amount=amount),))


def _every(schedules: Sequence[Schedule], every: int, *, begin: int = 0) -> Sequence[Schedule]:
    return schedules[begin % every :: every]


def schedule_of(text: str) -> Schedule:
    """Return the schedule that its text stands for. Raises ValueError where it is none."""
    *words, last = text.split() or [""]
    words = words if last == "lasting" else [*words, last]
    faults = []
    for word in words:
        point, passage, kind, amount = word.split(":")
        faults.append(Fault(point=point, passage=int(passage), kind=FaultKind(kind), amount=int(amount)))
    if last != "lasting":
        return Schedule(faults=tuple(faults))
    points = next(points for kind, points in _LASTING if kind is faults[-1].kind)
    return Schedule(faults=tuple(faults), lasting_at=points)


def main(arguments: Sequence[str] | None = None) -> int:
    """Search as the command line says, and print what came of it; return 1 where an invariant was broken."""
    parser = argparse.ArgumentParser(description="Break scripted lives at every place.")
    parser.add_argument("--every", type=int, default=1, help="try every n-th place")
    parser.add_argument("--second-every", type=int, default=1, help="and every n-th second place")
    parser.add_argument("--begin", type=int, default=0, help="begin at this place, and not at the first")
    parser.add_argument("--life", action="append", choices=[life.name for life in LIVES], help="only these lives")
    parser.add_argument("--search", action="append", choices=list(Search), help="only these searches")
    parser.add_argument("--style", action="append", choices=list(ExitStyle), help="only these exit styles")
    parser.add_argument("--repeat", metavar="RUN", help="tell one run: a life, an exit style and its faults")
    chosen = parser.parse_args(arguments)
    with memory_folder("exhaustive") as named:
        folder = Path(named)
        return _repeat(chosen.repeat, folder) if chosen.repeat else _search_all(chosen, folder)


def _repeat(text: str, folder: Path) -> int:
    name, style, *faults = text.split()
    breaker = Breaker(life_of(name), ExitStyle(style), folder)
    outcome, _ = breaker.live(schedule_of(" ".join(faults)), tells=True)
    _say(*outcome.story, *map(str, outcome.violations))
    return 1 if outcome.violations else 0


def _search_all(chosen: argparse.Namespace, folder: Path) -> int:
    runs, findings = 0, 0
    _say(f"{'life':16} {'style':10} {'search':15} places class   runs fail  duration")
    for life in LIVES if chosen.life is None else map(life_of, chosen.life):
        for style in chosen.style or ExitStyle:
            breaker = Breaker(life, ExitStyle(style), folder)
            for search in chosen.search or Search:
                row = breaker.search(
                    Search(search), every=chosen.every, second_every=chosen.second_every, begin=chosen.begin
                )
                _say(str(row), *(f"  {finding}" for finding in row.findings))
                runs, findings = runs + row.runs, findings + len(row.findings)
    _say(f"{runs} runs, {findings} of them broke an invariant")
    return 1 if findings else 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
