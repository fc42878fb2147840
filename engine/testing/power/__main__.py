"""`python -m engine.testing.power --images 10000 --seed 1`: cut the power, and say what was left.

`--index 17 --keep FOLDER` makes one image again and leaves its files in a folder. Ends with 1 when an image is damaged,
or lost something under FULL; with 2 where nothing can be recorded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.testing.power.native import unavailable_because
from engine.testing.power.runs import power_loss, replay
from engine.testing.power.verify import Outcome
from engine.testing.power.workload import Synchronous


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say; return the exit code."""
    options = _parser().parse_args(arguments)
    reason = unavailable_because()
    if reason:
        _say(reason)
        return 2
    synchronous = Synchronous(options.synchronous)
    if options.index is not None:
        return _replay(options.seed, options.index, synchronous, options.keep)
    report = power_loss(options.images, options.seed, synchronous, on_progress=lambda done: _say(f"  {done} images"))
    speed = report.images / report.seconds
    _say(
        f"synchronous={synchronous.value}, seed {options.seed}: {report.images:,} images in {report.seconds:.0f} s "
        f"({speed:.0f} a second); {report.dropped:,} without some unsynced writes, {report.torn:,} with torn ones; "
        f"{report.lost:,} lost something acknowledged; {len(report.failures)} failures"
    )
    for failure in report.failures:
        _say(failure)
    return 1 if report.failures else 0


def _replay(seed: int, index: int, synchronous: Synchronous, keep: Path | None) -> int:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            _say(f"The folder {keep} is not empty: name another one.")
            return 2
    found = replay(seed, index, synchronous, keep)
    _say(str(found))
    return 0 if found.verdict.outcome is Outcome.WHOLE else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.testing.power", description=__doc__)
    parser.add_argument("--images", type=int, default=1_000, help="how many power cuts (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed cuts at the same points (default 1)")
    parser.add_argument("--synchronous", choices=[word.value for word in Synchronous], default="FULL")
    parser.add_argument("--index", type=int, help="make only this image of the seed again")
    parser.add_argument("--keep", type=Path, help="with --index: an empty folder that gets the files of the image")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
