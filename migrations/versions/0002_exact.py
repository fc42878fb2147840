"""Exact books: revisions of bars, plans of brackets, corporate actions and settlement.

Only additions: new tables, new words, and nullable columns at the end of tables that exist.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

#: Words that columns may hold from here on, by lookup table.
WORDS: dict[str, str] = {
    "signal_kinds": "scale_in scale_out move_stop",
    "cash_movement_kinds": "cash_in_lieu",
    "adjustment_kinds": "cash_in_lieu suspense bust",
    "suspense_kinds": "oversold unmatched",
    "bracket_triggers": "target_reached target_decided stop_moved part_wanted swap_failed swap_goes_on",
    "input_kinds": (
        "CashCorrected PositionCorrected LotsChosen ShareSplit DividendDeclared SymbolRenamed "
        "InstrumentStatus HealthReported TickCorrected TickCanceled"
    ),
    "breaker_kinds": "daily_loss drawdown consecutive_losses error_rate repeated_executions",
    "breaker_states": "ARMED TRIPPED",
    "breaker_triggers": "limit_reached reset session_began",
}


def moment(name: str, twin: str, null: str = " NOT NULL") -> str:
    return (
        f"{name} INTEGER{null}, {twin} TEXT GENERATED ALWAYS AS ("
        f"date({name} / 1000000000, 'unixepoch') || 'T' || "
        f"time({name} / 1000000 / 1000.0, 'unixepoch', 'subsec') || 'Z') VIRTUAL"
    )


def amount(name: str, null: str = " NOT NULL") -> str:
    return f"{name}_e8 INTEGER{null}, {name} REAL GENERATED ALWAYS AS ({name}_e8 / 100000000.0) VIRTUAL"


def price(name: str, null: str = " NOT NULL") -> str:
    return f"{name}_e10 INTEGER{null}, {name} REAL GENERATED ALWAYS AS ({name}_e10 / 10000000000.0) VIRTUAL"


def key(table: str) -> str:
    return f"CONSTRAINT {table}_key PRIMARY KEY (id)"


def exists(table: str, *references: str) -> str:
    # Each reference reads `column[+column] other key[+key]`.
    return ", ".join(_exists(table, *reference.split()) for reference in references)


def _exists(table: str, columns: str, other: str, keys: str) -> str:
    names = columns.split("+")
    return (
        f"CONSTRAINT {table}_{'_'.join(names)}_exists FOREIGN KEY({', '.join(names)}) "
        f"REFERENCES {other} ({', '.join(keys.split('+'))})"
    )


_STEP = "step_id inputs id"
_ACCOUNT = "account_id accounts id"
_INSTRUMENT = "account_id+instrument_id instruments account_id+instrument_id"
_STRATEGY = "account_id+strategy_id strategies account_id+strategy_id"
_OWN = "id INTEGER NOT NULL, account_id INTEGER NOT NULL, step_id INTEGER NOT NULL"
_OF = "strategy_id TEXT NOT NULL, instrument_id INTEGER NOT NULL, symbol TEXT NOT NULL"


#: Table -> columns at its end.
COLUMNS: dict[str, tuple[str, ...]] = {
    "signals": ("terms TEXT",),
    "strategies": ("rule TEXT",),
    "trades": tuple(moment("settlement_ts_ns", "settlement_timestamp", "").split(", ", 1)),
    "position_adjustments": (*amount("realized_pnl", "").split(", ", 1), "ratio TEXT"),
    "cash_movements": ("strategy_id TEXT", "instrument_id INTEGER"),
}


#: Table -> what stands between the parentheses. All of them are STRICT.
TABLES: dict[str, str] = {
    "bracket_plans": f"""
        id INTEGER NOT NULL, account_id INTEGER NOT NULL, step_id INTEGER NOT NULL, bracket_id INTEGER NOT NULL,
        targets TEXT, stop_limit_offset TEXT, trail_distance TEXT, trail_step TEXT, break_even_distance TEXT,
        hold_ns_max INTEGER, {moment("ts_ns", "timestamp")},
        CONSTRAINT bracket_plans_key PRIMARY KEY (id),
        CONSTRAINT bracket_plans_bracket_id_once UNIQUE (bracket_id),
        CONSTRAINT bracket_plans_step_id_exists FOREIGN KEY(step_id) REFERENCES inputs (id),
        CONSTRAINT bracket_plans_bracket_id_exists FOREIGN KEY(bracket_id) REFERENCES brackets (id)
    """,
    "refused_signals": f"""
        {_OWN}, signal_id INTEGER NOT NULL, reason TEXT NOT NULL, {moment("ts_ns", "timestamp")},
        {key("refused_signals")}, CONSTRAINT refused_signals_signal_id_once UNIQUE (signal_id),
        {exists("refused_signals", _STEP, "signal_id signals id")}
    """,
    "lot_closures": f"""
        {_OWN}, {_OF}, opening_trade_id INTEGER, opening_adjustment_id INTEGER, closing_trade_id INTEGER,
        closing_adjustment_id INTEGER, {amount("quantity")}, {amount("cost")}, {amount("proceeds")},
        {amount("realized_pnl")}, {moment("opened_ts_ns", "opened_timestamp")},
        {moment("closed_ts_ns", "closed_timestamp")}, holding_days INTEGER NOT NULL, is_reversal INTEGER NOT NULL,
        {moment("ts_ns", "timestamp")}, {key("lot_closures")},
        {
        exists(
            "lot_closures",
            _INSTRUMENT,
            _STRATEGY,
            _STEP,
            "opening_trade_id trades id",
            "opening_adjustment_id position_adjustments id",
            "closing_trade_id trades id",
            "closing_adjustment_id position_adjustments id",
        )
    }
    """,
    "trade_fees": f"""
        {_OWN}, trade_id INTEGER NOT NULL, kind TEXT NOT NULL, {amount("amount")}, {moment("ts_ns", "timestamp")},
        {key("trade_fees")}, {exists("trade_fees", _ACCOUNT, _STEP, "trade_id trades id")}
    """,
    "suspense": f"""
        {_OWN}, kind TEXT NOT NULL, execution_id TEXT NOT NULL, client_order_id TEXT, strategy_id TEXT,
        instrument_id INTEGER, symbol TEXT NOT NULL, side TEXT, price_e10 INTEGER NOT NULL,
        price REAL GENERATED ALWAYS AS (price_e10 / 10000000000.0) VIRTUAL, {amount("quantity")}, {amount("value")},
        reason TEXT NOT NULL, {moment("ts_ns", "timestamp")}, {key("suspense")},
        {exists("suspense", _INSTRUMENT, _STRATEGY, _ACCOUNT, _STEP, "kind suspense_kinds name")}
    """,
    "symbol_changes": f"""
        {_OWN}, instrument_id INTEGER NOT NULL, from_symbol TEXT NOT NULL, to_symbol TEXT NOT NULL,
        source TEXT NOT NULL, {moment("valid_from_ts_ns", "valid_from")}, {moment("ts_ns", "timestamp")},
        {key("symbol_changes")}, {exists("symbol_changes", _INSTRUMENT, _STEP)}
    """,
    "good_faith_violations": f"""
        {_OWN}, trade_id INTEGER NOT NULL, opening_trade_id INTEGER NOT NULL, {_OF}, {amount("quantity")},
        {moment("paid_ts_ns", "paid_timestamp")}, {moment("ts_ns", "timestamp")}, {key("good_faith_violations")},
        {
        exists(
            "good_faith_violations", _INSTRUMENT, _STRATEGY, _STEP, "trade_id trades id", "opening_trade_id trades id"
        )
    }
    """,
    "breaker_events": f"""
        {_OWN}, breaker TEXT NOT NULL,
        strategy_id TEXT, instrument_id INTEGER, from_state TEXT NOT NULL, to_state TEXT NOT NULL,
        trigger TEXT NOT NULL, value TEXT NOT NULL, limit_value TEXT NOT NULL, reason TEXT NOT NULL,
        source TEXT NOT NULL, {moment("ts_ns", "timestamp")},
        {key("breaker_events")},
        {exists("breaker_events", _INSTRUMENT, _STRATEGY, _STEP, "breaker breaker_kinds name")},
        {exists("breaker_events", "from_state breaker_states name", "to_state breaker_states name")},
        {exists("breaker_events", "trigger breaker_triggers name")}
    """,
    "instrument_statuses": f"""
        {_OWN}, instrument_id INTEGER NOT NULL,
        halted INTEGER NOT NULL, reason TEXT NOT NULL, {price("lower_price", "")}, {price("upper_price", "")},
        {moment("ts_ns", "timestamp")},
        {key("instrument_statuses")}, {exists("instrument_statuses", _INSTRUMENT, _STEP)}
    """,
    "decision_quotes": f"""
        {_OWN}, instrument_id INTEGER NOT NULL,
        bid REAL NOT NULL, ask REAL NOT NULL, {moment("venue_ts_ns", "venue_timestamp")},
        {moment("received_ts_ns", "timestamp")},
        {key("decision_quotes")}, {exists("decision_quotes", _INSTRUMENT, _STEP)}
    """,
}

#: New tables of words.
VOCABULARIES: tuple[str, ...] = ("suspense_kinds", "breaker_kinds", "breaker_states", "breaker_triggers")

#: What keeps the symbols of instruments in step with their changes.
NEW_SYMBOL = (
    "CREATE TRIGGER symbol_changes_valid AFTER INSERT ON symbol_changes BEGIN "
    "UPDATE instrument_symbols SET valid_until_ts_ns = NEW.valid_from_ts_ns WHERE account_id = NEW.account_id "
    "AND instrument_id = NEW.instrument_id AND valid_until_ts_ns IS NULL; "
    "INSERT INTO instrument_symbols (account_id, instrument_id, symbol, valid_from_ts_ns) "
    "VALUES (NEW.account_id, NEW.instrument_id, NEW.to_symbol, NEW.valid_from_ts_ns); END"
)

#: New tables whose rows are never changed and never removed.
APPEND_ONLY: tuple[str, ...] = (
    "bracket_plans",
    "lot_closures",
    "trade_fees",
    "suspense",
    "symbol_changes",
    "good_faith_violations",
    "breaker_events",
    "instrument_statuses",
    "decision_quotes",
    "refused_signals",
)


def upgrade() -> None:
    for name in VOCABULARIES:
        op.execute(
            f"CREATE TABLE {name} (name TEXT NOT NULL, CONSTRAINT {name}_key PRIMARY KEY (name)) WITHOUT ROWID, STRICT"
        )
    for name, columns in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({columns}) STRICT")
    for name, added in COLUMNS.items():
        for column in added:
            op.execute(f"ALTER TABLE {name} ADD COLUMN {column}")
    for name in APPEND_ONLY:
        for operation in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{operation} BEFORE {operation.upper()} ON {name} "
                f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
            )
    op.execute(NEW_SYMBOL)
    for name, words in WORDS.items():
        for word in words.split():
            op.execute(f"INSERT INTO {name} (name) VALUES ('{word}')")  # noqa: S608 - our own words
