"""Statistics of completed trades: pure functions of their results, each with its definition.

A result is in money, in R multiples or a fraction of the entry's value, as the caller likes; wins are above zero,
losses below. A figure without an answer is NaN.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.research.statistics import Array

_NAN: Final = float("nan")


def win_rate(results: Array) -> float:
    """Return the share of results above zero."""
    return float(np.mean(results > 0)) if len(results) else _NAN


def expectancy(results: Array) -> float:
    """Return the mean result."""
    return float(np.mean(results)) if len(results) else _NAN


def average_win(results: Array) -> float:
    """Return the mean of the results above zero."""
    return expectancy(results[results > 0])


def average_loss(results: Array) -> float:
    """Return the mean of the results below zero: negative."""
    return expectancy(results[results < 0])


def payoff_ratio(results: Array) -> float:
    """Return the average win over the size of the average loss."""
    return average_win(results) / -average_loss(results)


def profit_factor(results: Array) -> float:
    """Return the sum of wins over the size of the sum of losses; NaN without a loss."""
    losses = -float(np.sum(results[results < 0]))
    return float(np.sum(results[results > 0])) / losses if losses > 0 else _NAN


def system_quality_number(results: Array) -> float:
    """Return the root of the number of results, times their mean, over their sample standard deviation."""
    if len(results) < 2 or np.ptp(results) == 0:
        return _NAN
    return float(len(results) ** 0.5 * np.mean(results) / np.std(results, ddof=1))


def kelly_fraction(results: Array) -> float:
    """Return the share of capital that would have grown fastest: W - (1 - W) / payoff ratio, W the win rate."""
    rate = win_rate(results)
    return rate - (1 - rate) / payoff_ratio(results)


def longest_streak(are_hits: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of hits, in the given order."""
    # The distance between neighbouring misses, the ends counted as misses, is one more than the run between them.
    misses = np.flatnonzero(~np.concatenate(([False], are_hits, [False])))
    return int(np.max(np.diff(misses))) - 1


def excursions(
    *, direction: int, entry_price: float, exit_price: float, lows: Array, highs: Array
) -> tuple[float, float]:
    """Return the maximum adverse and favourable excursion, as fractions of the entry price: (0 or less, 0 or more).

    `direction` is 1 for a long trade, -1 for a short one; `lows` and `highs` are those of the bars from that of the
    entry to the last one before that of the exit. Of the exit's own bar only the exit's price is known to have been
    met in time.
    """
    lowest = min(entry_price, exit_price, float(np.min(lows, initial=np.inf)))
    highest = max(entry_price, exit_price, float(np.max(highs, initial=-np.inf)))
    down, up = lowest / entry_price - 1, highest / entry_price - 1
    return (down, up) if direction > 0 else (-up, -down)
