"""Layer 5, how often: messages, the same entry twice, and a strategy that repeats itself."""

from __future__ import annotations

from engine.core.messages import CheckResult
from engine.core.risk.checks.results import NOT_FOR_EXITS, inapplicable, is_entry, judged
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation

#: The breaker that check 16 trips.
REPEATED = "repeated_executions"


def message_throttle(situation: Situation, limits: Limits) -> CheckResult:
    """Check 15: orders, cancels and questions in a second, a minute and the session; some are left to exits."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[15]
    counts, bounds = situation.messages, limits.messages
    count, bound = counts.last_second, bounds.per_second - bounds.reserve
    if count >= bound:
        return judged(15, passed=False, value=count, limit=bound, reason="messages_per_second")
    count, bound = counts.last_minute, bounds.per_minute - bounds.reserve
    if count >= bound:
        return judged(15, passed=False, value=count, limit=bound, reason="messages_per_minute")
    count, bound = counts.this_session, bounds.per_session - bounds.reserve
    return judged(15, passed=count < bound, value=count, limit=bound, reason="messages_per_session")


def repeated_executions(situation: Situation, limits: Limits) -> CheckResult:
    """Check 16: so many entries of a strategy, instrument and side in a while disable it until a human looks."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[16]
    if REPEATED in situation.tripped:
        return judged(16, passed=False, value="tripped", limit="armed", reason="repeated_executions")
    bound, count = limits.breakers.repeated_entries, situation.repeated_entries
    if bound is None:
        return inapplicable(16, "turned off")
    return judged(16, passed=count < bound, value=count, limit=bound, reason="repeated_executions")


def duplicate_order(situation: Situation, limits: Limits) -> CheckResult:
    """Check 17: the same entry (strategy, instrument, side, quantity, price) not again within the window."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[17]
    since = situation.since_same_ns
    passes = since is None or since >= limits.duplicate_window_ns
    shown = "never" if since is None else since
    return judged(17, passed=passes, value=shown, limit=limits.duplicate_window_ns, reason="duplicate_order")
