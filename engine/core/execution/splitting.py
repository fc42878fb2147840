"""Brackets over a split: what is held, and every price and distance, in new shares."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal
from typing import Final

from engine.core.execution.brackets import Bracket
from engine.core.messages import ExitPlan
from engine.core.values import ZERO, Direction, Instrument, StrategyId

_WIDE: Final = Context(prec=60)
_LEAST: Final = Decimal("1E-10")


class SplitScale:
    """Scale brackets of one instrument, in the order of their making.

    Quantities are rounded down to lots on the running sum of a strategy, so that together they are what the books
    hold: the fraction of it that is no lot is paid out there.
    """

    def __init__(self, instrument: Instrument, *, new_shares: int, old_shares: int) -> None:
        self._instrument = instrument
        self._new, self._old = Decimal(new_shares), Decimal(old_shares)
        self._before: dict[StrategyId, Decimal] = {}

    def rescale(self, bracket: Bracket) -> None:
        """Put what a bracket holds and plans into new shares; its orders stay as they are."""
        began = self._before.get(bracket.strategy_id, ZERO)
        self._before[bracket.strategy_id] = began + bracket.held
        held = self._lots(began + bracket.held) - self._lots(began)
        left_before = left_after = ZERO
        for pair in bracket.living_pairs:
            filled = pair.quantity - pair.left
            left_before += pair.left
            reached = min(held, self._lots(left_before))
            pair.quantity = filled + reached - left_after
            left_after = reached
            pair.entry_price = self._price(pair.entry_price)
            pair.stop_price = self._on_tick(pair.stop_price)
            if pair.target_price is not None:
                pair.target_price = self._on_tick(pair.target_price)
        bracket.entered = bracket.exited + held
        bracket.reference_price = self._price(bracket.reference_price)
        bracket.plan = self._plan(bracket.plan)

    def _plan(self, plan: ExitPlan) -> ExitPlan:
        return replace(
            plan,
            stop_distance=self._distance(plan.stop_distance),
            targets=tuple((self._price(distance), fraction) for distance, fraction in plan.targets),
            stop_limit_offset=self._distance(plan.stop_limit_offset),
            trail_distance=self._distance(plan.trail_distance),
            trail_step=self._distance(plan.trail_step),
            break_even_distance=self._distance(plan.break_even_distance),
        )

    def _lots(self, quantity: Decimal) -> Decimal:
        return self._instrument.quantity(_WIDE.divide(_WIDE.multiply(quantity, self._new), self._old))

    def _price(self, price: Decimal) -> Decimal:
        return _WIDE.divide(_WIDE.multiply(price, self._old), self._new).quantize(_LEAST, context=_WIDE)

    def _on_tick(self, price: Decimal) -> Decimal:
        return self._instrument.price(max(self._price(price), self._instrument.ticks[0][1]), Direction.NEAREST)

    def _distance(self, distance: Decimal | None) -> Decimal | None:
        return None if distance is None else self._price(distance)
