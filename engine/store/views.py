"""The views that a person asks: stable names and columns, an interface. Made anew at each upgrade.

Amounts are exact integers beneath (`…_e8`) and readable numbers above; moments are UTC, bars are named by their start.
"""

from __future__ import annotations

from typing import Final

from engine.store.book_views import BOOK_VIEWS
from engine.store.connection import sqlite
from engine.store.why_views import MEANT_PRICE, ORDER_TIMELINE, WHY

# A bust takes an execution back: it counts with the opposite sign.
_SIGN: Final = "(1 - 2 * t.is_bust)"

_ROUND_TRIPS: Final = f"""
WITH legs AS (
    SELECT
        t.bracket_id,
        t.leg = 'entry' AS is_entry,
        sum({_SIGN} * t.quantity_e8) AS quantity_e8,
        sum({_SIGN} * t.value_e8) AS value_e8,
        sum({_SIGN} * t.value_e8 * CASE t.side WHEN 'sell' THEN 1 ELSE -1 END) AS cash_e8,
        sum({_SIGN} * t.fee_e8) AS fees_e8,
        min(t.price_e10) AS price_min_e10,
        max(t.price_e10) AS price_max_e10,
        min(t.venue_ts_ns) AS first_ts_ns,
        max(t.venue_ts_ns) AS last_ts_ns,
        min(t.timestamp) AS first_ts,
        max(t.timestamp) AS last_ts
    FROM trades AS t
    GROUP BY t.bracket_id, is_entry
)
SELECT
    b.account_id,
    b.id AS bracket_id,
    b.strategy_id,
    b.instrument_id,
    b.symbol,
    entry.first_ts AS entry_ts,
    CASE WHEN entry.price_min_e10 = entry.price_max_e10 THEN entry.price_min_e10 / 10000000000.0
        ELSE entry.value_e8 * 1.0 / entry.quantity_e8 END AS entry_price,
    out.last_ts AS exit_ts,
    CASE WHEN out.price_min_e10 = out.price_max_e10 THEN out.price_min_e10 / 10000000000.0
        ELSE out.value_e8 * 1.0 / out.quantity_e8 END AS exit_price,
    entry.quantity_e8 / 100000000.0 AS quantity,
    b.exit_reason,
    (entry.cash_e8 + out.cash_e8 - entry.fees_e8 - out.fees_e8) / 100000000.0 AS pnl,
    (entry.fees_e8 + out.fees_e8) / 100000000.0 AS fees,
    entry.first_ts_ns AS entry_ts_ns,
    out.last_ts_ns AS exit_ts_ns,
    entry.cash_e8 + out.cash_e8 - entry.fees_e8 - out.fees_e8 AS pnl_e8,
    entry.fees_e8 + out.fees_e8 AS fees_e8
FROM brackets AS b
JOIN legs AS entry ON entry.bracket_id = b.id AND entry.is_entry
JOIN legs AS out ON out.bracket_id = b.id AND NOT out.is_entry
WHERE b.state = 'CLOSED' AND entry.quantity_e8 > 0
"""

_DAILY_PNL: Final = f"""
WITH
marks AS (
    SELECT account_id, step_id, substr(timestamp, 1, 10) AS day, equity_e8,
        row_number() OVER (
            PARTITION BY account_id, substr(timestamp, 1, 10) ORDER BY step_id DESC, step_position DESC
        ) AS nth
    FROM equity_curve
),
closes AS (
    SELECT account_id, day, equity_e8, (
        SELECT coalesce(sum(m.amount_e8), 0) FROM cash_movements AS m
        WHERE m.account_id = marks.account_id AND m.step_id <= marks.step_id
    ) AS moved_e8
    FROM marks WHERE nth = 1
),
traded AS (
    SELECT t.account_id, substr(t.booked_timestamp, 1, 10) AS day, count(*) AS trades,
        sum({_SIGN} * t.fee_e8) AS fees_e8, sum(t.realized_pnl_e8) AS realized_pnl_e8
    FROM trades AS t GROUP BY t.account_id, day
)
SELECT
    c.account_id,
    c.day,
    coalesce(t.trades, 0) AS trades,
    coalesce(t.fees_e8, 0) / 100000000.0 AS fees,
    (coalesce(t.realized_pnl_e8, 0) - coalesce(t.fees_e8, 0)) / 100000000.0 AS realized_pnl,
    (c.moved_e8 - lag(c.moved_e8, 1, 0) OVER days) / 100000000.0 AS cash_moved,
    c.equity_e8 / 100000000.0 AS portfolio_value,
    (c.equity_e8 - c.moved_e8 - lag(c.equity_e8 - c.moved_e8, 1, 0) OVER days) / 100000000.0 AS pnl
FROM closes AS c
LEFT JOIN traded AS t ON t.account_id = c.account_id AND t.day = c.day
WINDOW days AS (PARTITION BY c.account_id ORDER BY c.day)
"""

_OPEN_RISK: Final = """
WITH entries AS (
    SELECT bracket_id, sum((1 - 2 * is_bust) * value_e8) * 1.0 / sum((1 - 2 * is_bust) * quantity_e8) AS price
    FROM trades WHERE leg = 'entry' GROUP BY bracket_id HAVING sum((1 - 2 * is_bust) * quantity_e8) > 0
),
stops AS (
    SELECT bracket_id, min(stop_price) AS stop_price, sum(quantity - filled_quantity) AS quantity,
        sum((quantity - filled_quantity) * stop_price) AS value
    FROM orders
    WHERE leg = 'stop' AND status IN ('NEW', 'ACK', 'PARTIAL', 'UNKNOWN', 'AWAITING_APPROVAL')
    GROUP BY bracket_id
)
SELECT
    b.account_id,
    b.id AS bracket_id,
    b.strategy_id,
    b.instrument_id,
    b.symbol,
    b.state,
    b.entered_quantity - b.exited_quantity AS quantity,
    entries.price AS entry_price,
    stops.stop_price,
    coalesce(stops.quantity, 0.0) AS protected_quantity,
    stops.quantity * entries.price - stops.value AS risk,
    b.entered_quantity - b.exited_quantity > coalesce(stops.quantity, 0.0) AS is_exposed,
    b.deadline_timestamp
FROM brackets AS b
JOIN entries ON entries.bracket_id = b.id
LEFT JOIN stops ON stops.bracket_id = b.id
WHERE b.entered_quantity_e8 > b.exited_quantity_e8
"""

_SLIPPAGE: Final = f"""
WITH priced AS (
    SELECT t.*, o.order_type, {MEANT_PRICE} AS reference_price
    FROM trades AS t JOIN orders AS o ON o.id = t.order_id
    WHERE NOT t.is_bust
),
compared AS (
    SELECT *, (price - reference_price) * CASE side WHEN 'buy' THEN 1 ELSE -1 END AS worse FROM priced
)
SELECT
    account_id,
    id AS trade_id,
    order_id,
    timestamp,
    strategy_id,
    symbol,
    leg,
    side,
    order_type,
    quantity,
    reference_price,
    price,
    -- Adding zero loses the sign of a zero.
    worse / reference_price * 10000.0 + 0.0 AS slippage_bps,
    worse * quantity + 0.0 AS slippage
FROM compared
"""

_VETOES: Final = """
SELECT
    d.account_id,
    d.id AS decision_id,
    d.timestamp,
    d.strategy_id,
    d.symbol,
    d.leg,
    d.side,
    d.order_type,
    d.quantity,
    d.reason,
    (
        SELECT group_concat(
            json_extract(c.value, '$.number') || ' ' || json_extract(c.value, '$.name') || ': '
            || json_extract(c.value, '$.value') || ' against ' || json_extract(c.value, '$.limit'), '; '
        )
        FROM json_each(d.checks) AS c WHERE NOT json_extract(c.value, '$.passed')
    ) AS failed_checks,
    d.signal_id
FROM decisions AS d
WHERE NOT d.approved
"""

#: Name -> SELECT.
VIEWS: Final[dict[str, str]] = {
    "v_round_trips": _ROUND_TRIPS,
    "v_order_timeline": ORDER_TIMELINE,
    "v_why": WHY,
    "v_daily_pnl": _DAILY_PNL,
    "v_open_risk": _OPEN_RISK,
    "v_slippage": _SLIPPAGE,
    "v_vetoes": _VETOES,
    **BOOK_VIEWS,
}


def replace_views(connection: sqlite.Connection) -> None:
    """Make every view anew inside the open transaction, so that each database has those of this program."""
    for name, select in VIEWS.items():
        connection.execute(f"DROP VIEW IF EXISTS {name}")
        connection.execute(f"CREATE VIEW {name} AS {select.strip()}")
