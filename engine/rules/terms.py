"""Terms: how the entries of a rule are made and left, beyond at market with a stop and one target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, isfinite

from engine.core.errors import BadInput
from engine.core.messages import Signal, SignalKind
from engine.core.values import OrderType
from engine.rules.row import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTerms:
    """State how entries are made and left. A *risk* is the entry's own stop distance. What is left out is not wanted.

    Raises BadInput for a term that cannot be followed.
    """

    #: Rest so far below the close (negative: above), in price units or in basis points; neither: at market.
    limit_offset: float | None = None
    limit_offset_bps: float | None = None
    #: Seconds of session time after which an entry that still works is canceled.
    expires_after_s: int | None = None
    #: Seconds of session time after the first fill at which the position is left.
    hold_s_max: int | None = None
    #: (distance in risks, part of the position) of several targets, in place of `target_distance`.
    targets: tuple[tuple[float, float], ...] = ()
    #: The stop is a stop-limit, whose limit is so many risks below it.
    stop_limit_risks: float | None = None
    #: The stop follows the highest price at so many risks, in steps of so many.
    trail_risks: float | None = None
    trail_step_risks: float | None = None
    #: Once the price is so many risks above the entry, the stop moves to the entry's price.
    break_even_risks: float | None = None

    def __post_init__(self) -> None:
        """Refuse terms that cannot be followed."""
        for name, value in self._above_zero():
            if value is not None and not (isfinite(value) and value > 0):
                raise BadInput(
                    f"The term {name} is {value!r}, which is no number above zero: give one, or leave it out."
                )
        if self.limit_offset is not None and self.limit_offset_bps is not None:
            raise BadInput("The terms limit_offset and limit_offset_bps are both given: give one of them.")
        for name in ("limit_offset", "limit_offset_bps"):
            value = getattr(self, name)
            if value is not None and not isfinite(value):
                raise BadInput(f"The term {name} is {value!r}, which is no finite number: give one, or leave it out.")
        if self.trail_step_risks is not None and self.trail_risks is None:
            raise BadInput("The term trail_step_risks is given without trail_risks: give both, or neither.")
        parts = fsum(part for _, part in self.targets)
        if parts > 1:
            raise BadInput(
                f"The parts of the targets sum to {parts!r}, which is more than the position: give 1 at most."
            )

    @property
    def counts_in_risks(self) -> bool:
        """Return whether a term is a multiple of the stop distance."""
        terms = (self.stop_limit_risks, self.trail_risks, self.break_even_risks)
        return bool(self.targets) or any(term is not None for term in terms)

    def _above_zero(self) -> Iterator[tuple[str, float | None]]:
        for distance, part in self.targets:
            yield "targets", distance
            yield "targets", part
        for name in ("expires_after_s", "hold_s_max", "stop_limit_risks", "trail_risks", "trail_step_risks"):
            yield name, getattr(self, name)
        yield "break_even_risks", self.break_even_risks

    def signal(
        self, *, stop_distance: float | None, target_distance: float | None, reason: str, values: Values
    ) -> Signal:
        """Return the entry of a bar whose distances are known, in price units."""
        risk = stop_distance or 0.0

        def in_prices(risks: float | None) -> float | None:
            return None if risks is None else risks * risk

        is_market = self.limit_offset is None and self.limit_offset_bps is None
        return Signal(
            kind=SignalKind.ENTER,
            order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
            limit_offset=self.limit_offset,
            limit_offset_bps=self.limit_offset_bps,
            stop_distance=stop_distance,
            target_distance=target_distance,
            targets=tuple((distance * risk, part) for distance, part in self.targets),
            stop_limit_offset=in_prices(self.stop_limit_risks),
            trail_distance=in_prices(self.trail_risks),
            trail_step=in_prices(self.trail_step_risks),
            break_even_distance=in_prices(self.break_even_risks),
            expires_after_s=self.expires_after_s,
            hold_s_max=self.hold_s_max,
            reason=reason,
            values=values,
        )
