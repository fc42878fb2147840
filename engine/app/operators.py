"""What an operator asks of an account: posted into its mailbox, taken by the engine in a step of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from engine.core.errors import BadInput, Retry
from engine.core.messages import Event, Flatten, Kill, Pause, Resume
from engine.core.pipeline.adopting import EXTERNAL
from engine.store.accounts import AccountRow, find_account, find_instrument, pending_requests, post_request
from engine.store.connection import EngineLock, open_reader, open_writer, sqlite
from engine.store.migrate import open_current_reader
from engine.store.start_checks import make_ready
from engine.store.writer import SqliteJournal

#: The account that people steer; backtests have nothing to steer.
TRADED_ACCOUNT: Final = "paper"
_LOOK_SECONDS: Final = 0.05

OperatorEvent = type[Pause] | type[Resume] | type[Kill] | type[Flatten]
#: A command that was posted, and what marks it as taken, within the transaction of its step.
Posted = tuple[Event, Callable[[], None]]


def is_engine_running(database: Path) -> bool:
    """Return whether an engine holds the database."""
    try:
        with EngineLock(database):
            return False
    except Retry:
        return True


def post(
    database: Path,
    kind: OperatorEvent,
    *,
    strategy_id: str | None,
    symbol: str | None,
    reason: str,
    requested_by: str,
    wall_ts_ns: int,
) -> int:
    """Put a command into the mailbox of the traded account; return the request's number.

    Where no engine holds the database it is checked and brought up to date first, as an engine would.

    Raises BadInput for a database without such an account, and for a symbol or a strategy that it does not trade; Halt
    for a file that a human has to look at; Retry where another process writes it.
    """
    if not database.exists():
        raise BadInput(f"The database {database} does not exist: name the one of your account with --db.")
    _prepare(database)
    connection = open_writer(database)
    try:
        account = find_account(connection, TRADED_ACCOUNT)
        if account is None:
            raise BadInput(f"The database {database} holds no trading account: start one with ratchet run.")
        _check_strategy(connection, account, strategy_id)
        request = kind(
            venue_ts_ns=wall_ts_ns,
            received_ts_ns=wall_ts_ns,
            reason=reason,
            requested_by=requested_by,
            strategy_id=strategy_id,
            instrument_id=None if symbol is None else find_instrument(connection, account, symbol),
        )
        return post_request(connection, account.account_id, request)
    finally:
        connection.close()


def _prepare(database: Path) -> None:
    lock = EngineLock(database)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except Retry:
            # Whoever holds it has checked the file, and writes it now: to read its schema is safe, all else is not.
            open_current_reader(database).close()
            return
        make_ready(database)


def _check_strategy(connection: sqlite.Connection, account: AccountRow, strategy_id: str | None) -> None:
    known = [
        name
        for (name,) in connection.execute(
            "SELECT strategy_id FROM strategies WHERE account_id = ?", (account.account_id,)
        )
        # What nobody here bought has an owner in the tables, and no program that could be steered.
        if name != EXTERNAL
    ]
    if strategy_id is not None and strategy_id not in known:
        raise BadInput(f"The strategy {strategy_id!r} is not of this account, which runs {', '.join(sorted(known))}.")


class Postbox:
    """Hand what operators have posted to an engine that runs: each command once in the life of a process."""

    def __init__(self, connection: sqlite.Connection, account_id: int, journal: SqliteJournal) -> None:
        self._connection = connection
        self._account_id = account_id
        self._journal = journal
        self._handed: set[int] = set()

    def __call__(self, now_ts_ns: int) -> Iterator[Posted]:
        """Yield what was posted since, oldest first, dated at a moment (ns UTC)."""
        for request in pending_requests(self._connection, self._account_id):
            if request.request_id not in self._handed:
                self._handed.add(request.request_id)
                yield request.event(now_ts_ns), partial(self._journal.take_request, request.request_id)


def wait_until_taken(
    database: Path, request: int, *, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> int | None:
    """Return the step that took a request; None where none has within the time."""
    connection = open_reader(database)
    try:
        for _ in range(max(1, round(seconds / _LOOK_SECONDS))):
            row = connection.execute("SELECT taken_step_id FROM operator_requests WHERE id = ?", (request,)).fetchone()
            if row is not None and row[0] is not None:
                return int(row[0])
            sleep(_LOOK_SECONDS)
        return None
    finally:
        connection.close()
