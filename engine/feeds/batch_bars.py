"""Batch bars: whole columns of ticks, quotes or finer bars become minute bars, bit for bit as the live builder's.

Equal bits hold because every sum runs in the order of arrival: `np.bincount` adds its weights one by one, which
`np.sum` and `np.add.reduceat` do not. Columns are worked on in pieces that fit a core's cache, cut at minutes. Input
that is out of order goes through the live builder itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from engine.core.bars import PRICE_LIMIT, PRICE_UNITS, SIZE_LIMIT, BarBuilder, PrintSource, Refusal
from engine.core.errors import BadInput
from engine.core.messages import Bar, Quote, Tick
from engine.core.values import MINUTE_NS, AlwaysOpen, InstrumentId, instrument_from_symbol
from engine.feeds.files import Floats, Ints, MarketKind, MarketTable, Mask, read_market
from engine.feeds.replay import sessions_of

_PIECE_ROWS: Final = 65_536
_ANY: Final = InstrumentId(1)
_OHLC: Final = ("open", "high", "low", "close")
_QUOTE_NAMES: Final = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in _OHLC)
_PRICE_NAMES: Final = (*_OHLC, "volume", "vwap")


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

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.start_ts_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBars:
    """Say what a build read and made."""

    rows: int
    bars: int
    #: Refused rows by reason.
    refused: Mapping[str, int]


class _Piece(NamedTuple):
    # The bars of one piece of the input: starts, numbers by name, inputs per bar.
    starts: Ints
    columns: dict[str, Floats]
    counts: Ints


def bars_from_ticks(ts_ns: Ints, price: Floats, size: Floats) -> BarColumns:
    """Return the minute bars of one instrument's prints, given in the order of arrival (times in ns UTC)."""
    if not _is_sorted(ts_ns):
        return _through_builder(_ticks(ts_ns, price, size), PrintSource.TICKS)
    refused: dict[str, int] = {}
    pieces = []
    for cut in _cuts(ts_ns):
        piece = _tick_piece(ts_ns[cut], price[cut], size[cut])
        if not _fits(piece, size[cut]):
            good = _admitted_ticks(price[cut], size[cut], refused)
            if not good.any():
                continue
            piece = _tick_piece(ts_ns[cut][good], price[cut][good], size[cut][good])
        pieces.append(piece)
    return _joined(pieces, _PRICE_NAMES, refused, has_ticks=True)


def bars_from_quotes(ts_ns: Ints, *, bid: Floats, ask: Floats, bid_size: Floats, ask_size: Floats) -> BarColumns:
    """Return the minute bars of the middle of one instrument's quotes, given in the order of arrival."""
    if not _is_sorted(ts_ns):
        return _through_builder(_quotes(ts_ns, bid, ask, bid_size, ask_size), PrintSource.QUOTES)
    refused: dict[str, int] = {}
    good = _admitted_quotes(bid, ask, (bid_size, ask_size), refused)
    if not good.all():
        ts_ns, bid, ask = ts_ns[good], bid[good], ask[good]
    pieces = [_quote_piece(ts_ns[cut], bid[cut], ask[cut]) for cut in _cuts(ts_ns)]
    return _joined(pieces, (*_PRICE_NAMES, *_QUOTE_NAMES), refused, has_ticks=False)


def bars_from_bars(ts_ns: Ints, columns: Mapping[str, Floats]) -> BarColumns:
    """Return the minute bars of one instrument's finer bars, ascending by start (ns UTC).

    `columns` holds `open, high, low, close, volume, vwap`. The average price of a minute weighs those of its bars by
    their volumes; it is the close where nothing was traded.

    Raises BadInput when the bars do not ascend.
    """
    if not _is_sorted(ts_ns):
        raise BadInput("The bars to build minutes from do not ascend by ts: sort them.")
    pieces = [_bar_piece(ts_ns[cut], {name: columns[name][cut] for name in _PRICE_NAMES}) for cut in _cuts(ts_ns)]
    joined = _joined(pieces, _PRICE_NAMES, {}, has_ticks=True)
    return BarColumns(start_ts_ns=joined.start_ts_ns, columns=joined.columns, tick_count=None, quote_count=None)


def build_bars(
    kind: MarketKind,
    path: Path | str,
    out: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    calendar: str | None = None,
) -> BuiltBars:
    """Read ticks, quotes or finer bars, write their minute bars as Parquet or CSV (by suffix), and say how many.

    Raises BadInput for a fault in the file, times outside the calendar, or a place that cannot be written.
    """
    source, target = Path(path), Path(out)
    if not target.name.lower().endswith((".parquet", ".pq", ".csv")):
        raise BadInput(f"The output file {target} ends neither in .parquet nor in .csv: name it by its format.")
    if target.exists() and source.exists() and target.samefile(source):
        raise BadInput(f"The output file {target} is the input itself: name another file.")
    market = read_market(source, kind, symbols=symbols, whole_minutes=False)
    built = [_bars_of(market, code, calendar) for code in range(len(market.symbols))]
    _write(_arrow_table(market, built), target)
    refused: Counter[str] = Counter()
    for columns in built:
        refused.update(columns.refused)
    return BuiltBars(rows=len(market), bars=sum(map(len, built)), refused=dict(refused))


def _is_sorted(ts_ns: Ints) -> bool:
    # In pieces: a comparison of whole columns makes a temporary that no cache holds.
    pieces = (ts_ns[first : first + _PIECE_ROWS + 1] for first in range(0, len(ts_ns), _PIECE_ROWS))
    return not any((piece[1:] < piece[:-1]).any() for piece in pieces)


def _cuts(ts_ns: Ints) -> Iterator[slice]:
    # Pieces of about _PIECE_ROWS sorted rows; each minute lies in one piece as a whole.
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


def _minutes(ts_ns: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    # Per minute: its start, its first row, its last row; per row: the position of its minute.
    minutes = ts_ns // MINUTE_NS
    changes = np.flatnonzero(minutes[1:] != minutes[:-1]) + 1
    first = np.concatenate((np.zeros(1, dtype=np.int64), changes))
    last = np.append(changes, len(ts_ns)) - 1
    positions = np.repeat(np.arange(len(first)), last - first + 1)
    return minutes[first] * MINUTE_NS, first, last, positions


def _tick_piece(ts_ns: Ints, price: Floats, size: Floats) -> _Piece:
    starts, first, last, positions = _minutes(ts_ns)
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
    return _Piece(starts, columns, last - first + 1)


def _quote_piece(ts_ns: Ints, bid: Floats, ask: Floats) -> _Piece:
    starts, first, last, _ = _minutes(ts_ns)
    # `middle_of`, for a column: the same operations give the same bits.
    middle = np.rint((bid + ask) / 2 * PRICE_UNITS) / PRICE_UNITS
    columns = _ohlc("", middle, first, last) | _ohlc("bid_", bid, first, last) | _ohlc("ask_", ask, first, last)
    columns |= {"volume": np.zeros(len(starts)), "vwap": columns["close"]}
    return _Piece(starts, columns, last - first + 1)


def _ohlc(prefix: str, values: Floats, first: Ints, last: Ints) -> dict[str, Floats]:
    return {
        f"{prefix}open": values[first],
        f"{prefix}high": np.maximum.reduceat(values, first),
        f"{prefix}low": np.minimum.reduceat(values, first),
        f"{prefix}close": values[last],
    }


def _bar_piece(ts_ns: Ints, bars: Mapping[str, Floats]) -> _Piece:
    starts, first, last, positions = _minutes(ts_ns)
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
    return _Piece(starts, columns, last - first + 1)


def _fits(piece: _Piece, size: Floats) -> bool:
    # NaN spreads through minimum and maximum and fails every comparison.
    low, high = piece.columns["low"], piece.columns["high"]
    return bool(low.min() > 0 and high.max() < PRICE_LIMIT and size.min() > 0 and size.max() < SIZE_LIMIT)


def _admitted_ticks(price: Floats, size: Floats, refused: dict[str, int]) -> Mask:
    good_price = (price > 0) & (price < PRICE_LIMIT)
    good = good_price & (size > 0) & (size < SIZE_LIMIT)
    _count(refused, Refusal.PRICE, ~good_price)
    _count(refused, Refusal.SIZE, good_price & ~good)
    return good


def _admitted_quotes(bid: Floats, ask: Floats, sizes: tuple[Floats, Floats], refused: dict[str, int]) -> Mask:
    good_price = (bid > 0) & (bid < PRICE_LIMIT) & (ask > 0) & (ask < PRICE_LIMIT)
    uncrossed = good_price & (bid <= ask)
    good = uncrossed.copy()
    for size in sizes:
        good &= (size >= 0) & (size < SIZE_LIMIT)
    _count(refused, Refusal.PRICE, ~good_price)
    _count(refused, Refusal.CROSSED, good_price & ~uncrossed)
    _count(refused, Refusal.SIZE, uncrossed & ~good)
    return good


def _count(refused: dict[str, int], reason: Refusal, bad: Mask) -> None:
    number = int(np.count_nonzero(bad))
    if number:
        refused[reason] = refused.get(reason, 0) + number


def _joined(
    pieces: Sequence[_Piece], names: Sequence[str], refused: Mapping[str, int], *, has_ticks: bool
) -> BarColumns:
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


def _ticks(ts_ns: Ints, price: Floats, size: Floats) -> Iterator[Tick]:
    received = np.maximum.accumulate(ts_ns)
    for ts, arrived, price_, size_ in zip(
        ts_ns.tolist(), received.tolist(), price.tolist(), size.tolist(), strict=True
    ):
        yield Tick(venue_ts_ns=ts, received_ts_ns=arrived, instrument_id=_ANY, price=price_, size=size_)


def _quotes(ts_ns: Ints, *numbers: Floats) -> Iterator[Quote]:
    received = np.maximum.accumulate(ts_ns)
    columns = [values.tolist() for values in numbers]
    for ts, arrived, bid, ask, bid_size, ask_size in zip(ts_ns.tolist(), received.tolist(), *columns, strict=True):
        yield Quote(
            venue_ts_ns=ts,
            received_ts_ns=arrived,
            instrument_id=_ANY,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
        )


def _through_builder(inputs: Iterator[Tick] | Iterator[Quote], prints_from: PrintSource) -> BarColumns:
    # Columns carry no session kind, so that any calendar serves here.
    builder = BarBuilder(_ANY, AlwaysOpen(), prints_from=prints_from)
    take: Callable[[Any], Sequence[Bar] | None] = (
        builder.on_tick if prints_from is PrintSource.TICKS else builder.on_quote
    )
    bars: list[Bar] = []
    for entry in inputs:
        bars += take(entry) or ()
    bars += builder.on_time(2**62) or ()
    from_quotes = prints_from is PrintSource.QUOTES
    return BarColumns(
        start_ts_ns=_gathered(bars, "start_ts_ns", np.int64),
        columns={name: _gathered(bars, name, np.float64) for name in _PRICE_NAMES}
        | {name: _gathered(bars, f"quotes.{name}", np.float64) for name in _QUOTE_NAMES if from_quotes},
        tick_count=_gathered(bars, "tick_count", np.int64),
        quote_count=_gathered(bars, "quote_count", np.int64),
        refused=builder.refused,
    )


def _gathered(bars: Sequence[Bar], name: str, dtype: Any) -> Any:
    return np.fromiter(map(attrgetter(name), bars), dtype=dtype, count=len(bars))


def _bars_of(market: MarketTable, code: int, calendar: str | None) -> BarColumns:
    rows = market.codes == code
    ts_ns = market.ts_ns[rows]
    instrument = instrument_from_symbol(market.symbols[code], code + 1, calendar=calendar)
    sessions = sessions_of((instrument,))[instrument.instrument_id]
    for moment in (int(ts_ns.min()), int(ts_ns.max())):
        sessions.session_from(moment)
    columns = {name: values[rows] for name, values in market.columns.items()}
    if market.kind is MarketKind.TICKS:
        return bars_from_ticks(ts_ns, columns["price"], columns["size"])
    return bars_from_quotes(ts_ns, **columns) if market.kind is MarketKind.QUOTES else bars_from_bars(ts_ns, columns)


def _arrow_table(market: MarketTable, built: Sequence[BarColumns]) -> Any:
    import pyarrow as pa

    symbols = np.repeat(np.array(market.symbols, dtype=object), [len(bars) for bars in built])
    starts = np.concatenate([bars.start_ts_ns for bars in built])
    order = np.argsort(starts, kind="stable")
    columns = {
        "symbol": pa.array(symbols[order], pa.string()),
        "ts": pa.array(starts[order], pa.timestamp("ns", "UTC")),
    }
    for name in built[0].columns:
        columns[name] = pa.array(np.concatenate([bars.columns[name] for bars in built])[order])
    for name in ("tick_count", "quote_count"):
        counts = [getattr(bars, name) for bars in built]
        known = all(count is not None for count in counts)
        columns[name] = pa.array(np.concatenate(counts)[order]) if known else pa.nulls(len(order), pa.int64())
    names = [name for name in columns if name not in _QUOTE_NAMES] + [name for name in _QUOTE_NAMES if name in columns]
    return pa.table({name: columns[name] for name in names})


def _write(table: Any, target: Path) -> None:
    # Beside the target first: a file that is there is a whole one.
    import pyarrow as pa
    from pyarrow import csv, parquet

    partial = target.with_name(f".{target.name}.partial")
    try:
        if target.suffix.lower() == ".csv":
            starts = table.column("ts").cast(pa.int64()).to_numpy().astype("datetime64[ns]").astype("datetime64[s]")
            texts = pa.array(np.char.add(np.datetime_as_string(starts), "Z"))
            csv.write_csv(table.set_column(1, "ts", texts), partial)
        else:
            parquet.write_table(table, partial, compression="zstd")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(
            f"The output file {target} cannot be written ({error.strerror or error}): choose a folder that can."
        ) from error
