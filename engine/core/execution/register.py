"""The register of an account's orders: makes them, lets reports move them, and asks where an answer is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from engine.core.errors import Bug
from engine.core.execution.ids import client_order_id
from engine.core.execution.order_table import UNANSWERED_STATES, OrderState, OrderTrigger
from engine.core.execution.orders import (
    REPORT_TRIGGERS,
    Execution,
    WorkingOrder,
    bust_trigger,
    execution_trigger,
    reason_of,
    transition,
)
from engine.core.execution.settings import Deadlines
from engine.core.execution.waits import Waits
from engine.core.messages import (
    CancelOrder,
    CancelRejected,
    Draft,
    ExecutionBusted,
    HaltWanted,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotListed,
    OrderRequest,
    QueryOrder,
    VenueReport,
)
from engine.core.values import SECOND_NS, AccountId, ClientOrderId, ExecutionId, InstrumentId, Leg, Sessions

#: So many questions may stay without an answer before the instrument halts.
UNANSWERED_MAX: Final = 3


class OrderRegister:
    """Hold every order of one account, and every execution that was counted."""

    def __init__(
        self,
        *,
        account_id: AccountId,
        namespace: UUID,
        sessions: Mapping[InstrumentId, Sessions],
        waits: Waits,
        deadlines: Deadlines,
    ) -> None:
        self._account_id = account_id
        self._namespace = namespace
        self._sessions = sessions
        self._waits = waits
        self._deadlines = deadlines
        self._orders: dict[ClientOrderId, WorkingOrder] = {}
        # Only what has a deadline: an order that rests where it should costs nothing.
        self._awaited: dict[ClientOrderId, WorkingOrder] = {}
        self._executions: dict[ExecutionId, Execution] = {}
        self._busted: set[ExecutionId] = set()
        self._by_venue_id: dict[str, WorkingOrder] = {}

    def order(self, order_id: ClientOrderId) -> WorkingOrder | None:
        """Return an order of ours, or None."""
        return self._orders.get(order_id)

    def by_venue_id(self, venue_order_id: str) -> WorkingOrder | None:
        """Return the order of ours that the venue keeps under an id, or None."""
        return self._by_venue_id.get(venue_order_id)

    def by_execution(self, execution_id: ExecutionId) -> WorkingOrder | None:
        """Return the order of ours that an execution was booked for, or None."""
        execution = self._executions.get(execution_id)
        return None if execution is None else execution.order

    def open_orders(self) -> list[WorkingOrder]:
        """Return orders that may still fill, oldest first."""
        return [order for order in self._orders.values() if order.is_open]

    def next_deadline_ts_ns(self) -> int | None:
        """Return when the next wait for the venue runs out, ns UTC."""
        deadlines = (order.deadline_ts_ns for order in self._awaited.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def make(self, request: OrderRequest, *, bracket_id: int, draft: Draft) -> WorkingOrder:
        """Make the order of an approved request; the venue's answer to it is awaited from now on."""
        order_id = len(self._orders) + 1
        order = WorkingOrder(
            order_id=order_id,
            client_order_id=client_order_id(
                self._namespace,
                account_id=self._account_id,
                strategy_id=request.strategy_id,
                instrument_id=request.instrument_id,
                sequence=order_id,
                leg=request.leg,
                attempt=1,
            ),
            bracket_id=bracket_id,
            strategy_id=request.strategy_id,
            instrument_id=request.instrument_id,
            leg=request.leg,
            side=request.side,
            order_type=request.order_type,
            quantity=request.quantity,
            reference_price=request.reference_price,
            limit_price=request.limit_price,
            pair=request.pair,
            works_until_ts_ns=self._works_until(request, draft.ts_ns),
            request=request,
            sent_ts_ns=draft.ts_ns,
        )
        self._orders[order.client_order_id] = order
        self._await(order, draft.ts_ns + self._deadlines.acknowledge_ns)
        return order

    def _works_until(self, request: OrderRequest, ts_ns: int) -> int | None:
        if request.leg is not Leg.ENTRY:
            return None
        session = self._sessions[request.instrument_id].session_from(ts_ns)
        ends = [] if session.always_open else [session.close_ts_ns + self._deadlines.entry_after_close_ns]
        if request.expires_after_ns is not None:
            ends.append(self._waits.until(request.instrument_id, ts_ns, request.expires_after_ns))
        return min(ends, default=None)

    # --- reports of the venue ------------------------------------------------------------------------------

    def apply(self, report: VenueReport, order: WorkingOrder, draft: Draft) -> Execution | None:
        """Let a report move its order; return the execution that the ledger has to book, if it brings a new one."""
        if isinstance(report, OrderFilled):
            return self._apply_fill(report, order, draft)
        if isinstance(report, ExecutionBusted):
            return self._apply_bust(report, order, draft)
        if isinstance(report, OrderNotListed):
            raise Bug("That an order is not listed moves it by `OrderRecovery`, which knows what that proves.")
        if not order.was_accepted and _shows_acceptance(report):
            order.was_accepted = draft.is_kept = True
        if isinstance(report, OrderCanceled | OrderExpired) and self._misses_fills(report, order, draft):
            return None
        known = (order.venue_order_id, order.deadline_ts_ns, order.unanswered)
        if isinstance(report, OrderAcknowledged):
            self.learn_venue_id(order, report.venue_order_id)
        trigger = REPORT_TRIGGERS[type(report)]
        if order.state is OrderState.UNKNOWN and order.filled and trigger in _IT_WORKS:
            # It is there again with what it had filled before nobody knew.
            trigger = execution_trigger(order)
        self._transition(order, trigger, report, draft)
        if known != (order.venue_order_id, order.deadline_ts_ns, order.unanswered):
            # No fact need say this, yet later steps are made of it: a restart has to see the report again.
            draft.is_kept = True
        return None

    def _misses_fills(self, report: OrderCanceled | OrderExpired, order: WorkingOrder, draft: Draft) -> bool:
        # I-14: an end counts as confirmed with all that was filled. Until then the order may not be replaced.
        if report.filled_quantity is None or report.filled_quantity <= order.filled or not order.is_open:
            return False
        order.ending, order.ending_filled = REPORT_TRIGGERS[type(report)], report.filled_quantity
        draft.is_kept = True
        self._await(order, order.deadline_ts_ns or draft.ts_ns + self._deadlines.acknowledge_ns)
        return True

    def _apply_fill(self, report: OrderFilled, order: WorkingOrder, draft: Draft) -> Execution | None:
        if report.execution_id in self._executions:
            return None
        execution = Execution(
            order=order,
            execution_id=report.execution_id,
            price=report.price,
            quantity=report.quantity,
            fee=report.fee,
            is_bust=False,
            venue_ts_ns=report.venue_ts_ns,
        )
        self._executions[report.execution_id] = execution
        order.executions[report.execution_id] = draft.ts_ns
        order.was_accepted = True
        order.filled += report.quantity
        self._transition(order, execution_trigger(order), report, draft)
        if order.ending is not None and order.filled >= order.ending_filled:
            ending, order.ending = order.ending, None
            self._transition(order, ending, report, draft)
        return execution

    def _apply_bust(self, report: ExecutionBusted, order: WorkingOrder, draft: Draft) -> Execution | None:
        filled = self._executions.get(report.execution_id)
        if filled is None or report.execution_id in self._busted:
            return None
        self._busted.add(report.execution_id)
        order.executions.pop(report.execution_id, None)
        order.filled -= filled.quantity
        if order.state is not OrderState.FILLED or order.filled < order.quantity:
            if order.state is OrderState.FILLED:
                # It works again. What was asked of it before its end the venue has forgotten: who wants it, asks anew.
                order.cancel_requested = order.is_leftover = False
            self._transition(order, bust_trigger(order), report, draft)
        return Execution(
            order=order,
            execution_id=report.execution_id,
            price=filled.price,
            quantity=filled.quantity,
            fee=filled.fee,
            is_bust=True,
            venue_ts_ns=report.venue_ts_ns,
        )

    def _transition(self, order: WorkingOrder, trigger: OrderTrigger, report: VenueReport, draft: Draft) -> None:
        was_known = order.state is not OrderState.UNKNOWN
        fact = transition(order, trigger, ts_ns=draft.ts_ns, venue_ts_ns=report.venue_ts_ns, reason=reason_of(report))
        if fact is not None:
            draft.facts.append(fact)
        if not order.is_open:
            order.ended_ts_ns = order.ended_ts_ns or draft.ts_ns
            self._await(order, None)
            return
        # A bust lets an order work again that was over.
        order.ended_ts_ns = 0
        if order.state in UNANSWERED_STATES:
            wait_ns = self._deadlines.acknowledge_ns
            if trigger is OrderTrigger.OUTCOME_UNKNOWN and was_known:
                # Nobody will answer any more: it is asked about at once, and from then on less and less often.
                wait_ns = min(wait_ns, SECOND_NS)
            self._await_at_most(order, draft.ts_ns + wait_ns)
        elif order.ending is not None:
            return
        elif order.cancel_requested:
            if trigger in _IT_WORKS and self._waits.is_open(order.instrument_id, draft.ts_ns):
                # The venue speaks, and knows nothing of the cancel: it was lost, and asking again floods nobody.
                self._await_at_most(order, draft.ts_ns + self._deadlines.acknowledge_ns)
        elif not order.is_leftover:
            order.unanswered = 0
            self._await(order, order.works_until_ts_ns)
            if _is_past_its_time(order, draft.ts_ns):
                self.request_cancel(order, draft)

    def _await_at_most(self, order: WorkingOrder, until_ts_ns: int) -> None:
        self._await(order, min(order.deadline_ts_ns or until_ts_ns, until_ts_ns))

    def _await(self, order: WorkingOrder, deadline_ts_ns: int | None) -> None:
        order.deadline_ts_ns = deadline_ts_ns
        if deadline_ts_ns is None:
            self._awaited.pop(order.client_order_id, None)
        else:
            self._awaited[order.client_order_id] = order

    # --- what is asked of the venue ------------------------------------------------------------------------

    def learn_venue_id(self, order: WorkingOrder, venue_order_id: str) -> None:
        """Remember under which id the venue keeps an order: it has taken it."""
        order.venue_order_id = venue_order_id
        order.was_accepted = True
        self._by_venue_id.setdefault(venue_order_id, order)

    def await_answer(self, order: WorkingOrder, deadline_ts_ns: int) -> None:
        """Wait for the venue's answer to an order until a moment, ns UTC."""
        self._await(order, deadline_ts_ns)

    def forget_deadline(self, order: WorkingOrder) -> None:
        """Wait for nothing any more."""
        self._await(order, None)

    def request_cancel(self, order: WorkingOrder, draft: Draft) -> None:
        """Ask for the cancel of an order, once; what it has filled stays."""
        if order.cancel_requested or not order.is_open:
            return
        order.cancel_requested = True
        order.unanswered = 0
        fact = transition(
            order, OrderTrigger.CANCEL_REQUESTED, ts_ns=draft.ts_ns, venue_ts_ns=draft.ts_ns, source="engine"
        )
        if fact is not None:
            draft.facts.append(fact)
        self._await(order, draft.ts_ns + self._deadlines.cancel_ns)
        draft.commands.append(CancelOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))

    def leave_over(self, order: WorkingOrder, draft: Draft) -> None:
        """Expect the end of an order that has nothing left to sell, and cancel it where that does not come in time.

        The venue cancels a linked leg within the fill of the other, so that usually nothing has to be asked.
        """
        if order.is_leftover or not order.is_open:
            return
        order.is_leftover = True
        if order.link is None:
            self.request_cancel(order, draft)
        if not order.cancel_requested:
            self._await(order, draft.ts_ns + self._deadlines.cancel_ns)

    def run_out(self, draft: Draft) -> list[HaltWanted]:
        """Escalate every wait for the venue that has run out: cancel, ask, and after some questions halt."""
        halts: list[HaltWanted] = []
        for order in list(self._awaited.values()):
            if order.deadline_ts_ns is not None and order.deadline_ts_ns <= draft.ts_ns:
                halts += self._overdue(order, draft)
        return halts

    def _overdue(self, order: WorkingOrder, draft: Draft) -> list[HaltWanted]:
        if not order.cancel_requested and (order.is_leftover or _is_past_its_time(order, draft.ts_ns)):
            self.request_cancel(order, draft)
            return []
        before = order.unanswered
        self._ask(order, draft)
        if order.unanswered != UNANSWERED_MAX or before == UNANSWERED_MAX:
            return []
        return [
            HaltWanted(
                instrument_id=order.instrument_id,
                reason=f"order {order.order_id} left {UNANSWERED_MAX} questions unanswered: look at it at the venue",
            )
        ]

    def _ask(self, order: WorkingOrder, draft: Draft) -> None:
        fact = transition(
            order,
            OrderTrigger.OUTCOME_UNKNOWN,
            ts_ns=draft.ts_ns,
            venue_ts_ns=draft.ts_ns,
            reason="no answer in time",
            source="engine",
        )
        if fact is not None:
            draft.facts.append(fact)
        # While the exchange halts an instrument a cancel waits by its nature: no answer tells nothing then.
        if order.state in UNANSWERED_STATES or not self._waits.is_paused(order.instrument_id):
            order.unanswered += 1
        # Asked less and less often: the venue is not to be flooded by a silence of its own.
        self._await(order, draft.ts_ns + self._deadlines.acknowledge_ns * 2 ** min(order.unanswered, 6))
        draft.commands.append(QueryOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))
        if order.cancel_requested:
            # The first request may be lost, or was refused at a moment at which the order could not be canceled.
            draft.commands.append(CancelOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))


_IT_WORKS: Final = (OrderTrigger.ACKNOWLEDGED, OrderTrigger.APPROVAL_ASKED)


def _is_past_its_time(order: WorkingOrder, ts_ns: int) -> bool:
    return order.works_until_ts_ns is not None and order.works_until_ts_ns <= ts_ns


# These tell no id of the venue's, and show all the same that it took the order.
def _shows_acceptance(report: VenueReport) -> bool:
    if isinstance(report, CancelRejected):
        return report.is_known
    return isinstance(report, OrderAwaitingApproval | OrderCanceled | OrderExpired)
