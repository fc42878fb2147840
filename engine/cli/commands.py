"""The commands of `ratchet`, and what the command line could not be read as."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli import bars, config, database, operate, order, risk, strategy
from engine.cli.backtest import backtest
from engine.cli.books import books
from engine.cli.chaos import chaos
from engine.cli.report import report
from engine.cli.run import run

#: What typer makes of Ctrl-C.
_INTERRUPTED = 130

app = typer.Typer(
    name="ratchet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Coloured help imports a Markdown and a syntax library: half of the time in which it has to be there.
    rich_markup_mode=None,
    help="Trade your own rules: the same engine for backtest and paper, with every decision in one SQLite file.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 halted or a check did not hold, 4 try again, "
    "70 a bug of ours, 130 interrupted.",
)
for command, short_help in (
    (run, "Trade on paper, with a live view."),
    (backtest, "Run a strategy over a file of minute bars."),
    (report, "Write what a run came to as one HTML page."),
    (books, "Show cash, lots, realized profit and fees."),
    (chaos, "Try a strategy where everything goes wrong."),
    (operate.status, "Show what is held, ordered, allowed and worth."),
    (operate.pause, "Stop entries; exits and protection go on."),
    (operate.resume, "Clear a pause, a halt or the kill switch."),
    (operate.kill, "Halt: no entry any more; stops stay."),
    (operate.flatten, "Close positions at market."),
    (database.sql, "Ask the database in SQL, read-only."),
):
    app.command(short_help=short_help)(command)
app.add_typer(bars.app, name="bars")
app.add_typer(database.app, name="db")
app.add_typer(strategy.app, name="strategy")
app.add_typer(config.app, name="config")
app.add_typer(order.app, name="order")
app.add_typer(risk.app, name="risk")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ratchet {version('ratchet-engine')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""
    del version


def perform(arguments: list[str] | None = None) -> int:
    """Run one command, the program's own arguments where none are given, and return its exit code.

    Raises whatever the command raises, KeyboardInterrupt for Ctrl-C.
    """
    try:
        code = app(arguments, standalone_mode=False, prog_name="ratchet")
    except typer.TyperException as error:
        return _misused(error)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


# What the command line could not be read as: the sentence, and where to read on.
def _misused(error: typer.TyperException) -> int:
    from engine.cli.output import fail
    from engine.core.errors import BadInput

    message = error.format_message()
    if "\n" in message:
        # A group without a command: its help page arrives as the message.
        typer.echo(message, err=True)
        return error.exit_code
    context = getattr(error, "ctx", None)
    command = "ratchet" if context is None else context.command_path
    what = message.replace(". Did you mean", ", did you mean").rstrip(".?")
    return int(fail(BadInput(f"{what}: see {command} --help.")))
