"""`ratchet chaos --kills` and `--power`: real processes that die, and disks that lose what was not synced."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console

from engine.cli.output import emit_json
from engine.cli.tables import show_rows
from engine.core.errors import BadInput

#: So many are printed; the JSON object has all of them.
_PRINTED_MAX: Final = 20


def kill_processes(kills: int, seed: int, jobs: int, keep: Path | None, *, as_json: bool) -> bool:
    """Kill processes of `ratchet run` so often, print what came of it, and return whether everything held."""
    from engine.testing.kills import run_kills

    report = run_kills(kills, seed, jobs, keep=keep)
    violations = [
        {"seed": each.seed, "run": each.run, "point": each.point, "message": each.what, "replay": each.repeat}
        for each in report.violations
    ]
    figures = {
        "kills": report.kills,
        "lives": report.lives,
        "runs": report.runs,
        "kills_per_hour": round(report.kills_per_hour, 1),
        "seed": seed,
    }
    if as_json:
        emit_json({**figures, "by_point": dict(report.by_point), "violations": violations})
        return not violations
    console = Console()
    show_rows(console, ("", "Kills"), [(name.replace("_", " "), value) for name, value in figures.items()])
    show_rows(console, ("Killed at", "Times"), sorted(report.by_point.items()))
    _print_violations(console, [f"seed {each['seed']}: {each['message']}; {each['replay']}" for each in violations])
    return not violations


def lose_power(images: int, seed: int, *, as_json: bool) -> bool:
    """Cut the power under so many writes, print what was left, and return whether nothing was lost."""
    from engine.testing import power

    if not power.is_available():
        raise BadInput(f"The power cannot be cut on this machine ({power.unavailable_because()}): try another.")
    report = power.power_loss(images, seed, power.Synchronous("FULL"))
    failures = list(report.failures)
    figures = {"images": report.images, "lost": report.lost, "torn": report.torn, "dropped": report.dropped}
    if as_json:
        emit_json({**figures, "seed": seed, "violations": failures})
        return not failures
    console = Console()
    show_rows(console, ("", "Images"), list(figures.items()))
    _print_violations(console, failures)
    return not failures


def _print_violations(console: Console, lines: list[str]) -> None:
    for line in lines[:_PRINTED_MAX]:
        console.print(f"Broken: {line}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if not lines:
        console.print("Nothing broke.", style="bold green")
