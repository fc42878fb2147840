"""The books of one account: cash, holdings, and what they are worth.

Cash moves by trades (price x quantity and fees) and by cash movements; each execution counts once. Profit is realised
against the lots that the account's method takes, before fees. All amounts are exact decimals in account currency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.core.errors import BadInput
from engine.core.ledger.bookings import (
    Booking,
    closed_facts,
    oversold_fact,
    position_fact,
    rest_of_bust,
    split_suspense_fact,
    trade_fact,
)
from engine.core.ledger.cash import CashBook
from engine.core.ledger.good_faith import GoodFaith
from engine.core.ledger.lots import Change, Entry, Holding, Lot, Origin
from engine.core.ledger.settlement import settlement_ts_ns
from engine.core.messages import (
    AccountFunded,
    AdjustmentKind,
    CashCorrected,
    CashMoved,
    CashMovementKind,
    Draft,
    EquityMarked,
    FeeCharged,
    LotsChosen,
    OrderFilled,
    PositionAdjusted,
    SuspenseBooked,
    SuspenseKind,
)
from engine.core.values import (
    ZERO,
    AccountKind,
    AccountTerms,
    ExecutionId,
    Instrument,
    InstrumentId,
    LotMethod,
    Sessions,
    Side,
    StrategyId,
    cash,
    exact,
    notional,
)

Key = tuple[StrategyId, InstrumentId]


class Booked(NamedTuple):
    """Hold what a booking left behind."""

    #: What is held now.
    quantity: Decimal
    #: How much it sold that was not held: to be looked at by a human.
    oversold: Decimal


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
        self.cash_book = CashBook()
        self._instruments = dict(instruments)
        self._sessions = sessions
        self._holdings: dict[Key, Holding] = {}
        # Only what is held (or owed) now: most bars find this empty, and are done.
        self._held: dict[Key, Holding] = {}
        self._closes: dict[InstrumentId, float | Decimal] = {}
        self._trades = 0
        self._trades_of: Counter[InstrumentId] = Counter()
        self._movements = 0
        self._adjustments = 0
        # Execution -> the settlement and the fees that a bust of it takes back.
        self._executions: dict[ExecutionId, tuple[int, tuple[tuple[str, Decimal], ...]]] = {}
        self._chosen: dict[Key, tuple[str, ...]] = {}
        self._good_faith = GoodFaith()
        self._marked_equity: Decimal | None = None
        self._cash_changed = False
        #: Cash plus positions at the last close.
        self.equity = ZERO

    # --- what others may ask -------------------------------------------------------------------------------

    @property
    def cash(self) -> Decimal:
        """Return all cash, settled or not."""
        return self.cash_book.total

    def position(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> Decimal:
        """Return what a strategy holds, in shares or coins; never below zero."""
        holding = self._holdings.get((strategy_id, instrument_id))
        return holding.quantity if holding is not None else ZERO

    def trade_count(self, instrument_id: InstrumentId) -> int:
        """Return how many executions of an instrument were booked, busts included."""
        return self._trades_of[instrument_id]

    def lots(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> tuple[Lot, ...]:
        """Return the open lots of a position, oldest first."""
        holding = self._holdings.get((strategy_id, instrument_id))
        return tuple(holding.lots) if holding is not None else ()

    def oversold(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> Decimal:
        """Return what was sold beyond what was held and stands in the suspense."""
        holding = self._holdings.get((strategy_id, instrument_id))
        return holding.uncovered if holding is not None else ZERO

    def exposure(self, instrument_id: InstrumentId | None = None) -> Decimal:
        """Return the value at last close of what is held, or oversold, of one instrument, or of all."""
        return sum(
            (
                notional(self._mark_price(key[1]), holding.quantity + holding.uncovered)
                for key, holding in self._held.items()
                if instrument_id in (None, key[1])
            ),
            ZERO,
        )

    def unsettled(self, ts_ns: int) -> Decimal:
        """Return the cash that has not arrived at a moment, ns UTC: proceeds and dividends on their way."""
        return self.cash_book.unsettled(ts_ns)

    def settled_cash(self, ts_ns: int) -> Decimal:
        """Return the cash that a cash account may spend at a moment, ns UTC.

        Purchases count at once and sales from their settlement on; below zero where purchases were paid with proceeds
        that have not settled.
        """
        return self.cash_book.settled(ts_ns)

    def receivable(self, ts_ns: int) -> Decimal:
        """Return the cash of dividends and the like that has not arrived at a moment: nobody may spend it."""
        return self.cash_book.receivable(ts_ns)

    def spendable_cash(self, ts_ns: int) -> Decimal:
        """Return what this kind of account may spend at a moment: settled cash, or all but unpaid dividends."""
        if self.terms.kind is AccountKind.CASH:
            return self.cash_book.settled(ts_ns)
        return self.cash_book.total - self.cash_book.receivable(ts_ns)

    def unpaid(self, strategy_id: StrategyId, instrument_id: InstrumentId, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return how much of a sale at a moment would be of lots not yet paid with settled money."""
        holding = self._holdings.get((strategy_id, instrument_id))
        return holding.unpaid(quantity, ts_ns) if holding is not None else ZERO

    def good_faith_violations(self, since_ts_ns: int = 0) -> int:
        """Return how many lots not yet paid were sold since a moment; counted in cash accounts only."""
        return self._good_faith.count(since_ts_ns)

    # --- executions ----------------------------------------------------------------------------------------

    def book(self, booking: Booking, draft: Draft) -> Booked:
        """Book one execution, or take a busted one back."""
        key = (booking.strategy_id, booking.instrument_id)
        instrument = self._instruments[booking.instrument_id]
        holding = self._holding(key)
        before = holding.figures()
        self._trades += 1
        self._trades_of[booking.instrument_id] += 1
        settles_ts_ns, fees = self._terms_of(booking, instrument)
        self._move_cash(booking, settles_ts_ns, draft.ts_ns)
        changes = holding.remove(booking.execution_id) if booking.is_bust else holding.add(self._entry(booking, key))
        self._note_held(key, holding)
        self._closes.setdefault(booking.instrument_id, booking.price)
        self._revalue()
        change = holding.figures().since(before)
        draft.facts.append(
            trade_fact(
                booking,
                trade_id=self._trades,
                symbol=instrument.symbol,
                realized_pnl=change.profit,
                settles_ts_ns=settles_ts_ns,
                ts_ns=draft.ts_ns,
            )
        )
        self._charge(fees, is_bust=booking.is_bust, draft=draft)
        self._close(changes, key, draft)
        if change.owed or change.owed_value:
            self._suspend(oversold_fact(booking, instrument.symbol, change[3:], ts_ns=draft.ts_ns), key, draft)
        if booking.is_bust:
            self._note_rest(booking, key, rest_of_bust(booking, change), draft)
        self._tell(key, draft)
        return Booked(holding.quantity, change.owed)

    def book_unmatched(self, fill: OrderFilled, draft: Draft) -> None:
        """Record an execution of an order that is not ours; nothing of it enters the books."""
        draft.facts.append(
            SuspenseBooked(
                kind=SuspenseKind.UNMATCHED,
                execution_id=fill.execution_id,
                client_order_id=fill.client_order_id,
                strategy_id=None,
                instrument_id=None,
                symbol="",
                side=None,
                price=fill.price,
                quantity=fill.quantity,
                value=notional(fill.price, fill.quantity),
                reason="the order is not ours",
                ts_ns=draft.ts_ns,
            )
        )

    def choose_lots(self, event: LotsChosen, draft: Draft) -> None:
        """Choose the lots that the next sales of a position take first.

        Raises BadInput where the account's lots are not `specific`, or a lot is not there.
        """
        key = (event.strategy_id, event.instrument_id)
        if self.terms.lots is not LotMethod.SPECIFIC:
            raise BadInput(f"The lots of this account are taken {self.terms.lots}: set account.lots to specific first.")
        there = {str(lot.origin) for lot in self._holding(key).lots}
        for name in event.lots:
            if name not in there:
                raise BadInput(f"The lot {name} is not open: choose among {', '.join(sorted(there)) or 'none'}.")
        self._chosen[key] = event.lots
        draft.is_kept = True

    # --- money and positions without a trade ---------------------------------------------------------------

    def fund(self, event: AccountFunded, draft: Draft) -> None:
        """Book money that came in or went out."""
        kind = CashMovementKind.DEPOSIT if event.amount >= 0 else CashMovementKind.WITHDRAWAL
        self.move_cash(event.amount, kind, event.source, settles_ts_ns=event.venue_ts_ns, draft=draft)

    def correct_cash(self, event: CashCorrected, draft: Draft) -> None:
        """Book interest, a corrected fee or another amount that the broker states."""
        self.move_cash(event.amount, event.kind, event.source, settles_ts_ns=event.settlement_ts_ns, draft=draft)

    def move_cash(
        self,
        amount: Decimal,
        kind: CashMovementKind,
        source: str,
        *,
        settles_ts_ns: int,
        draft: Draft,
        key: Key | None = None,
    ) -> None:
        """Book cash that moves otherwise than by a trade; what is paid counts at once, what comes when it settles."""
        self._movements += 1
        in_unit = cash(amount)
        if in_unit < 0:
            self.cash_book.pay(-in_unit)
        else:
            self.cash_book.receive(in_unit, settles_ts_ns=settles_ts_ns, ts_ns=draft.ts_ns, of_trade=False)
        self._cash_changed = True
        self._revalue()
        draft.facts.append(
            CashMoved(
                movement_id=self._movements,
                amount=amount,
                kind=kind.value,
                source=source,
                settlement_ts_ns=settles_ts_ns,
                ts_ns=draft.ts_ns,
                strategy_id=None if key is None else key[0],
                instrument_id=None if key is None else key[1],
            )
        )

    def holdings_of(self, instrument_id: InstrumentId) -> list[tuple[Key, Holding]]:
        """Return who holds (or owes) an instrument now."""
        return [(key, holding) for key, holding in self._held.items() if key[1] == instrument_id]

    def split_past(self, instrument_id: InstrumentId, ratio: tuple[int, int], ts_ns: int) -> None:
        """Remember a split where nothing is held now: a bust of what was before it gives new shares."""
        for key, holding in self._holdings.items():
            if key[1] == instrument_id and key not in self._held:
                holding.add(Entry(origin=Origin(), ts_ns=ts_ns, quantity=ZERO, value=None, ratio=ratio))

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """Return an instrument as it is called now."""
        return self._instruments[instrument_id]

    def rename(self, instrument: Instrument) -> None:
        """Take an instrument with another symbol."""
        self._instruments[instrument.instrument_id] = instrument

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the price at which an instrument is valued; None where none is known yet."""
        return self._mark_price(instrument_id) if instrument_id in self._closes else None

    def reprice(self, instrument_id: InstrumentId, price: Decimal) -> None:
        """Value an instrument at another price until its next close: after a split, or before its first trade."""
        self._closes[instrument_id] = price
        self._revalue()

    def adjust(
        self,
        key: Key,
        entry_of: tuple[Decimal, Decimal | None, tuple[int, int]],
        *,
        kind: AdjustmentKind,
        source: str,
        settles_ts_ns: int,
        draft: Draft,
    ) -> None:
        """Change a holding otherwise than by a trade: (quantity, value, ratio) as an `Entry` takes them."""
        quantity, value, ratio = entry_of
        holding = self._holding(key)
        before = (holding.quantity - holding.uncovered, holding.cost, holding.realized_pnl)
        owed = holding.uncovered
        self._adjustments += 1
        origin = Origin(adjustment_id=self._adjustments)
        changes = holding.add(Entry(origin=origin, ts_ns=draft.ts_ns, quantity=quantity, value=value, ratio=ratio))
        self._note_held(key, holding)
        self._cash_changed = True
        owed, net = holding.uncovered - owed, holding.quantity - holding.uncovered
        draft.facts.append(
            self._adjusted(
                key,
                kind=kind,
                change=(net - before[0], holding.cost - before[1], holding.realized_pnl - before[2]),
                ratio="" if ratio == (1, 1) else f"{ratio[0]}:{ratio[1]}",
                source=source,
                settles_ts_ns=settles_ts_ns,
                draft=draft,
            )
        )
        if owed:
            suspended = split_suspense_fact(key, self._instruments[key[1]].symbol, quantity=owed, ts_ns=draft.ts_ns)
            self._suspend(suspended, key, draft)
        self._close(changes, key, draft)
        self._tell(key, draft)

    # --- worth ---------------------------------------------------------------------------------------------

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

    # --- small things --------------------------------------------------------------------------------------

    def _holding(self, key: Key) -> Holding:
        holding = self._holdings.get(key)
        if holding is None:
            holding = self._holdings[key] = Holding(method=self.terms.lots)
        return holding

    def _note_held(self, key: Key, holding: Holding) -> None:
        if holding.quantity or holding.uncovered:
            self._held[key] = holding
        else:
            self._held.pop(key, None)

    def _entry(self, booking: Booking, key: Key) -> Entry:
        is_buy = booking.side is Side.BUY
        return Entry(
            origin=Origin(trade_id=self._trades),
            ts_ns=booking.venue_ts_ns,
            quantity=booking.quantity if is_buy else -booking.quantity,
            value=notional(booking.price, booking.quantity),
            paid_ts_ns=self.cash_book.paid_ts_ns(booking.venue_ts_ns) if is_buy else 0,
            chosen=() if is_buy else self._chosen.get(key, ()),
            execution_id=booking.execution_id,
        )

    def _terms_of(self, booking: Booking, instrument: Instrument) -> tuple[int, tuple[tuple[str, Decimal], ...]]:
        if booking.is_bust:
            return self._executions[booking.execution_id]
        settles_ts_ns = settlement_ts_ns(instrument, self._sessions[booking.instrument_id], booking.venue_ts_ns)
        self._executions[booking.execution_id] = (settles_ts_ns, booking.fees)
        return self._executions[booking.execution_id]

    def _move_cash(self, booking: Booking, settles_ts_ns: int, ts_ns: int) -> None:
        value, fee = notional(booking.price, booking.quantity), cash(booking.fee)
        sign = -1 if booking.is_bust else 1
        if booking.side is Side.BUY:
            self.cash_book.pay(sign * (value + fee))
        else:
            self.cash_book.receive(sign * (value - fee), settles_ts_ns=settles_ts_ns, ts_ns=ts_ns, of_trade=True)
        self._cash_changed = True

    def _charge(self, fees: Iterable[tuple[str, Decimal]], *, is_bust: bool, draft: Draft) -> None:
        for kind, amount in fees:
            signed = -cash(amount) if is_bust else cash(amount)
            draft.facts.append(FeeCharged(trade_id=self._trades, kind=kind, amount=signed, ts_ns=draft.ts_ns))

    def _close(self, changes: list[Change], key: Key, draft: Draft) -> None:
        instrument = self._instruments[key[1]]
        draft.facts += closed_facts(changes, strategy_id=key[0], instrument=instrument, ts_ns=draft.ts_ns)
        if self.terms.kind is AccountKind.CASH:
            self._good_faith.judge(changes, key[0], instrument, draft)

    def _suspend(self, fact: SuspenseBooked, key: Key, draft: Draft) -> None:
        draft.facts.append(fact)
        self._adjustments += 1
        draft.facts.append(
            self._adjusted(
                key,
                kind=AdjustmentKind.SUSPENSE,
                change=(fact.quantity, fact.value, ZERO),
                source=f"execution {fact.execution_id}" if fact.execution_id else fact.reason,
                settles_ts_ns=draft.ts_ns,
                draft=draft,
            )
        )

    def _note_rest(self, booking: Booking, key: Key, rest: tuple[Decimal, Decimal], draft: Draft) -> None:
        # Splits and corrections between an execution and its bust leave a difference that neither of them states.
        if not any(rest):
            return
        self._adjustments += 1
        draft.facts.append(
            self._adjusted(
                key,
                kind=AdjustmentKind.BUST,
                change=(*rest, ZERO),
                source=f"execution {booking.execution_id}",
                settles_ts_ns=draft.ts_ns,
                draft=draft,
            )
        )

    def _adjusted(
        self,
        key: Key,
        *,
        kind: AdjustmentKind,
        change: tuple[Decimal, Decimal, Decimal],
        source: str,
        settles_ts_ns: int,
        draft: Draft,
        ratio: str = "",
    ) -> PositionAdjusted:
        quantity, cost, realized_pnl = change
        return PositionAdjusted(
            adjustment_id=self._adjustments,
            strategy_id=key[0],
            instrument_id=key[1],
            symbol=self._instruments[key[1]].symbol,
            kind=kind,
            quantity=quantity,
            cost=cost,
            realized_pnl=realized_pnl,
            ratio=ratio,
            source=source,
            settlement_ts_ns=settles_ts_ns,
            ts_ns=draft.ts_ns,
        )

    def _tell(self, key: Key, draft: Draft) -> None:
        instrument = self._instruments[key[1]]
        draft.facts.append(
            position_fact(self._holdings[key], strategy_id=key[0], instrument=instrument, ts_ns=draft.ts_ns)
        )

    def _mark_price(self, instrument_id: InstrumentId) -> Decimal:
        close = self._closes[instrument_id]
        return close if isinstance(close, Decimal) else exact(close)

    def _revalue(self) -> None:
        equity = self.cash
        for (_, instrument_id), holding in self._held.items():
            equity += notional(self._mark_price(instrument_id), holding.quantity - holding.uncovered)
        self.equity = equity
