"""Databases that earlier schemas wrote: an upgrade keeps every row and every proof."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.store.check import check_database
from engine.store.connection import open_reader, sqlite
from engine.store.migrate import upgrade
from engine.store.schema import SCHEMA_REVISION
from engine.store.triggers import trigger_statements
from engine.store.views import VIEWS
from engine.testing.old_databases import restore_dump

DUMPS = Path(__file__).parent / "data"


@pytest.fixture(params=["schema_0001", "schema_0001_paper", "schema_0002", "schema_0002_paper"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Restore two finished backtests in one file, or a paper account that stopped while it held shares, by schema."""
    return restore_dump(DUMPS / f"{request.param}.sql.gz", tmp_path / "old.sqlite")


def _read(database: Path, read: Any) -> Any:
    connection = open_reader(database)
    try:
        return read(connection)
    finally:
        connection.close()


def _columns(connection: sqlite.Connection) -> dict[str, list[str]]:
    # Those that hold something: twins are hidden ones (2 and 3 of `table_xinfo`).
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'alembic_version'")
    return {
        name: [row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})") if not row[6]]
        for (name,) in tables.fetchall()
    }


def _rows(connection: sqlite.Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    rows = {}
    for name, names in columns.items():
        listed = ", ".join(f'"{column}"' for column in names)
        rows[name] = connection.execute(f"SELECT {listed} FROM {name} ORDER BY {listed}").fetchall()
    return rows


def _objects(connection: sqlite.Connection) -> dict[str, str]:
    return {
        f"{kind} {name}": re.sub(r"\s+", " ", re.sub(r"\s*([(),])\s*", r"\1", sql)).strip()
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    }


def test_an_upgrade_keeps_every_row(old: Path) -> None:
    columns = _read(old, _columns)
    before = _read(old, lambda connection: _rows(connection, columns))
    assert len(before["inputs"]) > 400
    assert before["trades"]
    assert upgrade(old) == SCHEMA_REVISION
    after = _read(old, lambda connection: _rows(connection, columns))
    words = {name for name, names in columns.items() if names == ["name"]}
    assert {name: set(rows) - set(after[name]) for name, rows in before.items() if name in words} == {
        name: set() for name in words
    }
    for name in columns.keys() - words:
        assert after[name] == before[name], name


def test_an_upgraded_database_is_made_like_a_fresh_one(old: Path, tmp_path: Path) -> None:
    upgrade(old)
    upgrade(tmp_path / "fresh.sqlite")
    upgraded, fresh = _read(old, _objects), _read(tmp_path / "fresh.sqlite", _objects)
    assert {name for name in upgraded.keys() | fresh.keys() if upgraded.get(name) != fresh.get(name)} == set()


def test_the_journal_and_the_books_of_an_upgraded_database_hold(old: Path) -> None:
    ends = _read(old, lambda connection: connection.execute("SELECT hex(final_hash) FROM runs").fetchall())
    upgrade(old)
    report = check_database(old)
    assert report.findings == ()
    assert {digest.upper() for digest in report.journal_hashes.values()} <= {digest for (digest,) in ends}


def test_the_triggers_of_an_upgraded_database_refuse(old: Path) -> None:
    upgrade(old)
    present = _read(old, _objects)
    assert len(trigger_statements()) == sum(name.startswith("trigger ") for name in present)


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_read_an_upgraded_database(old: Path, view: str) -> None:
    upgrade(old)
    rows = _read(old, lambda connection: connection.execute(f"SELECT * FROM {view}").fetchall())
    assert rows or view in {
        "v_open_risk",
        "v_vetoes",
        "v_realized_lots",
        "document_b_positions",
        "document_c_positions",
    }
