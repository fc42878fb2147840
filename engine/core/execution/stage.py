"""The execution stage: places approved requests, lets orders move their brackets, and says what is wanted next.

It never sends and never sizes: what it wants goes to the gate as a request and comes back approved. Style
`both_legs` runs here: stop and target of one entry execution are linked at the venue. The orders themselves, and
what is asked about them, are in the register.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from uuid import UUID

from engine.core.execution import legs
from engine.core.execution.bracket_table import BRACKET_MACHINE, BracketState, BracketTrigger, ExitStyle
from engine.core.execution.brackets import Bracket, move
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.plans import plain_plan
from engine.core.execution.register import OrderRegister
from engine.core.execution.settings import Deadlines
from engine.core.execution.waiting import in_session_time
from engine.core.messages import (
    Approved,
    BracketOpened,
    BracketPlanned,
    Draft,
    HaltWanted,
    OrderRequest,
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

#: What execution wants after an event: orders that the gate has to pass, or a halt.
Wish = OrderRequest | HaltWanted

_PROTECTION_WAITS: Final = frozenset({BracketState.UNPROTECTED, BracketState.PROTECTING})


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
        self._sessions = sessions
        self._deadlines = deadlines
        self._exit_style = exit_style
        self._orders = OrderRegister(account_id=account_id, namespace=namespace, sessions=sessions, deadlines=deadlines)
        self._brackets: dict[int, Bracket] = {}
        # Those that are not settled: most reports and every signal concern one of these.
        self._open: dict[int, Bracket] = {}

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
        already = self._brackets[request.bracket_id].pair_outstanding(request.pair)
        return total + max(ZERO, request.quantity - already)

    def next_deadline_ts_ns(self) -> int | None:
        """Return when the next waiting state runs out, ns UTC."""
        deadlines = [bracket.deadline_ts_ns for bracket in self._open.values()]
        deadlines.append(self._orders.next_deadline_ts_ns())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # --- orders of approved requests -----------------------------------------------------------------------

    def place(self, approved: Approved[OrderRequest], draft: Draft) -> Bracket:
        """Make the order of an approved request, and its bracket when it is an entry."""
        request = approved.request
        bracket = self._brackets[request.bracket_id] if request.bracket_id else self._open_bracket(request, draft)
        order = self._orders.make(request, bracket_id=bracket.bracket_id, draft=draft)
        link = bracket.links.setdefault(request.pair, order.client_order_id) if request.pair else None
        draft.facts.append(
            legs.created_fact(order, request, link=link, decision_id=approved.decision_id, ts_ns=draft.ts_ns)
        )
        draft.commands.append(legs.submit_command(order, request, link=link, ts_ns=draft.ts_ns))
        if request.leg is Leg.ENTRY:
            bracket.entry = order
        else:
            bracket.exits.append(order)
            self._exit_placed(bracket, request.leg, draft)
        return bracket

    def _open_bracket(self, request: OrderRequest, draft: Draft) -> Bracket:
        bracket = Bracket(
            bracket_id=len(self._brackets) + 1,
            strategy_id=request.strategy_id,
            instrument_id=request.instrument_id,
            symbol=request.symbol,
            signal_id=request.signal_id,
            stop_distance=request.stop_distance,
            target_distance=request.target_distance,
            plan=request.plan or plain_plan(request.stop_distance, request.target_distance),
            reference_price=request.reference_price,
        )
        self._brackets[bracket.bracket_id] = bracket
        self._open[bracket.bracket_id] = bracket
        draft.facts.append(
            BracketOpened(
                bracket_id=bracket.bracket_id,
                strategy_id=bracket.strategy_id,
                instrument_id=bracket.instrument_id,
                symbol=bracket.symbol,
                signal_id=bracket.signal_id,
                exit_style=self._exit_style.value,
                stop_distance=bracket.stop_distance,
                target_distance=bracket.target_distance,
                ts_ns=draft.ts_ns,
            )
        )
        if request.plan is not None:
            draft.facts.append(BracketPlanned(bracket_id=bracket.bracket_id, plan=request.plan, ts_ns=draft.ts_ns))
        return bracket

    def _exit_placed(self, bracket: Bracket, leg: Leg, draft: Draft) -> None:
        if leg is Leg.STOP:
            # The clock of the exposure started with the fill: a stop that is only written does not reset it.
            self._move(bracket, BracketTrigger.STOP_DECIDED, draft, deadline_ts_ns=bracket.deadline_ts_ns)
        elif leg is Leg.EXIT:
            self._move(bracket, BracketTrigger.EXIT_DECIDED, draft)

    # --- reports of the venue, and what is wanted next -----------------------------------------------------

    def apply(self, report: VenueReport, order: WorkingOrder, draft: Draft) -> Execution | None:
        """Let a report move its order; return the execution that the ledger has to book, if it brings a new one."""
        return self._orders.apply(report, order, draft)

    def react(self, order: WorkingOrder, execution: Execution | None, draft: Draft) -> list[Wish]:
        """Let an order's news move its bracket and return what is wanted next.

        Not for a repeated report, which brings neither an execution nor another state: it is no news.
        """
        bracket = self._brackets[order.bracket_id]
        if execution is not None:
            bracket.reference_price = execution.price
            self._open[bracket.bracket_id] = bracket
        wishes = self._news(bracket, order, execution, draft)
        if bracket.is_settled:
            self._open.pop(bracket.bracket_id, None)
        return wishes

    def _news(self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft) -> list[Wish]:
        if execution is not None and execution.is_bust:
            return self._busted_execution(bracket, order, execution, draft)
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
            return self._exit_filled(bracket, order, draft)
        if not order.is_open:
            return self._exit_ended(bracket, order, draft)
        self._note_cover(bracket, draft)
        return []

    def _note_cover(self, bracket: Bracket, draft: Draft) -> None:
        is_covered = bracket.is_covered()
        if bracket.state is BracketState.PROTECTING and is_covered:
            self._move(bracket, BracketTrigger.STOP_WORKING, draft)
        elif bracket.state is BracketState.PROTECTED and not is_covered:
            # A stop that worked is in doubt again: from now on it is waited for, as at first.
            self._move(bracket, BracketTrigger.PROTECTION_LOST, draft)
            self._move(bracket, BracketTrigger.STOP_DECIDED, draft)

    def _entry_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if execution is not None:
            bracket.entered += execution.quantity
            self._move(bracket, BracketTrigger.ENTRY_FILLED, draft)
            if bracket.wanted_exit:
                return self._leave(bracket, draft)
            bracket.pairs += 1
            return legs.protect(bracket, execution, self._instruments[bracket.instrument_id])
        if order.is_open or bracket.is_final:
            return []
        if bracket.state is BracketState.ENTERING:
            self._move(bracket, BracketTrigger.ENTRY_ENDED, draft)
        elif bracket.held <= 0:
            self._close(bracket, draft)
        return []

    def _exit_filled(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        bracket.exit_reason = legs.exit_reason(order.leg, bracket.wanted_exit)
        if order.pair and not order.is_open:
            self._leave_over(bracket.open_exits(of_pair=order.pair), draft)
        if bracket.held > 0:
            self._note_cover(bracket, draft)
            return self._leave(bracket, draft) if bracket.wanted_exit else []
        if bracket.entry_is_open:
            # The position is gone while the entry could still fill: what is left of it is not wanted any more.
            self.cancel_entry(bracket, draft)
            self._leave_over(bracket.open_exits(), draft)
            return []
        self._close(bracket, draft)
        if bracket.held < 0:
            return [HaltWanted(instrument_id=bracket.instrument_id, reason="exits sold more than the bracket held")]
        return []

    def _close(self, bracket: Bracket, draft: Draft) -> None:
        if not bracket.is_final:
            self._move(bracket, BracketTrigger.POSITION_CLOSED, draft)
        self._leave_over(bracket.open_exits(), draft)

    def _leave_over(self, exits: list[WorkingOrder], draft: Draft) -> None:
        for order in exits:
            self._orders.leave_over(order, draft)

    def _exit_ended(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        if bracket.held <= 0:
            # A leg's end can be the last word of a swap in which another leg has sold everything.
            return []
        if order.leg is Leg.EXIT:
            bracket.failed_exits.append(order.state)
            self._move(bracket, BracketTrigger.EXIT_ENDED, draft)
            return self._leave(bracket, draft)
        if bracket.wanted_exit:
            return self._leave(bracket, draft)
        if order.is_leftover:
            # Its pair is done, so the venue has only tidied up: the stops of other pairs protect what is held.
            self._note_cover(bracket, draft)
            return []
        if order.leg is Leg.STOP:
            self._move(bracket, BracketTrigger.PROTECTION_LOST, draft)
            return self.want_exit(bracket, "stop", draft)
        return []

    def _busted_execution(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution, draft: Draft
    ) -> list[Wish]:
        halt = HaltWanted(
            instrument_id=order.instrument_id,
            reason=f"the venue took execution {execution.execution_id} back: compare positions with the venue",
        )
        if order.leg is Leg.ENTRY:
            bracket.entered -= execution.quantity
            self.cancel_entry(bracket, draft)
        else:
            bracket.exited -= execution.quantity
            self._move(bracket, BracketTrigger.POSITION_REOPENED, draft)
        if bracket.held > 0:
            return [halt, *self.want_exit(bracket, "signal", draft)]
        # What the exits were to sell was never bought.
        self._cancel(bracket.open_exits(), draft)
        if not bracket.entry_is_open:
            self._close(bracket, draft)
        return [halt]

    # --- leaving -------------------------------------------------------------------------------------------

    def want_exit(self, bracket: Bracket, reason: str, draft: Draft) -> list[Wish]:
        """Start to leave a bracket: cancel its entry and its legs, then ask for a market exit. Safe to repeat."""
        if bracket.is_final:
            self._cancel(bracket.open_exits(), draft)
            return []
        bracket.wanted_exit = bracket.wanted_exit or reason
        if reason == "kill":
            # An operator has looked at it and wants out: that is worth new attempts.
            bracket.failed_exits.clear()
        if bracket.entry_is_open:
            self.cancel_entry(bracket, draft)
        return self._leave(bracket, draft) if bracket.held > 0 else []

    def _leave(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        protective = [order for order in bracket.open_exits() if order.leg is not Leg.EXIT]
        if protective:
            self._cancel(protective, draft)
            if bracket.state is not BracketState.SWAPPING:
                self._move(bracket, BracketTrigger.EXIT_WANTED, draft)
            return []
        if bracket.held - bracket.outstanding() <= 0:
            if bracket.state is not BracketState.EXITING:
                self._move(bracket, BracketTrigger.EXIT_DECIDED, draft)
            return []
        failed = bracket.failed_exits
        if not failed or len(failed) < self._deadlines.exit_attempts:
            return [legs.market_exit(bracket, bracket.reference_price)]
        bracket.deadline_ts_ns = None
        reason = f"{len(failed)} market exits ended unfilled ({failed[-1]}): close the position by hand"
        return [HaltWanted(instrument_id=bracket.instrument_id, reason=reason)]

    def cancel_entry(self, bracket: Bracket, draft: Draft) -> None:
        """Ask for the cancel of a working entry; what it has filled stays."""
        if bracket.entry is not None:
            self._cancel([bracket.entry], draft)

    def _cancel(self, orders: list[WorkingOrder], draft: Draft) -> None:
        for order in orders:
            self._orders.request_cancel(order, draft)

    # --- deadlines -----------------------------------------------------------------------------------------

    def run_out(self, draft: Draft) -> list[Wish]:
        """Escalate every waiting state whose deadline has passed."""
        wishes: list[Wish] = [*self._orders.run_out(draft)]
        for bracket in list(self._open.values()):
            if bracket.deadline_ts_ns is not None and bracket.deadline_ts_ns <= draft.ts_ns:
                wishes += self._bracket_overdue(bracket, draft)
        return wishes

    def _bracket_overdue(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        bracket.deadline_ts_ns = None
        if bracket.state in _PROTECTION_WAITS:
            return self.want_exit(bracket, "stop", draft)
        return [
            HaltWanted(
                instrument_id=bracket.instrument_id,
                reason=f"bracket {bracket.bracket_id} is still {bracket.state} after its deadline: look at its orders",
            )
        ]

    def _move(
        self, bracket: Bracket, trigger: BracketTrigger, draft: Draft, *, deadline_ts_ns: int | None = None
    ) -> None:
        after = BRACKET_MACHINE.advance(bracket.state, trigger)
        deadline = deadline_ts_ns if deadline_ts_ns is not None else self._deadline(bracket, after, draft.ts_ns)
        draft.facts.append(move(bracket, trigger, ts_ns=draft.ts_ns, deadline_ts_ns=deadline))

    def _deadline(self, bracket: Bracket, after: BracketState, ts_ns: int) -> int | None:
        if after in _PROTECTION_WAITS and bracket.state in _PROTECTION_WAITS and bracket.deadline_ts_ns is not None:
            return bracket.deadline_ts_ns
        lasting_ns = {
            BracketState.UNPROTECTED: self._deadlines.protect_ns,
            BracketState.PROTECTING: self._deadlines.protect_ns,
            BracketState.SWAPPING: self._deadlines.swap_ns,
            BracketState.EXITING: self._deadlines.exit_ns,
        }.get(after)
        if lasting_ns is None:
            return None
        return in_session_time(self._sessions[bracket.instrument_id], ts_ns, lasting_ns)
