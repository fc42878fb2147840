"""Speed, measured: `make bench` prints medians, ratios of one run, and the commit; nothing here is a timed test.

Each figure is measured several times in this process on one core; the median counts. The asked figures are those of
the project's first issue.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np

from engine.app.loop import EngineLoop, quiet_garbage_collector
from engine.app.modes import RunSpec, backtest, make_pipeline, make_venue, opening
from engine.app.results import performance
from engine.app.settings import load_risk
from engine.app.strategy_loader import load_strategy
from engine.core.bars import BarBuilder
from engine.core.messages import Tick
from engine.core.values import MINUTE_NS, AlwaysOpen, InstrumentId
from engine.feeds.batch_bars import bars_from_ticks
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import synthetic_bars
from engine.store.connection import open_reader
from engine.store.writer import MemoryJournal

BARS = 98_280
REPEATS = 5
TICKS = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One measured figure beside the asked one."""

    name: str
    value: float
    unit: str
    asked: str
    is_met: bool
    note: str = ""


def timed(work: Callable[[], Any], *, repeats: int = REPEATS) -> list[float]:
    """Return the seconds of several runs, after one that warms up."""
    work()
    seconds = []
    for _ in range(repeats):
        gc.collect()
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds


def at_least(name: str, rate: float, asked: float, unit: str, note: str = "") -> Figure:
    """Return a figure that has to reach a rate."""
    return Figure(name, rate, unit, f">= {asked:,.0f}", rate >= asked, note)


def spec_of(feed: ReplayFeed) -> RunSpec:
    """Return S1 with its defaults over a feed, under the shipped risk file."""
    shipped = Path(__file__).parents[2] / "risk.yaml"
    return RunSpec(strategy=load_strategy("s1_vwap_ema", {}), feed=feed, risk=load_risk(shipped), cash=Decimal(100_000))


def pipeline_in_memory(feed: ReplayFeed) -> Figure:
    """Every bar through `Pipeline.step` with an in-memory journal; making each event included."""
    spec = spec_of(feed)

    def work() -> None:
        loop = EngineLoop(make_pipeline(spec, UUID(int=1)), make_venue(spec), MemoryJournal(), is_durable=False)
        events = feed.events()
        loop.process(opening(spec, 0))
        with quiet_garbage_collector():
            loop.run(events)

    seconds = timed(work)
    return at_least("bars through Pipeline.step, journal in memory", BARS / median(seconds), 100_000, "bars/s")


def pipeline_in_sqlite(feed: ReplayFeed) -> Figure:
    """The whole backtest into a new file: making it, SQLite journal, hash, equity, and closing it."""
    spec = spec_of(feed)
    with TemporaryDirectory(dir=scratch()) as folder:
        names = (Path(folder) / f"{number}.sqlite" for number in count())
        seconds = timed(lambda: backtest(spec, next(names), wall_ts_ns=0))
        connection = open_reader(Path(folder) / "0.sqlite")
        trips = len(performance(connection, 1).round_trips)
        connection.close()
    note = f"{trips:,} round trips"
    return at_least("backtest into SQLite (journal, hash, equity)", BARS / median(seconds), 70_000, "bars/s", note)


def scratch() -> str | None:
    """Return where files of a measurement go: RATCHET_BENCH_DIR, else the system's place for temporary files."""
    return os.environ.get("RATCHET_BENCH_DIR")


def tick_columns(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sorted times (ns), prices and sizes: about 120 prints a minute."""
    random = np.random.Generator(np.random.PCG64(7))
    start = 1_735_828_200 * 10**9
    ts_ns = start + np.sort(random.integers(0, rows // 120 * MINUTE_NS, rows))
    price = np.round(100 + np.cumsum(random.integers(-1, 2, rows)) * 0.01, 2)
    return ts_ns, price, random.integers(1, 500, rows).astype(np.float64)


def builder_alone() -> Figure:
    """`BarBuilder.on_tick` alone, over ticks that exist."""
    ts_ns, price, size = tick_columns(TICKS)
    ticks = [
        Tick(venue_ts_ns=ts, received_ts_ns=ts, instrument_id=InstrumentId(1), price=each, size=amount)
        for ts, each, amount in zip(ts_ns.tolist(), price.tolist(), size.tolist(), strict=True)
    ]

    def work() -> None:
        on_tick = BarBuilder(InstrumentId(1), AlwaysOpen()).on_tick
        for tick in ticks:
            on_tick(tick)

    with quiet_garbage_collector():
        seconds = timed(work)
    return at_least("BarBuilder alone", TICKS / median(seconds), 2_000_000, "ticks/s")


def ticks_through_step() -> Figure:
    """Building a `Tick`, stepping it and throwing it away."""
    columns = [column.tolist() for column in tick_columns(TICKS)]
    feed = ReplayFeed([synthetic_bars(1, sessions=1, symbol="BTC-USD")], calendar="24/7")

    def work() -> None:
        step = make_pipeline(spec_of(feed), UUID(int=1)).step
        for ts, price, size in zip(*columns, strict=True):
            step(Tick(venue_ts_ns=ts, received_ts_ns=ts, instrument_id=InstrumentId(1), price=price, size=size))

    with quiet_garbage_collector():
        seconds = timed(work)
    return at_least("ticks through Pipeline.step, made and dropped", TICKS / median(seconds), 400_000, "ticks/s")


def batch() -> Figure:
    """Ticks in arrays to minute bars in arrays."""
    rows = 10_000_000
    ts_ns, price, size = tick_columns(rows)
    seconds = timed(lambda: bars_from_ticks(ts_ns, price, size))
    return at_least("batch ticks to bars", rows / median(seconds), 50_000_000, "ticks/s")


def durable_transition() -> Figure:
    """One durable order transition against bare pysqlite3 running the same statements in the same run."""
    from durable import compare  # type: ignore[import-not-found] # beside this script

    with TemporaryDirectory(dir=scratch()) as folder:
        ours_us, bare_us = compare(Path(folder))
    ratio, extra = bare_us / ours_us, ours_us - bare_us
    return Figure(
        "one durable order transition (FULL)",
        round(extra, 1),
        "us more than bare",
        "<= 80 us more, or >= 70 % of its rate",
        extra <= 80 or ratio >= 0.7,
        f"ours {ours_us:.0f} us, bare {bare_us:.0f} us, {ratio:.0%} of its rate",
    )


def peak_memory() -> Figure:
    """The largest resident size of a fresh process that runs the backtest."""
    with TemporaryDirectory(dir=scratch()) as folder:
        printed = subprocess.run(
            [sys.executable, __file__, "--only-backtest", str(Path(folder) / "bench.sqlite")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    mebibytes = float(printed) / 1024
    return Figure("peak memory of that backtest", mebibytes, "MiB", "<= 250", mebibytes <= 250)


def only_backtest(database: str) -> None:
    """Run the backtest once and print the peak resident size, KiB."""
    backtest(spec_of(ReplayFeed([synthetic_bars()])), Path(database), wall_ts_ns=0)
    # Not `ru_maxrss`, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def commit() -> str:
    """Return the commit that is measured; `+` says that files differ from it."""
    git = ["git", "-C", str(Path(__file__).parents[2])]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True).stdout
        dirty = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.strip() + ("+" if dirty.strip() else "")


def measure() -> list[Figure]:
    """Return every figure."""
    feed = ReplayFeed([synthetic_bars()])
    return [
        pipeline_in_memory(feed),
        pipeline_in_sqlite(feed),
        builder_alone(),
        ticks_through_step(),
        batch(),
        durable_transition(),
        peak_memory(),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only-backtest", metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_backtest:
        only_backtest(arguments.only_backtest)
        return
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures = measure()
    where = f"commit {commit()}, Python {platform.python_version()}, one core of {platform.machine()}"
    if arguments.json:
        print(json.dumps({"where": where, "figures": [vars(figure) for figure in figures]}, indent=2))
        return
    print(f"{where}; medians of {REPEATS} runs\n")
    print("| Figure | Measured | Asked | Met | Note |\n| --- | ---: | ---: | --- | --- |")
    for figure in figures:
        met = "yes" if figure.is_met else "NO"
        print(f"| {figure.name} | {figure.value:,.0f} {figure.unit} | {figure.asked} | {met} | {figure.note} |")


if __name__ == "__main__":
    main()
