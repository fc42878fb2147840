"""Layer 5, the machine and its lines: may it act at all, and are clock, login, disk and books in order?"""

from __future__ import annotations

from engine.core.messages import CheckResult, TradingState
from engine.core.risk.checks.results import NOT_FOR_EXITS, is_entry, judged, passed, told_by, without
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.risk.sources import Capability


def trading_state(situation: Situation, limits: Limits) -> CheckResult:
    """Check 1: entries only while ACTIVE; exits always, since they reduce risk."""
    del limits
    state = situation.trading_state
    if not is_entry(situation):
        return passed(1, state.value, "exits pass")
    reason = "halted" if state is TradingState.HALTED else "reducing_only"
    return judged(1, passed=state is TradingState.ACTIVE, value=state.value, limit="ACTIVE", reason=reason)


def authorisation(situation: Situation, limits: Limits) -> CheckResult:
    """Check 2: the account may trade with these settings, and this engine alone acts for it."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[2]
    health, told = situation.health, told_by(Capability.AUTHORISATION, situation)
    if health.authorised is False:
        return judged(2, passed=False, value="no", limit="authorised", reason="not_authorised", source=told)
    if health.lease_held is False:
        return judged(2, passed=False, value="lost", limit="lease held", reason="lease_lost", source=told)
    if health.authorised is None or health.lease_held is None:
        return without(2, Capability.AUTHORISATION, situation, limits)
    return passed(2, "authorised", "lease held", source=told)


def reconciliation(situation: Situation, limits: Limits) -> CheckResult:
    """Check 22: no order of the symbol is UNKNOWN, and the broker's books were found equal a short while ago."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[22]
    health, told = situation.health, told_by(Capability.RECONCILIATION, situation)
    if situation.unknown_orders:
        return judged(22, passed=False, value=situation.unknown_orders, limit=0, reason="unknown_order")
    if situation.instrument.instrument_id in health.drifted:
        symbol = situation.instrument.symbol
        return judged(22, passed=False, value=symbol, limit="no drift", reason="drift", source=told)
    if health.reconciled_ts_ns is None:
        return without(22, Capability.RECONCILIATION, situation, limits, shown="no unknown order")
    age_ns, bound = situation.ts_ns - health.reconciled_ts_ns, limits.health.reconciliation_age_ns_max
    return judged(22, passed=age_ns <= bound, value=age_ns, limit=bound, reason="not_reconciled", source=told)


def clock_sanity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 25: the wall clock is near a trusted one."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[25]
    offset_ns, bound = situation.health.clock_offset_ns, limits.health.clock_offset_ns_max
    if offset_ns is None:
        return without(25, Capability.CLOCK, situation, limits)
    told = told_by(Capability.CLOCK, situation)
    return judged(25, passed=abs(offset_ns) <= bound, value=offset_ns, limit=bound, reason="clock_offset", source=told)


def token_horizon(situation: Situation, limits: Limits) -> CheckResult:
    """Check 26: the login outlasts the time in which the order has to be managed."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[26]
    expires_ts_ns, bound = situation.health.token_expires_ts_ns, limits.health.login_ns_min
    if expires_ts_ns is None:
        return without(26, Capability.LOGIN_HORIZON, situation, limits)
    left_ns, told = expires_ts_ns - situation.ts_ns, told_by(Capability.LOGIN_HORIZON, situation)
    return judged(26, passed=left_ns >= bound, value=left_ns, limit=bound, reason="login_expires", source=told)


def storage_health(situation: Situation, limits: Limits) -> CheckResult:
    """Check 27: the database can be written and its disk has room."""
    if not is_entry(situation):
        return NOT_FOR_EXITS[27]
    health, told = situation.health, told_by(Capability.STORAGE, situation)
    if health.storage_writable is False:
        return judged(27, passed=False, value="no", limit="writable", reason="storage_not_writable", source=told)
    if health.storage_writable is None or health.storage_free_bytes is None:
        return without(27, Capability.STORAGE, situation, limits)
    free, bound = health.storage_free_bytes, limits.health.storage_free_bytes_min
    return judged(27, passed=free >= bound, value=free, limit=bound, reason="storage_full", source=told)
