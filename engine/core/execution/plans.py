"""Exit plans: from what a signal states to exact numbers."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

from engine.core.messages import ExitPlan, Signal
from engine.core.values import ONE, SECOND_NS


def plan_of(signal: Signal) -> ExitPlan | None:
    """Return the plan that a signal states beyond a stop and one target; None where it states no more than that."""
    if not _has_terms(signal):
        return None
    targets = tuple((as_decimal(distance), as_decimal(fraction)) for distance, fraction in signal.targets)
    if signal.target_distance is not None:
        # Stated both ways: more than the whole position, so that the gate refuses it.
        targets = ((as_decimal(signal.target_distance), ONE), *targets)
    return ExitPlan(
        stop_distance=as_decimal_or_none(signal.stop_distance),
        targets=targets,
        stop_limit_offset=as_decimal_or_none(signal.stop_limit_offset),
        trail_distance=as_decimal_or_none(signal.trail_distance),
        trail_step=as_decimal_or_none(signal.trail_step),
        break_even_distance=as_decimal_or_none(signal.break_even_distance),
        hold_ns_max=nanoseconds(signal.hold_s_max),
    )


def _has_terms(signal: Signal) -> bool:
    terms = (
        signal.stop_limit_offset,
        signal.trail_distance,
        signal.trail_step,
        signal.break_even_distance,
        signal.hold_s_max,
    )
    return bool(signal.targets) or any(term is not None for term in terms)


def nanoseconds(seconds: float | None) -> int | None:
    """Return seconds as ns; 0, which no plan may have, for what is not a finite number."""
    if seconds is None:
        return None
    return int(seconds * SECOND_NS) if isfinite(seconds) else 0


def plain_plan(stop_distance: Decimal | None, target_distance: Decimal | None) -> ExitPlan:
    """Return the plan of a stop and, where there is a distance, one target for everything."""
    targets = () if target_distance is None else ((target_distance, ONE),)
    return ExitPlan(stop_distance=stop_distance, targets=targets)


def as_decimal_or_none(value: float | None) -> Decimal | None:
    """Return a number that a strategy states as the decimal that it prints as; None stays None."""
    return None if value is None else as_decimal(value)


def as_decimal(value: float) -> Decimal:
    """Return a number that a strategy states as the decimal that it prints as; it may be infinite or no number."""
    # A strategy may give numbers of numpy, whose text names their type.
    return Decimal(repr(float(value)))
