"""Volume weighted prices and on-balance volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, Literal

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
    SessionStream,
    Stream,
    ratio,
    ratio_of,
    read_columns,
    require_choice,
    require_period,
    session_bounds,
)

_PRICE_COLUMNS: Final = {
    "close": ("close",),
    "hlc3": ("high", "low", "close"),
    "ohlc4": ("open", "high", "low", "close"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionVWAP(Indicator):
    """Be the volume weighted average of (high + low + close) / 3 since the session's first bar.

    NaN while the session has no volume. `batch` reads SESSION_COLUMN; a constant one makes the average cumulative.
    """

    per_session: ClassVar[bool] = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("high", "low", "close", "volume")

    @property
    def warm_up_bars(self) -> int | None:
        return 0

    def batch(self, columns: Columns) -> Floats:
        high, low, close, volume = read_columns(columns, self.inputs)
        bounds = session_bounds(columns, bars=len(volume))
        traded = (high + low + close) / 3 * volume
        shares = volume.copy()
        # Each session is added up by itself, in order, as the stream adds: a sum over all sessions minus its value
        # at the open would round otherwise.
        for start, end in pairwise(bounds):
            np.cumsum(traded[start:end], out=traded[start:end])
            np.cumsum(shares[start:end], out=shares[start:end])
        return ratio(traded, shares)

    def stream(self) -> SessionStream:
        return SessionVWAPStream()


class SessionVWAPStream:
    """Add up a session's traded value and volume; call `reset` before the first bar of the next session."""

    __slots__ = ("_shares", "_traded")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin a new session."""
        self._traded = 0.0
        self._shares = 0.0

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Add a bar and return the average price of the session so far, NaN without volume."""
        self._traded = traded = self._traded + (high + low + close) / 3 * volume
        self._shares = shares = self._shares + volume
        return traded / shares if shares else NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class VWMA(Indicator):
    """Be the volume weighted average price of the last `period` bars, across sessions (a rolling VWAP).

    `price` is the close, (high + low + close) / 3 or (open + high + low + close) / 4. With `partial` the first
    bars average what there is, instead of NaN. NaN where no bar of the window has volume; TA-Lib keeps a running
    sum, so this is certain for whole-number volumes only.
    """

    period: int
    price: Literal["close", "hlc3", "ohlc4"] = "close"
    partial: bool = False

    def __post_init__(self) -> None:
        require_period(self, "period", self.period)
        require_choice(self, "price", self.price, tuple(_PRICE_COLUMNS))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*_PRICE_COLUMNS[self.price], "volume")

    @property
    def warm_up_bars(self) -> int | None:
        return None

    def batch(self, columns: Columns) -> Floats:
        *parts, volume = read_columns(columns, self.inputs)
        price = parts[0]
        for part in parts[1:]:
            price = price + part
        price = price / len(parts)
        average = talib.VWMA(price, volume, self.period)
        average[~np.isfinite(average)] = NAN
        if self.partial:
            head = slice(min(self.period - 1, len(price)))
            average[head] = ratio(np.cumsum(price[head] * volume[head]), np.cumsum(volume[head]))
        return average

    def stream(self) -> Stream:
        return _WeightedStream(self)

    def open_handle(self, price: Floats, volume: Floats) -> Handle[float]:
        """Open a TA-Lib handle on the first bars."""
        return handles.VWMA(price, volume, self.period)


class _WeightedStream:
    __slots__ = ("_inner", "_partial_bars", "_parts", "_shares", "_traded")

    def __init__(self, indicator: VWMA) -> None:
        self._inner = HandleStream(indicator.open_handle, bars_min=indicator.period, missing=NAN)
        self._parts = len(indicator.inputs) - 1
        self._partial_bars = indicator.period - 1 if indicator.partial else 0
        self._traded = 0.0
        self._shares = 0.0

    def update(self, *values: float) -> float:
        *parts, volume = values
        price = parts[0]
        for part in parts[1:]:
            price = price + part
        price = price / self._parts
        average = self._inner.update(price, volume)
        if self._partial_bars:
            self._partial_bars -= 1
            self._traded += price * volume
            self._shares += volume
            return ratio_of(self._traded, self._shares)
        return average if math.isfinite(average) else NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class OBV(Indicator):
    """Be on-balance volume, in shares: it starts with the first bar's volume, then adds or subtracts by the close."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("close", "volume")

    @property
    def warm_up_bars(self) -> int | None:
        return None

    def batch(self, columns: Columns) -> Floats:
        close, volume = read_columns(columns, self.inputs)
        return talib.OBV(close, volume)

    def stream(self) -> Stream:
        return HandleStream(handles.OBV, bars_min=1, missing=NAN)
