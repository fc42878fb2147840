"""I-17, one writer: an engine whose account was taken over neither writes nor sends."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.core.errors import Halt
from engine.core.messages import MarketEvent
from engine.feeds.synthetic import SyntheticFeed
from engine.store.connection import open_reader, open_writer
from engine.store.lease import take_lease

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"


@dataclass
class ManualClock:
    """A clock that stands still until it is moved."""

    ts_ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ts_ns


def spec_of(feed: SyntheticFeed) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}), feed=feed, risk=load_risk(SHIPPED_RISK), cash=Decimal(100_000)
    )


def always(event: MarketEvent) -> bool:
    del event
    return True


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = open_reader(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _taken_over(database: Path) -> None:
    connection = open_writer(database)
    take_lease(connection, 1, owner="the other host", now_ts_ns=ManualClock().ts_ns)
    connection.close()


def test_an_engine_that_was_replaced_neither_writes_nor_sends(tmp_path: Path) -> None:
    """Whatever it knew, its next commit is refused."""
    database = tmp_path / "paper.sqlite"
    shown = 0

    def pace(event: MarketEvent) -> bool:
        nonlocal shown
        del event
        shown += 1
        if shown == 20:
            _taken_over(database)
        return True

    account = TradingAccount(spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",))), database, ManualClock())
    with account, pytest.raises(Halt, match=r"the other host; epoch 2. has taken the account over"):
        account.run(until_ts_ns=None, pace=pace)
    assert rows(database, "SELECT epoch, released FROM leases") == [(2, 0)]
    assert rows(database, "SELECT count(*) FROM bars") == [(19,)]


def test_a_process_that_slept_between_its_commit_and_the_send_sends_nothing(tmp_path: Path) -> None:
    """The command is in the outbox, and only the engine that took the account over may send it."""
    database = tmp_path / "paper.sqlite"
    clock = ManualClock()
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))

    with TradingAccount(spec, database, clock) as account:
        loop: Any = account.loop

        class Sleepy:
            """Stands before the journal: the process is suspended after a commit of commands, and replaced."""

            def __getattr__(self, name: str) -> Any:
                return getattr(account._journal, name)

            def commit(self) -> None:
                before = rows(database, "SELECT count(*) FROM commands")
                account._journal.commit()
                if rows(database, "SELECT count(*) FROM commands") != before:
                    _taken_over(database)
                    clock.ts_ns += 1_000_000_001

        loop._journal = Sleepy()
        with pytest.raises(Halt, match="has taken the account over"):
            account.run(until_ts_ns=None, pace=always)
        assert account.venue.working_client_order_ids() == ()
    assert rows(database, "SELECT count(*) FROM commands") != [(0,)]


def test_an_account_that_ended_in_order_is_given_back(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",)))
    for epoch in (1, 2):
        with TradingAccount(spec, database, ManualClock()) as account:
            assert account.lease.epoch == epoch
            assert rows(database, "SELECT epoch, released FROM leases") == [(epoch, 0)]
            account.run(until_ts_ns=None, pace=always)
            account.finish(is_complete=True)
        assert rows(database, "SELECT epoch, released FROM leases") == [(epoch, 1)]
