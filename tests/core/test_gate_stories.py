"""The gate told word for word: what each check says of more than a hundred situations, and how large an entry is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from engine.core.messages import CheckResult, ExitPlan, Step, TradingState
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import BreakerLimits, Limits, MarketDataLimits
from engine.core.risk.sources import ROBINHOOD, Capability, VenueSources
from engine.core.values import (
    MINUTE_NS,
    SECOND_NS,
    AccountKind,
    InstrumentId,
    Side,
)
from engine.testing.gate import (
    BTC,
    CALM,
    ENTRY,
    LEAVING,
    LIMIT,
    NOW,
    SPY,
    STOP,
    decide,
    group,
    health,
    messages,
    quote,
    status,
)
from engine.testing.told import compare_told
from engine.testing.typed import require_typed

FOLDER = Path(__file__).with_name("stories") / "gate"
NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")
D = Decimal


def entry(**changes: Any) -> dict[str, Any]:
    return {"request": replace(ENTRY, **changes)}


def limited(**changes: Any) -> dict[str, Any]:
    return {"request": replace(LIMIT, **changes)}


def plan(**changes: Any) -> dict[str, Any]:
    return entry(plan=ExitPlan(stop_distance=D("1.5"), **changes))


NOBODY = VenueSources(name="nobody", sources={}, stops_outside_hours=False)
CASH = {"account_kind": AccountKind.CASH}
TOLD = health() | quote() | status(lower="90", upper="110")
BETWEEN: dict[str, Any] = {"session": None}
PERMISSIVE = Limits(refused_without=frozenset())

SITUATIONS: dict[str, tuple[dict[str, Any], Limits]] = {
    name: (changes, Limits())
    for name, changes in {
        "calm": {},
        "a limit": limited(),
        "everything is told": TOLD,
        "everything is told, at a venue that offers nothing": {**TOLD, "venue": NOBODY},
        "nothing is told where all is offered": {"venue": ROBINHOOD},
        "nothing is told and nothing known of the venue": {"venue": NOBODY},
        "the account is halted": {"trading_state": TradingState.HALTED},
        "the account only reduces": {"trading_state": TradingState.REDUCING},
        "not authorised": health(authorised=False),
        "the lease is lost": health(lease_held=False),
        "nobody knows who holds the lease": health(lease_held=None),
        "the exchange halts it": status(halted=True),
        "the exchange states no band": status(),
        "below the band": status(lower="100.01"),
        "at the lower band": status(lower="100"),
        "above the band": status(upper="99.99"),
        "at the upper band": status(upper="100", lower="90"),
        "a band that is no number": status(upper="NaN"),
        "a limit above the band": limited(limit_price=D("101.00")) | status(upper="100.50"),
        "a limit below the band": limited(reference_price=D(99), limit_price=D("98")) | status(lower="98.50"),
        "between sessions": BETWEEN,
        "between sessions, a limit": BETWEEN | limited(),
        "between sessions, at a venue that takes no stops then": BETWEEN | {"venue": ROBINHOOD},
        "it sells": entry(side=Side.SELL),
        "a limit without its price": limited(limit_price=None),
        "a market order with a stop price": entry(stop_price=D(99)),
        "a limit of nothing": limited(limit_price=D(0)),
        "a limit that is no number": limited(limit_price=NAN),
        "the largest limit": limited(limit_price=D(900_000_000)),
        "a limit beyond the largest": limited(limit_price=D("900000000.01")),
        "no price": entry(reference_price=D(0)),
        "a price that is no number": entry(reference_price=NAN),
        "a price without end": entry(reference_price=INFINITE),
        "a coin for a dollar": entry(reference_price=D(1), stop_distance=D("0.5")),
        "no stop": entry(stop_distance=None),
        "a stop that is no number": entry(stop_distance=NAN),
        "a stop of nothing": entry(stop_distance=D(0)),
        "a stop below zero": entry(stop_distance=D(100)),
        "a stop at a cent": entry(stop_distance=D("99.99")),
        "a stop nearer than a tick": entry(stop_distance=D("0.005")),
        "a stop of a tick": entry(stop_distance=D("0.01")),
        "a target of nothing": entry(target_distance=D(0)),
        "a target beyond every price": entry(target_distance=D(899_999_901)),
        "no target": entry(target_distance=None),
        "it expires at once": entry(expires_after_ns=0),
        "it expires in a minute": entry(expires_after_ns=MINUTE_NS),
        "it expires before it began": entry(expires_after_ns=-1),
        "a part of nothing": entry(size_factor=D(0)),
        "more than the whole": entry(size_factor=D("1.01")),
        "a part that is no number": entry(size_factor=NAN),
        "a plan": plan(),
        "a plan with more targets than there is": plan(targets=((D(1), D("0.6")), (D(2), D("0.5")))),
        "a plan with a trail of nothing": plan(trail_distance=D(0)),
        "no quantity": entry(quantity=D(0)),
        "a quantity that is no number": entry(quantity=NAN),
        "half a share": entry(quantity=D("0.5")),
        "the largest quantity": entry(quantity=D(900_000_000)),
        "a quantity beyond the largest": entry(quantity=D(900_000_001)),
        "a limit off the tick": limited(limit_price=D("99.505")),
        "a limit far away": limited(limit_price=D("94.99")),
        "a limit at the collar": limited(limit_price=D("105")),
        "near the window's first entry": {"window_price": D("90.91")},
        "at the window's collar": {"window_price": D(125)} | entry(reference_price=D("137.5")),
        "far from the window's first entry": {"window_price": D("90.90")},
        "a window price that is none": {"window_price": D(0)},
        "a jump of the bars": {"previous_close": D("83.33")},
        "at the bound of a jump": {"previous_close": D(125)},
        "a former bar that is none": {"previous_close": D(0)},
        "a fresh quote": quote(),
        "a quote of the bound's age": quote(age_ns=5 * SECOND_NS),
        "an old quote": quote(age_ns=5 * SECOND_NS + 1),
        "a quote that was old when it came": quote(venue_age_ns=6 * SECOND_NS),
        "a locked quote": quote(100.0, 100.0),
        "a crossed quote": quote(100.01, 100.0),
        "a wide quote": quote(99.4, 100.5),
        "at the bound of the spread": quote(99.5, 100.5),
        "a quote far from the bar": quote(120.5, 120.51),
        "a bid of nothing": quote(0.0),
        "a cheap quote": quote(0.99, 0.995) | entry(reference_price=D(1), stop_distance=D("0.5")),
        "the cash is short by a cent": {"cash": D("9999.99")},
        "the cash is just enough": {"cash": D(10_000)},
        "the cash is reserved": {"reserved": D("90000.01")},
        "a limit costs what it may": limited(limit_price=D("104.00")) | {"cash": D("10399.99")},
        "the positions are full": {"open_brackets": 5},
        "the instrument is full": {"instrument_exposure": D("15000.01")},
        "an exposure without end": {"instrument_exposure": INFINITE},
        "no equity": {"equity": NAN},
        "the group has room": group(20_000),
        "the group is full": group(20_001),
        "everything is full": {"gross_exposure": D("90000.01")},
        "the entries are full": {"open_entries": 1},
        "the orders are full": {"open_orders": 100},
        "the messages of the second": messages(second=40),
        "the messages of the minute": messages(minute=490),
        "the messages of the session": messages(session=19_990),
        "just room for messages": messages(second=39, minute=489, session=19_989),
        "repeated": {"repeated_entries": 10},
        "nearly repeated": {"repeated_entries": 9},
        "a breaker is tripped": {"tripped": ("drawdown", "repeated_executions")},
        "two breakers are tripped": {"tripped": ("drawdown", "error_rate")},
        "the same just now": {"since_same_ns": MINUTE_NS - 1},
        "the same a while ago": {"since_same_ns": MINUTE_NS},
        "an own sell works": {"crossing_orders": 1},
        "exits could oversell": {"exits_with": D(1)},
        "an unknown order": {"unknown_orders": 2},
        "drift": health(drifted=(InstrumentId(1),)),
        "drift of another": health(drifted=(InstrumentId(2),)),
        "reconciled a while ago": health(reconciled_ts_ns=NOW - MINUTE_NS - 1),
        "reconciled just in time": health(reconciled_ts_ns=NOW - MINUTE_NS),
        "never reconciled": health(reconciled_ts_ns=None),
        "the clock is ahead": health(clock_offset_ns=SECOND_NS // 2 + 1),
        "the clock is behind": health(clock_offset_ns=-SECOND_NS // 2),
        "the login ends soon": health(token_expires_ts_ns=NOW + 30 * MINUTE_NS - 1),
        "the login lasts": health(token_expires_ts_ns=NOW + 30 * MINUTE_NS),
        "the disk is full": health(storage_free_bytes=2**30 - 1),
        "the disk has just room": health(storage_free_bytes=2**30),
        "the disk cannot be written": health(storage_writable=False),
        "nobody looked at the disk": health(storage_free_bytes=None),
        "the last entry of the session": {"entries_this_session": 199},
        "one entry too many": {"entries_this_session": 200},
        "the day is lost": {"equity": D(97_000)},
        "the day is nearly lost": {"equity": D("97000.01")},
        "the day began with no number": {"session_start_equity": INFINITE},
        "settled money": CASH,
        "unsettled money": CASH | {"settled_cash": D("9999.99")},
        "settled and reserved": CASH | {"reserved": D("90000.01")},
        "settled money that is no number": CASH | {"settled_cash": NAN},
        "too many violations": CASH | {"good_faith_violations": 3},
        "a few violations": CASH | {"good_faith_violations": 2},
        "a part of a coin": entry(quantity=D("0.00000001")) | {"instrument": BTC},
    }.items()
} | {
    "the policy lets silence pass": ({"venue": NOBODY}, PERMISSIVE),
    "quotes are needed": ({}, Limits(refused_without=frozenset({Capability.QUOTES}))),
    "a symbol that is not allowed": ({}, Limits(allowed_symbols=frozenset({"QQQ"}))),
    "a symbol that is blocked": ({}, Limits(allowed_symbols=frozenset({"SPY"}), blocked_symbols=frozenset({"SPY"}))),
    "waits for the next open": (BETWEEN | {"venue": ROBINHOOD}, Limits(next_open_entries=True)),
    "a limit in extended hours": (BETWEEN | limited(), Limits(extended_hours_entries=True)),
    "a market order in extended hours": (BETWEEN, Limits(extended_hours_entries=True)),
    "small limits": ({}, Limits(max_order_quantity=D(99), max_order_notional=D("9999.99"))),
    "just within small limits": ({}, Limits(max_order_quantity=D(100), max_order_notional=D(10_000))),
    "repetition is allowed": ({"repeated_entries": 99}, Limits(breakers=BreakerLimits(repeated_entries=None))),
    "narrow data": (quote(99.0, 101.0), Limits(market_data=MarketDataLimits(spread_max=D("0.02")))),
    "ticks of room": (entry(stop_distance=D("0.04")), Limits(stop_ticks_min=5)),
}

LEAVINGS: dict[str, dict[str, Any]] = {
    "a market exit": {},
    "a stop": {"request": STOP},
    "a stop that buys": {"request": replace(STOP, side=Side.BUY)},
    "a stop off the tick": {"request": replace(STOP, stop_price=D("98.505"))},
    "exits of more than is held": {"position": D(99)},
    "an exit of nothing": {"exits_with": D(0)},
    "exits that are no number": {"exits_with": NAN},
    "more than the entry bought": {"bracket_entered": D(99)},
    "a parent that is no number": {"bracket_entered": NAN},
    "in a halt, at night, without cash": {
        "trading_state": TradingState.HALTED,
        "session": None,
        "cash": D(0),
        "venue": ROBINHOOD,
        "tripped": ("drawdown",),
    },
}


def verdict(result: CheckResult) -> str:
    shown = [f"{each:f}" if isinstance(each, Decimal) else str(each) for each in (result.value, result.limit)]
    said = " ".join(filter(None, [result.verdict.value.upper(), result.reason]))
    return f"{result.number:>4} {result.name}: {said} | {shown[0]} | {shown[1]} | {result.source}"


def verdicts() -> Iterator[str]:
    for name, base, cases in (
        ("entries", CALM, SITUATIONS),
        ("exits", LEAVING, {name: (changes, Limits()) for name, changes in LEAVINGS.items()}),
    ):
        usual = decide(base)[1].checks
        yield f"# {name}"
        yield from map(verdict, usual)
        for case, (changes, limits) in cases.items():
            approved, decision = decide(replace(base, **changes), limits)
            require_typed(Step(facts=(decision,), commands=()))
            yield f"* {case}: {'approved' if approved else decision.reason}"
            yield from (verdict(now) for was, now in zip(usual, decision.checks, strict=True) if was != now)


def sizes() -> Iterator[str]:
    gate = RiskGate(Limits(fee_per_unit=D("0.01"), fee_min=D(1)))
    yield "# sizes of an entry of 100,000: by price, stop, part and instrument"
    for price in ("0.5", "1", "3.33", "100", "99999", "150000", "0", "NaN"):
        for stop in ("0.01", "0.3", "2", "99", "NaN", None):
            for part in ("1", "0.5", "0"):
                for instrument in (SPY, BTC):
                    distance = None if stop is None else D(stop)
                    request = replace(ENTRY, reference_price=D(price), stop_distance=distance, size_factor=D(part))
                    with localcontext() as strategy_changed:
                        strategy_changed.prec = 5
                        sized = gate.size(request, instrument, D("100000.55"))
                    yield f"{price} {stop} {part} {instrument.symbol}: {sized.quantity:f}"
    for equity in ("0", "-5", "NaN", "1", "1.5"):
        yield f"equity {equity}: {gate.size(replace(ENTRY, reference_price=D('0.5')), BTC, D(equity)).quantity:f}"
    yield f"an exit keeps its own: {gate.size(STOP, SPY, D(1)).quantity:f}"


TELLERS = {teller.__name__: teller for teller in (verdicts, sizes)}


@pytest.mark.parametrize("name", TELLERS)
def test_the_gate_speaks_as_ever(name: str) -> None:
    compare_told(FOLDER / f"{name}.txt", "\n".join(TELLERS[name]()) + "\n")


def test_every_file_is_told() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(TELLERS)


def test_each_check_refuses_somewhere_in_the_stories() -> None:
    """A check that nothing here refuses by would be pinned by its calm answer only."""
    refused = {
        result.number
        for base, changes, limits in [
            *((CALM, changes, limits) for changes, limits in SITUATIONS.values()),
            *((LEAVING, changes, Limits()) for changes in LEAVINGS.values()),
        ]
        for result in decide(replace(base, **changes), limits)[1].checks
        if not result.passed
    }
    assert refused == set(range(1, 28))
