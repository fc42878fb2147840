"""`ratchet order` tells why, on a screen of 80 columns and as one JSON object."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engine.cli.checks_table import checks_table
from engine.testing.old_databases import restore_dump

Run = Callable[..., Any]
DUMPS = Path(__file__).parents[1] / "store" / "data"
_SECTIONS = ("Bar", "Indicators", "Rule", "Signal", "Gate", "Order", "Transitions", "Fills", "Bracket", "Position")


@pytest.fixture
def kept(ratchet: Run, market: Path, tmp_path: Path) -> Path:
    """Keep one backtest in a database."""
    database = tmp_path / "kept.sqlite"
    options = ("--db", database, "--fees", "robinhood", "--slippage-bps", "1", "--json")
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", *options).code == 0
    return database


def test_orders_are_listed_and_filtered(ratchet: Run, kept: Path) -> None:
    listed = ratchet("order", "list", "--db", kept, "--json").json
    assert 3 <= len(listed) <= 20
    assert {"order_id", "client_order_id", "symbol", "side", "quantity", "status"} <= set(listed[0])
    filled = ratchet("order", "list", "--db", kept, "--status", "filled", "--symbol", "SYNTH", "--limit", "2", "--json")
    assert [row["status"] for row in filled.json] == ["FILLED"] * 2
    shown = ratchet("order", "list", "--db", kept)
    assert shown.code == 0
    assert listed[0]["client_order_id"] in shown.out
    assert ratchet("order", "list", "--db", kept, "--status", "UNKNOWN").out == "No order is like that.\n"


def test_a_story_has_every_part_on_eighty_columns(ratchet: Run, kept: Path) -> None:
    orders = ratchet("order", "list", "--db", kept, "--json", "--limit", "500").json
    for leg in ("entry", "stop", "target"):
        order = next(row for row in orders if row["leg"] == leg and row["status"] == "FILLED")
        shown = ratchet("order", "show", order["client_order_id"][:13], "--db", kept)
        assert (shown.code, shown.err) == (0, "")
        lines = shown.out.splitlines()
        assert max(map(len, lines)) <= 80
        titles = [line for line in lines if re.match(r"[ \d]\d [A-Z]", line)]
        assert [title.split()[1] for title in titles] == list(_SECTIONS)
        assert "fast crosses above slow & close > session_vwap" in " ".join(shown.out.split())
        assert "loss limits" in shown.out
        assert "filled in full" in shown.out or leg == "entry"


def test_a_story_is_one_object(ratchet: Run, kept: Path) -> None:
    orders = ratchet("order", "list", "--db", kept, "--json", "--limit", "500").json
    entry = next(row for row in orders if row["leg"] == "entry" and row["status"] == "FILLED")
    story = ratchet("order", "show", entry["order_id"], "--db", kept, "--json").json
    assert story["order"]["client_order_id"] == entry["client_order_id"]
    assert set(story["indicator_values"]) == {"fast", "slow", "atr", "session_vwap"}
    assert story["strategy"]["parameters"]["fast_period"] == 9
    assert story["strategy"]["rule"].startswith("enter where ")
    assert {check["name"] for check in story["checks"]} >= {"trading_state", "buying_power"}
    assert story["position"] == {
        "before": "0",
        "after": entry["quantity"],
        "realized_pnl": "0",
        "fees": story["fills"][0]["fee"],
        "realized_pnl_after_fees": f"-{story['fills'][0]['fee']}" if float(story["fills"][0]["fee"]) else "0",
    }
    assert story["fills"][0]["slippage_bps"] > 0


def test_a_table_of_checks_never_breaks_a_number() -> None:
    names = ("number", "name", "passed", "value", "limit", "reason", "verdict", "source")
    checks = [
        dict(zip(names, values, strict=False))
        for values in (
            (2, "authorisation", True, "-", "-", ""),
            (10, "market_data_reasonability", False, "age 12 s", "5 s", "quote_stale", "refused", "quotes of the feed"),
            (12, "max_position", True, "9748.08000000", "24988.4122500", "", "passed", "the ledger, with entries"),
            (26, "token_horizon", False, "-", "-", "no_source", "not_offered", "expiry of its token"),
        )
    ]
    console = Console(width=77, record=True, file=StringIO())
    console.print(checks_table(checks))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 77
    assert {"9748.08", "24988.41225", "not", "offered:", "stale", "passed"} <= {
        word for line in lines for word in line.split()
    }


@pytest.mark.parametrize(
    ("name", "reason", "value", "limit", "cells"),
    [
        ("duplicate_order", "", "never", 60_000_000_000, ("never", "60 s")),
        ("duplicate_order", "duplicate_order", 1_500_000_000, 60_000_000_000, ("1.5 s", "60 s")),
        ("market_data", "stale_quote", 12_000_000_000, 5_000_000_000, ("12 s", "5 s")),
        ("market_data", "price_jump", "0.3", "0.2", ("0.3", "0.2")),
        ("reconciliation", "unknown_order", 2, 0, ("2", "0")),
        ("reconciliation", "not_reconciled", 61_000_000_000, 60_000_000_000, ("61 s", "60 s")),
        ("clock_sanity", "clock_offset", -501_000_000, 500_000_000, ("-501 ms", "500 ms")),
        ("token_horizon", "", 3_600_000_000_000, 1_800_000_000_000, ("3600 s", "1800 s")),
        ("open_orders", "", 60_000_000_000, 100, ("60000000000", "100")),
    ],
)
def test_durations_are_shown_in_the_unit_of_their_setting(
    name: str, reason: str, value: object, limit: object, cells: tuple[str, str]
) -> None:
    check = {"number": 1, "name": name, "passed": not reason, "value": value, "limit": limit, "reason": reason}
    console = Console(width=100, record=True, file=StringIO())
    console.print(checks_table([check]))
    line = " ".join(console.export_text().splitlines()[-1].split())
    assert line.endswith(" ".join(cells)), line


@pytest.mark.parametrize("wanted", ["999", "ffff0000", ""])
def test_an_unknown_order_is_one_sentence(ratchet: Run, kept: Path, wanted: str) -> None:
    shown = ratchet("order", "show", wanted, "--db", kept)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.count("\n") == 1
    assert f"There is no order {wanted!r}" in shown.err


def test_orders_of_an_older_program_tell_theirs_too(ratchet: Run, tmp_path: Path) -> None:
    database = restore_dump(DUMPS / "schema_0001_paper.sql.gz", tmp_path / "old.sqlite")
    refused = ratchet("order", "list", "--db", database)
    assert refused.code == 2
    assert "ratchet db upgrade" in refused.err
    assert ratchet("db", "upgrade", "--db", database).code == 0
    for row in ratchet("order", "list", "--db", database, "--json").json:
        shown = ratchet("order", "show", row["order_id"], "--db", database)
        assert (shown.code, shown.err) == (0, "")
        assert "was not kept (the run was made by an older program)" in shown.out
