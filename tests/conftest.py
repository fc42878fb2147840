"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

# GITHUB_ACTIONS makes typer colour its help even into a pipe; tests read plain text.
os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")

# No deadlines: a shared machine is slow at random. In CI the examples are the same on every run.
settings.register_profile("ratchet", deadline=None, derandomize="CI" in os.environ, print_blob=True)
# One fixed small set of examples, for thousands of runs of the same tests; nobody reads a shrunken failure there.
settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    max_examples=20,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("ratchet")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real market data, or skip the test."""
    folder = os.environ.get("RATCHET_DATA_DIR", "")
    if not folder:
        pytest.skip("RATCHET_DATA_DIR is not set: real market data is not at hand")
    if not Path(folder).is_dir():
        pytest.skip(f"RATCHET_DATA_DIR names no folder: {folder}")
    return Path(folder)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the source tree."""
    return Path(__file__).resolve().parents[1]
