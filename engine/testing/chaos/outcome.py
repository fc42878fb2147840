"""What comes of a scenario."""

from __future__ import annotations

from dataclasses import dataclass

from engine.testing.chaos.faults import Fault
from engine.testing.chaos.monitors import Violation
from engine.testing.chaos.plan import ScenarioPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Hold what came of a scenario."""

    plan: ScenarioPlan
    faults: tuple[Fault, ...]
    violations: tuple[Violation, ...]
    #: Entries that filled, at least in part: as many brackets were lived.
    brackets: int
    orders: int
    executions: int
    lives: int
    #: How often each point was passed.
    passages: dict[str, int]
    #: Why the engine was halted in the end; nothing where it was ready.
    halted: str
    #: SHA-256 over everything that happened, hexadecimal.
    event_log_hash: str
    #: Longest time without any exit, seconds.
    exposed_s: float
    story: tuple[str, ...] = ()
