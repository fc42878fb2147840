"""Lives of orders by family: each tells how the venue misbehaves, and is played on every path with every seed.

One row of `FAMILIES` is one way of misbehaving; `PATHS` are what the price does meanwhile; both exit styles play each
with the seeds below. What has to hold is stated in `engine.testing.ordeal`: never short, open exits never above what is
held, no time without protection beyond the deadlines, an end that is flat or halted with a reason, and replay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Signal, SignalKind
from engine.core.risk.limits import Limits
from engine.core.values import MINUTE_NS, SECOND_NS, Leg
from engine.testing.mean_venue import EVERY_LEG, EXITS, Temper
from engine.testing.ordeal import Ordeal
from engine.testing.scenario import OPEN_TS_NS, enter, leave

ENTRY, STOP, TARGET, EXIT = Leg.ENTRY, Leg.STOP, Leg.TARGET, Leg.EXIT
ENTER_AT, LEAVE_AT, MINUTES = 2, 18, 26
#: 1.5 below and 3.0 above a fill at 100.
_STOP, _TARGET = 98.5, 103.0
SEEDS = (1, 2)
STYLES = tuple(ExitStyle)


@dataclass(frozen=True)
class Family:
    """One way of misbehaving."""

    name: str
    temper: Temper
    #: For how many seconds what is held may be without a stop or a market exit: the delay of news, and the wait until
    #: somebody asks (30).
    exposed_s: int = 0
    #: Whether an end in a halt is a good end: the venue leaves something that only a human can settle.
    may_halt: bool = False
    #: Whether the engine is told when the exchange halts and resumes.
    tells_halts: bool = False
    #: A minute before which the shares are split, into how many, of how many.
    split: tuple[int, int, int] | None = None
    script: dict[int, Signal] = field(default_factory=lambda: {ENTER_AT: enter(), LEAVE_AT: leave()})


def minutes(*bounds: int) -> tuple[tuple[int, int], ...]:
    """Return a halt between two minutes of the session."""
    return ((OPEN_TS_NS + bounds[0] * MINUTE_NS, OPEN_TS_NS + bounds[1] * MINUTE_NS),)


#: Entries in parts, each taken back after the split.
AFTER_SPLIT = Temper(parts=frozenset({ENTRY}), busted=frozenset({ENTRY}), busted_after_s=(120, 600))

FAMILIES = (
    Family("an honest venue", Temper()),
    Family("reports come late", Temper(delay_s_max=20), exposed_s=25),
    Family("fills before acknowledgements", Temper(delay_s_max=20, overtakes=True), exposed_s=25),
    Family("everything is told three times", Temper(repeats=2, delay_s_max=5), exposed_s=10),
    Family("repeated and out of order", Temper(repeats=2, delay_s_max=20, overtakes=True), exposed_s=25),
    Family("entries are never acknowledged", Temper(unacknowledged=frozenset({ENTRY}))),
    Family("exits are never acknowledged", Temper(unacknowledged=EXITS)),
    Family("entries in parts", Temper(parts=frozenset({ENTRY}))),
    Family("exits in parts", Temper(parts=EXITS), exposed_s=20),
    Family("everything in parts, late", Temper(parts=EVERY_LEG, delay_s_max=10, overtakes=True), exposed_s=25),
    Family("a part, then canceled: entries", Temper(cut_short=frozenset({ENTRY}))),
    Family("a part, then canceled: market exits", Temper(cut_short=frozenset({EXIT})), may_halt=True),
    Family("a part, then canceled: legs", Temper(cut_short=frozenset({STOP, TARGET})), exposed_s=10),
    Family("entries are refused", Temper(refused=frozenset({ENTRY}))),
    Family("the stop is refused", Temper(refused=frozenset({STOP}))),
    Family("the target is refused", Temper(refused=frozenset({TARGET}))),
    Family("the market exit is refused once", Temper(refused=frozenset({EXIT}))),
    Family("the market exit is refused for ever", Temper(refused=frozenset({EXIT}), refusals=99), may_halt=True),
    Family("entries are refused late", Temper(refused_late=frozenset({ENTRY}))),
    Family("the stop is refused late", Temper(refused_late=frozenset({STOP}))),
    Family("the target is refused late", Temper(refused_late=frozenset({TARGET})), exposed_s=20),
    Family("the venue ends the stop on its own", Temper(ended=frozenset({STOP})), exposed_s=10),
    Family("the venue ends the target on its own", Temper(ended=frozenset({TARGET}))),
    Family("entries are told when asked", Temper(silent=frozenset({ENTRY})), exposed_s=35),
    Family("exits are told when asked", Temper(silent=EXITS)),
    Family("entries are lost on their way", Temper(lost=frozenset({ENTRY}))),
    Family("stops are lost on their way", Temper(lost=frozenset({STOP})), exposed_s=35),
    Family("market exits are lost on their way", Temper(lost=frozenset({EXIT})), exposed_s=100, may_halt=True),
    Family("entries with an unknown outcome", Temper(unknown=frozenset({ENTRY})), exposed_s=35),
    Family("exits with an unknown outcome", Temper(unknown=EXITS), exposed_s=65),
    Family("cancels hang for a while", Temper(cancel_hangs=EXITS, hang_s=40), exposed_s=40),
    Family("cancels hang for ever", Temper(cancel_hangs=EXITS, hang_s=10**6), may_halt=True),
    Family("cancels are refused once", Temper(cancel_refused=EXITS), exposed_s=35),
    Family("cancels are refused for ever", Temper(cancel_refused=EXITS, cancel_refusals=99), may_halt=True),
    Family("filled just before the cancel", Temper(filled_in_cancel=EXITS)),
    Family(
        "filled just before the cancel, told after",
        Temper(filled_in_cancel=EXITS, delay_s_max=15, overtakes=True),
        exposed_s=25,
    ),
    Family("the sibling's cancel is told first", Temper(sibling_first=True, delay_s_max=1), exposed_s=5),
    Family("an entry is taken back", Temper(busted=frozenset({ENTRY})), may_halt=True),
    Family("an exit is taken back", Temper(busted=EXITS), may_halt=True),
    Family("halted while it enters", Temper(halted=minutes(ENTER_AT, 7))),
    Family("halted while it is held", Temper(halted=minutes(6, 11)), may_halt=True),
    Family("halted while it leaves", Temper(halted=minutes(LEAVE_AT, 24)), may_halt=True),
    Family("halted while it enters, and told", Temper(halted=minutes(ENTER_AT, 7)), tells_halts=True),
    Family("halted while it is held, and told", Temper(halted=minutes(6, 11)), tells_halts=True),
    Family("halted while it leaves, and told", Temper(halted=minutes(LEAVE_AT, 24)), tells_halts=True),
    Family(
        "an entry expires",
        Temper(delay_s_max=5),
        exposed_s=10,
        script={ENTER_AT: enter(limit=99.0), LEAVE_AT: leave()},
    ),
    Family(
        "split before the entry fills",
        Temper(),
        split=(ENTER_AT + 2, 2, 1),
        script={ENTER_AT: enter(limit=99.0), LEAVE_AT: leave()},
    ),
    Family(
        "split into fewer before the entry fills",
        Temper(),
        split=(ENTER_AT + 2, 1, 2),
        script={ENTER_AT: enter(limit=99.0), LEAVE_AT: leave()},
    ),
    Family("split while it is protected", Temper(), split=(8, 2, 1)),
    Family("split into fewer while it is protected", Temper(), split=(8, 1, 2)),
    Family("split into fewer with a part over", Temper(parts=frozenset({ENTRY})), split=(8, 2, 3)),
    Family("split as the target is touched", Temper(), split=(7, 2, 1)),
    Family("split while it leaves", Temper(parts=frozenset({EXIT})), exposed_s=10, split=(LEAVE_AT + 1, 2, 1)),
    Family("split, then an entry is taken back", AFTER_SPLIT, may_halt=True, split=(4, 2, 1)),
    Family("split into fewer, then an entry is taken back", AFTER_SPLIT, may_halt=True, split=(4, 1, 2)),
    Family("split with a part over, then an entry is taken back", AFTER_SPLIT, may_halt=True, split=(4, 2, 3)),
    Family("split, then an exit is taken back", replace(AFTER_SPLIT, busted=EXITS), may_halt=True, split=(19, 3, 2)),
)

#: The close reached the target, but the price is gone when an order comes.
GONE = (_TARGET + 0.25, 102.0)
#: What the price does after the entry, at each minute's end.
PATHS: dict[str, Callable[[Random], Sequence[float | tuple[float, float]]]] = {
    "still": lambda chance: [100.0 + chance.choice((-0.5, 0.0, 0.5)) for _ in range(MINUTES)],
    "slides through the stop": lambda chance: slope(100.0, _STOP - 1.0, chance),
    "falls through the stop": lambda chance: jump(_STOP - chance.choice((0.0, 0.01, 4.0)), chance.randint(4, 14)),
    "reaches the target": lambda chance: slope(100.0, _TARGET + 1.0, chance),
    "passes the target and falls": lambda chance: [
        *jump(_TARGET + chance.choice((0.0, 2.0)), 6)[:10],
        *[_STOP - 1.0] * (MINUTES - 10),
    ],
    "touches the target and falls slowly": lambda _: [
        *[100.0] * 6,
        GONE,
        *[102.0] * 4,
        *[_STOP - 0.5] * (MINUTES - 11),
    ],
    "touches the target and falls at once": lambda _: [*[100.0] * 6, GONE, *[_STOP - 0.5] * (MINUTES - 7)],
    "leaves as a leg fills": lambda chance: jump(chance.choice((_STOP, _TARGET)), LEAVE_AT + chance.choice((0, 1))),
    "swings": lambda chance: [
        100.0 if minute < 4 else 100.0 + chance.choice((-2.0, -1.0, 1.0, 3.5)) for minute in range(MINUTES)
    ],
}


def slope(start: float, end: float, chance: Random) -> list[float]:
    """Return a price that is still until after the entry and then goes evenly to its end."""
    last = chance.randint(8, LEAVE_AT)
    share = [min(1.0, max(0.0, (minute - 3) / (last - 3))) for minute in range(MINUTES)]
    return [round(start + (end - start) * part, 2) for part in share]


def jump(price: float, minute: int) -> list[float]:
    """Return a price that is still until a minute and another one from then on."""
    return [100.0] * minute + [price] * (MINUTES - minute)


def signal(kind: SignalKind, **terms: object) -> Signal:
    return Signal(kind=kind, reason="script", **terms)  # type: ignore[arg-type]


#: What the strategy wants beyond one entry with a stop and a target.
PLANS: dict[str, dict[int, Signal]] = {
    "several targets": {ENTER_AT: replace(enter(target_distance=None), targets=((1.0, 0.4), (2.0, 0.25), (3.0, 0.25)))},
    "a trailing stop": {ENTER_AT: replace(enter(), trail_distance=1.0, trail_step=0.25)},
    "break-even": {ENTER_AT: replace(enter(), break_even_distance=0.75)},
    "trailing, break-even, targets": {
        ENTER_AT: replace(
            enter(target_distance=None),
            targets=((1.0, 0.5), (3.0, 0.5)),
            trail_distance=1.5,
            break_even_distance=0.5,
        )
    },
    "a stop-limit": {ENTER_AT: replace(enter(), stop_limit_offset=0.25)},
    "a longest time": {ENTER_AT: replace(enter(), hold_s_max=300)},
    "an entry by offset that expires": {
        ENTER_AT: replace(enter(limit=1.0), limit_price=None, limit_offset=0.25, expires_after_s=240)
    },
    "scaled in": {
        ENTER_AT: enter(),
        ENTER_AT + 3: replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.5),
        ENTER_AT + 6: replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.25),
    },
    "scaled out": {
        ENTER_AT: enter(),
        ENTER_AT + 3: signal(SignalKind.SCALE_OUT, fraction=0.3),
        ENTER_AT + 6: signal(SignalKind.SCALE_OUT, fraction=0.5),
    },
    "scaled in and out, stop moved": {
        ENTER_AT: enter(),
        ENTER_AT + 2: replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.5),
        ENTER_AT + 4: signal(SignalKind.MOVE_STOP, stop_price=99.0),
        ENTER_AT + 6: signal(SignalKind.SCALE_OUT, fraction=0.5),
        ENTER_AT + 8: signal(SignalKind.MOVE_STOP, stop_price=99.5),
    },
}
#: The families that every plan is played against.
HARD = (
    "an honest venue",
    "repeated and out of order",
    "everything in parts, late",
    "a part, then canceled: legs",
    "the stop is refused late",
    "the venue ends the stop on its own",
    "stops are lost on their way",
    "exits with an unknown outcome",
    "cancels hang for a while",
    "cancels are refused for ever",
    "filled just before the cancel, told after",
    "an entry is taken back",
)


def test_the_matrix_is_large_enough() -> None:
    assert len(FAMILIES) * len(PATHS) * len(SEEDS) >= 200
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert set(HARD) <= {family.name for family in FAMILIES}


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name.replace(" ", "-"))
@pytest.mark.parametrize("seed", SEEDS)
def test_a_life(family: Family, path: str, style: ExitStyle, seed: int) -> None:
    # A target that takes the place of its stop may rest for `swap_s`, where the price or the venue makes it wait.
    rests = style is ExitStyle.REST_STOP and (path.startswith("touches") or family.exposed_s)
    exposed_ns_max = (family.exposed_s + 65 * bool(rests)) * SECOND_NS
    ordeal = Ordeal(
        family.script,
        family.temper,
        seed=seed,
        exit_style=style,
        exposed_ns_max=exposed_ns_max,
        tells_halts=family.tells_halts,
        split=family.split,
    )
    ordeal.play(PATHS[path](Random(f"{family.name}|{path}|{seed}")))
    ordeal.rest()
    ordeal.check(may_halt=family.may_halt)


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("path", ["slides through the stop", "falls through the stop", "reaches the target", "swings"])
@pytest.mark.parametrize("family", HARD, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("plan", PLANS, ids=lambda name: name.replace(" ", "-"))
def test_a_plan(plan: str, family: str, path: str, style: ExitStyle) -> None:
    row = next(each for each in FAMILIES if each.name == family)
    script = {**PLANS[plan], LEAVE_AT: leave()}
    ordeal = Ordeal(script, row.temper, seed=3, exit_style=style, limits=Limits(duplicate_window_ns=0))
    ordeal.play(PATHS[path](Random(f"{plan}|{family}|{path}")))
    ordeal.rest()
    ordeal.check(may_halt=row.may_halt)
