"""The answer of one step."""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.core.messages.commands import Command
from engine.core.messages.facts import Fact


class Step(NamedTuple):
    """Hold what one event made true, in order, and what is to be done outside. Empty for most quotes and ticks."""

    facts: tuple[Fact, ...]
    commands: tuple[Command, ...]


#: Shared by every step in which nothing became true.
EMPTY_STEP: Final = Step((), ())


class Draft:
    """Collect a step while the stages work on it."""

    __slots__ = ("commands", "facts", "facts_observed", "is_kept", "messages_counted", "ts_ns")

    def __init__(self, ts_ns: int) -> None:
        #: The engine's time at this step, ns UTC.
        self.ts_ns = ts_ns
        self.facts: list[Fact] = []
        self.commands: list[Command] = []
        #: True where the event has to be journaled although nothing else became true.
        self.is_kept = False
        #: How many of the commands the message throttle has counted.
        self.messages_counted = 0
        #: How many of the facts the circuit breakers have looked at, where they have to see more than one report's.
        self.facts_observed = 0

    def seal(self) -> Step:
        """Return the finished step."""
        if not self.facts and not self.commands and not self.is_kept:
            return EMPTY_STEP
        return Step(tuple(self.facts), tuple(self.commands))
