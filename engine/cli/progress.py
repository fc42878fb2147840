"""Progress bars, at almost no cost per event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from engine.core.messages import BarClosed, Event, Step

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
