"""What a file of prints says that no filter knows, or that its sequences lack: with the rows to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from engine.core.bars import Place, TapeRules, trading_day
from engine.core.errors import BadInput
from engine.core.values import DAY_NS, Sessions
from engine.feeds.files import Ints, MarketTable

#: How many rows are named one by one; more are counted.
NOTES_MAX: Final = 20
_MARKED: Final = "the minutes between are marked incomplete"
_MARKED_OPEN: Final = "minutes between that were not final by then are marked incomplete"


def check_conditions(market: MarketTable, code: int, path: Path, *, tape: TapeRules, sessions: Sessions) -> None:
    """Raise BadInput for the first print of a symbol whose conditions the filter does not know on its day."""
    conditions = market.extras.get("conditions")
    if conditions is None:
        return
    own = np.flatnonzero(market.codes == code)
    # Dates of validity change by the day, and few conditions a day are distinct.
    days = market.ts_ns[own] // DAY_NS
    encoded = conditions.take(own).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    words = encoded.dictionary.to_pylist()
    _, first = np.unique(days * (len(words) + 1) + codes + 1, return_index=True)
    for index in sorted(first.tolist()):
        condition = None if codes[index] < 0 else words[codes[index]]
        day = trading_day(sessions, int(market.ts_ns[own[index]]))
        # Whether a condition is known hangs neither on the exchange nor on the part of the day.
        if tape.filter.role_of(condition, Place(False, True, day.session.date)) is None:
            raise BadInput(
                f"The ticks file {path} has conditions {condition!r} in row {_row(market, own[index])}, which the "
                f"filter {tape.filter.name} does not know on {day.session.date}: correct the row, or choose another "
                "filter."
            )


def sequence_notes(market: MarketTable, code: int, *, counts: bool, revises: bool) -> list[str]:
    """Return a sentence for each number of a symbol's tape that is repeated, and, where prints count, missing.

    `revises` says whether finished minutes are revised: where they are not, one that was final keeps what it said.
    """
    sequences = market.extras.get("sequence")
    if sequences is None:
        return []
    own = np.flatnonzero((market.codes == code) & sequences.is_valid().to_numpy(zero_copy_only=False))
    numbers: Ints = sequences.take(own).to_numpy(zero_copy_only=False).astype(np.int64)
    symbol = market.symbols[code]
    notes = _repeated(market, own, numbers, symbol)
    if counts:
        notes += _missing(market, own, numbers, symbol, _MARKED if revises else _MARKED_OPEN)
    left_out = len(notes) - NOTES_MAX
    return notes if left_out <= 0 else [*notes[:NOTES_MAX], f"{left_out} more rows of {symbol} are not named here."]


def _repeated(market: MarketTable, own: Ints, numbers: Ints, symbol: str) -> list[str]:
    order = np.argsort(numbers, kind="stable")
    again = np.flatnonzero(np.diff(numbers[order]) == 0) + 1
    found = sorted(
        (int(order[place]), int(order[np.searchsorted(numbers[order], numbers[order[place]])])) for place in again
    )
    return [
        f"The sequence {numbers[index]} of {symbol} in row {_row(market, own[index])} is that of row "
        f"{_row(market, own[first])} already: the row was refused as a duplicate."
        for index, first in found
    ]


def _missing(market: MarketTable, own: Ints, numbers: Ints, symbol: str, marked: str) -> list[str]:
    notes = []
    highest = np.maximum.accumulate(numbers)
    for index in np.flatnonzero(numbers[1:] > highest[:-1] + 1) + 1:
        first, last = int(highest[index - 1]) + 1, int(numbers[index]) - 1
        lacking = (
            f"sequence {first} of {symbol} is" if first == last else f"sequences {first} to {last} of {symbol} are"
        )
        notes.append(f"The {lacking} missing before row {_row(market, own[index])}: {marked}.")
    return notes


def _row(market: MarketTable, index: int) -> int:
    return int(index) + 1 if market.rows is None else int(market.rows[index])
