"""What is refused before it does harm, and who is named when a strategy or a proof fails."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from engine.cli.output import program

Run = Callable[..., Any]

_BOOM = """from engine.rules import BarStrategy, NoParameters
class Boom(BarStrategy[NoParameters]):
    parameters_type = NoParameters
    def on_bar(self, bar, context):
        return [1 / 0]
"""
_PEEK = """import numpy as np
from strategies.s1_vwap_ema import S1VwapEma
class Peek(S1VwapEma):
    def columns(self, bars):
        columns = super().columns(bars)
        columns["atr"] = columns["atr"] - np.nanmean(columns["atr"])
        return columns
"""
_QUIET = """from engine.rules import BarStrategy, NoParameters
class Quiet(BarStrategy[NoParameters]):
    parameters_type = NoParameters
    def on_bar(self, bar, context):
        return []
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a strategy as a module of a package of its own and return its name."""
    folder = tmp_path / "guard_strategies"

    def write(name: str, text: str) -> str:
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        for known in [each for each in sys.modules if each.startswith("guard_strategies")]:
            monkeypatch.delitem(sys.modules, known)
        return f"guard_strategies.{name}"

    monkeypatch.syspath_prepend(str(tmp_path))
    return write


# --- whose fault it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("backtest", "{}", "--bars"), ("strategy", "check", "{}", "--bars"), ("run", "--strategy", "{}", "--bars")],
    ids=lambda command: command[0],
)
def test_a_strategy_that_fails_is_named(
    ratchet: Run, market: Path, module: Callable[[str, str], str], command: tuple[str, ...]
) -> None:
    name = module("boom", _BOOM)
    shown = ratchet(*(part.format(name) for part in command), market / "bars.csv")
    assert shown.code == 2
    sentence = "The strategy boom failed (ZeroDivisionError: division by zero, boom.py line 5): mend it."
    assert shown.err.endswith(f"ratchet: {sentence}\n")


def test_a_strategy_that_cannot_be_made_is_named(ratchet: Run, market: Path, module: Callable[[str, str], str]) -> None:
    name = module("unmade", _QUIET + "    def __init__(self, parameters):\n        {}['a']\n")
    shown = ratchet("backtest", name, "--bars", market / "bars.csv")
    assert shown.code == 2
    assert "The strategy unmade failed (KeyError: 'a', unmade.py line 7): mend it." in shown.err


# --- inputs are never written over -------------------------------------------------------------------------------


def test_an_input_is_not_overwritten(ratchet: Run, market: Path, tmp_path: Path) -> None:
    bars = Path(shutil.copy(market / "bars.csv", tmp_path / "bars.csv"))
    link = tmp_path / "link.csv"
    os.link(bars, link)
    before = bars.read_bytes()
    for out in (bars, link, tmp_path / ".." / tmp_path.name / "bars.csv"):
        shown = ratchet("backtest", "s1_vwap_ema", "--bars", bars, "--trades-out", out)
        assert shown.code == 2
        assert "--trades-out" in shown.err
        assert "--bars" in shown.err
    shown = ratchet("run", "--bars", bars, "--log-file", bars)
    assert shown.code == 2
    assert "--log-file" in shown.err
    database = tmp_path / "mine.csv"
    assert ratchet("backtest", "s1_vwap_ema", "--bars", bars, "--db", database, "--trades-out", database).code == 2
    assert ratchet("run", "--db", database, "--log-file", database).code == 2
    assert ratchet("run", "--log-file", "risk.yaml").code == 2
    assert not database.exists()
    assert bars.read_bytes() == before


# --- said twice, or for something else ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--symbol", "SYNTH", "--symbol", "SYNTH"), ("SYNTH", "twice")),
        (("--param", "fast_period=5", "--param", "fast_period=9"), ("fast_period", "twice")),
        (("--seed", "4"), ("--seed", "built-in market")),
        (("--forever",), ("--forever", "built-in market")),
        (("--market", "ticks"), ("--market", "built-in market")),
        (("--latency-ms", "-1"), ("--latency-ms",)),
        (("--exits", "oco"), ("--exits", "'oco'", "both_legs or rest_stop")),
        (("--latency-ms", "99999999999"), ("--latency-ms",)),
    ],
)
def test_an_option_that_says_nothing_is_refused(
    ratchet: Run, market: Path, tmp_path: Path, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    shown = ratchet("run", "--bars", market / "bars.csv", *options)
    assert shown.code == 2
    assert shown.err.count("\n") == 1
    for part in parts:
        assert part in shown.err
    assert not list(tmp_path.iterdir())


# --- proofs ------------------------------------------------------------------------------------------------------


def test_a_failed_proof_says_when_and_what(ratchet: Run, market: Path, module: Callable[[str, str], str]) -> None:
    shown = ratchet("strategy", "check", module("peek", _PEEK), "--bars", market / "bars.csv")
    assert shown.code == 3
    assert "Difference(" not in shown.out
    words = " ".join(shown.out.split())
    assert "differs first at 20" in words
    assert "Z in atr: expected " in words


def test_where_no_entry_held_nothing_was_proven(ratchet: Run, market: Path, module: Callable[[str, str], str]) -> None:
    shown = ratchet("strategy", "check", module("quiet", _QUIET), "--bars", market / "bars.csv")
    assert shown.code == 0
    assert "No entry held on these bars: nothing was proven about entries." in shown.out


def test_bars_that_are_not_of_minutes_are_refused(ratchet: Run, market: Path, tmp_path: Path) -> None:
    table = pq.read_table(market / "bars.parquet")
    minutes = pc.minute(table.column("ts"))
    five = table.filter(pc.equal(pc.subtract(minutes, pc.multiply(pc.divide(minutes, 5), 5)), pa.scalar(0, pa.int64())))
    pq.write_table(five, tmp_path / "five.parquet")
    shown = ratchet("backtest", "s1_vwap_ema", "--bars", tmp_path / "five.parquet")
    assert shown.code == 2
    assert "holds bars of SYNTH 300 s apart, not minute bars" in shown.err
    assert "ratchet bars build" in shown.err
    pq.write_table(five.slice(0, 29), tmp_path / "few.parquet")
    assert ratchet("backtest", "s1_vwap_ema", "--bars", tmp_path / "few.parquet").code == 0


# --- simulated time ----------------------------------------------------------------------------------------------


def test_latency_and_the_kind_of_the_built_in_market_decide_the_run(ratchet: Run, market: Path, tmp_path: Path) -> None:
    bars = ("--bars", market / "bars.csv", "--json")
    at_once = ratchet("backtest", "s1_vwap_ema", *bars).json
    late = ratchet("backtest", "s1_vwap_ema", *bars, "--latency-ms", "250").json
    assert late["journal_hash"] != at_once["journal_hash"]
    assert late["fills"]
    database = tmp_path / "ticks.sqlite"
    until = "2025-01-02T14:32:00.5Z"
    ran = ratchet("run", "--market", "ticks", "--symbol", "ALFA", "--speed", "0", "--until", until, "--db", database)
    assert ran.code == 0, ran.err
    bars_seen = ratchet("sql", "--db", database, "--json", "SELECT count(*) AS n FROM bars").json
    assert 0 < bars_seen[0]["n"] <= 2


def test_every_start_shows_one_more_session_of_ticks(ratchet: Run) -> None:
    run = ("run", "--market", "ticks", "--symbol", "ALFA", "--speed", "0", "--db", "ticks.sqlite")
    for bars in (780, 1170):
        assert ratchet(*run).code == 0
        found = ratchet("sql", "--db", "ticks.sqlite", "--json", "SELECT count(*) AS n FROM bars").json
        assert found == [{"n": bars}]


def test_until_keeps_fractions_of_a_second() -> None:
    from engine.cli.run import moment

    assert moment("2025-01-03T18:00:00.123456Z") == 1_735_927_200_123_456_000
    assert moment("2025-01-03T18:00") == 1_735_927_200_000_000_000


def test_the_summary_names_what_is_halted(ratchet: Run, tmp_path: Path) -> None:
    here = ("--db", tmp_path / "halted.sqlite")
    run = ("run", *here, "--symbol", "ALFA", "--speed", "0", "--until")
    assert ratchet(*run, "2025-01-02T15:00:00Z").code == 0
    assert ratchet("kill", *here, "--reason", "enough for today").code == 0
    shown = ratchet(*run, "2025-01-02T15:30:00Z")
    assert shown.code == 0
    assert "HALTED account: enough for today" in " ".join(shown.out.split())


# --- what is printed runs ----------------------------------------------------------------------------------------


def test_printed_examples_name_the_program_as_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    command = tmp_path / "bin" / "ratchet"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(command)])
    assert program() == str(Path("bin") / "ratchet")
    monkeypatch.chdir(command.parent)
    assert program() == f".{os.sep}ratchet"
    monkeypatch.setenv("PATH", str(command.parent))
    assert program() == "ratchet"
    monkeypatch.setattr(sys, "argv", [str(Path(sys.prefix) / "engine" / "cli" / "__main__.py")])
    assert program().endswith(" -m engine.cli")


@pytest.mark.parametrize("command", [("sql", "SELECT 1"), ("db", "check"), ("status",)], ids=str)
def test_a_missing_database_says_how_to_make_one(ratchet: Run, command: tuple[str, ...]) -> None:
    shown = ratchet(*command, "--db", "none.sqlite")
    assert shown.code == 2
    assert "none.sqlite does not exist" in shown.err
    assert "make it with ratchet run or ratchet backtest" in shown.err


def test_only_what_makes_a_database_says_so(ratchet: Run) -> None:
    for command in (("run",), ("backtest",), ("db", "upgrade")):
        assert "first use" in " ".join(ratchet(*command, "--help").out.split())
    for command in (("sql",), ("status",), ("db", "check"), ("kill",)):
        assert "first use" not in " ".join(ratchet(*command, "--help").out.split())
    assert "kill" in ratchet("flatten", "--help").out


def test_a_quiet_market_is_not_taken_for_a_lost_one(ratchet: Run) -> None:
    """I-23 holds entries back where quotes are old, never where the built-in market has little to say."""
    for _ in range(3):
        assert ratchet("run", "--market", "ticks", "--speed", "0", "--db", "quiet.sqlite").code == 0
    query = "SELECT reason, count(*) AS n FROM decisions WHERE leg = 'entry' GROUP BY reason"
    found = {row["reason"]: row["n"] for row in ratchet("sql", "--db", "quiet.sqlite", "--json", query).json}
    assert "stale_quote" not in found
    assert found[""] >= 5
