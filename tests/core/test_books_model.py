"""A life of trades, busts, splits, dividends and corrections, proved after every step by a second bookkeeper."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.calendars import load_sessions
from engine.core.ledger import Booking, Ledger, record, split
from engine.core.messages import (
    AccountFunded,
    AdjustmentKind,
    BookEvent,
    CashCorrected,
    CashMovementKind,
    DividendDeclared,
    Draft,
    PositionCorrected,
    ShareSplit,
    Step,
    TimeAdvanced,
)
from engine.core.values import (
    DAY_NS,
    SECOND_NS,
    AccountKind,
    AccountTerms,
    ExecutionId,
    InstrumentId,
    Leg,
    LotMethod,
    Sessions,
    Side,
    StrategyId,
    instrument_from_symbol,
)
from engine.testing.books import BooksProof

SPY, BTC = InstrumentId(1), InstrumentId(2)
INSTRUMENTS = {SPY: instrument_from_symbol("SPY", 1), BTC: instrument_from_symbol("BTC-USD", 2)}
SESSIONS: dict[InstrumentId, Sessions] = {SPY: load_sessions("XNYS"), BTC: load_sessions("24/7")}
OWNER = StrategyId("owner")
START_NS = 1_716_386_400 * SECOND_NS  # 2024-05-22, shortly before settlement became faster

AMOUNTS = st.integers(1, 10**9).map(lambda units: Decimal(units).scaleb(-2))
PRICES = st.integers(1, 10**8).map(lambda units: Decimal(units).scaleb(-4))


class Books(RuleBasedStateMachine):
    """Do what may happen to one account; the proof adds the facts up for itself."""

    @initialize(
        method=st.sampled_from([LotMethod.FIFO, LotMethod.LIFO, LotMethod.HIFO]), kind=st.sampled_from(AccountKind)
    )
    def open(self, method: LotMethod, kind: AccountKind) -> None:
        self.ledger = Ledger(INSTRUMENTS, sessions=SESSIONS, terms=AccountTerms(kind=kind, lots=method))
        self.proof = BooksProof()
        self.now_ts_ns = START_NS
        self.bookings: list[Booking] = []
        self.made = 0
        self.tell(AccountFunded(**self.times(), amount=Decimal(1_000_000), source="test"))

    def times(self) -> dict[str, Any]:
        return {"venue_ts_ns": self.now_ts_ns, "received_ts_ns": self.now_ts_ns}

    def prove(self, draft: Draft, event: BookEvent | None = None) -> None:
        self.proof.observe(event or TimeAdvanced(**self.times()), Step(tuple(draft.facts), ()))

    def tell(self, event: BookEvent) -> None:
        draft = Draft(self.now_ts_ns)
        if isinstance(event, ShareSplit):
            split(self.ledger, event, draft)
        else:
            record(self.ledger, event, draft)
        self.prove(draft, event)

    def book(self, instrument_id: InstrumentId, side: Side, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        self.made += 1
        booking = Booking(
            order_id=self.made,
            bracket_id=1,
            execution_id=ExecutionId(f"x-{self.made}"),
            strategy_id=OWNER,
            instrument_id=instrument_id,
            leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
            side=side,
            price=price,
            quantity=quantity,
            fee=fee,
            is_bust=False,
            venue_ts_ns=self.now_ts_ns,
            fees=(("sec", fee / 2), ("taf", fee / 2)) if fee else (),
        )
        self.bookings.append(booking)
        draft = Draft(self.now_ts_ns)
        self.ledger.book(booking, draft)
        self.prove(draft)

    @rule(shares=st.integers(1, 1000), price=PRICES, cents=st.integers(0, 500))
    def buy_shares(self, shares: int, price: Decimal, cents: int) -> None:
        self.book(SPY, Side.BUY, Decimal(shares), price, Decimal(cents) / 100)

    @rule(units=st.integers(1, 10**12), price=PRICES)
    def buy_coins(self, units: int, price: Decimal) -> None:
        self.book(BTC, Side.BUY, Decimal(units).scaleb(-8), price, Decimal(0))

    @rule(part=st.integers(1, 64), price=PRICES, cents=st.integers(0, 500))
    def sell_shares(self, part: int, price: Decimal, cents: int) -> None:
        quantity = Decimal(int(self.ledger.position(OWNER, SPY) * part / 64))
        if quantity:
            self.book(SPY, Side.SELL, quantity, price, Decimal(cents) / 100)

    @rule(part=st.integers(1, 64), price=PRICES)
    def sell_coins(self, part: int, price: Decimal) -> None:
        quantity = INSTRUMENTS[BTC].quantity(self.ledger.position(OWNER, BTC) * part / 64)
        if quantity:
            self.book(BTC, Side.SELL, quantity, price, Decimal(0))

    @rule(beyond=st.integers(1, 50), price=PRICES)
    def sell_too_much(self, beyond: int, price: Decimal) -> None:
        self.book(SPY, Side.SELL, self.ledger.position(OWNER, SPY) + beyond, price, Decimal(0))

    @precondition(lambda self: self.bookings)
    @rule(index=st.integers(0, 1000))
    def bust(self, index: int) -> None:
        booking = self.bookings.pop(index % len(self.bookings))
        draft = Draft(self.now_ts_ns)
        self.ledger.book(replace(booking, is_bust=True), draft)
        self.prove(draft)

    @rule(ratio=st.sampled_from([(2, 1), (3, 1), (4, 1), (20, 1), (3, 2), (1, 3), (1, 10), (7, 5)]))
    def split_shares(self, ratio: tuple[int, int]) -> None:
        new, old = ratio
        self.tell(ShareSplit(**self.times(), instrument_id=SPY, new_shares=new, old_shares=old, source="test"))

    @rule(cents=st.integers(1, 500), days=st.integers(0, 40))
    def pay_dividend(self, cents: int, days: int) -> None:
        pays = self.now_ts_ns + days * DAY_NS
        each = Decimal(cents) / 1000
        self.tell(DividendDeclared(**self.times(), instrument_id=SPY, per_share=each, pays_ts_ns=pays, source="test"))

    @rule(
        amount=AMOUNTS, sign=st.sampled_from([1, -1]), kind=st.sampled_from(["interest", "fee_correction", "dividend"])
    )
    def correct_cash(self, amount: Decimal, sign: int, kind: str) -> None:
        self.tell(
            CashCorrected(
                **self.times(),
                amount=sign * amount,
                kind=CashMovementKind(kind),
                source="test",
                settlement_ts_ns=self.now_ts_ns + DAY_NS,
            )
        )

    @rule(shares=st.integers(1, 500), cost=AMOUNTS, kind=st.sampled_from(["opening", "adoption", "correction"]))
    def add_position(self, shares: int, cost: Decimal, kind: str) -> None:
        self.tell(
            PositionCorrected(
                **self.times(),
                strategy_id=OWNER,
                instrument_id=SPY,
                kind=AdjustmentKind(kind),
                quantity=Decimal(shares),
                cost=cost,
                source="test",
            )
        )

    @rule(part=st.integers(1, 8))
    def remove_position(self, part: int) -> None:
        quantity = Decimal(int(self.ledger.position(OWNER, SPY) * part / 8))
        if quantity:
            self.tell(
                PositionCorrected(
                    **self.times(),
                    strategy_id=OWNER,
                    instrument_id=SPY,
                    kind=AdjustmentKind.CORRECTION,
                    quantity=-quantity,
                    cost=Decimal(0),
                    source="test",
                )
            )

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.now_ts_ns += hours * 3_600 * SECOND_NS

    @invariant()
    def agrees(self) -> None:
        """I-11: what the ledger says is what the facts add up to: in all, by lot, settled, and in worth."""
        if not hasattr(self, "ledger"):
            return
        self.proof.compare(self.ledger, self.now_ts_ns)


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=int(os.environ.get("RATCHET_EXAMPLES", "60")), stateful_step_count=30, deadline=None
)
