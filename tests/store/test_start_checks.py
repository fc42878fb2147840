"""Before an engine opens a database for writing: what is refused, in one sentence, with every file as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import BadInput, EngineError, Halt
from engine.store.connection import open_writer
from engine.store.lease import release_lease, take_lease
from engine.store.migrate import REVISIONS
from engine.store.start_checks import FREE_BYTES_MIN, check_file, check_place
from engine.store.writer import SqliteJournal
from engine.testing.bad_databases import BAD_DATABASES, beside, files_of, killed_with_log, leave_journal, run_sql
from engine.testing.old_databases import restore_dump

DUMPS = Path(__file__).parent / "data"


@pytest.fixture
def sound(make_store: Callable[..., Any], history: Any) -> Path:
    """Return a database with a history, closed."""
    store = make_store("mine.sqlite")
    store.write(history[:-5])
    store.connection.close()
    path: Path = store.path
    assert set(files_of(path.parent)) == {"mine.sqlite"}
    return path


def _refusal(check: Callable[..., None], *arguments: Any, **options: Any) -> EngineError:
    with pytest.raises(EngineError) as refused:
        check(*arguments, **options)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return refused.value


def test_a_sound_database_and_a_missing_one_are_let_through(sound: Path) -> None:
    before = files_of(sound.parent)
    check_place(sound)
    check_file(sound, now_ts_ns=0)
    check_file(sound.with_name("new.sqlite"))
    (sound.parent / "empty.sqlite").touch()
    check_file(sound.with_name("empty.sqlite"))
    assert files_of(sound.parent) == before | {"empty.sqlite": b""}
    assert not beside(sound, "-shm").exists()


@pytest.mark.parametrize("name", BAD_DATABASES)
def test_a_bad_database_is_refused_and_kept(sound: Path, name: str) -> None:
    spoil, said, code = BAD_DATABASES[name]
    spoil(sound)
    before = files_of(sound.parent)
    refused = _refusal(check_file, sound)
    assert said in str(refused)
    assert str(sound) in str(refused)
    assert refused.exit_code == code
    assert files_of(sound.parent) == before


@pytest.mark.parametrize("dump", ["schema_0001", "schema_0001_paper", "schema_0002", "schema_0002_paper"])
def test_older_schemas_are_what_they_say(tmp_path: Path, dump: str) -> None:
    database = restore_dump(DUMPS / f"{dump}.sql.gz", tmp_path / "old.sqlite")
    before = files_of(tmp_path)
    check_file(database)
    assert files_of(tmp_path) == before
    for revision in REVISIONS:
        if revision in dump:
            continue
        run_sql(database, f"UPDATE alembic_version SET version_num = '{revision}'")
        assert "half-migrated" in str(_refusal(check_file, database))


# --- the log -------------------------------------------------------------------------------------------------------


def _go_on(history: Any, store: Any, first: int, last: int) -> Callable[[Any], None]:
    def change(connection: Any) -> None:
        journal = SqliteJournal(connection, store.account)
        assert journal.step_count == first
        for event, step in history[first:last]:
            journal.append(event, step)
            journal.commit()

    return change


def _written(path: Path, change: Callable[[Any], None]) -> None:
    connection = open_writer(path)
    change(connection)
    connection.close()


@pytest.fixture
def store(make_store: Callable[..., Any], history: Any) -> Any:
    """Return an account with the first ten steps of the history, closed."""
    store = make_store("mine.sqlite")
    store.write(history[:10])
    store.connection.close()
    return store


def test_the_log_of_a_killed_engine_is_its_own(store: Any, history: Any) -> None:
    killed_with_log(store.path, _go_on(history, store, 10, 14))
    before = files_of(store.path.parent)
    assert beside(store.path, "-wal").stat().st_size
    check_file(store.path)
    assert files_of(store.path.parent) == before


def test_an_account_that_is_in_the_log_only_is_let_through(tmp_path: Path, make_store: Callable[..., Any]) -> None:
    store = make_store("open.sqlite")
    for suffix in ("", "-wal"):
        shutil.copy(beside(store.path, suffix), beside(tmp_path / "killed.sqlite", suffix))
    check_file(tmp_path / "killed.sqlite")


def test_the_log_of_an_older_copy_is_refused(store: Any, history: Any) -> None:
    # The log was left by a kill; the file was then put back from a backup of a later moment.
    path = store.path
    killed_with_log(path, _go_on(history, store, 10, 12))
    log = beside(path, "-wal").read_bytes()
    _written(path, _go_on(history, store, 12, 20))
    assert not beside(path, "-wal").exists()
    beside(path, "-wal").write_bytes(log)
    before = files_of(path.parent)
    refused = _refusal(check_file, path)
    assert isinstance(refused, Halt)
    assert "-wal away" in str(refused)
    assert files_of(path.parent) == before


def test_the_log_of_a_newer_copy_is_refused(store: Any, history: Any) -> None:
    # A backup was put back under the log of the file that it replaces.
    path = store.path
    backup = path.read_bytes()
    _written(path, _go_on(history, store, 10, 20))
    killed_with_log(path, _go_on(history, store, 20, 24))
    path.write_bytes(backup)
    before = files_of(path.parent)
    assert "-wal away" in str(_refusal(check_file, path))
    assert files_of(path.parent) == before


def test_a_journal_of_a_file_that_holds_nothing_is_undone_by_sqlite(tmp_path: Path) -> None:
    run_sql(tmp_path / "new.sqlite")
    leave_journal(tmp_path / "new.sqlite")
    check_file(tmp_path / "new.sqlite")


# --- the last run --------------------------------------------------------------------------------------------------


def test_references_are_checked_where_the_last_run_did_not_end_in_order(
    make_store: Callable[..., Any], history: Any
) -> None:
    store = make_store("mine.sqlite")
    store.write(history)
    lease = take_lease(store.connection, 1, owner="a", now_ts_ns=1)
    store.connection.execute("PRAGMA foreign_keys=OFF")
    store.rows("DELETE FROM instrument_symbols")
    store.rows("DELETE FROM instruments")
    before = files_of(store.path.parent)
    assert "refers to a row of instruments" in str(_refusal(check_file, store.path))
    assert files_of(store.path.parent) == before
    release_lease(store.connection, lease, now_ts_ns=1)
    check_file(store.path)


def test_a_clock_behind_the_last_engine_is_refused(make_store: Callable[..., Any]) -> None:
    store = make_store("mine.sqlite")
    take_lease(store.connection, 1, owner="a", now_ts_ns=100_000_000_000)
    refused = _refusal(check_file, store.path, now_ts_ns=39_999_999_999)
    assert isinstance(refused, BadInput)
    assert "1970-01-01 00:00:39 UTC" in str(refused)
    assert "1970-01-01 00:01:40 UTC" in str(refused)
    check_file(store.path, now_ts_ns=40_000_000_000)


# --- the place -----------------------------------------------------------------------------------------------------


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    real = os.path.realpath(tmp_path)
    mounts = f"1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:9 / {real} rw - nfs4 server:/x rw\n"
    refused = _refusal(check_place, tmp_path / "x.sqlite", mountinfo=mounts)
    assert isinstance(refused, BadInput)
    assert "nfs4" in str(refused)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert "nfs4" in str(_refusal(check_place, tmp_path / "link" / "x.sqlite", mountinfo=mounts))
    check_place(tmp_path / "x.sqlite", mountinfo=mounts.splitlines()[0])


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    refused = _refusal(check_place, tmp_path / "x.sqlite", free_bytes=FREE_BYTES_MIN - 1)
    assert isinstance(refused, Halt)
    assert "free space" in str(refused)
    check_place(tmp_path / "x.sqlite", free_bytes=FREE_BYTES_MIN)


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in str(_refusal(check_place, tmp_path / "no" / "x.sqlite"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, suffix: str) -> None:
    path = beside(tmp_path / "x.sqlite", suffix)
    path.touch()
    path.chmod(0o444)
    assert "cannot be written" in str(_refusal(check_place, tmp_path / "x.sqlite"))
