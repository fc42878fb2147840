"""Backtests end to end: real data against the reference, the same hash every time, and interrupted runs."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.app.modes import FinishedBacktest, RunSpec, backtest
from engine.app.results import Performance, iso_utc, performance, plain
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.core.errors import BadInput
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import synthetic_bars
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"


def spec_of(feed: ReplayFeed, **changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "strategy": load_strategy("s1_vwap_ema", {}),
        "feed": feed,
        "risk": load_risk(SHIPPED_RISK),
        "cash": Decimal(100_000),
    }
    return RunSpec(**(values | changes))


def figures(database: Path, finished: FinishedBacktest) -> Performance:
    connection = open_reader(database)
    try:
        return performance(connection, finished.account.account_id)
    finally:
        connection.close()


@pytest.fixture
def spy_2024(data_dir: Path, tmp_path: Path) -> Path:
    table = pq.read_table(data_dir / "us_equity_minute" / "spy_1min_2024-03-26_2024-12-31.parquet")
    columns = {"symbol": table["symbol"], "ts": table["ts_utc"]}
    for name in ("open", "high", "low", "close"):
        # Divided, never multiplied by 10^-4: the quotient is the float that the price prints as.
        columns[name] = pa.array(table[f"{name}_e4"].to_numpy() / 1e4)
    columns["volume"] = pa.array(table["volume"].to_numpy().astype(np.float64))
    path = tmp_path / "spy.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_s1_on_spy_2024_agrees_with_the_reference(spy_2024: Path, tmp_path: Path) -> None:
    """An independent writing of the rules makes 724 round trips, net -177.85, drawdown 0.3156 %."""
    database = tmp_path / "spy.sqlite"
    finished = backtest(spec_of(ReplayFeed.bars(spy_2024)), database, wall_ts_ns=0)
    found = figures(database, finished)
    assert found.bars == 75_707
    assert Counter(trip.exit_reason for trip in found.round_trips) == {"stop": 491, "target": 233}
    assert found.net_pnl == Decimal("-177.8536")
    assert found.final_equity == Decimal("99822.1464")
    assert round(found.max_drawdown, 6) == Decimal("0.003156")
    assert found.fees == 0
    assert found.open_positions == 0
    assert check_database(database).is_sound


def test_the_same_inputs_give_the_same_hash_wherever_they_run(tmp_path: Path) -> None:
    feed = ReplayFeed([synthetic_bars(3, sessions=5)])
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    first = backtest(spec_of(feed), one, wall_ts_ns=1)
    second = backtest(spec_of(feed), two, wall_ts_ns=2)
    third = backtest(spec_of(feed), one, wall_ts_ns=3, append=True)
    assert first.journal_hash == second.journal_hash == third.journal_hash
    assert third.account.name == "backtest-2"
    assert figures(one, first) == figures(one, third)
    assert check_database(one).is_sound


def test_other_inputs_give_another_hash(tmp_path: Path) -> None:
    feed = ReplayFeed([synthetic_bars(3, sessions=5)])
    hashes = {
        backtest(spec_of(feed, **changes), tmp_path / f"{number}.sqlite", wall_ts_ns=1).journal_hash
        for number, changes in enumerate[dict[str, Any]](
            (
                {},
                {"cash": Decimal(50_000)},
                {"fees": "robinhood"},
                {"slippage_bps": Decimal(2)},
                {"strategy": load_strategy("s1_vwap_ema", {"fast_period": "8"})},
            )
        )
    }
    assert len(hashes) == 5


def test_a_database_with_another_run_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "run.sqlite"
    feed = ReplayFeed([synthetic_bars(3, sessions=2)])
    backtest(spec_of(feed), database, wall_ts_ns=1)
    with pytest.raises(BadInput, match=r"already holds 1 run\(s\).*--append"):
        backtest(spec_of(feed), database, wall_ts_ns=2)
    assert check_database(database).is_sound


def test_fees_and_slippage_cost_what_they_say(tmp_path: Path) -> None:
    feed = ReplayFeed([synthetic_bars(3, sessions=5)])
    free = figures(tmp_path / "a.sqlite", backtest(spec_of(feed), tmp_path / "a.sqlite", wall_ts_ns=1))
    paid_spec = spec_of(feed, fees="robinhood", slippage_bps=Decimal(5))
    paid = figures(tmp_path / "b.sqlite", backtest(paid_spec, tmp_path / "b.sqlite", wall_ts_ns=1))
    assert free.fees == 0
    assert paid.fees > 0
    assert paid.net_pnl < free.net_pnl
    gross = sum((trip.exit_price - trip.entry_price) * trip.quantity for trip in paid.round_trips)
    assert paid.net_pnl == gross - paid.fees


def test_an_interrupted_backtest_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """Kill it anywhere: what is left is sound, and the same command ends with the same hash."""
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    feed = ReplayFeed([synthetic_bars(5, sessions=120)])
    expected = backtest(spec_of(feed), whole, wall_ts_ns=1)
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_backtest import *;"
        "import engine.app.loop; engine.app.loop.BATCH_STEPS = 64;"
        "print('go', flush=True);"
        "backtest(spec_of(ReplayFeed([synthetic_bars(5, sessions=120)])), Path(sys.argv[1]), wall_ts_ns=1)"
    )
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(cut), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        _wait_for_rows(cut, more_than=_steps(cut) + 500)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert check_database(cut).is_sound
    resumed = backtest(spec_of(feed), cut, wall_ts_ns=9)
    assert resumed.was_resumed
    assert resumed.journal_hash == expected.journal_hash
    assert figures(cut, resumed) == figures(whole, expected)


def _steps(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        connection = open_reader(database)
    except Exception:  # noqa: BLE001 - the file is being made at this very moment
        return 0
    try:
        return int(connection.execute("SELECT count(*) FROM inputs").fetchone()[0])
    except Exception:  # noqa: BLE001 - and so are its tables
        return 0
    finally:
        connection.close()


def _wait_for_rows(database: Path, *, more_than: int) -> None:
    for _ in range(600):
        if _steps(database) > more_than:
            return
        time.sleep(0.01)
    raise AssertionError("the run wrote nothing")


@pytest.mark.parametrize(
    ("number", "decimals_min", "text"),
    [
        ("1.500000", 2, "1.50"),
        ("100.00000000", 0, "100"),
        ("0.00012", 2, "0.00012"),
        ("-3", 2, "-3.00"),
        ("1E+3", 0, "1000"),
    ],
)
def test_decimals_are_written_plainly(number: str, decimals_min: int, text: str) -> None:
    assert plain(Decimal(number), decimals_min=decimals_min) == text


def test_moments_are_iso_8601() -> None:
    assert iso_utc(1_735_828_200_000_000_000) == "2025-01-02T14:30:00Z"
