"""`ratchet report` writes a page or prints its numbers, and says in one sentence what it cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def kept(ratchet: Run, market: Path, tmp_path: Path) -> Path:
    """Keep one backtest in a database."""
    database = tmp_path / "kept.sqlite"
    assert ratchet("backtest", "s1_vwap_ema", "--bars", market / "bars.csv", "--db", database, "--json").code == 0
    return database


def test_the_page_and_the_printed_numbers_are_the_same(ratchet: Run, kept: Path, tmp_path: Path) -> None:
    written = ratchet("report", "1", "--db", kept, "-o", tmp_path / "page.html")
    assert (written.code, written.out, written.err) == (0, f"{tmp_path / 'page.html'}\n", "")
    printed = ratchet("report", "backtest-1", "--db", kept, "--json").json
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', page)
    assert json.loads(block) == printed
    assert printed["totals"]["trades"] > 0
    assert sorted(path.name for path in tmp_path.glob("*.html*")) == ["page.html"]


def test_the_latest_run_is_the_default_and_names_the_page(ratchet: Run, kept: Path, tmp_path: Path) -> None:
    shown = ratchet("report", "--db", kept)
    assert (shown.code, shown.out) == (0, "ratchet-report-backtest-1.html\n")
    assert (tmp_path / "ratchet-report-backtest-1.html").stat().st_size > 1_000_000


def test_numbers_and_page_may_be_had_at_once(ratchet: Run, kept: Path, tmp_path: Path) -> None:
    assert ratchet("report", "--db", kept, "--json").json["run"]["run"] == 1
    assert list(tmp_path.glob("*.html")) == []
    assert ratchet("report", "--db", kept, "--json", "-o", "both.html").json["run"]["run"] == 1
    assert (tmp_path / "both.html").exists()


def test_a_report_changes_nothing(ratchet: Run, kept: Path) -> None:
    before = kept.read_bytes()
    assert ratchet("report", "--db", kept, "--json").code == 0
    assert kept.read_bytes() == before


def test_what_it_cannot_do_is_one_sentence(ratchet: Run, kept: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("7", "--db", kept), r"The run '7' is not in the database, whose newest runs are 1 \(backtest-1\)"),
        (("--db", kept, "-o", "page.pdf"), r"does not end in \.html"),
        (
            ("--db", kept, "-o", tmp_path / "none" / "page.html"),
            r"The folder .*none of the page page\.html does not exist",
        ),
        (("--db", tmp_path / "away.sqlite"), "away.sqlite does not exist"),
    ):
        refused = ratchet("report", *arguments)
        assert refused.code == 2
        assert re.search(words, refused.err), refused.err
        assert refused.err.count("\n") == 1
    database = kept.rename(tmp_path / "kept.html")
    refused = ratchet("report", "--db", database, "-o", database)
    assert refused.code == 2
    assert "--output and --db name the same file" in refused.err


def test_a_database_without_a_run_has_no_report(ratchet: Run, tmp_path: Path) -> None:
    assert ratchet("db", "upgrade", "--db", tmp_path / "new.sqlite").code == 0
    refused = ratchet("report", "--db", tmp_path / "new.sqlite")
    assert refused.code == 2
    assert "The database holds no run" in refused.err
