"""When trades settle, and what of the cash may be spent before: dates from the published schedule."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from engine.calendars import load_sessions
from engine.core.ledger import Booking, Ledger
from engine.core.ledger.settlement import BANK_HOLIDAYS, settlement_ts_ns
from engine.core.messages import AccountFunded, Draft, TradeBooked
from engine.core.values import (
    DAY_NS,
    SECOND_NS,
    ExecutionId,
    InstrumentId,
    Leg,
    Sessions,
    SessionTable,
    Side,
    StrategyId,
    instrument_from_symbol,
)

SPY = instrument_from_symbol("SPY", 1)
BITCOIN = instrument_from_symbol("BTC-USD", 2)
XNYS = load_sessions("XNYS")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND_NS


@pytest.mark.parametrize(
    ("traded", "settles"),
    [
        pytest.param("2017-09-01T14:00-04:00", "2017-09-07", id="T+3 on the last day of it, over Labor Day"),
        pytest.param("2017-09-05T14:00-04:00", "2017-09-07", id="T+2 on its first day, the same date"),
        pytest.param("2024-05-24T14:00-04:00", "2024-05-29", id="T+2 on the last day of it, over Memorial Day"),
        pytest.param("2024-05-28T14:00-04:00", "2024-05-29", id="T+1 on its first day, the same date"),
        pytest.param("2025-01-08T14:00-05:00", "2025-01-10", id="over a day of mourning"),
        pytest.param("2024-10-11T14:00-04:00", "2024-10-15", id="over Columbus Day, when the exchange is open"),
        pytest.param("2024-10-14T14:00-04:00", "2024-10-15", id="on Columbus Day"),
        pytest.param("2025-11-10T14:00-05:00", "2025-11-12", id="over Veterans Day"),
        pytest.param("2025-01-03T19:59-05:00", "2025-01-06", id="in the evening of a Friday: still Friday's"),
        pytest.param("2025-01-03T20:00-05:00", "2025-01-07", id="in the night: Monday's trade"),
        pytest.param("2025-01-06T04:00-05:00", "2025-01-07", id="before the open"),
        pytest.param("2024-11-29T16:59-05:00", "2024-12-02", id="in the evening of a half day"),
    ],
)
def test_shares_settle_by_trade_date(traded: str, settles: str) -> None:
    moment = settlement_ts_ns(SPY, XNYS, ns(traded))
    session = XNYS.session_at(moment)
    assert session is not None
    assert (session.date, moment) == (settles, session.open_ts_ns)


def test_coins_settle_at_once() -> None:
    assert settlement_ts_ns(BITCOIN, load_sessions("24/7"), 77) == 77


def test_beyond_the_calendar_settlement_is_reckoned_late() -> None:
    only = SessionTable(
        "XNYS", dates=("2024-06-03",), opens=(ns("2024-06-03T13:30+00:00"),), closes=(ns("2024-06-03T20:00+00:00"),)
    )
    assert settlement_ts_ns(SPY, only, ns("2024-06-03T15:00+00:00")) >= ns("2024-06-03T13:30+00:00") + 4 * DAY_NS


def test_the_banks_holidays_are_columbus_day_and_veterans_day() -> None:
    expected = set()
    for year in range(2000, 2031):
        october = date(year, 10, 1)
        expected.add(october + timedelta(days=(-october.weekday()) % 7 + 7))
        veterans = date(year, 11, 11)
        observed = veterans + timedelta(days=veterans.weekday() == 6)
        if observed.weekday() < 5:
            expected.add(observed)
    assert BANK_HOLIDAYS["XNYS"] == {day.isoformat() for day in expected}
    for day in expected:
        assert XNYS.session_at(int(datetime(day.year, day.month, day.day, 15, tzinfo=UTC).timestamp()) * SECOND_NS)


def _ledger() -> Ledger:
    sessions: dict[InstrumentId, Sessions] = {SPY.instrument_id: XNYS}
    ledger = Ledger({SPY.instrument_id: SPY}, sessions=sessions)
    moment = ns("2025-01-02T14:30+00:00")
    event = AccountFunded(venue_ts_ns=moment, received_ts_ns=moment, amount=Decimal(10_000), source="test")
    ledger.fund(event, Draft(moment))
    return ledger


def _book(ledger: Ledger, side: Side, when: str, *, execution: str, is_bust: bool = False) -> Draft:
    draft = Draft(ns(when))
    ledger.book(
        Booking(
            order_id=1,
            bracket_id=1,
            execution_id=ExecutionId(execution),
            strategy_id=StrategyId("owner"),
            instrument_id=SPY.instrument_id,
            leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
            side=side,
            price=Decimal(100),
            quantity=Decimal(10),
            fee=Decimal("0.05"),
            is_bust=is_bust,
            venue_ts_ns=ns(when),
        ),
        draft,
    )
    return draft


def test_proceeds_can_be_spent_from_their_settlement_on() -> None:
    ledger = _ledger()
    _book(ledger, Side.BUY, "2025-01-03T15:00+00:00", execution="b")
    friday = ns("2025-01-03T16:00+00:00")
    assert ledger.settled_cash(friday) == ledger.cash == Decimal("8999.95")
    draft = _book(ledger, Side.SELL, "2025-01-03T16:00+00:00", execution="s")
    monday = ns("2025-01-06T14:30+00:00")
    assert ledger.cash == Decimal("9999.90")
    assert (ledger.unsettled(friday), ledger.settled_cash(friday)) == (Decimal("999.95"), Decimal("8999.95"))
    assert ledger.settled_cash(monday - 1) == Decimal("8999.95")
    assert (ledger.unsettled(monday), ledger.settled_cash(monday)) == (Decimal(0), ledger.cash)
    (trade,) = (fact for fact in draft.facts if isinstance(fact, TradeBooked))
    assert trade.settlement_ts_ns == monday


def test_a_busted_sale_takes_its_unsettled_proceeds_with_it() -> None:
    ledger = _ledger()
    _book(ledger, Side.BUY, "2025-01-03T15:00+00:00", execution="b")
    _book(ledger, Side.SELL, "2025-01-03T16:00+00:00", execution="s")
    _book(ledger, Side.SELL, "2025-01-03T17:00+00:00", execution="s", is_bust=True)
    friday = ns("2025-01-03T18:00+00:00")
    assert ledger.unsettled(friday) == 0
    assert ledger.settled_cash(friday) == ledger.cash == Decimal("8999.95")


def test_a_busted_purchase_can_be_spent_at_once() -> None:
    ledger = _ledger()
    _book(ledger, Side.BUY, "2025-01-03T15:00+00:00", execution="b")
    _book(ledger, Side.BUY, "2025-01-03T16:00+00:00", execution="b", is_bust=True)
    assert ledger.settled_cash(ns("2025-01-03T16:00+00:00")) == Decimal(10_000)
