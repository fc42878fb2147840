"""Every event comes back from its payload exactly."""

from __future__ import annotations

from dataclasses import fields
from math import inf, isnan, nan
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Bug
from engine.core.messages import (
    EMPTY_STEP,
    AccountFunded,
    AdjustmentKind,
    Bar,
    BarClosed,
    CashMovementKind,
    Event,
    ListedExecution,
    ListedOrder,
    ListedPosition,
    ListedStatus,
    Quote,
    QuoteBar,
    Step,
    Tick,
)
from engine.core.values import InstrumentId, OrderType, SessionKind, Side
from engine.store.inputs import bar_of, decoded, input_row, is_journaled
from engine.store.layouts import BARS, LAYOUTS, PLAIN_BAR_WIDTH
from engine.store.rows import bar_row, shortened

_whole = st.integers(0, 2**63 - 1)
_real = st.floats(allow_nan=False, allow_infinity=False)
_exact = st.decimals(allow_nan=False, allow_infinity=False)
_quotes = st.builds(QuoteBar, **{field.name: _real for field in fields(QuoteBar)})
_bars = st.builds(
    Bar,
    instrument_id=_whole,
    start_ts_ns=_whole,
    **dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), _real),
    tick_count=st.none() | _whole,
    quote_count=st.none() | _whole,
    quotes=st.none() | _quotes,
    session_kind=st.sampled_from(SessionKind),
    revision=st.integers(0, 3),
    complete=st.booleans(),
)
_by_type = {
    "int": _whole,
    "InstrumentId": _whole,
    "float": _real,
    "Decimal": _exact,
    "str": st.text(),
    "ClientOrderId": st.text(),
    "ExecutionId": st.text(),
    "int | None": st.none() | _whole,
    "InstrumentId | None": st.none() | _whole,
    "str | None": st.none() | st.text(),
    "str | int | None": st.none() | st.text() | _whole,
    "Bar": _bars,
    "StrategyId": st.text(),
    "float | None": st.none() | _real,
    "CashMovementKind": st.sampled_from(CashMovementKind),
    "AdjustmentKind": st.sampled_from(AdjustmentKind),
    "tuple[str, ...]": st.lists(st.text(), max_size=3).map(tuple),
    "tuple[tuple[str, Decimal], ...]": st.lists(st.tuples(st.text(), _exact), max_size=3).map(tuple),
    "bool": st.booleans(),
    "bool | None": st.none() | st.booleans(),
    "Decimal | None": st.none() | _exact,
    "tuple[InstrumentId, ...]": st.lists(_whole).map(tuple),
    "Side": st.sampled_from(Side),
    "OrderType": st.sampled_from(OrderType),
    "ListedStatus": st.sampled_from(ListedStatus),
    "ClientOrderId | None": st.none() | st.text(),
}


def _listed(kind: type, **more: Any) -> st.SearchStrategy[Any]:
    types = {field.name: str(field.type) for field in fields(kind)}
    return st.builds(kind, **{name: _by_type[type_] for name, type_ in types.items() if name not in more}, **more)


_by_type["tuple[ListedOrder, ...]"] = st.lists(
    _listed(ListedOrder, executions=st.lists(_listed(ListedExecution), max_size=2).map(tuple)), max_size=2
).map(tuple)
_by_type["tuple[ListedPosition, ...]"] = st.lists(_listed(ListedPosition), max_size=2).map(tuple)


def _events() -> st.SearchStrategy[Any]:
    return st.one_of(
        *(
            st.builds(kind, **{field.name: _by_type[str(field.type)] for field in fields(kind)})
            for kind in get_args(Event)
        )
    )


@given(event=_events())
def test_every_event_comes_back_from_its_payload(event: Any) -> None:
    _, kind, venue_ts_ns, received_ts_ns, payload = input_row(event, EMPTY_STEP, 1)
    assert isinstance(payload, str)
    back = decoded(str(kind), payload)
    assert back == event
    assert repr(back) == repr(event)
    assert (venue_ts_ns, received_ts_ns) == (event.venue_ts_ns, event.received_ts_ns)


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_prices_that_are_no_numbers_come_back_too(number: float) -> None:
    tick = Tick(venue_ts_ns=1, received_ts_ns=2, instrument_id=InstrumentId(1), price=number, size=2.5, exchange="nan")
    back = decoded("Tick", str(input_row(tick, EMPTY_STEP, 1)[4]))
    assert isinstance(back, Tick)
    assert back.price == number or isnan(number)
    assert (back.size, back.exchange) == (2.5, "nan")
    sizes: Any = {"bid_size": number, "ask_size": 1.0}
    quote = Quote(venue_ts_ns=1, received_ts_ns=2, instrument_id=InstrumentId(1), bid=1.0, ask=2.0, **sizes)
    assert repr(decoded("Quote", str(input_row(quote, EMPTY_STEP, 1)[4]))) == repr(quote)


@given(bar=_bars, place=st.integers(0, 2))
def test_a_bar_comes_back_from_its_row(bar: Bar, place: int) -> None:
    row = bar_row(bar, 7, place)
    width = len(LAYOUTS[BARS].columns)
    assert len(row) in (PLAIN_BAR_WIDTH, width)
    plain_tail = (0, None, None, 0, 1, *(None,) * 8)
    full = row if len(row) == width else (*row, *plain_tail)
    assert shortened(full) == row
    assert bar_of(full) == bar


def test_whole_numbers_in_a_bar_are_stored_as_the_column_gives_them_back() -> None:
    prices: Any = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 5)
    row = bar_row(Bar(instrument_id=InstrumentId(1), start_ts_ns=0, **prices), 1, 0)
    assert [type(value) for value in row[3:9]] == [float] * 6


def test_the_bar_of_a_taken_input_is_its_row_only() -> None:
    prices: Any = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 1.0)
    bar = Bar(instrument_id=InstrumentId(1), start_ts_ns=0, **prices)
    event = BarClosed(venue_ts_ns=60, received_ts_ns=60, bar=bar)
    assert input_row(event, Step((bar,), ()), 1)[4] is None
    assert input_row(event, EMPTY_STEP, 1)[4] is not None


@pytest.mark.parametrize(("kind", "payload"), [("Nothing", "{}"), ("Tick", "{"), ("Tick", "[]"), ("Kill", "{}")])
def test_a_payload_that_nobody_wrote_is_a_bug(kind: str, payload: str) -> None:
    with pytest.raises(Bug, match="cannot be read"):
        decoded(kind, payload)


@pytest.mark.parametrize("kind", ["AccountListed", "OrderNotListed", "EngineStarted", "EngineStopping"])
def test_what_changes_nothing_is_not_journaled(kind: str) -> None:
    values: dict[str, Any] = {"asked_ts_ns": 1, "is_complete": True, "orders": [], "positions": []}
    values |= {"client_order_id": "a", "epoch": 1, "reason": "x", "venue_ts_ns": 1, "received_ts_ns": 2}
    event = decoded(kind, msgspec.json.encode(values).decode())
    assert not is_journaled(event, EMPTY_STEP)
    assert is_journaled(event, Step((), ()))


def test_the_decimals_of_a_listing_keep_their_digits() -> None:
    execution = '{"execution_id":"e","price":"100.500","quantity":"0.000010","fee":"0E-8","venue_ts_ns":1}'
    order = (
        '{"venue_order_id":"v","client_order_id":null,"instrument_id":null,"symbol":"SPY","side":"buy",'
        '"order_type":"limit","quantity":"1.0","filled_quantity":"0.50","status":"working","limit_price":"1E+2",'
        f'"stop_price":null,"created_ts_ns":1,"executions":[{execution}]}}'
    )
    position = '{"instrument_id":1,"symbol":"SPY","quantity":"10.00"}'
    payload = (
        f'{{"venue_ts_ns":1,"received_ts_ns":2,"asked_ts_ns":1,"orders":[{order}],"positions":[{position}],'
        '"is_complete":true}'
    )
    event = decoded("AccountListed", payload)
    assert input_row(event, EMPTY_STEP, 1)[4] == payload


def test_decimals_keep_their_digits() -> None:
    event = decoded("AccountFunded", '{"venue_ts_ns":1,"received_ts_ns":2,"amount":"100.50","source":"x"}')
    assert isinstance(event, AccountFunded)
    assert str(event.amount) == "100.50"
