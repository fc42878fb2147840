"""`ratchet sql`: one question to a database, by a connection that can only read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.core.errors import BadInput
from engine.store.connection import explained, open_reader, sqlite

#: Actions of sqlite.org/c3ref/c_alter_table.html that would open another file.
_ATTACH, _DETACH = 24, 25
#: Also a number of `sqlite3.h`; pragmas that describe take a table's name as their value, others are set by it.
_PRAGMA: Final = 19
_DESCRIBING: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """Hold the answer to a query."""

    columns: tuple[str, ...]
    #: Bytes (hashes) as hexadecimal.
    rows: list[tuple[Any, ...]]
    #: True when there were more rows than asked for.
    is_cut: bool


def run_query(path: Path | str, query: str, *, limit: int | None = None) -> QueryResult:
    """Run one reading statement and return its rows, at most `limit`.

    Raises BadInput for a statement that writes, for two statements and for whatever SQLite does not understand.
    """
    if not query.strip():
        raise BadInput("The query is empty: write a SELECT, for example `SELECT * FROM trades`.")
    connection = open_reader(path)
    try:
        connection.set_authorizer(_authorize)
        with explained(path):
            return _run(connection, query, limit=limit)
    finally:
        connection.close()


def tables(path: Path | str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, kind (table or view) and columns of all that a person may ask, views first, then by name."""
    listing = run_query(
        path,
        "SELECT o.type, o.name, group_concat(c.name, ' ') FROM sqlite_schema AS o, pragma_table_xinfo(o.name) AS c "
        "WHERE o.type IN ('table', 'view') AND o.name NOT LIKE 'sqlite_%' AND o.name != 'alembic_version' "
        "GROUP BY o.name ORDER BY o.type DESC, o.name",
    )
    # Tables of words have one column and no news.
    return [(name, kind, tuple(columns.split())) for kind, name, columns in listing.rows if columns != "name"]


def _run(connection: sqlite.Connection, query: str, *, limit: int | None) -> QueryResult:
    try:
        cursor = connection.execute(query)
        rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
    except (sqlite.ProgrammingError, sqlite.Warning) as error:
        raise BadInput(f"The query cannot run ({error}): give one statement without parameters.") from error
    except sqlite.DatabaseError as error:
        raise _refusal(error) from error
    columns = tuple(column[0] for column in cursor.description or ())
    is_cut = limit is not None and len(rows) > limit
    return QueryResult(columns=columns, rows=[_readable(row) for row in rows[:limit]], is_cut=is_cut)


def _readable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # Hashes are the only bytes in the tables; a person compares them as hexadecimal.
    return tuple(value.hex() if isinstance(value, bytes) else value for value in row)


def _refusal(error: sqlite.DatabaseError) -> Exception:
    text = str(error)
    if "readonly" in text or "authoriz" in text or "query_only" in text:
        return BadInput(f"The query would write, and this command only reads ({text}): use SELECT.")
    if isinstance(error, sqlite.OperationalError) and getattr(error, "sqlite_errorcode", 1) == 1:
        return BadInput(f"The query cannot run ({text}): `ratchet sql` without a query lists tables and columns.")
    return error


def _authorize(action: int, name: str | None, value: str | None, *_: object) -> int:
    # A read-only connection could still make another file, or try to change how this one is kept.
    sets = action == _PRAGMA and value is not None and (name or "").lower() not in _DESCRIBING
    return sqlite.SQLITE_DENY if action in (_ATTACH, _DETACH) or sets else sqlite.SQLITE_OK
