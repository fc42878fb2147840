"""Killed inside a minute: its prints and quotes come again, for the bars only. What they did is in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.app.modes import RunSpec
from engine.app.settings import load_risk
from engine.app.strategy_loader import LoadedStrategy
from engine.app.trading import TradingAccount
from engine.calendars import load_sessions
from engine.core.bars import PrintSource
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Bar, Event, MarketEvent, Quote, Signal, SignalKind, Step
from engine.core.signals import Context
from engine.core.values import MINUTE_NS, SECOND_NS
from engine.feeds.files import MarketKind, ordered_table
from engine.feeds.replay import ReplayFeed
from engine.rules import NoParameters
from engine.store.check import check_database
from engine.store.connection import open_reader
from engine.testing.scenario import ScriptedStrategy

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
START_TS_NS = load_sessions("XNYS").session_from(1_735_828_200 * SECOND_NS).close_ts_ns - 60 * MINUTE_NS
HASH = "SELECT hex(hash) FROM inputs ORDER BY id DESC LIMIT 1"
TRADES = "SELECT leg, side, price, quantity FROM trades ORDER BY id"
REFUSED = "SELECT reason, count, ts_ns FROM refused_inputs ORDER BY id"
ASKED_AGAIN = "SELECT count(*) FROM inputs WHERE kind = 'CancelRejected'"
BARS = "SELECT start_ts_ns, open, high, low, close, volume, tick_count, quote_count FROM bars ORDER BY 1"


class Trailer(ScriptedStrategy):
    """Enter at every fourth bar that finds it flat, with a target and a stop that trails."""

    def __init__(self) -> None:
        super().__init__({})
        self.seen = 0

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        del bar
        return self._at(4, context)

    def _at(self, every: int, context: Context) -> Sequence[Signal]:
        self.seen += 1
        if self.seen % every != 1 or not context.is_flat or context.has_working_entry:
            return ()
        return (
            Signal(kind=SignalKind.ENTER, stop_distance=0.3, target_distance=0.5, trail_distance=0.2, reason="test"),
        )


class QuoteTrailer(Trailer):
    """Enter at every seventh quote instead: its state is made of quotes that yielded nothing."""

    wants_quotes = True

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        del bar, context
        return ()

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        del quote
        return self._at(7, context)


@dataclass
class ManualClock:
    """A clock that stands still."""

    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000


class Killed(BaseException):
    """Ends a process at a step."""


@dataclass
class KillAfter:
    """Kill at the n-th journaled step."""

    steps: int

    def __call__(self, event: Event, step: Step) -> None:
        del event, step
        self.steps -= 1
        if not self.steps:
            raise Killed


def always(event: MarketEvent) -> bool:
    del event
    return True


def trade(spec: RunSpec, database: Path, steps: int | None = None) -> None:
    observer = None if steps is None else KillAfter(steps)
    with TradingAccount(spec, database, ManualClock(), observer=observer) as account:
        account.run(until_ts_ns=None, pace=always)
        account.finish(is_complete=True)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = open_reader(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def spec_of(strategy: type[Trailer], feed: ReplayFeed, style: ExitStyle = ExitStyle.REST_STOP) -> RunSpec:
    return RunSpec(
        strategy=LoadedStrategy(
            import_string=f"strategies.trailer:{strategy.__name__}",
            name="trailer",
            strategy_type=strategy,
            parameters=NoParameters(),
        ),
        feed=feed,
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        exit_style=style,
        prints_from=PrintSource.QUOTES if MarketKind.QUOTES in feed.kinds else PrintSource.TICKS,
    )


def market(kind: MarketKind, seconds: Sequence[float], prices: Sequence[float]) -> ReplayFeed:
    count = len(prices)
    price = np.array(prices)
    sizes = np.full(count, 100.0)
    columns = {"price": price, "size": sizes}
    if kind is MarketKind.QUOTES:
        columns = {"bid": price, "ask": np.round(price + 0.01, 2), "bid_size": sizes, "ask_size": sizes}
    table = ordered_table(
        kind=kind,
        symbols=("ALFA",),
        codes=np.zeros(count, dtype=np.int64),
        ts_ns=START_TS_NS + np.array([int(second * 1000) for second in seconds]) * (SECOND_NS // 1000),
        columns=columns,
        extras={},
    )
    return ReplayFeed([table])


def wandering(kind: MarketKind) -> ReplayFeed:
    """Return ten minutes with often several events at one moment, some equal in everything, and some of no use."""
    random = np.random.Generator(np.random.PCG64(5))
    count = 260
    seconds = np.sort(random.integers(0, 600, count))
    prices = np.round(100 + np.cumsum(random.integers(-5, 6, count)) * 0.03, 2)
    prices[::40] = 0.0
    return market(kind, seconds.tolist(), prices.tolist())


def test_a_restart_does_not_sell_at_an_old_print(tmp_path: Path) -> None:
    """The print at 100.60 trailed the stop to 100.40; the one at 100.30 came before that."""
    early = [(minute * 60 + second, 100.0) for minute in range(3) for second in (5, 15, 25, 35, 45, 55)]
    late = [(185, 100.0), (190, 100.3), (200, 100.6), (206, 100.45), (212, 100.46), (220, 100.55), (320, 100.5)]
    seconds, prices = zip(*early, *late, strict=True)
    check_kills(spec_of(Trailer, market(MarketKind.TICKS, seconds, prices)), tmp_path, every=1, since=10)
    trades = [("entry", "buy", 100.0, 100.0), ("target", "sell", 100.5, 100.0)]
    assert rows(tmp_path / "whole.sqlite", TRADES)[:2] == trades


@pytest.mark.parametrize(
    ("kind", "strategy", "style", "every"),
    [
        (MarketKind.TICKS, Trailer, ExitStyle.REST_STOP, 2),
        (MarketKind.QUOTES, Trailer, ExitStyle.REST_STOP, 4),
        (MarketKind.QUOTES, QuoteTrailer, ExitStyle.REST_STOP, 59),
        (MarketKind.TICKS, Trailer, ExitStyle.BOTH_LEGS, 7),
    ],
)
def test_killed_anywhere_it_trades_the_same(
    tmp_path: Path, kind: MarketKind, strategy: type[Trailer], style: ExitStyle, every: int
) -> None:
    """Several events of one moment, some equal in everything and some refused: each is taken exactly once."""
    check_kills(spec_of(strategy, wandering(kind), style), tmp_path, every=every)
    assert len(rows(tmp_path / "whole.sqlite", TRADES)) >= 4


def check_kills(spec: RunSpec, folder: Path, *, every: int, since: int = 2) -> None:
    whole = folder / "whole.sqlite"
    trade(spec, whole)
    ((steps,),) = rows(whole, "SELECT count(*) FROM inputs")
    same = 0
    for number in range(since, steps, every):
        cut = folder / f"cut{number}.sqlite"
        with pytest.raises(Killed):
            trade(spec, cut, number)
        trade(spec, cut)
        for query in (TRADES, BARS, REFUSED):
            assert rows(cut, query) == rows(whole, query), f"killed after step {number}"
        if rows(cut, ASKED_AGAIN) == rows(whole, ASKED_AGAIN):
            same += 1
            assert rows(cut, HASH) == rows(whole, HASH), f"killed after step {number}"
        assert check_database(cut).is_sound
    # A cancel that is wanted is wanted again after a restart, and the venue's word on that is journaled.
    assert same > (steps - since) // every // 2
