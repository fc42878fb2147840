"""What the killed runs trade: small recorded markets, a strategy that trades often, and how exits are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.core.values import MINUTE_NS
from engine.feeds.files import MarketTable
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode

#: An average of three bars crosses one of eight every few minutes, and distances are short.
_STRATEGY: Final = '''"""Trade often: for runs that are killed."""

from engine.indicators import ATR, EMA
from engine.strategy import NoParameters, RuleStrategy, crosses_above


class KilledOften(RuleStrategy[NoParameters]):
    """Enter on a cross of two short averages; leave by a near stop or target."""

    parameters_type = NoParameters

    def indicators(self):
        return {"fast": EMA(period=3), "slow": EMA(period=8), "range": ATR(period=5)}

    def entry(self, bar):
        return crosses_above(bar.fast, bar.slow)

    def stop_distance(self, bar):
        return 1.5 * bar.range

    def target_distance(self, bar):
        return 2 * bar.range
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Hold one way to trade that is tried."""

    name: str
    mode: SyntheticMode
    exits: str
    strategy: str = "killed_often"
    symbols: tuple[str, ...] = ("ALFA",)
    sessions: int = 1
    #: How much of the last session is traded.
    minutes: int = 150
    options: tuple[str, ...] = ()

    def prepare(self, folder: Path, market_seed: int) -> list[str]:
        """Write market and strategy into a folder, and return the arguments of `ratchet run` but for the database."""
        (folder / "strategies").mkdir(parents=True, exist_ok=True)
        (folder / "strategies" / "killed_often.py").write_text(_STRATEGY, encoding="utf-8")
        feed = SyntheticFeed(
            seed=market_seed,
            symbols=self.symbols,
            sessions=self.sessions,
            mode=self.mode,
            volatility=1.5,
            full_sessions_only=True,
        )
        until_ts_ns = feed.schedule[-1].open_ts_ns + self.minutes * MINUTE_NS
        arguments = ["run", "--exits", self.exits, "--strategy", self.strategy, *self.options, "--speed", "0"]
        for tables in zip(*feed.tables(), strict=True):
            kind = tables[0].kind.value
            path = folder / f"{kind}.csv"
            path.write_text(_csv(tables, until_ts_ns), encoding="utf-8")
            arguments += [f"--{kind}", str(path)]
        return arguments


#: Both exit styles, bars and tape, one and two symbols, with and without latency, fees and slippage.
TRIALS: Final = (
    Trial(name="bars, linked legs", mode=SyntheticMode.BARS, exits="both_legs", minutes=240),
    Trial(name="bars, resting stop", mode=SyntheticMode.BARS, exits="rest_stop", minutes=240),
    Trial(
        name="bars of two, resting stop, latency",
        mode=SyntheticMode.BARS,
        exits="rest_stop",
        symbols=("ALFA", "BETA"),
        options=("--latency-ms", "1500", "--fees", "robinhood"),
    ),
    Trial(
        name="bars, linked legs, S1, slippage",
        mode=SyntheticMode.BARS,
        exits="both_legs",
        strategy="s1_vwap_ema",
        sessions=2,
        minutes=390,
        options=("--slippage-bps", "2"),
    ),
    Trial(name="tape, linked legs", mode=SyntheticMode.TICKS, exits="both_legs", minutes=180),
    Trial(name="tape, resting stop", mode=SyntheticMode.TICKS, exits="rest_stop", minutes=180),
)


def _csv(tables: Sequence[MarketTable], until_ts_ns: int) -> str:
    # By hand: Arrow would start threads, and a process with threads is not one to fork.
    names = list(tables[0].columns)
    lines = [",".join(["symbol", "ts", *names])]
    for table in tables:
        columns = [table.columns[name].tolist() for name in names]
        lines += [
            ",".join([table.symbols[code], _utc(ts_ns), *map(repr, values)])
            for code, ts_ns, *values in zip(table.codes.tolist(), table.ts_ns.tolist(), *columns, strict=True)
            if ts_ns < until_ts_ns
        ]
    return "\n".join(lines) + "\n"


def _utc(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
