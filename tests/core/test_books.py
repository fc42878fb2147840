"""Lots, corporate actions, suspense and settled money, case by case; every case is proved by the second bookkeeper."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.calendars import load_sessions
from engine.core.errors import BadInput, Bug
from engine.core.ledger import Booking, Ledger, record, split
from engine.core.ledger.lots import Lot, Origin
from engine.core.messages import (
    AccountFunded,
    AdjustmentKind,
    BookEvent,
    CashMoved,
    DividendDeclared,
    Draft,
    Fact,
    GoodFaithViolated,
    LotClosed,
    LotsChosen,
    PositionAdjusted,
    PositionChanged,
    PositionCorrected,
    ShareSplit,
    Step,
    SuspenseBooked,
    TimeAdvanced,
)
from engine.core.values import (
    DAY_NS,
    SECOND_NS,
    AccountKind,
    AccountTerms,
    ExecutionId,
    Leg,
    LotMethod,
    Side,
    StrategyId,
    instrument_from_symbol,
)
from engine.testing.books import BooksProof
from engine.testing.scenario import SPY

OWNER = StrategyId("owner")
SHARES = instrument_from_symbol("SPY", 1)
MORNING_NS = 1_717_423_200 * SECOND_NS  # Monday 2024-06-03, 14:00 UTC
HOUR_NS = 3_600 * SECOND_NS


class Account:
    """An account that is proved after every step."""

    def __init__(self, **terms: Any) -> None:
        sessions = {SPY: load_sessions("XNYS")}
        self.ledger = Ledger({SPY: SHARES}, sessions=sessions, terms=AccountTerms(**terms))
        self.proof = BooksProof()
        self.now_ts_ns = MORNING_NS
        self.trades = 0
        self.facts: list[Fact] = []
        self.tell(AccountFunded(**self.times(), amount=Decimal(10_000), source="test"))

    def times(self) -> dict[str, Any]:
        return {"venue_ts_ns": self.now_ts_ns, "received_ts_ns": self.now_ts_ns}

    def tell(self, event: BookEvent) -> None:
        draft = Draft(self.now_ts_ns)
        if isinstance(event, ShareSplit):
            split(self.ledger, event, draft)
        else:
            record(self.ledger, event, draft)
        self._prove(event, draft)

    def trade(
        self, side: Side, quantity: int, price: str, *, is_bust: bool = False, execution: int = 0, told_ns: int = 0
    ) -> None:
        self.trades += not is_bust
        draft = Draft(self.now_ts_ns + told_ns)
        self.ledger.book(
            Booking(
                order_id=1,
                bracket_id=1,
                execution_id=ExecutionId(f"x-{execution or self.trades}"),
                strategy_id=OWNER,
                instrument_id=SPY,
                leg=Leg.ENTRY,
                side=side,
                price=Decimal(price),
                quantity=Decimal(quantity),
                fee=Decimal(0),
                is_bust=is_bust,
                venue_ts_ns=self.now_ts_ns,
            ),
            draft,
        )
        self._prove(TimeAdvanced(**self.times()), draft)

    def split(self, new: int, old: int, price: str | None = None) -> None:
        paid = None if price is None else Decimal(price)
        self.tell(
            ShareSplit(
                **self.times(), instrument_id=SPY, new_shares=new, old_shares=old, source="x", cash_in_lieu_price=paid
            )
        )

    def choose(self, *lots: str) -> None:
        self.tell(LotsChosen(**self.times(), strategy_id=OWNER, instrument_id=SPY, lots=lots, requested_by="me"))

    def made(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def position(self) -> PositionChanged:
        changed: PositionChanged = self.made(PositionChanged)[-1]
        return changed

    def _prove(self, event: Any, draft: Draft) -> None:
        self.facts += draft.facts
        self.proof.observe(event, Step(tuple(draft.facts), ()))
        self.proof.compare(self.ledger, self.now_ts_ns)


def three_lots(**terms: Any) -> Account:
    account = Account(**terms)
    for price in ("10", "12", "11"):
        account.trade(Side.BUY, 10, price)
        account.now_ts_ns += DAY_NS
    return account


# --- lots -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "closed", "profit"),
    [
        (LotMethod.FIFO, [(1, 10), (2, 5)], 15 * 13 - 100 - 60),
        (LotMethod.LIFO, [(3, 10), (2, 5)], 15 * 13 - 110 - 60),
        (LotMethod.HIFO, [(2, 10), (3, 5)], 15 * 13 - 120 - 55),
        (LotMethod.SPECIFIC, [(1, 10), (2, 5)], 15 * 13 - 100 - 60),
    ],
)
def test_a_sale_takes_lots_by_the_method_of_the_account(
    method: LotMethod, closed: list[tuple[int, int]], profit: int
) -> None:
    account = three_lots(lots=method)
    account.trade(Side.SELL, 15, "13")
    facts = account.made(LotClosed)
    assert [(fact.opening_trade_id, fact.quantity) for fact in facts] == closed
    assert account.position.realized_pnl == sum(fact.realized_pnl for fact in facts) == profit
    assert [fact.holding_days for fact in facts] == [4 - trade for trade, _ in closed]


def test_chosen_lots_are_sold_first_then_the_oldest() -> None:
    account = three_lots(lots=LotMethod.SPECIFIC)
    account.choose("T3", "T2")
    account.trade(Side.SELL, 25, "13")
    assert [fact.opening_trade_id for fact in account.made(LotClosed)] == [3, 2, 1]
    assert [str(lot.origin) for lot in account.ledger.lots(OWNER, SPY)] == ["T1"]


def test_lots_are_chosen_where_the_account_says_so_and_they_are_open() -> None:
    with pytest.raises(BadInput, match=r"taken fifo: set account\.lots to specific"):
        three_lots().choose("T1")
    with pytest.raises(BadInput, match="lot T9 is not open: choose among T1, T2, T3"):
        three_lots(lots=LotMethod.SPECIFIC).choose("T9")


def test_a_bust_of_a_purchase_gives_later_sales_other_lots() -> None:
    account = three_lots()
    account.trade(Side.SELL, 10, "13")
    account.trade(Side.BUY, 10, "10", is_bust=True, execution=1)
    before, after = account.made(LotClosed)[1:]
    assert (before.opening_trade_id, before.is_reversal, before.realized_pnl) == (1, True, Decimal(30))
    assert (after.opening_trade_id, after.is_reversal, after.realized_pnl) == (2, False, Decimal(10))
    assert (account.position.quantity, account.position.realized_pnl) == (Decimal(10), Decimal(10))


def test_parts_of_a_lot_cost_together_what_the_lot_cost() -> None:
    """A third of a cent cannot be booked: the last part takes what is left."""
    account = Account()
    account.trade(Side.BUY, 3, "0.3333")
    account.split(7, 3)
    for _ in range(7):
        account.trade(Side.SELL, 1, "1")
    assert sum(fact.cost for fact in account.made(LotClosed)) == Decimal("0.9999")
    assert account.position.cost == account.position.quantity == 0
    assert account.position.realized_pnl == Decimal("6.0001")


def test_a_lot_of_nothing_cannot_be_made() -> None:
    for quantity in (Decimal(0), Decimal(-1)):
        with pytest.raises(Bug, match="would hold"):
            Lot(origin=Origin(trade_id=1), quantity=quantity, cost=Decimal(1), opened_ts_ns=0)


# --- settled money ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [(AccountKind.CASH, 1), (AccountKind.MARGIN, 0)])
def test_selling_what_unsettled_money_bought_is_a_violation_in_a_cash_account(kind: AccountKind, count: int) -> None:
    account = Account(kind=kind)
    account.trade(Side.BUY, 100, "100")
    account.trade(Side.SELL, 100, "101")
    account.trade(Side.BUY, 100, "100")
    assert account.ledger.settled_cash(account.now_ts_ns) == Decimal(-10_000)
    assert account.ledger.unpaid(OWNER, SPY, Decimal(40), account.now_ts_ns) == Decimal(40)
    account.trade(Side.SELL, 40, "102")
    assert account.ledger.good_faith_violations() == len(account.made(GoodFaithViolated)) == count
    assert account.ledger.good_faith_violations(account.now_ts_ns + 1) == 0


def bought_with_unsettled_proceeds(*parts: int) -> Account:
    account = Account(kind=AccountKind.CASH)
    account.trade(Side.BUY, 100, "100")
    account.trade(Side.SELL, 100, "100")
    for part in parts:
        account.trade(Side.BUY, part, "100")
    return account


def test_a_sale_that_is_taken_back_violates_nothing() -> None:
    account = bought_with_unsettled_proceeds(100)
    account.trade(Side.SELL, 100, "100")
    assert account.ledger.good_faith_violations() == 1
    account.trade(Side.SELL, 100, "100", is_bust=True, execution=4)
    assert account.ledger.good_faith_violations() == 0
    violated, taken_back = account.made(GoodFaithViolated)
    assert (violated.quantity, taken_back.quantity) == (Decimal(100), Decimal(-100))
    assert (
        (taken_back.trade_id, taken_back.opening_trade_id) == (violated.trade_id, violated.opening_trade_id) == (4, 3)
    )


def test_a_sale_counts_once_when_a_bust_gives_it_another_lot() -> None:
    account = bought_with_unsettled_proceeds(50, 50)
    account.trade(Side.SELL, 30, "100")
    account.trade(Side.BUY, 50, "100", is_bust=True, execution=3)
    assert account.ledger.good_faith_violations() == 1
    counted = [(fact.opening_trade_id, fact.quantity) for fact in account.made(GoodFaithViolated)]
    assert counted == [(3, Decimal(30)), (3, Decimal(-30)), (4, Decimal(30))]


def test_a_sale_that_was_paid_for_takes_nothing_back_when_it_is_busted() -> None:
    account = Account(kind=AccountKind.CASH)
    account.trade(Side.BUY, 10, "100")
    account.trade(Side.SELL, 10, "100")
    account.trade(Side.SELL, 10, "100", is_bust=True, execution=2)
    assert account.made(GoodFaithViolated) == []


def test_a_purchase_that_is_told_late_was_paid_when_it_was_made() -> None:
    """Bought with settled money and sold a second later, both told after that: the venue's time decides."""
    account = Account(kind=AccountKind.CASH)
    account.trade(Side.BUY, 10, "100", told_ns=9 * SECOND_NS)
    account.now_ts_ns += SECOND_NS
    account.trade(Side.SELL, 10, "100", told_ns=9 * SECOND_NS)
    assert account.ledger.good_faith_violations() == 0


def test_a_lot_is_paid_when_the_proceeds_that_paid_it_have_settled() -> None:
    account = Account(kind=AccountKind.CASH)
    account.trade(Side.BUY, 100, "100")
    account.trade(Side.SELL, 100, "101")
    account.trade(Side.BUY, 100, "100")
    account.now_ts_ns = MORNING_NS + DAY_NS
    assert account.ledger.unpaid(OWNER, SPY, Decimal(100), account.now_ts_ns) == 0
    account.trade(Side.SELL, 100, "101")
    assert account.ledger.good_faith_violations() == 0


def test_a_dividend_is_cash_on_its_pay_date_and_nobody_may_spend_it_before() -> None:
    account = three_lots(kind=AccountKind.MARGIN)
    pays = account.now_ts_ns + 10 * DAY_NS
    event = DividendDeclared(
        **account.times(), instrument_id=SPY, per_share=Decimal("0.1235"), pays_ts_ns=pays, source="fund"
    )
    before = account.ledger.cash
    account.tell(event)
    (dividend,) = (fact for fact in account.made(CashMoved) if fact.kind == "dividend")
    assert (dividend.amount, dividend.strategy_id, dividend.instrument_id) == (Decimal("3.71"), OWNER, SPY)
    assert account.ledger.cash == before + Decimal("3.71")
    assert account.ledger.spendable_cash(pays - 1) == account.ledger.settled_cash(pays - 1) == before
    assert account.ledger.spendable_cash(pays) == before + Decimal("3.71")


@pytest.mark.parametrize(("per_share", "days", "says"), [("0", 1, "not above zero"), ("0.1", -1, "before its ex date")])
def test_a_dividend_that_makes_no_sense_is_refused(per_share: str, days: int, says: str) -> None:
    account = Account()
    pays = account.now_ts_ns + days * DAY_NS
    with pytest.raises(BadInput, match=says):
        account.tell(
            DividendDeclared(
                **account.times(), instrument_id=SPY, per_share=Decimal(per_share), pays_ts_ns=pays, source="x"
            )
        )


# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_split_multiplies_shares_and_leaves_cost_and_worth() -> None:
    account = three_lots()
    account.ledger.mark(SPY, 12.0, Draft(account.now_ts_ns))
    account.proof._marks[SPY] = Decimal("12.0")
    equity = account.ledger.equity
    account.split(4, 1)
    assert (account.position.quantity, account.position.cost) == (Decimal(120), Decimal(330))
    assert account.ledger.equity == equity
    assert [(fact.kind, fact.quantity, fact.ratio) for fact in account.made(PositionAdjusted)] == [
        (AdjustmentKind.SPLIT, Decimal(90), "4:1")
    ]


def test_what_a_split_leaves_over_is_paid_in_cash() -> None:
    """31 shares, three for two: 46 and a half; the half is sold at the broker's price, by the account's lots."""
    account = three_lots()
    account.trade(Side.BUY, 1, "9")
    account.split(3, 2, "8.005")
    assert account.position.quantity == Decimal(46)
    (split_up, paid) = account.made(PositionAdjusted)
    assert (split_up.quantity, paid.quantity, paid.kind) == (
        Decimal("15.5"),
        Decimal("-0.5"),
        AdjustmentKind.CASH_IN_LIEU,
    )
    (cash_in_lieu,) = (fact for fact in account.made(CashMoved) if fact.kind == "cash_in_lieu")
    assert cash_in_lieu.amount == Decimal("4.00")
    (closed,) = account.made(LotClosed)
    assert (closed.closing_adjustment_id, closed.quantity) == (2, Decimal("0.5"))
    assert closed.cost == Decimal("3.33333333")
    assert account.position.realized_pnl == closed.realized_pnl == Decimal("0.66666667")


@pytest.mark.parametrize(("new", "old"), [(0, 1), (4, 0), (1, 1), (-2, 1)])
def test_a_split_without_its_ratio_is_refused(new: int, old: int) -> None:
    account = three_lots()
    with pytest.raises(BadInput, match="has no ratio"):
        account.split(new, old)
    assert account.ledger.position(OWNER, SPY) == 30


# --- corrections, other names, what cannot be booked ------------------------------------------------------------------


def correction(account: Account, kind: str, quantity: str, cost: str) -> PositionCorrected:
    return PositionCorrected(
        **account.times(),
        strategy_id=OWNER,
        instrument_id=SPY,
        kind=AdjustmentKind(kind),
        quantity=Decimal(quantity),
        cost=Decimal(cost),
        source="broker",
    )


def test_an_opening_position_is_a_lot_and_may_be_corrected_away() -> None:
    account = Account()
    account.tell(correction(account, "opening", "7", "700"))
    assert [str(lot.origin) for lot in account.ledger.lots(OWNER, SPY)] == ["A1"]
    assert account.ledger.equity == Decimal(10_700)
    account.tell(correction(account, "correction", "-3", "0"))
    assert (account.position.quantity, account.position.cost) == (Decimal(4), Decimal(400))
    assert account.position.realized_pnl == 0


@pytest.mark.parametrize(
    ("kind", "quantity", "cost", "says"),
    [
        ("opening", "0", "5", "does not fit"),
        ("correction", "-8", "0", "does not fit the 7"),
        ("adoption", "5", "-1", "has the cost -1"),
        ("correction", "-1", "5", "0 for what goes"),
        ("split", "5", "5", "is not made by hand|use opening"),
    ],
)
def test_a_correction_that_does_not_fit_is_refused(kind: str, quantity: str, cost: str, says: str) -> None:
    account = Account()
    account.tell(correction(account, "opening", "7", "700"))
    with pytest.raises(BadInput, match=says):
        account.tell(correction(account, kind, quantity, cost))
    assert account.position.quantity == 7


def test_a_sale_beyond_the_position_is_suspended_and_its_bust_takes_that_back() -> None:
    account = Account()
    account.trade(Side.BUY, 10, "100")
    account.trade(Side.SELL, 15, "110")
    assert account.ledger.position(OWNER, SPY) == 0
    assert account.ledger.oversold(OWNER, SPY) == 5
    account.trade(Side.SELL, 15, "110", is_bust=True, execution=2)
    assert account.ledger.position(OWNER, SPY) == 10
    assert account.ledger.oversold(OWNER, SPY) == 0
    assert [fact.quantity for fact in account.made(SuspenseBooked)] == [Decimal(5), Decimal(-5)]
