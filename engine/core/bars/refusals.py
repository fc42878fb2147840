"""Why the bar stage refuses an input, and the plain faults of prints and quotes."""

from __future__ import annotations

from enum import StrEnum

from engine.core.bars.minutes import PRICE_LIMIT, SIZE_LIMIT
from engine.core.messages import Quote, Tick, TickCorrected


class Refusal(StrEnum):
    """Name why an input was refused."""

    #: Not finite, not above zero, or absurdly high.
    PRICE = "price"
    #: Not finite, negative or absurdly high; for a print that counts for volume also zero.
    SIZE = "size"
    #: The bid is above the ask.
    CROSSED = "crossed"
    #: Its minute is final already.
    LATE = "late"
    #: Its minute starts more than a minute after the engine's time.
    EARLY = "early"
    #: A print, where the bars are made of quotes.
    UNEXPECTED = "unexpected"
    #: Its sale conditions are not known to the filter on its day.
    CONDITION = "condition"
    #: Its sequence has been there.
    DUPLICATE = "duplicate"
    #: It corrects or cancels a print that is not kept, or is another than it says.
    UNKNOWN = "unknown"


def tick_fault(tick: Tick | TickCorrected, *, needs_size: bool) -> Refusal | None:
    """Return what is wrong with the numbers of a print."""
    if not 0.0 < tick.price < PRICE_LIMIT:
        return Refusal.PRICE
    if tick.size == 0.0 and not needs_size:
        return None
    return None if 0.0 < tick.size < SIZE_LIMIT else Refusal.SIZE


def quote_fault(quote: Quote) -> Refusal | None:
    """Return what is wrong with a quote of two sides."""
    if not (0.0 < quote.bid < PRICE_LIMIT and 0.0 < quote.ask < PRICE_LIMIT):
        return Refusal.PRICE
    if quote.bid > quote.ask:
        return Refusal.CROSSED
    return _sizes_fault(quote)


def sides_fault(quote: Quote) -> Refusal | None:
    """Return what is wrong with a quote of which a side may be missing (0).

    Sides that move one after the other may cross on their way.
    """
    has_side = quote.bid > 0.0 or quote.ask > 0.0
    if not (has_side and 0.0 <= quote.bid < PRICE_LIMIT and 0.0 <= quote.ask < PRICE_LIMIT):
        return Refusal.PRICE
    return _sizes_fault(quote)


def _sizes_fault(quote: Quote) -> Refusal | None:
    sizes_fit = 0.0 <= quote.bid_size < SIZE_LIMIT and 0.0 <= quote.ask_size < SIZE_LIMIT
    return None if sizes_fit else Refusal.SIZE
