"""The paper venue passes the contract, in memory and over a file."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from engine.ports import SimulatedVenue
from engine.testing.venue_contract import CONTRACT, SESSIONS, SPY, VenueFactory
from engine.venues.paper import PaperBook, PaperSettings, PaperVenue


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
def test_the_paper_venue_keeps_the_contract(check: Callable[[VenueFactory], None], kept: bool, tmp_path: Path) -> None:  # noqa: FBT001
    made: list[SimulatedVenue] = []

    def make_venue(cash: Decimal) -> SimulatedVenue:
        book = PaperBook(tmp_path / f"{len(made)}.paper") if kept else None
        identity = SPY.instrument_id
        venue = PaperVenue({identity: SPY}, {identity: SESSIONS}, PaperSettings(opening_cash=cash), book=book)
        made.append(venue)
        return venue

    check(make_venue)
    assert made
