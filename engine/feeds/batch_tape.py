"""Batch bars of a filtered tape: whole columns at once, and through the live builder only what needs its memory.

A minute whose prints all came in time and made a price is arithmetic on columns. Auctions, which go to another
minute than their own, and minutes without a price, whose volume goes to the bar before, need what the live builder
remembers: their rows go through it, with those of the bars that they change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.core.bars import (
    CLOSING,
    HIGH_LOW,
    LAST,
    OPENING,
    PRICE_LIMIT,
    PRICED,
    SIZE_LIMIT,
    VOLUME,
    Place,
    PrintSource,
    Refusal,
    TapeRules,
    TradingDay,
    middle_of,
    trading_day,
)
from engine.core.values import MINUTE_NS, Sessions
from engine.feeds.bar_columns import PRICE_NAMES, QUOTE_NAMES, BarColumns, count_refused, is_sorted, minutes_of
from engine.feeds.batch_bars import quote_piece
from engine.feeds.batch_stream import ONLY, Input, changes_of, quotes_of, through_builder, ticks_of
from engine.feeds.files import Floats, Ints, Mask

Roles = npt.NDArray[np.uint8]

_AUCTION: Final = OPENING | CLOSING


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeRows:
    """Hold one instrument's prints as columns of one length, in the order of arrival; None where the tape is silent."""

    ts_ns: Ints
    price: Floats
    size: Floats
    exchange: Sequence[str | None] | None = None
    conditions: Sequence[str | int | None] | None = None
    sequence: Sequence[int | None] | None = None
    #: The sequence that a row corrects, or cancels where its size is 0.
    corrects: Sequence[int | None] | None = None

    def taken(self, rows: Any) -> TapeRows:
        """Return some of the rows (an index array or a mask)."""
        chosen = np.arange(len(self.ts_ns))[rows]
        listed = {
            name: None if values is None else [values[index] for index in chosen]
            for name, values in (("exchange", self.exchange), ("conditions", self.conditions))
        }
        return TapeRows(
            ts_ns=self.ts_ns[chosen],
            price=self.price[chosen],
            size=self.size[chosen],
            sequence=None,
            corrects=None,
            **listed,
        )

    def events(self) -> Iterator[Input]:
        """Yield the rows as events."""
        ticks = ticks_of(
            self.ts_ns,
            self.price,
            self.size,
            sequence=self.sequence,
            exchange=self.exchange,
            conditions=self.conditions,
        )
        return iter(ticks) if self.corrects is None else changes_of(ticks, self.corrects)


def bars_from_tape(rows: TapeRows, sessions: Sessions, rules: TapeRules) -> BarColumns:
    """Return the minute bars of one instrument's tape, each at its last revision (`rules` name the instrument 1)."""
    if not is_sorted(rows.ts_ns) or _has_changes(rows) or not _numbers_ascend(rows.sequence, rules):
        return through_builder(rows.events(), PrintSource.TICKS, sessions=sessions, rules=rules)
    refused: dict[str, int] = {}
    parts: list[BarColumns] = []
    for day, cut in _days(rows.ts_ns, sessions):
        plain, special = _day_bars(_sliced(rows, cut), day, rules, refused)
        parts += [plain] if plain else []
        if special:
            parts.append(through_builder(special.events(), PrintSource.TICKS, sessions=sessions, rules=rules))
    return _merged(parts, PRICE_NAMES, refused, revises=rules.revises, has_ticks=True)


def bars_from_sides(
    ts_ns: Ints,
    quotes: Mapping[str, Floats],
    sessions: Sessions,
    rules: TapeRules,
) -> BarColumns:
    """Return the minute bars of quotes that open where they stood; a side that is not known is 0.

    `quotes` holds `bid, ask, bid_size, ask_size` in the order of arrival.
    """
    numbers = [quotes[name] for name in ("bid", "ask", "bid_size", "ask_size")]
    if not is_sorted(ts_ns):
        events = quotes_of(ts_ns, *numbers)
        return through_builder(events, PrintSource.QUOTES, sessions=sessions, rules=rules)
    refused: dict[str, int] = {}
    good = _admitted_sides(numbers, refused)
    ts_ns, numbers = ts_ns[good], [values[good] for values in numbers]
    parts = []
    for _, cut in _days(ts_ns, sessions):
        parts += _side_bars(ts_ns[cut], [values[cut] for values in numbers], sessions, rules)
    names = (*PRICE_NAMES, *QUOTE_NAMES)
    return _merged(parts, names, refused, revises=rules.revises, has_ticks=False)


# --- days ---------------------------------------------------------------------------------------------------------


def _days(ts_ns: Ints, sessions: Sessions) -> Iterator[tuple[TradingDay, slice]]:
    first = 0
    while first < len(ts_ns):
        day = trading_day(sessions, int(ts_ns[first]))
        last = int(np.searchsorted(ts_ns, day.end_ts_ns))
        yield day, slice(first, last)
        first = last


def _has_changes(rows: TapeRows) -> bool:
    return rows.corrects is not None and any(each is not None for each in rows.corrects)


def _numbers_ascend(sequence: Sequence[int | None] | None, rules: TapeRules) -> bool:
    if sequence is None:
        return True
    numbers = [each for each in sequence if each is not None]
    steps = np.diff(np.array(numbers, dtype=np.int64))
    return bool((steps == 1).all() if rules.filter.counts_prints else (steps > 0).all())


# --- prints -------------------------------------------------------------------------------------------------------


def _day_bars(
    rows: TapeRows, day: TradingDay, rules: TapeRules, refused: dict[str, int]
) -> tuple[BarColumns | None, TapeRows | None]:
    # The bars of ordinary minutes, and the rows of the others.
    starts = rows.ts_ns - rows.ts_ns % MINUTE_NS
    roles, known = _roles(rows, starts, day, rules)
    count_refused(refused, Refusal.CONDITION, ~known)
    _place_auctions(roles, starts, rows.ts_ns, day)
    good = known & (roles > 0)
    good &= _admitted(rows, roles, good, refused)
    special = np.isin(starts, _special_minutes(starts[good], roles[good], moves=rules.filter.moves_volume))
    plain = good & ~special
    return (
        _plain_bars(rows, roles, plain) if plain.any() else None,
        rows.taken(good & special) if (good & special).any() else None,
    )


def _sliced(rows: TapeRows, cut: slice) -> TapeRows:
    return TapeRows(
        ts_ns=rows.ts_ns[cut],
        price=rows.price[cut],
        size=rows.size[cut],
        exchange=None if rows.exchange is None else rows.exchange[cut],
        conditions=None if rows.conditions is None else rows.conditions[cut],
    )


def _roles(rows: TapeRows, starts: Ints, day: TradingDay, rules: TapeRules) -> tuple[Roles, Mask]:
    # The role of each print, and whether its conditions are known; the filter is asked once for each kind of print.
    listing = rules.listing_exchanges.get(ONLY, "")
    regular = (starts >= day.session.open_ts_ns) & (starts < day.session.close_ts_ns)
    none: list[Any] = [None] * len(starts)
    conditions, exchanges = rows.conditions or none, rows.exchange or none
    found: dict[tuple[Any, bool, bool], int] = {}
    roles = np.zeros(len(starts), dtype=np.uint8)
    known = np.ones(len(starts), dtype=np.bool_)
    for index, (condition, exchange, is_regular) in enumerate(
        zip(conditions, exchanges, regular.tolist(), strict=True)
    ):
        key = (condition, bool(listing) and exchange == listing, is_regular)
        role = found.get(key)
        if role is None:
            asked = rules.filter.role_of(condition, Place(key[1], is_regular, day.session.date, listing))
            role = found[key] = -1 if asked is None else asked
        if role < 0:
            known[index] = False
        else:
            roles[index] = role
    return roles, known


def _place_auctions(roles: Roles, starts: Ints, ts_ns: Ints, day: TradingDay) -> None:
    # As the live tape places them: auctions go to the ends of the session, at the time they may be reported.
    open_ts_ns, last_ts_ns = day.session.open_ts_ns, day.session.close_ts_ns - MINUTE_NS
    opens = (roles & OPENING > 0) & (ts_ns >= open_ts_ns) & (ts_ns < open_ts_ns + MINUTE_NS)
    closes = (roles & _AUCTION == CLOSING) & (ts_ns >= last_ts_ns)
    starts[opens], starts[closes] = open_ts_ns, last_ts_ns
    stray = (roles & _AUCTION > 0) & ~opens & ~closes
    plain = roles & ~np.uint8(_AUCTION)
    roles[stray] = np.where(plain & PRICED > 0, plain, 0)[stray]


def _admitted(rows: TapeRows, roles: Roles, asked: Mask, refused: dict[str, int]) -> Mask:
    good_price = (rows.price > 0) & (rows.price < PRICE_LIMIT)
    good_size = (rows.size > 0) & (rows.size < SIZE_LIMIT)
    good_size |= (roles & VOLUME == 0) & (rows.size == 0)
    count_refused(refused, Refusal.PRICE, asked & ~good_price)
    count_refused(refused, Refusal.SIZE, asked & good_price & ~good_size)
    return good_price & good_size


def _special_minutes(starts: Ints, roles: Roles, *, moves: bool) -> Ints:
    # Minutes of auctions; those without a price of their own, and the bars that take their volume.
    is_auction = roles & _AUCTION > 0
    special = [np.unique(starts[is_auction])]
    priced = np.unique(starts[(roles & LAST > 0) & ~is_auction])
    bare = np.setdiff1d(starts, priced)
    special.append(bare)
    if moves and len(priced) and len(bare):
        special.append(priced[np.maximum(np.searchsorted(priced, bare) - 1, 0)])
    return np.concatenate(special)


def _plain_bars(rows: TapeRows, roles: Roles, chosen: Mask) -> BarColumns:
    ts_ns, price, size, roles = rows.ts_ns[chosen], rows.price[chosen], rows.size[chosen], roles[chosen]
    starts, first, last, positions = minutes_of(ts_ns)
    amount = np.where(roles & VOLUME > 0, size, 0.0)
    volume = np.bincount(positions, amount)
    notional = np.bincount(positions, price * amount)
    makes = np.flatnonzero(roles & LAST)
    changes = np.flatnonzero(np.diff(positions[makes]))
    open_ = price[makes[np.concatenate(([0], changes + 1))]]
    close = price[makes[np.concatenate((changes, [len(makes) - 1]))]]
    widens = roles & HIGH_LOW > 0
    columns = {
        "open": open_,
        "high": np.maximum.reduceat(np.where(widens, price, 0.0), first),
        "low": np.minimum.reduceat(np.where(widens, price, PRICE_LIMIT), first),
        "close": close,
        "volume": volume,
        "vwap": np.divide(notional, volume, out=close.copy(), where=volume > 0),
    }
    none = np.zeros(len(starts), dtype=np.int64)
    return BarColumns(start_ts_ns=starts, columns=columns, tick_count=last - first + 1, quote_count=none)


# --- quotes -------------------------------------------------------------------------------------------------------


def _admitted_sides(numbers: Sequence[Floats], refused: dict[str, int]) -> Mask:
    bid, ask, *sizes = numbers
    good_price = (bid >= 0) & (bid < PRICE_LIMIT) & (ask >= 0) & (ask < PRICE_LIMIT) & ((bid > 0) | (ask > 0))
    good = good_price.copy()
    for size in sizes:
        good &= (size >= 0) & (size < SIZE_LIMIT)
    count_refused(refused, Refusal.PRICE, ~good_price)
    count_refused(refused, Refusal.SIZE, good_price & ~good)
    return good


def _side_bars(ts_ns: Ints, numbers: Sequence[Floats], sessions: Sessions, rules: TapeRules) -> list[BarColumns]:
    # One day. Until both sides are known the live builder does it; then every quote is whole.
    bid, ask = (_filled(values) for values in numbers[:2])
    unknown = (bid == 0) | (ask == 0)
    head = 0
    if unknown[0]:
        known = np.flatnonzero(~unknown)
        until = ts_ns[known[0]] if len(known) else ts_ns[-1]
        head = int(np.searchsorted(ts_ns, until - until % MINUTE_NS + MINUTE_NS))
    parts = []
    if head:
        events = quotes_of(ts_ns[:head], *(values[:head] for values in numbers))
        parts.append(through_builder(events, PrintSource.QUOTES, sessions=sessions, rules=rules))
    if head < len(ts_ns):
        before = (float(bid[head - 1]), float(ask[head - 1])) if head else None
        parts.append(_carried_bars(ts_ns[head:], bid[head:], ask[head:], before))
    return parts


def _filled(values: Floats) -> Floats:
    # A side that a quote does not name stands where it was.
    latest = np.maximum.accumulate(np.where(values > 0, np.arange(len(values)), 0))
    return values[latest]


def _carried_bars(ts_ns: Ints, bid: Floats, ask: Floats, before: tuple[float, float] | None) -> BarColumns:
    piece = quote_piece(ts_ns, bid, ask)
    columns = piece.columns
    for side, values in (("bid", before[0] if before else 0.0), ("ask", before[1] if before else 0.0)):
        close = columns[f"{side}_close"]
        _open_at(columns, f"{side}_", np.concatenate(([values or columns[f"{side}_open"][0]], close[:-1])))
    middles = [middle_of(*sides) for sides in zip(columns["bid_open"], columns["ask_open"], strict=True)]
    _open_at(columns, "", np.array(middles))
    none = np.zeros(len(piece.starts), dtype=np.int64)
    return BarColumns(start_ts_ns=piece.starts, columns=columns, tick_count=none, quote_count=piece.counts)


def _open_at(columns: dict[str, Floats], prefix: str, opens: Floats) -> None:
    columns[f"{prefix}open"] = opens
    columns[f"{prefix}high"] = np.maximum(columns[f"{prefix}high"], opens)
    columns[f"{prefix}low"] = np.minimum(columns[f"{prefix}low"], opens)


# --- together -----------------------------------------------------------------------------------------------------


def _merged(
    parts: Sequence[BarColumns], names: Sequence[str], refused: dict[str, int], *, revises: bool, has_ticks: bool
) -> BarColumns:
    starts = _joined([part.start_ts_ns for part in parts], np.int64)
    order = np.argsort(starts, kind="stable")
    counts = _joined([part.tick_count if has_ticks else part.quote_count for part in parts], np.int64)[order]
    revisions = [np.zeros(len(part), dtype=np.int64) if part.revision is None else part.revision for part in parts]
    none = np.zeros(len(starts), dtype=np.int64)
    for part in parts:
        for reason, number in part.refused.items():
            refused[reason] = refused.get(reason, 0) + number
    return BarColumns(
        start_ts_ns=starts[order],
        columns={name: _joined([part.columns[name] for part in parts], np.float64)[order] for name in names},
        tick_count=counts if has_ticks else none,
        quote_count=none if has_ticks else counts,
        refused=refused,
        revision=_joined(revisions, np.int64)[order] if revises else None,
    )


def _joined(arrays: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
