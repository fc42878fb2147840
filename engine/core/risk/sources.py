"""What each venue can tell the gate, and where it comes from. A check that has no source says so; it never guesses.

What is reported counts, whatever this table says; the table decides what *silence* means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Capability(StrEnum):
    """Name what a check may need from outside the engine's own books."""

    AUTHORISATION = "authorisation"
    HALT_STATUS = "halt_status"
    PRICE_BANDS = "price_bands"
    QUOTES = "quotes"
    RECONCILIATION = "reconciliation"
    CLOCK = "clock"
    LOGIN_HORIZON = "token_horizon"
    STORAGE = "storage"


class Offer(StrEnum):
    """Name what it means that nothing was reported."""

    #: The venue offers it, so silence is a fault: the entry is refused.
    OFFERED = "offered"
    #: Some feeds send it: before the first report of an instrument it counts as not offered.
    WHEN_SENT = "when sent"
    #: The policy of the risk file decides.
    NOT_OFFERED = "not offered"
    #: The check does not apply.
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class Source:
    """Hold where a capability comes from at one venue, or why it does not."""

    offer: Offer
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSources:
    """Hold what one kind of venue can tell."""

    name: str
    sources: Mapping[Capability, Source]
    #: Whether a stop may be placed outside regular hours (it may rest there until the open).
    stops_outside_hours: bool


C = Capability

SIMULATED: Final = VenueSources(
    name="simulated",
    sources={
        C.AUTHORISATION: Source(Offer.NOT_NEEDED, "no money moves"),
        C.HALT_STATUS: Source(Offer.WHEN_SENT, "status events of the feed"),
        C.PRICE_BANDS: Source(Offer.WHEN_SENT, "status events of the feed"),
        C.QUOTES: Source(Offer.WHEN_SENT, "quotes of the feed"),
        C.RECONCILIATION: Source(Offer.NOT_NEEDED, "nobody else trades the account"),
        C.CLOCK: Source(Offer.NOT_NEEDED, "time comes with the data"),
        C.LOGIN_HORIZON: Source(Offer.NOT_NEEDED, "no login"),
        C.STORAGE: Source(Offer.NOT_NEEDED, "a failed commit ends the run"),
    },
    stops_outside_hours=True,
)

ROBINHOOD: Final = VenueSources(
    name="robinhood",
    sources={
        C.AUTHORISATION: Source(Offer.OFFERED, "arming of the account, and the engine's lease"),
        C.HALT_STATUS: Source(Offer.OFFERED, "trading_halted of its quotes"),
        C.PRICE_BANDS: Source(Offer.NOT_OFFERED, "no band in its quotes"),
        C.QUOTES: Source(Offer.OFFERED, "its quotes"),
        C.RECONCILIATION: Source(Offer.OFFERED, "its listings of orders and positions"),
        C.CLOCK: Source(Offer.OFFERED, "a time server, asked by the shell"),
        C.LOGIN_HORIZON: Source(Offer.OFFERED, "expiry of its token"),
        C.STORAGE: Source(Offer.OFFERED, "the disk of the database"),
    },
    stops_outside_hours=False,
)

#: Every venue that the engine knows, by name.
VENUES: Final[dict[str, VenueSources]] = {venue.name: venue for venue in (SIMULATED, ROBINHOOD)}
