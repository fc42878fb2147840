"""Planted bugs of the shell: the loop, the journal, the lease and the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from families import BAD_READS, CALM, CLOCKS, DISK, RESTARTS, TWO_ENGINES
from planting import Registry

from engine.app import live
from engine.app.live import LiveEngine
from engine.app.loop import SendFence, StepLoop
from engine.core.errors import Halt
from engine.core.messages import Event, Step, TimeAdvanced
from engine.store.lease import LeaseGuard
from engine.store.writer import SqliteJournal
from engine.testing.chaos.store import Crash

REGISTRY: Final = Registry()
bug: Final = REGISTRY.bug


@bug(
    "sent_before_the_commit",
    "Commands leave before the step that decided them is committed.",
    "I-1",
    scenarios=CALM,
    seeds=2,
)
def _sent_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def hasty(self: StepLoop, event: Event, result: Step, on_append: Callable[[], None] | None = None) -> None:
        del on_append
        for command in result.commands:
            self._venue.send(command)
        self._journal.append(event, result)
        self._journal.commit()

    patch.setattr(StepLoop, "_journal_step", hasty)


@bug(
    "commit_error_swallowed",
    "That the journal cannot be written is not minded: the engine goes on and sends.",
    "I-1",
    "I-21",
    scenarios=DISK,
    seeds=2,
)
def _commit_error_swallowed(patch: pytest.MonkeyPatch) -> None:
    commit = SqliteJournal.commit

    def careless(self: SqliteJournal) -> None:
        try:
            commit(self)
        except Crash:
            raise
        except Halt:
            self._forget()

    patch.setattr(SqliteJournal, "commit", careless)


@bug(
    "lease_not_looked_at",
    "A commit does not look whether another engine has taken the account over.",
    "I-17",
    "I-18",
    scenarios=TWO_ENGINES,
    seeds=2,
)
def _lease_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LeaseGuard, "verify", lambda _: None)


@bug(
    "never_reconciled_again",
    "The venue's listings are asked for at the start and never again.",
    "I-6",
    "I-7",
    "I-10",
    "I-16",
    scenarios=BAD_READS,
    seeds=2,
)
def _never_reconciled_again(patch: pytest.MonkeyPatch) -> None:
    def once(self: LiveEngine, now_ts_ns: int) -> None:
        if not self.is_started and now_ts_ns >= (self._asked_ts_ns or 0) + self._reconcile_ns:
            self._asked_ts_ns = now_ts_ns
            self._venue.query_account(now_ts_ns)
        if self.is_started:
            self.loop.process(TimeAdvanced(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns))

    patch.setattr(LiveEngine, "pass_time", once)


@bug(
    "reports_not_journaled",
    "A report that changes no row is not kept, although later steps are made of it.",
    "I-18",
    "I-19",
    scenarios=RESTARTS,
    seeds=2,
)
def _reports_not_journaled(patch: pytest.MonkeyPatch) -> None:
    append = SqliteJournal.append

    def choosy(self: SqliteJournal, event: Event, step: Step) -> None:
        if step.facts:
            append(self, event, step)

    patch.setattr(SqliteJournal, "append", choosy)


@bug(
    "wrong_clock_accepted",
    "An engine starts whatever its clock says.",
    "I-24",
    scenarios=CLOCKS,
    seeds=2,
)
def _wrong_clock_accepted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(live, "_check_clock", lambda _: None)


@bug(
    "sends_after_a_sleep",
    "A process that slept between a commit and its sends looks at no lease before it sends.",
    "I-17",
    scenarios=TWO_ENGINES,
    seeds=4,
)
def _sends_after_a_sleep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SendFence, "pass_through", lambda _: None)
