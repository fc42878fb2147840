"""Moving brackets: the state of a bracket is that of its worst pair, and every waiting state has its deadline."""

from __future__ import annotations

from typing import Final

from engine.core.execution.bracket_table import BRACKET_MACHINE, FINAL_STATES, BracketState, BracketTrigger
from engine.core.execution.brackets import Bracket, move
from engine.core.execution.pairs import Pair, PairPhase
from engine.core.execution.settings import Deadlines
from engine.core.execution.waits import Waits
from engine.core.messages import Draft

S = BracketState
T = BracketTrigger

#: The state that a pair's phase is, the worst first.
_RANKING: Final = (S.UNPROTECTED, S.EXITING, S.SWAPPING, S.PROTECTING, S.PROTECTED)
_STATES: Final[dict[PairPhase, BracketState]] = {
    PairPhase.PROTECTING: S.PROTECTING,
    PairPhase.PROTECTED: S.PROTECTED,
    PairPhase.TRIGGERED: S.UNPROTECTED,
    PairPhase.ORPHANED: S.UNPROTECTED,
    PairPhase.CANCELING: S.SWAPPING,
    PairPhase.TAKING: S.SWAPPING,
    PairPhase.SELLING: S.EXITING,
}
#: What has become true when a bracket arrives at a state because of its pairs.
_ARRIVALS: Final[dict[BracketState, BracketTrigger]] = {
    S.UNPROTECTED: T.PROTECTION_LOST,
    S.EXITING: T.EXIT_DECIDED,
    S.SWAPPING: T.SWAP_GOES_ON,
    S.PROTECTING: T.STOP_DECIDED,
    S.PROTECTED: T.STOP_WORKING,
}
_EXPOSED: Final = frozenset({S.UNPROTECTED, S.PROTECTING})


class BracketMover:
    """Move brackets by triggers, and reckon their deadlines."""

    def __init__(self, *, waits: Waits, deadlines: Deadlines) -> None:
        self._waits = waits
        self._deadlines = deadlines

    def move(self, bracket: Bracket, trigger: BracketTrigger, draft: Draft) -> None:
        """Move a bracket by a trigger."""
        after = BRACKET_MACHINE.advance(bracket.state, trigger)
        deadline = self._deadline(bracket, after, draft.ts_ns)
        draft.facts.append(move(bracket, trigger, ts_ns=draft.ts_ns, deadline_ts_ns=deadline))

    def until(self, bracket: Bracket, lasting_ns: int, draft: Draft) -> int:
        """Return the moment at which a wait that begins now runs out, ns UTC."""
        return self._waits.until(bracket.instrument_id, draft.ts_ns, lasting_ns)

    def settle(self, bracket: Bracket, draft: Draft) -> None:
        """Move a bracket to the state of its worst pair, where it is not there; not while all of it is being left."""
        pairs = bracket.living_pairs
        if bracket.wanted_exit or bracket.is_final or not pairs:
            return
        worst = min((_state_of(pair) for pair in pairs), key=_RANKING.index)
        if worst is S.PROTECTED and bracket.state not in (S.PROTECTING, S.PROTECTED):
            self.move(bracket, T.STOP_DECIDED, draft)
        if worst is S.PROTECTING and bracket.state is S.PROTECTED:
            # A stop that worked is in doubt again: from now on it is waited for, as at first.
            self.move(bracket, T.PROTECTION_LOST, draft)
        if bracket.state is not worst:
            self.move(bracket, _ARRIVALS[worst], draft)

    def _deadline(self, bracket: Bracket, after: BracketState, ts_ns: int) -> int | None:
        if after in FINAL_STATES:
            return None
        waits = [pair.deadline_ts_ns for pair in bracket.living_pairs if pair.deadline_ts_ns is not None]
        if waits and not bracket.wanted_exit:
            return min(waits)
        if after in _EXPOSED and bracket.state in _EXPOSED and bracket.deadline_ts_ns is not None:
            return bracket.deadline_ts_ns
        lasting_ns = {
            S.UNPROTECTED: self._deadlines.protect_ns,
            S.PROTECTING: self._deadlines.protect_ns,
            S.SWAPPING: self._deadlines.swap_ns,
            S.EXITING: self._deadlines.exit_ns,
        }.get(after)
        return None if lasting_ns is None else self._waits.until(bracket.instrument_id, ts_ns, lasting_ns)


def _state_of(pair: Pair) -> BracketState:
    if pair.phase is PairPhase.PROTECTING and pair.stop is None:
        return S.UNPROTECTED
    return _STATES[pair.phase]
