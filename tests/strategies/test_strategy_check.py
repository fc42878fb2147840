"""The check passes honest strategies and names the first bar at which a cheating one differs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import pytest

from engine.core.errors import BadInput
from engine.core.messages import Bar, Signal, SignalKind
from engine.core.signals import Context, Strategy
from engine.core.values import MINUTE_NS, InstrumentId, SessionTable
from engine.indicators import Columns, Floats, Indicator, Stream
from engine.research.strategy_check import StrategyCheckReport, check_strategy
from engine.rules import NOTHING, BarColumns, BarStrategy, NoParameters
from strategies.s1_vwap_ema import S1VwapEma

OPENS = (1_704_205_800 * 10**9, 1_704_292_200 * 10**9)
SESSIONS = SessionTable(
    "XNYS",
    dates=("2024-01-02", "2024-01-03"),
    opens=OPENS,
    closes=(OPENS[0] + 390 * MINUTE_NS, OPENS[1] + 390 * MINUTE_NS),
)


def walk() -> list[Bar]:
    chance = random.Random(11)
    price, bars = 50.0, []
    for start in OPENS:
        for minute in range(390):
            price += chance.gauss(0.0, 0.05)
            bars.append(
                Bar(
                    instrument_id=InstrumentId(1),
                    start_ts_ns=start + minute * MINUTE_NS,
                    open=price,
                    high=price + 0.03,
                    low=price - 0.03,
                    close=price + 0.01,
                    volume=100.0,
                    vwap=price,
                )
            )
    return bars


BARS = walk()


class PeeksInColumns(S1VwapEma):
    """Know the average of the next bar in research only."""

    def columns(self, bars: BarColumns) -> dict[str, Floats]:
        columns = super().columns(bars)
        columns["fast"] = np.concatenate((columns["fast"][1:], [np.nan]))
        return columns


class PeeksBothWays(S1VwapEma):
    """Compute a column from its own mean: the same in batch and twice, yet each bar knows all others."""

    def columns(self, bars: BarColumns) -> dict[str, Floats]:
        columns = super().columns(bars)
        columns["atr"] = columns["atr"] - np.nanmean(columns["atr"])
        return columns


class Drifting(Indicator):
    """Be the close in columns; its stream adds a tiny state that the columns do not have."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def warm_up_bars(self) -> int | None:
        return None

    def batch(self, columns: Columns) -> Floats:
        return np.asarray(columns["close"], dtype=np.float64)

    def stream(self) -> Stream:
        return DriftingStream()


class DriftingStream:
    """Be right for a hundred bars."""

    def __init__(self) -> None:
        self.seen = 0

    def update(self, close: float) -> float:
        self.seen += 1
        return close if self.seen <= 100 else float(np.nextafter(close, np.inf))


class HidesState(S1VwapEma):
    """Read an indicator whose stream has a state of its own."""

    def indicators(self) -> dict[str, Indicator]:
        return {**super().indicators(), "drifting": Drifting()}


class OverridesOnBar(S1VwapEma):
    """Want nothing at all when bars come one by one."""

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        super().on_bar(bar, context)
        return NOTHING


class Alternating(BarStrategy[NoParameters]):
    """Enter, then leave, ten bars apart."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        self.seen += 1
        if self.seen % 10:
            return NOTHING
        return (Signal(kind=SignalKind.EXIT if context.position_quantity else SignalKind.ENTER, stop_distance=1.0),)


class SharesState(Alternating):
    """Count bars in the class instead of the instance."""

    counted: ClassVar[list[int]] = [0]

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        self.counted[0] += 1
        return (Signal(kind=SignalKind.ENTER, stop_distance=float(self.counted[0])),)


def check(factory: Callable[[], Strategy]) -> StrategyCheckReport:
    return check_strategy(factory, BARS, SESSIONS)


def failed(report: StrategyCheckReport) -> set[str]:
    return {outcome.name for outcome in report.checks if outcome.difference}


@pytest.mark.parametrize("factory", [S1VwapEma, Alternating])
def test_honest_strategies_pass(factory: Callable[[], Strategy]) -> None:
    report = check(factory)
    assert report.passed
    assert report.bars == 780
    assert min(report.entries, report.exits) > 0
    assert all(outcome.bars >= 780 for outcome in report.checks)


def test_a_column_that_knows_the_next_bar_is_caught() -> None:
    report = check(PeeksInColumns)
    difference = report.first_difference
    assert {"batch = stream", "no look-ahead"} <= failed(report)
    assert difference is not None
    # The ninth bar has the first average; the cheat has it one bar earlier.
    assert (difference.column, difference.found) == ("fast", "nan")
    assert difference.bar_start_ts_ns == BARS[7].start_ts_ns
    assert float(difference.expected) > 0


def test_a_column_that_knows_all_bars_is_caught() -> None:
    report = check(PeeksBothWays)
    outcome = next(each for each in report.checks if each.name == "no look-ahead")
    assert outcome.difference is not None
    assert outcome.difference.column in {"atr", "stop_distance", "target_distance"}


def test_a_state_that_only_the_stream_has_is_caught_at_its_first_bar() -> None:
    report = check(HidesState)
    difference = report.first_difference
    assert failed(report) == {"batch = stream"}
    assert difference is not None
    assert (difference.column, difference.bar_start_ts_ns) == ("drifting", BARS[100].start_ts_ns)


def test_an_on_bar_that_leaves_its_rule_is_caught() -> None:
    report = check(OverridesOnBar)
    assert failed(report) == {"batch = on_bar"}


def test_a_state_shared_by_instances_is_caught() -> None:
    assert "stream = stream again" in failed(check(SharesState))


def test_bars_that_cannot_be_checked_are_refused() -> None:
    other = Bar(instrument_id=InstrumentId(2), start_ts_ns=0, open=1, high=1, low=1, close=1, volume=1, vwap=1)
    for bars, remedy in (
        ([*BARS, other], "on one symbol"),
        ([], "check file and calendar"),
        ([BARS[1], BARS[0]], "sort them"),
        ([BARS[0], BARS[0]], "drop repeated minutes"),
    ):
        with pytest.raises(BadInput, match=remedy):
            check_strategy(S1VwapEma, bars, SESSIONS)
