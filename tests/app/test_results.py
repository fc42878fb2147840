"""Results from rows: what counts as a round trip."""

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from engine.app.results import round_trips
from engine.core.messages import Event, ExecutionBusted, Step
from engine.core.values import instrument_from_symbol
from engine.store.accounts import open_account, register_instruments, register_strategy
from engine.store.connection import open_writer
from engine.store.migrate import upgrade
from engine.store.writer import SqliteJournal
from engine.testing.scenario import STRATEGY, Scenario, enter


class Recorded(Scenario):
    """A scenario that remembers its steps beside its events."""

    steps: list[tuple[Event, Step]]

    def give(self, event: Event) -> Step:
        if not hasattr(self, "steps"):
            self.steps = []
        step = super().give(event)
        self.steps.append((event, step))
        return step


def reopened() -> Recorded:
    # Stopped out, the stop's execution busted, and sold again half a point lower.
    scenario = Recorded({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100")
    stop, target = scenario.submitted()[1:]
    scenario.ack(stop)
    scenario.ack(target)
    scenario.bar(1, 98.0)
    scenario.fill(stop, "98.5", execution="E1")
    scenario.cancel(target)
    scenario.give(
        ExecutionBusted(
            venue_ts_ns=scenario.events[-1].venue_ts_ns,
            received_ts_ns=scenario.events[-1].received_ts_ns,
            client_order_id=stop.client_order_id,
            execution_id="E1",  # type: ignore[arg-type]
            reason="bust",
        )
    )
    # The busted order works again; once it is gone too, the rest is sold at the market.
    scenario.cancel(stop)
    (again,) = scenario.submitted()[3:]
    scenario.ack(again)
    scenario.fill(again, "98")
    return scenario


def test_a_bracket_that_was_reopened_by_a_bust_counts_once(tmp_path: Path) -> None:
    database = tmp_path / "results.sqlite"
    upgrade(database)
    connection = open_writer(database)
    try:
        account = open_account(connection, "main", namespace=UUID(int=1), opened_ts_ns=0)
        register_instruments(connection, account.account_id, [instrument_from_symbol("SPY", 1)])
        names: dict[str, Any] = {"import_string": "scripted:Scripted", "parameters": {}}
        register_strategy(connection, account.account_id, STRATEGY, **names)
        journal = SqliteJournal(connection, account)
        for event, step in reopened().steps:
            journal.append(event, step)
        journal.commit()
        ends = connection.execute("SELECT count(*) FROM bracket_events WHERE to_state = 'CLOSED'").fetchone()
        assert ends == (2,)
        (trip,) = round_trips(connection, account.account_id)
        assert (trip.exit_price, trip.pnl) == (Decimal(98), -2 * trip.quantity)
    finally:
        connection.close()
