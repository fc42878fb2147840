"""The ledger stage: cash, positions, lots and equity, from executions and cash movements alone.

Cash moves by trades (price x quantity and fees) and by cash movements; each execution counts once. Profit is
realised against the oldest lots (FIFO), before fees. All amounts are exact decimals in account currency.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.core.ledger.settlement import settlement_ts_ns
from engine.core.messages import AccountFunded, CashMoved, Draft, EquityMarked, PositionChanged, TradeBooked
from engine.core.messages.quick import quick_init
from engine.core.values import (
    ZERO,
    AccountTerms,
    ExecutionId,
    Instrument,
    InstrumentId,
    Leg,
    Sessions,
    Side,
    StrategyId,
    cash,
    exact,
    notional,
)


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Hold what the ledger needs to know of one execution."""

    order_id: int
    bracket_id: int
    execution_id: ExecutionId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    leg: Leg
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_bust: bool
    venue_ts_ns: int


@dataclass(slots=True)
class Position:
    """Hold what one strategy has of one instrument."""

    quantity: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    #: Open lots, oldest first: (quantity, price).
    lots: deque[tuple[Decimal, Decimal]] = field(default_factory=deque)
    #: Everything that still counts, oldest first, so that a bust can be taken out exactly.
    bookings: list[Booking] = field(default_factory=list)

    def cost(self) -> Decimal:
        """Return what the open lots cost."""
        return sum((notional(price, quantity) for quantity, price in self.lots), ZERO)


class Ledger:
    """Keep the books of one account."""

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        *,
        sessions: Mapping[InstrumentId, Sessions],
        terms: AccountTerms | None = None,
    ) -> None:
        self.terms = terms or AccountTerms()
        self._instruments = instruments
        self._sessions = sessions
        # Proceeds and payments that settle later: (moment, amount), in the order of their booking.
        self._unsettled: list[tuple[int, Decimal]] = []
        # Sale -> its settlement, for the bust that takes it back.
        self._settlements: dict[ExecutionId, int] = {}
        self._positions: dict[tuple[StrategyId, InstrumentId], Position] = {}
        # Only what is held now: most bars find this empty, and are done.
        self._held: dict[tuple[StrategyId, InstrumentId], Position] = {}
        self._closes: dict[InstrumentId, float | Decimal] = {}
        self._trades = 0
        self._movements = 0
        self._marked_equity: Decimal | None = None
        self._cash_changed = False
        self.cash = ZERO
        #: Cash plus positions at the last close.
        self.equity = ZERO

    def position(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> Decimal:
        """Return what a strategy holds, in shares or coins."""
        position = self._positions.get((strategy_id, instrument_id))
        return position.quantity if position is not None else ZERO

    def exposure(self, instrument_id: InstrumentId | None = None) -> Decimal:
        """Return the value at last close of what is held of one instrument, or of all."""
        return sum(
            (
                notional(self._mark_price(key[1]), abs(position.quantity))
                for key, position in self._held.items()
                if instrument_id in (None, key[1])
            ),
            ZERO,
        )

    def unsettled(self, ts_ns: int) -> Decimal:
        """Return the part of the cash that has not arrived at a moment (ns UTC): proceeds of sales on their way."""
        return sum((amount for settles_ts_ns, amount in self._unsettled if settles_ts_ns > ts_ns), ZERO)

    def settled_cash(self, ts_ns: int) -> Decimal:
        """Return the cash that a cash account may spend at a moment, ns UTC.

        Purchases count at once and sales from their settlement on; below zero where purchases were paid with proceeds
        that have not settled.
        """
        return self.cash - self.unsettled(ts_ns)

    def fund(self, event: AccountFunded, draft: Draft) -> None:
        """Book money that came in or went out."""
        self._movements += 1
        self.cash += cash(event.amount)
        self._cash_changed = True
        self._revalue()
        draft.facts.append(
            CashMoved(
                movement_id=self._movements,
                amount=event.amount,
                kind="deposit" if event.amount >= 0 else "withdrawal",
                source=event.source,
                settlement_ts_ns=event.venue_ts_ns,
                ts_ns=draft.ts_ns,
            )
        )

    def book(self, booking: Booking, draft: Draft) -> Decimal:
        """Book one execution, or take a busted one back; return the position that is left."""
        key = (booking.strategy_id, booking.instrument_id)
        position = self._positions.setdefault(key, Position())
        before = position.realized_pnl
        if booking.is_bust:
            _unbook(position, booking)
        else:
            _book(position, booking)
        settles_ts_ns = self._settlement(booking)
        self._move_cash(booking, settles_ts_ns, draft.ts_ns)
        if position.quantity:
            self._held[key] = position
        else:
            self._held.pop(key, None)
        self._closes.setdefault(booking.instrument_id, booking.price)
        self._revalue()
        symbol = self._instruments[booking.instrument_id].symbol
        trade = self._trade(booking, position.realized_pnl - before, settles_ts_ns=settles_ts_ns, ts_ns=draft.ts_ns)
        draft.facts.append(trade)
        draft.facts.append(
            PositionChanged(
                strategy_id=booking.strategy_id,
                instrument_id=booking.instrument_id,
                symbol=symbol,
                quantity=position.quantity,
                cost=position.cost(),
                realized_pnl=position.realized_pnl,
                ts_ns=draft.ts_ns,
            )
        )
        return position.quantity

    def mark(self, instrument_id: InstrumentId, close: float, draft: Draft) -> None:
        """Value the account at a bar's close, and say so where the equity changed."""
        self._closes[instrument_id] = close
        if not self._held and not self._cash_changed:
            return
        self._revalue()
        self._cash_changed = False
        if self.equity != self._marked_equity:
            self._marked_equity = self.equity
            draft.facts.append(EquityMarked(ts_ns=draft.ts_ns, cash=self.cash, equity=self.equity))

    def _settlement(self, booking: Booking) -> int:
        if booking.is_bust:
            return self._settlements[booking.execution_id]
        instrument = self._instruments[booking.instrument_id]
        settles_ts_ns = settlement_ts_ns(instrument, self._sessions[booking.instrument_id], booking.venue_ts_ns)
        self._settlements[booking.execution_id] = settles_ts_ns
        return settles_ts_ns

    def _move_cash(self, booking: Booking, settles_ts_ns: int, ts_ns: int) -> None:
        value = notional(booking.price, booking.quantity)
        paid = value if booking.side is Side.BUY else -value
        total = paid + cash(booking.fee)
        amount = total if booking.is_bust else -total
        self.cash += amount
        if booking.side is Side.SELL:
            self._unsettled = [late for late in self._unsettled if late[0] > ts_ns]
            self._unsettled.append((settles_ts_ns, amount))
        self._cash_changed = True

    def _trade(self, booking: Booking, realized_pnl: Decimal, *, settles_ts_ns: int, ts_ns: int) -> TradeBooked:
        self._trades += 1
        return TradeBooked(
            trade_id=self._trades,
            order_id=booking.order_id,
            bracket_id=booking.bracket_id,
            execution_id=booking.execution_id,
            strategy_id=booking.strategy_id,
            instrument_id=booking.instrument_id,
            symbol=self._instruments[booking.instrument_id].symbol,
            leg=booking.leg,
            side=booking.side,
            price=booking.price,
            quantity=booking.quantity,
            fee=booking.fee,
            realized_pnl=realized_pnl,
            is_bust=booking.is_bust,
            venue_ts_ns=booking.venue_ts_ns,
            ts_ns=ts_ns,
            settlement_ts_ns=settles_ts_ns,
        )

    def _mark_price(self, instrument_id: InstrumentId) -> Decimal:
        close = self._closes[instrument_id]
        return close if isinstance(close, Decimal) else exact(close)

    def _revalue(self) -> None:
        equity = self.cash
        for (_, instrument_id), position in self._held.items():
            equity += notional(self._mark_price(instrument_id), position.quantity)
        self.equity = equity


def _book(position: Position, booking: Booking) -> None:
    position.bookings.append(booking)
    if booking.side is Side.BUY:
        position.quantity += booking.quantity
        position.lots.append((booking.quantity, booking.price))
        return
    position.quantity -= booking.quantity
    position.realized_pnl += _sell(position.lots, booking.quantity, booking.price)


def _sell(lots: deque[tuple[Decimal, Decimal]], quantity: Decimal, price: Decimal) -> Decimal:
    # Oldest lots first. A sale beyond the lots has no cost to compare with: the caller halts on it.
    profit = ZERO
    while quantity and lots:
        lot_quantity, lot_price = lots[0]
        sold = min(lot_quantity, quantity)
        profit += notional(price, sold) - notional(lot_price, sold)
        quantity -= sold
        if sold == lot_quantity:
            lots.popleft()
        else:
            lots[0] = (lot_quantity - sold, lot_price)
    return profit


def _unbook(position: Position, bust: Booking) -> None:
    # FIFO has no inverse: the position is built again from the executions that still count.
    counting = [booking for booking in position.bookings if booking.execution_id != bust.execution_id]
    position.quantity = ZERO
    position.realized_pnl = ZERO
    position.lots.clear()
    position.bookings.clear()
    for booking in counting:
        _book(position, booking)
