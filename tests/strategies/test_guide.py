"""The guide's strategy is one that loads, trades and passes the check."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from engine.app.strategy_loader import load_strategy
from engine.core.messages import Bar
from engine.core.values import MINUTE_NS, InstrumentId, SessionTable
from engine.research.strategy_check import check_strategy

GUIDE = Path(__file__).parents[2] / "docs" / "strategies.md"
OPEN_TS_NS = 1_704_205_800 * 10**9


def test_the_strategy_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = GUIDE.read_text().partition("```python\n")[2].partition("```")[0]
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "buy_the_dip.py").write_text(code)
    close_ts_ns = OPEN_TS_NS + 390 * MINUTE_NS
    sessions = SessionTable("XNYS", dates=("2024-01-02",), opens=(OPEN_TS_NS,), closes=(close_ts_ns,))
    report = check_strategy(load_strategy("buy_the_dip", {"rsi_low": "45"}), walk(), sessions)
    assert report.first_difference is None
    assert (report.bars, report.exits) == (390, 6)
    assert report.entries > 0


def walk() -> list[Bar]:
    chance = random.Random(5)
    price, bars = 50.0, []
    for minute in range(390):
        price += chance.gauss(0.0, 0.05)
        bars.append(
            Bar(
                instrument_id=InstrumentId(1),
                start_ts_ns=OPEN_TS_NS + minute * MINUTE_NS,
                open=price,
                high=price + 0.03,
                low=price - 0.03,
                close=price,
                volume=100.0,
                vwap=price,
            )
        )
    return bars
