"""The paper venue: a small broker over `engine.matching`, with its own cash, positions, holds and memory.

What it adds to the fill rules of `engine.matching`:

- *Commands.* A command takes effect at its decision plus the latency, and its report is received then, before any
  later event (`let_arrive`); where nobody lets it arrive, at the first market event of its instrument from then on.
  Without latency it is answered at once, with the time of its decision. The same client order id is the same order
  for ever: sent again, or asked for, its reports come again.
- *Inside a bar's minute* an order that arrives is there for the rest as `engine.matching` says, and one whose cancel
  arrives misses the rest. Where another instrument's bar is shown first, a cancel may come before its own bar's open.
- *Never short, never on credit.* A sell beyond the position minus holds, a buy beyond the cash minus holds, and a
  sell stop at or through the known market are refused. Linked legs hold shares once, the larger remainder. A buy
  that turns out dearer than the cash when it fills is canceled.
- *Linked legs* (exit style `both_legs`). A complete fill of one cancels the others in the same moment; a partial fill
  lowers them by as much; the end of one that was lowered is told, since its fills do not add up to it.
- *No links* (exit style `rest_stop`, as Robinhood is): a link means nothing, so every working sell holds its shares,
  and a second sell of the same shares is refused. A market order is good for the day only.
- *Collar.* Where one is set, a market buy is accepted with the market plus that fraction as its most, to the tick
  above, and holds that much cash; where the market is not known it has no bound.
- *Good for the day.* It ends at the close of the session in which it arrived, else of the next one; it is reported
  at the first event after that. A market that never closes ends nothing.
- *Times of reports.* A fill at a bar's open happened, and is received, at the bar's start; a fill in its rest
  happened at the bar's start (bars are labelled so) and is received at its end; on ticks and quotes both times are
  the event's. `received_ts_ns` never decreases, but after the answer to a question, which moves nobody's time.

With a `PaperBook` each change is durable before its reports can be drained, so a restart at any point loses nothing.
After a restart the market is known as of the last change; until an event is shown, orders are held against that, if
it is less than a minute old, or against nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from engine.core.errors import BadInput, Bug
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    BarClosed,
    CancelOrder,
    Command,
    CorporateAction,
    MarketEvent,
    QueryOrder,
    Quote,
    SubmitOrder,
    Tick,
    VenueReport,
)
from engine.core.values import (
    DAY_NS,
    MINUTE_NS,
    ClientOrderId,
    Instrument,
    InstrumentId,
    SessionKind,
    Sessions,
)
from engine.matching import match_open, match_quote, match_rest, match_tick
from engine.venues.paper_actions import apply_action
from engine.venues.paper_book import PaperBook
from engine.venues.paper_desk import PaperDesk, PaperSettings, cancel_rejected, rejected
from engine.venues.paper_listing import account_listing
from engine.venues.paper_state import OPEN_DONE, REST_DONE, TAPE, Lane, LaneState, Moment, PaperOrderStatus

__all__ = ["PaperBook", "PaperSettings", "PaperVenue"]

_INFINITY: Final = float("inf")


class PaperVenue:
    """Match orders on the market events that are shown, as `engine.ports.SimulatedVenue` asks."""

    exit_styles: tuple[ExitStyle, ...] = (ExitStyle.BOTH_LEGS, ExitStyle.REST_STOP)

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        sessions: Mapping[InstrumentId, Sessions],
        settings: PaperSettings,
        *,
        book: PaperBook | None = None,
    ) -> None:
        self._desk = PaperDesk(instruments, sessions, settings, book=book)
        self._lanes = self._desk.lanes
        self._busy = self._desk.busy
        self._rules = settings.rules
        self._prints_expected = settings.prints_expected
        self.is_delayed = bool(settings.submit_latency_ns or settings.cancel_latency_ns)

    @property
    def cash(self) -> Decimal:
        """Return the cash of the account, in account currency."""
        return self._desk.account.cash

    def position(self, instrument_id: InstrumentId) -> Decimal:
        """Return how much of an instrument the account holds."""
        return self._lanes[instrument_id].state.position

    def working_client_order_ids(self) -> tuple[ClientOrderId, ...]:
        """Return the orders that rest or are on their way, oldest first."""
        orders = self._desk.orders
        return tuple(identity for identity, order in orders.items() if order.status is not PaperOrderStatus.GONE)

    def has_work(self, instrument_id: InstrumentId) -> bool:
        """Return whether events of the instrument have to be shown: an order works or waits, or a position is held."""
        return instrument_id in self._busy

    def query_account(self, asked_ts_ns: int) -> None:
        """List the orders that are open or ended in the last day, and what is held; asked at a moment, ns UTC."""
        self._desk.answer(account_listing(self._desk, asked_ts_ns))
        self._desk.finish()

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return the reports that have arrived since the last call, oldest first, and forget them."""
        return self._desk.drain()

    def send(self, command: Command) -> None:
        """Take a command; its outcome comes as reports.

        Raises Bug for an instrument that the venue was not given, BadInput for a decision more than a day before
        the market that its book has already seen, Halt when the book cannot be written.
        """
        if isinstance(command, SubmitOrder):
            self._submit(command)
        elif isinstance(command, CancelOrder):
            self._cancel(command)
        else:
            self._query(command)
        self._desk.finish()

    def let_arrive(self, until_ts_ns: int) -> bool:
        """Let the earliest command on its way arrive, if it is there by a moment (ns UTC); return whether one was."""
        lanes = [self._lanes[key] for key in self._busy]
        lane = min((each for each in lanes if each.pending), key=lambda each: each.pending[0][:2], default=None)
        if lane is None or lane.pending[0][0] > until_ts_ns:
            return False
        ts_ns, _, order, is_cancel = lane.pending.pop(0)
        lane.pass_phase(ts_ns)
        moment = Moment(ts_ns, self._desk.clock(ts_ns))
        self._desk.touch(lane, order)
        if is_cancel:
            self._desk.apply_cancel(lane, order, moment)
        else:
            self._desk.arrive(lane, order, received_ts_ns=moment.received_ts_ns)
        self._desk.finish()
        return True

    def observe_open(self, event: MarketEvent) -> None:
        """Match what a bar's opening price decides; ticks and quotes do nothing here. May be repeated."""
        if not isinstance(event, BarClosed):
            return
        bar = event.bar
        lane = self._lanes[bar.instrument_id]
        start = bar.start_ts_ns
        if lane.has_passed_bar(start):
            return
        moment = Moment(start, self._desk.clock(start))
        state = lane.state
        state.cursor_ts_ns, state.cursor_mark = start, OPEN_DONE
        lane.phase_ts_ns = max(start, lane.phase_ts_ns or start)
        self._take_effect(lane, moment, until_ts_ns=start, cancels_until_ts_ns=start)
        state.price, state.price_ts_ns, state.has_prints = bar.open, start, True
        if lane.working and bar.session_kind is SessionKind.REGULAR:
            matches = match_open(lane.working.values(), bar, rules=self._rules, instrument=lane.instrument)
            self._desk.apply(lane, matches, moment)
        self._desk.finish()

    def observe_rest(self, event: MarketEvent) -> None:
        """Match what the rest of a bar decides, or a tick, or a quote."""
        if isinstance(event, BarClosed):
            self._rest_of_bar(event)
        elif isinstance(event, Tick):
            self._on_tick(event)
        elif isinstance(event, Quote):
            self._on_quote(event)
        elif isinstance(event, CorporateAction):
            apply_action(self._desk, self._lanes[event.instrument_id], event)
            self._desk.finish()

    def observe_past(self, event: Tick | Quote) -> None:
        """Know the market as of an event that was processed before a restart; nothing is matched, for that was done."""
        lane = self._lanes[event.instrument_id]
        if not _is_valid(event) or lane.has_passed(event):
            return
        _know(lane.state, event)

    def _rest_of_bar(self, event: BarClosed) -> None:
        bar = event.bar
        lane = self._lanes[bar.instrument_id]
        start = bar.start_ts_ns
        if lane.has_passed_bar(start):
            return
        end = start + MINUTE_NS
        moment = Moment(start, self._desk.clock(end))
        state = lane.state
        # Again, for a venue that was reopened since: what arrives now is held against this bar's open.
        state.price, state.price_ts_ns, state.has_prints = bar.open, start, True
        # An order that arrives inside the minute is there for its stop; a cancel inside it is too late for this bar.
        self._take_effect(lane, moment, until_ts_ns=end - 1, cancels_until_ts_ns=start)
        if lane.working and bar.session_kind is SessionKind.REGULAR:
            matches = match_rest(lane.working.values(), bar, rules=self._rules, instrument=lane.instrument)
            self._desk.apply(lane, matches, moment)
        state.price, state.price_ts_ns = bar.close, end
        state.cursor_ts_ns, state.cursor_mark = start, REST_DONE
        lane.phase_ts_ns = None
        # A reopened book must not take this bar for half done.
        if lane.saved_mark == OPEN_DONE:
            self._desk.touch(lane)
        self._desk.finish()

    def _on_tick(self, event: Tick) -> None:
        lane = self._lanes[event.instrument_id]
        if not _is_valid(event) or lane.has_passed(event):
            return
        moment = self._enter(lane, event)
        _know(lane.state, event)
        if lane.working and lane.in_session(event.venue_ts_ns):
            matches = match_tick(
                lane.working.values(),
                price=event.price,
                standing=lane.standing_quote(event.received_ts_ns),
                ts_ns=event.received_ts_ns,
                rules=self._rules,
                instrument=lane.instrument,
            )
            self._desk.apply(lane, matches, moment)
        self._desk.finish()

    def _on_quote(self, event: Quote) -> None:
        lane = self._lanes[event.instrument_id]
        if not _is_valid(event) or lane.has_passed(event):
            return
        moment = self._enter(lane, event)
        state = lane.state
        _know(state, event)
        if lane.working and lane.in_session(event.venue_ts_ns):
            matches = match_quote(
                lane.working.values(),
                bid=event.bid,
                ask=event.ask,
                ts_ns=event.received_ts_ns,
                stops_trigger=not (self._prints_expected or state.has_prints),
                rules=self._rules,
                instrument=lane.instrument,
            )
            self._desk.apply(lane, matches, moment)
        self._desk.finish()

    # What ticks and quotes share before they match: the cursor, and the commands and closes that precede them.
    def _enter(self, lane: Lane, event: Tick | Quote) -> Moment:
        received = event.received_ts_ns
        moment = Moment(event.venue_ts_ns, self._desk.clock(received))
        lane.state.cursor_ts_ns, lane.state.cursor_mark = received, TAPE
        lane.last_event = event
        lane.catching_up = False
        lane.phase_ts_ns = None
        self._take_effect(lane, moment, until_ts_ns=received, cancels_until_ts_ns=received)
        return moment

    # Commands whose moment has come, in the order of their moments, then the closes of sessions.
    def _take_effect(self, lane: Lane, moment: Moment, *, until_ts_ns: int, cancels_until_ts_ns: int) -> None:
        if lane.pending and lane.pending[0][0] <= until_ts_ns:
            due = [entry for entry in lane.pending if entry[0] <= (cancels_until_ts_ns if entry[3] else until_ts_ns)]
            for entry in due:
                lane.pending.remove(entry)
                _, _, order, is_cancel = entry
                self._desk.touch(lane, order)
                if is_cancel:
                    self._desk.apply_cancel(lane, order, moment)
                else:
                    self._desk.arrive(lane, order, received_ts_ns=moment.received_ts_ns)
        if lane.next_expiry_ts_ns <= moment.venue_ts_ns:
            self._desk.expire_due(lane, moment)

    def _submit(self, command: SubmitOrder) -> None:
        if command.client_order_id in self._desk.orders:
            self._desk.deliver_again(command.client_order_id, command.decided_ts_ns)
            return
        lane = self._lanes.get(command.instrument_id)
        if lane is None:
            raise Bug(f"The paper venue was not given the instrument {command.instrument_id} ({command.symbol}).")
        decided = lane.moment_of(command.decided_ts_ns)
        if decided < lane.state.cursor_ts_ns - DAY_NS:
            raise BadInput(
                f"The paper book has seen {command.symbol} until {lane.state.cursor_ts_ns} ns UTC and an order was "
                f"decided at {decided} ns UTC: replay later data or use a new book."
            )
        self._desk.take(command, lane, decided)

    def _cancel(self, command: CancelOrder) -> None:
        identity = command.client_order_id
        order = self._desk.orders.get(identity)
        if order is None or order.status is PaperOrderStatus.GONE:
            reason = "unknown order" if order is None else "the order is gone"
            moment = Moment(command.decided_ts_ns, self._desk.clock(command.decided_ts_ns))
            self._desk.answer(cancel_rejected(identity, reason, moment, is_known=order is not None))
            return
        lane = self._lanes[order.command.instrument_id]
        moment = Moment(lane.moment_of(command.decided_ts_ns), self._desk.clock(command.decided_ts_ns))
        self._desk.take_cancel(lane, order, moment)

    # Nothing can be on its way unseen here, so an unknown id is proven absent. The answer is not kept: the id may come.
    def _query(self, command: QueryOrder) -> None:
        identity, decided = command.client_order_id, command.decided_ts_ns
        if identity in self._desk.orders:
            self._desk.deliver_again(identity, decided)
            return
        self._desk.answer(rejected(identity, "unknown order", Moment(decided, self._desk.now(decided))))


def _is_valid(event: Tick | Quote) -> bool:
    if isinstance(event, Tick):
        return 0 < event.price < _INFINITY and 0 < event.size < _INFINITY
    return 0 < event.bid <= event.ask < _INFINITY


def _know(state: LaneState, event: Tick | Quote) -> None:
    if isinstance(event, Tick):
        state.price, state.price_ts_ns, state.has_prints = event.price, event.received_ts_ns, True
    else:
        state.bid, state.ask, state.quote_ts_ns = event.bid, event.ask, event.received_ts_ns
