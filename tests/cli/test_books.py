"""`ratchet books`: what a user sees of cash, lots and the double entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def database(ratchet: Any, market: Path, tmp_path: Path) -> Path:
    path = tmp_path / "x.sqlite"
    outcome = ratchet(
        "backtest", "s1_vwap_ema", "--bars", str(market / "bars.csv"), "--db", str(path), "--fees", "robinhood"
    )
    assert outcome.code == 0, outcome.err
    return path


def test_the_books_balance_on_the_screen_and_as_json(ratchet: Any, database: Path) -> None:
    shown = ratchet("books", "--db", str(database))
    assert shown.code == 0, shown.err
    assert "Double entry: balances" in shown.out
    assert "Realized by lot" in shown.out
    assert ratchet("db", "check", "--db", database).code == 0
    books = ratchet("books", "--db", str(database), "--json").json
    assert books["debits"] == books["credits"]
    assert float(books["cash"]) == pytest.approx(float(books["cash_settled"]) + float(books["cash_unsettled"]))
    assert set(books["fees_by_kind"]) <= {"sec", "taf"}
    assert sum(float(lot["realized_pnl"]) for lot in books["realized_lots"]) == pytest.approx(
        float(books["realized_pnl"])
    )


def test_the_books_before_anything_happened_are_empty(ratchet: Any, database: Path) -> None:
    books = ratchet("books", "--db", str(database), "--at", "2000-01-03", "--json").json
    assert (float(books["cash"]), books["positions"], books["realized_lots"]) == (0, [], [])


def test_an_account_that_is_not_there_is_named(ratchet: Any, database: Path) -> None:
    outcome = ratchet("books", "--db", str(database), "--account", "mine")
    assert outcome.code == 2
    assert "The account 'mine' is not in the database: it has backtest-1." in outcome.err
