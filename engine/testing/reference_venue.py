"""The reference venue: the truth of a simulation run, behind a wire that loses, repeats, delays and lags.

    venue = ReferenceVenue(VenueTemper(read_lag_ms=3_000), seed=1, instruments=..., sessions=..., exit_style=...,
                           opening_cash=Decimal(100_000))
    venue.send(command, now_ts_ns, fate=Fate(reply_lost=True))
    venue.price(instrument_id, Decimal("100.10"), now_ts_ns)
    for delivery in venue.advance(now_ts_ns): ...

Whoever drives it owns time and decides each `Fate`; moments that are handed in must not decrease. A `Delivery` is one
report on one channel: it may be dropped, handed over twice, late (`redeliver`) or out of order. The truth is not what
was told: monitors ask `position`, `working_exits`, `protected`, `executions`, `orders`, `requests`, `cash`.

The same seed, temper and calls give the same deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Literal

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    CancelOrder,
    CancelRejected,
    Command,
    OrderRejected,
    OutcomeUnknown,
    QueryOrder,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import SECOND_NS, ClientOrderId, Instrument, InstrumentId, Sessions
from engine.testing.reference_books import Execution, OversellAttempt, VenueOrder
from engine.testing.reference_exchange import ReferenceExchange
from engine.testing.reference_market import MILLISECOND_NS
from engine.testing.reference_reading import Reader
from engine.testing.reference_temper import HONEST, Dedupe, Fate, Status, VenueTemper

Channel = Literal["reply", "push"]
Told = VenueReport | AccountListed
#: Up to so long after a request its repetition arrives.
_REPEAT_MS_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Hold one report on its way; the same number is the same delivery, however often it is handed over."""

    number: int
    channel: Channel
    #: When it is due, ns UTC. The report's `received_ts_ns` is for whoever hands it over to set.
    due_ts_ns: int
    report: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """Hold one request that reached the venue."""

    arrived_ts_ns: int
    #: None for a question about the account.
    command: Command | None
    #: Whether it placed an order, canceled one (or will), or was answered.
    is_accepted: bool
    #: Whether the network had sent it a second time, so that the engine has not.
    is_repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    # One exchange: what was asked when, what befalls it, and which engine process asked.
    command: Command | None
    sent_ts_ns: int
    asked_ts_ns: int
    fate: Fate
    process: int


class ReferenceVenue:
    """Be the broker of one account, for as many engine processes as come and go."""

    def __init__(
        self,
        temper: VenueTemper,
        *,
        seed: int,
        instruments: Mapping[InstrumentId, Instrument],
        sessions: Mapping[InstrumentId, Sessions],
        exit_style: ExitStyle,
        opening_cash: Decimal,
    ) -> None:
        """Open an account that holds cash only; `opening_cash` is in account currency."""
        self._chance = Random(seed)
        self._exchange = ReferenceExchange(
            temper,
            chance=self._chance,
            instruments=instruments,
            sessions=sessions,
            exit_style=exit_style,
            opening_cash=opening_cash,
            on_report=self._push,
        )
        self._books = self._exchange.books
        self._agenda = self._exchange.agenda
        self._reader = Reader(self._exchange, self._chance)
        self._mail: list[tuple[int, int, Delivery, VenueOrder | None]] = []
        self._sequence = 0
        self._deliveries = 0
        self._pushed_ts_ns = 0
        self._process = 0
        self._is_listened_to = True
        self._is_healed = False
        #: Every request that arrived, oldest first.
        self.requests: list[ReceivedRequest] = []
        #: How many orders each client order id came to, and how many of them by a repetition of the network.
        self.accepted_by_intent: dict[ClientOrderId, int] = {}
        self.repeated_by_network: dict[ClientOrderId, int] = {}

    # --- what the engine's side does -----------------------------------------------------------------------

    def send(self, command: Command, now_ts_ns: int, *, fate: Fate = HONEST) -> None:
        """Let the bytes of a command leave the engine; what comes of it are deliveries."""
        self._ask(command, command.decided_ts_ns, now_ts_ns, fate)

    def query_account(self, asked_ts_ns: int, now_ts_ns: int, *, fate: Fate = HONEST) -> None:
        """Ask for listings; `asked_ts_ns` is by the engine's clock. A read that fails delivers nothing."""
        self._ask(None, asked_ts_ns, now_ts_ns, fate)

    def engine_died(self, now_ts_ns: int) -> None:
        """Drop what is on its way to the engine; requests that have left it still arrive, and the truth stays.

        Nothing is pushed until another engine asks or `engine_started` is called.
        """
        self._agenda.run_to(now_ts_ns)
        self._mail.clear()
        self._process += 1
        self._is_listened_to = False

    def engine_started(self, now_ts_ns: int) -> None:
        """Let pushes flow again; the first request of a new engine does so too."""
        self._agenda.run_to(now_ts_ns)
        self._is_listened_to = True

    # --- what the world does -------------------------------------------------------------------------------

    def price(self, instrument_id: InstrumentId, price: Decimal, now_ts_ns: int) -> None:
        """Let the market trade at a price, which is bid, ask and last; what it satisfies executes."""
        self._agenda.run_to(now_ts_ns)
        self._exchange.set_price(instrument_id, price)

    def halt(self, instrument_id: InstrumentId, until_ts_ns: int) -> None:
        """Let nothing of an instrument execute before a moment; after it the next price, or order, does."""
        self._exchange.halt(instrument_id, until_ts_ns)

    def due(self) -> int | None:
        """Return the next moment at which something happens or is delivered, or None."""
        happens = self._agenda.due()
        if not self._mail:
            return happens
        return self._mail[0][0] if happens is None else min(happens, self._mail[0][0])

    def advance(self, now_ts_ns: int) -> list[Delivery]:
        """Let everything up to a moment happen, and return the deliveries that are due by then, in order."""
        self._agenda.run_to(now_ts_ns)
        due = []
        while self._mail and self._mail[0][0] <= now_ts_ns:
            _, _, delivery, order = heappop(self._mail)
            if self._reaches(delivery, order):
                due.append(delivery)
        return due

    def redeliver(self, delivery: Delivery, at_ts_ns: int) -> None:
        """Hand a delivery over again, or later instead, by the same number."""
        self._post(at_ts_ns, delivery, None)

    def heal(self) -> None:
        """Be honest from now on, whatever the fates say; what waits for approval is approved. Ids work as before."""
        self._is_healed = True
        self._exchange.clock_offset_ns = 0
        self._exchange.heal()

    # --- the truth -----------------------------------------------------------------------------------------

    @property
    def temper(self) -> VenueTemper:
        """Return how it behaves now."""
        return self._exchange.temper

    @property
    def clock_offset_ns(self) -> int:
        """Return the venue's clock less the true time, ns."""
        return self._exchange.clock_offset_ns

    @clock_offset_ns.setter
    def clock_offset_ns(self, offset_ns: int) -> None:
        self._exchange.clock_offset_ns = offset_ns

    @property
    def orders(self) -> Mapping[str, VenueOrder]:
        """Return every order that was ever taken, by the venue's id, oldest first."""
        return self._books.orders

    @property
    def executions(self) -> Sequence[Execution]:
        """Return every execution, oldest first, those that were taken back too."""
        return self._books.executions

    @property
    def cash(self) -> Decimal:
        """Return the money of the account, in account currency."""
        return self._books.cash

    @property
    def short_ever(self) -> bool:
        """Return whether anything was ever sold that was not held, other than because of a bust."""
        return self._books.short_ever

    @property
    def short_by_bust(self) -> bool:
        """Return whether less than nothing was ever held because the venue took an execution back."""
        return self._books.short_by_bust

    @property
    def oversell_attempts(self) -> Sequence[OversellAttempt]:
        """Return the sells of ours that were sent beyond what was held and free."""
        return self._books.oversell_attempts

    def orders_of(self, client_order_id: ClientOrderId) -> Sequence[VenueOrder]:
        """Return the orders of a client order id, oldest first."""
        return self._books.by_client_id.get(client_order_id, ())

    def position(self, instrument_id: InstrumentId) -> Decimal:
        """Return what is held of an instrument, in shares or coins."""
        return self._books.position(self._exchange.symbol_of(instrument_id))

    def working_exits(self, instrument_id: InstrumentId) -> Decimal:
        """Return how much the open sells could sell, linked legs counted once at the larger remainder."""
        return self._books.working_exits(self._exchange.symbol_of(instrument_id))

    def protected(self, instrument_id: InstrumentId) -> Decimal:
        """Return how much working stops, and sells that the market takes at once, would sell."""
        symbol = self._exchange.symbol_of(instrument_id)
        return self._books.protected(symbol, self._exchange.price_of(symbol))

    # --- the wire ------------------------------------------------------------------------------------------

    def _ask(self, command: Command | None, asked_ts_ns: int, now_ts_ns: int, fate: Fate) -> None:
        self._agenda.run_to(now_ts_ns)
        self._is_listened_to = True
        call = _Call(
            command=command,
            sent_ts_ns=now_ts_ns,
            asked_ts_ns=asked_ts_ns,
            fate=HONEST if self._is_healed else fate,
            process=self._process,
        )
        if call.fate.request_lost:
            self._time_out(call)
            return
        arrives = now_ts_ns + self._way_ns()
        self._agenda.at(arrives, partial(self._arrive, call, is_repeat=False))
        if call.fate.duplicated:
            again = arrives + self._chance.randint(1, _REPEAT_MS_MAX) * MILLISECOND_NS
            self._agenda.at(again, partial(self._arrive, call, is_repeat=True))

    def _arrive(self, call: _Call, *, is_repeat: bool) -> None:
        status: Status | None = call.fate.status or self._outage()
        reports: Iterable[Told] = ()
        order, is_accepted = None, False
        if status is None or call.fate.status_after_acceptance:
            reports, order, is_accepted = self._serve(call, is_repeat=is_repeat)
        self.requests.append(
            ReceivedRequest(
                arrived_ts_ns=self._agenda.now_ts_ns,
                command=call.command,
                is_accepted=is_accepted,
                is_repeat=is_repeat,
            )
        )
        if not is_repeat:
            self._reply(call, reports, order, status)

    def _outage(self) -> Status | None:
        now = self._agenda.now_ts_ns
        for outage in self.temper.outages:
            if outage.from_ts_ns <= now < outage.until_ts_ns:
                return outage.status
        return None

    def _reply(self, call: _Call, reports: Iterable[Told], order: VenueOrder | None, status: Status | None) -> None:
        ready = self._agenda.now_ts_ns + self._way_ns() + call.fate.reply_delay_ms * MILLISECOND_NS
        if call.fate.reply_lost or ready > call.sent_ts_ns + self.temper.timeout_s * SECOND_NS:
            self._time_out(call)
        elif status is not None:
            self._fail(call, ready, f"the answer was {status}")
        elif call.process == self._process:
            for report in reports:
                self._mail_to(ready, "reply", report, order)

    def _time_out(self, call: _Call) -> None:
        timeout_s = self.temper.timeout_s
        self._fail(call, call.sent_ts_ns + timeout_s * SECOND_NS, f"no answer within {timeout_s} s")

    # A read that failed is no event: it must never look like an account without orders or positions.
    def _fail(self, call: _Call, ts_ns: int, reason: str) -> None:
        command = call.command
        if call.process == self._process and isinstance(command, SubmitOrder | CancelOrder):
            self._mail_to(ts_ns, "reply", self._unknown(command.client_order_id, ts_ns, reason), None)

    @staticmethod
    def _unknown(client_order_id: ClientOrderId, ts_ns: int, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(client_order_id=client_order_id, reason=reason, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)

    # --- serving -------------------------------------------------------------------------------------------

    # What is replied, the order that the reply makes known, and whether the request did something.
    def _serve(self, call: _Call, *, is_repeat: bool) -> tuple[Iterable[Told], VenueOrder | None, bool]:
        command = call.command
        if isinstance(command, SubmitOrder):
            return self._submit(command, is_repeat=is_repeat)
        if isinstance(command, CancelOrder):
            return self._cancel(command)
        is_truncated = call.fate.truncated
        if isinstance(command, QueryOrder):
            found, order = self._reader.answer(command, is_truncated=is_truncated)
            return found, order, True
        return (self._reader.listing(call.asked_ts_ns, is_truncated=is_truncated),), None, True

    def _submit(self, command: SubmitOrder, *, is_repeat: bool) -> tuple[Iterable[Told], VenueOrder | None, bool]:
        identity, now = command.client_order_id, self._agenda.now_ts_ns
        original = self._original(identity)
        if original is not None and self.temper.dedupe is Dedupe.ERROR:
            return (self._unknown(identity, self._venue_ts_ns(), "duplicate id"),), None, False
        if original is not None:
            return tuple([report for _, report in original.story]), original, False
        placed = self._exchange.place(command)
        if isinstance(placed, str):
            stamped = self._venue_ts_ns()
            refused = OrderRejected(
                client_order_id=identity, reason=placed, venue_ts_ns=stamped, received_ts_ns=stamped
            )
            return (refused,), None, False
        assert placed.created_ts_ns == now
        self.accepted_by_intent[identity] = self.accepted_by_intent.get(identity, 0) + 1
        if is_repeat:
            self.repeated_by_network[identity] = self.repeated_by_network.get(identity, 0) + 1
        return (placed.story[0][1],), placed, True

    # The order that a used id stands for, where the venue dedupes.
    def _original(self, identity: ClientOrderId) -> VenueOrder | None:
        temper, known = self.temper, self.orders_of(identity)
        if not known or temper.dedupe is Dedupe.NONE:
            return None
        original = known[-1]
        is_old = self._agenda.now_ts_ns >= original.created_ts_ns + temper.dedupe_window_s * SECOND_NS
        return None if temper.dedupe is Dedupe.WINDOWED and is_old else original

    def _cancel(self, command: CancelOrder) -> tuple[Iterable[Told], VenueOrder | None, bool]:
        known = self.orders_of(command.client_order_id)
        order = next((each for each in known if each.is_open), None)
        canceled = None if order is None else self._exchange.cancel(order)
        if canceled is not None:
            return (canceled,), order, True
        if order is not None and order.is_open:  # it waits until trading resumes
            return (), order, True
        stamped = self._venue_ts_ns()
        reason = f"the order is {known[-1].word}" if known else "no such order"
        refused = CancelRejected(
            client_order_id=command.client_order_id,
            reason=reason,
            is_known=bool(known),
            venue_ts_ns=stamped,
            received_ts_ns=stamped,
        )
        return (refused,), None, False

    # --- deliveries ----------------------------------------------------------------------------------------

    # One stream, in order; whoever drives the simulation may shuffle it.
    def _push(self, order: VenueOrder, report: VenueReport) -> None:
        if self.temper.push and self._is_listened_to:
            delay_ns = self._chance.randint(*self.temper.push_latency_ms) * MILLISECOND_NS
            self._pushed_ts_ns = max(self._pushed_ts_ns, self._agenda.now_ts_ns + delay_ns)
            self._mail_to(self._pushed_ts_ns, "push", report, order)

    def _mail_to(self, ts_ns: int, channel: Channel, report: Told, order: VenueOrder | None) -> None:
        self._deliveries += 1
        self._post(ts_ns, Delivery(number=self._deliveries, channel=channel, due_ts_ns=ts_ns, report=report), order)

    def _post(self, ts_ns: int, delivery: Delivery, order: VenueOrder | None) -> None:
        self._sequence += 1
        heappush(self._mail, (max(ts_ns, self._agenda.now_ts_ns), self._sequence, delivery, order))

    # Without our id in it, a push can be told only from the venue's own id, which a reply must have told before.
    def _reaches(self, delivery: Delivery, order: VenueOrder | None) -> bool:
        if order is None or self.temper.echoes_ids:
            return True
        order.is_known = order.is_known or delivery.channel == "reply"
        return order.is_known

    def _way_ns(self) -> int:
        return self._chance.randint(*self.temper.latency_ms) * MILLISECOND_NS

    def _venue_ts_ns(self) -> int:
        return self._agenda.now_ts_ns + self.clock_offset_ns
