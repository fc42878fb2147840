"""Scripted lives of a bracket: a few minutes each, on a market made by hand, at a venue that is honest.

What the strategy wants and where the price goes are written down, so that everything which happens in a life, from
its entry to its last exit, happens in every run of it; `engine.testing.chaos.exhaustive` then breaks it everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Signal, SignalKind
from engine.core.values import OrderType
from engine.testing.chaos.faults import Chooser
from engine.testing.chaos.kernel import Kernel
from engine.testing.chaos.market import MINUTES_PER_SESSION, Market, first_step_of
from engine.testing.chaos.plan import Act, OperatorAct, ScenarioPlan
from engine.testing.chaos.subject import Rules, Subject
from engine.testing.reference_temper import VenueTemper
from engine.testing.scenario import ScriptedStrategy, leave

#: After the last minute in which something may go wrong: three reconciliations, and the deadlines of a protection, a
#: swap and a market exit one after the other.
QUIET_MINUTES: Final = 6
#: Answers take a while, and listings show what was true up to three seconds ago.
LAGGING: Final = VenueTemper(latency_ms=(100, 900), push_latency_ms=(100, 3_000), read_lag_ms=3_000)
_STEPS_PER_MINUTE: Final = first_step_of(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedLife:
    """Hold one life. Minutes are those of the first session, from its open on."""

    name: str
    #: What the strategy wants when the bar of a minute closes.
    script: Mapping[int, Signal]
    #: Where the price is at a minute, in account currency; straight lines between, the last one stays.
    path: tuple[tuple[float, float], ...]
    #: Which legs execute, in this order, each at least once: the proof that the life happens. By exit style where
    #: what executes is not the same.
    legs: Mapping[ExitStyle, tuple[str, ...]]
    first_minute: int = 0
    minutes: int = 8
    temper: VenueTemper = field(default_factory=VenueTemper)
    rules: Rules = field(default_factory=Rules)
    acts: tuple[Act, ...] = ()
    #: Of the venue's chance.
    seed: int = 1

    @property
    def spans_night(self) -> bool:
        """Return whether it goes on in the next session."""
        return self.first_minute + self.minutes > MINUTES_PER_SESSION

    def plan(self, style: ExitStyle) -> ScenarioPlan:
        """Return its plan for an exit style."""
        return ScenarioPlan(
            seed=self.seed,
            exit_style=style,
            market_seed=0,
            first_minute=self.first_minute,
            minutes=self.minutes,
            quiet_minutes=QUIET_MINUTES,
            temper=self.temper,
            restart_s=(2, 6),
            acts=self.acts,
        )

    def subject(self) -> Subject:
        """Return its strategy, as a scenario takes it."""
        return Subject(
            name="scripted",
            make=lambda _seed: ScriptedStrategy(self.script),
            rules=self.rules,
            trades_anywhere=True,
        )

    def market(self) -> Market:
        """Return its prices; bars come of them as they are traded."""
        last = first_step_of(self.first_minute + self.minutes + QUIET_MINUTES)
        prices = tuple(_price(self.path, step / _STEPS_PER_MINUTE) for step in range(last))
        return Market(seed=0, prices=prices, bars=())


class ScriptedKernel(Kernel):
    """Live a scripted life, on its own market."""

    def __init__(
        self, life: ScriptedLife, style: ExitStyle, chooser: Chooser, database: Path, *, tells: bool = False
    ) -> None:
        """Put the parts together, as for a `Kernel`."""
        super().__init__(life.subject(), life.plan(style), chooser, database, tells=tells)
        self._market = life.market()


def _price(path: tuple[tuple[float, float], ...], minute: float) -> float:
    at = bisect_right(path, (minute, float("inf")))
    if at == 0:
        return path[0][1]
    if at == len(path):
        return path[-1][1]
    (since, before), (until, after) = path[at - 1], path[at]
    return round(before + (after - before) * (minute - since) / (until - since), 2)


def _enter(**terms: Any) -> Signal:  # noqa: ANN401 - the fields of a signal
    return Signal(kind=SignalKind.ENTER, reason="script", **{"stop_distance": 0.5, **terms})


def _both(*legs: str) -> dict[ExitStyle, tuple[str, ...]]:
    return dict.fromkeys(ExitStyle, legs)


def _act(minute: float, act: OperatorAct) -> tuple[Act, ...]:
    return (Act(step=round(minute * _STEPS_PER_MINUTE), act=act),)


def _flat_until(minute: float, *points: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    return ((0, 100.0), (minute, 100.0), *points)


_LAST: Final = MINUTES_PER_SESSION

LIVES: Final[tuple[ScriptedLife, ...]] = (
    ScriptedLife(
        name="target",
        script={0: _enter(target_distance=0.5)},
        path=_flat_until(3, (5, 100.8)),
        legs=_both("entry", "target"),
        minutes=7,
    ),
    ScriptedLife(
        name="stop",
        script={0: _enter(target_distance=0.5)},
        path=_flat_until(3, (5, 99.2)),
        legs=_both("entry", "stop"),
        minutes=7,
        temper=LAGGING,
    ),
    ScriptedLife(
        name="targets_trail",
        script={0: _enter(targets=((0.3, 0.5), (0.9, 0.25)), trail_distance=0.4, trail_step=0.25)},
        path=_flat_until(2, (4, 100.45), (6, 101.0), (8, 100.2)),
        legs=_both("entry", "target", "target", "stop"),
        minutes=10,
    ),
    ScriptedLife(
        name="scale",
        script={
            0: _enter(target_distance=0.6, fraction=None),
            2: Signal(kind=SignalKind.SCALE_IN, fraction=0.5, stop_distance=0.5, target_distance=0.6, reason="script"),
            4: Signal(kind=SignalKind.SCALE_OUT, fraction=0.5, reason="script"),
        },
        path=_flat_until(7, (9, 100.9)),
        legs=_both("entry", "entry", "exit", "exit", "target"),
        minutes=11,
    ),
    ScriptedLife(
        name="limit_partial",
        script={0: _enter(target_distance=0.5, order_type=OrderType.LIMIT, limit_offset=0.1, expires_after_s=100)},
        # Through the limit for an instant only: the first part fills, the rest waits and is canceled.
        path=_flat_until(2, (2.083, 99.85), (2.084, 99.85), (2.09, 100.0), (4, 100.0), (6, 100.7)),
        legs=_both("entry", "target", "target"),
        minutes=8,
        temper=VenueTemper(partial_fills=1.0, parts_max=40),
        seed=10,
    ),
    ScriptedLife(
        name="exit_signal",
        script={0: _enter(target_distance=0.8), 3: leave()},
        path=_flat_until(20),
        legs=_both("entry", "exit"),
        minutes=7,
        temper=LAGGING,
    ),
    ScriptedLife(
        name="time_exit",
        script={0: _enter(target_distance=0.8, hold_s_max=150)},
        path=_flat_until(20),
        legs=_both("entry", "exit"),
        minutes=7,
    ),
    ScriptedLife(
        name="moved_stop",
        script={
            0: _enter(target_distance=0.9),
            2: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.8, reason="script"),
        },
        path=_flat_until(4, (6, 99.6)),
        legs=_both("entry", "stop"),
        minutes=8,
    ),
    ScriptedLife(
        name="touched_target",
        script={0: _enter(target_distance=0.5)},
        # At the target for an instant, and away before an order that takes the stop's place can fill.
        path=_flat_until(3, (3.92, 100.49), (4, 100.52), (4.09, 100.3), (6, 100.3), (7, 99.3)),
        legs={ExitStyle.REST_STOP: ("entry", "stop"), ExitStyle.BOTH_LEGS: ("entry", "target")},
        minutes=9,
        temper=VenueTemper(latency_ms=(2_300, 2_450), push_latency_ms=(400, 900)),
    ),
    ScriptedLife(
        name="overnight",
        script={_LAST - 4: _enter(target_distance=0.9)},
        path=((0, 100.0), (_LAST + 2, 100.0), (_LAST + 4, 99.2)),
        legs=_both("entry", "stop"),
        first_minute=_LAST - 5,
        minutes=12,
    ),
    ScriptedLife(
        name="kill",
        script={0: _enter(target_distance=0.8), 5: _enter(target_distance=0.8)},
        path=_flat_until(4, (5, 99.2)),
        legs=_both("entry", "stop"),
        minutes=8,
        acts=_act(3, OperatorAct.KILL),
    ),
    ScriptedLife(
        name="flatten",
        script={0: _enter(target_distance=0.8)},
        path=_flat_until(20),
        legs=_both("entry", "exit"),
        minutes=6,
        acts=_act(3, OperatorAct.FLATTEN),
    ),
    ScriptedLife(
        name="canceled_entry",
        script={
            0: _enter(target_distance=0.5, order_type=OrderType.LIMIT, limit_offset=0.4),
            2: Signal(kind=SignalKind.CANCEL_ENTRY, reason="script"),
        },
        path=_flat_until(20),
        legs=_both(),
        minutes=6,
    ),
)


def life_of(name: str) -> ScriptedLife:
    """Return the life of a name. Raises KeyError where there is none."""
    return {life.name: life for life in LIVES}[name]
