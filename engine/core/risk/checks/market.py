"""Layer 4, the market: can the data be believed, is the price near it, and does too much depend on one thing?"""

from __future__ import annotations

from decimal import Decimal

from engine.core.messages import CheckResult, QuoteConsulted
from engine.core.risk.checks.results import (
    NOT_FOR_EXITS,
    cost_of,
    is_entry,
    is_positive,
    judged,
    missing,
    ratio,
    told_by,
    without,
)
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.risk.sources import Capability


def price_collar(situation: Situation, limits: Limits) -> CheckResult:
    """Check 9: an entry's limit near the last price, and any entry near the first one inside the window."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[9]
    request = situation.request
    price = request.reference_price if request.limit_price is None else request.limit_price
    if not (is_positive(request.reference_price) and price.is_finite()):
        return missing(9, "price")
    distance = ratio(abs(price - request.reference_price), request.reference_price)
    if distance > limits.price_collar:
        return judged(9, passed=False, value=distance, limit=limits.price_collar, reason="collar")
    first = situation.window_price
    if first is None:
        return judged(9, passed=True, value=distance, limit=limits.price_collar, reason="")
    if not is_positive(first):
        return missing(9, "price of the window's first entry")
    walked = ratio(abs(price - first), first)
    return judged(
        9, passed=walked <= limits.collar_window, value=walked, limit=limits.collar_window, reason="window_collar"
    )


def market_data(situation: Situation, limits: Limits) -> CheckResult:
    """Check 10: the last bar did not jump; the quote is fresh, neither locked nor crossed, narrow, near the bar."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[10]
    last, before = situation.request.reference_price, situation.previous_close
    if not (is_positive(last) and (before is None or is_positive(before))):
        return missing(10, "closes of the last bars")
    bound = limits.market_data.jump_max
    jump = Decimal(0) if before is None else ratio(abs(last - before), before)
    if jump > bound:
        return judged(10, passed=False, value=jump, limit=bound, reason="price_jump")
    if situation.quote is None:
        return without(10, Capability.QUOTES, situation, limits, shown=f"jump of {jump:f}")
    return _believable(situation.quote, situation, limits)


def _believable(quote: QuoteConsulted, situation: Situation, limits: Limits) -> CheckResult:
    bounds, told = limits.market_data, told_by(Capability.QUOTES, situation)
    bid, ask = Decimal(repr(quote.bid)), Decimal(repr(quote.ask))
    if not (is_positive(bid) and is_positive(ask)):
        return missing(10, "bid and ask", source=told)
    age_ns = situation.ts_ns - min(quote.received_ts_ns, quote.venue_ts_ns)
    if age_ns > bounds.quote_age_ns_max:
        reason = "stale_quote"
        return judged(10, passed=False, value=age_ns, limit=bounds.quote_age_ns_max, reason=reason, source=told)
    if bid >= ask:
        reason = "crossed_quote" if bid > ask else "locked_quote"
        return judged(10, passed=False, value=bid, limit=ask, reason=reason, source=told)
    middle = (bid + ask) / 2
    spread = ratio(ask - bid, middle)
    if spread > bounds.spread_max:
        return judged(10, passed=False, value=spread, limit=bounds.spread_max, reason="wide_spread", source=told)
    last = situation.request.reference_price
    jump = ratio(abs(middle - last), last)
    return judged(
        10, passed=jump <= bounds.jump_max, value=jump, limit=bounds.jump_max, reason="price_jump", source=told
    )


def max_position(situation: Situation, limits: Limits) -> CheckResult:
    """Check 12: how many positions, what one instrument may be worth, and what a group that moves together may."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[12]
    if situation.open_brackets >= limits.max_positions:
        count, most = situation.open_brackets, limits.max_positions
        return judged(12, passed=False, value=count, limit=most, reason="max_positions")
    cost = cost_of(situation.request)
    if cost is None:
        return missing(12, "price x quantity")
    value, bound = situation.instrument_exposure + cost, limits.max_position_fraction * situation.equity
    if not (value.is_finite() and bound.is_finite()):
        return missing(12, "exposure and equity")
    if value > bound:
        return judged(12, passed=False, value=value, limit=bound, reason="concentration")
    for group in situation.groups:
        together = group.value + cost
        if not (together.is_finite() and together <= group.bound):
            named = f"{group.name}: {together:f}"
            return judged(12, passed=False, value=named, limit=group.bound, reason="group_exposure")
    return judged(12, passed=True, value=value, limit=bound, reason="")
