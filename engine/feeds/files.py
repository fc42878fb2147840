"""Market data files: Parquet or CSV in, checked and time-ordered columns out.

A file is wrong as a whole when one row is: every fault is one BadInput sentence that names the file, the row (counted
from 1 without the header), the column, the value and the remedy, before the first event leaves a feed. What a live
market sends now and then (crossed quotes, prints of size zero, ticks out of order) passes: the bar builder counts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from engine.core.errors import BadInput
from engine.core.values import MINUTE_NS, SECOND_NS, exact
from engine.feeds.sides import Floats, Ints, Mask, whole_quotes

__all__ = [
    "Floats",
    "Ints",
    "MarketKind",
    "MarketTable",
    "Mask",
    "chunks",
    "column_names",
    "latest_so_far",
    "ordered_table",
    "read_market",
    "utc_text",
]

_UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Z", "+00:00", "+0000"})
_PARQUET_SUFFIXES: Final = (".parquet", ".pq")
_CSV_SUFFIXES: Final = (".csv", ".csv.gz")
# A symbol with fewer bars may be traded too seldom to tell.
_BARS_JUDGED: Final = 30
_MEND: Final = "correct or drop the row"


class MarketKind(StrEnum):
    """Name what a file holds."""

    BARS = "bars"
    TICKS = "ticks"
    QUOTES = "quotes"


_PRICES: Final = {
    MarketKind.BARS: ("open", "high", "low", "close"),
    MarketKind.TICKS: ("price",),
    MarketKind.QUOTES: ("bid", "ask"),
}
_SIZES: Final = {
    MarketKind.BARS: ("volume",),
    MarketKind.TICKS: ("size",),
    MarketKind.QUOTES: ("bid_size", "ask_size"),
}
_OPTIONAL_PRICES: Final = {MarketKind.BARS: ("vwap",), MarketKind.TICKS: (), MarketKind.QUOTES: ()}
_EXTRAS: Final = {
    MarketKind.BARS: (),
    MarketKind.TICKS: ("exchange", "conditions", "sequence", "corrects"),
    MarketKind.QUOTES: (),
}
_SUSPICIOUS: Final = "suspicious"
_MARKED: Final = {MarketKind.BARS: (), MarketKind.TICKS: (_SUSPICIOUS,), MarketKind.QUOTES: (_SUSPICIOUS,)}
_ONE_SIDED: Final = ("symbol", "ts", "side", "price", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTable:
    """Hold the rows of one file in the order in which a feed delivers them; all columns have one length."""

    kind: MarketKind
    #: In order of first appearance in the file.
    symbols: tuple[str, ...]
    #: Positions in `symbols`.
    codes: Ints
    #: Time of the source, ns UTC: the start of a bar, the moment of a print or quote.
    ts_ns: Ints
    #: When a feed delivers the row, never decreasing: the end of a bar's minute, else the latest `ts_ns` so far.
    received_ts_ns: Ints
    #: The numbers by name, float64; bars always have `vwap` (their close where the file has none).
    columns: Mapping[str, Floats]
    #: Arrow arrays by name: `exchange`, `conditions`, `sequence`, `corrects` of ticks, where the file has them.
    extras: Mapping[str, Any]
    #: Row of the file, from 1, of each row here; None for a table that comes from no file.
    rows: Ints | None = None
    #: How many rows of the file were left out as suspicious.
    suspicious: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ts_ns)

    def fingerprint(self) -> str:
        """Return the SHA-256 of kind, symbols, times and values; the file's path and format do not enter it."""
        digest = sha256(f"{self.kind}|{'|'.join(self.symbols)}".encode())
        digest.update(self.codes.astype("<i8").tobytes())
        digest.update(self.ts_ns.astype("<i8").tobytes())
        for name, values in sorted(self.columns.items()):
            digest.update(name.encode())
            digest.update(values.astype("<f8").tobytes())
        for name, extra in sorted(self.extras.items()):
            digest.update(name.encode())
            digest.update("\x1f".join(map(str, extra.to_pylist())).encode())
        return digest.hexdigest()


def read_market(
    path: Path | str,
    kind: MarketKind,
    *,
    symbols: Sequence[str] | None = None,
    whole_minutes: bool = True,
    drops_suspicious: bool = False,
) -> MarketTable:
    """Read and check a file of bars, ticks or quotes; only the rows of `symbols` when they are given.

    `whole_minutes` asks the bars of a file to start on a minute; False admits finer bars. `drops_suspicious` leaves
    out rows that a column `suspicious` marks. Quotes may come one side a row, as `side` (B or A), `price`, `size`;
    a side that was not quoted yet is 0 then.

    Raises BadInput, naming the row, for anything that a replay could not trade on.
    """
    file = _MarketFile(Path(path), kind)
    table = file.select(file.load(), symbols)
    if drops_suspicious and _SUSPICIOUS in table.column_names:
        table = file.drop_suspicious(table)
    encoded = file.column(table, "symbol").dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    ts_ns = file.times(file.column(table, "ts"))
    numbers = ("price", "size") if file.is_one_sided else _PRICES[kind] + _SIZES[kind]
    optional = tuple(name for name in _OPTIONAL_PRICES[kind] if name in table.column_names)
    columns = {name: file.floats(file.column(table, name), name) for name in numbers + optional}
    file.check_numbers(columns)
    if kind is MarketKind.BARS:
        file.check_bars(columns)
        file.check_bar_times(codes, ts_ns, whole_minutes=whole_minutes)
        if whole_minutes:
            file.check_minute_steps(codes, ts_ns, encoded.dictionary.to_pylist())
        columns.setdefault("vwap", columns["close"])
    if file.is_one_sided:
        columns = whole_quotes(codes, ts_ns, file.is_bid(table), price=columns["price"], size=columns["size"])
    extras = {name: file.tag(table, name) for name in _EXTRAS[kind] if name in table.column_names}
    return ordered_table(
        kind=kind,
        symbols=tuple(encoded.dictionary.to_pylist()),
        codes=codes,
        ts_ns=ts_ns,
        columns=columns,
        extras=extras,
        rows=file.rows,
        suspicious=file.suspicious,
    )


def ordered_table(
    *,
    kind: MarketKind,
    symbols: tuple[str, ...],
    codes: Ints,
    ts_ns: Ints,
    columns: Mapping[str, Floats],
    extras: Mapping[str, Any] | None = None,
    rows: Ints | None = None,
    suspicious: int = 0,
) -> MarketTable:
    """Return checked columns, in file order, as a table in the order of delivery.

    A symbol's rows keep their order; symbols merge by time, in file order at equal times.
    """
    received = latest_so_far(codes, ts_ns)
    extras = extras or {}
    if (np.diff(received) < 0).any():
        order = np.argsort(received, kind="stable")
        codes, ts_ns, received = codes[order], ts_ns[order], received[order]
        columns = {name: values[order] for name, values in columns.items()}
        extras = {name: values.take(order) for name, values in extras.items()}
        rows = None if rows is None else rows[order]
    if kind is MarketKind.BARS:
        received = received + MINUTE_NS
    return MarketTable(
        kind=kind,
        symbols=symbols,
        codes=codes,
        ts_ns=ts_ns,
        received_ts_ns=received,
        columns=columns,
        extras=extras,
        rows=rows,
        suspicious=suspicious,
    )


def latest_so_far(codes: Ints, ts_ns: Ints) -> Ints:
    """Return for each row the latest time among its symbol's rows up to it, ns UTC."""
    if not (np.diff(ts_ns) < 0).any():
        return ts_ns
    latest = np.empty_like(ts_ns)
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, bounds):
        latest[rows] = np.maximum.accumulate(ts_ns[rows])
    return latest


class _MarketFile:
    # One file while it is read: knows its name, kind and original row numbers for the sentences.

    def __init__(self, path: Path, kind: MarketKind) -> None:
        self.path = path
        self.kind = kind
        self.wanted: tuple[str, ...] = ("symbol", "ts", *_PRICES[kind], *_SIZES[kind])
        self.known = (*self.wanted, *_OPTIONAL_PRICES[kind], *_EXTRAS[kind], *_MARKED[kind])
        self.rows: Ints = np.empty(0, dtype=np.int64)
        self.suspicious = 0

    @property
    def is_one_sided(self) -> bool:
        return self.wanted is _ONE_SIDED

    def fail(self, problem: str) -> NoReturn:
        raise BadInput(f"The {self.kind} file {self.path} {problem}.") from None

    def fail_at(self, index: int, column: str, value: object, problem: str) -> NoReturn:
        self.fail(f"has {column} {value!r} in row {self.rows[index]}, {problem}")

    def load(self, *, names_only: bool = False) -> Any:
        if not self.path.is_file():
            self.fail("does not exist or is no file: check the path")
        name = self.path.name.lower()
        if not name.endswith(_PARQUET_SUFFIXES + _CSV_SUFFIXES):
            self.fail("ends neither in .parquet nor in .csv: rename it by its format")
        import pyarrow as pa

        try:
            if names_only:
                return self._names(name)
            table = self._load_parquet() if name.endswith(_PARQUET_SUFFIXES) else self._load_csv()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
            self.fail(f"cannot be read ({reason}): write it again as Parquet or CSV")
        self._check_names(table.column_names)
        if not len(table):
            self.fail("holds no rows: check how it was written")
        return table

    def _names(self, name: str) -> Any:
        from pyarrow import csv, parquet

        if name.endswith(_PARQUET_SUFFIXES):
            return parquet.read_schema(self.path).names
        with csv.open_csv(self.path) as reader:
            return reader.schema.names

    def _load_parquet(self) -> Any:
        import pyarrow.parquet as pq

        names = pq.read_schema(self.path).names
        self._check_names(names)
        return pq.read_table(self.path, columns=[name for name in self.known if name in names])

    def _load_csv(self) -> Any:
        import pyarrow as pa

        numbers = (*_PRICES[self.kind], *_SIZES[self.kind], *_OPTIONAL_PRICES[self.kind])
        texts = dict.fromkeys(("symbol", "ts", *_EXTRAS[self.kind], *_MARKED[self.kind]), pa.string())
        if self.kind is MarketKind.QUOTES:
            numbers, texts["side"] = (*numbers, "price", "size"), pa.string()
        try:
            return self._parse_csv(texts | dict.fromkeys(numbers, pa.float64()))
        except pa.ArrowInvalid:
            # Read as text instead: the conversion of each column then finds the row to name.
            return self._parse_csv(texts | dict.fromkeys(numbers, pa.string()))

    def _parse_csv(self, types: Mapping[str, Any]) -> Any:
        from pyarrow import csv

        options = csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=False)
        return csv.read_csv(self.path, convert_options=options)

    def _check_names(self, names: Sequence[str]) -> None:
        if self.kind is MarketKind.QUOTES and "side" in names and "bid" not in names:
            self.wanted, self.known = _ONE_SIDED, (*_ONE_SIDED, _SUSPICIOUS)
        missing = [name for name in self.wanted if name not in names]
        if missing:
            self.fail(
                f"has no column {', '.join(missing)} (it has {', '.join(names)}): name its columns "
                f"{', '.join(self.wanted)}"
            )
        double = next((name for name in self.known if names.count(name) > 1), None)
        if double:
            self.fail(f"has the column {double} twice: keep one of them")

    def select(self, table: Any, symbols: Sequence[str] | None) -> Any:
        # Keeps the rows of the named symbols, and remembers which rows of the file they are.
        import pyarrow as pa
        import pyarrow.compute as pc

        self.rows = np.arange(1, len(table) + 1)
        column = self._cast(table.column("symbol"), pa.string(), "symbol", f"which is no text: {_MEND}")
        self._check_filled(pc.if_else(pc.equal(column, ""), None, column), "symbol")
        table = table.set_column(table.column_names.index("symbol"), "symbol", column)
        if not symbols:
            return table
        held = pc.unique(column).to_pylist()
        for symbol in symbols:
            if symbol not in held:
                more = ", …" if len(held) > 10 else ""
                self.fail(f"does not hold the symbol {symbol}: choose among {', '.join(held[:10])}{more}")
        mask = pc.is_in(column, value_set=pa.array(symbols, pa.string()))
        self.rows = self.rows[mask.to_numpy()]
        return table.filter(mask)

    def drop_suspicious(self, table: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._cast(table.column(_SUSPICIOUS), pa.bool_(), _SUSPICIOUS, f"which is no truth value: {_MEND}")
        is_good = pc.invert(pc.fill_null(column, fill_value=False))
        good: Mask = is_good.to_numpy(zero_copy_only=False)
        self.rows = self.rows[good]
        self.suspicious = len(good) - len(self.rows)
        if not len(self.rows):
            self.fail("holds suspicious rows only: check the column suspicious")
        return table.filter(is_good)

    def is_bid(self, table: Any) -> Mask:
        sides = np.char.upper(self.column(table, "side").to_numpy(zero_copy_only=False).astype(str))
        is_bid: Mask = sides == "B"
        wrong = ~is_bid & (sides != "A")
        if wrong.any():
            index = int(np.argmax(wrong))
            self.fail_at(index, "side", str(sides[index]), f"which is neither B nor A: {_MEND}")
        return is_bid

    def column(self, table: Any, name: str) -> Any:
        column = table.column(name).combine_chunks()
        self._check_filled(column, name)
        return column

    def _check_filled(self, column: Any, name: str) -> None:
        if column.null_count:
            index = column.is_null().to_pylist().index(True)
            self.fail(f"has an empty {name} in row {self.rows[index]}: {_MEND}")

    def times(self, column: Any) -> Ints:
        import pyarrow as pa

        if pa.types.is_timestamp(column.type):
            if column.type.tz not in _UTC_NAMES:
                zone = f"the zone {column.type.tz}" if column.type.tz else "no zone"
                self.fail(f"has a column ts with {zone}: convert it to timestamps with zone UTC")
        elif not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            self.fail(f"has a column ts of type {column.type}: write timestamps with zone UTC")
        remedy = "which is no time with a zone: write UTC as in 2025-01-02T14:30:00Z"
        ts_ns: Ints = self._cast(column, pa.timestamp("ns", "UTC"), "ts", remedy).cast(pa.int64()).to_numpy()
        return ts_ns

    def floats(self, column: Any, name: str) -> Floats:
        import pyarrow as pa

        if pa.types.is_decimal(column.type):
            # Arrow multiplies decimals by a power of ten, which is off by a bit; text is read exactly.
            column = column.cast(pa.string())
        values: Floats = self._cast(column, pa.float64(), name, f"which is no number: {_MEND}").to_numpy()
        return values

    def _cast(self, column: Any, to: Any, name: str, problem: str) -> Any:
        import pyarrow as pa

        try:
            return column.cast(to)
        except pa.ArrowNotImplementedError:
            self.fail(f"has a column {name} of type {column.type}: write it as {to}")
        except pa.ArrowInvalid:
            index = _first_failure(column, to)
            self.fail_at(index, name, column[index].as_py(), problem)

    def tag(self, table: Any, name: str) -> Any:
        # A code of letters or a whole number; empty where the file has nothing.
        import pyarrow as pa
        import pyarrow.compute as pc

        column = table.column(name).combine_chunks()
        if not pa.types.is_integer(column.type):
            text = self._cast(column, pa.string(), name, f"which is no text: {_MEND}")
            column = pc.if_else(pc.equal(text, ""), None, text)
        if name == "exchange":
            return column.cast(pa.string())
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            if name == "conditions":
                return column
            index = _first_failure(column, pa.int64())
            return self.fail_at(index, name, column[index].as_py(), f"which is no whole number: {_MEND}")

    def check_numbers(self, columns: Mapping[str, Floats]) -> None:
        sizes = _SIZES[self.kind]
        for name, values in columns.items():
            self._check(name, values, ~np.isfinite(values), f"which is not finite: {_MEND}")
            if name in sizes or (name == "size" and self.is_one_sided):
                self._check(name, values, values < 0, f"which is negative: {_MEND}")
                continue
            self._check(name, values, values <= 0, f"which is not above zero: {_MEND}")
            if name != "vwap":
                self._check_exact(name, values)

    def _check_exact(self, name: str, values: Floats) -> None:
        # The ledger keeps ten decimals. Scaling finds suspects cheaply; only the exact test convicts.
        suspects = np.flatnonzero((values >= 9e5) | (np.rint(values * 1e10) / 1e10 != values))
        for index in suspects:
            try:
                exact(float(values[index]))
            except BadInput:
                problem = f"which does not fit ten decimals in 64 bits: round the column {name} to the tick"
                self.fail_at(int(index), name, float(values[index]), problem)

    def check_bars(self, columns: Mapping[str, Floats]) -> None:
        high, low = columns["high"], columns["low"]
        self._check("high", high, high < low, f"which is below the low: {_MEND}")
        for name in ("open", "close"):
            values = columns[name]
            self._check(name, values, (values < low) | (values > high), f"which is outside low and high: {_MEND}")

    def check_bar_times(self, codes: Ints, ts_ns: Ints, *, whole_minutes: bool) -> None:
        if whole_minutes and (ts_ns % MINUTE_NS).any():
            index = int(np.argmax(ts_ns % MINUTE_NS != 0))
            self.fail_at(index, "ts", utc_text(ts_ns[index]), "which is not a whole minute: build minute bars from it")
        order = np.argsort(codes, kind="stable")
        steps = np.diff(ts_ns[order])
        wrong = order[1:][(steps <= 0) & (np.diff(codes[order]) == 0)]
        if not len(wrong):
            return
        index = int(wrong.min())
        former = (ts_ns[:index] == ts_ns[index]) & (codes[:index] == codes[index])
        problem = (
            f"which row {self.rows[int(np.argmax(former))]} holds already for the symbol: drop one of them"
            if former.any()
            else "which is earlier than the row before it of the symbol: sort the file by ts"
        )
        self.fail_at(index, "ts", utc_text(ts_ns[index]), problem)

    def check_minute_steps(self, codes: Ints, ts_ns: Ints, symbols: Sequence[str]) -> None:
        # Bars of five minutes or of a day would run as minutes, and mean nothing.
        for code, symbol in enumerate(symbols):
            own = ts_ns[codes == code]
            if len(own) >= _BARS_JUDGED and (step := int(np.diff(own).min())) > MINUTE_NS:
                self.fail(
                    f"holds bars of {symbol} {step // SECOND_NS} s apart, not minute bars: "
                    "export minute bars, or build them with ratchet bars build"
                )

    def _check(self, name: str, values: Floats, bad: Mask, problem: str) -> None:
        if bad.any():
            index = int(np.argmax(bad))
            self.fail_at(index, name, float(values[index]), problem)


def _first_failure(column: Any, to: Any) -> int:
    # Halves the column: a prefix either converts or holds the first failure.
    import pyarrow as pa

    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            column.slice(good, middle - good).cast(to)
        except pa.ArrowInvalid:
            bad = middle
        else:
            good = middle
    return good


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns; raises BadInput for a file that is no Parquet or CSV."""
    return list(_MarketFile(path, MarketKind.TICKS).load(names_only=True))


def utc_text(ts_ns: int) -> str:
    """Return a moment, ns UTC, as ISO 8601 text without trailing zeros of its fraction."""
    text = str(np.datetime64(int(ts_ns), "ns"))
    return text.rstrip("0").rstrip(".") + "Z" if "." in text else text + "Z"


def chunks(length: int, *, start: int = 0, size: int = 4096) -> Iterator[slice]:
    """Yield slices of at most `size` rows that cover `[start, length)`."""
    for first in range(start, length, size):
        yield slice(first, min(first + size, length))
