"""Planted bugs of orders: their ids, their outcomes, and the executions that move them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

import pytest
from families import BUSTS, LOST_REQUESTS, NO_DEDUPE, OVERTAKING, PUSHES, RACES, RESTARTS, SLOW_ABSENCE
from planting import Registry

from engine.core.execution import orders as order_module
from engine.core.execution.order_table import TERMINAL_STATES, OrderState, OrderTrigger
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.recovering import OrderRecovery
from engine.core.execution.register import OrderRegister
from engine.core.messages import (
    AccountListed,
    CancelRejected,
    Draft,
    ExecutionBusted,
    ListedOrder,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OutcomeUnknown,
    VenueReport,
)
from engine.core.pipeline.pipeline import Pipeline
from engine.core.pipeline.reconciling import Reconciler
from engine.core.values import ClientOrderId, ExecutionId

REGISTRY: Final = Registry()
bug: Final = REGISTRY.bug
_FRESH: Final = UUID(int=5)


def _fresh(identity: ClientOrderId) -> ClientOrderId:
    return ClientOrderId(str(uuid5(_FRESH, identity)))


@bug(
    "fresh_id_on_retry",
    "An order that was not answered is sent again at once, under an id of its own.",
    "I-2",
    "I-3",
    "I-18",
    scenarios=LOST_REQUESTS,
    seeds=2,
)
def _fresh_id_on_retry(patch: pytest.MonkeyPatch) -> None:
    take = Pipeline._take_report

    def retried(self: Pipeline, report: VenueReport, draft: Draft, *, since: int) -> None:
        take(self, report, draft, since=since)
        order = self.execution.order(report.client_order_id)
        if isinstance(report, OutcomeUnknown) and order is not None and order.state is OrderState.UNKNOWN:
            assert order.command is not None
            again = replace(order.command, client_order_id=_fresh(order.client_order_id))
            self.execution._orders._orders[again.client_order_id] = order
            draft.commands.append(again)

    patch.setattr(Pipeline, "_take_report", retried)


@bug(
    "fresh_id_on_resend",
    "What is proven absent is sent again under an id of its own.",
    "I-2",
    "I-18",
    scenarios=LOST_REQUESTS,
    seeds=2,
)
def _fresh_id_on_resend(patch: pytest.MonkeyPatch) -> None:
    send_again = OrderRecovery.send_again

    def renamed(self: OrderRecovery, order: WorkingOrder, draft: Draft) -> None:
        send_again(self, order, draft)
        assert order.command is not None
        again = replace(order.command, client_order_id=_fresh(order.client_order_id))
        self._orders._orders[again.client_order_id] = order
        draft.commands[-1] = again

    patch.setattr(OrderRecovery, "send_again", renamed)


@bug(
    "retry_as_a_new_order",
    "A request that was not answered is made once more, as a new order.",
    "I-3",
    "I-4",
    "I-12",
    scenarios=LOST_REQUESTS,
    seeds=2,
)
def _retry_as_a_new_order(patch: pytest.MonkeyPatch) -> None:
    take = Pipeline._take_report

    def retried(self: Pipeline, report: VenueReport, draft: Draft, *, since: int) -> None:
        take(self, report, draft, since=since)
        order = self.execution.order(report.client_order_id)
        if isinstance(report, OutcomeUnknown) and order is not None and order.state is OrderState.UNKNOWN:
            assert order.request is not None
            self.desk.fulfil([order.request], draft)

    patch.setattr(Pipeline, "_take_report", retried)


@bug(
    "payload_changes_on_resend",
    "What is sent again is written anew, with the moment of the second send in it.",
    "I-2",
    scenarios=LOST_REQUESTS,
    seeds=2,
)
def _payload_changes_on_resend(patch: pytest.MonkeyPatch) -> None:
    send_again = OrderRecovery.send_again

    def rewritten(self: OrderRecovery, order: WorkingOrder, draft: Draft) -> None:
        assert order.command is not None
        order.command = replace(order.command, decided_ts_ns=draft.ts_ns)
        send_again(self, order, draft)

    patch.setattr(OrderRecovery, "send_again", rewritten)


@bug(
    "resend_without_age",
    "An entry that never reached the venue is sent again however old it is.",
    "I-5",
    scenarios=SLOW_ABSENCE,
    seeds=14,
)
def _resend_without_age(patch: pytest.MonkeyPatch) -> None:
    def wanted(_: OrderRecovery, order: WorkingOrder, ts_ns: int) -> bool:
        del ts_ns
        return not order.cancel_requested and not order.is_leftover and order.command is not None

    patch.setattr(OrderRecovery, "_is_wanted", wanted)


@bug(
    "absence_believed_at_once",
    "One listing without an order proves that it never arrived, however soon it was asked for.",
    "I-3",
    "I-4",
    "I-12",
    scenarios=NO_DEDUPE,
    seeds=2,
)
def _absence_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderRecovery, "_has_settled", lambda *_: True)


@bug(
    "time_out_is_a_rejection",
    "A request without an answer counts as refused.",
    "I-4",
    "I-12",
    scenarios=LOST_REQUESTS,
    seeds=2,
)
def _time_out_is_a_rejection(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(order_module.REPORT_TRIGGERS, OutcomeUnknown, OrderTrigger.REJECTED)


@bug(
    "refused_cancel_is_an_end",
    "A cancel that the venue refuses counts as the end of its order.",
    "I-4",
    "I-12",
    scenarios=RACES,
    seeds=2,
)
def _refused_cancel_is_an_end(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(order_module.REPORT_TRIGGERS, CancelRejected, OrderTrigger.CANCELED)


@bug(
    "no_dedupe",
    "An execution that is told twice is booked twice.",
    "I-7",
    "I-18",
    scenarios=PUSHES,
    seeds=2,
)
def _no_dedupe(patch: pytest.MonkeyPatch) -> None:
    apply_fill = OrderRegister._apply_fill

    def forgetful(self: OrderRegister, report: OrderFilled, order: WorkingOrder, draft: Draft) -> Execution | None:
        self._executions.pop(report.execution_id, None)
        return apply_fill(self, report, order, draft)

    patch.setattr(OrderRegister, "_apply_fill", forgetful)


@bug(
    "dedupe_lost_at_restart",
    "Which executions were booked is forgotten when the engine is started again.",
    "I-7",
    "I-18",
    scenarios=RESTARTS,
    seeds=2,
)
def _dedupe_lost_at_restart(patch: pytest.MonkeyPatch) -> None:
    restarted = OrderRecovery.restarted

    def forgetful(self: OrderRecovery, draft: Draft) -> None:
        restarted(self, draft)
        draft.is_kept = True
        self._orders._executions.clear()
        for order in self._orders._orders.values():
            order.executions.clear()

    patch.setattr(OrderRecovery, "restarted", forgetful)


@bug(
    "quantity_from_a_cancel",
    "The filled quantity that a cancel tells is taken for the fills themselves.",
    "I-8",
    scenarios=RACES,
    seeds=5,
)
def _quantity_from_a_cancel(patch: pytest.MonkeyPatch) -> None:
    def believed(_: OrderRegister, report: OrderCanceled | OrderExpired, order: WorkingOrder, draft: Draft) -> bool:
        if report.filled_quantity is not None and report.filled_quantity > order.filled:
            order.filled = report.filled_quantity
            draft.is_kept = True
        return False

    patch.setattr(OrderRegister, "_misses_fills", believed)


@bug(
    "fills_from_a_status",
    "What a listing says to be filled is booked as one execution with an id of the engine's making.",
    "I-7",
    "I-8",
    scenarios=PUSHES,
    seeds=10,
)
def _fills_from_a_status(patch: pytest.MonkeyPatch) -> None:
    news = Reconciler._news

    def made_up(
        self: Reconciler, order: WorkingOrder, each: ListedOrder, listed: AccountListed, *rest: Any
    ) -> Iterator[VenueReport]:
        for report in news(self, order, each, listed, *rest):
            if not isinstance(report, OrderFilled | ExecutionBusted):
                yield report
        if each.filled_quantity > order.filled:
            yield OrderFilled(
                client_order_id=order.client_order_id,
                execution_id=ExecutionId(f"{each.venue_order_id}:{each.filled_quantity}"),
                price=order.reference_price,
                quantity=each.filled_quantity - order.filled,
                fee=Decimal(0),
                venue_ts_ns=listed.venue_ts_ns,
                received_ts_ns=listed.received_ts_ns,
            )

    patch.setattr(Reconciler, "_news", made_up)


@bug(
    "listing_adds_up",
    "Every listing adds what it lists as filled to what an open order has filled.",
    "I-8",
    scenarios=RACES,
    seeds=6,
)
def _listing_adds_up(patch: pytest.MonkeyPatch) -> None:
    catch_up = Reconciler._catch_up

    def adding(self: Reconciler, order: WorkingOrder, each: ListedOrder, listed: AccountListed, draft: Draft) -> None:
        catch_up(self, order, each, listed, draft)
        if order.is_open and each.filled_quantity:
            order.filled += each.filled_quantity
            draft.is_kept = True

    patch.setattr(Reconciler, "_catch_up", adding)


@bug(
    "cancel_ends_before_its_fills",
    "A confirmed cancel ends its order although it tells of fills that nobody has told yet.",
    "I-12",
    "I-14",
    scenarios=RACES,
    seeds=6,
)
def _cancel_ends_before_its_fills(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderRegister, "_misses_fills", lambda *_: False)


@bug(
    "late_fills_ignored",
    "A cancel ends its order at once, and a fill of it that comes later is dropped.",
    "I-7",
    "I-12",
    "I-13",
    "I-9",
    scenarios=RACES,
    seeds=2,
)
def _late_fills_ignored(patch: pytest.MonkeyPatch) -> None:
    apply_fill = OrderRegister._apply_fill

    def deaf(self: OrderRegister, report: OrderFilled, order: WorkingOrder, draft: Draft) -> Execution | None:
        return None if order.state in TERMINAL_STATES else apply_fill(self, report, order, draft)

    patch.setattr(OrderRegister, "_misses_fills", lambda *_: False)
    patch.setattr(OrderRegister, "_apply_fill", deaf)


@bug(
    "early_fills_ignored",
    "A fill that overtakes the acknowledgement of its order is noted as seen and dropped.",
    "I-7",
    "I-9",
    "I-10",
    scenarios=OVERTAKING,
    seeds=8,
)
def _early_fills_ignored(patch: pytest.MonkeyPatch) -> None:
    apply_fill = OrderRegister._apply_fill

    def deaf(self: OrderRegister, report: OrderFilled, order: WorkingOrder, draft: Draft) -> Execution | None:
        if order.state is not OrderState.NEW:
            return apply_fill(self, report, order, draft)
        order.executions[report.execution_id] = draft.ts_ns
        draft.is_kept = True
        return None

    patch.setattr(OrderRegister, "_apply_fill", deaf)


@bug(
    "busts_ignored",
    "An execution that the venue takes back stays booked.",
    "I-7",
    "I-10",
    scenarios=BUSTS,
    seeds=3,
)
def _busts_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OrderRegister, "_apply_bust", lambda *_: None)
