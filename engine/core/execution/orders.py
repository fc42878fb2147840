"""The engine's own orders: what was decided, and how reports move it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.core.execution.order_table import OPEN_STATES, ORDER_MACHINE, OrderState, OrderTrigger
from engine.core.messages import (
    CancelRejected,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderRequest,
    OrderTransitioned,
    OutcomeUnknown,
    SubmitOrder,
    VenueReport,
)
from engine.core.messages.quick import quick_init
from engine.core.values import (
    ZERO,
    ClientOrderId,
    ExecutionId,
    InstrumentId,
    Leg,
    OrderType,
    Side,
    StrategyId,
)

#: Which trigger a report without a quantity is.
REPORT_TRIGGERS: Final[dict[type, OrderTrigger]] = {
    OrderAcknowledged: OrderTrigger.ACKNOWLEDGED,
    OrderAwaitingApproval: OrderTrigger.APPROVAL_ASKED,
    OrderCanceled: OrderTrigger.CANCELED,
    OrderExpired: OrderTrigger.EXPIRED,
    OrderRejected: OrderTrigger.REJECTED,
    CancelRejected: OrderTrigger.CANCEL_REJECTED,
    OutcomeUnknown: OrderTrigger.OUTCOME_UNKNOWN,
}


@dataclass(slots=True, kw_only=True)
class WorkingOrder:
    """Hold one order while the engine lives. Changed by this module's functions only."""

    order_id: int
    client_order_id: ClientOrderId
    bracket_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    leg: Leg
    side: Side
    order_type: OrderType
    quantity: Decimal
    reference_price: Decimal
    limit_price: Decimal | None
    pair: int
    state: OrderState = OrderState.NEW
    version: int = 1
    filled: Decimal = ZERO
    cancel_requested: bool = False
    venue_order_id: str | None = None
    #: Until when an entry may work: a while after its session, ns UTC; None where nothing ends it.
    works_until_ts_ns: int | None = None
    #: When the engine stops waiting for an answer (to the order, or to its cancel), ns UTC.
    deadline_ts_ns: int | None = None
    #: How many questions about it the venue has left without an answer that ends the wait.
    unanswered: int = 0
    #: What links it to the other leg of its pair at the venue; None where it stands alone.
    link: ClientOrderId | None = None
    #: How the venue has ended it, and with how much filled, while it has not told all of these fills.
    ending: OrderTrigger | None = None
    ending_filled: Decimal = ZERO
    #: True once nothing is left for it to sell: its pair or its bracket is done.
    is_leftover: bool = False
    #: What the gate approved and what was sent: sending again is sending the same.
    request: OrderRequest | None = None
    command: SubmitOrder | None = None
    #: When it last left or may have left, ns UTC; how often.
    sent_ts_ns: int = 0
    sends: int = 1
    #: When the first of the listings was asked for that, up to the last one, do not hold it, ns UTC.
    absent_since_ts_ns: int | None = None
    #: True once the venue has shown that it took it: from then on it is never sent again.
    was_accepted: bool = False
    #: The venue's ids of listed orders of its very terms without our id: while one is nobody's, it may be this order,
    #: and absence proves nothing.
    candidates: set[str] = field(default_factory=set)
    #: When it ended, by the engine's time, ns UTC; 0 while it has not.
    ended_ts_ns: int = 0
    #: Executions that count, and when the engine heard of each, ns UTC.
    executions: dict[ExecutionId, int] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Return whether the order may still fill; an unknown outcome counts."""
        return self.state in OPEN_STATES

    @property
    def remaining(self) -> Decimal:
        """Return what may still fill, in shares or coins."""
        return max(ZERO, self.quantity - self.filled) if self.state in OPEN_STATES else ZERO


def transition(
    order: WorkingOrder, trigger: OrderTrigger, *, ts_ns: int, venue_ts_ns: int, reason: str = "", source: str = "venue"
) -> OrderTransitioned | None:
    """Move an order by a trigger and return the fact; None where nothing changed and nothing is worth a row."""
    before = order.state
    after = ORDER_MACHINE.advance(before, trigger)
    if after is before and trigger in _SILENT_WHEN_UNCHANGED:
        return None
    order.state = after
    order.version += 1
    return OrderTransitioned(
        order_id=order.order_id,
        version=order.version,
        from_state=before.value,
        to_state=after.value,
        trigger=trigger.value,
        source=source,
        reason=reason,
        filled_quantity=order.filled,
        cancel_requested=order.cancel_requested,
        venue_order_id=order.venue_order_id,
        venue_ts_ns=venue_ts_ns,
        ts_ns=ts_ns,
    )


# An old or repeated report says nothing new.
_SILENT_WHEN_UNCHANGED: Final = frozenset(
    {
        OrderTrigger.ACKNOWLEDGED,
        OrderTrigger.APPROVAL_ASKED,
        OrderTrigger.CANCELED,
        OrderTrigger.EXPIRED,
        OrderTrigger.REJECTED,
        OrderTrigger.OUTCOME_UNKNOWN,
    }
)


def execution_trigger(order: WorkingOrder) -> OrderTrigger:
    """Return the trigger of an execution that is already counted in `order.filled`."""
    return OrderTrigger.FILLED_IN_FULL if order.filled >= order.quantity else OrderTrigger.FILLED_IN_PART


def bust_trigger(order: WorkingOrder) -> OrderTrigger:
    """Return the trigger of a bust that is already taken out of `order.filled`."""
    return OrderTrigger.BUSTED_IN_PART if order.filled else OrderTrigger.BUSTED_IN_FULL


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Hold an execution that has to be booked: a fill (or its bust) of a known order, seen for the first time."""

    order: WorkingOrder
    execution_id: ExecutionId
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_bust: bool
    venue_ts_ns: int


def reason_of(report: VenueReport) -> str:
    """Return what the venue gives as the reason of a report, or nothing."""
    return getattr(report, "reason", "")
