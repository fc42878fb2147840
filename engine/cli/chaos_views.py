"""What `ratchet chaos` prints: the summary of a run, and the story of a scenario."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.cli.output import program
from engine.cli.tables import show_rows
from engine.testing.chaos.runner import BRACKETS_MIN, FAULTS_MIN, Found, Summary
from engine.testing.chaos.story import ORDER_COLUMNS, Story

if TYPE_CHECKING:
    from collections.abc import Iterable

#: So many violations are printed; the JSON object has all of them.
_PRINTED_MAX: Final = 20
#: How the lines of a story are coloured, by what follows the time.
_STYLES: Final = {
    "fault": "red",
    ">": "bold cyan",
    "life": "bold yellow",
    "the": "bold yellow",
    "a": "bold magenta",
    "from": "bold green",
}


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return a summary as the object that `--json` prints."""
    return {
        "strategy": summary.strategy,
        "seed": summary.seed,
        "scenarios": summary.scenarios,
        "lived": summary.lived,
        "scenarios_per_hour": round(summary.scenarios_per_hour, 1),
        "faults": summary.faults,
        "violations": [
            {
                "seed": found.seed,
                "invariant": found.invariant,
                "message": found.message,
                "faults": found.faults,
                "schedule": None if found.schedule is None else found.schedule.lines(),
                "is_minimal": found.is_minimal,
                "replay": found.replay,
            }
            for found in summary.violations
        ],
        "event_log_hash": summary.event_log_hash,
        "brackets": summary.brackets,
        "orders": summary.orders,
        "executions": summary.executions,
        "lives": summary.lives,
        "halted": summary.halted,
        "longest_exposure_s": round(summary.longest_exposure_s, 3),
        "passages": summary.passages,
        "wall_seconds": round(summary.seconds, 3),
    }


def print_summary(summary: Summary, keep: Path | None) -> None:
    """Print what a run of scenarios came to; `keep` is where schedules were left."""
    console = Console()
    console.print(_figures(summary))
    if summary.faults:
        show_rows(console, ("Fault", "Times"), [(kind, times) for kind, times in summary.faults.items()])
    if not summary.scenarios:
        console.print(
            f"None of them counts: a scenario has at least {BRACKETS_MIN} bracket and {FAULTS_MIN} faults.",
            highlight=False,
        )
    for found in summary.violations[:_PRINTED_MAX]:
        _print_found(console, found)
    if len(summary.violations) > _PRINTED_MAX:
        console.print(f"… and {len(summary.violations) - _PRINTED_MAX:,} more: see --json.", highlight=False)
    if keep is not None and summary.violations:
        console.print(f"Schedules and databases are in {keep}.", highlight=False, markup=False, soft_wrap=True)


def _figures(summary: Summary) -> Table:
    broken = len(summary.violations)
    table = Table(title=f"{summary.strategy} in chaos", show_header=False, min_width=60)
    last = summary.seed + summary.lived - 1
    for name, value in (
        ("Scenarios", f"{summary.scenarios:,} of {summary.lived:,} lived, seeds {summary.seed} to {last}"),
        ("Scenarios per hour", f"{summary.scenarios_per_hour:,.0f}"),
        ("Violations", Text(f"{broken:,}", style="bold white on red" if broken else "bold green")),
        ("Faults", f"{sum(summary.faults.values()):,}"),
        ("Brackets, orders, executions", f"{summary.brackets:,}, {summary.orders:,}, {summary.executions:,}"),
        ("Processes", f"{summary.lives:,}"),
        ("Halted in the end", f"{summary.halted:,}"),
        ("Longest without any exit", f"{summary.longest_exposure_s:.0f} s"),
        ("Event log hash", summary.event_log_hash[:16]),
    ):
        table.add_row(name, value)
    return table


def _print_found(console: Console, found: Found) -> None:
    console.print(Text.assemble("\n", (f"Seed {found.seed} broke {found.invariant}: ", "bold red"), found.message))
    if found.schedule is not None:
        least = "The least that breaks it" if found.is_minimal else "The least found that breaks it"
        lines = found.schedule.lines()
        _print_lines(console, (f"  {least}: {lines[0]}", *(f"    {line}" for line in lines[1:])))
        if not found.schedule.faults:
            _print_lines(console, ("    without any fault",))
    line = found.replay.replace("ratchet", program(), 1)
    _print_lines(console, (f"  Replay: {line}",))


def print_story(story: Story) -> None:
    """Print the story of a scenario: what was drawn, what happened, its orders, and how it ended."""
    console = Console()
    _print_lines(console, story.head)
    for line in story.lines:
        console.print(_coloured(line), soft_wrap=True)
    if story.orders:
        show_rows(console, ORDER_COLUMNS, story.orders)
    _print_lines(console, (story.end,))
    for violation in story.violations:
        console.print(Text(f"Broken: {violation}", style="bold red"), soft_wrap=True)
    if not story.violations:
        console.print(Text("Nothing broke.", style="bold green"))


def _coloured(line: str) -> Text:
    found = re.match(r"\s*\S+ s  (\w+|>)", line)
    return Text(line, style=_STYLES.get(found[1], "") if found else "")


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
