"""The paper venue's own file: what a broker would keep on its side, apart from the engine's database.

One SQLite file with one transaction per change, committed before a report of that change can be drained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from pysqlite3 import dbapi2 as sqlite

from engine.core.errors import BadInput, Halt, Retry
from engine.core.messages import (
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
)
from engine.venues.paper_state import AccountState, LaneState, PaperOrder, StoredReport

_APPLICATION_ID: Final = 0x52_54_50_42  # "RTPB"
_SCHEMA_VERSION: Final = 1
_BUSY_MS: Final = 5_000

_SCHEMA: Final = """
CREATE TABLE orders (
    client_order_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, status TEXT NOT NULL, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE reports (
    report_id INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_execution ON reports (body ->> 'execution_id') WHERE kind = 'OrderFilled';
CREATE TABLE lanes (instrument_id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE owner (one INTEGER PRIMARY KEY CHECK (one = 1), nonce TEXT NOT NULL) STRICT;
"""

_REPORTS: Final[dict[str, type[StoredReport]]] = {
    kind.__name__: kind for kind in (OrderAcknowledged, OrderFilled, OrderCanceled, OrderExpired, OrderRejected)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookContents:
    """Hold what a file held when it was opened; `account` is None in a new one."""

    account: AccountState | None = None
    orders: tuple[PaperOrder, ...] = ()
    #: Oldest first.
    reports: tuple[StoredReport, ...] = ()
    lanes: tuple[LaneState, ...] = field(default=())


class PaperBook:
    """Keep a paper venue in an SQLite file (WAL, synchronous FULL); one process writes it.

    Raises BadInput for a file that is not such a book or comes from a newer version, Retry while it is locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version = 0
        try:
            self._connection = sqlite.connect(str(path), isolation_level=None, timeout=_BUSY_MS / 1000)
            self._prepare()
        except sqlite.OperationalError as error:
            raise _opening_error(path, error) from error
        except sqlite.DatabaseError as error:
            raise BadInput(f"The paper book {path} is not an SQLite file ({error}): name another file.") from error

    def __enter__(self) -> Self:
        """Return the open book."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._connection.close()

    @property
    def is_empty(self) -> bool:
        """Return whether no change was ever written: the venue has taken no order."""
        return self._connection.execute("SELECT 1 FROM account").fetchone() is None

    def bind(self, nonce: str) -> bool:
        """Make an empty book that belongs to nobody the nonce's own, and return whether it belongs to the nonce.

        Raises Halt when the book cannot be written.
        """
        run = self._connection.execute
        try:
            if self.is_empty:
                run("INSERT OR IGNORE INTO owner VALUES (1, ?)", (nonce,))
            return bool(run("SELECT nonce FROM owner").fetchone() == (nonce,))
        except sqlite.Error as error:
            raise Halt(f"The paper book {self.path} cannot be bound ({error}): free the file and restart.") from error

    def load(self) -> BookContents:
        """Return all that the file holds."""
        row = self._connection.execute("SELECT version, body FROM account").fetchone()
        if row is None:
            return BookContents()
        self._version = row[0]
        run = self._connection.execute
        return BookContents(
            account=msgspec.json.decode(row[1], type=AccountState),
            orders=tuple(
                msgspec.json.decode(body, type=PaperOrder) for (body,) in run("SELECT body FROM orders ORDER BY number")
            ),
            reports=tuple(
                msgspec.json.decode(body, type=_REPORTS[kind])
                for kind, body in run("SELECT kind, body FROM reports ORDER BY report_id")
            ),
            lanes=tuple(msgspec.json.decode(body, type=LaneState) for (body,) in run("SELECT body FROM lanes")),
        )

    def write(
        self,
        *,
        account: AccountState,
        orders: Iterable[PaperOrder],
        reports: Iterable[StoredReport],
        lanes: Iterable[LaneState],
    ) -> None:
        """Make one change durable, whole or not at all.

        Raises Halt when it cannot be written or another process changed the book: the venue is then ahead of its
        file and must not go on.
        """
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            try:
                self._write_account(account)
                for order in orders:
                    row = (order.command.client_order_id, order.number, order.status.value, _text(order))
                    run("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)", row)
                for report in reports:
                    run(
                        "INSERT INTO reports (client_order_id, kind, body) VALUES (?, ?, ?)",
                        (report.client_order_id, type(report).__name__, _text(report)),
                    )
                for lane in lanes:
                    run("INSERT OR REPLACE INTO lanes VALUES (?, ?)", (lane.instrument_id, _text(lane)))
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    run("ROLLBACK")
                raise
        except sqlite.Error as error:
            raise Halt(f"The paper book {self.path} cannot be written ({error}): free the file and restart.") from error

    # Compare and set: a second process on the same file would otherwise trade the same shares.
    def _write_account(self, account: AccountState) -> None:
        run = self._connection.execute
        if self._version == 0:
            run("INSERT INTO account VALUES (1, 1, ?)", (_text(account),))
        else:
            changed = run(
                "UPDATE account SET version = version + 1, body = ? WHERE version = ?", (_text(account), self._version)
            )
            if changed.rowcount != 1:
                raise Halt(f"The paper book {self.path} was changed by another process: stop that one and restart.")
        self._version += 1

    def _prepare(self) -> None:
        run = self._connection.execute
        version = run("PRAGMA user_version").fetchone()[0]
        is_empty = run("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if not is_empty and run("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise BadInput(f"The file {self.path} is an SQLite file but no paper book: name another file.")
        if version > _SCHEMA_VERSION:
            raise BadInput(
                f"The paper book {self.path} has version {version}, this program knows {_SCHEMA_VERSION}: update it."
            )
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        if is_empty:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
                f"PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
            )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _opening_error(path: Path, error: Exception) -> Exception:
    if "locked" in str(error):
        return Retry(f"The paper book {path} is locked by another process: end it and try again.")
    return BadInput(f"The paper book {path} cannot be opened ({error}): name a file in a folder that can be written.")
