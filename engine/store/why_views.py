"""The views that say why: the life of each order, and the way from a bar to what was held after it."""

from __future__ import annotations

from typing import Final

#: What a fill of the order `o` is compared with. A limit beyond the last price was to fill at once: it is compared with
#: that price, as a market order is.
MEANT_PRICE: Final = """CASE
        WHEN o.order_type = 'market' THEN o.reference_price
        WHEN o.order_type <> 'limit' THEN o.stop_price
        WHEN (o.limit_price - o.reference_price) * CASE o.side WHEN 'buy' THEN 1 ELSE -1 END >= 0
            THEN o.reference_price
        ELSE o.limit_price END"""

ORDER_TIMELINE: Final = """
SELECT
    o.account_id, o.id AS order_id, o.client_order_id, o.symbol, o.leg, o.side, 1 AS version,
    o.submit_timestamp AS timestamp, NULL AS from_state, 'NEW' AS to_state, 'created' AS "trigger",
    'engine' AS source, '' AS reason, o.quantity, 0.0 AS filled_quantity, 0 AS cancel_requested,
    o.submit_ts_ns AS ts_ns, o.submit_timestamp AS venue_timestamp, 0.0 AS latency_ms, 0.0 AS since_submit_ms
FROM orders AS o
UNION ALL
SELECT
    o.account_id, o.id, o.client_order_id, o.symbol, o.leg, o.side, e.version,
    e.timestamp, e.from_state, e.to_state, e."trigger",
    e.source, e.reason, o.quantity, e.filled_quantity, e.cancel_requested, e.ts_ns, e.venue_timestamp,
    (e.ts_ns - e.venue_ts_ns) / 1000000.0, (e.ts_ns - o.submit_ts_ns) / 1000000.0
FROM order_events AS e
JOIN orders AS o ON o.id = e.order_id
"""

# One row per signal and order. What of a signal made no order, and what no signal asked for, has its row too.
WHY: Final = f"""
WITH
-- What was held after each of our fills; splits and other adjustments count from their step on.
moves AS (
    SELECT id AS trade_id, account_id, strategy_id, instrument_id, step_id, 1 AS place,
        (1 - 2 * is_bust) * CASE side WHEN 'buy' THEN quantity_e8 ELSE -quantity_e8 END AS moved_e8
    FROM trades
    UNION ALL
    SELECT NULL, account_id, strategy_id, instrument_id, step_id, 0, quantity_e8 FROM position_adjustments
),
held AS (
    SELECT trade_id, sum(moved_e8) OVER (
        PARTITION BY account_id, strategy_id, instrument_id ORDER BY step_id, place, trade_id
    ) AS held_e8
    FROM moves
),
fills AS (
    SELECT t.order_id,
        min(t.id) AS first_id,
        max(t.id) AS last_id,
        min(t.timestamp) AS timestamp,
        min(t.ts_ns) AS ts_ns,
        sum(1 - 2 * t.is_bust) AS fills,
        sum((1 - 2 * t.is_bust) * t.quantity_e8) AS quantity_e8,
        sum((1 - 2 * t.is_bust) * t.fee_e8) AS fee_e8,
        sum(t.realized_pnl_e8) AS realized_pnl_e8,
        CASE WHEN min(t.price_e10) = max(t.price_e10) THEN min(t.price)
            ELSE sum((1 - 2 * t.is_bust) * t.value_e8) * 1.0 / nullif(sum((1 - 2 * t.is_bust) * t.quantity_e8), 0)
        END AS price
    FROM trades AS t GROUP BY t.order_id
),
answers AS (
    SELECT order_id, min(ts_ns) AS ts_ns FROM order_events WHERE source = 'venue' GROUP BY order_id
),
priced AS (
    SELECT o.*, {MEANT_PRICE} AS meant_price FROM orders AS o
)
SELECT
    coalesce(s.account_id, d.account_id) AS account_id,
    coalesce(s.symbol, d.symbol) AS symbol,
    coalesce(s.strategy_id, d.strategy_id) AS strategy_id,
    s.bar_timestamp,
    b.close AS bar_close,
    s.id AS signal_id,
    s.kind AS signal,
    s.reason AS signal_reason,
    s.indicator_values,
    d.id AS decision_id,
    d.leg,
    d.approved,
    d.reason AS decision_reason,
    o.id AS order_id,
    o.side,
    o.order_type,
    o.quantity,
    o.status,
    f.first_id AS trade_id,
    f.timestamp AS trade_timestamp,
    f.price AS trade_price,
    f.quantity_e8 / 100000000.0 AS trade_quantity,
    b.open AS bar_open,
    b.high AS bar_high,
    b.low AS bar_low,
    b.volume AS bar_volume,
    b.session_kind AS bar_session_kind,
    p.rule,
    p.parameters,
    s.stop_distance,
    s.target_distance,
    d.checks,
    (
        SELECT json_extract(c.value, '$.number') || ' ' || json_extract(c.value, '$.name')
        FROM json_each(d.checks) AS c WHERE NOT json_extract(c.value, '$.passed') ORDER BY c.key LIMIT 1
    ) AS first_refusing_check,
    o.client_order_id,
    o.limit_price,
    o.stop_price,
    o.reference_price,
    o.submit_timestamp,
    (a.ts_ns - o.submit_ts_ns) / 1000000.0 AS answer_latency_ms,
    (f.ts_ns - o.submit_ts_ns) / 1000000.0 AS fill_latency_ms,
    coalesce(f.fills, 0) AS fill_count,
    f.price AS average_fill_price,
    f.fee_e8 / 100000000.0 AS fees,
    -- Positive is worse; adding zero loses the sign of a zero.
    (f.price - o.meant_price) * CASE o.side WHEN 'buy' THEN 1 ELSE -1 END / o.meant_price * 10000.0 + 0.0
        AS slippage_bps,
    k.id AS bracket_id,
    k.exit_style,
    k.state AS bracket_state,
    k.exit_reason,
    h.held_e8 / 100000000.0 AS position_after,
    f.realized_pnl_e8 / 100000000.0 AS realized_pnl
FROM signals AS s
FULL JOIN decisions AS d ON d.signal_id = s.id
LEFT JOIN bars AS b
    ON b.account_id = s.account_id AND b.instrument_id = s.instrument_id
    AND b.start_ts_ns = s.bar_start_ts_ns AND b.revision = 0
LEFT JOIN strategies AS p
    ON p.account_id = coalesce(s.account_id, d.account_id) AND p.strategy_id = coalesce(s.strategy_id, d.strategy_id)
LEFT JOIN priced AS o ON o.decision_id = d.id
LEFT JOIN brackets AS k ON k.id = o.bracket_id
LEFT JOIN answers AS a ON a.order_id = o.id
LEFT JOIN fills AS f ON f.order_id = o.id
LEFT JOIN held AS h ON h.trade_id = f.last_id
"""
