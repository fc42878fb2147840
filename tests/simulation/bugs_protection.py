"""Planted bugs of protection: stops that are late, wrong or double, and exits that sell what others sell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from weakref import WeakKeyDictionary

import pytest
from families import (
    APPROVALS,
    CALM,
    LOST_CANCELS,
    OUTAGES,
    RACES,
    REST_STOPS,
    SILENT_CANCELS,
)
from planting import Registry

from engine.core.execution import legs
from engine.core.execution.bracket_table import BracketTrigger
from engine.core.execution.brackets import Bracket
from engine.core.execution.keeping import PairKeeper
from engine.core.execution.leaving import Leaver
from engine.core.execution.order_table import OPEN_STATES, OrderState
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.pairs import RESTING, Pair, PairPhase
from engine.core.execution.register import OrderRegister
from engine.core.execution.stage import ExecutionStage
from engine.core.execution.wishes import Wish
from engine.core.messages import Draft, OrderRequest
from engine.core.values import SECOND_NS, ZERO, Leg

REGISTRY: Final = Registry()
bug: Final = REGISTRY.bug


@bug(
    "armed_after_the_full_fill",
    "The stop is placed when the entry has filled in full, and not for each of its fills.",
    "I-13",
    scenarios=CALM,
    seeds=2,
)
def _armed_after_the_full_fill(patch: pytest.MonkeyPatch) -> None:
    news = ExecutionStage._entry_news

    def patient(
        self: ExecutionStage, bracket: Bracket, order: WorkingOrder, execution: Execution | None, draft: Draft
    ) -> list[Wish]:
        if execution is None or bracket.wanted_exit:
            return news(self, bracket, order, execution, draft)
        if order.filled < order.quantity:
            bracket.entered += execution.quantity
            self._mover.move(bracket, BracketTrigger.ENTRY_FILLED, draft)
            return []
        bracket.entered -= order.filled - execution.quantity
        return news(self, bracket, order, replace(execution, quantity=order.filled), draft)

    patch.setattr(ExecutionStage, "_entry_news", patient)


@bug(
    "armed_in_a_second_step",
    "The stop is decided in the step after the one that books the fill.",
    "I-13",
    scenarios=CALM,
    seeds=2,
)
def _armed_in_a_second_step(patch: pytest.MonkeyPatch) -> None:
    news, run_out, deadline = ExecutionStage._entry_news, ExecutionStage.run_out, ExecutionStage.next_deadline_ts_ns
    owed: WeakKeyDictionary[ExecutionStage, list[Wish]] = WeakKeyDictionary()

    def later(self: ExecutionStage, *details: Any) -> list[Wish]:
        owed.setdefault(self, []).extend(news(self, *details))
        return []

    def paid(self: ExecutionStage, draft: Draft) -> list[Wish]:
        return [*owed.pop(self, []), *run_out(self, draft)]

    patch.setattr(ExecutionStage, "_entry_news", later)
    patch.setattr(ExecutionStage, "run_out", paid)
    patch.setattr(ExecutionStage, "next_deadline_ts_ns", lambda self: 0 if owed.get(self) else deadline(self))


@bug(
    "only_the_first_fill_is_armed",
    "Further fills of an entry get no stop of their own.",
    "I-13",
    scenarios=CALM,
    seeds=2,
)
def _only_the_first_fill_is_armed(patch: pytest.MonkeyPatch) -> None:
    protect = PairKeeper.protect

    def once(self: PairKeeper, bracket: Bracket, execution: Execution, draft: Draft) -> list[Wish]:
        wishes = protect(self, bracket, execution, draft)
        return [] if len(bracket.exits) else wishes

    patch.setattr(PairKeeper, "protect", once)


@bug(
    "protection_never_times_out",
    "The deadline of a stop that does not work fires and does nothing.",
    "I-13",
    scenarios=APPROVALS,
    seeds=5,
)
def _protection_never_times_out(patch: pytest.MonkeyPatch) -> None:
    run_out = PairKeeper.run_out

    def idle(self: PairKeeper, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        if pair.phase in RESTING:
            pair.deadline_ts_ns = None
            return []
        return run_out(self, bracket, pair, draft)

    patch.setattr(PairKeeper, "run_out", idle)
    patch.setattr(ExecutionStage, "_bracket_overdue", lambda *_: [])


@bug(
    "lost_stop_is_not_missed",
    "That the venue has ended a stop on its own changes nothing.",
    "I-13",
    scenarios=RACES,
    seeds=10,
)
def _lost_stop_is_not_missed(patch: pytest.MonkeyPatch) -> None:
    news = PairKeeper._resting_news

    def blind(self: PairKeeper, bracket: Bracket, pair: Pair, draft: Draft) -> list[Wish]:
        if pair.stop is not None and not pair.stop.is_open:
            pair.wait(PairPhase.PROTECTED, None)
            return []
        return news(self, bracket, pair, draft)

    patch.setattr(PairKeeper, "_resting_news", blind)


@bug(
    "swap_without_confirmation",
    "What takes the place of a stop is sent with the stop's cancel, and not after its confirmation.",
    "I-12",
    "I-14",
    scenarios=REST_STOPS,
    seeds=2,
)
def _swap_without_confirmation(patch: pytest.MonkeyPatch) -> None:
    def gone(self: Pair) -> list[WorkingOrder]:
        return [order for order in self.orders if order.is_open and not order.cancel_requested]

    patch.setattr(Pair, "open_orders", property(gone))


@bug(
    "exit_without_confirmation",
    "The market exit is sent with the cancels of the legs, and not after their confirmation.",
    "I-12",
    "I-14",
    scenarios=RACES,
    seeds=2,
)
def _exit_without_confirmation(patch: pytest.MonkeyPatch) -> None:
    leave = Leaver.leave

    def hasty(self: Leaver, bracket: Bracket, draft: Draft, *, is_new: bool = False) -> list[Wish]:
        wishes = leave(self, bracket, draft, is_new=is_new)
        works = any(order.leg is Leg.EXIT for order in bracket.open_exits())
        return wishes if wishes or works else [legs.market_exit(bracket, bracket.held)]

    patch.setattr(Leaver, "leave", hasty)


@bug(
    "stop_moved_by_overlap",
    "A raised stop is placed first, and the one that it replaces is canceled after that.",
    "I-12",
    "I-14",
    scenarios=REST_STOPS,
    seeds=3,
)
def _stop_moved_by_overlap(patch: pytest.MonkeyPatch) -> None:
    def overlapping(self: PairKeeper, bracket: Bracket, pair: Pair, price: Decimal, draft: Draft) -> list[Wish]:
        pair.stop_price = price
        if not self.may_sell_part(pair):
            return []
        before = pair.open_orders
        wishes = self._rest(bracket, pair, draft)
        self._leaver.cancel(before, draft)
        return wishes

    patch.setattr(PairKeeper, "raise_stop", overlapping)


@bug(
    "unknown_exits_not_counted",
    "An exit whose outcome is not known counts as if it were gone.",
    "I-12",
    "I-16",
    scenarios=LOST_CANCELS,
    seeds=8,
)
def _unknown_exits_not_counted(patch: pytest.MonkeyPatch) -> None:
    def remaining(self: WorkingOrder) -> Decimal:
        counts = self.state in OPEN_STATES and self.state is not OrderState.UNKNOWN
        return max(ZERO, self.quantity - self.filled) if counts else ZERO

    def exits(self: Bracket) -> list[WorkingOrder]:
        return [order for order in self.exits if order.is_open and order.state is not OrderState.UNKNOWN]

    patch.setattr(WorkingOrder, "remaining", property(remaining))
    patch.setattr(Bracket, "open_exits", exits)


@bug(
    "partial_stop_not_subtracted",
    "A market exit sells all that the entry bought, whatever a stop has sold of it.",
    "I-12",
    scenarios=RACES,
    seeds=2,
)
def _partial_stop_not_subtracted(patch: pytest.MonkeyPatch) -> None:
    market_exit = legs.market_exit

    def whole(bracket: Bracket, quantity: Decimal) -> OrderRequest:
        del quantity
        return market_exit(bracket, bracket.entered)

    patch.setattr(legs, "market_exit", whole)


@bug(
    "pair_forgets_partial_fills",
    "A leg's fill counts against its pair when the leg has filled in full, and not before.",
    "I-12",
    scenarios=RACES,
    seeds=6,
)
def _pair_forgets_partial_fills(patch: pytest.MonkeyPatch) -> None:
    def left(self: Pair) -> Decimal:
        sold = sum((order.filled for order in self.orders if order.state is OrderState.FILLED), ZERO)
        return max(ZERO, self.quantity - sold)

    patch.setattr(Pair, "left", property(left))


@bug(
    "cancel_asked_once",
    "A cancel whose answer does not come is neither asked about nor sent again.",
    "I-15",
    "I-30",
    scenarios=SILENT_CANCELS,
    seeds=5,
)
def _cancel_asked_once(patch: pytest.MonkeyPatch) -> None:
    overdue = OrderRegister._overdue

    def given_up(self: OrderRegister, order: WorkingOrder, draft: Draft) -> Sequence[Any]:
        if order.cancel_requested:
            self.forget_deadline(order)
            draft.is_kept = True
            return []
        return overdue(self, order, draft)

    patch.setattr(OrderRegister, "_overdue", given_up)


@bug(
    "questions_without_pause",
    "A silent venue is asked about an order in every step.",
    "I-25",
    scenarios=OUTAGES,
    seeds=1,
)
def _questions_without_pause(patch: pytest.MonkeyPatch) -> None:
    ask = OrderRegister._ask

    def pressing(self: OrderRegister, order: WorkingOrder, draft: Draft) -> None:
        ask(self, order, draft)
        self.await_answer(order, draft.ts_ns + SECOND_NS)

    patch.setattr(OrderRegister, "_ask", pressing)
