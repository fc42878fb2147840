"""The golden venue's own rules, without the real data."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.errors import BadInput
from engine.core.messages import (
    Bar,
    BarClosed,
    CancelOrder,
    CancelRejected,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    QueryOrder,
    QuoteBar,
    SubmitOrder,
)
from engine.core.values import ClientOrderId, InstrumentId, OrderType, Side, TimeInForce, instrument_from_symbol
from engine.testing.golden_market import PriceFactors
from engine.testing.golden_venue import FillAt, GoldenVenue, PerShareFees

SPY = instrument_from_symbol("SPY", 1)
QUOTES = QuoteBar(
    bid_open=99.0,
    bid_high=99.0,
    bid_low=99.0,
    bid_close=99.5,
    ask_open=101.0,
    ask_high=101.0,
    ask_low=101.0,
    ask_close=100.5,
)
BUY = SubmitOrder(
    client_order_id=ClientOrderId("buy"),
    instrument_id=InstrumentId(1),
    symbol="SPY",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal(688),
    limit_price=None,
    stop_price=None,
    time_in_force=TimeInForce.DAY,
    decided_ts_ns=60,
)
SELL = replace(BUY, client_order_id=ClientOrderId("sell"), side=Side.SELL)
STOP = replace(SELL, client_order_id=ClientOrderId("stop"), order_type=OrderType.STOP, stop_price=Decimal(1))


def closed(start_ts_ns: int, price: float, *, low: float = 2.0, quotes: QuoteBar | None = None) -> BarClosed:
    bar = Bar(
        instrument_id=InstrumentId(1),
        start_ts_ns=start_ts_ns,
        open=price,
        high=price,
        low=low,
        close=price,
        volume=1.0,
        vwap=price,
        quotes=quotes,
    )
    return BarClosed(bar=bar, venue_ts_ns=start_ts_ns + 60, received_ts_ns=start_ts_ns + 60)


def venue(fill_at: FillAt = FillAt.NEXT_OPEN) -> GoldenVenue:
    return GoldenVenue(SPY, fill_at=fill_at, fees=PerShareFees())


def test_a_market_order_waits_for_the_next_open_and_pays_per_share() -> None:
    golden = venue()
    golden.observe_rest(closed(0, 100.0))
    golden.send(BUY)
    (accepted,) = golden.drain()
    assert isinstance(accepted, OrderAcknowledged)
    golden.observe_open(closed(120, 102.25))
    (fill,) = golden.drain()
    assert isinstance(fill, OrderFilled)
    assert (fill.price, fill.quantity, fill.fee) == (Decimal("102.25"), Decimal(688), Decimal("3.440"))
    assert fill.received_ts_ns == 120
    golden.observe_open(closed(180, 103.0))
    assert golden.drain() == []


@pytest.mark.parametrize(("order", "price"), [(BUY, "100.5"), (SELL, "99.5")])
def test_at_the_last_quote_a_buy_pays_the_ask_and_a_sale_gets_the_bid(order: SubmitOrder, price: str) -> None:
    golden = venue(FillAt.LAST_QUOTE)
    golden.observe_rest(closed(0, 100.0, quotes=QUOTES))
    golden.send(order)
    fill = golden.drain()[-1]
    assert isinstance(fill, OrderFilled)
    assert (fill.price, fill.received_ts_ns) == (Decimal(price), 60)


def test_without_a_quote_nothing_is_invented() -> None:
    golden = venue(FillAt.LAST_QUOTE)
    golden.observe_rest(closed(0, 100.0))
    with pytest.raises(BadInput, match="no quotes to fill at"):
        golden.send(BUY)


def test_a_stop_rests_until_it_is_canceled_and_refuses_to_be_reached() -> None:
    golden = venue()
    golden.send(STOP)
    golden.observe_rest(closed(0, 100.0))
    with pytest.raises(BadInput, match="reaches the stop 1"):
        golden.observe_rest(closed(60, 100.0, low=1.0))
    golden.drain()
    for kind in (OrderCanceled, CancelRejected):
        golden.send(CancelOrder(client_order_id=STOP.client_order_id, decided_ts_ns=70))
        (answer,) = golden.drain()
        assert isinstance(answer, kind)
    golden.observe_rest(closed(60, 100.0, low=1.0))


def test_the_same_order_is_one_order_and_a_question_repeats_what_was_said() -> None:
    golden = venue()
    golden.send(BUY)
    said = list(golden.drain())
    golden.send(BUY)
    assert golden.drain() == said
    golden.send(QueryOrder(client_order_id=BUY.client_order_id, decided_ts_ns=70))
    assert golden.drain() == said
    golden.send(QueryOrder(client_order_id=ClientOrderId("other"), decided_ts_ns=70))
    (unknown,) = golden.drain()
    assert isinstance(unknown, OrderRejected)


def test_orders_that_the_model_does_not_know_are_refused() -> None:
    golden = venue()
    golden.send(replace(BUY, order_type=OrderType.LIMIT, limit_price=Decimal(99)))
    (answer,) = golden.drain()
    assert isinstance(answer, OrderRejected)


def test_the_least_fee_is_one_dollar() -> None:
    fees = PerShareFees()
    prices = [fees.fee(SPY, Side.BUY, price=Decimal(1), quantity=Decimal(n), ts_ns=0) for n in (1, 200, 201)]
    assert prices == [Decimal(1), Decimal(1), Decimal("1.005")]


def test_a_factor_holds_until_its_last_date() -> None:
    factors = PriceFactors(["2013-09-19", "2050-12-31"], [Decimal("0.8646266"), Decimal(1)])
    assert factors.adjusted(1_674_500, "2013-09-18") == factors.adjusted(1_674_500, "2013-09-19") == 144.78172417
    assert factors.adjusted(1_674_500, "2013-09-20") == 167.45
    with pytest.raises(BadInput, match="after the last adjustment factor"):
        factors.adjusted(1_674_500, "2051-01-01")
