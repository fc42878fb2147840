"""Connections: durable writers, readers that only read, and one sentence for whatever is wrong with a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.errors import BadInput, Retry
from engine.store.connection import EngineLock, explained, open_reader, open_writer, sqlite, transaction
from engine.store.migrate import upgrade


def test_a_writer_is_durable_and_strict(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.sqlite")
    settings = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check", "busy_timeout")
    }
    connection.close()
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "busy_timeout": 5000,
    }


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    upgrade(tmp_path / "x.sqlite")
    connection = open_reader(tmp_path / "x.sqlite")
    with pytest.raises(sqlite.OperationalError, match="readonly"):
        connection.execute("INSERT INTO sides VALUES ('short')")
    connection.execute("PRAGMA query_only = OFF")
    with pytest.raises(sqlite.OperationalError, match="readonly"):
        connection.execute("INSERT INTO sides VALUES ('short')")
    connection.close()


def test_a_reader_sees_the_wal_of_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "odd name?&#%.sqlite"
    script = (
        "import os, sys; from engine.store.connection import open_writer; c = open_writer(sys.argv[1]);"
        "c.execute('CREATE TABLE t (x)'); c.execute('INSERT INTO t VALUES (1)'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    connection = open_reader(path)
    assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    connection.close()


def test_a_transaction_is_undone_by_an_error(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.sqlite")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite.OperationalError, match="no such table"), transaction(connection):
        _insert_and_fail(connection)
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
    connection.close()


def _insert_and_fail(connection: sqlite.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("INSERT INTO absent VALUES (1)")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy low, sell high\n" * 100)
    for opener in (open_reader, open_writer):
        with pytest.raises(BadInput, match=r"notes\.txt is not a SQLite database"):
            opener(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no database at .*none.sqlite"):
        open_reader(tmp_path / "none.sqlite")
    with pytest.raises(BadInput, match=r"folder .*nowhere of the database x.sqlite does not exist"):
        open_writer(tmp_path / "nowhere" / "x.sqlite")
    with pytest.raises(BadInput, match="is a folder"):
        open_writer(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BadInput, match="cannot be written"):
            open_writer(tmp_path / "x.sqlite")
    finally:
        tmp_path.chmod(0o700)


def test_a_locked_database_may_be_tried_again(tmp_path: Path) -> None:
    one, other = open_writer(tmp_path / "x.sqlite"), open_writer(tmp_path / "x.sqlite")
    other.execute("PRAGMA busy_timeout = 10")
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match=r"x\.sqlite is locked by another process"), transaction(other):
        pytest.fail("the lock was given twice")
    one.close()
    other.close()


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.sqlite")
    with pytest.raises(sqlite.OperationalError, match="no such table"), explained("x"):
        connection.execute("SELECT * FROM absent")
    connection.close()


def test_a_second_engine_is_kept_away(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with EngineLock(path):
        script = (
            "import sys; from engine.store.connection import EngineLock; from engine.core.errors import Retry\n"
            "try:\n    EngineLock(sys.argv[1]).__enter__()\n"
            "except Retry as error:\n    print(error)"
        )
        second = subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True)
        assert f"Another engine (process {os.getpid()}) works on" in second.stdout
    with EngineLock(path) as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"
