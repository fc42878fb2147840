"""Every planted bug of recovery, of the shell and of the runner is noticed within its published number of seeds."""

from __future__ import annotations

import bugs_recovery
import bugs_runner
import bugs_shell
import pytest
from planted import measure
from planting import Garden, PlantedBug


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """Return a place for scenarios."""
    return Garden(tmp_path_factory.mktemp("garden"))


@pytest.mark.parametrize(
    "bug",
    [*bugs_recovery.REGISTRY.bugs, *bugs_runner.REGISTRY.bugs, *bugs_shell.REGISTRY.bugs],
    ids=lambda bug: str(bug.name),
)
def test_a_planted_bug_is_noticed(bug: PlantedBug, garden: Garden) -> None:
    seeds, found = measure(garden, bug, bug.seeds)
    assert seeds, f"{bug.name} outlives {bug.seeds} seeds from {bug.first_seed} on"
    assert found
