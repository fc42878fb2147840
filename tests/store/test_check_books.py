"""What does not balance any more is found, and by which of the proofs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.store.check import check_database


@pytest.fixture
def tampered(make_store: Callable[..., Any], history: Any) -> Callable[[str], set[str]]:
    """Return a changer of a written history, without its triggers, that tells which checks find something."""

    def change(statement: str) -> set[str]:
        store = make_store()
        store.write(history)
        assert check_database(store.path).findings == ()
        for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            store.rows(f"DROP TRIGGER {name}")
        store.rows(statement)
        return {finding.check for finding in check_database(store.path).findings} - {"journal", "triggers"}

    return change


@pytest.mark.parametrize(
    ("statement", "checks"),
    [
        ("UPDATE lot_closures SET cost_e8 = cost_e8 + 1 WHERE id = 1", {"double entry"}),
        ("UPDATE lot_closures SET realized_pnl_e8 = realized_pnl_e8 + 1 WHERE id = 1", {"lots"}),
        ("UPDATE lot_closures SET quantity_e8 = 100 * quantity_e8 WHERE id = 1", {"lots"}),
        ("DELETE FROM lot_closures WHERE id = 1", {"lots", "double entry"}),
        ("UPDATE trades SET realized_pnl_e8 = realized_pnl_e8 + 1 WHERE side = 'sell'", {"lots", "double entry"}),
        (
            "INSERT INTO trade_fees (account_id, step_id, trade_id, kind, amount_e8, ts_ns) VALUES (1,5,1,'x',3,0)",
            {"lots"},
        ),
        ("UPDATE cash_movements SET amount_e8 = amount_e8 + 1", {"equity"}),
    ],
)
def test_books_that_were_changed_are_found(
    tampered: Callable[[str], set[str]], statement: str, checks: set[str]
) -> None:
    assert checks <= tampered(statement)


def test_every_step_of_a_history_balances(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    steps = store.rows("SELECT sum(debit_e8), sum(credit_e8) FROM journal_entries GROUP BY step_id")
    assert steps
    assert all(debit == credit for debit, credit in steps)
    accounts = {row[0] for row in store.rows("SELECT DISTINCT account FROM journal_entries")}
    assert {"cash", "securities", "realized gain", "capital"} <= accounts


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        (
            "document_b_positions",
            "id, symbol, quantity, avg_entry_price, current_price, unrealized_pnl, strategy, created_at, updated_at",
        ),
        ("document_c_positions", "symbol, quantity, average_entry_price"),
        ("document_e_positions", "id, symbol, quantity, entry_price, entry_date, exit_price, exit_date, pnl, status"),
    ],
)
def test_positions_are_there_under_other_names(
    make_store: Callable[..., Any], history: Any, view: str, columns: str
) -> None:
    store = make_store()
    store.write(history)
    rows = store.rows(f"SELECT {columns} FROM {view}")
    assert rows
    if view == "document_e_positions":
        assert {row[-1] for row in rows} == {"open", "closed"}
    else:
        (held,) = store.rows("SELECT quantity FROM positions")
        assert rows[0][columns.split(", ").index("quantity")] == held[0]
