"""The run-time check of message types finds what it is made for; `Scenario` applies it to each step of each script."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.core.errors import Bug
from engine.core.messages import (
    Bar,
    CashMoved,
    CheckResult,
    DecisionMade,
    QuoteBar,
    Signal,
    SignalKind,
    Step,
)
from engine.core.values import InstrumentId
from engine.testing.scenario import Scenario, enter
from engine.testing.typed import require_typed, wrongly_typed

MOVED = CashMoved(movement_id=1, amount=Decimal(1), kind="deposit", source="test", settlement_ts_ns=1, ts_ns=1)
BAR = Bar(instrument_id=InstrumentId(1), start_ts_ns=0, open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0, vwap=1.0)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (MOVED, {"ts_ns": None}),
        (MOVED, {"ts_ns": True}),
        (MOVED, {"ts_ns": 1.0}),
        (MOVED, {"amount": 1.0}),
        (MOVED, {"source": None}),
        (BAR, {"open": Decimal(1)}),
        (BAR, {"quotes": 3}),
        (BAR, {"tick_count": "3"}),
        (Signal(kind=SignalKind.ENTER), {"kind": "enter"}),
        (Signal(kind=SignalKind.ENTER), {"values": [("ema", 1.0)]}),
        (Signal(kind=SignalKind.ENTER), {"values": (("ema", 1),)}),
        (Signal(kind=SignalKind.ENTER), {"values": (("ema",),)}),
    ],
)
def test_a_value_of_another_type_is_named(message: Any, changes: dict[str, object]) -> None:
    assert list(wrongly_typed(message)) == []
    assert list(wrongly_typed(replace(message, **changes))) == list(changes.items())


def test_parts_of_a_message_are_looked_at_too() -> None:
    quotes = QuoteBar(**dict.fromkeys(QuoteBar.__dataclass_fields__, 1.0))
    assert list(wrongly_typed(replace(BAR, quotes=quotes))) == []
    assert list(wrongly_typed(replace(BAR, quotes=replace(quotes, ask_low=None)))) == [("ask_low", None)]  # type: ignore[arg-type]  # on purpose
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (decision,) = scenario.made(DecisionMade)
    broken = CheckResult(number=1, name="one", passed=True, value=1, limit=None)  # type: ignore[arg-type]  # on purpose
    assert list(wrongly_typed(replace(decision, checks=(*decision.checks, broken)))) == [("limit", None)]


def test_a_step_with_a_wrong_value_is_a_bug() -> None:
    require_typed(Step(facts=(MOVED, BAR), commands=()))
    with pytest.raises(Bug, match=r"CashMoved\.source is None: not of its type"):
        require_typed(Step(facts=(replace(MOVED, source=None),), commands=()))  # type: ignore[arg-type]  # on purpose
