"""Start-up is recovery: a journal becomes the state that wrote it, and every step proves that it is the same."""

from __future__ import annotations

from engine.app.loop import Observer
from engine.core.errors import Halt
from engine.core.messages import Command, SubmitOrder
from engine.core.pipeline import Pipeline
from engine.core.values import ClientOrderId
from engine.store.accounts import AccountRow
from engine.store.connection import sqlite
from engine.store.replay import repeated_steps
from engine.store.writer import GENESIS, chained, step_rows


def restore(
    pipeline: Pipeline, connection: sqlite.Connection, account: AccountRow, *, observer: Observer | None = None
) -> dict[ClientOrderId, SubmitOrder]:
    """Replay an account's journal into a fresh pipeline; return every order that was ever submitted, by its id.

    Raises Halt at the first step whose outcome is not the one that was journaled: another program, strategy or
    setting wrote it, or the file was changed.
    """
    submitted: dict[ClientOrderId, SubmitOrder] = {}
    digest = GENESIS
    for number, event, step, stored in repeated_steps(pipeline, connection, account):
        digest = chained(digest, *step_rows(event, step, number))
        if digest != stored:
            raise Halt(
                f"Step {number} ({type(event).__name__}) of the account {account.name} does not come out as it was "
                "journaled: start with the strategy, parameters, risk file and program that wrote it, or with another "
                "database."
            )
        _remember(step.commands, submitted)
        if observer is not None:
            observer(event, step)
    return submitted


def _remember(commands: tuple[Command, ...], submitted: dict[ClientOrderId, SubmitOrder]) -> None:
    for command in commands:
        if isinstance(command, SubmitOrder):
            submitted[command.client_order_id] = command
