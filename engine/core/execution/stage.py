"""The execution stage: makes orders of approved requests, lets reports move them, and says what is wanted next.

It never sends and never sizes: what it wants goes to the gate as a request and comes back approved. Style
`both_legs` runs here: stop and target of one entry execution are linked at the venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from uuid import UUID

from engine.core.execution import legs
from engine.core.execution.bracket_table import BRACKET_MACHINE, BracketState, BracketTrigger, ExitStyle
from engine.core.execution.brackets import Bracket, move
from engine.core.execution.ids import client_order_id
from engine.core.execution.order_table import OrderState, OrderTrigger
from engine.core.execution.orders import (
    REPORT_TRIGGERS,
    Execution,
    WorkingOrder,
    bust_trigger,
    execution_trigger,
    reason_of,
    transition,
)
from engine.core.execution.settings import Deadlines
from engine.core.messages import (
    Approved,
    BracketOpened,
    CancelOrder,
    Draft,
    ExecutionBusted,
    HaltWanted,
    OrderAcknowledged,
    OrderFilled,
    OrderRequest,
    QueryOrder,
    VenueReport,
)
from engine.core.values import (
    ZERO,
    AccountId,
    ClientOrderId,
    ExecutionId,
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
        self._account_id = account_id
        self._namespace = namespace
        self._instruments = instruments
        self._sessions = sessions
        self._deadlines = deadlines
        self._exit_style = exit_style
        self._orders: dict[ClientOrderId, WorkingOrder] = {}
        self._brackets: dict[int, Bracket] = {}
        self._open: dict[int, Bracket] = {}
        self._awaited: dict[ClientOrderId, WorkingOrder] = {}
        self._executions: dict[ExecutionId, Execution] = {}
        self._busted: set[ExecutionId] = set()

    # --- what others may ask -------------------------------------------------------------------------------

    def order(self, order_id: ClientOrderId) -> WorkingOrder | None:
        """Return an order of ours, or None."""
        return self._orders.get(order_id)

    def bracket(self, bracket_id: int) -> Bracket:
        """Return a bracket by its number."""
        return self._brackets[bracket_id]

    def open_brackets(
        self, strategy_id: StrategyId | None = None, instrument_id: InstrumentId | None = None
    ) -> list[Bracket]:
        """Return brackets that are not final, of one strategy and instrument or of all."""
        return [
            bracket
            for bracket in self._open.values()
            if strategy_id in (None, bracket.strategy_id) and instrument_id in (None, bracket.instrument_id)
        ]

    def open_orders(self) -> list[WorkingOrder]:
        """Return orders that may still fill, oldest first."""
        return [order for order in self._orders.values() if order.is_open]

    def open_order_count(self) -> int:
        """Return how many orders of open brackets may still fill."""
        return sum(bracket.entry_is_open + len(bracket.open_exits()) for bracket in self._open.values())

    def exits_with(self, request: OrderRequest) -> Decimal:
        """Return how much all working and unknown exits could sell if the request joined them."""
        total = sum(
            (bracket.outstanding() for bracket in self.open_brackets(request.strategy_id, request.instrument_id)), ZERO
        )
        if not request.pair:
            return total + request.quantity
        already = self._brackets[request.bracket_id].pair_outstanding(request.pair)
        return total + max(ZERO, request.quantity - already)

    def next_deadline_ts_ns(self) -> int | None:
        """Return when the next waiting state runs out, ns UTC."""
        deadlines = [order.deadline_ts_ns for order in self._awaited.values() if order.deadline_ts_ns is not None]
        deadlines += [bracket.deadline_ts_ns for bracket in self._open.values() if bracket.deadline_ts_ns is not None]
        return min(deadlines, default=None)

    # --- orders of approved requests -----------------------------------------------------------------------

    def place(self, approved: Approved[OrderRequest], draft: Draft) -> Bracket:
        """Make the order of an approved request, and its bracket when it is an entry."""
        request = approved.request
        bracket = self._brackets[request.bracket_id] if request.bracket_id else self._open_bracket(request, draft)
        order = self._make_order(request, bracket, draft)
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
            reference_price=request.reference_price,
        )
        session = self._sessions[request.instrument_id].session_from(draft.ts_ns)
        if not session.always_open:
            bracket.deadline_ts_ns = session.close_ts_ns + self._deadlines.entry_after_close_ns
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
        return bracket

    def _make_order(self, request: OrderRequest, bracket: Bracket, draft: Draft) -> WorkingOrder:
        order_id = len(self._orders) + 1
        order = WorkingOrder(
            order_id=order_id,
            client_order_id=client_order_id(
                self._namespace,
                account_id=self._account_id,
                strategy_id=request.strategy_id,
                instrument_id=request.instrument_id,
                sequence=order_id,
                leg=request.leg,
                attempt=1,
            ),
            bracket_id=bracket.bracket_id,
            strategy_id=request.strategy_id,
            instrument_id=request.instrument_id,
            leg=request.leg,
            side=request.side,
            order_type=request.order_type,
            quantity=request.quantity,
            reference_price=request.reference_price,
            pair=request.pair,
            deadline_ts_ns=draft.ts_ns + self._deadlines.acknowledge_ns,
        )
        self._orders[order.client_order_id] = order
        self._awaited[order.client_order_id] = order
        return order

    def _exit_placed(self, bracket: Bracket, leg: Leg, draft: Draft) -> None:
        if leg is Leg.STOP:
            # The clock of the exposure started with the fill: a stop that is only written does not reset it.
            self._move(bracket, BracketTrigger.STOP_DECIDED, draft, deadline_ts_ns=bracket.deadline_ts_ns)
        elif leg is Leg.EXIT:
            self._move(bracket, BracketTrigger.EXIT_DECIDED, draft)

    # --- reports of the venue ------------------------------------------------------------------------------

    def apply(self, report: VenueReport, order: WorkingOrder, draft: Draft) -> Execution | None:
        """Let a report move its order; return the execution that the ledger has to book, if it brings a new one."""
        if isinstance(report, OrderFilled):
            return self._apply_fill(report, order, draft)
        if isinstance(report, ExecutionBusted):
            return self._apply_bust(report, order, draft)
        if isinstance(report, OrderAcknowledged):
            order.venue_order_id = report.venue_order_id
        self._transition(order, REPORT_TRIGGERS[type(report)], report, draft)
        return None

    def _apply_fill(self, report: OrderFilled, order: WorkingOrder, draft: Draft) -> Execution | None:
        if report.execution_id in self._executions:
            return None
        execution = Execution(
            order=order,
            execution_id=report.execution_id,
            price=report.price,
            quantity=report.quantity,
            fee=report.fee,
            is_bust=False,
            venue_ts_ns=report.venue_ts_ns,
        )
        self._executions[report.execution_id] = execution
        order.filled += report.quantity
        self._transition(order, execution_trigger(order), report, draft)
        return execution

    def _apply_bust(self, report: ExecutionBusted, order: WorkingOrder, draft: Draft) -> Execution | None:
        filled = self._executions.get(report.execution_id)
        if filled is None or report.execution_id in self._busted:
            return None
        self._busted.add(report.execution_id)
        order.filled -= filled.quantity
        self._transition(order, bust_trigger(order), report, draft)
        return Execution(
            order=order,
            execution_id=report.execution_id,
            price=filled.price,
            quantity=filled.quantity,
            fee=filled.fee,
            is_bust=True,
            venue_ts_ns=report.venue_ts_ns,
        )

    def _transition(self, order: WorkingOrder, trigger: OrderTrigger, report: VenueReport, draft: Draft) -> None:
        fact = transition(order, trigger, ts_ns=draft.ts_ns, venue_ts_ns=report.venue_ts_ns, reason=reason_of(report))
        if fact is not None:
            draft.facts.append(fact)
        if not order.is_open or (order.state is not OrderState.NEW and not order.cancel_requested):
            order.deadline_ts_ns = None
            self._awaited.pop(order.client_order_id, None)

    # --- what is wanted next -------------------------------------------------------------------------------

    def react(self, order: WorkingOrder, execution: Execution | None, draft: Draft) -> list[Wish]:
        """Let an order's news move its bracket and return what is wanted next."""
        bracket = self._brackets[order.bracket_id]
        if execution is not None:
            bracket.reference_price = execution.price
        if execution is not None and execution.is_bust:
            return self._busted_execution(bracket, order, execution, draft)
        if execution is not None and order.filled > order.quantity:
            return [
                HaltWanted(
                    instrument_id=order.instrument_id,
                    reason=f"order {order.order_id} filled {order.filled} of {order.quantity}: compare with the venue",
                ),
                *self._react_normally(bracket, order, execution, draft),
            ]
        return self._react_normally(bracket, order, execution, draft)

    def _react_normally(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if order.leg is Leg.ENTRY:
            return self._entry_news(bracket, order, execution, draft)
        if execution is not None:
            bracket.exited += execution.quantity
            return self._exit_filled(bracket, order, draft)
        if not order.is_open:
            return self._exit_ended(bracket, order, draft)
        if bracket.state is BracketState.PROTECTING and bracket.is_covered():
            self._move(bracket, BracketTrigger.STOP_WORKING, draft)
        return []

    def _entry_news(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if execution is not None:
            bracket.entered += execution.quantity
            self._open[bracket.bracket_id] = bracket
            self._move(bracket, BracketTrigger.ENTRY_FILLED, draft)
            if bracket.wanted_exit:
                return self._leave(bracket, draft)
            bracket.pairs += 1
            return legs.protect(bracket, execution, self._instruments[bracket.instrument_id])
        if order.is_open or bracket.is_final:
            return []
        if not bracket.entered:
            self._move(bracket, BracketTrigger.ENTRY_ENDED, draft)
        elif not bracket.held:
            self._close(bracket, draft)
        return []

    def _exit_filled(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        bracket.exit_reason = legs.exit_reason(order.leg, bracket.wanted_exit)
        if bracket.held > 0:
            return self._leave(bracket, draft) if bracket.wanted_exit else []
        if bracket.entry_is_open:
            # The position is gone while the entry could still fill: what is left of it is not wanted any more.
            self.cancel_entry(bracket, draft)
            return []
        self._close(bracket, draft)
        if bracket.held < 0:
            return [HaltWanted(instrument_id=bracket.instrument_id, reason="exits sold more than the bracket held")]
        return []

    def _close(self, bracket: Bracket, draft: Draft) -> None:
        if not bracket.is_final:
            self._move(bracket, BracketTrigger.POSITION_CLOSED, draft)
        # The venue cancels a linked leg within the fill; one that it leaves is canceled when this runs out.
        for order in bracket.open_exits():
            order.deadline_ts_ns = draft.ts_ns + self._deadlines.cancel_ns
            self._awaited[order.client_order_id] = order

    def _exit_ended(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        if bracket.held <= 0:
            # A leg's end can be the last word of a swap in which another leg has sold everything.
            return []
        if order.leg is Leg.EXIT:
            return self._market_exit_ended(bracket, order, draft)
        if bracket.wanted_exit:
            return self._leave(bracket, draft)
        if order.leg is Leg.STOP:
            self._move(bracket, BracketTrigger.PROTECTION_LOST, draft)
            return self.want_exit(bracket, "stop", draft)
        return []

    def _market_exit_ended(self, bracket: Bracket, order: WorkingOrder, draft: Draft) -> list[Wish]:
        self._move(bracket, BracketTrigger.EXIT_ENDED, draft)
        attempts = sum(1 for exit_order in bracket.exits if exit_order.leg is Leg.EXIT)
        if attempts < self._deadlines.exit_attempts:
            return self._leave(bracket, draft)
        bracket.deadline_ts_ns = None
        return [
            HaltWanted(
                instrument_id=bracket.instrument_id,
                reason=f"{attempts} market exits ended unfilled ({order.state}): close the position by hand",
            )
        ]

    def _busted_execution(
        self, bracket: Bracket, order: WorkingOrder, execution: Execution, draft: Draft
    ) -> list[Wish]:
        halt = HaltWanted(
            instrument_id=order.instrument_id,
            reason=f"the venue took execution {execution.execution_id} back: compare positions with the venue",
        )
        if order.leg is Leg.ENTRY:
            bracket.entered -= execution.quantity
        else:
            bracket.exited -= execution.quantity
            self._open[bracket.bracket_id] = bracket
            self._move(bracket, BracketTrigger.POSITION_REOPENED, draft)
        if bracket.is_final or bracket.held <= 0:
            return [halt]
        return [halt, *self.want_exit(bracket, "signal", draft)]

    # --- leaving -------------------------------------------------------------------------------------------

    def want_exit(self, bracket: Bracket, reason: str, draft: Draft) -> list[Wish]:
        """Start to leave a bracket: cancel its entry and its legs, then ask for a market exit. Safe to repeat."""
        if bracket.is_final:
            return []
        bracket.wanted_exit = bracket.wanted_exit or reason
        if bracket.entry_is_open:
            self.cancel_entry(bracket, draft)
        return self._leave(bracket, draft) if bracket.held > 0 else []

    def _leave(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        protective = [order for order in bracket.open_exits() if order.leg is not Leg.EXIT]
        if protective:
            for order in protective:
                self._request_cancel(order, draft)
            if bracket.state is not BracketState.SWAPPING:
                self._move(bracket, BracketTrigger.EXIT_WANTED, draft)
            return []
        if bracket.held - bracket.outstanding() <= 0:
            return []
        return [legs.market_exit(bracket, bracket.reference_price)]

    def cancel_entry(self, bracket: Bracket, draft: Draft) -> None:
        """Ask for the cancel of a working entry; what it has filled stays."""
        if bracket.entry is not None and bracket.entry.is_open:
            self._request_cancel(bracket.entry, draft)

    def _request_cancel(self, order: WorkingOrder, draft: Draft) -> None:
        if order.cancel_requested:
            return
        order.cancel_requested = True
        fact = transition(
            order, OrderTrigger.CANCEL_REQUESTED, ts_ns=draft.ts_ns, venue_ts_ns=draft.ts_ns, source="engine"
        )
        if fact is not None:
            draft.facts.append(fact)
        order.deadline_ts_ns = draft.ts_ns + self._deadlines.cancel_ns
        self._awaited[order.client_order_id] = order
        draft.commands.append(CancelOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))

    # --- deadlines -----------------------------------------------------------------------------------------

    def run_out(self, draft: Draft) -> list[Wish]:
        """Escalate every waiting state whose deadline has passed."""
        for order in list(self._awaited.values()):
            if order.deadline_ts_ns is not None and order.deadline_ts_ns <= draft.ts_ns:
                self._order_overdue(order, draft)
        wishes: list[Wish] = []
        for bracket in list(self._open.values()):
            if bracket.deadline_ts_ns is not None and bracket.deadline_ts_ns <= draft.ts_ns:
                wishes += self._bracket_overdue(bracket, draft)
        return wishes

    def _order_overdue(self, order: WorkingOrder, draft: Draft) -> None:
        if self._brackets[order.bracket_id].is_final and not order.cancel_requested:
            self._request_cancel(order, draft)
            return
        fact = transition(
            order,
            OrderTrigger.OUTCOME_UNKNOWN,
            ts_ns=draft.ts_ns,
            venue_ts_ns=draft.ts_ns,
            reason="no answer in time",
            source="engine",
        )
        if fact is not None:
            draft.facts.append(fact)
        order.overdue += 1
        # Asked less and less often: the venue is not to be flooded by a silence of its own.
        order.deadline_ts_ns = draft.ts_ns + self._deadlines.acknowledge_ns * 2 ** min(order.overdue, 6)
        draft.commands.append(QueryOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))

    def _bracket_overdue(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        bracket.deadline_ts_ns = None
        if bracket.state is BracketState.ENTERING:
            self.cancel_entry(bracket, draft)
            return []
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
        if bracket.is_final:
            self._open.pop(bracket.bracket_id, None)

    def _deadline(self, bracket: Bracket, after: BracketState, ts_ns: int) -> int | None:
        if after is BracketState.ENTERING:
            return bracket.deadline_ts_ns
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
        # While the exchange is closed nothing can move: the wait starts when it opens.
        opens_ts_ns = self._sessions[bracket.instrument_id].session_from(ts_ns).open_ts_ns
        return max(ts_ns, opens_ts_ns) + lasting_ns
