"""Sale conditions of the consolidated tapes: which prints update last, high and low, and volume, and since when.

After the consolidated processing tables of the two plans: CTA (tapes A and B; CTS output specification) and UTP
(tape C; UTDF specification), with the notices named in each row. A print has up to four letters; it updates a thing
only where all of them allow it. Two readings are our own: conditional updates ("only if it is the day's first") are
taken as no, and a print of extended hours, which updates no last of the regular day, makes the prices of extended
minutes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from engine.core.bars.roles import CLOSING, EVERYTHING, HIGH_LOW, IGNORED, OPENING, VOLUME, Conditions, Place

_ANY: Final = "CTA UTP"
_BOTH: Final = "CTS and UTDF processing tables"
_CTS: Final = "CTS processing table"
_UTDF: Final = "UTDF processing table"
_ODD_LOTS: Final = "Nasdaq ETU 2013-33; FINRA technical notice of 2013-12-04"
_CONTINGENT: Final = "UTP vendor alert 2015-4"

# Which exchanges list on tape C; every other listing exchange reports to the CTA's tapes.
_UTP_LISTINGS: Final = frozenset({"Q", "T"})


class SipCondition(NamedTuple):
    """Hold what one letter allows between two dates."""

    letter: str
    name: str
    #: What a print with the letter may do in regular minutes, and in extended ones.
    regular: int
    extended: int
    source: str
    #: First and last date of validity, ISO 8601; empty where it has none.
    since: str = ""
    until: str = ""
    #: The plans whose tapes have it so.
    plans: str = _ANY


def _plain(letter: str, name: str, role: int, source: str = _BOTH, **limits: str) -> SipCondition:
    return SipCondition(letter, name, role, role, source, **limits)


_WIDENS: Final = HIGH_LOW | VOLUME

#: Every known letter, in the order of the specifications.
SIP_CONDITIONS: Final[tuple[SipCondition, ...]] = (
    _plain("@", "regular sale", EVERYTHING),
    _plain("A", "acquisition", EVERYTHING, _UTDF),
    _plain("B", "average price trade", VOLUME, _CTS, plans="CTA"),
    _plain("B", "bunched trade", EVERYTHING, _UTDF, plans="UTP"),
    _plain("C", "cash sale", VOLUME),
    _plain("D", "distribution", EVERYTHING, _UTDF),
    _plain("E", "automatic execution", EVERYTHING, _CTS),
    _plain("F", "intermarket sweep", EVERYTHING),
    _plain("G", "bunched sold trade", _WIDENS, _UTDF),
    _plain("H", "price variation trade", VOLUME),
    _plain("I", "odd lot trade", VOLUME, _ODD_LOTS, since="2013-12-09"),
    _plain("K", "rule 127 or rule 155 trade", EVERYTHING),
    _plain("L", "sold last (late report)", EVERYTHING),
    _plain("M", "market center official close", IGNORED),
    _plain("N", "next day", VOLUME),
    _plain("O", "market center opening trade", EVERYTHING | OPENING),
    _plain("P", "prior reference price", _WIDENS),
    _plain("Q", "market center official open", IGNORED),
    _plain("R", "seller", _WIDENS, _UTDF, plans="UTP"),
    _plain("R", "seller", VOLUME, _CTS, plans="CTA"),
    _plain("S", "split trade", EVERYTHING, _UTDF),
    SipCondition("T", "extended hours trade", VOLUME, EVERYTHING, _BOTH),
    SipCondition("U", "extended hours trade, sold out of sequence", VOLUME, _WIDENS, _BOTH),
    _plain("V", "stock option trade", EVERYTHING, _CONTINGENT, until="2015-07-26"),
    _plain("V", "contingent trade", VOLUME, _CONTINGENT, since="2015-07-27"),
    _plain("W", "average price trade", VOLUME, _UTDF),
    _plain("X", "cross trade", EVERYTHING),
    _plain("Y", "yellow flag regular trade", EVERYTHING, _UTDF),
    _plain("Z", "sold out of sequence", _WIDENS),
    _plain("1", "stopped stock", EVERYTHING, _UTDF),
    _plain("4", "derivatively priced", _WIDENS),
    _plain("5", "market center reopening trade", EVERYTHING),
    _plain("6", "market center closing trade", EVERYTHING | CLOSING),
    _plain("7", "qualified contingent trade", VOLUME, _CONTINGENT, since="2015-07-27"),
    _plain("9", "corrected consolidated close", (EVERYTHING | CLOSING) & ~VOLUME, _ODD_LOTS, since="2013-12-09"),
)

_AUCTIONS: Final = OPENING | CLOSING


def sip_role(conditions: Conditions, place: Place) -> int | None:
    """Return the role of a print by its letters; None where one of them is unknown on its day."""
    if conditions is None:
        conditions = ""
    if not isinstance(conditions, str):
        # A file of digits alone reads as numbers; no other number is a condition.
        if not 0 <= conditions <= 9999:
            return None
        conditions = str(conditions)
    plan = "UTP" if place.listing in _UTP_LISTINGS else "CTA"
    role = _role_of_letters(conditions, place.date, plan=plan, is_regular=place.is_regular)
    return role if role is None or place.is_listing else role & ~_AUCTIONS


@lru_cache(maxsize=4096)
def _role_of_letters(letters: str, date: str, *, plan: str, is_regular: bool) -> int | None:
    allowed, auctions = EVERYTHING, IGNORED
    for letter in letters:
        if letter == " ":
            continue
        found = _condition(letter, date, plan)
        if found is None:
            return None
        role = found.regular if is_regular else found.extended
        allowed &= role
        auctions |= role & _AUCTIONS
    # A print that makes no last price is no auction either.
    return allowed | auctions if allowed & HIGH_LOW else allowed


def _condition(letter: str, date: str, plan: str) -> SipCondition | None:
    for row in SIP_CONDITIONS:
        if row.letter == letter and plan in row.plans and row.since <= date and (not row.until or date <= row.until):
            return row
    return None
