"""`ratchet db` and `ratchet sql`: the database itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import DatabaseOption, JsonOption, NewDatabaseOption, count, database_path, existing_database

if TYPE_CHECKING:
    from engine.app.stored_runs import ReplayOutcome

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.command()
def path(*, database: DatabaseOption = None) -> None:
    """Print which database is used."""
    typer.echo(database_path(database).resolve())


@app.command()
def upgrade(*, database: NewDatabaseOption = None) -> None:
    """Make the database, or bring it up to date. Every row is kept.

    What is there is checked before, as an engine checks it.
    """
    from engine.store.connection import EngineLock
    from engine.store.start_checks import check_place, make_ready

    target = database_path(database)
    check_place(target)
    with EngineLock(target):
        revision = make_ready(target)
    typer.echo(f"{target} is at revision {revision}.")


@app.command()
def check(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Check that the database is sound.

    Reads the whole file: integrity, foreign keys, the hash chain of the journal; and computes orders, positions, cash
    and equity again. Exit code 3 if anything differs.
    """
    from engine.cli.output import ExitCode, emit_json
    from engine.store.check import check_database

    target = existing_database(database)
    report = check_database(target)
    if as_json:
        emit_json(
            {"database": str(target), "sound": report.is_sound, "checked": report.checked, "findings": report.findings}
        )
    else:
        for what in report.checked:
            typer.echo(f"checked: {what}")
        for finding in report.findings:
            typer.echo(f"NOT SOUND: {finding}", err=True)
        if report.is_sound:
            typer.echo(f"{target} is sound.")
    if not report.is_sound:
        raise typer.Exit(ExitCode.HALTED)


@app.command()
def replay(
    *,
    database: DatabaseOption = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Replay only this account, by name or number.")
    ] = None,
    risk: Annotated[
        Path | None, typer.Option("--risk", help="The risk file, for runs of an older program, which kept none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Play the journal again and compare every table with it.

    Steps a fresh engine through the journaled inputs, in a file of its own that is removed, and names the first row
    that differs: table, key, column, stored and replayed value. Exit code 3 if one does.
    """
    from time import perf_counter

    from engine.app.stored_runs import replay_database
    from engine.cli.output import ExitCode, emit_json
    from engine.cli.progress import count_progress

    target = existing_database(database)
    began = perf_counter()
    with count_progress("replay", is_shown=not as_json) as progress:
        outcome = replay_database(target, account=account, risk=risk, progress=progress)
    seconds = perf_counter() - began
    if as_json:
        emit_json(
            {
                "database": str(target),
                "same": outcome.is_same,
                "first_difference": outcome.first,
                "accounts": outcome.reports,
                "not_replayed": outcome.left_out,
                "seconds": round(seconds, 3),
            }
        )
    else:
        _show_replay(outcome, target, seconds)
    if not outcome.is_same:
        raise typer.Exit(ExitCode.HALTED)


def _show_replay(outcome: ReplayOutcome, target: Path, seconds: float) -> None:
    for name, reason in outcome.left_out.items():
        typer.echo(f"not replayed: {name}: {reason}", err=True)
    for report in outcome.reports:
        rows = sum(report.rows.values())
        typer.echo(f"{report.account}: {report.steps:,} steps, {rows:,} rows of {len(report.rows)} tables compared")
        for difference in report.differences:
            typer.echo(f"DIFFERS: {difference}", err=True)
    if outcome.first is not None:
        typer.echo(f"The first row that differs: {outcome.first}", err=True)
    else:
        typer.echo(f"{target} is what its journal makes, in {seconds:.1f} s.")


def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; without it, lines are read until the end.")] = None,
    *,
    database: DatabaseOption = None,
    limit: Annotated[str, typer.Option("--limit", metavar="NUMBER", help="Show at most so many rows.")] = "1000",
    as_json: JsonOption = False,
) -> None:
    """Read the database with SQL; nothing can be written. Without a query it reads them from standard input."""
    target = existing_database(database)
    rows = count(limit, "--limit", least=1)
    if query is not None:
        _show(target, query, limit=rows, as_json=as_json)
        return
    from engine.cli.sql_shell import read_queries

    read_queries(target, lambda text: _show(target, text, limit=rows, as_json=as_json))


def _show(target: object, query: str, *, limit: int, as_json: bool) -> None:
    from engine.cli.output import emit_json
    from engine.store.sql import run_query

    found = run_query(Path(str(target)), query, limit=limit)
    if as_json:
        emit_json([dict(zip(found.columns, row, strict=True)) for row in found.rows])
        return
    from rich.console import Console

    from engine.cli.tables import show_rows

    show_rows(Console(), found.columns, found.rows)
    if found.is_cut:
        typer.echo(f"(only the first {limit:,} rows: say --limit for more)", err=True)
