"""What has to hold before an engine opens a database for writing; each check refuses in one sentence, writing nothing.

A file is read with care here. Opening it for writing would already act: SQLite rolls back a journal that lies beside
it, takes the pages of any log that does, and deletes the log of an empty file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.core.errors import BadInput, EngineError, Halt, Retry
from engine.store.connection import check_folder, check_sqlite_version, explained, sqlite
from engine.store.lease import check_clock
from engine.store.mending import mend_log
from engine.store.migrate import check_revision, expected_shape, shape_of, upgrade
from engine.store.mounts import NETWORK_FILE_SYSTEMS, file_system_of
from engine.store.schema import IDS_PER_ACCOUNT

#: Less free space than this is a full disk: a log may grow by some MiB before it is moved into the file.
FREE_BYTES_MIN: Final = 8 * 1024 * 1024

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_BYTES: Final = 108
_MOUNTS: Final = Path("/proc/self/mountinfo")


def check_place(database: Path, *, mountinfo: str | None = None, free_bytes: int | None = None) -> None:
    """Check where a database lies, before its lock is made: folder, permissions, file system, free space.

    `mountinfo` and `free_bytes` stand for what the machine says. Raises BadInput for a place that has to be another,
    Halt for a full disk.
    """
    check_folder(database)
    for suffix in ("-wal", "-shm", ".lock"):
        beside = _beside(database, suffix)
        if beside.exists() and not os.access(beside, os.W_OK):
            raise BadInput(f"The file {beside} cannot be written: change its permissions or name another database.")
    folder = os.path.realpath(database.parent)
    if mountinfo is None and _MOUNTS.is_file():
        mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    kind = file_system_of(mountinfo or "", folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise BadInput(
            f"The database {database} is on a file system of the kind {kind}, whose locks do not keep a second engine "
            "away: name a file on a local disk with --db."
        )
    if free_bytes is None:
        space = os.statvfs(folder)
        free_bytes = space.f_bavail * space.f_frsize
    if free_bytes < FREE_BYTES_MIN:
        raise Halt(
            f"The disk that holds {database} has {free_bytes} bytes free and an engine needs {FREE_BYTES_MIN}: free "
            "space and start again."
        )


def check_file(database: Path, *, now_ts_ns: int | None = None) -> None:
    """Check a database file and what lies beside it, under its lock and before this process has opened it.

    Its bytes are read directly, and closing them would drop the locks of an open connection of this process. Everything
    is checked in full where the last run did not end in order. With `now_ts_ns` (wall time, ns UTC) the clock is held
    against the leases.

    Raises BadInput for a file that is not ours or newer, or a wrong clock; Halt for one that a human has to look at;
    Retry where another process writes it.
    """
    check_sqlite_version()
    log = _beside(database, "-wal")
    has_log = _size(log) > 0
    if not _size(database):
        if has_log:
            raise Halt(
                f"The database {database} is missing or empty and its log {log} is not: put the database back, or move "
                "the log away to begin anew."
            )
        return
    header = _header(database)
    if not header.startswith(_MAGIC):
        raise BadInput(f"The file {database} is not a SQLite database: name another file with --db.")
    journal = _beside(database, "-journal")
    if _size(journal) and not _holds_nothing(header, _size(database)):
        raise Halt(
            f"The file {journal} would be rolled back into {database}, and no engine leaves one: move {journal} away "
            "and start again."
        )
    with _stable(database):
        if has_log:
            _check_with_log(database, log, now_ts_ns)
        else:
            with _opened(database, alone=True) as connection:
                _check_content(connection, database)
                _check_last_run(connection, database, now_ts_ns)


def make_ready(database: Path) -> str:
    """Check a database, mend its log and bring it to this program's schema; return its revision.

    To be called under the `EngineLock`. Raises what its three parts raise; the file is kept then.
    """
    check_file(database)
    mend_log(database)
    return upgrade(database)


# --- the file and its log ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    name: str
    namespace: str
    id_offset: int


def _check_with_log(database: Path, log: Path, now_ts_ns: int | None) -> None:
    # The file as it is with its log is what an engine would see. The file alone proves nothing bad: a kill while the
    # log is moved into it leaves it half done. But what it shows must be in the other view too.
    with _opened(database, alone=False) as connection:
        try:
            _check_content(connection, database)
        except (Halt, BadInput) as error:
            if _is_sound_alone(database):
                raise _not_its_log(database, log, "together they are no sound database") from error
            raise
        with _opened(database, alone=True) as base:
            try:
                _check_content(base, database)
                difference = _difference(base, connection)
            except (EngineError, sqlite.DatabaseError):
                difference = None
        if difference is not None:
            raise _not_its_log(database, log, difference)
        _check_last_run(connection, database, now_ts_ns)


def _is_sound_alone(database: Path) -> bool:
    try:
        with _opened(database, alone=True) as base:
            return _check_content(base, database) is not None
    except EngineError:
        return False


def _not_its_log(database: Path, log: Path, reason: str) -> Halt:
    return Halt(
        f"The log {log} is not that of the database {database} ({reason}): move {log} away, or put back the database "
        "that it belongs to."
    )


def _difference(base: sqlite.Connection, whole: sqlite.Connection) -> str | None:
    # Steps are only ever added, so the file's last one is in the view through its own log; and none is left out.
    known = _accounts(whole)
    for account_id, account in _accounts(base).items():
        if known.get(account_id) != account:
            return f"the account {account.name} of the file is not in it"
        step = _last_step(base, account)
        if step is not None:
            same = whole.execute("SELECT hash FROM inputs WHERE id = ?", (step[0],)).fetchone()
            if same is None or same[0] != step[1]:
                return f"step {step[0] - account.id_offset} of the account {account.name} is not in it"
    for account in known.values():
        step = _last_step(whole, account)
        count = whole.execute(
            "SELECT count(*) FROM inputs WHERE id > ? AND id <= ?",
            (account.id_offset, account.id_offset + IDS_PER_ACCOUNT),
        ).fetchone()[0]
        if step is not None and step[0] - account.id_offset != count:
            return f"steps of the account {account.name} are missing between the two"
    return None


def _accounts(connection: sqlite.Connection) -> dict[int, _Account]:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'accounts'").fetchone() is None:
        return {}
    return {
        row[0]: _Account(name=row[1], namespace=row[2], id_offset=row[3])
        for row in connection.execute("SELECT id, name, namespace, id_offset FROM accounts")
    }


def _last_step(connection: sqlite.Connection, account: _Account) -> tuple[int, bytes] | None:
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT id, hash FROM inputs WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
        (account.id_offset, account.id_offset + IDS_PER_ACCOUNT),
    ).fetchone()
    return row


# --- what is in it -------------------------------------------------------------------------------------------------


def _check_content(connection: sqlite.Connection, database: Path) -> str | None:
    # Pages first: what a damaged one says proves nothing. None stands for a database without tables.
    with explained(database):
        _check_pages(connection, database, "quick_check")
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        versions = []
        if "alembic_version" in names:
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        if len(versions) != 1 and {"accounts", "inputs", "runs"} <= names:
            raise _half_migrated(database, f"it states {len(versions) or 'no'} schema versions, not one")
        if "alembic_version" in names and not versions:
            raise _half_migrated(database, "it states no schema version")
        revision = check_revision(connection, database)
        if revision is None:
            return None
        expected, newest = expected_shape(revision), expected_shape(None)
        present = shape_of(connection)
        for name in sorted(newest.keys() | expected.keys()):
            if present.get(name) != expected.get(name):
                raise _half_migrated(database, f"its {name} is not that of the schema {revision}, which it states")
        return revision


def _half_migrated(database: Path, reason: str) -> Halt:
    return Halt(f"The database {database} is half-migrated ({reason}): keep the file and restore a backup.")


def _check_pages(connection: sqlite.Connection, database: Path, check: str) -> None:
    found = next((row[0] for row in connection.execute(f"PRAGMA {check}") if row[0] != "ok"), None)
    if found is not None:
        reason = " ".join(str(found).split())
        raise Halt(f"The database {database} is damaged ({reason}): keep the file and restore a backup.")


def _check_last_run(connection: sqlite.Connection, database: Path, now_ts_ns: int | None) -> None:
    with explained(database):
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if "runs" not in names:
            return
        renewed_ts_ns, is_held = None, None
        if "leases" in names:
            renewed_ts_ns, is_held = connection.execute(
                "SELECT max(renewed_ts_ns), max(released = 0) FROM leases"
            ).fetchone()
        if now_ts_ns is not None and renewed_ts_ns is not None:
            check_clock(database, renewed_ts_ns=renewed_ts_ns, now_ts_ns=now_ts_ns)
        if not is_held and connection.execute("SELECT 1 FROM runs WHERE status = 'running'").fetchone() is None:
            return
        _check_pages(connection, database, "integrity_check")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise Halt(
                f"The database {database} is damaged ({broken[0]} row {broken[1]} refers to a row of {broken[2]} that "
                "does not exist): keep the file and restore a backup."
            )


# --- reading without a trace ---------------------------------------------------------------------------------------


@contextmanager
def _opened(database: Path, *, alone: bool) -> Iterator[sqlite.Connection]:
    # Alone: as if nothing lay beside it, and without locks.
    options = "mode=ro&immutable=1" if alone else "mode=ro"
    with explained(database):
        connection = sqlite.connect(
            f"file:{quote(os.fspath(database.absolute()))}?{options}", uri=True, isolation_level=None
        )
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            # One snapshot for all checks.
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()


@contextmanager
def _stable(database: Path) -> Iterator[None]:
    # An operator's request is written without the engine's lock: a file that changed meanwhile proves nothing.
    before = _stamp(database)
    try:
        yield
    except (Halt, BadInput) as error:
        if _stamp(database) != before:
            raise Retry(f"The database {database} was written while it was checked: try again.") from error
        raise


def _stamp(database: Path) -> tuple[int, int]:
    stat = database.stat()
    return stat.st_mtime_ns, stat.st_size


def _header(database: Path) -> bytes:
    try:
        with database.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise BadInput(
            f"The database {database} cannot be read ({error.strerror}): change its permissions or name another file."
        ) from error


def _holds_nothing(header: bytes, size: int) -> bool:
    # One page without a cell: a process was killed while it made the file, and SQLite may undo that.
    return size <= 65_536 and int.from_bytes(header[28:32], "big") <= 1 and not int.from_bytes(header[103:105], "big")


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
