"""Quotes that come one side a row: made whole, so that everything after the file sees bid and ask."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.core.values import MINUTE_NS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# The other side stands, but not over a pause as long as a night.
_SIDE_STANDS_NS: Final = 4 * 60 * MINUTE_NS


def whole_quotes(codes: Ints, ts_ns: Ints, is_bid: Mask, *, price: Floats, size: Floats) -> dict[str, Floats]:
    """Return quotes of one side a row as quotes of two: the other side is that symbol's last one, 0 before any.

    After a pause of more than four hours no side stands any more.
    """
    columns = {name: np.zeros(len(price)) for name in ("bid", "ask", "bid_size", "ask_size")}
    for code in np.unique(codes):
        own = np.flatnonzero(codes == code)
        places = np.arange(len(own))
        pauses = np.diff(ts_ns[own], prepend=ts_ns[own[0]]) > _SIDE_STANDS_NS
        first = np.maximum.accumulate(np.where(pauses, places, 0))
        for side, rows in (("bid", is_bid[own]), ("ask", ~is_bid[own])):
            latest = np.maximum.accumulate(np.where(rows, places, -1))
            stands = latest >= first
            for name, values in ((side, price), (f"{side}_size", size)):
                columns[name][own] = np.where(stands, values[own][latest], 0.0)
    return columns
