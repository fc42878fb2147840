"""Market files: what is read, in which order it comes out, and the sentence for each fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.core.errors import BadInput
from engine.core.values import MINUTE_NS, SECOND_NS
from engine.feeds.files import MarketKind, read_market

Columns = dict[str, Sequence[Any]]
Write = Callable[[Mapping[str, Sequence[Any]]], Path]

START = 1_735_828_200 * SECOND_NS
BARS: Columns = {
    "symbol": ["ACME", "ACME", "ACME"],
    "ts": ["2025-01-02T14:30:00Z", "2025-01-02T14:31:00Z", "2025-01-02T14:32:00Z"],
    "open": [10.0, 10.1, 10.2],
    "high": [10.5, 10.5, 10.5],
    "low": [9.5, 9.5, 9.5],
    "close": [10.1, 10.2, 10.3],
    "volume": [100, 200, 300],
}
TICKS: Columns = {
    "symbol": ["ACME", "ACME", "ACME"],
    "ts": ["2025-01-02T14:30:01Z", "2025-01-02T14:30:03Z", "2025-01-02T14:30:02Z"],
    "price": [10.0, 10.1, 10.2],
    "size": [1, 2, 3],
}


def changed(base: Columns, column: str, row: int, value: object) -> Columns:
    values = list(base[column])
    values[row - 1] = value
    return {**base, column: values}


def zoned(*minutes: int, unit: str = "us", zone: str | None = "UTC") -> Any:
    start = datetime(2025, 1, 2, 14, 30, tzinfo=UTC)
    return pa.array([start + timedelta(minutes=minute) for minute in minutes], pa.timestamp(unit, zone))


def test_csv_and_parquet_of_one_content_are_one_table(write_csv: Write, write_parquet: Write) -> None:
    first = read_market(write_csv(BARS), MarketKind.BARS)
    second = read_market(write_parquet({**BARS, "ts": zoned(0, 1, 2, unit="ms")}), MarketKind.BARS)
    assert first.ts_ns.tolist() == [START, START + MINUTE_NS, START + 2 * MINUTE_NS]
    assert first.received_ts_ns.tolist() == [START + (i + 1) * MINUTE_NS for i in range(3)]
    assert first.columns["close"].tolist() == BARS["close"]
    assert first.columns["vwap"].tolist() == BARS["close"]
    assert first.fingerprint() == second.fingerprint()


def test_the_fingerprint_hangs_on_values_and_not_on_the_path(write_csv: Write, tmp_path: Path) -> None:
    path = write_csv(BARS)
    before = read_market(path, MarketKind.BARS).fingerprint()
    moved = path.rename(tmp_path / "elsewhere.csv")
    assert read_market(moved, MarketKind.BARS).fingerprint() == before
    assert read_market(write_csv(changed(BARS, "volume", 3, 301)), MarketKind.BARS).fingerprint() != before


def test_a_csv_may_write_offsets_fractions_and_other_columns(write_csv: Write) -> None:
    ts = ["2025-01-02T09:30:01.5-05:00", "2025-01-02 14:30:02+00:00", "2025-01-02T14:30:03Z"]
    table = read_market(write_csv({**TICKS, "ts": ts, "note": ["x", "y", "z"]}), MarketKind.TICKS)
    assert [(ts_ns - START) / SECOND_NS for ts_ns in table.ts_ns.tolist()] == [1.5, 2.0, 3.0]


def test_decimals_become_the_nearest_float(write_parquet: Write) -> None:
    prices = pa.array([Decimal("431.27"), Decimal("0.1"), Decimal(10)], pa.decimal128(12, 4))
    table = read_market(write_parquet({**TICKS, "ts": zoned(0, 1, 2), "price": prices}), MarketKind.TICKS)
    assert table.columns["price"].tolist() == [431.27, 0.1, 10.0]


def test_ticks_out_of_order_keep_their_order_and_arrive_with_the_latest_time(write_csv: Write) -> None:
    table = read_market(write_csv(TICKS), MarketKind.TICKS)
    assert [(ts_ns - START) // SECOND_NS for ts_ns in table.ts_ns.tolist()] == [1, 3, 2]
    assert [(ts_ns - START) // SECOND_NS for ts_ns in table.received_ts_ns.tolist()] == [1, 3, 3]


def test_symbols_in_blocks_merge_by_time_in_file_order_at_equal_times(write_csv: Write) -> None:
    columns = {name: [*values, *values] for name, values in BARS.items()} | {"symbol": ["B"] * 3 + ["A"] * 3}
    table = read_market(write_csv(columns), MarketKind.BARS)
    assert table.symbols == ("B", "A")
    assert table.codes.tolist() == [0, 1, 0, 1, 0, 1]
    assert not np.diff(table.received_ts_ns).min() < 0


def test_chosen_symbols_are_the_only_ones_read_and_checked(write_csv: Write) -> None:
    columns = changed({**BARS, "symbol": ["A", "B", "C"]}, "open", 2, -1)
    table = read_market(write_csv(columns), MarketKind.BARS, symbols=["C", "A"])
    assert table.symbols == ("A", "C")
    assert table.columns["open"].tolist() == [10.0, 10.2]


def test_ticks_keep_what_their_source_adds(write_csv: Write) -> None:
    extras: Columns = {"exchange": ["T", "", "F"], "conditions": ["@ I", "", "4"], "sequence": [1, 2, 3]}
    table = read_market(write_csv({**TICKS, **extras}), MarketKind.TICKS)
    assert table.extras["exchange"].to_pylist() == ["T", None, "F"]
    assert table.extras["conditions"].to_pylist() == ["@ I", None, "4"]
    assert table.extras["sequence"].to_pylist() == [1, 2, 3]
    masks = read_market(write_csv({**TICKS, "conditions": [1, 32, 64]}), MarketKind.TICKS)
    assert masks.extras["conditions"].to_pylist() == [1, 32, 64]


def test_crossed_quotes_and_prints_without_size_pass_to_the_builder(write_csv: Write) -> None:
    ticks = read_market(write_csv(changed(TICKS, "size", 1, 0)), MarketKind.TICKS)
    assert ticks.columns["size"].tolist() == [0.0, 2.0, 3.0]
    quotes = {**TICKS, "bid": [11.0] * 3, "ask": [10.0] * 3, "bid_size": [0] * 3, "ask_size": [1] * 3}
    assert len(read_market(write_csv(quotes), MarketKind.QUOTES)) == 3


@pytest.mark.parametrize(
    ("column", "row", "value", "sentence"),
    [
        ("open", 2, 0, "has open 0.0 in row 2, which is not above zero: correct or drop the row."),
        ("close", 3, -10.5, "has close -10.5 in row 3, which is not above zero: correct or drop the row."),
        ("high", 1, "inf", "has high inf in row 1, which is not finite: correct or drop the row."),
        ("low", 1, "nan", "has low nan in row 1, which is not finite: correct or drop the row."),
        ("open", 2, "", "has an empty open in row 2: correct or drop the row."),
        ("open", 3, "ten", "has open 'ten' in row 3, which is no number: correct or drop the row."),
        ("high", 2, 9.4, "has high 9.4 in row 2, which is below the low: correct or drop the row."),
        ("open", 2, 10.6, "has open 10.6 in row 2, which is outside low and high: correct or drop the row."),
        ("close", 2, 9.4, "has close 9.4 in row 2, which is outside low and high: correct or drop the row."),
        ("volume", 2, -1, "has volume -1.0 in row 2, which is negative: correct or drop the row."),
        (
            "close",
            2,
            10.10000038147,
            (
                "has close 10.10000038147 in row 2, which does not fit ten decimals in 64 bits: round the column close "
                "to the tick."
            ),
        ),
        (
            "ts",
            2,
            "2025-01-02T14:31:30Z",
            "has ts '2025-01-02T14:31:30Z' in row 2, which is not a whole minute: build minute bars from it.",
        ),
        (
            "ts",
            3,
            "2025-01-02T14:31:00Z",
            "has ts '2025-01-02T14:31:00Z' in row 3, which row 2 holds already for the symbol: drop one of them.",
        ),
        (
            "ts",
            3,
            "2025-01-02T14:29:00Z",
            (
                "has ts '2025-01-02T14:29:00Z' in row 3, which is earlier than the row before it of the symbol: "
                "sort the file by ts."
            ),
        ),
        (
            "ts",
            2,
            "2025-01-02T14:31:00",
            (
                "has ts '2025-01-02T14:31:00' in row 2, which is no time with a zone: "
                "write UTC as in 2025-01-02T14:30:00Z."
            ),
        ),
        (
            "ts",
            1,
            "1735828200",
            "has ts '1735828200' in row 1, which is no time with a zone: write UTC as in 2025-01-02T14:30:00Z.",
        ),
    ],
)
def test_each_bad_row_has_its_sentence(write_csv: Write, column: str, row: int, value: object, sentence: str) -> None:
    path = write_csv(changed(BARS, column, row, value))
    with pytest.raises(BadInput) as caught:
        read_market(path, MarketKind.BARS)
    assert str(caught.value) == f"The bars file {path} {sentence}"


def test_a_row_number_is_that_of_the_file_when_symbols_are_chosen(write_csv: Write) -> None:
    path = write_csv(changed({**BARS, "symbol": ["A", "B", "B"]}, "open", 3, 0))
    with pytest.raises(BadInput, match=r"has open 0\.0 in row 3,"):
        read_market(path, MarketKind.BARS, symbols=["B"])


@pytest.mark.parametrize(
    ("ts", "sentence"),
    [
        (zoned(0, 1, 2, zone=None), "has a column ts with no zone: convert it to timestamps with zone UTC."),
        (
            zoned(0, 1, 2, zone="America/New_York"),
            "has a column ts with the zone America/New_York: convert it to timestamps with zone UTC.",
        ),
        ([START] * 3, "has a column ts of type int64: write timestamps with zone UTC."),
    ],
)
def test_a_parquet_column_of_the_wrong_zone_is_refused(write_parquet: Write, ts: Any, sentence: str) -> None:
    path = write_parquet({**BARS, "ts": ts})
    with pytest.raises(BadInput) as caught:
        read_market(path, MarketKind.BARS)
    assert str(caught.value) == f"The bars file {path} {sentence}"


def test_zones_that_are_utc_by_another_name_are_read(write_parquet: Write) -> None:
    stamps = pa.array([datetime(2025, 1, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))] * 3)
    path = write_parquet({**TICKS, "ts": stamps.cast(pa.timestamp("ns", "Etc/UTC"))})
    assert read_market(path, MarketKind.TICKS).ts_ns.tolist() == [START] * 3


def test_a_missing_column_is_named(write_csv: Write) -> None:
    columns = {name: values for name, values in BARS.items() if name not in {"ts", "low"}}
    path = write_csv({**columns, "timestamp": BARS["ts"]})
    with pytest.raises(BadInput) as caught:
        read_market(path, MarketKind.BARS)
    assert str(caught.value) == (
        f"The bars file {path} has no column ts, low (it has symbol, open, high, close, volume, timestamp): "
        "name its columns symbol, ts, open, high, low, close, volume."
    )


def test_a_column_that_is_there_twice_is_refused(write_csv: Write) -> None:
    path = write_csv(BARS)
    path.write_text(path.read_text().replace("close", "open", 1).replace("volume", "close,volume", 1))
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], *(f"{line},1" for line in text[1:])]) + "\n")
    with pytest.raises(BadInput, match="has the column open twice: keep one of them"):
        read_market(path, MarketKind.BARS)


def test_an_unknown_symbol_is_answered_with_those_of_the_file(write_csv: Write) -> None:
    path = write_csv(BARS)
    with pytest.raises(BadInput) as caught:
        read_market(path, MarketKind.BARS, symbols=["ACME", "OTHER"])
    assert str(caught.value) == f"The bars file {path} does not hold the symbol OTHER: choose among ACME."


def test_files_that_are_no_market_files_are_refused(tmp_path: Path) -> None:
    def sentence(name: str, content: bytes | None) -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BadInput) as caught:
            read_market(path, MarketKind.BARS)
        assert str(caught.value).startswith(f"The bars file {path} ")
        return str(caught.value)

    header = ",".join(BARS).encode()
    assert sentence("none.csv", None).endswith("does not exist or is no file: check the path.")
    assert sentence("bars.xlsx", b"x").endswith("ends neither in .parquet nor in .csv: rename it by its format.")
    assert sentence("rows.csv", header + b"\n").endswith("holds no rows: check how it was written.")
    for name, content in (
        ("empty.csv", b""),
        ("broken.parquet", b"PAR1 is not enough"),
        ("cut.csv", header + b"\nACME,2025"),
        ("binary.csv", header + b"\n\xff\xfe,2025-01-02T14:30:00Z,1,1,1,1,1\n"),
    ):
        assert "cannot be read (" in sentence(name, content)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(write_csv: Write) -> None:
    path = write_csv(BARS)
    path.chmod(0)
    with pytest.raises(BadInput, match="cannot be read"):
        read_market(path, MarketKind.BARS)


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("price", 0, "has price 0.0 in row 2, which is not above zero"),
        ("price", "nan", "has price nan in row 2, which is not finite"),
        ("size", -1, "has size -1.0 in row 2, which is negative"),
        ("size", "nan", "has size nan in row 2, which is not finite"),
        ("symbol", "", "has an empty symbol in row 2"),
    ],
)
def test_bad_ticks_have_their_sentences(write_csv: Write, column: str, value: object, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        read_market(write_csv(changed(TICKS, column, 2, value)), MarketKind.TICKS)


def test_a_sequence_that_is_no_number_is_refused(write_csv: Write) -> None:
    with pytest.raises(BadInput, match="has sequence 'b' in row 2, which is no whole number"):
        read_market(write_csv({**TICKS, "sequence": ["1", "b", "3"]}), MarketKind.TICKS)


def test_columns_of_a_strange_type_are_refused_or_read(write_parquet: Write) -> None:
    columns = {**TICKS, "ts": zoned(0, 1, 2)}
    encoded = pa.array(["@", "@", "I"]).dictionary_encode()
    table = read_market(write_parquet({**columns, "conditions": encoded, "symbol": encoded}), MarketKind.TICKS)
    assert table.symbols == ("@", "I")
    assert table.extras["conditions"].to_pylist() == ["@", "@", "I"]
    for name in ("symbol", "price", "exchange"):
        with pytest.raises(BadInput, match=f"has a column {name} of type"):
            read_market(write_parquet({**columns, name: pa.array([[1], [2], [3]])}), MarketKind.TICKS)
