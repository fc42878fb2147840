"""RSI and MACD."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import talib
from talib import stream as handles

from engine.indicators.averages import EMA, Seed
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RSI(Indicator):
    """Be the relative strength index, 0 to 100, of the changes of one column.

    `smoothing="wilder"` is TA-Lib's RSI (0 while nothing has moved); `smoothing="simple"` (Cutler) sums gains
    and losses over the last `period` changes (50 while nothing has moved).
    """

    period: int = 14
    smoothing: Literal["wilder", "simple"] = "wilder"
    source: str = "close"

    def __post_init__(self) -> None:
        require_period(self, "period", self.period, least=2)
        require_choice(self, "smoothing", self.smoothing, ("wilder", "simple"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def warm_up_bars(self) -> int | None:
        return 50 * self.period if self.smoothing == "wilder" else self.period

    def batch(self, columns: Columns) -> Floats:
        (values,) = read_columns(columns, self.inputs)
        if self.smoothing == "wilder":
            return talib.RSI(values, self.period)
        # TA-Lib's intraday momentum index sums moves from open to close: with the former close as the open it
        # is Cutler's index, and it adds each window anew, so that no rounding error stays behind in it.
        changes = talib.IMI(values[:-1], values[1:], self.period)
        return np.concatenate((np.full(min(1, len(values)), NAN), changes))

    def stream(self) -> Stream:
        if self.smoothing == "wilder":
            return HandleStream(self._open_wilder, bars_min=self.period + 1, missing=NAN)
        return _ChangeStream(HandleStream(self._open_simple, bars_min=self.period, missing=NAN))

    def _open_wilder(self, values: Floats) -> Handle[float]:
        return handles.RSI(values, self.period)

    def _open_simple(self, former: Floats, latter: Floats) -> Handle[float]:
        return handles.IMI(former, latter, self.period)


class _ChangeStream:
    __slots__ = ("_former", "_inner")

    def __init__(self, inner: Stream) -> None:
        self._inner = inner
        self._former: float | None = None

    def update(self, value: float) -> float:
        former, self._former = self._former, value
        return NAN if former is None else self._inner.update(former, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class MACD(Indicator):
    """Be the difference of a fast and a slow EMA, its signal (an EMA of that line), or line minus signal.

    Each EMA is seeded from its own first values. TA-Lib's MACD function starts its fast EMA later instead, so
    that its first values differ. `seed` is that of `EMA`.
    """

    fast: int = 12
    slow: int = 26
    signal: int = 9
    output: Literal["line", "signal", "histogram"] = "line"
    seed: Seed = "sma"
    source: str = "close"

    def __post_init__(self) -> None:
        for name, period in (("fast", self.fast), ("slow", self.slow), ("signal", self.signal)):
            require_period(self, name, period)
        require_choice(self, "output", self.output, ("line", "signal", "histogram"))
        require_choice(self, "seed", self.seed, ("sma", "first"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def warm_up_bars(self) -> int | None:
        line = 20 * (max(self.fast, self.slow) + 1)
        return line if self.output == "line" else line + 20 * (self.signal + 1)

    def batch(self, columns: Columns) -> Floats:
        (values,) = read_columns(columns, self.inputs)
        fast, slow, signal = self._averages()
        line = fast.compute(values) - slow.compute(values)
        if self.output == "line":
            return line
        # TA-Lib skips the leading NaN of the line by itself, but not in a column that holds nothing else.
        skipped = min(len(line), 0 if self.seed == "first" else max(self.fast, self.slow) - 1)
        smoothed = np.concatenate((np.full(skipped, NAN), signal.compute(line[skipped:])))
        return smoothed if self.output == "signal" else line - smoothed

    def stream(self) -> Stream:
        fast, slow, signal = (average.stream() for average in self._averages())
        if self.output == "line":
            return _DifferenceStream(fast, slow)
        return _SignalStream(_DifferenceStream(fast, slow), signal, histogram=self.output == "histogram")

    def _averages(self) -> tuple[EMA, EMA, EMA]:
        fast, slow, signal = (EMA(period=n, seed=self.seed) for n in (self.fast, self.slow, self.signal))
        return fast, slow, signal


class _DifferenceStream:
    __slots__ = ("_fast", "_slow")

    def __init__(self, fast: Stream, slow: Stream) -> None:
        self._fast = fast
        self._slow = slow

    def update(self, value: float) -> float:
        return self._fast.update(value) - self._slow.update(value)


class _SignalStream:
    __slots__ = ("_histogram", "_line", "_signal")

    def __init__(self, line: _DifferenceStream, signal: Stream, *, histogram: bool) -> None:
        self._line: Callable[[float], float] = line.update
        self._signal = signal
        self._histogram = histogram

    def update(self, value: float) -> float:
        line = self._line(value)
        if math.isnan(line):  # the warm-up of the line: the signal has not begun
            return NAN
        smoothed = self._signal.update(line)
        return line - smoothed if self._histogram else smoothed
