"""Exit plans: how a position is to be left, in exact numbers, and whether that can be done."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.core.messages.quick import quick_init
from engine.core.values import SECOND_NS, ZERO

#: No price is as large as this, so no distance can be.
_DISTANCE_MAX: Final = Decimal(900_000_000)
#: Longer times are errors of a unit.
_TIME_NS_MAX: Final = 31_622_400 * SECOND_NS


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPlan:
    """Hold how a position is to be left. Distances are unrounded, in price units; None where not wanted."""

    stop_distance: Decimal | None
    #: (distance, fraction of the position), nearest first; fractions sum to at most 1.
    targets: tuple[tuple[Decimal, Decimal], ...] = ()
    #: The stop is a stop-limit, whose limit is so far below its stop price.
    stop_limit_offset: Decimal | None = None
    #: The stop follows the highest price at this distance, in steps of at least `trail_step` (else one tick).
    trail_distance: Decimal | None = None
    trail_step: Decimal | None = None
    #: Once the price is so far above the entry, the stop moves to the entry's price.
    break_even_distance: Decimal | None = None
    #: Session time after the first fill at which the position is left, ns.
    hold_ns_max: int | None = None


def plan_defect(plan: ExitPlan) -> str:
    """Return the reason code of the first thing in a plan that cannot be followed, or nothing."""
    if not _targets_fit(plan.targets):
        return "bad_targets"
    if plan.stop_limit_offset is not None and not _is_between(plan.stop_limit_offset, least=ZERO):
        return "bad_stop_limit_offset"
    if not _is_distance(plan.trail_distance) or not _is_distance(plan.trail_step):
        return "bad_trail"
    if plan.trail_step is not None and plan.trail_distance is None:
        return "bad_trail"
    if not _is_distance(plan.break_even_distance):
        return "bad_break_even_distance"
    return "" if is_time(plan.hold_ns_max) else "bad_hold_time"


def is_time(lasting_ns: int | None) -> bool:
    """Return whether a time of a plan is left out, or above zero and within a year."""
    return lasting_ns is None or 0 < lasting_ns <= _TIME_NS_MAX


def _targets_fit(targets: tuple[tuple[Decimal, Decimal], ...]) -> bool:
    if not all(_is_distance(distance) and _is_distance(fraction) for distance, fraction in targets):
        return False
    return sum((fraction for _, fraction in targets), ZERO) <= 1


def _is_distance(number: Decimal | None) -> bool:
    return number is None or (_is_between(number, least=ZERO) and number > 0)


def _is_between(number: Decimal, *, least: Decimal) -> bool:
    return number.is_finite() and least <= number <= _DISTANCE_MAX
