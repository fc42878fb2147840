"""The first schema: journal, market data, decisions, orders and books.

Written out, not made from the metadata: what a migration once did must not change with the program.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

WORDS = {
    "sides": "buy sell",
    "order_types": "market limit stop stop_limit",
    "times_in_force": "day gtc",
    "legs": "entry stop target exit",
    "session_kinds": "regular extended",
    "asset_classes": "equity crypto",
    "signal_kinds": "enter exit cancel_entry",
    "trading_state_names": "ACTIVE REDUCING HALTED",
    "order_states": "NEW ACK PARTIAL FILLED CANCELED REJECTED EXPIRED UNKNOWN AWAITING_APPROVAL",
    "order_triggers": (
        "acknowledged approval_asked filled_in_part filled_in_full canceled expired rejected outcome_unknown "
        "proven_absent cancel_requested cancel_rejected busted_in_part busted_in_full"
    ),
    "bracket_states": "ENTERING UNPROTECTED PROTECTING PROTECTED SWAPPING EXITING CLOSED ABORTED",
    "bracket_triggers": (
        "entry_filled entry_ended stop_decided stop_working protection_lost exit_wanted exit_decided "
        "exit_ended position_closed position_reopened"
    ),
    "exit_styles": "both_legs rest_stop",
    "report_sources": "engine venue",
    "input_kinds": (
        "Tick Quote BarClosed FeedInterrupted TimeAdvanced OrderAcknowledged OrderAwaitingApproval "
        "OrderFilled OrderCanceled OrderExpired OrderRejected CancelRejected OutcomeUnknown ExecutionBusted "
        "AccountFunded Pause Resume Kill Flatten"
    ),
    "command_kinds": "SubmitOrder CancelOrder QueryOrder",
    "run_kinds": "backtest paper live",
    "run_statuses": "running finished interrupted failed",
    "request_kinds": "pause resume kill flatten",
    "cash_movement_kinds": "deposit withdrawal dividend interest fee_correction",
    "adjustment_kinds": "opening adoption split correction",
}

APPEND_ONLY = (
    "inputs commands bars gaps refused_inputs signals decisions bracket_events order_events trades "
    "position_adjustments cash_movements equity_curve trading_states"
)

#: What an order and a bracket were decided to be.
FIXED = {
    "brackets": (
        "id account_id step_id strategy_id instrument_id symbol signal_id exit_style stop_distance "
        "target_distance opened_ts_ns"
    ),
    "orders": (
        "id account_id step_id client_order_id strategy_id instrument_id symbol bracket_id decision_id leg "
        "side order_type quantity_e8 limit_price_e10 stop_price_e10 time_in_force link reference_price_e10 "
        "submit_ts_ns"
    ),
}


def whole(*names: str) -> str:
    return ", ".join(f"{name} INTEGER NOT NULL" for name in names)


def text(*names: str) -> str:
    return ", ".join(f"{name} TEXT NOT NULL" for name in names)


def real(*names: str) -> str:
    return ", ".join(f"{name} REAL NOT NULL" for name in names)


def moment(name: str, twin: str, null: str = " NOT NULL") -> str:
    return (
        f"{name} INTEGER{null}, {twin} TEXT GENERATED ALWAYS AS ("
        f"date({name} / 1000000000, 'unixepoch') || 'T' || "
        f"time({name} / 1000000 / 1000.0, 'unixepoch', 'subsec') || 'Z') VIRTUAL"
    )


def price(name: str, null: str = " NOT NULL") -> str:
    return f"{name}_e10 INTEGER{null}, {name} REAL GENERATED ALWAYS AS ({name}_e10 / 10000000000.0) VIRTUAL"


def amount(name: str, twin: str = "") -> str:
    return f"{name}_e8 INTEGER NOT NULL, {twin or name} REAL GENERATED ALWAYS AS ({name}_e8 / 100000000.0) VIRTUAL"


def key(table: str, columns: str = "id") -> str:
    return f"CONSTRAINT {table}_key PRIMARY KEY ({columns})"


def once(table: str, *columns: str) -> str:
    return f"CONSTRAINT {table}_{'_'.join(columns)}_once UNIQUE ({', '.join(columns)})"


def exists(table: str, *references: str) -> str:
    # Each reference reads `column[+column] other`; the other's key has the same names, or `id`, or `name`.
    return ", ".join(_exists(table, *reference.split()) for reference in references)


def _exists(table: str, columns: str, other: str) -> str:
    names = columns.split("+")
    keys = names if len(names) > 1 else ["name" if other in WORDS else "id"]
    return (
        f"CONSTRAINT {table}_{'_'.join(names)}_exists FOREIGN KEY({', '.join(names)}) "
        f"REFERENCES {other} ({', '.join(keys)})"
    )


#: Table -> what stands between the parentheses, and after them.
TABLES: dict[str, tuple[str, str]] = {
    "accounts": (
        f"""
        {whole("id")}, {text("name", "namespace")}, venue_nonce TEXT, {whole("id_offset")},
        {moment("opened_ts_ns", "opened_timestamp")}, {key("accounts")}, {once("accounts", "name")},
        {once("accounts", "id_offset")}
        """,
        "STRICT",
    ),
    "runs": (
        f"""
        {whole("id", "account_id")},
        {text("kind", "status", "strategy", "parameters", "risk_hash", "data_fingerprint", "exit_style", "settings")},
        {moment("started_ts_ns", "started_timestamp")}, {moment("finished_ts_ns", "finished_timestamp", "")},
        final_step INTEGER, final_hash BLOB, {key("runs")},
        {exists("runs", "account_id accounts", "kind run_kinds", "status run_statuses", "exit_style exit_styles")}
        """,
        "STRICT",
    ),
    "instruments": (
        f"""
        {whole("account_id", "instrument_id")}, {text("symbol", "asset_class", "calendar", "lot", "ticks")},
        {key("instruments", "account_id, instrument_id")},
        {exists("instruments", "account_id accounts", "asset_class asset_classes")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "instrument_symbols": (
        f"""
        {whole("account_id", "instrument_id")}, {text("symbol")}, {moment("valid_from_ts_ns", "valid_from")},
        {moment("valid_until_ts_ns", "valid_until", "")},
        {key("instrument_symbols", "account_id, instrument_id, valid_from_ts_ns")},
        {exists("instrument_symbols", "account_id+instrument_id instruments", "account_id accounts")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "strategies": (
        f"""
        {whole("account_id")}, {text("strategy_id", "import_string", "parameters")},
        {key("strategies", "account_id, strategy_id")}, {exists("strategies", "account_id accounts")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "inputs": (
        f"""
        {whole("id", "account_id")}, {text("kind")}, {whole("venue_ts_ns")},
        {moment("received_ts_ns", "timestamp")}, payload TEXT, hash BLOB NOT NULL, {key("inputs")},
        {exists("inputs", "account_id accounts", "kind input_kinds")}
        """,
        "STRICT",
    ),
    "operator_requests": (
        f"""
        {whole("id", "account_id")}, {text("kind")}, strategy_id TEXT, instrument_id INTEGER,
        {text("reason", "requested_by")}, {moment("requested_ts_ns", "timestamp")}, taken_step_id INTEGER,
        {key("operator_requests")},
        {exists("operator_requests", "account_id accounts", "kind request_kinds", "taken_step_id inputs")}
        """,
        "STRICT",
    ),
    "bars": (
        f"""
        {whole("account_id", "step_id", "instrument_id")}, {moment("start_ts_ns", "timestamp")},
        {real("open", "high", "low", "close", "volume", "vwap")}, {text("session_kind")},
        step_position INTEGER DEFAULT 0 NOT NULL, tick_count INTEGER, quote_count INTEGER,
        revision INTEGER DEFAULT 0 NOT NULL, complete INTEGER DEFAULT 1 NOT NULL, bid_open REAL, bid_high REAL,
        bid_low REAL, bid_close REAL, ask_open REAL, ask_high REAL, ask_low REAL, ask_close REAL,
        {key("bars", "account_id, instrument_id, start_ts_ns, revision")},
        {exists("bars", "account_id+instrument_id instruments", "step_id inputs", "session_kind session_kinds")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "gaps": (
        f"""
        {whole("id", "account_id", "step_id", "instrument_id")}, {moment("from_ts_ns", "from_timestamp")},
        {moment("until_ts_ns", "until_timestamp")}, {text("reason")}, {key("gaps")},
        {exists("gaps", "account_id+instrument_id instruments", "step_id inputs")}
        """,
        "STRICT",
    ),
    "refused_inputs": (
        f"""
        {whole("id", "account_id", "step_id", "instrument_id")}, {text("reason")}, {whole("count")},
        {moment("ts_ns", "timestamp")}, {key("refused_inputs")},
        {exists("refused_inputs", "account_id+instrument_id instruments", "step_id inputs")}
        """,
        "STRICT",
    ),
    "signals": (
        f"""
        {whole("id", "account_id", "step_id")}, {text("strategy_id")}, {whole("instrument_id")},
        {text("symbol", "kind", "side", "order_type")}, limit_price REAL, stop_distance REAL, target_distance REAL,
        {text("reason", "indicator_values")}, {moment("bar_start_ts_ns", "bar_timestamp")},
        {moment("ts_ns", "timestamp")}, {key("signals")},
        {exists("signals", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("signals", "step_id inputs", "kind signal_kinds", "side sides", "order_type order_types")}
        """,
        "STRICT",
    ),
    "decisions": (
        f"""
        {whole("id", "account_id", "step_id")}, signal_id INTEGER, {text("strategy_id")}, {whole("instrument_id")},
        {text("symbol", "leg", "side", "order_type")}, {amount("quantity")}, {whole("approved")},
        {text("reason", "checks")}, {moment("ts_ns", "timestamp")}, {key("decisions")},
        {exists("decisions", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("decisions", "step_id inputs", "signal_id signals", "leg legs", "side sides")},
        {exists("decisions", "order_type order_types")}
        """,
        "STRICT",
    ),
    "brackets": (
        f"""
        {whole("id", "account_id", "step_id")}, {text("strategy_id")}, {whole("instrument_id")}, {text("symbol")},
        signal_id INTEGER, {text("exit_style")}, stop_distance TEXT, target_distance TEXT,
        {moment("opened_ts_ns", "opened_timestamp")}, {whole("version")}, {text("state", "exit_reason")},
        {amount("entered_quantity")}, {amount("exited_quantity")},
        {moment("deadline_ts_ns", "deadline_timestamp", "")}, {moment("updated_ts_ns", "updated_timestamp")},
        {key("brackets")},
        {exists("brackets", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("brackets", "step_id inputs", "signal_id signals", "exit_style exit_styles")},
        {exists("brackets", "state bracket_states")}
        """,
        "STRICT",
    ),
    "bracket_events": (
        f"""
        {whole("id", "account_id", "step_id", "bracket_id", "version")},
        {text("from_state", "to_state", "trigger", "exit_reason")}, {amount("entered_quantity")},
        {amount("exited_quantity")}, {moment("deadline_ts_ns", "deadline_timestamp", "")},
        {moment("ts_ns", "timestamp")}, {key("bracket_events")}, {once("bracket_events", "bracket_id", "version")},
        {exists("bracket_events", "account_id accounts", "step_id inputs", "bracket_id brackets")},
        {exists("bracket_events", "from_state bracket_states", "to_state bracket_states")},
        {exists("bracket_events", "trigger bracket_triggers")}
        """,
        "STRICT",
    ),
    "orders": (
        f"""
        {whole("id", "account_id", "step_id")}, {text("client_order_id", "strategy_id")}, {whole("instrument_id")},
        {text("symbol")}, {whole("bracket_id", "decision_id")}, {text("leg", "side", "order_type")},
        {amount("quantity")}, {price("limit_price", "")}, {price("stop_price", "")}, {text("time_in_force")},
        link TEXT, {price("reference_price")}, {moment("submit_ts_ns", "submit_timestamp")}, {whole("version")},
        {text("status")}, {amount("filled_quantity")}, {whole("cancel_requested")}, venue_order_id TEXT,
        {moment("fill_ts_ns", "fill_timestamp", "")}, {moment("updated_ts_ns", "updated_timestamp")},
        {key("orders")}, {once("orders", "account_id", "client_order_id")},
        {exists("orders", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("orders", "step_id inputs", "bracket_id brackets", "decision_id decisions", "leg legs")},
        {exists("orders", "side sides", "order_type order_types", "time_in_force times_in_force")},
        {exists("orders", "status order_states")}
        """,
        "STRICT",
    ),
    "order_events": (
        f"""
        {whole("id", "account_id", "step_id", "order_id", "version")},
        {text("from_state", "to_state", "trigger", "source", "reason")}, {amount("filled_quantity")},
        {whole("cancel_requested")}, venue_order_id TEXT, {moment("venue_ts_ns", "venue_timestamp")},
        {moment("ts_ns", "timestamp")}, {key("order_events")}, {once("order_events", "order_id", "version")},
        {exists("order_events", "account_id accounts", "step_id inputs", "order_id orders")},
        {exists("order_events", "from_state order_states", "to_state order_states", "trigger order_triggers")},
        {exists("order_events", "source report_sources")}
        """,
        "STRICT",
    ),
    "commands": (
        f"""
        {whole("id", "account_id", "step_id")}, {text("kind", "client_order_id", "payload")},
        {moment("decided_ts_ns", "timestamp")}, {key("commands")},
        {exists("commands", "account_id+client_order_id orders", "account_id accounts", "step_id inputs")},
        {exists("commands", "kind command_kinds")}
        """,
        "STRICT",
    ),
    "trades": (
        f"""
        {whole("id", "account_id", "step_id", "order_id", "bracket_id")}, {text("execution_id", "strategy_id")},
        {whole("instrument_id")}, {text("symbol", "leg", "side")}, {price("price")}, {amount("quantity")},
        {amount("value")}, {amount("fee")}, {amount("realized_pnl")}, {whole("is_bust")},
        {moment("venue_ts_ns", "timestamp")}, {moment("ts_ns", "booked_timestamp")}, {key("trades")},
        {once("trades", "account_id", "execution_id", "is_bust")},
        {exists("trades", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("trades", "step_id inputs", "order_id orders", "bracket_id brackets", "leg legs", "side sides")}
        """,
        "STRICT",
    ),
    "positions": (
        f"""
        {whole("account_id", "step_id")}, {text("strategy_id")}, {whole("instrument_id")}, {text("symbol")},
        {amount("quantity")}, {amount("cost")}, {amount("realized_pnl")}, {moment("ts_ns", "timestamp")},
        average_entry_price REAL GENERATED ALWAYS AS (cost_e8 * 1.0 / nullif(quantity_e8, 0)) VIRTUAL,
        {key("positions", "account_id, strategy_id, instrument_id")},
        {exists("positions", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("positions", "step_id inputs")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "position_adjustments": (
        f"""
        {whole("id", "account_id", "step_id")}, {text("strategy_id")}, {whole("instrument_id")},
        {text("symbol", "kind")}, {amount("quantity")}, {amount("cost")}, {text("source")},
        {moment("settlement_ts_ns", "settlement_timestamp")}, {moment("ts_ns", "timestamp")},
        {key("position_adjustments")}, {exists("position_adjustments", "account_id+instrument_id instruments")},
        {exists("position_adjustments", "account_id+strategy_id strategies", "step_id inputs")},
        {exists("position_adjustments", "kind adjustment_kinds")}
        """,
        "STRICT",
    ),
    "cash_movements": (
        f"""
        {whole("id", "account_id", "step_id")}, {amount("amount")}, {text("kind", "source")},
        {moment("settlement_ts_ns", "settlement_timestamp")}, {moment("ts_ns", "timestamp")},
        {key("cash_movements")},
        {exists("cash_movements", "account_id accounts", "step_id inputs", "kind cash_movement_kinds")}
        """,
        "STRICT",
    ),
    "equity_curve": (
        f"""
        {whole("account_id", "step_id", "step_position")}, {moment("ts_ns", "timestamp")}, {amount("cash")},
        {amount("equity", "portfolio_value")}, {key("equity_curve", "account_id, step_id, step_position")},
        {exists("equity_curve", "account_id accounts", "step_id inputs")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
    "trading_states": (
        f"""
        {whole("id", "account_id", "step_id")}, strategy_id TEXT, instrument_id INTEGER,
        {text("from_state", "to_state", "reason", "source")}, {moment("ts_ns", "timestamp")},
        {key("trading_states")},
        {exists("trading_states", "account_id+instrument_id instruments", "account_id+strategy_id strategies")},
        {exists("trading_states", "account_id accounts", "step_id inputs", "from_state trading_state_names")},
        {exists("trading_states", "to_state trading_state_names")}
        """,
        "STRICT",
    ),
}


def upgrade() -> None:
    for name, words in WORDS.items():
        op.execute(f"CREATE TABLE {name} ({text('name')}, {key(name, 'name')}) WITHOUT ROWID, STRICT")
        for word in words.split():
            op.execute(f"INSERT INTO {name} (name) VALUES ('{word}')")  # noqa: S608 - our own words
    for name, (body, options) in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body}) {options}")
    op.execute("CREATE INDEX trades_by_order_id ON trades (order_id)")
    for name in APPEND_ONLY.split():
        guard(name, "update", "UPDATE", f"{name} is append-only")
        guard(name, "delete", "DELETE", f"{name} is append-only")
    for name, columns in FIXED.items():
        fixed = ", ".join(columns.split())
        guard(name, "update", f"UPDATE OF {fixed}", f"what {name} were decided to be never changes")
        guard(name, "delete", "DELETE", f"{name} are never removed")


def guard(table: str, suffix: str, operation: str, reason: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{suffix} BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, '{reason}'); END"
    )
