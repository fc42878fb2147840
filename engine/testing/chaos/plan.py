"""Plans: everything about a scenario that is not a fault, drawn from its seed, and JSON-able.

Swarm testing: each seed switches a part of the fault kinds and of the venue's habits on, and draws how strong they
are. With everything on at once, most scenarios would end in the first halt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.values import SECOND_NS, OrderType, Side
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.market import MINUTES_PER_SESSION, SYMBOL, first_step_of, step_ts_ns
from engine.testing.reference_temper import Dedupe, ForeignOrder, Outage, Status, VenueTemper

#: Markets are few, so that what a strategy needs to warm up on one is prepared once.
MARKETS: Final = 24
STATUSES: Final[tuple[Status, ...]] = (401, 429, 500, "html", "reset")
SHORT_MINUTES: Final = 45
#: After the last fault, everything is honest for so long: long enough for three reconciliations and every deadline.
QUIET_MINUTES: Final = 12
_FULL_MORNING_MINUTES: Final = 20

#: Rates per passage of their points, where they are on.
_RATES: Final[dict[FaultKind, tuple[float, float]]] = {
    FaultKind.CRASH: (0.0002, 0.001),
    FaultKind.DISK_FULL: (0.0001, 0.0003),
    FaultKind.DISK_ERROR: (0.0001, 0.0003),
    FaultKind.REQUEST_LOST: (0.02, 0.15),
    FaultKind.REPLY_LOST: (0.02, 0.15),
    FaultKind.REPLY_LATE: (0.02, 0.2),
    FaultKind.REQUEST_TWICE: (0.02, 0.1),
    FaultKind.SERVER_ERROR: (0.02, 0.15),
    FaultKind.READ_FAILED: (0.05, 0.3),
    FaultKind.READ_TRUNCATED: (0.05, 0.3),
    FaultKind.PUSH_LOST: (0.05, 0.5),
    FaultKind.PUSH_LATE: (0.05, 0.4),
    FaultKind.PUSH_TWICE: (0.05, 0.4),
    FaultKind.FEED_MUTE: (0.002, 0.01),
    FaultKind.LATE_TICK: (0.005, 0.02),
    FaultKind.BAD_QUOTE: (0.005, 0.02),
    FaultKind.STOPPED: (0.001, 0.006),
    FaultKind.SECOND_ENGINE: (0.0003, 0.002),
    FaultKind.CLOCK_JUMP: (0.1, 0.5),
}


class OperatorAct(StrEnum):
    """Name what a human does in a scenario."""

    PAUSE = "pause"
    RESUME = "resume"
    KILL = "kill"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Hold what a human does, and when: a step of the market."""

    step: int
    act: OperatorAct


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeHalt:
    """Hold a halt of trading at the exchange, in steps of the market, and whether the feed tells of it."""

    from_step: int
    until_step: int
    is_told: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPlan:
    """Hold everything that decides a scenario besides its faults."""

    seed: int
    exit_style: ExitStyle
    market_seed: int
    #: The first minute and how many follow with faults on; minutes count over all sessions of the market.
    first_minute: int
    minutes: int = SHORT_MINUTES
    quiet_minutes: int = QUIET_MINUTES
    temper: VenueTemper = field(default_factory=VenueTemper)
    rates: dict[FaultKind, float] = field(default_factory=dict)
    #: How long a dead process stays dead, least and most, seconds.
    restart_s: tuple[int, int] = (1, 20)
    acts: tuple[Act, ...] = ()
    halts: tuple[ExchangeHalt, ...] = ()
    #: Whether circuit breakers that count errors and losses are off: with faults on, they end most trading early.
    breakers_off: bool = True

    @property
    def first_step(self) -> int:
        """Return the first step of the market that is lived."""
        return first_step_of(self.first_minute)

    @property
    def heal_step(self) -> int:
        """Return the step from which on nothing goes wrong any more."""
        return first_step_of(self.first_minute + self.minutes)

    @property
    def end_step(self) -> int:
        """Return the step at which it is over."""
        return first_step_of(self.first_minute + self.minutes + self.quiet_minutes)


def draw_plan(
    seed: int,
    *,
    first_minute: int | None = None,
    is_full: bool = False,
    kinds: frozenset[FaultKind] | None = None,
    exit_style: ExitStyle | None = None,
) -> ScenarioPlan:
    """Return the plan of a seed.

    `first_minute` is where the strategy is about to trade on the seed's market, None for anywhere; `kinds` are the only
    faults that may be on, None for all.
    """
    random = Random(f"plan:{seed}")
    style = exit_style or (ExitStyle.REST_STOP if random.random() < 0.6 else ExitStyle.BOTH_LEGS)
    minutes = MINUTES_PER_SESSION + _FULL_MORNING_MINUTES if is_full else SHORT_MINUTES
    drawn = random.randint(0, MINUTES_PER_SESSION - SHORT_MINUTES - QUIET_MINUTES)
    first = drawn if first_minute is None else first_minute
    if is_full:
        # The session in which the strategy begins to trade, from its open on.
        first = (first_minute or 0) // MINUTES_PER_SESSION * MINUTES_PER_SESSION
    rates = _rates(random, kinds, is_full=is_full)
    return ScenarioPlan(
        seed=seed,
        exit_style=style,
        market_seed=seed % MARKETS,
        first_minute=first,
        minutes=minutes,
        temper=_temper(random, first, minutes, rates),
        rates=rates,
        restart_s=(1, random.choice((3, 20, 60))),
        acts=_acts(random, first, minutes),
        halts=_halts(random, first, minutes),
        breakers_off=random.random() < 0.8,
    )


def _rates(random: Random, kinds: frozenset[FaultKind] | None, *, is_full: bool) -> dict[FaultKind, float]:
    on = [kind for kind in FaultKind if random.random() < 0.45]
    if kinds is not None:
        on = [kind for kind in FaultKind if kind in kinds]
    elif len(on) < 3:
        on += [FaultKind.CRASH, FaultKind.REPLY_LOST, FaultKind.PUSH_LOST]
    # A whole session is nine times as long, and is to be no more broken than a short scenario.
    scale = 0.25 if is_full else 1.0
    rates = {kind: round(random.uniform(*_RATES[kind]) * scale, 6) for kind in dict.fromkeys(on)}
    if FaultKind.CLOCK_JUMP in rates:
        rates[FaultKind.CLOCK_JUMP] = round(random.uniform(*_RATES[FaultKind.CLOCK_JUMP]), 6)
    return rates


def _temper(random: Random, first_minute: int, minutes: int, rates: dict[FaultKind, float]) -> VenueTemper:
    def perhaps(chance: float, least: float, most: float) -> float:
        return round(random.uniform(least, most), 4) if random.random() < chance else 0.0

    twice = FaultKind.REQUEST_TWICE in rates
    dedupe = random.choice((Dedupe.ORIGINAL, Dedupe.ERROR, *(() if twice else (Dedupe.WINDOWED, Dedupe.NONE))))
    start, end = step_ts_ns(first_step_of(first_minute)), step_ts_ns(first_step_of(first_minute + minutes))
    return VenueTemper(
        dedupe=dedupe,
        dedupe_window_s=random.choice((20, 600)),
        echoes_ids=random.random() < 0.85,
        push=random.random() < 0.8,
        latency_ms=random.choice(((20, 80), (100, 900), (200, 2_000))),
        push_latency_ms=random.choice(((20, 120), (100, 3_000))),
        read_lag_ms=random.choice((0, 0, 1_500, 5_000)),
        list_omits=perhaps(0.3, 0.05, 0.5),
        odd_words=perhaps(0.15, 0.01, 0.05),
        partial_fills=perhaps(0.6, 0.2, 0.9),
        partial_then_canceled=perhaps(0.2, 0.05, 0.2),
        rejects_late=perhaps(0.2, 0.02, 0.1),
        needs_approval=perhaps(0.1, 0.05, 0.2),
        approval_s=random.choice((5, 30, 120)),
        stop_canceled_overnight=random.random() < 0.5,
        busts=perhaps(0.1, 0.01, 0.05),
        bust_s=(5, 300),
        cancel_fill_race=perhaps(0.3, 0.1, 0.4),
        cancels_wait=random.random() < 0.3,
        refuses_oversell=random.random() < 0.8,
        foreign=_foreign(random, start, end),
        outages=_outages(random, start, end),
    )


def _foreign(random: Random, start_ts_ns: int, end_ts_ns: int) -> tuple[ForeignOrder, ...]:
    if random.random() > 0.12:
        return ()
    return (
        ForeignOrder(
            ts_ns=random.randrange(start_ts_ns, end_ts_ns),
            symbol=random.choice((SYMBOL, SYMBOL, "ELSE")),
            side=random.choice((Side.BUY, Side.BUY, Side.SELL)),
            quantity=Decimal(random.randint(1, 40)),
            order_type=OrderType.MARKET,
        ),
    )


def _outages(random: Random, start_ts_ns: int, end_ts_ns: int) -> tuple[Outage, ...]:
    if random.random() > 0.2:
        return ()
    begins = random.randrange(start_ts_ns, end_ts_ns)
    lasts_ns = random.randint(10, 120) * SECOND_NS
    status = random.choice(STATUSES)
    return (Outage(from_ts_ns=begins, until_ts_ns=min(end_ts_ns, begins + lasts_ns), status=status),)


def _acts(random: Random, first_minute: int, minutes: int) -> tuple[Act, ...]:
    acts = []
    first, last = first_step_of(first_minute), first_step_of(first_minute + minutes) - 1
    if random.random() < 0.2:
        act = random.choice((OperatorAct.PAUSE, OperatorAct.KILL, OperatorAct.FLATTEN))
        acts.append(Act(step=random.randint(first, last), act=act))
    if random.random() < 0.7:
        # A human looks at halts now and then, and goes on.
        every = random.randint(60, 240)
        acts += [Act(step=step, act=OperatorAct.RESUME) for step in range(first + every, last, every)]
    return tuple(sorted(acts, key=lambda each: each.step))


def _halts(random: Random, first_minute: int, minutes: int) -> tuple[ExchangeHalt, ...]:
    if random.random() > 0.1:
        return ()
    begins = random.randint(first_step_of(first_minute), first_step_of(first_minute + minutes) - 80)
    return (ExchangeHalt(from_step=begins, until_step=begins + random.randint(12, 60), is_told=random.random() < 0.7),)
