"""Adjusting what is held: selling a part of it, and moving its stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Final

from engine.core.execution.brackets import Bracket
from engine.core.execution.keeping import PairKeeper
from engine.core.execution.pairs import Pair
from engine.core.execution.waits import Waits
from engine.core.execution.wishes import Refused, Wish
from engine.core.messages import Draft
from engine.core.values import ZERO, Direction, Instrument, InstrumentId

_PRICE_MAX: Final = Decimal(900_000_000)
# Nobody else's: the precision that a strategy may have set changes no quantity.
_WIDE: Final = Context(prec=60)


class Adjuster:
    """Do what a strategy wants with what it holds of one instrument, or say why that cannot be."""

    def __init__(self, *, instruments: Mapping[InstrumentId, Instrument], waits: Waits, keeper: PairKeeper) -> None:
        self._instruments = instruments
        self._waits = waits
        self._keeper = keeper

    def scale_out(self, brackets: Sequence[Bracket], fraction: Decimal | None, draft: Draft) -> list[Wish] | Refused:
        """Begin to sell a part of what the brackets hold, whole lots, from the newest pair on."""
        if fraction is None or not fraction.is_finite() or not 0 < fraction <= 1:
            return Refused(reason="bad_fraction")
        held = _held(brackets)
        reason = self._obstacle(held)
        if reason:
            return Refused(reason=reason)
        instrument = self._instruments[held[0].instrument_id]
        total = sum((bracket.held for bracket in held), ZERO)
        left = wanted = instrument.quantity(_WIDE.multiply(total, fraction))
        if not wanted:
            return Refused(reason="less_than_a_lot")
        wishes: list[Wish] = []
        for bracket, pair in _newest_first(held):
            part = min(left, pair.left)
            if part > 0 and self._keeper.may_sell_part(pair):
                left -= part
                wishes += self._keeper.sell_part(bracket, pair, part, draft)
        return Refused(reason="swap_under_way") if left == wanted else wishes

    def move_stop(self, brackets: Sequence[Bracket], price: Decimal | None, draft: Draft) -> list[Wish] | Refused:
        """Move the stops of the brackets up to a price; a stop that is there or higher stays."""
        if price is None or not price.is_finite() or not 0 < price <= _PRICE_MAX:
            return Refused(reason="bad_stop_price")
        held = _held(brackets)
        reason = self._obstacle(held)
        if reason:
            return Refused(reason=reason)
        instrument = self._instruments[held[0].instrument_id]
        wanted = instrument.price(max(price, instrument.ticks[0][1]), Direction.NEAREST)
        lower = [(bracket, pair) for bracket, pair in _newest_first(held) if pair.stop_price < wanted]
        wishes: list[Wish] = []
        for bracket, pair in lower:
            if not bracket.wanted_exit:
                wishes += self._keeper.raise_stop(bracket, pair, wanted, draft)
        return wishes if lower else Refused(reason="stop_not_higher")

    def _obstacle(self, held: Sequence[Bracket]) -> str:
        if not held:
            return "nothing_held"
        return "exchange_halt" if self._waits.is_paused(held[0].instrument_id) else ""


def _held(brackets: Sequence[Bracket]) -> list[Bracket]:
    return [bracket for bracket in brackets if bracket.held > 0 and not bracket.wanted_exit]


def _newest_first(brackets: Sequence[Bracket]) -> Iterator[tuple[Bracket, Pair]]:
    for bracket in reversed(brackets):
        for pair in reversed(bracket.living_pairs):
            yield bracket, pair
