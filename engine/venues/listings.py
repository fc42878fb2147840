"""How an order whose story is known stands in a listing: for venues that keep every report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.core.messages import (
    ListedExecution,
    ListedOrder,
    ListedStatus,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import ZERO, InstrumentId

_ENDS: Final[dict[type, ListedStatus]] = {
    OrderRejected: ListedStatus.REJECTED,
    OrderCanceled: ListedStatus.CANCELED,
    OrderExpired: ListedStatus.EXPIRED,
}


def listed_order(
    command: SubmitOrder,
    story: Sequence[VenueReport],
    *,
    venue_order_id: str,
    instrument_id: InstrumentId | None,
    created_ts_ns: int,
    is_open: bool,
) -> ListedOrder:
    """Return an order as a listing has it, from the reports that told its story, oldest first."""
    executions = tuple(
        ListedExecution(
            execution_id=report.execution_id,
            price=report.price,
            quantity=report.quantity,
            fee=report.fee,
            venue_ts_ns=report.venue_ts_ns,
        )
        for report in story
        if isinstance(report, OrderFilled)
    )
    end = next((_ENDS[type(report)] for report in reversed(story) if type(report) in _ENDS), ListedStatus.FILLED)
    return ListedOrder(
        venue_order_id=venue_order_id,
        client_order_id=command.client_order_id,
        instrument_id=instrument_id,
        symbol=command.symbol,
        side=command.side,
        order_type=command.order_type,
        quantity=command.quantity,
        filled_quantity=sum((each.quantity for each in executions), ZERO),
        status=ListedStatus.WORKING if is_open else end,
        limit_price=command.limit_price,
        stop_price=command.stop_price,
        created_ts_ns=created_ts_ns,
        executions=executions,
    )
