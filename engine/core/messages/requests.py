"""Requests: what a strategy or a bracket wants to have ordered, before and after the risk gate."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from engine.core.messages.plans import ExitPlan
from engine.core.messages.quick import quick_init
from engine.core.values import ONE, InstrumentId, Leg, OrderType, Side, StrategyId, TimeInForce


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """Ask the gate for an order. An entry comes without a quantity: the gate sizes it."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    leg: Leg
    side: Side
    order_type: OrderType
    #: 0 for an entry that the gate has yet to size.
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    #: Last price known when it was wanted.
    reference_price: Decimal
    #: Unrounded distances of a bracket's exits, in price units; only for entries.
    stop_distance: Decimal | None = None
    target_distance: Decimal | None = None
    #: What an entry's exits have beyond a stop and one target; None where that is nothing.
    plan: ExitPlan | None = None
    #: An entry that still works after so much session time is canceled, ns.
    expires_after_ns: int | None = None
    #: The part of the gate's size that an entry asks for.
    size_factor: Decimal = ONE
    signal_id: int | None = None
    #: 0 for an entry, whose bracket is opened after approval.
    bracket_id: int = 0
    #: Which stop-and-target pair of the bracket a leg belongs to; 0 for entries and market exits.
    pair: int = 0


RequestT = TypeVar("RequestT")


class Approved(Generic[RequestT]):
    """Prove that the gate has passed a request. Made in `engine.core.risk.gate` only (a tidy test holds it)."""

    __slots__ = ("decision_id", "request")

    def __init__(self, request: RequestT, *, decision_id: int) -> None:
        self.request = request
        self.decision_id = decision_id


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class HaltWanted:
    """Ask for a halt of an instrument, because something did not end as planned; a human clears it."""

    instrument_id: InstrumentId | None
    reason: str
