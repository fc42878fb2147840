"""Exact numbers: ticks, lots, crossings and sessions."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import BadInput
from engine.core.values import (
    AlwaysOpen,
    AssetClass,
    Direction,
    SessionTable,
    cash,
    exact,
    from_scaled,
    instrument_from_symbol,
    notional,
    scaled_integer,
)

SPY = instrument_from_symbol("SPY", 1)
BTC = instrument_from_symbol("BTC-USD", 2)


@pytest.mark.parametrize(
    ("value", "direction", "expected"),
    [
        (521.225, Direction.NEAREST, "521.22"),
        (521.235, Direction.NEAREST, "521.24"),
        (521.221, Direction.UP, "521.23"),
        (521.229, Direction.DOWN, "521.22"),
        (0.99996, Direction.UP, "1.0000"),
        (0.99994, Direction.DOWN, "0.9999"),
        (1.004, Direction.DOWN, "1.00"),
    ],
)
def test_price_goes_to_the_tick(value: float, direction: Direction, expected: str) -> None:
    assert SPY.price(value, direction) == Decimal(expected)


@given(
    value=st.decimals(min_value="0.9000", max_value="1.1000", places=6),
    direction=st.sampled_from(list(Direction)),
)
def test_rounding_around_one_dollar_is_a_multiple_of_its_tick(value: Decimal, direction: Direction) -> None:
    """SEC rule 612: a sub-penny price is legal below one dollar only; I-28."""
    price = SPY.price(value, direction)
    assert price % SPY.tick(price) == 0
    assert abs(price - value) <= SPY.tick(value)
    assert direction is not Direction.UP or price >= value
    assert direction is not Direction.DOWN or price <= value


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_quantity_is_the_largest_lot_multiple_below(value: float) -> None:
    for instrument in (SPY, BTC):
        quantity = instrument.quantity(value)
        number = Decimal(repr(value))
        assert quantity % instrument.lot == 0
        assert quantity <= number < quantity + instrument.lot


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_exact_refuses_what_is_not_a_number(value: float) -> None:
    with pytest.raises(BadInput, match="not a finite number"):
        exact(value)


def test_exact_refuses_what_no_column_holds() -> None:
    with pytest.raises(BadInput, match="does not fit 10 decimals"):
        exact(0.1 + 0.2)


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_scaled_integers_come_back(integer: int) -> None:
    assert scaled_integer(from_scaled(integer, decimals=10), decimals=10) == integer


def test_a_product_of_two_full_columns_does_not_round_silently() -> None:
    assert notional(Decimal("0.00141342"), Decimal("23.12345678")) == Decimal("0.03268316")
    assert notional(Decimal("922337203.6854775807"), Decimal(1)) == Decimal("922337203.68547758")
    assert cash(Decimal("0.000000005")) == Decimal("0.00000000")


def test_symbols_choose_their_market() -> None:
    assert (SPY.asset_class, SPY.calendar, SPY.lot) == (AssetClass.EQUITY, "XNYS", Decimal(1))
    assert (BTC.asset_class, BTC.calendar, BTC.lot) == (AssetClass.CRYPTO, "24/7", Decimal("1E-8"))
    assert instrument_from_symbol("BRK-B", 3, calendar="XNYS").asset_class is AssetClass.EQUITY
    with pytest.raises(BadInput, match="empty or holds a space"):
        instrument_from_symbol("S PY", 1)


def test_a_moment_outside_the_calendar_is_refused() -> None:
    table = SessionTable("XNYS", dates=("2024-03-26",), opens=(10**18,), closes=(10**18 + 10,))
    assert table.session_at(10**18) == table[0]
    assert table.session_at(10**18 - 1) is None
    with pytest.raises(BadInput, match="outside the calendar XNYS"):
        table.session_at(10**18 + 10)
    with pytest.raises(BadInput, match="outside the calendar XNYS"):
        table.session_at(10**17)


@pytest.mark.parametrize(
    ("ts_ns", "date"),
    [(0, "1970-01-01"), (951_782_400 * 10**9, "2000-02-29"), (1_735_689_599 * 10**9, "2024-12-31")],
)
def test_a_market_that_never_closes_has_utc_days(ts_ns: int, date: str) -> None:
    session = AlwaysOpen().session_at(ts_ns)
    assert session.date == date
    assert session.always_open
    assert session.open_ts_ns <= ts_ns < session.close_ts_ns
