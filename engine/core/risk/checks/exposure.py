"""Layer 2, the account: what it can pay, what it holds in all, and what it may lose."""

from __future__ import annotations

from engine.core.messages import CheckResult
from engine.core.risk.checks.results import NOT_FOR_EXITS, cost_of, inapplicable, is_entry, judged, missing
from engine.core.risk.checks.throttles import REPEATED
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.values import AccountKind


def buying_power(situation: Situation, limits: Limits) -> CheckResult:
    """Check 11: cash less what open and unknown entries may still cost."""
    del limits
    if not is_entry(situation):
        return NOT_FOR_EXITS[11]
    cost, available = cost_of(situation.request), situation.cash - situation.reserved
    if cost is None or not available.is_finite():
        return missing(11, "price x quantity")
    return judged(11, passed=cost <= available, value=cost, limit=available, reason="buying_power")


def gross_exposure(situation: Situation, limits: Limits) -> CheckResult:
    """Check 13: what everything held and reserved would be worth."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[13]
    cost = cost_of(situation.request)
    if cost is None:
        return missing(13, "price x quantity")
    value = situation.gross_exposure + situation.reserved + cost
    bound = limits.max_gross_exposure_fraction * situation.equity
    if not (value.is_finite() and bound.is_finite()):
        return missing(13, "exposure and equity")
    return judged(13, passed=value <= bound, value=value, limit=bound, reason="gross_exposure")


def open_orders(situation: Situation, limits: Limits) -> CheckResult:
    """Check 14: entries per instrument, and orders of the account."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[14]
    if situation.open_entries >= limits.max_open_entries_per_instrument:
        bound = limits.max_open_entries_per_instrument
        return judged(14, passed=False, value=situation.open_entries, limit=bound, reason="open_entries")
    count, bound = situation.open_orders, limits.max_open_orders
    return judged(14, passed=count < bound, value=count, limit=bound, reason="open_orders")


def loss_limits(situation: Situation, limits: Limits) -> CheckResult:
    """Check 23: entries and loss of the session so far, and no circuit breaker for losses or errors is tripped."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[23]
    count, most = situation.entries_this_session, limits.max_entries_per_session
    if count >= most:
        return judged(23, passed=False, value=count, limit=most, reason="entries_per_session")
    loss = situation.session_start_equity - situation.equity
    bound = limits.daily_loss_cap * situation.session_start_equity
    if not (loss.is_finite() and bound.is_finite()):
        return missing(23, "equity")
    if loss >= bound:
        return judged(23, passed=False, value=loss, limit=bound, reason="daily_loss_cap")
    tripped = ", ".join(name for name in situation.tripped if name != REPEATED)
    return judged(23, passed=not tripped, value=tripped or loss, limit=bound, reason="breaker_tripped")


def account_rules(situation: Situation, limits: Limits) -> CheckResult:
    """Check 24: an account of kind cash buys with settled money only, and not after several good-faith violations."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[24]
    if situation.account_kind is AccountKind.MARGIN:
        return inapplicable(24, "proceeds may be used at once", source="account.kind")
    count, most = situation.good_faith_violations, limits.good_faith_max
    if count >= most:
        return judged(24, passed=False, value=count, limit=most, reason="good_faith_violations")
    cost, available = cost_of(situation.request), situation.settled_cash - situation.reserved
    if cost is None or not available.is_finite():
        return missing(24, "price x quantity")
    return judged(24, passed=cost <= available, value=cost, limit=available, reason="unsettled_cash")
