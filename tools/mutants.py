"""Change the law of the core line by line and count what the tests notice: `python tools/mutants.py [NAME…]`.

mutmut makes the mutants and runs the tests of the core on each (`[tool.mutmut]` in pyproject.toml says where). NAME
selects some, such as `engine.core.fsm*`; known results of unchanged code are kept in `mutants/`. What survives is
written, as differences, to `mutants/survivors.txt`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_FOLDER: Final = Path("mutants")
_MUTMUT: Final = str(Path(sys.executable).with_name("mutmut"))
#: What the modules are counted by, each with those below it.
_PARTS: Final = ("engine.core.fsm", "engine.core.execution", "engine.core.risk", "engine.core.ledger")
#: Exit codes of the tests for a mutant that they noticed: failed, crashed, or ran for ever.
_NOTICED: Final = frozenset({1, 3, 24, 36, 152, 255, -9, -11, -24})
_NOT_RUN: Final = frozenset({None, 2, 34, 35})


def main() -> int:
    """Make the mutants, run the tests on each, print the score of each part, and write down what survived."""
    environment = os.environ | {"RATCHET_EXAMPLES": "3", "PYTHONPATH": ""}
    done = subprocess.run([_MUTMUT, "run", *sys.argv[1:]], check=False, env=environment)  # noqa: S603  # our own tool
    results = dict(_results())
    survivors = sorted(name for name, code in results.items() if code not in _NOTICED | _NOT_RUN)
    _print_scores(results)
    (_FOLDER / "survivors.txt").write_text("".join(map(_difference, survivors)), encoding="utf-8")
    print(f"{len(survivors)} survivors are in {_FOLDER / 'survivors.txt'}")
    return done.returncode


def _results() -> Iterator[tuple[str, int | None]]:
    for path in sorted(_FOLDER.rglob("*.meta")):
        yield from json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items()


def _print_scores(results: Mapping[str, int | None]) -> None:
    print(f"\n{'part':<24}{'mutants':>9}{'noticed':>9}{'survive':>9}{'not run':>9}{'score':>9}")
    for part in (*_PARTS, ""):
        codes = Counter(_kind(code) for name, code in results.items() if name.startswith(part))
        run = codes["noticed"] + codes["survived"]
        score = f"{100 * codes['noticed'] / run:.1f} %" if run else "-"
        counts = f"{codes.total():>9}{codes['noticed']:>9}{codes['survived']:>9}{codes['not run']:>9}"
        print(f"{part or 'all':<24}{counts}{score:>9}")


def _kind(code: int | None) -> str:
    if code in _NOT_RUN:
        return "not run"
    return "noticed" if code in _NOTICED else "survived"


def _difference(name: str) -> str:
    shown = subprocess.run(  # noqa: S603  # our own tool
        [_MUTMUT, "show", name], check=False, capture_output=True, text=True
    )
    lines = [line for line in shown.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return f"{name}\n" + "".join(f"    {line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
