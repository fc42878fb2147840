"""One durable order transition: the journal's commit against the bare library running the same statements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from engine.core.messages import OrderAcknowledged, OrderTransitioned, Step
from engine.core.values import StrategyId, instrument_from_symbol
from engine.store.accounts import open_account, register_instruments, register_strategy
from engine.store.connection import open_writer
from engine.store.migrate import upgrade
from engine.store.writer import SqliteJournal
from engine.testing.scenario import STRATEGY, Scenario, enter

TRANSITIONS = 300
ROUNDS = 5

Statement = tuple[str, str, Sequence[Any]]


class _Recorder:
    """A cursor that notes what runs through it."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.statements: list[Statement] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        self.statements.append(("execute", sql, parameters))
        return self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Sequence[Any]) -> Any:
        self.statements.append(("executemany", sql, list(parameters)))
        return self._cursor.executemany(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def compare(folder: Path) -> tuple[float, float]:
    """Return the median microseconds of one transition: ours, and bare."""
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        # In turn, so that a disk that is slow for a while is slow for both.
        recorded = _recorded(folder / f"recorded-{number}.sqlite")
        ours += _ours(folder / f"ours-{number}.sqlite")
        bare += _bare(folder / f"bare-{number}.sqlite", recorded)
    return median(ours), median(bare)


def _prepared(database: Path) -> tuple[Any, SqliteJournal, list[tuple[OrderAcknowledged, Step]]]:
    # An account with one order, and the transitions that move it on and on.
    upgrade(database)
    connection = open_writer(database)
    account = open_account(connection, "bench", namespace=UUID(int=1), opened_ts_ns=0)
    register_instruments(connection, account.account_id, [instrument_from_symbol("SPY", 1)])
    register_strategy(connection, account.account_id, StrategyId(STRATEGY), import_string="bench:Bench", parameters={})
    journal = SqliteJournal(connection, account)
    scenario = Scenario({0: enter()})
    events = [scenario.events[0]]
    steps = [Step(tuple(scenario.facts), ())]
    steps.append(scenario.bar(0))
    events.append(scenario.events[-1])
    for event, step in zip(events, steps, strict=True):
        journal.append(event, step)
    journal.commit()
    (order,) = scenario.submitted()
    step = scenario.ack(order)
    event = scenario.events[-1]
    assert isinstance(event, OrderAcknowledged)
    (fact,) = step.facts
    assert isinstance(fact, OrderTransitioned)
    moves = []
    for number in range(TRANSITIONS):
        before = "NEW" if number == 0 else "ACK"
        moved = replace(fact, version=2 + number, from_state=before, to_state="ACK")
        moves.append((event, Step((moved,), ())))
    return connection, journal, moves


def _each(moves: Sequence[Any], act: Callable[[Any], None]) -> list[float]:
    microseconds = []
    for move in moves:
        began = time.perf_counter()
        act(move)
        microseconds.append((time.perf_counter() - began) * 1e6)
    return microseconds


def _ours(database: Path) -> list[float]:
    connection, journal, moves = _prepared(database)

    def act(move: tuple[OrderAcknowledged, Step]) -> None:
        journal.append(*move)
        journal.commit()

    try:
        return _each(moves, act)
    finally:
        connection.close()


def _recorded(database: Path) -> list[list[Statement]]:
    connection, journal, moves = _prepared(database)
    recorder = _Recorder(journal._cursor)
    journal._cursor = recorder  # type: ignore[assignment]
    transactions = []
    for move in moves:
        recorder.statements = []
        journal.append(*move)
        journal.commit()
        transactions.append(recorder.statements)
    connection.close()
    return transactions


def _bare(database: Path, transactions: list[list[Statement]]) -> list[float]:
    connection, _, _ = _prepared(database)
    cursor = connection.cursor()

    def act(transaction: list[Statement]) -> None:
        for how, sql, parameters in transaction:
            if how == "execute":
                cursor.execute(sql, parameters)
            else:
                cursor.executemany(sql, parameters)

    try:
        return _each(transactions, act)
    finally:
        connection.close()
