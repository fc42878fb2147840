"""The loop: take an event, step, journal, commit, and only then act. Backtest, paper and live share it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from engine.core.messages import (
    EMPTY_STEP,
    BarClosed,
    CorporateAction,
    Event,
    FeedInterrupted,
    MarketEvent,
    Quote,
    Step,
    Tick,
)
from engine.core.pipeline import Pipeline, PrintEvent
from engine.core.values import MINUTE_NS
from engine.ports import Clock, Journal, SimulatedVenue, Venue
from engine.store.inputs import is_journaled

#: How many steps one transaction of a backtest holds.
BATCH_STEPS: Final = 8_192

#: After how much time between a commit and a send the lease is looked at again, ns: a process may have been suspended.
SUSPENDED_NS: Final = 1_000_000_000

#: Shown every step that was journaled, after its commit (or, in a batch, after it was added).
Observer = Callable[[Event, Step], None]


@dataclass(slots=True, kw_only=True)
class SendFence:
    """Keep a process that slept between a commit and a send from acting for an account that is another's by now."""

    clock: Clock
    #: Raises Halt where another engine has taken the account over.
    verify: Callable[[], None]
    _since_ns: int = 0

    def mark(self) -> None:
        """Note the time before a commit, which proves the lease."""
        self._since_ns = self.clock.now_ns()

    def pass_through(self) -> None:
        """Look at the lease again where more than a second has gone since; raises Halt where it is lost."""
        now_ns = self.clock.now_ns()
        if now_ns - self._since_ns > SUSPENDED_NS:
            self.verify()
            self._since_ns = now_ns


class StepLoop:
    """Take events one by one: step, journal, commit, and only then act. Every kind of run goes through it."""

    def __init__(
        self,
        pipeline: Pipeline,
        venue: Venue,
        journal: Journal,
        *,
        is_durable: bool,
        observer: Observer | None = None,
        fence: SendFence | None = None,
    ) -> None:
        """Put the parts together.

        `is_durable` commits every step before its commands leave, as trading needs; otherwise whole steps are
        committed in batches, as a backtest may: a kill then leaves a prefix of whole steps. `fence` stands before every
        send of an account that another engine could take over.
        """
        self._pipeline = pipeline
        self._venue = venue
        self._journal = journal
        self._batch_steps = 1 if is_durable else BATCH_STEPS
        self._observer = observer
        self._fence = fence
        self._appended = 0

    def process(self, event: Event, *, on_append: Callable[[], None] | None = None) -> Step:
        """Process one event, and whatever the venue has ready in answer to it.

        `on_append` is called when the step is in the open transaction, before its commit. Raises Halt where the
        journal cannot be written: nothing of the step has left then.
        """
        result = self._pipeline.step(event)
        if result is EMPTY_STEP and not is_journaled(event, result):
            return result
        self._keep(event, result, on_append)
        return result

    def settle(self) -> bool:
        """Step every report that the venue has ready, until it has none; return whether there were any."""
        any_reports = False
        while reports := self._venue.drain():
            any_reports = True
            for report in reports:
                result = self._pipeline.step(report)
                if result is not EMPTY_STEP:
                    self._journal_step(report, result)
        return any_reports

    def commit(self) -> None:
        """Make everything so far durable."""
        self._journal.commit()

    def _keep(self, event: Event, result: Step, on_append: Callable[[], None] | None = None) -> None:
        self._journal_step(event, result, on_append)
        if result.commands:
            self.settle()

    def _journal_step(self, event: Event, result: Step, on_append: Callable[[], None] | None = None) -> None:
        fence = self._fence if result.commands else None
        if fence is not None:
            fence.mark()
        self._journal.append(event, result)
        if on_append is not None:
            on_append()
        self._appended += 1
        if self._appended >= self._batch_steps:
            self._journal.commit()
            self._appended = 0
        for command in result.commands:
            if fence is not None:
                fence.pass_through()
            self._venue.send(command)
        if self._observer is not None:
            self._observer(event, result)


class EngineLoop(StepLoop):
    """Drive one pipeline with a venue that matches on the market events which it is shown."""

    _venue: SimulatedVenue

    def __init__(
        self,
        pipeline: Pipeline,
        venue: SimulatedVenue,
        journal: Journal,
        *,
        is_durable: bool,
        observer: Observer | None = None,
        fence: SendFence | None = None,
    ) -> None:
        """Put the parts together, as for a `StepLoop`."""
        super().__init__(pipeline, venue, journal, is_durable=is_durable, observer=observer, fence=fence)
        self._is_delayed = venue.is_delayed

    def run(self, events: Iterable[MarketEvent]) -> None:
        """Process market events until they end, and make everything durable."""
        step, venue = self._pipeline.step, self._venue
        has_work, append = venue.has_work, self._journal.append
        # Most steps of a batch send nothing and nobody watches: they only have to be written down.
        is_quick = self._batch_steps > 1 and self._observer is None
        for event in self._after_arrivals(events) if self._is_delayed else events:
            kind = event.__class__
            if kind is BarClosed:
                if has_work(event.bar.instrument_id):  # type: ignore[union-attr]
                    self._show(event)
            elif (kind is Tick or kind is Quote) and has_work(event.instrument_id):  # type: ignore[union-attr]
                self._show(event)
            elif isinstance(event, CorporateAction):
                self._act(event)
                continue
            result = step(event)
            if result is EMPTY_STEP:
                continue
            if is_quick and not result.commands and self._appended < self._batch_steps:
                append(event, result)
                self._appended += 1
            else:
                self._keep(event, result)
        self._journal.commit()

    def rebuild(self, event: PrintEvent | FeedInterrupted) -> None:
        """Show a market event that was processed before a restart to what keeps no journal: venue and bar builders."""
        if isinstance(event, Tick | Quote) and self._venue.has_work(event.instrument_id):
            self._venue.observe_past(event)
        self._pipeline.rebuild(event)

    # What reaches the venue before an event is answered before it: the event of a bar is heard at the end of its
    # minute, and the word of the venue within it.
    def _after_arrivals(self, events: Iterable[MarketEvent]) -> Iterator[MarketEvent]:
        has_work = self._venue.has_work
        for event in events:
            is_shown_bar = isinstance(event, BarClosed) and has_work(event.bar.instrument_id)
            self._let_arrive(event.bar.start_ts_ns if is_shown_bar else event.received_ts_ns)  # type: ignore[union-attr]
            yield event

    def _let_arrive(self, until_ts_ns: int) -> None:
        # One by one: the answer to a report may itself arrive before the moment.
        while self._venue.let_arrive(until_ts_ns):
            self.settle()

    def _show(self, event: MarketEvent) -> None:
        # Reports of the open can bring orders that still belong to the open (a market exit after its legs'
        # cancels), so the open is shown again until it yields nothing.
        self._venue.observe_open(event)
        while self.settle():
            self._venue.observe_open(event)
        if self._is_delayed and isinstance(event, BarClosed):
            self._let_arrive(event.bar.start_ts_ns + MINUTE_NS - 1)
        self._venue.observe_rest(event)
        self.settle()

    def _act(self, event: MarketEvent) -> None:
        # The venue ends the orders of a split by itself; the engine hears of it after it has counted its new shares.
        self._venue.observe_rest(event)
        self._journal_step(event, self._pipeline.step(event))
        self.settle()


@contextmanager
def quiet_garbage_collector() -> Iterator[None]:
    """Keep the collector from walking over retained facts again and again."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
