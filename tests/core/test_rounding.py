"""Cents, units and ticks: what a broker pays, what a column holds, and SEC rule 612 around one dollar."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.values import Direction, cents, from_scaled, instrument_from_symbol, scaled_integer

SHARES = instrument_from_symbol("SPY", 1)


@given(st.integers(-9 * 10**12, 9 * 10**12))
def test_cents_come_back_from_the_units_of_the_ledger(amount: int) -> None:
    money = Decimal(amount) / 100
    assert from_scaled(scaled_integer(money, decimals=8), decimals=8) == money == cents(money)
    assert scaled_integer(money, decimals=8) == amount * 10**6


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("0.005", "0.01"), ("0.0049999999", "0.00"), ("-0.005", "-0.01"), ("1.015", "1.02"), ("2.675", "2.68")],
)
def test_half_a_cent_goes_up(amount: str, expected: str) -> None:
    assert cents(Decimal(amount)) == Decimal(expected)


@given(units=st.integers(1, 200_000), direction=st.sampled_from(Direction))
def test_prices_around_one_dollar_are_whole_ticks_of_rule_612(units: int, direction: Direction) -> None:
    """SEC rule 612: a hundredth of a cent below one dollar, a cent from one dollar on."""
    value = Decimal(units) / 100_000
    tick = Decimal("0.01") if value >= 1 else Decimal("0.0001")
    if value < tick and direction is not Direction.UP:
        return
    price = SHARES.price(value, direction)
    assert price % tick == 0
    assert abs(price - value) < tick
    if direction is Direction.NEAREST:
        assert abs(price - value) <= tick / 2
    elif direction is Direction.UP:
        assert price >= value
    else:
        assert price <= value
    # What is a tick below the dollar may be the dollar itself, which is a tick above it too.
    assert SHARES.price(price, direction) == price


@pytest.mark.parametrize(
    ("value", "direction", "expected"),
    [
        ("0.99995", Direction.DOWN, "0.9999"),
        ("0.99995", Direction.UP, "1.0000"),
        ("0.99995", Direction.NEAREST, "1.0000"),
        ("1.005", Direction.DOWN, "1.00"),
        ("1.005", Direction.UP, "1.01"),
        ("1.0049", Direction.NEAREST, "1.00"),
    ],
)
def test_half_ticks_at_the_dollar(value: str, direction: Direction, expected: str) -> None:
    assert SHARES.price(Decimal(value), direction) == Decimal(expected)
