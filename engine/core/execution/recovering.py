"""What a venue's silence proves about an order, and what a new engine makes of its predecessor's requests.

An order without an answer is UNKNOWN until the venue gives evidence (I-4). That it is not listed is evidence only where
listings have had time to settle: two of them without it, so long apart, the later one so long after the order was
last sent. An order that the venue ever showed to have taken is never taken for absent: a listing may lose it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from engine.core.execution.order_table import UNANSWERED_STATES, OrderState, OrderTrigger
from engine.core.execution.orders import WorkingOrder, transition
from engine.core.execution.register import OrderRegister
from engine.core.execution.settings import Deadlines
from engine.core.messages import CancelOrder, Draft, ListedOrder
from engine.core.values import ExecutionId, Leg


class Absence(StrEnum):
    """Name what it means that an order is not listed."""

    #: Too early, or an order that was there once: nothing follows.
    PROVES_NOTHING = "proves_nothing"
    #: It never reached the venue, and is young enough to be sent again if the gate passes it.
    MAY_BE_SENT_AGAIN = "may_be_sent_again"
    #: It never reached the venue and is not wanted any more.
    NOT_WANTED = "not_wanted"


class OrderRecovery:
    """Find the truth about orders whose outcome is not known."""

    def __init__(self, *, orders: OrderRegister, deadlines: Deadlines) -> None:
        self._orders = orders
        self._deadlines = deadlines

    def restarted(self, draft: Draft) -> None:
        """Take over from an engine that ended: what it sent may or may not have left, and is asked about."""
        for order in self._orders.open_orders():
            if order.state is OrderState.NEW:
                self._move(order, OrderTrigger.OUTCOME_UNKNOWN, "the engine was restarted before an answer", draft)
            if order.state in UNANSWERED_STATES:
                # It may have left at the last moment before the end, which nobody wrote down.
                order.sent_ts_ns, order.absent_since_ts_ns = draft.ts_ns, None
                self._orders.await_answer(order, draft.ts_ns + self._deadlines.settle_ns)
                draft.is_kept = True
            if order.cancel_requested:
                self._orders.await_answer(order, draft.ts_ns + self._deadlines.cancel_ns)
                draft.commands.append(CancelOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))

    def order_of(self, each: ListedOrder) -> WorkingOrder | None:
        """Return the order of ours that is listed, known by the venue's id, by ours or by an execution; or None."""
        order = self._orders.by_venue_id(each.venue_order_id)
        if order is None and each.client_order_id is not None:
            order = self._orders.order(each.client_order_id)
        if order is None:
            known = (self._orders.by_execution(execution.execution_id) for execution in each.executions)
            order = next((found for found in known if found is not None), None)
        # A second order under one id of ours is not the one that we know.
        is_other = order is not None and order.venue_order_id not in (None, each.venue_order_id)
        return None if is_other else order

    def counting(self, execution_ids: Iterable[ExecutionId]) -> list[ExecutionId]:
        """Return those executions that are booked and were not taken back."""
        known = ((each, self._orders.by_execution(each)) for each in execution_ids)
        return [each for each, order in known if order is not None and each in order.executions]

    def listed(self, order: WorkingOrder, venue_order_id: str, draft: Draft) -> None:
        """Remember that the venue lists an order."""
        if order.absent_since_ts_ns is not None:
            order.absent_since_ts_ns = None
            draft.is_kept = True
        if order.venue_order_id is None:
            self._orders.learn_venue_id(order, venue_order_id)
            draft.is_kept = True

    def not_listed(self, order: WorkingOrder, asked_ts_ns: int, *, is_certain: bool, draft: Draft) -> Absence:
        """Return what it means that an open order was not in a complete listing that was asked for at a moment."""
        draft.is_kept = True
        if not is_certain and not self._has_settled(order, asked_ts_ns):
            if order.absent_since_ts_ns is None:
                order.absent_since_ts_ns = asked_ts_ns
            if order.state in UNANSWERED_STATES:
                self._orders.await_answer(order, draft.ts_ns + self._deadlines.settle_ns)
            return Absence.PROVES_NOTHING
        if order.was_accepted or (self._may_be_there(order) and not is_certain):
            if order.state not in UNANSWERED_STATES:
                self._move(order, OrderTrigger.PROVEN_ABSENT, "a complete listing does not hold it any more", draft)
                self._orders.await_answer(order, draft.ts_ns + self._deadlines.settle_ns)
            return Absence.PROVES_NOTHING
        return Absence.MAY_BE_SENT_AGAIN if self._is_wanted(order, draft.ts_ns) else Absence.NOT_WANTED

    def _may_be_there(self, order: WorkingOrder) -> bool:
        return any(self._orders.by_venue_id(each) is None for each in order.candidates)

    def _has_settled(self, order: WorkingOrder, asked_ts_ns: int) -> bool:
        since = order.absent_since_ts_ns
        settle_ns = self._deadlines.settle_ns
        return since is not None and asked_ts_ns >= max(order.sent_ts_ns, since) + settle_ns

    def _is_wanted(self, order: WorkingOrder, ts_ns: int) -> bool:
        if order.cancel_requested or order.is_leftover or order.command is None:
            return False
        if order.leg is Leg.ENTRY:
            return ts_ns - order.command.decided_ts_ns < self._deadlines.request_life_ns
        return order.sends < self._deadlines.sends_max

    def give_up(self, order: WorkingOrder, reason: str, draft: Draft) -> None:
        """End an order that never reached the venue and is not sent again."""
        self._move(order, OrderTrigger.PROVEN_ABSENT, reason, draft)
        order.ended_ts_ns = draft.ts_ns
        self._orders.forget_deadline(order)

    def send_again(self, order: WorkingOrder, draft: Draft) -> None:
        """Send an order that never reached the venue once more: the same id and the same payload."""
        assert order.command is not None
        if order.state is OrderState.NEW:
            self._move(order, OrderTrigger.OUTCOME_UNKNOWN, "no answer", draft)
        self._move(order, OrderTrigger.SENT_AGAIN, "proven absent at the venue, and passed by the gate again", draft)
        order.sends += 1
        order.sent_ts_ns, order.absent_since_ts_ns = draft.ts_ns, None
        self._orders.await_answer(order, draft.ts_ns + self._deadlines.acknowledge_ns)
        draft.commands.append(order.command)

    def _move(self, order: WorkingOrder, trigger: OrderTrigger, reason: str, draft: Draft) -> None:
        fact = transition(order, trigger, ts_ns=draft.ts_ns, venue_ts_ns=draft.ts_ns, reason=reason, source="engine")
        if fact is not None:
            draft.facts.append(fact)
