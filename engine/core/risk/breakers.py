"""Circuit breakers: each trips at its limit, says why, and stays tripped until a human arms it again.

A tripped breaker holds back entries only. One machine serves them all; what differs is what they measure, whose
entries they stop (account, strategy, or one strategy in one instrument), and what they make of its trading state.
"""

from __future__ import annotations

from collections import deque
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from engine.core.fsm import Row, StateMachine
from engine.core.messages import BreakerChanged, Draft
from engine.core.risk.checks.throttles import REPEATED
from engine.core.risk.limits import BreakerAction, Limits
from engine.core.risk.states import ACCOUNT, Scope
from engine.core.values import ZERO, InstrumentId, StrategyId

_DIGITS: Final = Context(prec=9)


class Breaker(StrEnum):
    """Name what a breaker measures."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    CONSECUTIVE_LOSSES = "consecutive_losses"
    ERROR_RATE = "error_rate"
    REPEATED_EXECUTIONS = REPEATED


class BreakerState(StrEnum):
    """Name how a breaker stands."""

    ARMED = "ARMED"
    TRIPPED = "TRIPPED"


class BreakerTrigger(StrEnum):
    """Name what moves a breaker."""

    LIMIT_REACHED = "limit_reached"
    RESET = "reset"
    SESSION_BEGAN = "session_began"


S = BreakerState
T = BreakerTrigger

BREAKER_MACHINE: Final = StateMachine(
    "circuit breaker",
    states=BreakerState,
    triggers=BreakerTrigger,
    initial=S.ARMED,
    rows=(
        Row(S.ARMED, T.LIMIT_REACHED, S.TRIPPED),
        Row(S.ARMED, T.RESET, S.ARMED, "what it measures is counted anew all the same"),
        Row(S.ARMED, T.SESSION_BEGAN, S.ARMED),
        Row(S.TRIPPED, T.LIMIT_REACHED, S.TRIPPED, "tripped once is tripped: the first reason stays"),
        Row(S.TRIPPED, T.RESET, S.ARMED, "only a human resets"),
        Row(S.TRIPPED, T.SESSION_BEGAN, S.ARMED, "asked only of the daily loss, where it ends with its session"),
    ),
)


class Trip(NamedTuple):
    """Hold that a breaker has tripped, and what that makes of its scope; None where its own check is enough."""

    scope: Scope
    breaker: Breaker
    action: BreakerAction | None
    reason: str


class Breakers:
    """Hold the circuit breakers of one account, and what they measure."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bounds = limits.breakers
        # Only those that are tripped: an armed one costs nothing.
        self._tripped: dict[tuple[Breaker, Scope], BreakerState] = {}
        self._session_start_equity = ZERO
        self._peak_equity = ZERO
        self._losses: dict[StrategyId, int] = {}
        self._errors: deque[int] = deque()

    @property
    def session_start_equity(self) -> Decimal:
        """Return what the loss of the session is reckoned from."""
        return self._session_start_equity

    def tripped_for(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> tuple[str, ...]:
        """Return the names of tripped breakers that concern a strategy in an instrument."""
        if not self._tripped:
            return ()
        return tuple(
            breaker.value
            for breaker, (strategy, instrument) in self._tripped
            if strategy in (None, strategy_id) and instrument in (None, instrument_id)
        )

    # --- what is measured ----------------------------------------------------------------------------------

    def start_session(self, equity: Decimal, draft: Draft) -> None:
        """Reckon the daily loss from here; arm its breaker where it lasts for one session."""
        self._session_start_equity = equity
        if self._bounds.daily_loss_ends_with_session:
            key = (Breaker.DAILY_LOSS, ACCOUNT)
            self._arm(key, T.SESSION_BEGAN, reason="a session began", source="session", draft=draft)

    def fund(self, amount: Decimal) -> None:
        """Take money that came or went out of what losses are reckoned from."""
        self._peak_equity = max(ZERO, self._peak_equity + amount)
        if self._session_start_equity:
            self._session_start_equity += amount

    def watch_equity(self, equity: Decimal, draft: Draft) -> list[Trip]:
        """Measure daily loss and drawdown; return what trips."""
        trips: list[Trip] = []
        start, cap = self._session_start_equity, self._limits.daily_loss_cap
        loss = start - equity
        if start > 0 and loss >= cap * start:
            # Where it ends with its session, the check is enough: a trading state would need a human.
            action = None if self._bounds.daily_loss_ends_with_session else self._bounds.daily_loss_action
            trips += self._trip(Breaker.DAILY_LOSS, ACCOUNT, action, (loss, cap * start), draft)
        self._peak_equity = max(self._peak_equity, equity)
        drawdown, peak = self._bounds.drawdown, self._peak_equity
        if drawdown is not None and peak > 0 and peak - equity >= drawdown * peak:
            lost = _DIGITS.divide(peak - equity, peak)
            trips += self._trip(Breaker.DRAWDOWN, ACCOUNT, self._bounds.drawdown_action, (lost, drawdown), draft)
        return trips

    def round_trip(self, strategy_id: StrategyId, pnl: Decimal, draft: Draft) -> list[Trip]:
        """Count a strategy's losses in a row by the profit of a round trip after fees; return what trips."""
        most = self._bounds.consecutive_losses
        count = self._losses.get(strategy_id, 0) + 1 if pnl < 0 else 0
        self._losses[strategy_id] = count
        if most is None or count < most:
            return []
        scope: Scope = (strategy_id, None)
        return self._trip(
            Breaker.CONSECUTIVE_LOSSES, scope, self._bounds.consecutive_losses_action, (count, most), draft
        )

    def error(self, draft: Draft) -> list[Trip]:
        """Count an order that was rejected, or whose outcome became unknown; return what trips."""
        most, errors = self._bounds.errors, self._errors
        errors.append(draft.ts_ns)
        while errors[0] <= draft.ts_ns - self._bounds.errors_window_ns:
            errors.popleft()
        if most is None or len(errors) < most:
            return []
        return self._trip(Breaker.ERROR_RATE, ACCOUNT, self._bounds.errors_action, (len(errors), most), draft)

    def repeated(self, scope: Scope, count: int, draft: Draft) -> list[Trip]:
        """Trip the throttle of repeated executions of one strategy in one instrument."""
        most = self._bounds.repeated_entries
        if most is None or count < most:
            return []
        return self._trip(Breaker.REPEATED_EXECUTIONS, scope, self._bounds.repeated_action, (count, most), draft)

    # --- the machine ---------------------------------------------------------------------------------------

    def reset(self, scope: Scope, *, equity: Decimal, reason: str, source: str, draft: Draft) -> None:
        """Arm the breakers of exactly this scope, and count anew what they measure: a human has looked."""
        if scope == ACCOUNT:
            self._peak_equity = equity
            self._errors.clear()
            if (Breaker.DAILY_LOSS, ACCOUNT) in self._tripped:
                self._session_start_equity = equity
        if scope[0] is not None and scope[1] is None:
            self._losses.pop(scope[0], None)
        for key in [key for key in self._tripped if key[1] == scope]:
            self._arm(key, T.RESET, reason=reason, source=source, draft=draft)

    def _trip(
        self,
        breaker: Breaker,
        scope: Scope,
        action: BreakerAction | None,
        measured: tuple[Decimal | int, Decimal | int],
        draft: Draft,
    ) -> list[Trip]:
        before = self._tripped.get((breaker, scope), S.ARMED)
        after = BREAKER_MACHINE.advance(before, T.LIMIT_REACHED)
        if after is before:
            return []
        self._tripped[breaker, scope] = after
        value, limit = measured
        reason = f"{breaker.value.replace('_', ' ')}: {_shown(value)} reached {_shown(limit)}"
        draft.facts.append(
            BreakerChanged(
                breaker=breaker.value,
                strategy_id=scope[0],
                instrument_id=scope[1],
                from_state=before.value,
                to_state=after.value,
                trigger=T.LIMIT_REACHED.value,
                value=value,
                limit=limit,
                reason=reason,
                source="engine",
                ts_ns=draft.ts_ns,
            )
        )
        return [Trip(scope, breaker, action, reason)]

    def _arm(
        self, key: tuple[Breaker, Scope], trigger: BreakerTrigger, *, reason: str, source: str, draft: Draft
    ) -> None:
        before = self._tripped.pop(key, S.ARMED)
        after = BREAKER_MACHINE.advance(before, trigger)
        if after is before:
            return
        breaker, scope = key
        draft.facts.append(
            BreakerChanged(
                breaker=breaker.value,
                strategy_id=scope[0],
                instrument_id=scope[1],
                from_state=before.value,
                to_state=after.value,
                trigger=trigger.value,
                value="-",
                limit="-",
                reason=reason,
                source=source,
                ts_ns=draft.ts_ns,
            )
        )


def _shown(number: Decimal | int) -> str:
    return str(number) if isinstance(number, int) else f"{number.normalize(_DIGITS):f}"
