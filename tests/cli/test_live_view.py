from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import UUID

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from engine.app.loop import EngineLoop
from engine.cli.live_state import RunState
from engine.cli.live_view import REFRESHES_PER_SECOND, LiveView
from engine.cli.tables import money
from engine.core.messages import (
    AccountFunded,
    Bar,
    EquityMarked,
    Event,
    ExecutionBusted,
    Kill,
    OrderTransitioned,
    Signal,
    SignalEmitted,
    SignalKind,
    Step,
    TimeAdvanced,
    TradeBooked,
)
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.risk.limits import Limits
from engine.core.values import ZERO, AccountId, ExecutionId, StrategyId, instrument_from_symbol
from engine.feeds.synthetic import SyntheticFeed
from engine.testing.scenario import OPEN_TS_NS, SPY, Scenario, enter
from engine.venues.fees import NoFees
from engine.venues.paper import PaperSettings, PaperVenue
from strategies.s1_vwap_ema import S1Parameters, S1VwapEma

_Steps = list[tuple[Event, Step]]
_SPY = {SPY: instrument_from_symbol("SPY", 1)}


class _MemoryJournal:
    def append(self, event: Event, step: Step) -> None:
        pass

    def commit(self) -> None:
        pass


def _run(symbols: Sequence[str], sessions: int) -> tuple[_Steps, Pipeline, SyntheticFeed]:
    feed = SyntheticFeed(symbols=symbols, sessions=sessions)
    instruments = {made.instrument_id: made for made in feed.instruments}
    pipeline = Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments=instruments,
            sessions=feed.sessions,
            strategies=[
                StrategyBinding(strategy_id=StrategyId("s1"), instrument_id=key, strategy=S1VwapEma(S1Parameters()))
                for key in instruments
            ],
        )
    )
    venue = PaperVenue(instruments, feed.sessions, PaperSettings(opening_cash=Decimal(100_000), fees=NoFees()))
    steps: _Steps = []

    def watch(event: Event, step: Step) -> None:
        steps.append((event, step))

    loop = EngineLoop(pipeline, venue, _MemoryJournal(), is_durable=True, observer=watch)
    start = feed.schedule[0].open_ts_ns
    loop.process(
        AccountFunded(venue_ts_ns=start, received_ts_ns=start, amount=Decimal(100_000), source="opening balance")
    )
    loop.run(feed.events())
    return steps, pipeline, feed


@pytest.fixture(scope="module")
def synthetic() -> tuple[_Steps, Pipeline, SyntheticFeed]:
    return _run(("ALFA", "BETA", "GAMA"), 2)


def _console(width: int = 100, height: int = 40) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor", record=True
    )


def _shown(console: Console, renderable: RenderableType) -> str:
    console.print(renderable)
    return console.export_text()


def _view_of(scenario: Scenario, console: Console | None = None) -> LiveView:
    # The scenario's events again, through a fresh pipeline, with the view watching.
    view = LiveView(_SPY, title="test", console=console or _console())
    again = Scenario(scenario.strategy._script, limits=scenario.pipeline._settings.limits)
    view(again.events[0], Step(tuple(again.facts), ()))
    for event in scenario.events[1:]:
        view(event, again.give(event))
    return view


def _entered() -> Scenario:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00", execution="entry-1")
    return scenario


# --- figures --------------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_books(synthetic: tuple[_Steps, Pipeline, SyntheticFeed]) -> None:
    steps, pipeline, feed = synthetic
    view = LiveView({made.instrument_id: made for made in feed.instruments}, title="test", console=_console())
    for event, step in steps:
        view(event, step)
    totals = view.totals()
    facts = [fact for _, step in steps for fact in step.facts]
    trades = [fact for fact in facts if isinstance(fact, TradeBooked)]
    assert totals.final_equity == pipeline.ledger.equity
    assert totals.net_pnl == pipeline.ledger.equity - 100_000
    assert totals.bars == sum(isinstance(fact, Bar) for fact in facts)
    assert totals.signals == sum(isinstance(fact, SignalEmitted) for fact in facts)
    assert totals.fills == len(trades)
    assert totals.fees == sum((trade.fee for trade in trades), ZERO)
    assert sum(count.count for count in totals.round_trips.values()) >= 3
    assert sum((count.net for count in totals.round_trips.values()), ZERO) == sum(
        (trade.realized_pnl - trade.fee for trade in trades), ZERO
    )
    assert totals.max_drawdown == _drawdown([fact.equity for fact in facts if isinstance(fact, EquityMarked)])
    assert totals.max_drawdown > 0


def _drawdown(equities: list[Decimal]) -> Decimal:
    peak, worst = Decimal(100_000), ZERO
    for equity in equities:
        peak = max(peak, equity)
        worst = max(worst, (peak - equity) / peak)
    return worst


def test_the_session_profit_starts_anew_with_each_session(synthetic: tuple[_Steps, Pipeline, SyntheticFeed]) -> None:
    steps, _, feed = synthetic
    state = RunState({made.instrument_id: made for made in feed.instruments})
    at_start: Decimal | None = None
    for event, step in steps:
        if event.received_ts_ns > feed.schedule[1].open_ts_ns and at_start is None:
            at_start = state.equity
        state.take(event, step)
    assert at_start is not None
    assert state.session_pnl == state.equity - at_start


def test_a_busted_exit_takes_its_round_trip_back() -> None:
    scenario = _entered()
    stop, target = scenario.submitted()[1:]
    scenario.ack(stop)
    scenario.ack(target)
    scenario.fill(stop, "98.50", execution="stop-1")
    scenario.cancel(target)
    closed = _view_of(scenario).totals()
    assert {reason: (count.count, count.wins) for reason, count in closed.round_trips.items()} == {"stop": (1, 0)}
    now = scenario.now_ts_ns
    scenario.give(
        ExecutionBusted(
            venue_ts_ns=now,
            received_ts_ns=now,
            client_order_id=stop.client_order_id,
            execution_id=ExecutionId("stop-1"),
            reason="erroneous",
        )
    )
    reopened = _view_of(scenario).totals()
    assert reopened.round_trips == {}
    assert reopened.open_positions == 1
    assert reopened.fills == 1


def test_money_that_comes_later_is_no_profit() -> None:
    scenario = _entered()
    scenario.bar(2, 101.0)
    before = _view_of(scenario).totals()
    now = scenario.now_ts_ns
    scenario.give(AccountFunded(venue_ts_ns=now, received_ts_ns=now, amount=Decimal(-5_000), source="withdrawal"))
    scenario.bar(3, 101.0)
    after = _view_of(scenario).totals()
    assert after.net_pnl == before.net_pnl > 0
    assert after.final_equity == before.final_equity - 5_000
    assert after.max_drawdown == before.max_drawdown == 0


# --- the screen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [5, 12, 24, 31, 40, 60])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 119, 120, 140, 220])
def test_every_size_is_kept_to(width: int, height: int, synthetic: tuple[_Steps, Pipeline, SyntheticFeed]) -> None:
    steps, _, feed = synthetic
    console = _console(width, height)
    view = LiveView({made.instrument_id: made for made in feed.instruments}, title="t" * 90, console=console)
    view.phase = "p" * 60
    for count, (event, step) in enumerate(steps):
        view(event, step)
        if count % 700 == 0:
            view.render()
    lines = _shown(console, view.render()).splitlines()
    assert max(cell_len(line) for line in lines) <= width
    if height >= 24:
        assert len(lines) < height


def test_an_empty_view_says_that_it_waits() -> None:
    console = _console(80, 24)
    shown = _shown(console, LiveView(_SPY, title="S1 on SPY", console=console).render())
    for expected in (" PAPER ", "S1 on SPY", "ACTIVE", "waiting for the market", "no bar yet", "flat", "no order yet"):
        assert expected in shown


@pytest.mark.parametrize(("width", "height"), [(140, 40), (100, 40), (80, 24)])
def test_the_screen_shows_what_a_run_is_about(width: int, height: int) -> None:
    scenario = _entered()
    stop, target = scenario.submitted()[1:]
    scenario.ack(stop)
    scenario.ack(target)
    scenario.bar(2, 101.25)
    console = _console(width, height)
    view = _view_of(scenario, console)
    view.speed, view.phase = 600.0, "warming up"
    shown = _shown(console, view.render())
    held = scenario.submitted()[0].quantity
    for expected in (
        "2024-03-26 13:33:00 UTC",
        "09:33 New York",
        "600x",
        "warming up",
        "101.25",
        f"approved {held}",
        "sell stop",
        "98.50",
        "103.00",
        "ACK",
        "FILLED",
        money(held * Decimal("1.25"), signed=True),
    ):
        assert expected in shown, expected


def test_order_states_are_shown_as_they_are() -> None:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    assert " NEW " in _rendered(scenario)
    scenario.ack(entry)
    assert " ACK " in _rendered(scenario)
    scenario.fill(entry, "100.00", "40")
    assert f"40/{entry.quantity} 100.00 PARTIAL" in " ".join(_rendered(scenario).split())
    scenario.cancel(entry)
    assert " CANCELED " in _rendered(scenario)


def _rendered(scenario: Scenario) -> str:
    console = _console()
    return _shown(console, _view_of(scenario, console).render())


def test_a_position_without_a_stop_stands_out() -> None:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00", "10")
    scenario.reject(scenario.submitted()[1])
    row = next(line for line in _rendered(scenario).splitlines() if "scripted" in line)
    assert " none " in row


def test_a_refusal_names_its_reason_and_numbers() -> None:
    scenario = Scenario({1: enter()}, limits=Limits(max_order_quantity=Decimal(1)))
    scenario.bar(0)
    scenario.bar(1)
    assert "refused: order_quantity" in _rendered(scenario)
    assert "of 1)" in _rendered(scenario)


def test_a_halt_is_shown_with_its_reason() -> None:
    scenario = Scenario({})
    scenario.bar(0)
    now = scenario.now_ts_ns
    scenario.give(Kill(venue_ts_ns=now, received_ts_ns=now, reason="enough for today", requested_by="ann"))
    shown = _rendered(scenario)
    assert "HALTED" in shown
    assert "enough for today" in shown
    assert "ACTIVE" not in shown


def test_markup_in_names_is_text() -> None:
    instruments = {SPY: instrument_from_symbol("[red]X[/red]", 1)}
    console = _console(140, 40)
    view = LiveView(instruments, title="[bold]t", mode_label="[b]", console=console, database="[/]x.sqlite")
    view.phase = "[blink]"
    signal = Signal(kind=SignalKind.ENTER, reason="[link=x]why[/link]")
    emitted = SignalEmitted(
        signal_id=1,
        strategy_id=StrategyId("s"),
        instrument_id=SPY,
        symbol="[red]X[/red]",
        bar_start_ts_ns=OPEN_TS_NS,
        ts_ns=OPEN_TS_NS,
        signal=signal,
    )
    view(TimeAdvanced(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS), Step((emitted,), ()))
    shown = _shown(console, view.render())
    for literal in ("[red]X[/red]", "[bold]t", " [b] ", "[/]x.sqlite", "[blink]", "[link=x]why[/link]"):
        assert literal in shown


def test_earlier_steps_bring_a_view_up_to_date(synthetic: tuple[_Steps, Pipeline, SyntheticFeed]) -> None:
    steps, _, feed = synthetic
    instruments = {made.instrument_id: made for made in feed.instruments}
    consoles = [Console(file=io.StringIO(), width=100, height=40, record=True) for _ in range(2)]
    throughout, resumed = (LiveView(instruments, title="t", console=console) for console in consoles)
    with throughout:
        for event, step in steps:
            throughout(event, step)
    for event, step in steps[:-5]:
        resumed(event, step)
    assert consoles[1].export_text() == ""
    with resumed:
        for event, step in steps[-5:]:
            resumed(event, step)
    assert resumed.totals() == throughout.totals()
    pictures = [_shown(console, view.render()) for console, view in zip(_two(), (throughout, resumed), strict=True)]
    assert pictures[0] == pictures[1]


def _two() -> list[Console]:
    return [_console(), _console()]


def test_many_open_orders_never_hide_each_other() -> None:
    state = RunState(_SPY)
    scenario = _entered()
    created = scenario.submitted()
    view = _view_of(scenario)
    newest = view._state.recent_orders(2)
    assert [order.created.leg.value for order in newest] == ["target", "stop"]
    assert len(created) == 3
    assert state.recent_orders(3) == []


# --- a real terminal ------------------------------------------------------------------------------------------------


def _drained(reader: int, stop: Callable[[], bool]) -> bytes:
    shown = b""
    while True:
        try:
            part = os.read(reader, 65_536)
        except OSError:
            return shown
        shown += part
        if stop() and part.endswith(b"\x04"):
            return shown


def test_a_terminal_is_redrawn_at_most_eight_times_a_second(
    synthetic: tuple[_Steps, Pipeline, SyntheticFeed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    steps, _, feed = synthetic
    reader, writer = os.openpty()
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(_drained(reader, lambda: True)))
    thread.start()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100, height=40)
        view = LiveView({made.instrument_id: made for made in feed.instruments}, title="CANARY", console=console)
        began = time.monotonic()
        with view:
            while time.monotonic() - began < 0.7:
                for event, step in steps:
                    view(event, step)
        lasted = time.monotonic() - began
        terminal.write("\x04")
        terminal.flush()
        thread.join(timeout=10)
    os.close(reader)
    shown = found[0].decode()
    frames = shown.count("CANARY")
    assert 2 <= frames <= lasted * REFRESHES_PER_SECOND + 3
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "Round trips" in shown


def test_an_error_leaves_the_terminal_as_it_was() -> None:
    console = _console()
    view = LiveView(_SPY, title="t", console=console)

    def fail() -> None:
        with view:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert view._live is None
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_terminal_without_unicode_is_survived(synthetic: tuple[_Steps, Pipeline, SyntheticFeed]) -> None:
    steps, _, feed = synthetic
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=stream, width=100, height=40, force_terminal=True)
    with LiveView({made.instrument_id: made for made in feed.instruments}, title="t", console=console) as view:
        for event, step in steps:
            view(event, step)
    console.print(view.summary())
    stream.flush()
    assert b"Round trips" in stream.buffer.getvalue()


# --- the end and the odd -------------------------------------------------------------------------------------------


def test_the_summary_holds_every_digit() -> None:
    state = RunState(_SPY)
    moment = TimeAdvanced(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS)
    view = LiveView(_SPY, title="t", console=_console(80, 24))
    marked = EquityMarked(ts_ns=OPEN_TS_NS, cash=Decimal(1), equity=Decimal("-177.84512345"))
    view(moment, Step((marked,), ()))
    state.take(moment, Step((marked,), ()))
    for width in (80, 30):
        shown = _shown(_console(width, 40), view.summary())
        assert "-177.84512345" in shown
    assert state.totals() == view.totals()


def test_facts_of_unknown_orders_are_survived() -> None:
    moved = OrderTransitioned(
        order_id=77,
        version=2,
        from_state="NEW",
        to_state="ACK",
        trigger="acknowledged",
        source="venue",
        reason="",
        filled_quantity=ZERO,
        cancel_requested=False,
        venue_order_id=None,
        venue_ts_ns=1,
        ts_ns=1,
    )
    state = RunState(_SPY)
    state.take(TimeAdvanced(venue_ts_ns=1, received_ts_ns=1), Step((moved,), ()))
    assert state.orders == {}
