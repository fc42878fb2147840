"""The books, computed again from what happened: orders from their events, positions and cash from trades."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from engine.core.values import CASH_DECIMALS, QUANTITY_DECIMALS, exact, from_scaled, notional, scaled_integer
from engine.store.accounts import AccountRow
from engine.store.connection import sqlite
from engine.store.findings import Finding

_Key = tuple[str, int]

# An order that no event has moved stands as it was written; else its row is what its last event says.
_ORDERS: Final = """
SELECT o.id, o.status, o.version, o.filled_quantity_e8,
    coalesce(e.to_state, 'NEW'), coalesce(e.version, 1), coalesce(e.filled_quantity_e8, 0),
    (SELECT coalesce(sum((1 - 2 * t.is_bust) * t.quantity_e8), 0) FROM trades AS t WHERE t.order_id = o.id),
    (SELECT count(*) FROM order_events AS n WHERE n.order_id = o.id)
FROM orders AS o
LEFT JOIN order_events AS e
    ON e.order_id = o.id AND e.version = (SELECT max(m.version) FROM order_events AS m WHERE m.order_id = o.id)
WHERE o.account_id = ?
"""

_BRACKETS: Final = """
SELECT b.id, b.state, b.version, b.entered_quantity_e8, b.exited_quantity_e8,
    coalesce(e.to_state, 'ENTERING'), coalesce(e.version, 1),
    coalesce(e.entered_quantity_e8, 0), coalesce(e.exited_quantity_e8, 0),
    (SELECT count(*) FROM bracket_events AS n WHERE n.bracket_id = b.id)
FROM brackets AS b
LEFT JOIN bracket_events AS e
    ON e.bracket_id = b.id AND e.version = (SELECT max(m.version) FROM bracket_events AS m WHERE m.bracket_id = b.id)
WHERE b.account_id = ?
"""

_MOVEMENTS: Final = """
SELECT coalesce(sum(amount), 0) FROM (
    SELECT amount_e8 AS amount FROM cash_movements WHERE account_id = ?1 AND step_id <= ?2
    UNION ALL
    SELECT (1 - 2 * is_bust) * (CASE side WHEN 'sell' THEN value_e8 ELSE -value_e8 END - fee_e8)
    FROM trades WHERE account_id = ?1 AND step_id <= ?2
)
"""


def check_books(connection: sqlite.Connection, account: AccountRow) -> Iterator[Finding]:
    """Yield what in an account's state tables does not follow from its events and trades."""
    for check, messages in (
        ("orders", _check_orders(connection, account)),
        ("brackets", _check_brackets(connection, account)),
        ("trades", _check_values(connection, account)),
        ("positions", _check_positions(connection, account)),
        ("equity", _check_equity(connection, account)),
    ):
        for message in messages:
            yield Finding(check=check, message=message, account=account.name)


def _check_orders(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    for row in connection.execute(_ORDERS, (account.account_id,)):
        order_id, status, version, filled, last_state, last_version, last_filled, traded, events = row
        if (status, version) != (last_state, last_version):
            yield f"order {order_id} is {status} at version {version}, its events end {last_state} at {last_version}"
        if not filled == last_filled == traded:
            yield f"order {order_id} has filled {filled}, its events say {last_filled}, its trades {traded} (10^-8)"
        if events != last_version - 1:
            yield f"order {order_id} has {events} events up to version {last_version}: one is missing"


def _check_brackets(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    for bracket_id, *values, events in connection.execute(_BRACKETS, (account.account_id,)):
        stands, expected = tuple(values[:4]), tuple(values[4:])
        if stands != expected:
            yield f"bracket {bracket_id} has state, version, entered and exited {stands}, its events end {expected}"
        if events != expected[1] - 1:
            yield f"bracket {bracket_id} has {events} events up to version {expected[1]}: one is missing"


def _check_values(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    trades = connection.execute(
        "SELECT id, price_e10, quantity_e8, value_e8 FROM trades WHERE account_id = ?", (account.account_id,)
    )
    for trade_id, price, quantity, value in trades:
        expected = _money(notional(from_scaled(price, decimals=10), from_scaled(quantity, decimals=QUANTITY_DECIMALS)))
        if value != expected:
            yield f"trade {trade_id} has the value {value}, its price and quantity make {expected} (10^-8)"


def _check_positions(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    expected = _positions(connection, account)
    stored = {
        (strategy_id, instrument_id): values
        for strategy_id, instrument_id, *values in connection.execute(
            "SELECT strategy_id, instrument_id, quantity_e8, cost_e8, realized_pnl_e8 FROM positions "
            "WHERE account_id = ?",
            (account.account_id,),
        )
    }
    for key in sorted(stored.keys() | expected.keys()):
        if stored.get(key) != expected.get(key):
            yield (
                f"{key[0]} in instrument {key[1]} has quantity, cost and realized profit {stored.get(key)}, "
                f"trades and adjustments make {expected.get(key)} (10^-8)"
            )


def _positions(connection: sqlite.Connection, account: AccountRow) -> dict[_Key, list[int]]:
    # First in, first out, as the ledger does; an execution that was busted never counted.
    rows = connection.execute(
        "SELECT strategy_id, instrument_id, side, price_e10, quantity_e8 FROM trades AS t "
        "WHERE account_id = ?1 AND NOT is_bust AND NOT EXISTS (SELECT 1 FROM trades AS b "
        "WHERE b.account_id = ?1 AND b.execution_id = t.execution_id AND b.is_bust) ORDER BY id",
        (account.account_id,),
    )
    lots: dict[_Key, deque[tuple[Decimal, Decimal]]] = defaultdict(deque)
    totals: dict[_Key, list[int]] = {}
    for strategy_id, instrument_id, side, price_e10, quantity_e8 in rows:
        key = (strategy_id, instrument_id)
        total = totals.setdefault(key, [0, 0, 0])
        price = from_scaled(price_e10, decimals=10)
        quantity = from_scaled(quantity_e8, decimals=QUANTITY_DECIMALS)
        if side == "buy":
            total[0] += quantity_e8
            lots[key].append((quantity, price))
        else:
            total[0] -= quantity_e8
            total[2] += _money(_sell(lots[key], quantity, price))
    for key, total in totals.items():
        total[1] = _money(sum((notional(price, quantity) for quantity, price in lots[key]), Decimal(0)))
    for key in _keys_of_trades(connection, account):
        # Only busted executions: the position went back to nothing.
        totals.setdefault(key, [0, 0, 0])
    _add_adjustments(connection, account, totals)
    return totals


def _keys_of_trades(connection: sqlite.Connection, account: AccountRow) -> Iterable[_Key]:
    return connection.execute(
        "SELECT DISTINCT strategy_id, instrument_id FROM trades WHERE account_id = ?", (account.account_id,)
    ).fetchall()


def _add_adjustments(connection: sqlite.Connection, account: AccountRow, totals: dict[_Key, list[int]]) -> None:
    rows = connection.execute(
        "SELECT strategy_id, instrument_id, quantity_e8, cost_e8 FROM position_adjustments WHERE account_id = ?",
        (account.account_id,),
    )
    for strategy_id, instrument_id, quantity_e8, cost_e8 in rows:
        total = totals.setdefault((strategy_id, instrument_id), [0, 0, 0])
        total[0] += quantity_e8
        total[1] += cost_e8


def _sell(lots: deque[tuple[Decimal, Decimal]], quantity: Decimal, price: Decimal) -> Decimal:
    profit = Decimal(0)
    while quantity and lots:
        lot_quantity, lot_price = lots.popleft()
        sold = min(lot_quantity, quantity)
        profit += notional(price, sold) - notional(lot_price, sold)
        quantity -= sold
        if sold < lot_quantity:
            lots.appendleft((lot_quantity - sold, lot_price))
    return profit


def _check_equity(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    mark = connection.execute(
        "SELECT step_id, step_position, cash_e8, equity_e8 FROM equity_curve WHERE account_id = ? "
        "ORDER BY step_id DESC, step_position DESC LIMIT 1",
        (account.account_id,),
    ).fetchone()
    if mark is None:
        return
    step_id, place, cash, equity = mark
    expected_cash = connection.execute(_MOVEMENTS, (account.account_id, step_id)).fetchone()[0]
    if cash != expected_cash:
        yield f"the last equity has cash {cash}, trades and movements make {expected_cash} (10^-8)"
    worth = _money(_worth(connection, account, step_id=step_id, place=place))
    if equity != expected_cash + worth:
        yield f"the last equity is {equity}, cash and positions at last close make {expected_cash + worth} (10^-8)"


def _worth(connection: sqlite.Connection, account: AccountRow, *, step_id: int, place: int) -> Decimal:
    held: list[Any] = connection.execute(
        "SELECT strategy_id, instrument_id, sum(quantity) FROM ("
        "SELECT strategy_id, instrument_id, "
        "(1 - 2 * is_bust) * CASE side WHEN 'buy' THEN quantity_e8 ELSE -quantity_e8 END AS quantity "
        "FROM trades WHERE account_id = ?1 AND step_id <= ?2 "
        "UNION ALL SELECT strategy_id, instrument_id, quantity_e8 FROM position_adjustments "
        "WHERE account_id = ?1 AND step_id <= ?2) GROUP BY strategy_id, instrument_id HAVING sum(quantity) != 0",
        (account.account_id, step_id),
    ).fetchall()
    total = Decimal(0)
    for _, instrument_id, quantity in held:
        close = connection.execute(
            "SELECT close FROM bars WHERE account_id = ?1 AND instrument_id = ?2 AND revision = 0 "
            "AND (step_id < ?3 OR (step_id = ?3 AND step_position < ?4)) ORDER BY start_ts_ns DESC LIMIT 1",
            (account.account_id, instrument_id, step_id, place),
        ).fetchone()
        if close is None:
            close = connection.execute(
                "SELECT price FROM trades WHERE account_id = ? AND instrument_id = ? ORDER BY id LIMIT 1",
                (account.account_id, instrument_id),
            ).fetchone()
        total += notional(exact(close[0]), from_scaled(quantity, decimals=QUANTITY_DECIMALS))
    return total


def _money(number: Decimal) -> int:
    return scaled_integer(number, decimals=CASH_DECIMALS)
