"""Start-up is recovery: a journal becomes the state that wrote it, and every step proves that it is the same."""

from __future__ import annotations

from engine.app.loop import Observer
from engine.core.errors import Halt
from engine.core.execution.order_table import UNANSWERED_STATES
from engine.core.execution.orders import WorkingOrder
from engine.core.messages import CancelOrder, Command, QueryOrder, SubmitOrder, TradingState
from engine.core.pipeline import Pipeline
from engine.core.values import ClientOrderId, Leg
from engine.ports import Venue
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


def hand_over_again(pipeline: Pipeline, venue: Venue, submitted: dict[ClientOrderId, SubmitOrder]) -> None:
    """Ask a venue to which the same id is the same order about every order that may still work, before anything new.

    An order without an answer is handed over again, with the same id and payload: the process may have died between
    the commit and the send. Every other open order is asked about, and a cancel that was wanted is wanted again. The
    answers come as reports.

    So no `EngineStarted` is needed here, as there is in `engine.app.live`. It would make every such order UNKNOWN and
    wait for listings to settle, which is right where a send may be lost or late, and where a second send may be a
    second order. At a venue of which both are untrue it would only make the journal of a run that was killed another
    one than that of a run that was not.
    """
    now_ts_ns = pipeline.now_ts_ns
    for order in pipeline.execution.open_orders():
        identity = order.client_order_id
        if order.state in UNANSWERED_STATES and not _is_held_back(pipeline, order):
            venue.send(submitted[identity])
        else:
            venue.send(QueryOrder(client_order_id=identity, decided_ts_ns=now_ts_ns))
        if order.cancel_requested:
            venue.send(CancelOrder(client_order_id=identity, decided_ts_ns=now_ts_ns))


def has_unanswered(pipeline: Pipeline) -> bool:
    """Return whether an order is under way of which the venue has said nothing yet."""
    return any(order.state in UNANSWERED_STATES for order in pipeline.execution.open_orders())


def _is_held_back(pipeline: Pipeline, order: WorkingOrder) -> bool:
    # An entry that nobody wants any more, or that may not be made now: asked about, so that it ends if it never
    # left. An order that protects or closes is sent again whatever the state.
    if order.leg is not Leg.ENTRY:
        return False
    state = pipeline.desk.trading_states.effective(order.strategy_id, order.instrument_id)
    return order.cancel_requested or state is not TradingState.ACTIVE
