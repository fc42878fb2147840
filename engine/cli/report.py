"""`ratchet report`: one run as a page to read, or as numbers for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import DatabaseOption, JsonOption, existing_database, refuse_overwriting

if TYPE_CHECKING:
    from engine.research.report import Numbers
    from engine.research.report_history import History


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's number, an account's name, or latest.")] = "latest",
    *,
    database: DatabaseOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page to write. Default: ratchet-report-ACCOUNT.html, here."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what a run came to as one HTML page that needs no network, or print its numbers.

    With --json the same numbers are printed, and a page is written only where -o names one. Exit codes: 0 done,
    2 bad input.
    """
    from engine.research.report import report_numbers
    from engine.research.report_history import read_history
    from engine.store.connection import explained
    from engine.store.histories import find_run
    from engine.store.migrate import open_current_reader

    source = existing_database(database)
    if out is not None:
        _check(out, source)
    connection = open_current_reader(source)
    try:
        with explained(source):
            history = read_history(connection, find_run(connection, run))
    finally:
        connection.close()
    numbers = report_numbers(history)
    if not as_json or out is not None:
        out = out or Path(f"ratchet-report-{history.run.account}.html")
        _check(out, source)
        _write(history, numbers, out)
    if as_json:
        from engine.cli.output import emit_json

        emit_json(numbers)
    else:
        typer.echo(out)


def _check(out: Path, database: Path) -> None:
    from engine.core.errors import BadInput

    if out.suffix.lower() not in {".html", ".htm"}:
        raise BadInput(f"The page {out} does not end in .html: name it so.")
    if not out.parent.is_dir():
        raise BadInput(f"The folder {out.parent} of the page {out.name} does not exist: make it or name another.")
    refuse_overwriting(out, "--output", {"--db": database})


def _write(history: History, numbers: Numbers, out: Path) -> None:
    from engine.research.report_candles import pack_windows
    from engine.research.report_page import report_page

    page = report_page(numbers, pack_windows(history, numbers["trades"]))
    # Whole or not at all: a reader of the old page never sees half of the new one.
    partial = out.with_name(f"{out.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(out)
