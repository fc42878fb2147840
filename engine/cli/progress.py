"""Progress bars, at almost no cost per event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from engine.core.messages import BarClosed, Event, Step

if TYPE_CHECKING:
    from engine.testing.chaos.runner import Progress as ChaosProgress

_EVERY = 4_096


@contextmanager
def bar_progress(console: Console, rows: int) -> Iterator[Callable[[Event, Step], None]]:
    """Show how many bars of `rows` are done; yields the observer that counts them."""
    with Progress(
        TextColumn("backtest"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("bars", total=rows)
        done = 0

        def observe(event: Event, step: Step) -> None:
            nonlocal done
            del step
            if event.__class__ is BarClosed:
                done += 1
                if done % _EVERY == 0:
                    progress.update(task, completed=done)

        yield observe


@contextmanager
def count_progress(name: str, *, is_shown: bool) -> Iterator[Callable[[int], None] | None]:
    """Show on a terminal how many steps are done; yields what is told the number, None where nothing is shown."""
    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn(name), TextColumn("{task.completed:,.0f} steps"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def chaos_progress(
    *, seeds: int | None, minutes: float | None, is_shown: bool
) -> Iterator[Callable[[ChaosProgress], None] | None]:
    """Show on a terminal how far a run of scenarios is; yields what is told, None where nothing is shown."""
    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("chaos", total=float(seeds) if seeds is not None else (minutes or 0) * 60, told="")

        def tell(now: ChaosProgress) -> None:
            rate = now.scenarios / now.seconds * 3_600 if now.seconds else 0.0
            progress.update(
                task,
                completed=now.seconds if seeds is None else now.lived,
                description="shrinking" if now.is_shrinking else "chaos",
                told=f"{now.lived:,} lived, {rate:,.0f} scenarios/hour, {now.violations} violations",
            )

        yield tell
