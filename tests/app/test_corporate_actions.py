"""A run over a split, a dividend and a new symbol: from the files to books that balance, again after a restart."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.app.what_if import Question, ask_database
from engine.calendars import load_sessions
from engine.cli.main import guarded
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    BarClosed,
    DividendDeclared,
    Event,
    ShareSplit,
    Step,
    SymbolRenamed,
    TimeAdvanced,
)
from engine.core.values import MINUTE_NS
from engine.feeds.corporate import ActionsFeed
from engine.feeds.files import utc_text
from engine.feeds.replay import ReplayFeed
from engine.store.accounts import find_instrument, list_accounts
from engine.store.book_reading import read_books
from engine.store.check import check_database
from engine.store.connection import open_reader, sqlite
from engine.store.stories import list_orders
from engine.testing.books import BooksProof

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
HEADING = "date,symbol,kind,new,old,cash_in_lieu,per_share,pay_date,new_symbol\n"
ACTIONS = (
    HEADING
    + "2024-06-05,ABC,split,4,1,,,,\n"
    + "2024-06-04,ABC,dividend,,,,0.25,2024-06-06,\n"
    + "2024-06-06,ABC,symbol,,,,,,ABCD\n"
)
HOLDER = """
from engine.strategy import Signal, SignalKind


class Holder:
    extended_hours = wants_quotes = wants_timer = False
    warm_up_bars = 0

    def __init__(self, parameters=None):
        self.bars = 0

    def on_bar(self, bar, context):
        self.bars += 1
        if self.bars == 5:
            return (Signal(kind=SignalKind.ENTER, stop_distance=12.0, target_distance=40.0, reason="hold"),)
        return (Signal(kind=SignalKind.EXIT, reason="time"),) if self.bars == 75 else ()

    def on_fill(self, fill, context):
        return ()

    def on_quote(self, quote, context):
        return ()

    def on_timer(self, ts_ns, context):
        return ()
"""


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Return 20 minutes of each of four sessions; the third one begins at a quarter of the price."""
    lines = ["symbol,ts,open,high,low,close,volume"]
    session = load_sessions("XNYS").session_from(1_717_380_000_000_000_000)
    for day in range(4):
        for minute in range(20):
            price = (100 + (minute % 5) / 4) / (4 if day >= 2 else 1)
            start = utc_text(session.open_ts_ns + minute * MINUTE_NS)
            lines.append(f"ABC,{start},{price},{price + 0.25},{price - 0.25},{price},1000")
        session = load_sessions("XNYS").session_from(session.close_ts_ns)
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def renamed(bars: Path) -> Path:
    """Let the bars have the new symbol from the date of its action on, as a tape does."""
    lines = [line.replace("ABC,2024-06-06", "ABCD,2024-06-06") for line in bars.read_text().splitlines()]
    assert sum(line.startswith("ABCD,") for line in lines) == 20
    bars.write_text("\n".join(lines) + "\n")
    return bars


def spec_of(bars: Path, tmp_path: Path, text: str = ACTIONS, **changes: Any) -> RunSpec:
    actions = tmp_path / "actions.csv"
    actions.write_text(text)
    (tmp_path / "split_holder").mkdir(exist_ok=True)
    (tmp_path / "split_holder" / "holder.py").write_text(textwrap.dedent(HOLDER))
    return RunSpec(
        strategy=load_strategy("split_holder.holder:Holder", {}),
        feed=ActionsFeed(ReplayFeed.bars(bars), actions),
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        **changes,
    )


def reading(database: Path) -> sqlite.Connection:
    return open_reader(database)


@pytest.mark.parametrize("has_both_symbols", [False, True])
@pytest.mark.parametrize("exit_style", ExitStyle)
def test_a_position_lives_through_a_split_and_the_books_balance(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exit_style: ExitStyle, has_both_symbols: bool
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    bars = renamed(bars) if has_both_symbols else bars
    database = tmp_path / "x.sqlite"
    proof = BooksProof()
    seen: list[type] = []

    def observe(event: Event, step: Step) -> None:
        seen.append(type(event))
        proof.observe(event, step)

    backtest(spec_of(bars, tmp_path, exit_style=exit_style), database, wall_ts_ns=0, observer=observe)
    assert [kind for kind in seen if kind in (DividendDeclared, ShareSplit, SymbolRenamed)] == [
        DividendDeclared,
        ShareSplit,
        SymbolRenamed,
    ]
    report = check_database(database)
    assert report.findings == ()
    assert guarded(["db", "replay", "--db", str(database)]) == 0
    connection = reading(database)
    try:
        trades = connection.execute("SELECT symbol, side, quantity, price FROM trades ORDER BY id").fetchall()
        stops = connection.execute("SELECT stop_price, quantity, status FROM orders WHERE leg = 'stop'").fetchall()
        symbols = connection.execute("SELECT symbol, valid_until IS NULL FROM instrument_symbols").fetchall()
        states = connection.execute("SELECT count(*) FROM trading_states").fetchone()
        books = read_books(connection, list_accounts(connection)[0])
    finally:
        connection.close()
    bought = trades[0][2]
    assert [trade[:3] for trade in trades] == [
        ("ABC", "buy", bought),
        ("ABCD", "sell", 4 * bought),
    ]
    # A stop is good for its day or until canceled; after the split it stands at a quarter, for four times the shares.
    assert stops[-1][1] == 4 * bought
    assert stops[-1][0] == pytest.approx((trades[0][3] - 12) / 4, abs=0.01)
    assert dict(symbols) == {"ABC": 0, "ABCD": 1}
    assert states == (0,)
    assert books.movements["dividend"] == Decimal(str(bought)) * Decimal("0.25")
    assert (books.positions, books.debits) == ((), books.credits)
    (lot,) = books.realized_lots
    assert (lot.lot, lot.holding_days, lot.quantity) == ("T1", 3, Decimal(4 * int(bought)))


def test_a_renamed_instrument_is_found_by_each_of_its_symbols(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    database = tmp_path / "x.sqlite"
    backtest(spec_of(bars, tmp_path), database, wall_ts_ns=0)
    connection = reading(database)
    try:
        account = list_accounts(connection)[0]
        every = list_orders(connection)
        assert {row["symbol"] for row in every} == {"ABC", "ABCD"}
        for symbol in ("ABC", "ABCD"):
            assert list_orders(connection, symbol=symbol) == every
            assert find_instrument(connection, account, symbol) == 1
        with pytest.raises(BadInput, match="'XYZ' is unknown here: give one of ABC, ABCD"):
            list_orders(connection, symbol="XYZ")
        with pytest.raises(BadInput, match="'XYZ' is not of the account backtest-1, which trades ABC, ABCD"):
            find_instrument(connection, account, "XYZ")
    finally:
        connection.close()
    asked = Question(symbol="ABC", price=Decimal(25), stop_distance=Decimal(1), limit=None, quantity=None)
    answers = [
        ask_database(database, replace(asked, symbol=symbol), account=None, risk=None) for symbol in ("ABC", "ABCD")
    ]
    assert answers[0] == answers[1]
    assert answers[0].symbol == "ABCD"


def test_the_books_of_a_past_moment_are_read_as_they_were(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    database = tmp_path / "x.sqlite"
    backtest(spec_of(bars, tmp_path), database, wall_ts_ns=0)
    connection = reading(database)
    try:
        account = list_accounts(connection)[0]
        bought, price = connection.execute("SELECT quantity, price FROM trades ORDER BY id LIMIT 1").fetchone()
        # 2024-06-04 and 2024-06-05, 15:00 UTC.
        before = read_books(connection, account, 1_717_513_200_000_000_000)
        after = read_books(connection, account, 1_717_599_600_000_000_000)
    finally:
        connection.close()
    assert [(lot.lot, lot.quantity) for lot in before.positions[0].lots or ()] == [("T1", Decimal(int(bought)))]
    assert [(lot.lot, lot.quantity) for lot in after.positions[0].lots or ()] == [("T1", Decimal(4 * int(bought)))]
    assert before.positions[0].cost == after.positions[0].cost == Decimal(int(bought)) * Decimal(str(price))
    # The dividend is on its way, so that it is cash that has not arrived.
    assert before.cash_unsettled == after.cash_unsettled == Decimal(int(bought)) * Decimal("0.25")
    assert before.debits == before.credits


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2024-06-05,ABC,split,,,,,,", r"row 1 a split without its ratio"),
        ("2024-06-05,ABC,split,4,4,,,,", r"row 1 a split without its ratio"),
        ("2024-06-05,XYZ,split,4,1,,,,", r"row 1 the symbol 'XYZ', which the data do not have: they have ABC"),
        ("June,ABC,split,4,1,,,,", r"row 1 the date 'June'"),
        ("2024-06-05,ABC,dividend,,,,-1,2024-06-06,", r"row 1 the per_share '-1'"),
        ("2024-06-05,ABC,dividend,,,,1,,", r"row 1 the pay_date ''"),
        ("2024-06-05,ABC,symbol,,,,,,", r"row 1 a new symbol without its name"),
        ("2024-06-05,ABC,merger,,,,,,", r"row 1 the kind 'merger'"),
        ("1999-06-05,ABC,split,4,1,,,,", r"row 1 the date 1999-06-05, which is outside the calendar"),
        ("2024-06-05,ABC,dividend,,,,1,2024-06-04,", r"row 1 the pay_date 2024-06-04, which is before its ex date"),
    ],
)
def test_an_action_that_is_not_whole_is_refused_with_its_row(bars: Path, tmp_path: Path, row: str, says: str) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text(HEADING + row + "\n")
    with pytest.raises(BadInput, match=says):
        ActionsFeed(ReplayFeed.bars(bars), actions)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("2024-06-05,ABC,split,4,1,,,,", "2024-06-05,ABC,split,4,1,,,,", "another split of ABC on 2024-06-05"),
        ("2024-06-05,ABC,split,4,1,,,,", "2024-06-05,ABC,split,2,1,,,,", "another split of ABC on 2024-06-05"),
        ("2024-06-05,ABC,dividend,,,,1,2024-06-06,", "2024-06-05,ABC,dividend,,,,2,2024-06-07,", "another dividend"),
        ("2024-06-05,ABC,symbol,,,,,,ABCD", "2024-06-05,ABC,symbol,,,,,,ABCE", "another symbol of ABC"),
        # A Saturday's is there before the trading of Monday, and so are both.
        ("2024-06-01,ABC,split,4,1,,,,", "2024-06-03,ABC,split,4,1,,,,", "another split of ABC on 2024-06-03"),
    ],
)
def test_an_action_that_is_stated_twice_is_refused_with_both_rows(
    bars: Path, tmp_path: Path, first: str, second: str, says: str
) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text(f"{HEADING}{first}\n2024-06-04,ABC,split,4,1,,,,\n{second}\n")
    with pytest.raises(BadInput, match=f"have in row 3 {says}.*, where row 1 has one"):
        ActionsFeed(ReplayFeed.bars(bars), actions)


@pytest.mark.parametrize("kind", ["bars", "ticks_and_quotes"])
def test_rows_of_both_symbols_are_one_instrument(bars: Path, tmp_path: Path, kind: str) -> None:
    actions = tmp_path / "actions.csv"
    # The last row names the instrument by the symbol that it got.
    actions.write_text(ACTIONS + "2024-06-07,ABCD,split,2,1,,,,\n2024-06-07,ABCD,symbol,,,,,,ABCE\n")
    feed = ReplayFeed.bars(renamed(bars))
    if kind == "ticks_and_quotes":
        ticks, quotes = tmp_path / "ticks.csv", tmp_path / "quotes.csv"
        ticks.write_text("symbol,ts,price,size\nABC,2024-06-05T19:00:00Z,10,1\nABCD,2024-06-06T14:00:00Z,10,1\n")
        # No quote of the old symbol: the first symbol is the ticks' one all the same.
        quotes.write_text("symbol,ts,bid,ask,bid_size,ask_size\nABCD,2024-06-06T13:59:00Z,9,11,1,1\n")
        feed = ReplayFeed.ticks_and_quotes(ticks, quotes)
    assert [each.symbol for each in feed.instruments] == ["ABC", "ABCD"]
    joined = ActionsFeed(feed, actions)
    assert [(each.symbol, each.instrument_id) for each in joined.instruments] == [("ABC", 1)]
    apart, together = list(feed.events()), list(joined.events())
    told = [event for event in together if not isinstance(event, DividendDeclared | ShareSplit | SymbolRenamed)]
    assert [event.received_ts_ns for event in told] == [event.received_ts_ns for event in apart]
    assert {
        event.bar.instrument_id if isinstance(event, BarClosed) else event.instrument_id
        for event in together
        if not isinstance(event, TimeAdvanced)
    } == {1}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2024-06-07,ABC,symbol,,,,,,ABCD", "from 2024-06-07, and the data have ABCD from 2024-06-06T13:30:00Z on"),
        ("2024-06-06,ABCD,symbol,,,,,,ABC", "and the data have ABC from 2024-06-03T13:30:00Z on"),
        ("2024-06-06,ABC,symbol,,,,,,XYZ", "and the data have XYZ from 2024-06-06T13:30:00Z on and ABC until"),
    ],
)
def test_symbols_that_are_no_one_instrument_are_refused(bars: Path, tmp_path: Path, row: str, says: str) -> None:
    if "XYZ" in row:
        text = bars.read_text()
        bars.write_text(text + "".join(f"XYZ{line[3:]}\n" for line in text.splitlines() if "2024-06-06" in line))
    else:
        renamed(bars)
    actions = tmp_path / "actions.csv"
    actions.write_text(HEADING + row + "\n")
    with pytest.raises(BadInput, match=f"row 1 the new symbol .*{says}"):
        ActionsFeed(ReplayFeed.bars(bars), actions)


def test_a_symbol_that_two_instruments_get_is_refused(bars: Path, tmp_path: Path) -> None:
    bars.write_text(bars.read_text() + "XYZ,2024-06-06T19:59:00Z,1,1,1,1,1\n")
    actions = tmp_path / "actions.csv"
    actions.write_text(HEADING + "2024-06-06,ABC,symbol,,,,,,NEW\n2024-06-07,XYZ,symbol,,,,,,NEW\n")
    with pytest.raises(BadInput, match="row 2 the new symbol NEW of XYZ, which ABC has by another row"):
        ActionsFeed(ReplayFeed.bars(bars), actions)


def test_a_file_without_its_columns_is_refused(bars: Path, tmp_path: Path) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text("date,kind\n")
    with pytest.raises(BadInput, match="no column symbol"):
        ActionsFeed(ReplayFeed.bars(bars), actions)
    with pytest.raises(BadInput, match="cannot be read"):
        ActionsFeed(ReplayFeed.bars(bars), tmp_path / "none.csv")


def test_other_actions_are_another_run(bars: Path, tmp_path: Path) -> None:
    one = spec_fingerprint(bars, tmp_path, ACTIONS)
    assert one == spec_fingerprint(bars, tmp_path, ACTIONS)
    assert one != spec_fingerprint(bars, tmp_path, ACTIONS.replace("0.25", "0.26"))


def spec_fingerprint(bars: Path, tmp_path: Path, text: str) -> str:
    actions = tmp_path / "actions.csv"
    actions.write_text(text)
    return ActionsFeed(ReplayFeed.bars(bars), actions).fingerprint


def test_actions_come_before_the_first_bar_of_their_date(bars: Path, tmp_path: Path) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text(ACTIONS + "2024-05-01,ABC,split,2,1,,,,\n2025-05-01,ABC,split,2,1,,,,\n")
    events = list(ActionsFeed(ReplayFeed.bars(bars), actions).events())
    kinds = [type(event).__name__ for event in events]
    assert [place for place, kind in enumerate(kinds) if kind != "BarClosed"] == [20, 41, 62]
    assert [event.received_ts_ns for event in events] == sorted(event.received_ts_ns for event in events)
    rest = list(ActionsFeed(ReplayFeed.bars(bars), actions).events(events[20].received_ts_ns))
    assert rest == events[21:]


class StandingClock:
    """A clock that stands still."""

    def now_ns(self) -> int:
        """Return the moment."""
        return 1_720_000_000_000_000_000


class KilledError(Exception):
    """End a process at a step."""


def trade(spec: RunSpec, database: Path, kill_after: int | None = None) -> None:
    seen = 0

    def observe(event: Event, step: Step) -> None:
        nonlocal seen
        del event, step
        seen += 1
        if seen == kill_after:
            raise KilledError

    with TradingAccount(spec, database, StandingClock(), observer=observe) as account:
        account.run(until_ts_ns=None, pace=lambda event: event is not None)
        account.finish(is_complete=True)


@pytest.mark.parametrize(("every", "has_both_symbols"), [(1, False), (5, False), (1, True)])
def test_killed_around_a_split_it_is_split_once(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, every: int, has_both_symbols: bool
) -> None:
    """I-18: after a kill at any step the split, the dividend and the venue's part of both are there once."""
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = spec_of(renamed(bars) if has_both_symbols else bars, tmp_path)
    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    trade(spec, whole)
    for _ in range(200):
        try:
            trade(spec, killed, every)
            break
        except KilledError:
            continue
    for query in (
        "SELECT symbol, side, price, quantity FROM trades ORDER BY id",
        "SELECT kind, quantity, cost FROM position_adjustments ORDER BY id",
        "SELECT kind, amount FROM cash_movements ORDER BY id",
        # Not the hash: that a cancel came too late for an order which the venue ended by itself may be told once less.
        "SELECT status, quantity, filled_quantity, stop_price, limit_price FROM orders ORDER BY id",
    ):
        found = []
        for path in (whole, killed):
            connection = reading(path)
            found.append(connection.execute(query).fetchall())
            connection.close()
        assert found[0] == found[1]
    assert check_database(killed).findings == ()
    assert guarded(["db", "replay", "--db", str(killed)]) == 0
