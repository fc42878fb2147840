"""Keeping pairs: each has its stop, or what takes the stop's place, and never two exits for the same shares.

Whatever replaces an order of a pair is sent only after that order is confirmed gone, with all that it has filled: a
target for a stop, a stop at a new price, a market order for a part. Where that fails, the stop comes back first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from engine.core.execution import legs
from engine.core.execution.bracket_table import BracketTrigger, ExitStyle
from engine.core.execution.brackets import Bracket
from engine.core.execution.leaving import Leaver
from engine.core.execution.moving import BracketMover
from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.pairs import RESTING, Pair, PairPhase, Purpose
from engine.core.execution.settings import Deadlines
from engine.core.execution.wishes import Wish
from engine.core.messages import Draft, HaltWanted, OrderRequest
from engine.core.values import ZERO, Instrument, InstrumentId, Leg

T = BracketTrigger

#: Phases in which a new target, a new stop price or a sale in part may begin.
_SETTLED: Final = frozenset({PairPhase.PROTECTING, PairPhase.PROTECTED})


class PairKeeper:
    """Keep the pairs of brackets that are not being left."""

    def __init__(
        self,
        *,
        instruments: Mapping[InstrumentId, Instrument],
        mover: BracketMover,
        leaver: Leaver,
        deadlines: Deadlines,
        exit_style: ExitStyle,
    ) -> None:
        self._instruments = instruments
        self._mover = mover
        self._leaver = leaver
        self._deadlines = deadlines
        self._links = exit_style is ExitStyle.BOTH_LEGS
        self._news: dict[PairPhase, Callable[[Bracket, Pair, Draft], list[Wish]]] = {
            **dict.fromkeys(RESTING, self._resting_news),
            PairPhase.CANCELING: self._canceling_news,
            PairPhase.TAKING: self._taking_news,
            PairPhase.SELLING: self._selling_news,
        }

    # --- new pairs -----------------------------------------------------------------------------------------

    def protect(self, bracket: Bracket, execution: Execution, draft: Draft) -> list[Wish]:
        """Make the pairs of an entry's execution and return their legs; the bracket moves by the fill."""
        made = legs.make_pairs(bracket, execution, self._instruments[bracket.instrument_id])
        for pair in made:
            pair.deadline_ts_ns = self._mover.until(bracket, self._deadlines.protect_ns, draft)
        bracket.pairs += made
        self._mover.move(bracket, T.ENTRY_FILLED, draft)
        if not made:
            reason = "an entry was filled that has no stop distance"
            return [HaltWanted(instrument_id=bracket.instrument_id, reason=reason)]
        wishes: list[Wish] = []
        for pair in made:
            wishes += self._rest(bracket, pair, draft)
            if bracket.wanted_exit:
                break
        return wishes

    def _rest(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        until = self._mover.until(bracket, self._deadlines.protect_ns, draft)
        pair.begin(PairPhase.PROTECTING, until)
        if bracket.reference_price <= pair.stop_price:
            # The broker refuses a sell stop at or through the market, and the market is where it was to sell.
            return self._leaver.want_exit(bracket, "stop", draft)
        wishes: list[Wish] = [legs.stop_request(bracket, pair, self._instruments[bracket.instrument_id])]
        if self._links and pair.target_price is not None:
            wishes.append(legs.target_request(bracket, pair))
        return wishes

    def placed(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> None:
        """Take in an order of a pair that was approved and written."""
        bracket.pair(order.pair).orders.append(order)
        self._mover.settle(bracket, draft)

    # --- news of orders ------------------------------------------------------------------------------------

    def order_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        """Let news of an order move its pair, and return what is wanted next."""
        wishes = self._order_news(bracket, order, execution, draft)
        for pair in bracket.living_pairs:
            is_waiting = pair.phase is PairPhase.CANCELING and not pair.open_orders
            if is_waiting and not order.is_open and pair.number != order.pair and not bracket.wanted_exit:
                wishes += self._canceling_news(bracket, pair, draft)
                self._mover.settle(bracket, draft)
        return wishes

    def _order_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        pair = bracket.pair(order.pair)
        if not pair.left:
            pair.deadline_ts_ns = None
            self._clear(pair, order, draft)
            self._mover.settle(bracket, draft)
            return []
        if execution is not None and not pair.is_present(order) and pair.open_orders:
            # It filled after its end was reported: what has taken its place is too large.
            if order.leg is Leg.STOP:
                self._leaver.cancel(pair.open_orders, draft)
                return self._leave(bracket, draft)
            purpose = Purpose.RESTORE if pair.phase in RESTING else pair.purpose
            return self._cancel(bracket, pair, purpose, T.STOP_MOVED, draft)
        wishes = self._news[pair.phase](bracket, pair, draft)
        self._mover.settle(bracket, draft)
        return wishes

    def _clear(self, pair: Pair, order: WorkingOrder, draft: Draft) -> None:
        if pair.is_present(order):
            self._leaver.leave_over(pair.open_orders, draft)
        else:
            self._leaver.cancel(pair.open_orders, draft)

    def _resting_news(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        stop, target = pair.stop, pair.target
        if stop is None:
            return []
        if not stop.is_open:
            may_have_filled = target is not None and target.is_open
            if stop.state is OrderState.CANCELED and not stop.cancel_requested and may_have_filled:
                # The venue cancels a linked stop because its target fills, and may say so in this order.
                if pair.phase is not PairPhase.ORPHANED:
                    pair.wait(PairPhase.ORPHANED, self._mover.until(bracket, self._deadlines.sibling_ns, draft))
                return []
            return self._leave(bracket, draft)
        if pair.phase is PairPhase.PROTECTING and pair.has_working_stop:
            pair.wait(PairPhase.PROTECTED, None)
        elif pair.phase is PairPhase.PROTECTED and not pair.has_working_stop:
            pair.wait(PairPhase.PROTECTING, self._mover.until(bracket, self._deadlines.protect_ns, draft))
        return []

    def _canceling_news(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        if pair.open_orders or any(other.outstanding() > other.left for other in bracket.pairs):
            # What was made for shares that are gone could still sell those of this pair.
            return []
        stop = pair.stop
        if stop is not None and stop.filled:
            # The stop was triggered while it was being canceled: the rest leaves as it was to.
            return self._leave(bracket, draft)
        if pair.to_sell:
            return self._sell_part(bracket, pair, draft)
        if pair.purpose is Purpose.TAKE and bracket.reference_price > pair.stop_price:
            pair.begin(PairPhase.TAKING, self._mover.until(bracket, self._deadlines.swap_ns, draft))
            self._mover.move(bracket, T.TARGET_DECIDED, draft)
            return [legs.target_request(bracket, pair)]
        return self._rest(bracket, pair, draft)

    def _taking_news(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        return [] if pair.open_orders else self._target_failed(bracket, pair, draft)

    def _target_failed(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        pair.failed_targets += 1
        self._mover.move(bracket, T.SWAP_FAILED, draft)
        return self._rest(bracket, pair, draft)

    def _selling_news(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        # An exit that ended with shares left: they keep what they had before, a stop.
        return [] if pair.open_orders else self._rest(bracket, pair, draft)

    def refused(self, bracket: Bracket, request: OrderRequest, draft: Draft) -> list[Wish]:
        """Return what takes the place of an exit that the gate has refused: its pair gets the stop back, or is left."""
        if not request.pair or bracket.wanted_exit:
            return [request]
        if request.leg is Leg.STOP:
            return self._leave(bracket, draft)
        pair = bracket.pair(request.pair)
        if pair.phase in RESTING or pair.open_orders:
            # Its stop is there, or comes before.
            return []
        if pair.phase is PairPhase.TAKING:
            return self._target_failed(bracket, pair, draft)
        return self._rest(bracket, pair, draft)

    def _leave(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        self._mover.move(bracket, T.PROTECTION_LOST, draft)
        return self._leaver.want_exit(bracket, "stop", draft)

    # --- what begins a swap --------------------------------------------------------------------------------

    def may_take(self, pair: Pair) -> bool:
        """Return whether a watched target of a pair may be taken: its stop works, and few attempts have failed."""
        is_watched = not self._links and pair.target_price is not None
        return is_watched and pair.phase is PairPhase.PROTECTED and pair.failed_targets < self._deadlines.exit_attempts

    def take(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        """Begin to put the target of a pair in the place of its stop."""
        return self._cancel(bracket, pair, Purpose.TAKE, T.TARGET_REACHED, draft)

    def leave_through_stop(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        """Leave a bracket because the price is at or through a stop that does not work."""
        return self._leave(bracket, draft)

    def trigger(self, bracket: Bracket, pair: Pair, draft: Draft) -> None:
        """Begin to wait for the fill of a stop-limit that the price has touched."""
        pair.wait(PairPhase.TRIGGERED, self._mover.until(bracket, self._deadlines.stop_limit_ns, draft))
        self._mover.settle(bracket, draft)

    def raise_stop(self, bracket: Bracket, pair: Pair, price: Decimal, draft: Draft) -> list[Wish]:
        """Move the stop of a pair up to a price on the tick; while a swap is under way it takes effect at its end."""
        pair.stop_price = price
        if not self.may_sell_part(pair):
            return []
        if bracket.reference_price <= price:
            return self._leaver.want_exit(bracket, "stop", draft)
        return self._cancel(bracket, pair, Purpose.RESTORE, T.STOP_MOVED, draft)

    def replace_orders(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        """Put new orders in the place of a pair's, whose quantity and prices are others now (a split)."""
        if not self.may_sell_part(pair):
            return []
        return self._cancel(bracket, pair, Purpose.RESTORE, T.STOP_MOVED, draft)

    def may_sell_part(self, pair: Pair) -> bool:
        """Return whether a part of a pair may be sold now: no other swap of it is under way."""
        return pair.phase in _SETTLED and pair.stop is not None

    def sell_part(self, bracket: Bracket, pair: Pair, quantity: Decimal, draft: Draft) -> list[Wish]:
        """Begin to sell a part of what a pair has left, at market."""
        pair.to_sell = quantity
        return self._cancel(bracket, pair, Purpose.SELL, T.PART_WANTED, draft)

    def _sell_part(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        part, pair.to_sell = min(pair.to_sell, pair.left), ZERO
        sold = pair
        wishes: list[Wish] = []
        if part < pair.left:
            pair.quantity -= part
            sold = Pair(
                number=len(bracket.pairs) + 1,
                quantity=part,
                entry_price=pair.entry_price,
                stop_price=pair.stop_price,
                target_price=pair.target_price,
            )
            bracket.pairs.append(sold)
            wishes += self._rest(bracket, pair, draft)
            if bracket.wanted_exit:
                return wishes
        sold.begin(PairPhase.SELLING, self._mover.until(bracket, self._deadlines.exit_ns, draft))
        return [*wishes, legs.pair_exit(bracket, sold)]

    def _cancel(
        self, bracket: Bracket, pair: Pair, purpose: Purpose, trigger: BracketTrigger, draft: Draft
    ) -> list[Wish]:
        pair.purpose = purpose
        pair.wait(PairPhase.CANCELING, self._mover.until(bracket, self._deadlines.swap_ns, draft))
        self._mover.move(bracket, trigger, draft)
        self._leaver.cancel(pair.open_orders, draft)
        self._mover.settle(bracket, draft)
        return [] if pair.open_orders else self._canceling_news(bracket, pair, draft)

    # --- deadlines -----------------------------------------------------------------------------------------

    def run_out(self, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        """Escalate the wait of a pair whose deadline has passed."""
        pair.deadline_ts_ns = None
        if pair.phase in RESTING:
            return self._leaver.want_exit(bracket, "stop", draft)
        if pair.phase is PairPhase.TAKING:
            return self._cancel(bracket, pair, Purpose.RESTORE, T.SWAP_FAILED, draft)
        waited_for = "a market exit" if pair.phase is PairPhase.SELLING else "the cancel of its orders"
        reason = f"pair {pair.number} of bracket {bracket.bracket_id} still waits for {waited_for}: look at its orders"
        return [HaltWanted(instrument_id=bracket.instrument_id, reason=reason)]
