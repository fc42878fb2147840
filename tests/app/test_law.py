"""A journal is gone on with only under the law that began it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from engine.app.clock import SystemClock
from engine.app.modes import RunSpec, backtest
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.core.errors import BadInput
from engine.core.pipeline import LAW_VERSION
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode, synthetic_bars
from engine.store.check import check_database
from engine.store.connection import open_reader, open_writer
from engine.store.migrate import check_revision, upgrade
from engine.testing.old_databases import restore_dump

DUMPS = Path(__file__).parents[1] / "store" / "data"
SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"


def spec_of(feed: ReplayFeed | SyntheticFeed) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}), feed=feed, risk=load_risk(SHIPPED_RISK), cash=Decimal(100_000)
    )


def asked(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = open_reader(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def changed(database: Path, statement: str) -> None:
    connection = open_writer(database)
    connection.execute(statement)
    connection.close()


#: Law -> hash of the journal below, for each law that a release has. Add the newest when it is released: from then on
#: whatever changes the journal of these inputs has to raise `LAW_VERSION`.
RELEASED = {1: "d86319687db503b3a186ca0698a4aad8508b4f91a62f3e5ebf496f16cf974064"}


def test_a_law_that_is_released_keeps_its_journals(tmp_path: Path) -> None:
    # All defaults: the ids of orders depend on the file's bytes, and the shipped one has comments that change.
    risk = tmp_path / "risk.yaml"
    risk.write_text("{}\n")
    spec = replace(spec_of(ReplayFeed([synthetic_bars(22, sessions=2)])), risk=load_risk(risk), fees="robinhood")
    found = backtest(spec, tmp_path / "x.sqlite", wall_ts_ns=0).journal_hash
    assert RELEASED.get(LAW_VERSION, found) == found


def test_a_run_notes_its_law(tmp_path: Path) -> None:
    database = tmp_path / "x.sqlite"
    backtest(spec_of(ReplayFeed([synthetic_bars(3, sessions=1)])), database, wall_ts_ns=0)
    ((settings,),) = asked(database, "SELECT settings FROM runs")
    assert json.loads(settings)["law_version"] == LAW_VERSION


def test_a_run_keeps_its_risk_file_and_its_rule_in_words(tmp_path: Path) -> None:
    database = tmp_path / "x.sqlite"
    backtest(spec_of(ReplayFeed([synthetic_bars(3, sessions=1)])), database, wall_ts_ns=0)
    ((settings, risk_hash),) = asked(database, "SELECT settings, risk_hash FROM runs")
    assert sha256(json.loads(settings)["risk_file"].encode()).hexdigest() == risk_hash
    ((rule,),) = asked(database, "SELECT rule FROM strategies")
    assert rule.startswith("enter where fast crosses above slow & close > session_vwap & ")


def test_an_account_of_an_older_law_is_not_traded_on_and_not_touched(tmp_path: Path) -> None:
    database = restore_dump(DUMPS / "schema_0001_paper.sql.gz", tmp_path / "paper.sqlite")
    feed = SyntheticFeed(seed=9, sessions=None, symbols=("ALFA",), mode=SyntheticMode.TICKS)
    with (
        pytest.raises(BadInput, match=f"traded under law 1 and this program decides by law {LAW_VERSION}: go on with"),
        TradingAccount(spec_of(feed), database, SystemClock()),
    ):
        pytest.fail("it was opened")
    connection = open_reader(database)
    # The program that wrote it refuses a newer schema, and may have to protect what is held.
    assert check_revision(connection, database) == "0001"
    connection.close()
    upgrade(database)
    assert check_database(database).is_sound


@pytest.mark.parametrize("append", [False, True])
def test_an_interrupted_backtest_of_an_older_law_is_repeated_beside_it(tmp_path: Path, append: bool) -> None:  # noqa: FBT001 - a parameter
    database = tmp_path / "x.sqlite"
    spec = spec_of(ReplayFeed([synthetic_bars(22, sessions=2)]))
    backtest(spec, database, wall_ts_ns=0)
    changed(
        database,
        "UPDATE runs SET status = 'running', final_step = NULL, settings = json_remove(settings, '$.law_version')",
    )
    if not append:
        with pytest.raises(BadInput, match=r"backtest-1 in .* was begun under law 1 .*: add --append"):
            backtest(spec, database, wall_ts_ns=0)
        return
    finished = backtest(spec, database, wall_ts_ns=0, append=True)
    assert (finished.account.name, finished.was_resumed) == ("backtest-2", False)
    assert check_database(database).is_sound


def test_an_interrupted_backtest_of_the_same_law_is_gone_on_with(tmp_path: Path) -> None:
    database = tmp_path / "x.sqlite"
    spec = spec_of(ReplayFeed([synthetic_bars(22, sessions=2)]))
    backtest(spec, database, wall_ts_ns=0)
    changed(database, "UPDATE runs SET status = 'running'")
    assert backtest(spec, database, wall_ts_ns=0).was_resumed
