"""`ratchet db` and `ratchet sql`: the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.options import DatabaseOption, JsonOption, NewDatabaseOption, count, database_path, existing_database

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.command()
def path(*, database: DatabaseOption = None) -> None:
    """Print which database is used."""
    typer.echo(database_path(database).resolve())


@app.command()
def upgrade(*, database: NewDatabaseOption = None) -> None:
    """Make the database, or bring it up to date. Every row is kept."""
    from engine.store.connection import EngineLock
    from engine.store.migrate import upgrade as upgrade_database

    target = database_path(database)
    with EngineLock(target):
        revision = upgrade_database(target)
    typer.echo(f"{target} is at revision {revision}.")


@app.command()
def check(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Check that the database is sound.

    Reads the whole file: integrity, foreign keys, the hash chain of the journal; and computes orders, positions, cash
    and equity again. Exit code 3 if anything differs.
    """
    from engine.cli.output import emit_json
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
        raise typer.Exit(3)


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
    from pathlib import Path

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
