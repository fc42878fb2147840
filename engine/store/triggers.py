"""Triggers that keep rows as they were written: journals are append-only, and decided orders stay as decided."""

from __future__ import annotations

from typing import Final

from engine.store.schema import METADATA

#: Tables whose rows are never changed and never removed.
APPEND_ONLY: Final = (
    "inputs",
    "commands",
    "bars",
    "gaps",
    "refused_inputs",
    "signals",
    "decisions",
    "bracket_events",
    "order_events",
    "trades",
    "position_adjustments",
    "cash_movements",
    "equity_curve",
    "trading_states",
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
    "external_orders",
    "position_comparisons",
)
#: Tables whose rows are never removed and of which only these columns change.
STATE_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "brackets": (
        "version",
        "state",
        "exit_reason",
        "entered_quantity_e8",
        "exited_quantity_e8",
        "deadline_ts_ns",
        "updated_ts_ns",
    ),
    "orders": (
        "version",
        "status",
        "filled_quantity_e8",
        "cancel_requested",
        "venue_order_id",
        "fill_ts_ns",
        "updated_ts_ns",
    ),
}


# The symbols that an instrument bears follow from the facts of its changes.
_NEW_SYMBOL: Final = (
    "CREATE TRIGGER symbol_changes_valid AFTER INSERT ON symbol_changes BEGIN "
    "UPDATE instrument_symbols SET valid_until_ts_ns = NEW.valid_from_ts_ns WHERE account_id = NEW.account_id "
    "AND instrument_id = NEW.instrument_id AND valid_until_ts_ns IS NULL; "
    "INSERT INTO instrument_symbols (account_id, instrument_id, symbol, valid_from_ts_ns) "
    "VALUES (NEW.account_id, NEW.instrument_id, NEW.to_symbol, NEW.valid_from_ts_ns); END"
)

# An engine that was taken over must never pass for the newest one, and a lost lease would count from 1 again.
_LEASES: Final = (
    (
        "CREATE TRIGGER leases_epoch_rises BEFORE UPDATE ON leases WHEN NEW.epoch < OLD.epoch "
        "OR NEW.account_id <> OLD.account_id BEGIN SELECT RAISE(ABORT, 'the epoch of a lease only rises'); END"
    ),
    # REPLACE deletes without a word to the trigger of deletes.
    (
        "CREATE TRIGGER leases_no_second BEFORE INSERT ON leases WHEN EXISTS (SELECT 1 FROM leases "
        "WHERE account_id = NEW.account_id) BEGIN SELECT RAISE(ABORT, 'an account has one lease'); END"
    ),
)


def trigger_statements() -> list[str]:
    """Return the CREATE TRIGGER statements that keep rows as they were written (SQLite)."""
    statements = []
    for name in APPEND_ONLY:
        statements.append(_guard(name, "update", "UPDATE", f"{name} is append-only"))
        statements.append(_guard(name, "delete", "DELETE", f"{name} is append-only"))
    for name, changing in STATE_COLUMNS.items():
        fixed = [
            column.name
            for column in METADATA.tables[name].columns
            if column.name not in changing and column.computed is None
        ]
        statements.append(
            _guard(name, "update", f"UPDATE OF {', '.join(fixed)}", f"what {name} were decided to be never changes")
        )
        statements.append(_guard(name, "delete", "DELETE", f"{name} are never removed"))
    statements.append(_NEW_SYMBOL)
    statements += [*_LEASES, _guard("leases", "delete", "DELETE", "leases are never removed")]
    return statements


def _guard(table: str, suffix: str, operation: str, reason: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{suffix} BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, '{reason}'); END"
    )
