"""Entries: from what a signal states to a request that the gate can size, with exact prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final

from engine.core.execution.plans import as_decimal, as_decimal_or_none, nanoseconds, plan_of
from engine.core.messages import OrderRequest, Signal
from engine.core.values import (
    ONE,
    PRICE_DIRECTIONS,
    SECOND_NS,
    ZERO,
    Direction,
    Instrument,
    Leg,
    OrderType,
    Side,
    StrategyId,
    TimeInForce,
)

_BPS: Final = Decimal(10_000)
_LIMIT_PRICE_MAX: Final = Decimal(10**9)
_NO_PRICE: Final = Decimal("NaN")
# Nobody else's: the precision that a strategy may have set changes no price.
_WIDE: Final = Context(prec=60)


class OrderPolicy(StrEnum):
    """Name which kinds of orders entries may be."""

    ANY = "any"
    #: Market entries become marketable limits; protective exits may be market.
    LIMIT_ONLY = "limit_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRules:
    """Hold what becomes of market entries."""

    policy: OrderPolicy = OrderPolicy.ANY
    #: Under `limit_only`: how far beyond the last price such a limit is, in basis points of it.
    market_as_limit_bps: Decimal = Decimal(50)
    #: A market entry that was sent as a limit is canceled after so much session time, ns: its moment is over.
    market_as_limit_ns: int = 60 * SECOND_NS
    #: Most that a market entry may pay beyond the last price, in basis points of it; None for any price.
    slippage_bps_max: Decimal | None = None

    @property
    def market_bps_max(self) -> Decimal | None:
        """Return how far beyond the last price a market entry may fill, in basis points; None for any price."""
        if self.policy is OrderPolicy.ANY:
            return self.slippage_bps_max
        if self.slippage_bps_max is None:
            return self.market_as_limit_bps
        return min(self.market_as_limit_bps, self.slippage_bps_max)


def entry_request(
    signal: Signal,
    *,
    strategy_id: StrategyId,
    instrument: Instrument,
    reference_price: Decimal,
    rules: EntryRules,
    signal_id: int,
) -> OrderRequest:
    """Return what a signal asks the gate for; `reference_price` is the last one known.

    A price that cannot be made is NaN, and a part of the size that is none is zero: the gate refuses both, on record.
    """
    order_type, limit_price = signal.order_type, _limit_price(signal, instrument, reference_price)
    expires_after_ns = nanoseconds(signal.expires_after_s)
    market_bps_max = rules.market_bps_max
    if order_type is OrderType.MARKET and limit_price is None and market_bps_max is not None:
        order_type = OrderType.LIMIT
        beyond = _of_price(reference_price, -market_bps_max, signal.side)
        limit_price = _to_tick(beyond, instrument, signal.side)
        expires_after_ns = rules.market_as_limit_ns if expires_after_ns is None else expires_after_ns
    return OrderRequest(
        strategy_id=strategy_id,
        instrument_id=instrument.instrument_id,
        symbol=instrument.symbol,
        leg=Leg.ENTRY,
        side=signal.side,
        order_type=order_type,
        quantity=ZERO,
        limit_price=limit_price,
        stop_price=None,
        time_in_force=TimeInForce.DAY,
        reference_price=reference_price,
        stop_distance=as_decimal_or_none(signal.stop_distance),
        target_distance=as_decimal_or_none(signal.target_distance),
        plan=plan_of(signal),
        expires_after_ns=expires_after_ns,
        size_factor=ONE if signal.fraction is None else as_decimal(signal.fraction),
        signal_id=signal_id,
    )


def _limit_price(signal: Signal, instrument: Instrument, reference_price: Decimal) -> Decimal | None:
    stated = (signal.limit_price, signal.limit_offset, signal.limit_offset_bps)
    ways = [number for number in stated if number is not None]
    if not ways:
        return None
    if len(ways) > 1:
        return _NO_PRICE
    wanted = as_decimal(ways[0])
    if not wanted.is_finite() or not reference_price.is_finite():
        return _NO_PRICE
    if signal.limit_offset is not None:
        wanted = _away(reference_price, wanted, signal.side)
    elif signal.limit_offset_bps is not None:
        wanted = _of_price(reference_price, wanted, signal.side)
    return _to_tick(wanted, instrument, signal.side)


def _of_price(reference_price: Decimal, bps: Decimal, side: Side) -> Decimal:
    return _away(reference_price, _WIDE.divide(_WIDE.multiply(reference_price, bps), _BPS), side)


# Below the last price for a buy, above it for a sell.
def _away(reference_price: Decimal, offset: Decimal, side: Side) -> Decimal:
    return _WIDE.subtract(reference_price, offset if side is Side.BUY else -offset)


# To the tick that pays less, or takes more, than was asked for.
def _to_tick(wanted: Decimal, instrument: Instrument, side: Side) -> Decimal:
    if not wanted.is_finite() or not instrument.ticks[0][1] <= wanted <= _LIMIT_PRICE_MAX:
        # No tick fits: the gate refuses it as it is.
        return wanted
    direction = PRICE_DIRECTIONS.get((Leg.ENTRY, side, OrderType.LIMIT), Direction.UP)
    return instrument.price(wanted, direction)
