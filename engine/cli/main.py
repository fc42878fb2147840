"""`ratchet`: the commands, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from engine.cli import bars, config, database, operate, strategy
from engine.cli.backtest import backtest
from engine.cli.run import run

app = typer.Typer(
    name="ratchet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Trade your own rules: the same engine for backtest and paper, with every decision in one SQLite file.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 halted, 4 try again, 70 a bug of ours, 130 interrupted.",
)
app.command("run")(run)
app.command("backtest")(backtest)
app.command("status")(operate.status)
app.command("pause")(operate.pause)
app.command("resume")(operate.resume)
app.command("kill")(operate.kill)
app.command("flatten")(operate.flatten)
app.command("sql")(database.sql)
app.add_typer(bars.app, name="bars")
app.add_typer(database.app, name="db")
app.add_typer(strategy.app, name="strategy")
app.add_typer(config.app, name="config")


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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(guarded(arguments))


def guarded(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; whatever goes wrong becomes one sentence on standard error."""
    from engine.cli.output import fail

    try:
        app(arguments, standalone_mode=True, prog_name="ratchet")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
    except KeyboardInterrupt:
        typer.echo("Interrupted; everything that was journaled is kept.", err=True)
        return 130
    except BaseException as error:  # noqa: BLE001 - the last place: it must not end in a traceback
        return int(fail(error))
    return 0
