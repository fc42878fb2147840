"""Marks: what a database held at the moment when something was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from engine.store.connection import sqlite


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Hold what a database holds, short enough to compare thousands of times."""

    #: Of the schema; "" for a file without tables.
    revision: str
    #: Name of each table and its number of rows, in the order of names.
    rows: tuple[tuple[str, int], ...]
    #: Journaled steps of all accounts.
    steps: int
    #: The hash of the newest step, in hexadecimal; "" before the first.
    journal_hash: str
    #: Digest of the stored hashes of all steps.
    chain: str


#: A file without tables, or no file.
EMPTY: Final = State(revision="", rows=(), steps=0, journal_hash="", chain=sha256().hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Hold an acknowledgement: a call returned, so that what it did has to be there after any later power cut."""

    #: Operations that had been done when the call returned.
    position: int
    #: What was acknowledged, in words.
    what: str
    state: State


def read_state(connection: sqlite.Connection) -> State:
    """Read what a database holds."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    names = [name for (name,) in connection.execute(query)]
    if not names:
        return EMPTY
    # One statement: hundreds of small ones would cost more than all else here.
    counted = ", ".join(f"(SELECT count(*) FROM {name})" for name in names)
    counts = connection.execute(f"SELECT {counted}").fetchone()
    (revision,) = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    hashes = [digest for (digest,) in connection.execute("SELECT hash FROM inputs ORDER BY id")]
    return State(
        revision=revision or "",
        rows=tuple(zip(names, counts, strict=True)),
        steps=len(hashes),
        journal_hash=hashes[-1].hex() if hashes else "",
        chain=sha256(b"".join(hashes)).hexdigest(),
    )
