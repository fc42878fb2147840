"""Two files of bars, compared field by field at their last revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from engine.core.errors import BadInput
from engine.feeds.files import Ints, utc_text

#: What names a bar; the kind of its session only where both files tell it.
_KEYS: Final = ("symbol", "ts", "session")
_NOT_COMPARED: Final = frozenset({*_KEYS, "revision"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Say where two files differ: in one field of a bar, or in a bar that only one has (field `-`)."""

    symbol: str
    #: Start of the bar, ISO 8601 UTC.
    ts: str
    field: str
    left: object
    right: object
    #: Rows of the files, from 1; None in the file that lacks the bar.
    left_row: int | None
    right_row: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Say how two files of bars compare."""

    left_bars: int
    right_bars: int
    #: Bars that both have, with all fields equal.
    equal: int
    #: Bars that both have and that differ.
    different: int
    only_left: int
    only_right: int
    #: Compared fields, with how many bars differ in each.
    fields: Mapping[str, int]
    #: The first differences, in the order of the bars.
    first: Sequence[Difference]

    @property
    def is_equal(self) -> bool:
        """Return whether the files hold the same bars."""
        return not (self.different or self.only_left or self.only_right)


def compare_bars(left: Path | str, right: Path | str, *, limit: int = 20) -> Comparison:
    """Compare two Parquet or CSV files of bars in the fields that both have; name the first `limit` differences.

    Raises BadInput for a file that cannot be read, has no symbol or ts, or holds a bar twice at one revision.
    """
    first, second = _BarFile(Path(left)), _BarFile(Path(right))
    names = [name for name in first.names if name in second.names and name not in _NOT_COMPARED]
    if not names:
        first.fail(f"shares no field with {second.path}: compare files with open, high, low, close or volume")
    has_session = "session" in first.names and "session" in second.names
    rows, others = first.last_rows(has_session=has_session), second.last_rows(has_session=has_session)
    shared = [key for key in rows if key in others]
    here = np.array([rows[key] for key in shared], dtype=np.int64)
    there = np.array([others[key] for key in shared], dtype=np.int64)
    unequal = {name: _unequal(first.column(name, here), second.column(name, there)) for name in names}
    differs = np.logical_or.reduce(list(unequal.values()))
    found = [
        Difference(
            symbol=key[0],
            ts=utc_text(key[1]),
            field=name,
            left=first.value(name, rows[key]),
            right=second.value(name, others[key]),
            left_row=rows[key] + 1,
            right_row=others[key] + 1,
        )
        for index in np.flatnonzero(differs)[:limit]
        for name in names
        if unequal[name][index]
        for key in [shared[index]]
    ]
    found += _alone(rows, others, limit, is_left=True) + _alone(others, rows, limit, is_left=False)
    found.sort(key=lambda each: (each.ts, each.symbol))
    return Comparison(
        left_bars=len(rows),
        right_bars=len(others),
        equal=int(np.count_nonzero(~differs)),
        different=int(np.count_nonzero(differs)),
        only_left=len(rows) - len(shared),
        only_right=len(others) - len(shared),
        fields={name: int(np.count_nonzero(values)) for name, values in unequal.items()},
        first=found[:limit],
    )


_Key = tuple[str, int, str]


def _alone(rows: Mapping[_Key, int], others: Mapping[_Key, int], limit: int, *, is_left: bool) -> list[Difference]:
    alone = [key for key in rows if key not in others][:limit]
    return [
        Difference(
            symbol=key[0],
            ts=utc_text(key[1]),
            field="-",
            left="there" if is_left else "missing",
            right="missing" if is_left else "there",
            left_row=rows[key] + 1 if is_left else None,
            right_row=None if is_left else rows[key] + 1,
        )
        for key in alone
    ]


def _unequal(left: Any, right: Any) -> Any:
    # Empty equals empty, and nothing else.
    both_empty = np.array([each is None or each != each for each in left]) & np.array(  # noqa: PLR0124 - NaN
        [each is None or each != each for each in right]  # noqa: PLR0124 - NaN
    )
    return (np.asarray(left, dtype=object) != np.asarray(right, dtype=object)).astype(np.bool_) & ~both_empty


class _BarFile:
    # One file of bars, read as it is: a comparison judges nothing but equality.

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table = self._load()
        self.names: list[str] = self._table.column_names
        missing = [name for name in ("symbol", "ts") if name not in self.names]
        if missing:
            self.fail(f"has no column {' and '.join(missing)}: compare files of bars")

    def fail(self, problem: str) -> NoReturn:
        raise BadInput(f"The bars file {self.path} {problem}.")

    def _load(self) -> Any:
        import pyarrow as pa
        from pyarrow import csv, parquet

        name = self.path.name.lower()
        if not self.path.is_file():
            self.fail("does not exist or is no file: check the path")
        try:
            if name.endswith((".parquet", ".pq")):
                return parquet.read_table(self.path)
            if name.endswith((".csv", ".csv.gz")):
                return csv.read_csv(self.path, convert_options=csv.ConvertOptions(column_types={"symbol": pa.string()}))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
            self.fail(f"cannot be read ({reason}): write it again as Parquet or CSV")
        return self.fail("ends neither in .parquet nor in .csv: rename it by its format")

    def last_rows(self, *, has_session: bool) -> dict[_Key, int]:
        # The row of each bar at its last revision, in the order of the file.
        starts = self._starts().tolist()
        symbols = self._table.column("symbol").to_pylist()
        kinds = self._table.column("session").to_pylist() if has_session else [""] * len(starts)
        revisions = self._table.column("revision").to_pylist() if "revision" in self.names else [0] * len(starts)
        rows: dict[_Key, int] = {}
        for row, key in enumerate(zip(symbols, starts, kinds, strict=True)):
            former = rows.get(key)
            if former is not None and revisions[former] == revisions[row]:
                self.fail(
                    f"holds the bar of {key[0]} at {utc_text(key[1])} in row {former + 1} and again in row {row + 1}: "
                    "drop one of them"
                )
            if former is None or revisions[row] > revisions[former]:
                rows[key] = row
        return rows

    def _starts(self) -> Ints:
        import pyarrow as pa

        column = self._table.column("ts")
        try:
            starts: Ints = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self.fail("has a ts that is no time with a zone: write UTC as in 2025-01-02T14:30:00Z")
        return starts

    def column(self, name: str, rows: Ints) -> Any:
        return np.array(self._table.column(name).take(rows).to_pylist(), dtype=object)

    def value(self, name: str, row: int) -> object:
        return self._table.column(name)[row].as_py()
