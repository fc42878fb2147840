"""A rule strategy decides bar by bar as its columns say, and is refused where it cannot be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest

from engine.core.errors import BadInput
from engine.core.messages import Bar, Signal, SignalKind
from engine.core.signals import Context, Strategy
from engine.core.values import MINUTE_NS, AlwaysOpen, SessionTable, instrument_from_symbol
from engine.indicators import EMA, SMA, Indicator, SessionVWAP
from engine.rules import (
    NOTHING,
    BarColumns,
    Condition,
    NoParameters,
    Number,
    Parameters,
    RuleBar,
    RuleStrategy,
    crosses_above,
    row,
    shown_bars,
)
from engine.rules.row import source_of

Walk = Callable[..., list[Bar]]


class AboveAverage(RuleStrategy[NoParameters]):
    """Buy above an average and the session's VWAP, sell below the average."""

    def indicators(self) -> Mapping[str, Indicator]:
        return {"average": EMA(period=5), "session_vwap": SessionVWAP()}

    def entry(self, bar: RuleBar) -> Condition:
        return (bar.close > bar.average) & (bar.close > bar.session_vwap)

    def exit(self, bar: RuleBar) -> Condition:
        return bar.close < bar.average

    def stop_distance(self, bar: RuleBar) -> Number:
        return bar.average * 0.01


class AtAllHours(AboveAverage):
    """Be shown bars outside regular hours too."""

    extended_hours = True

    def entry(self, bar: RuleBar) -> Condition:
        return super().entry(bar) & (bar.seconds_from_open >= 0) & (bar.previous.seconds_to_close > 0)


class ByTheClock(RuleStrategy[NoParameters]):
    """Buy early in a session, sell late."""

    exit_reason = "time"

    def entry(self, bar: RuleBar) -> Condition:
        return bar.seconds_from_open <= 120

    def exit(self, bar: RuleBar) -> Condition:
        return bar.seconds_to_close <= 60


def new_context() -> Context:
    return Context(instrument_from_symbol("SPY", 1))


def answers(strategy: Strategy, bars: list[Bar], sessions: SessionTable, *, held: int = 0) -> list[list[Signal]]:
    context = new_context()
    context.position_quantity = Decimal(held)
    given = []
    for bar in bars:
        context.session = sessions.session_at(bar.start_ts_ns)
        given.append(list(strategy.on_bar(bar, context)))
    return given


@pytest.mark.parametrize("strategy_type", [AboveAverage, AtAllHours])
def test_on_bar_says_what_the_columns_say(
    strategy_type: type[AboveAverage], walk: Walk, sessions: SessionTable
) -> None:
    bars, where = shown_bars(walk(early_minutes=90), sessions, extended_hours=strategy_type.extended_hours)
    columns = strategy_type().signals(BarColumns.from_bars(bars, where))
    entered = answers(strategy_type(), bars, sessions)
    left = answers(strategy_type(), bars, sessions, held=1)
    assert len(bars) == (1170 if strategy_type.extended_hours else 900)
    assert [bool(answer) for answer in entered] == columns.entry.tolist()
    assert [bool(answer) for answer in left] == columns.exit.tolist()
    assert [answer[0].stop_distance for answer in entered if answer] == columns.stop_distance[columns.entry].tolist()
    assert 50 < columns.entry.sum() < 700


def test_an_entry_signal_carries_its_distances_and_values(walk: Walk, sessions: SessionTable) -> None:
    bars = walk(count=1)
    entered = answers(AboveAverage(), bars, sessions)
    at = next(index for index, answer in enumerate(entered) if answer)
    (signal,) = entered[at]
    columns = AboveAverage().columns(BarColumns.from_bars(bars, [sessions[0]] * len(bars)))
    assert (signal.kind, signal.reason, signal.target_distance) == (SignalKind.ENTER, "entry", None)
    assert signal.values == tuple((name, column[at]) for name, column in columns.items())
    assert signal.stop_distance == columns["average"][at] * 0.01


def test_nothing_is_wanted_while_an_entry_works_or_the_average_warms_up(walk: Walk, sessions: SessionTable) -> None:
    strategy, context = AboveAverage(), new_context()
    context.has_working_entry = True
    bars = walk(count=1)
    for bar in bars:
        context.session = sessions[0]
        assert strategy.on_bar(bar, context) is NOTHING
    assert not any(answers(AboveAverage(), bars[:4], sessions))


def test_rules_of_the_clock_measure_at_the_close_of_a_bar(walk: Walk, sessions: SessionTable) -> None:
    bars = walk(count=2)
    entered = [bar for bar, answer in zip(bars, answers(ByTheClock(), bars, sessions), strict=True) if answer]
    left = answers(ByTheClock(), bars, sessions, held=1)
    opens = [sessions[0].open_ts_ns, sessions[1].open_ts_ns]
    assert [bar.start_ts_ns for bar in entered] == [ts + add * MINUTE_NS for ts in opens for add in (0, 1)]
    assert [index for index, answer in enumerate(left) if answer] == [388, 389, 778, 779]
    assert left[389] == [Signal(kind=SignalKind.EXIT, reason="time")]


def test_rules_of_the_clock_do_not_bind_where_the_market_never_closes(walk: Walk) -> None:
    bars, where = shown_bars(walk(count=2), AlwaysOpen())
    columns = BarColumns.from_bars(bars, where)
    readings = columns.readings()
    said = ByTheClock().signals(columns)
    first = ByTheClock().row(bars[0], _in_session(where[0]))
    assert np.isposinf(readings["seconds_from_open"]).all()
    assert np.isposinf(readings["seconds_to_close"]).all()
    assert not said.entry.any()
    assert not said.exit.any()
    assert (first.entry, first.exit) == (False, False)
    assert sorted(set(columns.session_number.tolist())) == [0, 1]


def _in_session(session: object) -> Context:
    context = new_context()
    context.session = session  # type: ignore[assignment]
    return context


def test_columns_count_sessions_and_can_be_cut(walk: Walk, sessions: SessionTable) -> None:
    bars, where = shown_bars(walk(count=3, per_session=4, early_minutes=2), sessions, extended_hours=True)
    columns = BarColumns.from_bars(bars, where)
    assert columns.session_number.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert np.isnan(columns.readings()["seconds_to_close"][[0, 1, 4, 5]]).all()
    assert len(columns.head(5)) == 5
    assert len(BarColumns.from_bars([], [])) == 0
    with pytest.raises(BadInput, match="give each bar its own"):
        BarColumns.from_bars(bars, where[:-1])


def test_a_strategy_knows_how_much_it_has_to_be_shown_again() -> None:
    class Summing(AboveAverage):
        def indicators(self) -> Mapping[str, Indicator]:
            return {**super().indicators(), "mean": SMA(period=3)}

    assert AboveAverage().warm_up_bars == 20 * 6 + 1
    assert Summing().warm_up_bars is None
    assert ByTheClock().warm_up_bars == 1


def test_the_module_shows_the_function_that_it_writes() -> None:
    class Crossing(RuleStrategy[NoParameters]):
        def indicators(self) -> Mapping[str, Indicator]:
            return {"fast": EMA(period=2), "slow": EMA(period=3)}

        def entry(self, bar: RuleBar) -> Condition:
            return crosses_above(bar.fast, bar.slow)

    source = source_of(Crossing().rule)
    shown = (row.__doc__ or "").partition("    def on_bar")[2]
    assert (
        "    def on_bar" + shown.rstrip()
        == source[source.index("    def on_bar") : source.index("    def eval")].rstrip()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Parameters):
    """Be parameters of another strategy."""


@pytest.mark.parametrize(
    ("indicators", "remedy"),
    [
        ({"close": EMA(period=2)}, "taken by the bar"),
        ({"class": EMA(period=2)}, "not a plain word"),
        ({"two words": EMA(period=2)}, "not a plain word"),
        ({"_x": EMA(period=2)}, "not a plain word"),
        ({"x": 3}, "give one of engine.indicators"),
        ({"x": EMA(period=2, source="bid")}, "which no bar has"),
    ],
)
def test_indicators_that_cannot_be_read_are_refused(indicators: dict[str, Indicator], remedy: str) -> None:
    class Bad(ByTheClock):
        def indicators(self) -> Mapping[str, Indicator]:
            return indicators

    with pytest.raises(BadInput, match=remedy):
        Bad()


def test_a_rule_that_is_no_condition_and_foreign_parameters_are_refused() -> None:
    class Bad(ByTheClock):
        def entry(self, bar: RuleBar) -> Condition:
            return bar.close  # type: ignore[return-value]

    with pytest.raises(BadInput, match="compare numbers"):
        Bad()
    with pytest.raises(BadInput, match="give NoParameters"):
        ByTheClock(Other())  # type: ignore[arg-type]
