"""A journal played again makes the same tables, and names the first row that was changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.clock import SystemClock
from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.stored_runs import replay_database, stored_spec
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.core.bars import PrintSource
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Event, Step
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode, synthetic_bars
from engine.store.accounts import list_accounts
from engine.store.connection import open_reader, open_writer
from engine.store.layouts import LAYOUTS
from engine.store.schema import METADATA
from engine.store.triggers import trigger_statements

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
DUMPS = Path(__file__).parents[1] / "store" / "data"


def spec_of(feed: ReplayFeed | SyntheticFeed, **changes: Any) -> RunSpec:
    values: dict[str, Any] = {
        "strategy": load_strategy("s1_vwap_ema", {}),
        "feed": feed,
        "risk": load_risk(SHIPPED_RISK),
        "cash": Decimal(100_000),
    }
    return RunSpec(**(values | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Hold a file of two backtests of two sessions, with trades."""
    database = tmp_path_factory.mktemp("whole") / "whole.sqlite"
    feed = ReplayFeed([synthetic_bars(22, sessions=2)])
    backtest(spec_of(feed), database, wall_ts_ns=0)
    backtest(spec_of(feed, fees="robinhood"), database, wall_ts_ns=0, append=True)
    changed(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    return database.read_bytes()


@pytest.fixture
def database(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "copy.sqlite"
    path.write_bytes(whole)
    return path


def changed(database: Path, *statements: str) -> None:
    connection = open_writer(database)
    connection.execute("PRAGMA foreign_keys=OFF")
    for statement in statements:
        connection.execute(statement)
    connection.close()


def tampered(database: Path, statement: str) -> None:
    drops = [f"DROP TRIGGER {text.split()[2]}" for text in trigger_statements()]
    changed(database, *drops, statement)


def test_an_untouched_file_is_what_its_journal_makes(database: Path) -> None:
    told: list[int] = []
    outcome = replay_database(database, progress=told.append)
    assert (outcome.is_same, outcome.first, outcome.left_out) == (True, None, {})
    assert [report.account for report in outcome.reports] == ["backtest-1", "backtest-2"]
    connection = open_reader(database)
    for number, report in enumerate(outcome.reports, start=1):
        assert set(report.rows) == {layout.table for layout in LAYOUTS} | {"position_adjustments"}
        for table, count in report.rows.items():
            query = f"SELECT count(*) FROM {table} WHERE account_id = {number}"
            assert connection.execute(query).fetchone() == (count,)
        assert report.rows["trades"] > 4
    connection.close()


def test_one_account_may_be_named(database: Path) -> None:
    for name in ("2", "backtest-2"):
        assert [report.account for report in replay_database(database, account=name).reports] == ["backtest-2"]
    with pytest.raises(BadInput, match=r"no account '3': give one of 1 \(backtest-1\), 2 \(backtest-2\)"):
        replay_database(database, account="3")


_SECOND = "(SELECT max({key}) FROM {table} WHERE account_id = 2)"


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("orders", "status", "'REJECTED'"),
        ("orders", "filled_quantity_e8", "filled_quantity_e8 + 1"),
        ("orders", "limit_price_e10", "7"),
        ("brackets", "state", "'ABORTED'"),
        ("brackets", "exit_reason", "'luck'"),
        ("positions", "quantity_e8", "5"),
        ("positions", "realized_pnl_e8", "realized_pnl_e8 - 1"),
        ("trades", "price_e10", "price_e10 + 1"),
        ("trades", "fee_e8", "fee_e8 + 1"),
        ("signals", "reason", "'luck'"),
        ("decisions", "checks", "'[]'"),
        ("order_events", "reason", "'luck'"),
        ("bracket_events", "trigger", "'exit_wanted'"),
        ("commands", "payload", "'{}'"),
        ("cash_movements", "amount_e8", "1"),
        ("equity_curve", "equity_e8", "equity_e8 + 1"),
    ],
)
def test_a_changed_value_is_named(database: Path, table: str, column: str, value: str) -> None:
    key = {"positions": "step_id", "equity_curve": "step_id"}.get(table, "id")
    where = f"account_id = 2 AND {key} = (SELECT max({key}) FROM {table} WHERE account_id = 2)"
    connection = open_reader(database)
    ((step, before),) = connection.execute(f"SELECT step_id, {column} FROM {table} WHERE {where}").fetchall()
    connection.close()
    tampered(database, f"UPDATE {table} SET {column} = {value} WHERE {where}")
    outcome = replay_database(database)
    assert [len(report.differences) for report in outcome.reports] == [0, 1]
    first = outcome.first
    assert first is not None
    assert (first.table, first.column, first.step) == (table, column, step - 1_000_000_000)
    assert first.replayed == before != first.stored
    assert f"{table}, " in str(first)
    assert f"{column} is " in str(first)


@pytest.mark.parametrize("table", ["orders", "brackets", "positions", "trades", "order_events", "equity_curve"])
def test_a_removed_row_is_named(database: Path, table: str) -> None:
    tampered(database, f"DELETE FROM {table} WHERE account_id = 1 AND step_id = (SELECT min(step_id) FROM {table})")
    first = replay_database(database).first
    assert first is not None
    assert (first.table, first.column, first.stored) == (table, None, None)
    assert str(first).endswith("the row is missing")


def test_a_row_that_no_step_makes_is_named(database: Path) -> None:
    names = [column.name for column in METADATA.tables["trades"].c if column.computed is None]
    chosen = ", ".join({"id": "500", "execution_id": "'x'"}.get(name, name) for name in names)
    tampered(database, f"INSERT INTO trades ({', '.join(names)}) SELECT {chosen} FROM trades WHERE id = 3")
    first = replay_database(database).first
    assert first is not None
    assert (first.table, first.key, first.replayed) == ("trades", "id 500", None)
    assert str(first).endswith("no step makes this row")


def test_a_changed_input_shows_in_its_hash_and_in_what_followed(database: Path) -> None:
    """The fill's payload is taken as given: what it makes differs from what was written."""
    tampered(
        database,
        "UPDATE inputs SET payload = json_set(payload, '$.price', '77.01') "
        "WHERE id = (SELECT min(step_id) FROM trades WHERE account_id = 1)",
    )
    outcome = replay_database(database, account="1")
    first = outcome.first
    assert first is not None
    assert (first.table, first.column) == ("inputs", "hash")
    assert {each.table for each in outcome.reports[0].differences} >= {"inputs", "trades", "positions", "equity_curve"}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE inputs SET payload = '{' WHERE id = 420", "cannot be played"),
        ("DELETE FROM inputs WHERE id = 420", "step 420, which is missing"),
        ("UPDATE inputs SET payload = json_set(payload, '$.client_order_id', 5) WHERE id = 420", "cannot be played"),
    ],
)
def test_an_input_that_cannot_be_played_is_named(database: Path, statement: str, reason: str) -> None:
    connection = open_reader(database)
    ((kind,),) = connection.execute("SELECT kind FROM inputs WHERE id = 420").fetchall()
    connection.close()
    assert kind == "OrderFilled"
    tampered(database, statement)
    outcome = replay_database(database, account="1")
    first = outcome.first
    assert first is not None
    assert (first.table, first.step) == ("inputs", outcome.reports[0].steps + 1)
    assert reason in str(first.replayed)


@dataclass
class Killed(BaseException):
    """Ends a process at a step."""


@dataclass
class KillAfter:
    """Kill at the n-th journaled step."""

    steps: int

    def __call__(self, event: Event, step: Step) -> None:
        del event, step
        self.steps -= 1
        if not self.steps:
            raise Killed


@pytest.mark.parametrize("mode", SyntheticMode)
def test_a_killed_and_resumed_account_is_what_its_journal_makes(tmp_path: Path, mode: SyntheticMode) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA"), mode=mode))

    def trade(observer: Callable[[Event, Step], None] | None) -> None:
        with TradingAccount(spec, database, SystemClock(), observer=observer) as account:
            account.run(until_ts_ns=None, pace=lambda _: True)
            account.finish(is_complete=True)

    for steps in (450, 150, 90):
        with pytest.raises(Killed):
            trade(KillAfter(steps))
        assert replay_database(database).is_same
    trade(None)
    (report,) = replay_database(database).reports
    assert report.is_same
    assert report.rows["trades"] > 2


def test_a_stored_run_is_read_back_as_it_was_set(tmp_path: Path) -> None:
    """Every setting that decides a run comes back: a new one that is not kept turns this red."""
    database = tmp_path / "x.sqlite"
    spec = spec_of(
        ReplayFeed([synthetic_bars(3, sessions=1)]),
        strategy=load_strategy("s1_vwap_ema", {"fast_period": "5", "stop_atr": "2.5"}),
        cash=Decimal("12345.6"),
        fees="robinhood",
        slippage_bps=Decimal("1.5"),
        limit_fills_on_touch=True,
        prints_from=PrintSource.QUOTES,
        latency_ns=7,
        trade_filter="sip",
        keeps_prints=True,
        listing_exchanges={"SYN": "P"},
    )
    backtest(spec, database, wall_ts_ns=0)
    connection = open_reader(database)
    (account,) = list_accounts(connection)
    read = stored_spec(connection, account)
    connection.close()
    assert read.text() == spec.text()
    assert read.risk == replace(spec.risk, path=read.risk.path)
    kept = {each.name for each in fields(RunSpec)} - {"strategy", "feed", "risk"}
    assert kept <= spec.settings.keys()
    assert {name for name in kept if getattr(read, name) != getattr(spec, name)} == set()
    assert read.exit_style is ExitStyle.BOTH_LEGS


def test_a_run_that_kept_no_risk_file_needs_it_named(database: Path, tmp_path: Path) -> None:
    changed(database, "UPDATE runs SET settings = json_remove(settings, '$.risk_file')")
    with pytest.raises(BadInput, match="has not kept its risk file: name it by --risk"):
        replay_database(database, account="1")
    assert replay_database(database, risk=SHIPPED_RISK).is_same
    other = tmp_path / "other.yaml"
    other.write_text("daily_loss_cap: 0.2\n")
    with pytest.raises(BadInput, match="is not the one of account backtest-1"):
        replay_database(database, account="1", risk=other)


def test_a_run_of_another_law_is_left_out_and_said(database: Path) -> None:
    changed(database, "UPDATE runs SET settings = json_set(settings, '$.law_version', 1) WHERE account_id = 1")
    outcome = replay_database(database)
    assert outcome.is_same
    assert outcome.left_out.keys() == {"backtest-1"}
    with pytest.raises(BadInput, match=r"was run under law 1 .* replay it with the program that wrote it"):
        replay_database(database, account="1")
