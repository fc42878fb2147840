"""The command as a user runs it: in this process where that is enough, as a process of its own where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from engine.cli.main import guarded
from engine.feeds.files import MarketTable
from engine.feeds.synthetic import SyntheticFeed, SyntheticMode, synthetic_bars

_COMMAND = (sys.executable, "-m", "engine.cli")


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Read standard output as JSON."""
        return json.loads(self.out)


def write_table(table: MarketTable, path: Path) -> Path:
    """Write a market table as CSV or Parquet, by the ending."""
    columns: dict[str, Any] = {
        "symbol": [table.symbols[code] for code in table.codes.tolist()],
        "ts": pa.array(table.ts_ns, pa.timestamp("ns", "UTC")),
        **table.columns,
    }
    if path.suffix == ".csv":
        csv.write_csv(pa.table(columns), path)
    else:
        pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in an empty folder, with no settings but its own, and without colours."""
    monkeypatch.chdir(tmp_path)
    for name in ("RATCHET_DB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def ratchet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = guarded([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return Outcome(code, shown.out, shown.err)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command as a process of its own; whatever still runs when the test ends is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*_COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold `bars.csv` and `bars.parquet` of six sessions, and `ticks.parquet` and `quotes.parquet` of two."""
    folder = tmp_path_factory.mktemp("market")
    bars = synthetic_bars(3, sessions=6)
    write_table(bars, folder / "bars.csv")
    write_table(bars, folder / "bars.parquet")
    feed = SyntheticFeed(seed=9, symbols=("ALFA",), sessions=2, mode=SyntheticMode.TICKS)
    for kind, tables in zip(("quotes", "ticks"), zip(*feed.tables(), strict=True), strict=True):
        parts = [pq.read_table(write_table(table, folder / f"{kind}_part.parquet")) for table in tables]
        pq.write_table(pa.concat_tables(parts), folder / f"{kind}.parquet")
    return folder
