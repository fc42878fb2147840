"""The engine without a bug breaks nothing on the seeds that kill bugs, and the page of planted bugs is fresh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from planted import BUGS, PAGE
from planting import Garden, PlantedBug


def _tried() -> Iterator[tuple[PlantedBug, int]]:
    # Bugs of one family share its seeds.
    seen = set()
    for bug in BUGS:
        for seed in range(bug.first_seed, bug.first_seed + bug.seeds):
            if (bug.family.name, seed) not in seen:
                seen.add((bug.family.name, seed))
                yield bug, seed


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """Return a place for scenarios."""
    return Garden(tmp_path_factory.mktemp("garden"))


@pytest.mark.parametrize(
    ("bug", "seed"), [pytest.param(bug, seed, id=f"{bug.family.name}-{seed}") for bug, seed in _tried()]
)
def test_the_engine_without_a_bug_survives(bug: PlantedBug, seed: int, garden: Garden) -> None:
    assert garden.violation(bug.family, seed) == ""


def test_a_bug_is_gone_after_its_scenario(garden: Garden) -> None:
    bug = BUGS[0]
    before = garden.violation(bug.family, bug.first_seed)
    with bug.planted():
        assert garden.violation(bug.family, bug.first_seed)
    assert garden.violation(bug.family, bug.first_seed) == before


def test_names_are_unique_and_there_are_enough() -> None:
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names) >= 24


def test_the_page_names_every_bug_with_its_seeds() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    shown = [(row[0].strip("| `"), row[1], row[2], row[3], row[4]) for row in rows]
    assert shown == [
        (
            bug.name,
            bug.wrong,
            ", ".join(bug.breaks),
            bug.family.name,
            f"{bug.seeds} seed{'s' if bug.seeds > 1 else ''} from {bug.first_seed}",
        )
        for bug in BUGS
    ]
