"""Fitting brackets to the books: after a bust they hold together what is there, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.core.execution.brackets import Bracket
from engine.core.values import ZERO


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
