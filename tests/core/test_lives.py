"""Hundreds of lives by a digest each, with how they ended: what the core decides changes only on purpose.

`RATCHET_RENEW=1 pytest tests/core/test_lives.py` writes the files anew where a change is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Signal, SignalKind
from engine.core.values import Leg
from engine.testing.mean_venue import EVERY_LEG, EXITS, Temper
from engine.testing.ordeal import Ordeal
from engine.testing.scenario import enter, leave
from engine.testing.told import compare_told, digest, told_step

FOLDER = Path(__file__).with_name("stories") / "lives"
STYLES = list(ExitStyle)

#: Venues by how they misbehave, price paths by minute, and what is traded, for the digests.
TEMPERS = {
    "honest": Temper(),
    "late and out of order": Temper(delay_s_max=20, overtakes=True, repeats=1),
    "in parts": Temper(parts=EVERY_LEG, delay_s_max=5),
    "cut short": Temper(cut_short=EVERY_LEG),
    "refused late": Temper(refused_late=EXITS),
    "cancels hang": Temper(cancel_hangs=EXITS, hang_s=40),
    "filled in the cancel": Temper(filled_in_cancel=EXITS, delay_s_max=15, overtakes=True),
    "refused": Temper(refused=frozenset({Leg.STOP, Leg.TARGET})),
    "ended": Temper(ended=frozenset({Leg.STOP})),
    "silent": Temper(silent=EVERY_LEG),
    "lost": Temper(lost=EVERY_LEG),
    "unknown": Temper(unknown=EVERY_LEG),
    "cancels are refused": Temper(cancel_refused=EXITS, cancel_refusals=99),
    "taken back": Temper(busted=EVERY_LEG),
}
#: With these every plan is played; with the others the plain one.
USUAL = frozenset(list(TEMPERS)[:7])
PATHS = {
    "up": [100.0, 100.0, 101.0, 102.0, 103.5, 103.5, 103.0],
    "down": [100.0, 100.0, 99.0, 98.4, 97.0, 97.0, 97.5],
    "up and down": [100.0, 100.5, 103.1, 102.0, 98.4, 98.0, 99.0],
    "still": [100.0] * 9,
}
PLANS: dict[str, dict[int, Signal]] = {
    "plain": {0: enter(), 7: leave()},
    "three targets": {
        0: replace(enter(target_distance=None), targets=((1.0, 0.3), (2.0, 0.3), (3.0, 0.4))),
        7: leave(),
    },
    "trailing": {0: replace(enter(), trail_distance=1.5, trail_step=0.25), 7: leave()},
    "break even": {0: replace(enter(), break_even_distance=0.75), 7: leave()},
    "stop limit": {0: replace(enter(), stop_limit_offset=0.3), 8: leave()},
    "held for a while": {0: replace(enter(), hold_s_max=200)},
    "scaled": {
        0: enter(),
        1: replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.5),
        2: Signal(kind=SignalKind.SCALE_OUT, fraction=0.4),
        3: Signal(kind=SignalKind.MOVE_STOP, stop_price=99.5),
        7: leave(),
    },
    "an expiring limit": {0: replace(enter(limit=99.8), expires_after_s=150), 7: leave()},
}


def life(style: ExitStyle, temper: str, plan: str, path: str) -> str:
    """Return one line: what was played, how it ended, and the digest of every step."""
    ordeal = Ordeal(PLANS[plan], TEMPERS[temper], seed=1, exit_style=style)
    ordeal.play(PATHS[path])
    ordeal.rest()
    text = "\n".join(_every_line(ordeal))
    end = f"halted: {ordeal.halts[0]}" if ordeal.halts else f"equity {ordeal.pipeline.ledger.equity:f}"
    orders = len(ordeal.scenario.submitted())
    return f"{style.value:<10} {temper:<22} {plan:<18} {path:<12} {digest(text)} {orders:>2} orders, {end}"


def _every_line(ordeal: Ordeal) -> Iterator[str]:
    for event, step in ordeal.steps:
        if step.facts or step.commands:
            yield from told_step(event, step)


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("temper", TEMPERS)
def test_a_life_is_lived_as_ever(temper: str, style: ExitStyle) -> None:
    plans = PLANS if temper in USUAL else ["plain"]
    lived = [life(style, temper, plan, path) for plan in plans for path in PATHS]
    compare_told(FOLDER / f"{temper.replace(' ', '_')}.{style.value}.txt", "\n".join(lived) + "\n")


def test_every_file_is_of_a_temper() -> None:
    names = {f"{temper.replace(' ', '_')}.{style.value}.txt" for temper in TEMPERS for style in STYLES}
    assert {path.name for path in FOLDER.glob("*.txt")} == names
