"""Going on with what an earlier run has written: under the same law, and with the same steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Self

from engine.core.errors import BadInput, Halt
from engine.core.messages import Event, MarketEvent, Step
from engine.core.pipeline import LAW_VERSION, PrintEvent
from engine.store.accounts import AccountRow
from engine.store.connection import open_reader, sqlite
from engine.store.writer import GENESIS, SqliteJournal, chained, step_rows

#: The law of runs that did not note theirs.
_FIRST_LAW: Final = 1


def law_of(settings: dict[str, Any]) -> int:
    """Return the version of the law under which a run with these settings decided."""
    return int(settings.get("law_version", _FIRST_LAW))


def last_law(connection: sqlite.Connection, account_name: str) -> int:
    """Return the law of an account's last run, this program's where there is none; any schema will do."""
    row = connection.execute(
        "SELECT settings FROM runs AS run JOIN accounts AS account ON account.id = run.account_id "
        "WHERE account.name = ? ORDER BY run.id DESC LIMIT 1",
        (account_name,),
    ).fetchone()
    return LAW_VERSION if row is None else law_of(json.loads(row[0]))


def require_same_law(database: Path, account_name: str) -> None:
    """Raise BadInput where an account was begun under another law: what it did before would come out otherwise now.

    To be called before the file is upgraded: the program that began it may still have to go on with it.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    connection = open_reader(database)
    try:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'runs'").fetchone() is None:
            return
        law = last_law(connection, account_name)
    finally:
        connection.close()
    if law != LAW_VERSION:
        raise BadInput(
            f"The account {account_name} in {database} was traded under law {law} and this program decides by law "
            f"{LAW_VERSION}: go on with the program that wrote it, or name another file with --db (status, sql, order "
            "show and db check still read it)."
        )


class LastMoment:
    """Tell the prints and quotes of a feed that were processed before a restart from those that were not.

    Every one earlier than the engine's time was. Of those at that very moment, they are the ones up to the last that
    was journaled: what came after it and yielded nothing yields nothing again.
    """

    def __init__(self) -> None:
        self._last: Event | None = None
        # How often it stands in the journal: prints may be equal in everything.
        self._count = 0
        self._now_ts_ns = 0

    def take(self, event: Event) -> None:
        """Take the next event of the journal."""
        # Which moments a feed tells depends on where it starts.
        if not isinstance(event, PrintEvent):
            return
        self._count = self._count + 1 if event == self._last else 1
        self._last = event

    def until(self, now_ts_ns: int) -> Self:
        """Take the engine's time after the journal, ns UTC; from here on ask for the events of the feed."""
        self._now_ts_ns = now_ts_ns
        if self._last is None or self._last.received_ts_ns < now_ts_ns:
            self._count = 0
        return self

    def has_passed(self, event: MarketEvent) -> bool:
        """Return whether the next event of the feed was processed before."""
        if event.received_ts_ns != self._now_ts_ns:
            return event.received_ts_ns < self._now_ts_ns
        if not self._count:
            return False
        self._count -= event == self._last
        return True


class ResumingJournal:
    """Stand before a journal and let through only the steps that it does not hold yet."""

    def __init__(self, journal: SqliteJournal, account: AccountRow) -> None:
        self._journal = journal
        self._known = journal.step_count
        self._expected = journal.journal_hash
        self._digest = GENESIS
        self._steps = 0
        self._name = account.name
        # A fresh journal has nothing to compare: it is written to directly.
        if not self._known:
            self.append = journal.append  # type: ignore[method-assign]

    @property
    def journal_hash(self) -> str:
        """Return the hash of the last step, in hexadecimal."""
        return self._journal.journal_hash

    def append(self, event: Event, step: Step) -> None:
        """Compare a step that is known, or add one that is not.

        Raises Halt where the repeated steps are not those that were written.
        """
        if self._steps >= self._known:
            self._journal.append(event, step)
            return
        self._steps += 1
        self._digest = chained(self._digest, *step_rows(event, step, self._steps))
        if self._steps == self._known and self._digest.hex() != self._expected:
            raise Halt(
                f"The interrupted run {self._name} wrote other steps than this program repeats: "
                "name another database with --db."
            )

    def commit(self) -> None:
        """Make all added steps durable."""
        self._journal.commit()
