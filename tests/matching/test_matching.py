"""Each rule that the docstring of `engine.matching` states, as a row."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import BadInput
from engine.core.values import MINUTE_NS, Side
from engine.matching import (
    Fill,
    Match,
    MatchRules,
    Trigger,
    WorkingOrder,
    match_open,
    match_quote,
    match_rest,
    match_tick,
    working_order,
)
from engine.testing.venue_contract import SPY, bar, minute, order

BUY, SELL = Side.BUY, Side.SELL
PLAIN = MatchRules()


def resting(
    side: Side, *, late_ns: int = 0, identity: str = "o", triggered: bool = False, **prices: str
) -> WorkingOrder:
    command = order(identity, side, 10, decided_ts_ns=minute(0), **prices)  # type: ignore[arg-type]
    return working_order(command, minute(0) + late_ns)._replace(triggered=triggered)


def told(matches: list[Match]) -> list[str]:
    return [str(match.price) if isinstance(match, Fill) else "triggered" for match in matches]


def in_open(
    orders: list[WorkingOrder], prices: tuple[float, float, float, float], rules: MatchRules = PLAIN
) -> list[str]:
    return told(match_open(orders, bar(minute(0), prices).bar, rules=rules, instrument=SPY))


def in_rest(
    orders: list[WorkingOrder], prices: tuple[float, float, float, float], rules: MatchRules = PLAIN
) -> list[str]:
    return told(match_rest(orders, bar(minute(0), prices).bar, rules=rules, instrument=SPY))


BAR = (100.0, 102.0, 98.0, 101.0)


@pytest.mark.parametrize(
    ("side", "prices", "expected"),
    [
        pytest.param(BUY, {}, ["100.0"], id="market buy at the open"),
        pytest.param(SELL, {}, ["100.0"], id="market sell at the open"),
        pytest.param(SELL, {"stop": "100"}, ["100.0"], id="sell stop at the open's price"),
        pytest.param(SELL, {"stop": "100.5"}, ["100.0"], id="sell stop gapped: the open"),
        pytest.param(SELL, {"stop": "99.99"}, [], id="sell stop below the open waits"),
        pytest.param(BUY, {"stop": "99.5"}, ["100.0"], id="buy stop gapped: the open"),
        pytest.param(BUY, {"stop": "100.01"}, [], id="buy stop above the open waits"),
        pytest.param(SELL, {"limit": "100"}, ["100.0"], id="sell limit opened at"),
        pytest.param(SELL, {"limit": "99"}, ["100.0"], id="sell limit opened beyond: the open"),
        pytest.param(SELL, {"limit": "100.01"}, [], id="sell limit above the open waits"),
        pytest.param(BUY, {"limit": "100"}, ["100.0"], id="buy limit opened at"),
        pytest.param(BUY, {"limit": "101"}, ["100.0"], id="buy limit opened beyond: the open"),
        pytest.param(BUY, {"limit": "99.99"}, [], id="buy limit below the open waits"),
        pytest.param(SELL, {"stop": "100.5", "limit": "99.5"}, ["100.0"], id="stop-limit triggered, open allowed"),
        pytest.param(SELL, {"stop": "100.5", "limit": "100.2"}, ["triggered"], id="stop-limit triggered, open too low"),
        pytest.param(SELL, {"stop": "99.5", "limit": "99"}, [], id="stop-limit not triggered"),
        pytest.param(BUY, {"stop": "99.5", "limit": "100.5"}, ["100.0"], id="buy stop-limit triggered, open allowed"),
        pytest.param(
            BUY, {"stop": "99.5", "limit": "99.8"}, ["triggered"], id="buy stop-limit triggered, open too high"
        ),
    ],
)
def test_the_open_decides(side: Side, prices: dict[str, Any], expected: list[str]) -> None:
    assert in_open([resting(side, **prices)], BAR) == expected


@pytest.mark.parametrize(
    ("side", "prices", "expected"),
    [
        pytest.param(BUY, {}, [], id="market waits for the next open"),
        pytest.param(SELL, {"stop": "98"}, ["98"], id="sell stop touched fills at its price"),
        pytest.param(SELL, {"stop": "99.5"}, ["99.5"], id="sell stop passed fills at its price"),
        pytest.param(SELL, {"stop": "97.99"}, [], id="sell stop below the low waits"),
        pytest.param(SELL, {"stop": "100.5"}, ["100.0"], id="sell stop above the open: min(open, stop)"),
        pytest.param(BUY, {"stop": "102"}, ["102"], id="buy stop touched fills at its price"),
        pytest.param(BUY, {"stop": "99"}, ["100.0"], id="buy stop below the open: max(open, stop)"),
        pytest.param(BUY, {"stop": "102.01"}, [], id="buy stop above the high waits"),
        pytest.param(SELL, {"limit": "101.99"}, ["101.99"], id="sell limit traded through fills at its price"),
        pytest.param(SELL, {"limit": "102"}, [], id="sell limit only touched waits"),
        pytest.param(SELL, {"limit": "99"}, ["100.0"], id="sell limit opened beyond: max(open, limit)"),
        pytest.param(BUY, {"limit": "98.01"}, ["98.01"], id="buy limit traded through fills at its price"),
        pytest.param(BUY, {"limit": "98"}, [], id="buy limit only touched waits"),
        pytest.param(BUY, {"limit": "101"}, ["100.0"], id="buy limit opened beyond: min(open, limit)"),
        pytest.param(SELL, {"stop": "99", "limit": "98.5"}, ["99"], id="stop-limit fills at its trigger"),
        pytest.param(
            SELL, {"stop": "99", "limit": "99.5"}, ["triggered"], id="stop-limit rests: limit above its trigger"
        ),
        pytest.param(SELL, {"stop": "97", "limit": "96"}, [], id="stop-limit not reached"),
        pytest.param(BUY, {"stop": "101", "limit": "101.5"}, ["101"], id="buy stop-limit fills at its trigger"),
        pytest.param(BUY, {"stop": "101", "limit": "100.5"}, ["triggered"], id="buy stop-limit rests"),
    ],
)
def test_the_rest_of_a_bar_decides(side: Side, prices: dict[str, Any], expected: list[str]) -> None:
    assert in_rest([resting(side, **prices)], BAR) == expected


@pytest.mark.parametrize(("side", "limit"), [(SELL, "102"), (BUY, "98")])
def test_touch_is_a_setting(side: Side, limit: str) -> None:
    assert in_rest([resting(side, limit=limit)], BAR, MatchRules(limit_fills_on_touch=True)) == [limit]


def test_a_triggered_stop_limit_is_a_limit() -> None:
    triggered = resting(SELL, stop="99", limit="101.5", triggered=True)
    assert in_rest([triggered], BAR) == ["101.5"]
    assert in_open([triggered], BAR) == []


def test_the_stop_comes_before_the_target_of_the_same_link() -> None:
    target = resting(SELL, identity="target", limit="101", link="pair")
    stop = resting(SELL, identity="stop", stop="99", link="pair")
    assert in_rest([target, stop], BAR) == ["99"]


def test_unlinked_orders_fill_both_and_stops_first() -> None:
    target = resting(SELL, identity="target", limit="101")
    stop = resting(SELL, identity="stop", stop="99")
    assert in_rest([target, stop], BAR) == ["99", "101"]


@pytest.mark.parametrize(
    ("late_ns", "prices", "expected"),
    [
        pytest.param(1, {"stop": "99"}, ["99"], id="a stop that arrives inside the minute meets its range"),
        pytest.param(MINUTE_NS, {"stop": "99"}, [], id="a stop that arrives at its end does not"),
        pytest.param(1, {"limit": "101"}, [], id="a limit that arrives inside the minute waits"),
        pytest.param(0, {"limit": "101"}, ["101"], id="a limit that arrives at its start does not wait"),
    ],
)
def test_arrival_inside_a_minute_gets_the_worse_half(late_ns: int, prices: dict[str, Any], expected: list[str]) -> None:
    assert in_rest([resting(SELL, late_ns=late_ns, **prices)], BAR) == expected


def test_a_market_order_needs_a_bar_that_starts_at_or_after_its_arrival() -> None:
    assert in_open([resting(BUY, late_ns=1)], BAR) == []


def test_a_print_off_the_cent_is_not_rounded() -> None:
    prices = (100.0049, 100.0049, 99.0, 99.5)
    assert in_open([resting(BUY)], prices) == ["100.0049"]
    assert in_open([resting(SELL, stop="100.01")], prices) == ["100.0049"]


@pytest.mark.parametrize(
    ("side", "prices", "phase", "expected"),
    [
        pytest.param(BUY, {}, "open", ["100.06"], id="market buy: 100.05 up, off-tick open"),
        pytest.param(SELL, {}, "open", ["99.95"], id="market sell: down"),
        pytest.param(SELL, {"stop": "99"}, "rest", ["98.95"], id="stop: down"),
        pytest.param(SELL, {"limit": "101"}, "rest", ["101"], id="a limit never slips"),
        pytest.param(SELL, {"stop": "99", "limit": "98.5"}, "rest", ["99"], id="a stop-limit never slips"),
    ],
)
def test_slippage_is_adverse_and_to_the_tick(
    side: Side, prices: dict[str, Any], phase: str, expected: list[str]
) -> None:
    rules = MatchRules(slippage_bps=Decimal(5))
    match = in_open if phase == "open" else in_rest
    shown = (100.005, 102.0, 98.0, 101.0)
    assert match([resting(side, **prices)], shown, rules) == expected


@given(
    price=st.floats(1, 10_000),
    bps=st.decimals("0.01", "500", places=2),
    side=st.sampled_from([BUY, SELL]),
)
def test_slippage_is_never_in_our_favour_and_always_on_a_tick(price: float, bps: Decimal, side: Side) -> None:
    price = round(price, 6)
    (slipped,) = in_open([resting(side)], (price,) * 4, MatchRules(slippage_bps=bps))
    shown, got = Decimal(repr(price)), Decimal(slipped)
    assert got >= shown if side is BUY else got <= shown
    assert got % SPY.tick(got) == 0


@given(
    opening=st.integers(90, 110),
    low=st.integers(80, 110),
    high=st.integers(90, 120),
    stop=st.integers(80, 120),
    side=st.sampled_from([BUY, SELL]),
)
def test_stops_follow_the_formula(opening: int, low: int, high: int, stop: int, side: Side) -> None:
    low, high = min(low, opening), max(high, opening)
    prices = (float(opening), float(high), float(low), float(opening))
    triggered = high >= stop if side is BUY else low <= stop
    worst = max(opening, stop) if side is BUY else min(opening, stop)
    got = in_open([resting(side, stop=str(stop))], prices) or in_rest([resting(side, stop=str(stop))], prices)
    assert [Decimal(price) for price in got] == ([Decimal(worst)] if triggered else [])


def test_a_cap_gives_part_of_an_order() -> None:
    rules = MatchRules(fill_quantity_max=Decimal(4))
    (match,) = match_open([resting(BUY)], bar(minute(0), BAR).bar, rules=rules, instrument=SPY)
    assert isinstance(match, Fill)
    assert match.quantity == 4


@pytest.mark.parametrize(
    ("side", "prices", "stops_trigger", "expected"),
    [
        pytest.param(BUY, {}, False, ["100.1"], id="market buy at the ask"),
        pytest.param(SELL, {}, False, ["99.9"], id="market sell at the bid"),
        pytest.param(BUY, {"limit": "100.1"}, False, ["100.1"], id="buy limit at the ask"),
        pytest.param(BUY, {"limit": "100.09"}, False, [], id="buy limit below the ask waits"),
        pytest.param(SELL, {"limit": "99.5"}, False, ["99.9"], id="sell limit at the better bid"),
        pytest.param(SELL, {"limit": "99.91"}, False, [], id="sell limit above the bid waits"),
        pytest.param(SELL, {"stop": "99.9"}, True, ["99.9"], id="sell stop on the bid without prints"),
        pytest.param(SELL, {"stop": "99.9"}, False, [], id="sell stop waits for prints where there are some"),
        pytest.param(BUY, {"stop": "100.05"}, True, ["100.1"], id="buy stop on the ask without prints"),
        pytest.param(SELL, {"stop": "100", "limit": "99.95"}, True, ["triggered"], id="stop-limit, bid too low"),
        pytest.param(SELL, {"stop": "100", "limit": "99.8"}, True, ["99.9"], id="stop-limit, bid allowed"),
    ],
)
def test_a_quote_decides(side: Side, prices: dict[str, Any], stops_trigger: bool, expected: list[str]) -> None:  # noqa: FBT001
    got = match_quote(
        [resting(side, **prices)],
        bid=99.9,
        ask=100.1,
        ts_ns=minute(0),
        stops_trigger=stops_trigger,
        rules=PLAIN,
        instrument=SPY,
    )
    assert told(got) == expected


@pytest.mark.parametrize(
    ("side", "prices", "standing", "expected"),
    [
        pytest.param(BUY, {}, None, ["100.0"], id="market at the next print"),
        pytest.param(BUY, {}, (99.9, 100.1), ["100.1"], id="market buy at the standing ask"),
        pytest.param(SELL, {}, (99.9, 100.1), ["99.9"], id="market sell at the standing bid"),
        pytest.param(SELL, {"stop": "100.5"}, None, ["100.0"], id="stop at the print that triggers it"),
        pytest.param(SELL, {"stop": "100"}, (99.9, 100.1), ["99.9"], id="stop triggered by the print, at the bid"),
        pytest.param(SELL, {"stop": "99.95"}, (99.9, 100.1), [], id="a stop does not trigger on the bid beside prints"),
        pytest.param(BUY, {"limit": "100.5"}, None, ["100.5"], id="buy limit traded through: its own price"),
        pytest.param(BUY, {"limit": "100"}, None, [], id="buy limit touched waits"),
        pytest.param(SELL, {"limit": "99.5"}, None, ["99.5"], id="sell limit traded through: its own price"),
        pytest.param(SELL, {"limit": "99.5"}, (99.9, 100.1), ["99.9"], id="sell limit at the standing bid"),
        pytest.param(SELL, {"limit": "99.95"}, (99.9, 100.1), ["99.95"], id="sell limit traded through above the bid"),
        pytest.param(SELL, {"stop": "100", "limit": "99"}, None, ["100.0"], id="stop-limit at its trigger"),
        pytest.param(SELL, {"stop": "101", "limit": "100.5"}, None, ["triggered"], id="stop-limit rests"),
    ],
)
def test_a_print_decides(
    side: Side, prices: dict[str, Any], standing: tuple[float, float] | None, expected: list[str]
) -> None:
    got = match_tick(
        [resting(side, **prices)], price=100.0, standing=standing, ts_ns=minute(0), rules=PLAIN, instrument=SPY
    )
    assert told(got) == expected


def test_nothing_meets_a_market_before_it_arrived() -> None:
    late = [resting(BUY, late_ns=1)]
    on_quote = match_quote(late, bid=99.0, ask=100.0, ts_ns=minute(0), stops_trigger=True, rules=PLAIN, instrument=SPY)
    on_print = match_tick(late, price=100.0, standing=None, ts_ns=minute(0), rules=PLAIN, instrument=SPY)
    assert on_quote == on_print == []


def test_a_missing_price_satisfies_nothing() -> None:
    market = resting(BUY)
    assert isnan(market.limit)
    assert isnan(market.stop)
    assert Trigger(market).order is market


@pytest.mark.parametrize(
    "settings", [{"slippage_bps": Decimal(-1)}, {"slippage_bps": Decimal(10_000)}, {"fill_quantity_max": Decimal(0)}]
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, Decimal]) -> None:
    with pytest.raises(BadInput, match=r"is outside 0|is not above zero"):
        MatchRules(**settings)  # type: ignore[arg-type]
