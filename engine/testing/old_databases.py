"""Databases of earlier programs, kept as text: what an upgrade has to keep."""

from __future__ import annotations

import gzip
from pathlib import Path

from engine.store.connection import open_writer


def restore_dump(dump: Path, database: Path) -> Path:
    """Make a database of a gzipped SQL dump (as `.dump` writes it) and return it."""
    connection = open_writer(database)
    try:
        # Rows come table by table: some come before those that they refer to.
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.executescript(gzip.decompress(dump.read_bytes()).decode())
    finally:
        connection.close()
    return database
