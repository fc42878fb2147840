"""A trading account at work: opened or recovered, fed, steered by an operator, and closed in order."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from engine.app.loop import EngineLoop, Observer, SendFence
from engine.app.modes import TAPE_SETTINGS, RunSpec, make_pipeline, make_venue, opening, paper_namespace, register
from engine.app.recovery import hand_over_again, has_unanswered, restore
from engine.app.resuming import LastMoment, require_same_law
from engine.core.errors import BadInput
from engine.core.messages import (
    BarClosed,
    CorporateAction,
    EngineStopping,
    Event,
    MarketEvent,
    Step,
    SubmitOrder,
    TimeAdvanced,
)
from engine.core.pipeline import Pipeline
from engine.core.pipeline.adopting import EXTERNAL
from engine.core.values import ClientOrderId
from engine.ports import Clock
from engine.store.accounts import (
    AccountRow,
    find_account,
    finish_run,
    open_account,
    pending_requests,
    register_strategy,
)
from engine.store.connection import EngineLock, empty_log, open_writer, sqlite
from engine.store.lease import Lease, process_owner, release_lease, take_lease
from engine.store.mending import mend_log
from engine.store.migrate import upgrade
from engine.store.start_checks import check_file, check_place
from engine.store.vocabulary import RunKind, RunStatus
from engine.store.writer import SqliteJournal
from engine.venues.paper_book import PaperBook

ACCOUNT_NAME: Final = "paper"
#: What stands in place of a program: nobody steers this owner.
EXTERNAL_OWNER: Final = "-"


def book_path(database: Path) -> Path:
    """Return where the paper venue keeps its own book: beside the database, never inside it."""
    return database.with_name(database.name + ".venue")


class TradingAccount:
    """Hold one paper account and its parts, open: one engine, one database, one venue.

    Use it as a context manager. Opening it recovers whatever an earlier process has journaled, asks the venue about
    every order that may still work, and only then lets anything new happen.

    Raises BadInput for a database that holds another account or other data, Retry when another engine has it,
    Halt when the journal does not come out as it was written, or another engine takes the account over.
    """

    def __init__(
        self,
        spec: RunSpec,
        database: Path,
        clock: Clock,
        *,
        observer: Observer | None = None,
        on_recovered: Observer | None = None,
    ) -> None:
        """Name the parts; `observer` is shown new steps, `on_recovered` those of an earlier process."""
        self.spec = spec
        self.database = database
        self._clock = clock
        self._observer = observer
        self._on_recovered = on_recovered
        self._stack = ExitStack()
        self._connection: sqlite.Connection
        self.account: AccountRow
        self.pipeline: Pipeline
        self.loop: EngineLoop
        self._journal: SqliteJournal
        self._lease: Lease
        self._run_id = 0
        self._last_moment = LastMoment()
        # Market time, ns UTC.
        self._compare_at_ts_ns = 0
        #: Steps that an earlier process had journaled.
        self.recovered_steps = 0

    def __enter__(self) -> Self:
        """Open the account, or recover it."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close what is open; what was committed stays."""
        self._stack.close()

    def _open(self) -> None:
        spec, stack = self.spec, self._stack
        check_place(self.database)
        stack.enter_context(EngineLock(self.database))
        now_ts_ns = self._clock.now_ns()
        check_file(self.database, now_ts_ns=now_ts_ns)
        require_same_law(self.database, ACCOUNT_NAME)
        mend_log(self.database)
        upgrade(self.database)
        self._connection = open_writer(self.database)
        stack.callback(self._connection.close)
        self.account = self._account(now_ts_ns)
        # Before the journal is read: what an engine before this one adds from here on is refused.
        owner = process_owner(host=socket.gethostname(), pid=os.getpid())
        # Nothing here proves the wall's clock: its time is noted at an end in order only.
        self._lease = take_lease(
            self._connection, self.account.account_id, owner=owner, now_ts_ns=now_ts_ns, is_clock_proven=False
        )
        self.pipeline = make_pipeline(spec, self.account.namespace)
        submitted = restore(self.pipeline, self._connection, self.account, observer=self._on_restored)
        self._journal = SqliteJournal(self._connection, self.account, epoch=self._lease.epoch)
        self.recovered_steps = self._journal.step_count
        mend_log(book_path(self.database))
        book = stack.enter_context(PaperBook(book_path(self.database)))
        self._check_same_venue(book)
        self.venue = make_venue(spec, book)
        self.loop = EngineLoop(
            self.pipeline,
            self.venue,
            self._journal,
            is_durable=True,
            observer=self._observer,
            fence=SendFence(clock=self._clock, verify=self._journal.verify_lease),
        )
        self._run_id = register(self._connection, self.account, spec, RunKind.PAPER, now_ts_ns)
        # Who owns what the venue holds and no strategy bought: rows of positions refer to their owner.
        register_strategy(
            self._connection, self.account.account_id, EXTERNAL, import_string=EXTERNAL_OWNER, parameters={}
        )
        # What an operator asked for meanwhile comes before anything that leaves for the venue again.
        self._take_requests()
        self._reconcile(submitted)

    def _on_restored(self, event: Event, step: Step) -> None:
        self._last_moment.take(event)
        if self._on_recovered is not None:
            self._on_recovered(event, step)

    def _account(self, now_ts_ns: int) -> AccountRow:
        known = find_account(self._connection, ACCOUNT_NAME)
        if known is None:
            others = self._connection.execute("SELECT name FROM accounts LIMIT 1").fetchone()
            if others is not None:
                raise BadInput(
                    f"The database {self.database} holds the run {others[0]}: name another file with --db for trading."
                )
            return open_account(
                self._connection,
                ACCOUNT_NAME,
                namespace=paper_namespace(self.spec),
                opened_ts_ns=now_ts_ns,
                # Never journaled: it only tells whose file a venue's file is.
                venue_nonce=uuid4().hex,
            )
        self._check_same_data(known)
        return known

    def _check_same_data(self, account: AccountRow) -> None:
        row = self._connection.execute(
            "SELECT data_fingerprint, strategy, risk_hash, parameters, settings FROM runs WHERE account_id = ? "
            "ORDER BY id DESC LIMIT 1",
            (account.account_id,),
        ).fetchone()
        if row is None:
            return
        spec = self.spec
        wanted: dict[str, object] = {
            "market data": spec.feed.fingerprint,
            "strategy": spec.strategy.import_string,
            "risk file": spec.risk.sha256,
            "parameters": spec.parameters,
            **spec.settings,
        }
        known = dict(zip(wanted, (*row[:3], json.loads(row[3])), strict=False)) | json.loads(row[4])
        # A setting of the tape is kept only where it is not the usual one, so that either side may lack it.
        for name in dict.fromkeys((*wanted, *TAPE_SETTINGS)):
            if known.get(name) != wanted.get(name):
                what = name.replace("_", " ")
                raise BadInput(
                    f"The database {self.database} holds a run with other {what}: go on with the same, or name another "
                    "file with --db."
                )

    def _check_same_venue(self, book: PaperBook) -> None:
        # One without the other would trade on shares, cash and orders of another past.
        reached = self._connection.execute(
            "SELECT 1 FROM order_events WHERE account_id = ? AND source = 'venue' "
            "AND to_state IN ('ACK', 'PARTIAL', 'FILLED', 'CANCELED', 'EXPIRED') LIMIT 1",
            (self.account.account_id,),
        ).fetchone()
        if (reached and book.is_empty) or not book.bind(self.account.venue_nonce or ""):
            raise BadInput(
                f"The database {self.database} and the paper venue's file {book.path} do not belong together (one was "
                "removed or replaced): put back the missing one, or move both away to begin anew."
            )

    def _reconcile(self, submitted: dict[ClientOrderId, SubmitOrder]) -> None:
        """Learn what became of the last requests, then compare the books with what the venue lists.

        There is no `EngineStarted` in a paper account's journal: `hand_over_again` says why.
        """
        hand_over_again(self.pipeline, self.venue, submitted)
        self.loop.settle()
        self._compare()
        self.loop.commit()

    def _compare(self) -> None:
        # A listing that agrees is an empty step, of which no journal tells; before its funding an account has nothing
        # to compare. Whatever is on its way is waited for: its own report shall be the first word of it.
        if not self._journal.step_count or has_unanswered(self.pipeline):
            return
        now_ts_ns = self.pipeline.now_ts_ns
        self._compare_at_ts_ns = now_ts_ns + self.spec.risk.reconcile_ns
        self.venue.query_account(now_ts_ns)
        self.loop.settle()

    def _between_events(self, event: MarketEvent) -> None:
        # What is to be done where time moves, before the event that moves it.
        self._take_requests()
        if event.received_ts_ns >= self._compare_at_ts_ns:
            self._compare()

    # --- working -------------------------------------------------------------------------------------------

    def run(self, *, until_ts_ns: int | None, pace: Callable[[MarketEvent], bool]) -> bool:
        """Feed the account until the data end, a moment (ns UTC) has passed, or `pace` says to stop.

        `pace` is shown every event before it is processed, may wait, and returns False to stop. Return True when
        the data ended.
        """
        self._take_requests()
        events = _Watched(self._remaining(), pace=pace, before=self._between_events, until_ts_ns=until_ts_ns)
        self.loop.run(events)
        return events.has_ended

    def _remaining(self) -> Iterator[MarketEvent]:
        pipeline, feed = self.pipeline, self.spec.feed
        if self.recovered_steps:
            ends = [pipeline.resume_from(each.instrument_id) for each in feed.instruments]
            # From the oldest minute that is not finished: prints of an unfinished minute were not journaled.
            start = min((end - 1 for end in ends if end is not None), default=None)
            yield from self._unseen(feed.events(None if None in ends else start))
            return
        events = feed.events()
        first = next(events, None)
        if first is None:
            raise BadInput("The data hold no event of the chosen symbols: name another file or other symbols.")
        self.loop.process(opening(self.spec, first.venue_ts_ns))
        yield first
        yield from events

    def _unseen(self, events: Iterable[MarketEvent]) -> Iterator[MarketEvent]:
        seen = {
            each.instrument_id: self.pipeline.resume_from(each.instrument_id) or 0
            for each in self.spec.feed.instruments
        }
        moment = self._last_moment.until(self.pipeline.now_ts_ns)
        for event in events:
            is_past = moment.has_passed(event)
            if isinstance(event, BarClosed):
                if event.bar.start_ts_ns < seen[event.bar.instrument_id]:
                    continue
            elif isinstance(event, TimeAdvanced | CorporateAction):
                # A moment may be told twice; a corporate action that was taken must not be.
                taken_ts_ns = self.pipeline.now_ts_ns + isinstance(event, CorporateAction)
                if event.received_ts_ns < taken_ts_ns:
                    continue
            elif is_past:
                # What it did is in the journal: later events may have acted since.
                self.loop.rebuild(event)
                continue
            yield event

    def _take_requests(self) -> None:
        # The first step of an account is its funding.
        if not self._journal.step_count:
            return
        for request in pending_requests(self._connection, self.account.account_id):
            event = request.event(self.pipeline.now_ts_ns)
            self.take(event, request.request_id)

    def take(self, event: Event, request_id: int | None = None) -> Step:
        """Process an operator's command, and mark the request that asked for it as taken."""
        journal = self._journal
        taken = None if request_id is None else lambda: journal.take_request(request_id)
        return self.loop.process(event, on_append=taken)

    def finish(self, *, is_complete: bool) -> None:
        """Write how the run ended, make the database whole without its log, and give the account back.

        A run that is not complete was stopped: nobody will watch its entries, so those that work are canceled; stops
        and other exits stay. The data's end, or that of `until`, is no stop: the next run goes on where it was.
        """
        if not is_complete:
            self._stop()
        self.loop.commit()
        status = RunStatus.FINISHED if is_complete else RunStatus.INTERRUPTED
        now_ts_ns = self._clock.now_ns()
        finish_run(self._connection, self._run_id, status=status, finished_ts_ns=now_ts_ns)
        release_lease(self._connection, self._lease, now_ts_ns=now_ts_ns)
        # Last, so that the file alone tells all of it; a reader that is in the way keeps the log, and nothing is lost.
        empty_log(self._connection)

    def _stop(self) -> None:
        now_ts_ns = self.pipeline.now_ts_ns
        self.loop.process(
            EngineStopping(venue_ts_ns=now_ts_ns, received_ts_ns=now_ts_ns, reason="the engine was told to stop")
        )
        self.loop.settle()

    @property
    def lease(self) -> Lease:
        """Return what this engine holds of the account."""
        return self._lease

    @property
    def journal_hash(self) -> str:
        """Return the hash of the last journaled step."""
        return self._journal.journal_hash


class _Watched:
    """Iterate over events at a pace; before each one that moves time there is a moment for everything else."""

    def __init__(
        self,
        events: Iterator[MarketEvent],
        *,
        pace: Callable[[MarketEvent], bool],
        before: Callable[[MarketEvent], None],
        until_ts_ns: int | None,
    ) -> None:
        self._events = events
        self._pace = pace
        self._before = before
        self._until_ts_ns = until_ts_ns
        self.has_ended = False

    def __iter__(self) -> Iterator[MarketEvent]:
        until = self._until_ts_ns
        for event in self._events:
            if until is not None and event.received_ts_ns > until:
                return
            if not self._pace(event):
                return
            if isinstance(event, BarClosed | TimeAdvanced):
                self._before(event)
            yield event
        self.has_ended = True
