"""Exact books: revisions of bars, plans of brackets, corporate actions and settlement.

Only additions: new tables, new words, and nullable columns at the end of tables that exist.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

#: Words that columns may hold from here on, by lookup table.
WORDS: dict[str, str] = {}


def upgrade() -> None:
    for name, words in WORDS.items():
        for word in words.split():
            op.execute(f"INSERT INTO {name} (name) VALUES ('{word}')")  # noqa: S608 - our own words
