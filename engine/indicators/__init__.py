"""Indicators over bars: TA-Lib's stream classes and batch functions, and volume weighted prices of ours.

An indicator is a frozen value such as `EMA(period=9)`. `batch` reads whole columns, `stream` one bar after
another, and both give the same bits. Values are float64 and NaN until the indicator has seen enough bars.
Indicators run on across sessions, except those with `per_session`, whose streams are `reset` at each open.
"""

from __future__ import annotations

from engine.indicators.averages import EMA, RMA, SMA, WMA
from engine.indicators.base import (
    SESSION_COLUMN,
    Columns,
    Floats,
    Indicator,
    SessionStream,
    Stream,
)
from engine.indicators.momentum import MACD, RSI
from engine.indicators.volatility import ATR, NATR, BollingerBands, TrueRange
from engine.indicators.volume import OBV, VWMA, SessionVWAP

__all__ = [
    "ATR",
    "EMA",
    "MACD",
    "NATR",
    "OBV",
    "RMA",
    "RSI",
    "SESSION_COLUMN",
    "SMA",
    "VWMA",
    "WMA",
    "BollingerBands",
    "Columns",
    "Floats",
    "Indicator",
    "SessionStream",
    "SessionVWAP",
    "Stream",
    "TrueRange",
]
