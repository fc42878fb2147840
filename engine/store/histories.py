"""What a report needs of one account, whole columns at a time, by a connection that can only read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import BadInput
from engine.core.messages import CashMovementKind
from engine.store.connection import sqlite

#: Money that its owner puts in or takes out: no result of trading.
_EXTERNAL: Final = (CashMovementKind.DEPOSIT.value, CashMovementKind.WITHDRAWAL.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """Hold one run, what decided it, and the account that it belongs to."""

    run_id: int
    account_id: int
    account: str
    #: How many runs the account has: a stopped one goes on as another.
    account_runs: int
    kind: str
    status: str
    strategy: str
    parameters: dict[str, Any]
    settings: dict[str, Any]
    risk_hash: str
    data_fingerprint: str
    exit_style: str
    started_timestamp: str
    finished_timestamp: str | None
    #: What the strategy does, in words; None where it says nothing.
    rule: str | None
    #: SHA-256 of the account's journal so far, as hexadecimal.
    journal_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentHistory:
    """Hold an instrument of an account."""

    instrument_id: int
    symbol: str
    calendar: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """Hold a completed position, with the first stop and target that protected it (None where there was none)."""

    bracket_id: int
    strategy_id: str
    instrument_id: int
    symbol: str
    quantity: float
    entry_ts_ns: int
    entry_price: float
    exit_ts_ns: int
    exit_price: float
    exit_reason: str
    #: After fees, in hundred-millionths of account currency, as the fees.
    pnl_e8: int
    fees_e8: int
    stop_price: float | None
    target_price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegCosts:
    """Hold what the fills of one leg cost."""

    leg: str
    fills: int
    #: In hundred-millionths of account currency, as the fees.
    value_e8: int
    fees_e8: int
    #: Against the price that each order was meant to have, in account currency; positive is worse.
    slippage: float


#: Of a whole number in SQLite, with one to spare.
_DIGITS_MAX: Final = 18

_RUN: Final = """
SELECT r.id, r.account_id, a.name, (SELECT count(*) FROM runs AS other WHERE other.account_id = r.account_id),
    r.kind, r.status, r.strategy, r.parameters, r.settings, r.risk_hash, r.data_fingerprint, r.exit_style,
    r.started_timestamp, r.finished_timestamp,
    (SELECT s.rule FROM strategies AS s WHERE s.account_id = r.account_id AND s.import_string = r.strategy),
    (SELECT hex(i.hash) FROM inputs AS i WHERE i.account_id = r.account_id ORDER BY i.id DESC LIMIT 1)
FROM runs AS r JOIN accounts AS a ON a.id = r.account_id
"""


def find_run(connection: sqlite.Connection, wanted: str) -> RunHistory:
    """Return the run of a number, the newest run of an account by its name, or the newest one (`latest`).

    Raises BadInput for one that the database does not hold.
    """
    where: str
    values: tuple[str | int, ...]
    if wanted == "latest":
        where, values = "ORDER BY r.id DESC LIMIT 1", ()
    elif wanted.isascii() and wanted.isdigit() and len(wanted) <= _DIGITS_MAX:
        where, values = "WHERE r.id = ?", (int(wanted),)
    else:
        where, values = "WHERE a.name = ? ORDER BY r.id DESC LIMIT 1", (wanted,)
    row = connection.execute(_RUN + where, values).fetchone()
    if row is None:
        raise BadInput(_unknown_run(connection, wanted))
    names = RunHistory.__slots__
    run = dict(zip(names, row, strict=True))
    decoded = {name: json.loads(run[name]) for name in ("parameters", "settings")}
    return RunHistory(**(run | decoded | {"journal_hash": (run["journal_hash"] or "").lower()}))


def _unknown_run(connection: sqlite.Connection, wanted: str) -> str:
    known = connection.execute(
        "SELECT r.id, a.name FROM runs AS r JOIN accounts AS a ON a.id = r.account_id ORDER BY r.id DESC LIMIT 5"
    ).fetchall()
    if not known:
        return "The database holds no run: make one with ratchet backtest or ratchet run."
    examples = ", ".join(f"{number} ({name})" for number, name in known)
    return f"The run {wanted!r} is not in the database, whose newest runs are {examples}: name one of them, or latest."


def instrument_histories(connection: sqlite.Connection, account_id: int) -> list[InstrumentHistory]:
    """Return the instruments of an account, by their ids."""
    rows = connection.execute(
        "SELECT instrument_id, symbol, calendar FROM instruments WHERE account_id = ? ORDER BY instrument_id",
        (account_id,),
    )
    return [InstrumentHistory(instrument_id=row[0], symbol=row[1], calendar=row[2]) for row in rows]


def round_trip_histories(connection: sqlite.Connection, account_id: int) -> list[Trip]:
    """Return the completed positions of an account, in the order of their ends."""
    rows = connection.execute(
        """
        WITH protection AS (
            SELECT bracket_id, leg, coalesce(stop_price, limit_price) AS price, min(id) AS first FROM orders
            WHERE account_id = ? AND leg IN ('stop', 'target') GROUP BY bracket_id, leg
        )
        SELECT t.bracket_id, t.strategy_id, t.instrument_id, t.symbol, t.quantity, t.entry_ts_ns, t.entry_price,
            t.exit_ts_ns, t.exit_price, t.exit_reason, t.pnl_e8, t.fees_e8,
            coalesce(stop.price, t.entry_price - b.stop_distance),
            -- A target that the engine watches itself is no order before it is met.
            coalesce(target.price, t.entry_price + b.target_distance)
        FROM v_round_trips AS t
        JOIN brackets AS b ON b.id = t.bracket_id
        LEFT JOIN protection AS stop ON stop.bracket_id = t.bracket_id AND stop.leg = 'stop'
        LEFT JOIN protection AS target ON target.bracket_id = t.bracket_id AND target.leg = 'target'
        WHERE t.account_id = ? ORDER BY t.exit_ts_ns, t.bracket_id
        """,
        (account_id, account_id),
    )
    return [Trip(**dict(zip(Trip.__slots__, row, strict=True))) for row in rows]


def open_entries(connection: sqlite.Connection, account_id: int) -> list[tuple[int, int]]:
    """Return instrument and first fill, ns UTC, of every position that is still open."""
    rows = connection.execute(
        "SELECT b.instrument_id, min(t.venue_ts_ns) FROM brackets AS b JOIN trades AS t ON t.bracket_id = b.id "
        "WHERE b.account_id = ? AND b.entered_quantity_e8 > b.exited_quantity_e8 GROUP BY b.id",
        (account_id,),
    )
    return [(row[0], row[1]) for row in rows]


def equity_marks(connection: sqlite.Connection, account_id: int) -> list[tuple[int, int, int]]:
    """Return moment (ns UTC), cash and equity (hundred-millionths) at every close at which equity changed."""
    return connection.execute(
        "SELECT ts_ns, cash_e8, equity_e8 FROM equity_curve WHERE account_id = ? ORDER BY step_id, step_position",
        (account_id,),
    ).fetchall()


def external_flows(connection: sqlite.Connection, account_id: int) -> list[tuple[int, int]]:
    """Return moment (ns UTC) and amount (hundred-millionths) of every deposit and withdrawal, oldest first."""
    return connection.execute(
        "SELECT ts_ns, amount_e8 FROM cash_movements WHERE account_id = ? AND kind IN (?, ?) ORDER BY id",
        (account_id, *_EXTERNAL),
    ).fetchall()


def bar_rows(
    connection: sqlite.Connection, account_id: int, instrument_id: int
) -> list[tuple[int, float, float, float, float]]:
    """Return start (ns UTC), open, high, low and close of every bar as strategies saw it, oldest first."""
    return connection.execute(
        "SELECT start_ts_ns, open, high, low, close FROM bars "
        "WHERE account_id = ? AND instrument_id = ? AND revision = 0 ORDER BY start_ts_ns",
        (account_id, instrument_id),
    ).fetchall()


def leg_costs(connection: sqlite.Connection, account_id: int) -> list[LegCosts]:
    """Return what fills cost, by leg; a busted fill and its reversal cancel out."""
    rows = connection.execute(
        """
        SELECT t.leg, sum(1 - 2 * t.is_bust), sum((1 - 2 * t.is_bust) * t.value_e8),
            sum((1 - 2 * t.is_bust) * t.fee_e8), coalesce(sum(s.slippage), 0.0)
        FROM trades AS t LEFT JOIN v_slippage AS s ON s.trade_id = t.id AND NOT EXISTS (
            SELECT 1 FROM trades AS bust
            WHERE bust.account_id = t.account_id AND bust.execution_id = t.execution_id AND bust.is_bust
        )
        WHERE t.account_id = ? GROUP BY t.leg ORDER BY min(t.id)
        """,
        (account_id,),
    )
    return [LegCosts(leg=row[0], fills=row[1], value_e8=row[2], fees_e8=row[3], slippage=row[4]) for row in rows]
