"""A paper account is compared with its venue: silence where they agree, a labelled row and a halt where they do not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.app.modes import RunSpec
from engine.app.operators import post
from engine.app.settings import load_risk
from engine.app.stored_runs import replay_database
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount, book_path
from engine.core.errors import BadInput
from engine.core.messages import EMPTY_STEP, AccountListed, Event, OrderRejected, Resume, Step
from engine.core.pipeline.adopting import EXTERNAL
from engine.core.values import DAY_NS, SECOND_NS
from engine.feeds.synthetic import SyntheticFeed
from engine.ports import Clock
from engine.store.check import check_database
from engine.store.connection import open_reader, open_writer, sqlite
from engine.testing.scenario import SPY, Scenario, enter
from engine.venues.listings import listed_order

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
HASH = "SELECT hash FROM inputs ORDER BY id DESC LIMIT 1"


@dataclass
class ManualClock:
    """A clock that stands still."""

    ts_ns: int = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.ts_ns


class Killed(BaseException):
    """Ends a process at a step, as SIGKILL does."""


def spec_of(feed: SyntheticFeed, **changes: Any) -> RunSpec:
    strategy, risk = load_strategy("s1_vwap_ema", {}), load_risk(SHIPPED_RISK)
    return RunSpec(strategy=strategy, feed=feed, risk=risk, cash=Decimal(100_000), **changes)


def trade(
    spec: RunSpec,
    database: Path,
    *,
    until_ts_ns: int | None = None,
    observer: Callable[[Event, Step], None] | None = None,
) -> None:
    clock: Clock = ManualClock()
    with TradingAccount(spec, database, clock, observer=observer) as account:
        account.run(until_ts_ns=until_ts_ns, pace=lambda _event: True)
        account.finish(is_complete=True)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(open_reader(database)) as connection:
        return [tuple(row) for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("latency_ns", [0, 700_000_000])
def test_where_they_agree_the_journal_does_not_tell_of_it(tmp_path: Path, latency_ns: int) -> None:
    feed = SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA"))
    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    trade(spec_of(feed, latency_ns=latency_ns), whole)
    assert rows(whole, "SELECT count(*) FROM trades")[0][0] > 0
    assert rows(whole, "SELECT count(*) FROM inputs WHERE kind = 'AccountListed'") == [(0,)]
    last = rows(whole, "SELECT max(id) FROM inputs")[0][0]

    # Asked at other moments, for it starts at other ones: the same journal.
    for every in (last // 3, last // 4):
        seen: list[Step] = []

        def observe(event: Event, step: Step, seen: list[Step] = seen, every: int = every) -> None:
            del event
            seen.append(step)
            if len(seen) == every:
                raise Killed

        with pytest.raises(Killed):
            trade(spec_of(feed, latency_ns=latency_ns), killed, observer=observe)
    trade(spec_of(feed, latency_ns=latency_ns), killed)
    assert rows(killed, HASH) == rows(whole, HASH)


def test_an_order_that_both_know_as_refused_is_nothing_new() -> None:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.reject(entry)
    now = scenario.now_ts_ns
    refused = OrderRejected(client_order_id=entry.client_order_id, reason="no", venue_ts_ns=now, received_ts_ns=now)
    order = listed_order(entry, [refused], venue_order_id="P1", instrument_id=SPY, created_ts_ns=now, is_open=False)
    times = {"venue_ts_ns": now, "received_ts_ns": now, "asked_ts_ns": now}
    listed = AccountListed(**times, orders=(order,), positions=(), is_complete=True)
    assert scenario.give(listed) is EMPTY_STEP


def hold_more(database: Path, shares: int) -> None:
    """Change what the paper venue holds, behind the engine's back."""
    with closing(sqlite.connect(str(book_path(database)), isolation_level=None)) as connection:
        ((lane, text),) = connection.execute("SELECT instrument_id, body FROM lanes LIMIT 1").fetchall()
        body = msgspec.json.decode(text)
        body["position"] = str(Decimal(body["position"]) + shares)
        connection.execute(
            "UPDATE lanes SET body = ? WHERE instrument_id = ?", (msgspec.json.encode(body).decode(), lane)
        )


def test_an_edited_book_is_recorded_taken_over_and_halts(tmp_path: Path) -> None:
    """I-6, I-10."""
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=3, symbols=("ALFA",))
    first, second = feed.schedule[1], feed.schedule[2]
    trade(spec_of(feed), database, until_ts_ns=first.close_ts_ns)
    assert rows(database, "SELECT count(*) FROM position_comparisons") == [(0,)]
    assert rows(database, "SELECT count(*) FROM positions WHERE quantity_e8 <> 0") == [(0,)]
    before = rows(database, "SELECT count(*) FROM trades")

    hold_more(database, 7)
    spec = spec_of(feed)
    # Opened is enough to see it; a later listing has to agree before the books take it over.
    with TradingAccount(spec, database, ManualClock()) as account:
        assert account.recovered_steps
    verdicts = "SELECT verdict, booked_quantity, listed_quantity FROM position_comparisons ORDER BY step_id"
    assert rows(database, verdicts) == [("drift", 0, 7)]
    trade(spec, database, until_ts_ns=second.open_ts_ns + 600 * SECOND_NS)
    assert rows(database, verdicts) == [("drift", 0, 7), ("adopted", 0, 7)]
    assert rows(database, "SELECT strategy_id, quantity FROM positions WHERE quantity_e8 <> 0") == [(EXTERNAL, 7)]
    assert rows(database, "SELECT kind, strategy_id, quantity FROM position_adjustments") == [("adoption", EXTERNAL, 7)]
    ((state, symbol, source),) = rows(
        database,
        "SELECT t.to_state, i.symbol, t.source FROM trading_states AS t "
        "JOIN instruments AS i ON i.instrument_id = t.instrument_id",
    )
    assert (state, symbol, source) == ("HALTED", "ALFA", "engine")
    trade(spec, database)
    assert rows(database, "SELECT count(*) FROM trades") == before
    assert check_database(database).is_sound
    assert replay_database(database).is_same


def test_an_account_from_before_there_was_an_owner_gets_one(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    spec = spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",)))
    trade(spec, database)
    owners = "SELECT strategy_id FROM strategies ORDER BY strategy_id"
    assert rows(database, owners) == [(EXTERNAL,), ("s1_vwap_ema",)]
    with closing(open_writer(database)) as connection:
        connection.execute("DELETE FROM strategies WHERE strategy_id = ?", (EXTERNAL,))
    trade(spec, database)
    assert rows(database, owners) == [(EXTERNAL,), ("s1_vwap_ema",)]


def test_nobody_steers_what_nobody_here_bought(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    trade(spec_of(SyntheticFeed(seed=4, sessions=1, symbols=("ALFA",))), database)
    with pytest.raises(BadInput, match="'EXTERNAL' is not of this account, which runs s1_vwap_ema"):
        post(
            database,
            Resume,
            strategy_id=EXTERNAL,
            symbol=None,
            reason="",
            requested_by="tester",
            wall_ts_ns=1,
        )


def test_the_venue_lists_what_is_open_and_what_ended_in_a_day(tmp_path: Path) -> None:
    database = tmp_path / "paper.sqlite"
    feed = SyntheticFeed(seed=4, sessions=2, symbols=("ALFA", "BETA"))
    spec = spec_of(feed)
    with TradingAccount(spec, database, ManualClock()) as account:
        account.run(until_ts_ns=None, pace=lambda _event: True)
        now = account.pipeline.now_ts_ns
        for later_ns, are_there in ((0, True), (2 * DAY_NS, False)):
            account.venue.query_account(now + later_ns)
            (listed,) = account.venue.drain()
            assert isinstance(listed, AccountListed)
            assert bool(listed.orders) is are_there
        account.finish(is_complete=True)
