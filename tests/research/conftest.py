"""Finished runs to report on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import SyntheticFeed, synthetic_bars
from engine.ports import Feed
from engine.research.report import Numbers, report_numbers
from engine.research.report_history import History, read_history
from engine.store.connection import open_reader, sqlite
from engine.store.histories import find_run


def _history_of(path: Path) -> History:
    connection = open_reader(path)
    try:
        return read_history(connection, find_run(connection, "latest"))
    finally:
        connection.close()


def _spec_of(feed: Feed, parameters: dict[str, str] | None = None, **changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "strategy": load_strategy("s1_vwap_ema", parameters or {}),
        "feed": feed,
        "risk": load_risk(),
        "cash": Decimal(100_000),
    }
    return RunSpec(**(values | changes))


@pytest.fixture(scope="session")
def history_of() -> Callable[[Path], History]:
    """Read the history of a database's latest run."""
    return _history_of


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., RunSpec]:
    """Tell how S1 runs over a feed."""
    return _spec_of


@pytest.fixture(scope="session")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep a run over fifteen sessions of two symbols, with fees and slippage."""
    database = tmp_path_factory.mktemp("kept") / "run.sqlite"
    feed = SyntheticFeed(seed=3, symbols=("ALFA", "BETA"), sessions=15, full_sessions_only=True)
    # On a random walk with costs 25 losses in a row are no surprise, and no reason to stop.
    patient = database.with_name("risk.yaml")
    patient.write_text(
        "breakers: {consecutive_losses: null}\nsizing: {max_notional_fraction: 0.10}\n", encoding="utf-8"
    )
    spec = _spec_of(feed, fees="robinhood", slippage_bps=Decimal(2), risk=load_risk(patient))
    backtest(spec, database, wall_ts_ns=1)
    return database


@pytest.fixture
def reader(kept_run: Path) -> Iterator[sqlite.Connection]:
    """Ask the database of that run."""
    connection = open_reader(kept_run)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def history(kept_run: Path) -> History:
    """Hold the history of that run."""
    return _history_of(kept_run)


@pytest.fixture(scope="session")
def numbers(history: History) -> Numbers:
    """Hold the numbers of that run."""
    return report_numbers(history)


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Hold the history of a run that never traded: its hours are over before they begin."""
    database = tmp_path_factory.mktemp("idle") / "idle.sqlite"
    hours = {"minutes_after_open": "389", "minutes_before_close": "389"}
    backtest(_spec_of(ReplayFeed([synthetic_bars(3, sessions=2)]), hours), database, wall_ts_ns=1)
    return _history_of(database)
