"""The kinds of orders that a risk file allows, from the file to the orders of a run."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.pipeline.entries import EntryRules, OrderPolicy
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import synthetic_bars
from engine.store.connection import open_reader


def risk_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def kinds(tmp_path: Path, text: str, style: ExitStyle) -> dict[tuple[str, str], int]:
    """Return how many orders of each leg and type a run made."""
    database = tmp_path / f"{style.value}.sqlite"
    spec = RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}),
        feed=ReplayFeed([synthetic_bars(3, sessions=6)]),
        risk=load_risk(risk_file(tmp_path, text)),
        cash=Decimal(100_000),
        exit_style=style,
    )
    backtest(spec, database, wall_ts_ns=0)
    connection = open_reader(database)
    try:
        found = connection.execute("SELECT leg, order_type, count(*) FROM orders GROUP BY 1, 2").fetchall()
        # Nothing is asked for beyond what the strictest of these tests allows.
        beyond = (
            "SELECT count(*) FROM orders WHERE leg = 'entry' "
            "AND (limit_price - reference_price) / reference_price * 1e4 > 5.0001"
        )
        assert connection.execute(beyond).fetchone() == (0,)
    finally:
        connection.close()
    return {(leg, order_type): count for leg, order_type, count in found}


@pytest.mark.parametrize("style", list(ExitStyle), ids=str)
def test_limit_only_binds_entries_and_leaves_exits_alone(tmp_path: Path, style: ExitStyle) -> None:
    plain = kinds(tmp_path, "daily_loss_cap: 0.03\n", style)
    assert plain[("entry", "market")] > 0
    bounded_path = tmp_path / "bounded"
    bounded_path.mkdir()
    text = "orders:\n  policy: limit_only\n  market_as_limit_bps: 5\n"
    bounded = kinds(bounded_path, text, style)
    assert bounded[("entry", "limit")] > 0
    assert ("entry", "market") not in bounded
    assert bounded[("stop", "stop")] > 0


def test_the_file_becomes_the_rules(tmp_path: Path) -> None:
    assert load_risk(risk_file(tmp_path, "{}")).entry_rules == EntryRules()
    text = "orders: {policy: limit_only, market_as_limit_bps: 20, slippage_bps_max: 10, market_as_limit_s: 30}"
    rules = load_risk(risk_file(tmp_path, text)).entry_rules
    assert rules == EntryRules(
        policy=OrderPolicy.LIMIT_ONLY,
        market_as_limit_bps=Decimal(20),
        market_as_limit_ns=30_000_000_000,
        slippage_bps_max=Decimal(10),
    )


@pytest.mark.parametrize(
    ("orders", "parts"),
    [
        ("policy: limits", ("orders.policy", "'limits'", "any", "limit_only")),
        ("slippage_bps_max: -1", ("orders.slippage_bps_max", "-1")),
        ("market_as_limit_s: 0", ("orders.market_as_limit_s", "0")),
        ("policy: limit_only\n  market_as_limit_bps: 600", ("line 3", "orders.market_as_limit_bps 600", "0.05")),
        ("slippage_bps_max: 501", ("line 2", "orders.slippage_bps_max 501", "every market entry")),
    ],
)
def test_a_policy_without_a_meaning_is_refused(tmp_path: Path, orders: str, parts: tuple[Any, ...]) -> None:
    with pytest.raises(BadInput) as caught:
        load_risk(risk_file(tmp_path, f"orders:\n  {orders}\n"))
    for part in parts:
        assert part in str(caught.value)
