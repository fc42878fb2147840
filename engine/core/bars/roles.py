"""What a print can do to a bar: bits that add up to its role."""

from __future__ import annotations

from typing import Final, NamedTuple

#: Sale conditions as a tape gives them: letters, or an integer mask.
Conditions = str | int | None

#: Takes no part in any bar.
IGNORED: Final = 0
#: Sets open and close, by the order of time.
LAST: Final = 1
#: Widens high and low.
HIGH_LOW: Final = 2
#: Counts for volume and average price.
VOLUME: Final = 4
#: The listing exchange's opening auction: the open of the session's first minute.
OPENING: Final = 8
#: The listing exchange's closing auction: the close of the session's last minute, whatever its time.
CLOSING: Final = 16

#: The role of a print that is like any other.
EVERYTHING: Final = LAST | HIGH_LOW | VOLUME
#: A role with one of these gives its minute a price, and so makes a bar.
PRICED: Final = LAST | OPENING | CLOSING


class Place(NamedTuple):
    """Say where and when a print was made, as far as a filter may look."""

    #: Whether its exchange is the listing exchange of the instrument.
    is_listing: bool
    #: Whether its minute lies in regular hours.
    is_regular: bool
    #: Date of its session in exchange time, ISO 8601.
    date: str
    #: The listing exchange; empty where none is known.
    listing: str = ""
