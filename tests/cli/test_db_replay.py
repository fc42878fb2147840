"""`ratchet db replay` says whether the tables are what the journal makes, to people and to programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.store.connection import open_writer

Run = Callable[..., Any]


@pytest.fixture
def kept(ratchet: Run, market: Path, tmp_path: Path) -> Path:
    """Keep one backtest in a database."""
    database = tmp_path / "kept.sqlite"
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--db", database, "--json").code == 0
    return database


@pytest.fixture
def tampered(kept: Path) -> Path:
    connection = open_writer(kept)
    connection.execute("UPDATE orders SET filled_quantity_e8 = 1 WHERE id = 2")
    connection.close()
    return kept


def test_a_true_file_is_said_to_be_one(ratchet: Run, kept: Path) -> None:
    shown = ratchet("db", "replay", "--db", kept)
    assert (shown.code, shown.err) == (0, "")
    assert "backtest-1: " in shown.out
    assert f"{kept} is what its journal makes" in shown.out
    told = ratchet("db", "replay", "--db", kept, "--account", "1", "--json").json
    assert (told["same"], told["first_difference"], told["not_replayed"]) == (True, None, {})
    assert told["accounts"][0]["rows"]["bars"] == 6 * 390


def test_the_first_row_that_differs_is_named(ratchet: Run, tampered: Path) -> None:
    shown = ratchet("db", "replay", "--db", tampered)
    # As `ratchet db check`: a check did not hold, a human has to look.
    assert shown.code == 3
    assert "The first row that differs: orders, id 2 (step " in shown.err
    assert "filled_quantity_e8 is 1, the replay makes " in shown.err
    told = ratchet("db", "replay", "--db", tampered, "--json")
    assert told.code == 3
    first = told.json["first_difference"]
    assert (first["table"], first["key"], first["column"], first["stored"]) == (
        "orders",
        "id 2",
        "filled_quantity_e8",
        1,
    )


def test_the_help_names_the_exit_code_of_a_difference(ratchet: Run) -> None:
    assert "Exit code 3 if one does" in " ".join(ratchet("db", "replay", "--help").out.split())


def test_a_wrong_account_is_one_sentence(ratchet: Run, kept: Path) -> None:
    shown = ratchet("db", "replay", "--db", kept, "--account", "9")
    assert shown.code == 2
    assert shown.err.count("\n") == 1
    assert "has no account '9': give one of 1 (backtest-1)." in shown.err
