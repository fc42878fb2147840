"""Trade filters: what each print of a tape does to the bars, as data and one pure function.

A role says which parts of a bar a print moves. A filter maps the conditions of a print to a role; it sees nothing
else of the print than where it was made, on which day and in which part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.core.bars.roles import CLOSING, EVERYTHING, HIGH_LOW, IGNORED, LAST, OPENING, VOLUME, Conditions, Place
from engine.core.bars.sip import sip_role
from engine.core.errors import BadInput
from engine.core.values import InstrumentId


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilter:
    """Say what the prints of one kind of tape do to the bars."""

    name: str
    #: The role of a print, or None where its conditions are unknown.
    role_of: Callable[[Conditions, Place], int | None]
    #: Whether late prints, auctions, corrections and cancels revise finished minutes.
    revises: bool = True
    #: Whether the volume of a minute without a price goes to the bar before it.
    moves_volume: bool = True
    #: Whether a side of the book opens a minute where it ended the one before, and sides may cross on their way.
    carries_quotes: bool = False
    #: Whether an instrument's sequences count its prints one by one, so that a missing one is a lost print.
    counts_prints: bool = False


# Masks of the ticks that LEAN converts from AlgoSeek's tape, as measured against its published bars: regular and
# extended-hours trades make prices; official messages and auction prints have no volume of their own.
_LEAN_PRICED: Final = 0x2006807
_LEAN_AVERAGE: Final = 0x100000
_LEAN_WITHOUT_VOLUME: Final = 0x50000C0
_LEAN_OPENING: Final = 0x40
_LEAN_CLOSING: Final = 0x80
_LEAN_END: Final = 1 << 32


def lean_role(conditions: Conditions, place: Place) -> int | None:
    """Return the role of a print by LEAN's condition mask; None where the mask is none of 32 bits."""
    if conditions is None:
        conditions = 0
    if not isinstance(conditions, int) or not 0 <= conditions < _LEAN_END:
        return None
    role = IGNORED if conditions & _LEAN_WITHOUT_VOLUME else VOLUME
    if conditions & _LEAN_PRICED or conditions == _LEAN_AVERAGE:
        role |= LAST | HIGH_LOW
    if place.is_listing and conditions & _LEAN_OPENING:
        role |= OPENING | VOLUME
    elif place.is_listing and conditions & _LEAN_CLOSING:
        role |= CLOSING | VOLUME
    return role


def every_print(conditions: Conditions, place: Place) -> int:
    """Return the role of a print where every print counts."""
    del conditions, place
    return EVERYTHING


NO_FILTER: Final = TradeFilter(name="none", role_of=every_print, revises=False, moves_volume=False, counts_prints=True)
FILTERS: Final[Mapping[str, TradeFilter]] = {
    "none": NO_FILTER,
    "sip": TradeFilter(name="sip", role_of=sip_role),
    "lean": TradeFilter(name="lean", role_of=lean_role, carries_quotes=True),
}


def trade_filter(name: str) -> TradeFilter:
    """Return the filter of a name; raises BadInput for one that does not exist."""
    try:
        return FILTERS[name]
    except KeyError:
        raise BadInput(f"The trade filter {name!r} is unknown: use one of {', '.join(FILTERS)}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeRules:
    """Say how the tape of a run becomes bars."""

    filter: TradeFilter = NO_FILTER
    #: The listing exchange by instrument, as the tape writes exchanges: its auctions open and close the session.
    listing_exchanges: Mapping[InstrumentId, str] = field(default_factory=dict)
    #: Keeps prints for revisions even where the filter does not ask for them.
    keeps_prints: bool = False

    @property
    def revises(self) -> bool:
        """Return whether finished minutes are revised."""
        return self.filter.revises or self.keeps_prints
