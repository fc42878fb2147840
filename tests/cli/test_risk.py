"""`ratchet risk`: the stored decision, and the gate asked about an order that nobody made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.risk.checks import ABOUT

Run = Callable[..., Any]


@pytest.fixture
def database(ratchet: Run, market: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.sqlite"
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--db", path).code == 0
    return path


def rows(ratchet: Run, database: Path, query: str) -> Any:
    return ratchet("sql", "--db", database, query, "--json").json


def test_explain_shows_the_stored_decision_of_an_order(ratchet: Run, database: Path) -> None:
    (first,) = rows(ratchet, database, "SELECT client_order_id, decision_id FROM orders ORDER BY id LIMIT 1")
    by_number = ratchet("risk", "explain", 1, "--db", database, "--json").json
    by_client_id = ratchet("risk", "explain", first["client_order_id"], "--db", database, "--json").json
    by_decision = ratchet("risk", "explain", f"decision:{first['decision_id']}", "--db", database, "--json").json
    assert by_number == by_client_id == by_decision
    (stored,) = rows(ratchet, database, f"SELECT checks FROM decisions WHERE id = {first['decision_id']}")
    assert by_number["checks"] == json.loads(stored["checks"])
    assert set(by_number["checks"][0]) >= {"number", "name", "passed", "value", "limit", "reason", "verdict", "source"}
    shown = ratchet("risk", "explain", 1, "--db", database)
    assert shown.code == 0
    assert "APPROVED" in shown.out
    assert "not offered" in shown.out, "bars alone have no quotes"
    for number, about in ABOUT.items():
        assert any(line.split()[:1] == [str(number)] for line in shown.out.splitlines()), about.name


@pytest.mark.parametrize(
    ("asked", "part"), [("999999", "no order '999999'"), ("decision:9", "no decision '9'"), ("decision:x", "'x'")]
)
def test_explain_says_what_it_cannot_find(ratchet: Run, database: Path, asked: str, part: str) -> None:
    if asked == "decision:9":
        asked, part = "decision:999999", "no decision '999999'"
    shown = ratchet("risk", "explain", asked, "--db", database)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    assert part in shown.err


def test_what_if_asks_the_same_gate_in_the_account_as_it_stands(ratchet: Run, database: Path) -> None:
    (symbol,) = rows(ratchet, database, "SELECT symbol FROM instruments ORDER BY instrument_id LIMIT 1")
    (equity,) = rows(ratchet, database, "SELECT portfolio_value FROM equity_curve ORDER BY step_id DESC LIMIT 1")
    (bar,) = rows(ratchet, database, "SELECT close FROM bars WHERE instrument_id = 1 ORDER BY start_ts_ns DESC LIMIT 1")
    close = bar["close"]
    asked = ("risk", "what-if", symbol["symbol"], "--db", database, "--price", close, "--stop-distance", close / 20)
    before = database.read_bytes()
    answer = ratchet(*asked, "--json").json
    assert float(answer["equity"]) == pytest.approx(equity["portfolio_value"], abs=0.01)
    assert len(answer["checks"]) == 27
    assert answer["approved"] is True
    assert int(answer["sized_quantity"]) == int(float(answer["equity"]) * 0.10 / close)
    assert database.read_bytes() == before
    too_many = ratchet(*asked, "--quantity", "5000", "--json").json
    assert (too_many["approved"], too_many["reason"]) == (False, "buying_power")
    strict = ratchet(*asked, "--risk", "conservative", "--json").json
    assert int(strict["sized_quantity"]) == int(float(answer["equity"]) * 0.0025 / (close / 20))


def test_what_if_needs_no_database(ratchet: Run) -> None:
    asked = ("risk", "what-if", "BTC-USD", "--price", "50000", "--equity", "100000")
    shown = ratchet(*asked, "--stop-distance", "500")
    assert shown.code == 0
    assert "buy 0.2 BTC-USD" in shown.out
    assert "APPROVED" in shown.out
    far = ratchet(*asked, "--stop-distance", "500", "--limit", "60000")
    assert "REFUSED: collar" in far.out
    wide = ratchet(*asked, "--stop-distance", "60000", "--json").json
    assert (wide["approved"], wide["reason"]) == (False, "stop_below_zero")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--price", "0", "--stop-distance", "1", "--equity", "1"), "--price"),
        (("--price", "nan", "--stop-distance", "1", "--equity", "1"), "--price"),
        (("--price", "10", "--stop-distance", "-1", "--equity", "1"), "--stop-distance"),
        (("--price", "10", "--stop-distance", "1", "--equity", "1", "--account", "x"), "leave out"),
    ],
)
def test_what_if_refuses_what_makes_no_sense(ratchet: Run, arguments: tuple[str, ...], part: str) -> None:
    shown = ratchet("risk", "what-if", "SPY", *arguments)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    assert part in shown.err


def test_what_if_refuses_a_symbol_or_an_account_that_is_not_there(ratchet: Run, database: Path) -> None:
    numbers = ("--price", "10", "--stop-distance", "1", "--db", database)
    assert "NOPE" in ratchet("risk", "what-if", "NOPE", *numbers).err
    assert "nobody" in ratchet("risk", "what-if", "NOPE", *numbers, "--account", "nobody").err


# --- risk files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sizing:\n  max_notional_fraction: 0.3\n", ("line 2", "max_notional_fraction 0.3", "max_position_fraction")),
        ("exposure:\n  max_gross_fraction: 0.2\n", ("line 2", "max_position_fraction 0.25", "0.2")),
        ("daily_loss_cap: 0.5\n", ("line 1", "daily_loss_cap 0.5", "breakers.drawdown 0.25")),
        ("\nbreakers:\n  drawdown: 0.01\n", ("line 3", "breakers.drawdown 0.01")),
        ("sizing:\n  risk_fraction: 0.04\n", ("line 2", "risk_fraction 0.04", "daily_loss_cap 0.03")),
        ("messages: {reserve: 50}\n", ("line 1", "messages.reserve 50 equals messages.per_second 50")),
        ("messages:\n  per_second: 600\n", ("line 2", "per_second 600", "per_minute 500")),
        ("orders: {max_open: 2, max_open_entries_per_instrument: 3}\n", ("line 1", "orders.max_open 2")),
        ("instruments:\n  allowed: [SPY]\n  blocked: [SPY]\n", ("line 3", "SPY", "remove it from one")),
        (
            "exposure:\n  groups:\n    a: {symbols: [X], max_fraction: 1}\n  max_gross_fraction: 0.5\n",
            ("line 3", "groups.a", "0.5"),
        ),
        (
            "exposure:\n  groups:\n    a: {symbols: [X], max_fraction: 0.05}\n",
            ("line 3", "groups.a.max_fraction 0.05 is below sizing.max_notional_fraction 0.1"),
        ),
        (
            (
                "exposure:\n  groups:\n    a: &a\n      symbols: [X]\n      max_fraction: 0.2\n    b:\n      <<: *a\n"
                "      symbols: [Y]\nsizing:\n  max_notional_fraction: 0.25\n"
            ),
            ("line 5", "groups.a.max_fraction 0.2"),
        ),
        (
            (
                "exposure:\n  groups:\n    a: &a\n      symbols: [X]\n      max_fraction: 0.2\n    b:\n      <<: [*a]\n"
                "      max_fraction: 0.05\n"
            ),
            ("line 8", "groups.b.max_fraction 0.05"),
        ),
        (
            "sizing:\n  <<: {max_notional_fraction: 0.3}\n  risk_fraction: 0.005\n",
            ("mine.yaml, line 2, contradicts itself: sizing.max_notional_fraction 0.3",),
        ),
        (
            "instruments: {allowed: [SPY]}\nexposure:\n  groups:\n    a: {symbols: [X], max_fraction: 0.3}\n",
            ("line 4", "groups.a holds X"),
        ),
        ("max_positions: 3\nmax_positions: 4\n", ("line 2", "max_positions", "line 1", "keep one")),
        ("exposure:\n  groups:\n    a: {symbols: [], max_fraction: 0.3}\n", ("groups.a.symbols", "at least 1")),
        ("not_offered: {quotes: maybe}\n", ("not_offered.quotes", "'maybe'")),
        ("breakers: {errors: 0}\n", ("breakers.errors", "greater than or equal to 1")),
    ],
)
def test_a_risk_file_that_contradicts_itself_is_refused(
    ratchet: Run, tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    shown = ratchet("config", "check", "--risk", path)
    assert (shown.code, shown.err.count("\n")) == (2, 1)
    for part in parts:
        assert part in shown.err, shown.err


def test_a_breaker_that_is_off_contradicts_nothing(ratchet: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("daily_loss_cap: 0.5\nbreakers: {drawdown: null}\n")
    shown = ratchet("config", "check", "--risk", tmp_path / "mine.yaml", "--json")
    assert shown.json["settings"]["breakers.drawdown"] is None


def test_groups_are_shown_as_they_were_named(ratchet: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("exposure:\n  groups:\n    index: {symbols: [SPY, IVV], max_fraction: 0.3}\n")
    assert "index: IVV, SPY up to 0.3" in ratchet("config", "check", "--risk", tmp_path / "mine.yaml").out


def test_the_conservative_profile_is_known_by_name_and_trades(ratchet: Run, market: Path, tmp_path: Path) -> None:
    """A position is worth at most a twentieth of the account when it is opened."""
    settings = ratchet("config", "check", "--risk", "conservative", "--json").json["settings"]
    assert settings["sizing.max_notional_fraction"] == settings["exposure.max_position_fraction"] == "0.05"
    path = tmp_path / "strict.sqlite"
    shown = ratchet(
        "backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--db", path, "--risk", "conservative", "--json"
    )
    assert shown.code == 0
    (largest,) = rows(ratchet, path, "SELECT count(*) AS n, max(value) AS most FROM trades WHERE side = 'buy'")
    assert largest["n"] > 0
    assert largest["most"] <= 0.0505 * 100_000


def test_the_default_profile_is_the_shipped_file_even_beside_an_own_one(ratchet: Run, tmp_path: Path) -> None:
    (tmp_path / "risk.yaml").write_text("max_positions: 2\n")
    assert ratchet("config", "check", "--json").json["settings"]["max_positions"] == 2
    assert ratchet("config", "check", "--risk", "default", "--json").json["settings"]["max_positions"] == 5
