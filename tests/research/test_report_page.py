"""The page of a report: what it holds, what it loads, and what its script would draw."""

import json
import re
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.app.modes import RunSpec, backtest
from engine.feeds.replay import ReplayFeed
from engine.research import report_candles
from engine.research.report import Numbers, report_numbers
from engine.research.report_candles import pack_windows
from engine.research.report_figures import charts, resolve
from engine.research.report_history import History
from engine.research.report_page import report_page, shown
from engine.research.report_statistics import STATISTICS
from engine.store.connection import sqlite

Spec = Callable[..., RunSpec]
Reader = Callable[[Path], History]


# --- page -------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Gather what a browser would load, and what the page says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[tuple[str, str]] = []
        self.policy = ""
        self.blocks: dict[str, str] = {}
        self.cells: dict[str, tuple[str, str]] = {}
        self.ids: list[str] = []
        self.tags: list[str] = []
        self._block = self._cell = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {name: text or "" for name, text in attributes}
        self.tags.append(tag)
        self.loads += [
            (tag, text) for name, text in named.items() if name in {"src", "href", "srcset", "action", "data", "poster"}
        ]
        if "id" in named:
            self.ids.append(named["id"])
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if named.get("type") == "application/json":
            self._block = named["id"]
        if "data-key" in named:
            self._cell = named["data-key"]
            self.cells[self._cell] = (named["data-value"], "")

    def handle_endtag(self, tag: str) -> None:
        self._block = self._cell = ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self.blocks[self._block] = self.blocks.get(self._block, "") + data
        elif self._cell:
            self.cells[self._cell] = (self.cells[self._cell][0], data)


@pytest.fixture(scope="module")
def text(history: History, numbers: Numbers) -> str:
    return report_page(numbers, pack_windows(history, numbers["trades"]))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_loads_nothing(page: Page, text: str) -> None:
    assert page.loads == []
    assert page.policy.startswith("default-src 'none';")
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert not re.search(r"url\(|@import", style)
    assert text.count("plotly.js v") == 1
    assert len(text.encode()) < 6_000_000


def test_the_page_holds_exactly_the_numbers(page: Page, numbers: Numbers) -> None:
    assert json.loads(page.blocks["numbers"]) == numbers
    assert set(page.cells) == {statistic.key for statistic in STATISTICS}
    for key, (exact, said) in page.cells.items():
        statistic = numbers["statistics"][key]
        assert json.loads(exact) == statistic["value"], key
        assert said == shown(statistic["value"], statistic["unit"]), key


def test_every_chart_has_its_place_and_is_one_that_plotly_draws(page: Page, numbers: Numbers) -> None:
    go = pytest.importorskip("plotly.graph_objects")

    figures = json.loads(page.blocks["figures"])
    assert set(figures) == set(charts(numbers))
    assert len(figures) == 9
    assert len(page.ids) == len(set(page.ids))
    colours = set(re.findall(r"var\((--[a-z]+)\)", page.blocks["figures"]))
    css = (Path(report_candles.__file__).parent / "report_assets" / "page.css").read_text(encoding="utf-8")
    light, dark = css.split("prefers-color-scheme: dark")
    for colour in colours:
        assert f"{colour}:" in light
        assert f"{colour}:" in dark, colour
    for key, figure in figures.items():
        assert f"chart-{key}" in page.ids
        drawn = resolve(json.loads(re.sub(r"var\(--[a-z]+\)", "#123456", json.dumps(figure))), numbers)
        built = go.Figure(drawn)
        for trace in built.data:
            assert len(trace.x) == len(trace.y) > 0, key


def test_a_name_cannot_leave_its_place(history: History, numbers: Numbers) -> None:
    evil = "</script><script>alert(1)</script>"
    named = {**numbers, "run": {**numbers["run"], "account": evil, "strategy": f"x:{evil}", "rule": evil}}
    found = report_page(named, pack_windows(history, numbers["trades"]))
    assert "alert(1)</script>" not in found
    assert json.loads(Page(found).blocks["numbers"])["run"]["account"] == evil


def test_settings_are_told_without_the_text_of_the_risk_file(history: History, numbers: Numbers, text: str) -> None:
    """The run keeps the whole file; a report names it by its hash."""
    kept = history.run.settings
    assert "max_notional_fraction" in kept["risk_file"]
    assert numbers["run"]["settings"] == {name: value for name, value in kept.items() if name != "risk_file"}
    assert numbers["run"]["settings"]["fees"] == "robinhood"
    assert json.loads(Page(text).blocks["numbers"])["run"]["settings"] == numbers["run"]["settings"]
    assert "fees = robinhood" in text
    assert numbers["run"]["risk_hash"] in text
    assert not any(word in text for word in ("risk_file", "max_notional_fraction"))


def test_the_same_run_makes_the_same_page(history_of: Reader, kept_run: Path, text: str) -> None:
    again = history_of(kept_run)
    numbers = report_numbers(again)
    assert report_page(numbers, pack_windows(again, numbers["trades"])) == text


def test_values_read_as_people_write_them() -> None:
    assert shown(None, "ratio") == "not defined"
    assert shown(-0.1234, "fraction") == "-12.34%"
    assert shown(0.00012, "fraction") == "0.0120%"
    assert shown(1234.5, "money") == "1,234.50"
    assert shown(-0.001, "basis points") == "0.00 bps"
    assert shown("2024-03-26T09:30:00-04:00", "moment") == "2024-03-26 09:30"
    assert shown(3.25, "days") == "3.2 days"
    assert shown(0.125, "days") == "3.0 hours"
    assert shown(12 / 1440, "days") == "12.0 minutes"
    assert shown(1500, "count") == "1,500"


# --- candles ----------------------------------------------------------------------------------------------------------


def unpacked(window: dict[str, Any]) -> list[tuple[int, float, float, float, float]]:
    """Read a window as the page's script does: minute, open, high, low, close."""
    values, folded, shift = [], 0, 0
    for byte in b64decode(window["bars"]):
        folded |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append((folded >> 1) ^ -(folded & 1))
            folded = shift = 0
    minute, before, unit, rows = window["minute"], 0, 10 ** window["decimals"], []
    for at in range(0, len(values), 5):
        passed, opened, moved, above, below = values[at : at + 5]
        minute += passed
        first = before + opened
        before = first + moved
        rows.append(
            (
                minute,
                first / unit,
                (max(first, before) + above) / unit,
                (min(first, before) - below) / unit,
                before / unit,
            )
        )
    return rows


def test_windows_hold_the_bars_around_every_trade(
    reader: sqlite.Connection, history: History, numbers: Numbers
) -> None:
    packed = pack_windows(history, numbers["trades"])
    assert packed.left_out == 0
    inside = sorted(position for window in packed.windows for position in window["trades"])
    assert inside == list(range(numbers["totals"]["trades"]))
    for window in packed.windows:
        rows = unpacked(window)
        assert len(rows) == 390
        assert np.datetime64(rows[0][0], "m").astype(str) == f"{window['name']}T09:30"
        stored = reader.execute(
            "SELECT b.open, b.high, b.low, b.close FROM bars AS b "
            "JOIN instruments AS i USING (account_id, instrument_id) "
            "WHERE i.symbol = ? AND b.timestamp LIKE ? || '%' ORDER BY b.start_ts_ns",
            (window["symbol"], window["name"]),
        ).fetchall()
        np.testing.assert_allclose([row[1:] for row in rows], stored, atol=1e-9)


def test_the_newest_windows_stay_where_not_all_fit(history: History, numbers: Numbers) -> None:
    whole = pack_windows(history, numbers["trades"])
    some = pack_windows(history, numbers["trades"], bars_max=3 * 390)
    assert some.windows == whole.windows[-3:]
    assert some.left_out == len(whole.windows) - 3
    assert "earlier windows are left out" in report_page(numbers, some)
    none = pack_windows(history, numbers["trades"], bars_max=1)
    assert none.windows == []


@given(st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=30))
def test_packed_numbers_come_back(values: list[int]) -> None:
    found, folded, shift = [], 0, 0
    for byte in report_candles._varints(np.array(values, dtype=np.int64)):
        folded |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append((folded >> 1) ^ -(folded & 1))
            folded = shift = 0
    assert found == values


# --- real data --------------------------------------------------------------------------------------------------------


def test_the_year_of_spy_fits_into_a_page(data_dir: Path, spec_of: Spec, history_of: Reader, tmp_path: Path) -> None:
    table = pq.read_table(data_dir / "us_equity_minute" / "spy_1min_2024-03-26_2024-12-31.parquet")
    columns = {"symbol": table["symbol"], "ts": table["ts_utc"]}
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array(table[f"{name}_e4"].to_numpy() / 1e4)
    columns["volume"] = pa.array(table["volume"].to_numpy().astype(np.float64))
    pq.write_table(pa.table(columns), tmp_path / "spy.parquet")
    backtest(spec_of(ReplayFeed.bars(tmp_path / "spy.parquet")), tmp_path / "spy.sqlite", wall_ts_ns=1)
    history = history_of(tmp_path / "spy.sqlite")
    found = report_numbers(history)
    assert found["totals"]["trades"] == 724
    assert found["totals"]["net_pnl"] == "-177.8536"
    assert found["statistics"]["max_drawdown"]["value"] == pytest.approx(-0.003156, abs=5e-7)
    assert found["statistics"]["sessions"]["value"] == 194
    assert len(report_page(found, pack_windows(history, found["trades"])).encode()) < 6_000_000
