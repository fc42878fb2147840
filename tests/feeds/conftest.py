"""Market files of a test: written where the test is, or converted from the real data that RATCHET_DATA_DIR names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Columns = Mapping[str, Sequence[Any]]


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[Columns], Path]:
    """Write columns as they print to a CSV file."""

    def write(columns: Columns) -> Path:
        path = tmp_path / "market.csv"
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join(",".join(map(str, row)) for row in (tuple(columns), *rows)) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[[Columns], Path]:
    """Write columns, lists or Arrow arrays, to a Parquet file."""

    def write(columns: Columns) -> Path:
        path = tmp_path / "market.parquet"
        pq.write_table(pa.table(dict(columns)), path)
        return path

    return write


@pytest.fixture
def real(tmp_path: Path) -> Callable[..., Path]:
    """Convert a real data file: `ts_utc` to `ts`, exact integers to float64, chosen columns renamed."""
    folder = os.environ.get("RATCHET_DATA_DIR")
    if not folder:
        pytest.skip("needs the real data: set RATCHET_DATA_DIR to its folder")

    def convert(name: str, renamed: Mapping[str, str] | None = None) -> Path:
        table = pq.read_table(Path(folder) / name)
        names = {"ts_utc": "ts", **(renamed or {})}
        columns = {}
        for column in table.column_names:
            values = table[column]
            stem, _, suffix = column.rpartition("_e")
            if suffix in {"4", "8"}:
                # Divided, never multiplied by 10^-4: only so is the nearest float found.
                values = values.to_numpy() / 10.0 ** int(suffix)
            columns[names.get(column, stem or column)] = values
        path = tmp_path / f"{Path(name).stem}.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return convert
