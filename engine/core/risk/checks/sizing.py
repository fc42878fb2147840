"""Layer 3, the size of a position: fat fingers, and whether what is bought can be protected."""

from __future__ import annotations

from engine.core.messages import CheckResult
from engine.core.risk.checks.results import NOT_FOR_EXITS, cost_of, is_entry, judged, missing
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.values import AssetClass


def max_order_quantity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 7: the fat finger, in shares or coins."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[7]
    quantity, bound = situation.request.quantity, limits.max_order_quantity
    passes = quantity.is_finite() and quantity <= bound
    return judged(7, passed=passes, value=quantity, limit=bound, reason="order_quantity")


def max_order_notional(situation: Situation, limits: Limits) -> CheckResult:
    """Check 8: the value of one order, at the last price or its limit, whichever is higher."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[8]
    value, bound = cost_of(situation.request), limits.max_order_notional
    if value is None:
        return missing(8, "price x quantity")
    return judged(8, passed=value <= bound, value=value, limit=bound, reason="order_notional")


def protectability(situation: Situation, limits: Limits) -> CheckResult:
    """Check 21: the stop lies ticks below the entry and above zero, is taken now, and covers whole shares."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[21]
    request, instrument = situation.request, situation.instrument
    distance, quantity = request.stop_distance, request.quantity
    price = request.reference_price if request.limit_price is None else request.limit_price
    if distance is None or not (distance.is_finite() and price.is_finite() and quantity.is_finite()):
        return missing(21, "price, quantity and stop distance")
    stop = price - distance
    if stop <= 0:
        return judged(21, passed=False, value=stop, limit=0, reason="stop_below_zero")
    least = limits.stop_ticks_min * instrument.tick(price)
    if distance < least:
        return judged(21, passed=False, value=distance, limit=least, reason="stop_too_near")
    if situation.session is None and not (limits.next_open_entries or situation.venue.stops_outside_hours):
        reason = "stop_not_taken_now"
        return judged(21, passed=False, value="between sessions", limit="regular hours", reason=reason)
    is_whole = instrument.asset_class is not AssetClass.EQUITY or quantity == quantity.to_integral_value()
    value = distance if is_whole else quantity
    return judged(21, passed=is_whole, value=value, limit=least if is_whole else "whole shares", reason="not_whole")
