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
    return statements


def _guard(table: str, suffix: str, operation: str, reason: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{suffix} BEFORE {operation} ON {table} BEGIN SELECT RAISE(ABORT, '{reason}'); END"
    )
