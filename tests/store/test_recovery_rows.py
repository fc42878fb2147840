"""Orders that are not ours and comparisons of positions: rows that read as a person expects, under the hash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.core.messages import (
    AccountListed,
    ComparisonVerdict,
    ExternalOrderSeen,
    Fact,
    ListedStatus,
    PositionCompared,
    Step,
)
from engine.core.values import InstrumentId, OrderType, Side
from engine.store.check import check_database

SEEN = ExternalOrderSeen(
    venue_order_id="V1",
    instrument_id=InstrumentId(1),
    symbol="SPY",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("10.5"),
    filled_quantity=Decimal("0.00000001"),
    status=ListedStatus.WORKING,
    limit_price=Decimal("99.5"),
    stop_price=None,
    created_ts_ns=1,
    ts_ns=2,
)
COMPARED = PositionCompared(
    instrument_id=InstrumentId(1),
    symbol="SPY",
    booked=Decimal(10),
    listed=Decimal("7.5"),
    verdict=ComparisonVerdict.DRIFT,
    ts_ns=2,
)
LISTED = AccountListed(venue_ts_ns=1, received_ts_ns=2, asked_ts_ns=1, orders=(), positions=(), is_complete=True)


def test_what_a_listing_shows_is_kept(make_store: Callable[..., Any]) -> None:
    store = make_store()
    unknown = replace(SEEN, instrument_id=None, symbol="QQQ", status=ListedStatus.UNREADABLE)
    store.write([(LISTED, Step((COMPARED, SEEN, unknown), ()))])
    assert store.rows(
        "SELECT step_id, venue_order_id, instrument_id, symbol, side, order_type, quantity, filled_quantity_e8, "
        "status, limit_price, stop_price FROM external_orders ORDER BY id"
    ) == [
        (1, "V1", 1, "SPY", "buy", "limit", 10.5, 1, "working", 99.5, None),
        (1, "V1", None, "QQQ", "buy", "limit", 10.5, 1, "unreadable", 99.5, None),
    ]
    assert store.rows("SELECT symbol, booked_quantity, listed_quantity, verdict FROM position_comparisons") == [
        ("SPY", 10.0, 7.5, "drift")
    ]
    assert store.rows("SELECT kind FROM inputs") == [("AccountListed",)]
    assert check_database(store.path).is_sound


def test_each_of_them_is_under_the_hash(make_store: Callable[..., Any]) -> None:
    hashes = set()
    facts: tuple[Fact, ...] = (
        SEEN,
        replace(SEEN, filled_quantity=Decimal(1)),
        COMPARED,
        replace(COMPARED, listed=Decimal(7)),
    )
    for number, fact in enumerate(facts):
        hashes.add(make_store(f"{number}.sqlite").write([(LISTED, Step((fact,), ()))]))
    assert len(hashes) == len(facts)
