"""What a print may do to a bar, by the letters or the mask of its conditions, and since when."""

from __future__ import annotations

import pytest

from engine.core.bars import (
    CLOSING,
    EVERYTHING,
    FILTERS,
    HIGH_LOW,
    IGNORED,
    LAST,
    NO_FILTER,
    OPENING,
    SIP_CONDITIONS,
    VOLUME,
    Place,
    TapeRules,
    sets_last,
    trade_filter,
)
from engine.core.errors import BadInput
from engine.core.messages import Tick
from engine.core.values import InstrumentId
from engine.testing.scenario import OPEN_TS_NS, TWO_SESSIONS

SIP, LEAN = trade_filter("sip"), trade_filter("lean")
DAY = "2018-01-02"


def place(*, listing: bool = False, regular: bool = True, date: str = DAY, exchange: str = "N") -> Place:
    return Place(listing, regular, date, exchange)


@pytest.mark.parametrize(
    ("letters", "role"),
    [
        ("", EVERYTHING),
        ("@", EVERYTHING),
        ("F", EVERYTHING),
        (" F  ", EVERYTHING),
        ("I", VOLUME),
        ("F I", VOLUME),
        ("4 B", VOLUME),
        ("4", HIGH_LOW | VOLUME),
        ("Z", HIGH_LOW | VOLUME),
        ("L", EVERYTHING),
        ("C", VOLUME),
        ("7 V", VOLUME),
        ("T", VOLUME),
        ("M", IGNORED),
        ("Q", IGNORED),
        ("O", EVERYTHING),
        ("6", EVERYTHING),
        ("!", None),
        ("F!", None),
        (6, EVERYTHING),
        (-1, None),
    ],
    ids=repr,
)
def test_the_strictest_letter_decides(letters: str | int, role: int | None) -> None:
    assert SIP.role_of(letters, place()) == role


def test_odd_lots_are_unknown_before_they_came_to_the_tape() -> None:
    assert SIP.role_of("I", place(date="2013-12-08")) is None
    assert SIP.role_of("I", place(date="2013-12-09")) == VOLUME


def test_stock_option_trades_became_contingent_ones() -> None:
    assert SIP.role_of("V", place(date="2015-07-26")) == EVERYTHING
    assert SIP.role_of("V", place(date="2015-07-27")) == VOLUME
    assert SIP.role_of("7", place(date="2015-07-26")) is None


def test_extended_hours_prints_make_the_prices_of_extended_minutes_only() -> None:
    assert SIP.role_of("FT", place(regular=False)) == EVERYTHING
    assert SIP.role_of("FT", place()) == VOLUME
    assert SIP.role_of("U", place(regular=False)) == HIGH_LOW | VOLUME
    assert SIP.role_of("TI", place(regular=False)) == VOLUME


def test_the_letter_b_hangs_on_the_plan_of_the_listing_exchange() -> None:
    assert SIP.role_of("B", place(exchange="N")) == VOLUME
    assert SIP.role_of("B", place(exchange="")) == VOLUME
    assert SIP.role_of("B", place(exchange="Q")) == EVERYTHING


def test_auctions_are_those_of_the_listing_exchange() -> None:
    assert SIP.role_of("O", place(listing=True)) == EVERYTHING | OPENING
    assert SIP.role_of("6", place(listing=True)) == EVERYTHING | CLOSING
    assert SIP.role_of("9", place(listing=True)) == LAST | HIGH_LOW | CLOSING
    # An odd lot of an auction sets no price, and so opens nothing.
    assert SIP.role_of("O  I", place(listing=True)) == VOLUME


def test_each_row_of_the_table_has_a_source_and_one_meaning_a_day() -> None:
    for row in SIP_CONDITIONS:
        assert row.source
        assert len(row.letter) == 1
        for role in (row.regular, row.extended):
            # What sets a last price is a price that was traded, so it widens the range too.
            assert not role & LAST or role & HIGH_LOW
    for date in ("2000-01-03", "2013-12-09", "2015-07-26", "2015-07-27", "2026-01-02"):
        for plan in ("CTA", "UTP"):
            letters = [
                row.letter
                for row in SIP_CONDITIONS
                if plan in row.plans and row.since <= date and (not row.until or date <= row.until)
            ]
            assert len(letters) == len(set(letters))


@pytest.mark.parametrize(
    ("mask", "role"),
    [
        (0x1, EVERYTHING),
        (0x2000, EVERYTHING),
        (0x20000020, VOLUME),
        (0x20002020, EVERYTHING),
        (0x100000, EVERYTHING),
        (0x20100000, VOLUME),
        (0x200, VOLUME),
        (0x40, IGNORED),
        (0x80, IGNORED),
        (0x1000000, IGNORED),
        (None, VOLUME),
        (1 << 32, None),
        (-1, None),
        ("@", None),
    ],
)
def test_the_mask_of_lean(mask: int | str | None, role: int | None) -> None:
    assert LEAN.role_of(mask, place()) == role


def test_the_auctions_of_lean_count_at_the_listing_exchange_only() -> None:
    assert LEAN.role_of(0x40, place(listing=True)) == OPENING | VOLUME
    assert LEAN.role_of(0x80, place(listing=True)) == CLOSING | VOLUME


def test_without_a_filter_every_print_counts() -> None:
    assert NO_FILTER.role_of("whatever", place()) == EVERYTHING
    assert not NO_FILTER.revises


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert set(FILTERS) == {"none", "sip", "lean"}
    with pytest.raises(BadInput, match="'tape' is unknown: use one of none, sip, lean"):
        trade_filter("tape")


def test_only_a_print_that_sets_a_last_price_is_watched() -> None:
    def sets(name: str, conditions: str | int | None, *, ts_ns: int = OPEN_TS_NS) -> bool:
        tick = Tick(
            venue_ts_ns=ts_ns,
            received_ts_ns=ts_ns,
            instrument_id=InstrumentId(1),
            price=1.0,
            size=1.0,
            exchange="N",
            conditions=conditions,
        )
        rules = TapeRules(filter=trade_filter(name), listing_exchanges={InstrumentId(1): "N"})
        return sets_last(tick, rules, TWO_SESSIONS)

    assert sets("none", "I")
    assert sets("sip", "F")
    assert not sets("sip", "I")
    assert not sets("sip", "?")
    assert not sets("sip", "T")
    assert sets("sip", "T", ts_ns=OPEN_TS_NS - 1)
    assert sets("lean", 0x40)
    assert not sets("lean", 0x20)
