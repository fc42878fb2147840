"""A worker: it imports the command once, and makes the runs whose numbers it is told on standard input.

    python -m engine.testing.kills.worker SEED FOLDER [KEEP]

Each line of input is the number of a run; each line of output is that run's result as JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from engine.testing.kills.forks import import_what_is_needed
from engine.testing.kills.runs import Proving
from engine.testing.kills.trials import TRIALS


def warm_up(folder: Path) -> None:
    """Import what a life of the command needs, so that the lives that this process forks begin at once."""
    arguments = TRIALS[0].prepare(folder, 5)
    import_what_is_needed([*arguments, "--db", str(folder / "warm.sqlite")], folder)


def main() -> None:
    """Work until the input ends."""
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    keep = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    warm_up(folder / "warm")
    proving = Proving(seed, folder, keep=keep)
    for line in sys.stdin:
        sys.stdout.buffer.write(msgspec.json.encode(proving.run(int(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
