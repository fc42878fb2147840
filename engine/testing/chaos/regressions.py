"""Regressions: schedules that once broke an invariant, as JSON files that are replayed for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec

from engine.core.errors import BadInput
from engine.testing.chaos.faults import Fault
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.chaos.trial import OWN_TRADER, Trial
from engine.testing.chaos.words import shown, tempers


class Expectation(StrEnum):
    """Name what a replay has to come to."""

    #: No invariant breaks: the defect is mended, and stays so.
    HOLDS = "holds"
    #: It breaks the same one: a planted defect, or one that is not mended yet.
    BREAKS = "breaks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Hold a scenario with nothing left to chance: its plan, and each of its faults."""

    plan: ScenarioPlan
    faults: tuple[Fault, ...]
    strategy: str = OWN_TRADER
    parameters: dict[str, str] = field(default_factory=dict)
    #: The risk file's text; empty for the engine's defaults.
    risk_text: str = ""
    #: Which layer drives the engine.
    layer: int = 1
    #: What it broke when it was found, and how that was said.
    invariant: str = ""
    message: str = ""
    #: The command that found it.
    found_by: str = ""
    expectation: Expectation = Expectation.HOLDS

    def trial(self) -> Trial:
        """Return the trial that it belongs to."""
        return Trial(strategy=self.strategy, parameters=self.parameters, risk_text=self.risk_text, layer=self.layer)

    def lines(self) -> tuple[str, ...]:
        """Return the schedule in words: how long, then a line for each fault."""
        plan = self.plan
        where = f"from minute {plan.first_minute} of market {plan.market_seed}"
        head = f"{plan.minutes} minutes {where}, exits {plan.exit_style.value}"
        venue = tempers(plan.temper)
        others = [
            *([f"the venue: {', '.join(venue)}"] if venue else []),
            *([f"the operator: {', '.join(act.act.value for act in plan.acts)}"] if plan.acts else []),
            *([f"{len(plan.halts)} halts of the exchange"] if plan.halts else []),
        ]
        return (head, *others, *(shown(fault) for fault in self.faults))


def save_schedule(schedule: Schedule, path: Path) -> None:
    """Write a schedule into a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(schedule), indent=1) + b"\n")


def load_schedule(path: Path) -> Schedule:
    """Return the schedule in a file; raises BadInput for what is no schedule."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Schedule)
    except OSError as error:
        raise BadInput(f"The schedule {path} cannot be read ({error.strerror}): check the path.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"The file {path} is no schedule of ratchet chaos --keep ({error}): name another.") from error
