"""Connections to the one SQLite of the process, and the lock that keeps a second engine away.

`pysqlite3` is the only SQLite library here: two copies of SQLite in one process cancel each other's file locks, and
releases before 3.51.3 can lose a commit when a WAL is reset. The settings are those of
`sqlite.org/pragma.html`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from engine.core.errors import BadInput, EngineError, Halt, Retry

if TYPE_CHECKING:
    # pysqlite3 ships no types: the standard library describes the same interface, and is never imported to run.
    import sqlite3 as sqlite
else:
    from pysqlite3 import dbapi2 as sqlite

__all__ = [
    "EngineLock",
    "check_folder",
    "empty_log",
    "explained",
    "open_reader",
    "open_writer",
    "path_of",
    "sqlite",
    "transaction",
]

#: Older releases have a race between a WAL reset and a commit (sqlite.org/wal.html, fixed in 3.51.3).
SQLITE_VERSION_MIN: Final = (3, 51, 3)
BUSY_TIMEOUT_SECONDS: Final = 5.0

_LOCKED: Final = (Retry, "The database {path} is locked by another process: stop that one, or try again.")
_NOT_WRITABLE: Final = (
    BadInput,
    "The database {path} cannot be written: change its permissions or name another file.",
)
#: Primary result codes of a disk that fails and of one that is full, and bytes without which it is full.
_FAILED: Final = 10
_FULL: Final = 13
_ROOM_BYTES: Final = 64 * 1024
#: What each primary result code (sqlite.org/rescode.html) means for the caller.
_EXPLANATIONS: Final[dict[int, tuple[type[EngineError], str]]] = {
    5: _LOCKED,
    6: _LOCKED,
    8: _NOT_WRITABLE,
    _FAILED: (Halt, "The disk failed under {path} ({error}): check the disk, then run `ratchet db check`."),
    11: (Halt, "The database {path} is damaged ({error}): keep the file and restore a backup."),
    _FULL: (Halt, "The disk that holds {path} is full: free space and start again; nothing committed is lost."),
    14: (BadInput, "The database {path} cannot be opened: check that its folder exists and can be written."),
    26: (BadInput, "The file {path} is not a SQLite database: name another file with --db."),
}

_WRITER_PRAGMAS: Final = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "cell_size_check=ON",
)


@cache
def check_sqlite_version() -> None:
    """Refuse to work with a SQLite that has the WAL race; raises Halt."""
    if sqlite.sqlite_version_info < SQLITE_VERSION_MIN:
        wanted = ".".join(map(str, SQLITE_VERSION_MIN))
        raise Halt(f"SQLite {sqlite.sqlite_version} can lose commits: install pysqlite3 with SQLite {wanted} or newer.")


def open_writer(path: Path | str) -> sqlite.Connection:
    """Open a database for writing, and make the file when it is missing.

    Transactions are explicit (`transaction`); each commit is durable (WAL, `synchronous=FULL`). One connection of a
    process writes, under an `EngineLock`.

    Raises BadInput for a folder that cannot be written or a file that is no database, Retry for a locked one.
    """
    check_sqlite_version()
    path = Path(path)
    check_folder(path)
    with explained(path):
        connection = sqlite.connect(os.fspath(path), isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
        try:
            # The first statement that reads the file: whatever is wrong with it is said here.
            connection.execute("PRAGMA journal_mode=WAL")
            for pragma in _WRITER_PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path | str) -> sqlite.Connection:
    """Open a database for reading only; it may be written by another process meanwhile.

    Raises BadInput for a missing file or one that is no database, Retry for a locked one.
    """
    check_sqlite_version()
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no database at {path}: name another file, or make it with `ratchet db upgrade`.")
    with explained(path):
        connection = sqlite.connect(
            f"file:{quote(os.fspath(path.absolute()))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_SECONDS,
        )
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def transaction(connection: sqlite.Connection) -> Iterator[sqlite.Connection]:
    """Hold one writing transaction: committed at the end, rolled back by an exception.

    It begins IMMEDIATE: a transaction that reads first and writes later fails at once when another one wrote.
    """
    with explained(path_of(connection)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # After SQLITE_FULL the transaction is gone already, and a second ROLLBACK would hide the reason.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Turn errors of the database file into one sentence: BadInput, Retry or Halt. Others pass unchanged."""
    try:
        yield
    except sqlite.DatabaseError as error:
        sentence = _explanation(error, path)
        if sentence is None:
            raise
        raise sentence from error


def _explanation(error: sqlite.DatabaseError, path: Path | str) -> EngineError | None:
    code = _primary_code(error)
    # Where not even the shared memory of the log fits, SQLite calls a full disk a failing one, without saying more.
    known = _EXPLANATIONS.get(_FULL if code == _FAILED and _has_no_room(path) else code)
    if known is None:
        return None
    kind, sentence = known
    return kind(sentence.format(path=path, error=error))


def _has_no_room(path: Path | str) -> bool:
    room = os.statvfs(Path(path).parent)
    return room.f_bavail * room.f_frsize < _ROOM_BYTES


def _primary_code(error: sqlite.DatabaseError) -> int:
    # Extended codes (which kind of busy, which kind of I/O error) carry the primary one in their low byte.
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def check_folder(path: Path) -> None:
    """Raise BadInput unless a database can be made or written at a path, as far as names and permissions say."""
    folder = path.parent
    if path.is_dir():
        raise BadInput(f"The database path {path} is a folder: name a file in it.")
    if not folder.is_dir():
        raise BadInput(f"The folder {folder} of the database {path.name} does not exist: make it or name another.")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise BadInput(f"The database {path} cannot be written: change its permissions or name another file.")


def empty_log(connection: sqlite.Connection) -> bool:
    """Move the log into the file and cut it to nothing; return False where a reader or writer was in the way.

    Waits for them as long as any statement does. Raises Halt where the disk fails.
    """
    with explained(path_of(connection)):
        (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def path_of(connection: sqlite.Connection) -> str:
    """Return the file that a connection works on."""
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


class EngineLock:
    """Keep a second engine away from a database, by a lock on `FILE.lock` that ends with the process.

    The lock file stays: removing it would let two engines lock two files of one name. It holds the owner's pid.

    Raises Retry, with that pid, when another engine holds it; BadInput when the file cannot be made, Halt when its
    disk is full.
    """

    def __init__(self, path: Path | str) -> None:
        self._database = Path(path)
        self.path = self._database.with_name(self._database.name + ".lock")
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        check_folder(self._database)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BadInput(
                f"The lock {self.path} cannot be made: change its permissions or move the database."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Retry(
                f"Another engine (process {owner}) works on {self._database}: stop it or name another database."
            ) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise Halt(
                f"The lock {self.path} cannot be written ({error.strerror}): free space on its disk and start again."
            ) from error
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            # Closing the descriptor releases the lock.
            os.close(self._descriptor)
            self._descriptor = None
