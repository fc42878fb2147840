"""Sequences: a print is known twice by its number only, never by equal values."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

# How many lost numbers are remembered, so that a print which comes late is not taken for a repetition.
_MISSING_MAX: Final = 10_000


class Numbered(Enum):
    """Say how a number stands to those before it."""

    NEXT = auto()
    #: Numbers between it and the last one are missing.
    AHEAD = auto()
    #: It was missing, and has come now.
    LATE = auto()
    #: It, or a later one, has been there: only the prints themselves can tell.
    BEHIND = auto()


class SequenceGuard:
    """Follow the sequences of one instrument."""

    __slots__ = ("_counts", "_missing", "last")

    def __init__(self, *, counts: bool) -> None:
        """`counts` says that the numbers go up one by one, so that one can be missing."""
        self._counts = counts
        #: The highest number so far; None before the first.
        self.last: int | None = None
        self._missing: dict[int, None] = {}

    def take(self, sequence: int) -> Numbered:
        """Take the next number and say how it stands to those before it."""
        last = self.last
        if last is None or sequence == last + 1:
            self.last = sequence
            return Numbered.NEXT
        if sequence > last:
            self.last = sequence
            if not self._counts:
                return Numbered.NEXT
            self._remember(last + 1, sequence)
            return Numbered.AHEAD
        if sequence in self._missing:
            del self._missing[sequence]
            return Numbered.LATE
        return Numbered.BEHIND

    def _remember(self, first: int, until: int) -> None:
        # Only the latest numbers: a jump by a million must not fill the memory.
        self._missing.update(dict.fromkeys(range(max(first, until - _MISSING_MAX), until)))
        while len(self._missing) > _MISSING_MAX:
            del self._missing[next(iter(self._missing))]
