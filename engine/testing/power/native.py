"""The one SQLite of the process, reached by ctypes: a VFS that stands between the library and the real files.

The module of `pysqlite3` carries SQLite and exports its C interface, so what runs here is the library in use and not
another build of it. The shim hands a file that it opens to the default VFS of the system and then exchanges, in that
file, the table of its methods for a copy in which reading, writing, truncating and syncing come here first; all other
methods (locks, shared memory) stay the library's own. Layouts are those of sqlite.org/c3ref/vfs.html and
sqlite.org/c3ref/io_methods.html, version 3.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import CDLL, c_char_p, c_int, c_int64, c_void_p
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from pysqlite3 import _sqlite3

if TYPE_CHECKING:
    from _ctypes import CFuncPtr

OK: Final = 0

_NEEDED: Final = (
    "sqlite3_initialize",
    "sqlite3_vfs_find",
    "sqlite3_vfs_register",
    "sqlite3_vfs_unregister",
    "sqlite3_randomness",
)

_OPEN: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_RANDOMNESS: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
_SET_CALL: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
_GET_CALL: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_char_p)
_OPEN_FOLDER: Final = ctypes.CFUNCTYPE(c_int, c_char_p, c_void_p)
_TRANSFER: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)


def _pointers(names: str) -> list[tuple[str, type[c_void_p]]]:
    return [(name, c_void_p) for name in names.split()]


class _Methods(ctypes.Structure):
    _fields_: ClassVar = [
        ("version", c_int),
        *_pointers("close read write truncate sync file_size lock unlock check_reserved_lock file_control"),
        *_pointers("sector_size device_characteristics shm_map shm_lock shm_barrier shm_unmap fetch unfetch"),
    ]


class _Vfs(ctypes.Structure):
    _fields_: ClassVar = [
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("application_data", c_void_p),
        *_pointers("open delete access full_pathname dl_open dl_error dl_symbol dl_close randomness sleep"),
        *_pointers("current_time last_error current_time_ms set_system_call get_system_call next_system_call"),
    ]


class _File(ctypes.Structure):
    _fields_: ClassVar = [("methods", c_void_p)]


#: Do the real thing; returns SQLite's result code.
Go = Callable[[], int]
#: Write the first so many bytes for real; returns SQLite's result code.
GoWrite = Callable[[int], int]


class Watcher(Protocol):
    """See what the library does to files, do it by calling `go_on`, and return SQLite's result code."""

    def opened(self, path: str, file: int, *, is_new: bool) -> None:
        """Note that a file was opened; `file` stands for it from here on."""

    def read(self, file: int, go_on: Go) -> int:
        """Let a file be read."""

    def write(self, file: int, data: bytes, offset: int, go_on: GoWrite) -> int:
        """Let bytes be written; `go_on(count)` writes the first `count` of them."""

    def truncate(self, file: int, size: int, go_on: Go) -> int:
        """Let a file be cut to a size in bytes."""

    def sync(self, file: int, go_on: Go) -> int:
        """Let a file be made durable."""

    def delete(self, path: str, go_on: Go) -> int:
        """Let a file be removed."""

    def folder_synced(self) -> None:
        """Note that the names of the folder are made durable."""

    def chance(self, count: int) -> bytes:
        """Return the bytes that seed the library's own random numbers."""


@cache
def unavailable_because() -> str:
    """Return one sentence that says why nothing can be recorded here; "" where it can."""
    try:
        library = CDLL(_sqlite3.__file__)
    except OSError as error:
        return f"The library of pysqlite3 cannot be loaded a second time ({error}): power loss cannot be simulated."
    missing = [name for name in _NEEDED if not hasattr(library, name)]
    if missing:
        return (
            f"This build of pysqlite3 does not export {', '.join(missing)}: power loss cannot be simulated with it; "
            "the wheels of PyPI can."
        )
    vfs = _Vfs.from_address(_declared(library).sqlite3_vfs_find(None))
    if vfs.version < 3 or not vfs.set_system_call:
        return "The file system layer of this SQLite is not the one of Unix: power loss cannot be simulated with it."
    return ""


def is_available() -> bool:
    """Return whether what the library writes can be recorded here."""
    return not unavailable_because()


@cache
def shim() -> Shim:
    """Return the shim of the process; files that it opened may outlive any recording."""
    return Shim()


class Shim:
    """Stand between SQLite and its files; while a watcher watches, connections that open are opened through here."""

    def __init__(self) -> None:
        self._library = _declared(CDLL(_sqlite3.__file__))
        self._library.sqlite3_initialize()
        self._below_address = self._library.sqlite3_vfs_find(None)
        below = self._below = _Vfs.from_address(self._below_address)
        self._watcher: Watcher | None = None
        # The library keeps pointers to all of these: they have to live as long as it does.
        self._vfs = _Vfs.from_buffer_copy(below)
        self._vfs.name = b"ratchet-recorder"
        self._open_below, self._delete_below = _OPEN(below.open), _DELETE(below.delete)
        self._get_call, self._set_call = _GET_CALL(below.get_system_call), _SET_CALL(below.set_system_call)
        self._callbacks: list[CFuncPtr] = [_OPEN(self._open), _DELETE(self._delete), _RANDOMNESS(self._randomness)]
        self._vfs.open, self._vfs.delete, self._vfs.randomness = map(_address, self._callbacks)
        self._open_folder_below = _OPEN_FOLDER(self._get_call(self._below_address, b"openDirectory"))
        self._open_folder_here = _OPEN_FOLDER(self._open_folder)
        self._methods: dict[int, _Methods] = {}

    def watch(self, watcher: Watcher) -> None:
        """Show everything that happens to files to a watcher; raises RuntimeError while another one watches."""
        if self._watcher is not None:
            raise RuntimeError("One recording runs already: end it first.")
        self._watcher = watcher
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        self._set_call(self._below_address, b"openDirectory", _address(self._open_folder_here))
        # The library drops its state of chance and asks for a new one: salts of the WAL are the same in each recording.
        self._library.sqlite3_randomness(0, None)

    def leave(self) -> None:
        """Show nothing any more; connections that are open go on, unwatched."""
        self._watcher = None
        self._set_call(self._below_address, b"openDirectory", None)
        self._library.sqlite3_vfs_register(self._below_address, 1)
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._library.sqlite3_randomness(0, None)

    # --- what the library calls ----------------------------------------------------------------------------

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, flags_out: int | None) -> int:
        path = ctypes.string_at(name).decode() if name else ""
        was_there = bool(path) and Path(path).exists()
        code = int(self._open_below(self._below_address, name, file, flags, flags_out))
        if code == OK and path and self._watcher is not None:
            opened = _File.from_address(file)
            opened.methods = ctypes.addressof(self._watched(opened.methods))
            self._watcher.opened(path, file, is_new=not was_there)
        return code

    def _delete(self, _vfs: int, name: bytes, must_sync: int) -> int:
        go_on = partial(self._delete_below, self._below_address, name, must_sync)
        return go_on() if self._watcher is None else self._watcher.delete(name.decode(), go_on)

    def _randomness(self, _vfs: int, count: int, out: int) -> int:
        if self._watcher is None:
            return int(_RANDOMNESS(self._below.randomness)(self._below_address, count, out))
        ctypes.memmove(out, self._watcher.chance(count), count)
        return count

    def _open_folder(self, name: bytes, out: int) -> int:
        # The library opens a folder for one reason only: it syncs it next.
        code = int(self._open_folder_below(name, out))
        if code == OK and self._watcher is not None:
            self._watcher.folder_synced()
        return code

    def _watched(self, address: int) -> _Methods:
        if address not in self._methods:
            below = _Methods.from_address(address)
            here: list[CFuncPtr] = [
                _TRANSFER(partial(self._read, _TRANSFER(below.read))),
                _TRANSFER(partial(self._write, _TRANSFER(below.write))),
                _TRUNCATE(partial(self._truncate, _TRUNCATE(below.truncate))),
                _SYNC(partial(self._sync, _SYNC(below.sync))),
            ]
            copy = _Methods.from_buffer_copy(below)
            copy.read, copy.write, copy.truncate, copy.sync = map(_address, here)
            self._callbacks += here
            self._methods[address] = copy
        return self._methods[address]

    def _read(self, below: CFuncPtr, file: int, buffer: int, count: int, offset: int) -> int:
        go_on = partial(below, file, buffer, count, offset)
        return go_on() if self._watcher is None else self._watcher.read(file, go_on)

    def _write(self, below: CFuncPtr, file: int, buffer: int, count: int, offset: int) -> int:
        if self._watcher is None:
            return int(below(file, buffer, count, offset))
        return self._watcher.write(
            file, ctypes.string_at(buffer, count), offset, lambda part: int(below(file, buffer, part, offset))
        )

    def _truncate(self, below: CFuncPtr, file: int, size: int) -> int:
        go_on = partial(below, file, size)
        return go_on() if self._watcher is None else self._watcher.truncate(file, size, go_on)

    def _sync(self, below: CFuncPtr, file: int, flags: int) -> int:
        go_on = partial(below, file, flags)
        return go_on() if self._watcher is None else self._watcher.sync(file, go_on)


def _declared(library: CDLL) -> CDLL:
    library.sqlite3_vfs_find.argtypes, library.sqlite3_vfs_find.restype = [c_char_p], c_void_p
    library.sqlite3_vfs_register.argtypes = [c_void_p, c_int]
    library.sqlite3_vfs_unregister.argtypes = [c_void_p]
    library.sqlite3_randomness.argtypes, library.sqlite3_randomness.restype = [c_int, c_void_p], None
    return library


def _address(callback: CFuncPtr) -> int:
    return int(ctypes.cast(callback, c_void_p).value or 0)
