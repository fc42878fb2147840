from __future__ import annotations

import io

from rich.console import Console

from engine.cli.live_state import RunState
from engine.cli.live_view import LiveView
from engine.cli.tables import quantity
from engine.core.messages import Bar, Kill, Step, TimeAdvanced
from engine.core.values import MINUTE_NS, InstrumentId, instrument_from_symbol
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
