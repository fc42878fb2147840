"""Moving averages of one column, by TA-Lib."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import talib
from talib import stream as handles

from engine.indicators.base import (
    NAN,
    Columns,
    Floats,
    Handle,
    HandleStream,
    Indicator,
    Stream,
    read_columns,
    require_choice,
    require_period,
)

Seed = Literal["sma", "first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Average(Indicator):
    """Be the common part of the moving averages of one column."""

    #: Length in bars.
    period: int
    #: The column that is averaged.
    source: str = "close"

    def __post_init__(self) -> None:
        require_period(self, "period", self.period)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def warm_up_bars(self) -> int | None:
        return None

    @abstractmethod
    def compute(self, values: Floats) -> Floats:
        """Average a whole column."""

    @abstractmethod
    def open_handle(self, values: Floats) -> Handle[float]:
        """Open a TA-Lib handle on the first bars."""

    def batch(self, columns: Columns) -> Floats:
        (values,) = read_columns(columns, self.inputs)
        return self.compute(values)

    def stream(self) -> Stream:
        return HandleStream(self.open_handle, bars_min=self.period, missing=NAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class SMA(Average):
    """Be the simple mean of the last `period` values."""

    def compute(self, values: Floats) -> Floats:
        return talib.SMA(values, self.period)

    def open_handle(self, values: Floats) -> Handle[float]:
        return handles.SMA(values, self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class WMA(Average):
    """Be the mean of the last `period` values with weights 1, 2, …, the newest weighing most."""

    def compute(self, values: Floats) -> Floats:
        return talib.WMA(values, self.period)

    def open_handle(self, values: Floats) -> Handle[float]:
        return handles.WMA(values, self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class RMA(Average):
    """Be Wilder's smoothed average (SMMA): k = 1/period, seeded with the mean of the first `period` values."""

    @property
    def warm_up_bars(self) -> int | None:
        return 50 * self.period

    def compute(self, values: Floats) -> Floats:
        return talib.RMA(values, self.period)

    def open_handle(self, values: Floats) -> Handle[float]:
        return handles.RMA(values, self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class EMA(Average):
    """Be the exponential average with k = 2/(period + 1).

    `seed="sma"` starts with the mean of the first `period` values (TA-Lib); `seed="first"` starts with the
    first value itself, without a warm-up (StockCharts' MACD sheet).
    """

    seed: Seed = "sma"

    def __post_init__(self) -> None:
        require_period(self, "period", self.period)
        require_choice(self, "seed", self.seed, ("sma", "first"))

    @property
    def warm_up_bars(self) -> int | None:
        return 20 * (self.period + 1)

    def compute(self, values: Floats) -> Floats:
        if self.seed == "sma" or len(values) == 0:
            return talib.EMA(values, self.period)
        return talib.EMA(self._led(values), self.period)[self.period - 1 :]

    def open_handle(self, values: Floats) -> Handle[float]:
        return handles.EMA(self._led(values) if self.seed == "first" else values, self.period)

    def stream(self) -> Stream:
        return HandleStream(self.open_handle, bars_min=self.period if self.seed == "sma" else 1, missing=NAN)

    # The mean of `period` copies of the first value is that value: so TA-Lib's seed becomes the first value.
    def _led(self, values: Floats) -> Floats:
        return np.concatenate((np.full(self.period - 1, values[0]), values))
