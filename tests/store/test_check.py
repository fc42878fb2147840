"""`db check` finds what was changed by hand, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.core.messages import EMPTY_STEP, Pause, Step, Tick
from engine.store.accounts import finish_run, start_run
from engine.store.check import check_database
from engine.store.vocabulary import RunKind, RunStatus
from engine.testing.scenario import OPEN_TS_NS, SPY

_OPERATOR: dict[str, Any] = {
    "venue_ts_ns": 2**61,
    "received_ts_ns": 2**61,
    "reason": "test",
    "requested_by": "tester",
    "strategy_id": None,
    "instrument_id": None,
}
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
    assert all(finding.account == "main" for finding in report.findings if finding.check != "triggers")


def _ended_run(store: Any) -> None:
    about: dict[str, Any] = {
        "strategy": "x:X",
        "parameters": {},
        "risk_hash": "r",
        "data_fingerprint": "d",
        "settings": {},
    }
    run = start_run(store.connection, 1, kind=RunKind.PAPER, exit_style="both_legs", started_ts_ns=1, **about)
    finish_run(store.connection, run, status=RunStatus.FINISHED, finished_ts_ns=2)


def test_steps_cut_off_at_the_end_of_a_run_are_found(make_store: Callable[..., Any], history: Any) -> None:
    """I-16: the chain cannot see its own missing end, but the run noted it."""
    store = make_store()
    # A history that ends with a step of which nothing but its input is written.
    store.write([*history, (Pause(**_OPERATOR), EMPTY_STEP)])
    _ended_run(store)
    assert check_database(store.path).is_sound
    count = len(history) + 1
    assert store.rows("SELECT final_step FROM runs") == [(count,)]
    store.rows("DROP TRIGGER inputs_no_delete")
    store.rows(f"DELETE FROM inputs WHERE id = {count}")
    dropped, cut = check_database(store.path).findings
    assert str(dropped) == "triggers: the trigger inputs_no_delete is missing or another: rows it keeps may be changed"
    assert f"a run ended with step {count} and the journal ends with step {count - 1}" in cut.message
    assert (cut.check, cut.account, cut.step) == ("journal", "main", count)


def test_another_end_than_a_run_noted_is_found(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    _ended_run(store)
    store.rows("UPDATE runs SET final_hash = zeroblob(32)")
    assert [finding.step for finding in check_database(store.path).findings] == [len(history)]


def test_steps_that_no_run_made_are_found(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history[:5])
    _ended_run(store)
    journal = store.journal()
    for event, step in history[5:]:
        journal.append(event, step)
    journal.commit()
    assert [finding.step for finding in check_database(store.path).findings] == [6]
    _ended_run(store)
    assert check_database(store.path).is_sound


@pytest.mark.parametrize("trigger", ["trades_no_update", "orders_no_delete"])
def test_a_dropped_trigger_is_found(make_store: Callable[..., Any], trigger: str) -> None:
    store = make_store()
    store.rows(f"DROP TRIGGER {trigger}")
    (finding,) = check_database(store.path).findings
    assert (finding.check, trigger in finding.message) == ("triggers", True)


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


def test_a_print_that_is_stepped_after_a_later_one_is_found(make_store: Callable[..., Any]) -> None:
    """Reports may be heard late; a feed never goes back."""
    store = make_store()
    ticks = [
        Tick(instrument_id=SPY, price=100.0, size=1.0, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)
        for ts_ns in (OPEN_TS_NS, OPEN_TS_NS + 7, OPEN_TS_NS + 7, OPEN_TS_NS + 5)
    ]
    store.write([(tick, Step((), ())) for tick in ticks])
    (finding,) = check_database(store.path).findings
    assert (finding.check, finding.step) == ("journal", 4)
    assert finding.message == "step 4 (Tick) was received before step 3, which stands before it"
