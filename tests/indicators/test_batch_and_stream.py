"""A column and a stream of the same indicator agree bit for bit, on random and on real bars."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    WMA,
    BollingerBands,
    Columns,
    Floats,
    Indicator,
    SessionVWAP,
    TrueRange,
)
from engine.indicators.volume import SessionVWAPStream

BAND_OUTPUTS = ("upper", "middle", "lower", "percent_b", "width", "z_score")
INDICATORS: tuple[Indicator, ...] = (
    *(average(period=n) for average in (SMA, WMA, RMA, EMA) for n in (1, 2, 9, 21)),
    EMA(period=9, seed="first"),
    EMA(period=5, source="volume"),
    RSI(),
    RSI(period=2),
    RSI(smoothing="simple"),
    *(MACD(output=output, seed=seed) for output in ("line", "signal", "histogram") for seed in ("sma", "first")),
    MACD(fast=5, slow=3, signal=1, output="signal"),
    TrueRange(),
    TrueRange(first_bar=True),
    *(ATR(smoothing=how, first_bar=first) for how in ("wilder", "simple") for first in (False, True)),
    ATR(period=1),
    NATR(),
    *(BollingerBands(output=output) for output in BAND_OUTPUTS),  # type: ignore[arg-type]
    BollingerBands(period=2, deviations=3, output="percent_b"),
    *(
        VWMA(period=n, price=price, partial=part)
        for n in (1, 14)
        for price in ("close", "hlc3", "ohlc4")
        for part in (False, True)
    ),
    SessionVWAP(),
    OBV(),
)


def streamed(indicator: Indicator, columns: Columns) -> Floats:
    """Run a stream over the bars; resets at each session where the indicator asks for it."""
    stream = indicator.stream()
    session = columns[SESSION_COLUMN].tolist()
    values = np.empty(len(session))
    rows = zip(*(columns[name].tolist() for name in indicator.inputs), strict=True)
    for position, row in enumerate(rows):
        if isinstance(stream, SessionVWAPStream) and position and session[position] != session[position - 1]:
            stream.reset()
        values[position] = stream.update(*row)
    return values


def assert_same_bits(left: Floats, right: Floats) -> None:
    """Compare by bits, so that a NaN equals a NaN and 0.0 does not equal -0.0."""
    missing = np.isnan(left)
    assert np.array_equal(missing, np.isnan(right))
    assert np.array_equal(left[~missing].view(np.int64), right[~missing].view(np.int64))


def walk(*, seed: int, bars: int, tick: float, idle: float) -> dict[str, Floats]:
    """Make bars of a random walk in ticks; `idle` is the share of bars that neither move nor trade."""
    random = np.random.default_rng(seed)
    moving = random.random(bars) >= idle
    close = (2000 + np.cumsum(random.integers(-6, 7, bars) * moving)) * tick
    opening = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(opening, close) + random.integers(0, 4, bars) * moving * tick
    low = np.minimum(opening, close) - random.integers(0, 4, bars) * moving * tick
    volume = (random.integers(0, 5000, bars) * moving).astype(np.float64)
    session = np.cumsum(random.random(bars) < 0.05)
    return {"open": opening, "high": high, "low": low, "close": close, "volume": volume, SESSION_COLUMN: session}


@pytest.fixture(scope="module")
def spy() -> Columns:
    root = os.environ.get("RATCHET_DATA_DIR")
    if not root:
        pytest.skip("RATCHET_DATA_DIR names no folder of real market data")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(Path(root) / "us_equity_minute" / "spy_1min_2024-03-26_2024-12-31.parquet")
    utc = table["ts_utc"].to_numpy().astype("datetime64[m]").astype(np.int64)
    columns = {name: table[f"{name}_e4"].to_numpy() / 1e4 for name in ("open", "high", "low", "close")}
    columns["volume"] = table["volume"].to_numpy().astype(np.float64)
    columns[SESSION_COLUMN] = table["date_ny"].to_numpy().astype("datetime64[D]").astype(np.int64)
    days = columns[SESSION_COLUMN]
    minute = utc - utc[np.searchsorted(days, days)]
    return {name: column[minute < 390] for name, column in columns.items()}  # without the 16:00 bar


@pytest.mark.parametrize("indicator", INDICATORS, ids=repr)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(0, 150),
    tick=st.sampled_from((0.01, 0.0001, 0.25, 1e-8)),
    idle=st.sampled_from((0.0, 0.3, 0.95)),
)
def test_random_walks(indicator: Indicator, seed: int, bars: int, tick: float, idle: float) -> None:
    columns = walk(seed=seed, bars=bars, tick=tick, idle=idle)
    batch = indicator.batch(columns)
    assert batch.dtype == np.float64
    assert len(batch) == bars
    assert not np.isinf(batch).any()
    assert_same_bits(batch, streamed(indicator, columns))


@pytest.mark.parametrize("indicator", INDICATORS, ids=repr)
def test_real_bars(indicator: Indicator, spy: Columns) -> None:
    batch = indicator.batch(spy)
    assert np.isfinite(batch[100:]).mean() > 0.97  # percent_b of two equal closes has no value
    assert_same_bits(batch, streamed(indicator, spy))


@pytest.mark.parametrize("indicator", [i for i in INDICATORS if i.warm_up_bars is not None], ids=repr)
@pytest.mark.parametrize("first", [390, 20_000, 51_111])
def test_a_replay_of_the_warm_up_restores_the_bits(indicator: Indicator, first: int, spy: Columns) -> None:
    warm_up = indicator.warm_up_bars
    assert warm_up is not None
    if indicator.per_session:
        first = int(np.searchsorted(spy[SESSION_COLUMN], spy[SESSION_COLUMN][first]))
    rest = {name: column[first : first + warm_up + 5_000] for name, column in spy.items()}
    whole = indicator.batch(spy)[first : first + warm_up + 5_000]
    assert_same_bits(whole[warm_up:], indicator.batch(rest)[warm_up:])


def test_a_kept_update_method_stays_right() -> None:
    columns = walk(seed=7, bars=200, tick=0.01, idle=0.0)
    keep = EMA(period=9).stream().update
    values = np.array([keep(value) for value in columns["close"].tolist()])
    assert_same_bits(EMA(period=9).batch(columns), values)


def test_a_column_of_whole_numbers_gives_the_bits_of_floats() -> None:
    columns = walk(seed=3, bars=200, tick=0.01, idle=0.2)
    whole = {**columns, "volume": columns["volume"].astype(np.int64)}
    assert_same_bits(SessionVWAP().batch(whole), SessionVWAP().batch(columns))
    assert_same_bits(streamed(SessionVWAP(), whole), SessionVWAP().batch(columns))


def test_every_other_row_of_an_array_is_read_right() -> None:
    columns = walk(seed=5, bars=400, tick=0.01, idle=0.0)
    strided = {name: column[::2] for name, column in columns.items()}
    packed = {name: column.copy() for name, column in strided.items()}
    assert_same_bits(ATR().batch(strided), ATR().batch(packed))
