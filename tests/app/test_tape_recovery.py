"""A tape with revisions, gaps and refusals in a real journal: killed anywhere, it recovers to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.app.modes import RunSpec
from engine.app.settings import load_risk
from engine.app.stored_runs import replay_database
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.calendars import load_sessions
from engine.core.errors import BadInput
from engine.core.messages import Event, MarketEvent, Step
from engine.core.values import MINUTE_NS, SECOND_NS
from engine.feeds.files import MarketKind, ordered_table
from engine.feeds.replay import ReplayFeed
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
SESSION = load_sessions("XNYS").session_from(1_735_828_200 * SECOND_NS)


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


def tape(*, numbered: bool) -> ReplayFeed:
    """Return the last hour of a session: sweeps alone in some minutes, unknown masks, auctions after the close."""
    random = np.random.Generator(np.random.PCG64(11))
    count = 900
    start = SESSION.close_ts_ns - 60 * MINUTE_NS
    ts_ns = start + np.sort(random.integers(0, 62 * MINUTE_NS, count))
    minutes = (ts_ns - start) // MINUTE_NS
    conditions = np.where(minutes % 5 == 2, 0x20, 0x1)
    conditions[random.integers(0, count, 12)] = -1
    conditions[-3:], exchanges = 0x80, ["N"] * count
    sequence = np.cumsum(random.choice([1, 1, 1, 1, 1, 3], count))
    sequence[100::97] = sequence[99::97][: len(sequence[100::97])]
    extras = {"exchange": pa.array(exchanges), "conditions": pa.array(conditions)}
    if numbered:
        extras = {"sequence": pa.array(sequence)}
    table = ordered_table(
        kind=MarketKind.TICKS,
        symbols=("ALFA",),
        codes=np.zeros(count, dtype=np.int64),
        ts_ns=ts_ns,
        columns={
            "price": np.round(100 + np.cumsum(random.integers(-2, 3, count)) * 0.01, 2),
            "size": random.integers(1, 500, count).astype(np.float64),
        },
        extras=extras,
    )
    return ReplayFeed([table])


def spec_of(feed: ReplayFeed, **changes: Any) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}),
        feed=feed,
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        **changes,
    )


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


BARS = "SELECT start_ts_ns, revision, open, high, low, close, volume, tick_count, complete FROM bars ORDER BY 1, 2"


@pytest.mark.parametrize("steps", [3, 9, 17, 30, 44, 58, 61])
def test_revisions_recover(tmp_path: Path, steps: int) -> None:
    spec = spec_of(tape(numbered=False), trade_filter="lean", listing_exchanges={"ALFA": "N"})
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    trade(spec, whole)
    revisions = rows(whole, "SELECT count(*) FROM bars WHERE revision > 0")[0][0]
    assert revisions >= 12
    assert rows(whole, "SELECT count(*) > 0 FROM refused_inputs WHERE reason = 'condition'") == [(1,)]
    with pytest.raises(Killed):
        trade(spec, cut, steps)
    trade(spec, cut)
    assert check_database(cut).is_sound
    assert rows(cut, BARS) == rows(whole, BARS)


@pytest.mark.parametrize("steps", [4, 21, 50])
def test_gaps_and_duplicates_recover(tmp_path: Path, steps: int) -> None:
    spec = spec_of(tape(numbered=True))
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    trade(spec, whole)
    assert rows(whole, "SELECT count(*) > 50 FROM gaps WHERE reason LIKE '%missing before the print%'") == [(1,)]
    assert rows(whole, "SELECT count(*) > 0 FROM refused_inputs WHERE reason = 'duplicate'") == [(1,)]
    with pytest.raises(Killed):
        trade(spec, cut, steps)
    # Every journaled step comes out again; the run goes on from there.
    trade(spec, cut)
    assert check_database(cut).is_sound


def corrected_tape() -> ReplayFeed:
    """Return half an hour of numbered prints, of which some are corrected or canceled two minutes later."""
    start = SESSION.open_ts_ns
    count = 180
    corrects = [place - 12 if place % 20 == 19 else None for place in range(count)]
    table = ordered_table(
        kind=MarketKind.TICKS,
        symbols=("ALFA",),
        codes=np.zeros(count, dtype=np.int64),
        ts_ns=start + np.arange(count) * 10 * SECOND_NS,
        columns={
            "price": np.array([100 + place % 7 * 0.01 for place in range(count)]),
            "size": np.array([0.0 if place % 40 == 39 else 100.0 for place in range(count)]),
        },
        extras={
            "sequence": pa.array([None if corrects[place] else place + 1 for place in range(count)]),
            "corrects": pa.array(corrects),
        },
    )
    return ReplayFeed([table])


def test_corrections_of_a_tape_revise_without_a_filter(tmp_path: Path) -> None:
    spec = spec_of(corrected_tape())
    assert spec.settings["keeps_prints"] is True
    database = tmp_path / "r.sqlite"
    trade(spec, database)
    assert rows(database, "SELECT count(*) > 3 FROM bars WHERE revision > 0") == [(1,)]
    assert check_database(database).is_sound
    assert replay_database(database).is_same
    # A later process goes on: the feed of the same file asks for the same.
    trade(spec, database)
    assert replay_database(database).is_same


def test_a_run_names_its_filter() -> None:
    feed = tape(numbered=False)
    assert "trade_filter" not in spec_of(feed).settings
    assert "keeps_prints" not in spec_of(feed).settings
    named = spec_of(feed, trade_filter="lean", listing_exchanges={"ALFA": "N"}).settings
    assert (named["trade_filter"], named["listing_exchanges"]) == ("lean", "ALFA=N")
    with pytest.raises(BadInput, match="'tape' is unknown"):
        spec_of(feed, trade_filter="tape")
