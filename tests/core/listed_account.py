"""A scripted account whose venue is listed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.core.execution.settings import Deadlines
from engine.core.messages import (
    AccountListed,
    EngineStarted,
    ListedExecution,
    ListedOrder,
    ListedPosition,
    ListedStatus,
    OrderAcknowledged,
    OrderNotListed,
    OrderTransitioned,
    OutcomeUnknown,
    Signal,
    SignalKind,
    Step,
    SubmitOrder,
)
from engine.core.values import SECOND_NS, ExecutionId
from engine.testing.scenario import SPY, Scenario

ENTER = Signal(kind=SignalKind.ENTER, stop_distance=1.0, target_distance=2.0)
SETTLE_S = Deadlines().settle_ns // SECOND_NS
LIFE_S = Deadlines().request_life_ns // SECOND_NS


def listed(order: SubmitOrder, status: ListedStatus = ListedStatus.WORKING, **changes: Any) -> ListedOrder:
    fields: dict[str, Any] = {
        "venue_order_id": "v-1",
        "client_order_id": order.client_order_id,
        "instrument_id": order.instrument_id,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "quantity": order.quantity,
        "filled_quantity": Decimal(0),
        "status": status,
        "limit_price": order.limit_price,
        "stop_price": order.stop_price,
        "created_ts_ns": order.decided_ts_ns,
    }
    return ListedOrder(**{**fields, **changes})


def filled(order: SubmitOrder, price: str = "100", execution: str = "x1", **changes: Any) -> ListedOrder:
    one = ListedExecution(
        execution_id=ExecutionId(execution),
        price=Decimal(price),
        quantity=order.quantity,
        fee=Decimal(0),
        venue_ts_ns=order.decided_ts_ns,
    )
    return listed(order, ListedStatus.FILLED, filled_quantity=order.quantity, executions=(one,), **changes)


class Account(Scenario):
    """A scripted account whose venue is listed by hand."""

    def venue_lists(self, *orders: ListedOrder, held: str = "0", complete: bool = True) -> Step:
        position = ListedPosition(instrument_id=SPY, symbol="SPY", quantity=Decimal(held))
        return self.give(
            AccountListed(
                **self._times(),
                asked_ts_ns=self.now_ts_ns,
                orders=orders,
                positions=(position,) if Decimal(held) else (),
                is_complete=complete,
            )
        )

    def unknown(self, order: SubmitOrder) -> Step:
        return self.give(OutcomeUnknown(**self._times(), client_order_id=order.client_order_id, reason="no answer"))

    def not_found(self, order: SubmitOrder, *, certain: bool = False, complete: bool = True) -> Step:
        return self.give(
            OrderNotListed(
                **self._times(),
                client_order_id=order.client_order_id,
                asked_ts_ns=self.now_ts_ns,
                is_complete=complete,
                is_certain=certain,
            )
        )

    def start(self, epoch: int = 2) -> Step:
        return self.give(EngineStarted(**self._times(), epoch=epoch))

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wait(1)

    @property
    def entry(self) -> SubmitOrder:
        return self.submitted()[0]

    def states(self, order: SubmitOrder) -> list[str]:
        number = self.submitted().index(order) + 1
        return [fact.to_state for fact in self.made(OrderTransitioned) if fact.order_id == number]


def listed_ack(account: Account, order: SubmitOrder) -> Any:
    return OrderAcknowledged(
        **account._times(), client_order_id=order.client_order_id, venue_order_id=f"v-{order.client_order_id[:4]}"
    )


def held_legs(holder: Account) -> list[ListedOrder]:
    return [
        filled(holder.entry),
        *(listed(leg, venue_order_id=f"v-{leg.client_order_id[:4]}") for leg in holder.submitted()[1:3]),
    ]
