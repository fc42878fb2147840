"""The planted bugs: every defect that the simulation has to notice, and a table of them for docs.

    python tests/simulation/planted.py --table              # writes docs/planted-bugs.md
    python tests/simulation/planted.py --measure 40 [NAME]  # which seed kills each bug, of so many from its first on
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.simulation import bugs_orders, bugs_protection, bugs_recovery, bugs_shell
from tests.simulation.planting import Garden, PlantedBug

BUGS: Final[tuple[PlantedBug, ...]] = (
    *bugs_orders.REGISTRY.bugs,
    *bugs_protection.REGISTRY.bugs,
    *bugs_recovery.REGISTRY.bugs,
    *bugs_shell.REGISTRY.bugs,
)


def measure(garden: Garden, bug: PlantedBug, count: int) -> tuple[int, str]:
    """Return how many seeds of a bug it takes to kill it and by which violation; 0 where so many do not."""
    for number in range(count):
        found = garden.kill(bug, bug.first_seed + number)
        if found:
            return number + 1, found
    return 0, ""
