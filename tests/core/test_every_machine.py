"""Every machine of the core, those that were added yesterday too: one table, complete, and as `transitions` has it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import pytest
from transitions import Machine, MachineError

from engine.core.errors import IllegalTransition
from engine.core.execution.bracket_table import BRACKET_MACHINE
from engine.core.execution.order_table import ORDER_MACHINE
from engine.core.risk.states import TRADING_MACHINE
from engine.testing.machines import AnyMachine, core_machines, reachable_states

MACHINES = core_machines()
each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
PAIRS = [
    pytest.param(machine, state, id=f"{machine.name}-{state.value}") for machine in MACHINES for state in machine.states
]


class _Model:
    state: str
    trigger: Callable[[str], bool]


def by_the_library(machine: AnyMachine, state: str, trigger: str) -> str | None:
    """Return where a machine built from the rows by `transitions` itself goes, or None where it refuses."""
    model = _Model()
    library = Machine(
        model=model, states=[each.value for each in machine.states], initial=state, auto_transitions=False
    )
    for row in machine.rows:
        library.add_transition(row.trigger.value, row.source.value, row.target.value)
    try:
        model.trigger(trigger)
    except (MachineError, AttributeError):
        assert model.state == state
        return None
    return model.state


def test_the_known_machines_are_found() -> None:
    assert {ORDER_MACHINE, BRACKET_MACHINE, TRADING_MACHINE} <= set(MACHINES)
    assert len({machine.name for machine in MACHINES}) == len(MACHINES), "two machines share a name"


@pytest.mark.parametrize(("machine", "state"), PAIRS)
def test_rows_table_and_library_agree_for_every_trigger(machine: AnyMachine, state: StrEnum) -> None:
    for trigger in machine.triggers:
        rows = [row.target for row in machine.rows if (row.source, row.trigger) == (state, trigger)]
        library = by_the_library(machine, state.value, trigger.value)
        assert machine.allows(state, trigger) is (library is not None) is bool(rows)
        if library is None:
            with pytest.raises(IllegalTransition) as refusal:
                machine.advance(state, trigger)
            assert str(refusal.value) == f"The {machine.name} machine has no transition from {state} by {trigger}."
        else:
            assert [machine.advance(state, trigger)] == rows
            assert rows[0].value == library


@each_machine
def test_every_state_can_be_reached_from_the_first(machine: AnyMachine) -> None:
    assert reachable_states(machine, machine.initial) == set(machine.states)


@each_machine
def test_every_trigger_moves_something_somewhere(machine: AnyMachine) -> None:
    assert {row.trigger for row in machine.rows} == set(machine.triggers)


@each_machine
def test_every_state_has_a_row_and_no_pair_has_two(machine: AnyMachine) -> None:
    pairs = [(row.source, row.trigger) for row in machine.rows]
    assert len(set(pairs)) == len(pairs)
    assert {row.source for row in machine.rows} == set(machine.states)


@each_machine
def test_no_two_states_and_no_two_triggers_share_a_word(machine: AnyMachine) -> None:
    """Rows of databases hold the words: an alias would make two of them one."""
    for words in (machine.states, machine.triggers):
        assert len(words.__members__) == len({word.value for word in words})
