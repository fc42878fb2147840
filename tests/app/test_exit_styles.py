"""Both exit styles from end to end: through the command line, over real bars, and killed and gone on with."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.app.modes import RunSpec
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.app.trading import TradingAccount
from engine.cli.main import guarded
from engine.core.bars import PrintSource
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Event, MarketEvent, Step
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode
from engine.store.check import check_database
from engine.store.connection import open_reader

SHIPPED_RISK = Path(__file__).parents[2] / "risk.yaml"
STYLES = [style.value for style in ExitStyle]
HASH = "SELECT hash FROM inputs ORDER BY id DESC LIMIT 1"
TRADES = "SELECT symbol, side, price, quantity, venue_ts_ns, leg FROM trades ORDER BY id"
HALTS = "SELECT count(*) FROM trading_states WHERE to_state = 'HALTED'"


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


def spec_of(style: str, feed: SyntheticFeed) -> RunSpec:
    return RunSpec(
        strategy=load_strategy("s1_vwap_ema", {}),
        feed=feed,
        risk=load_risk(SHIPPED_RISK),
        cash=Decimal(100_000),
        prints_from=PrintSource.TICKS,
        exit_style=ExitStyle(style),
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


def feeds() -> dict[str, Callable[[], SyntheticFeed]]:
    return {
        "bars": lambda: SyntheticFeed(seed=4, sessions=3, symbols=("ALFA", "BETA")),
        "ticks": lambda: SyntheticFeed(seed=6, sessions=2, symbols=("ALFA",), mode=SyntheticMode.TICKS),
    }


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["bars", "ticks"])
def test_killed_and_gone_on_with_it_trades_the_same(tmp_path: Path, style: str, kind: str) -> None:
    """I-18, in both styles: watched targets and swaps under way come back as they were."""
    spec = spec_of(style, feeds()[kind]())
    whole, parted = tmp_path / "whole.sqlite", tmp_path / "parted.sqlite"
    trade(spec, whole)
    assert rows(whole, TRADES)
    steps = rows(whole, "SELECT count(*) FROM inputs")[0][0]
    kills = 0
    while True:
        try:
            trade(spec, parted, observer=KillAfter(steps // 9))
            break
        except Killed:
            kills += 1
    assert kills >= 8
    for query in (TRADES, HASH, HALTS):
        assert rows(parted, query) == rows(whole, query)
    assert rows(whole, HALTS) == [(0,)]
    assert check_database(parted).is_sound


def test_an_account_keeps_its_exit_style(tmp_path: Path) -> None:
    feed = feeds()["bars"]()
    database = tmp_path / "kept.sqlite"
    trade(spec_of("rest_stop", feed), database)
    with pytest.raises(BadInput, match="holds a run with other exit style"):
        trade(spec_of("both_legs", feed), database)


@pytest.fixture
def spy_2024(data_dir: Path, tmp_path: Path) -> Path:
    table = pq.read_table(data_dir / "us_equity_minute" / "spy_1min_2024-03-26_2024-12-31.parquet")
    columns = {"symbol": table["symbol"], "ts": table["ts_utc"], "volume": table["volume"].cast(pa.float64())}
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array(table[f"{name}_e4"].to_numpy() / 1e4)
    path = tmp_path / "spy.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_both_styles_trade_spy_by_the_command_line(
    spy_2024: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "rest.sqlite"
    command = ["backtest", "s1_vwap_ema", "--bars", str(spy_2024), "--risk", str(SHIPPED_RISK), "--json"]

    def report(*options: str) -> dict[str, Any]:
        assert guarded([*command, *options]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    first = report("--exits", "rest_stop", "--both-exits", "--db", str(database))
    both = first["both_exits"]
    assert (both["both_legs"]["trades"], both["both_legs"]["net_pnl"]) == (724, "-177.8536")
    assert report("--exits", "rest_stop")["journal_hash"] == first["journal_hash"]
    assert rows(database, HALTS) == [(0,)]
    assert first["open_positions"] == 0
    assert set(first["exit_reasons"]) >= {"stop", "target"}
    # Entries are the same rule at the same bars; only the way out differs, so the counts are near.
    assert 600 < first["trades"] < 850
    never_two = "SELECT count(*) FROM positions WHERE quantity_e8 < 0"
    assert rows(database, never_two) == [(0,)]
    assert check_database(database).is_sound
