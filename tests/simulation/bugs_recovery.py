"""Planted bugs of recovery and of the gate: restarts, listings, and entries that should have waited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from families import BAD_READS, BLIND, FOREIGN, KILLED, LOST_CANCELS, MUTED, RESTARTS, SLOW_LISTS
from planting import Registry

from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.recovering import OrderRecovery
from engine.core.messages import (
    AccountListed,
    Bar,
    Draft,
    EngineStarted,
    Event,
    ListedOrder,
    OrderAcknowledged,
    OrderFilled,
    Step,
)
from engine.core.pipeline.guard import Guard
from engine.core.pipeline.pipeline import Pipeline
from engine.core.pipeline.reconciling import Reconciler
from engine.core.risk import checks
from engine.core.risk.checks.results import passed
from engine.core.risk.situation import Situation

REGISTRY: Final = Registry()
bug: Final = REGISTRY.bug


def _pass_check(patch: pytest.MonkeyPatch, number: int) -> None:
    every = list(checks.CHECKS)
    every[number - 1] = lambda *_: passed(number, "not looked at", "nothing")
    patch.setattr(checks, "CHECKS", tuple(every))


@bug(
    "restart_ignored",
    "A new engine takes what its predecessor sent for sent, and waits for answers that nobody gives any more.",
    "I-4",
    "I-16",
    "I-30",
    scenarios=RESTARTS,
    seeds=2,
)
def _restart_ignored(patch: pytest.MonkeyPatch) -> None:
    def nothing(self: OrderRecovery, draft: Draft) -> None:
        draft.is_kept = True
        for order in self._orders.open_orders():
            # The timers of a process end with it.
            self._orders.forget_deadline(order)

    patch.setattr(OrderRecovery, "restarted", nothing)


@bug(
    "cancels_lost_at_restart",
    "That an order was to be canceled is forgotten when the engine is started again.",
    "I-15",
    "I-30",
    scenarios=LOST_CANCELS,
    seeds=8,
)
def _cancels_lost_at_restart(patch: pytest.MonkeyPatch) -> None:
    restarted = OrderRecovery.restarted

    def forgetful(self: OrderRecovery, draft: Draft) -> None:
        for order in self._orders.open_orders():
            if order.cancel_requested:
                order.cancel_requested = False
                self._orders.forget_deadline(order)
        restarted(self, draft)
        draft.is_kept = True

    patch.setattr(OrderRecovery, "restarted", forgetful)


@bug(
    "halts_lost_at_restart",
    "The kill switch and every other halt end with the process.",
    "I-27",
    scenarios=KILLED,
    seeds=2,
)
def _halts_lost_at_restart(patch: pytest.MonkeyPatch) -> None:
    start = Reconciler.start

    def forgetful(self: Reconciler, event: EngineStarted, draft: Draft) -> None:
        start(self, event, draft)
        draft.is_kept = True
        self._desk.trading_states._states.clear()
        self._desk.trading_states._reasons.clear()

    patch.setattr(Reconciler, "start", forgetful)


@bug(
    "entries_while_halted",
    "Entries pass while trading is halted.",
    "I-27",
    scenarios=KILLED,
    seeds=2,
)
def _entries_while_halted(patch: pytest.MonkeyPatch) -> None:
    _pass_check(patch, 1)


@bug(
    "entries_before_listings",
    "Entries do not wait until the venue's listings were compared, nor mind how old that is.",
    "I-16",
    scenarios=BLIND,
    seeds=2,
)
def _entries_before_listings(patch: pytest.MonkeyPatch) -> None:
    _pass_check(patch, 22)


@bug(
    "entries_beside_the_unknown",
    "Entries do not wait until the outcome of every order of the instrument is known.",
    "I-16",
    scenarios=SLOW_LISTS,
    seeds=11,
)
def _entries_beside_the_unknown(patch: pytest.MonkeyPatch) -> None:
    situation = Guard.situation

    def blind(self: Guard, *details: Any) -> Situation:
        return replace(situation(self, *details), unknown_orders=0)

    patch.setattr(Guard, "situation", blind)


@bug(
    "stale_quotes_believed",
    "Entries are decided on a quote of any age.",
    "I-23",
    scenarios=MUTED,
    seeds=2,
)
def _stale_quotes_believed(patch: pytest.MonkeyPatch) -> None:
    _pass_check(patch, 10)


@bug(
    "part_of_a_listing_is_the_whole",
    "A listing that was cut short counts as complete: what it does not hold is gone.",
    "I-4",
    "I-10",
    scenarios=BAD_READS,
    seeds=8,
)
def _part_of_a_listing_is_the_whole(patch: pytest.MonkeyPatch) -> None:
    take = Reconciler.take

    def trusting(self: Reconciler, listed: AccountListed, draft: Draft) -> None:
        take(self, replace(listed, is_complete=True), draft)

    patch.setattr(Reconciler, "take", trusting)


@bug(
    "foreign_orders_ignored",
    "Orders of others in the account are not looked at.",
    "I-6",
    scenarios=FOREIGN,
    seeds=2,
)
def _foreign_orders_ignored(patch: pytest.MonkeyPatch) -> None:
    def nothing(self: Reconciler, each: ListedOrder, asked_ts_ns: int, draft: Draft) -> set[int]:
        del self, each, asked_ts_ns, draft
        return set()

    patch.setattr(Reconciler, "_take_foreign", nothing)


@bug(
    "drift_ignored",
    "Positions that differ from the venue's, and orders of others, are not looked at.",
    "I-6",
    "I-10",
    "I-13",
    scenarios=FOREIGN,
    seeds=2,
)
def _drift_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reconciler, "_compare_positions", lambda *_: None)
    patch.setattr(Reconciler, "_take_foreign", lambda *_: set())


@bug(
    "listed_executions_ignored",
    "Reconciliation looks at states only: executions that no push has told stay unknown.",
    "I-7",
    "I-10",
    scenarios=BAD_READS,
    seeds=2,
)
def _listed_executions_ignored(patch: pytest.MonkeyPatch) -> None:
    news = Reconciler._news

    def states_only(
        self: Reconciler, order: WorkingOrder, each: ListedOrder, listed: AccountListed, *rest: Any
    ) -> Iterator[Any]:
        return (report for report in news(self, order, each, listed, *rest) if not isinstance(report, OrderFilled))

    patch.setattr(Reconciler, "_news", states_only)


@bug(
    "recovery_skips_reports",
    "A recovery replays decisions and fills, and leaves out the acknowledgements between them.",
    "I-18",
    "I-19",
    scenarios=RESTARTS,
    seeds=2,
)
def _recovery_skips_reports(patch: pytest.MonkeyPatch) -> None:
    restore = Pipeline.restore

    def skipping(self: Pipeline, event: Event, bars: Sequence[Bar], *rest: Any, **named: Any) -> Step:
        if isinstance(event, OrderAcknowledged):
            return Step((), ())
        return restore(self, event, bars, *rest, **named)

    patch.setattr(Pipeline, "restore", skipping)


@bug(
    "restart_ends_the_unanswered",
    "An order that had no answer when its engine ended counts as one that never was.",
    "I-4",
    "I-12",
    scenarios=RESTARTS,
    seeds=6,
)
def _restart_ends_the_unanswered(patch: pytest.MonkeyPatch) -> None:
    restarted = OrderRecovery.restarted

    def ended(self: OrderRecovery, draft: Draft) -> None:
        for order in self._orders.open_orders():
            if order.state is OrderState.NEW:
                self.give_up(order, "the engine was restarted before an answer", draft)
        restarted(self, draft)

    patch.setattr(OrderRecovery, "restarted", ended)
