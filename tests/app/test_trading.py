"""Trading accounts: recovery after a kill at any step, operators, and the tick and quote paths."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec
from engine.app.operators import is_engine_running, post, wait_until_taken
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount, book_path
from engine.core.bars import PrintSource
from engine.core.errors import BadInput, Halt, Retry
from engine.core.messages import Event, Flatten, Kill, MarketEvent, Pause, Resume, Step
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"


@dataclass
class ManualClock:
    """A clock that stands still."""

    ts_ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ts_ns


@dataclass
class Killed(BaseException):
    """Ends a process at a step: nothing may catch it on the way, as nothing catches SIGKILL."""


@dataclass
class KillAfter:
    """Kill at the n-th journaled step: after its commit, before anything else."""

    steps: int
    seen: int = field(default=0)

    def __call__(self, event: Event, step: Step) -> None:
        del event, step
        self.seen += 1
        if self.seen == self.steps:
            raise Killed


def spec_of(feed: SyntheticFeed | ReplayFeed, **changes: Any) -> RunSpec:
    values = {
        "strategy": load_strategy("s1_vwap_ema", {}),
        "feed": feed,
        "risk": load_risk(SHIPPED_RISK),
        "cash": Decimal(100_000),
    }
    return RunSpec(**(values | changes))


def always(event: MarketEvent) -> bool:
    del event
    return True


def trade(spec: RunSpec, database: Path, *, observer: Callable[[Event, Step], None] | None = None) -> None:
    with TradingAccount(spec, database, ManualClock(), observer=observer) as account:
        account.run(until_ts_ns=None, pace=always)
        account.finish(is_complete=True)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = open_reader(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


HASH = "SELECT hash FROM inputs ORDER BY id DESC LIMIT 1"
TRADES = "SELECT symbol, side, price, quantity, venue_ts_ns, leg FROM trades ORDER BY id"
TRIPS = "SELECT symbol, entry_ts, exit_ts, exit_reason, pnl FROM v_round_trips ORDER BY exit_ts, symbol"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("whole") / "paper.sqlite"
    trade(spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA"))), database)
    assert len(rows(database, TRIPS)) >= 3
    return database


@pytest.mark.parametrize("every", [1, 97, 413])
def test_killed_at_steps_and_recovered_it_trades_the_same(uninterrupted: Path, tmp_path: Path, every: int) -> None:
    """I-18: a crash after any commit is the state before or after it; no order twice, no fill lost."""
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    kills = 0
    # Every step around the trades would take minutes: with 1 only the first forty steps are all hit.
    limit = 40 if every == 1 else 200
    while kills < limit:
        try:
            trade(spec, database, observer=KillAfter(every))
            break
        except Killed:
            kills += 1
    else:
        trade(spec, database)
    assert kills >= 3
    assert rows(database, TRADES) == rows(uninterrupted, TRADES)
    assert rows(database, TRIPS) == rows(uninterrupted, TRIPS)
    assert rows(database, HASH) == rows(uninterrupted, HASH)
    assert check_database(database).is_sound


def test_killed_at_every_step_of_a_round_trip(uninterrupted: Path, tmp_path: Path) -> None:
    """The same, at each step from the first signal to the end of the first round trip."""
    (first,) = rows(uninterrupted, "SELECT min(step_id) FROM signals")[0]
    (last,) = rows(uninterrupted, "SELECT min(step_id) FROM bracket_events WHERE to_state = 'CLOSED'")[0]
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    reports = rows(
        uninterrupted,
        f"SELECT id FROM inputs WHERE id BETWEEN {first - 1} AND {last + 1} "
        f"AND (kind <> 'BarClosed' OR id < {first + 6})",
    )
    assert len(reports) > 6
    for (step,) in reports:
        database = tmp_path / f"{step}.sqlite"
        with pytest.raises(Killed):
            trade(spec, database, observer=KillAfter(step))
        trade(spec, database)
        assert rows(database, TRADES) == rows(uninterrupted, TRADES)
        assert rows(database, HASH) == rows(uninterrupted, HASH)


@dataclass
class Countdown:
    """Kill at the n-th time that a point is reached."""

    point: str
    left: int

    def reach(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                raise Killed


@dataclass
class Mined:
    """Stands before a venue or a journal, hands every call on, and counts before and after those that matter."""

    inner: Any
    countdown: Countdown
    counts: Callable[[], bool] = field(default=lambda: True)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.inner, name)
        if name not in {"send", "drain", "observe_open", "observe_rest", "commit"}:
            return attribute

        def call(*arguments: Any) -> Any:
            if self.counts():
                self.countdown.reach(f"before {name}")
            result = attribute(*arguments)
            if self.counts() and (name != "drain" or result):
                self.countdown.reach(f"after {name}")
            return result

        return call


def trade_mined(spec: RunSpec, database: Path, countdown: Countdown) -> None:
    with TradingAccount(spec, database, ManualClock()) as account:
        loop: Any = account.loop
        account.venue = loop._venue = Mined(account.venue, countdown)  # type: ignore[assignment]
        is_busy = account.pipeline.execution.open_orders
        loop._journal = Mined(loop._journal, countdown, lambda: bool(is_busy()))
        account.run(until_ts_ns=None, pace=always)
        account.finish(is_complete=True)


@pytest.mark.parametrize(
    ("point", "every"),
    [
        ("before send", 1),
        ("after send", 2),
        ("after drain", 2),
        ("after observe_open", 5),
        ("before observe_rest", 7),
        ("after observe_rest", 9),
        ("before commit", 11),
        ("after commit", 13),
    ],
)
def test_killed_around_the_venue_and_the_commit_it_trades_the_same(
    uninterrupted: Path, tmp_path: Path, point: str, every: int
) -> None:
    """I-18: between a commit and the send, inside the venue, and before a commit nothing is doubled or lost."""
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    kills = 0
    while kills < 12:
        try:
            trade_mined(spec, database, Countdown(point, every))
            break
        except Killed:
            kills += 1
    else:
        trade(spec, database)
    assert kills >= 3
    assert rows(database, TRADES) == rows(uninterrupted, TRADES)
    assert rows(database, TRIPS) == rows(uninterrupted, TRIPS)
    assert check_database(database).is_sound


def kill_before_the_first_send(spec: RunSpec, database: Path) -> None:
    with pytest.raises(Killed):
        trade_mined(spec, database, Countdown("before send", 1))
    assert rows(database, "SELECT leg, status FROM orders") == [("entry", "NEW")]


@pytest.mark.parametrize("kind", [Kill, Pause])
def test_an_entry_that_never_left_stays_when_an_operator_stopped_trading_meanwhile(tmp_path: Path, kind: Any) -> None:
    """I-27: what was posted while the engine was down is heard before anything leaves again."""
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    kill_before_the_first_send(spec, database)
    ask(database, kind)
    trade(spec, database)
    assert rows(database, "SELECT leg, status FROM orders") == [("entry", "REJECTED")]
    assert rows(database, "SELECT count(*) FROM trades") == [(0,)]
    assert check_database(database).is_sound


@pytest.mark.parametrize("sends", [2, 3])
def test_shares_without_a_stop_are_sold_when_a_kill_waits_at_the_restart(tmp_path: Path, sends: int) -> None:
    """The engine died before its stop left; what it then has to do first is to sell, once."""
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    with pytest.raises(Killed):
        trade_mined(spec, database, Countdown("before send", sends))
    assert len(rows(database, "SELECT symbol FROM positions WHERE quantity > 0")) == 1
    ask(database, Kill)
    trade(spec, database)
    assert rows(database, "SELECT quantity FROM positions") == [(0.0,)]
    assert rows(database, "SELECT side FROM trades ORDER BY id") == [("buy",), ("sell",)]
    assert check_database(database).is_sound


def test_a_database_and_a_venue_of_different_pasts_are_refused(tmp_path: Path, uninterrupted: Path) -> None:
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    files = {"": uninterrupted.read_bytes(), ".venue": book_path(uninterrupted).read_bytes()}
    for kept in ("", ".venue"):
        database = tmp_path / f"only{kept}.sqlite"
        database.with_name(database.name + kept).write_bytes(files[kept])
        for _ in range(2):
            with pytest.raises(BadInput, match=r"only.*\.sqlite and the paper venue's file .*\.venue do not belong"):
                trade(spec, database)
    other = tmp_path / "other.sqlite"
    trade(spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA", "BETA"))), other)
    book_path(other).write_bytes(files[".venue"])
    with pytest.raises(BadInput, match="do not belong together"):
        trade(spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA", "BETA"))), other)


def test_both_files_together_go_on_elsewhere(tmp_path: Path, uninterrupted: Path) -> None:
    database = tmp_path / "moved.sqlite"
    database.write_bytes(uninterrupted.read_bytes())
    book_path(database).write_bytes(book_path(uninterrupted).read_bytes())
    trade(spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA"))), database)
    assert rows(database, TRADES) == rows(uninterrupted, TRADES)


def test_killed_before_the_venue_has_a_file_it_recovers(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",)))
    with pytest.raises(Killed):
        trade(spec, database, observer=KillAfter(1))
    book_path(database).unlink()
    trade(spec, database)
    assert rows(database, "SELECT count(*) FROM cash_movements") == [(1,)]
    assert check_database(database).is_sound


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"fees": "robinhood"}, "other fees"),
        ({"slippage_bps": Decimal(2)}, "other slippage bps"),
        ({"limit_fills_on_touch": True}, "other limit fills on touch"),
        ({"cash": Decimal(50_000)}, "other cash"),
    ],
)
def test_a_run_goes_on_only_under_the_settings_it_began_with(tmp_path: Path, change: Any, what: str) -> None:
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",))
    trade(spec_of(feed, cash=Decimal("100000.00")), database)
    with pytest.raises(BadInput, match=f"holds a run with {what}"):
        trade(spec_of(feed, **change), database)
    trade(spec_of(feed), database)
    assert rows(database, "SELECT DISTINCT settings ->> 'cash' FROM runs") == [("100000",)]


@pytest.mark.parametrize("prints_from", list(PrintSource))
def test_ticks_and_quotes_recover_too(tmp_path: Path, prints_from: PrintSource) -> None:
    feed = SyntheticFeed(seed=6, sessions=2, symbols=("ALFA",), mode=SyntheticMode.TICKS)
    spec = spec_of(feed, prints_from=prints_from)
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    trade(spec, whole)
    for steps in (150, 333, 90):
        with pytest.raises(Killed):
            trade(spec, cut, observer=KillAfter(steps))
    trade(spec, cut)
    bars = "SELECT timestamp, open, high, low, close, volume, tick_count, quote_count, bid_close FROM bars ORDER BY 1"
    assert rows(cut, bars) == rows(whole, bars)
    assert rows(cut, TRADES) == rows(whole, TRADES)
    assert check_database(cut).is_sound
    if prints_from is PrintSource.TICKS:
        # Made of quotes, the unwanted ticks around a kill are counted anew, and those counts are journaled.
        assert rows(cut, HASH) == rows(whole, HASH)
        assert rows(whole, "SELECT count(*) FROM trades")[0][0] > 0


def test_a_changed_risk_file_does_not_recover(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=2, symbols=("ALFA",))
    trade(spec_of(feed), database)
    other = tmp_path / "risk.yaml"
    other.write_text(SHIPPED_RISK.read_text().replace("max_positions: 5", "max_positions: 4"))
    with pytest.raises(BadInput, match="other risk file"):
        trade(spec_of(feed, risk=load_risk(other)), database)


def test_other_parameters_do_not_recover(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=2, symbols=("ALFA",))
    trade(spec_of(feed), database)
    changed = spec_of(feed, strategy=load_strategy("s1_vwap_ema", {"fast_period": "5"}))
    with pytest.raises((BadInput, Halt)):
        trade(changed, database)
    assert check_database(database).is_sound


def test_a_second_engine_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA",)))
    with TradingAccount(spec, database, ManualClock()):
        assert is_engine_running(database)
        with pytest.raises(Retry, match="Another engine"):
            trade(spec, database)
    assert not is_engine_running(database)


def ask(database: Path, kind: Any, **scope: str | None) -> int:
    values: dict[str, Any] = {"strategy_id": None, "symbol": None} | scope
    return post(database, kind, **values, reason="test", requested_by="tester", wall_ts_ns=1)


def test_operators_are_heard_while_it_runs(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    asked: list[int] = []

    def pace(event: MarketEvent) -> bool:
        # In the second session: kill at its start, so that nothing is ever bought.
        if not asked and event.received_ts_ns > spec.feed.schedule[1].open_ts_ns:  # type: ignore[attr-defined]
            asked.append(ask(database, Kill))
        return True

    with TradingAccount(spec, database, ManualClock()) as account:
        account.run(until_ts_ns=None, pace=pace)
        account.finish(is_complete=True)
    assert wait_until_taken(database, asked[0], seconds=0.1) is not None
    assert rows(database, "SELECT count(*) FROM trades") == [(0,)]
    assert rows(database, "SELECT DISTINCT reason FROM decisions") == [("halted",)]
    assert rows(database, "SELECT to_state, source FROM trading_states") == [("HALTED", "operator:tester")]
    assert check_database(database).is_sound


def test_a_kill_survives_a_restart_until_a_human_resumes(tmp_path: Path) -> None:
    """I-27."""
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=3, symbols=("ALFA", "BETA"))
    spec = spec_of(feed)

    def run_until(ts_ns: int) -> None:
        with TradingAccount(spec, database, ManualClock()) as account:
            account.run(until_ts_ns=ts_ns, pace=always)
            account.finish(is_complete=True)

    run_until(feed.schedule[0].close_ts_ns)
    ask(database, Kill)
    run_until(feed.schedule[1].close_ts_ns)
    assert rows(database, "SELECT count(*) FROM trades") == [(0,)]
    ask(database, Resume)
    run_until(feed.schedule[2].close_ts_ns)
    assert rows(database, "SELECT count(*) FROM trades")[0][0] > 0


def test_flatten_sells_what_is_held(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA")))
    asked: list[int] = []

    with TradingAccount(spec, database, ManualClock()) as account:

        def pace(event: MarketEvent) -> bool:
            del event
            if not asked and account.pipeline.ledger.exposure() > 0:
                asked.append(ask(database, Flatten))
                ask(database, Pause)
            return True

        account.run(until_ts_ns=None, pace=pace)
        account.finish(is_complete=True)
    assert rows(database, "SELECT exit_reason, count(*) FROM v_round_trips GROUP BY 1") in (
        [("kill", 1)],
        [("kill", 2)],
    )
    assert rows(database, "SELECT count(*) FROM positions WHERE quantity <> 0") == [(0,)]
    assert check_database(database).is_sound


def test_an_operator_names_what_exists(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    with pytest.raises(BadInput, match="does not exist"):
        ask(database, Kill)
    trade(spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",))), database)
    with pytest.raises(BadInput, match="'SPY' is not of the account paper, which trades ALFA"):
        ask(database, Kill, symbol="SPY")
    with pytest.raises(BadInput, match="'s2' is not of this account, which runs s1_vwap_ema"):
        ask(database, Kill, strategy_id="s2")
