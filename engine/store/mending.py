"""After a sync that failed: make a database's log reach the disk before anything is built upon it.

Linux marks the pages of a failed sync clean. The process that met it halts; but the next one reads from memory what
the disk never got, and a sync writes nothing that is clean. Writing the same bytes again makes the pages dirty, so
that they reach the disk at last. What a failed sync of the database file itself left out is written again by the next
checkpoint: the log holds it until such a sync has succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.core.errors import Halt
from engine.store.connection import BUSY_TIMEOUT_SECONDS, explained, sqlite

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskCalls:
    """Hold the calls that reach the disk: those of the system, or ones that are watched."""

    #: Descriptor, bytes, offset -> how many bytes were written.
    write: Callable[[int, bytes, int], int] = os.pwrite
    sync: Callable[[int], None] = os.fsync


_SYSTEM: Final = DiskCalls()


def mend_log(database: Path, calls: DiskCalls = _SYSTEM) -> bool:
    """Write a database's log once more, byte for byte, and sync it and its folder; return False where there is none.

    A log without its file, or with an empty one, is left alone: opening that would delete it.

    To be called under the `EngineLock`, after `check_file`, and before a connection of this process has the file open
    for writing. An operator's request may be written meanwhile without that lock, so SQLite's own lock of writers is
    held. Any SQLite file in WAL mode will do.

    Raises Halt where the disk fails again, Retry where another process is writing.
    """
    log = database.with_name(database.name + "-wal")
    if not all(each.is_file() and each.stat().st_size for each in (database, log)):
        return False
    with explained(database):
        connection = sqlite.connect(os.fspath(database), isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
        try:
            # Nobody adds to the log, or begins it anew, until this is over; what is read of it is only counted.
            connection.execute("BEGIN IMMEDIATE")
            try:
                _write_again(log, calls)
            finally:
                connection.execute("ROLLBACK")
        finally:
            connection.close()
    return True


def _write_again(log: Path, calls: DiskCalls) -> None:
    try:
        _with_descriptor(log, os.O_RDWR, lambda file: _rewrite(file, calls))
        _with_descriptor(log.parent, os.O_RDONLY | os.O_DIRECTORY, calls.sync)
    except OSError as error:
        raise Halt(
            f"The disk failed under {log} ({error.strerror}) when its bytes were to be made durable: check the disk, "
            "then start again; nothing is lost that was acted upon."
        ) from error


def _with_descriptor(path: Path, flags: int, act: Callable[[int], None]) -> None:
    # The locks of SQLite lie on the database and on its shared memory: closing this file drops none of them.
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        act(descriptor)
    finally:
        os.close(descriptor)


def _rewrite(file: int, calls: DiskCalls) -> None:
    offset = 0
    while chunk := os.pread(file, _CHUNK_BYTES, offset):
        done = 0
        while done < len(chunk):
            done += calls.write(file, chunk[done:], offset + done)
        offset += len(chunk)
    calls.sync(file)
