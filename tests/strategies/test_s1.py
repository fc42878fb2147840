"""S1 says what its rule says: on made bars at the edges, and on a real year by an independent computation."""

from __future__ import annotations

import os
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import talib

from engine.core.errors import BadInput
from engine.core.messages import Bar
from engine.core.values import MINUTE_NS, InstrumentId, Session, SessionTable
from engine.research.strategy_check import check_strategy
from engine.rules import BarColumns, RuleColumns, parameters_from_text, shown_bars
from strategies.s1_vwap_ema import S1Parameters, S1VwapEma

SPY_FILE = "us_equity_minute/spy_1min_2024-03-26_2024-12-31.parquet"
HALF_DAYS = {date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)}
NEW_YORK = ZoneInfo("America/New_York")


def spy_path() -> Path:
    folder = os.environ.get("RATCHET_DATA_DIR")
    if not folder or not (Path(folder) / SPY_FILE).exists():
        pytest.skip(f"RATCHET_DATA_DIR holds no {SPY_FILE}")
    return Path(folder) / SPY_FILE


def in_new_york(day: date, hour: int, minute: int) -> int:
    return int(datetime.combine(day, time(hour, minute), NEW_YORK).timestamp()) * 1_000_000_000


@pytest.fixture(scope="module")
def spy() -> tuple[list[Bar], SessionTable]:
    """The SPY minutes of 2024 with the sessions on which they lie."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(spy_path())
    days = sorted(set(table["date_ny"].to_pylist()))
    sessions = SessionTable(
        "XNYS",
        dates=tuple(str(day) for day in days),
        opens=tuple(in_new_york(day, 9, 30) for day in days),
        closes=tuple(in_new_york(day, 13 if day in HALF_DAYS else 16, 0) for day in days),
    )
    starts = (table["ts_utc"].cast("int64").to_numpy() * 1_000).tolist()
    prices = [(table[f"{name}_e4"].to_numpy() / 1e4).tolist() for name in ("open", "high", "low", "close")]
    volumes = table["volume"].to_numpy().astype(np.float64).tolist()
    rows = zip(starts, *prices, volumes, strict=True)
    last = sessions[len(sessions) - 1].close_ts_ns  # the minute at the last close lies beyond the table
    return [as_bar(*row) for row in rows if row[0] < last], sessions


def as_bar(start: int, opened: float, high: float, low: float, close: float, volume: float) -> Bar:
    return Bar(
        instrument_id=InstrumentId(1),
        start_ts_ns=start,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        vwap=close,
    )


def test_batch_is_stream_over_a_real_year(spy: tuple[list[Bar], SessionTable]) -> None:
    report = check_strategy(S1VwapEma, *spy)
    assert report.first_difference is None
    assert (report.bars, report.entries, len(report.checks)) == (75_120, 798, 4)


def test_entries_of_a_real_year_are_those_of_a_plain_loop(spy: tuple[list[Bar], SessionTable]) -> None:
    bars, sessions = shown_bars(*spy)
    columns = BarColumns.from_bars(bars, sessions)
    said = S1VwapEma().signals(columns)
    fast, slow = talib.EMA(columns.close, 9), talib.EMA(columns.close, 21)
    ranges = talib.ATR(columns.high, columns.low, columns.close, 14)
    wanted, leaving, traded, shares, today = [], [], 0.0, 0.0, None
    for at, (bar, session) in enumerate(zip(bars, sessions, strict=True)):
        assert session is not None
        if session != today:
            today, traded, shares = session, 0.0, 0.0
        traded += (bar.high + bar.low + bar.close) / 3 * bar.volume
        shares += bar.volume
        end = bar.start_ts_ns + MINUTE_NS
        crossed = at > 0 and fast[at - 1] <= slow[at - 1] and fast[at] > slow[at]
        timely = session.open_ts_ns + 15 * MINUTE_NS <= end <= session.close_ts_ns - 30 * MINUTE_NS
        wanted.append(bool(crossed and timely and session != sessions[0] and bar.close > traded / shares))
        leaving.append(end >= session.close_ts_ns - 5 * MINUTE_NS)
    entry = said.entry
    assert entry.tolist() == wanted
    assert said.exit.tolist() == leaving
    assert (said.stop_distance[entry] == 1.5 * ranges[entry]).all()
    assert (said.target_distance[entry] == 3.0 * ranges[entry]).all()


OPEN_TS_NS = 1_704_205_800 * 1_000_000_000  # 2024-01-02 14:30 UTC
DAYS = [
    Session(date=f"2024-01-0{2 + day}", open_ts_ns=OPEN_TS_NS + day * 1440 * MINUTE_NS, close_ts_ns=0) for day in (0, 1)
]
SESSIONS = [
    Session(date=day.date, open_ts_ns=day.open_ts_ns, close_ts_ns=day.open_ts_ns + 390 * MINUTE_NS) for day in DAYS
]


def said_with_a_jump_at(*, minute: int, session: int) -> RuleColumns:
    # A slow fall, then one bar that jumps: the averages cross there, above VWAP.
    bars, where = [], []
    for day in range(2):
        for at in range(390):
            jump = 5.0 if day == session and at == minute else 0.0
            price = 200.0 - 0.01 * (390 * day + at) + jump
            start = SESSIONS[day].open_ts_ns + at * MINUTE_NS
            bars.append(as_bar(start, price, price + 0.02, price - 0.02, price, 100.0))
            where.append(SESSIONS[day])
    return S1VwapEma().signals(BarColumns.from_bars(bars, where))


@pytest.mark.parametrize(
    ("minute", "enters"), [(13, False), (14, True), (200, True), (359, True), (360, False), (380, False)]
)
def test_entries_are_wanted_inside_the_window_with_both_ends(minute: int, *, enters: bool) -> None:
    said = said_with_a_jump_at(minute=minute, session=1)
    assert np.flatnonzero(said.entry).tolist() == ([390 + minute] if enters else [])


def test_the_first_session_warms_up() -> None:
    assert not said_with_a_jump_at(minute=200, session=0).entry.any()


def test_exits_are_wanted_from_five_minutes_before_the_close_on() -> None:
    said = said_with_a_jump_at(minute=200, session=1)
    assert np.flatnonzero(said.exit).tolist() == [*range(384, 390), *range(774, 780)]


@pytest.mark.parametrize(
    ("texts", "remedy"),
    [
        ({"fast_period": "21"}, "less than slow_period, which is 21"),
        ({"stop_atr": "0"}, "more than 0"),
        ({"minutes_after_open": "-1"}, "0 or more"),
        ({"fast": "9"}, "did you mean fast_period"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(texts: dict[str, str], remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy):
        parameters_from_text(S1Parameters, texts)


def test_parameters_reach_the_rule() -> None:
    strategy = S1VwapEma(parameters_from_text(S1Parameters, {"stop_atr": "2", "exit_minutes_before_close": "10"}))
    assert repr(strategy.rule.stop_distance) == "(2.0 * bar.atr)"
    assert repr(strategy.rule.exit) == "(bar.seconds_to_close <= 600.0)"
