"""The orders of a bracket: what each leg asks for, and how a request becomes a fact and a command."""

from __future__ import annotations

from decimal import Decimal

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.brackets import Bracket
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.pairs import Pair, portions
from engine.core.messages import BracketOpened, OrderCreated, OrderRequest, SubmitOrder
from engine.core.values import (
    PRICE_DIRECTIONS,
    ZERO,
    ClientOrderId,
    Instrument,
    Leg,
    OrderType,
    Side,
    TimeInForce,
)


def make_pairs(bracket: Bracket, execution: Execution, instrument: Instrument) -> list[Pair]:
    """Return the pairs of one execution of an entry: its price minus and plus the distances of the plan.

    The distances are unrounded; the prices go to the nearest tick. A stop never falls below the smallest tick.
    """
    plan = bracket.plan
    if plan.stop_distance is None:
        return []
    bracket.given = bracket.given or [ZERO] * len(plan.targets)
    stop = _tick_price(instrument, execution.price - plan.stop_distance, Leg.STOP, OrderType.STOP)
    parts = portions(
        execution.quantity,
        total=bracket.entered,
        given=bracket.given,
        fractions=[fraction for _, fraction in plan.targets],
        instrument=instrument,
    )
    made: list[Pair] = []
    for index, part in enumerate(parts):
        has_target = index < len(plan.targets)
        if has_target:
            bracket.given[index] += part
        if part > 0:
            target = execution.price + plan.targets[index][0] if has_target else None
            made.append(
                Pair(
                    number=len(bracket.pairs) + len(made) + 1,
                    quantity=part,
                    entry_price=execution.price,
                    stop_price=stop,
                    target_price=target and _tick_price(instrument, target, Leg.TARGET, OrderType.LIMIT),
                )
            )
    return made


def _tick_price(instrument: Instrument, price: Decimal, leg: Leg, order_type: OrderType) -> Decimal:
    lowest = instrument.ticks[0][1]
    return instrument.price(max(lowest, price), PRICE_DIRECTIONS[leg, Side.SELL, order_type])


def stop_request(bracket: Bracket, pair: Pair, instrument: Instrument) -> OrderRequest:
    """Return the stop of what a pair has left; a stop-limit where the plan has an offset for its limit."""
    offset = bracket.plan.stop_limit_offset
    if offset is None:
        return _leg(bracket, pair, Leg.STOP, OrderType.STOP, stop_price=pair.stop_price)
    limit = _tick_price(instrument, pair.stop_price - offset, Leg.STOP, OrderType.STOP_LIMIT)
    return _leg(bracket, pair, Leg.STOP, OrderType.STOP_LIMIT, stop_price=pair.stop_price, limit_price=limit)


def target_request(bracket: Bracket, pair: Pair) -> OrderRequest:
    """Return the limit order at the target for what a pair has left."""
    return _leg(bracket, pair, Leg.TARGET, OrderType.LIMIT, limit_price=pair.target_price)


def pair_exit(bracket: Bracket, pair: Pair) -> OrderRequest:
    """Return the market order that sells what a pair has left."""
    return _leg(bracket, pair, Leg.EXIT, OrderType.MARKET)


def _leg(
    bracket: Bracket,
    pair: Pair,
    leg: Leg,
    order_type: OrderType,
    *,
    limit_price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> OrderRequest:
    return OrderRequest(
        strategy_id=bracket.strategy_id,
        instrument_id=bracket.instrument_id,
        symbol=bracket.symbol,
        leg=leg,
        side=Side.SELL,
        order_type=order_type,
        quantity=pair.left,
        limit_price=limit_price,
        stop_price=stop_price,
        time_in_force=TimeInForce.DAY if leg is Leg.EXIT else TimeInForce.GOOD_TILL_CANCELED,
        reference_price=bracket.reference_price,
        signal_id=bracket.signal_id,
        bracket_id=bracket.bracket_id,
        pair=pair.number,
    )


def market_exit(bracket: Bracket, quantity: Decimal) -> OrderRequest:
    """Return the market order that sells a quantity of a bracket that is being left."""
    return OrderRequest(
        strategy_id=bracket.strategy_id,
        instrument_id=bracket.instrument_id,
        symbol=bracket.symbol,
        leg=Leg.EXIT,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        quantity=quantity,
        limit_price=None,
        stop_price=None,
        time_in_force=TimeInForce.DAY,
        reference_price=bracket.reference_price,
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


def opened_fact(bracket: Bracket, request: OrderRequest, *, exit_style: ExitStyle, ts_ns: int) -> BracketOpened:
    """Return the record of a bracket that an entry's request opens."""
    return BracketOpened(
        bracket_id=bracket.bracket_id,
        strategy_id=bracket.strategy_id,
        instrument_id=bracket.instrument_id,
        symbol=bracket.symbol,
        signal_id=bracket.signal_id,
        exit_style=exit_style.value,
        stop_distance=request.stop_distance,
        target_distance=request.target_distance,
        ts_ns=ts_ns,
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
