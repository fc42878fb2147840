"""Recovery: orders that are not ours, comparisons with the venue, and the lease of the engine that trades.

Only additions: new tables and new words.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

#: Words that columns may hold from here on, by lookup table.
WORDS: dict[str, str] = {
    "input_kinds": "OrderNotListed AccountListed EngineStarted EngineStopping",
    "order_triggers": "sent_again",
    "listed_statuses": "working awaiting_approval filled canceled rejected expired unreadable",
    "comparison_verdicts": "drift equal adopted",
}

#: New tables of words.
VOCABULARIES: tuple[str, ...] = ("listed_statuses", "comparison_verdicts")


def moment(name: str, twin: str) -> str:
    return (
        f"{name} INTEGER NOT NULL, {twin} TEXT GENERATED ALWAYS AS ("
        f"date({name} / 1000000000, 'unixepoch') || 'T' || "
        f"time({name} / 1000000 / 1000.0, 'unixepoch', 'subsec') || 'Z') VIRTUAL"
    )


def amount(name: str) -> str:
    return f"{name}_e8 INTEGER NOT NULL, {name} REAL GENERATED ALWAYS AS ({name}_e8 / 100000000.0) VIRTUAL"


def price(name: str) -> str:
    return f"{name}_e10 INTEGER, {name} REAL GENERATED ALWAYS AS ({name}_e10 / 10000000000.0) VIRTUAL"


def exists(table: str, column: str, other: str, key: str) -> str:
    return f"CONSTRAINT {table}_{column}_exists FOREIGN KEY({column}) REFERENCES {other} ({key})"


def instrument_exists(table: str) -> str:
    return (
        f"CONSTRAINT {table}_account_id_instrument_id_exists FOREIGN KEY(account_id, instrument_id) "
        "REFERENCES instruments (account_id, instrument_id)"
    )


_OWN = "id INTEGER NOT NULL, account_id INTEGER NOT NULL, step_id INTEGER NOT NULL"

#: Table -> what stands between the parentheses, and what follows them.
TABLES: dict[str, tuple[str, str]] = {
    "external_orders": (
        f"""
        {_OWN}, venue_order_id TEXT NOT NULL, instrument_id INTEGER, symbol TEXT NOT NULL, side TEXT NOT NULL,
        order_type TEXT NOT NULL, {amount("quantity")}, {amount("filled_quantity")}, status TEXT NOT NULL,
        {price("limit_price")}, {price("stop_price")}, {moment("created_ts_ns", "created_timestamp")},
        {moment("ts_ns", "timestamp")}, CONSTRAINT external_orders_key PRIMARY KEY (id),
        {instrument_exists("external_orders")}, {exists("external_orders", "account_id", "accounts", "id")},
        {exists("external_orders", "step_id", "inputs", "id")}, {exists("external_orders", "side", "sides", "name")},
        {exists("external_orders", "order_type", "order_types", "name")},
        {exists("external_orders", "status", "listed_statuses", "name")}
        """,
        "STRICT",
    ),
    "position_comparisons": (
        f"""
        {_OWN}, instrument_id INTEGER NOT NULL, symbol TEXT NOT NULL, {amount("booked_quantity")},
        {amount("listed_quantity")}, verdict TEXT NOT NULL, {moment("ts_ns", "timestamp")},
        CONSTRAINT position_comparisons_key PRIMARY KEY (id), {instrument_exists("position_comparisons")},
        {exists("position_comparisons", "step_id", "inputs", "id")},
        {exists("position_comparisons", "verdict", "comparison_verdicts", "name")}
        """,
        "STRICT",
    ),
    "leases": (
        f"""
        account_id INTEGER NOT NULL, epoch INTEGER NOT NULL, owner TEXT NOT NULL,
        {moment("acquired_ts_ns", "acquired_timestamp")}, {moment("renewed_ts_ns", "renewed_timestamp")},
        released INTEGER NOT NULL, CONSTRAINT leases_key PRIMARY KEY (account_id),
        {exists("leases", "account_id", "accounts", "id")}
        """,
        "WITHOUT ROWID, STRICT",
    ),
}

#: New tables whose rows are never changed and never removed.
APPEND_ONLY: tuple[str, ...] = ("external_orders", "position_comparisons")

#: What keeps the lease of an account: one, whose epoch only rises.
LEASES: tuple[str, ...] = (
    (
        "CREATE TRIGGER leases_epoch_rises BEFORE UPDATE ON leases WHEN NEW.epoch < OLD.epoch "
        "OR NEW.account_id <> OLD.account_id BEGIN SELECT RAISE(ABORT, 'the epoch of a lease only rises'); END"
    ),
    (
        "CREATE TRIGGER leases_no_second BEFORE INSERT ON leases WHEN EXISTS (SELECT 1 FROM leases "
        "WHERE account_id = NEW.account_id) BEGIN SELECT RAISE(ABORT, 'an account has one lease'); END"
    ),
    (
        "CREATE TRIGGER leases_no_delete BEFORE DELETE ON leases "
        "BEGIN SELECT RAISE(ABORT, 'leases are never removed'); END"
    ),
)


def upgrade() -> None:
    for name in VOCABULARIES:
        op.execute(
            f"CREATE TABLE {name} (name TEXT NOT NULL, CONSTRAINT {name}_key PRIMARY KEY (name)) WITHOUT ROWID, STRICT"
        )
    for name, (columns, options) in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({columns}) {options}")
    for name in APPEND_ONLY:
        for operation in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{operation} BEFORE {operation.upper()} ON {name} "
                f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
            )
    for trigger in LEASES:
        op.execute(trigger)
    for name, words in WORDS.items():
        for word in words.split():
            op.execute(f"INSERT INTO {name} (name) VALUES ('{word}')")  # noqa: S608 - our own words
