"""What the paper venue lists of its account: every order that it ever took, and what it holds."""

from __future__ import annotations

from engine.core.messages import AccountListed, ListedOrder, ListedPosition
from engine.venues.listings import listed_order
from engine.venues.paper_desk import PaperDesk
from engine.venues.paper_state import PaperOrder, PaperOrderStatus


def account_listing(desk: PaperDesk, asked_ts_ns: int) -> AccountListed:
    """Return the listing of an account as of now: whole, for it comes out of the venue's own memory.

    An order on its way is listed as working: it is in the book and will arrive, so nobody may take it for absent.
    """
    return AccountListed(
        venue_ts_ns=asked_ts_ns,
        received_ts_ns=desk.clock(asked_ts_ns),
        asked_ts_ns=asked_ts_ns,
        orders=tuple(_listed(desk, order, asked_ts_ns) for order in desk.orders.values()),
        positions=tuple(
            ListedPosition(instrument_id=identity, symbol=lane.instrument.symbol, quantity=lane.state.position)
            for identity, lane in desk.lanes.items()
            if lane.state.position
        ),
        is_complete=True,
    )


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
