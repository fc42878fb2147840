"""Databases that scenarios start from: an account with all that its strategy saw before, made once per market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

from engine.app.loop import quiet_garbage_collector
from engine.core.execution.bracket_table import ExitStyle
from engine.core.pipeline.adopting import EXTERNAL
from engine.core.values import StrategyId
from engine.store.accounts import open_account, register_instruments, register_strategy
from engine.store.connection import open_writer
from engine.store.migrate import upgrade
from engine.store.writer import SqliteJournal
from engine.testing.chaos.market import INSTRUMENT
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.chaos.subject import Subject, market_of, warm_up_events


class Templates:
    """Keep the templates of one subject, in memory: a scenario's database is a copy of one."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self._subject = subject
        self._folder = folder
        self._made: dict[tuple[int, int, ExitStyle, bool], bytes] = {}
        #: A database without rows: making its tables costs more than a short scenario's template does.
        self._empty: bytes | None = None

    def database(self, plan: ScenarioPlan) -> Path:
        """Return a fresh database for a scenario; the one of the scenario before it is gone."""
        path = self._folder / "scenario.sqlite"
        for name in ("", "-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        path.write_bytes(self._template(plan))
        return path

    def _template(self, plan: ScenarioPlan) -> bytes:
        # A strategy with a seed of its own wants other things in each scenario: it has nothing to warm up on.
        minutes = 0 if self._subject.trades_anywhere else plan.first_minute
        # Before its first bar every market is the same.
        key = (plan.market_seed if minutes else 0, minutes, plan.exit_style, plan.breakers_off)
        if key not in self._made:
            self._made[key] = self._make(plan, minutes)
        return self._made[key]

    def _make(self, plan: ScenarioPlan, minutes: int) -> bytes:
        path = self._folder / "template.sqlite"
        if self._empty is None:
            path.unlink(missing_ok=True)
            upgrade(path)
            self._empty = path.read_bytes()
        else:
            path.write_bytes(self._empty)
        connection = open_writer(path)
        try:
            # The namespace of ids is that of the scenario; the account's own is not looked at.
            pipeline = self._subject.pipeline(replace(plan, seed=0))
            account = open_account(connection, "chaos", namespace=pipeline_namespace(), opened_ts_ns=0)
            register_instruments(connection, account.account_id, [INSTRUMENT])
            for name in (StrategyId(self._subject.name), EXTERNAL):
                register_strategy(connection, account.account_id, name, import_string=str(name), parameters={})
            journal = SqliteJournal(connection, account)
            with quiet_garbage_collector():
                for event in warm_up_events(market_of(plan.market_seed), minutes):
                    journal.append(event, pipeline.step(event))
                journal.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        return path.read_bytes()


def pipeline_namespace() -> UUID:
    """Return the namespace that template accounts are opened with."""
    return UUID(int=4)
