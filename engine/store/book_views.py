"""Views of the books: the double entry of every step, the settlement of cash, and positions under other names."""

from __future__ import annotations

from typing import Final

# A bust takes an execution back: it counts with the opposite sign.
_SIGN: Final = "(1 - 2 * t.is_bust)"

# Every movement of money or of shares at cost, twice. The cost that leaves the securities comes from the lots, and the
# profit from the trade: that both sides of a step are equal proves one with the other. Trades that were booked before
# lots were kept have no settlement: their cost is what their profit leaves.
_JOURNAL_ENTRIES: Final = f"""
WITH moved AS (
    SELECT t.account_id, t.step_id, 'trades' AS source, t.id AS source_id, 'cash' AS account,
        {_SIGN} * (CASE t.side WHEN 'buy' THEN -t.value_e8 ELSE t.value_e8 END - t.fee_e8) AS amount_e8
    FROM trades AS t
    UNION ALL
    SELECT t.account_id, t.step_id, 'trades', t.id, 'fees', {_SIGN} * t.fee_e8 FROM trades AS t
    UNION ALL
    SELECT t.account_id, t.step_id, 'trades', t.id, 'securities', {_SIGN} * t.value_e8 FROM trades AS t
    WHERE t.side = 'buy'
    UNION ALL
    SELECT t.account_id, t.step_id, 'trades', t.id, 'realized gain', -t.realized_pnl_e8 FROM trades AS t
    UNION ALL
    SELECT t.account_id, t.step_id, 'trades', t.id, 'securities',
        t.realized_pnl_e8 - CASE t.side WHEN 'sell' THEN {_SIGN} * t.value_e8 ELSE 0 END
    FROM trades AS t WHERE t.settlement_ts_ns IS NULL
    UNION ALL
    SELECT c.account_id, c.step_id, 'lot_closures', c.id, 'securities', (2 * c.is_reversal - 1) * c.cost_e8
    FROM lot_closures AS c
    UNION ALL
    SELECT s.account_id, s.step_id, 'suspense', s.id, 'suspense', -s.value_e8 FROM suspense AS s
    WHERE s.kind = 'oversold'
    UNION ALL
    SELECT m.account_id, m.step_id, 'cash_movements', m.id, 'cash', m.amount_e8 FROM cash_movements AS m
    UNION ALL
    SELECT m.account_id, m.step_id, 'cash_movements', m.id,
        CASE m.kind WHEN 'dividend' THEN 'dividends' WHEN 'interest' THEN 'interest'
            WHEN 'fee_correction' THEN 'fees' ELSE 'capital' END, -m.amount_e8
    FROM cash_movements AS m WHERE m.kind != 'cash_in_lieu'
    UNION ALL
    SELECT a.account_id, a.step_id, 'position_adjustments', a.id, 'realized gain', -a.realized_pnl_e8
    FROM position_adjustments AS a WHERE a.realized_pnl_e8 IS NOT NULL
    UNION ALL
    SELECT a.account_id, a.step_id, 'position_adjustments', a.id, 'securities', a.cost_e8
    FROM position_adjustments AS a WHERE a.kind IN ('opening', 'adoption', 'correction') AND a.cost_e8 > 0
    UNION ALL
    SELECT a.account_id, a.step_id, 'position_adjustments', a.id, 'capital', -a.cost_e8
    FROM position_adjustments AS a WHERE a.kind IN ('opening', 'adoption', 'correction', 'bust')
)
SELECT
    account_id, step_id, source, source_id, account,
    max(amount_e8, 0) / 100000000.0 AS debit,
    max(-amount_e8, 0) / 100000000.0 AS credit,
    max(amount_e8, 0) AS debit_e8,
    max(-amount_e8, 0) AS credit_e8
FROM moved WHERE amount_e8 != 0
"""

# What is paid counts at once, what is received from its settlement on.
_CASH_FLOWS: Final = f"""
SELECT t.account_id, t.step_id, t.booked_timestamp AS timestamp, 'trades' AS source, t.id AS source_id,
    t.side AS kind, t.symbol,
    {_SIGN} * (CASE t.side WHEN 'buy' THEN -t.value_e8 ELSE t.value_e8 END - t.fee_e8) / 100000000.0 AS amount,
    CASE t.side WHEN 'buy' THEN t.ts_ns ELSE coalesce(t.settlement_ts_ns, t.ts_ns) END AS arrives_ts_ns,
    {_SIGN} * (CASE t.side WHEN 'buy' THEN -t.value_e8 ELSE t.value_e8 END - t.fee_e8) AS amount_e8, t.ts_ns
FROM trades AS t
UNION ALL
SELECT m.account_id, m.step_id, m.timestamp, 'cash_movements', m.id, m.kind, NULL, m.amount,
    CASE WHEN m.amount_e8 < 0 THEN m.ts_ns ELSE m.settlement_ts_ns END, m.amount_e8, m.ts_ns
FROM cash_movements AS m
"""

_REALIZED: Final = """
SELECT account_id, strategy_id, instrument_id, symbol, opening_trade_id, opening_adjustment_id, closing_trade_id,
    closing_adjustment_id, sum(sign * quantity_e8) / 100000000.0 AS quantity,
    min(opened_timestamp) AS opened_timestamp, min(closed_timestamp) AS closed_timestamp, holding_days,
    sum(sign * cost_e8) / 100000000.0 AS cost, sum(sign * proceeds_e8) / 100000000.0 AS proceeds,
    sum(sign * realized_pnl_e8) / 100000000.0 AS realized_pnl, sum(sign * realized_pnl_e8) AS realized_pnl_e8
FROM (SELECT *, 1 - 2 * is_reversal AS sign FROM lot_closures)
GROUP BY account_id, opening_trade_id, opening_adjustment_id, closing_trade_id, closing_adjustment_id, holding_days
HAVING sum(sign * quantity_e8) != 0
"""

_LAST_CLOSE: Final = """
    SELECT b.close FROM bars AS b WHERE b.account_id = p.account_id AND b.instrument_id = p.instrument_id
    AND b.revision = 0 ORDER BY b.start_ts_ns DESC LIMIT 1
"""

# Positions as three widespread designs of trading bots name their columns.
_POSITIONS_B: Final = f"""
SELECT p.account_id * 1000000000 + p.instrument_id AS id, p.symbol, p.quantity,
    p.average_entry_price AS avg_entry_price, ({_LAST_CLOSE.strip()}) AS current_price,
    ({_LAST_CLOSE.strip()}) * p.quantity - p.cost AS unrealized_pnl, p.strategy_id AS strategy,
    (SELECT min(t.timestamp) FROM trades AS t WHERE t.account_id = p.account_id AND t.strategy_id = p.strategy_id
        AND t.instrument_id = p.instrument_id) AS created_at,
    p.timestamp AS updated_at, p.account_id
FROM positions AS p WHERE p.quantity_e8 != 0
"""

_POSITIONS_C: Final = """
SELECT symbol, quantity, average_entry_price, account_id FROM positions WHERE quantity_e8 != 0
"""

_POSITIONS_E: Final = """
SELECT b.id, b.symbol, b.entered_quantity - CASE WHEN r.bracket_id IS NULL THEN b.exited_quantity ELSE 0.0 END
        AS quantity,
    coalesce(r.entry_price, e.price) AS entry_price, e.entry_date, r.exit_price, r.exit_ts AS exit_date, r.pnl,
    CASE WHEN r.bracket_id IS NULL THEN 'open' ELSE 'closed' END AS status, b.account_id
FROM brackets AS b
JOIN (
    SELECT bracket_id, min(timestamp) AS entry_date,
        sum((1 - 2 * is_bust) * value_e8) * 1.0 / sum((1 - 2 * is_bust) * quantity_e8) AS price
    FROM trades WHERE leg = 'entry' GROUP BY bracket_id HAVING sum((1 - 2 * is_bust) * quantity_e8) > 0
) AS e ON e.bracket_id = b.id
LEFT JOIN v_round_trips AS r ON r.bracket_id = b.id
"""

#: Name -> SELECT.
BOOK_VIEWS: Final[dict[str, str]] = {
    "journal_entries": _JOURNAL_ENTRIES,
    "v_cash_flows": _CASH_FLOWS,
    "v_realized_lots": _REALIZED,
    "document_b_positions": _POSITIONS_B,
    "document_c_positions": _POSITIONS_C,
    "document_e_positions": _POSITIONS_E,
}
