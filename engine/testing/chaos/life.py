"""One life of an engine process: opened on the database, driven by the kernel, ended by a crash, a halt or in order.

What is here is what a process is made of: the real journal in a real file, the real recovery, the real loop. Only the
venue's port and the database's cursor have points at which the kernel lets things go wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, cast

from engine.app.live import CLOCK_ERROR_NS_MAX, LiveEngine
from engine.app.loop import SendFence
from engine.app.recovery import restore
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountListed, CancelOrder, Command, Event, SubmitOrder, VenueReport
from engine.core.pipeline import Pipeline
from engine.core.values import SECOND_NS
from engine.store.accounts import AccountRow, list_accounts
from engine.store.connection import open_writer, sqlite
from engine.store.lease import renew_lease, take_lease
from engine.store.writer import SqliteJournal
from engine.testing.chaos.faults import Chooser, Fault, FaultKind
from engine.testing.chaos.plan import STATUSES
from engine.testing.chaos.store import Crash, WatchedConnection
from engine.testing.reference_temper import HONEST, Fate
from engine.testing.reference_venue import ReferenceVenue

_SLEEP_NS: Final = 30 * SECOND_NS


class Wire(Protocol):
    """Be told what leaves an engine, before it does."""

    def leaving(self, command: Command) -> None:
        """Look at a command that is about to leave."""

    def replaced(self) -> None:
        """Hear that another engine has taken the account."""


class VenuePort:
    """Carry the requests of one process to the venue; a dead process's port takes nothing."""

    exit_styles = tuple(ExitStyle)

    def __init__(self, venue: ReferenceVenue, chooser: Chooser, wire: Wire) -> None:
        self._venue = venue
        self._chooser = chooser
        self.wire = wire
        #: The kernel's time, ns UTC; the kernel sets it.
        self.now_ts_ns = 0
        self.is_dead = False
        #: True once another process has the account: whatever this one asks is answered to nobody.
        self.is_replaced = False

    def send(self, command: Command) -> None:
        """Send a command, with whatever befalls it."""
        assert not self.is_dead, "a dead process sends nothing"
        _perhaps_crash(self._chooser.at("send.before"))
        self.wire.leaving(command)
        point = "submit" if isinstance(command, SubmitOrder) else "question"
        point = "cancel" if isinstance(command, CancelOrder) else point
        self._venue.send(command, self.now_ts_ns, fate=_fate(self._chooser.at(point)))
        _perhaps_crash(self._chooser.at("send.after"))

    def query_account(self, asked_ts_ns: int) -> None:
        """Ask for listings, with whatever befalls the question."""
        assert not self.is_dead, "a dead process asks nothing"
        if self.is_replaced:
            return
        self._venue.query_account(asked_ts_ns, self.now_ts_ns, fate=_fate(self._chooser.at("listing")))

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return nothing: the kernel hands reports over one by one."""
        return ()


def _perhaps_crash(fault: Fault | None) -> None:
    if fault is not None:
        raise Crash(fault.point)


def _fate(fault: Fault | None) -> Fate:
    match None if fault is None else fault.kind:
        case FaultKind.REQUEST_LOST | FaultKind.READ_FAILED:
            return Fate(request_lost=True)
        case FaultKind.REPLY_LOST:
            return Fate(reply_lost=True)
        case FaultKind.REPLY_LATE:
            assert fault is not None
            return Fate(reply_delay_ms=fault.amount)
        case FaultKind.REQUEST_TWICE:
            return Fate(duplicated=True)
        case FaultKind.READ_TRUNCATED:
            return Fate(truncated=True)
        case FaultKind.SERVER_ERROR:
            assert fault is not None
            status = STATUSES[fault.amount % len(STATUSES)]
            return Fate(status=status, status_after_acceptance=fault.amount >= len(STATUSES))
        case _:
            return HONEST


class Life:
    """Hold one process: its connection, its pipeline and its engine."""

    def __init__(
        self,
        database: Path,
        pipeline: Pipeline,
        port: VenuePort,
        chooser: Chooser,
        *,
        clock_error_ns: int,
        now_ts_ns: int,
        reconcile_ns: int,
        seed: int = 0,
    ) -> None:
        """Open the database, replay its journal and take the lease; nothing is stepped yet.

        Raises Halt where the journal does not come out as it was written.
        """
        self.port = port
        #: Of whatever is left to chance within the process.
        self.seed = seed
        self._connection: sqlite.Connection = open_writer(database)
        self.account: AccountRow = list_accounts(self._connection)[0]
        restore(pipeline, self._connection, self.account)
        self.lease = take_lease(
            self._connection, self.account.account_id, owner="chaos", now_ts_ns=now_ts_ns, is_clock_proven=False
        )
        self._database = database
        watched = cast("sqlite.Connection", WatchedConnection(self._connection, chooser, self._sleep))
        self.journal = SqliteJournal(watched, self.account, epoch=self.lease.epoch)
        self._slept_ns = 0
        self._clock_error_ns = clock_error_ns
        # Never decreasing, over lives too: the shell's clock begins where the journal ends.
        self._last_ts_ns = pipeline.now_ts_ns if abs(clock_error_ns) < CLOCK_ERROR_NS_MAX else 0
        self.engine = self._engine(pipeline, reconcile_ns, SendFence(clock=self, verify=self.journal.verify_lease))

    def _engine(self, pipeline: Pipeline, reconcile_ns: int, fence: SendFence) -> LiveEngine:
        return LiveEngine(
            pipeline, self.port, self.journal, epoch=self.lease.epoch, fence=fence, reconcile_ns=reconcile_ns
        )

    # --- what the kernel does with it -----------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Bring an event to the engine."""
        self.engine.take(event)

    def pulse(self, now_ts_ns: int) -> None:
        """Let the engine look at its clock, at a moment of the kernel, ns UTC."""
        self.engine.pass_time(self.clock(now_ts_ns))

    def due_ts_ns(self) -> int | None:
        """Return when the process goes on by itself, ns UTC by the kernel's time: never, where the kernel does all."""
        return None

    def wake(self, now_ts_ns: int) -> None:
        """Let the process do what it has to do by itself at a moment of the kernel, ns UTC."""

    def clock(self, now_ts_ns: int) -> int:
        """Return what the process's clock says at a moment of the kernel, ns UTC."""
        self._last_ts_ns = max(self._last_ts_ns, now_ts_ns + self._clock_error_ns)
        return self._last_ts_ns

    def now_ns(self) -> int:
        """Return the clock that the fence before sends looks at, ns UTC."""
        return self.port.now_ts_ns + self._slept_ns

    # The process sleeps just after a commit, and another engine takes the account meanwhile.
    def _sleep(self) -> None:
        self._slept_ns += _SLEEP_NS
        self.port.wire.replaced()
        other = open_writer(self._database)
        try:
            take_lease(
                other, self.account.account_id, owner="another", now_ts_ns=self.port.now_ts_ns, is_clock_proven=False
            )
        finally:
            other.close()

    def started(self, now_ts_ns: int) -> None:
        """Note the time of an engine whose clock is proven by its start, ns UTC by its own clock."""
        renew_lease(self._connection, self.lease, now_ts_ns=now_ts_ns)

    def die(self) -> None:
        """Leave nothing behind that was not committed, as a killed process does."""
        self.port.is_dead = True
        # Closing without a commit rolls back, as the next process finds it after a kill.
        self._connection.close()
