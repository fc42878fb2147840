"""What a person sees of a run: the live view or log lines, then a summary and where to look next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console

from engine.app.modes import RunSpec
from engine.cli.live_view import LiveView
from engine.cli.output import program
from engine.core.messages import Event, Step

if TYPE_CHECKING:
    from engine.app.trading import TradingAccount
    from engine.telemetry.step_logger import StepLogger

_EXAMPLES = (
    ("What was traded", "SELECT symbol, side, price, quantity, timestamp FROM trades ORDER BY id DESC LIMIT 10"),
    ("Round trips with their results", "SELECT * FROM v_round_trips ORDER BY exit_ts DESC LIMIT 10"),
    ("Why: from the bar to the fill", "SELECT * FROM v_why ORDER BY bar_timestamp DESC LIMIT 3"),
)


class Watch:
    """Show a run's steps to the view and to the logs."""

    def __init__(
        self,
        view: LiveView,
        logger: StepLogger | None,
        *,
        console: Console,
        database: Path,
        logs_to_terminal: bool,
    ) -> None:
        self._logs_to_terminal = logs_to_terminal
        self._view = view
        self._shown = ExitStack()
        self._logger = logger
        self._console = console
        self._database = database

    def observe(self, event: Event, step: Step) -> None:
        """Show one journaled step."""
        self._view(event, step)
        if self._logger is not None:
            self._logger(event, step)

    def recover(self, event: Event, step: Step) -> None:
        """Take note of a step that an earlier process has shown and logged."""
        self._view(event, step)
        if self._logger is not None:
            self._logger.remember(event, step)

    def start(self, account: TradingAccount) -> None:
        """Say what was recovered, and begin to show."""
        if account.recovered_steps:
            self._console.print(
                f"Recovered {account.recovered_steps:,} steps from {self._database}; going on.", markup=False
            )
        if not self._logs_to_terminal:
            self._shown.enter_context(self._view)

    def close(self) -> None:
        """Stop showing."""
        self._shown.close()

    def finish(self, account: TradingAccount, *, was_stopped: bool, has_ended: bool) -> None:
        """Show the summary and three queries to go on with."""
        self.close()
        self._console.print(self._view.summary())
        for each in self._view.restrictions():
            self._console.print(each, style="bold yellow", markup=False, highlight=False)
        if was_stopped:
            self._console.print("Stopped in order: working entries are canceled, stops stay. Start again to go on.")
        elif has_ended:
            self._console.print("The data have been replayed to their end.")
        else:
            self._console.print("Start again to go on from here.")
        self._console.print(
            f"Journal hash {account.journal_hash[:16]}; everything is in {self._database}. Look inside:", markup=False
        )
        for title, query in _EXAMPLES:
            self._console.print(f"  # {title}", style="dim")
            self._console.print(
                f'  {program()} sql --db {quote(str(self._database))} "{query}"',
                soft_wrap=True,
                highlight=False,
                markup=False,
            )


@contextmanager
def watching(
    spec: RunSpec, database: Path, *, speed: float | None, log_file: Path | None, is_logged: bool
) -> Iterator[Watch]:
    """Set up the view, or logs, or both; yields what the run shows itself to."""
    console = Console()
    view = LiveView(
        {each.instrument_id: each for each in spec.feed.instruments},
        title=spec.strategy.name,
        mode_label="PAPER",
        console=console,
        speed=speed,
        database=database,
    )
    with ExitStack() as stack:
        logger = _logger(stack, spec, log_file) if log_file is not None or is_logged else None
        watch = Watch(view, logger, console=console, database=database, logs_to_terminal=is_logged and log_file is None)
        stack.callback(watch.close)
        yield watch


def _logger(stack: ExitStack, spec: RunSpec, log_file: Path | None) -> StepLogger:
    import sys

    from engine.core.errors import BadInput
    from engine.telemetry.logs import configure_logging
    from engine.telemetry.step_logger import StepLogger

    if log_file is None:
        configure_logging(format="auto", level="info", stream=sys.stderr)
    else:
        try:
            stream = stack.enter_context(log_file.open("a", encoding="utf-8"))
        except OSError as error:
            raise BadInput(f"The log file {log_file} cannot be written ({error.strerror}): name another.") from error
        configure_logging(format="json", level="info", stream=stream)
    return StepLogger({each.instrument_id: each for each in spec.feed.instruments})
