"""Reading SQL from lines: a prompt on a terminal, a plain stream elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.cli.output import fail
from engine.core.errors import EngineError
from engine.store.sql import tables

_ENDS = {"exit", "quit", ".exit", ".quit"}


def read_queries(database: Path, show: Callable[[str], None]) -> None:
    """Run each statement that ends in a semicolon (the last one needs none); a wrong one does not end the session."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        import readline  # noqa: F401 - history and editing at the prompt, by being imported

        print(f"{database}, read-only. End a query with a semicolon; an empty one lists the tables; exit ends.")
        _show_tables(database)
    for query in _statements(_lines(is_terminal=is_terminal)):
        if not query.strip(" \t\r\n;"):
            _show_tables(database)
            continue
        try:
            show(query)
        except EngineError as error:
            fail(error)


def _show_tables(database: Path) -> None:
    for name, kind, columns in tables(database):
        print(f"{kind} {name} ({', '.join(columns)})")


def _lines(*, is_terminal: bool) -> Iterator[str]:
    if not is_terminal:
        yield from sys.stdin
        return
    while True:
        try:
            line = input("sql> ")
        except EOFError:
            return
        if line.strip().lower() in _ENDS:
            return
        yield line + "\n"


def _statements(lines: Iterator[str]) -> Iterator[str]:
    pending = ""
    for line in lines:
        pending += line
        if pending.rstrip().endswith(";"):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
