"""Reconciliation: what a venue lists is compared with the books, and only adds to what is known.

Our orders catch up with their listed executions and ends, in the same step as whatever protects these. An order that
is not ours is recorded and halts its instrument. Positions that differ hold back entries at once; a difference that
outlasts the time in which listings settle is taken over, named as what it is, and halts the instrument (I-6, I-10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.recovering import Absence
from engine.core.execution.settings import Deadlines
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger
from engine.core.messages import (
    AccountListed,
    CancelOrder,
    ComparisonVerdict,
    Draft,
    EngineStarted,
    ExecutionBusted,
    ExternalOrderSeen,
    ListedOrder,
    ListedStatus,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotListed,
    OrderRejected,
    PositionCompared,
    VenueReport,
)
from engine.core.pipeline.adopting import Adopter
from engine.core.pipeline.desk import Desk
from engine.core.pipeline.settings import Market
from engine.core.values import ZERO, ExecutionId, InstrumentId

S = ListedStatus

#: How often the cancel of an order is sent again that was thought to be over and is listed as working.
_LATE_CANCELS_MAX: Final = 3
#: So many listings in a row show a difference before it is taken over that fills of open orders would explain, too.
SIGHTINGS_MIN: Final = 3
#: So many times the time in which listings settle is a bust waited for that would explain a difference: listings may
#: leave the order out a few times, but not for ever.
BUST_SETTLES_MAX: Final = 6
_OVER: Final = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})

#: Lets a report of the venue do what it does.
Report = Callable[[VenueReport, Draft], None]


@dataclass(frozen=True, slots=True)
class _Drift:
    booked: Decimal
    listed: Decimal
    #: After how many executions it was seen first: one that is booked since may be what explains it.
    trades: int
    since_ts_ns: int
    #: How many listings in a row show it.
    sightings: int = 1


class Reconciler:
    """Take listings, silences and the start of an engine."""

    def __init__(
        self,
        markets: Mapping[InstrumentId, Market],
        *,
        ledger: Ledger,
        execution: ExecutionStage,
        desk: Desk,
        deadlines: Deadlines,
        report: Report,
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._desk = desk
        self._settle_ns = deadlines.settle_ns
        self._report = report
        self._adopter = Adopter(markets, ledger=ledger, execution=execution, desk=desk)
        self._external: dict[str, ListedOrder] = {}
        self._drifts: dict[InstrumentId, _Drift] = {}
        self._late_cancels: dict[int, int] = {}
        # Since when an execution that counts is not listed, by instrument.
        self._missing_since: dict[InstrumentId, dict[ExecutionId, int]] = {key: {} for key in markets}
        # Since when an order is listed as filled with less than all of it executed.
        self._short_since: dict[int, int] = {}
        #: True from the start of an engine until the venue was listed in whole.
        self.is_blind = False
        # Orders that were over before this account had an engine are history, not news.
        self._first_start_ts_ns: int | None = None

    def close_eyes(self, draft: Draft) -> None:
        """Begin anew at the start of an engine, before all else of its step: what was found equal may have changed.

        Until the venue is listed in whole, no deadline fires and no timer runs: they would act on what an engine before
        believed.
        """
        self.is_blind = self._desk.guard.needs_reconciliation
        self._desk.guard.forget_reconciliation(draft)

    def start(self, event: EngineStarted, draft: Draft) -> None:
        """Take over from an engine that ended."""
        if self._first_start_ts_ns is None:
            self._first_start_ts_ns = event.received_ts_ns
            draft.is_kept |= self._desk.guard.needs_reconciliation
        self._execution.recovery.restarted(draft)

    def take(self, listed: AccountListed, draft: Draft) -> None:
        """Let the books learn what a venue lists."""
        self._desk.guard.see_venue_clock(listed, draft)
        known: set[int] = set()
        for each in listed.orders:
            order = self._execution.recovery.order_of(each)
            if order is None:
                known |= self._take_foreign(each, listed.asked_ts_ns, draft)
            else:
                known.add(order.order_id)
                self._catch_up(order, each, listed, draft)
        if not listed.is_complete:
            return
        for order in self._execution.open_orders():
            if order.order_id not in known and order.sent_ts_ns <= listed.asked_ts_ns:
                self.not_listed(order, listed.asked_ts_ns, is_certain=False, draft=draft)
        self._compare_positions(listed, draft)
        self.is_blind = False
        self._desk.guard.reconciled(listed.asked_ts_ns, frozenset(self._drifts), draft)

    def essence(self, listed: AccountListed) -> AccountListed:
        """Return a listing without the orders that are over and known with all that they executed: they say nothing.

        What is journaled and stepped is this; a listing of a day's orders every few seconds would fill the disk.
        """
        return replace(listed, orders=tuple(each for each in listed.orders if not self._says_nothing(each)))

    def _says_nothing(self, each: ListedOrder) -> bool:
        order = self._execution.recovery.order_of(each)
        if order is None:
            is_known = self._external.get(each.venue_order_id) == each
            return is_known and not any(_might_be(ours, each) for ours in self._execution.open_orders())
        if order.is_open or each.status not in _OVER or order.venue_order_id is None:
            return False
        there = {execution.execution_id for execution in each.executions}
        # One that was missing and is there again has to be seen: else it would count as missing ever since.
        missing = self._missing_since[order.instrument_id]
        is_same = there == order.executions.keys() and not there & missing.keys()
        return is_same and each.filled_quantity == order.filled

    def take_absence(self, report: OrderNotListed, order: WorkingOrder, draft: Draft) -> None:
        """Let an order learn that a question about it found nothing."""
        if report.is_complete and order.is_open:
            self.not_listed(order, report.asked_ts_ns, is_certain=report.is_certain, draft=draft)

    # --- our orders ------------------------------------------------------------------------------------------

    def _catch_up(self, order: WorkingOrder, each: ListedOrder, listed: AccountListed, draft: Draft) -> None:
        # What both sides know as refused needs no name: there is nothing of it to find again.
        if order.state is not OrderState.REJECTED or each.status is not S.REJECTED:
            self._execution.recovery.listed(order, each.venue_order_id, draft)
        for report in self._news(order, each, listed, draft):
            self._report(report, draft)
        is_over = not order.is_open and order.ended_ts_ns + self._settle_ns <= listed.asked_ts_ns
        if is_over and each.status in (S.WORKING, S.AWAITING_APPROVAL):
            self._cancel_late(order, draft)

    def _news(
        self, order: WorkingOrder, each: ListedOrder, listed: AccountListed, draft: Draft
    ) -> Iterator[VenueReport]:
        times = {"venue_ts_ns": listed.venue_ts_ns, "received_ts_ns": listed.received_ts_ns}
        identity = order.client_order_id
        if order.is_open and each.status is S.AWAITING_APPROVAL:
            yield OrderAwaitingApproval(client_order_id=identity, **times)
        elif order.is_open and each.status not in (S.UNREADABLE, S.REJECTED):
            yield OrderAcknowledged(client_order_id=identity, venue_order_id=each.venue_order_id, **times)
        for execution in each.executions:
            if execution.execution_id not in order.executions:
                yield OrderFilled(
                    client_order_id=identity,
                    execution_id=execution.execution_id,
                    price=execution.price,
                    quantity=execution.quantity,
                    fee=execution.fee,
                    venue_ts_ns=execution.venue_ts_ns,
                    received_ts_ns=listed.received_ts_ns,
                )
        yield from self._busts(order, each, listed, draft)
        if not order.is_open:
            return
        end = {"client_order_id": identity, "reason": f"listed as {each.status}", **times}
        if each.status is S.CANCELED or self._is_taken_back(order, each, listed.asked_ts_ns, draft):
            filled = order.filled if each.status is S.FILLED else each.filled_quantity
            yield OrderCanceled(filled_quantity=filled, **end)  # type: ignore[arg-type]  # named fields
        elif each.status is S.EXPIRED:
            yield OrderExpired(filled_quantity=each.filled_quantity, **end)  # type: ignore[arg-type]  # named fields
        elif each.status is S.REJECTED:
            yield OrderRejected(**end)  # type: ignore[arg-type]  # named fields

    # Over at the venue, and yet less has executed than was ordered: a bust does not let it work again. A venue may also
    # say so before it lists the last execution, which is why it has to last.
    def _is_taken_back(self, order: WorkingOrder, each: ListedOrder, asked_ts_ns: int, draft: Draft) -> bool:
        executed = sum((execution.quantity for execution in each.executions), ZERO)
        if each.status is not S.FILLED or executed >= order.quantity or executed != order.filled:
            draft.is_kept |= self._short_since.pop(order.order_id, None) is not None
            return False
        draft.is_kept = True
        return asked_ts_ns >= self._short_since.setdefault(order.order_id, asked_ts_ns) + self._settle_ns

    # What was told and is not listed any more was taken back, once that has lasted: listings may lag.
    def _busts(
        self, order: WorkingOrder, each: ListedOrder, listed: AccountListed, draft: Draft
    ) -> Iterator[VenueReport]:
        there = {execution.execution_id for execution in each.executions}
        missing = self._missing_since[order.instrument_id]
        for execution_id, heard_ts_ns in list(order.executions.items()):
            if execution_id in there:
                draft.is_kept |= missing.pop(execution_id, None) is not None
                continue
            if not listed.is_complete:
                continue
            draft.is_kept = True
            since_ts_ns = missing.setdefault(execution_id, listed.asked_ts_ns)
            if listed.asked_ts_ns >= max(heard_ts_ns, since_ts_ns) + self._settle_ns:
                del missing[execution_id]
                yield ExecutionBusted(
                    client_order_id=order.client_order_id,
                    execution_id=execution_id,
                    reason="the venue does not list it any more",
                    venue_ts_ns=listed.venue_ts_ns,
                    received_ts_ns=listed.received_ts_ns,
                )

    def _cancel_late(self, order: WorkingOrder, draft: Draft) -> None:
        count = self._late_cancels.get(order.order_id, 0)
        reason = f"order {order.order_id} was thought to be {order.state} and works at the venue: look at it"
        self._desk.halt((None, order.instrument_id), reason, draft)
        if count < _LATE_CANCELS_MAX:
            self._late_cancels[order.order_id] = count + 1
            draft.commands.append(CancelOrder(client_order_id=order.client_order_id, decided_ts_ns=draft.ts_ns))

    def not_listed(self, order: WorkingOrder, asked_ts_ns: int, *, is_certain: bool, draft: Draft) -> None:
        """Do what it means that an open order is not in a complete listing."""
        recovery = self._execution.recovery
        absence = recovery.not_listed(order, asked_ts_ns, is_certain=is_certain, draft=draft)
        if absence is Absence.PROVES_NOTHING:
            return
        may_leave = absence is Absence.MAY_BE_SENT_AGAIN and self._still_fits(order)
        if may_leave and self._desk.passes_again(order, draft):
            recovery.send_again(order, draft)
            return
        recovery.give_up(order, "it never reached the venue and is not sent any more", draft)
        self._desk.react(order, None, draft)

    # The other leg of its pair may have sold a part meanwhile, and the same order is for all of it.
    def _still_fits(self, order: WorkingOrder) -> bool:
        return not order.pair or order.quantity <= self._execution.bracket(order.bracket_id).pair(order.pair).left

    # --- what is not ours ------------------------------------------------------------------------------------

    # Returns the orders of ours that it might be: the listing does not prove that these are absent.
    def _take_foreign(self, each: ListedOrder, asked_ts_ns: int, draft: Draft) -> set[int]:
        perhaps = [order for order in self._execution.open_orders() if _might_be(order, each)]
        numbers = {order.order_id for order in perhaps}
        for order in perhaps:
            draft.is_kept |= each.venue_order_id not in order.candidates
            order.candidates.add(each.venue_order_id)
        known = self._external.get(each.venue_order_id)
        # The answer that names it may still be on its way.
        is_early = any(order.sent_ts_ns + self._settle_ns > asked_ts_ns for order in perhaps)
        if is_early or (known == each and not perhaps):
            return numbers
        if known != each:
            self._external[each.venue_order_id] = each
            draft.facts.append(_seen(each, draft.ts_ns))
        # One that may be ours halts for as long as nobody knows: a human who resumes has not made it known.
        if each.instrument_id in self._markets and (perhaps or self._is_news(each, known)):
            whose = f"may be order {perhaps[0].order_id} of ours" if perhaps else "is not ours"
            what = f"order {each.venue_order_id} ({each.side} {each.quantity} {each.symbol})"
            reason = f"the venue lists {what}, which {whose}: look at it there, then resume"
            self._desk.halt((None, each.instrument_id), reason, draft)
        return numbers

    def _is_news(self, each: ListedOrder, known: ListedOrder | None) -> bool:
        if each.status not in _OVER:
            return True
        has_filled = each.filled_quantity > (ZERO if known is None else known.filled_quantity)
        return has_filled and (known is not None or each.created_ts_ns >= (self._first_start_ts_ns or 0))

    # --- positions -------------------------------------------------------------------------------------------

    def _compare_positions(self, listed: AccountListed, draft: Draft) -> None:
        held = dict.fromkeys(self._markets, ZERO)
        for position in listed.positions:
            if position.instrument_id in held:
                held[position.instrument_id] += position.quantity
        for instrument_id, quantity in held.items():
            self._compare(instrument_id, quantity, listed, draft)

    def _compare(self, instrument_id: InstrumentId, there: Decimal, listed: AccountListed, draft: Draft) -> None:
        booked = self._adopter.booked(instrument_id)
        known = self._drifts.get(instrument_id)
        if booked == there:
            if known is not None:
                del self._drifts[instrument_id]
                self._say(instrument_id, booked, there, ComparisonVerdict.EQUAL, draft)
            return
        trades = self._adopter.trade_count(instrument_id)
        is_same = known is not None and (known.booked, known.listed, known.trades) == (booked, there, trades)
        if not is_same:
            self._drifts[instrument_id] = _Drift(booked, there, trades, listed.asked_ts_ns)
            self._say(instrument_id, booked, there, ComparisonVerdict.DRIFT, draft)
            return
        assert known is not None
        if known.sightings < SIGHTINGS_MIN:
            known = self._drifts[instrument_id] = replace(known, sightings=known.sightings + 1)
            draft.is_kept = True
        if self._may_go_away(instrument_id, known, listed.asked_ts_ns):
            return
        del self._drifts[instrument_id]
        self._say(instrument_id, booked, there, ComparisonVerdict.ADOPTED, draft)
        self._adopter.adopt(instrument_id, there - booked, draft)

    # Whether later listings may still explain a difference, by fills or busts of ours. Positions and orders are each as
    # of their own moment: one listing may be before a fill, the next one after another fill that it does not list yet.
    def _may_go_away(self, instrument_id: InstrumentId, seen: _Drift, asked_ts_ns: int) -> bool:
        is_early = asked_ts_ns < seen.since_ts_ns + self._settle_ns
        if is_early or self._adopter.is_unsettled(instrument_id) or self._awaits_bust(instrument_id, asked_ts_ns):
            return True
        difference = seen.listed - seen.booked
        return seen.sightings < SIGHTINGS_MIN and self._adopter.could_fill(instrument_id, difference)

    # The same shares would be taken off twice: as a difference now, and as the bust that it was.
    def _awaits_bust(self, instrument_id: InstrumentId, asked_ts_ns: int) -> bool:
        longest_ns = BUST_SETTLES_MAX * self._settle_ns
        since = self._missing_since[instrument_id]
        counting = self._execution.recovery.counting(since)
        return any(asked_ts_ns < since[each] + longest_ns for each in counting)

    def _say(
        self, instrument_id: InstrumentId, booked: Decimal, listed: Decimal, verdict: ComparisonVerdict, draft: Draft
    ) -> None:
        draft.facts.append(
            PositionCompared(
                instrument_id=instrument_id,
                symbol=self._markets[instrument_id].instrument.symbol,
                booked=booked,
                listed=listed,
                verdict=verdict,
                ts_ns=draft.ts_ns,
            )
        )


# An order without our id, of the very terms of one of ours that the venue has not named yet: a hint for a human, no
# evidence (I-2, I-4).
def _might_be(order: WorkingOrder, each: ListedOrder) -> bool:
    command = order.command
    if command is None or each.client_order_id is not None or order.venue_order_id is not None:
        return False
    ours = (command.instrument_id, command.side, command.order_type, command.limit_price, command.stop_price)
    theirs = (each.instrument_id, each.side, each.order_type, each.limit_price, each.stop_price)
    return ours == theirs and command.quantity == each.quantity


def _seen(each: ListedOrder, ts_ns: int) -> ExternalOrderSeen:
    return ExternalOrderSeen(
        venue_order_id=each.venue_order_id,
        instrument_id=each.instrument_id,
        symbol=each.symbol,
        side=each.side,
        order_type=each.order_type,
        quantity=each.quantity,
        filled_quantity=each.filled_quantity,
        status=each.status,
        limit_price=each.limit_price,
        stop_price=each.stop_price,
        created_ts_ns=each.created_ts_ns,
        ts_ns=ts_ns,
    )
