"""The page on reports names and defines the statistics that the program has, in its words and its order."""

from pathlib import Path

import pytest

from engine.research.report_candles import BARS_MAX
from engine.research.report_statistics import STATISTICS


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "reports.md").read_text(encoding="utf-8")


def test_every_statistic_is_defined_as_the_program_defines_it(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{each.key}` | {each.title} | {each.unit.value} | {each.definition} |" for each in STATISTICS]


def test_every_group_has_a_chapter(page: str) -> None:
    chapters = [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")]
    assert chapters == list(dict.fromkeys(each.group for each in STATISTICS))


def test_the_size_of_a_page_is_the_one_said(page: str) -> None:
    assert f"A page holds {BARS_MAX:,} bars at most" in page
