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
_PRICE_UNIT: Final = Decimal("1E-10")

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

# Quantity, cost and realized profit by the three tables that everything recomputes from. What a sale leaves in the
# lots is its cost: its value less its profit.
_POSITIONS: Final = """
SELECT strategy_id, instrument_id, sum(quantity), sum(cost), sum(profit) FROM (
    SELECT strategy_id, instrument_id, realized_pnl_e8 AS profit,
        (1 - 2 * is_bust) * CASE side WHEN 'buy' THEN quantity_e8 ELSE -quantity_e8 END AS quantity,
        (1 - 2 * is_bust) * CASE side WHEN 'buy' THEN value_e8 ELSE -value_e8 END + realized_pnl_e8 AS cost
    FROM trades WHERE account_id = ?1
    UNION ALL
    SELECT strategy_id, instrument_id, coalesce(realized_pnl_e8, 0), quantity_e8, cost_e8
    FROM position_adjustments WHERE account_id = ?1
) GROUP BY strategy_id, instrument_id
"""

# The same profit, and the cost that left, lot by lot.
_CLOSED: Final = """
SELECT strategy_id, instrument_id, sum(closed), sum(profit) FROM (
    SELECT strategy_id, instrument_id, (1 - 2 * is_reversal) * realized_pnl_e8 AS closed, 0 AS profit
    FROM lot_closures WHERE account_id = ?1
    UNION ALL
    SELECT strategy_id, instrument_id, 0, realized_pnl_e8 FROM trades WHERE account_id = ?1
    UNION ALL
    SELECT strategy_id, instrument_id, 0, coalesce(realized_pnl_e8, 0) FROM position_adjustments WHERE account_id = ?1
) GROUP BY strategy_id, instrument_id HAVING sum(closed) != sum(profit)
"""

# A lot that no split has scaled since cannot give more than was bought.
_OVERDRAWN: Final = """
SELECT t.id, t.quantity_e8, sum((1 - 2 * c.is_reversal) * c.quantity_e8) AS closed
FROM lot_closures AS c JOIN trades AS t ON t.id = c.opening_trade_id
WHERE c.account_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM position_adjustments AS a
    WHERE a.account_id = ?1 AND a.instrument_id = t.instrument_id AND a.kind = 'split'
) GROUP BY t.id HAVING closed > t.quantity_e8 OR closed < 0
"""

_CHARGED: Final = """
SELECT t.id, t.fee_e8 * (1 - 2 * t.is_bust) AS stated_e8, sum(f.amount_e8) AS kinds_e8
FROM trade_fees AS f JOIN trades AS t ON t.id = f.trade_id WHERE f.account_id = ? GROUP BY t.id
HAVING stated_e8 != kinds_e8
"""

_UNBALANCED: Final = """
SELECT step_id, sum(debit_e8) AS debits, sum(credit_e8) AS credits FROM journal_entries
WHERE account_id = ? GROUP BY step_id HAVING debits != credits
"""


def check_books(connection: sqlite.Connection, account: AccountRow) -> Iterator[Finding]:
    """Yield what in an account's state tables does not follow from its events and trades."""
    for check, messages in (
        ("orders", _check_orders(connection, account)),
        ("brackets", _check_brackets(connection, account)),
        ("trades", _check_values(connection, account)),
        ("positions", _check_positions(connection, account)),
        ("lots", _check_lots(connection, account)),
        ("double entry", _check_entries(connection, account)),
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
    expected = (
        _old_positions(connection, account)
        if is_of_first_schema(connection, account)
        else _positions(connection, account)
    )
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


def is_of_first_schema(connection: sqlite.Connection, account: AccountRow) -> bool:
    """Return whether an account's trades were booked before lots and settlements were kept."""
    row = connection.execute(
        "SELECT 1 FROM trades WHERE account_id = ? AND settlement_ts_ns IS NULL LIMIT 1", (account.account_id,)
    ).fetchone()
    return row is not None


def _positions(connection: sqlite.Connection, account: AccountRow) -> dict[_Key, list[int]]:
    return {
        (strategy_id, instrument_id): values
        for strategy_id, instrument_id, *values in connection.execute(_POSITIONS, (account.account_id,))
    }


def _old_positions(connection: sqlite.Connection, account: AccountRow) -> dict[_Key, list[int]]:
    # First in, first out, each part priced for itself, as programs of the first schema did; a busted execution never
    # counted.
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
    return totals


def _keys_of_trades(connection: sqlite.Connection, account: AccountRow) -> Iterable[_Key]:
    return connection.execute(
        "SELECT DISTINCT strategy_id, instrument_id FROM trades WHERE account_id = ?", (account.account_id,)
    ).fetchall()


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


def _check_lots(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    if is_of_first_schema(connection, account):
        return
    key = (account.account_id,)
    for strategy_id, instrument_id, closed, profit in connection.execute(_CLOSED, key):
        yield f"{strategy_id} in instrument {instrument_id} has realized {profit}, its lots make {closed} (10^-8)"
    for trade_id, bought, closed in connection.execute(_OVERDRAWN, key):
        yield f"the lot of trade {trade_id} has {bought}, and {closed} of it was closed (10^-8)"
    for trade_id, fee, charged in connection.execute(_CHARGED, key):
        yield f"trade {trade_id} has the fee {fee}, its fees by kind make {charged} (10^-8)"


def _check_entries(connection: sqlite.Connection, account: AccountRow) -> Iterator[str]:
    for step_id, left, right in connection.execute(_UNBALANCED, (account.account_id,)):
        yield f"step {step_id - account.id_offset} has debits of {left} and credits of {right} (10^-8)"


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
        # What was sold beyond what was held is owed: it counts against the worth although no position shows it.
        "UNION ALL SELECT strategy_id, instrument_id, quantity_e8 FROM position_adjustments "
        "WHERE account_id = ?1 AND step_id <= ?2 AND kind != 'suspense'"
        ") GROUP BY strategy_id, instrument_id HAVING sum(quantity) != 0",
        (account.account_id, step_id),
    ).fetchall()
    total = Decimal(0)
    for _, instrument_id, quantity in held:
        price = _price_at(connection, account, instrument_id, step_id=step_id, place=place)
        total += notional(price, from_scaled(quantity, decimals=QUANTITY_DECIMALS))
    return total


def _price_at(
    connection: sqlite.Connection, account: AccountRow, instrument_id: int, *, step_id: int, place: int
) -> Decimal:
    # The last close; before one, what the first trade or adjustment paid. Splits since then scale it.
    key = (account.account_id, instrument_id)
    row = connection.execute(
        "SELECT close, step_id FROM bars WHERE account_id = ?1 AND instrument_id = ?2 AND revision = 0 "
        "AND (step_id < ?3 OR (step_id = ?3 AND step_position < ?4)) ORDER BY start_ts_ns DESC LIMIT 1",
        (*key, step_id, place),
    ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT price, step_id FROM (SELECT price, step_id FROM trades WHERE account_id = ?1 "
            "AND instrument_id = ?2 UNION ALL SELECT round(cost / quantity, 10), step_id FROM position_adjustments "
            "WHERE account_id = ?1 AND instrument_id = ?2 AND quantity_e8 > 0 AND kind IN "
            "('opening', 'adoption', 'correction')) ORDER BY step_id LIMIT 1",
            key,
        ).fetchone()
    price = exact(row[0])
    splits = connection.execute(
        "SELECT json_extract(payload, '$.new_shares'), json_extract(payload, '$.old_shares') FROM inputs "
        "WHERE account_id = ?1 AND kind = 'ShareSplit' AND id > ?3 AND id <= ?4 "
        "AND json_extract(payload, '$.instrument_id') = ?2 ORDER BY id",
        (*key, row[1], step_id),
    )
    for new, old in splits:
        price = (price * Decimal(old) / Decimal(new)).quantize(_PRICE_UNIT)
    return price


def _money(number: Decimal) -> int:
    return scaled_integer(number, decimals=CASH_DECIMALS)
