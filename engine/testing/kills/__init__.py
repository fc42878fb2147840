"""Real kills: `ratchet run` in a process of its own dies by SIGKILL again and again, and trades as if it never had.

    report = run_kills(500, seed=1, jobs=2)

`python -m engine.testing.kills` does the same from a shell.
"""

from engine.testing.kills.campaign import KillReport, run_kills
from engine.testing.kills.runs import Violation

__all__ = ["KillReport", "Violation", "run_kills"]
