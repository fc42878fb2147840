"""Errors, divided by what happens next.

EngineError
├── Bug                 the program is wrong: crash, keep the files, report it
│   └── IllegalTransition   a state machine was asked for a transition that its table does not hold
├── Halt                an operator is needed: stop trading, say why, wait for a human
├── Retry               transient: the same call may succeed later, unchanged
└── BadInput            a file, a setting or a request is wrong: its sender mends it

A refusal by the risk gate is not an exception: it is a value with a reason code.
"""

from __future__ import annotations


class EngineError(Exception):
    """Be the root of every error that the engine raises on purpose."""

    #: Exit code of the command line when this error ends a command.
    exit_code = 1


class Bug(EngineError):
    """Say that an assumption of the program does not hold; nothing may go on."""

    exit_code = 70


class IllegalTransition(Bug):
    """Say that a state machine has no row for a state and a trigger; nothing was changed."""

    def __init__(self, *, machine: str, state: str, trigger: str) -> None:
        super().__init__(f"The {machine} machine has no transition from {state} by {trigger}.")
        self.state = state
        self.trigger = trigger


class Halt(EngineError):
    """Say that trading has to stop until a human has looked."""

    exit_code = 3


class Retry(EngineError):
    """Say that the same call may succeed later (a locked file, a dropped connection)."""

    exit_code = 4


class BadInput(EngineError):
    """Say, in one sentence, which thing has which wrong value and how to mend it."""

    exit_code = 2
