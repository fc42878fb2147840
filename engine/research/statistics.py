"""Statistics of returns and of equity: pure functions of float arrays, each with its definition.

A return is a fraction of the value before it: 0.01 is one per cent. NaN marks a period without a return: it moves no
value and enters no mean, but the period counts as time. A figure without an answer is NaN, never an exception. The
definitions are those of the open-source `empyrical`, with which the tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

#: Periods of a year by how often returns are taken.
DAYS_PER_YEAR: Final = 252
WEEKS_PER_YEAR: Final = 52
MONTHS_PER_YEAR: Final = 12
#: Of a market that never closes.
CALENDAR_DAYS_PER_YEAR: Final = 365
#: Mean length of a calendar year in days: what turns a span of dates into years.
YEAR_DAYS: Final = 365.25

_NAN: Final = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """Hold one fall below a peak, as positions in the series."""

    peak: int
    trough: int
    #: Where the peak was reached again, or the last position.
    end: int
    is_recovered: bool
    #: Value at the trough against the peak: negative.
    depth: float


# --- return -------------------------------------------------------------------------------------------------------


def total_return(returns: Array) -> float:
    """Return what all periods came to, compounded: product of (1 + r), minus 1; NaN without periods."""
    return float(np.prod(1 + np.nan_to_num(returns)) - 1) if len(returns) else _NAN


def annual_return(returns: Array, *, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Return the compound annual growth rate: (1 + total return) ^ (periods per year / periods), minus 1."""
    if not len(returns):
        return _NAN
    final = 1 + total_return(returns)
    return float(final ** (periods_per_year / len(returns)) - 1) if final > 0 else -1.0


def growth_rate(first: float, last: float, *, years: float) -> float:
    """Return the compound annual growth rate over a span of calendar years: (last / first) ^ (1 / years), minus 1."""
    if first <= 0 or years <= 0:
        return _NAN
    return float((last / first) ** (1 / years) - 1) if last > 0 else -1.0


def geometric_mean(returns: Array) -> float:
    """Return the return which, earned each time, comes to the same total; -1 where everything was lost."""
    if not len(returns):
        return _NAN
    growth = 1 + np.nan_to_num(returns)
    return float(np.exp(np.mean(np.log(growth))) - 1) if (growth > 0).all() else -1.0


# --- risk ---------------------------------------------------------------------------------------------------------


def annual_volatility(returns: Array, *, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Return the sample standard deviation of the returns times the root of periods per year."""
    return _spread(returns, ddof=1) * float(periods_per_year**0.5)


def compounded_volatility(returns: Array, *, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Return the standard deviation of a year's compounded return, from mean m and sample variance v of the periods.

    The root of (v + (1 + m)²)^n - (1 + m)^(2n), with m the geometric mean and n the periods per year, if periods are
    independent; the definition of backtesting.py.
    """
    variance, growth = _spread(returns, ddof=1) ** 2, (1 + geometric_mean(returns)) ** 2
    return float(((variance + growth) ** periods_per_year - growth**periods_per_year) ** 0.5)


def downside_risk(
    returns: Array, *, required_return: float | Array = 0.0, periods_per_year: float = DAYS_PER_YEAR
) -> float:
    """Return the root of the mean square of shortfalls below the required return of a period, annualised.

    Every period counts in the mean, those without a shortfall as 0.
    """
    shortfall = _known(np.minimum(returns - required_return, 0.0))
    return float(np.mean(shortfall**2) ** 0.5 * periods_per_year**0.5) if len(shortfall) else _NAN


def value_at_risk(returns: Array, *, tail: float = 0.05) -> float:
    """Return the return that the worst share `tail` of periods stays below: an interpolated quantile."""
    known = _known(returns)
    return float(np.quantile(known, tail)) if len(known) else _NAN


def conditional_value_at_risk(returns: Array, *, tail: float = 0.05) -> float:
    """Return the mean of the returns at or below the value at risk."""
    known = _known(returns)
    return float(np.mean(known[known <= np.quantile(known, tail)])) if len(known) else _NAN


def max_drawdown(returns: Array) -> float:
    """Return the deepest fall of the compounded value below its highest value before: 0 or negative."""
    if not len(returns):
        return _NAN
    return float(np.min(drawdown_curve(np.concatenate(([1.0], np.cumprod(1 + np.nan_to_num(returns)))))))


def drawdown_curve(equity: Array) -> Array:
    """Return how far each value lies below the highest one so far, as a fraction of it: 0 or negative."""
    peaks = np.maximum.accumulate(equity)
    return np.asarray(equity / peaks - 1, dtype=np.float64)


def drawdowns(equity: Array) -> list[Drawdown]:
    """Return every fall below a peak, in order: from the last value at the peak until that is reached again."""
    if not len(equity):
        return []
    at_peak = np.flatnonzero(equity >= np.maximum.accumulate(equity))
    ends = np.append(at_peak[1:], len(equity))
    found: list[Drawdown] = []
    for peak, end in zip(at_peak.tolist(), ends.tolist(), strict=True):
        if end == peak + 1:
            continue
        trough = peak + int(np.argmin(equity[peak:end]))
        found.append(
            Drawdown(
                peak=peak,
                trough=trough,
                end=min(end, len(equity) - 1),
                is_recovered=end < len(equity),
                depth=float(equity[trough] / equity[peak] - 1),
            )
        )
    return found


# --- ratios -------------------------------------------------------------------------------------------------------


def sharpe_ratio(
    returns: Array, *, risk_free: float | Array = 0.0, periods_per_year: float = DAYS_PER_YEAR, ddof: int = 1
) -> float:
    """Return mean over standard deviation of the returns above the risk-free one of a period, annualised.

    The deviation is that of a sample (`ddof` 1) or of a population (0). Equal returns deviate by nothing: the ratio is
    infinite. NaN below two periods.
    """
    excess = _known(returns - risk_free)
    if len(returns) < 2 or not len(excess):
        return _NAN
    return _ratio(float(np.mean(excess)), _spread(excess, ddof=ddof)) * float(periods_per_year**0.5)


def sortino_ratio(
    returns: Array, *, required_return: float | Array = 0.0, periods_per_year: float = DAYS_PER_YEAR
) -> float:
    """Return the mean return above the required one of a period, annualised, over the downside risk."""
    excess = _known(returns - required_return)
    if len(returns) < 2 or not len(excess):
        return _NAN
    risk = downside_risk(returns, required_return=required_return, periods_per_year=periods_per_year)
    return _ratio(float(np.mean(excess)) * periods_per_year, risk)


def calmar_ratio(returns: Array, *, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Return the annual return over the depth of the maximum drawdown; NaN where nothing ever fell."""
    depth = max_drawdown(returns)
    return annual_return(returns, periods_per_year=periods_per_year) / -depth if depth < 0 else _NAN


def omega_ratio(
    returns: Array,
    *,
    risk_free: float | Array = 0.0,
    required_return: float = 0.0,
    periods_per_year: float = DAYS_PER_YEAR,
) -> float:
    """Return the sum of gains over the sum of losses, both against a threshold.

    The threshold is the risk-free return of a period plus the period's share of a required annual return. NaN without
    a loss.
    """
    if len(returns) < 2 or required_return <= -1:
        return _NAN
    above = _known(returns - risk_free) - ((1 + required_return) ** (1 / periods_per_year) - 1)
    losses = -float(np.sum(above[above < 0]))
    return float(np.sum(above[above > 0])) / losses if losses > 0 else _NAN


def tail_ratio(returns: Array) -> float:
    """Return the size of the 95 % quantile of the returns over that of the 5 % quantile."""
    known = _known(returns)
    if not len(known):
        return _NAN
    return _ratio(abs(float(np.quantile(known, 0.95))), abs(float(np.quantile(known, 0.05))))


def stability(returns: Array) -> float:
    """Return R² of a straight line through the cumulative logarithmic returns: 1 is steady growth or decline."""
    known = _known(returns)
    if len(known) < 2 or not (known > -1).all():
        return _NAN
    path = np.cumsum(np.log1p(known))
    if np.ptp(path) == 0:
        return _NAN
    return float(np.corrcoef(np.arange(len(path)), path)[0, 1] ** 2)


# --- against a benchmark ------------------------------------------------------------------------------------------


def beta(returns: Array, benchmark: Array, *, risk_free: float = 0.0) -> float:
    """Return the covariance with the benchmark over the benchmark's variance, both above the risk-free return.

    The two series hold the same periods; one that lacks either return is left out. NaN below two periods.
    """
    own, market = _pairs(returns, benchmark)
    if len(own) < 2 or np.ptp(market) == 0:
        return _NAN
    market = market - risk_free
    moved = market - np.mean(market)
    return float(np.sum(moved * (own - risk_free)) / np.sum(moved**2))


def alpha(
    returns: Array, benchmark: Array, *, risk_free: float = 0.0, periods_per_year: float = DAYS_PER_YEAR
) -> float:
    """Return what is earned beyond beta times the benchmark, a period's mean compounded over a year."""
    own, market = _pairs(returns, benchmark)
    if len(own) < 2:
        return _NAN
    rest = (own - risk_free) - beta(own, market, risk_free=risk_free) * (market - risk_free)
    return float((1 + np.mean(rest)) ** periods_per_year - 1)


# --- parts --------------------------------------------------------------------------------------------------------


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


def _pairs(one: Array, other: Array) -> tuple[Array, Array]:
    assert len(one) == len(other), "a benchmark has to hold the same periods"
    both = ~(np.isnan(one) | np.isnan(other))
    return one[both], other[both]


def _spread(values: Array, *, ddof: int) -> float:
    known = _known(values)
    if len(known) <= ddof:
        return _NAN
    # Equal values deviate by nothing, whatever rounding of their mean says.
    return float(np.std(known, ddof=ddof)) if np.ptp(known) > 0 else 0.0


def _ratio(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return _NAN if numerator == 0 else float(np.copysign(np.inf, numerator))
    return numerator / denominator
