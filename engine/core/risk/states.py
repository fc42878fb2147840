"""Trading states: what may be traded, globally, per strategy and per instrument. Sticky: a human clears them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from engine.core.fsm import Row, StateMachine
from engine.core.messages import Draft, TradingState, TradingStateChanged
from engine.core.values import InstrumentId, StrategyId

Scope = tuple[StrategyId | None, InstrumentId | None]
ACCOUNT: Final[Scope] = (None, None)


class TradingTrigger(StrEnum):
    """Name what changes a trading state."""

    PAUSED = "paused"
    HALTED = "halted"
    RESUMED = "resumed"


S = TradingState
T = TradingTrigger

TRADING_MACHINE: Final = StateMachine(
    "trading state",
    states=TradingState,
    triggers=TradingTrigger,
    initial=S.ACTIVE,
    rows=(
        Row(S.ACTIVE, T.PAUSED, S.REDUCING),
        Row(S.ACTIVE, T.HALTED, S.HALTED),
        Row(S.ACTIVE, T.RESUMED, S.ACTIVE),
        Row(S.REDUCING, T.PAUSED, S.REDUCING),
        Row(S.REDUCING, T.HALTED, S.HALTED),
        Row(S.REDUCING, T.RESUMED, S.ACTIVE),
        Row(S.HALTED, T.PAUSED, S.HALTED, "a pause never loosens a halt"),
        Row(S.HALTED, T.HALTED, S.HALTED),
        Row(S.HALTED, T.RESUMED, S.ACTIVE, "only a human resumes"),
    ),
)

_SEVERITY: Final = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class TradingStates:
    """Hold the trading state of every scope; the strictest that applies counts."""

    def __init__(self) -> None:
        self._states: dict[Scope, TradingState] = {}
        # Why a scope is halted: a human who clears one reason has to have seen them all.
        self._reasons: dict[Scope, set[str]] = {}

    def effective(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> TradingState:
        """Return the strictest state that applies to a strategy and an instrument."""
        if not self._states:
            return TradingState.ACTIVE
        scopes: Iterable[Scope] = (
            ACCOUNT,
            (strategy_id, None),
            (None, instrument_id),
            (strategy_id, instrument_id),
        )
        return max((self._states.get(scope, TradingState.ACTIVE) for scope in scopes), key=_SEVERITY.__getitem__)

    def change(self, scope: Scope, trigger: TradingTrigger, *, reason: str, source: str, draft: Draft) -> None:
        """Move one scope; a fact is made where the state changes, and for each further reason of a halt."""
        before = self._states.get(scope, TradingState.ACTIVE)
        after = TRADING_MACHINE.advance(before, trigger)
        if after is before and not self._is_new_halt(scope, trigger, reason):
            return
        if after is TradingState.ACTIVE:
            del self._states[scope]
            self._reasons.pop(scope, None)
        else:
            self._states[scope] = after
        if trigger is TradingTrigger.HALTED:
            self._reasons.setdefault(scope, set()).add(reason)
        draft.facts.append(
            TradingStateChanged(
                strategy_id=scope[0],
                instrument_id=scope[1],
                from_state=before,
                to_state=after,
                reason=reason,
                source=source,
                ts_ns=draft.ts_ns,
            )
        )

    def _is_new_halt(self, scope: Scope, trigger: TradingTrigger, reason: str) -> bool:
        return trigger is TradingTrigger.HALTED and reason not in self._reasons.get(scope, ())
