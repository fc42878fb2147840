"""The paper venue passes the contract, in memory and over a file, in each of its exit styles."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.ports import SimulatedVenue
from engine.testing.venue_contract import CONTRACT, SESSIONS, SPY, STYLE_CONTRACTS, VenueFactory
from engine.venues.paper import PaperBook, PaperSettings, PaperVenue


@pytest.mark.parametrize(
    ("style", "check"),
    [(style, check) for style in PaperVenue.exit_styles for check in (*CONTRACT, *STYLE_CONTRACTS[style])],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
def test_the_paper_venue_keeps_the_contract(
    style: ExitStyle,
    check: Callable[[VenueFactory], None],
    kept: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    made: list[SimulatedVenue] = []

    def make_venue(cash: Decimal) -> SimulatedVenue:
        book = PaperBook(tmp_path / f"{len(made)}.paper") if kept else None
        identity = SPY.instrument_id
        settings = PaperSettings(opening_cash=cash, exit_style=style)
        venue = PaperVenue({identity: SPY}, {identity: SESSIONS}, settings, book=book)
        made.append(venue)
        return venue

    check(make_venue)
    assert made
