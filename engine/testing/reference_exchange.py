"""The inside of the reference venue: it matches orders on the prices it is shown, and lets them live as its temper is.

A market order fills at the price, a limit at the price once that is at or better than asked, a stop once the price is
at or through it, at that price; a stop-limit becomes a limit then. Nothing fills outside of sessions, in a halt, or at
a price of an earlier session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    ExecutionBusted,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import (
    MINUTE_NS,
    SECOND_NS,
    ZERO,
    ClientOrderId,
    Instrument,
    InstrumentId,
    OrderType,
    Sessions,
    Side,
    TimeInForce,
    notional,
)
from engine.testing.reference_books import Execution, OversellAttempt, ReferenceBooks, VenueOrder, cost_price
from engine.testing.reference_market import MILLISECOND_NS, Agenda, Market
from engine.testing.reference_temper import CANCELED_WORDS, ForeignOrder, VenueTemper

#: What a market order of a symbol that the run does not know fills at.
_UNKNOWN_PRICE: Final = Decimal(10)
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
#: How long the parts of an order are apart, and how long after the close stops may be canceled.
_PART_MS: Final = (200, 5_000)
_OVERNIGHT_NS: Final = 60 * MINUTE_NS


class ReferenceExchange:
    """Take, match and end orders; `on_report` hears every report of ours at its true moment."""

    def __init__(
        self,
        temper: VenueTemper,
        *,
        chance: Random,
        instruments: Mapping[InstrumentId, Instrument],
        sessions: Mapping[InstrumentId, Sessions],
        exit_style: ExitStyle,
        opening_cash: Decimal,
        on_report: Callable[[VenueOrder, VenueReport], None],
    ) -> None:
        """Open the venue; what the temper lets a human do is put on the agenda."""
        self.temper = temper
        self.agenda = Agenda()
        self.books = ReferenceBooks(exit_style=exit_style, cash=opening_cash, echoes_ids=temper.echoes_ids)
        #: The venue's clock less the true time.
        self.clock_offset_ns = 0
        self._chance = chance
        self._on_report = on_report
        self._symbols = {each: instrument.symbol for each, instrument in instruments.items()}
        self._markets = {
            instrument.symbol: Market(instrument=instrument, sessions=sessions[each])
            for each, instrument in instruments.items()
        }
        self._prices: dict[str, Decimal] = {}
        for foreign in temper.foreign:
            self.agenda.at(foreign.ts_ns, partial(self._place_foreign, foreign))

    # --- the market ----------------------------------------------------------------------------------------

    def set_price(self, instrument_id: InstrumentId, price: Decimal) -> None:
        """Let the market move now; what that satisfies executes."""
        symbol = self.symbol_of(instrument_id)
        market = self._markets[symbol]
        market.price, market.price_ts_ns = price, self.agenda.now_ts_ns
        self._prices[symbol] = price
        if self._is_trading(symbol):
            for order in self.books.open_orders(symbol):
                wake_price = order.wake_price
                if wake_price is None or (price >= wake_price if order.wakes_above else price <= wake_price):
                    self._match(order)

    def halt(self, instrument_id: InstrumentId, until_ts_ns: int) -> None:
        """Let nothing of an instrument execute before a moment."""
        self._markets[self.symbol_of(instrument_id)].halted_until_ts_ns = until_ts_ns

    def symbol_of(self, instrument_id: InstrumentId) -> str:
        """Return the symbol by which the books keep an instrument."""
        return self._symbols[instrument_id]

    def price_of(self, symbol: str) -> Decimal:
        """Return the last price, zero before the first."""
        return self._prices.get(symbol, ZERO)

    def _is_trading(self, symbol: str) -> bool:
        market = self._markets.get(symbol)
        return market is not None and market.is_trading(self.agenda.now_ts_ns)

    # --- taking orders -------------------------------------------------------------------------------------

    def place(self, command: SubmitOrder, *, is_foreign: bool = False) -> VenueOrder | str:
        """Take an order and return it, or the reason for which it is refused at the door, which leaves no order."""
        market = self._markets.get(command.symbol)
        if market is None and not is_foreign:
            return f"No such symbol: {command.symbol}"
        if market is not None and (reason := self._refusal(command, market, is_foreign=is_foreign)):
            return reason
        order = VenueOrder(
            venue_order_id=f"v{len(self.books.orders) + 1}",
            client_order_id=None if is_foreign else command.client_order_id,
            instrument_id=None if market is None else market.instrument.instrument_id,
            command=command,
            created_ts_ns=self.agenda.now_ts_ns,
            remaining=max(ZERO, command.quantity - self.books.filled_of_link(command)),
        )
        order.is_lowered = order.remaining < command.quantity
        self.books.add(order)
        if not order.remaining:
            # Its pair was filled while it was on its way.
            self._say(order, OrderAcknowledged, venue_order_id=order.venue_order_id)
            self.end(order, OrderCanceled, "a linked order filled")
        elif not is_foreign and self.draws(self.temper.needs_approval):
            self._hold_for_approval(order)
        else:
            self._accept(order)
        return order

    def _refusal(self, command: SubmitOrder, market: Market, *, is_foreign: bool) -> str:
        if reason := market.refuses(command):
            return reason
        if command.side is Side.BUY:
            cost = notional(cost_price(command, market.price or ZERO), command.quantity)
            return "" if cost <= self.books.buying_power(self._prices) else "Not enough buying power"
        return self._oversell(command, is_foreign=is_foreign)

    def _oversell(self, command: SubmitOrder, *, is_foreign: bool) -> str:
        books, symbol = self.books, command.symbol
        position, held = books.position(symbol), books.held_with(command)
        if held <= position:
            return ""
        if not is_foreign:
            attempt = OversellAttempt(
                ts_ns=self.agenda.now_ts_ns,
                command=command,
                position=position,
                held=held,
                is_after_bust=symbol in books.busted,
            )
            books.oversell_attempts.append(attempt)
        return "Not enough shares to sell" if self.temper.refuses_oversell or is_foreign else ""

    def _place_foreign(self, foreign: ForeignOrder) -> None:
        if not self.temper.foreign:  # a healed venue is left alone
            return
        market = self._markets.get(foreign.symbol)
        command = SubmitOrder(
            client_order_id=ClientOrderId(""),
            instrument_id=InstrumentId(0) if market is None else market.instrument.instrument_id,
            symbol=foreign.symbol,
            side=foreign.side,
            order_type=foreign.order_type,
            quantity=foreign.quantity,
            limit_price=foreign.limit_price,
            stop_price=foreign.stop_price,
            time_in_force=foreign.time_in_force,
            decided_ts_ns=self.agenda.now_ts_ns,
        )
        self.place(command, is_foreign=True)

    # --- the life of an order ------------------------------------------------------------------------------

    def _hold_for_approval(self, order: VenueOrder) -> None:
        order.is_awaiting_approval, order.word = True, "awaiting_approval"
        self._say(order, OrderAwaitingApproval)
        self._expire_at_close(order)
        if self.temper.approval_s is not None:
            self._in_s(self.temper.approval_s, lambda: self.approve(order))

    def approve(self, order: VenueOrder) -> None:
        """Let the human approve an order that waits for it; a stop that the market has passed meanwhile is refused."""
        if not order.is_open or not order.is_awaiting_approval:
            return
        order.is_awaiting_approval = False
        if self._markets[order.command.symbol].is_through(order.command):
            self.end(order, OrderRejected, "the stop is at or through the market")
        else:
            self._accept(order)

    def _accept(self, order: VenueOrder) -> None:
        order.word = "confirmed"
        self._say(order, OrderAcknowledged, venue_order_id=order.venue_order_id)
        if order.instrument_id is None:
            self._execute(order, order.remaining, order.command.limit_price or _UNKNOWN_PRICE)
            return
        self._expire_at_close(order)
        if order.client_order_id is not None and self.draws(self.temper.rejects_late):
            order.is_doomed = True
            self._in_s(self._chance.randint(*self.temper.rejects_late_s), lambda: self._reject_late(order))
        if self.temper.stop_canceled_overnight and order.command.order_type in _STOPS:
            self.agenda.at(self._close_ts_ns(order) + _OVERNIGHT_NS, lambda: self._cancel_overnight(order))
        if self._is_trading(order.command.symbol):
            self._match(order)

    def _expire_at_close(self, order: VenueOrder) -> None:
        if order.instrument_id is not None and order.command.time_in_force is TimeInForce.DAY:
            self.agenda.at(self._close_ts_ns(order), lambda: self._expire(order))

    def _expire(self, order: VenueOrder) -> None:
        self.end(order, OrderExpired, "the session closed")

    def _close_ts_ns(self, order: VenueOrder) -> int:
        return self._markets[order.command.symbol].sessions.session_from(self.agenda.now_ts_ns).close_ts_ns

    def _reject_late(self, order: VenueOrder) -> None:
        if order.is_doomed:
            self.end(order, OrderRejected, "routed to a broker that cannot accept it")

    def _cancel_overnight(self, order: VenueOrder) -> None:
        if self.temper.stop_canceled_overnight:
            self.end(order, OrderCanceled, "the broker reviews resting stops overnight")

    def end(self, order: VenueOrder, kind: Callable[..., VenueReport], reason: str) -> VenueReport | None:
        """End an order that is open, say so, and return that report; None where it had ended."""
        if not order.is_open:
            return None
        self.books.close(order)
        if kind is OrderRejected:
            order.word = "rejected"
            return self._say(order, kind, reason=reason)
        order.word = "expired" if kind is OrderExpired else self._chance.choice(CANCELED_WORDS)
        return self._say(order, kind, reason=f"{order.word}: {reason}", filled_quantity=order.filled)

    # --- executions ----------------------------------------------------------------------------------------

    def _match(self, order: VenueOrder) -> None:
        held_up = order.is_part_due or order.is_doomed or order.is_awaiting_approval
        if order.is_open and not held_up and self._is_satisfied(order):
            self._fill(order, self._prices[order.command.symbol])

    def _is_satisfied(self, order: VenueOrder) -> bool:
        command, price = order.command, self._prices[order.command.symbol]
        if command.stop_price is not None and not order.is_triggered:
            if not self._markets[command.symbol].is_through(command):
                return False
            order.is_triggered = True
            order.set_wake_price()
        if command.limit_price is None:
            return True
        return price >= command.limit_price if order.is_sell else price <= command.limit_price

    def _fill(self, order: VenueOrder, price: Decimal) -> None:
        if not order.parts_left:
            self._plan_parts(order)
        part = self._part(order)
        if order.parts_left == 1 or part is None:
            self._execute(order, order.remaining, price)
            return
        order.parts_left -= 1
        self._execute(order, part, price)
        if order.is_cut_short:
            self.end(order, OrderCanceled, "the rest found no counterparty")
        elif order.is_open:
            order.is_part_due = True
            self._in_ms(self._chance.randint(*_PART_MS), lambda: self._fill_next_part(order))

    def _plan_parts(self, order: VenueOrder) -> None:
        order.parts_left = 1
        if order.client_order_id is None:
            return
        if self.draws(self.temper.partial_then_canceled):
            order.parts_left, order.is_cut_short = 2, True
        elif self.draws(self.temper.partial_fills):
            order.parts_left = self._chance.randint(2, max(2, self.temper.parts_max))

    def _part(self, order: VenueOrder) -> Decimal | None:
        market = self._markets[order.command.symbol]
        lots = int(order.remaining / market.instrument.lot)
        return market.instrument.lot * self._chance.randint(1, lots - 1) if lots > 1 else None

    def _fill_next_part(self, order: VenueOrder) -> None:
        order.is_part_due = False
        if self._is_trading(order.command.symbol):
            self._match(order)

    def _execute(self, order: VenueOrder, quantity: Decimal, price: Decimal) -> None:
        now = self.agenda.now_ts_ns
        execution = self.books.execute(order, quantity, price, now)
        is_done = not order.remaining
        order.word = "filled" if is_done and not order.is_lowered else "partially_filled"
        if is_done and not order.is_lowered:
            self.books.close(order)
        self._say(
            order,
            OrderFilled,
            execution_id=execution.execution_id,
            price=price,
            quantity=quantity,
            fee=ZERO,
        )
        self._lower_siblings(order, quantity, is_done=is_done)
        if is_done:
            # The fills of a lowered order do not add up to it, so they do not tell that it is over.
            self.end(order, OrderCanceled, "a linked order filled")
        if order.client_order_id is not None and self.draws(self.temper.busts):
            self._in_s(self._chance.randint(*self.temper.bust_s), lambda: self._bust(order, execution))

    def _lower_siblings(self, order: VenueOrder, quantity: Decimal, *, is_done: bool) -> None:
        for sibling in self.books.siblings(order.command):
            if is_done or sibling.remaining <= quantity:
                self.end(sibling, OrderCanceled, "a linked order filled")
            else:
                sibling.remaining -= quantity
                sibling.is_lowered = True

    def _bust(self, order: VenueOrder, execution: Execution) -> None:
        if self.temper.busts:  # a healed venue keeps its word
            self.books.bust(order, execution, self.agenda.now_ts_ns)
            self._say(order, ExecutionBusted, execution_id=execution.execution_id, reason="clearly erroneous")

    # --- cancels -------------------------------------------------------------------------------------------

    def cancel(self, order: VenueOrder) -> VenueReport | None:
        """Cancel an open order as it was asked to; None where the cancel waits, or came too late (it is not open)."""
        symbol, now = order.command.symbol, self.agenda.now_ts_ns
        if self._is_trading(symbol) and not order.is_awaiting_approval and self.draws(self.temper.cancel_fill_race):
            self._fill_before_cancel(order)
        resumes = self._markets[symbol].resumes_ts_ns(now)
        if self.temper.cancels_wait and resumes > now:
            self.agenda.at(resumes, lambda: self._cancel_at_last(order))
            return None
        return self.end(order, OrderCanceled, "on request")

    def _cancel_at_last(self, order: VenueOrder) -> None:
        self.end(order, OrderCanceled, "on request, when trading resumed")

    # At a price that the order was good for: a stop was reached for an instant between two prices shown to us.
    def _fill_before_cancel(self, order: VenueOrder) -> None:
        command, part = order.command, self._part(order)
        order.is_doomed = False
        price = command.limit_price or command.stop_price or self._prices[command.symbol]
        is_whole = part is None or self.draws(0.5)
        self._execute(order, order.remaining if part is None or is_whole else part, price)

    # --- telling, chance and time --------------------------------------------------------------------------

    def _say(self, order: VenueOrder, kind: Callable[..., VenueReport], **content: object) -> VenueReport | None:
        now = self.agenda.now_ts_ns
        self.books.note(order, now, clock_offset_ns=self.clock_offset_ns)
        if order.client_order_id is None:
            return None
        stamped = now + self.clock_offset_ns
        report = kind(client_order_id=order.client_order_id, venue_ts_ns=stamped, received_ts_ns=stamped, **content)
        order.story.append((now, report))
        self._on_report(order, report)
        return report

    def draws(self, probability: float) -> bool:
        """Return whether something of a probability happens this time."""
        return probability > 0 and self._chance.random() < probability

    def _in_s(self, seconds: int, action: Callable[[], None]) -> None:
        self.agenda.at(self.agenda.now_ts_ns + seconds * SECOND_NS, action)

    def _in_ms(self, milliseconds: int, action: Callable[[], None]) -> None:
        self.agenda.at(self.agenda.now_ts_ns + milliseconds * MILLISECOND_NS, action)

    def heal(self) -> None:
        """Turn honest: what waits for a human is approved, what was going to be refused works."""
        self.temper = self.temper.healed()
        for symbol in self._markets:
            for order in self.books.open_orders(symbol):
                was_doomed, order.is_doomed = order.is_doomed, False
                if order.is_awaiting_approval:
                    self.approve(order)
                elif was_doomed and self._is_trading(symbol):
                    self._match(order)
