"""Databases as accidents leave them: each maker spoils a sound one in its own way, for tests of what refuses them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from engine.store.accounts import open_account
from engine.store.connection import open_writer, sqlite
from engine.store.migrate import upgrade


def beside(database: Path, suffix: str) -> Path:
    """Return a file that SQLite keeps beside a database."""
    return database.with_name(database.name + suffix)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder, without lock files, which hold a number only, and indexes of logs."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith((".lock", "-shm"))
    }


def run_sql(database: Path, *statements: str) -> None:
    """Run statements on a database; foreign keys are not looked at."""
    connection = open_writer(database)
    try:
        connection.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


def killed_with_log(database: Path, change: Callable[[sqlite.Connection], object]) -> None:
    """Change a database and leave it as a kill does: what was committed is in its log only."""
    aside = database.with_name("aside.sqlite")
    shutil.copy(database, aside)
    connection = open_writer(aside)
    try:
        change(connection)
        shutil.copy(beside(aside, "-wal"), beside(database, "-wal"))
        shutil.copy(aside, database)
    finally:
        connection.close()
    for path in (aside, beside(aside, "-wal"), beside(aside, "-shm")):
        path.unlink(missing_ok=True)


def spoil_page(database: Path) -> None:
    """Overwrite the start of most pages of a file."""
    content = bytearray(database.read_bytes())
    for start in range(4096 * 3, len(content), 4096):
        content[start : start + 512] = b"\xff" * 512
    database.write_bytes(content)


def cut_short(database: Path) -> None:
    """Lose the second half of a file."""
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])


def spoil_header(database: Path) -> None:
    """Overwrite the first bytes of a file."""
    database.write_bytes(b"\x00" * 100 + database.read_bytes()[100:])


def make_foreign(database: Path) -> None:
    """Put the database of another program in its place."""
    database.unlink()
    run_sql(database, "CREATE TABLE recipes (name TEXT)")


def make_newer(database: Path) -> None:
    """State a schema that no program knows yet."""
    run_sql(database, "UPDATE alembic_version SET version_num = '9999'")


def half_migrate(database: Path) -> None:
    """State the former schema over the tables of this one."""
    run_sql(database, "UPDATE alembic_version SET version_num = '0002'")


def drop_trigger(database: Path) -> None:
    """Remove what keeps the journal as it was written."""
    run_sql(database, "DROP TRIGGER inputs_no_update")


def drop_column(database: Path) -> None:
    """Lack a column."""
    run_sql(database, "ALTER TABLE operator_requests DROP COLUMN requested_by")


def unstamp(database: Path) -> None:
    """State no schema at all."""
    run_sql(database, "DELETE FROM alembic_version")


def drop_stamp(database: Path) -> None:
    """Lack the table that states the schema."""
    run_sql(database, "DROP TABLE alembic_version")


def stamp_twice(database: Path) -> None:
    """State two schemas."""
    run_sql(database, "INSERT INTO alembic_version VALUES ('0002')")


def leave_journal(database: Path) -> None:
    """Put the journal of another database beside it: SQLite would roll it back."""
    magic = bytes.fromhex("d9d505f920a163d7")
    beside(database, "-journal").write_bytes(magic + bytes(504))


def leave_foreign_log(database: Path) -> None:
    """Put the log of another account beside it."""
    other = database.with_name("other.sqlite")
    upgrade(other)
    killed_with_log(other, lambda connection: open_account(connection, "other", namespace=UUID(int=7), opened_ts_ns=1))
    beside(other, "-wal").rename(beside(database, "-wal"))
    other.unlink()


def lose_file(database: Path) -> None:
    """Lose the file and keep its log."""
    killed_with_log(database, lambda connection: connection.execute("UPDATE accounts SET opened_ts_ns = 2"))
    database.unlink()


def empty_file(database: Path) -> None:
    """Empty the file and keep its log."""
    lose_file(database)
    database.touch()


#: Name -> how to spoil a sound database, what the refusal says, and its exit code.
BAD_DATABASES: Final[dict[str, tuple[Callable[[Path], None], str, int]]] = {
    "page": (spoil_page, "is damaged", 3),
    "cut": (cut_short, "is damaged", 3),
    "header": (spoil_header, "is not a SQLite database: name another file", 2),
    "foreign": (make_foreign, "is not one of this program", 2),
    "newer": (make_newer, "install a newer version", 2),
    "half": (half_migrate, "half-migrated", 3),
    "trigger": (drop_trigger, "half-migrated (its trigger inputs_no_update", 3),
    "column": (drop_column, "half-migrated (its table operator_requests", 3),
    "unstamped": (unstamp, "half-migrated", 3),
    "stampless": (drop_stamp, "half-migrated", 3),
    "stamped twice": (stamp_twice, "half-migrated", 3),
    "journal": (leave_journal, "-journal away", 3),
    "log": (leave_foreign_log, "-wal away", 3),
    "lost": (lose_file, "put the database back", 3),
    "emptied": (empty_file, "put the database back", 3),
}
