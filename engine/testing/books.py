"""A second bookkeeper: it knows the facts of steps only, adds them up in fractions, and contradicts.

Every figure that the engine states after a trade, an adjustment or a movement has to follow from `trades`,
`cash_movements` and `position_adjustments` alone; every step has to balance in double entry; and lots that were closed
have to be open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from engine.core.ledger import Ledger
from engine.core.messages import (
    AdjustmentKind,
    Bar,
    CashMoved,
    EquityMarked,
    Event,
    Fact,
    FeeCharged,
    LotClosed,
    PositionAdjusted,
    PositionChanged,
    ShareSplit,
    Step,
    SuspenseBooked,
    SuspenseKind,
    TradeBooked,
)
from engine.core.values import InstrumentId, Side, StrategyId, cash, exact, notional

Key = tuple[StrategyId, InstrumentId]
_INCOME = {"dividend": "dividends", "interest": "interest", "fee_correction": "fees"}
_BY_HAND = frozenset({AdjustmentKind.OPENING, AdjustmentKind.ADOPTION, AdjustmentKind.CORRECTION})
_UNIT = Decimal("1E-10")


class BooksProof:
    """Add up an account from its facts, and compare with what the engine says after every step.

    `observe` has the form of an observer of the engine's loop. All checks raise AssertionError with one sentence.
    """

    def __init__(self) -> None:
        self.cash = Fraction(0)
        #: Quantity, cost and realized profit of each position, by the three tables.
        self.positions: dict[Key, list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 3)
        self.suspended: dict[Key, Fraction] = defaultdict(Fraction)
        #: Account of the double entry -> its balance; debits are positive.
        self.balances: dict[str, Fraction] = defaultdict(Fraction)
        self._arrivals: list[tuple[int, Fraction]] = []
        self._stated: dict[Key, PositionChanged] = {}
        self._closed: dict[Key, Fraction] = defaultdict(Fraction)
        self._marks: dict[InstrumentId, Decimal] = {}
        self._fees: dict[int, tuple[Fraction, Fraction]] = {}
        self._lots: dict[tuple[int | None, int | None], Fraction] = defaultdict(Fraction)
        self.steps = 0

    def observe(self, event: Event, step: Step) -> None:
        """Take the facts of one step in, and prove it."""
        self.steps += 1
        if isinstance(event, ShareSplit) and event.instrument_id in self._marks:
            scaled = self._marks[event.instrument_id] * event.old_shares / event.new_shares
            self._marks[event.instrument_id] = scaled.quantize(_UNIT)
        for fact in step.facts:
            self._take(fact)
        self._prove_step()

    def settled_cash(self, ts_ns: int) -> Fraction:
        """Return what has arrived at a moment: what was paid at once, what was received from its settlement on."""
        return self.cash - sum((amount for arrives, amount in self._arrivals if arrives > ts_ns), Fraction(0))

    def compare(self, ledger: Ledger, ts_ns: int) -> None:
        """Compare with a ledger that has taken the same steps, at a moment, ns UTC."""
        _same("cash", ledger.cash, self.cash)
        _same("settled cash", ledger.settled_cash(ts_ns), self.settled_cash(ts_ns))
        for key, (quantity, cost, _) in self.positions.items():
            _same(f"the position of {key}", ledger.position(*key), quantity)
            lots = ledger.lots(*key)
            _same(f"the lots of {key}", sum((lot.quantity for lot in lots), Decimal(0)), quantity)
            _same(f"the cost of the lots of {key}", sum((lot.cost for lot in lots), Decimal(0)), cost)
            _same(f"the suspense of {key}", ledger.oversold(*key), self.suspended[key])
            assert all(lot.quantity > 0 for lot in lots), f"A lot of {key} is not above zero: {lots}."
        _same("equity", ledger.equity, self._equity())

    # --- facts ---------------------------------------------------------------------------------------------

    def _take(self, fact: Fact) -> None:
        match fact:
            case Bar() if fact.revision == 0:
                self._marks[fact.instrument_id] = exact(fact.close)
            case TradeBooked():
                self._trade(fact)
            case CashMoved():
                self._movement(fact)
            case PositionAdjusted():
                self._adjustment(fact)
            case LotClosed():
                self._closure(fact)
            case FeeCharged():
                fee, charged = self._fees[fact.trade_id]
                self._fees[fact.trade_id] = (fee, charged + Fraction(fact.amount))
            case SuspenseBooked() if fact.kind is SuspenseKind.OVERSOLD:
                assert fact.strategy_id is not None
                assert fact.instrument_id is not None
                self.suspended[fact.strategy_id, fact.instrument_id] += Fraction(fact.quantity)
                self._enter("suspense", -Fraction(fact.value))
            case PositionChanged():
                self._stated[fact.strategy_id, fact.instrument_id] = fact
            case EquityMarked():
                _same("the cash of the equity", fact.cash, self.cash)
                _same("the equity", fact.equity, self._equity())
            case _:
                pass

    def _trade(self, fact: TradeBooked) -> None:
        sign = -1 if fact.is_bust else 1
        value, fee = sign * Fraction(notional(fact.price, fact.quantity)), sign * Fraction(cash(fact.fee))
        profit = Fraction(fact.realized_pnl)
        self._marks.setdefault(fact.instrument_id, fact.price)
        self._fees[fact.trade_id] = (fee, Fraction(0))
        position = self.positions[fact.strategy_id, fact.instrument_id]
        bought = 1 if fact.side is Side.BUY else -1
        self.cash += -bought * value - fee
        position[0] += bought * sign * Fraction(fact.quantity)
        position[1] += bought * value + profit
        position[2] += profit
        if fact.side is Side.SELL:
            assert fact.settlement_ts_ns is not None, f"Trade {fact.trade_id} has no settlement."
            self._arrivals.append((fact.settlement_ts_ns, value - fee))
        elif sign > 0:
            self._lots[fact.trade_id, None] += Fraction(fact.quantity)
        self._enter("cash", -bought * value - fee)
        self._enter("fees", fee)
        self._enter("realized gain", -profit)
        if fact.side is Side.BUY:
            self._enter("securities", value)

    def _movement(self, fact: CashMoved) -> None:
        amount = Fraction(cash(fact.amount))
        self.cash += amount
        if amount > 0:
            self._arrivals.append((fact.settlement_ts_ns, amount))
        self._enter("cash", amount)
        if fact.kind != "cash_in_lieu":
            self._enter(_INCOME.get(fact.kind, "capital"), -amount)

    def _adjustment(self, fact: PositionAdjusted) -> None:
        quantity, cost, profit = Fraction(fact.quantity), Fraction(fact.cost), Fraction(fact.realized_pnl)
        key = (fact.strategy_id, fact.instrument_id)
        if fact.kind is AdjustmentKind.SPLIT:
            self._split(fact, self.positions[key][0] - self.suspended[key], quantity)
        position = self.positions[key]
        self.positions[key] = [position[0] + quantity, position[1] + cost, position[2] + profit]
        self._enter("realized gain", -profit)
        if fact.kind not in _BY_HAND and fact.kind is not AdjustmentKind.BUST:
            return
        if cost > 0 and fact.kind in _BY_HAND:
            self._enter("securities", cost)
            self._lots[None, fact.adjustment_id] += quantity
            self._marks.setdefault(fact.instrument_id, (fact.cost / fact.quantity).quantize(_UNIT))
        self._enter("capital", -cost)

    def _split(self, fact: PositionAdjusted, before: Fraction, change: Fraction) -> None:
        new, _, old = fact.ratio.partition(":")
        off = before * int(new) / int(old) - before - change
        assert abs(off) <= Fraction(1, 10**8), f"The split {fact.ratio} is off by {float(off)}."
        # A lot is scaled on the running sum, so that its own size is known to a unit only: the sum is what is compared.
        self._lots.clear()

    def _closure(self, fact: LotClosed) -> None:
        sign = -1 if fact.is_reversal else 1
        assert fact.quantity > 0, f"A closure of {fact.quantity}."
        assert fact.realized_pnl == fact.proceeds - fact.cost, f"A closure realizes {fact.realized_pnl}."
        self._closed[fact.strategy_id, fact.instrument_id] += sign * Fraction(fact.realized_pnl)
        self._enter("securities", -sign * Fraction(fact.cost))
        opening = (fact.opening_trade_id, fact.opening_adjustment_id)
        if opening in self._lots:
            self._lots[opening] -= sign * Fraction(fact.quantity)

    def _enter(self, account: str, amount: Fraction) -> None:
        self.balances[account] += amount

    # --- proofs --------------------------------------------------------------------------------------------

    def _prove_step(self) -> None:
        _same("the sum of debits and credits", Decimal(0), sum(self.balances.values(), Fraction(0)))
        _same("cash by double entry", _decimal(self.balances["cash"]), self.cash)
        for key, stated in self._stated.items():
            quantity, cost, profit = self.positions[key]
            _same(f"the quantity of {key}", stated.quantity, quantity)
            _same(f"the cost of {key}", stated.cost, cost)
            _same(f"the profit of {key}", stated.realized_pnl, profit)
            _same(f"the profit of the lots of {key}", stated.realized_pnl, self._closed[key])
            assert stated.quantity >= 0, f"The position of {key} is below zero."
        at_cost = sum((position[1] for position in self.positions.values()), Fraction(0))
        _same("securities at cost", _decimal(self.balances["securities"]), at_cost)
        for trade_id, (fee, charged) in self._fees.items():
            assert not charged or fee == charged, f"The fees of trade {trade_id} add up to {charged}, not {fee}."
        for lot, left in self._lots.items():
            assert left >= 0, f"More of the lot {lot} was closed than was bought."
        self._stated.clear()
        self._fees.clear()

    def _equity(self) -> Fraction:
        worth = self.cash
        for key, (quantity, _, _) in self.positions.items():
            net = _decimal(quantity - self.suspended[key])
            if net:
                worth += Fraction(notional(self._marks[key[1]], net))
        return worth


def prove_books(steps: Iterable[tuple[Event, Step]], ledger: Ledger | None = None) -> BooksProof:
    """Prove the books of steps, each after the other, and of the ledger that took them, at the last one's moment.

    Raises AssertionError with one sentence for the first figure that does not follow.
    """
    proof = BooksProof()
    now_ts_ns = 0
    for event, step in steps:
        proof.observe(event, step)
        now_ts_ns = event.received_ts_ns
    if ledger is not None:
        proof.compare(ledger, now_ts_ns)
    return proof


def _same(what: str, stated: Decimal, expected: Fraction) -> None:
    assert Fraction(stated) == expected, f"{what[0].upper()}{what[1:]} is {stated}, the facts make {float(expected)}."


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)
