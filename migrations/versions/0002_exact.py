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
}


def moment(name: str, twin: str, null: str = " NOT NULL") -> str:
    return (
        f"{name} INTEGER{null}, {twin} TEXT GENERATED ALWAYS AS ("
        f"date({name} / 1000000000, 'unixepoch') || 'T' || "
        f"time({name} / 1000000 / 1000.0, 'unixepoch', 'subsec') || 'Z') VIRTUAL"
    )


#: Table -> columns at its end.
COLUMNS: dict[str, tuple[str, ...]] = {
    "signals": ("terms TEXT",),
    "strategies": ("rule TEXT",),
    "trades": tuple(moment("settlement_ts_ns", "settlement_timestamp", "").split(", ", 1)),
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
}

#: New tables whose rows are never changed and never removed.
APPEND_ONLY: tuple[str, ...] = ("bracket_plans",)


def upgrade() -> None:
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
    for name, words in WORDS.items():
        for word in words.split():
            op.execute(f"INSERT INTO {name} (name) VALUES ('{word}')")  # noqa: S608 - our own words
