"""The dated fee tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from engine.core.errors import BadInput
from engine.core.values import SECOND_NS, Side, instrument_from_symbol
from engine.venues.fees import FINRA_TRADING_ACTIVITY, SEC_SECTION_31, fee_schedule

SPY = instrument_from_symbol("SPY", 1)
BITCOIN = instrument_from_symbol("BTC-USD", 2)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS


def sale(when: str, price: str, quantity: str) -> Decimal:
    return fee_schedule("robinhood").fee(
        SPY, Side.SELL, price=Decimal(price), quantity=Decimal(quantity), ts_ns=ns(when)
    )


@pytest.mark.parametrize(
    ("when", "price", "quantity", "expected"),
    [
        pytest.param("2024-01-02T15:00:00+00:00", "1000", "1000", "8.17", id="SEC 8.00 + TAF 0.166"),
        pytest.param("2024-05-21T19:59:00+00:00", "1000", "1000", "8.17", id="last day of 8.00 per million"),
        pytest.param("2024-05-22T13:30:00+00:00", "1000", "1000", "27.97", id="first day of 27.80 per million"),
        pytest.param("2025-05-13T19:59:00+00:00", "1000", "1000", "27.97", id="last day before the zero rate"),
        pytest.param("2025-05-14T13:30:00+00:00", "1000", "1000", "0.17", id="zero rate"),
        pytest.param("2026-04-06T13:30:00+00:00", "1000", "1000", "20.80", id="20.60 per million + TAF of 2026"),
        pytest.param("2026-10-01T13:30:00+00:00", "1000", "1000", "20.60", id="TAF holiday begins"),
        pytest.param("2026-12-31T20:59:00+00:00", "1000", "1000", "20.60", id="TAF holiday ends"),
        pytest.param("2027-01-04T14:30:00+00:00", "1000", "1000", "20.83", id="TAF of 2027"),
        pytest.param("2028-01-03T14:30:00+00:00", "1000", "1000", "20.84", id="TAF of 2028"),
        pytest.param("2024-01-02T15:00:00+00:00", "1", "60000", "8.78", id="TAF cap 8.30 + SEC 0.48"),
        pytest.param("2024-01-02T15:00:00+00:00", "472.65", "21", "0.08", id="each fee to the cent, halves up"),
    ],
)
def test_sales_of_shares_pay_by_their_date(when: str, price: str, quantity: str, expected: str) -> None:
    assert sale(when, price, quantity) == Decimal(expected)


def test_buys_and_crypto_pay_nothing() -> None:
    schedule = fee_schedule("robinhood")
    then = ns("2024-06-03T15:00:00+00:00")
    assert schedule.fee(SPY, Side.BUY, price=Decimal(500), quantity=Decimal(1000), ts_ns=then) == 0
    assert schedule.fee(BITCOIN, Side.SELL, price=Decimal(60_000), quantity=Decimal(9), ts_ns=then) == 0


def test_the_schedule_none_charges_nothing_at_any_date() -> None:
    assert fee_schedule("none").fee(SPY, Side.SELL, price=Decimal(500), quantity=Decimal(1000), ts_ns=0) == 0


def test_a_sale_before_the_first_row_is_refused() -> None:
    with pytest.raises(BadInput, match="starts on 2020-02-18"):
        sale("2020-02-14T15:00:00+00:00", "100", "1")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadInput, match="'free' is not known"):
        fee_schedule("free")


def test_the_tables_ascend() -> None:
    for table in (SEC_SECTION_31, FINRA_TRADING_ACTIVITY):
        dates = [row[0] for row in table]
        assert dates == sorted(set(dates))
