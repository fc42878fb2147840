"""Where tools and tests that start processes and fill databases do so."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

#: Tmpfs where there is one: what a disk may lose is tried elsewhere, and a scenario commits thousands of times.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - folders in it have names of their own


def memory_folder(purpose: str) -> TemporaryDirectory[str]:
    """Return a new folder in memory where the system has one, else where temporary files go; it removes itself."""
    return TemporaryDirectory(prefix=f"ratchet-{purpose}-", dir=_MEMORY if _MEMORY.is_dir() else None)


def child_environment() -> dict[str, str]:
    """Return what a process is started with that forks: one thread, and lines of one width."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
