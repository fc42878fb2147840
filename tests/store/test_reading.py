"""What people ask: SQL that only reads, views, and the small reads of a status screen."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from engine.core.errors import BadInput
from engine.core.messages import Pause, TradingState
from engine.core.values import StrategyId, instrument_from_symbol
from engine.store import queries
from engine.store.accounts import (
    find_account,
    finish_run,
    open_account,
    register_instruments,
    register_strategy,
    start_run,
)
from engine.store.sql import run_query, tables
from engine.store.views import VIEWS
from engine.store.vocabulary import RunKind, RunStatus
from engine.testing.scenario import enter


@pytest.fixture
def written(make_store: Callable[..., Any], history: Any) -> Any:
    store = make_store()
    store.write(history, batch=4096)
    return store


def test_a_query_returns_columns_and_rows(written: Any) -> None:
    result = run_query(written.path, "SELECT id, side, price FROM trades ORDER BY id", limit=2)
    assert result.columns == ("id", "side", "price")
    assert result.rows == [(1, "buy", 100.01), (2, "buy", 100.03)]
    assert result.is_cut
    assert not run_query(written.path, "SELECT 1", limit=2).is_cut
    assert len(run_query(written.path, "SELECT hash FROM inputs LIMIT 1").rows[0][0]) == 64


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO sides VALUES ('short')",
        "UPDATE positions SET quantity_e8 = 0",
        "DELETE FROM operator_requests",
        "DROP TABLE trades",
        "CREATE TABLE t (x)",
        "ATTACH 'other.sqlite' AS other",
        "VACUUM INTO 'copy.sqlite'",
    ],
)
def test_a_query_that_writes_is_refused(
    written: Any, query: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    files = set(tmp_path.iterdir())
    with pytest.raises(BadInput, match="this command only reads"):
        run_query(written.path, query)
    assert set(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "The query is empty"),
        ("SELECT * FROM fills", "no such table: fills"),
        ("SELEC 1", "syntax error"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT ?", "parameters"),
    ],
)
def test_a_query_that_cannot_run_is_explained(written: Any, query: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        run_query(written.path, query)


def test_tables_and_views_are_listed_with_their_columns(written: Any) -> None:
    listed = {name: columns for name, _, columns in tables(written.path)}
    assert set(VIEWS) < set(listed)
    assert "portfolio_value" in listed["equity_curve"]
    assert "sides" not in listed


def test_round_trips_are_exact(written: Any) -> None:
    found = run_query(
        written.path, "SELECT symbol, exit_reason, quantity, entry_price, pnl_e8, fees_e8 FROM v_round_trips"
    )
    ((symbol, reason, quantity, entry_price, pnl_e8, fees_e8),) = found.rows
    assert (symbol, reason, quantity) == ("SPY", "target", 100.0)
    assert entry_price == pytest.approx(100.022)
    sold = Decimal("103.01") * 40 + Decimal("103.03") * 60
    assert Decimal(pnl_e8).scaleb(-8) == sold - Decimal("100.01") * 40 - Decimal("100.03") * 60
    assert fees_e8 == 0
    assert run_query(written.path, "SELECT entry_ts, exit_ts FROM v_round_trips").rows == [
        ("2024-03-26T13:32:00.000Z", "2024-03-26T13:33:00.000Z")
    ]


def test_why_leads_from_the_bar_to_what_was_held(written: Any) -> None:
    """One row per order: its fills are counted and averaged, and what they left is held."""
    rows = run_query(
        written.path,
        "SELECT bar_timestamp, bar_close, signal, leg, approved, status, fill_count, average_fill_price, "
        "trade_quantity, position_after, realized_pnl, exit_reason FROM v_why "
        "WHERE signal_id = 1 AND fill_count ORDER BY order_id",
    ).rows
    bar = ("2024-03-26T13:31:00.000Z", 100.0, "enter")
    assert [row[:7] for row in rows] == [
        (*bar, "entry", 1, "FILLED", 2),
        (*bar, "target", 1, "FILLED", 1),
        (*bar, "target", 1, "FILLED", 1),
    ]
    assert rows[0][7:] == (pytest.approx(100.022), 100.0, 100.0, 0.0, "target")
    assert [row[7:11] for row in rows[1:]] == [(103.01, 40.0, 60.0, 120.0), (103.03, 60.0, 0.0, 180.0)]


def test_why_has_every_order_once_and_every_signal(written: Any) -> None:
    orders = run_query(written.path, "SELECT order_id FROM v_why WHERE order_id IS NOT NULL ORDER BY 1").rows
    assert orders == run_query(written.path, "SELECT id FROM orders ORDER BY 1").rows
    signals = run_query(written.path, "SELECT DISTINCT signal_id FROM v_why WHERE signal_id IS NOT NULL ORDER BY 1")
    assert signals.rows == run_query(written.path, "SELECT id FROM signals ORDER BY 1").rows


def test_why_names_the_first_check_that_refused(make_store: Callable[..., Any], recorded: Any) -> None:
    scenario = recorded({1: enter()})
    for minute in (0, 1):
        if minute:
            times = {"venue_ts_ns": scenario.now_ts_ns, "received_ts_ns": scenario.now_ts_ns}
            scenario.give(Pause(**times, reason="test", requested_by="tester"))
        scenario.bar(minute)
    store = make_store()
    store.write(scenario.steps)
    rows = run_query(
        store.path, "SELECT signal, approved, decision_reason, first_refusing_check, order_id, fill_count FROM v_why"
    ).rows
    assert rows == [("enter", 0, "reducing_only", "1 trading_state", None, 0)]


def test_an_orders_timeline_starts_with_its_making(written: Any) -> None:
    rows = run_query(
        written.path,
        "SELECT version, from_state, to_state, trigger FROM v_order_timeline WHERE order_id = 1 ORDER BY version",
    ).rows
    assert rows == [
        (1, None, "NEW", "created"),
        (2, "NEW", "ACK", "acknowledged"),
        (3, "ACK", "PARTIAL", "filled_in_part"),
        (4, "PARTIAL", "FILLED", "filled_in_full"),
    ]


def test_days_add_up_to_what_the_account_gained(written: Any) -> None:
    rows = run_query(written.path, "SELECT day, cash_moved, pnl, portfolio_value, trades FROM v_daily_pnl").rows
    last = queries.last_equity(written.connection, 1)
    assert last is not None
    assert len(rows) == 1
    assert rows[0][:2] == ("2024-03-26", 100_000.0)
    assert rows[0][2] == pytest.approx(float(last.equity) - 100_000.0)
    assert rows[0][4] == 5


def test_slippage_is_positive_when_adverse(written: Any) -> None:
    rows = run_query(written.path, "SELECT leg, slippage_bps, slippage FROM v_slippage ORDER BY trade_id").rows
    assert rows[0] == ("entry", pytest.approx(1.0), pytest.approx(0.4))
    assert rows[2] == ("target", 0.0, 0.0)


def test_a_marketable_limit_is_compared_with_the_last_price(
    make_store: Callable[..., Any], recorded: type[Any]
) -> None:
    from engine.core.pipeline.entries import EntryRules
    from engine.testing.scenario import enter

    rules = EntryRules(slippage_bps_max=Decimal(20))
    scenario = recorded({0: enter(), 5: enter(limit=99.5)}, entry_rules=rules)
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.10")
    scenario.fill(scenario.submitted()[2], "103.10")
    scenario.cancel(scenario.submitted()[1])
    scenario.bar(5)
    scenario.fill(scenario.submitted()[-1], "99.40")
    store = make_store()
    store.write(scenario.steps)
    rows = run_query(store.path, "SELECT order_type, reference_price, slippage_bps FROM v_slippage WHERE leg = 'entry'")
    assert rows.rows == [("limit", 100.0, pytest.approx(10.0)), ("limit", 99.5, pytest.approx(-10.0503, abs=1e-3))]


def test_open_risk_shows_what_a_stop_protects(written: Any) -> None:
    rows = run_query(
        written.path,
        "SELECT symbol, quantity, entry_price, stop_price, protected_quantity, is_exposed FROM v_open_risk",
    ).rows
    assert rows == [("SPY", 99.0, 100.5, 99.0, 99.0, 0)]


def test_vetoes_name_the_check_that_refused(make_store: Callable[..., Any], recorded: type[Any]) -> None:
    from engine.core.messages import Kill
    from engine.testing.scenario import OPEN_TS_NS, enter

    scenario = recorded({1: enter()})
    scenario.give(Kill(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS, reason="test", requested_by="me"))
    scenario.bar(0)
    scenario.bar(1)
    store = make_store()
    store.write(scenario.steps)
    ((reason, checks),) = run_query(store.path, "SELECT reason, failed_checks FROM v_vetoes").rows
    assert reason == "halted"
    assert "trading_state: HALTED against ACTIVE" in checks


def test_status_tells_orders_positions_states_and_prices(written: Any) -> None:
    connection = written.connection
    orders = queries.open_orders(connection, 1)
    assert {order.leg for order in orders} == {"stop", "target"}
    assert orders[0].quantity == 99
    (position,) = queries.positions(connection, 1, held_only=True)
    assert (position.quantity, position.average_entry_price) == (Decimal(99), 100.5)
    states = queries.trading_states(connection, 1)
    assert states[None, 1][0] is TradingState.HALTED
    assert queries.last_prices(connection, 1) == {"SPY": ("2024-03-26T13:38:00.000Z", 100.125)}
    assert queries.counts(connection, 1)["bars"] == 9
    status = queries.account_status(connection)
    assert status is not None
    assert (status["account"], status["bars"], status["fills"], status["round_trips"]) == ("main", 9, 5, 1)
    assert status["market_time"] == "2024-03-26T13:38:00.000Z"


def test_runs_are_told_apart(make_store: Callable[..., Any]) -> None:
    connection = make_store().connection
    about: dict[str, Any] = {
        "kind": RunKind.BACKTEST,
        "strategy": "scripted:Scripted",
        "parameters": {"b": 1, "a": Decimal("0.5")},
        "risk_hash": "r",
        "data_fingerprint": "d",
        "exit_style": "both_legs",
        "settings": {"fees": "none"},
    }
    first = start_run(connection, 1, **about, started_ts_ns=1)
    second = start_run(connection, 1, **about, started_ts_ns=2)
    finish_run(connection, second, status=RunStatus.FINISHED, finished_ts_ns=3)
    assert connection.execute("SELECT id, status FROM runs").fetchall() == [
        (first, "interrupted"),
        (second, "finished"),
    ]
    last = queries.last_run(connection, 1)
    assert last is not None
    assert (last.run_id, last.parameters) == (second, '{"a":"0.5","b":1}')


def test_an_account_keeps_its_namespace(make_store: Callable[..., Any]) -> None:
    store = make_store()
    again = open_account(store.connection, "main", namespace=UUID(int=7), opened_ts_ns=5)
    assert again == store.account == find_account(store.connection, "main")
    assert find_account(store.connection, "other") is None


def test_an_id_never_comes_to_mean_something_else(make_store: Callable[..., Any]) -> None:
    connection = make_store().connection
    register_instruments(connection, 1, [instrument_from_symbol("SPY", 1)])
    with pytest.raises(BadInput, match="has QQQ in its table instruments with other values"):
        register_instruments(connection, 1, [instrument_from_symbol("QQQ", 1)])
    with pytest.raises(BadInput, match="has scripted in its table strategies with other values"):
        register_strategy(connection, 1, StrategyId("scripted"), import_string="other:Other", parameters={})
    assert connection.execute("SELECT symbol FROM instrument_symbols").fetchall() == [("SPY",)]
