"""The dated fee tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.core.values import SECOND_NS, Side, instrument_from_symbol
from engine.venues.fees import FINRA_TRADING_ACTIVITY, SEC_SECTION_31, FeeSchedule, fee_schedule, fees_by_kind

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
    with pytest.raises(BadInput, match=r"starts its fee sec on 2020-02-18 .*: use --fees none or later data"):
        sale("2020-02-14T15:00:00+00:00", "100", "1")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadInput, match="'free' is not known"):
        fee_schedule("free")


def test_the_tables_ascend() -> None:
    for table in (SEC_SECTION_31, FINRA_TRADING_ACTIVITY):
        dates = [row[0] for row in table]
        assert dates == sorted(set(dates))


def test_fees_are_told_by_kind() -> None:
    schedule = fee_schedule("robinhood")
    then = ns("2024-01-02T15:00:00+00:00")
    about: dict[str, Any] = {"price": Decimal(1000), "quantity": Decimal(1000), "ts_ns": then}
    assert fees_by_kind(schedule, SPY, Side.SELL, **about) == (("sec", Decimal("8.00")), ("taf", Decimal("0.17")))
    assert fees_by_kind(schedule, SPY, Side.BUY, **about) == ()


CSV = """kind,from,until,side,asset,per_million,per_share,per_execution,most
sec,2024-01-01,2024-05-22,sell,equity,8.00,,,
sec,2024-05-22,,sell,equity,27.80,,,
cat,2024-01-01,,,equity,,0.000003,,
commission,2024-01-01,,,,,0.005,0.35,1.00
"""


def in_file(tmp_path: Path, text: str, name: str = "fees.csv") -> FeeSchedule:
    path = tmp_path / name
    path.write_text(text)
    return fee_schedule(str(path))


def test_a_schedule_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    schedule = in_file(tmp_path, CSV)
    about: dict[str, Any] = {"price": Decimal(100), "quantity": Decimal(10_000), "ts_ns": ns("2024-06-03T15:00+00:00")}
    assert fees_by_kind(schedule, SPY, Side.SELL, **about) == (
        ("sec", Decimal("27.80")),
        ("cat", Decimal("0.03")),
        ("commission", Decimal("1.00")),
    )
    assert schedule.fee(SPY, Side.BUY, **about) == Decimal("1.03")
    assert schedule.fee(BITCOIN, Side.BUY, **about) == Decimal("1.00")
    assert schedule.name.startswith("fees.csv:")
    assert schedule.name != in_file(tmp_path, CSV.replace("27.80", "27.90")).name


def test_a_schedule_may_be_yaml(tmp_path: Path) -> None:
    text = "- {kind: cat, from: 2024-01-01, per_share: 0.000003}\n"
    schedule = in_file(tmp_path, text, "fees.yaml")
    then = ns("2024-06-03T15:00+00:00")
    assert schedule.fee(SPY, Side.BUY, price=Decimal(5), quantity=Decimal(5000), ts_ns=then) == Decimal("0.02")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("27.80", "-27.80", "row 2 the per_million -27.80, which is no fee", id="a negative fee"),
        pytest.param("sec,2024-05-22", "sec,2024-05-23", "row 2 .* after a hole since 2024-05-22", id="a hole"),
        pytest.param("sec,2024-05-22", "sec,2024-05-21", "row 2 .* where row 1 still holds", id="an overlap"),
        pytest.param("2024-01-01,2024-05-22", "2024-01-01,", "row 2 .* where row 1 still holds", id="two without end"),
        pytest.param("2024-01-01,2024-05-22", "2024-05-22,2024-01-01", "row 1 .* hold no day", id="ends first"),
        pytest.param("cat,2024-01-01", "cat,yesterday", "row 3 the dates 'yesterday'", id="no date"),
        pytest.param("0.000003", "cheap", "row 3 the per_share 'cheap', which is no number", id="no number"),
        pytest.param("0.000003", "", "row 3 no amount: fill one of per_million", id="no amount"),
        pytest.param("0.000003", "92233720369", "row 3 the per_share 92233720369, which is more", id="too large"),
        pytest.param("27.80", "1000001", "row 2 the per_million 1000001, which is more", id="above the value"),
        pytest.param("cat,", ",", "row 3 no kind", id="no kind"),
        pytest.param("sell,equity,8", "both,equity,8", "row 1 the side 'both'", id="no side"),
        pytest.param("per_million", "rate", "row 1 the column rate: use kind", id="an unknown column"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused_with_its_row(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        in_file(tmp_path, CSV.replace(old, new))


def test_a_file_that_ends_is_refused_beyond_its_end(tmp_path: Path) -> None:
    schedule = in_file(tmp_path, "kind,from,until,per_share\ncat,2024-01-01,2024-02-01,1\n")
    with pytest.raises(BadInput, match="ends its fee cat on 2024-02-01"):
        schedule.fee(SPY, Side.BUY, price=Decimal(1), quantity=Decimal(1), ts_ns=ns("2024-02-01T15:00+00:00"))


def test_a_moment_that_a_file_does_not_reach_is_told_in_readable_words(tmp_path: Path) -> None:
    schedule = in_file(tmp_path, "kind,from,until,per_share\ncat,2024-01-01,2024-02-01,1\n")
    assert schedule.name != "fees.csv"
    fee = "The fee schedule fees.csv {} its fee cat on {} and the trade of SPY at {} is {}."
    early = ("starts", "2024-01-01", "2023-06-01T15:00:30Z", "earlier: add a row from that date")
    late = ("ends", "2024-02-01", "2024-02-01T15:00:00Z", "later: add a row that goes on")
    for words in (early, late):
        with pytest.raises(BadInput) as caught:
            schedule.fee(SPY, Side.BUY, price=Decimal(1), quantity=Decimal(1), ts_ns=ns(words[2]))
        assert str(caught.value) == fee.format(*words)
    with pytest.raises(BadInput, match=r"fees.csv has in row 1 the per_share -1"):
        in_file(tmp_path, "kind,from,until,per_share\ncat,2024-01-01,,-1\n")


def test_a_file_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        fee_schedule(str(tmp_path / "none.csv"))
    with pytest.raises(BadInput, match="has no row"):
        in_file(tmp_path, "kind,from\n")
