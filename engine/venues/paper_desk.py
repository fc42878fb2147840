"""The paper venue's desk: accepts and refuses orders, books fills, cancels, expires, and remembers.

The rules are stated in `engine.venues.paper`; when something happens is decided there.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from engine.core.errors import BadInput, Bug
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    CancelRejected,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import (
    ZERO,
    ClientOrderId,
    Direction,
    ExecutionId,
    Instrument,
    InstrumentId,
    OrderType,
    Sessions,
    Side,
    TimeInForce,
    notional,
)
from engine.matching import Fill, Match, MatchRules, Trigger
from engine.venues.fees import FeeSchedule, NoFees, fees_by_kind
from engine.venues.paper_book import PaperBook
from engine.venues.paper_state import (
    NEVER,
    TAPE,
    AccountState,
    Lane,
    LaneState,
    Moment,
    PaperOrder,
    PaperOrderStatus,
    StoredReport,
    fingerprint,
    malformed,
)

_GONE: Final = PaperOrderStatus.GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """Hold how a paper venue behaves.

    Raises BadInput for a negative latency, a negative opening balance, or a collar outside 0 to 1.
    """

    #: Used when the book is new; a book that exists goes on with its own cash.
    opening_cash: Decimal
    rules: MatchRules = field(default_factory=MatchRules)
    fees: FeeSchedule = field(default_factory=NoFees)
    #: Whether the run has prints: stops then wait for one. Otherwise quotes trigger them until a print is seen.
    prints_expected: bool = False
    #: From a decision to its effect at the venue, ns.
    submit_latency_ns: int = 0
    cancel_latency_ns: int = 0
    #: `both_legs`: orders with one link are legs of a pair. `rest_stop`: a link means nothing, every sell holds shares.
    exit_style: ExitStyle = ExitStyle.BOTH_LEGS
    #: How far above the market a market buy may pay, as a fraction of it; None for any price.
    market_buy_collar: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        latency_ns = min(self.submit_latency_ns, self.cancel_latency_ns)
        if latency_ns < 0:
            raise BadInput(f"The latency {latency_ns} ns of the paper venue is negative: give zero or more.")
        if self.opening_cash < 0:
            raise BadInput(f"The opening cash {self.opening_cash} is negative: give an amount at or above zero.")
        collar = self.market_buy_collar
        if collar is not None and not 0 < collar < 1:
            raise BadInput(f"The collar {collar} of market buys is not a fraction: give one between 0 and 1, as 0.05.")


class PaperDesk:
    """Hold the venue's orders, lanes and account, and make each change durable before its reports are handed over."""

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        sessions: Mapping[InstrumentId, Sessions],
        settings: PaperSettings,
        *,
        book: PaperBook | None,
    ) -> None:
        self.settings = settings
        self.orders: dict[ClientOrderId, PaperOrder] = {}
        self.lanes = {
            identity: Lane(instrument, sessions[identity], LaneState(instrument_id=identity))
            for identity, instrument in instruments.items()
        }
        self.account = AccountState(cash=settings.opening_cash)
        #: Instruments whose events have to be shown.
        self.busy: set[InstrumentId] = set()
        self._book = book
        self._reports: dict[ClientOrderId, list[StoredReport]] = {}
        self._drainable: list[VenueReport | AccountListed] = []
        # What the current call changed; written and handed over by `finish`.
        self._new: list[VenueReport | AccountListed] = []
        self._new_stored: list[StoredReport] = []
        self._changed_orders: dict[ClientOrderId, PaperOrder] = {}
        self._changed_lanes: dict[InstrumentId, Lane] = {}
        if book is not None:
            self._restore(book)

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return and forget the reports that were handed over."""
        reports = self._drainable
        if reports:
            self._drainable = []
        return reports

    def clock(self, ts_ns: int) -> int:
        """Return when something is received that happens at a moment: never before anything earlier."""
        account = self.account
        account.received_ts_ns = max(account.received_ts_ns, ts_ns)
        return account.received_ts_ns

    def now(self, ts_ns: int) -> int:
        """Return when a question that was asked at a moment is answered; it moves nobody's time.

        An account of several instruments is in several moments: a restart asks at the latest of them, and what it
        asks about may stand in the middle of an earlier minute.
        """
        return max(self.account.received_ts_ns, ts_ns)

    def take(self, command: SubmitOrder, lane: Lane, decided_ts_ns: int) -> None:
        """Take a new order, which arrives after the latency; `decided_ts_ns` is in the lane's time."""
        self.account.commands += 1
        if command.link is not None and self.settings.exit_style is not ExitStyle.BOTH_LEGS:
            command = replace(command, link=None)
        order = PaperOrder(
            command=command,
            number=self.account.commands,
            arrived_ts_ns=decided_ts_ns + self.settings.submit_latency_ns,
            remaining=command.quantity,
        )
        self.orders[command.client_order_id] = order
        self._reports[command.client_order_id] = []
        self.touch(lane, order)
        if self.settings.submit_latency_ns:
            insort(lane.pending, (order.arrived_ts_ns, order.number, order, False))
        else:
            self.arrive(lane, order, received_ts_ns=self.clock(command.decided_ts_ns))

    def take_cancel(self, lane: Lane, order: PaperOrder, moment: Moment) -> None:
        """Take a cancel, which reaches its order after the latency; a second one changes nothing.

        Without latency it is answered at once: a thin market's next bar can be hours away, and nobody would wait
        that long for the word of a venue.
        """
        if order.cancel_ts_ns is None:
            self.account.commands += 1
            order.cancel_ts_ns = moment.venue_ts_ns + self.settings.cancel_latency_ns
            order.cancel_number = self.account.commands
            if not self.settings.cancel_latency_ns and order.status is PaperOrderStatus.WORKING:
                self.apply_cancel(lane, order, moment)
                return
            insort(lane.pending, (order.cancel_ts_ns, order.cancel_number, order, True))
            self.touch(lane, order)

    def arrive(self, lane: Lane, order: PaperOrder, *, received_ts_ns: int) -> None:
        """Acknowledge or refuse an order that reached the venue."""
        command = order.command
        moment = Moment(order.arrived_ts_ns, received_ts_ns)
        refusal = self._refusal(lane, order)
        if refusal is not None:
            self._store(rejected(command.client_order_id, refusal, moment))
            self._end(lane, order)
            return
        if command.time_in_force is TimeInForce.DAY:
            session = lane.sessions.session_from(order.arrived_ts_ns)
            if not session.always_open:
                order.expires_ts_ns = session.close_ts_ns
        order.status = PaperOrderStatus.WORKING
        lane.rest_order(order)
        self.touch(lane, order)
        acknowledged = OrderAcknowledged(
            client_order_id=command.client_order_id,
            venue_order_id=f"P{order.number}",
            venue_ts_ns=moment.venue_ts_ns,
            received_ts_ns=moment.received_ts_ns,
        )
        self._store(acknowledged)

    def apply_cancel(self, lane: Lane, order: PaperOrder, moment: Moment) -> None:
        """Let a cancel reach its order; it may come too late, or before it."""
        cancel_ts_ns = order.cancel_ts_ns
        assert cancel_ts_ns is not None
        order.cancel_ts_ns = order.cancel_number = None
        self.touch(lane, order)
        if order.status is PaperOrderStatus.WORKING and order.expires_ts_ns <= cancel_ts_ns:
            self._expire(lane, order, moment)
        if order.status is PaperOrderStatus.WORKING:
            self._cancel(lane, order, "canceled on request", moment)
            return
        is_gone = order.status is _GONE
        reason = "the order is gone" if is_gone else "the order has not arrived"
        self.answer(cancel_rejected(order.command.client_order_id, reason, moment, is_known=is_gone))

    def cancel_all(self, lane: Lane, reason: str, moment: Moment) -> None:
        """End every working order of an instrument on the venue's own account."""
        for identity in list(lane.working):
            if identity in lane.working:
                self._cancel(lane, self.orders[identity], reason, moment)

    def expire_due(self, lane: Lane, moment: Moment) -> None:
        """End the orders whose session closed at or before a moment."""
        for order in [self.orders[identity] for identity in lane.working]:
            if order.expires_ts_ns <= moment.venue_ts_ns:
                self._expire(lane, order, moment)
        lane.next_expiry_ts_ns = min((self.orders[identity].expires_ts_ns for identity in lane.working), default=NEVER)

    def apply(self, lane: Lane, matches: Sequence[Match], moment: Moment) -> None:
        """Book what the rules decided."""
        for match in matches:
            order = self.orders[match.order.client_order_id]
            if isinstance(match, Trigger):
                order.triggered = True
                lane.working[match.order.client_order_id] = match.order._replace(triggered=True)
                self.touch(lane, order)
            else:
                self._fill(lane, order, match, moment)

    def answer(self, report: VenueReport | AccountListed) -> None:
        """Hand a report over at the end of this call without keeping it: it tells nothing of an order's story."""
        self._new.append(report)

    def deliver_again(self, identity: ClientOrderId, decided_ts_ns: int) -> None:
        """Hand over all reports of an order again: the same execution ids, received now."""
        received = self.now(decided_ts_ns)
        for report in self._reports[identity]:
            late = report.received_ts_ns < received
            self._new.append(replace(report, received_ts_ns=received) if late else report)

    def story(self, identity: ClientOrderId) -> Sequence[StoredReport]:
        """Return the reports of an order, oldest first."""
        return self._reports[identity]

    def touch(self, lane: Lane, order: PaperOrder | None = None) -> None:
        """Note that a lane, and an order in it, changed in this call."""
        self._changed_lanes[lane.state.instrument_id] = lane
        if order is not None:
            self._changed_orders[order.command.client_order_id] = order

    def finish(self) -> None:
        """Make this call's changes durable, then hand its reports over; raises Halt when they cannot be written."""
        if self._changed_lanes:
            if self._book is not None:
                self._write(self._book)
            for identity, lane in self._changed_lanes.items():
                if lane.is_busy():
                    self.busy.add(identity)
                else:
                    self.busy.discard(identity)
            self._changed_lanes.clear()
            self._changed_orders.clear()
            self._new_stored.clear()
        if self._new:
            self._drainable.extend(self._new)
            self._new.clear()

    def _refusal(self, lane: Lane, order: PaperOrder) -> str | None:
        command = order.command
        lack = malformed(command, links=self.settings.exit_style is ExitStyle.BOTH_LEGS)
        if lack is not None:
            return lack
        market = lane.market(command.side, order.arrived_ts_ns)
        if command.side is Side.BUY:
            return self._buy_refusal(lane, order, market)
        if lane.held_for_sale([(command.link, order.remaining)]) > lane.state.position:
            return "Not enough shares to sell"
        if command.stop_price is not None and market is not None and command.stop_price >= market:
            return f"The sell stop {command.stop_price} is at or through the market at {market}"
        return None

    def _buy_refusal(self, lane: Lane, order: PaperOrder, market: Decimal | None) -> str | None:
        command = order.command
        collar = self.settings.market_buy_collar
        if collar is not None and market is not None and command.order_type is OrderType.MARKET:
            order.collar_price = lane.instrument.price(market * (1 + collar), Direction.UP)
        price = command.limit_price or command.stop_price or order.collar_price or market
        if price is None:
            return None
        order.hold_price = price
        held = sum(
            (
                notional(self.orders[identity].hold_price, working.remaining)
                for busy in self.busy
                for identity, working in self.lanes[busy].working.items()
                if working.is_buy
            ),
            ZERO,
        )
        if notional(price, order.remaining) > self.account.cash - held:
            return "Not enough buying power"
        return None

    def _fill(self, lane: Lane, order: PaperOrder, match: Fill, moment: Moment) -> None:
        command = order.command
        price, quantity = match.price, match.quantity
        fees = fees_by_kind(
            self.settings.fees, lane.instrument, command.side, price=price, quantity=quantity, ts_ns=moment.venue_ts_ns
        )
        fee = sum((amount for _, amount in fees), ZERO)
        value = notional(price, quantity)
        if command.side is Side.BUY:
            if value + fee > self.account.cash:
                self._cancel(lane, order, "Not enough buying power", moment)
                return
            self.account.cash -= value + fee
            lane.state.position += quantity
        else:
            if quantity > lane.state.position:
                raise Bug(f"The paper venue would sell {quantity} of {command.symbol} and holds {lane.state.position}.")
            self.account.cash += value - fee
            lane.state.position -= quantity
        order.fill_count += 1
        filled = OrderFilled(
            client_order_id=command.client_order_id,
            execution_id=ExecutionId(f"{command.client_order_id}:{order.fill_count}"),
            price=price,
            quantity=quantity,
            fee=fee,
            fees=fees,
            venue_ts_ns=moment.venue_ts_ns,
            received_ts_ns=moment.received_ts_ns,
        )
        self._store(filled)
        self._reduce(lane, order, quantity)
        if command.link is not None:
            self._tell_end_of_lowered(order, moment)
            self._reduce_siblings(lane, order, quantity, moment)

    # Lowered by a sibling's fill, its own fills do not add up to the order: nobody could know that it is over.
    def _tell_end_of_lowered(self, order: PaperOrder, moment: Moment) -> None:
        reports = self._reports[order.command.client_order_id]
        filled = sum((report.quantity for report in reports if isinstance(report, OrderFilled)), ZERO)
        if order.status is _GONE and filled < order.command.quantity:
            self._store(_canceled(order, "linked order filled", moment))

    def _reduce(self, lane: Lane, order: PaperOrder, quantity: Decimal) -> None:
        identity = order.command.client_order_id
        order.remaining -= quantity
        if order.remaining > 0:
            lane.working[identity] = lane.working[identity]._replace(remaining=order.remaining)
            self.touch(lane, order)
        else:
            self._end(lane, order)

    def _reduce_siblings(self, lane: Lane, order: PaperOrder, quantity: Decimal, moment: Moment) -> None:
        for working in list(lane.working.values()):
            if working.link != order.command.link or working.client_order_id == order.command.client_order_id:
                continue
            sibling = self.orders[working.client_order_id]
            if order.status is _GONE or working.remaining <= quantity:
                self._cancel(lane, sibling, "linked order filled", moment)
            else:
                self._reduce(lane, sibling, quantity)

    def _cancel(self, lane: Lane, order: PaperOrder, reason: str, moment: Moment) -> None:
        self._store(_canceled(order, reason, moment))
        self._end(lane, order)

    def _expire(self, lane: Lane, order: PaperOrder, moment: Moment) -> None:
        expired = OrderExpired(
            client_order_id=order.command.client_order_id,
            reason="the session closed",
            venue_ts_ns=order.expires_ts_ns,
            received_ts_ns=moment.received_ts_ns,
        )
        self._store(expired)
        self._end(lane, order)

    # A cancel that is still on its way to an order that is gone will find it gone, and say so.
    def _end(self, lane: Lane, order: PaperOrder) -> None:
        order.status = _GONE
        lane.working.pop(order.command.client_order_id, None)
        self.touch(lane, order)

    def _store(self, report: StoredReport) -> None:
        self._reports[report.client_order_id].append(report)
        self._new_stored.append(report)
        self._new.append(report)

    def _write(self, book: PaperBook) -> None:
        for lane in self._changed_lanes.values():
            if lane.last_event is not None and lane.state.cursor_mark == TAPE:
                lane.state.cursor_mark = fingerprint(lane.last_event)
            lane.saved_mark = lane.state.cursor_mark
        book.write(
            account=self.account,
            orders=self._changed_orders.values(),
            reports=self._new_stored,
            lanes=[lane.state for lane in self._changed_lanes.values()],
        )

    # Start-up is recovery: the book is the truth, the settings' opening cash is for a new one.
    def _restore(self, book: PaperBook) -> None:
        contents = book.load()
        if contents.account is None:
            return
        self.account = contents.account
        for state in contents.lanes:
            known = self.lanes.get(state.instrument_id)
            if known is not None:
                self.lanes[state.instrument_id] = Lane(known.instrument, known.sessions, state)
            elif state.position:
                raise self._unnamed(book, f"{state.position} of the instrument {state.instrument_id}")
        for order in contents.orders:
            self.orders[order.command.client_order_id] = order
            self._reports[order.command.client_order_id] = []
            if order.command.instrument_id in self.lanes:
                self._put_back(order)
            elif order.status is not _GONE:
                raise self._unnamed(book, f"an order in {order.command.symbol}")
        for report in contents.reports:
            self._reports[report.client_order_id].append(report)
        # A bar whose open was matched before a kill and whose rest was not is work too: its lane would stay in it.
        self.busy = {
            identity for identity, lane in self.lanes.items() if lane.is_busy() or lane.phase_ts_ns is not None
        }

    def _unnamed(self, book: PaperBook, what: str) -> BadInput:
        return BadInput(
            f"The paper book {book.path} holds {what}, which this run does not name: add it or use another book."
        )

    def _put_back(self, order: PaperOrder) -> None:
        lane = self.lanes[order.command.instrument_id]
        if order.status is PaperOrderStatus.WORKING:
            lane.rest_order(order)
        elif order.status is PaperOrderStatus.IN_FLIGHT:
            insort(lane.pending, (order.arrived_ts_ns, order.number, order, False))
        if order.cancel_ts_ns is not None and order.cancel_number is not None:
            insort(lane.pending, (order.cancel_ts_ns, order.cancel_number, order, True))


def _canceled(order: PaperOrder, reason: str, moment: Moment) -> OrderCanceled:
    return OrderCanceled(
        client_order_id=order.command.client_order_id,
        reason=reason,
        venue_ts_ns=moment.venue_ts_ns,
        received_ts_ns=moment.received_ts_ns,
    )


def cancel_rejected(identity: ClientOrderId, reason: str, moment: Moment, *, is_known: bool) -> CancelRejected:
    """Return the report that a cancel had no effect; `is_known` says whether the order was ever here."""
    return CancelRejected(
        client_order_id=identity,
        reason=reason,
        is_known=is_known,
        venue_ts_ns=moment.venue_ts_ns,
        received_ts_ns=moment.received_ts_ns,
    )


def rejected(identity: ClientOrderId, reason: str, moment: Moment) -> OrderRejected:
    """Return the report that an order is refused for certain."""
    return OrderRejected(
        client_order_id=identity, reason=reason, venue_ts_ns=moment.venue_ts_ns, received_ts_ns=moment.received_ts_ns
    )
