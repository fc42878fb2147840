"""Small typed reads of one account, for status screens and summaries."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import func, select

from engine.core.execution.order_table import OPEN_STATES
from engine.core.messages import TradingState
from engine.core.values import CASH_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, from_scaled
from engine.store import schema
from engine.store.accounts import AccountRow, list_accounts, pending_requests
from engine.store.connection import sqlite
from engine.store.statements import fetch

_COUNTED: Final = ("inputs", "bars", "signals", "decisions", "orders", "trades", "brackets", "equity_curve", "gaps")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """Hold an order that may still fill."""

    order_id: int
    client_order_id: str
    strategy_id: str
    symbol: str
    leg: str
    side: str
    order_type: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    submit_timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """Hold what a strategy has of an instrument."""

    strategy_id: str
    symbol: str
    quantity: Decimal
    #: None where nothing is held.
    average_entry_price: float | None
    cost: Decimal
    realized_pnl: Decimal
    timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityRow:
    """Hold what the account was worth at a bar's close."""

    timestamp: str
    cash: Decimal
    equity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """Hold one run."""

    run_id: int
    kind: str
    status: str
    strategy: str
    parameters: str
    risk_hash: str
    data_fingerprint: str
    exit_style: str
    started_timestamp: str
    finished_timestamp: str | None


def open_orders(connection: sqlite.Connection, account_id: int) -> list[OpenOrder]:
    """Return orders that may still fill, oldest first."""
    order = schema.orders.c
    rows = fetch(
        connection,
        select(
            *(order.id, order.client_order_id, order.strategy_id, order.symbol, order.leg, order.side),
            *(order.order_type, order.status, order.quantity_e8, order.filled_quantity_e8),
            *(order.limit_price_e10, order.stop_price_e10, order.submit_timestamp),
        )
        .where(order.account_id == account_id, order.status.in_(sorted(state.value for state in OPEN_STATES)))
        .order_by(order.id),
    )
    return [
        OpenOrder(
            order_id=row[0],
            client_order_id=row[1],
            strategy_id=row[2],
            symbol=row[3],
            leg=row[4],
            side=row[5],
            order_type=row[6],
            status=row[7],
            quantity=_quantity(row[8]),
            filled_quantity=_quantity(row[9]),
            limit_price=_price(row[10]),
            stop_price=_price(row[11]),
            submit_timestamp=row[12],
        )
        for row in rows
    ]


def positions(connection: sqlite.Connection, account_id: int, *, held_only: bool = False) -> list[PositionRow]:
    """Return the positions of an account, by strategy and symbol."""
    position = schema.positions.c
    statement = select(
        *(position.strategy_id, position.symbol, position.quantity_e8, position.average_entry_price),
        *(position.cost_e8, position.realized_pnl_e8, position.timestamp),
    ).where(position.account_id == account_id)
    if held_only:
        statement = statement.where(position.quantity_e8 != 0)
    return [
        PositionRow(
            strategy_id=row[0],
            symbol=row[1],
            quantity=_quantity(row[2]),
            average_entry_price=row[3],
            cost=_money(row[4]),
            realized_pnl=_money(row[5]),
            timestamp=row[6],
        )
        for row in fetch(connection, statement.order_by(position.strategy_id, position.symbol))
    ]


def last_equity(connection: sqlite.Connection, account_id: int) -> EquityRow | None:
    """Return the account's worth at the last close at which it changed; None before the first."""
    mark = schema.equity_curve.c
    rows = fetch(
        connection,
        select(mark.timestamp, mark.cash_e8, mark.equity_e8)
        .where(mark.account_id == account_id)
        .order_by(mark.step_id.desc(), mark.step_position.desc())
        .limit(1),
    )
    return EquityRow(timestamp=rows[0][0], cash=_money(rows[0][1]), equity=_money(rows[0][2])) if rows else None


def trading_states(
    connection: sqlite.Connection, account_id: int
) -> dict[tuple[str | None, int | None], tuple[TradingState, str]]:
    """Return state and reason of each scope (strategy, instrument) that may not trade as it likes."""
    change = schema.trading_states.c
    rows = fetch(
        connection,
        select(change.strategy_id, change.instrument_id, change.to_state, change.reason)
        .where(change.account_id == account_id)
        .order_by(change.id),
    )
    states = {(row[0], row[1]): (TradingState(row[2]), row[3]) for row in rows}
    return {scope: state for scope, state in states.items() if state[0] is not TradingState.ACTIVE}


def counts(connection: sqlite.Connection, account_id: int) -> dict[str, int]:
    """Return how many rows the account has in each table that grows."""
    result: dict[str, int] = {}
    for name in _COUNTED:
        table = schema.METADATA.tables[name]
        count = select(func.count()).select_from(table).where(table.c.account_id == account_id)
        result[name] = int(fetch(connection, count)[0][0])
    return result


def last_prices(connection: sqlite.Connection, account_id: int) -> dict[str, tuple[str, float]]:
    """Return start and close of the last bar of each symbol."""
    bar, instrument = schema.bars.c, schema.instruments.c
    rows = fetch(
        connection,
        # SQLite takes the bare columns from the row that holds the maximum.
        select(instrument.symbol, func.max(bar.start_ts_ns), bar.timestamp, bar.close)
        .where(
            bar.account_id == account_id,
            instrument.account_id == account_id,
            instrument.instrument_id == bar.instrument_id,
        )
        .group_by(bar.instrument_id),
    )
    return {row[0]: (row[2], row[3]) for row in rows}


def last_run(connection: sqlite.Connection, account_id: int) -> RunRow | None:
    """Return the newest run of an account, or None."""
    run = schema.runs.c
    rows = fetch(
        connection,
        select(
            *(run.id, run.kind, run.status, run.strategy, run.parameters, run.risk_hash, run.data_fingerprint),
            *(run.exit_style, run.started_timestamp, run.finished_timestamp),
        )
        .where(run.account_id == account_id)
        .order_by(run.id.desc())
        .limit(1),
    )
    names = RunRow.__slots__
    return RunRow(**dict(zip(names, rows[0], strict=True))) if rows else None


def account_status(connection: sqlite.Connection, account: AccountRow | None = None) -> dict[str, Any] | None:
    """Return how an account stands (the newest one unless named), as plain values; None where there is none."""
    account = account or next(reversed(list_accounts(connection)), None)
    if account is None:
        return None
    number = account.account_id
    run, worth, count = last_run(connection, number), last_equity(connection, number), counts(connection, number)
    return {
        "account": account.name,
        "kind": run.kind if run else "",
        "strategy": run.strategy if run else "",
        "run_status": run.status if run else "",
        "market_time": _market_time(connection, number),
        "trading_states": [
            {"strategy": scope[0], "instrument_id": scope[1], "state": state.value, "reason": reason}
            for scope, (state, reason) in trading_states(connection, number).items()
        ],
        "pending_requests": [
            {"request": request.request_id, "kind": request.kind.value, "reason": request.reason}
            for request in pending_requests(connection, number)
        ],
        "positions": [_as_dict(row) for row in positions(connection, number, held_only=True)],
        "open_orders": [_as_dict(row) for row in open_orders(connection, number)],
        "equity": worth.equity if worth else None,
        "cash": worth.cash if worth else None,
        "bars": count["bars"],
        "signals": count["signals"],
        "fills": count["trades"],
        "round_trips": _round_trip_count(connection, number),
    }


def _round_trip_count(connection: sqlite.Connection, account_id: int) -> int:
    row = connection.execute("SELECT count(*) FROM v_round_trips WHERE account_id = ?", (account_id,)).fetchone()
    return int(row[0])


def _market_time(connection: sqlite.Connection, account_id: int) -> str | None:
    bar = schema.bars.c
    rows = fetch(connection, select(bar.timestamp, func.max(bar.start_ts_ns)).where(bar.account_id == account_id))
    return str(rows[0][0]) if rows[0][0] is not None else None


def _as_dict(row: OpenOrder | PositionRow) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _price(integer: int | None) -> Decimal | None:
    return None if integer is None else _trimmed(from_scaled(integer, decimals=PRICE_DECIMALS))


def _quantity(integer: int) -> Decimal:
    return _trimmed(from_scaled(integer, decimals=QUANTITY_DECIMALS))


def _money(integer: int) -> Decimal:
    return _trimmed(from_scaled(integer, decimals=CASH_DECIMALS))


def _trimmed(number: Decimal) -> Decimal:
    # Without zeros that only the column's scale put there: 100, not 100.00000000 and not 1E+2.
    whole = number.to_integral_value()
    return whole if whole == number else number.normalize()
