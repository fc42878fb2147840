"""Indicators agree with talipp, an independent library that computes one value at a time."""

from __future__ import annotations

import numpy as np
import pytest

from engine.indicators import ATR, EMA, MACD, OBV, RSI, SMA, VWMA, WMA, BollingerBands, Floats, Indicator

BARS = 600


@pytest.fixture(scope="module")
def columns() -> dict[str, Floats]:
    random = np.random.default_rng(20240326)
    close = 500 + np.cumsum(random.normal(0, 0.3, BARS))
    return {
        "high": close + random.random(BARS),
        "low": close - random.random(BARS),
        "close": close,
        "volume": random.integers(1, 9_000, BARS).astype(np.float64),
    }


def assert_agree(found: Floats, expected: list[float | None]) -> None:
    values = np.array([np.nan if value is None else value for value in expected])
    np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("indicator", "name", "period"),
    [(EMA(period=9), "EMA", 9), (SMA(period=21), "SMA", 21), (WMA(period=10), "WMA", 10), (RSI(), "RSI", 14)],
)
def test_one_column(indicator: Indicator, name: str, period: int, columns: dict[str, Floats]) -> None:
    talipp = pytest.importorskip("talipp.indicators")
    assert_agree(indicator.batch(columns), list(getattr(talipp, name)(period, columns["close"].tolist())))


def test_macd(columns: dict[str, Floats]) -> None:
    talipp = pytest.importorskip("talipp.indicators")
    values = list(talipp.MACD(12, 26, 9, columns["close"].tolist()))
    for output, field in (("line", "macd"), ("signal", "signal"), ("histogram", "histogram")):
        expected = [None if value is None else getattr(value, field) for value in values]
        assert_agree(MACD(output=output).batch(columns), expected)  # type: ignore[arg-type]


def test_bands(columns: dict[str, Floats]) -> None:
    talipp = pytest.importorskip("talipp.indicators")
    values = list(talipp.BB(20, 2.0, columns["close"].tolist()))
    for output, field in (("upper", "ub"), ("middle", "cb"), ("lower", "lb")):
        expected = [None if value is None else getattr(value, field) for value in values]
        assert_agree(BollingerBands(output=output).batch(columns), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("indicator", "name", "arguments"),
    [(ATR(first_bar=True), "ATR", (14,)), (VWMA(period=14), "VWMA", (14,)), (OBV(), "OBV", ())],
)
def test_bars(indicator: Indicator, name: str, arguments: tuple[int, ...], columns: dict[str, Floats]) -> None:
    talipp = pytest.importorskip("talipp.indicators")
    ohlcv = pytest.importorskip("talipp.ohlcv")
    rows = zip(*(columns[key].tolist() for key in ("close", "high", "low", "close", "volume")), strict=True)
    bars = [ohlcv.OHLCV(*row) for row in rows]
    assert_agree(indicator.batch(columns), list(getattr(talipp, name)(*arguments, bars)))
