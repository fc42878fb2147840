"""A recorder: every write, truncation, sync, creation and removal of files that SQLite makes, in their order.

    with Recorder(folder) as recorder:
        connection = open_writer(folder / "a.sqlite")   # the engine's own code, the real library, real files
        ...
        recorder.fail(Fault(kind=FaultKind.FULL, at=3))  # the fourth write from here finds no space

The recording is the same bytes each time: what the library takes from chance is seeded while it is watched. The
`-shm` file is shared memory and not part of a record: it does not outlive a power cut.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from engine.store.mending import DiskCalls
from engine.testing.power.native import OK, Go, GoWrite, shim


class OperationKind(Enum):
    """Name what was done to a file, or to the names of the folder."""

    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_FAILED = "sync_failed"
    DELETE = "delete"
    SYNC_FOLDER = "sync_folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Hold one thing that was done."""

    kind: OperationKind
    #: The file, without its folder; "" for the folder itself.
    name: str
    #: Where a write begins, or the size in bytes that a truncation leaves.
    offset: int = 0
    data: bytes = b""


class FaultKind(Enum):
    """Name what goes wrong with a call."""

    #: There is no space: nothing is written.
    FULL = "full"
    #: There is space for half of a write.
    SHORT = "short"
    WRITE_ERROR = "write_error"
    READ_ERROR = "read_error"
    #: The sync fails, and the system forgets what it should have written: Linux marks such pages clean.
    SYNC_ERROR = "sync_error"


#: Which calls a fault strikes, and what the library's own file layer answers then (sqlite.org/rescode.html).
_STRIKES: Final = {
    FaultKind.FULL: ("write", 13),
    FaultKind.SHORT: ("write", 13),
    FaultKind.WRITE_ERROR: ("write", 778),
    FaultKind.READ_ERROR: ("read", 266),
    FaultKind.SYNC_ERROR: ("sync", 1034),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Hold a fault: the `at`-th call of its kind from its arming on (the first is 0) fails, or all from there on."""

    kind: FaultKind
    at: int
    lasts: bool = False


class Recorder:
    """Record what SQLite does to the files of one folder, and let chosen calls fail. One records at a time."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self._folder = os.path.realpath(folder)
        self._seed = seed
        #: Everything that was done, oldest first.
        self.operations: list[Operation] = []
        #: Calls since the last fault was armed, by what they do (`read`, `write`, `sync`): the points for faults.
        self.calls: Counter[str] = Counter()
        self._names: dict[int, str] = {}
        self._fault: Fault | None = None

    @property
    def position(self) -> int:
        """Return how many operations there are: what is acknowledged now was done by these."""
        return len(self.operations)

    def fail(self, fault: Fault | None) -> None:
        """Arm a fault, or none: the disk works again; calls are counted anew."""
        self._fault = fault
        self.calls.clear()

    def __enter__(self) -> Self:
        shim().watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shim().leave()

    # --- what the shim shows -------------------------------------------------------------------------------

    def opened(self, path: str, file: int, *, is_new: bool) -> None:
        """Note an opened file, and whether it was made."""
        name = self._name(path)
        # Memory of a closed file is used again for another one.
        self._names.pop(file, None)
        if name is not None:
            self._names[file] = name
            if is_new:
                self._note(OperationKind.CREATE, name)

    def read(self, file: int, go_on: Go) -> int:
        """Let a file be read, unless a fault strikes."""
        return self._struck(file, "read") or go_on()

    def write(self, file: int, data: bytes, offset: int, go_on: GoWrite) -> int:
        """Let bytes be written, or, by a fault, none or half of them."""
        code = self._struck(file, "write")
        if code != OK:
            if self._fault is None or self._fault.kind is not FaultKind.SHORT:
                return code
            data = data[: len(data) // 2]
        failed = go_on(len(data))
        if failed == OK and file in self._names:
            self._note(OperationKind.WRITE, self._names[file], offset, data)
        return code or failed

    def truncate(self, file: int, size: int, go_on: Go) -> int:
        """Let a file be cut."""
        code = go_on()
        if code == OK and file in self._names:
            self._note(OperationKind.TRUNCATE, self._names[file], size)
        return code

    def sync(self, file: int, go_on: Go) -> int:
        """Let a file be made durable, unless a fault strikes."""
        code = self._struck(file, "sync")
        if code != OK:
            self._note(OperationKind.SYNC_FAILED, self._names[file])
            return code
        # A new journal's folder is synced within this call, after the file.
        place = self.position
        code = go_on()
        if file in self._names:
            kind = OperationKind.SYNC if code == OK else OperationKind.SYNC_FAILED
            self.operations.insert(place, Operation(kind=kind, name=self._names[file]))
        return code

    def delete(self, path: str, go_on: Go) -> int:
        """Let a file be removed."""
        place, name = self.position, self._name(path)
        code = go_on()
        if code == OK and name is not None:
            self.operations.insert(place, Operation(kind=OperationKind.DELETE, name=name))
        return code

    def folder_synced(self) -> None:
        """Note that the names of the folder are durable."""
        self._note(OperationKind.SYNC_FOLDER, "")

    def chance(self, count: int) -> bytes:
        """Return bytes that depend on the seed only."""
        return Random(self._seed).randbytes(count)

    # --- what the engine does to files without the library -----------------------------------------------------

    def disk_calls(self) -> DiskCalls:
        """Return the system's calls for code that writes a file itself: recorded, and struck by faults, as all else."""
        return DiskCalls(write=self._direct_write, sync=self._direct_sync)

    def _direct_write(self, descriptor: int, data: bytes, offset: int) -> int:
        done = os.pwrite(descriptor, data, offset)
        self._note(OperationKind.WRITE, _name_of(descriptor), offset, data[:done])
        return done

    def _direct_sync(self, descriptor: int) -> None:
        path = _path_of(descriptor)
        if path == self._folder:
            os.fsync(descriptor)
            self._note(OperationKind.SYNC_FOLDER, "")
            return
        if self._is_due("sync"):
            self._note(OperationKind.SYNC_FAILED, _name_of(descriptor))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)
        self._note(OperationKind.SYNC, _name_of(descriptor))

    def _note(self, kind: OperationKind, name: str, offset: int = 0, data: bytes = b"") -> None:
        self.operations.append(Operation(kind=kind, name=name, offset=offset, data=data))

    def _name(self, path: str) -> str | None:
        folder, name = os.path.split(path)
        return name if os.path.realpath(folder) == self._folder else None

    def _struck(self, file: int, call: str) -> int:
        if file not in self._names:
            return OK
        return _STRIKES[self._fault.kind][1] if self._is_due(call) and self._fault is not None else OK

    def _is_due(self, call: str) -> bool:
        number = self.calls[call]
        self.calls[call] += 1
        fault = self._fault
        if fault is None or _STRIKES[fault.kind][0] != call:
            return False
        return number >= fault.at if fault.lasts else number == fault.at


def _path_of(descriptor: int) -> str:
    return os.path.realpath(f"/proc/self/fd/{descriptor}")


def _name_of(descriptor: int) -> str:
    return Path(_path_of(descriptor)).name
