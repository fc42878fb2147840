"""A database connection whose every statement is a point at which a process may die or a disk may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.store.connection import sqlite
from engine.testing.chaos.faults import Chooser, Fault, FaultKind

_FULL: Final = 13
#: What SQLite says (sqlite.org/rescode.html).
_ERRORS: Final = {
    FaultKind.DISK_FULL: (_FULL, "database or disk is full"),
    FaultKind.DISK_ERROR: (10, "disk I/O error"),
}


class Crash(BaseException):
    """Say that the process dies here. No handler of the engine may catch it: a dead process handles nothing."""


class WatchedConnection:
    """Pass statements on, with a point before and after each; only what `SqliteJournal` needs."""

    def __init__(self, connection: sqlite.Connection, chooser: Chooser, on_sleep: Callable[[], None]) -> None:
        """Watch a connection; `on_sleep` is called where the process sleeps after a commit and is replaced."""
        self._connection = connection
        self._chooser = chooser
        self._on_sleep = on_sleep

    def cursor(self) -> WatchedCursor:
        """Return a cursor whose statements are points."""
        return WatchedCursor(self._connection, self._chooser, self._on_sleep)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a cursor of the library
        """Run a statement that is no part of a step, such as a question or a setting."""
        return self._connection.execute(statement, parameters)

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""
        return self._connection.in_transaction


class WatchedCursor:
    """Pass the statements of steps on, with a point before and after each."""

    def __init__(self, connection: sqlite.Connection, chooser: Chooser, on_sleep: Callable[[], None]) -> None:
        self._on_sleep = on_sleep
        self._connection = connection
        self._cursor = connection.cursor()
        self._chooser = chooser

    @property
    def rowcount(self) -> int:
        """Return how many rows the last statement changed."""
        return self._cursor.rowcount

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a cursor of the library
        """Run a statement."""
        if statement == "ROLLBACK":
            return self._cursor.execute(statement)
        name = _NAMES.get(statement, "statement")
        self._pass(f"{name}.before")
        result = self._cursor.execute(statement, parameters)
        self._pass(f"{name}.after")
        if name == "commit" and self._chooser.at("sleep") is not None:
            self._on_sleep()
        return result

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Any:  # noqa: ANN401 - same
        """Run a statement for many rows."""
        self._pass("statement.before")
        result = self._cursor.executemany(statement, rows)
        self._pass("statement.after")
        return result

    def fetchone(self) -> Any:  # noqa: ANN401 - a row of the library
        """Return the next row of the last question."""
        return self._cursor.fetchone()

    def _pass(self, point: str) -> None:
        fault = self._chooser.at(point)
        if fault is not None:
            self._fail(fault)

    def _fail(self, fault: Fault) -> None:
        if fault.kind is FaultKind.CRASH:
            raise Crash(fault.point)
        if fault.point == "commit.after":
            # A commit that has returned is done; the disk fails at the next one.
            return
        code, text = _ERRORS[fault.kind]
        if code == _FULL and self._connection.in_transaction:
            # As SQLite does: the transaction is over when it says that the disk is full.
            self._cursor.execute("ROLLBACK")
        error = sqlite.OperationalError(text)
        error.sqlite_errorcode = code
        raise error


_NAMES: Final = {"BEGIN IMMEDIATE": "begin", "COMMIT": "commit"}
