"""Commands: what the shell has to do at the venue, after its row is committed. Imperative, idempotent by id."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.core.messages.quick import quick_init
from engine.core.values import ClientOrderId, InstrumentId, OrderType, Side, TimeInForce


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOrder:
    """Place an order; the same client order id is the same order for ever."""

    client_order_id: ClientOrderId
    instrument_id: InstrumentId
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    #: When the decision was made, ns UTC.
    decided_ts_ns: int
    #: Orders with the same link are legs of one pair: a fill of one cancels the others at the venue, and
    #: they hold shares once. None where the venue does not link or the order stands alone.
    link: ClientOrderId | None = None


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Ask the venue to cancel an order."""

    client_order_id: ClientOrderId
    decided_ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOrder:
    """Ask the venue what it knows of an order; it answers with that order's reports."""

    client_order_id: ClientOrderId
    decided_ts_ns: int


Command = SubmitOrder | CancelOrder | QueryOrder
