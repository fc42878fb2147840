"""Making and upgrading databases. Migrations go forward only.

A new file is made from the metadata and stamped, in milliseconds; an older one goes through the migrations. A test
holds that both end in the same tables, constraints, indexes, triggers, views and words.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import insert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from engine.core.errors import BadInput, Bug
from engine.store.connection import explained, open_reader, open_writer, sqlite, transaction
from engine.store.schema import METADATA, SCHEMA_REVISION
from engine.store.triggers import trigger_statements
from engine.store.views import replace_views
from engine.store.vocabulary import VOCABULARY

#: Every revision that this program knows, oldest first.
REVISIONS: Final = ("0001", "0002", SCHEMA_REVISION)

_DIALECT: Final = sqlite_dialect(paramstyle="qmark")
#: As alembic makes it.
_VERSION_TABLE: Final = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def default_path() -> Path:
    """Return the database that is used when none is named: `$RATCHET_DB`, or `ratchet.sqlite` here."""
    return Path(os.environ.get("RATCHET_DB") or "ratchet.sqlite")


def upgrade(path: Path | str) -> str:
    """Make a database, or bring one to this program's schema; return its revision. Keeps every row.

    Raises BadInput for a newer schema, a foreign database or an unwritable place, Retry for a locked file.
    """
    connection = open_writer(path)
    try:
        with explained(path):
            revision = check_revision(connection, path)
            if revision is None:
                _make(connection)
            elif revision != SCHEMA_REVISION:
                _migrate(connection)
    finally:
        connection.close()
    return SCHEMA_REVISION


def open_current_reader(path: Path | str) -> sqlite.Connection:
    """Open a database for reading whose schema is this program's.

    Raises BadInput for a missing, older or newer one, each with its remedy.
    """
    connection = open_reader(path)
    try:
        require_current(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_revision(connection: sqlite.Connection, path: Path | str) -> str | None:
    """Return the revision of a database's schema; None for an empty one.

    Raises BadInput when this program does not know it, or when the tables are not ours.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not names:
        return None
    if "alembic_version" not in names:
        raise BadInput(f"The database {path} is not one of this program (it holds {min(names)}): name another file.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    revision = str(row[0]) if row else ""
    if revision not in REVISIONS:
        raise BadInput(
            f"The database {path} has the schema {revision!r}, newer than {SCHEMA_REVISION} of this program: "
            "install a newer version."
        )
    return revision


def require_current(connection: sqlite.Connection, path: Path | str) -> None:
    """Raise BadInput, with its remedy, unless a database has the schema of this program."""
    with explained(path):
        revision = check_revision(connection, path)
    if revision != SCHEMA_REVISION:
        raise BadInput(
            f"The database {path} has the schema {revision or 'of an empty file'}, this program needs "
            f"{SCHEMA_REVISION}: run `ratchet db upgrade --db {path}`."
        )


def migrate_from_nothing(path: Path | str, *, revision: str = "head") -> None:
    """Make a database by the migrations alone: for comparing with the metadata's, or as an older program made it."""
    connection = open_writer(path)
    try:
        _migrate(connection, revision)
    finally:
        connection.close()


def shape_of(connection: sqlite.Connection) -> dict[str, str]:
    """Return what the rows of a database have to fit: each table's columns and each trigger's text, by its name."""
    shape: dict[str, str] = {}
    for kind, name, text in connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('table', 'trigger') AND sql IS NOT NULL"
    ).fetchall():
        if kind == "trigger":
            shape[f"trigger {name}"] = " ".join(text.split())
        elif not name.startswith("sqlite_"):
            # Without their places: a column that a migration adds stands at the end.
            columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            shape[f"table {name}"] = repr(sorted(row[1:] for row in columns))
    return shape


@cache
def expected_shape(revision: str | None) -> dict[str, str]:
    """Return the shape of a database of a revision, of this program's where it is None."""
    connection = sqlite.connect(":memory:", isolation_level=None)
    try:
        if revision in {None, SCHEMA_REVISION}:
            _make(connection)
        else:
            _migrate(connection, str(revision))
        return shape_of(connection)
    finally:
        connection.close()


def _make(connection: sqlite.Connection) -> None:
    with transaction(connection):
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            # Another process made it between the look and the lock.
            return
        connection.execute(_VERSION_TABLE)
        connection.execute("INSERT INTO alembic_version VALUES (?)", (SCHEMA_REVISION,))
        for table in METADATA.sorted_tables:
            connection.execute(str(CreateTable(table).compile(dialect=_DIALECT)))
            for index in table.indexes:
                connection.execute(str(CreateIndex(index).compile(dialect=_DIALECT)))
        for name, words in VOCABULARY.items():
            statement = str(insert(METADATA.tables[name]).compile(dialect=_DIALECT))
            connection.executemany(statement, [(word,) for word in words])
        for trigger in trigger_statements():
            connection.execute(trigger)
        replace_views(connection)


def _migrate(connection: sqlite.Connection, revision: str = "head") -> None:
    # alembic costs 300 ms to import, and a database is rarely old.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _migrations_folder() -> Path:
    # The wheel carries the folder beside this module; a clone has it at its root.
    here = Path(__file__).resolve().parent
    for folder in (here / "migrations", here.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise Bug(f"The folder of migrations is missing beside {here}: install the program again.")
