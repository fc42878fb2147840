"""A strategy that nobody of the engine has seen: buys dips by resting limits, and adds a rung where the dip goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.strategy import Bar, BarStrategy, Context, OrderType, Parameters, Signal, SignalKind, parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderParameters(Parameters):
    """Hold how far apart the rungs are, how many there may be, and how long the mean is."""

    rung: float = parameter(0.04, above=0, most=5)
    rungs: int = parameter(3, least=1, most=10)
    mean_bars: int = parameter(12, least=2, most=500)


class OwnerLadder(BarStrategy[LadderParameters]):
    """Enter below the mean of the last closes; scale in a rung lower; leave above the mean or by the stop."""

    parameters_type = LadderParameters

    def __init__(self, parameters: LadderParameters | None = None) -> None:
        super().__init__(parameters)
        self._closes: list[float] = []
        self._rungs = 0
        self._last = 0.0

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Look at the close against the mean of the closes before it."""
        chosen = self.parameters
        self._closes = [*self._closes[-(chosen.mean_bars - 1) :], bar.close]
        if len(self._closes) < chosen.mean_bars:
            return ()
        below = sum(self._closes) / len(self._closes) - bar.close
        if context.is_flat:
            self._rungs = 0
        if context.has_working_entry:
            return [Signal(kind=SignalKind.CANCEL_ENTRY, reason="the dip is over")] if below < 0 else ()
        if not context.position_quantity:
            return self._buy(bar, SignalKind.ENTER) if below > chosen.rung else ()
        if below < -chosen.rung:
            return [Signal(kind=SignalKind.EXIT, reason="above the mean")]
        if self._rungs < chosen.rungs and bar.close < self._last - chosen.rung:
            return self._buy(bar, SignalKind.SCALE_IN)
        return ()

    def _buy(self, bar: Bar, kind: SignalKind) -> Sequence[Signal]:
        self._rungs += 1
        self._last = bar.close
        return [
            Signal(
                kind=kind,
                order_type=OrderType.LIMIT,
                limit_offset=0.01,
                expires_after_s=120,
                stop_distance=0.6,
                targets=((0.3, 0.5), (0.6, 0.5)),
                fraction=0.5 if kind is SignalKind.SCALE_IN else None,
                reason=f"rung {self._rungs}",
            )
        ]
