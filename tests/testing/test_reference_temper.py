from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from engine.core.messages import ListedStatus
from engine.core.values import OrderType, Side
from engine.testing.reference_temper import (
    CANCELED_WORDS,
    ODD_WORD,
    Dedupe,
    Fate,
    ForeignOrder,
    Outage,
    VenueTemper,
    listed_status,
)


@pytest.mark.parametrize("word", [*CANCELED_WORDS, " Cancelled ", "CANCELED"])
def test_both_spellings_mean_canceled(word: str) -> None:
    assert listed_status(word) is ListedStatus.CANCELED


@pytest.mark.parametrize("word", [ODD_WORD, "", "cancel", "fill"])
def test_an_unknown_status_word_is_unreadable(word: str) -> None:
    assert listed_status(word) is ListedStatus.UNREADABLE


def test_words_of_orders_that_work() -> None:
    words = ("queued", "confirmed", "partially_filled")
    assert {listed_status(word) for word in words} == {ListedStatus.WORKING}


def test_a_temper_survives_json() -> None:
    foreign = ForeignOrder(ts_ns=5, symbol="SPY", side=Side.BUY, quantity=Decimal("1.5"), order_type=OrderType.MARKET)
    temper = VenueTemper(
        dedupe=Dedupe.WINDOWED,
        approval_s=None,
        busts=0.25,
        foreign=(foreign,),
        outages=(Outage(from_ts_ns=1, until_ts_ns=2, status=429),),
    )
    assert msgspec.json.decode(msgspec.json.encode(temper), type=VenueTemper) == temper


@pytest.mark.parametrize("fate", [Fate(), Fate(status="html", reply_delay_ms=7), Fate(status=500)])
def test_a_fate_survives_json(fate: Fate) -> None:
    assert msgspec.json.decode(msgspec.json.encode(fate), type=Fate) == fate


def test_healing_keeps_how_the_venue_is_built() -> None:
    built = VenueTemper(dedupe=Dedupe.NONE, echoes_ids=False, push=False, cancels_wait=True, refuses_oversell=False)
    assert built.healed() == built
    assert replace(built, read_lag_ms=9_000, busts=0.5, rejects_late=0.5, latency_ms=(1, 9_999)).healed() == built
