"""Find every state machine of the core, so that a test that holds for one holds for those that are added later."""

from __future__ import annotations

import importlib
import pkgutil
from enum import StrEnum

import engine.core
from engine.core.fsm import StateMachine

#: A machine of any kind.
AnyMachine = StateMachine[StrEnum, StrEnum]


def core_machines() -> tuple[AnyMachine, ...]:
    """Return every machine that a module under `engine.core` holds by name, sorted by the machine's own name."""
    found: dict[int, AnyMachine] = {}
    for module_info in pkgutil.walk_packages(engine.core.__path__, "engine.core."):
        for value in vars(importlib.import_module(module_info.name)).values():
            if isinstance(value, StateMachine):
                found[id(value)] = value
    return tuple(sorted(found.values(), key=lambda machine: machine.name))


def reachable_states(machine: AnyMachine, start: StrEnum) -> set[StrEnum]:
    """Return the states that rows lead to from one, itself included."""
    reached, new = {start}, [start]
    while new:
        state = new.pop()
        for row in machine.rows:
            if row.source == state and row.target not in reached:
                reached.add(row.target)
                new.append(row.target)
    return reached
