"""What tests of the store share: an account in a real file, and random but possible histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from engine.core.messages import Event, Step
from engine.core.values import instrument_from_symbol
from engine.store.accounts import AccountRow, open_account, register_instruments, register_strategy
from engine.store.connection import open_writer, sqlite
from engine.store.migrate import upgrade
from engine.store.writer import SqliteJournal
from engine.testing.scenario import STRATEGY, Scenario, enter, leave

History = list[tuple[Event, Step]]


@dataclass
class Store:
    """Hold one account of a database with its open connection."""

    path: Path
    connection: sqlite.Connection
    account: AccountRow

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.connection, self.account)

    def write(self, history: History, *, batch: int = 1) -> str:
        journal = self.journal()
        for number, (event, step) in enumerate(history, start=1):
            journal.append(event, step)
            if number % batch == 0:
                journal.commit()
        journal.commit()
        return journal.journal_hash

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(query).fetchall()


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Return a maker of accounts, by file and name; each is ready for the histories of `Scenario`."""
    opened: list[sqlite.Connection] = []

    def make(file: str = "store.sqlite", name: str = "main") -> Store:
        path = tmp_path / file
        upgrade(path)
        connection = open_writer(path)
        opened.append(connection)
        account = open_account(connection, name, namespace=UUID(int=1), opened_ts_ns=0)
        register_instruments(connection, account.account_id, [instrument_from_symbol("SPY", 1)])
        register_strategy(connection, account.account_id, STRATEGY, import_string="scripted:Scripted", parameters={})
        return Store(path, connection, account)

    yield make
    for connection in opened:
        connection.close()


class Recorded(Scenario):
    """A scenario that remembers its steps beside its events."""

    steps: History

    def give(self, event: Event) -> Step:
        if not hasattr(self, "steps"):
            self.steps = []
        step = super().give(event)
        self.steps.append((event, step))
        return step


@pytest.fixture(scope="session")
def recorded() -> type[Recorded]:
    """Return the scenario that remembers its steps."""
    return Recorded


@pytest.fixture(scope="session")
def history() -> History:
    """Return a history with partial fills, a round trip, a time exit, a halt and an open position."""
    scenario = Recorded({1: enter(), 6: enter(), 8: leave()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.01", "40")
    scenario.fill(entry, "100.03", "60")
    exits = scenario.submitted()[1:]
    for order in exits:
        scenario.ack(order)
    scenario.bar(2, 101.0)
    for order in exits:
        if order.limit_price is not None:
            scenario.fill(order, str(order.limit_price))
        else:
            scenario.cancel(order)
    for minute in (3, 4, 5, 6):
        scenario.bar(minute, 100.5)
    scenario.fill(scenario.submitted()[-1], "100.5")
    scenario.bar(7, 100.25)
    scenario.bar(8, 100.125)
    scenario.wait(61)
    return scenario.steps
