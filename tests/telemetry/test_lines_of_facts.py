"""Every kind of fact has its line in the log, or a reason for none."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
import structlog

from engine.core.messages import (
    AdjustmentKind,
    Bar,
    BracketPlanned,
    ComparisonVerdict,
    ExitPlan,
    ExternalOrderSeen,
    Fact,
    FeeCharged,
    GoodFaithViolated,
    ListedStatus,
    LotClosed,
    PositionAdjusted,
    PositionCompared,
    Step,
    SuspenseBooked,
    SuspenseKind,
    SymbolChanged,
    TimeAdvanced,
)
from engine.core.values import (
    SECOND_NS,
    ClientOrderId,
    ExecutionId,
    OrderType,
    Side,
    StrategyId,
    instrument_from_symbol,
)
from engine.telemetry.logs import StepLogger, configure_logging
from engine.telemetry.masking import MASK, forget_masked_values
from engine.telemetry.step_logger import SILENT
from engine.testing.scenario import OPEN_TS_NS, SPY

_CANARY = "canary-7Gx!'q/91"
_INSTRUMENTS = {SPY: instrument_from_symbol("SPY", 1)}


@pytest.fixture(autouse=True)
def clean_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    forget_masked_values()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if type(handler).__name__ == "_LibraryHandler"]:
        root.removeHandler(handler)


def test_no_fact_is_passed_over_without_a_decision() -> None:
    kinds = StepLogger(_INSTRUMENTS).kinds
    assert kinds | SILENT == set(get_args(Fact))
    assert not kinds & SILENT


def _told(*facts: Fact, level: str = "info") -> list[dict[str, Any]]:
    stream = io.StringIO()
    configure_logging(level=level, stream=stream)
    now = TimeAdvanced(venue_ts_ns=OPEN_TS_NS, received_ts_ns=OPEN_TS_NS)
    StepLogger(_INSTRUMENTS)(now, Step(facts, ()))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_what_the_books_cannot_place_is_a_warning() -> None:
    ts_ns = OPEN_TS_NS
    suspense = SuspenseBooked(
        kind=SuspenseKind.UNMATCHED,
        execution_id=ExecutionId("x-1"),
        client_order_id=ClientOrderId("theirs"),
        strategy_id=None,
        instrument_id=None,
        symbol="",
        side=Side.BUY,
        price=Decimal("10.5"),
        quantity=Decimal(3),
        value=Decimal(0),
        reason="unknown order",
        ts_ns=ts_ns,
    )
    violated = GoodFaithViolated(
        trade_id=9,
        opening_trade_id=7,
        strategy_id=StrategyId("scripted"),
        instrument_id=SPY,
        symbol="SPY",
        quantity=Decimal(3),
        paid_ts_ns=ts_ns + SECOND_NS,
        ts_ns=ts_ns,
    )
    taken_back = replace(violated, quantity=Decimal(-3))
    first, second = _told(suspense, violated, taken_back, level="warning")
    assert [line["event"] for line in _told(taken_back)] == ["good_faith_restored"]
    assert (first["level"], first["event"], first["kind"]) == ("warning", "suspense_booked", "unmatched")
    assert (first["execution_id"], first["quantity"], first["reason"]) == ("x-1", "3", "unknown order")
    assert not {"strategy_name", "instrument"} & set(first)
    assert (second["level"], second["event"], second["strategy_name"]) == ("warning", "good_faith_violated", "scripted")
    assert (second["symbol"], second["trade_id"], second["paid"]) == ("SPY", 9, "2024-03-26T13:30:01.000Z")


@pytest.mark.parametrize(
    ("kind", "level"),
    [(AdjustmentKind.SPLIT, "info"), (AdjustmentKind.CORRECTION, "warning"), (AdjustmentKind.SUSPENSE, "warning")],
)
def test_an_adjustment_nobody_announced_is_a_warning_and_its_source_is_masked(kind: AdjustmentKind, level: str) -> None:
    adjusted = PositionAdjusted(
        adjustment_id=4,
        strategy_id=StrategyId("scripted"),
        instrument_id=SPY,
        symbol="SPY",
        kind=kind,
        quantity=Decimal(-2),
        cost=Decimal(-20),
        realized_pnl=Decimal(0),
        ratio="",
        source=f"letter password={_CANARY}",
        settlement_ts_ns=OPEN_TS_NS,
        ts_ns=OPEN_TS_NS,
    )
    (line,) = _told(adjusted)
    assert (line["event"], line["level"], line["quantity"], line["kind"]) == ("position_adjusted", level, "-2", kind)
    assert MASK in line["source"]
    assert _CANARY not in json.dumps(line)


def test_lots_and_fees_are_for_those_who_look_closely() -> None:
    lot = LotClosed(
        strategy_id=StrategyId("scripted"),
        instrument_id=SPY,
        symbol="SPY",
        opening_trade_id=1,
        opening_adjustment_id=None,
        closing_trade_id=2,
        closing_adjustment_id=None,
        quantity=Decimal(5),
        cost=Decimal(50),
        proceeds=Decimal(55),
        realized_pnl=Decimal(5),
        opened_ts_ns=OPEN_TS_NS,
        closed_ts_ns=OPEN_TS_NS,
        holding_days=0,
        is_reversal=False,
        ts_ns=OPEN_TS_NS,
    )
    fee = FeeCharged(trade_id=2, kind="taf", amount=Decimal("0.01"), ts_ns=OPEN_TS_NS)
    assert _told(lot, fee) == []
    closed, charged = _told(lot, replace(lot, is_reversal=True), fee, level="debug")[::2]
    assert (closed["event"], closed["realized_pnl"], closed["trade_id"]) == ("lot_closed", "5", 2)
    assert (charged["event"], charged["kind"], charged["amount"]) == ("fee_charged", "taf", "0.01")


def test_plans_new_symbols_and_revised_bars_are_said() -> None:
    plan = ExitPlan(stop_distance=Decimal(1), trail_distance=Decimal(2))
    planned = BracketPlanned(bracket_id=3, plan=plan, ts_ns=OPEN_TS_NS)
    renamed = SymbolChanged(
        instrument_id=SPY, from_symbol="SPY", to_symbol="SPX1", source="file", venue_ts_ns=OPEN_TS_NS, ts_ns=OPEN_TS_NS
    )
    bar = Bar(instrument_id=SPY, start_ts_ns=OPEN_TS_NS, open=1.0, high=2.0, low=1.0, close=2.0, volume=5.0, vwap=1.5)
    first, second, third = _told(planned, renamed, bar, replace(bar, revision=2))
    assert (first["event"], first["bracket_id"], first["trail_distance"]) == ("bracket_planned", 3, "2")
    assert "break_even_distance" not in first
    assert (second["event"], second["from_symbol"], second["to_symbol"]) == ("symbol_changed", "SPY", "SPX1")
    assert (third["event"], third["revision"], third["level"]) == ("bar_revised", 2, "info")


def external_order() -> ExternalOrderSeen:
    return ExternalOrderSeen(
        venue_order_id="v-7",
        instrument_id=None,
        symbol="GME",
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal(4),
        filled_quantity=Decimal(1),
        status=ListedStatus.WORKING,
        limit_price=Decimal("21.5"),
        stop_price=None,
        created_ts_ns=OPEN_TS_NS,
        ts_ns=OPEN_TS_NS + SECOND_NS,
    )


def test_an_order_that_is_not_ours_is_a_warning_with_its_terms() -> None:
    (line,) = _told(external_order(), level="warning")
    assert (line["event"], line["level"], line["venue_order_id"]) == ("external_order_seen", "warning", "v-7")
    assert (line["symbol"], line["side"], line["quantity"], line["filled_quantity"]) == ("GME", "sell", "4", "1")
    assert (line["status"], line["limit_price"], line["created"]) == ("working", "21.5", "2024-03-26T13:30:00.000Z")
    assert "instrument" not in line


@pytest.mark.parametrize(
    ("verdict", "level"),
    [
        (ComparisonVerdict.DRIFT, "warning"),
        (ComparisonVerdict.EQUAL, "info"),
        (ComparisonVerdict.ADOPTED, "critical"),
    ],
)
def test_how_loud_a_comparison_with_the_venue_is(verdict: ComparisonVerdict, level: str) -> None:
    compared = PositionCompared(
        instrument_id=SPY, symbol="SPY", booked=Decimal(3), listed=Decimal(5), verdict=verdict, ts_ns=OPEN_TS_NS
    )
    (line,) = _told(compared)
    assert (line["event"], line["level"], line["symbol"]) == ("position_compared", level, "SPY")
    assert (line["booked"], line["listed"], line["verdict"]) == ("3", "5", verdict)
