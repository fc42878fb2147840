"""`ratchet chaos` as its user runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.testing.chaos.faults import FaultKind

Run = Callable[..., Any]
_PROMISED = {"scenarios", "lived", "faults", "violations", "scenarios_per_hour", "seed", "event_log_hash", "brackets"}
_OWNERS = Path(__file__).parents[1] / "simulation" / "owners"


def test_a_run_prints_what_it_came_to(ratchet: Run) -> None:
    shown = ratchet("chaos", "--seeds", 2, "--seed", 3, "--jobs", 1)
    assert (shown.code, shown.err) == (0, "")
    for words in ("Scenarios per hour", "2 of 2 lived, seeds 3 to 4", "Violations", "Event log hash", "push_late"):
        assert words in shown.out


def test_the_object_has_the_promised_keys(ratchet: Run) -> None:
    first, second = (ratchet("chaos", "--seeds", 2, "--seed", 3, "--jobs", jobs, "--json") for jobs in (1, 2))
    assert first.code == second.code == 0
    assert set(first.json) >= _PROMISED
    assert first.json["violations"] == []
    assert first.json["seed"] == 3
    assert first.json["event_log_hash"] == second.json["event_log_hash"]


@pytest.mark.parametrize("exits", ["both_legs", "rest_stop"])
def test_a_strategy_that_the_kit_has_never_seen_passes(tmp_path: Path, exits: str) -> None:
    (tmp_path / "strategies").mkdir()
    shutil.copy(_OWNERS / "owner_ladder.py", tmp_path / "strategies")
    command = [sys.executable, "-m", "engine.cli", "chaos", "owner_ladder", "--seeds", "6", "--exits", exits, "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["strategy"] == "owner_ladder"
    assert report["violations"] == []
    assert report["lived"] == 6
    assert report["scenarios"] >= 5
    assert report["brackets"] >= 6


def test_a_scenario_is_told(ratchet: Run) -> None:
    shown = ratchet("chaos", "--explain", 5)
    assert (shown.code, shown.err) == (0, "")
    for words in ("seed 5: market 5", "life 1 starts", "> submit ", "fault: ", "Nothing broke.", "leg"):
        assert words in shown.out
    told = ratchet("chaos", "--explain", 5, "--json").json
    assert told["violations"] == []
    assert told["lines"][0].endswith("life 1 starts")
    assert told["orders"]


def test_a_violation_is_shrunk_kept_and_replayed(ratchet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.core.execution import register

    # A planted defect: the id of an intent is another one in each life.
    numbers = iter(range(10_000_000))

    def client_order_id(*arguments: object, **options: object) -> str:
        return f"id-{next(numbers)}"

    with monkeypatch.context() as planted:
        planted.setattr(register, "client_order_id", client_order_id)
        broken = ratchet("chaos", "--seeds", 1, "--jobs", 1, "--faults", "crash,push_lost", "--keep", tmp_path / "kept")
    assert broken.code == 3
    assert "Seed 0 broke I-1" in broken.out
    assert "least that breaks it: " in broken.out
    assert "chaos --faults crash,push_lost --explain 0" in broken.out
    (schedule,) = (tmp_path / "kept").glob("*.json")
    replayed = ratchet("chaos", "--replay", schedule)
    assert replayed.code == 0, "the defect is gone"
    assert "Nothing broke." in replayed.out


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--seeds", "0"], ("--seeds", "'0'", "from 1")),
        (["--seeds", "many"], ("--seeds", "'many'")),
        (["--minutes", "0"], ("--minutes", "above zero")),
        (["--minutes", "nan"], ("--minutes", "'nan'")),
        (["--seed", "-1"], ("--seed", "'-1'")),
        (["--jobs", "0"], ("--jobs", "'0'")),
        (["--jobs", "9999"], ("--jobs", "at most 256")),
        (["--seeds", "1", "--minutes", "1"], ("--seeds", "--minutes", "leave one out")),
        (["--explain", "1", "--kills", "1"], ("--explain", "--kills")),
        (["--explain", "x"], ("--explain", "'x'")),
        (["--exits", "oco"], ("--exits", "'oco'", "both_legs or rest_stop")),
        (["--faults", "crush"], ("'crush'", *[kind.value for kind in FaultKind])),
        (["--faults", ""], ("no fault ''",)),
        (["--param", "fast=1"], ("chaos_trader", "--param")),
        (["--param", "fast"], ("fast", "name=value")),
        (["--risk", "none.yaml"], ("none.yaml", "--risk")),
        (["--replay", "none.json"], ("none.json", "cannot be read")),
        (["no_such_strategy"], ("no_such_strategy",)),
        (["s1_vwap_ema", "--param", "fast_period=nine"], ("fast_period", "nine")),
        (["--kills", "0"], ("--kills", "'0'")),
        (["--power", "x"], ("--power", "'x'")),
    ],
)
def test_bad_input_is_one_sentence(ratchet: Run, options: list[str], parts: tuple[str, ...]) -> None:
    shown = ratchet("chaos", *options)
    assert shown.code == 2, shown.err
    assert shown.out == ""
    assert shown.err.startswith("ratchet: ")
    assert shown.err.count("\n") == 1
    for part in parts:
        assert part in shown.err


def test_real_processes_are_killed(ratchet: Run) -> None:
    report = ratchet("chaos", "--kills", 3, "--jobs", 1, "--json")
    assert report.code == 0, report.out + report.err
    assert report.json["kills"] >= 3
    assert report.json["violations"] == []


def test_the_power_is_cut(ratchet: Run) -> None:
    from engine.testing import power

    if not power.is_available():
        pytest.skip(power.unavailable_because())
    report = ratchet("chaos", "--power", 40, "--json")
    assert report.code == 0, report.out + report.err
    assert report.json["images"] == 40
    assert report.json["violations"] == []
