"""The bar builder against a model that keeps every tick and computes each minute from scratch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.bars import GRACE_NS, BarBuilder
from engine.core.messages import Bar, Tick
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen, InstrumentId

ONE = InstrumentId(1)
START = 1_735_828_200 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Arrival:
    step_ns: int
    lag_ns: int
    price: float
    size: float


# Steps of up to half a minute and lags around the grace: several minutes, with late and out-of-order prints.
ARRIVALS = st.lists(
    st.builds(
        Arrival,
        step_ns=st.integers(0, 30).map(lambda seconds: seconds * SECOND_NS),
        lag_ns=st.one_of(st.integers(-2, 4).map(lambda seconds: seconds * SECOND_NS), st.integers(0, 90 * SECOND_NS)),
        price=st.floats(0.01, 1e6) | st.sampled_from([10.0, 10.01, float("nan"), 0.0]),
        size=st.floats(1e-8, 1e6) | st.sampled_from([1.0, 100.0, 0.0]),
    ),
    max_size=60,
)


def ticks_of(arrivals: list[Arrival]) -> list[Tick]:
    ticks = []
    received = START
    for arrival in arrivals:
        received += arrival.step_ns
        ticks.append(
            Tick(
                venue_ts_ns=received - arrival.lag_ns,
                received_ts_ns=received,
                instrument_id=ONE,
                price=arrival.price,
                size=arrival.size,
            )
        )
    return ticks


def is_final(start_ts_ns: int, received_ts_ns: int) -> bool:
    return received_ts_ns >= start_ts_ns + MINUTE_NS + GRACE_NS


def model(ticks: list[Tick]) -> tuple[list[Bar], int]:
    minutes: dict[int, list[Tick]] = defaultdict(list)
    refused = 0
    for tick in ticks:
        start = tick.venue_ts_ns // MINUTE_NS * MINUTE_NS
        if is_final(start, tick.received_ts_ns) or not (tick.price > 0 and tick.size > 0):
            refused += 1
        else:
            minutes[start].append(tick)
    return [bar_of(start, minutes[start]) for start in sorted(minutes)], refused


def bar_of(start_ts_ns: int, ticks: list[Tick]) -> Bar:
    by_time = sorted(ticks, key=lambda tick: tick.venue_ts_ns)
    volume = notional = 0.0
    for tick in ticks:
        volume += tick.size
        notional += tick.price * tick.size
    return Bar(
        instrument_id=ONE,
        start_ts_ns=start_ts_ns,
        open=by_time[0].price,
        high=max(tick.price for tick in ticks),
        low=min(tick.price for tick in ticks),
        close=by_time[-1].price,
        volume=volume,
        vwap=notional / volume,
        tick_count=len(ticks),
        quote_count=0,
    )


@settings(deadline=None)
@given(ARRIVALS)
def test_the_builder_agrees_with_the_model(arrivals: list[Arrival]) -> None:
    ticks = ticks_of(arrivals)
    builder = BarBuilder(ONE, AlwaysOpen())
    built: list[Bar] = []
    for tick in ticks:
        for bar in builder.on_tick(tick) or ():
            assert is_final(bar.start_ts_ns, tick.received_ts_ns)
            built.append(bar)
    built += builder.on_time(START + 2**60) or ()
    bars, refused = model(ticks)
    assert built == bars
    assert sum(builder.refused.values()) == refused


@settings(deadline=None)
@given(ARRIVALS)
def test_no_final_minute_waits_for_another_event(arrivals: list[Arrival]) -> None:
    builder = BarBuilder(ONE, AlwaysOpen())
    opened: set[int] = set()
    closed: set[int] = set()
    for tick in ticks_of(arrivals):
        refused = sum(builder.refused.values())
        closed |= {bar.start_ts_ns for bar in builder.on_tick(tick) or ()}
        if sum(builder.refused.values()) == refused:
            opened.add(tick.venue_ts_ns // MINUTE_NS * MINUTE_NS)
        assert closed == {start for start in opened if is_final(start, tick.received_ts_ns)}


@settings(deadline=None)
@given(ARRIVALS)
def test_time_between_the_ticks_changes_no_bar(arrivals: list[Arrival]) -> None:
    ticks = ticks_of(arrivals)
    plain, timed = BarBuilder(ONE, AlwaysOpen()), BarBuilder(ONE, AlwaysOpen())
    first: list[Bar] = []
    second: list[Bar] = []
    for tick in ticks:
        first += plain.on_tick(tick) or ()
        second += timed.on_time(tick.received_ts_ns) or ()
        second += timed.on_tick(tick) or ()
    first += plain.on_time(START + 2**60) or ()
    second += timed.on_time(START + 2**60) or ()
    assert first == second
    assert plain.refused == timed.refused
