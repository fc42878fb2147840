"""A strategy that uses everything: market and limit entries, several targets, trails, scaling, moved stops, exits.

What it wants at a bar is a function of its seed and of the bar, so that a replay wants the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from engine.core.messages import Bar, OrderFilled, Quote, Signal, SignalKind
from engine.core.signals import Context
from engine.core.values import OrderType


@dataclass(slots=True, kw_only=True)
class ChaosTrader:
    """Trade often and in every way."""

    seed: int
    #: Enters twice as often and moves trailing stops by every tick: more orders, and slower scenarios.
    is_restless: bool = False
    extended_hours: bool = False
    wants_quotes: bool = False
    wants_timer: bool = False
    warm_up_bars: int | None = 0

    def __post_init__(self) -> None:
        """Let every fourth one trade when the minute turns, too, which needs no bar."""
        self.wants_timer = self.seed % 4 == 0 and not self.is_restless

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Enter where nothing is held; else scale, move the stop, leave, or do nothing."""
        draw = Random(f"{self.seed}:{bar.start_ts_ns}")
        if context.has_working_entry:
            return [Signal(kind=SignalKind.CANCEL_ENTRY, reason="chaos")] if draw.random() < 0.25 else ()
        if not context.position_quantity:
            return [self._entry(draw, SignalKind.ENTER)] if draw.random() < (0.6 if self.is_restless else 0.3) else ()
        chance = draw.random()
        if chance < 0.12:
            return [self._entry(draw, SignalKind.SCALE_IN)]
        if chance < 0.22:
            return [Signal(kind=SignalKind.SCALE_OUT, fraction=draw.choice((0.25, 0.5)), reason="chaos")]
        if chance < 0.32:
            return [Signal(kind=SignalKind.MOVE_STOP, stop_price=round(bar.close - 0.25, 2), reason="chaos")]
        return [Signal(kind=SignalKind.EXIT, reason="chaos")] if chance < 0.40 else ()

    def on_fill(self, fill: OrderFilled, context: Context) -> Sequence[Signal]:
        """Want nothing."""
        return ()

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        """Want nothing."""
        return ()

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        """Enter now and then where nothing is held."""
        draw = Random(f"{self.seed}:timer:{ts_ns}")
        return [self._entry(draw, SignalKind.ENTER)] if context.is_flat and draw.random() < 0.1 else ()

    def _entry(self, draw: Random, kind: SignalKind) -> Signal:
        signal = _entry(draw, kind)
        return replace(signal, trail_step=None) if self.is_restless else signal


def _entry(draw: Random, kind: SignalKind) -> Signal:
    terms: dict[str, Any] = {"stop_distance": draw.choice((0.3, 0.5, 0.9)), "reason": "chaos"}
    terms |= draw.choice(
        (
            {"target_distance": 0.4},
            {"target_distance": 0.8},
            {"targets": ((0.3, 0.5), (0.7, 0.5))},
            {"targets": ((0.3, 0.4),), "trail_distance": 0.4, "trail_step": 0.1},
            {"trail_distance": 0.35, "trail_step": 0.15},
            {"target_distance": 0.6, "break_even_distance": 0.3},
            {"target_distance": 0.5, "stop_limit_offset": 0.1},
            {"target_distance": 0.5, "hold_s_max": 240},
        )
    )
    if draw.random() < 0.4:
        terms |= {"order_type": OrderType.LIMIT, "limit_offset": draw.choice((0.02, 0.1, 0.2))}
        terms |= {"expires_after_s": draw.choice((90, 240))}
    if kind is SignalKind.SCALE_IN:
        terms["fraction"] = draw.choice((0.25, 0.5))
    return Signal(kind=kind, **terms)
