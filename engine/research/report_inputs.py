"""What the statistics of a report are computed from, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.research.statistics import Array

Moments: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeResult:
    """Hold a completed trade, long or short."""

    #: 1 for a long trade, -1 for a short one.
    direction: int
    #: Shares or coins, above zero.
    quantity: float
    entry_ts_ns: int
    entry_price: float
    exit_ts_ns: int
    exit_price: float
    #: After fees, in account currency.
    pnl: float
    #: What the first stop would have lost, in account currency; NaN without a stop.
    risk: float = float("nan")
    #: Maximum adverse (0 or less) and favourable (0 or more) excursion, as fractions of the entry price.
    adverse: float = float("nan")
    favourable: float = float("nan")

    @property
    def return_fraction(self) -> float:
        """Return the result as a fraction of the entry's value."""
        return self.pnl / (self.entry_price * self.quantity)

    @property
    def r_multiple(self) -> float:
        """Return the result in units of the risk that was taken; NaN without a stop."""
        return self.pnl / self.risk if self.risk > 0 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Hold equity, returns and trades of one account."""

    #: Of the data: first bar's start and last bar's end, ns UTC.
    first_ts_ns: int
    last_ts_ns: int
    #: Moments at which equity was marked, ascending; the first one is the opening balance.
    mark_ts_ns: Moments
    #: Equity at the marks in account currency, without what deposits and withdrawals after the first one did to it.
    mark_equity: Array
    #: Money in the account at the end, and what came of trading, in account currency.
    final_equity: float
    net_pnl: float
    #: One return per session of the calendar; NaN for one that has none.
    session_returns: Array
    #: Return of buy and hold in the same sessions.
    benchmark_returns: Array
    #: What buy and hold came to.
    benchmark_total: float
    periods_per_year: int
    #: In the order of their ends.
    trades: tuple[TradeResult, ...]
    #: Share of bars in which a position was held.
    exposure_time: float
    #: Mean over sessions of the market value held at the close, as a fraction of equity.
    exposure_at_close: float = float("nan")
    #: Sums over all fills, in account currency.
    traded_value: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0

    def of_trades(self, name: str) -> Array:
        """Return one attribute of every trade."""
        return np.array([getattr(trade, name) for trade in self.trades], dtype=np.float64)
