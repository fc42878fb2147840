"""The bars around trades, packed small enough for a page: one window per day (or month, or year) with trades."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.research.local_time import find_zone, local_minutes
from engine.research.report_history import History, SymbolBars
from engine.research.statistics import Array

Whole: TypeAlias = NDArray[np.int64]

#: Of a page, so that it stays quick to open; some 8 bytes each.
BARS_MAX: Final = 120_000
_DECIMALS_MAX: Final = 6
#: Bars per date -> length of the date's text that names a window: a day, a month, a year.
_WINDOWS: Final = ((20, 10), (3, 7), (0, 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Hold packed windows, oldest first, and how many older ones did not fit."""

    windows: list[dict[str, Any]]
    left_out: int


def pack_windows(history: History, trades: dict[str, Any], *, bars_max: int = BARS_MAX) -> Windows:
    """Return the windows in which a trade was entered or left, newest kept where not all fit.

    `trades` are those of the report's numbers. Each window tells its symbol, its name (a date or its beginning), its
    first minute (local wall time since 1970), the decimals of its prices, the positions of its trades, and its bars:
    base64 of variable-length whole numbers, five per bar (`_deltas`).
    """
    zone = find_zone(history.zone)
    packed: list[tuple[int, dict[str, Any]]] = []
    for bars in history.bars:
        minutes = local_minutes(bars.start_ts_ns, zone)
        packed += _windows_of(bars, minutes, _positions(trades, bars.symbol))
    packed.sort(key=lambda pair: (pair[1]["name"], pair[1]["symbol"]))
    total = np.cumsum([count for count, _ in reversed(packed)])
    fitting = int(np.searchsorted(total, bars_max, side="right"))
    kept = [window for _, window in packed[len(packed) - fitting :]]
    return Windows(windows=kept, left_out=len(packed) - fitting)


def _positions(trades: dict[str, Any], symbol: str) -> list[tuple[str, str, int]]:
    rows = zip(trades["symbol"], trades["entry"], trades["exit"], strict=True)
    return [(entry[:10], leave[:10], position) for position, (name, entry, leave) in enumerate(rows) if name == symbol]


def _windows_of(
    bars: SymbolBars, minutes: Whole, trades: Sequence[tuple[str, str, int]]
) -> list[tuple[int, dict[str, Any]]]:
    if not trades:
        return []
    days, firsts = np.unique(minutes // 1440, return_index=True)
    length = next(length for least, length in _WINDOWS if len(minutes) / len(days) >= least)
    names = [str(np.datetime64(int(day), "D"))[:length] for day in days]
    inside: dict[str, set[int]] = {}
    for entry, leave, position in trades:
        for day in {entry, leave}:
            inside.setdefault(day[:length], set()).add(position)
    decimals = _decimals(bars)
    ends = [*firsts[1:].tolist(), len(minutes)]
    spans: dict[str, tuple[int, int]] = {}
    for name, first, end in zip(names, firsts.tolist(), ends, strict=True):
        spans[name] = (spans.get(name, (first, end))[0], end)
    return [
        (
            spans[name][1] - spans[name][0],
            {
                "symbol": bars.symbol,
                "name": name,
                "minute": int(minutes[spans[name][0]]),
                "decimals": decimals,
                "trades": sorted(positions),
                "bars": _packed(bars, minutes, slice(*spans[name]), decimals),
            },
        )
        for name, positions in sorted(inside.items())
        if name in spans
    ]


def _decimals(bars: SymbolBars) -> int:
    prices = np.concatenate((bars.opens, bars.highs, bars.lows, bars.closes))
    for decimals in range(_DECIMALS_MAX):
        if bool((np.round(prices, decimals) == prices).all()):
            return decimals
    return _DECIMALS_MAX


def _packed(bars: SymbolBars, minutes: Whole, span: slice, decimals: int) -> str:
    prices = [_scaled(column[span], decimals) for column in (bars.opens, bars.highs, bars.lows, bars.closes)]
    return b64encode(_varints(_deltas(minutes[span], *prices))).decode("ascii")


def _scaled(prices: Array, decimals: int) -> Whole:
    return np.asarray(np.rint(prices * 10**decimals), dtype=np.int64)


def _deltas(minutes: Whole, opens: Whole, highs: Whole, lows: Whole, closes: Whole) -> Whole:
    # Neighbours are near each other, so that most of these five fit into one byte.
    columns = (
        np.diff(minutes, prepend=minutes[0]),
        opens - np.concatenate(([0], closes[:-1])),
        closes - opens,
        highs - np.maximum(opens, closes),
        np.minimum(opens, closes) - lows,
    )
    return np.column_stack(columns).ravel()


def _varints(values: Whole) -> bytes:
    # Zigzag, then seven bits a byte, the lowest first; the eighth says that more follow.
    folded = (values << 1) ^ (values >> 63)
    groups = [(folded >> (7 * place)) & 127 for place in range(9)]
    lengths = np.maximum(1, sum((folded >> (7 * place) > 0).astype(np.int64) for place in range(9)))
    table = np.column_stack(groups).astype(np.uint8)
    place = np.arange(9)
    table[place < (lengths - 1)[:, None]] |= 128
    return table[place < lengths[:, None]].tobytes()
