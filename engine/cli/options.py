"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

#: Money is kept as whole hundred-millionths in 64 bits.
_AMOUNT_END = Decimal(90_000_000_000)
_AMOUNT_STEP = Decimal("0.00000001")

DatabaseOption = Annotated[
    Path | None,
    typer.Option("--db", help="The SQLite file; made on first use. Default: $RATCHET_DB, else ./ratchet.sqlite."),
]
RiskOption = Annotated[
    Path | None, typer.Option("--risk", help="The risk file. Default: ./risk.yaml, else the shipped one.")
]
SymbolsOption = Annotated[
    list[str] | None, typer.Option("--symbol", help="Take only this symbol of the file; may be repeated.")
]
CalendarOption = Annotated[str | None, typer.Option("--calendar", help="XNYS or 24/7, whatever the symbols look like.")]
ParametersOption = Annotated[
    list[str] | None, typer.Option("--param", help="A parameter of the strategy, as name=value; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def pairs(texts: Iterable[str] | None) -> dict[str, str]:
    """Return `name=value` texts as a mapping; raises BadInput for one without a name or an equals sign."""
    from engine.core.errors import BadInput

    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BadInput(f"The parameter {text!r} is not of the form name=value: write for example fast_period=9.")
        found[name.strip()] = value.strip()
    return found


def amount(text: str, option: str, *, above_zero: bool = False) -> Decimal:
    """Return an amount from the command line.

    Raises BadInput for what is no number at or above zero, or does not fit a column of money (8 decimals, 64 bits).
    """
    from decimal import InvalidOperation

    from engine.core.errors import BadInput

    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0 or (above_zero and not number):
        bound = "above zero" if above_zero else "at or above zero"
        raise BadInput(f"The option {option} is {text!r}, which is no number {bound}: write for example {option} 5.")
    if number >= _AMOUNT_END or number % _AMOUNT_STEP:
        raise BadInput(
            f"The option {option} is {text!r}: give a number below {_AMOUNT_END:,f} with at most eight decimals."
        )
    return number


def count(text: str, option: str, *, least: int = 0) -> int:
    """Return a whole number from the command line; raises BadInput for what is none, or below `least`."""
    from engine.core.errors import BadInput

    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise BadInput(
            f"The option {option} is {text!r}, which is no whole number from {least}: write for example {option} 10."
        )
    return int(text)


def database_path(path: Path | None) -> Path:
    """Return the database that a command means."""
    from engine.store.migrate import default_path

    return path if path is not None else default_path()
