"""Lives told word for word: what the core decides changes only on purpose.

Where a change is wanted, `RATCHET_RENEW=1 pytest tests/core/test_stories.py` writes the files anew: their differences
are the change, to be read before they are committed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.order_table import OrderState
from engine.core.messages import (
    Event,
    ExecutionBusted,
    Flatten,
    InstrumentStatus,
    Kill,
    OutcomeUnknown,
    Pause,
    Resume,
    ShareSplit,
    Signal,
    SignalKind,
    SymbolRenamed,
)
from engine.core.risk.limits import Limits
from engine.core.values import ExecutionId, Leg
from engine.testing.scenario import SPY, enter, leave
from engine.testing.told import ToldScenario, compare_told

FOLDER = Path(__file__).with_name("stories")
STYLES = list(ExitStyle)

Story = Callable[[ExitStyle], ToldScenario]
STORIES: dict[str, Story] = {}


def story(tell: Story) -> Story:
    STORIES[tell.__name__] = tell
    return tell


def held(style: ExitStyle, script: dict[int, Signal], *parts: str, limits: Limits | None = None) -> ToldScenario:
    """Return an account whose entry of the first minute has filled, in parts if any are given, and is protected."""
    told = ToldScenario({0: enter(), **script}, exit_style=style, limits=limits)
    told.bar(0)
    entry = told.order(Leg.ENTRY)
    told.ack(entry)
    for number, part in enumerate(parts or ("100",)):
        before = len(told.submitted())
        told.fill(entry, f"100.0{number}", part, execution=f"e-{number}")
        for order in told.submitted()[before:]:
            told.ack(order)
    return told


def canceled(told: ToldScenario) -> None:
    """Confirm every cancel that was asked for and not yet confirmed."""
    confirmed: set[str] = getattr(told, "confirmed", set())
    for order in told.submitted():
        if order.client_order_id in told.canceled() and order.client_order_id not in confirmed:
            confirmed.add(order.client_order_id)
            told.cancel(order)
    told.confirmed = confirmed  # type: ignore[attr-defined]  # this file's own note


def acknowledged(told: ToldScenario) -> None:
    """Acknowledge every order that has no answer yet."""
    for order in told.pipeline.execution.open_orders():
        if order.state is OrderState.NEW:
            told.ack(next(sent for sent in told.submitted() if sent.client_order_id == order.client_order_id))


@story
def the_target_is_reached(style: ExitStyle) -> ToldScenario:
    told = held(style, {})
    told.bar(1, 103.5)
    canceled(told)
    told.ack(told.order(Leg.TARGET))
    told.fill(told.order(Leg.TARGET), "103.00", execution="t-1")
    told.wait(31)
    canceled(told)
    told.bar(3, 103.25)
    return told


@story
def the_stop_fills_in_two_parts(style: ExitStyle) -> ToldScenario:
    told = held(style, {}, "60", "40")
    first, second = (told.order(Leg.STOP, number) for number in (0, 1))
    told.bar(1, 98.25)
    told.fill(first, "98.50", "25", execution="s-1")
    told.fill(first, "98.49", "35", execution="s-2")
    told.fill(second, "98.45", execution="s-3")
    told.wait(31)
    canceled(told)
    told.bar(2, 98.0)
    return told


@story
def the_day_ends_before_either(style: ExitStyle) -> ToldScenario:
    told = held(style, {380: leave()})
    told.bar(380, 101.0)
    canceled(told)
    exit_order = told.order(Leg.EXIT)
    told.ack(exit_order)
    told.fill(exit_order, "100.98", "30", execution="x-1")
    told.fill(exit_order, "100.97", "70", execution="x-2")
    told.bar(381, 101.0)
    return told


@story
def the_entry_is_never_answered(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: enter(), 5: enter(limit=99.5)}, exit_style=style)
    told.bar(0)
    for seconds in (30, 60, 120, 240):
        told.wait(seconds)
    told.bar(9)
    told.give(_report(told, OutcomeUnknown, Leg.ENTRY, reason="time-out"))
    told.reject(told.order(Leg.ENTRY))
    return told


@story
def the_stop_is_refused(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: enter()}, exit_style=style)
    told.bar(0)
    told.fill(told.order(Leg.ENTRY), "100.02", execution="e-1")
    told.reject(told.order(Leg.STOP))
    canceled(told)
    for _ in range(3):
        told.reject(told.order(Leg.EXIT))
    told.give(_command(told, Flatten))
    told.fill(told.order(Leg.EXIT), "97.10", execution="x-1")
    return told


@story
def the_stop_is_never_acknowledged_and_its_cancel_hangs(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: enter(), 6: leave()}, exit_style=style)
    told.bar(0)
    told.fill(told.order(Leg.ENTRY), "100.02", execution="e-1")
    for _ in range(14):
        told.wait(20)
    told.bar(6)
    for _ in range(20):
        told.wait(30)
    told.cancel(told.order(Leg.STOP))
    canceled(told)
    return told


@story
def executions_are_taken_back(style: ExitStyle) -> ToldScenario:
    told = held(style, {}, "60", "40")
    told.give(_report(told, ExecutionBusted, Leg.ENTRY, execution_id=ExecutionId("e-1"), reason="erroneous"))
    canceled(told)
    told.fill(told.order(Leg.EXIT), "99.90", execution="x-1")
    told.give(_report(told, ExecutionBusted, Leg.EXIT, execution_id=ExecutionId("x-1"), reason="erroneous"))
    told.fill(told.order(Leg.EXIT), "99.80", execution="x-2")
    told.bar(2)
    return told


@story
def an_operator_intervenes(style: ExitStyle) -> ToldScenario:
    told = held(style, {1: enter(), 3: enter(), 5: enter(limit=99.0)}, limits=Limits(max_open_entries_per_instrument=2))
    told.give(_command(told, Pause))
    told.bar(1)
    told.give(_command(told, Kill))
    told.bar(3)
    told.give(_command(told, Resume))
    told.bar(5)
    told.give(_command(told, Kill))
    canceled(told)
    told.give(_command(told, Flatten))
    canceled(told)
    told.fill(told.order(Leg.EXIT), "100.10", execution="x-1")
    return told


@story
def an_entry_is_given_up_and_fills_late(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: enter(limit=99.5), 1: Signal(kind=SignalKind.CANCEL_ENTRY)}, exit_style=style)
    told.bar(0)
    entry = told.order(Leg.ENTRY)
    told.ack(entry)
    told.bar(1)
    told.cancel(entry)
    told.fill(entry, "99.50", "10", execution="e-1")
    told.fill(entry, "99.50", "10", execution="e-1")
    told.ack(told.order(Leg.STOP))
    told.fill(told.order(Leg.STOP), "98.00", execution="s-1")
    told.fill(entry, "99.50", execution="e-2")
    return told


@story
def an_entry_outlives_its_session(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({389: enter(limit=99.5), 388: enter(limit=99.25)}, exit_style=style)
    told.bar(388)
    told.ack(told.order(Leg.ENTRY))
    told.bar(389)
    told.wait(120)
    told.expire(told.order(Leg.ENTRY))
    return told


@story
def a_trailing_stop_follows_prints_and_quotes(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: replace(enter(target_distance=4.0), trail_distance=1.5, trail_step=0.5)}, exit_style=style)
    told.bar(0)
    told.fill(told.order(Leg.ENTRY), "100.00", execution="e-1")
    told.ack(told.order(Leg.STOP))
    for price in (100.3, 100.51, 100.9, 99.8):
        told.tick(price)
        canceled(told)
    told.ack(told.order(Leg.STOP))
    for bid in (101.2, 102.25, 101.0):
        told.quote(bid)
        canceled(told)
    told.ack(told.order(Leg.STOP))
    told.tick(104.2)
    canceled(told)
    told.wait(70)
    canceled(told)
    told.tick(100.2)
    canceled(told)
    return told


@story
def parts_are_sold_and_the_stop_is_moved(style: ExitStyle) -> ToldScenario:
    script = {
        1: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.25),
        2: Signal(kind=SignalKind.MOVE_STOP, stop_price=98.75),
        3: Signal(kind=SignalKind.SCALE_OUT, fraction=0.33),
        4: Signal(kind=SignalKind.SCALE_OUT, fraction=1.5),
        5: Signal(kind=SignalKind.SCALE_OUT, fraction=1.0),
    }
    told = held(style, script, "60", "40")
    for minute in script:
        told.bar(minute, 100.0 + minute / 10)
        canceled(told)
        for order in told.pipeline.execution.open_orders():
            if order.leg is Leg.EXIT:
                told.fill(told.order(Leg.EXIT), "100.40", execution=f"x-{minute}")
            else:
                told.ack(next(sent for sent in told.submitted() if sent.client_order_id == order.client_order_id))
    return told


@story
def the_exchange_halts_it_while_it_leaves(style: ExitStyle) -> ToldScenario:
    told = held(style, {3: leave()})
    told.bar(3, 100.5)
    for halted in (True, False):
        told.give(_now(told, InstrumentStatus, instrument_id=SPY, halted=halted, reason="LUDP" if halted else ""))
        for _ in range(3):
            told.wait(50)
    canceled(told)
    told.reject(told.order(Leg.EXIT))
    told.fill(told.order(Leg.EXIT), "100.20", execution="x-1")
    return told


@story
def the_shares_are_split(style: ExitStyle) -> ToldScenario:
    told = held(style, {5: leave()}, "60", "40")
    told.give(_now(told, ShareSplit, instrument_id=SPY, new_shares=3, old_shares=2, source="exchange"))
    canceled(told)
    told.ack(told.order(Leg.STOP))
    told.give(_now(told, SymbolRenamed, instrument_id=SPY, symbol="SPX", source="exchange"))
    told.bar(5, 67.0)
    canceled(told)
    told.fill(told.order(Leg.EXIT), "66.90", execution="x-1")
    return told


@story
def whole_plans_are_split(style: ExitStyle) -> ToldScenario:
    planned = replace(
        enter(target_distance=None),
        targets=((2.0, 0.5), (4.0, 0.3)),
        stop_limit_offset=0.25,
        trail_distance=1.5,
        trail_step=0.3,
        break_even_distance=0.9,
    )
    more = replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.37)
    told = ToldScenario({0: planned, 1: more, 2: more, 6: leave()}, exit_style=style)
    for minute in (0, 1, 2):
        told.bar(minute)
        told.fill(told.order(Leg.ENTRY), f"100.0{minute}", execution=f"e-{minute}")
        acknowledged(told)
    told.give(_now(told, ShareSplit, instrument_id=SPY, new_shares=3, old_shares=2, source="exchange"))
    for minute, price in ((3, 66.9), (4, 67.5), (5, 68.3), (6, 67.0)):
        canceled(told)
        acknowledged(told)
        told.tick(price)
        canceled(told)
        acknowledged(told)
        told.bar(minute, price)
    canceled(told)
    for number, order in enumerate(told.pipeline.execution.open_orders()):
        (sent,) = (each for each in told.submitted() if each.client_order_id == order.client_order_id)
        told.fill(sent, "66.90", execution=f"x-{number}")
    return told


@story
def a_split_into_fewer_shares_than_pairs(style: ExitStyle) -> ToldScenario:
    told = held(style, {4: leave()}, "1", "2", "3", "94")
    told.give(_now(told, ShareSplit, instrument_id=SPY, new_shares=1, old_shares=60, source="exchange"))
    canceled(told)
    acknowledged(told)
    told.bar(4, 6000.0)
    canceled(told)
    told.fill(told.order(Leg.EXIT), "6001.00", execution="x-1")
    return told


@story
def a_time_exit_waits_for_the_exchange(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: replace(enter(), hold_s_max=300, expires_after_s=30)}, exit_style=style)
    told.bar(0)
    told.fill(told.order(Leg.ENTRY), "100.00", "40", execution="e-1")
    for halted, seconds in ((True, 100), (False, 40), (True, 60), (False, 400)):
        told.give(_now(told, InstrumentStatus, instrument_id=SPY, halted=halted, reason="LUDP" if halted else ""))
        told.wait(seconds)
        canceled(told)
    told.fill(told.order(Leg.EXIT), "100.30", execution="x-1")
    return told


@story
def the_position_is_gone_while_the_entry_works(style: ExitStyle) -> ToldScenario:
    told = ToldScenario({0: enter(limit=100.5)}, exit_style=style)
    told.bar(0)
    entry = told.order(Leg.ENTRY)
    told.ack(entry)
    told.fill(entry, "100.00", "40", execution="e-1")
    told.fill(told.order(Leg.STOP), "98.50", execution="s-1")
    told.wait(70)
    told.fill(entry, "98.40", "10", execution="e-2")
    canceled(told)
    told.wait(70)
    canceled(told)
    told.fill(told.order(Leg.EXIT), "98.30", execution="x-1")
    return told


@story
def exits_sell_more_than_was_held(style: ExitStyle) -> ToldScenario:
    told = held(style, {1: leave()}, "40", "60")
    stop = told.order(Leg.STOP)
    told.bar(1)
    told.fill(stop, "98.40", "70", execution="s-1")
    canceled(told)
    told.fill(stop, "98.40", "50", execution="s-2")
    told.wait(40)
    return told


@story
def the_sale_of_a_part_hangs(style: ExitStyle) -> ToldScenario:
    told = held(style, {1: Signal(kind=SignalKind.SCALE_OUT, fraction=0.25), 30: leave()}, "60", "40")
    told.bar(1)
    canceled(told)
    acknowledged(told)
    for _ in range(14):
        told.wait(60)
    told.bar(30)
    canceled(told)
    told.fill(told.order(Leg.EXIT), "99.00", execution="x-1")
    return told


@story
def a_stop_fills_after_its_cancel(style: ExitStyle) -> ToldScenario:
    told = held(style, {1: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.0)}, "60", "40")
    first = told.order(Leg.STOP, 0)
    told.bar(1)
    canceled(told)
    told.fill(first, "98.50", "20", execution="s-1")
    told.fill(first, "98.50", "40", execution="s-2")
    canceled(told)
    acknowledged(told)
    told.wait(100)
    canceled(told)
    return told


def _report(told: ToldScenario, kind: Callable[..., Event], leg: Leg, **values: object) -> Event:
    return _now(told, kind, client_order_id=told.order(leg).client_order_id, **values)


def _command(told: ToldScenario, kind: Callable[..., Event]) -> Event:
    return _now(told, kind, reason="a look", requested_by="owner")


def _now(told: ToldScenario, kind: Callable[..., Event], **values: object) -> Event:
    return kind(venue_ts_ns=told.now_ts_ns, received_ts_ns=told.now_ts_ns, **values)


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_told_as_ever(name: str, style: ExitStyle) -> None:
    compare_told(FOLDER / f"{name}.{style.value}.txt", STORIES[name](style).text())


def test_every_file_is_of_a_story() -> None:
    names = {f"{name}.{style.value}.txt" for name in STORIES for style in STYLES}
    assert {path.name for path in FOLDER.glob("*.txt")} == names
