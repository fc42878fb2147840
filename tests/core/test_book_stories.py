"""The books told word for word: every fact of a ledger and, after each step, everything that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.calendars import load_sessions
from engine.core.errors import BadInput, Bug
from engine.core.ledger import Booking, Ledger, record, split
from engine.core.messages import (
    AccountFunded,
    AdjustmentKind,
    CashCorrected,
    CashMovementKind,
    DividendDeclared,
    Draft,
    LotsChosen,
    OrderFilled,
    PositionCorrected,
    ShareSplit,
    Step,
    SymbolRenamed,
)
from engine.core.values import (
    DAY_NS,
    AccountKind,
    AccountTerms,
    ClientOrderId,
    ExecutionId,
    InstrumentId,
    Leg,
    LotMethod,
    Side,
    StrategyId,
    instrument_from_symbol,
)
from engine.testing.scenario import OPEN_TS_NS
from engine.testing.told import compare_told, told
from engine.testing.typed import require_typed

FOLDER = Path(__file__).with_name("stories") / "books"
ONE, OTHER = StrategyId("one"), StrategyId("other")
SPY, COIN = InstrumentId(1), InstrumentId(2)
INSTRUMENTS = {SPY: instrument_from_symbol("SPY", 1), COIN: instrument_from_symbol("BTC-USD", 2)}
KEYS = [(strategy, instrument) for strategy in (ONE, OTHER) for instrument in INSTRUMENTS]


class Books:
    """Drive a ledger and tell it."""

    def __init__(self, **terms: Any) -> None:
        sessions = {SPY: load_sessions("XNYS"), COIN: load_sessions("24/7")}
        self.ledger = Ledger(INSTRUMENTS, sessions=sessions, terms=AccountTerms(**terms) if terms else None)
        self.now_ts_ns = OPEN_TS_NS
        self.lines: list[str] = []
        self.trades = 0
        self.cash("10000.50")

    def pass_days(self, days: float) -> None:
        self.now_ts_ns += int(days * DAY_NS)
        self._after("time passes", Draft(self.now_ts_ns))

    def trade(
        self,
        side: Side,
        quantity: str,
        price: str,
        *,
        of: tuple[StrategyId, InstrumentId] = (ONE, SPY),
        bust: int = 0,
        fees: tuple[tuple[str, Decimal], ...] = (),
    ) -> None:
        self.trades += not bust
        draft = Draft(self.now_ts_ns + 1)
        booked = self.ledger.book(
            Booking(
                order_id=10 + self.trades,
                bracket_id=20 + self.trades,
                execution_id=ExecutionId(f"x-{bust or self.trades}"),
                strategy_id=of[0],
                instrument_id=of[1],
                leg=Leg.ENTRY if side is Side.BUY else Leg.EXIT,
                side=side,
                price=Decimal(price),
                quantity=Decimal(quantity),
                fee=sum((amount for _, amount in fees), Decimal(0)),
                is_bust=bool(bust),
                venue_ts_ns=self.now_ts_ns,
                fees=fees,
                client_order_id=ClientOrderId(f"order-{self.trades}"),
            ),
            draft,
        )
        self._after(f"{'bust of' if bust else ''} {side} {quantity} at {price}: {tuple(map(str, booked))}", draft)

    def buy(self, quantity: str, price: str, **more: Any) -> None:
        self.trade(Side.BUY, quantity, price, **more)

    def sell(self, quantity: str, price: str, **more: Any) -> None:
        self.trade(Side.SELL, quantity, price, **more)

    def cash(self, amount: str) -> None:
        self.record(AccountFunded, amount=Decimal(amount), source="owner")

    def record(self, event_type: Callable[..., Any], **values: Any) -> None:
        event = event_type(venue_ts_ns=self.now_ts_ns, received_ts_ns=self.now_ts_ns + 1, **values)
        draft = Draft(self.now_ts_ns + 1)
        try:
            split(self.ledger, event, draft) if isinstance(event, ShareSplit) else record(self.ledger, event, draft)
        except (BadInput, Bug) as error:
            self._after(f"{told(event)}: {type(error).__name__}: {error}", draft)
        else:
            self._after(f"{told(event)}, kept {draft.is_kept!r}", draft)

    def correct(self, kind: AdjustmentKind, quantity: str, cost: str, **more: Any) -> None:
        key = more.get("of", (ONE, SPY))
        self.record(
            PositionCorrected,
            strategy_id=key[0],
            instrument_id=key[1],
            kind=kind,
            quantity=Decimal(quantity),
            cost=Decimal(cost),
            source="the broker's letter",
        )

    def split(self, new: int, old: int, price: str | None = None) -> None:
        paid = None if price is None else Decimal(price)
        self.record(
            ShareSplit, instrument_id=SPY, new_shares=new, old_shares=old, source="exchange", cash_in_lieu_price=paid
        )

    def mark(self, close: float, instrument: InstrumentId = SPY) -> None:
        draft = Draft(self.now_ts_ns + 2)
        self.ledger.mark(instrument, close, draft)
        self._after(f"a close of {close}", draft)

    def _after(self, what: str, draft: Draft) -> None:
        step = Step(facts=tuple(draft.facts), commands=())
        require_typed(step)
        self.lines += [f"* {what}", *(f"    {told(fact)}" for fact in step.facts), f"    = {self._figures()}"]

    def _figures(self) -> str:
        ledger, now = self.ledger, self.now_ts_ns
        figures = {
            "cash": ledger.cash,
            "settled": ledger.settled_cash(now),
            "spendable": ledger.spendable_cash(now),
            "unsettled": ledger.unsettled(now),
            "equity": ledger.equity,
            "exposure": (ledger.exposure(), ledger.exposure(SPY), ledger.exposure(COIN)),
            "violations": (ledger.good_faith_violations(), ledger.good_faith_violations(now)),
            "prices": (ledger.last_price(SPY), ledger.last_price(COIN)),
        }
        for key in KEYS:
            if lots := ledger.lots(*key):
                figures[f"{key[0]}/{key[1]}"] = (
                    *(f"{lot.origin}:{lot.quantity}@{lot.cost}#{lot.paid_ts_ns - OPEN_TS_NS}" for lot in lots),
                    ledger.position(*key),
                    ledger.unpaid(*key, ledger.position(*key), now),
                )
            if ledger.oversold(*key):
                figures[f"{key[0]}/{key[1]} owes"] = ledger.oversold(*key)
        return " ".join(f"{name}={_shown(value)}" for name, value in figures.items())

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def _shown(value: object) -> str:
    return "/".join(map(_shown, value)) if isinstance(value, tuple) else str(value)


STORIES: dict[str, Callable[[], Books]] = {}


def story(tell: Callable[[], Books]) -> Callable[[], Books]:
    STORIES[tell.__name__] = tell
    return tell


@story
def purchases_and_sales_with_fees() -> Books:
    books = Books()
    fees = (("sec", Decimal("0.02")), ("taf", Decimal("0.01")))
    books.buy("10", "100.25", fees=fees)
    books.mark(101.5)
    books.mark(101.5)
    books.buy("5", "102.00")
    books.buy("2", "60000.12", of=(OTHER, COIN))
    books.buy("0.5", "60100", of=(OTHER, COIN))
    books.pass_days(1.3)
    books.sell("12", "99.75", fees=fees)
    books.sell("0.75", "61000", of=(OTHER, COIN))
    books.pass_days(5)
    books.cash("-500.25")
    books.cash("0")
    books.trade(Side.SELL, "12", "99.75", bust=5, fees=fees)
    books.trade(Side.BUY, "10", "100.25", bust=1, fees=fees)
    books.sell("5", "103.5")
    books.mark(99.0)
    books.mark(58000.5, COIN)
    return books


@story
def the_lots_of_each_method() -> Books:
    told_last = Books()
    lines: list[str] = []
    for method in LotMethod:
        books = told_last = Books(lots=method)
        for price in ("100", "102.5", "99.1", "102.5"):
            books.buy("3", price)
            books.pass_days(1)
        books.record(LotsChosen, strategy_id=ONE, instrument_id=SPY, lots=("T3", "T2"), requested_by="owner")
        books.record(LotsChosen, strategy_id=ONE, instrument_id=SPY, lots=("T9",), requested_by="owner")
        books.record(LotsChosen, strategy_id=OTHER, instrument_id=SPY, lots=("T1",), requested_by="owner")
        books.sell("4", "101")
        books.sell("7", "104.33")
        books.trade(Side.SELL, "4", "101", bust=5)
        lines += [f"# {method}", *books.lines]
    told_last.lines = lines
    return told_last


@story
def splits_either_way() -> Books:
    books = Books()
    books.split(2, 1)
    books.buy("7", "100.01")
    books.buy("4", "101.03")
    books.buy("3", "20", of=(OTHER, SPY))
    books.mark(100.5)
    books.split(4, 1)
    books.split(1, 3, "33.55")
    books.split(1, 3)
    books.split(0, 1)
    books.split(1, 0)
    books.split(3, 3)
    books.split(-1, 2)
    books.sell("1", "40")
    books.trade(Side.BUY, "7", "100.01", bust=1)
    books.split(1, 50)
    books.mark(120.0)
    return books


@story
def a_split_without_a_price() -> Books:
    books = Books()
    books.buy("0.00000007", "60000", of=(ONE, COIN))
    books.buy("0.00000002", "60000", of=(ONE, COIN))
    books.buy("0.00000001", "61000", of=(ONE, COIN))
    for new, old in ((3, 2), (1, 4), (1, 9), (1, 5)):
        books.record(ShareSplit, instrument_id=COIN, new_shares=new, old_shares=old, source="fork")
    books.sell("0.00000001", "90000", of=(ONE, COIN))
    return books


@story
def dividends() -> Books:
    books = Books()
    pays = {"instrument_id": SPY, "source": "letter"}
    books.record(DividendDeclared, per_share=Decimal("0.5"), pays_ts_ns=books.now_ts_ns + DAY_NS, **pays)
    books.sell("1", "99", of=(OTHER, SPY))
    books.buy("11", "100")
    books.record(DividendDeclared, per_share=Decimal("0.3333"), pays_ts_ns=books.now_ts_ns + 3 * DAY_NS, **pays)
    books.record(DividendDeclared, per_share=Decimal("0.0005"), pays_ts_ns=books.now_ts_ns, **pays)
    books.record(DividendDeclared, per_share=Decimal(0), pays_ts_ns=books.now_ts_ns, **pays)
    books.record(DividendDeclared, per_share=Decimal("NaN"), pays_ts_ns=books.now_ts_ns, **pays)
    books.record(DividendDeclared, per_share=Decimal(1), pays_ts_ns=books.now_ts_ns - 1, **pays)
    books.pass_days(3)
    books.pass_days(0.1)
    return books


@story
def corrections_by_hand() -> Books:
    books = Books()
    books.correct(AdjustmentKind.OPENING, "3", "100")
    books.correct(AdjustmentKind.ADOPTION, "1", "41.07", of=(OTHER, COIN))
    books.mark(50000.0, COIN)
    books.correct(AdjustmentKind.ADOPTION, "1", "0", of=(OTHER, COIN))
    books.correct(AdjustmentKind.CORRECTION, "-1", "0")
    books.correct(AdjustmentKind.CORRECTION, "-1", "5")
    books.correct(AdjustmentKind.CORRECTION, "1", "-5")
    books.correct(AdjustmentKind.CORRECTION, "0", "0")
    books.correct(AdjustmentKind.CORRECTION, "-3", "0")
    books.correct(AdjustmentKind.CORRECTION, "-2", "0")
    books.correct(AdjustmentKind.SPLIT, "1", "1")
    books.correct(AdjustmentKind.CORRECTION, "0.5", "12.345")
    books.mark(30.0)
    for amount, kind in (("1.25", CashMovementKind.INTEREST), ("-0.40", CashMovementKind.FEE_CORRECTION)):
        later = books.now_ts_ns + 2 * DAY_NS
        books.record(CashCorrected, amount=Decimal(amount), kind=kind, source="statement", settlement_ts_ns=later)
    books.record(SymbolRenamed, instrument_id=SPY, symbol="SPX", source="exchange")
    books.mark(31.0)
    books.mark(31.0)
    return books


@story
def more_is_sold_than_was_held() -> Books:
    books = Books()
    books.buy("5", "100")
    books.sell("8", "101")
    books.sell("2", "90", of=(OTHER, COIN))
    books.mark(105.0)
    books.split(2, 1)
    books.buy("4", "52")
    books.trade(Side.SELL, "8", "101", bust=2)
    books.trade(Side.BUY, "5", "100", bust=1)
    fill = OrderFilled(
        venue_ts_ns=1,
        received_ts_ns=2,
        client_order_id=ClientOrderId("foreign"),
        execution_id=ExecutionId("f-1"),
        price=Decimal("12.5"),
        quantity=Decimal(3),
        fee=Decimal(0),
    )
    draft = Draft(books.now_ts_ns)
    books.ledger.book_unmatched(fill, draft)
    books.lines += [told(fact) for fact in draft.facts]
    return books


@story
def unsettled_money_in_a_cash_account() -> Books:
    books = Books(kind=AccountKind.CASH)
    books.buy("90", "100")
    books.sell("90", "101")
    books.buy("50", "100")
    books.buy("40", "100.5")
    books.sell("30", "99")
    books.pass_days(1)
    books.sell("10", "99")
    books.pass_days(1)
    books.sell("10", "99")
    books.sell("40", "99")
    books.cash("-9000")
    books.buy("50", "110")
    return books


@pytest.mark.parametrize("name", STORIES)
def test_the_books_are_told_as_ever(name: str) -> None:
    compare_told(FOLDER / f"{name}.txt", STORIES[name]().text())


def test_every_file_is_of_a_story() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(STORIES)


def test_what_concerns_more_than_the_books_is_a_bug_here() -> None:
    books = Books()
    event = ShareSplit(venue_ts_ns=1, received_ts_ns=1, instrument_id=SPY, new_shares=2, old_shares=1, source="x")
    with pytest.raises(Bug) as bug:
        record(books.ledger, event, Draft(1))
    assert str(bug.value) == "A ShareSplit concerns more than the books."
