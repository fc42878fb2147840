"""The README tells the truth: its strategy runs as printed, its commands and its links exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from engine.feeds.synthetic import synthetic_bars

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def ratchet(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold what a reader would have: the file of bars and the strategy, as printed."""
    made = tmp_path_factory.mktemp("reader")
    table = synthetic_bars(9, sessions=3, symbol="SPY")
    columns = {"symbol": pa.array(["SPY"] * len(table)), "ts": pa.array(table.ts_ns).cast(pa.timestamp("ns", "UTC"))}
    columns |= {name: pa.array(table.columns[name]) for name in ("open", "high", "low", "close", "volume")}
    pacsv.write_csv(pa.table(columns), made / "my_bars.csv")
    (made / "strategies").mkdir()
    (snippet,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (made / "strategies" / "mine.py").write_text(snippet, encoding="utf-8")
    return made


def test_the_strategy_runs_as_printed(folder: Path) -> None:
    checked = ratchet(folder, "strategy", "check", "mine", "--bars", "my_bars.csv")
    assert checked.returncode == 0, checked.stderr
    ran = ratchet(folder, "backtest", "mine", "--bars", "my_bars.csv", "--json")
    assert ran.returncode == 0, ran.stderr
    assert '"open_positions": 0' in ran.stdout


def test_the_commands_run_as_printed(folder: Path) -> None:
    printed = re.findall(r"^\$ ratchet (.+?)(?:\s+#.*)?$", README, flags=re.MULTILINE)
    assert len(printed) >= 4
    for line in printed:
        shown = ratchet(folder, *shlex.split(line))
        assert shown.returncode == 0, f"{line}: {shown.stderr}"


def test_every_named_command_exists() -> None:
    named = set(re.findall(r"`ratchet ([a-z]+)", README))
    assert named >= {"run", "status", "config"}
    for name in named:
        assert ratchet(ROOT, name, "--help").returncode == 0, name


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_it_is_one_page() -> None:
    assert len(README.splitlines()) <= 90
