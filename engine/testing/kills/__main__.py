"""`python -m engine.testing.kills --kills 500 --seed 1 --jobs 2`: kill the real command, and say what was found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.core.errors import EngineError
from engine.testing.kills import run_kills


def main() -> int:
    """Run a campaign, print its report, and return 3 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m engine.testing.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="processes that shall die (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="decides the runs (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, help="workers at a time (default: 1)")
    parser.add_argument("--run", type=int, default=None, help="only the run of this number")
    parser.add_argument("--keep", type=Path, default=None, help="folder for the files of runs with a violation")
    options = parser.parse_args()
    try:
        report = run_kills(options.kills, options.seed, options.jobs, only_run=options.run, keep=options.keep)
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return int(error.exit_code)
    sys.stdout.write("\n".join(report.lines()) + "\n")
    return 3 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
