"""Bars as columns, and what every way of making them from whole columns needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from engine.core.bars import Refusal
from engine.core.values import MINUTE_NS
from engine.feeds.files import Floats, Ints, Mask

_PIECE_ROWS: Final = 65_536
_OHLC: Final = ("open", "high", "low", "close")
QUOTE_NAMES: Final = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in _OHLC)
PRICE_NAMES: Final = (*_OHLC, "volume", "vwap")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarColumns:
    """Hold minute bars as columns of one length, ascending by start."""

    #: Start of the minute, ns UTC.
    start_ts_ns: Ints
    #: `open, high, low, close, volume, vwap`; of bars from quotes also `bid_open` … `ask_close`.
    columns: Mapping[str, Floats]
    #: None where the source does not tell.
    tick_count: Ints | None
    quote_count: Ints | None
    #: Refused inputs by reason, as the live builder counts them.
    refused: Mapping[str, int] = field(default_factory=dict)
    #: The last revision of each bar; None where bars are not revised.
    revision: Ints | None = None
    #: False where prints of the minute are missing; None where none is.
    complete: Mask | None = None

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.start_ts_ns)


class Piece(NamedTuple):
    """Hold the bars of one piece of the input: starts, numbers by name, inputs per bar."""

    starts: Ints
    columns: dict[str, Floats]
    counts: Ints


def is_sorted(ts_ns: Ints) -> bool:
    """Return whether times never decrease."""
    # In pieces: a comparison of whole columns makes a temporary that no cache holds.
    pieces = (ts_ns[first : first + _PIECE_ROWS + 1] for first in range(0, len(ts_ns), _PIECE_ROWS))
    return not any((piece[1:] < piece[:-1]).any() for piece in pieces)


def cuts(ts_ns: Ints) -> Iterator[slice]:
    """Yield pieces of about 65,536 sorted rows; each minute lies in one piece as a whole."""
    first = 0
    while first < len(ts_ns):
        last = min(first + _PIECE_ROWS, len(ts_ns))
        if last < len(ts_ns):
            start = int(ts_ns[last] - ts_ns[last] % MINUTE_NS)
            last = first + int(np.searchsorted(ts_ns[first:last], start))
            if last == first:
                last += int(np.searchsorted(ts_ns[first:], start + MINUTE_NS))
        yield slice(first, last)
        first = last


def minutes_of(ts_ns: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return per minute its start, first row and last row, and per row the position of its minute."""
    minutes = ts_ns // MINUTE_NS
    changes = np.flatnonzero(minutes[1:] != minutes[:-1]) + 1
    first = np.concatenate((np.zeros(1, dtype=np.int64), changes))
    last = np.append(changes, len(ts_ns)) - 1
    positions = np.repeat(np.arange(len(first)), last - first + 1)
    return minutes[first] * MINUTE_NS, first, last, positions


def count_refused(refused: dict[str, int], reason: Refusal, bad: Mask) -> None:
    """Add how many rows are bad to a count by reason."""
    number = int(np.count_nonzero(bad))
    if number:
        refused[reason] = refused.get(reason, 0) + number


def joined(pieces: Sequence[Piece], names: Sequence[str], refused: Mapping[str, int], *, has_ticks: bool) -> BarColumns:
    """Return pieces, in order, as one set of columns."""
    starts = _concatenated([piece.starts for piece in pieces], np.int64)
    counts = _concatenated([piece.counts for piece in pieces], np.int64)
    none = np.zeros(len(starts), dtype=np.int64)
    return BarColumns(
        start_ts_ns=starts,
        columns={name: _concatenated([piece.columns[name] for piece in pieces], np.float64) for name in names},
        tick_count=counts if has_ticks else none,
        quote_count=none if has_ticks else counts,
        refused=refused,
    )


def _concatenated(arrays: list[Any], dtype: Any) -> Any:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
