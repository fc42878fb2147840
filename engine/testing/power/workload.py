"""What is recorded: an account that trades, written by the engine's own store, from a missing file to its last step.

The steps come from the real pipeline. Checkpoints are frequent here (every `CHECKPOINT_PAGES` pages of WAL), so that
a power cut often meets one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final
from uuid import UUID

from engine.core.errors import Halt
from engine.core.messages import Event, Step
from engine.core.values import instrument_from_symbol
from engine.store.accounts import AccountRow, open_account, register_instruments, register_strategy
from engine.store.connection import open_writer, sqlite
from engine.store.mending import mend_log
from engine.store.migrate import migrate_from_nothing, upgrade
from engine.store.writer import MemoryJournal, SqliteJournal
from engine.testing.places import memory_folder
from engine.testing.power.images import Disk
from engine.testing.power.marks import EMPTY, Mark, State, read_state
from engine.testing.power.recorder import Fault, FaultKind, Operation, OperationKind, Recorder
from engine.testing.scenario import STRATEGY, Scenario, enter

DATABASE: Final = "ratchet.sqlite"
ACCOUNT: Final = "main"
#: A commit of one step is 10 to 20 pages: each second or third one is followed by a checkpoint.
CHECKPOINT_PAGES: Final = 40
_ROUNDS: Final = 5
#: A part of the session commits so many steps at once, as a backtest does.
_BATCH: Final = 4


class Synchronous(Enum):
    """Name SQLite's settings of how often it syncs (sqlite.org/pragma.html#pragma_synchronous)."""

    FULL = "FULL"
    NORMAL = "NORMAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Hold a recorded life of a database, with what was acknowledged when."""

    name: str
    #: What was on the disk, durable, before the first operation.
    files: Mapping[str, bytes]
    operations: tuple[Operation, ...]
    #: Oldest first; the first one stands before the first operation.
    marks: tuple[Mark, ...]
    #: Operations that had been done when a commit raised Halt; None where none did.
    halted_at: int | None = None


@cache
def history() -> tuple[tuple[Event, Step], ...]:
    """Return the journaled steps of the session: round trips with parts of fills, brackets, cancels."""
    scenario = Scenario({6 * number + 1: enter() for number in range(_ROUNDS)})
    for first in range(0, 6 * _ROUNDS, 6):
        _round_trip(scenario, first)
    journal = MemoryJournal()
    for event, step in zip(scenario.events, scenario.outcomes, strict=True):
        journal.append(event, step)
    return tuple(journal.steps)


@cache
def final_hash() -> str:
    """Return the hash of the whole session's journal, made without a database."""
    journal = MemoryJournal()
    for event, step in history():
        journal.append(event, step)
    return journal.journal_hash


def _round_trip(scenario: Scenario, first: int) -> None:
    scenario.bar(first)
    before = len(scenario.submitted())
    scenario.bar(first + 1)
    (entry,) = scenario.submitted()[before:]
    scenario.ack(entry)
    scenario.fill(entry, "100.01", str(entry.quantity // 4))
    scenario.fill(entry, "100.03", str(entry.quantity - entry.quantity // 4))
    exits = scenario.submitted()[before + 1 :]
    for order in exits:
        scenario.ack(order)
    scenario.bar(first + 2, 101.0)
    for order in exits:
        if order.limit_price is not None:
            scenario.fill(order, str(order.limit_price))
        else:
            scenario.cancel(order)
    for minute in (3, 4, 5):
        scenario.bar(first + minute, 100.5)


class Life:
    """Play a life of a database under a recorder, and mark what is acknowledged."""

    def __init__(self, recorder: Recorder, path: Path, synchronous: Synchronous, before: State) -> None:
        """Begin; `before` is what the database holds now."""
        self._recorder = recorder
        self._path = path
        self._synchronous = synchronous
        self.marks = [Mark(position=0, what="what was there", state=before)]
        self.halted_at: int | None = None

    def upgrade(self) -> None:
        """Make the database, or bring it to this program's schema."""
        upgrade(self._path)
        with self.opened() as connection:
            self._mark("the schema", connection)

    def mend(self) -> None:
        """Make the log reach the disk, as the engine does before it opens the database for writing."""
        mend_log(self._path, self._recorder.disk_calls())
        # Only now somebody may act upon what was found.
        with self.opened() as connection:
            self._mark("the mended log", connection)

    def register(self) -> None:
        """Open the account, with its instrument and its strategy."""
        with self.opened() as connection:
            registered(connection, lambda what: self._mark(what, connection))

    def trade(self, until: int, *, batch: int = 1, truncate: bool = False) -> None:
        """Open the database, write the session's steps up to a number, and close it.

        `truncate` empties the WAL before, as the end of a session does. Raises Halt when the disk fails; the
        database is closed then.
        """
        with self.opened() as connection:
            journal = journal_of(connection)
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            steps = history()[journal.step_count : until]
            for number, (event, step) in enumerate(steps, start=1):
                journal.append(event, step)
                if number % batch == 0 or number == len(steps):
                    self._commit(journal)
                    self._mark(f"step {journal.step_count}", connection)
            if truncate:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def opened(self) -> Iterator[sqlite.Connection]:
        """Open the database as the engine does."""
        connection = open_writer(self._path)
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous.value}")
            yield connection
        finally:
            connection.close()

    def _commit(self, journal: SqliteJournal) -> None:
        try:
            journal.commit()
        except Halt:
            self.halted_at = self._recorder.position
            raise

    def _mark(self, what: str, connection: sqlite.Connection) -> None:
        position = self._recorder.position
        self.marks.append(Mark(position=position, what=what, state=read_state(connection)))


def journal_of(connection: sqlite.Connection) -> SqliteJournal:
    """Return the journal of the session's account."""
    return SqliteJournal(connection, registered(connection))


def registered(connection: sqlite.Connection, on_done: Callable[[str], None] | None = None) -> AccountRow:
    """Return the session's account; what is missing of it is made, and `on_done` is told after each commit."""
    tell = on_done or (lambda _what: None)
    account = open_account(connection, ACCOUNT, namespace=UUID(int=1), opened_ts_ns=0)
    tell("the account")
    register_instruments(connection, account.account_id, [instrument_from_symbol("SPY", 1)])
    tell("the instrument")
    register_strategy(connection, account.account_id, STRATEGY, import_string="scripted:Scripted", parameters={})
    tell("the strategy")
    return account


def record(
    name: str,
    play: Callable[[Life, Recorder], None],
    *,
    synchronous: Synchronous,
    files: Mapping[str, bytes] | None = None,
    durable: Mapping[str, bytes] | None = None,
) -> Recording:
    """Record a life that begins with some files; `durable` is what the disk has of them, if that is not all."""
    files = files or {}
    with memory_folder("power") as named:
        folder = Path(named)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        with Recorder(folder) as recorder:
            life = Life(recorder, folder / DATABASE, synchronous, _state_of(files))
            play(life, recorder)
        return Recording(
            name=name,
            files=files if durable is None else durable,
            operations=tuple(recorder.operations),
            marks=tuple(life.marks),
            halted_at=life.halted_at,
        )


# Read from a copy: opening a database may change it.
def _state_of(files: Mapping[str, bytes]) -> State:
    if not files:
        return EMPTY
    with memory_folder("power") as named:
        for file, data in files.items():
            (Path(named) / file).write_bytes(data)
        connection = open_writer(Path(named) / DATABASE)
        try:
            return read_state(connection)
        finally:
            connection.close()


# --- the lives ------------------------------------------------------------------------------------------------------


def record_session(synchronous: Synchronous) -> Recording:
    """Record a whole life: made, registered, traded in three runs, one of them in batches."""

    def play(life: Life, _recorder: Recorder) -> None:
        count = len(history())
        life.upgrade()
        life.register()
        life.trade(count // 3)
        life.trade(2 * count // 3, truncate=True)
        life.trade(count, batch=_BATCH)

    return record("session", play, synchronous=synchronous)


def record_restart(session: Recording, synchronous: Synchronous, *, at_step: int) -> Recording:
    """Record the life after a power cut in the commit of a step: the WAL is recovered, and the session goes on."""
    mark = next(mark for mark in session.marks if mark.state.steps >= at_step)
    disk = Disk(session.files)
    # The last operation of a commit is its sync, or what the checkpoint after it does: just before, all is pending.
    disk.follow(session.operations[: _last_sync(session.operations, mark.position)])

    def play(life: Life, _recorder: Recorder) -> None:
        life.upgrade()
        life.trade(len(history()) - 1, truncate=True)
        life.trade(len(history()))

    return record("restart", play, synchronous=synchronous, files=disk.whole())


def record_upgrade(synchronous: Synchronous, files: Mapping[str, bytes] | None = None) -> Recording:
    """Record the upgrade of a database of the first schema, and some steps; by default it is one without rows."""

    def play(life: Life, _recorder: Recorder) -> None:
        life.upgrade()
        life.register()
        life.trade(12)

    return record("upgrade", play, synchronous=synchronous, files=files or _old_files())


def record_failed_sync(session: Recording, *, at_sync: int) -> Recording:
    """Record a life in which a sync fails: the engine halts, closes the database, and another one goes on."""
    disk = Disk(session.files)
    disk.follow(session.operations[: next(mark.position for mark in session.marks if mark.what == "the strategy")])

    def play(life: Life, recorder: Recorder) -> None:
        recorder.fail(Fault(kind=FaultKind.SYNC_ERROR, at=at_sync))
        with suppress(Halt):
            life.trade(len(history()))
        recorder.fail(None)
        life.trade(len(history()))

    return record("failed sync", play, synchronous=Synchronous.FULL, files=disk.whole())


def record_killed(halted: Recording, *, begins_with_upgrade: bool, is_mended: bool = False) -> Recording:
    """Record the life after a failed sync whose process was killed before it could close the database.

    The next process reads the failed commit from the memory of the system, where it is whole, though the disk never
    got it. `begins_with_upgrade` is how the engine starts; without it the journal is opened at once. `is_mended` lets
    it write the log once more before.
    """
    done = halted.operations[: halted.halted_at]
    on_disk, in_memory = Disk(halted.files), Disk(halted.files)
    on_disk.follow(done)
    in_memory.follow(operation for operation in done if operation.kind is not OperationKind.SYNC_FAILED)

    def play(life: Life, _recorder: Recorder) -> None:
        if is_mended:
            life.mend()
        if begins_with_upgrade:
            life.upgrade()
        life.trade(len(history()))

    after = record("killed", play, synchronous=Synchronous.FULL, files=in_memory.whole(), durable=on_disk.whole())
    before = [replace(mark, position=0) for mark in halted.marks if mark.position <= len(done)]
    # Nobody acknowledged the commit that failed; from its first write on, the next process builds upon it.
    found = [] if begins_with_upgrade or is_mended else [replace(after.marks[0], position=1)]
    return replace(after, marks=(*before, *found, *after.marks[1:]))


def _last_sync(operations: Sequence[Operation], position: int) -> int:
    return max(number for number in range(position) if operations[number].kind is OperationKind.SYNC)


@cache
def _old_files() -> Mapping[str, bytes]:
    with memory_folder("power") as named:
        path = Path(named) / DATABASE
        migrate_from_nothing(path, revision="0001")
        return {DATABASE: path.read_bytes()}
