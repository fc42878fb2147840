"""Batch bars: whole columns of ticks, quotes or finer bars become minute bars, bit for bit as the live builder's.

Equal bits hold because every sum runs in the order of arrival: `np.bincount` adds its weights one by one, which
`np.sum` and `np.add.reduceat` do not. Columns are worked on in pieces that fit a core's cache, cut at minutes. Input
that is out of order goes through the live builder itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.core.bars import PRICE_LIMIT, PRICE_UNITS, SIZE_LIMIT, PrintSource, Refusal
from engine.core.errors import BadInput
from engine.feeds.bar_columns import (
    PRICE_NAMES,
    QUOTE_NAMES,
    BarColumns,
    Piece,
    count_refused,
    cuts,
    is_sorted,
    joined,
    minutes_of,
)
from engine.feeds.batch_stream import quotes_of, through_builder, ticks_of
from engine.feeds.files import Floats, Ints, Mask


def bars_from_ticks(ts_ns: Ints, price: Floats, size: Floats) -> BarColumns:
    """Return the minute bars of one instrument's prints, given in the order of arrival (times in ns UTC)."""
    if not is_sorted(ts_ns):
        return through_builder(ticks_of(ts_ns, price, size), PrintSource.TICKS)
    refused: dict[str, int] = {}
    pieces = []
    for cut in cuts(ts_ns):
        piece = _tick_piece(ts_ns[cut], price[cut], size[cut])
        if not _fits(piece, size[cut]):
            good = _admitted_ticks(price[cut], size[cut], refused)
            if not good.any():
                continue
            piece = _tick_piece(ts_ns[cut][good], price[cut][good], size[cut][good])
        pieces.append(piece)
    return joined(pieces, PRICE_NAMES, refused, has_ticks=True)


def bars_from_quotes(ts_ns: Ints, *, bid: Floats, ask: Floats, bid_size: Floats, ask_size: Floats) -> BarColumns:
    """Return the minute bars of the middle of one instrument's quotes, given in the order of arrival."""
    if not is_sorted(ts_ns):
        return through_builder(quotes_of(ts_ns, bid, ask, bid_size, ask_size), PrintSource.QUOTES)
    refused: dict[str, int] = {}
    good = _admitted_quotes(bid, ask, (bid_size, ask_size), refused)
    if not good.all():
        ts_ns, bid, ask = ts_ns[good], bid[good], ask[good]
    pieces = [quote_piece(ts_ns[cut], bid[cut], ask[cut]) for cut in cuts(ts_ns)]
    return joined(pieces, (*PRICE_NAMES, *QUOTE_NAMES), refused, has_ticks=False)


def bars_from_bars(ts_ns: Ints, columns: Mapping[str, Floats]) -> BarColumns:
    """Return the minute bars of one instrument's finer bars, ascending by start (ns UTC).

    `columns` holds `open, high, low, close, volume, vwap`. The average price of a minute weighs those of its bars by
    their volumes; it is the close where nothing was traded.

    Raises BadInput when the bars do not ascend.
    """
    if not is_sorted(ts_ns):
        raise BadInput("The bars to build minutes from do not ascend by ts: sort them.")
    pieces = [_bar_piece(ts_ns[cut], {name: columns[name][cut] for name in PRICE_NAMES}) for cut in cuts(ts_ns)]
    made = joined(pieces, PRICE_NAMES, {}, has_ticks=True)
    return BarColumns(start_ts_ns=made.start_ts_ns, columns=made.columns, tick_count=None, quote_count=None)


def _tick_piece(ts_ns: Ints, price: Floats, size: Floats) -> Piece:
    starts, first, last, positions = minutes_of(ts_ns)
    volume = np.bincount(positions, size)
    with np.errstate(all="ignore"):  # NaN and zero size are found in the results, and refused then.
        vwap = np.bincount(positions, price * size) / volume
    columns = {
        "open": price[first],
        "high": np.maximum.reduceat(price, first),
        "low": np.minimum.reduceat(price, first),
        "close": price[last],
        "volume": volume,
        "vwap": vwap,
    }
    return Piece(starts, columns, last - first + 1)


def quote_piece(ts_ns: Ints, bid: Floats, ask: Floats) -> Piece:
    """Return the bars of one piece of quotes, in order."""
    starts, first, last, _ = minutes_of(ts_ns)
    # `middle_of`, for a column: the same operations give the same bits.
    middle = np.rint((bid + ask) / 2 * PRICE_UNITS) / PRICE_UNITS
    columns = _ohlc("", middle, first, last) | _ohlc("bid_", bid, first, last) | _ohlc("ask_", ask, first, last)
    columns |= {"volume": np.zeros(len(starts)), "vwap": columns["close"]}
    return Piece(starts, columns, last - first + 1)


def _ohlc(prefix: str, values: Floats, first: Ints, last: Ints) -> dict[str, Floats]:
    return {
        f"{prefix}open": values[first],
        f"{prefix}high": np.maximum.reduceat(values, first),
        f"{prefix}low": np.minimum.reduceat(values, first),
        f"{prefix}close": values[last],
    }


def _bar_piece(ts_ns: Ints, bars: Mapping[str, Floats]) -> Piece:
    starts, first, last, positions = minutes_of(ts_ns)
    close = bars["close"][last]
    volume = np.bincount(positions, bars["volume"])
    notional = np.bincount(positions, bars["vwap"] * bars["volume"])
    columns = {
        "open": bars["open"][first],
        "high": np.maximum.reduceat(bars["high"], first),
        "low": np.minimum.reduceat(bars["low"], first),
        "close": close,
        "volume": volume,
        "vwap": np.divide(notional, volume, out=close.copy(), where=volume > 0),
    }
    return Piece(starts, columns, last - first + 1)


def _fits(piece: Piece, size: Floats) -> bool:
    # NaN spreads through minimum and maximum and fails every comparison.
    low, high = piece.columns["low"], piece.columns["high"]
    return bool(low.min() > 0 and high.max() < PRICE_LIMIT and size.min() > 0 and size.max() < SIZE_LIMIT)


def _admitted_ticks(price: Floats, size: Floats, refused: dict[str, int]) -> Mask:
    good_price = (price > 0) & (price < PRICE_LIMIT)
    good = good_price & (size > 0) & (size < SIZE_LIMIT)
    count_refused(refused, Refusal.PRICE, ~good_price)
    count_refused(refused, Refusal.SIZE, good_price & ~good)
    return good


def _admitted_quotes(bid: Floats, ask: Floats, sizes: tuple[Floats, Floats], refused: dict[str, int]) -> Mask:
    good_price = (bid > 0) & (bid < PRICE_LIMIT) & (ask > 0) & (ask < PRICE_LIMIT)
    uncrossed = good_price & (bid <= ask)
    good = uncrossed.copy()
    for size in sizes:
        good &= (size >= 0) & (size < SIZE_LIMIT)
    count_refused(refused, Refusal.PRICE, ~good_price)
    count_refused(refused, Refusal.CROSSED, good_price & ~uncrossed)
    count_refused(refused, Refusal.SIZE, uncrossed & ~good)
    return good
