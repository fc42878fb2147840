"""Watching prices: at which prices something has to be done about a bracket between the reports of the venue.

A level is a price at which an event changes something that lasts; every event that reaches one is kept in the journal.
What other prices were seen changes nothing, so that a restart, which sees only what was kept, does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Context, Decimal
from typing import Final, NamedTuple

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.brackets import Bracket
from engine.core.execution.keeping import PairKeeper
from engine.core.execution.pairs import Pair, PairPhase, Purpose
from engine.core.execution.wishes import Wish
from engine.core.messages import Draft, ExitPlan
from engine.core.values import Direction, Instrument, InstrumentId

_NO_PRICE: Final = Decimal("Infinity")
# Nobody else's: the precision that a strategy may have set changes no price.
_WIDE: Final = Context(prec=60)


class Levels(NamedTuple):
    """Hold the prices of an instrument at or above, and at or below which something is to be done."""

    above: float
    below: float


class PriceWatch:
    """Say at which prices brackets are concerned, and act when one is there."""

    def __init__(self, *, instruments: Mapping[InstrumentId, Instrument], keeper: PairKeeper) -> None:
        self._instruments = instruments
        self._keeper = keeper

    def levels(self, brackets: Iterable[Bracket]) -> Levels | None:
        """Return the nearest levels of the brackets of one instrument; None where no price concerns them."""
        above, below = _NO_PRICE, -_NO_PRICE
        for bracket in brackets:
            for pair in bracket.living_pairs:
                above = min(above, self._above(bracket, pair))
                below = max(below, _below(bracket, pair))
        return None if (above, below) == (_NO_PRICE, -_NO_PRICE) else Levels(_float(above), _float(below))

    def see(self, bracket: Bracket, price: Decimal, draft: Draft) -> list[Wish]:
        """Let a price of its instrument do what it does to a bracket, and return what is wanted next."""
        bracket.reference_price = price
        wishes: list[Wish] = []
        for pair in bracket.living_pairs:
            wishes += self._see(bracket, pair, price, draft)
            if bracket.wanted_exit:
                break
        return wishes

    def _see(self, bracket: Bracket, pair: Pair, price: Decimal, draft: Draft) -> list[Wish]:
        if price <= _below(bracket, pair):
            if pair.phase in (PairPhase.TAKING, PairPhase.CANCELING):
                return self._keeper.leave_through_stop(bracket, draft)
            self._keeper.trigger(bracket, pair, draft)
            return []
        if self._keeper.may_take(pair) and pair.target_price is not None and price >= pair.target_price:
            return self._keeper.take(bracket, pair, draft)
        raised = self._raised_stop(bracket, pair, price)
        return [] if raised is None else self._keeper.raise_stop(bracket, pair, raised, draft)

    def _raised_stop(self, bracket: Bracket, pair: Pair, price: Decimal) -> Decimal | None:
        instrument, plan = self._instruments[bracket.instrument_id], bracket.plan
        stops = []
        if price >= self._breaks_even_at(bracket, pair):
            stops.append(instrument.price(pair.entry_price, Direction.NEAREST))
        if price >= self._trails_at(bracket, pair) and plan.trail_distance is not None:
            stops.append(instrument.price(price - plan.trail_distance, Direction.DOWN))
        return max(stops, default=None)

    def _above(self, bracket: Bracket, pair: Pair) -> Decimal:
        if pair.phase is not PairPhase.PROTECTED:
            return _NO_PRICE
        level = min(self._breaks_even_at(bracket, pair), self._trails_at(bracket, pair))
        if self._keeper.may_take(pair) and pair.target_price is not None:
            level = min(level, pair.target_price)
        return level

    def _breaks_even_at(self, bracket: Bracket, pair: Pair) -> Decimal:
        distance = bracket.plan.break_even_distance
        if distance is None or pair.phase is not PairPhase.PROTECTED:
            return _NO_PRICE
        instrument = self._instruments[bracket.instrument_id]
        is_done = pair.stop_price >= instrument.price(pair.entry_price, Direction.NEAREST)
        return _NO_PRICE if is_done else pair.entry_price + distance

    def _trails_at(self, bracket: Bracket, pair: Pair) -> Decimal:
        plan = bracket.plan
        if plan.trail_distance is None or pair.phase is not PairPhase.PROTECTED:
            return _NO_PRICE
        tick = self._instruments[bracket.instrument_id].tick(pair.stop_price)
        # A step between two ticks is the next tick up, so that a raised stop is never short of it.
        steps = _WIDE.divide(plan.trail_step or tick, tick).to_integral_value(ROUND_CEILING)
        return pair.stop_price + _WIDE.multiply(steps, tick) + plan.trail_distance


def needs_watching(plan: ExitPlan, exit_style: ExitStyle) -> bool:
    """Return whether prices between the reports of the venue matter to a bracket of such a plan."""
    watches_targets = exit_style is ExitStyle.REST_STOP and bool(plan.targets)
    terms = (plan.stop_limit_offset, plan.trail_distance, plan.break_even_distance)
    return watches_targets or any(term is not None for term in terms)


def _float(level: Decimal) -> float:
    # A level is on the tick or close to it: the nearest float compares with a print as the decimals would.
    return float(level)


def _below(bracket: Bracket, pair: Pair) -> Decimal:
    is_without_stop = pair.phase is PairPhase.TAKING or (
        pair.phase is PairPhase.CANCELING and pair.purpose is not Purpose.SELL
    )
    has_limit = bracket.plan.stop_limit_offset is not None
    waits_for_touch = has_limit and pair.phase in (PairPhase.PROTECTING, PairPhase.PROTECTED)
    return pair.stop_price if is_without_stop or waits_for_touch else -_NO_PRICE
