"""Entries: limits by price and by offset, parts of a size, kinds of orders, and further entries into a position."""

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest

from engine.core.messages import CancelOrder, DecisionMade, OrderRequest, QueryOrder, Signal, SignalKind
from engine.core.pipeline.entries import EntryRules, OrderPolicy, entry_request
from engine.core.risk.limits import Limits
from engine.core.values import (
    Direction,
    Instrument,
    Leg,
    OrderType,
    Side,
    StrategyId,
    TimeInForce,
    instrument_from_symbol,
)
from engine.testing.scenario import Scenario, enter

STOCK = instrument_from_symbol("SPY", 1)
COIN = instrument_from_symbol("BTC-USD", 1)
LIMIT = Signal(kind=SignalKind.ENTER, order_type=OrderType.LIMIT, stop_distance=1.5)
MARKET = replace(LIMIT, order_type=OrderType.MARKET)
LIMIT_ONLY = EntryRules(policy=OrderPolicy.LIMIT_ONLY)


def request_of(
    signal: Signal, price: str = "100.00", *, rules: EntryRules | None = None, symbol: Instrument = STOCK
) -> OrderRequest:
    return entry_request(
        signal,
        strategy_id=StrategyId("s"),
        instrument=symbol,
        reference_price=Decimal(price),
        rules=rules or EntryRules(),
        signal_id=1,
    )


@pytest.mark.parametrize(
    ("stated", "last", "limit"),
    [
        ({"limit_price": 99.999}, "100.00", "99.99"),
        ({"limit_price": 99.99}, "100.00", "99.99"),
        ({"limit_offset": 0.25}, "100.00", "99.75"),
        ({"limit_offset": 0.251}, "100.00", "99.74"),
        ({"limit_offset": 0.0}, "100.00", "100.00"),
        ({"limit_offset": -0.255}, "100.00", "100.25"),
        ({"limit_offset_bps": 10.0}, "100.00", "99.90"),
        ({"limit_offset_bps": 10.5}, "100.00", "99.89"),
        ({"limit_offset_bps": -7.5}, "100.00", "100.07"),
        ({"limit_offset_bps": 25.0}, "0.5", "0.4987"),
        # Just above a dollar the offset leads to where ticks are finer.
        ({"limit_offset": 0.015}, "1.01", "0.995"),
        # Prints off the cent are exact, and so is what is reckoned from them.
        ({"limit_offset_bps": 1.0}, "33.3333", "33.32"),
    ],
)
def test_a_limit_pays_no_more_than_was_asked(stated: dict[str, Any], last: str, limit: str) -> None:
    request = request_of(replace(LIMIT, **stated), last)
    assert (request.order_type, request.limit_price) == (OrderType.LIMIT, Decimal(limit))
    assert (request.leg, request.side, request.time_in_force) == (Leg.ENTRY, Side.BUY, TimeInForce.DAY)


@pytest.mark.parametrize(
    "stated",
    [
        {"limit_price": 99.0, "limit_offset": 1.0},
        {"limit_offset": 1.0, "limit_offset_bps": 1.0},
        {"limit_price": float("nan")},
        {"limit_offset": float("inf")},
        {"limit_offset": 100.0},
        {"limit_offset_bps": 20_000.0},
    ],
)
def test_a_limit_that_says_nothing_is_refused_on_record(stated: dict[str, Any]) -> None:
    scenario = Scenario({0: replace(LIMIT, **stated)})
    scenario.bar(0)
    (decision,) = scenario.made(DecisionMade)
    assert (decision.approved, decision.reason) == (False, "price_out_of_range")


def test_an_offset_of_a_market_order_is_refused() -> None:
    scenario = Scenario({0: replace(MARKET, limit_offset=0.5)})
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "prices_do_not_fit_type"


def test_the_precision_that_a_strategy_sets_changes_no_price() -> None:
    with localcontext() as context:
        context.prec = 3
        assert request_of(replace(LIMIT, limit_offset_bps=10.5), "512.34").limit_price == Decimal("511.80")


@pytest.mark.parametrize(
    ("rules", "limit"),
    [
        (EntryRules(), None),
        (LIMIT_ONLY, "100.50"),
        (replace(LIMIT_ONLY, market_as_limit_bps=Decimal("12.5")), "100.12"),
        (EntryRules(slippage_bps_max=Decimal(20)), "100.20"),
        (replace(LIMIT_ONLY, slippage_bps_max=Decimal(20)), "100.20"),
        (replace(LIMIT_ONLY, slippage_bps_max=Decimal(80)), "100.50"),
        (EntryRules(slippage_bps_max=Decimal(0)), "100.00"),
    ],
)
def test_a_market_entry_is_what_the_policy_makes_of_it(rules: EntryRules, limit: str | None) -> None:
    request = request_of(MARKET, rules=rules)
    assert request.order_type is (OrderType.MARKET if limit is None else OrderType.LIMIT)
    assert request.limit_price == (None if limit is None else Decimal(limit))
    assert request.expires_after_ns == (None if limit is None else rules.market_as_limit_ns)
    assert request_of(replace(MARKET, expires_after_s=5), rules=rules).expires_after_ns == 5_000_000_000
    stated = replace(LIMIT, limit_offset=1.0)
    assert request_of(stated, rules=rules) == request_of(stated)


def test_protective_exits_may_be_market_under_every_policy() -> None:
    scenario = Scenario({0: enter(), 3: Signal(kind=SignalKind.EXIT)}, entry_rules=LIMIT_ONLY)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    assert (entry.order_type, entry.limit_price) == (OrderType.LIMIT, Decimal("100.50"))
    scenario.fill(entry, "100.10")
    stop, target = scenario.submitted()[1:]
    for leg in (stop, target):
        scenario.ack(leg)
    scenario.bar(3)
    scenario.cancel(stop)
    scenario.cancel(target)
    assert scenario.submitted()[-1].order_type is OrderType.MARKET


def test_a_marketable_limit_is_sized_and_refused_by_its_own_price() -> None:
    scenario = Scenario({0: enter()}, entry_rules=replace(LIMIT_ONLY, market_as_limit_bps=Decimal(600)))
    scenario.bar(0)
    assert scenario.made(DecisionMade)[0].reason == "collar"
    sized = Scenario({0: enter()}, entry_rules=replace(LIMIT_ONLY, market_as_limit_bps=Decimal(400)))
    sized.bar(0)
    # A tenth of 100,000 at 104.00.
    assert sized.submitted()[0].quantity == 96


def test_a_market_entry_sent_as_a_limit_is_canceled_when_its_moment_is_over() -> None:
    scenario = Scenario({0: enter()}, entry_rules=LIMIT_ONLY)
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    assert not scenario.wait(59).commands
    step = scenario.wait(1)
    assert [type(command) for command in step.commands] == [CancelOrder]


def test_an_entry_expires_when_its_signal_says_so_in_session_time() -> None:
    late = 388
    scenario = Scenario({late: replace(LIMIT, limit_offset=1.0, expires_after_s=90)})
    scenario.bar(late)
    scenario.ack(scenario.submitted()[0])
    # A minute before the close: it would end in the next session, but an order of the day is canceled before.
    assert not scenario.wait(119).commands
    assert scenario.wait(1).commands
    early = Scenario({5: replace(LIMIT, limit_offset=1.0, expires_after_s=90)})
    early.bar(5)
    early.ack(early.submitted()[0])
    assert not early.wait(89).commands
    assert early.wait(1).commands


def test_an_entry_whose_time_ended_before_it_was_answered_is_canceled_with_the_answer() -> None:
    scenario = Scenario({0: replace(LIMIT, limit_offset=1.0, expires_after_s=45)})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    # Nobody answered within 30 s: it is asked about, and until the answer to that its end is not looked at.
    assert [type(command) for command in scenario.wait(30).commands] == [QueryOrder]
    assert not scenario.wait(20).commands
    assert [type(command) for command in scenario.ack(entry).commands] == [CancelOrder]


def scaled(fraction: float | None, *, kind: SignalKind = SignalKind.SCALE_IN) -> Signal:
    return replace(enter(), kind=kind, fraction=fraction)


def holding(script: dict[int, Signal], limits: Limits | None = None) -> Scenario:
    """Return an account that holds 100 shares with both legs working."""
    scenario = Scenario({0: enter(), **script}, limits=limits)
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.00")
    for leg in scenario.submitted()[1:]:
        scenario.ack(leg)
    return scenario


def test_a_scale_in_is_a_bracket_of_its_own_with_a_part_of_the_size() -> None:
    scenario = holding({2: scaled(0.5)})
    scenario.bar(2)
    further = scenario.submitted()[-1]
    assert (further.side, int(further.quantity)) == (Side.BUY, 50)
    scenario.fill(further, "100.00")
    stops = [order for order in scenario.submitted() if order.stop_price is not None]
    assert [stop.quantity for stop in stops] == [100, 50]
    assert len({stop.link for stop in stops}) == 2


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan"), float("inf")])
def test_a_part_that_is_none_is_refused(fraction: float) -> None:
    scenario = holding({2: scaled(fraction)})
    scenario.bar(2)
    assert scenario.made(DecisionMade)[-1].reason == "bad_fraction"


def test_a_scale_in_makes_no_further_position() -> None:
    only_one = Limits(max_positions=1)
    scenario = holding({2: scaled(0.5), 4: scaled(0.25)}, only_one)
    scenario.bar(2)
    assert scenario.made(DecisionMade)[-1].approved
    scenario.fill(scenario.submitted()[-1], "100.00")
    for order in scenario.submitted():
        scenario.ack(order)
    scenario.bar(4)
    assert scenario.made(DecisionMade)[-1].approved


def test_scale_ins_end_at_what_one_instrument_may_be_worth() -> None:
    scenario = holding({2: scaled(1.0), 4: scaled(1.0)})
    scenario.bar(2)
    scenario.fill(scenario.submitted()[-1], "100.00")
    scenario.bar(4)
    assert scenario.made(DecisionMade)[-1].reason == "concentration"


def test_a_scale_in_waits_for_the_entry_that_works_already() -> None:
    scenario = Scenario({0: enter(limit=99.0), 2: scaled(0.5)})
    scenario.bar(0)
    scenario.ack(scenario.submitted()[0])
    scenario.bar(2)
    assert scenario.made(DecisionMade)[-1].reason == "open_entries"


def test_prices_of_coins_go_to_their_own_tick() -> None:
    request = request_of(replace(LIMIT, limit_offset_bps=1.0), "64123.45678901", symbol=COIN)
    assert request.limit_price == COIN.price(Decimal("64123.45678901") * Decimal("0.9999"), Direction.DOWN)
