"""Every command does what its help and the README say."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from engine.app.settings import load_risk
from engine.cli.tables import show_rows
from engine.store.connection import open_writer

Run = Callable[..., Any]

_COMMANDS = (
    ("run",),
    ("backtest",),
    ("report",),
    ("chaos",),
    ("status",),
    ("pause",),
    ("resume",),
    ("kill",),
    ("flatten",),
    ("sql",),
    ("bars", "build"),
    ("bars", "diff"),
    ("db", "path"),
    ("db", "upgrade"),
    ("db", "check"),
    ("db", "replay"),
    ("strategy", "check"),
    ("config", "check"),
    ("order", "list"),
    ("order", "show"),
)
_HEAVY = {"numpy", "sqlalchemy", "pyarrow", "talib", "pydantic", "pysqlite3", "structlog", "yaml", "rich"}
#: The keys that programs may rely on.
_PROMISED = {
    "bars",
    "trades",
    "fills",
    "final_equity",
    "net_pnl",
    "fees",
    "max_drawdown",
    "wall_seconds",
    "bars_per_second",
    "journal_hash",
    "risk_hash",
}
_TRIP_COLUMNS = ["symbol", "entry_ts", "entry_price", "exit_ts", "exit_price", "quantity", "exit_reason", "pnl"]


@pytest.fixture
def backtest(ratchet: Run, market: Path) -> Run:
    """Run S1 over the bars of the tests; returns the outcome."""

    def run(*arguments: object, bars: Path | None = None) -> Any:
        return ratchet("backtest", "s1_vwap_ema", "--bars", bars or market / "bars.csv", *arguments)

    return run


@pytest.fixture
def kept(backtest: Run, tmp_path: Path) -> Path:
    """Keep one backtest in a database."""
    database = tmp_path / "kept.sqlite"
    assert backtest("--db", database, "--json").code == 0
    return database


# --- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_every_command_explains_itself(ratchet: Run, command: tuple[str, ...]) -> None:
    shown = ratchet(*command, "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert f"Usage: ratchet {' '.join(command)}" in shown.out
    options = [line.strip() for line in shown.out.splitlines() if line.strip().startswith("--")]
    assert options
    assert all(len(line.split(maxsplit=1)) == 2 for line in options), "an option without a word of help"


def test_the_overview_names_every_command_in_one_line_each(ratchet: Run) -> None:
    shown = ratchet("--help")
    assert shown.code == 0
    for name in {command[0] for command in _COMMANDS}:
        assert f"\n  {name} " in shown.out
    assert "..." not in shown.out.split("Commands:")[1], "a line was cut"
    assert "Exit codes: 0 done" in shown.out


# The library of the command line reads the options of a single command with pydantic.
@pytest.mark.parametrize(
    ("arguments", "allowed"), [(["--help"], ""), (["--version"], ""), (["backtest", "--help"], "pydantic")]
)
def test_help_is_quick_because_it_imports_nothing_heavy(arguments: list[str], allowed: str) -> None:
    program = (
        "import sys\nfrom engine.cli.main import guarded\ncode = guarded(sys.argv[1:])\n"
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert _HEAVY & set(done.stdout.splitlines()[-1].split()) <= {allowed}


def test_the_version_is_that_of_the_distribution(ratchet: Run) -> None:
    assert ratchet("--version").out == f"ratchet {version('ratchet-engine')}\n"


@pytest.mark.parametrize("command", [(), ("db",), ("bars",), ("strategy",), ("config",), ("order",)], ids=str)
def test_a_group_alone_shows_what_it_has(ratchet: Run, command: tuple[str, ...]) -> None:
    shown = ratchet(*command)
    assert shown.code == 2
    assert shown.err.startswith("Usage: ratchet")
    assert "Commands:" in shown.err


# --- backtest ----------------------------------------------------------------------------------------------------


def test_a_backtest_reports_the_promised_keys_and_money_as_text(backtest: Run) -> None:
    report = backtest("--json").json
    assert set(report) >= _PROMISED
    assert report["bars"] == 6 * 390
    assert report["fills"] == 2 * report["trades"] + report["open_positions"] > 0
    for name in ("final_equity", "net_pnl", "fees"):
        assert isinstance(report[name], str)
    assert Decimal(report["final_equity"]) == 100_000 + Decimal(report["net_pnl"])
    assert 0 < report["max_drawdown"] < 1
    assert report["wall_seconds"] > 0
    assert report["bars_per_second"] > 0
    assert len(bytes.fromhex(report["journal_hash"])) == 32
    shipped = load_risk()
    assert report["risk_hash"] == sha256(shipped.path.read_bytes()).hexdigest()


def test_a_backtest_without_a_database_leaves_no_file(backtest: Run, tmp_path: Path) -> None:
    shown = backtest()
    assert shown.code == 0
    assert list(tmp_path.iterdir()) == []
    for words in ("Round trips", "Final equity", "Net P&L after fees", "Max drawdown", "Journal hash"):
        assert words in shown.out
    assert load_risk().sha256[:16] in shown.out


def test_the_hash_knows_neither_path_nor_format_nor_storage(backtest: Run, market: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a folder" / "copy.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes((market / "bars.csv").read_bytes())
    database = tmp_path / "all.sqlite"
    reports = [
        backtest("--json"),
        backtest("--json", bars=market / "bars.parquet"),
        backtest("--json", bars=elsewhere),
        backtest("--json", "--db", database),
        backtest("--json", "--db", database, "--append"),
    ]
    assert [report.code for report in reports] == [0] * 5
    assert len({report.json["journal_hash"] for report in reports}) == 1
    assert [report.json["account"] for report in reports[3:]] == ["backtest-1", "backtest-2"]


def test_a_database_keeps_several_runs_only_when_asked(ratchet: Run, backtest: Run, kept: Path) -> None:
    refused = backtest("--db", kept)
    assert refused.code == 2
    assert "--append" in refused.err
    assert ratchet("sql", "--db", kept, "--json", "SELECT count(*) AS n FROM runs").json == [{"n": 1}]
    assert backtest("--db", kept, "--append", "--cash", "50000").code == 0
    counts = ratchet("sql", "--db", kept, "--json", "SELECT account_id, count(*) AS n FROM bars GROUP BY 1").json
    assert [row["n"] for row in counts] == [2340, 2340]
    checked = ratchet("db", "check", "--db", kept, "--json")
    assert checked.code == 0
    assert checked.json["sound"] is True


def test_what_decides_the_run_decides_the_hash(backtest: Run, market: Path, tmp_path: Path) -> None:
    risk = tmp_path / "careful.yaml"
    risk.write_text("sizing:\n  max_notional_fraction: 0.05\n", encoding="utf-8")
    plain = backtest("--json").json
    other = {
        "fees": backtest("--json", "--fees", "robinhood").json,
        "slippage": backtest("--json", "--slippage-bps", "2.5").json,
        "parameter": backtest("--json", "--param", "fast_period=5", "--param", "slow_period=30").json,
        "cash": backtest("--json", "--cash", "25000.50").json,
        "risk": backtest("--json", "--risk", risk).json,
        "calendar": backtest("--json", "--calendar", "24/7").json,
    }
    assert len({plain["journal_hash"], *(report["journal_hash"] for report in other.values())}) == 1 + len(other)
    assert Decimal(other["fees"]["fees"]) > 0
    assert Decimal(other["slippage"]["net_pnl"]) < Decimal(plain["net_pnl"])
    assert other["parameter"]["parameters"] == plain["parameters"] | {"fast_period": 5, "slow_period": 30}
    assert Decimal(other["cash"]["final_equity"]) < 26_000
    assert other["risk"]["risk_hash"] == sha256(risk.read_bytes()).hexdigest() != plain["risk_hash"]


def test_both_exit_styles_are_shown_side_by_side(backtest: Run, tmp_path: Path) -> None:
    database = tmp_path / "both.sqlite"
    both = backtest("--json", "--both-exits", "--db", database).json
    alone = {style: backtest("--json", "--exits", style).json for style in ("both_legs", "rest_stop")}
    assert both["exits"] == "both_legs"
    assert list(both["both_exits"]) == ["both_legs", "rest_stop"]
    for style, compared in both["both_exits"].items():
        assert alone[style]["exits"] == style
        assert compared == {key: alone[style][key] for key in compared}
        assert sum(compared["exit_reasons"].values()) == compared["trades"]
    assert alone["both_legs"]["journal_hash"] != alone["rest_stop"]["journal_hash"]
    shown = backtest("--exits", "rest_stop", "--both-exits").out
    table = shown[shown.index("in both exit styles") :]
    assert table.index("rest_stop") < table.index("both_legs")
    assert f"{alone['both_legs']['max_drawdown']:.4%}" in table


def test_the_fees_reduce_the_profit_by_what_they_say(backtest: Run) -> None:
    free, charged = backtest("--json").json, backtest("--json", "--fees", "robinhood").json
    assert charged["trades"] == free["trades"]
    assert Decimal(charged["net_pnl"]) <= Decimal(free["net_pnl"])


def test_only_the_named_symbols_are_traded(backtest: Run, market: Path, tmp_path: Path) -> None:
    lines = (market / "bars.csv").read_text(encoding="utf-8").splitlines()
    second = [line.replace('"SYNTH"', '"OTHER"') for line in lines[1:]]
    both = tmp_path / "both.csv"
    both.write_text("\n".join([*lines, *second]) + "\n", encoding="utf-8")
    assert backtest("--json", bars=both).json["symbols"] == ["SYNTH", "OTHER"]
    alone = backtest("--json", "--symbol", "SYNTH", bars=both).json
    assert alone["symbols"] == ["SYNTH"]
    assert alone["journal_hash"] == backtest("--json").json["journal_hash"]


def test_round_trips_are_written_with_their_types(backtest: Run, tmp_path: Path) -> None:
    out_csv, out_parquet = tmp_path / "trips.csv", tmp_path / "trips.parquet"
    report = backtest("--json", "--trades-out", out_csv).json
    assert backtest("--trades-out", out_parquet).code == 0
    with out_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(out_parquet)
    assert list(rows[0]) == table.column_names == _TRIP_COLUMNS
    assert len(rows) == table.num_rows == report["trades"] > 5
    assert sum(Decimal(row["pnl"]) for row in rows) == Decimal(report["net_pnl"])
    assert {row["exit_reason"] for row in rows} <= {"stop", "target", "time", "signal", "kill"}
    for name in ("entry_ts", "exit_ts"):
        assert table.schema.field(name).type == pa.timestamp("us", "UTC")
    for name in ("entry_price", "exit_price", "quantity", "pnl"):
        assert pa.types.is_decimal(table.schema.field(name).type)
    for row, other in zip(rows, table.to_pylist(), strict=True):
        entry, leave = (datetime.fromisoformat(row[name]) for name in ("entry_ts", "exit_ts"))
        assert (entry, leave) == (other["entry_ts"], other["exit_ts"])
        assert entry.tzinfo == UTC
        assert entry.second == leave.second == 0
        assert entry <= leave
        assert all(Decimal(row[name]) == other[name] for name in ("entry_price", "exit_price", "quantity", "pnl"))
        bought, sold = Decimal(row["entry_price"]), Decimal(row["exit_price"])
        assert Decimal(row["pnl"]) == (sold - bought) * Decimal(row["quantity"])


# --- looking inside ----------------------------------------------------------------------------------------------


def test_sql_answers_in_a_table_and_in_json(ratchet: Run, kept: Path) -> None:
    query = "SELECT symbol, side, price, quantity FROM trades ORDER BY id LIMIT 2"
    rows = ratchet("sql", "--db", kept, "--json", query).json
    assert [row["side"] for row in rows] == ["buy", "sell"]
    shown = ratchet("sql", "--db", kept, query)
    assert shown.code == 0
    assert "SYNTH" in shown.out
    assert str(rows[0]["price"]) in shown.out


def test_what_goes_into_a_pipe_is_one_line_per_row(ratchet: Run, kept: Path) -> None:
    shown = ratchet("sql", "--db", kept, "SELECT * FROM v_why LIMIT 3")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 2 + 3
    assert '"session_vwap":' in shown.out


def test_a_narrow_terminal_gets_a_block_per_row() -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, no_color=True, width=60)
    show_rows(console, ["symbol", "reason"], [["SPY", "[bold]no markup[/]" * 4], ["QQQ", None]], title="Vetoes")
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue()).splitlines()]
    assert lines[:3] == ["Vetoes", "row 1", "symbol  SPY"]
    assert lines[3].startswith("reason  [bold]no markup[/][bold]")
    assert max(map(len, lines)) <= 60
    assert lines[-3:] == ["row 2", "symbol  QQQ", "reason"]


def test_sql_says_that_there_is_more(ratchet: Run, kept: Path) -> None:
    shown = ratchet("sql", "--db", kept, "--limit", "2", "SELECT close FROM bars")
    assert shown.code == 0
    assert "only the first 2 rows" in shown.err


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("SELECT 1 AS one;\nSELECT\n 2 AS two\n;", ["one", "two"]),
        ("SELECT 3 AS three", ["three"]),
        (";", ["view v_round_trips (account_id", "table bars (account_id"]),
        ("SELEC;\nSELECT 4 AS four;", ["four"]),
    ],
)
def test_sql_reads_queries_from_lines(start: Run, kept: Path, lines: str, expected: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "sql", "--db", str(kept)],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(part in done.stdout for part in expected)
    assert done.stderr.count("\n") == lines.count("SELEC;")


def test_the_status_of_a_backtest(ratchet: Run, kept: Path) -> None:
    status = ratchet("status", "--db", kept, "--json").json
    assert status["account"] == "backtest-1"
    assert status["engine_running"] is False
    assert status["bars"] == 2340
    shown = ratchet("status", "--db", kept)
    assert shown.code == 0
    assert "Trading: ACTIVE" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 90


def test_a_database_is_made_named_and_checked(ratchet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ratchet("db", "path").out.strip() == str(tmp_path / "ratchet.sqlite")
    monkeypatch.setenv("RATCHET_DB", str(tmp_path / "mine.db"))
    assert ratchet("db", "path").out.strip() == str(tmp_path / "mine.db")
    made = ratchet("db", "upgrade")
    assert (made.code, made.err) == (0, "")
    assert (tmp_path / "mine.db").is_file()
    assert ratchet("db", "upgrade").code == 0
    checked = ratchet("db", "check")
    assert checked.code == 0
    assert "is sound" in checked.out


def test_a_changed_row_is_found(ratchet: Run, kept: Path) -> None:
    connection = open_writer(kept)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("UPDATE bars SET close = close + 0.01 WHERE start_ts_ns = (SELECT max(start_ts_ns) FROM bars)")
    connection.close()
    checked = ratchet("db", "check", "--db", kept)
    assert checked.code == 3
    assert "NOT SOUND" in checked.err
    assert ratchet("db", "check", "--db", kept, "--json").json["sound"] is False


# --- bars, strategies, settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "rows"), [("ticks", 14_466), ("quotes", 31_567), ("bars", 2_340)])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bars_are_built_and_can_be_traded(
    ratchet: Run, backtest: Run, market: Path, tmp_path: Path, kind: str, rows: int, ending: str
) -> None:
    out = tmp_path / f"minutes.{ending}"
    built = ratchet("bars", "build", f"--{kind}", market / f"{kind}.parquet", "--out", out, "--json")
    assert built.code == 0
    assert built.json["rows"] == rows
    assert built.json["bars"] == (2_340 if kind == "bars" else 780)
    assert out.is_file()
    if kind == "quotes":
        return
    report = backtest("--json", bars=out).json
    assert report["bars"] == built.json["bars"]
    if kind == "bars":
        assert report["trades"] == backtest("--json").json["trades"]


def test_a_strategy_is_checked(ratchet: Run, market: Path) -> None:
    checked = ratchet("strategy", "check", "s1_vwap_ema", "--bars", market / "bars.csv")
    assert checked.code == 0
    assert "passed" in checked.out
    report = ratchet("strategy", "check", "s1_vwap_ema", "--bars", market / "bars.csv", "--json").json
    assert report["passed"] is True
    assert {check["difference"] for check in report["reports"][0]["checks"]} == {None}


def test_the_shipped_settings_are_shown(ratchet: Run) -> None:
    shown = ratchet("config", "check")
    assert shown.code == 0
    assert load_risk().sha256 in shown.out
    words = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in shown.out.splitlines() if "│" in line}
    assert words["instruments.blocked"] == "none"
    assert words["instruments.allowed"] == "every symbol"
    assert words["orders.duplicate_window_s"] == "60"
    assert words["deadlines.acknowledge_s"].isdigit()
    assert words["sizing.risk_fraction"] == "0.005"
    assert words["daily_loss_cap"]
    report = json.loads(ratchet("config", "check", "--json").out)
    assert list(report) == ["path", "sha256", "settings"]
    assert report["settings"]["sizing.risk_fraction"] == "0.005"


def test_settings_of_the_folder_come_before_the_shipped_ones(ratchet: Run, tmp_path: Path) -> None:
    (tmp_path / "risk.yaml").write_text("instruments:\n  blocked: [GME]\n", encoding="utf-8")
    assert ratchet("config", "check", "--json").json["settings"]["instruments.blocked"] == ["GME"]
