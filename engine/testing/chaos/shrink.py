"""Shrinking: from a scenario that broke an invariant to the least that still breaks the same one.

Delta debugging over the faults (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
parts of the list are left out as long as the rest still breaks it. The scenario is also made shorter, and whatever the
venue, the operator and the exchange did besides is taken away piece by piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Protocol

from engine.testing.chaos.faults import Fault
from engine.testing.chaos.monitors import Violation
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.reference_temper import VenueTemper

#: How many minutes a shortened scenario may last, least first: a short one costs little to try.
_SHORTER: Final = (2, 4, 8, 15, 25, 35, 45, 90, 180)
_HONEST: Final = VenueTemper()


class Repeat(Protocol):
    """Live a plan with the given faults and no others."""

    def __call__(self, plan: ScenarioPlan, faults: Sequence[Fault]) -> Outcome:
        """Return what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """Hold the least that was found, and the violation that it ends in."""

    plan: ScenarioPlan
    faults: tuple[Fault, ...]
    violation: Violation
    #: How many scenarios were lived to find it.
    attempts: int
    #: False where time or attempts ran out before nothing more could be left out.
    is_minimal: bool


class _Spent(Exception):
    # No error: the search has used up what it may use.
    pass


class _Search:
    # The least so far, and what may still be spent.
    def __init__(
        self, repeat: Repeat, outcome: Outcome, *, attempts_max: int, seconds_max: float, clock: Callable[[], float]
    ) -> None:
        self.plan = replace(outcome.plan, rates={})
        self.faults = outcome.faults
        self.violation = outcome.violations[0]
        self.attempts = 0
        self._repeat = repeat
        self._attempts_max = attempts_max
        self._clock = clock
        self._until = clock() + seconds_max

    # Whether the same invariant breaks with these; what was tried is the least from then on.
    def breaks(self, plan: ScenarioPlan, faults: Sequence[Fault]) -> bool:
        if self.attempts >= self._attempts_max or self._clock() > self._until:
            raise _Spent
        self.attempts += 1
        outcome = self._repeat(plan, faults)
        same = next((each for each in outcome.violations if each.invariant == self.violation.invariant), None)
        if same is None:
            return False
        # A fault that was not reached before the breach has no part in it.
        self.plan, self.faults, self.violation = plan, outcome.faults, same
        return True

    def shorten(self) -> None:
        for minutes in _SHORTER:
            if minutes >= self.plan.minutes or self.breaks(replace(self.plan, minutes=minutes), self.faults):
                return

    def simplify(self) -> None:
        for change in _simpler(self.plan):
            self.breaks(change(self.plan), self.faults)

    def fewer(self) -> None:
        if not self.faults or self.breaks(self.plan, ()):
            return
        parts = 2
        while len(self.faults) >= 2:
            faults, size = self.faults, -(-len(self.faults) // parts)
            rests = ((*faults[:first], *faults[first + size :]) for first in range(0, len(faults), size))
            if any(self.breaks(self.plan, rest) for rest in rests):
                parts = max(parts - 1, 2)
            elif size == 1:
                return
            else:
                parts = min(parts * 2, len(faults))


def shrink(
    repeat: Repeat,
    outcome: Outcome,
    *,
    attempts_max: int = 200,
    seconds_max: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """Return the least found that breaks the invariant which a scenario broke first.

    Where `attempts_max` ends the search the result is the same each time; where `seconds_max` does, it depends on the
    machine. The outcome must hold a violation.
    """
    search = _Search(repeat, outcome, attempts_max=attempts_max, seconds_max=seconds_max, clock=clock)
    is_minimal = True
    try:
        for reduce in (search.shorten, search.fewer, search.simplify, search.fewer, search.shorten):
            reduce()
    except _Spent:
        is_minimal = False
    return Shrunk(
        plan=search.plan,
        faults=search.faults,
        violation=search.violation,
        attempts=search.attempts,
        is_minimal=is_minimal,
    )


# Everything besides the faults that may be taken away, each alone.
def _simpler(plan: ScenarioPlan) -> Iterator[Callable[[ScenarioPlan], ScenarioPlan]]:
    if plan.acts:
        yield lambda plan: replace(plan, acts=())
    if plan.halts:
        yield lambda plan: replace(plan, halts=())
    for each in fields(VenueTemper):
        honest = getattr(_HONEST, each.name)
        if getattr(plan.temper, each.name) != honest:
            yield _with_temper(each.name, honest)


def _with_temper(name: str, value: object) -> Callable[[ScenarioPlan], ScenarioPlan]:
    def change(plan: ScenarioPlan) -> ScenarioPlan:
        changed: dict[str, object] = {name: value}
        return replace(plan, temper=replace(plan.temper, **changed))  # type: ignore[arg-type]

    return change
