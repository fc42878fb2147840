"""`ratchet db check`: is the file whole, is the journal the one that was written, do the books follow from it?

Everything is read in one snapshot, so an engine may go on writing meanwhile; what a kill left behind is whole steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, get_args

from engine.core.errors import EngineError
from engine.core.messages import MarketEvent
from engine.store.accounts import AccountRow, list_accounts
from engine.store.books import check_books
from engine.store.connection import explained, sqlite
from engine.store.findings import Finding
from engine.store.layouts import BARS, INPUTS, LAYOUTS, UNHASHED
from engine.store.migrate import open_current_reader
from engine.store.rows import Row, shortened
from engine.store.statements import SHIFTED
from engine.store.triggers import trigger_statements
from engine.store.writer import GENESIS, chained

#: Tables whose rows within a step stand in this column's order; the others stand in the order of their ids.
_ORDERED_BY: Final = {"bars": "step_position", "equity_curve": "step_position"}
#: Kinds of inputs that a feed brings in the order in which they were received.
_MARKET_KINDS: Final = frozenset(kind.__name__ for kind in get_args(MarketEvent))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """Hold what a check looked at and what it found."""

    path: str
    #: Steps whose hashes were recomputed.
    steps: int
    #: Name of each account -> hash of its last step.
    journal_hashes: dict[str, str]
    #: What was looked at, in words.
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Return whether nothing was found."""
        return not self.findings


def check_database(path: Path | str) -> CheckReport:
    """Check a database from its pages to its books.

    Raises BadInput for a file that is missing, foreign or of another schema, Retry for a locked one.
    """
    connection = open_current_reader(path)
    try:
        with explained(path):
            connection.execute("BEGIN")
            findings = _check_pages(connection)
            # A damaged page may hold anything: what is read from it proves nothing.
            if findings:
                return _report(path, findings=findings, steps=0, hashes={})
            findings += [*_check_references(connection), *_check_triggers(connection)]
            steps, hashes = 0, {}
            for account in list_accounts(connection):
                count, digest, found = _check_journal(connection, account)
                steps += count
                hashes[account.name] = digest.hex()
                findings += [*found, *check_books(connection, account)]
    finally:
        connection.close()
    return _report(path, findings=findings, steps=steps, hashes=hashes)


def _report(path: Path | str, *, findings: list[Finding], steps: int, hashes: dict[str, str]) -> CheckReport:
    checked = ["pages of the file (integrity)"]
    if not any(finding.check == "integrity" for finding in findings):
        checked += [
            "references between rows (foreign keys)",
            "triggers that keep rows as they were written",
            f"journal of {len(hashes)} account(s), {steps} steps (hash chain, its end as each run noted it, times)",
            "orders, brackets, positions, cash and equity (computed again from events and trades)",
        ]
    return CheckReport(
        path=str(path), steps=steps, journal_hashes=hashes, checked=tuple(checked), findings=tuple(findings)
    )


def _check_pages(connection: sqlite.Connection) -> list[Finding]:
    try:
        rows = connection.execute("PRAGMA integrity_check").fetchall()
    except sqlite.DatabaseError as error:
        # Some damage does not even let the check finish.
        rows = [(str(error),)]
    return [Finding(check="integrity", message=str(row[0])) for row in rows if row[0] != "ok"]


def _check_references(connection: sqlite.Connection) -> list[Finding]:
    return [
        Finding(check="foreign keys", message=f"{table} row {row} refers to a row of {parent} that does not exist")
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall()
    ]


def _check_triggers(connection: sqlite.Connection) -> list[Finding]:
    # Without them rows can be changed in silence; they are compared as text, apart from white space.
    present = {
        " ".join(text.split())
        for (text,) in connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND sql IS NOT NULL")
    }
    return [
        Finding(check="triggers", message=f"the trigger {name} is missing or another: rows it keeps may be changed")
        for name, text in ((text.split()[2], " ".join(text.split())) for text in trigger_statements())
        if text not in present
    ]


def _check_journal(connection: sqlite.Connection, account: AccountRow) -> tuple[int, bytes, list[Finding]]:
    # The stored hash of each step seeds the next, so that one changed row is found at its own step only.
    digest, last, findings = GENESIS, 0, []
    rows_of = _StepRows(connection, account)
    ends = _noted_ends(connection, account)
    received = _ReceivedInOrder(account)
    for row_of_input, stored in _inputs(connection, account):
        number = int(row_of_input[0])
        if number != last + 1:
            findings.append(_found(account, number, f"step {last + 1} is missing: the next one is {number}"))
        try:
            rows = rows_of.take(number)
            expected = chained(digest, row_of_input, rows)
        except EngineError as error:
            findings.append(_found(account, number, str(error)))
            expected = stored
        if expected != stored:
            findings.append(_found(account, number, f"step {number} does not match its hash: a row of it was changed"))
        if ends.pop(number, stored) != stored:
            findings.append(_found(account, number, f"step {number} has not the hash that a run noted at its end"))
        findings += received.take(row_of_input)
        digest, last = stored, number
    findings += [
        _found(account, step, f"a run ended with step {step} and the journal ends with step {last}: steps were cut off")
        for step in ends
    ]
    findings += _added_after(connection, account, last)
    findings += [
        _found(account, step, f"{table} has a row of step {step}, which is not there") for step, table in rows_of.left()
    ]
    return last, digest, findings


class _ReceivedInOrder:
    """Find market events that were stepped after one that was received later.

    Reports are another matter: where bars of two instruments end together, what the venue did at the open of the
    second is heard after the end of the first.
    """

    def __init__(self, account: AccountRow) -> None:
        self._account = account
        self._number, self._ts_ns = 0, 0

    def take(self, row_of_input: tuple[Any, ...]) -> list[Finding]:
        number, kind, _, ts_ns = row_of_input[:4]
        if kind not in _MARKET_KINDS:
            return []
        if ts_ns < self._ts_ns:
            message = f"step {number} ({kind}) was received before step {self._number}, which stands before it"
            return [_found(self._account, number, message)]
        self._number, self._ts_ns = number, ts_ns
        return []


def _noted_ends(connection: sqlite.Connection, account: AccountRow) -> dict[int, bytes]:
    # Number of the last step -> its hash, as each run of the account that came to its end wrote them.
    return dict(
        connection.execute(
            "SELECT final_step, final_hash FROM runs WHERE account_id = ? AND final_step > 0 ORDER BY id",
            (account.account_id,),
        ).fetchall()
    )


def _added_after(connection: sqlite.Connection, account: AccountRow, last: int) -> list[Finding]:
    newest = connection.execute(
        "SELECT final_step FROM runs WHERE account_id = ? ORDER BY id DESC LIMIT 1", (account.account_id,)
    ).fetchone()
    if newest is None or newest[0] is None or last <= newest[0]:
        return []
    return [
        _found(account, newest[0] + 1, f"the last run ended with step {newest[0]} and steps follow: no run made them")
    ]


def _found(account: AccountRow, step: int, message: str) -> Finding:
    return Finding(check="journal", message=message, account=account.name, step=step)


def _inputs(connection: sqlite.Connection, account: AccountRow) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    columns = _selected(INPUTS, account)
    cursor = connection.execute(
        f"SELECT {columns}, hash FROM inputs WHERE account_id = ? ORDER BY id", (account.account_id,)
    )
    for row in cursor:
        yield row[:-1], row[-1]


def _selected(table: int, account: AccountRow) -> str:
    return ", ".join(f"{name} - {account.id_offset}" if name in SHIFTED else name for name in LAYOUTS[table].columns)


class _StepRows:
    """Read all hashed tables side by side, one step after the other."""

    def __init__(self, connection: sqlite.Connection, account: AccountRow) -> None:
        self._cursors: list[tuple[int, int, Iterator[Row]]] = []
        self._next: dict[int, Row | None] = {}
        for table, layout in enumerate(LAYOUTS):
            if table == INPUTS or table in UNHASHED:
                continue
            order = _ORDERED_BY.get(layout.table, "id")
            cursor = connection.execute(
                f"SELECT {_selected(table, account)} FROM {layout.table} WHERE account_id = ? "
                f"ORDER BY step_id, {order}",
                (account.account_id,),
            )
            self._cursors.append((table, layout.columns.index("step_id"), cursor))
            self._next[table] = next(cursor, None)

    def take(self, step: int) -> list[tuple[int, Row]]:
        rows: list[tuple[int, Row]] = []
        for table, place, cursor in self._cursors:
            row = self._next[table]
            while row is not None and row[place] == step:
                rows.append((table, shortened(row) if table == BARS else row))
                row = next(cursor, None)
            self._next[table] = row
        return rows

    def left(self) -> Iterator[tuple[int, str]]:
        for table, place, cursor in self._cursors:
            for row in chain([self._next[table]], cursor):
                if row is not None:
                    yield int(row[place] or 0), LAYOUTS[table].table
