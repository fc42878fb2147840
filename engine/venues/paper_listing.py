"""What the paper venue lists of its account: open orders, those of the last day, and what it holds."""

from __future__ import annotations

from typing import Final

from engine.core.messages import AccountListed, ListedOrder, ListedPosition
from engine.core.values import DAY_NS
from engine.venues.listings import listed_order
from engine.venues.paper_desk import PaperDesk
from engine.venues.paper_state import PaperOrder, PaperOrderStatus

#: For how long an order that is over is listed, ns. An account may hold years of orders and is asked every few seconds.
LISTED_NS: Final = DAY_NS


def account_listing(desk: PaperDesk, asked_ts_ns: int) -> AccountListed:
    """Return the listing of an account as of now: whole, for it comes out of the venue's own memory.

    Of the orders that are over, those of the day before `asked_ts_ns` (ns UTC) are in it.

    An order on its way is listed as working: it is in the book and will arrive, so nobody may take it for absent.
    """
    return AccountListed(
        venue_ts_ns=asked_ts_ns,
        received_ts_ns=desk.clock(asked_ts_ns),
        asked_ts_ns=asked_ts_ns,
        orders=tuple(
            _listed(desk, order, asked_ts_ns)
            for order in desk.orders.values()
            if order.status is not PaperOrderStatus.GONE or _ended_ts_ns(desk, order) > asked_ts_ns - LISTED_NS
        ),
        positions=tuple(
            ListedPosition(instrument_id=identity, symbol=lane.instrument.symbol, quantity=lane.state.position)
            for identity, lane in desk.lanes.items()
            if lane.state.position
        ),
        is_complete=True,
    )


def _ended_ts_ns(desk: PaperDesk, order: PaperOrder) -> int:
    return desk.story(order.command.client_order_id)[-1].received_ts_ns


def _listed(desk: PaperDesk, order: PaperOrder, asked_ts_ns: int) -> ListedOrder:
    command = order.command
    return listed_order(
        command,
        desk.story(command.client_order_id),
        venue_order_id=f"P{order.number}",
        instrument_id=command.instrument_id if command.instrument_id in desk.lanes else None,
        created_ts_ns=min(order.arrived_ts_ns, asked_ts_ns),
        is_open=order.status is not PaperOrderStatus.GONE,
    )
