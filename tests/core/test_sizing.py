"""Sizing against fractions: never a lot too many."""

import math
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.messages import OrderRequest
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.testing.gate import (
    BTC,
    ENTRY,
    EXIT,
    LIMITS,
    SPY,
)

NAN = Decimal("NaN")


# --- sizing --------------------------------------------------------------------------------------------


def sized(request: OrderRequest, equity: Decimal, limits: Limits = LIMITS) -> Decimal:
    instrument = SPY if request.symbol == "SPY" else BTC
    return RiskGate(limits).size(request, instrument, equity).quantity


@given(
    equity=st.decimals("0.01", 10**9, places=8),
    price=st.decimals("0.0001", 10**6, places=10),
    distance=st.floats(1e-9, 1e6),
    risk=st.decimals("0.0001", 1, places=6),
    fraction=st.decimals("0.0001", 1, places=6),
    symbol=st.sampled_from(["SPY", "BTC-USD"]),
)
def test_size_is_the_floor_of_the_smaller_of_both(
    equity: Decimal, price: Decimal, distance: float, risk: Decimal, fraction: Decimal, symbol: str
) -> None:
    """floor(min(risk x equity / distance, notional x equity / price) / lot) x lot, in fractions, without rounding."""
    request = replace(ENTRY, symbol=symbol, reference_price=price, stop_distance=Decimal(repr(distance)))
    limits = Limits(risk_fraction=risk, max_notional_fraction=fraction)
    lot = Fraction(SPY.lot if symbol == "SPY" else BTC.lot)
    by_risk = Fraction(risk) * Fraction(equity) / Fraction(Decimal(repr(distance)))
    by_notional = Fraction(fraction) * Fraction(equity) / Fraction(price)
    expected = math.floor(min(by_risk, by_notional) / lot) * lot
    assert Fraction(sized(request, equity, limits)) == expected


def test_a_size_that_is_just_below_a_lot_is_not_rounded_up() -> None:
    """28 digits, the usual precision, would make 1.00000000 of 0.99999999 and many nines more."""
    request = replace(ENTRY, symbol="BTC-USD", reference_price=Decimal("3E-9"), stop_distance=Decimal("3E-20"))
    limits = Limits(risk_fraction=Decimal(1), max_notional_fraction=Decimal(1))
    equity = Decimal(f"2.{'9' * 31}E-9")
    assert sized(request, equity, limits) == Decimal("0.99999999")


def test_the_precision_that_somebody_else_set_changes_no_size() -> None:
    request = replace(ENTRY, reference_price=Decimal("33.33"), stop_distance=Decimal("0.0123"))
    expected = sized(request, Decimal("123456.78"))
    with localcontext() as context:
        context.prec = 3
        assert sized(request, Decimal("123456.78")) == expected


@pytest.mark.parametrize(
    "request_",
    [
        replace(ENTRY, stop_distance=None),
        replace(ENTRY, stop_distance=Decimal(0)),
        replace(ENTRY, stop_distance=Decimal(-1)),
        replace(ENTRY, stop_distance=NAN),
        replace(ENTRY, reference_price=Decimal(0)),
        replace(ENTRY, reference_price=NAN),
    ],
)
def test_a_missing_input_sizes_to_nothing(request_: OrderRequest) -> None:
    assert sized(request_, Decimal(100_000)) == 0


@pytest.mark.parametrize("equity", ["0", "-1", "NaN"])
def test_no_equity_sizes_to_nothing(equity: str) -> None:
    assert sized(ENTRY, Decimal(equity)) == 0


def test_exits_are_never_resized() -> None:
    assert RiskGate(LIMITS).size(EXIT, SPY, Decimal(1)) is EXIT


def test_the_situation_has_no_default() -> None:
    """A field that somebody forgets to fill must not read as harmless."""
    assert all(field.default is field.default_factory for field in fields(Situation))
