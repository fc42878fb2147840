"""`db check` finds what was changed by hand, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.store.check import check_database

_FIRST = "rowid = (SELECT min(rowid) FROM {table})"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("inputs", "received_ts_ns = received_ts_ns + 1"),
        ("inputs", "payload = replace(payload, '1', '2')"),
        ("inputs", "hash = zeroblob(32)"),
        ("commands", "payload = '{}'"),
        ("bars", "close = close + 0.0000001"),
        ("bars", "complete = 0"),
        ("signals", "indicator_values = '[]'"),
        ("decisions", "checks = '[]'"),
        ("decisions", "approved = 0"),
        ("brackets", "stop_distance = '9.5'"),
        ("bracket_events", "exit_reason = 'luck'"),
        ("orders", "quantity_e8 = quantity_e8 + 1"),
        ("order_events", "reason = 'luck'"),
        ("trades", "price_e10 = price_e10 + 1"),
        ("trades", "symbol = 'QQQ'"),
        ("cash_movements", "amount_e8 = amount_e8 + 1"),
        ("equity_curve", "equity_e8 = equity_e8 + 1"),
        ("trading_states", "reason = 'luck'"),
    ],
)
def test_a_changed_row_is_found_at_its_step(
    make_store: Callable[..., Any], history: Any, table: str, change: str
) -> None:
    store = make_store()
    store.write(history, batch=4096)
    assert check_database(store.path).findings == ()
    where, step = _first_row(store, table)
    _drop_triggers(store)
    store.rows(f"UPDATE {table} SET {change} WHERE {where}")
    findings = check_database(store.path).findings
    found = {finding.step for finding in findings if finding.check == "journal"}
    # The stored hash seeds the next step, so a false one shows there too.
    assert found == ({step, step + 1} if "hash" in change else {step})


def _first_row(store: Any, table: str) -> tuple[str, int]:
    if table == "inputs":
        return "id = 1", 1
    if table in ("bars", "equity_curve"):
        (step,) = store.rows(f"SELECT min(step_id) FROM {table}")[0]
        return f"step_id = {step}", step
    number, step = store.rows(f"SELECT id, step_id FROM {table} ORDER BY id LIMIT 1")[0]
    return f"id = {number}", step


def _drop_triggers(store: Any) -> None:
    for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
        store.rows(f"DROP TRIGGER {name}")
    store.rows("PRAGMA foreign_keys = OFF")


@pytest.mark.parametrize("table", ["trades", "bars", "order_events", "commands", "equity_curve"])
def test_a_removed_row_is_found_at_its_step(make_store: Callable[..., Any], history: Any, table: str) -> None:
    store = make_store()
    store.write(history)
    where, step = _first_row(store, table)
    _drop_triggers(store)
    store.rows(f"DELETE FROM {table} WHERE {where}")
    assert step in {finding.step for finding in check_database(store.path).findings}


def test_a_removed_step_is_found(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    _drop_triggers(store)
    store.rows("DELETE FROM inputs WHERE id = 5")
    messages = [str(finding) for finding in check_database(store.path).findings]
    assert any("step 5 is missing" in message for message in messages)
    assert any(message.startswith("foreign keys") for message in messages)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("UPDATE orders SET status = 'ACK' WHERE id = 1", "orders"),
        ("UPDATE orders SET filled_quantity_e8 = 1 WHERE id = 1", "orders"),
        ("UPDATE brackets SET state = 'EXITING' WHERE id = 1", "brackets"),
        ("UPDATE positions SET quantity_e8 = quantity_e8 + 1", "positions"),
        ("UPDATE positions SET cost_e8 = cost_e8 + 1", "positions"),
        ("UPDATE positions SET realized_pnl_e8 = realized_pnl_e8 + 1", "positions"),
        ("DELETE FROM positions", "positions"),
        ("UPDATE cash_movements SET amount_e8 = 1", "equity"),
        ("UPDATE trades SET value_e8 = value_e8 + 1 WHERE id = 2", "trades"),
    ],
)
def test_books_that_do_not_follow_are_found(
    make_store: Callable[..., Any], history: Any, change: str, check: str
) -> None:
    store = make_store()
    store.write(history)
    _drop_triggers(store)
    store.rows(change)
    report = check_database(store.path)
    assert not report.is_sound
    assert check in {finding.check for finding in report.findings}
    assert all(finding.account == "main" for finding in report.findings)


def test_a_damaged_page_is_found(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    root = int(store.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'trades_by_order_id'")[0][0])
    store.connection.close()
    with store.path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 8 + 2)
        file.write(b"\x00\x00")
    findings = check_database(store.path).findings
    assert "integrity" in {finding.check for finding in findings}


def test_a_missing_database_is_named(tmp_path: Any) -> None:
    with pytest.raises(BadInput, match="no database at"):
        check_database(tmp_path / "none.sqlite")
