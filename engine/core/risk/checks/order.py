"""Layer 1, the single order: may it be traded, is it well formed, does it fit what is there already?"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.core.messages import CheckResult, InstrumentStatusChanged, OrderRequest, is_time, plan_defect
from engine.core.risk.checks.results import (
    NOT_FOR_EXITS,
    inapplicable,
    is_entry,
    judged,
    missing,
    passed,
    told_by,
    without,
)
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.risk.sources import Capability
from engine.core.values import Leg, OrderType, Side, worst_price

#: The largest price and quantity that a request may hold; both columns are wider.
_NUMBER_MAX: Final = Decimal(900_000_000)


def tradable_instrument(situation: Situation, limits: Limits) -> CheckResult:
    """Check 3: the symbol is allowed, the exchange trades it, and the price is inside the exchange's band."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[3]
    symbol, status = situation.instrument.symbol, situation.status
    allowed = (not limits.allowed_symbols or symbol in limits.allowed_symbols) and symbol not in limits.blocked_symbols
    if not allowed:
        return judged(3, passed=False, value=symbol, limit="allowed_symbols", reason="instrument_not_allowed")
    if status is None:
        return without(3, Capability.HALT_STATUS, situation, limits, shown=f"{symbol} is allowed")
    told = told_by(Capability.HALT_STATUS, situation)
    if status.halted:
        return judged(3, passed=False, value=status.reason or "halted", limit="traded", reason="halt", source=told)
    if status.lower_price is None and status.upper_price is None:
        return without(3, Capability.PRICE_BANDS, situation, limits, shown=f"{symbol} is traded")
    return _inside_band(situation.request, status, told_by(Capability.PRICE_BANDS, situation))


def _inside_band(request: OrderRequest, status: InstrumentStatusChanged, told: str) -> CheckResult:
    price = worst_price(request.reference_price, request.limit_price)
    lower, upper = status.lower_price, status.upper_price
    if not all(number.is_finite() for number in (price, lower, upper) if number is not None):
        return missing(3, "price and band", source=told)
    if lower is not None and price < lower:
        return judged(3, passed=False, value=price, limit=lower, reason="outside_price_band", source=told)
    inside = upper is None or price <= upper
    limit = "-" if upper is None else upper
    return judged(3, passed=inside, value=price, limit=limit, reason="outside_price_band", source=told)


def session(situation: Situation, limits: Limits) -> CheckResult:
    """Check 4: entries in regular hours, unless limits may go to extended hours or entries wait for the next open."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[4]
    if situation.session is not None:
        return passed(4, situation.session.date, "regular hours")
    is_limit = situation.request.order_type is OrderType.LIMIT
    allowed = limits.next_open_entries or (limits.extended_hours_entries and is_limit)
    return judged(4, passed=allowed, value="between sessions", limit="regular hours", reason="outside_session")


def order_validity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 5: side, prices and their relations; every entry buys and has a stop distance below its price."""
    del limits
    reason = _invalidity(situation.request)
    return judged(5, passed=not reason, value=reason or "valid", limit="valid", reason=reason)


def _invalidity(request: OrderRequest) -> str:
    if request.side is not (Side.BUY if request.leg is Leg.ENTRY else Side.SELL):
        return "wrong_side"
    needs_limit = request.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    needs_stop = request.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if (request.limit_price is not None) is not needs_limit or (request.stop_price is not None) is not needs_stop:
        return "prices_do_not_fit_type"
    if not all(_is_price(price) for price in (request.limit_price, request.stop_price) if price is not None):
        return "price_out_of_range"
    if request.leg is not Leg.ENTRY:
        return ""
    return _invalid_entry(request)


def _invalid_entry(request: OrderRequest) -> str:
    if not request.reference_price.is_finite() or request.reference_price <= 0:
        return "no_reference_price"
    stop, target = request.stop_distance, request.target_distance
    if stop is None or not stop.is_finite() or stop <= 0:
        return "no_stop_distance"
    if stop >= request.reference_price:
        return "stop_below_zero"
    if target is not None and not (_is_price(target) and _is_price(request.reference_price + target)):
        return "bad_target_distance"
    if not is_time(request.expires_after_ns):
        return "bad_expiry"
    if not (request.size_factor.is_finite() and 0 < request.size_factor <= 1):
        return "bad_fraction"
    return "" if request.plan is None else plan_defect(request.plan)


def tick_and_lot(situation: Situation, limits: Limits) -> CheckResult:
    """Check 6: prices on the tick, quantity a positive multiple of the lot (SEC rule 612)."""
    del limits
    request, instrument = situation.request, situation.instrument
    quantity = request.quantity
    if not quantity.is_finite() or quantity <= 0:
        return judged(6, passed=False, value=quantity, limit=instrument.lot, reason="quantity_below_lot")
    if not _is_multiple(quantity, instrument.lot):
        return judged(6, passed=False, value=quantity, limit=instrument.lot, reason="not_a_lot_multiple")
    for price in (request.limit_price, request.stop_price):
        if price is not None and not (price.is_finite() and _is_multiple(price, instrument.tick(price))):
            return judged(6, passed=False, value=price, limit="a tick multiple", reason="not_a_tick_multiple")
    return passed(6, request.quantity, instrument.lot)


def self_trade(situation: Situation, limits: Limits) -> CheckResult:
    """Check 18: no own sell works that this entry could meet."""
    del limits
    if not is_entry(situation):
        return NOT_FOR_EXITS[18]
    count = situation.crossing_orders
    return judged(18, passed=not count, value=count, limit=0, reason="self_trade")


def exit_quantity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 19: working and unknown exits with this one never exceed the position; linked legs count once.

    An entry waits until exits that could oversell (a leg that a closed bracket has left over) are gone.
    """
    del limits
    value, bound = situation.exits_with, situation.position
    if not (value.is_finite() and bound.is_finite()):
        return missing(19, "exits and position")
    is_some = is_entry(situation) or value > 0
    return judged(19, passed=is_some and value <= bound, value=value, limit=bound, reason="exits_exceed_position")


def parent_quantity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 20: what the exits of a bracket sold and could sell never exceeds what its entry bought."""
    del limits
    if is_entry(situation):
        return inapplicable(20, "an entry is its own parent")
    value, bound = situation.bracket_exits_with, situation.bracket_entered
    if not (value.is_finite() and bound.is_finite()):
        return missing(20, "exits and entry")
    return judged(20, passed=value <= bound, value=value, limit=bound, reason="exceeds_parent")


def _is_multiple(number: Decimal, unit: Decimal) -> bool:
    return number.is_finite() and abs(number) <= _NUMBER_MAX and number % unit == 0


def _is_price(number: Decimal) -> bool:
    return number.is_finite() and 0 < number <= _NUMBER_MAX
