"""Leaving: everything that a bracket holds is sold at market, after its legs are confirmed gone."""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.execution import legs
from engine.core.execution.bracket_table import BracketState, BracketTrigger
from engine.core.execution.brackets import Bracket
from engine.core.execution.moving import BracketMover
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.register import OrderRegister
from engine.core.execution.settings import Deadlines
from engine.core.execution.wishes import Wish
from engine.core.messages import Draft, HaltWanted
from engine.core.values import Leg


class Leaver:
    """Take brackets out of the market, and clear away orders that have nothing left to do."""

    def __init__(self, *, orders: OrderRegister, mover: BracketMover, deadlines: Deadlines) -> None:
        self._orders = orders
        self._mover = mover
        self._deadlines = deadlines

    def want_exit(self, bracket: Bracket, reason: str, draft: Draft) -> list[Wish]:
        """Start to leave a bracket: cancel its entry and its legs, then ask for a market exit. Safe to repeat."""
        if bracket.is_final:
            self.cancel(bracket.open_exits(), draft)
            return []
        is_new = not bracket.wanted_exit
        bracket.wanted_exit = bracket.wanted_exit or reason
        if reason == "kill":
            # An operator has looked at it and wants out: that is worth new attempts.
            bracket.failed_exits.clear()
        if bracket.entry_is_open:
            self.cancel_entry(bracket, draft)
        return self.leave(bracket, draft, is_new=is_new) if bracket.held > 0 else []

    def leave(self, bracket: Bracket, draft: Draft, *, is_new: bool = False) -> list[Wish]:
        """Take the next step of an exit that is wanted: no exit joins one that could still sell the same shares."""
        protective = [order for order in bracket.open_exits() if order.leg is not Leg.EXIT]
        if protective:
            self.cancel(protective, draft)
            if is_new or bracket.state is not BracketState.SWAPPING:
                self._mover.move(bracket, BracketTrigger.EXIT_WANTED, draft)
            return []
        outstanding = bracket.outstanding()
        if bracket.held <= outstanding:
            if bracket.held < outstanding:
                # A leg has filled after its end was reported: the exit that took its place is too large.
                self.cancel(bracket.open_exits(), draft)
            if bracket.state is not BracketState.EXITING:
                self._mover.move(bracket, BracketTrigger.EXIT_DECIDED, draft)
            return []
        if not self.has_given_up(bracket):
            return [legs.market_exit(bracket, bracket.held - outstanding)]
        failed, bracket.deadline_ts_ns = bracket.failed_exits, None
        reason = f"{len(failed)} market exits ended unfilled ({failed[-1]}): close the position by hand"
        return [HaltWanted(instrument_id=bracket.instrument_id, reason=reason)]

    def leave_rest(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        """Sell what an exit was cut short of, once the exit of another bracket that had it reserved has ended."""
        return self.leave(bracket, draft) if bracket.is_left_over else []

    def leave_again(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        """Try anew to leave a bracket whose exits had failed too often, or were cut to nothing."""
        if bracket.held <= 0 or not (bracket.failed_exits or bracket.is_left_over):
            return []
        bracket.failed_exits.clear()
        return self.leave(bracket, draft)

    def has_given_up(self, bracket: Bracket) -> bool:
        """Return whether so many market exits ended unfilled that only a human can go on."""
        return bool(bracket.failed_exits) and len(bracket.failed_exits) >= self._deadlines.exit_attempts

    def failed(self, bracket: Bracket, order: WorkingOrder) -> None:
        """Count an exit that the venue has ended unfilled; one that has sold a part was worth its while."""
        if not order.filled and not order.cancel_requested:
            bracket.failed_exits.append(order.state)

    def cancel_entry(self, bracket: Bracket, draft: Draft) -> None:
        """Ask for the cancel of a working entry; what it has filled stays."""
        if bracket.entry is not None:
            self.cancel([bracket.entry], draft)

    def cancel(self, orders: Iterable[WorkingOrder], draft: Draft) -> None:
        """Ask for the cancel of orders, once each."""
        for order in orders:
            self._orders.request_cancel(order, draft)

    def close(self, bracket: Bracket, draft: Draft) -> None:
        """Close a bracket that holds nothing, and clear away its exits."""
        # An execution that is taken back may open the bracket again: what was waited for then is over.
        bracket.leave_at_ts_ns = None
        bracket.void_pairs()
        if not bracket.is_final:
            self._mover.move(bracket, BracketTrigger.POSITION_CLOSED, draft)
        self.leave_over(bracket.open_exits(), draft)

    def leave_over(self, orders: Iterable[WorkingOrder], draft: Draft) -> None:
        """Clear away orders that have nothing left to sell: the venue ends linked ones, the others are canceled."""
        for order in orders:
            self._orders.leave_over(order, draft)
