"""A database that no engine may open for writing: one sentence, the right exit code, and every file as it was."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.main import guarded
from engine.store.connection import EngineLock
from engine.testing.bad_databases import BAD_DATABASES, files_of, run_sql

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def traded(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trade six sessions of bars once; tests spoil copies."""
    database = tmp_path_factory.mktemp("traded") / "x.sqlite"
    assert guarded(["run", "--bars", str(market / "bars.csv"), "--speed", "0", "--db", str(database)]) == 0
    return database


@pytest.fixture
def copy(traded: Path, tmp_path: Path) -> Path:
    for name in ("x.sqlite", "x.sqlite.venue"):
        shutil.copy(traded.with_name(name), tmp_path / name)
    return tmp_path / "x.sqlite"


def _refused(ratchet: Run, *arguments: object, code: int) -> str:
    shown = ratchet(*arguments)
    assert shown.code == code, (shown.out, shown.err)
    assert "Traceback" not in shown.err + shown.out
    assert shown.err.startswith("ratchet: ")
    assert shown.err.count("\n") == 1, shown.err
    assert shown.err.rstrip().endswith(".")
    return str(shown.err)


@pytest.mark.parametrize("name", BAD_DATABASES)
def test_no_engine_starts_on_a_bad_database(ratchet: Run, market: Path, copy: Path, name: str) -> None:
    spoil, said, code = BAD_DATABASES[name]
    spoil(copy)
    before = files_of(copy.parent)
    for command in (("run", "--speed", "0"), ("backtest", "s1_vwap_ema", "--append")):
        sentence = _refused(ratchet, *command, "--bars", market / "bars.csv", "--db", copy, code=code)
        assert said in sentence
        assert str(copy) in sentence
        assert files_of(copy.parent) == before


@pytest.mark.parametrize("name", BAD_DATABASES)
def test_nobody_else_opens_a_bad_database_for_writing(ratchet: Run, copy: Path, name: str) -> None:
    spoil, said, code = BAD_DATABASES[name]
    spoil(copy)
    before = files_of(copy.parent)
    for command in (("db", "upgrade"), ("kill",)):
        if command == ("kill",) and not copy.exists():
            said, code = "does not exist", 2
        sentence = _refused(ratchet, *command, "--db", copy, code=code)
        assert said in sentence
        assert str(copy) in sentence
        assert files_of(copy.parent) == before


def test_a_second_engine_is_refused(ratchet: Run, market: Path, copy: Path) -> None:
    before = files_of(copy.parent)
    with EngineLock(copy):
        sentence = _refused(ratchet, "run", "--bars", market / "bars.csv", "--speed", "0", "--db", copy, code=4)
    assert "Another engine" in sentence
    assert files_of(copy.parent) == before


def test_a_clock_that_went_back_is_refused(ratchet: Run, market: Path, copy: Path) -> None:
    run_sql(copy, f"UPDATE leases SET renewed_ts_ns = {time.time_ns() + 3_600_000_000_000}")
    before = files_of(copy.parent)
    sentence = _refused(ratchet, "run", "--bars", market / "bars.csv", "--speed", "0", "--db", copy, code=2)
    assert "set the clock of this machine" in sentence
    assert files_of(copy.parent) == before


def test_a_sound_one_goes_on(ratchet: Run, market: Path, copy: Path) -> None:
    shown = ratchet("run", "--bars", market / "bars.csv", "--speed", "0", "--db", copy)
    assert shown.code == 0, shown.err
