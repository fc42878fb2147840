"""The trades of backtesting.py's SmaCross on GOOG, and the report's statistics of them.

The model is no part of the engine, which never sells short: half of these trades are short.
"""

import csv
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.values import DAY_NS
from engine.research.report_inputs import ReportInputs, TradeResult
from engine.research.report_statistics import compute_statistics
from engine.research.statistics import Array

FAST, SLOW = 10, 30
CASH = 10_000.0


@dataclass(frozen=True)
class Days:
    """Hold daily bars."""

    ts_ns: list[int]
    opens: Array
    closes: Array


@dataclass(frozen=True)
class Played:
    """Hold what the model did: equity after each close, trades, and in which bars it held something."""

    equity: Array
    trades: tuple[TradeResult, ...]
    held: Array


def read_days(path: Path) -> Days:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    moments = [datetime.fromisoformat(row[""]).replace(tzinfo=UTC) for row in rows]
    return Days(
        ts_ns=[int(moment.timestamp()) * 10**9 for moment in moments],
        opens=np.array([float(row["Open"]) for row in rows]),
        closes=np.array([float(row["Close"]) for row in rows]),
    )


def crossings(closes: Array) -> dict[int, int]:
    """Return at which bars the fast average crosses the slow one: 1 upwards, -1 downwards."""
    averages = [
        np.concatenate((np.full(length - 1, np.nan), np.convolve(closes, np.full(length, 1 / length), "valid")))
        for length in (FAST, SLOW)
    ]
    above = np.sign(np.round(averages[0] - averages[1], 9))
    return {
        bar: int(above[bar]) for bar in range(SLOW, len(closes)) if above[bar] != 0 and above[bar - 1] == -above[bar]
    }


def play(days: Days) -> Played:
    """Turn over at the open after each crossing, with all of the equity in whole shares; close at the last open."""
    turns = {bar + 1: direction for bar, direction in crossings(days.closes).items() if bar + 1 < len(days.closes)}
    cash, shares, entered = CASH, 0, 0
    equity, held = np.empty(len(days.closes)), np.zeros(len(days.closes))
    trades: list[TradeResult] = []
    last = len(days.closes) - 1
    for bar, (price, close) in enumerate(zip(days.opens.tolist(), days.closes.tolist(), strict=True)):
        if shares and (bar in turns or bar == last):
            held[entered : bar + 1] = 1
            trades.append(finished(days, shares, entered, bar))
            cash, shares = cash + shares * price, 0
        if bar in turns:
            shares, entered = turns[bar] * int(cash // price), bar
            cash -= shares * price
        equity[bar] = cash + shares * close
    return Played(equity=equity, trades=tuple(trades), held=held)


def finished(days: Days, shares: int, entered: int, left: int) -> TradeResult:
    entry, leave = float(days.opens[entered]), float(days.opens[left])
    return TradeResult(
        direction=1 if shares > 0 else -1,
        quantity=abs(shares),
        entry_ts_ns=days.ts_ns[entered],
        entry_price=entry,
        exit_ts_ns=days.ts_ns[left],
        exit_price=leave,
        pnl=shares * (leave - entry),
    )


def inputs_of(days: Days, played: Played) -> ReportInputs:
    def returns(values: Array) -> Array:
        return np.asarray(values[1:] / values[:-1] - 1, dtype=np.float64)

    return ReportInputs(
        first_ts_ns=days.ts_ns[0],
        last_ts_ns=days.ts_ns[-1],
        mark_ts_ns=np.array(days.ts_ns),
        mark_equity=played.equity,
        final_equity=float(played.equity[-1]),
        net_pnl=float(played.equity[-1]) - CASH,
        session_returns=returns(played.equity),
        benchmark_returns=returns(days.closes),
        # From the first bar that has both averages.
        benchmark_total=float(days.closes[-1] / days.closes[SLOW - 1] - 1),
        periods_per_year=252,
        trades=played.trades,
        exposure_time=float(np.mean(played.held)),
    )


@pytest.fixture(scope="module")
def days(data_dir: Path) -> Days:
    return read_days(data_dir / "golden" / "performance" / "backtesting_py_goog_daily.csv")


def test_the_trades_are_those_of_the_reference(days: Days) -> None:
    played = play(days)
    assert len(played.trades) == 66
    assert sum(trade.direction < 0 for trade in played.trades) == 33
    assert float(np.max(played.equity)) == pytest.approx(75_787.44, abs=1e-6)
    assert float(played.equity[-1]) == pytest.approx(51_422.99, abs=1e-6)


#: Field of the reference -> our statistic, and what turns ours into its unit.
FIELDS: dict[str, tuple[str, float]] = {
    "# Trades": ("trades", 1),
    "Alpha [%]": ("alpha_total", 100),
    "Avg. Drawdown [%]": ("average_drawdown", 100),
    "Avg. Trade [%]": ("average_trade_return", 100),
    "Best Trade [%]": ("best_trade_return", 100),
    "Beta": ("beta_log", 1),
    "Buy & Hold Return [%]": ("benchmark_return", 100),
    "CAGR [%]": ("growth_rate", 100),
    "Calmar Ratio": ("calmar", 1),
    "Equity Final [$]": ("final_equity", 1),
    "Equity Peak [$]": ("equity_peak", 1),
    "Expectancy [%]": ("expectancy_return", 100),
    "Exposure Time [%]": ("exposure_time", 100),
    "Kelly Criterion": ("kelly_fraction", 1),
    "Max. Drawdown [%]": ("max_drawdown", 100),
    "Profit Factor": ("profit_factor_returns", 1),
    "Return (Ann.) [%]": ("annual_return", 100),
    "Return [%]": ("total_return", 100),
    "SQN": ("system_quality_number", 1),
    "Sharpe Ratio": ("sharpe_compounded", 1),
    "Sortino Ratio": ("sortino_compounded", 1),
    "Volatility (Ann.) [%]": ("annual_volatility_compounded", 100),
    "Win Rate [%]": ("win_rate", 100),
    "Worst Trade [%]": ("worst_trade_return", 100),
}
#: The reference shows spans as whole days, rounded up.
SPANS = {
    "Avg. Drawdown Duration": "average_drawdown_days",
    "Avg. Trade Duration": "average_trade_days",
    "Duration": "duration_days",
    "Max. Drawdown Duration": "longest_drawdown_days",
    "Max. Trade Duration": "longest_trade_days",
}
MOMENTS = {"Start": "start", "End": "end"}


def test_every_field_of_the_reference_agrees(days: Days, data_dir: Path) -> None:
    path = data_dir / "golden" / "performance" / "backtesting_py_smacross_expected.json"
    expected: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert set(expected) == set(FIELDS) | set(SPANS) | set(MOMENTS)
    found = compute_statistics(inputs_of(days, play(days)))
    for field, (key, scale) in FIELDS.items():
        assert found[key] * scale == pytest.approx(expected[field], rel=1e-10), field
    for field, key in SPANS.items():
        assert math.ceil(found[key]) == int(expected[field].partition(" ")[0]), field
    for field, key in MOMENTS.items():
        moment = datetime.fromisoformat(expected[field]).replace(tzinfo=UTC)
        assert found[key] == int(moment.timestamp()) * 10**9, field
    assert found["duration_days"] * DAY_NS == found["end"] - found["start"]
