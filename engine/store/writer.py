"""The journal: each step's input, facts and commands, in one transaction, chained by hashes.

The hash of a step is SHA-256 over the hash before it and the msgpack of its rows: the input's, then the others, stably
sorted by the number of their table. It depends on what was decided only, not on batches, ids of accounts, paths or
wall time. `MemoryJournal` keeps the same steps without a database and comes to the same hash.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import chain
from operator import itemgetter
from typing import Final

from msgspec import msgpack

from engine.core.errors import Bug, EngineError, Halt
from engine.core.messages import BarClosed, EquityMarked, Event, Step
from engine.store.accounts import AccountRow
from engine.store.connection import explained, path_of, sqlite
from engine.store.inputs import input_row, is_journaled
from engine.store.layouts import BARS, INPUTS, LAYOUTS, ORDER_EVENTS, PLAIN_BAR_WIDTH, UNHASHED
from engine.store.lease import LeaseGuard
from engine.store.rows import Row, bar_row, command_row, fact_row, hashed_part
from engine.store.schema import IDS_PER_ACCOUNT
from engine.store.statements import ROWS_AT_ONCE, statements_of

#: The hash before the first step.
GENESIS: Final = bytes(32)
#: Pages of WAL after which SQLite moves them into the file: larger than a batch, so that one commit rarely pays twice.
_CHECKPOINT_PAGES: Final = 4_000

#: Steps that become rows together: so few that they are still in the processor's cache then.
_STEPS_AT_ONCE: Final = 512

_table_of: Final = itemgetter(0)
_encode: Final = msgpack.Encoder().encode


def step_rows(event: Event, step: Step, number: int) -> tuple[Row, list[tuple[int, Row]]]:
    """Return the rows of a step: its input's, and the others with the numbers of their tables, in that order."""
    rows = [fact_row(fact, number, place) for place, fact in enumerate(step.facts)]
    rows += [command_row(command, number) for command in step.commands]
    rows.sort(key=_table_of)
    return input_row(event, step, number), rows


def chained(digest: bytes, row_of_input: Row, rows: list[tuple[int, Row]]) -> bytes:
    """Return the hash of a step, given the one before it and the step's rows in their order."""
    hashed = [(table, hashed_part(table, row)) for table, row in rows if table not in UNHASHED]
    return sha256(digest + _encode((row_of_input, *hashed))).digest()


class MemoryJournal:
    """Keep steps in memory: for measuring, for tests and where nothing has to last."""

    def __init__(self) -> None:
        #: Every journaled step, oldest first.
        self.steps: list[tuple[Event, Step]] = []

    def append(self, event: Event, step: Step) -> None:
        """Add one step; one that needs no row is left out."""
        if step.facts or is_journaled(event, step):
            self.steps.append((event, step))

    def commit(self) -> None:
        """Do nothing: nothing here outlives the process."""

    @property
    def journal_hash(self) -> str:
        """Return the hash that a database of the same steps would hold; costs as much as writing their rows."""
        digest = GENESIS
        for number, (event, step) in enumerate(self.steps, start=1):
            digest = chained(digest, *step_rows(event, step, number))
        return digest.hex()


class SqliteJournal:
    """Write the journal of one account; the connection is the only one of the process that writes.

    Steps are numbered from 1 in their account; a journal that exists is gone on with. After an error of `commit`
    the object is of no further use: what it held is not written, and what is written is whole steps.
    """

    def __init__(self, connection: sqlite.Connection, account: AccountRow, *, epoch: int | None = None) -> None:
        """Go on with an account's journal; with an `epoch`, for as long only as the account's lease has it."""
        self._guard = None if epoch is None else LeaseGuard(connection, account_id=account.account_id, epoch=epoch)
        self._connection = connection
        self._cursor = connection.cursor()
        self._path = path_of(connection)
        self._statements = statements_of(account_id=account.account_id, id_offset=account.id_offset)
        self._step, self._digest = _last_step(connection, account)
        self._pending: list[tuple[Event, Step]] = []
        # The library binds exact int, float, str and bytearray at once, and asks its adapters about None and bytes,
        # which costs more than the insert: an absent payload is "" here and NULL in the table.
        self._inputs: list[Row] = []
        self._plain_bars: list[Row] = []
        self._rows: list[list[Row]] = [[] for _ in LAYOUTS]
        self._taken: list[tuple[int, int]] = []
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")

    @property
    def journal_hash(self) -> str:
        """Return the hash of the last step, in hexadecimal."""
        self._make_rows()
        return self._digest.hex()

    @property
    def step_count(self) -> int:
        """Return the number of the last step."""
        return self._step + len(self._pending)

    def append(self, event: Event, step: Step) -> None:
        """Add one whole step to the open transaction; one that needs no row is left out."""
        if step.facts or is_journaled(event, step):
            self._pending.append((event, step))
            if len(self._pending) == _STEPS_AT_ONCE:
                self._make_rows()

    def take_request(self, request_id: int) -> None:
        """Mark an operator's request as taken by the step that was appended last."""
        self._taken.append((request_id, self.step_count))

    def commit(self) -> None:
        """Make all appended steps durable.

        Raises Halt when the file cannot be written, or another engine has taken the account over since: nothing may
        leave the process then. Raises Bug when an order or
        bracket does not stand where its event says, or a row breaks a rule of its table.
        """
        self._make_rows()
        if not self._inputs and not self._taken:
            return
        cursor = self._cursor
        try:
            cursor.execute("BEGIN IMMEDIATE")
            # Within the transaction: no other engine can take the account between the look and the commit.
            if self._guard is not None:
                self._guard.verify()
            self._write()
            cursor.execute("COMMIT")
        except BaseException as error:
            # A full disk ends the transaction by itself, and a second end would hide the reason.
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise _sentence(error, self._path) from error
        self._forget()

    def verify_lease(self) -> None:
        """Raise Halt where another engine has taken the account over; a journal without an epoch always has it."""
        if self._guard is not None:
            with explained(self._path):
                self._guard.verify()

    def _make_rows(self) -> None:
        # All steps of a batch in one loop, with the state in local names: this runs for every bar of a backtest.
        number, digest, inputs = self._step, self._digest, self._inputs
        plain_bars, other_bars = self._plain_bars, self._rows[BARS]
        for event, step in self._pending:
            number += 1
            facts = step.facts
            if event.__class__ is BarClosed and _is_usual(event, step):
                # A bar alone in its step, or with a mark of the equity: the general case for them, spelled out.
                row = bar_row(event.bar, number, 0)
                others = [fact_row(fact, number, 1) for fact in facts[1:]] if len(facts) > 1 else []
                venue_ts_ns, received_ts_ns = event.venue_ts_ns, event.received_ts_ns
                hashed = [(number, "BarClosed", venue_ts_ns, received_ts_ns, None), (BARS, row), *others]
                digest = sha256(digest + _encode(hashed)).digest()
                inputs.append((number, "BarClosed", venue_ts_ns, received_ts_ns, "", bytearray(digest)))
                (plain_bars if len(row) == PLAIN_BAR_WIDTH else other_bars).append(row)
                for table, other in others:
                    self._rows[table].append(other)
            else:
                row_of_input, rows = step_rows(event, step, number)
                digest = chained(digest, row_of_input, rows)
                inputs.append((*row_of_input[:-1], row_of_input[-1] or "", bytearray(digest)))
                self._sort_rows(rows)
        self._step, self._digest = number, digest
        self._pending.clear()

    def _sort_rows(self, rows: list[tuple[int, Row]]) -> None:
        for table, row in rows:
            if table == BARS and len(row) == PLAIN_BAR_WIDTH:
                self._plain_bars.append(row)
            else:
                self._rows[table].append(row)

    def _write(self) -> None:
        cursor, statements = self._cursor, self._statements
        if self._step >= IDS_PER_ACCOUNT:
            raise Halt(f"The account has {self._step} steps, which is all that it may have: open a new account.")
        self._write_many(statements.many_inputs, statements.inserts[INPUTS], self._inputs)
        self._write_many(statements.many_plain_bars, statements.plain_bar, self._plain_bars)
        for table, rows in enumerate(self._rows):
            if rows:
                cursor.executemany(statements.inserts[table], rows)
                if table in statements.moves:
                    self._move(table, rows)
        if self._taken:
            cursor.executemany(statements.take_request, self._taken)

    def _write_many(self, many: str, single: str, rows: list[Row]) -> None:
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        if whole:
            groups = (rows[first : first + ROWS_AT_ONCE] for first in range(0, whole, ROWS_AT_ONCE))
            self._cursor.executemany(many, [tuple(chain.from_iterable(group)) for group in groups])
        if whole < len(rows):
            self._cursor.executemany(single, rows[whole:])

    def _move(self, table: int, rows: list[Row]) -> None:
        # Compare and set: the second, independent guard of the state machines.
        self._cursor.executemany(self._statements.moves[table], rows)
        if self._cursor.rowcount != len(rows):
            what = "order" if table == ORDER_EVENTS else "bracket"
            raise Bug(
                f"Up to step {self._step}, {self._cursor.rowcount} of {len(rows)} transitions found their {what} in "
                "the state and version that they start from: the engine and its database disagree."
            )

    def _forget(self) -> None:
        self._inputs.clear()
        self._plain_bars.clear()
        self._taken.clear()
        for rows in self._rows:
            rows.clear()


def _is_usual(event: BarClosed, step: Step) -> bool:
    facts = step.facts
    if step.commands or not facts or facts[0] is not event.bar:
        return False
    return len(facts) == 1 or (len(facts) == 2 and facts[1].__class__ is EquityMarked)


def _last_step(connection: sqlite.Connection, account: AccountRow) -> tuple[int, bytes]:
    row = connection.execute(
        "SELECT id, hash FROM inputs WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
        (account.id_offset, account.id_offset + IDS_PER_ACCOUNT),
    ).fetchone()
    return (row[0] - account.id_offset, row[1]) if row else (0, GENESIS)


def _sentence(error: BaseException, path: str) -> BaseException:
    if isinstance(error, sqlite.IntegrityError):
        return Bug(f"A row breaks a rule of the database {path} ({error}); the transaction is undone.")
    if not isinstance(error, sqlite.DatabaseError):
        return error
    try:
        with explained(path):
            raise error
    except EngineError as known:
        # Whatever the reason: a journal that cannot be written stops the engine.
        return Halt(str(known))
    except sqlite.DatabaseError:
        return Halt(f"The database {path} cannot be written ({error}): check the disk, then run `ratchet db check`.")
