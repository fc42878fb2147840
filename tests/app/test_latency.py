"""With latency the venue's word comes at its own time, between bars too: nothing waits for a bar's end to be heard."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Event, MarketEvent, Step
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
MS = 1_000_000
STYLES = pytest.mark.parametrize("style", list(ExitStyle))
HASH = "SELECT hash FROM inputs ORDER BY id DESC LIMIT 1"
TRADES = "SELECT symbol, side, price, quantity, venue_ts_ns, leg FROM trades ORDER BY id"
TRIPS = "SELECT count(*) FROM v_round_trips"
RESTRICTED = "SELECT to_state, reason FROM trading_states WHERE to_state <> 'ACTIVE'"
# Left because its time without a stop ran out.
RAN_OUT = "SELECT * FROM bracket_events WHERE from_state IN ('UNPROTECTED', 'PROTECTING') AND to_state = 'EXITING'"
ANSWERS = (
    "SELECT DISTINCT e.ts_ns - o.submit_ts_ns, e.venue_ts_ns - o.submit_ts_ns FROM order_events e "
    "JOIN orders o ON o.account_id = e.account_id AND o.id = e.order_id "
    "WHERE e.from_state = 'NEW' AND e.to_state = 'ACK'"
)


class ManualClock:
    """A clock that stands still."""

    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000


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


def always(event: MarketEvent) -> bool:
    del event
    return True


def spec_of(style: ExitStyle, latency_ms: int, feed: SyntheticFeed) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}),
        feed=feed,
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        exit_style=style,
        latency_ns=latency_ms * MS,
    )


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


@STYLES
@pytest.mark.parametrize("latency_ms", [40, 500])
def test_a_late_venue_is_no_silent_one(tmp_path: Path, style: ExitStyle, latency_ms: int) -> None:
    def run(name: str, ms: int, *symbols: str) -> Path:
        database = tmp_path / f"{name}.sqlite"
        backtest(spec_of(style, ms, SyntheticFeed(seed=4, sessions=6, symbols=symbols)), database, wall_ts_ns=1)
        assert rows(database, RESTRICTED) == []
        assert rows(database, RAN_OUT) == []
        assert check_database(database).is_sound
        return database

    prompt, late = run("prompt", 0, "ALFA", "BETA"), run("late", latency_ms, "ALFA", "BETA")
    trips = rows(prompt, TRIPS)[0][0]
    assert trips >= 20
    assert abs(rows(late, TRIPS)[0][0] - trips) <= trips // 5
    assert rows(run("again", latency_ms, "ALFA", "BETA"), HASH) == rows(late, HASH)
    # Every order of one share is answered exactly so much later, by the engine's time as by the venue's.
    assert rows(run("one", latency_ms, "ALFA"), ANSWERS) == [(latency_ms * MS, latency_ms * MS)]


@STYLES
@pytest.mark.parametrize("mode", list(SyntheticMode))
def test_killed_with_commands_on_their_way_it_trades_the_same(
    tmp_path: Path, style: ExitStyle, mode: SyntheticMode
) -> None:
    """I-18: what was on its way to the venue at a kill arrives when it would have."""
    seed, symbols = (4, ("ALFA", "BETA")) if mode is SyntheticMode.BARS else (6, ("ALFA",))
    spec = spec_of(style, 500, SyntheticFeed(seed=seed, sessions=2, symbols=symbols, mode=mode))
    whole, parted = tmp_path / "whole.sqlite", tmp_path / "parted.sqlite"
    trade(spec, whole)
    ((first, trades),) = rows(whole, "SELECT (SELECT min(step_id) FROM signals), (SELECT count(*) FROM trades)")
    assert trades >= 2
    # At the first signal, at every step from there into the first round trip, and then here and there.
    kills = iter([first, *[1] * 15, *[97] * 2])
    for _ in range(16):
        with pytest.raises(Killed):
            trade(spec, parted, observer=KillAfter(next(kills)))
    for steps in kills:
        with suppress(Killed):
            trade(spec, parted, observer=KillAfter(steps))
    trade(spec, parted)
    assert rows(parted, TRADES) == rows(whole, TRADES)
    assert rows(parted, HASH) == rows(whole, HASH)
    assert check_database(parted).is_sound
