"""State machines as data, over `transitions`.

A machine is one table in which every state has a row. `transitions` builds and validates it; `advance` reads
a plain dictionary derived from that machine once, because a model per order costs a hundred microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from transitions import Machine as TransitionsMachine

from engine.core.errors import Bug, IllegalTransition

StateT = TypeVar("StateT", bound=StrEnum)
TriggerT = TypeVar("TriggerT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Row(Generic[StateT, TriggerT]):
    """Hold one transition; `why` explains a row that surprises."""

    source: StateT
    trigger: TriggerT
    target: StateT
    why: str = ""


class StateMachine(Generic[StateT, TriggerT]):
    """Hold one kind of machine: its states, its triggers and its table.

    Raises Bug for a state without a row, a pair with two rows, or a way out of the table.
    """

    def __init__(
        self,
        name: str,
        *,
        states: type[StateT],
        triggers: type[TriggerT],
        initial: StateT,
        rows: Iterable[Row[StateT, TriggerT]],
    ) -> None:
        self.name = name
        self.states = states
        self.triggers = triggers
        self.initial = initial
        self.rows = tuple(rows)
        self._check_rows()
        self.machine = self._build()
        self._table = self._derive()

    def advance(self, state: StateT, trigger: TriggerT) -> StateT:
        """Return the state that follows; raises IllegalTransition, and changes nothing, where no row exists."""
        try:
            return self._table[state, trigger]
        except KeyError:
            raise IllegalTransition(machine=self.name, state=state.value, trigger=trigger.value) from None

    def allows(self, state: StateT, trigger: TriggerT) -> bool:
        """Return whether a row exists."""
        return (state, trigger) in self._table

    def mermaid(self) -> str:
        """Return the machine as a Mermaid state diagram, for the documentation."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial.value}"]
        grouped: dict[tuple[StateT, StateT], list[str]] = {}
        for row in self.rows:
            if row.source is not row.target:
                grouped.setdefault((row.source, row.target), []).append(row.trigger.value)
        for (source, target), triggers in grouped.items():
            lines.append(f"    {source.value} --> {target.value}: {', '.join(triggers)}")
        return "\n".join(lines) + "\n"

    def _check_rows(self) -> None:
        pairs = [(row.source, row.trigger) for row in self.rows]
        if len(set(pairs)) != len(pairs):
            raise Bug(f"The {self.name} table holds a pair of state and trigger twice.")
        missing = set(self.states) - {row.source for row in self.rows}
        if missing:
            raise Bug(f"The {self.name} table has no row for {', '.join(sorted(missing))}.")

    def _build(self) -> TransitionsMachine:
        machine = TransitionsMachine(
            model=None,
            states=[state.value for state in self.states],
            initial=self.initial.value,
            auto_transitions=False,
        )
        for row in self.rows:
            machine.add_transition(row.trigger.value, row.source.value, row.target.value)
        return machine

    def _derive(self) -> dict[tuple[StateT, TriggerT], StateT]:
        table: dict[tuple[StateT, TriggerT], StateT] = {}
        for trigger in self.triggers:
            for transition in self.machine.get_transitions(trigger.value):
                table[self.states(str(transition.source)), trigger] = self.states(str(transition.dest))
        return table
