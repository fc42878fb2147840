"""Files of bars: built from files of ticks, quotes or finer bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.bars import TapeRules, trade_filter
from engine.core.errors import BadInput
from engine.core.values import Sessions, instrument_from_symbol
from engine.feeds.bar_columns import QUOTE_NAMES, BarColumns
from engine.feeds.batch_bars import bars_from_bars, bars_from_quotes, bars_from_ticks
from engine.feeds.batch_stream import ONLY
from engine.feeds.batch_tape import TapeRows, bars_from_sides, bars_from_tape
from engine.feeds.files import MarketKind, MarketTable, Mask, column_names, read_market
from engine.feeds.replay import has_corrections, is_regular, sessions_of
from engine.feeds.tape_checks import check_conditions, sequence_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRules:
    """Say how a file becomes bars."""

    #: Name of the trade filter.
    filter: str = "none"
    #: Listing exchange by symbol, as the tape writes exchanges.
    listing_exchanges: Mapping[str, str] | None = None
    #: `regular` or `extended` keeps the minutes of that part of the day only; None keeps all.
    session: str | None = None
    calendar: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBars:
    """Say what a build read and made."""

    rows: int
    bars: int
    #: Refused rows by reason.
    refused: Mapping[str, int]
    #: Bars that late prints, auctions, corrections or cancels revised.
    revised: int = 0
    #: What the sequences lack or repeat, one sentence with its row each.
    notes: Sequence[str] = ()


def build_bars(
    kind: MarketKind,
    path: Path | str,
    out: Path | str,
    *,
    symbols: Sequence[str] | None = None,
    rules: BarRules | None = None,
) -> BuiltBars:
    """Read ticks, quotes or finer bars, write their minute bars as Parquet or CSV (by suffix), and say how many.

    Raises BadInput for a fault in the file, conditions that the filter does not know, times outside the calendar, or
    a place that cannot be written.
    """
    rules = rules or BarRules()
    source, target = Path(path), Path(out)
    _check_target(source, target)
    used = trade_filter(rules.filter)
    if kind is MarketKind.BARS and rules.filter != "none":
        raise BadInput(f"The filter {rules.filter} is for ticks and quotes, not for finer bars: leave --filter out.")
    market = read_market(source, kind, symbols=symbols, whole_minutes=False, drops_suspicious=rules.filter != "none")
    check_listings(rules.listing_exchanges, market.symbols)
    built, notes = [], []
    for code, symbol in enumerate(market.symbols):
        tape = TapeRules(filter=used, listing_exchanges={ONLY: (rules.listing_exchanges or {}).get(symbol, "")})
        if has_corrections(market):
            # A tape that takes prints back asks for revisions, whatever its filter.
            tape = replace(tape, keeps_prints=True)
        sessions = _sessions_of(market, code, rules.calendar)
        if kind is MarketKind.TICKS:
            check_conditions(market, code, source, tape=tape, sessions=sessions)
            notes += sequence_notes(market, code, counts=used.counts_prints, revises=tape.revises)
        built.append(_of_session(_bars_of(market, code, sessions, tape), sessions, rules.session))
    _write(_arrow_table(market, built), target)
    refused: Counter[str] = Counter({"suspicious": market.suspicious} if market.suspicious else {})
    for columns in built:
        refused.update(columns.refused)
    return BuiltBars(
        rows=len(market) + market.suspicious,
        bars=sum(map(len, built)),
        refused=dict(refused),
        revised=sum(int(np.count_nonzero(columns.revision)) for columns in built if columns.revision is not None),
        notes=notes,
    )


def _check_target(source: Path, target: Path) -> None:
    if not target.name.lower().endswith((".parquet", ".pq", ".csv")):
        raise BadInput(f"The output file {target} ends neither in .parquet nor in .csv: name it by its format.")
    if target.exists() and source.exists() and target.samefile(source):
        raise BadInput(f"The output file {target} is the input itself: name another file.")


def check_listings(listing_exchanges: Mapping[str, str] | None, symbols: Sequence[str]) -> None:
    """Raise BadInput for the listing exchange of a symbol that the data do not hold."""
    for symbol in listing_exchanges or ():
        if symbol not in symbols:
            raise BadInput(
                f"The listing exchange of {symbol} was named, but the file holds {', '.join(symbols[:10])}: "
                "correct --listing-exchange."
            )


def _sessions_of(market: MarketTable, code: int, calendar: str | None) -> Sessions:
    instrument = instrument_from_symbol(market.symbols[code], code + 1, calendar=calendar)
    sessions = sessions_of((instrument,))[instrument.instrument_id]
    ts_ns = market.ts_ns[market.codes == code]
    for moment in (int(ts_ns.min()), int(ts_ns.max())):
        sessions.session_from(moment)
    return sessions


def _bars_of(market: MarketTable, code: int, sessions: Sessions, tape: TapeRules) -> BarColumns:
    rows = market.codes == code
    ts_ns = market.ts_ns[rows]
    columns = {name: values[rows] for name, values in market.columns.items()}
    if market.kind is MarketKind.BARS:
        return bars_from_bars(ts_ns, columns)
    if market.kind is MarketKind.QUOTES:
        if tape.filter.carries_quotes:
            return bars_from_sides(ts_ns, columns, sessions, tape)
        return bars_from_quotes(ts_ns, **columns)
    tape_rows = TapeRows(
        ts_ns=ts_ns,
        price=columns["price"],
        size=columns["size"],
        exchange=_listed(market, "exchange", rows),
        conditions=_listed(market, "conditions", rows),
        sequence=_listed(market, "sequence", rows),
        corrects=_listed(market, "corrects", rows),
    )
    if tape.filter.name == "none" and not tape.revises and tape_rows.sequence is None:
        return bars_from_ticks(ts_ns, tape_rows.price, tape_rows.size)
    return bars_from_tape(tape_rows, sessions, tape)


def _listed(market: MarketTable, name: str, rows: Mask) -> list[Any] | None:
    values = market.extras.get(name)
    if values is None or values.null_count == len(values):
        return None
    listed: list[Any] = values.take(np.flatnonzero(rows)).to_pylist()
    return listed


def _of_session(bars: BarColumns, sessions: Sessions, session: str | None) -> BarColumns:
    if session is None:
        return bars
    kept = is_regular(bars.start_ts_ns, sessions) == (session == "regular")
    return BarColumns(
        start_ts_ns=bars.start_ts_ns[kept],
        columns={name: values[kept] for name, values in bars.columns.items()},
        tick_count=_kept(bars.tick_count, kept),
        quote_count=_kept(bars.quote_count, kept),
        refused=bars.refused,
        revision=_kept(bars.revision, kept),
        complete=_kept(bars.complete, kept),
    )


def _kept(values: Any, kept: Mask) -> Any:
    return None if values is None else values[kept]


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
    names = [name for name in columns if name not in QUOTE_NAMES] + [name for name in QUOTE_NAMES if name in columns]
    for name, usual in (("revision", 0), ("complete", True)):
        # Only where some bar has another than the usual one: a plain build keeps its plain columns.
        values = [getattr(bars, name) for bars in built]
        if any(value is not None for value in values):
            parts = [
                np.full(len(bars), usual) if value is None else value for bars, value in zip(built, values, strict=True)
            ]
            columns[name] = pa.array(np.concatenate(parts)[order])
            names.append(name)
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


def kind_of(path: Path) -> MarketKind:
    """Return what a file holds, by the names of its columns; ticks where they do not tell, which then says what lacks.

    Raises BadInput for a file that cannot be read.
    """
    names = column_names(path)
    if "bid" in names or "side" in names:
        return MarketKind.QUOTES
    return MarketKind.BARS if {"open", "close"} & set(names) else MarketKind.TICKS
