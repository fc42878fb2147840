"""The page on bars names every filter, every sale condition and every reason that the engine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.core.bars import CLOSING, FILTERS, HIGH_LOW, LAST, OPENING, SIP_CONDITIONS, VOLUME, Refusal


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "bars.md").read_text(encoding="utf-8")


def words(role: int) -> str:
    """Return a role as the page writes it."""
    if not role:
        return "nothing"
    names = {LAST: "last", HIGH_LOW: "high/low", VOLUME: "volume", OPENING: "opens", CLOSING: "closes"}
    return ", ".join(name for bit, name in names.items() if role & bit)


def test_the_table_of_sale_conditions_is_that_of_the_engine(page: str) -> None:
    rows = [
        f"| `{row.letter}` | {row.name} | {words(row.regular)} | {words(row.extended)} | "
        f"{row.plans.replace(' ', ', ')} | {row.since or '-'} | {row.until or '-'} | {row.source} |"
        for row in SIP_CONDITIONS
    ]
    missing = [row for row in rows if row not in page]
    assert not missing, "\n".join(rows)
    assert len(re.findall(r"^\| `.` \|", page, flags=re.MULTILINE)) == len(rows)


def test_every_filter_and_reason_is_named(page: str) -> None:
    for name in (*FILTERS, *Refusal):
        assert f"`{name}`" in page, name
