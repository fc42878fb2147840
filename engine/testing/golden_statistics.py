"""The statistics of a golden run as LEAN words and rounds them, so that they compare with its published ones.

Definitions are LEAN's: daily values are sampled on every day of the calendar, weekends too; the first sample is the
first day's close; 252 days make a year of variance and 365 one of growth; a round trip pays its sale's fee twice.
What needs LEAN's table of interest rates, its benchmark or its model of capacity is not stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from engine.core.messages import EquityMarked, TradeBooked
from engine.core.values import DAY_NS, Leg, Side
from engine.testing.golden import OPENING_CASH, GoldenRun

_NEW_YORK = ZoneInfo("America/New_York")
_YEAR_DAYS = 365
_TRADING_DAYS = 252


def lean_statistics(run: GoldenRun, *, first: str) -> dict[str, str]:
    """Return LEAN's statistics by LEAN's names; `first` is the first day of the period, which may be no session."""
    trades, marks = run.trades(), run.marks()
    equity = marks[-1].equity
    days = _daily(marks, date.fromisoformat(first), _day(run.ended_ts_ns))
    growth = float(equity / OPENING_CASH)
    drawdown, recovery_days = _drawdown(marks)
    changes = np.diff(list(days.values())) / list(days.values())[:-1]
    variance = float(np.var(changes, ddof=1)) * _TRADING_DAYS
    return {
        "Total Orders": str(sum(1 for order in run.orders() if order.leg is not Leg.STOP)),
        **_round_trips(trades),
        "Compounding Annual Return": _percent(growth ** (1 / _years(run.ended_ts_ns, first)) - 1, 3),
        "Drawdown": _percent(round(drawdown, 3), 3),
        "Start Equity": str(OPENING_CASH),
        "End Equity": _rounded(equity, 2),
        "Net Profit": _percent(growth - 1, 3),
        "Annual Standard Deviation": _plain(variance**0.5, 3),
        "Annual Variance": _plain(variance, 3),
        "Total Fees": f"${_rounded(sum((trade.fee for trade in trades), Decimal(0)), 2)}",
        "Portfolio Turnover": _percent(_turnover(trades, days), 2),
        "Drawdown Recovery": str(recovery_days),
    }


def _day(ts_ns: int) -> date:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, tz=UTC).astimezone(_NEW_YORK).date()


def _daily(marks: Sequence[EquityMarked], first: date, last: date) -> dict[date, float]:
    # The last mark of each day; a day without one has that of the day before.
    closes = {_day(mark.ts_ns): float(mark.equity) for mark in marks}
    values: dict[date, float] = {}
    value, day = float(OPENING_CASH), first
    while day <= last:
        value = values[day] = closes.get(day, value)
        day += timedelta(days=1)
    return values


def _years(last_ts_ns: int, first: str) -> float:
    midnight = datetime.fromisoformat(first).replace(tzinfo=_NEW_YORK)
    return (last_ts_ns - int(midnight.timestamp()) * 1_000_000_000) / DAY_NS / _YEAR_DAYS


def _drawdown(marks: Sequence[EquityMarked]) -> tuple[float, int]:
    # The deepest fall below a peak, and the longest time from the first value below one to the next peak.
    peak, deepest, longest_ns = float(OPENING_CASH), 0.0, 0
    below_since: int | None = None
    for mark in marks:
        value = float(mark.equity)
        if value >= peak:
            longest_ns = max(longest_ns, 0 if below_since is None else mark.ts_ns - below_since)
            peak, below_since = value, None
        else:
            deepest = max(deepest, 1 - value / peak)
            below_since = mark.ts_ns if below_since is None else below_since
    return deepest, round(longest_ns / DAY_NS)


def _turnover(trades: Sequence[TradeBooked], days: dict[date, float]) -> float:
    traded = dict.fromkeys(days, 0.0)
    for trade in trades:
        traded[_day(trade.venue_ts_ns)] += float(trade.price * trade.quantity)
    return sum(traded[day] / value for day, value in days.items()) / len(days)


def _round_trips(trades: Sequence[TradeBooked]) -> dict[str, str]:
    # Whole positions only: a buy, then the sale of it.
    wins: list[float] = []
    losses: list[float] = []
    capital = float(OPENING_CASH)
    for buy, sale in pairwise(trades):
        if buy.side is Side.BUY and sale.side is Side.SELL:
            profit = float((sale.price - buy.price) * sale.quantity - 2 * sale.fee)
            (wins if profit > 0 else losses).append(profit / capital)
            capital += profit
    count = len(wins) + len(losses)
    win_rate = len(wins) / count if count else 0.0
    loss_rate = 1 - win_rate if count else 0.0
    win, loss = _mean(wins), _mean(losses)
    ratio = win / -loss if loss else 0.0
    return {
        "Average Win": _percent(win, 2) if wins else "0%",
        "Average Loss": _percent(loss, 2) if losses else "0%",
        "Win Rate": _percent(win_rate, 0),
        "Loss Rate": _percent(loss_rate, 0),
        "Profit-Loss Ratio": _plain(ratio, 2),
        "Expectancy": _plain(win_rate * ratio - loss_rate, 3),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _rounded(amount: Decimal, decimals: int) -> str:
    return str(amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def _percent(value: float, decimals: int) -> str:
    return f"{value * 100:.{decimals}f}%"


def _plain(value: float, decimals: int) -> str:
    return f"{round(value, decimals):g}"
