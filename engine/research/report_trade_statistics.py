"""Statistics of a report on trades and costs, in the order of its pages."""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.core.values import DAY_NS
from engine.research import statistics as figure
from engine.research import trade_statistics as trade
from engine.research.report_catalogue import Row, Unit, best, of_trades, worst
from engine.research.report_inputs import ReportInputs
from engine.research.statistics import Array

_F, _M, _X, _N = Unit.FRACTION, Unit.MONEY, Unit.RATIO, Unit.COUNT
_D, _T, _B = Unit.DAYS, Unit.MOMENT, Unit.BASIS_POINTS


def _r_multiples(inputs: ReportInputs) -> Array:
    multiples = inputs.of_trades("r_multiple")
    return multiples[~np.isnan(multiples)]


# --- trades and costs ---------------------------------------------------------------------------------------------


def _trade_days(inputs: ReportInputs) -> Array:
    return np.array([(each.exit_ts_ns - each.entry_ts_ns) / DAY_NS for each in inputs.trades], dtype=np.float64)


def _turnover(inputs: ReportInputs) -> float:
    mean = float(np.mean(inputs.mark_equity))
    return inputs.traded_value / mean if mean > 0 else float("nan")


def _slippage_bps(inputs: ReportInputs) -> float:
    return inputs.slippage / inputs.traded_value * 10_000 if inputs.traded_value > 0 else float("nan")


TRADES: Final[tuple[Row, ...]] = (
    ("trades", "Trades", _N, "Completed positions: entered and left.", lambda inputs: len(inputs.trades)),
    ("win_rate", "Win rate", _F, "Share of trades with a profit after fees.", of_trades(trade.win_rate, "pnl")),
    (
        "profit_factor",
        "Profit factor",
        _X,
        "Sum of profits over sum of losses, in money.",
        of_trades(trade.profit_factor, "pnl"),
    ),
    (
        "profit_factor_returns",
        "Profit factor of returns",
        _X,
        "Sum of trade returns above zero over that of those below.",
        of_trades(trade.profit_factor, "return_fraction"),
    ),
    ("expectancy", "Expectancy", _M, "Mean profit of a trade.", of_trades(trade.expectancy, "pnl")),
    (
        "expectancy_return",
        "Expectancy, return",
        _F,
        "Mean trade return: profit over the value of the entry.",
        of_trades(trade.expectancy, "return_fraction"),
    ),
    (
        "expectancy_r",
        "Expectancy, R",
        _X,
        "Mean R multiple: profit over what the first stop would have lost; trades with a stop.",
        lambda inputs: trade.expectancy(_r_multiples(inputs)),
    ),
    (
        "average_trade_return",
        "Average trade",
        _F,
        "Geometric mean of trade returns.",
        of_trades(figure.geometric_mean, "return_fraction"),
    ),
    ("average_win", "Average win", _M, "Mean profit of the trades that won.", of_trades(trade.average_win, "pnl")),
    (
        "average_loss",
        "Average loss",
        _M,
        "Mean profit of the trades that lost; negative.",
        of_trades(trade.average_loss, "pnl"),
    ),
    (
        "payoff_ratio",
        "Payoff ratio",
        _X,
        "Average win over the size of the average loss.",
        of_trades(trade.payoff_ratio, "pnl"),
    ),
    ("best_trade", "Best trade", _M, "Highest profit of a trade.", of_trades(best, "pnl")),
    ("worst_trade", "Worst trade", _M, "Lowest profit of a trade.", of_trades(worst, "pnl")),
    ("best_trade_return", "Best trade, return", _F, "Highest trade return.", of_trades(best, "return_fraction")),
    ("worst_trade_return", "Worst trade, return", _F, "Lowest trade return.", of_trades(worst, "return_fraction")),
    (
        "system_quality_number",
        "SQN",
        _X,
        "√(number of trades) · mean over sample standard deviation of their profits.",
        of_trades(trade.system_quality_number, "pnl"),
    ),
    (
        "kelly_fraction",
        "Kelly fraction",
        _F,
        "Win rate - (1 - win rate) / payoff ratio.",
        of_trades(trade.kelly_fraction, "pnl"),
    ),
    (
        "longest_winning_streak",
        "Longest winning streak",
        _N,
        "Most trades in a row that won, by their ends.",
        lambda inputs: trade.longest_streak(inputs.of_trades("pnl") > 0),
    ),
    (
        "longest_losing_streak",
        "Longest losing streak",
        _N,
        "Most trades in a row that lost, by their ends.",
        lambda inputs: trade.longest_streak(inputs.of_trades("pnl") < 0),
    ),
    (
        "average_trade_days",
        "Average holding time",
        _D,
        "Mean time from the first fill to the last one.",
        lambda inputs: trade.expectancy(_trade_days(inputs)),
    ),
    (
        "longest_trade_days",
        "Longest holding time",
        _D,
        "Most time from the first fill to the last one.",
        lambda inputs: best(_trade_days(inputs)),
    ),
    (
        "average_adverse_excursion",
        "Average MAE",
        _F,
        "Mean of how far price fell against the entry (entry's bar to the last before the exit's); 0 or negative.",
        of_trades(trade.expectancy, "adverse"),
    ),
    (
        "average_favourable_excursion",
        "Average MFE",
        _F,
        "Mean of how far price rose above the entry over the same bars, or at the exit; 0 or positive.",
        of_trades(trade.expectancy, "favourable"),
    ),
)

COSTS: Final[tuple[Row, ...]] = (
    (
        "exposure_time",
        "Exposure time",
        _F,
        "Share of bars, from that of the entry to that of the exit, in which a position was held.",
        lambda inputs: inputs.exposure_time,
    ),
    (
        "exposure_at_close",
        "Exposure at the close",
        _F,
        "Mean over sessions of the market value held at the close, over equity.",
        lambda inputs: inputs.exposure_at_close,
    ),
    ("traded_value", "Traded value", _M, "Price · quantity of all fills.", lambda inputs: inputs.traded_value),
    ("turnover", "Turnover", _X, "Traded value over mean equity at marks.", _turnover),
    ("fees", "Fees", _M, "Fees of all fills.", lambda inputs: inputs.fees),
    (
        "slippage",
        "Slippage",
        _M,
        "Sum over fills of quantity · distance from the price that was meant; positive is worse.",
        lambda inputs: inputs.slippage,
    ),
    (
        "slippage_bps",
        "Slippage rate",
        _B,
        "Slippage over traded value, in ten-thousandths; positive is worse.",
        _slippage_bps,
    ),
)
