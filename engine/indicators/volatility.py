"""True range, its averages, and Bollinger bands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import talib
from talib import stream as handles

from engine.core.errors import BadInput
from engine.indicators.averages import RMA, SMA
from engine.indicators.base import (
    NAN,
    Columns,
    Floats,
    Handle,
    HandleStream,
    Indicator,
    Stream,
    ratio,
    ratio_of,
    read_columns,
    require_choice,
    require_period,
)

Bands = tuple[float, float, float]
_HIGH_LOW_CLOSE: Final = ("high", "low", "close")
_BAND_OUTPUTS: Final = ("upper", "middle", "lower", "percent_b", "width", "z_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueRange(Indicator):
    """Be the larger of the bar's range and its distance from the former close, in price units.

    The first bar has no former close: it has no value, or with `first_bar` its high minus its low.
    """

    first_bar: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return _HIGH_LOW_CLOSE

    @property
    def warm_up_bars(self) -> int | None:
        return 1

    def batch(self, columns: Columns) -> Floats:
        high, low, close = read_columns(columns, self.inputs)
        ranges = talib.TRANGE(high, low, close)
        if self.first_bar:
            ranges[:1] = high[:1] - low[:1]
        return ranges

    def stream(self) -> Stream:
        inner = HandleStream(handles.TRANGE, bars_min=2, missing=NAN)
        return _FirstRangeStream(inner) if self.first_bar else inner


class _FirstRangeStream:
    __slots__ = ("_first", "_inner")

    def __init__(self, inner: Stream) -> None:
        self._inner = inner
        self._first = True

    def update(self, high: float, low: float, close: float) -> float:
        value = self._inner.update(high, low, close)
        if self._first:
            self._first = False
            return high - low
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ATR(Indicator):
    """Be the average true range, in price units.

    `smoothing="wilder"` is TA-Lib's ATR: the first value is the mean of `period` true ranges from the second bar
    on. `smoothing="simple"` is the mean of the last `period` true ranges. With `first_bar` the high minus low of
    the first bar counts as a true range too (StockCharts, LEAN's Wilder).
    """

    period: int = 14
    smoothing: Literal["wilder", "simple"] = "wilder"
    first_bar: bool = False

    def __post_init__(self) -> None:
        require_period(self, "period", self.period)
        require_choice(self, "smoothing", self.smoothing, ("wilder", "simple"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return _HIGH_LOW_CLOSE

    @property
    def warm_up_bars(self) -> int | None:
        return 50 * self.period if self.smoothing == "wilder" else None

    def batch(self, columns: Columns) -> Floats:
        if self._is_talib():
            high, low, close = read_columns(columns, self.inputs)
            return talib.ATR(high, low, close, self.period)
        ranges = TrueRange(first_bar=self.first_bar).batch(columns)
        skipped = min(len(ranges), 0 if self.first_bar else 1)
        return np.concatenate((np.full(skipped, NAN), self._average().compute(ranges[skipped:])))

    def stream(self) -> Stream:
        if self._is_talib():
            return HandleStream(self._open, bars_min=self.period + 1, missing=NAN)
        return _AveragedStream(TrueRange(first_bar=self.first_bar).stream(), self._average().stream())

    def _is_talib(self) -> bool:
        return self.smoothing == "wilder" and not self.first_bar

    def _average(self) -> RMA | SMA:
        return RMA(period=self.period) if self.smoothing == "wilder" else SMA(period=self.period)

    def _open(self, high: Floats, low: Floats, close: Floats) -> Handle[float]:
        return handles.ATR(high, low, close, self.period)


class _AveragedStream:
    __slots__ = ("_average", "_ranges")

    def __init__(self, ranges: Stream, average: Stream) -> None:
        self._ranges = ranges
        self._average = average

    def update(self, high: float, low: float, close: float) -> float:
        value = self._ranges.update(high, low, close)
        return NAN if math.isnan(value) else self._average.update(value)  # NaN: the first bar has no range


@dataclass(frozen=True, slots=True, kw_only=True)
class NATR(Indicator):
    """Be Wilder's average true range in percent of the close."""

    period: int = 14

    def __post_init__(self) -> None:
        require_period(self, "period", self.period)

    @property
    def inputs(self) -> tuple[str, ...]:
        return _HIGH_LOW_CLOSE

    @property
    def warm_up_bars(self) -> int | None:
        return 50 * self.period

    def batch(self, columns: Columns) -> Floats:
        high, low, close = read_columns(columns, self.inputs)
        return talib.NATR(high, low, close, self.period)

    def stream(self) -> Stream:
        return HandleStream(self._open, bars_min=self.period + 1, missing=NAN)

    def _open(self, high: Floats, low: Floats, close: Floats) -> Handle[float]:
        return handles.NATR(high, low, close, self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class BollingerBands(Indicator):
    """Be a band around the simple mean, `deviations` population standard deviations away, or a figure from it.

    `percent_b` is the place of the value between lower (0) and upper (1); `width` is (upper - lower) / middle;
    `z_score` is the distance from the middle in standard deviations. Each is NaN where its divisor is zero.
    """

    period: int = 20
    deviations: float = 2.0
    output: Literal["upper", "middle", "lower", "percent_b", "width", "z_score"] = "middle"
    source: str = "close"

    def __post_init__(self) -> None:
        require_period(self, "period", self.period, least=2)
        require_choice(self, "output", self.output, _BAND_OUTPUTS)
        if not (math.isfinite(self.deviations) and self.deviations > 0):
            raise BadInput(f"BollingerBands has deviations={self.deviations!r}: give a positive number.")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def warm_up_bars(self) -> int | None:
        return None

    def batch(self, columns: Columns) -> Floats:
        (values,) = read_columns(columns, self.inputs)
        upper, middle, lower = talib.BBANDS(values, self.period, self.deviations, self.deviations)
        match self.output:
            case "upper":
                return upper
            case "middle":
                return middle
            case "lower":
                return lower
            case "percent_b":
                return ratio(values - lower, upper - lower)
            case "width":
                return ratio(upper - lower, middle)
            case "z_score":
                return ratio((values - middle) * self.deviations, upper - middle)

    def stream(self) -> Stream:
        bands = HandleStream(self._open, bars_min=self.period, missing=(NAN, NAN, NAN))
        return _BandStream(bands, self)

    def _open(self, values: Floats) -> Handle[Bands]:
        return handles.BBANDS(values, self.period, self.deviations, self.deviations)


class _BandStream:
    __slots__ = ("_bands", "_deviations", "_output")

    def __init__(self, bands: HandleStream[Bands], indicator: BollingerBands) -> None:
        self._bands = bands
        self._output = indicator.output
        self._deviations = float(indicator.deviations)

    def update(self, value: float) -> float:
        upper, middle, lower = self._bands.update(value)
        match self._output:
            case "upper":
                return upper
            case "middle":
                return middle
            case "lower":
                return lower
            case "percent_b":
                return ratio_of(value - lower, upper - lower)
            case "width":
                return ratio_of(upper - lower, middle)
            case "z_score":
                return ratio_of((value - middle) * self._deviations, upper - middle)
