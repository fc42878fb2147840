"""The books against a brute-force model: every share is one entry in a list, and every sum is a fraction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendars import load_sessions
from engine.core.ledger import Booking, Ledger
from engine.core.messages import (
    AccountFunded,
    CashMoved,
    Draft,
    EquityMarked,
    PositionChanged,
    SuspenseBooked,
    SuspenseKind,
    TradeBooked,
)
from engine.core.values import (
    SECOND_NS,
    ExecutionId,
    InstrumentId,
    Leg,
    Sessions,
    Side,
    StrategyId,
    instrument_from_symbol,
)

SPY, BTC = InstrumentId(1), InstrumentId(2)
INSTRUMENTS = {SPY: instrument_from_symbol("SPY", 1), BTC: instrument_from_symbol("BTC-USD", 2)}
OWNER = StrategyId("owner")
SESSIONS: dict[InstrumentId, Sessions] = {SPY: load_sessions("XNYS"), BTC: load_sessions("24/7")}
#: Moments of the bookings: seconds of 2024-06-03, from 14:00 UTC on.
MORNING_NS = 1_717_423_200 * SECOND_NS
UNIT = Decimal("1E-8")

#: Steps of a life: buy so many at a price, or sell a part (in 256ths) of what is held; prices in cents.
STEPS = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 256), st.integers(1, 100_000), st.integers(0, 500)),
    max_size=25,
)


def booking(number: int, side: Side, quantity: Decimal, price: Decimal, fee: Decimal = Decimal(0)) -> Booking:
    return Booking(
        order_id=number,
        bracket_id=1,
        execution_id=ExecutionId(f"x-{number}"),
        strategy_id=OWNER,
        instrument_id=SPY,
        leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
        side=side,
        price=price,
        quantity=quantity,
        fee=fee,
        is_bust=False,
        venue_ts_ns=MORNING_NS + number * SECOND_NS,
    )


def life(steps: Sequence[tuple[str, int, int, int]]) -> list[Booking]:
    """Return bookings of whole shares that never sell more than is held."""
    held, bookings = 0, []
    for number, (kind, size, cents, fee) in enumerate(steps, start=1):
        quantity = size if kind == "buy" else held * size // 256
        if not quantity:
            continue
        held += quantity if kind == "buy" else -quantity
        side = Side.BUY if kind == "buy" else Side.SELL
        bookings.append(booking(number, side, Decimal(quantity), Decimal(cents) / 100, Decimal(fee) / 100))
    return bookings


@dataclass
class Model:
    """One list entry per share, oldest first."""

    shares: list[Fraction]
    realized: Fraction = Fraction(0)
    cash: Fraction = Fraction(0)

    def book(self, each: Booking) -> None:
        price = Fraction(each.price)
        self.cash -= Fraction(each.fee)
        for _ in range(int(each.quantity)):
            if each.side is Side.BUY:
                self.shares.append(price)
                self.cash -= price
            else:
                self.realized += price - self.shares.pop(0)
                self.cash += price


def model_of(bookings: Sequence[Booking]) -> Model:
    model = Model([])
    for each in bookings:
        model.book(each)
    return model


def funded(amount: str = "1000000") -> tuple[Ledger, Draft]:
    ledger, draft = Ledger(INSTRUMENTS, sessions=SESSIONS), Draft(1)
    ledger.fund(AccountFunded(venue_ts_ns=1, received_ts_ns=1, amount=Decimal(amount), source="test"), draft)
    return ledger, draft


def last_position(draft: Draft) -> PositionChanged:
    return [fact for fact in draft.facts if isinstance(fact, PositionChanged)][-1]


@given(STEPS)
def test_realised_profit_is_first_in_first_out(steps: list[tuple[str, int, int, int]]) -> None:
    """After every execution: position, cost, profit and cash of the shares one by one."""
    ledger, draft = funded()
    model = Model([], cash=Fraction(1_000_000))
    for each in life(steps):
        left = ledger.book(each, draft).quantity
        model.book(each)
        position = last_position(draft)
        assert left == position.quantity == len(model.shares)
        assert Fraction(position.cost) == sum(model.shares, Fraction(0))
        assert Fraction(position.realized_pnl) == model.realized
        assert Fraction(ledger.cash) == model.cash


@given(STEPS)
def test_the_profits_of_the_trades_add_up(steps: list[tuple[str, int, int, int]]) -> None:
    ledger, draft = funded()
    bookings = life(steps)
    for each in bookings:
        ledger.book(each, draft)
    trades = [fact for fact in draft.facts if isinstance(fact, TradeBooked)]
    assert [trade.trade_id for trade in trades] == list(range(1, len(bookings) + 1))
    assert all(not trade.realized_pnl for trade in trades if trade.side is Side.BUY)
    assert sum(trade.realized_pnl for trade in trades) == Decimal(str(float(model_of(bookings).realized)))


@given(steps=STEPS, choices=st.lists(st.integers(0, 1000), max_size=5))
def test_a_bust_leaves_the_books_as_if_it_had_never_been(
    steps: list[tuple[str, int, int, int]], choices: list[int]
) -> None:
    """The books after busts equal the books of the executions that still count, to the last decimal."""
    bookings = life(steps)
    ledger, draft = funded()
    for each in bookings:
        ledger.book(each, draft)
    counting = list(bookings)
    for choice in choices:
        if counting:
            taken = counting.pop(choice % len(counting))
            ledger.book(replace(taken, is_bust=True), draft)
    fresh, fresh_draft = funded()
    for each in counting:
        fresh.book(each, fresh_draft)
    assert ledger.cash == fresh.cash
    assert ledger.position(OWNER, SPY) == fresh.position(OWNER, SPY)
    if counting:
        ours, theirs = last_position(draft), last_position(fresh_draft)
        assert (ours.quantity, ours.cost, ours.realized_pnl) == (theirs.quantity, theirs.cost, theirs.realized_pnl)
    elif bookings:
        assert last_position(draft).cost == last_position(draft).realized_pnl == 0


@given(STEPS)
def test_average_cost_is_cost_over_quantity(steps: list[tuple[str, int, int, int]]) -> None:
    """A sale takes the oldest lots, so the average of what is left is that of the newest shares."""
    ledger, draft = funded()
    bookings = life(steps)
    for each in bookings:
        ledger.book(each, draft)
    model = model_of(bookings)
    if model.shares:
        position = last_position(draft)
        average = Fraction(position.cost) / Fraction(position.quantity)
        assert average == sum(model.shares) / len(model.shares)
        assert min(model.shares) <= average <= max(model.shares)


@given(steps=STEPS, closes=st.lists(st.integers(1, 200_000), max_size=25))
def test_equity_is_deposits_plus_profits_less_fees(steps: list[tuple[str, int, int, int]], closes: list[int]) -> None:
    """Identity at every mark: equity = cash + position x close = deposits + realised + unrealised - fees."""
    ledger, draft = funded()
    fees = Fraction(0)
    for number, each in enumerate(life(steps)):
        ledger.book(each, draft)
        fees += Fraction(each.fee)
        close = Decimal(closes[number % len(closes)]) / 100 if closes else each.price
        ledger.mark(SPY, float(close), draft)
        position = last_position(draft)
        value = Fraction(close) * Fraction(position.quantity)
        assert Fraction(ledger.equity) == Fraction(ledger.cash) + value
        unrealized = value - Fraction(position.cost)
        assert Fraction(ledger.equity) == 1_000_000 + Fraction(position.realized_pnl) + unrealized - fees


@given(
    coins=st.lists(st.integers(1, 10**12), min_size=1, max_size=12),
    prices=st.lists(st.integers(1, 10**14), min_size=12, max_size=12),
)
def test_crypto_is_exact_at_eight_decimals(coins: list[int], prices: list[int]) -> None:
    """Every product is rounded to 10^-8 once, half to even; sold in the parts it was bought in, nothing is left."""
    ledger, draft = funded("100000000")
    parts = [(Decimal(units) * UNIT, Decimal(price) * UNIT) for units, price in zip(coins, prices, strict=False)]
    expected = Decimal(100_000_000)
    for number, (quantity, price) in enumerate(parts, start=1):
        ledger.book(replace(booking(number, Side.BUY, quantity, price), instrument_id=BTC), draft)
        expected -= _rounded(quantity, price)
        assert ledger.cash == expected
    assert ledger.position(OWNER, BTC) == sum(quantity for quantity, _ in parts)
    for number, (quantity, price) in enumerate(parts, start=100):
        ledger.book(replace(booking(number, Side.SELL, quantity, price), instrument_id=BTC), draft)
    assert ledger.position(OWNER, BTC) == 0
    assert ledger.cash == ledger.equity == Decimal(100_000_000)
    assert last_position(draft).realized_pnl == last_position(draft).cost == 0


def _rounded(quantity: Decimal, price: Decimal) -> Decimal:
    scaled = Fraction(quantity) * Fraction(price) * 10**8
    return Decimal(round(scaled)).scaleb(-8)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**13)), min_size=1, max_size=15))
def test_lots_sold_in_other_parts_than_bought_drift_by_a_unit_per_part_at_most(sales: list[tuple[int, int]]) -> None:
    """Cash is exact; profit, which prices parts of a lot, may differ from it by 10^-8 for each part of a lot sold."""
    ledger, draft = funded("100000000")
    total = Decimal(sum(units for units, _ in sales)) * UNIT
    ledger.book(replace(booking(1, Side.BUY, total, Decimal("67123.45678901")), instrument_id=BTC), draft)
    for number, (units, price) in enumerate(sales, start=2):
        sale = booking(number, Side.SELL, Decimal(units) * UNIT, Decimal(price) * UNIT)
        ledger.book(replace(sale, instrument_id=BTC), draft)
    assert ledger.position(OWNER, BTC) == 0
    assert abs(ledger.cash - Decimal(100_000_000) - last_position(draft).realized_pnl) <= UNIT * len(sales)


def test_one_unit_of_crypto_is_not_lost() -> None:
    ledger, draft = funded()
    for number in range(1, 4):
        ledger.book(replace(booking(number, Side.BUY, UNIT, Decimal("67000.5")), instrument_id=BTC), draft)
    assert ledger.position(OWNER, BTC) == Decimal("0.00000003")
    assert ledger.cash == Decimal(1_000_000) - 3 * Decimal("0.00067000")


def test_a_sale_beyond_the_lots_goes_to_the_suspense() -> None:
    """No position is ever below zero: what the venue sold too much is told apart, and owed in the equity."""
    ledger, draft = funded()
    ledger.book(booking(1, Side.BUY, Decimal(10), Decimal(100)), draft)
    assert ledger.book(booking(2, Side.SELL, Decimal(15), Decimal(110)), draft) == (Decimal(0), Decimal(5))
    (suspended,) = (fact for fact in draft.facts if isinstance(fact, SuspenseBooked))
    assert (suspended.kind, suspended.quantity, suspended.value) == (SuspenseKind.OVERSOLD, Decimal(5), Decimal(550))
    assert last_position(draft).realized_pnl == Decimal(100)
    ledger.mark(SPY, 120.0, draft)
    assert ledger.equity == Decimal(1_000_000) - 1_000 + 1_650 - 600


def test_strategies_keep_separate_positions() -> None:
    ledger, draft = funded()
    ledger.book(booking(1, Side.BUY, Decimal(10), Decimal(100)), draft)
    ledger.book(replace(booking(2, Side.BUY, Decimal(5), Decimal(101)), strategy_id=StrategyId("other")), draft)
    assert ledger.position(OWNER, SPY) == 10
    assert ledger.position(StrategyId("other"), SPY) == 5
    assert ledger.exposure(SPY) == ledger.exposure() == Decimal(1500)


def test_an_instrument_is_worth_its_last_close_and_before_one_its_first_fill() -> None:
    ledger, draft = funded()
    ledger.book(booking(1, Side.BUY, Decimal(10), Decimal("100.5")), draft)
    assert ledger.exposure(SPY) == Decimal(1005)
    ledger.mark(SPY, 99.25, draft)
    assert (ledger.exposure(SPY), ledger.exposure(BTC)) == (Decimal("992.5"), Decimal(0))


def test_equity_is_told_once_per_change() -> None:
    ledger, draft = funded("500")
    for close in (100.0, 100.0, 101.0):
        ledger.mark(SPY, close, draft)
    assert [fact.equity for fact in draft.facts if isinstance(fact, EquityMarked)] == [Decimal(500)]


@pytest.mark.parametrize(("amount", "kind"), [("250.5", "deposit"), ("-100", "withdrawal")])
def test_money_that_moves_is_a_cash_movement(amount: str, kind: str) -> None:
    ledger, draft = funded()
    ledger.fund(AccountFunded(venue_ts_ns=7, received_ts_ns=8, amount=Decimal(amount), source="bank"), draft)
    moved = draft.facts[-1]
    assert isinstance(moved, CashMoved)
    assert (moved.movement_id, moved.kind, moved.amount, moved.settlement_ts_ns) == (2, kind, Decimal(amount), 7)
    assert ledger.cash == ledger.equity == Decimal(1_000_000) + Decimal(amount)
