"""The tables: metadata for fresh databases, for the writer's statements, for migrations and for reads.

Every kind of fact is one table; ids of one account start at its `id_offset`, so that accounts in one file never meet.
`orders`, `brackets` and `positions` are state: their changes are rows of `order_events`, `bracket_events` and `trades`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
)

from engine.store import (
    book_tables,  # noqa: F401 - their tables join the metadata
    guard_tables,
    recovery_tables,
)
from engine.store.columns import BYTES, TEXT, computed, flag, moment, money, price, quantity, real, text, whole
from engine.store.tables import METADATA as _METADATA
from engine.store.tables import TRIGGER
from engine.store.tables import account_column as _account
from engine.store.tables import defaulted_column as _defaulted
from engine.store.tables import id_column as _id
from engine.store.tables import instrument_exists as _instrument_exists
from engine.store.tables import owner_column as _owner
from engine.store.tables import step_column as _step
from engine.store.tables import strategy_exists as _strategy_exists
from engine.store.tables import table as _table
from engine.store.tables import word_column as _word
from engine.store.vocabulary import VOCABULARY

#: The newest migration that this program knows; a fresh database is stamped with it.
SCHEMA_REVISION: Final = "0003"
#: Ids of one account: from its offset + 1 to its offset + this.
IDS_PER_ACCOUNT: Final = 10**9

METADATA: Final = _METADATA

for _name in VOCABULARY:
    _table(_name, Column("name", TEXT, primary_key=True), rowid=False)

# --- who, and with what -------------------------------------------------------------------------------------------

accounts = _table(
    "accounts",
    _id(),
    text("name"),
    text("namespace"),
    text("venue_nonce", optional=True),
    whole("id_offset"),
    *moment("opened_ts_ns", twin="opened_timestamp"),
    UniqueConstraint("name"),
    UniqueConstraint("id_offset"),
)

runs = _table(
    "runs",
    _id(),
    _account(),
    _word("kind", "run_kinds"),
    _word("status", "run_statuses"),
    text("strategy"),
    text("parameters"),
    text("risk_hash"),
    text("data_fingerprint"),
    _word("exit_style", "exit_styles"),
    text("settings"),
    *moment("started_ts_ns", twin="started_timestamp"),
    *moment("finished_ts_ns", twin="finished_timestamp", optional=True),
    whole("final_step", optional=True),
    Column("final_hash", BYTES),
)

instruments = _table(
    "instruments",
    _account(),
    whole("instrument_id"),
    text("symbol"),
    _word("asset_class", "asset_classes"),
    text("calendar"),
    text("lot"),
    text("ticks"),
    PrimaryKeyConstraint("account_id", "instrument_id"),
    rowid=False,
)

instrument_symbols = _table(
    "instrument_symbols",
    _account(),
    whole("instrument_id"),
    text("symbol"),
    *moment("valid_from_ts_ns", twin="valid_from"),
    *moment("valid_until_ts_ns", twin="valid_until", optional=True),
    PrimaryKeyConstraint("account_id", "instrument_id", "valid_from_ts_ns"),
    _instrument_exists(),
    rowid=False,
)

strategies = _table(
    "strategies",
    _account(),
    text("strategy_id"),
    text("import_string"),
    text("parameters"),
    text("rule", optional=True),
    PrimaryKeyConstraint("account_id", "strategy_id"),
    rowid=False,
)

operator_requests = _table(
    "operator_requests",
    _id(),
    _account(),
    _word("kind", "request_kinds"),
    text("strategy_id", optional=True),
    whole("instrument_id", optional=True),
    text("reason"),
    text("requested_by"),
    *moment("requested_ts_ns", twin="timestamp"),
    whole("taken_step_id", ForeignKey("inputs.id"), optional=True),
)

# --- the journal --------------------------------------------------------------------------------------------------

inputs = _table(
    "inputs",
    _id(),
    _account(),
    _word("kind", "input_kinds"),
    whole("venue_ts_ns"),
    *moment("received_ts_ns", twin="timestamp"),
    text("payload", optional=True),
    Column("hash", BYTES, nullable=False),
)

commands = _table(
    "commands",
    _id(),
    _account(),
    _step(),
    _word("kind", "command_kinds"),
    text("client_order_id"),
    text("payload"),
    *moment("decided_ts_ns", twin="timestamp"),
    ForeignKeyConstraint(["account_id", "client_order_id"], ["orders.account_id", "orders.client_order_id"]),
)

# --- market data --------------------------------------------------------------------------------------------------

bars = _table(
    "bars",
    _owner(),
    _step(),
    whole("instrument_id"),
    *moment("start_ts_ns", twin="timestamp"),
    real("open"),
    real("high"),
    real("low"),
    real("close"),
    real("volume"),
    real("vwap"),
    _word("session_kind", "session_kinds"),
    _defaulted("step_position", "0"),
    whole("tick_count", optional=True),
    whole("quote_count", optional=True),
    _defaulted("revision", "0"),
    _defaulted("complete", "1"),
    *(real(f"{side}_{part}", optional=True) for side in ("bid", "ask") for part in ("open", "high", "low", "close")),
    PrimaryKeyConstraint("account_id", "instrument_id", "start_ts_ns", "revision"),
    _instrument_exists(),
    rowid=False,
)

gaps = _table(
    "gaps",
    _id(),
    _owner(),
    _step(),
    whole("instrument_id"),
    *moment("from_ts_ns", twin="from_timestamp"),
    *moment("until_ts_ns", twin="until_timestamp"),
    text("reason"),
    _instrument_exists(),
)

refused_inputs = _table(
    "refused_inputs",
    _id(),
    _owner(),
    _step(),
    whole("instrument_id"),
    text("reason"),
    whole("count"),
    *moment("ts_ns", twin="timestamp"),
    _instrument_exists(),
)

# --- decisions ----------------------------------------------------------------------------------------------------

signals = _table(
    "signals",
    _id(),
    _owner(),
    _step(),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    _word("kind", "signal_kinds"),
    _word("side", "sides"),
    _word("order_type", "order_types"),
    real("limit_price", optional=True),
    real("stop_distance", optional=True),
    real("target_distance", optional=True),
    text("reason"),
    text("indicator_values"),
    *moment("bar_start_ts_ns", twin="bar_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    text("terms", optional=True),
    _instrument_exists(),
    _strategy_exists(),
)

decisions = _table(
    "decisions",
    _id(),
    _owner(),
    _step(),
    whole("signal_id", ForeignKey("signals.id"), optional=True),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    _word("leg", "legs"),
    _word("side", "sides"),
    _word("order_type", "order_types"),
    *quantity(),
    flag("approved"),
    text("reason"),
    text("checks"),
    *moment("ts_ns", twin="timestamp"),
    _instrument_exists(),
    _strategy_exists(),
)

# --- orders and brackets ------------------------------------------------------------------------------------------

brackets = _table(
    "brackets",
    _id(),
    _owner(),
    _step(),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    whole("signal_id", ForeignKey("signals.id"), optional=True),
    _word("exit_style", "exit_styles"),
    text("stop_distance", optional=True),
    text("target_distance", optional=True),
    *moment("opened_ts_ns", twin="opened_timestamp"),
    whole("version"),
    _word("state", "bracket_states"),
    text("exit_reason"),
    *quantity("entered_quantity"),
    *quantity("exited_quantity"),
    *moment("deadline_ts_ns", twin="deadline_timestamp", optional=True),
    *moment("updated_ts_ns", twin="updated_timestamp"),
    _instrument_exists(),
    _strategy_exists(),
)

refused_signals = _table(
    "refused_signals",
    _id(),
    _owner(),
    _step(),
    whole("signal_id", ForeignKey("signals.id")),
    text("reason"),
    *moment("ts_ns", twin="timestamp"),
    UniqueConstraint("signal_id"),
)

bracket_plans = _table(
    "bracket_plans",
    _id(),
    _owner(),
    _step(),
    whole("bracket_id", ForeignKey("brackets.id")),
    text("targets", optional=True),
    text("stop_limit_offset", optional=True),
    text("trail_distance", optional=True),
    text("trail_step", optional=True),
    text("break_even_distance", optional=True),
    whole("hold_ns_max", optional=True),
    *moment("ts_ns", twin="timestamp"),
    UniqueConstraint("bracket_id"),
)

bracket_events = _table(
    "bracket_events",
    _id(),
    _account(),
    _step(),
    whole("bracket_id", ForeignKey("brackets.id")),
    whole("version"),
    _word("from_state", "bracket_states"),
    _word("to_state", "bracket_states"),
    _word(TRIGGER, "bracket_triggers"),
    text("exit_reason"),
    *quantity("entered_quantity"),
    *quantity("exited_quantity"),
    *moment("deadline_ts_ns", twin="deadline_timestamp", optional=True),
    *moment("ts_ns", twin="timestamp"),
    UniqueConstraint("bracket_id", "version"),
)

orders = _table(
    "orders",
    _id(),
    _owner(),
    _step(),
    text("client_order_id"),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    whole("bracket_id", ForeignKey("brackets.id")),
    whole("decision_id", ForeignKey("decisions.id")),
    _word("leg", "legs"),
    _word("side", "sides"),
    _word("order_type", "order_types"),
    *quantity(),
    *price("limit_price", optional=True),
    *price("stop_price", optional=True),
    _word("time_in_force", "times_in_force"),
    text("link", optional=True),
    *price("reference_price"),
    *moment("submit_ts_ns", twin="submit_timestamp"),
    whole("version"),
    _word("status", "order_states"),
    *quantity("filled_quantity"),
    flag("cancel_requested"),
    text("venue_order_id", optional=True),
    *moment("fill_ts_ns", twin="fill_timestamp", optional=True),
    *moment("updated_ts_ns", twin="updated_timestamp"),
    UniqueConstraint("account_id", "client_order_id"),
    _instrument_exists(),
    _strategy_exists(),
)

order_events = _table(
    "order_events",
    _id(),
    _account(),
    _step(),
    whole("order_id", ForeignKey("orders.id")),
    whole("version"),
    _word("from_state", "order_states"),
    _word("to_state", "order_states"),
    _word(TRIGGER, "order_triggers"),
    _word("source", "report_sources"),
    text("reason"),
    *quantity("filled_quantity"),
    flag("cancel_requested"),
    text("venue_order_id", optional=True),
    *moment("venue_ts_ns", twin="venue_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    UniqueConstraint("order_id", "version"),
)

# --- books --------------------------------------------------------------------------------------------------------

trades = _table(
    "trades",
    _id(),
    _owner(),
    _step(),
    whole("order_id", ForeignKey("orders.id")),
    whole("bracket_id", ForeignKey("brackets.id")),
    text("execution_id"),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    _word("leg", "legs"),
    _word("side", "sides"),
    *price("price"),
    *quantity(),
    *money("value"),
    *money("fee"),
    *money("realized_pnl"),
    flag("is_bust"),
    *moment("venue_ts_ns", twin="timestamp"),
    *moment("ts_ns", twin="booked_timestamp"),
    *moment("settlement_ts_ns", twin="settlement_timestamp", optional=True),
    UniqueConstraint("account_id", "execution_id", "is_bust"),
    _instrument_exists(),
    _strategy_exists(),
    Index(None, "order_id"),
)

positions = _table(
    "positions",
    _owner(),
    _step(),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    *quantity(),
    *money("cost"),
    *money("realized_pnl"),
    *moment("ts_ns", twin="timestamp"),
    computed("average_entry_price", "cost_e8 * 1.0 / nullif(quantity_e8, 0)"),
    PrimaryKeyConstraint("account_id", "strategy_id", "instrument_id"),
    _instrument_exists(),
    _strategy_exists(),
    rowid=False,
)

position_adjustments = _table(
    "position_adjustments",
    _id(),
    _owner(),
    _step(),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    _word("kind", "adjustment_kinds"),
    *quantity(),
    *money("cost"),
    text("source"),
    *moment("settlement_ts_ns", twin="settlement_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    *money("realized_pnl", optional=True),
    text("ratio", optional=True),
    _instrument_exists(),
    _strategy_exists(),
)

cash_movements = _table(
    "cash_movements",
    _id(),
    _account(),
    _step(),
    *money("amount"),
    _word("kind", "cash_movement_kinds"),
    text("source"),
    *moment("settlement_ts_ns", twin="settlement_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    text("strategy_id", optional=True),
    whole("instrument_id", optional=True),
)

equity_curve = _table(
    "equity_curve",
    _account(),
    _step(),
    whole("step_position"),
    *moment("ts_ns", twin="timestamp"),
    *money("cash"),
    *money("equity", twin="portfolio_value"),
    PrimaryKeyConstraint("account_id", "step_id", "step_position"),
    rowid=False,
)

trading_states = _table(
    "trading_states",
    _id(),
    _account(),
    _step(),
    text("strategy_id", optional=True),
    whole("instrument_id", optional=True),
    _word("from_state", "trading_state_names"),
    _word("to_state", "trading_state_names"),
    text("reason"),
    text("source"),
    *moment("ts_ns", twin="timestamp"),
    _instrument_exists(),
    _strategy_exists(),
)

# --- what the gate watches: in a file of its own ------------------------------------------------------------------

breaker_events = guard_tables.breaker_events
instrument_statuses = guard_tables.instrument_statuses
decision_quotes = guard_tables.decision_quotes

# --- recovery: in a file of its own -------------------------------------------------------------------------------

external_orders = recovery_tables.external_orders
position_comparisons = recovery_tables.position_comparisons
leases = recovery_tables.leases
