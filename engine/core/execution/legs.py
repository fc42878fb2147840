"""The orders of a bracket: what each leg asks for, and how a request becomes a fact and a command."""

from __future__ import annotations

from decimal import Decimal

from engine.core.execution.brackets import Bracket
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.messages import HaltWanted, OrderCreated, OrderRequest, SubmitOrder
from engine.core.values import (
    PRICE_DIRECTIONS,
    ClientOrderId,
    Instrument,
    Leg,
    OrderType,
    Side,
    TimeInForce,
)


def protect(bracket: Bracket, execution: Execution, instrument: Instrument) -> list[OrderRequest | HaltWanted]:
    """Return the stop and the target of one execution of an entry: its price minus and plus the distances.

    The distances are unrounded; the prices go to the nearest tick. A stop never falls below the smallest tick.
    """
    if bracket.stop_distance is None:
        return [HaltWanted(instrument_id=bracket.instrument_id, reason="an entry was filled that has no stop distance")]
    lowest = instrument.ticks[0][1]
    stop = max(lowest, execution.price - bracket.stop_distance)
    requests: list[OrderRequest | HaltWanted] = [
        _leg(bracket, execution, Leg.STOP, _tick_price(instrument, stop, Leg.STOP, OrderType.STOP))
    ]
    if bracket.target_distance is not None:
        target = execution.price + bracket.target_distance
        requests.append(
            _leg(bracket, execution, Leg.TARGET, _tick_price(instrument, target, Leg.TARGET, OrderType.LIMIT))
        )
    return requests


def _tick_price(instrument: Instrument, price: Decimal, leg: Leg, order_type: OrderType) -> Decimal:
    return instrument.price(price, PRICE_DIRECTIONS[leg, Side.SELL, order_type])


def _leg(bracket: Bracket, execution: Execution, leg: Leg, price: Decimal) -> OrderRequest:
    is_stop = leg is Leg.STOP
    return OrderRequest(
        strategy_id=bracket.strategy_id,
        instrument_id=bracket.instrument_id,
        symbol=bracket.symbol,
        leg=leg,
        side=Side.SELL,
        order_type=OrderType.STOP if is_stop else OrderType.LIMIT,
        quantity=execution.quantity,
        limit_price=None if is_stop else price,
        stop_price=price if is_stop else None,
        time_in_force=TimeInForce.GOOD_TILL_CANCELED,
        reference_price=execution.price,
        signal_id=bracket.signal_id,
        bracket_id=bracket.bracket_id,
        pair=bracket.pairs,
    )


def market_exit(bracket: Bracket, reference_price: Decimal) -> OrderRequest:
    """Return the market order that sells what no other exit of the bracket could still sell."""
    return OrderRequest(
        strategy_id=bracket.strategy_id,
        instrument_id=bracket.instrument_id,
        symbol=bracket.symbol,
        leg=Leg.EXIT,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        quantity=bracket.held - bracket.outstanding(),
        limit_price=None,
        stop_price=None,
        time_in_force=TimeInForce.DAY,
        reference_price=reference_price,
        signal_id=bracket.signal_id,
        bracket_id=bracket.bracket_id,
    )


def exit_reason(leg: Leg, wanted: str) -> str:
    """Return why a position was left: by the leg that sold it, or, for a market exit, by what was wanted."""
    if leg is Leg.STOP:
        return "stop"
    if leg is Leg.TARGET:
        return "target"
    return wanted or "signal"


def submit_command(
    order: WorkingOrder, request: OrderRequest, *, link: ClientOrderId | None, ts_ns: int
) -> SubmitOrder:
    """Return the command that places an order."""
    return SubmitOrder(
        client_order_id=order.client_order_id,
        instrument_id=order.instrument_id,
        symbol=request.symbol,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
        decided_ts_ns=ts_ns,
        link=link,
    )


def created_fact(
    order: WorkingOrder, request: OrderRequest, *, link: ClientOrderId | None, decision_id: int, ts_ns: int
) -> OrderCreated:
    """Return the fact that an order was decided."""
    return OrderCreated(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        symbol=request.symbol,
        bracket_id=order.bracket_id,
        decision_id=decision_id,
        leg=order.leg,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
        link=link,
        reference_price=order.reference_price,
        ts_ns=ts_ns,
    )
