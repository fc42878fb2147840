"""The planted bugs: every defect that the simulation has to notice, and a table of them for docs.

python tests/simulation/planted.py           # which seed kills each bug; names may follow
python tests/simulation/planted.py --table   # the same, and writes docs/planted-bugs.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import bugs_orders
import bugs_protection
import bugs_recovery
import bugs_runner
import bugs_shell
from planting import Garden, PlantedBug

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/planted-bugs.md"

BUGS: Final[tuple[PlantedBug, ...]] = (
    *bugs_orders.REGISTRY.bugs,
    *bugs_protection.REGISTRY.bugs,
    *bugs_recovery.REGISTRY.bugs,
    *bugs_runner.REGISTRY.bugs,
    *bugs_shell.REGISTRY.bugs,
)

_HEAD: Final = """\
# Planted bugs: the simulation is tried, too

A simulation that finds nothing may be blind. So {count} defects are planted, one at a time, each as somebody could
write it, and the simulation has to notice every one within a published number of seeds. A seed kills a bug where the
engine with the bug breaks one of the invariants that the bug should break, and the engine without it breaks none.
`tests/simulation` asks this of every change; the page is written by `python tests/simulation/planted.py --table`.
"""
_TAIL: Final = """\
## What is no bug by itself

Some defects change nothing that can be seen while a second guard stands, and are planted together with the loss of
that guard, or not at all.

- A fill after the end of its order that is dropped: a confirmed cancel waits for the fills that it tells of, so that
  none comes later. `late_fills_ignored` takes both away.
- A restart that is not handled: deadlines are replayed and listings come, so that an order is asked about all the same.
  `restart_ignored` takes the deadlines away; what it breaks at once is that the order is not UNKNOWN.
- Exits that have nothing left to sell and are not canceled: a venue that links legs ends them, also one that comes
  after the fill of its sibling.
- An order id that was never decided, an execution that is booked twice, a process that writes without the lease: the
  rules of the database stop them first, so that what is seen is the end of the engine (I-18).
"""


def measure(garden: Garden, bug: PlantedBug, count: int) -> tuple[int, str]:
    """Return how many seeds of a bug it takes to kill it and by which violation; 0 where so many do not."""
    for number in range(count):
        found = garden.kill(bug, bug.first_seed + number)
        if found:
            return number + 1, found
    return 0, ""


def table(found: dict[str, tuple[int, str]]) -> str:
    """Return the page about planted bugs; `found` is what `measure` found by name."""
    families = {bug.family.name: bug.family for bug in BUGS}
    lines = [
        _HEAD.format(count=len(BUGS)),
        "| Bug | What is wrong | Breaks | Scenarios | Killed within | Killed by, at the time of measuring |",
        "|---|---|---|---|---|---|",
    ]
    for bug in BUGS:
        seeds = f"{bug.seeds} seed{'s' if bug.seeds > 1 else ''} from {bug.first_seed}"
        cells = (f"`{bug.name}`", bug.wrong, ", ".join(bug.breaks), bug.family.name, seeds, _plain(found[bug.name][1]))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Scenarios", "", "| Name | What is in them |", "|---|---|"]
    lines += [f"| {each.name} | {each.words} |" for _, each in sorted(families.items())]
    return "\n".join([*lines, "", _TAIL])


# Folders and ids are others in every run, or say nothing to a reader.
def _plain(message: str) -> str:
    without_paths = re.sub(r"(the database) /\S+", r"\1", message)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", without_paths).replace("|", "/")[:160]


def main(arguments: list[str]) -> int:
    """Measure every bug, write the page, and return how many bugs outlive the seeds that are published for them."""
    names, writes = [each for each in arguments if not each.startswith("--")], "--table" in arguments
    found: dict[str, tuple[int, str]] = {}
    with TemporaryDirectory(prefix="ratchet-planted-") as folder:
        garden = Garden(Path(folder))
        for bug in BUGS:
            if not names or bug.name in names:
                found[bug.name] = measure(garden, bug, bug.seeds)
                print(f"{bug.name}: {found[bug.name][0] or 'survives'} of {bug.seeds}; {_plain(found[bug.name][1])}")
    if writes:
        PAGE.write_text(table(found), encoding="utf-8")
    return sum(not seeds for seeds, _ in found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
