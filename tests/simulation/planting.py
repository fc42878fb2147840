"""Planting bugs: what a planted bug is, in which scenarios it is looked for, and whether a scenario kills it.

A bug is a patch of the engine while it is planted. A scenario kills it that breaks an invariant with the bug and breaks
none without it: a seed on which the engine itself fails proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.testing.chaos.faults import FaultKind, SeededChooser
from engine.testing.chaos.kernel import Kernel
from engine.testing.chaos.life import Life
from engine.testing.chaos.plan import Act, OperatorAct, ScenarioPlan, draw_plan
from engine.testing.chaos.subject import Subject, chaos_trader
from engine.testing.chaos.templates import Templates
from engine.testing.reference_temper import VenueTemper

K = FaultKind

_UNFIT: Final = ("TypeError", "AttributeError", "NameError", "KeyError", "AssertionError")

#: Changes the engine while a bug is planted.
Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Hold a family of scenarios: one plan for each seed."""

    name: str
    words: str
    plan: Callable[[int], ScenarioPlan]
    #: What its processes are.
    lives: type[Life] = Life


def family(
    name: str,
    words: str,
    rates: dict[FaultKind, float] | None = None,
    *,
    style: ExitStyle | None = None,
    temper: dict[str, Any] | None = None,
    acts: tuple[tuple[int, OperatorAct], ...] = (),
    lives: type[Life] = Life,
    **changes: Any,
) -> Family:
    """Return a family of short scenarios with these faults and these habits of the venue only.

    `acts` are steps after the first one, and what a human does there.
    """

    def plan(seed: int) -> ScenarioPlan:
        drawn = draw_plan(seed, kinds=frozenset(), exit_style=style)
        planned = tuple(Act(step=drawn.first_step + step, act=act) for step, act in acts)
        values: dict[str, Any] = {"minutes": 20, "quiet_minutes": 8, "breakers_off": True, **changes}
        return replace(
            drawn, rates=dict(rates or {}), temper=VenueTemper(**(temper or {})), acts=planned, halts=(), **values
        )

    return Family(name=name, words=words, plan=plan, lives=lives)


SWARM: Final = Family(name="swarm", words="`draw_plan(seed)`: a part of everything that can go wrong", plan=draw_plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """Hold one bug."""

    name: str
    #: What is wrong, in one sentence.
    wrong: str
    #: Which invariants it should break.
    breaks: tuple[str, ...]
    family: Family
    #: The first seed that is tried, and how many are tried at most.
    first_seed: int
    seeds: int
    plant: Plant

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Plant the bug for a while."""
        with pytest.MonkeyPatch.context() as patch:
            self.plant(patch)
            yield


@dataclass(slots=True)
class Registry:
    """Collect bugs of one module, in the order in which they are written there."""

    bugs: list[PlantedBug] = field(default_factory=list)

    def bug(
        self, name: str, wrong: str, *breaks: str, scenarios: Family = SWARM, seeds: int = 0, first_seed: int = 0
    ) -> Callable[[Plant], Plant]:
        """Return a decorator that adds a bug."""

        def add(plant: Plant) -> Plant:
            self.bugs.append(
                PlantedBug(
                    name=name,
                    wrong=wrong,
                    breaks=breaks,
                    family=scenarios,
                    first_seed=first_seed,
                    seeds=seeds,
                    plant=plant,
                )
            )
            return plant

        return add


class Garden:
    """Live scenarios in a folder: with a bug, and without one."""

    def __init__(self, folder: Path) -> None:
        self._subject: Subject = chaos_trader(is_restless=True)
        self._templates = Templates(self._subject, folder)

    def violation(self, family: Family, seed: int) -> str:
        """Live the scenario of a seed, and return the first invariant that it breaks, in words; nothing for none."""
        # What the kit's own trader starts from depends on nothing that a plan says: one template serves all.
        plan = family.plan(seed)
        same = replace(plan, market_seed=0, exit_style=ExitStyle.REST_STOP, breakers_off=True)
        database = self._templates.database(same)
        chooser = SeededChooser(plan.seed, plan.rates)
        violations = Kernel(self._subject, plan, chooser, database, lives=family.lives).run().violations
        return f"{violations[0].invariant}: {violations[0].message}" if violations else ""

    def kill(self, bug: PlantedBug, seed: int) -> str:
        """Return which invariant a seed breaks with the bug; nothing where it is none of the bug's own.

        A seed that breaks one without the bug too kills nothing.
        """
        with bug.planted():
            found = self.violation(bug.family, seed)
        # A patch that does not fit the engine any more fails, too: that is no bug that was noticed.
        is_its_own = found.partition(":")[0] in bug.breaks and not any(word in found for word in _UNFIT)
        return found if is_its_own and not self.violation(bug.family, seed) else ""
