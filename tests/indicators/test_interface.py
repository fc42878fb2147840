"""Parameters, columns, sessions and warm-up."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from engine.core.errors import BadInput
from engine.indicators import ATR, EMA, MACD, RSI, SMA, VWMA, BollingerBands, Indicator, SessionVWAP


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: EMA(period=0), "EMA has period=0"),
        (lambda: EMA(period=100_001), "EMA has period=100001"),
        (lambda: SMA(period=2.5), "SMA has period=2.5"),  # type: ignore[arg-type]
        (lambda: SMA(period=True), "SMA has period=True"),
        (lambda: EMA(period=9, seed="zero"), "seed='zero'"),  # type: ignore[arg-type]
        (lambda: RSI(period=1), "RSI has period=1"),
        (lambda: ATR(smoothing="none"), "smoothing='none'"),  # type: ignore[arg-type]
        (lambda: MACD(signal=-1), "MACD has signal=-1"),
        (lambda: MACD(output="macd"), "output='macd'"),  # type: ignore[arg-type]
        (lambda: BollingerBands(deviations=math.nan), "deviations=nan"),
        (lambda: VWMA(period=14, price="hl2"), "price='hl2'"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_parameter_is_refused(make: Callable[[], Indicator], named: str) -> None:
    with pytest.raises(BadInput) as refusal:
        make()
    assert named in str(refusal.value)
    assert ": give " in str(refusal.value)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInput, match="column 'volume', but the columns are high, low, close: add it"):
        SessionVWAP().batch({name: np.ones(3) for name in ("high", "low", "close")})


def test_a_missing_session_is_named() -> None:
    with pytest.raises(BadInput, match="column 'session'"):
        SessionVWAP().batch({name: np.ones(3) for name in ("high", "low", "close", "volume")})


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(BadInput, match="high 3, low 3, close 2"):
        ATR().batch({"high": np.ones(3), "low": np.ones(3), "close": np.ones(2)})
    with pytest.raises(BadInput, match="'session' has 2 rows and the bars have 3"):
        SessionVWAP().batch({**{name: np.ones(3) for name in SessionVWAP().inputs}, "session": np.zeros(2)})


def test_an_indicator_is_a_value() -> None:
    assert EMA(period=9) == EMA(period=9) != EMA(period=21)
    assert len({EMA(period=9), EMA(period=9), RSI()}) == 2
    assert pickle.loads(pickle.dumps(MACD())) == MACD()
    with pytest.raises((FrozenInstanceError, TypeError)):
        EMA(period=9).period = 10  # type: ignore[misc]


def test_warm_up_counts_follow_the_smoothing() -> None:
    assert EMA(period=9).warm_up_bars == 200
    assert ATR(period=14).warm_up_bars == 700
    assert MACD(output="signal").warm_up_bars == 20 * 27 + 20 * 10
    assert SMA(period=9).warm_up_bars is None
    assert (SessionVWAP().warm_up_bars, SessionVWAP().per_session) == (0, True)


def test_the_first_values_come_when_talib_gives_them() -> None:
    bars = np.linspace(1.0, 2.0, 60)
    columns = {"high": bars + 1, "low": bars - 1, "close": bars}
    first_values = {
        EMA(period=9): 8,
        EMA(period=9, seed="first"): 0,
        ATR(): 14,
        ATR(first_bar=True): 13,
        RSI(): 14,
        RSI(smoothing="simple"): 14,
        MACD(): 25,
        MACD(output="signal"): 33,
        BollingerBands(): 19,
    }
    found = {indicator: int(np.isnan(indicator.batch(columns)).sum()) for indicator in first_values}
    assert found == first_values


def test_session_vwap_starts_anew_and_waits_for_volume() -> None:
    price = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    columns = dict.fromkeys(("high", "low", "close"), price)
    columns |= {"volume": np.array([0.0, 1.0, 3.0, 0.0, 2.0]), "session": np.array([4, 4, 4, 9, 9])}
    np.testing.assert_array_equal(SessionVWAP().batch(columns), [np.nan, 20.0, 27.5, np.nan, 50.0])


def test_a_window_without_volume_has_no_average() -> None:
    columns = {"close": np.array([100.1, 100.2, 100.3, 100.7, 101.3]), "volume": np.array([3.0, 7.0, 0.0, 0.0, 5.0])}
    average = VWMA(period=2).batch(columns)
    stream = VWMA(period=2).stream()
    values = [stream.update(*row) for row in zip(columns["close"].tolist(), columns["volume"].tolist(), strict=True)]
    assert np.isnan(average).tolist() == [True, False, False, True, False]
    assert np.isnan(values).tolist() == [True, False, False, True, False]


def test_a_value_that_is_not_finite_never_enters_an_open_stream() -> None:
    stream = EMA(period=3).stream()
    before = [stream.update(value) for value in (1.0, 2.0, 3.0)]
    with pytest.raises(Exception, match="Bad Parameter"):
        stream.update(math.nan)
    assert before[-1] == 2.0
    assert stream.update(4.0) == 3.0


def test_the_core_does_not_load_talib() -> None:
    script = "import sys, engine.core.errors; print('talib' in sys.modules or 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
