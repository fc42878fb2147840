from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from typing import get_args

from rich.console import Console

from engine.cli.live_state import UNSHOWN, RunState
from engine.cli.live_view import LiveView
from engine.cli.tables import quantity
from engine.core.messages import (
    Bar,
    BreakerChanged,
    ComparisonVerdict,
    ExternalOrderSeen,
    Fact,
    InstrumentStatusChanged,
    Kill,
    ListedStatus,
    PositionCompared,
    Step,
    SuspenseBooked,
    SuspenseKind,
    SymbolChanged,
    TimeAdvanced,
)
from engine.core.values import MINUTE_NS, ExecutionId, InstrumentId, OrderType, Side, instrument_from_symbol
from engine.testing.scenario import OPEN_TS_NS, SPY, Scenario, enter

_SPY = {SPY: instrument_from_symbol("SPY", 1)}


def _entered() -> Scenario:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00", execution="entry-1")
    return scenario


def test_a_pipe_gets_plain_lines() -> None:
    scenario = _entered()
    stop, target = scenario.submitted()[1:]
    scenario.ack(stop)
    scenario.ack(target)
    for minute in range(2, 40):
        scenario.bar(minute, 101.0)
    scenario.fill(target, "103.00", execution="target-1")
    now = scenario.now_ts_ns
    scenario.give(Kill(venue_ts_ns=now, received_ts_ns=now, reason="done", requested_by="ann"))
    stream = io.StringIO()
    view = LiveView(_SPY, title="test", console=Console(file=stream, width=80))
    again = Scenario({1: enter()})
    view(again.events[0], Step(tuple(again.facts), ()))
    assert stream.getvalue() == ""
    with view:
        for event in scenario.events[1:]:
            view(event, again.give(event))
    lines = stream.getvalue().splitlines()
    held = quantity(scenario.submitted()[0].quantity)
    assert "\x1b" not in stream.getvalue()
    assert f"2024-03-26 09:32 EDT SPY signal enter -> approved {held} (script)" in lines
    assert f"2024-03-26 09:32 EDT SPY filled buy {held} at 100.00 (entry)" in lines
    assert any(f"SPY filled sell {held} at 103.00 (target)" in line for line in lines)
    assert any("SPY round trip ended by target: +" in line for line in lines)
    assert any("trading ACTIVE -> HALTED: done (operator:ann)" in line for line in lines)
    quiet = [line for line in lines if "equity" in line]
    assert [line[11:16] for line in quiet] == ["09:31", "10:00"]
    assert len(lines) == 7


def test_coins_are_shown_in_utc() -> None:
    instruments = {InstrumentId(1): instrument_from_symbol("BTC-USD", 1)}
    state = RunState(instruments)
    assert state.shown_zone is None
    stream = io.StringIO()
    view = LiveView(instruments, title="t", console=Console(file=stream, width=80))
    bar = Bar(
        instrument_id=InstrumentId(1),
        start_ts_ns=OPEN_TS_NS,
        open=97_123.4,
        high=97_200.0,
        low=97_000.0,
        close=97_150.25,
        volume=0.0421,
        vwap=97_100.0,
    )
    end = OPEN_TS_NS + MINUTE_NS
    with view:
        view(TimeAdvanced(venue_ts_ns=end, received_ts_ns=end), Step((bar,), ()))
    assert stream.getvalue().startswith("2024-03-26 13:31 UTC BTC-USD 97,150.25; ")


def test_no_fact_is_passed_over_without_a_decision() -> None:
    kinds = RunState(_SPY).kinds
    assert kinds | UNSHOWN == set(get_args(Fact))
    assert not kinds & UNSHOWN


def _suspended(quantity_in_it: str) -> SuspenseBooked:
    return SuspenseBooked(
        kind=SuspenseKind.OVERSOLD,
        execution_id=ExecutionId("x-1"),
        client_order_id=None,
        strategy_id=None,
        instrument_id=SPY,
        symbol="SPY",
        side=Side.SELL,
        price=Decimal("10.5"),
        quantity=Decimal(quantity_in_it),
        value=Decimal(0),
        reason="more sold than held",
        ts_ns=OPEN_TS_NS,
    )


def test_what_needs_a_human_is_told_until_it_is_over() -> None:
    now = TimeAdvanced(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS)
    tripped = BreakerChanged(
        breaker="drawdown",
        strategy_id=None,
        instrument_id=None,
        from_state="ARMED",
        to_state="TRIPPED",
        trigger="limit_reached",
        value=Decimal("0.26"),
        limit=Decimal("0.25"),
        reason="drawdown",
        source="engine",
        ts_ns=OPEN_TS_NS,
    )
    halted = InstrumentStatusChanged(
        instrument_id=SPY, halted=True, reason="LUDP", lower_price=None, upper_price=None, ts_ns=OPEN_TS_NS
    )
    renamed = SymbolChanged(
        instrument_id=SPY, from_symbol="SPY", to_symbol="SPX1", source="file", venue_ts_ns=OPEN_TS_NS, ts_ns=OPEN_TS_NS
    )
    stream = io.StringIO()
    with LiveView(_SPY, title="test", console=Console(file=stream, width=80)) as view:
        view(now, Step((tripped, halted, _suspended("3"), _suspended("2")), ()))
        assert view.restrictions() == [
            "BREAKER drawdown TRIPPED account: drawdown, 0.26 of 0.25 (engine)",
            "HALTED by the exchange SPY: LUDP",
            "LOOK at the table suspense: 2 in suspense",
        ]
        view(now, Step((renamed, replace(halted, halted=False), _suspended("-3"), _suspended("-2")), ()))
        view(now, Step((replace(tripped, to_state="ARMED", limit="-"),), ()))
        assert view.restrictions() == []
        assert view.totals().suspense == 0
    lines = [line.split(" EDT ")[1] for line in stream.getvalue().splitlines()]
    assert lines[:4] == [
        "breaker drawdown TRIPPED account: drawdown, 0.26 of 0.25 (engine)",
        "exchange: halted SPY: LUDP",
        "WARNING suspense: oversold SPY 3 at 10.5: more sold than held",
        "WARNING suspense: oversold SPY 2 at 10.5: more sold than held",
    ]
    assert lines[4] == "SPY is called SPX1 from now on (file)"
    assert lines[5] == "exchange: trades SPX1: LUDP"


def test_what_the_venue_says_otherwise_is_told_until_they_agree() -> None:
    now = TimeAdvanced(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS)
    drift = PositionCompared(
        instrument_id=SPY,
        symbol="SPY",
        booked=Decimal(0),
        listed=Decimal(5),
        verdict=ComparisonVerdict.DRIFT,
        ts_ns=OPEN_TS_NS,
    )
    external = ExternalOrderSeen(
        venue_order_id="v-7",
        instrument_id=SPY,
        symbol="SPY",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(5),
        filled_quantity=Decimal(5),
        status=ListedStatus.FILLED,
        limit_price=None,
        stop_price=None,
        created_ts_ns=OPEN_TS_NS,
        ts_ns=OPEN_TS_NS,
    )
    stream = io.StringIO()
    with LiveView(_SPY, title="test", console=Console(file=stream, width=80)) as view:
        view(now, Step((external, drift), ()))
        assert view.restrictions() == ["DIFFERS from the venue SPY 0 in the books, 5 there"]
        view(now, Step((replace(drift, verdict=ComparisonVerdict.ADOPTED),), ()))
        view(now, Step((replace(drift, booked=Decimal(5), verdict=ComparisonVerdict.EQUAL),), ()))
        assert view.restrictions() == []
    assert [line.split(" EDT ")[1] for line in stream.getvalue().splitlines()] == [
        "WARNING the venue lists order v-7 that is not known here: buy 5 SPY, filled",
        "WARNING differs from the venue: SPY 0 in the books, 5 there",
        "WARNING taken over from the venue: SPY 0 in the books, 5 there",
        "agrees with the venue again: SPY 5 in the books, 5 there",
    ]
