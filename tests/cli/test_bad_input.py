"""Bad input: one sentence that names the thing, the value and the remedy; an exit code; and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store.connection import EngineLock, open_writer

Run = Callable[..., Any]
Cells = dict[str, object]

_ROW: Cells = {
    "symbol": "SPY",
    "ts": "2025-01-02T14:30:00Z",
    "open": 10.0,
    "high": 11.0,
    "low": 9.0,
    "close": 10.5,
    "volume": 100,
}


def _csv(path: Path, rows: list[Cells]) -> Path:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _minute(number: int, **changes: object) -> Cells:
    return _ROW | {"ts": f"2025-01-02T14:{30 + number}:00Z"} | changes


def assert_one_sentence(shown: Any, *parts: object, code: int = 2) -> None:
    """Hold that a command failed with one sentence that has these parts."""
    assert shown.code == code, (shown.out, shown.err)
    assert "Traceback" not in shown.err + shown.out
    assert shown.err.startswith("ratchet: ")
    assert shown.err.count("\n") == 1, shown.err
    assert shown.err.rstrip().endswith(".")
    for part in parts:
        assert str(part) in shown.err, shown.err


# --- market files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([_minute(0), _minute(1, open="nan")], ("open", "nan", "row 2", "drop the row")),
        ([_minute(0), _minute(1, high="inf")], ("high", "inf", "row 2")),
        ([_minute(0, low=0)], ("low", "0.0", "row 1")),
        ([_minute(0, close=-10.5)], ("close", "-10.5", "row 1")),
        ([_minute(0, volume=-1)], ("volume", "-1.0", "row 1")),
        ([_minute(0, high=8.5)], ("high", "8.5", "below the low")),
        ([_minute(0, close=11.5)], ("close", "11.5", "outside low and high")),
        ([_minute(0, open="ten")], ("open", "'ten'", "no number")),
        ([_minute(0, open="")], ("open", "row 1")),
        ([_minute(0, symbol="")], ("symbol", "row 1")),
        ([_minute(1), _minute(0)], ("ts", "2025-01-02T14:30:00Z", "row 2", "sort the file by ts")),
        ([_minute(0), _minute(0)], ("ts", "row 1 holds already", "drop one")),
        ([_minute(0, ts="2025-01-02T14:30:00")], ("ts", "2025-01-02T14:30:00", "no time with a zone", "write UTC")),
        ([_minute(0, ts="yesterday")], ("ts", "yesterday", "write UTC")),
        ([_minute(0, ts="2025-01-02T14:30:30Z")], ("ts", "14:30:30", "whole minute")),
        (
            [_minute(0, ts="1950-01-03T14:30:00Z")],
            ("bars of SPY", "1950-01-03T14:30:00Z", "calendar XNYS", "check the column ts"),
        ),
        ([_minute(0, ts="2150-01-03T14:30:00Z")], ("bars of SPY", "2150-01-03T14:30:00Z", "check the column ts")),
        ([_minute(0, ts="2950-01-03T14:30:00Z")], ("ts", "2950")),
        ([{key: value for key, value in _ROW.items() if key != "close"}], ("no column close", "name its columns")),
    ],
)
def test_a_wrong_row_is_named(ratchet: Run, tmp_path: Path, rows: list[Cells], parts: tuple[str, ...]) -> None:
    bars, database = _csv(tmp_path / "mine.csv", rows), tmp_path / "never.sqlite"
    shown = ratchet("backtest", "s1_vwap_ema", "--bars", bars, "--db", database, "--json")
    assert_one_sentence(shown, *parts)
    assert str(bars) in shown.err or "bars of SPY" in shown.err
    assert shown.out == ""
    assert not database.exists()


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("missing.csv", None, ("missing.csv", "does not exist", "check the path")),
        ("empty.csv", b"", ("empty.csv", "cannot be read")),
        ("header.csv", ",".join(_ROW).encode() + b"\n", ("header.csv", "no rows")),
        ("noise.parquet", b"\x00\x01noise" * 99, ("noise.parquet", "cannot be read")),
        ("latin.csv", ",".join(_ROW).encode() + b"\n\xff\xfe,x\n", ("latin.csv", "cannot be read")),
        ("bars.xlsx", b"PK", ("bars.xlsx", "rename it")),
    ],
)
def test_a_file_that_is_no_market_file(
    ratchet: Run, tmp_path: Path, name: str, content: bytes | None, parts: tuple[str, ...]
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for command in (
        ("backtest", "s1_vwap_ema", "--bars", path),
        ("run", "--ticks", path),
        ("bars", "build", "--quotes", path, "--out", tmp_path / "out.csv"),
        ("strategy", "check", "s1_vwap_ema", "--bars", path),
    ):
        shown = ratchet(*command)
        assert_one_sentence(shown, *(parts if name not in {"header.csv", "latin.csv"} else parts[:1]))
    assert [each.name for each in tmp_path.iterdir()] == ([name] if content is not None else [])


def test_a_folder_is_no_file(ratchet: Run, tmp_path: Path) -> None:
    assert_one_sentence(ratchet("backtest", "s1_vwap_ema", "--bars", tmp_path), tmp_path, "no file")
    assert_one_sentence(ratchet("sql", "--db", tmp_path, "SELECT 1"), tmp_path)
    assert_one_sentence(ratchet("config", "check", "--risk", tmp_path), tmp_path, "--risk")


# --- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--symbol", "QQQ"], ("QQQ", "choose among SYNTH")),
        (["--param", "fast=9"], ("fast", "fast_period")),
        (["--param", "fast_period=nine"], ("fast_period", "nine")),
        (["--param", "fast_period=30"], ("fast_period", "slow_period")),
        (["--param", "fast_period=-1"], ("fast_period", "-1")),
        (["--param", "stop_atr=nan"], ("stop_atr", "nan")),
        (["--param", "fast_period"], ("fast_period", "name=value")),
        (["--cash", "abc"], ("--cash", "'abc'", "--cash 5")),
        (["--cash", "0"], ("--cash", "'0'", "above zero")),
        (["--cash", "1e400"], ("--cash", "'1e400'", "below")),
        (["--cash", "100000000000"], ("--cash", "below 90,000,000,000")),
        (["--cash", "0.123456789"], ("--cash", "eight decimals")),
        (["--slippage-bps", "10000"], ("10000 bps", "small positive number")),
        (["--slippage-bps", "-1"], ("--slippage-bps", "'-1'", "at or above zero")),
        (["--slippage-bps", "inf"], ("--slippage-bps", "'inf'")),
        (["--fees", "nonsense"], ("nonsense", "robinhood")),
        (["--calendar", "nonsense"], ("nonsense", "XNYS")),
        (["--trades-out", "trips.xlsx"], ("trips.xlsx", ".csv", ".parquet")),
        (["--trades-out", "no/such/folder/trips.csv"], ("no/such/folder", "make it")),
        (["--risk", "none.yaml"], ("none.yaml", "--risk")),
        (["--db", "no/such/folder/x.sqlite"], ("no/such/folder", "make it")),
    ],
)
def test_a_wrong_option_is_named(ratchet: Run, market: Path, tmp_path: Path, options: list[str], parts: Any) -> None:
    arguments = ["--db", "never.sqlite", *options] if "--db" not in options else options
    shown = ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--json", *arguments)
    assert_one_sentence(shown, *parts)
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == [], "a refused command left a file"


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--until", "garbage"], ("garbage", "2025-01-03T18:00Z")),
        (["--speed", "fast"], ("--speed", "'fast'")),
        (["--speed", "-1"], ("--speed", "'-1'")),
        (["--speed", "nan"], ("--speed", "'nan'")),
        (["--seed", "-1"], ("--seed", "'-1'")),
        (["--seed", "x"], ("--seed", "'x'")),
        (["--bars", "b.csv", "--ticks", "t.csv"], ("bars", "ticks", "name one")),
        (["--strategy", "s1"], ("'s1'", "s1_vwap_ema")),
        (["--symbol", ""], ("symbol",)),
        (["--calendar", "24/7"], ("--calendar", "--bars")),
        (["--log-file", "no/such/folder/x.log"], ("no/such/folder/x.log",)),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_file(
    ratchet: Run, tmp_path: Path, options: list[str], parts: tuple[str, ...]
) -> None:
    assert_one_sentence(ratchet("run", "--speed", "0", *options), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["bactest"], ("bactest", "backtest", "ratchet --help")),
        (["backtest"], ("strategy", "ratchet backtest --help")),
        (["backtest", "s1_vwap_ema"], ("--bars", "ratchet backtest --help")),
        (["run", "--fast"], ("--fast", "ratchet run --help")),
        (["sql", "--limit"], ("--limit",)),
        (["status", "extra"], ("extra",)),
        (["bars", "build", "--out", "x.csv"], ("--ticks", "--quotes", "--bars")),
        (["bars", "build", "--out", "x.csv", "--ticks", "a", "--bars", "b"], ("2 sources", "--ticks")),
    ],
)
def test_a_command_that_is_written_wrong(ratchet: Run, arguments: list[str], parts: tuple[str, ...]) -> None:
    assert_one_sentence(ratchet(*arguments), *parts)


@pytest.mark.parametrize(
    ("name", "source", "parts"),
    [
        ("absent", None, ("'absent'", "s1_vwap_ema")),
        ("broken", "def (", ("'broken'", "SyntaxError")),
        ("needy", "import no_such_library\n", ("no_such_library", "not installed")),
        ("hollow", "x = 1\n", ("hollow", "module:Class")),
        ("s1_vwap_ema:Wrong", None, ("Wrong", "S1VwapEma")),
    ],
)
def test_a_strategy_that_is_none(
    ratchet: Run, market: Path, tmp_path: Path, name: str, source: str | None, parts: tuple[str, ...]
) -> None:
    if source is not None:
        (tmp_path / "strategies").mkdir()
        (tmp_path / "strategies" / f"{name}.py").write_text(source, encoding="utf-8")
    shown = ratchet("backtest", name, "--bars", market / "bars.csv")
    assert_one_sentence(shown, *parts)


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sizing: [1, 2\n", ("line 2", "not valid YAML")),
        ("sizing:\n\trisk_fraction: 1\n", ("line 2", "not valid YAML")),
        ("daily_los_cap: 0.1\n", ("unknown key daily_los_cap", "remove it")),
        ("sizing:\n  risk: 0.1\n", ("sizing.risk",)),
        ("daily_loss_cap: 3\n", ("daily_loss_cap", "3", "less than or equal to 1")),
        ("daily_loss_cap: lots\n", ("daily_loss_cap", "'lots'")),
        ("max_positions: 0\n", ("max_positions", "0")),
        ("daily_loss_cap: .nan\n", ("daily_loss_cap", "nan")),
        ("- a list\n", ("risk.yaml",)),
        ("just words\n", ("risk.yaml",)),
        ("\x00\x01", ("risk.yaml",)),
        ("\udcff", ("risk.yaml",)),
    ],
)
def test_a_wrong_setting_is_named(ratchet: Run, tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "risk.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert_one_sentence(ratchet("config", "check"), "risk.yaml", *parts)
    assert_one_sentence(ratchet("run", "--speed", "0"), "risk.yaml", *parts)
    assert [each.name for each in tmp_path.iterdir()] == ["risk.yaml"]


# --- databases ---------------------------------------------------------------------------------------------------

_READERS: list[tuple[str, ...]] = [("status",), ("sql", "SELECT 1"), ("sql",), ("db", "check")]
_OPERATORS: list[tuple[str, ...]] = [("pause",), ("resume",), ("kill",), ("flatten",)]


@pytest.fixture
def database(ratchet: Run, market: Path, tmp_path: Path) -> Path:
    """Keep one backtest."""
    path = tmp_path / "kept.sqlite"
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--db", path).code == 0
    return path


@pytest.mark.parametrize("command", _READERS + _OPERATORS, ids=" ".join)
def test_an_unknown_database_is_not_made(ratchet: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert_one_sentence(ratchet(*command, "--db", "absent.sqlite"), "absent.sqlite", "does not exist", "--db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [*_READERS[:2], *_READERS[3:], *_OPERATORS, ("db", "upgrade"), ("run",)], ids=" ".join
)
def test_a_file_that_is_no_database_is_left_alone(ratchet: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 99, encoding="utf-8")
    assert_one_sentence(ratchet(*command, "--db", path), path, "not a SQLite database", "name another file")
    assert path.read_text(encoding="utf-8") == "dear diary, " * 99


@pytest.mark.parametrize(
    "command", [("status",), ("db", "check"), ("db", "upgrade"), ("kill",), ("run",)], ids=" ".join
)
def test_a_newer_database_is_left_alone(ratchet: Run, database: Path, command: tuple[str, ...]) -> None:
    connection = open_writer(database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert_one_sentence(ratchet(*command, "--db", database), database, "9999", "install a newer version")


def test_the_database_of_another_program_is_left_alone(ratchet: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = open_writer(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    for command in (("run",), ("status",), ("db", "upgrade"), ("db", "check")):
        assert_one_sentence(ratchet(*command, "--db", path), path, "recipes", "name another file")


@pytest.mark.parametrize("command", [*_OPERATORS, ("run", "--speed", "0")], ids=" ".join)
def test_a_backtest_is_nothing_to_steer(ratchet: Run, database: Path, command: tuple[str, ...]) -> None:
    assert_one_sentence(ratchet(*command, "--db", database), database)
    assert ratchet("db", "check", "--db", database).code == 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = open_writer(path)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_locked_database_means_later(ratchet: Run, market: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("engine.store.connection.BUSY_TIMEOUT_SECONDS", 0.1)
    path = tmp_path / "busy.sqlite"
    assert ratchet("db", "upgrade", "--db", path).code == 0
    with _locked(path):
        for command in (("run",), ("backtest", "s1_vwap_ema", "--bars", market / "bars.csv"), ("db", "upgrade")):
            assert_one_sentence(ratchet(*command, "--db", path), path, "locked", "try again", code=4)
    with EngineLock(path):
        for command in (("run",), ("backtest", "s1_vwap_ema", "--bars", market / "bars.csv"), ("db", "upgrade")):
            shown = ratchet(*command, "--db", path)
            assert_one_sentence(shown, path, f"process {os.getpid()}", "stop it", code=4)
    assert ratchet("db", "check", "--db", path).code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_folder_is_named(ratchet: Run, market: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o555)
    for command in (("run",), ("backtest", "s1_vwap_ema", "--bars", market / "bars.csv"), ("db", "upgrade")):
        assert_one_sentence(ratchet(*command, "--db", folder / "x.sqlite"), folder, "permissions")
    trips = folder / "trips.csv"
    shown = ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--trades-out", trips)
    assert_one_sentence(shown, trips)


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("DELETE FROM trades", ("would write", "SELECT")),
        ("DROP TABLE trades", ("would write",)),
        ("ATTACH 'other.sqlite' AS other", ("would write",)),
        ("VACUUM INTO 'copy.sqlite'", ()),
        ("PRAGMA journal_mode=DELETE", ()),
        ("SELECT * FROM no_such_table", ("no_such_table",)),
        ("SELEC 1", ("SELEC",)),
        ("SELECT 1; SELECT 2", ("one statement",)),
        ("SELECT ?", ("without parameters",)),
        ("", ("empty", "SELECT")),
    ],
)
def test_a_query_that_cannot_run(ratchet: Run, database: Path, query: str, parts: tuple[str, ...]) -> None:
    before = sorted(each.name for each in database.parent.iterdir() if not each.name.endswith(("-wal", "-shm")))
    shown = ratchet("sql", "--db", database, query)
    assert_one_sentence(shown, *parts)
    after = sorted(each.name for each in database.parent.iterdir() if not each.name.endswith(("-wal", "-shm")))
    assert after == before
    assert ratchet("db", "check", "--db", database).code == 0


# --- interruptions -----------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_backtest_with_a_sentence(start: Run, ratchet: Run, market: Path, tmp_path: Path) -> None:
    database = tmp_path / "long.sqlite"
    bars = tmp_path / "long.csv"
    # Many symbols make a small file a long run.
    lines = (market / "bars.csv").read_text(encoding="utf-8").splitlines()
    with bars.open("w", encoding="utf-8") as file:
        file.write(lines[0] + "\n")
        for number in range(20):
            file.writelines(line.replace("SYNTH", f"S{number}") + "\n" for line in lines[1:])
    process = start("backtest", "s1_vwap_ema", "--bars", bars, "--db", database)
    # Its write-ahead log grows with the first batch of steps that is committed.
    log = tmp_path / "long.sqlite-wal"
    while process.poll() is None and not (log.exists() and log.stat().st_size > 1_000_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == "ratchet: Interrupted; everything that was journaled is kept.\n"
    assert ratchet("db", "check", "--db", database).code == 0
