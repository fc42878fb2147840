"""Statistics of a report on equity and returns, in the order of its pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from engine.core.values import DAY_NS
from engine.research import statistics as figure
from engine.research import trade_statistics as trade
from engine.research.report_catalogue import Row, Unit, against, annualised, best, known, of_returns, worst
from engine.research.report_inputs import ReportInputs
from engine.research.statistics import Array, Drawdown

_F, _M, _X, _N = Unit.FRACTION, Unit.MONEY, Unit.RATIO, Unit.COUNT
_D, _T, _B = Unit.DAYS, Unit.MOMENT, Unit.BASIS_POINTS


# --- equity -------------------------------------------------------------------------------------------------------


def _total_return(inputs: ReportInputs) -> float:
    return float(inputs.mark_equity[-1] / inputs.mark_equity[0] - 1)


def _growth_rate(inputs: ReportInputs) -> float:
    years = (inputs.last_ts_ns - inputs.first_ts_ns) / DAY_NS / figure.YEAR_DAYS
    return figure.growth_rate(float(inputs.mark_equity[0]), float(inputs.mark_equity[-1]), years=years)


def _max_drawdown(inputs: ReportInputs) -> float:
    return float(np.min(figure.drawdown_curve(inputs.mark_equity)))


def _deepest(inputs: ReportInputs) -> Drawdown | None:
    return min(figure.drawdowns(inputs.mark_equity), key=lambda each: each.depth, default=None)


def _deepest_moment(name: str) -> Callable[[ReportInputs], float]:
    def moment(inputs: ReportInputs) -> float:
        deepest = _deepest(inputs)
        if deepest is None or (name == "end" and not deepest.is_recovered):
            return float("nan")
        return int(inputs.mark_ts_ns[getattr(deepest, name)])

    return moment


def _drawdown_days(inputs: ReportInputs) -> Array:
    spans = [(each.peak, each.end) for each in figure.drawdowns(inputs.mark_equity)]
    lasting = [(inputs.mark_ts_ns[end] - inputs.mark_ts_ns[peak]) / DAY_NS for peak, end in spans]
    return np.array(lasting, dtype=np.float64)


def _drawdown_depths(inputs: ReportInputs) -> Array:
    return np.array([each.depth for each in figure.drawdowns(inputs.mark_equity)], dtype=np.float64)


def _calmar(inputs: ReportInputs) -> float:
    depth = _max_drawdown(inputs)
    return annualised(figure.annual_return)(inputs) / -depth if depth < 0 else float("nan")


def _sharpe_compounded(inputs: ReportInputs) -> float:
    spread = annualised(figure.compounded_volatility)(inputs)
    return annualised(figure.annual_return)(inputs) / spread if spread > 0 else float("nan")


def _sortino_compounded(inputs: ReportInputs) -> float:
    risk = annualised(figure.downside_risk)(inputs)
    return annualised(figure.annual_return)(inputs) / risk if risk > 0 else float("nan")


def _positive_sessions(inputs: ReportInputs) -> float:
    returns = known(inputs.session_returns)
    return float(np.mean(returns > 0)) if len(returns) else float("nan")


# --- against buy and hold -----------------------------------------------------------------------------------------


def _alpha(inputs: ReportInputs) -> float:
    return figure.alpha(inputs.session_returns, inputs.benchmark_returns, periods_per_year=inputs.periods_per_year)


def _beta_log(inputs: ReportInputs) -> float:
    if (inputs.session_returns <= -1).any():
        return float("nan")
    return figure.beta(np.log1p(inputs.session_returns), np.log1p(inputs.benchmark_returns))


def _alpha_total(inputs: ReportInputs) -> float:
    return _total_return(inputs) - _beta_log(inputs) * inputs.benchmark_total


RESULT: Final[tuple[Row, ...]] = (
    ("start", "Start", _T, "Start of the first bar.", lambda inputs: inputs.first_ts_ns),
    ("end", "End", _T, "End of the last bar.", lambda inputs: inputs.last_ts_ns),
    (
        "duration_days",
        "Duration",
        _D,
        "Calendar days from start to end.",
        lambda inputs: (inputs.last_ts_ns - inputs.first_ts_ns) / DAY_NS,
    ),
    ("sessions", "Sessions", _N, "Exchange sessions from start to end.", lambda inputs: len(inputs.session_returns)),
    ("final_equity", "Final equity", _M, "Cash and positions at the last close.", lambda inputs: inputs.final_equity),
    (
        "equity_peak",
        "Equity peak",
        _M,
        "Highest equity at any bar's close, without later deposits and withdrawals.",
        lambda inputs: float(np.max(inputs.mark_equity)),
    ),
    (
        "net_pnl",
        "Net profit",
        _M,
        "Final equity less deposits, plus withdrawals: after all costs.",
        lambda inputs: inputs.net_pnl,
    ),
    ("total_return", "Total return", _F, "Growth of what was put in first, from first mark to last.", _total_return),
    (
        "annual_return",
        "Annual return",
        _F,
        "(1 + compounded session returns) ^ (sessions per year / sessions) - 1.",
        annualised(figure.annual_return),
    ),
    (
        "growth_rate",
        "CAGR",
        _F,
        "(1 + total return) ^ (365.25 / calendar days) - 1.",
        _growth_rate,
    ),
    ("best_session", "Best session", _F, "Highest session return.", lambda inputs: best(known(inputs.session_returns))),
    (
        "worst_session",
        "Worst session",
        _F,
        "Lowest session return.",
        lambda inputs: worst(known(inputs.session_returns)),
    ),
    ("positive_sessions", "Sessions that won", _F, "Share of session returns above zero.", _positive_sessions),
)


RISK: Final[tuple[Row, ...]] = (
    (
        "annual_volatility",
        "Annual volatility",
        _F,
        "Sample standard deviation of session returns · √(sessions per year).",
        annualised(figure.annual_volatility),
    ),
    (
        "annual_volatility_compounded",
        "Annual volatility, compounded",
        _F,
        "√((v + (1 + m)²)ⁿ - (1 + m)²ⁿ), m the geometric mean and v the sample variance of n sessions a year.",
        annualised(figure.compounded_volatility),
    ),
    (
        "downside_risk",
        "Downside risk",
        _F,
        "√(mean square of session returns below zero, others counted as zero) · √(sessions per year).",
        annualised(figure.downside_risk),
    ),
    (
        "max_drawdown",
        "Maximum drawdown",
        _F,
        "Deepest fall of equity at a bar's close below its highest value before; negative.",
        _max_drawdown,
    ),
    ("max_drawdown_peak", "… from its peak", _T, "When the deepest fall began.", _deepest_moment("peak")),
    ("max_drawdown_trough", "… to its trough", _T, "When the deepest fall was deepest.", _deepest_moment("trough")),
    (
        "max_drawdown_recovery",
        "… and its recovery",
        _T,
        "When the peak before the deepest fall was reached again; not defined if it never was.",
        _deepest_moment("end"),
    ),
    (
        "longest_drawdown_days",
        "Longest drawdown",
        _D,
        "Most calendar days from a peak until it was reached again, or until the end.",
        lambda inputs: best(_drawdown_days(inputs)),
    ),
    (
        "average_drawdown",
        "Average drawdown",
        _F,
        "Mean depth of all falls below a peak; negative.",
        lambda inputs: trade.expectancy(_drawdown_depths(inputs)),
    ),
    (
        "average_drawdown_days",
        "Average time under water",
        _D,
        "Mean of the calendar days of all falls below a peak.",
        lambda inputs: trade.expectancy(_drawdown_days(inputs)),
    ),
    (
        "value_at_risk",
        "Value at risk, 5 %",
        _F,
        "The 5 % quantile of session returns, interpolated.",
        of_returns(figure.value_at_risk),
    ),
    (
        "conditional_value_at_risk",
        "Conditional value at risk, 5 %",
        _F,
        "Mean of the session returns at or below the value at risk.",
        of_returns(figure.conditional_value_at_risk),
    ),
)

RATIOS: Final[tuple[Row, ...]] = (
    (
        "sharpe",
        "Sharpe ratio",
        _X,
        "Mean over sample standard deviation of session returns · √(sessions per year); risk-free rate 0.",
        annualised(figure.sharpe_ratio),
    ),
    (
        "sharpe_compounded",
        "Sharpe ratio, compounded",
        _X,
        "Annual return over compounded annual volatility; risk-free rate 0.",
        _sharpe_compounded,
    ),
    (
        "sortino",
        "Sortino ratio",
        _X,
        "Mean session return · sessions per year over downside risk.",
        annualised(figure.sortino_ratio),
    ),
    (
        "sortino_compounded",
        "Sortino ratio, compounded",
        _X,
        "Annual return over downside risk.",
        _sortino_compounded,
    ),
    ("calmar", "Calmar ratio", _X, "Annual return over the size of the maximum drawdown.", _calmar),
    ("omega", "Omega ratio", _X, "Sum of gains over sum of losses of sessions.", annualised(figure.omega_ratio)),
    (
        "tail_ratio",
        "Tail ratio",
        _X,
        "Size of the 95 % quantile of session returns over that of the 5 % quantile.",
        of_returns(figure.tail_ratio),
    ),
    (
        "stability",
        "Stability",
        _X,
        "R² of a straight line through the cumulative logarithmic returns; 1 is steady.",
        of_returns(figure.stability),
    ),
)

BENCHMARK: Final[tuple[Row, ...]] = (
    (
        "benchmark_return",
        "Buy and hold",
        _F,
        "From the first bar's open to the last close, in equal parts of the symbols, without costs.",
        lambda inputs: inputs.benchmark_total,
    ),
    (
        "beta",
        "Beta",
        _X,
        "Covariance of session returns with those of buy and hold, over the variance of the latter.",
        against(figure.beta),
    ),
    (
        "alpha",
        "Alpha, annual",
        _F,
        "(1 + mean of session return less beta · that of buy and hold) ^ sessions per year - 1.",
        _alpha,
    ),
    ("beta_log", "Beta of logarithms", _X, "Beta of logarithmic session returns.", _beta_log),
    (
        "alpha_total",
        "Alpha, total",
        _F,
        "Total return less beta of logarithms · buy and hold.",
        _alpha_total,
    ),
)
