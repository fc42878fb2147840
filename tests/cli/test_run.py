"""`ratchet run` as a person lives with it: replayed, watched, steered, stopped, killed, and started again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.store.check import check_database
from engine.store.connection import open_reader, sqlite

Run = Callable[..., Any]
_PATIENCE_SECONDS = 20.0


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(open_reader(database)) as connection:
        return [tuple(row) for row in connection.execute(query).fetchall()]


def wait_for(process: subprocess.Popen[str], database: Path, query: str) -> Any:
    """Return the first value of a query as soon as it is neither nothing nor zero, while the process runs."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        try:
            found = rows(database, query)
        except (EngineError, sqlite.Error):
            found = []
        if found and found[0][0]:
            return found[0][0]
        time.sleep(0.005)
    raise AssertionError(f"{query} gave nothing within {_PATIENCE_SECONDS} s")


def trades(database: Path) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT symbol, side, price_e10, quantity_e8, venue_ts_ns FROM trades ORDER BY id")


def stopped(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal, and return what the process printed once it has ended in order."""
    process.send_signal(number)
    out, err = process.communicate(timeout=_PATIENCE_SECONDS)
    assert (process.returncode, err) == (0, "")
    return out


# --- replays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("bars",), ("ticks",), ("quotes",), ("ticks", "quotes")], ids="+".join)
def test_files_are_replayed_to_their_end(ratchet: Run, market: Path, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    database = tmp_path / "r.sqlite"
    files = [argument for kind in kinds for argument in (f"--{kind}", market / f"{kind}.parquet")]
    shown = ratchet("run", *files, "--db", database)
    assert (shown.code, shown.err) == (0, "")
    assert "replayed to their end" in shown.out
    assert "Journal hash" in shown.out
    assert rows(database, "SELECT count(*) FROM bars") == [(2340 if kinds == ("bars",) else 780,)]
    # Without prints there is no volume, so no VWAP, so no entry of S1.
    assert bool(trades(database)) is (kinds != ("quotes",))
    assert check_database(database).is_sound
    again = ratchet("run", *files, "--db", database)
    assert again.code == 0
    assert "Recovered" in again.out


def test_the_same_replay_gives_the_same_trades(ratchet: Run, market: Path, tmp_path: Path) -> None:
    for name in ("a.sqlite", "b.sqlite"):
        assert ratchet("run", "--ticks", market / "ticks.parquet", "--db", tmp_path / name).code == 0
    assert trades(tmp_path / "a.sqlite") == trades(tmp_path / "b.sqlite")


def test_quotes_alone_are_traded(ratchet: Run, market: Path, tmp_path: Path) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "cross.py").write_text(
        "from engine.indicators import ATR, EMA\n"
        "from engine.strategy import RuleStrategy, NoParameters, crosses_above\n"
        "class Cross(RuleStrategy[NoParameters]):\n"
        "    parameters_type = NoParameters\n"
        "    def indicators(self):\n"
        "        return {'fast': EMA(period=9), 'slow': EMA(period=21), 'atr': ATR(period=14)}\n"
        "    def entry(self, bar):\n"
        "        return crosses_above(bar.fast, bar.slow)\n"
        "    def stop_distance(self, bar):\n"
        "        return 2 * bar.atr\n"
        "    def target_distance(self, bar):\n"
        "        return 3 * bar.atr\n",
        encoding="utf-8",
    )
    shown = ratchet("run", "--strategy", "cross", "--quotes", market / "quotes.parquet", "--db", "q.sqlite")
    assert (shown.code, shown.err) == (0, "")
    assert len(trades(tmp_path / "q.sqlite")) > 4


def test_a_run_until_a_moment_goes_on_later(ratchet: Run, market: Path, tmp_path: Path) -> None:
    bars = ("--bars", market / "bars.parquet")
    assert ratchet("run", *bars, "--db", "whole.sqlite", "--until", "2025-01-07T21:00Z").code == 0
    first = ratchet("run", *bars, "--db", "parts.sqlite", "--until", "2025-01-06T17:00Z")
    assert first.code == 0
    assert "replayed to their end" not in first.out
    assert rows(tmp_path / "parts.sqlite", "SELECT max(timestamp) FROM bars") == [("2025-01-06T16:59:00.000Z",)]
    second = ratchet("run", *bars, "--db", "parts.sqlite", "--until", "2025-01-07T21:00Z")
    assert "Recovered" in second.out
    assert trades(tmp_path / "parts.sqlite") == trades(tmp_path / "whole.sqlite") != []


def test_speed_is_market_time_by_real_time(ratchet: Run, market: Path) -> None:
    began = time.monotonic()
    shown = ratchet(
        "run", "--bars", market / "bars.csv", "--db", "s.sqlite", "--until", "2025-01-02T15:30Z", "--speed", "3600"
    )
    assert shown.code == 0
    assert 0.9 < time.monotonic() - began < 6


def test_other_data_or_settings_do_not_go_on_with_an_account(ratchet: Run, market: Path, tmp_path: Path) -> None:
    bars = ("--bars", market / "bars.csv", "--until", "2025-01-02T15:30Z", "--db", "x.sqlite")
    assert ratchet("run", *bars).code == 0
    before = rows(tmp_path / "x.sqlite", "SELECT count(*) FROM inputs")
    other_risk = tmp_path / "other.yaml"
    other_risk.write_text("max_positions: 2\n", encoding="utf-8")
    for arguments, part in (
        (("--ticks", market / "ticks.parquet", "--db", "x.sqlite"), "market data"),
        ((*bars, "--risk", other_risk), "risk file"),
        ((*bars, "--param", "fast_period=5"), "parameters"),
    ):
        shown = ratchet("run", *arguments)
        assert shown.code in {2, 3}
        assert shown.err.count("\n") == 1
        assert part in shown.err
    assert rows(tmp_path / "x.sqlite", "SELECT count(*) FROM inputs") == before


# --- the built-in market -----------------------------------------------------------------------------------------


def test_the_first_run_needs_nothing_and_shows_a_session_of_trading(
    ratchet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ratchet("run", "--speed", "0")
    assert (shown.code, shown.err) == (0, "")
    database = tmp_path / "ratchet.sqlite"
    assert rows(database, "SELECT count(*) FROM v_round_trips")[0][0] >= 3
    assert rows(database, "SELECT count(DISTINCT substr(timestamp, 1, 10)) FROM bars") == [(2,)]
    queries = [line.strip() for line in shown.out.splitlines() if line.strip().startswith("ratchet sql")]
    assert len(queries) == 3
    for query in queries:
        _, _, _, name, text = query.split(" ", 4)
        answer = ratchet("sql", "--db", name, text.strip('"'))
        assert answer.code == 0
        assert len(answer.out.splitlines()) > 2
    again = ratchet("run", "--speed", "0")
    assert again.code == 0
    assert "Recovered" in again.out
    assert rows(database, "SELECT count(DISTINCT substr(timestamp, 1, 10)) FROM bars") == [(3,)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_in_order(start: Run, ratchet: Run, tmp_path: Path, number: int) -> None:
    database = tmp_path / "f.sqlite"
    alone = ("run", "--symbol", "ALFA", "--db", database)
    process = start(*alone, "--forever", "--speed", "6000", "--log-file", "run.log")
    wait_for(process, database, "SELECT count(*) > 420 FROM bars")
    out = stopped(process, number)
    assert "Summary" in out
    assert "Stopped in order" in out
    assert rows(database, "SELECT status FROM runs") == [("interrupted",)]
    assert check_database(database).is_sound
    assert (tmp_path / "run.log").read_text(encoding="utf-8").startswith("{")
    bars = rows(database, "SELECT count(*) FROM bars")[0][0]
    again = ratchet(*alone, "--speed", "0")
    assert again.code == 0
    assert "Recovered" in again.out
    assert rows(database, "SELECT count(*) FROM bars")[0][0] > bars
    assert check_database(database).is_sound


# --- an operator beside it ---------------------------------------------------------------------------------------


@pytest.fixture
def running(start: Run, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Trade on paper in another process: its first session is over, and the second passes in 13 s."""
    database = tmp_path / "live.sqlite"
    process = start("run", "--forever", "--speed", "1800", "--db", database)
    wait_for(process, database, "SELECT count(*) >= 1170 FROM bars")
    yield process, database
    assert process.poll() is None or process.returncode == 0


def test_a_running_engine_obeys_within_seconds(
    ratchet: Run, running: tuple[subprocess.Popen[str], Path], market: Path
) -> None:
    process, database = running
    here = ("--db", database)
    assert ratchet("status", *here, "--json").json["engine_running"] is True
    second = ratchet("run", *here)
    assert second.code == 4
    assert f"process {process.pid}" in second.err
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", *here).code == 4

    wait_for(process, database, "SELECT count(*) FROM positions WHERE quantity_e8 > 0")
    flattened = ratchet("flatten", *here)
    assert flattened.code == 0
    assert "was taken by the engine in step" in flattened.out
    wait_for(process, database, "SELECT count(*) FROM v_round_trips WHERE exit_reason NOT IN ('stop', 'target')")

    for command, state in (("kill", "HALTED"), ("resume", None), ("pause", "REDUCING"), ("resume", None)):
        began = time.monotonic()
        assert ratchet(command, *here, "--reason", f"test of {command}").code == 0
        assert time.monotonic() - began < 5
        states = ratchet("status", *here, "--json").json["trading_states"]
        assert [each["state"] for each in states] == ([] if state is None else [state])
    journal = rows(database, "SELECT to_state, reason FROM trading_states ORDER BY id")
    assert journal == [
        ("HALTED", "test of kill"),
        ("ACTIVE", "test of resume"),
        ("REDUCING", "test of pause"),
        ("ACTIVE", "test of resume"),
    ]
    assert rows(database, "SELECT count(*) FROM operator_requests WHERE taken_step_id IS NULL") == [(0,)]
    stopped(process, signal.SIGINT)
    assert check_database(database).is_sound


def test_commands_wait_for_the_next_engine(ratchet: Run, tmp_path: Path) -> None:
    database = tmp_path / "later.sqlite"
    assert ratchet("run", "--speed", "0", "--db", database).code == 0
    assert trades(database)
    posted = ratchet("kill", "--db", database, "--reason", "I go to sleep")
    assert posted.code == 0
    assert "No engine is running" in posted.out
    status = ratchet("status", "--db", database)
    assert "I go to sleep" in status.out
    before = len(trades(database))
    assert ratchet("run", "--speed", "0", "--db", database).code == 0
    assert len(trades(database)) == before
    states = ratchet("status", "--db", database, "--json").json["trading_states"]
    assert [each["state"] for each in states] == ["HALTED"]
    assert rows(database, "SELECT count(*) FROM v_vetoes")[0][0] > 0
    assert ratchet("resume", "--db", database).code == 0
    assert ratchet("run", "--speed", "0", "--db", database).code == 0
    assert ratchet("status", "--db", database, "--json").json["trading_states"] == []
    assert check_database(database).is_sound


def test_a_command_names_what_the_account_has(ratchet: Run, market: Path) -> None:
    here = ("--db", "x.sqlite")
    assert ratchet("run", "--bars", market / "bars.csv", "--until", "2025-01-02T15:00Z", *here).code == 0
    for option, value, known in (("--symbol", "GME", "SYNTH"), ("--strategy", "s9", "s1_vwap_ema")):
        shown = ratchet("pause", option, value, *here)
        assert shown.code == 2
        assert value in shown.err
        assert known in shown.err
    assert ratchet("pause", "--symbol", "SYNTH", *here).code == 0


# --- killed at any time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "speed", "seed"), [("bars", 60_000, 1), ("ticks", 20_000, 2)])
def test_killed_again_and_again_it_trades_the_same(
    start: Run, ratchet: Run, market: Path, tmp_path: Path, kind: str, speed: int, seed: int
) -> None:
    replay = ("run", f"--{kind}", market / f"{kind}.parquet", "--until", "2025-01-07T21:00Z", "--db")
    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    assert ratchet(*replay, whole).code == 0
    ((first, last),) = rows(whole, "SELECT min(step_id), max(step_id) FROM trades")
    for target in sorted(random.Random(seed).sample(range(first, last - 50), 3 if kind == "bars" else 2)):
        process = start(*replay, killed, "--speed", speed)
        wait_for(process, killed, f"SELECT count(*) >= {target} FROM inputs")
        process.kill()
        process.wait()
        assert check_database(killed).is_sound
    assert trades(killed) != trades(whole), "it was not killed while it traded"
    ended = ratchet(*replay, killed)
    assert (ended.code, ended.err) == (0, "")
    assert trades(killed) == trades(whole) != []
    assert ratchet("db", "check", "--db", killed).code == 0


def test_a_killed_backtest_goes_on_and_ends_with_the_same_hash(
    start: Run, ratchet: Run, market: Path, tmp_path: Path
) -> None:
    lines = (market / "bars.csv").read_text(encoding="utf-8").splitlines()
    bars, database = tmp_path / "many.csv", tmp_path / "killed.sqlite"
    with bars.open("w", encoding="utf-8") as file:
        file.write(lines[0] + "\n")
        for number in range(16):
            file.writelines(line.replace("SYNTH", f"S{number}") + "\n" for line in lines[1:])
    command = ("backtest", "s1_vwap_ema", "--bars", bars, "--json", "--db")
    process = start(*command, database)
    wait_for(process, database, "SELECT count(*) FROM inputs")
    process.kill()
    process.wait()
    left = rows(database, "SELECT count(*) FROM inputs")[0][0]
    assert check_database(database).is_sound
    ended, whole = ratchet(*command, database).json, ratchet(*command, tmp_path / "whole.sqlite").json
    assert ended["resumed"] is True
    assert 0 < left < rows(database, "SELECT count(*) FROM inputs")[0][0]
    volatile = {"wall_seconds", "bars_per_second", "resumed", "database"}
    assert {key: ended[key] for key in ended.keys() - volatile} == {key: whole[key] for key in whole.keys() - volatile}
    assert ratchet(*command, database).code == 2
