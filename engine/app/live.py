"""An engine at a venue that keeps the account itself: recovered, reconciled over and over, stopped in order.

Start-up is recovery. The journal is replayed and proved; then the venue is asked for its listings, and until they are
there nothing is stepped: what came of the last requests of the engine before is UNKNOWN, and so is what was filled
since. With the listings the clock is checked, the start is journaled, and the books catch up, protect and only then
trade. `engine.app.runner` drives exactly this, and so does `engine.testing.chaos`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engine.app.loop import Observer, SendFence, StepLoop
from engine.core.errors import Halt
from engine.core.messages import (
    AccountListed,
    CorporateAction,
    EngineStarted,
    EngineStopping,
    Event,
    MarketEvent,
    OperatorCommand,
    TimeAdvanced,
)
from engine.core.pipeline import Pipeline
from engine.core.values import SECOND_NS, Leg
from engine.ports import Journal, Venue

#: An engine whose clock is further from its venue's does not start: its deadlines and sessions would be wrong.
CLOCK_ERROR_NS_MAX: Final = 60 * SECOND_NS
#: How often listings are asked for while something waits for their news, ns.
_SOON_NS: Final = 5 * SECOND_NS


class LiveEngine:
    """Drive one account at one venue; the caller owns the clock and brings every event."""

    def __init__(
        self,
        pipeline: Pipeline,
        venue: Venue,
        journal: Journal,
        *,
        epoch: int,
        fence: SendFence,
        reconcile_ns: int,
        observer: Observer | None = None,
    ) -> None:
        """Put the parts together; the pipeline has replayed what the journal holds, and `epoch` is that of the lease.

        `fence` stands before every send: a process that slept between a commit and a send may have been replaced.
        `reconcile_ns` is how often the venue's listings are asked for.
        """
        self._pipeline = pipeline
        self._venue = venue
        self._epoch = epoch
        self._reconcile_ns = reconcile_ns
        self.loop = StepLoop(pipeline, venue, journal, is_durable=True, observer=observer, fence=fence)
        # When the listings were last asked for; and whether they came in whole since.
        self._asked_ts_ns: int | None = None
        self._is_answered = True
        # A clock that was set back stands here until it has caught up: what is heard meanwhile has no age.
        self._stands_at_ts_ns = pipeline.now_ts_ns
        # What came before the first listings: it is stepped after the start, in its order, operators' words first.
        self._early: list[tuple[Event, Callable[[], None] | None]] = []
        #: False until the first listings are there: nothing is stepped before.
        self.is_started = False
        # Once told to stop, only what the venue says is stepped: time and prices would let strategies decide again.
        self._stop_reason: str | None = None

    def take(self, event: Event, *, on_append: Callable[[], None] | None = None) -> None:
        """Step an event, or keep it until the engine has started; market data before that is not kept.

        `on_append` is called when the step is in the open transaction, before its commit. Raises Halt where the
        journal cannot be written, or where the clock is too far from the venue's.
        """
        if isinstance(event, AccountListed) and event.is_complete:
            self._is_answered = True
        if self._stop_reason is not None and isinstance(event, MarketEvent):
            return
        if self.is_started:
            taken = self._as_taken(event) if isinstance(event, AccountListed) else event
            self.loop.process(taken, on_append=on_append)
        elif isinstance(event, AccountListed):
            self._start(event)
        elif not isinstance(event, MarketEvent) or isinstance(event, CorporateAction):
            self._early.append((event, on_append))

    def pass_time(self, now_ts_ns: int) -> None:
        """Tell the engine what time it is, ns UTC by its own clock, and ask for listings where it is time to."""
        every_ns = min(_SOON_NS, self._reconcile_ns) if self._is_waiting(now_ts_ns) else self._reconcile_ns
        # A clock that was set back has asked in what is its future now.
        asked_ts_ns = None if self._asked_ts_ns is None else min(self._asked_ts_ns, now_ts_ns)
        if asked_ts_ns is None or now_ts_ns >= asked_ts_ns + every_ns:
            asked_ts_ns, self._is_answered = now_ts_ns, False
            self._venue.query_account(now_ts_ns)
        self._asked_ts_ns = asked_ts_ns
        if self.is_started and self._stop_reason is None:
            self.loop.process(TimeAdvanced(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns))

    # Until whole listings are there nothing else can be done; while they fail, fills may be untold; and where no push
    # tells it, only they say that an entry has filled, and what became of the exits of what stands unprotected.
    def _is_waiting(self, now_ts_ns: int) -> bool:
        is_blind = not self.is_started or not self._is_answered or self._pipeline.reconciler.is_blind
        return is_blind or self._pipeline.execution.is_exposed(now_ts_ns)

    def has_work(self, now_ts_ns: int) -> bool:
        """Return whether an entry may still fill, or something held has no stop yet: a stop in order waits for both."""
        execution = self._pipeline.execution
        works = any(order.leg is Leg.ENTRY for order in execution.open_orders())
        return works or execution.is_exposed(now_ts_ns)

    def stop(self, reason: str, now_ts_ns: int) -> None:
        """End in order: working entries are canceled, stops stay, everything is durable; nothing new is decided."""
        self._stop_reason = reason
        if self.is_started:
            self.loop.process(EngineStopping(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns, reason=reason))
            self.loop.commit()

    def _start(self, listed: AccountListed) -> None:
        # No answer takes so long: it was asked for by another process, or by another clock. And a part of the listings
        # does not tell what is missing.
        is_late = listed.received_ts_ns - listed.asked_ts_ns > CLOCK_ERROR_NS_MAX
        if is_late or not listed.is_complete:
            return
        _check_clock(listed)
        now_ts_ns = listed.received_ts_ns
        if now_ts_ns < self._pipeline.now_ts_ns - CLOCK_ERROR_NS_MAX:
            raise Halt(
                f"The journal was last written at {self._pipeline.now_ts_ns} ns UTC and the clock says {now_ts_ns}: "
                "set the clock of this machine, or wait until it is later."
            )
        self.is_started = True
        self.loop.process(EngineStarted(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns, epoch=self._epoch))
        early, self._early = sorted(self._early, key=lambda each: not isinstance(each[0], OperatorCommand)), []
        for event, on_append in early:
            self.loop.process(event, on_append=on_append)
        self.loop.process(self._as_taken(listed))
        if self._stop_reason is not None:
            # It was stopped before it could start: what an engine before it has left working is canceled all the same.
            self.stop(self._stop_reason, now_ts_ns)

    # What was asked for while the clock stood still may be far older than it seems. It brings news, and
    # protects; but like a part of the listings it proves no absence and opens no eyes.
    def _as_taken(self, listed: AccountListed) -> AccountListed:
        is_dated = listed.asked_ts_ns > self._stands_at_ts_ns
        dated = listed if is_dated else replace(listed, is_complete=False)
        return self._pipeline.reconciler.essence(dated)


def _check_clock(listed: AccountListed) -> None:
    # The venue answered between the question and the arrival of its answer.
    ahead_ns = listed.asked_ts_ns - listed.venue_ts_ns
    behind_ns = listed.venue_ts_ns - listed.received_ts_ns
    error_ns = max(ahead_ns, behind_ns)
    if error_ns > CLOCK_ERROR_NS_MAX:
        how = "ahead of" if ahead_ns == error_ns else "behind"
        raise Halt(
            f"The clock of this machine is {error_ns // SECOND_NS} s {how} the venue's: set it (chrony or "
            "systemd-timesyncd keep it), then start again; nothing was sent."
        )
