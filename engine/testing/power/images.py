"""What a power cut leaves on a disk: all that was synced, and anything of what was not.

A file's unsynced writes and truncations reach the disk or not, in any order, whole or in some of their 512-byte
sectors; a write whose bytes are lost may still have made the file longer, by zeros. Names are kept by the folder: a
file that was made or removed since the folder was last synced is there or not. A sync that failed made nothing
durable, and a later one does not repair that: what was pending then is lost.

Bytes beside those written are safe (SQLite's "powersafe overwrite", which it assumes of every disk on Unix).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

from engine.testing.power.recorder import Operation, OperationKind

SECTOR_BYTES: Final = 512
#: One of so many writes that reach the disk is torn, and one of so many that do not makes its file longer.
_TORN_IN: Final = 4
_GROWN_IN: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashImage:
    """Hold the files of a disk after a power cut."""

    #: Name of each file -> its bytes.
    files: Mapping[str, bytes]
    #: Unsynced writes that reached the disk in a part of their sectors.
    torn: int
    #: Unsynced operations that did not reach the disk.
    dropped: int

    def write(self, folder: Path) -> None:
        """Make the files in a folder, in place of whatever is there."""
        for path in folder.iterdir():
            path.unlink()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


@dataclass(slots=True, eq=False)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


class Disk:
    """Follow a record, and tell at any point what a power cut may leave."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        """Begin with files that are durable."""
        self._names = {name: _File(bytearray(data)) for name, data in (files or {}).items()}
        self._durable_names = dict(self._names)
        #: Since the last sync of the folder: a name, and the file that it stands for from there on.
        self._renamed: list[tuple[str, _File | None]] = []

    def follow(self, operations: Iterable[Operation]) -> None:
        """Do to this disk what was done to the real one."""
        for operation in operations:
            self._do(operation)

    def whole(self) -> dict[str, bytes]:
        """Return the files as a program sees them now: everything done, synced or not."""
        files = {}
        for name, file in self._names.items():
            data = bytearray(file.durable)
            for operation in file.pending:
                _apply(data, operation)
            files[name] = bytes(data)
        return files

    def cut(self, random: Random) -> CrashImage:
        """Return what a power cut leaves now, by chance."""
        names = self._cut_names(random)
        # Nothing of what was pending, everything, and all between: each has its own bugs.
        reaches = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        files, torn, dropped = {}, 0, 0
        for name, file in sorted(names.items()):
            data, file_torn, file_dropped = _cut_file(file, random, reaches)
            files[name] = data
            torn += file_torn
            dropped += file_dropped
        return CrashImage(files=files, torn=torn, dropped=dropped)

    def _do(self, operation: Operation) -> None:
        kind, name = operation.kind, operation.name
        match kind:
            case OperationKind.CREATE:
                self._names[name] = _File()
                self._renamed.append((name, self._names[name]))
            case OperationKind.DELETE:
                del self._names[name]
                self._renamed.append((name, None))
            case OperationKind.SYNC_FOLDER:
                self._durable_names = dict(self._names)
                self._renamed.clear()
            case OperationKind.WRITE | OperationKind.TRUNCATE:
                self._names[name].pending.append(operation)
            case OperationKind.SYNC:
                file = self._names[name]
                for pending in file.pending:
                    _apply(file.durable, pending)
                file.pending.clear()
            case OperationKind.SYNC_FAILED:
                self._names[name].pending.clear()

    def _cut_names(self, random: Random) -> dict[str, _File]:
        names = dict(self._durable_names)
        # Names are independent of each other; of the changes of one name, the first few are there.
        for name in sorted({name for name, _ in self._renamed}):
            changes = [file for changed, file in self._renamed if changed == name]
            count = random.randrange(len(changes) + 1)
            if count == 0:
                continue
            last = changes[count - 1]
            if last is None:
                names.pop(name, None)
            else:
                names[name] = last
        return names


def _cut_file(file: _File, random: Random, reaches: float) -> tuple[bytes, int, int]:
    data, torn, dropped = bytearray(file.durable), 0, 0
    for operation in random.sample(file.pending, len(file.pending)):
        if random.random() >= reaches:
            dropped += 1
            if operation.kind is OperationKind.WRITE and random.randrange(_GROWN_IN) == 0:
                _grow(data, operation.offset + len(operation.data))
        elif operation.kind is OperationKind.WRITE and random.randrange(_TORN_IN) == 0:
            torn += _tear(data, operation, random)
        else:
            _apply(data, operation)
    return bytes(data), torn, dropped


def _apply(data: bytearray, operation: Operation) -> None:
    if operation.kind is OperationKind.TRUNCATE:
        del data[operation.offset :]
        _grow(data, operation.offset)
        return
    _grow(data, operation.offset)
    data[operation.offset : operation.offset + len(operation.data)] = operation.data


def _grow(data: bytearray, size: int) -> None:
    if size > len(data):
        data.extend(bytes(size - len(data)))


# Keep some sectors of a write: the first few, or any; return whether it is torn.
def _tear(data: bytearray, operation: Operation, random: Random) -> bool:
    start, end = operation.offset, operation.offset + len(operation.data)
    bounds = [start, *range(start - start % SECTOR_BYTES + SECTOR_BYTES, end, SECTOR_BYTES), end]
    parts = list(pairwise(bounds))
    if len(parts) == 1:
        _apply(data, operation)
        return False
    if random.random() < 0.5:
        kept = parts[: random.randrange(1, len(parts))]
    else:
        kept = random.sample(parts, random.randrange(1, len(parts)))
    for first, last in kept:
        _grow(data, first)
        data[first:last] = operation.data[first - start : last - start]
    return True
