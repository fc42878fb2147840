"""Sizing that keeps room for the fee of an entry, and entries that wait for the next open."""

from dataclasses import replace
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.messages import DecisionMade, OrderRequest, SignalEmitted, SignalKind
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import Limits
from engine.core.values import InstrumentId, Leg, OrderType, Side, StrategyId, TimeInForce, instrument_from_symbol
from engine.testing.scenario import Scenario, enter

SPY = instrument_from_symbol("SPY", 1)
ALL_IN = Limits(risk_fraction=Decimal(1), max_notional_fraction=Decimal("0.9975"))
CHARGED = replace(ALL_IN, fee_per_unit=Decimal("0.005"), fee_min=Decimal(1))


def sized(limits: Limits, *, equity: str, price: str) -> Decimal:
    request = OrderRequest(
        strategy_id=StrategyId("owner"),
        instrument_id=InstrumentId(1),
        symbol="SPY",
        leg=Leg.ENTRY,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(0),
        limit_price=None,
        stop_price=None,
        time_in_force=TimeInForce.DAY,
        reference_price=Decimal(price),
        stop_distance=Decimal(price) / 2,
        target_distance=None,
    )
    return RiskGate(limits).size(request, SPY, Decimal(equity)).quantity


@pytest.mark.parametrize(
    ("equity", "without", "with_fee"),
    [
        # 99,750 is worth 997 shares at 100, and 50 is left for a fee of 4.985.
        ("100000", 997, 997),
        # 99,700 is worth 997 shares exactly, so the fee takes one of them.
        ("99949.8747", 997, 996),
        # The minimum binds: 100 buys one share, and nothing is left for the least fee of 1.
        ("100.2507", 1, 0),
        ("101.2532", 1, 1),
        ("0.5", 0, 0),
    ],
)
def test_the_position_and_its_fee_fit_the_fraction_together(equity: str, without: int, with_fee: int) -> None:
    assert sized(ALL_IN, equity=equity, price="100") == without
    assert sized(CHARGED, equity=equity, price="100") == with_fee


@given(
    equity=st.decimals("1", "1000000", places=2),
    price=st.decimals("0.01", "5000", places=4),
    rate=st.decimals("0", "1", places=4),
    least=st.decimals("0", "20", places=2),
)
def test_the_largest_quantity_that_fits_is_chosen(
    equity: Decimal, price: Decimal, rate: Decimal, least: Decimal
) -> None:
    limits = replace(ALL_IN, fee_per_unit=rate, fee_min=least)
    with localcontext() as strategy_changed:
        strategy_changed.prec = 3
        quantity = sized(limits, equity=str(equity), price=str(price))

    def cost(amount: Decimal) -> Decimal:
        return amount * price + max(least, rate * amount)

    bound = Decimal("0.9975") * equity
    assert quantity == 0 or cost(quantity) <= bound
    assert cost(quantity + 1) > bound


def at_the_close(limits: Limits) -> DecisionMade:
    """Return what the gate says to an entry wanted at the close of the day's last minute."""
    scenario = Scenario({389: enter()}, limits=limits)
    scenario.bar(389)
    assert [made.signal.kind for made in scenario.made(SignalEmitted)] == [SignalKind.ENTER]
    (decision,) = scenario.made(DecisionMade)
    return decision


def test_an_entry_between_sessions_is_refused_unless_it_may_wait_for_the_next_open() -> None:
    assert at_the_close(Limits()).reason == "outside_session"
    assert at_the_close(Limits(extended_hours_entries=True)).reason == "outside_session"
    assert at_the_close(Limits(next_open_entries=True)).approved


def test_an_entry_that_waited_fills_at_the_next_open_and_is_protected() -> None:
    scenario = Scenario({389: enter()}, limits=Limits(next_open_entries=True))
    scenario.bar(389)
    (order,) = scenario.submitted()
    scenario.ack(order)
    # The night: nothing is overdue, because nothing can happen.
    scenario.wait(16 * 3600)
    assert scenario.canceled() == []
    scenario.fill(order, "101")
    assert [command.order_type for command in scenario.submitted()[1:]] == [OrderType.STOP, OrderType.LIMIT]
