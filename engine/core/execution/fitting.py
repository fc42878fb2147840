"""Fitting brackets to the books: after a bust, or where too much was sold, they hold together what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.core.execution.brackets import Bracket
from engine.core.execution.keeping import PairKeeper
from engine.core.execution.leaving import Leaver
from engine.core.execution.wishes import Wish
from engine.core.messages import Draft
from engine.core.values import ZERO, Instrument, InstrumentId


class Fitter:
    """Let brackets hold what the books hold, with exits for just that (I-12)."""

    def __init__(self, *, instruments: Mapping[InstrumentId, Instrument], leaver: Leaver, keeper: PairKeeper) -> None:
        self._instruments = instruments
        self._leaver = leaver
        self._keeper = keeper

    def fit(
        self, brackets: Sequence[Bracket], position: Decimal, draft: Draft, *, busted: Bracket | None
    ) -> list[Wish]:
        """Take what a position has no room for out of brackets of one instrument, in the order given.

        Exits of what is left are placed anew, but for `busted`, whose bust decides what becomes of it.
        """
        wishes: list[Wish] = []
        lots = self._instruments[brackets[0].instrument_id].quantity(position) if brackets else position
        for shrunk in fit(brackets, lots):
            if shrunk is not busted:
                self._leaver.cancel_entry(shrunk, draft)
                wishes += self.renew(shrunk, draft)
        return wishes

    def renew(self, bracket: Bracket, draft: Draft) -> list[Wish]:
        """Place the exits of a bracket anew, whose quantities have changed."""
        if bracket.held <= 0:
            # Less than a share is left of it, and that is paid out; or a bust has taken it all.
            self._leaver.cancel(bracket.open_exits(), draft)
            self._leaver.close(bracket, draft)
            return []
        wishes: list[Wish] = []
        for pair in bracket.living_pairs:
            if not bracket.wanted_exit:
                wishes += self._keeper.replace_orders(bracket, pair, draft)
        # Every other exit that works was made for other shares too: what is still wanted of it follows its end.
        self._leaver.cancel(bracket.open_exits(), draft)
        return wishes


def take_back_entry(bracket: Bracket, quantity: Decimal) -> None:
    """Take a busted execution of the entry out; neither what was bought nor what was sold is below zero."""
    bracket.entered -= quantity
    if bracket.entered < 0:
        bracket.entered, bracket.exited = ZERO, bracket.exited - bracket.entered


def take_back_exit(bracket: Bracket, quantity: Decimal) -> None:
    """Take a busted execution of an exit out; neither what was bought nor what was sold is below zero."""
    bracket.exited -= quantity
    if bracket.exited < 0:
        # It was closed over a split, and counts in old shares.
        bracket.entered, bracket.exited = bracket.entered - bracket.exited, ZERO


def fit(brackets: Sequence[Bracket], position: Decimal) -> list[Bracket]:
    """Let brackets hold no more together than a position of whole lots; return those that hold less now.

    What is too much is taken in the order given, within a bracket from the newest pair on.
    """
    excess = sum((max(ZERO, bracket.held) for bracket in brackets), ZERO) - position
    shrunk = []
    for bracket in brackets:
        part = min(max(ZERO, bracket.held), excess)
        if part > 0:
            excess -= part
            _shrink(bracket, part)
            shrunk.append(bracket)
    return shrunk


def _shrink(bracket: Bracket, part: Decimal) -> None:
    pairs = bracket.living_pairs[::-1]
    bracket.entered -= part
    for pair in pairs:
        taken = min(part, pair.left)
        pair.quantity -= taken
        part -= taken
