"""A stop in order: working entries are canceled, what protects stays, and the file alone tells all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.core.execution.orders import WorkingOrder
from engine.core.values import Leg
from engine.feeds.synthetic import SyntheticFeed
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
HASH = "SELECT hash FROM inputs ORDER BY id DESC LIMIT 1"
FIRST_ORDERS = "SELECT leg, status FROM orders ORDER BY id LIMIT 3"
STOPS = "SELECT count(*) FROM inputs WHERE kind = 'EngineStopping'"


@dataclass
class ManualClock:
    """A clock that stands still."""

    ts_ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ts_ns


def spec_of(latency_ns: int = 0) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}),
        feed=SyntheticFeed(seed=4, sessions=2, symbols=("ALFA",)),
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        latency_ns=latency_ns,
    )


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(open_reader(database)) as connection:
        return [tuple(row) for row in connection.execute(query).fetchall()]


def run_until(database: Path, spec: RunSpec, is_time: Callable[[list[WorkingOrder]], bool]) -> None:
    """Trade until the open orders are as wanted, and stop as a signal does."""
    with TradingAccount(spec, database, ManualClock()) as account:
        has_ended = account.run(
            until_ts_ns=None, pace=lambda _event: not is_time(list(account.pipeline.execution.open_orders()))
        )
        assert not has_ended
        account.finish(is_complete=False)


def run_to_the_end(database: Path, spec: RunSpec) -> None:
    with TradingAccount(spec, database, ManualClock()) as account:
        assert account.run(until_ts_ns=None, pace=lambda _event: True)
        account.finish(is_complete=True)


def has_entry(orders: list[WorkingOrder]) -> bool:
    return any(order.leg is Leg.ENTRY for order in orders)


def has_stop(orders: list[WorkingOrder]) -> bool:
    return any(order.leg is Leg.STOP for order in orders) and not has_entry(orders)


@pytest.mark.parametrize("latency_ns", [0, 700_000_000])
def test_a_stop_cancels_a_working_entry(tmp_path: Path, latency_ns: int) -> None:
    database, spec = tmp_path / "paper.sqlite", spec_of(latency_ns)
    run_until(database, spec, has_entry)
    # Without latency the venue has answered; with it the cancel is on its way, and the next start asks again.
    status = "CANCELED" if not latency_ns else "NEW"
    assert rows(database, FIRST_ORDERS) == [("entry", status)]
    assert rows(database, STOPS) == [(1,)]
    assert rows(database, "SELECT status FROM runs") == [("interrupted",)]
    assert rows(database, "SELECT released FROM leases") == [(1,)]
    run_to_the_end(database, spec)
    assert rows(database, FIRST_ORDERS)[0] == ("entry", "CANCELED")
    assert rows(database, "SELECT count(*) FROM trades WHERE order_id = (SELECT min(id) FROM orders)") == [(0,)]
    assert check_database(database).is_sound


def test_a_stop_keeps_what_protects_and_the_run_goes_on_as_if_there_were_none(tmp_path: Path) -> None:
    whole, parted, spec = tmp_path / "whole.sqlite", tmp_path / "parted.sqlite", spec_of()
    run_to_the_end(whole, spec)
    run_until(parted, spec, has_stop)
    assert rows(parted, "SELECT leg, status FROM orders WHERE leg = 'stop'") == [("stop", "ACK")]
    run_to_the_end(parted, spec)
    assert rows(parted, STOPS) == [(0,)]
    assert rows(parted, HASH) == rows(whole, HASH)


def test_a_stop_before_anything_has_happened_writes_no_step(tmp_path: Path) -> None:
    database, spec = tmp_path / "paper.sqlite", spec_of()
    with TradingAccount(spec, database, ManualClock()) as account:
        account.finish(is_complete=False)
    assert rows(database, "SELECT count(*) FROM inputs") == [(0,)]
    run_to_the_end(database, spec)
    assert check_database(database).is_sound


def test_the_log_is_empty_after_the_end_though_a_reader_has_the_file_open(tmp_path: Path) -> None:
    database, spec = tmp_path / "paper.sqlite", spec_of()
    with TradingAccount(spec, database, ManualClock()) as account:
        account.run(until_ts_ns=spec.feed.schedule[0].open_ts_ns, pace=lambda _event: True)  # type: ignore[attr-defined]
        # A reader keeps SQLite from removing the log when the engine closes.
        with closing(open_reader(database)):
            log = database.with_name(database.name + "-wal")
            assert log.stat().st_size > 0
            account.finish(is_complete=True)
            assert log.stat().st_size == 0
