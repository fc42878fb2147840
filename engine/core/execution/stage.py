"""The execution stage: places approved requests, lets orders move their brackets, and says what is wanted next.

It never sends and never sizes: what it wants goes to the gate as a request and comes back approved. The orders
themselves, and what is asked about them, are in the register; what protects each execution of an entry is a pair,
kept by the keeper; prices between the reports are watched only where a bracket needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from engine.core.execution import legs
from engine.core.execution.adjusting import Adjuster
from engine.core.execution.bracket_table import BracketState, BracketTrigger, ExitStyle
from engine.core.execution.brackets import Bracket
from engine.core.execution.fitting import Fitter, take_back_entry, take_back_exit
from engine.core.execution.keeping import PairKeeper
from engine.core.execution.leaving import Leaver
from engine.core.execution.moving import BracketMover
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.plans import plain_plan
from engine.core.execution.recovering import OrderRecovery
from engine.core.execution.register import OrderRegister
from engine.core.execution.settings import Deadlines
from engine.core.execution.splitting import SplitScale
from engine.core.execution.waits import Waits, is_over
from engine.core.execution.watching import Levels, PriceWatch, needs_watching
from engine.core.execution.wishes import Refused, Wish
from engine.core.messages import (
    Approved,
    BracketPlanned,
    Draft,
    HaltWanted,
    OrderRequest,
    ShareSplit,
    VenueReport,
)
from engine.core.values import (
    ZERO,
    AccountId,
    ClientOrderId,
    Instrument,
    InstrumentId,
    Leg,
    Sessions,
    StrategyId,
)


class ExecutionStage:
    """Hold all orders and brackets of one account."""

    def __init__(
        self,
        *,
        account_id: AccountId,
        namespace: UUID,
        instruments: Mapping[InstrumentId, Instrument],
        sessions: Mapping[InstrumentId, Sessions],
        deadlines: Deadlines,
        exit_style: ExitStyle,
    ) -> None:
        self._instruments = instruments
        self._exit_style = exit_style
        self._waits = Waits(sessions)
        self._orders = OrderRegister(
            account_id=account_id, namespace=namespace, sessions=sessions, waits=self._waits, deadlines=deadlines
        )
        #: What silences of the venue prove, and what a new engine makes of orders without an answer.
        self.recovery = OrderRecovery(orders=self._orders, deadlines=deadlines)
        self._mover = BracketMover(waits=self._waits, deadlines=deadlines)
        self._leaver = Leaver(orders=self._orders, mover=self._mover, deadlines=deadlines)
        self._keeper = PairKeeper(
            instruments=instruments,
            mover=self._mover,
            leaver=self._leaver,
            deadlines=deadlines,
            exit_style=exit_style,
        )
        self._fitter = Fitter(instruments=instruments, leaver=self._leaver, keeper=self._keeper)
        self._adjuster = Adjuster(instruments=instruments, waits=self._waits, keeper=self._keeper)
        self._watch = PriceWatch(instruments=instruments, keeper=self._keeper)
        self._brackets: dict[int, Bracket] = {}
        # Those that are not settled: most reports and every signal concern one of these.
        self._open: dict[int, Bracket] = {}
        #: The prices at which something has to be done, by instrument; empty while no bracket watches any.
        self.watched: dict[InstrumentId, Levels] = {}

    # --- what others may ask -------------------------------------------------------------------------------

    def order(self, order_id: ClientOrderId) -> WorkingOrder | None:
        """Return an order of ours, or None."""
        return self._orders.order(order_id)

    def open_orders(self) -> list[WorkingOrder]:
        """Return orders that may still fill, oldest first."""
        return self._orders.open_orders()

    def bracket(self, bracket_id: int) -> Bracket:
        """Return a bracket by its number."""
        return self._brackets[bracket_id]

    def open_brackets(
        self, strategy_id: StrategyId | None = None, instrument_id: InstrumentId | None = None
    ) -> list[Bracket]:
        """Return brackets that are not settled (see `Bracket.is_settled`), of one strategy and instrument or of all."""
        return [
            bracket
            for bracket in self._open.values()
            if strategy_id in (None, bracket.strategy_id) and instrument_id in (None, bracket.instrument_id)
        ]

    def is_exposed(self, ts_ns: int) -> bool:
        """Return whether something may be held unprotected, as far as is known, and anything can be done for it."""
        return any(
            each.may_lack_a_stop
            and not self._leaver.has_given_up(each)
            and self._waits.is_open(each.instrument_id, ts_ns)
            for each in self._open.values()
        )

    def open_order_count(self) -> int:
        """Return how many orders of open brackets may still fill."""
        return sum(bracket.entry_is_open + len(bracket.open_exits()) for bracket in self._open.values())

    def exits_with(self, request: OrderRequest) -> Decimal:
        """Return how much all working and unknown exits could sell if the request joined them.

        For an entry a leg that was left over counts: until the venue says that it is gone, it might sell. A stop
        does not wait for that, since what was bought is in danger meanwhile.
        """
        is_entry = request.leg is Leg.ENTRY
        brackets = self.open_brackets(request.strategy_id, request.instrument_id)
        total = sum((bracket.outstanding(with_done_pairs=is_entry) for bracket in brackets), ZERO)
        if is_entry:
            return total
        if not request.pair:
            return total + request.quantity
        already = self._brackets[request.bracket_id].pair(request.pair).outstanding()
        return total + max(ZERO, request.quantity - already)

    def next_deadline_ts_ns(self) -> int | None:
        """Return when the next waiting state runs out, ns UTC."""
        deadlines = [self._orders.next_deadline_ts_ns()]
        for bracket in self._open.values():
            if self._is_waiting(bracket):
                deadlines += (bracket.leave_at_ts_ns, *bracket.deadlines)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # --- orders of approved requests -----------------------------------------------------------------------

    def place(self, approved: Approved[OrderRequest], draft: Draft) -> Bracket:
        """Make the order of an approved request, and its bracket when it is an entry."""
        request = approved.request
        bracket = self._brackets[request.bracket_id] if request.bracket_id else self._open_bracket(request, draft)
        order = self._orders.make(request, bracket_id=bracket.bracket_id, draft=draft)
        order.link = self._link(bracket, order)
        draft.facts.append(
            legs.created_fact(order, request, link=order.link, decision_id=approved.decision_id, ts_ns=draft.ts_ns)
        )
        order.command = legs.submit_command(order, request, link=order.link, ts_ns=draft.ts_ns)
        draft.commands.append(order.command)
        if request.leg is Leg.ENTRY:
            bracket.entry = order
        else:
            bracket.exits.append(order)
            if order.pair:
                self._keeper.placed(bracket, order, draft)
            else:
                self._mover.move(bracket, BracketTrigger.EXIT_DECIDED, draft)
        self._refresh_watch(bracket)
        return bracket

    def _link(self, bracket: Bracket, order: WorkingOrder) -> ClientOrderId | None:
        if self._exit_style is not ExitStyle.BOTH_LEGS or order.leg not in (Leg.STOP, Leg.TARGET):
            return None
        pair = bracket.pair(order.pair)
        pair.link = pair.link or order.client_order_id
        return pair.link

    def _open_bracket(self, request: OrderRequest, draft: Draft) -> Bracket:
        bracket = Bracket(
            bracket_id=len(self._brackets) + 1,
            strategy_id=request.strategy_id,
            instrument_id=request.instrument_id,
            symbol=request.symbol,
            signal_id=request.signal_id,
            plan=request.plan or plain_plan(request.stop_distance, request.target_distance),
            reference_price=request.reference_price,
        )
        bracket.is_watched = needs_watching(bracket.plan, self._exit_style)
        self._brackets[bracket.bracket_id] = bracket
        self._open[bracket.bracket_id] = bracket
        draft.facts.append(legs.opened_fact(bracket, request, exit_style=self._exit_style, ts_ns=draft.ts_ns))
        if request.plan is not None:
            draft.facts.append(BracketPlanned(bracket_id=bracket.bracket_id, plan=request.plan, ts_ns=draft.ts_ns))
        return bracket

    # --- reports of the venue, and what is wanted next -----------------------------------------------------

    def apply(self, report: VenueReport, order: WorkingOrder, draft: Draft) -> Execution | None:
        """Let a report move its order; return the execution that the ledger has to book, if it brings a new one."""
        return self._orders.apply(report, order, draft)

    def react(self, order: WorkingOrder, execution: Execution | None, draft: Draft, *, position: Decimal) -> list[Wish]:
        """Let an order's news move its bracket and return what is wanted next; `position` is what the books hold.

        Not for a repeated report, which brings neither an execution nor another state: it is no news.
        """
        bracket = self._brackets[order.bracket_id]
        if execution is not None:
            self._open[bracket.bracket_id] = bracket
        if execution is not None and execution.is_bust:
            wishes = self._busted_execution(bracket, order, execution, draft, position=position)
        else:
            wishes = self._news(bracket, order, execution, draft)
            if execution is not None and bracket.held < 0:
                wishes += self._oversold(bracket, draft, position=position)
        if order.leg is not Leg.ENTRY and not order.is_open:
            wishes += self._leave_with_room(bracket, draft)
        if bracket.is_settled:
            self._open.pop(bracket.bracket_id, None)
        self._refresh_watch(bracket)
        return wishes

    # What an exit could still have sold is free again when it ends: others may have been cut to what it left them.
    def _leave_with_room(self, ended: Bracket, draft: Draft) -> list[Wish]:
        return [wish for other in self._others(ended) for wish in self._leaver.leave_rest(other, draft)]

    def _others(self, bracket: Bracket) -> list[Bracket]:
        brackets = self.open_brackets(bracket.strategy_id, bracket.instrument_id)
        return [other for other in brackets if other is not bracket]

    def _news(self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft) -> list[Wish]:
        if execution is not None:
            bracket.reference_price = execution.price
        wishes = self._usual_news(bracket, order, execution, draft)
        if execution is None or order.filled <= order.quantity:
            return wishes
        reason = f"order {order.order_id} filled {order.filled} of {order.quantity}: compare with the venue"
        return [HaltWanted(instrument_id=order.instrument_id, reason=reason), *wishes]

    def _usual_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if order.leg is Leg.ENTRY:
            return self._entry_news(bracket, order, execution, draft)
        if execution is not None:
            bracket.exited += execution.quantity
            return self._exit_filled(bracket, order, execution, draft)
        if bracket.held <= 0:
            # A leg's end can be the last word of a swap in which another leg has sold everything.
            return []
        if order.pair and not bracket.wanted_exit:
            return self._keeper.order_news(bracket, order, None, draft)
        return [] if order.is_open else self._exit_ended(bracket, order, draft)

    def _entry_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if execution is not None:
            bracket.entered += execution.quantity
            self._begin_holding(bracket, draft)
            if not bracket.wanted_exit:
                return self._keeper.protect(bracket, execution, draft)
            self._mover.move(bracket, BracketTrigger.ENTRY_FILLED, draft)
            return self._leaver.leave(bracket, draft)
        if order.is_open or bracket.is_final:
            return []
        if bracket.state is BracketState.ENTERING:
            self._mover.move(bracket, BracketTrigger.ENTRY_ENDED, draft)
        elif bracket.held <= 0:
            self._leaver.close(bracket, draft)
        return []

    def _begin_holding(self, bracket: Bracket, draft: Draft) -> None:
        lasting_ns = bracket.plan.hold_ns_max
        if lasting_ns is not None and bracket.leave_at_ts_ns is None and not bracket.wanted_exit:
            bracket.leave_at_ts_ns = self._waits.until(bracket.instrument_id, draft.ts_ns, lasting_ns)

    def _exit_filled(self, bracket: Bracket, order: WorkingOrder, execution: Execution, draft: Draft) -> list[Wish]:
        bracket.exit_reason = legs.exit_reason(order.leg, bracket.wanted_exit)
        if bracket.held > 0:
            if bracket.wanted_exit:
                return self._leaver.leave(bracket, draft)
            return self._keeper.order_news(bracket, order, execution, draft) if order.pair else []
        if bracket.entry_is_open:
            # The position is gone while the entry could still fill: what is left of it is not wanted any more.
            self._leaver.cancel_entry(bracket, draft)
            self._leaver.leave_over(bracket.open_exits(), draft)
            bracket.void_pairs()
            # The entry's cancel has a deadline of its own.
            bracket.deadline_ts_ns = None
            return []
        self._leaver.close(bracket, draft)
        return []

    # It has sold shares of others, whose exits are too large now. They bear what was sold of theirs, so that a later
    # fill or bust changes the bracket by all that it brings.
    def _oversold(self, bracket: Bracket, draft: Draft, *, position: Decimal) -> list[Wish]:
        others = self._others(bracket)[::-1]
        before = sum((each.held for each in others), ZERO)
        halt = HaltWanted(instrument_id=bracket.instrument_id, reason="exits sold more than the bracket held")
        wishes = [halt, *self._fit(others, position, draft)]
        borne = min(-bracket.held, before - sum((each.held for each in others), ZERO))
        bracket.exited -= borne
        if borne and bracket.is_final:
            # Once more, with what is left of its sales.
            self._mover.move(bracket, BracketTrigger.POSITION_CLOSED, draft)
        return wishes

    def _exit_ended(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        if order.leg is Leg.EXIT:
            self._leaver.failed(bracket, order)
            self._mover.move(bracket, BracketTrigger.EXIT_ENDED, draft)
        return self._leaver.leave(bracket, draft)

    def _busted_execution(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution, draft: Draft, *, position: Decimal
    ) -> list[Wish]:
        halt = HaltWanted(
            instrument_id=order.instrument_id,
            reason=f"the venue took execution {execution.execution_id} back: compare positions with the venue",
        )
        if order.leg is Leg.ENTRY:
            take_back_entry(bracket, execution.quantity)
            self._leaver.cancel_entry(bracket, draft)
        else:
            take_back_exit(bracket, execution.quantity)
            self._mover.move(bracket, BracketTrigger.POSITION_REOPENED, draft)
        # What a bust takes may have been sold already, of shares that another bracket holds.
        brackets = [bracket, *self._others(bracket)[::-1]]
        wishes = [halt, *self._fit(brackets, position, draft, busted=bracket)]
        if bracket.held > 0:
            return [*wishes, *self.want_exit(bracket, "signal", draft)]
        # What the exits were to sell was never bought.
        self._leaver.cancel(bracket.open_exits(), draft)
        bracket.void_pairs()
        bracket.deadline_ts_ns = None
        if not bracket.entry_is_open:
            self._leaver.close(bracket, draft)
        return wishes

    def _fit(
        self, brackets: Sequence[Bracket], position: Decimal, draft: Draft, *, busted: Bracket | None = None
    ) -> list[Wish]:
        wishes = self._fitter.fit(brackets, position, draft, busted=busted)
        for bracket in brackets:
            self._refresh_watch(bracket)
        return wishes

    def refused(self, request: OrderRequest, draft: Draft, *, position: Decimal) -> list[Wish]:
        """Return what is wanted instead of an exit that the gate has refused, as far as the position has room."""
        bracket = self._brackets[request.bracket_id]
        wishes = self._keeper.refused(bracket, request, draft)
        self._mover.settle(bracket, draft)
        self._refresh_watch(bracket)
        within = [wish if isinstance(wish, HaltWanted) else self._within(wish, position) for wish in wishes]
        return [wish for wish in within if isinstance(wish, HaltWanted) or (wish.quantity > 0 and wish != request)]

    def _within(self, request: OrderRequest, position: Decimal) -> OrderRequest:
        room = position - (self.exits_with(request) - request.quantity)
        lots = self._instruments[request.instrument_id].quantity(room)
        return replace(request, quantity=min(request.quantity, lots))

    # --- what strategies and operators want ----------------------------------------------------------------

    def want_exit(self, bracket: Bracket, reason: str, draft: Draft) -> list[Wish]:
        """Start to leave a bracket: cancel its entry and its legs, then ask for a market exit. Safe to repeat."""
        wishes = self._leaver.want_exit(bracket, reason, draft)
        self._refresh_watch(bracket)
        return wishes

    def leave_again(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        """Try anew to leave a bracket whose exits had failed too often: a human has looked and goes on."""
        return self._leaver.leave_again(bracket, draft)

    def scale_out(self, brackets: Sequence[Bracket], fraction: Decimal | None, draft: Draft) -> list[Wish] | Refused:
        """Begin to sell a part of what brackets of one strategy and instrument hold, or say why not."""
        return self._refreshed(brackets, self._adjuster.scale_out(brackets, fraction, draft))

    def move_stop(self, brackets: Sequence[Bracket], price: Decimal | None, draft: Draft) -> list[Wish] | Refused:
        """Move the stops of brackets of one strategy and instrument up, or say why not."""
        return self._refreshed(brackets, self._adjuster.move_stop(brackets, price, draft))

    def _refreshed(self, brackets: Sequence[Bracket], answer: list[Wish] | Refused) -> list[Wish] | Refused:
        for bracket in brackets:
            self._refresh_watch(bracket)
        return answer

    def cancel_entry(self, bracket: Bracket, draft: Draft) -> None:
        """Ask for the cancel of a working entry; what it has filled stays."""
        self._leaver.cancel_entry(bracket, draft)

    def split(self, event: ShareSplit, draft: Draft) -> list[Wish]:
        """Put the brackets of an instrument into new shares: entries end, stops and targets are placed anew."""
        instrument = self._instruments[event.instrument_id]
        scale = SplitScale(instrument, new_shares=event.new_shares, old_shares=event.old_shares)
        wishes: list[Wish] = []
        for bracket in self.open_brackets(instrument_id=event.instrument_id):
            self.cancel_entry(bracket, draft)
            if bracket.held <= 0:
                continue
            scale.rescale(bracket)
            wishes += self._fitter.renew(bracket, draft)
        self._set_levels(event.instrument_id)
        return wishes

    def correct(
        self, strategy_id: StrategyId, instrument_id: InstrumentId, position: Decimal, draft: Draft
    ) -> list[Wish]:
        """Take what the books do not hold any more out of brackets: exits of the rest are placed anew (I-12)."""
        return self._fit(self.open_brackets(strategy_id, instrument_id)[::-1], position, draft)

    # --- prices and pauses ---------------------------------------------------------------------------------

    def on_price(self, instrument_id: InstrumentId, price: Decimal, draft: Draft) -> list[Wish]:
        """Let a price that is at a level of `watched`, or the close of a bar, do what it does to brackets.

        The event that brought it is kept: a restart has to see it again. Outside sessions, and while the exchange
        halts the instrument, nothing is begun.
        """
        if not self._waits.is_open(instrument_id, draft.ts_ns):
            return []
        draft.is_kept = True
        wishes: list[Wish] = []
        for bracket in self._watching(instrument_id):
            if not bracket.wanted_exit:
                wishes += self._watch.see(bracket, price, draft)
        self._set_levels(instrument_id)
        return wishes

    def pause_waits(self, instrument_id: InstrumentId, ts_ns: int) -> None:
        """Stop the clock of every waiting state of an instrument that the exchange has halted; no swap begins."""
        self._waits.pause(instrument_id, ts_ns)

    def resume_waits(self, instrument_id: InstrumentId, ts_ns: int) -> None:
        """Let the clock go on: what was left of each wait is left still."""
        lasted_ns = self._waits.resume(instrument_id, ts_ns)
        for bracket in self.open_brackets(instrument_id=instrument_id):
            bracket.postpone(lasted_ns)

    def _watching(self, instrument_id: InstrumentId) -> list[Bracket]:
        return [bracket for bracket in self.open_brackets(instrument_id=instrument_id) if bracket.is_watched]

    def _refresh_watch(self, bracket: Bracket) -> None:
        if bracket.is_watched:
            self._set_levels(bracket.instrument_id)

    def _set_levels(self, instrument_id: InstrumentId) -> None:
        levels = self._watch.levels(
            bracket for bracket in self._watching(instrument_id) if not bracket.wanted_exit and not bracket.is_final
        )
        if levels is None:
            self.watched.pop(instrument_id, None)
        else:
            self.watched[instrument_id] = levels

    # --- deadlines -----------------------------------------------------------------------------------------

    def run_out(self, draft: Draft) -> list[Wish]:
        """Escalate every waiting state whose deadline has passed."""
        wishes: list[Wish] = [*self._orders.run_out(draft)]
        for bracket in list(self._open.values()):
            if self._is_waiting(bracket):
                wishes += self._bracket_run_out(bracket, draft)
                self._refresh_watch(bracket)
        return wishes

    def _is_waiting(self, bracket: Bracket) -> bool:
        return not bracket.is_final and not self._waits.is_paused(bracket.instrument_id)

    def _bracket_run_out(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        wishes: list[Wish] = []
        if is_over(bracket.leave_at_ts_ns, draft.ts_ns):
            bracket.leave_at_ts_ns = None
            wishes += self._leaver.want_exit(bracket, "time", draft)
        for pair in bracket.living_pairs:
            if not bracket.wanted_exit and is_over(pair.deadline_ts_ns, draft.ts_ns):
                wishes += self._keeper.run_out(bracket, pair, draft)
        if not bracket.waiting_pairs and is_over(bracket.deadline_ts_ns, draft.ts_ns):
            wishes += self._bracket_overdue(bracket, draft)
        return wishes

    def _bracket_overdue(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        bracket.deadline_ts_ns = None
        if bracket.state in (BracketState.UNPROTECTED, BracketState.PROTECTING):
            return self._leaver.want_exit(bracket, "stop", draft)
        return [
            HaltWanted(
                instrument_id=bracket.instrument_id,
                reason=f"bracket {bracket.bracket_id} is still {bracket.state} after its deadline: look at its orders",
            )
        ]
