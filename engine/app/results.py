"""What a run came to, from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from engine.core.errors import BadInput
from engine.core.values import CASH_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, ZERO, from_scaled, notional
from engine.store.connection import sqlite


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """Hold one completed position; times are the starts of the bars of its first and last fill, ns UTC."""

    symbol: str
    entry_ts_ns: int
    #: Volume-weighted, in price units.
    entry_price: Decimal
    exit_ts_ns: int
    exit_price: Decimal
    quantity: Decimal
    #: stop, target, time, signal or kill.
    exit_reason: str
    #: After fees, in account currency.
    pnl: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Hold the figures of one account, in account currency."""

    bars: int
    fills: int
    round_trips: tuple[RoundTrip, ...]
    final_equity: Decimal
    #: After fees.
    net_pnl: Decimal
    fees: Decimal
    #: Largest fall from a peak, as a positive fraction of it, on equity at every bar close; the first peak is cash.
    max_drawdown: Decimal
    open_positions: int


#: Column names and order of a round-trip file.
ROUND_TRIP_COLUMNS: Final = (
    "symbol",
    "entry_ts",
    "entry_price",
    "exit_ts",
    "exit_price",
    "quantity",
    "exit_reason",
    "pnl",
)


def performance(connection: sqlite.Connection, account_id: int) -> Performance:
    """Return the figures of an account."""
    one = (account_id,)
    (bars,) = connection.execute("SELECT count(*) FROM bars WHERE account_id = ?", one).fetchone()
    fills, fees = connection.execute(
        "SELECT count(*), coalesce(sum(fee_e8), 0) FROM trades WHERE account_id = ? AND is_bust = 0", one
    ).fetchone()
    (funded,) = connection.execute(
        "SELECT coalesce(sum(amount_e8), 0) FROM cash_movements WHERE account_id = ?", one
    ).fetchone()
    (held,) = connection.execute(
        "SELECT count(*) FROM positions WHERE account_id = ? AND quantity_e8 <> 0", one
    ).fetchone()
    curve = [
        equity
        for (equity,) in connection.execute(
            "SELECT equity_e8 FROM equity_curve WHERE account_id = ? ORDER BY step_id", one
        )
    ]
    final = curve[-1] if curve else funded
    return Performance(
        bars=bars,
        fills=fills,
        round_trips=tuple(round_trips(connection, account_id)),
        final_equity=_money(final),
        net_pnl=_money(final - funded),
        fees=_money(fees),
        max_drawdown=_max_drawdown(funded, curve),
        open_positions=held,
    )


def _money(amount_e8: int) -> Decimal:
    return from_scaled(amount_e8, decimals=CASH_DECIMALS)


def _max_drawdown(first_peak: int, curve: Sequence[int]) -> Decimal:
    peak, deepest = first_peak, ZERO
    for equity in curve:
        if equity > peak:
            peak = equity
        elif peak > 0 and (fall := Decimal(peak - equity) / peak) > deepest:
            deepest = fall
    return deepest


def round_trips(connection: sqlite.Connection, account_id: int) -> list[RoundTrip]:
    """Return the completed positions of an account, in the order of their ends.

    Averages of several fills are exact to the column of a price, half to even.
    """
    fills: dict[int, list[tuple[Any, ...]]] = {}
    for row in connection.execute(
        "SELECT bracket_id, symbol, side, price_e10, quantity_e8, fee_e8, venue_ts_ns FROM trades "
        "WHERE account_id = ? AND is_bust = 0 AND execution_id NOT IN "
        "(SELECT execution_id FROM trades WHERE account_id = ? AND is_bust = 1) ORDER BY id",
        (account_id, account_id),
    ):
        fills.setdefault(row[0], []).append(row)
    closed = connection.execute(
        # A busted exit opens a bracket again: it counts once, as its last end left it. SQLite takes the bare column
        # from the row that holds the maximum.
        "SELECT event.bracket_id, event.exit_reason, max(event.id) AS last FROM bracket_events AS event "
        "JOIN brackets AS bracket ON bracket.id = event.bracket_id "
        "WHERE event.account_id = ? AND bracket.state = 'CLOSED' AND event.to_state = 'CLOSED' "
        "AND event.from_state <> 'CLOSED' GROUP BY event.bracket_id ORDER BY last",
        (account_id,),
    )
    return [_round_trip(fills[bracket_id], reason) for bracket_id, reason, _ in closed if bracket_id in fills]


def _round_trip(rows: Sequence[tuple[Any, ...]], reason: str) -> RoundTrip:
    entries = [row for row in rows if row[2] == "buy"]
    exits = [row for row in rows if row[2] == "sell"]
    entry_notional, exit_notional = _notional(entries), _notional(exits)
    fees = sum(row[5] for row in rows)
    return RoundTrip(
        symbol=rows[0][1],
        entry_ts_ns=entries[0][6],
        entry_price=_average(entries),
        exit_ts_ns=exits[-1][6],
        exit_price=_average(exits),
        quantity=from_scaled(sum(row[4] for row in entries), decimals=QUANTITY_DECIMALS),
        exit_reason=reason,
        pnl=exit_notional - entry_notional - _money(fees),
    )


def _notional(rows: Sequence[tuple[Any, ...]]) -> Decimal:
    return sum(
        (
            notional(from_scaled(row[3], decimals=PRICE_DECIMALS), from_scaled(row[4], decimals=QUANTITY_DECIMALS))
            for row in rows
        ),
        ZERO,
    )


def _average(rows: Sequence[tuple[Any, ...]]) -> Decimal:
    total = sum(row[3] * row[4] for row in rows)
    quantity = sum(row[4] for row in rows)
    whole, rest = divmod(total, quantity)
    # Half to even, in integers.
    if rest * 2 > quantity or (rest * 2 == quantity and whole % 2):
        whole += 1
    return from_scaled(whole, decimals=PRICE_DECIMALS)


def write_round_trips(trips: Sequence[RoundTrip], out: Path) -> None:
    """Write round trips as CSV or Parquet, by the file's ending; times are UTC.

    Raises BadInput for another ending, or a place that cannot be written.
    """
    check_round_trips_path(out)
    try:
        if out.suffix == ".csv":
            _write_csv(trips, out)
        else:
            _write_parquet(trips, out)
    except OSError as error:
        raise BadInput(f"The trades file {out} cannot be written ({error.strerror or error}): name another.") from error


def check_round_trips_path(out: Path) -> None:
    """Refuse a place where no round-trip file can be written, before the run that makes it."""
    if out.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"The trades file {out} ends in neither .csv nor .parquet: name it by one of them.")
    if not out.parent.is_dir():
        raise BadInput(
            f"The folder {out.parent} of the trades file {out.name} does not exist: make it or name another."
        )


def _write_csv(trips: Sequence[RoundTrip], out: Path) -> None:
    import csv

    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(ROUND_TRIP_COLUMNS)
        for trip in trips:
            writer.writerow(
                (
                    trip.symbol,
                    iso_utc(trip.entry_ts_ns),
                    plain(trip.entry_price, decimals_min=2),
                    iso_utc(trip.exit_ts_ns),
                    plain(trip.exit_price, decimals_min=2),
                    plain(trip.quantity),
                    trip.exit_reason,
                    plain(trip.pnl, decimals_min=2),
                )
            )


def _write_parquet(trips: Sequence[RoundTrip], out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment, amount = pa.timestamp("us", tz="UTC"), pa.decimal128(28, 10)
    columns = {
        "symbol": pa.array([trip.symbol for trip in trips], pa.string()),
        "entry_ts": pa.array([trip.entry_ts_ns // 1000 for trip in trips], pa.int64()).cast(moment),
        "entry_price": pa.array([trip.entry_price for trip in trips], amount),
        "exit_ts": pa.array([trip.exit_ts_ns // 1000 for trip in trips], pa.int64()).cast(moment),
        "exit_price": pa.array([trip.exit_price for trip in trips], amount),
        "quantity": pa.array([trip.quantity for trip in trips], amount),
        "exit_reason": pa.array([trip.exit_reason for trip in trips], pa.string()),
        "pnl": pa.array([trip.pnl for trip in trips], amount),
    }
    pq.write_table(pa.table(columns), out)


def iso_utc(ts_ns: int) -> str:
    """Return a moment as ISO 8601 text in UTC; whole seconds without a fraction."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)
    return moment.isoformat(timespec="auto").replace("+00:00", "Z")


def plain(number: Decimal, *, decimals_min: int = 0) -> str:
    """Return a decimal as digits, without an exponent and without needless zeros beyond `decimals_min`."""
    whole, _, fraction = f"{number:f}".partition(".")
    kept = fraction.rstrip("0").ljust(decimals_min, "0")
    return f"{whole}.{kept}" if kept else whole
