"""A venue meaner than a broker: it tells the truth late, twice, out of order, only when asked, or takes it back.

`MeanVenue` keeps the truth (what was executed, what works, what is held) apart from what it says about it. How it
behaves is a `Temper`; chance is a seed. It knows one instrument, the price that `observe` shows it, and no cash.

Time passes by `next_report(until_ts_ns)`: it returns the next report that is received by then, or None. As an
`engine.ports.Venue` it takes commands by `send`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from heapq import heappop, heappush
from math import prod
from random import Random
from typing import Any, Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    CancelOrder,
    CancelRejected,
    Command,
    ExecutionBusted,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OutcomeUnknown,
    QueryOrder,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import SECOND_NS, ZERO, ClientOrderId, ExecutionId, Leg, OrderType, Sessions, Side, TimeInForce

EVERY_LEG: Final = frozenset(Leg)
EXITS: Final = EVERY_LEG - {Leg.ENTRY}
_NOBODY: Final[frozenset[Leg]] = frozenset()
#: How a sell is known by its type.
_SELLS: Final = {
    OrderType.STOP: Leg.STOP,
    OrderType.STOP_LIMIT: Leg.STOP,
    OrderType.LIMIT: Leg.TARGET,
    OrderType.MARKET: Leg.EXIT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """Hold how a venue misbehaves; each set names the orders that it does so with. The default is an honest venue."""

    #: Reports arrive so many seconds after what they tell, drawn anew for each.
    delay_s_max: int = 0
    #: Reports of one order may overtake each other: a fill before the acknowledgement, or after the cancel.
    overtakes: bool = False
    #: So many more times each report is delivered, later.
    repeats: int = 0
    #: Never acknowledged; all else is told.
    unacknowledged: frozenset[Leg] = _NOBODY
    #: Nothing is told of these until somebody asks.
    silent: frozenset[Leg] = _NOBODY
    #: Lost on their way: never placed, and nothing is told until somebody asks.
    lost: frozenset[Leg] = _NOBODY
    #: Answered by "outcome unknown"; whether they were placed is drawn.
    unknown: frozenset[Leg] = _NOBODY
    #: Refused, the first `refusals` of them.
    refused: frozenset[Leg] = _NOBODY
    refusals: int = 1
    #: Acknowledged, and refused some seconds later.
    refused_late: frozenset[Leg] = _NOBODY
    #: Canceled by the venue itself, some seconds after they began to work.
    ended: frozenset[Leg] = _NOBODY
    #: Executed in up to so many parts, some seconds apart.
    parts: frozenset[Leg] = _NOBODY
    #: Executed in a part, and the rest is canceled by the venue.
    cut_short: frozenset[Leg] = _NOBODY
    #: Taken back some seconds after their execution.
    busted: frozenset[Leg] = _NOBODY
    busted_after_s: tuple[int, int] = (5, 60)
    #: A cancel of these has no effect and no answer for so many seconds.
    cancel_hangs: frozenset[Leg] = _NOBODY
    hang_s: int = 0
    #: A cancel of these is refused, so many times, though they work.
    cancel_refused: frozenset[Leg] = _NOBODY
    cancel_refusals: int = 1
    #: Executed, wholly or in part, just before their cancel arrives.
    filled_in_cancel: frozenset[Leg] = _NOBODY
    #: The cancel of a linked leg is told before the fill that caused it.
    sibling_first: bool = False
    #: Nothing executes and no cancel takes effect between these moments, ns UTC.
    halted: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True, kw_only=True)
class VenueOrder:
    """Hold the truth about one order."""

    command: SubmitOrder
    leg: Leg
    remaining: Decimal
    is_open: bool = True
    is_triggered: bool = False
    #: True while nothing is told of it.
    is_silent: bool = False
    story: list[VenueReport] = field(default_factory=list)
    cancel_refusals: int = 0
    #: True once the fill of a linked order has lowered it.
    is_lowered: bool = False
    is_part_due: bool = False
    told_ts_ns: int = 0


class MeanVenue:
    """Execute orders of one instrument at the price that it is shown, and report as its temper is."""

    exit_styles: tuple[ExitStyle, ...] = (ExitStyle.BOTH_LEGS, ExitStyle.REST_STOP)

    def __init__(self, temper: Temper, *, seed: int, exit_style: ExitStyle, sessions: Sessions) -> None:
        self.temper = temper
        self.exit_style = exit_style
        self.orders: dict[ClientOrderId, VenueOrder] = {}
        #: What is held in truth.
        self.position = ZERO
        #: Sells that were sent beyond what was held and free although every execution had been told: none may ever be.
        self.oversold: list[SubmitOrder] = []
        #: True once an execution was taken back: the venue itself has broken its word.
        self.has_busted = False
        self.price = Decimal("NaN")
        self.now_ts_ns = 0
        self._sessions = sessions
        self._random = Random(seed)
        self._count = 0
        self._refusals = 0
        self._untold: set[ExecutionId] = set()
        # What was counted by each split, and new shares for one old.
        self._splits: list[tuple[int, Fraction]] = []
        # What comes later: (moment, number, a report to deliver or something that happens).
        self._later: list[tuple[int, int, VenueReport | Callable[[], None]]] = []

    # --- the door ------------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Take a command at the moment of its decision."""
        self._pass_to(max(self.now_ts_ns, command.decided_ts_ns))
        if isinstance(command, SubmitOrder):
            self._submit(command)
        elif isinstance(command, CancelOrder):
            self._cancel(command.client_order_id)
        else:
            self._query(command)

    def observe(self, price: Decimal, ts_ns: int) -> None:
        """Let the price change at a moment; what it satisfies executes."""
        self._at(ts_ns, lambda: self._set_price(price))

    def split(self, new_shares: int, old_shares: int) -> None:
        """Split what is held; a part of a share is paid out. Orders stay as they are until they are canceled."""
        self._splits.append((self._count, Fraction(new_shares, old_shares)))
        self.position = Decimal(int(Fraction(self.position) * Fraction(new_shares, old_shares)))
        self.price = self.price * old_shares / new_shares

    def next_report(self, until_ts_ns: int) -> VenueReport | None:
        """Let time pass and return the next report that is received by a moment, or None."""
        while self._later and self._later[0][0] <= until_ts_ns:
            moment, _, item = heappop(self._later)
            self.now_ts_ns = max(self.now_ts_ns, moment)
            if isinstance(item, VenueReport):
                if isinstance(item, OrderFilled):
                    self._untold.discard(item.execution_id)
                return replace(item, received_ts_ns=self.now_ts_ns)
            item()
        self._pass_to(until_ts_ns)
        return None

    def drain(self) -> Sequence[VenueReport]:
        """Return the reports that have been received by now."""
        reports = []
        while (report := self.next_report(self.now_ts_ns)) is not None:
            reports.append(report)
        return reports

    # --- the truth -----------------------------------------------------------------------------------------

    def working(self, *legs: Leg) -> list[VenueOrder]:
        """Return the orders of these legs that may still execute."""
        return [order for order in self.orders.values() if order.is_open and order.leg in legs]

    def exits_outstanding(self) -> Decimal:
        """Return how much the open sells could sell; linked legs count once, at the larger remainder."""
        by_link: dict[ClientOrderId, Decimal] = {}
        for order in self.working(*EXITS):
            key = order.command.link or order.command.client_order_id
            by_link[key] = max(by_link.get(key, ZERO), order.remaining)
        return sum(by_link.values(), ZERO)

    def exposed(self) -> Decimal:
        """Return how much of what is held neither a working stop nor a market exit would sell."""
        return self.position - sum((order.remaining for order in self.working(Leg.STOP, Leg.EXIT)), ZERO)

    # --- orders --------------------------------------------------------------------------------------------

    def _submit(self, command: SubmitOrder) -> None:
        known = self.orders.get(command.client_order_id)
        if known is not None:
            self._tell_again(known)
            return
        leg = Leg.ENTRY if command.side is Side.BUY else _SELLS[command.order_type]
        order = VenueOrder(command=command, leg=leg, remaining=command.quantity)
        if leg is not Leg.ENTRY and self._is_beyond_the_position(order):
            if not self._untold:
                self.oversold.append(command)
            order.is_open = False
            self.orders[command.client_order_id] = order
            self._say(order, OrderRejected, reason="Not enough shares to sell")
            return
        self.orders[command.client_order_id] = order
        self._answer(order)

    def _is_beyond_the_position(self, order: VenueOrder) -> bool:
        held = self.exits_outstanding()
        if self.exit_style is ExitStyle.BOTH_LEGS and order.command.link is not None:
            siblings = [each.remaining for each in self._siblings(order)]
            held -= max(siblings, default=ZERO)
            return held + max([order.remaining, *siblings]) > self.position
        return held + order.remaining > self.position

    def _siblings(self, order: VenueOrder) -> list[VenueOrder]:
        link = order.command.link
        if link is None or self.exit_style is not ExitStyle.BOTH_LEGS:
            return []
        return [
            each for each in self.orders.values() if each.is_open and each is not order and each.command.link == link
        ]

    def _answer(self, order: VenueOrder) -> None:
        temper, leg, command = self.temper, order.leg, order.command
        if leg in temper.lost or (leg in temper.unknown and self._random.random() < 0.5):
            order.is_open = False
            order.is_silent = True
            self._say(order, OrderRejected, reason="unknown order")
            if leg in temper.unknown:
                self._deliver(order, self._report(order, OutcomeUnknown, reason="no answer"))
            return
        order.is_silent = leg in temper.silent or leg in temper.unknown
        if leg in temper.unknown:
            self._deliver(order, self._report(order, OutcomeUnknown, reason="no answer"))
        if leg in temper.refused and self._refusals < temper.refusals:
            self._refusals += 1
            self._end(order, OrderRejected, "refused by temper")
            return
        if command.stop_price is not None and command.stop_price >= self.price:
            self._end(order, OrderRejected, f"the sell stop {command.stop_price} is at or through {self.price}")
            return
        if leg not in temper.unacknowledged:
            self._say(order, OrderAcknowledged, venue_order_id=f"M{len(self.orders)}")
        self._begin_to_work(order)

    def _begin_to_work(self, order: VenueOrder) -> None:
        temper = self.temper
        if order.leg in temper.refused_late:
            self._in(1, 20, lambda: self._end(order, OrderRejected, "refused late"))
            return
        if order.leg in temper.ended:
            self._in(1, 90, lambda: self._end(order, OrderCanceled, "canceled by the venue"))
        if order.command.time_in_force is TimeInForce.DAY:
            close = self._sessions.session_from(self.now_ts_ns).close_ts_ns
            self._at(close, lambda: self._end(order, OrderExpired, "the session closed"))
        self._match(order)

    def _end(self, order: VenueOrder, kind: Callable[..., VenueReport], reason: str) -> None:
        if order.is_open:
            order.is_open = False
            self._say(order, kind, reason=reason, **_told_filled(order, kind))

    # --- executions ----------------------------------------------------------------------------------------

    def _set_price(self, price: Decimal) -> None:
        self.price = price
        for order in list(self.orders.values()):
            self._match(order)

    def _match(self, order: VenueOrder) -> None:
        if not order.is_open or order.is_part_due or not self._is_satisfied(order):
            return
        reopens_ts_ns = self._reopens_ts_ns()
        if reopens_ts_ns > self.now_ts_ns:
            self._at(reopens_ts_ns, lambda: self._match(order))
            return
        if order.leg in self.temper.cut_short and order.remaining > 1:
            self._execute(order, self._part(order))
            self._end(order, OrderCanceled, "the rest was canceled")
        elif order.leg in self.temper.parts and order.remaining > 1 and self._random.random() < 0.8:
            self._execute(order, self._part(order))
            order.is_part_due = True
            self._in(1, 15, lambda: self._next_part(order))
        else:
            self._execute(order, order.remaining)

    def _next_part(self, order: VenueOrder) -> None:
        order.is_part_due = False
        self._match(order)

    def _is_satisfied(self, order: VenueOrder) -> bool:
        command, price = order.command, self.price
        if order.leg is Leg.STOP and not order.is_triggered:
            assert command.stop_price is not None
            order.is_triggered = price <= command.stop_price
            if not order.is_triggered:
                return False
        if command.limit_price is None:
            return True
        return price <= command.limit_price if order.leg is Leg.ENTRY else price >= command.limit_price

    # Until when nothing executes: a halt, or a closed exchange.
    def _reopens_ts_ns(self) -> int:
        now = self.now_ts_ns
        now = max([now, *(until for since, until in self.temper.halted if since <= now < until)])
        return max(now, self._sessions.session_from(now).open_ts_ns)

    def _part(self, order: VenueOrder) -> Decimal:
        return Decimal(self._random.randint(1, max(1, int(order.remaining) - 1)))

    def _execute(self, order: VenueOrder, quantity: Decimal) -> None:
        self._count += 1
        order.remaining -= quantity
        order.is_open = order.remaining > 0
        self.position += quantity if order.leg is Leg.ENTRY else -quantity
        filled = self._say(
            order,
            OrderFilled,
            execution_id=ExecutionId(f"mean-{self._count}"),
            price=self.price,
            quantity=quantity,
            fee=ZERO,
            cause=order,
        )
        assert isinstance(filled, OrderFilled)
        self._untold.add(filled.execution_id)
        if not order.is_open and order.is_lowered:
            # The fills do not add up to the order, so they do not tell that it is over.
            self._say(order, OrderCanceled, reason="linked order filled", **_told_filled(order, OrderCanceled))
        if order.leg in self.temper.busted:
            number = self._count
            self._in(*self.temper.busted_after_s, lambda: self._bust(order, filled, number))

    def _bust(self, order: VenueOrder, filled: OrderFilled, number: int) -> None:
        self.has_busted = True
        ratio = prod((ratio for count, ratio in self._splits if count >= number), start=Fraction(1))
        quantity = Decimal(int(Fraction(filled.quantity) * ratio))
        self.position -= quantity if order.leg is Leg.ENTRY else -quantity
        self._say(order, ExecutionBusted, execution_id=filled.execution_id, reason="clearly erroneous")

    def _lower_siblings(self, order: VenueOrder, quantity: Decimal) -> None:
        for sibling in self._siblings(order):
            if not order.is_open or sibling.remaining <= quantity:
                self._end(sibling, OrderCanceled, "linked order filled")
            else:
                sibling.remaining -= quantity
                sibling.is_lowered = True

    # --- cancels and questions -----------------------------------------------------------------------------

    def _cancel(self, identity: ClientOrderId) -> None:
        order, temper = self.orders.get(identity), self.temper
        if order is None or not order.is_open:
            self._refuse_cancel(identity, "the order is gone")
        elif order.leg in temper.cancel_hangs:
            self._at(self.now_ts_ns + temper.hang_s * SECOND_NS, lambda: self._end(order, OrderCanceled, "at last"))
        elif order.leg in temper.cancel_refused and order.cancel_refusals < temper.cancel_refusals:
            order.cancel_refusals += 1
            self._refuse_cancel(identity, "try again")
        elif order.leg in temper.filled_in_cancel and self._reopens_ts_ns() <= self.now_ts_ns:
            self._execute(order, self._part(order) if self._random.random() < 0.5 else order.remaining)
            self._cancel_what_is_left(order)
        elif (reopens_ts_ns := self._reopens_ts_ns()) > self.now_ts_ns and temper.halted:
            self._at(reopens_ts_ns, lambda: self._cancel_what_is_left(order))
        else:
            self._end(order, OrderCanceled, "canceled on request")

    def _cancel_what_is_left(self, order: VenueOrder) -> None:
        if order.is_open:
            self._end(order, OrderCanceled, "canceled on request")
        else:
            self._refuse_cancel(order.command.client_order_id, "the order is gone")

    def _refuse_cancel(self, identity: ClientOrderId, reason: str) -> None:
        now = self.now_ts_ns
        refused = CancelRejected(
            client_order_id=identity, reason=reason, is_known=True, venue_ts_ns=now, received_ts_ns=now
        )
        self._at(now + self._delay_ns(), refused)

    def _query(self, command: QueryOrder) -> None:
        order = self.orders.get(command.client_order_id)
        if order is not None:
            self._tell_again(order)
            return
        now = self.now_ts_ns
        absent = OrderRejected(
            client_order_id=command.client_order_id, reason="unknown order", venue_ts_ns=now, received_ts_ns=now
        )
        self._at(now, absent)

    def _tell_again(self, order: VenueOrder) -> None:
        order.is_silent = False
        for report in order.story:
            self._at(self.now_ts_ns, report)

    # --- telling -------------------------------------------------------------------------------------------

    def _say(
        self, order: VenueOrder, kind: Callable[..., VenueReport], *, cause: VenueOrder | None = None, **content: object
    ) -> VenueReport:
        report = self._report(order, kind, **content)
        order.story.append(report)
        is_first = cause is not None and self.temper.sibling_first
        if cause is not None and is_first and isinstance(report, OrderFilled):
            self._lower_siblings(cause, report.quantity)
        if not order.is_silent:
            self._deliver(order, report)
        if cause is not None and not is_first and isinstance(report, OrderFilled):
            self._lower_siblings(cause, report.quantity)
        return report

    def _report(self, order: VenueOrder, kind: Callable[..., VenueReport], **content: object) -> VenueReport:
        now = self.now_ts_ns
        return kind(client_order_id=order.command.client_order_id, venue_ts_ns=now, received_ts_ns=now, **content)

    def _deliver(self, order: VenueOrder, report: VenueReport) -> None:
        moment = self.now_ts_ns + self._delay_ns()
        if not self.temper.overtakes:
            moment = max(moment, order.told_ts_ns)
        order.told_ts_ns = moment
        self._at(moment, report)
        for _ in range(self.temper.repeats):
            self._at(moment + self._random.randint(0, 120) * SECOND_NS, report)

    def _delay_ns(self) -> int:
        return self._random.randint(0, self.temper.delay_s_max) * SECOND_NS

    # --- time ----------------------------------------------------------------------------------------------

    def _in(self, least_s: int, most_s: int, action: Callable[[], None]) -> None:
        self._at(self.now_ts_ns + self._random.randint(least_s, most_s) * SECOND_NS, action)

    def _at(self, ts_ns: int, item: VenueReport | Callable[[], None]) -> None:
        self._count += 1
        heappush(self._later, (max(ts_ns, self.now_ts_ns), self._count, item))

    def _pass_to(self, ts_ns: int) -> None:
        self.now_ts_ns = max(self.now_ts_ns, ts_ns)


def _told_filled(order: VenueOrder, kind: Callable[..., VenueReport]) -> dict[str, Any]:
    # What brokers say with the end of an order, so that a fill that is told later is not missed.
    if kind not in (OrderCanceled, OrderExpired):
        return {}
    return {"filled_quantity": sum((told.quantity for told in order.story if isinstance(told, OrderFilled)), ZERO)}
