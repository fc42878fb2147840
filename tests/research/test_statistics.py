"""Statistics of returns against small sums done by hand, and against the golden cases of others."""

import csv
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.research import statistics as figure
from engine.research import trade_statistics as trade
from engine.research.statistics import Array

NAN = float("nan")
PERIODS = {"daily": 252, "weekly": 52, "monthly": 12}


def array(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_returns_compound() -> None:
    assert figure.total_return(array(0.1, NAN, -0.5)) == pytest.approx(-0.45)
    assert figure.annual_return(array(0.1, 0.1), periods_per_year=4) == pytest.approx(1.1**4 - 1)
    assert figure.annual_return(array(0.5, -1.0)) == -1
    assert figure.geometric_mean(array(0.44, NAN)) == pytest.approx(0.2)
    assert figure.geometric_mean(array(0.5, -1.0)) == -1
    assert figure.growth_rate(100, 121, years=2) == pytest.approx(0.1)


def test_spreads() -> None:
    assert figure.annual_volatility(array(0.01, 0.03), periods_per_year=2) == pytest.approx(0.02)
    assert figure.downside_risk(array(0.03, -0.04, NAN), periods_per_year=2) == pytest.approx(0.04)
    assert figure.value_at_risk(np.linspace(-0.5, 0.5, 101)) == pytest.approx(-0.45)
    assert figure.conditional_value_at_risk(np.linspace(-0.5, 0.5, 101)) == pytest.approx(-0.475)


def test_the_compounded_volatility_is_that_of_a_year_of_independent_periods() -> None:
    returns = array(0.1, -0.1, 0.2, 0.05)
    # Two periods a year: the variance of a product of two independent growths with this mean and variance.
    mean, variance = 1 + figure.geometric_mean(returns), np.var(returns, ddof=1)
    by_hand = ((variance + mean**2) ** 2 - mean**4) ** 0.5
    assert figure.compounded_volatility(returns, periods_per_year=2) == pytest.approx(by_hand)


def test_drawdowns_tell_peak_trough_and_recovery() -> None:
    equity = array(100, 90, 110, 110, 55, 99, 110, 120, 60, 90)
    first, second, last = figure.drawdowns(equity)
    assert (first.peak, first.trough, first.end, first.is_recovered) == (0, 1, 2, True)
    assert first.depth == pytest.approx(-0.1)
    assert (second.peak, second.trough, second.end, second.depth) == (3, 4, 6, -0.5)
    assert (last.peak, last.trough, last.end, last.is_recovered, last.depth) == (7, 8, 9, False, -0.5)
    assert figure.drawdowns(array(1, 2, 2, 3)) == []
    assert figure.drawdowns(array()) == []
    returns = equity[1:] / equity[:-1] - 1
    assert figure.max_drawdown(returns) == pytest.approx(-0.5)


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40))
def test_the_deepest_drawdown_is_the_maximum_drawdown(values: list[float]) -> None:
    equity = np.cumprod(1 + np.array([0.0, *values]))
    deepest = min((each.depth for each in figure.drawdowns(equity)), default=0.0)
    assert deepest == pytest.approx(figure.max_drawdown(np.array(values)), abs=1e-12)
    assert float(np.min(figure.drawdown_curve(equity))) == pytest.approx(deepest, abs=1e-12)


def test_ratios_without_an_answer_say_so() -> None:
    flat = array(0.01, 0.01, 0.01)
    assert figure.sharpe_ratio(flat) == float("inf")
    assert figure.sharpe_ratio(-flat) == float("-inf")
    assert np.isnan(figure.sharpe_ratio(array(0, 0, 0)))
    assert np.isnan(figure.calmar_ratio(flat))
    assert np.isnan(figure.omega_ratio(flat))
    assert np.isnan(figure.stability(array(0, 0, 0)))
    assert np.isnan(figure.beta(array(0.1, 0.2), array(0, 0)))
    for name in ("total_return", "annual_return", "max_drawdown", "value_at_risk", "conditional_value_at_risk"):
        assert np.isnan(getattr(figure, name)(array())), name


def test_alpha_and_beta_undo_a_mixture() -> None:
    market = array(0.01, -0.02, 0.03, 0.0, NAN, 0.01)
    own = 0.001 + 1.5 * market
    assert figure.beta(own, market) == pytest.approx(1.5)
    assert figure.alpha(own, market) == pytest.approx(1.001**252 - 1)


def test_trades() -> None:
    results = array(10, -5, 0, 20, -5, -5)
    assert trade.win_rate(results) == pytest.approx(1 / 3)
    assert trade.profit_factor(results) == 2
    assert trade.expectancy(results) == pytest.approx(2.5)
    assert (trade.average_win(results), trade.average_loss(results), trade.payoff_ratio(results)) == (15, -5, 3)
    assert trade.kelly_fraction(results) == pytest.approx(1 / 3 - (2 / 3) / 3)
    assert trade.system_quality_number(results) == pytest.approx(6**0.5 * 2.5 / np.std(results, ddof=1))
    assert (trade.longest_streak(results > 0), trade.longest_streak(results < 0)) == (1, 2)
    assert trade.longest_streak(results > 100) == 0
    assert trade.longest_streak(array() > 0) == 0
    for name in ("win_rate", "profit_factor", "expectancy", "kelly_fraction", "payoff_ratio", "system_quality_number"):
        assert np.isnan(getattr(trade, name)(array())), name
    assert np.isnan(trade.profit_factor(array(1, 2)))


def test_excursions_know_the_side_and_not_the_bar_of_the_exit() -> None:
    lows, highs = array(95, 98), array(101, 110)
    long = trade.excursions(direction=1, entry_price=100, exit_price=99, lows=lows, highs=highs)
    assert long == pytest.approx((-0.05, 0.1))
    short = trade.excursions(direction=-1, entry_price=100, exit_price=99, lows=lows, highs=highs)
    assert short == pytest.approx((-0.1, 0.05))
    at_once = trade.excursions(direction=1, entry_price=100, exit_price=99, lows=array(), highs=array())
    assert at_once == pytest.approx((-0.01, 0))


# --- the cases of empyrical -----------------------------------------------------------------------------------------


def _starting_value(returns: Array, case: dict[str, Any]) -> float:
    total = figure.total_return(returns)
    return total if case["starting_value"] == 0 else case["starting_value"] * (1 + total)


def _alpha_beta(returns: Array, case: dict[str, Any]) -> list[float]:
    return [figure.alpha(returns, case["benchmark"]), figure.beta(returns, case["benchmark"])]


def _periods(case: dict[str, Any]) -> int:
    return PERIODS[case["period"]["period"]]


GOLDEN: dict[str, Callable[[Array, dict[str, Any]], float | list[float]]] = {
    "cum_returns_final": _starting_value,
    "max_drawdown": lambda returns, _: figure.max_drawdown(returns),
    "annual_ret": lambda returns, case: figure.annual_return(returns, periods_per_year=_periods(case)),
    "cagr": lambda returns, case: figure.annual_return(returns, periods_per_year=_periods(case)),
    "annual_volatility": lambda returns, case: figure.annual_volatility(returns, periods_per_year=_periods(case)),
    "calmar": lambda returns, case: figure.calmar_ratio(returns, periods_per_year=_periods(case)),
    "omega": lambda returns, case: figure.omega_ratio(
        returns, risk_free=case["risk_free"], required_return=case["required_return"]
    ),
    "sharpe_ratio": lambda returns, case: figure.sharpe_ratio(returns, risk_free=case["risk_free"]),
    "downside_risk": lambda returns, case: figure.downside_risk(
        returns, required_return=case["required_return"], periods_per_year=_periods(case)
    ),
    "sortino": lambda returns, case: figure.sortino_ratio(
        returns, required_return=case["required_return"], periods_per_year=_periods(case)
    ),
    "alpha_beta": _alpha_beta,
    "alpha": lambda returns, case: figure.alpha(returns, case["benchmark"]),
    "beta": lambda returns, case: figure.beta(returns, case["benchmark"]),
    "stability_of_timeseries": lambda returns, _: figure.stability(returns),
    "tail_ratio": lambda returns, _: figure.tail_ratio(returns),
}


def golden_cases(path: Path) -> Iterator[tuple[str, Array, dict[str, Any]]]:
    """Yield metric, returns and arguments of every case; series of other dates are joined on the dates of both."""
    book = json.loads(path.read_text(encoding="utf-8"))
    series = {
        name: array(*(NAN if each is None else each for each in entry["returns"]))
        for name, entry in book["series"].items()
    }
    firsts = {name: date.fromisoformat(entry["start"]) for name, entry in book["series"].items()}
    assert len(set(firsts.values())) == 1, "positions are dates only where all series begin together"
    for case in book["cases"]:
        returns = series[case["returns"]["series"]]
        arguments = {
            name: series[value["series"]][: len(returns)] if isinstance(value, dict) and "series" in value else value
            for name, value in case.items()
        }
        yield case["metric"], returns, arguments


def test_all_cases_of_empyrical_agree(data_dir: Path) -> None:
    cases = list(golden_cases(data_dir / "golden" / "performance" / "empyrical_cases.json"))
    assert len(cases) == 38
    for metric, returns, case in cases:
        found = GOLDEN[metric](returns, case)
        expected = np.array(case["expected"], dtype=np.float64)
        # The one literal of that metric is written with four decimals, all others in full.
        decimals = 4 if metric == "cum_returns_final" else 12
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=0.5 * 10**-decimals, err_msg=str(case))


# --- other golden values ----------------------------------------------------------------------------------------------


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_sharpe_ratio_of_pyalgotrade(data_dir: Path) -> None:
    rows = _rows(data_dir / "golden" / "pyalgotrade" / "sharpe-ratio-test-ige.csv")
    closes = [float(row["Adj Close"]) for row in rows if row["Date"] <= (date(2007, 11, 13) + timedelta(1)).isoformat()]
    assert (closes[0], closes[-1]) == (42.09, 127.64)
    returns = np.concatenate(([0.0], np.diff(closes) / closes[:-1]))
    assert figure.sharpe_ratio(returns, risk_free=0.04 / 252) == pytest.approx(0.7889, abs=5e-5)
    assert figure.sharpe_ratio(returns, risk_free=0.04 / 252, periods_per_year=1) == pytest.approx(0.0497, abs=5e-5)


def test_the_sharpe_and_sortino_ratios_of_lean(data_dir: Path) -> None:
    folder = data_dir / "golden" / "lean_indicators"
    rows = _rows(folder / "spy_sr.txt")
    closes = np.array([float(row["close"]) for row in rows])
    returns = closes[1:] / closes[:-1] - 1
    for last in range(10, len(rows)):
        found = figure.sharpe_ratio(returns[last - 10 : last], periods_per_year=1, ddof=0)
        assert found == pytest.approx(float(rows[last]["SR_10"]), abs=6e-5)
    assert len(rows) == 77
    rows = _rows(folder / "spy_sortino.csv")
    closes = np.array([float(row["close"]) for row in rows])
    returns = closes[1:] / closes[:-1] - 1
    for required in ("0", "0.01"):
        for last in range(15, len(rows)):
            found = figure.sortino_ratio(returns[last - 15 : last], required_return=float(required), periods_per_year=1)
            assert found == pytest.approx(float(rows[last][f"sortino_rf_{required}_period_15"]), rel=1e-6)
