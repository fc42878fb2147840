"""Layouts: which table and which columns the values of a row go to."""

from __future__ import annotations

from typing import Final, NamedTuple


class Layout(NamedTuple):
    """Name the table of a row and the columns that its values go to, in order."""

    table: str
    columns: tuple[str, ...]
    #: How many columns the table had first, where later ones were added at the end.
    first_width: int | None = None


# The numbers of tables are part of what is hashed: add, never renumber. They are the order of writing, too, which
# puts a row after those that it refers to.
INPUTS: Final = 0
BARS: Final = 1
GAPS: Final = 2
REFUSED_INPUTS: Final = 3
SIGNALS: Final = 4
DECISIONS: Final = 5
BRACKETS: Final = 6
ORDERS: Final = 7
BRACKET_EVENTS: Final = 8
ORDER_EVENTS: Final = 9
COMMANDS: Final = 10
TRADES: Final = 11
POSITIONS: Final = 12
CASH_MOVEMENTS: Final = 13
EQUITY_CURVE: Final = 14
TRADING_STATES: Final = 15
BRACKET_PLANS: Final = 16
POSITION_ADJUSTMENTS: Final = 17
LOT_CLOSURES: Final = 18
TRADE_FEES: Final = 19
SUSPENSE: Final = 20
SYMBOL_CHANGES: Final = 21
GOOD_FAITH_VIOLATIONS: Final = 22
BREAKER_EVENTS: Final = 23
INSTRUMENT_STATUSES: Final = 24
DECISION_QUOTES: Final = 25
REFUSED_SIGNALS: Final = 26
EXTERNAL_ORDERS: Final = 27
POSITION_COMPARISONS: Final = 28

#: How much of a bar's row is kept where the rest is as `_PLAIN_TAIL` says: a bar from a file, alone in its step.
PLAIN_BAR_WIDTH: Final = 10
LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout("inputs", ("id", "kind", "venue_ts_ns", "received_ts_ns", "payload")),
    Layout(
        "bars",
        (
            *("step_id", "instrument_id", "start_ts_ns", "open", "high", "low", "close", "volume", "vwap"),
            *("session_kind", "step_position", "tick_count", "quote_count", "revision", "complete"),
            *("bid_open", "bid_high", "bid_low", "bid_close", "ask_open", "ask_high", "ask_low", "ask_close"),
        ),
    ),
    Layout("gaps", ("step_id", "instrument_id", "from_ts_ns", "until_ts_ns", "reason")),
    Layout("refused_inputs", ("step_id", "instrument_id", "reason", "count", "ts_ns")),
    Layout(
        "signals",
        (
            *("id", "step_id", "strategy_id", "instrument_id", "symbol", "kind", "side", "order_type", "limit_price"),
            *("stop_distance", "target_distance", "reason", "indicator_values", "bar_start_ts_ns", "ts_ns"),
            "terms",
        ),
        first_width=15,
    ),
    Layout(
        "decisions",
        (
            *("id", "step_id", "signal_id", "strategy_id", "instrument_id", "symbol", "leg", "side", "order_type"),
            *("quantity_e8", "approved", "reason", "checks", "ts_ns"),
        ),
    ),
    Layout(
        "brackets",
        (
            *("id", "step_id", "strategy_id", "instrument_id", "symbol", "signal_id", "exit_style"),
            *("stop_distance", "target_distance", "opened_ts_ns"),
        ),
    ),
    Layout(
        "orders",
        (
            *("id", "step_id", "client_order_id", "strategy_id", "instrument_id", "symbol", "bracket_id"),
            *("decision_id", "leg", "side", "order_type", "quantity_e8", "limit_price_e10", "stop_price_e10"),
            *("time_in_force", "link", "reference_price_e10", "submit_ts_ns"),
        ),
    ),
    Layout(
        "bracket_events",
        (
            *("step_id", "bracket_id", "version", "from_state", "to_state", "trigger", "exit_reason"),
            *("entered_quantity_e8", "exited_quantity_e8", "deadline_ts_ns", "ts_ns"),
        ),
    ),
    Layout(
        "order_events",
        (
            *("step_id", "order_id", "version", "from_state", "to_state", "trigger", "source", "reason"),
            *("filled_quantity_e8", "cancel_requested", "venue_order_id", "venue_ts_ns", "ts_ns"),
        ),
    ),
    Layout("commands", ("step_id", "kind", "client_order_id", "payload", "decided_ts_ns")),
    Layout(
        "trades",
        (
            *("id", "step_id", "order_id", "bracket_id", "execution_id", "strategy_id", "instrument_id", "symbol"),
            *("leg", "side", "price_e10", "quantity_e8", "value_e8", "fee_e8", "realized_pnl_e8", "is_bust"),
            *("venue_ts_ns", "ts_ns", "settlement_ts_ns"),
        ),
        first_width=18,
    ),
    Layout(
        "positions",
        ("step_id", "strategy_id", "instrument_id", "symbol", "quantity_e8", "cost_e8", "realized_pnl_e8", "ts_ns"),
    ),
    Layout(
        "cash_movements",
        (
            *("id", "step_id", "amount_e8", "kind", "source", "settlement_ts_ns", "ts_ns"),
            *("strategy_id", "instrument_id"),
        ),
        first_width=7,
    ),
    Layout("equity_curve", ("step_id", "step_position", "ts_ns", "cash_e8", "equity_e8")),
    Layout(
        "trading_states",
        ("step_id", "strategy_id", "instrument_id", "from_state", "to_state", "reason", "source", "ts_ns"),
    ),
    Layout(
        "bracket_plans",
        (
            *("step_id", "bracket_id", "targets", "stop_limit_offset", "trail_distance", "trail_step"),
            *("break_even_distance", "hold_ns_max", "ts_ns"),
        ),
    ),
    Layout(
        "position_adjustments",
        (
            *("id", "step_id", "strategy_id", "instrument_id", "symbol", "kind", "quantity_e8", "cost_e8", "source"),
            *("settlement_ts_ns", "ts_ns", "realized_pnl_e8", "ratio"),
        ),
    ),
    Layout(
        "lot_closures",
        (
            *("step_id", "strategy_id", "instrument_id", "symbol", "opening_trade_id", "opening_adjustment_id"),
            *("closing_trade_id", "closing_adjustment_id", "quantity_e8", "cost_e8", "proceeds_e8"),
            *("realized_pnl_e8", "opened_ts_ns", "closed_ts_ns", "holding_days", "is_reversal", "ts_ns"),
        ),
    ),
    Layout("trade_fees", ("step_id", "trade_id", "kind", "amount_e8", "ts_ns")),
    Layout(
        "suspense",
        (
            *("step_id", "kind", "execution_id", "client_order_id", "strategy_id", "instrument_id", "symbol", "side"),
            *("price_e10", "quantity_e8", "value_e8", "reason", "ts_ns"),
        ),
    ),
    Layout(
        "symbol_changes",
        ("step_id", "instrument_id", "from_symbol", "to_symbol", "source", "valid_from_ts_ns", "ts_ns"),
    ),
    Layout(
        "good_faith_violations",
        (
            *("step_id", "trade_id", "opening_trade_id", "strategy_id", "instrument_id", "symbol", "quantity_e8"),
            *("paid_ts_ns", "ts_ns"),
        ),
    ),
    Layout(
        "breaker_events",
        (
            *("step_id", "breaker", "strategy_id", "instrument_id", "from_state", "to_state", "trigger", "value"),
            *("limit_value", "reason", "source", "ts_ns"),
        ),
    ),
    Layout(
        "instrument_statuses",
        ("step_id", "instrument_id", "halted", "reason", "lower_price_e10", "upper_price_e10", "ts_ns"),
    ),
    Layout("decision_quotes", ("step_id", "instrument_id", "bid", "ask", "venue_ts_ns", "received_ts_ns")),
    Layout("refused_signals", ("step_id", "signal_id", "reason", "ts_ns")),
    Layout(
        "external_orders",
        (
            *("step_id", "venue_order_id", "instrument_id", "symbol", "side", "order_type", "quantity_e8"),
            *("filled_quantity_e8", "status", "limit_price_e10", "stop_price_e10", "created_ts_ns", "ts_ns"),
        ),
    ),
    Layout(
        "position_comparisons",
        ("step_id", "instrument_id", "symbol", "booked_quantity_e8", "listed_quantity_e8", "verdict", "ts_ns"),
    ),
)

#: Left out of the hash: each change follows from a hashed trade, and the table keeps only the last one.
UNHASHED: Final = frozenset({POSITIONS})
