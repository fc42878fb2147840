"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engine.core.execution.bracket_table import ExitStyle

#: Money is kept as whole hundred-millionths in 64 bits.
_AMOUNT_END = Decimal(90_000_000_000)
_AMOUNT_STEP = Decimal("0.00000001")
_LATENCY_MS_MAX = 3_600_000


def _distinct(symbols: list[str] | None) -> list[str] | None:
    from engine.core.errors import BadInput

    double = next((each for each in symbols or () if (symbols or []).count(each) > 1), None)
    if double is not None:
        raise BadInput(f"The symbol {double} is named twice: name it once.")
    return symbols


class FilterName(StrEnum):
    """Name which prints make a bar."""

    NONE = "none"
    SIP = "sip"
    LEAN = "lean"


DatabaseOption = Annotated[
    Path | None, typer.Option("--db", help="The SQLite file. Default: $RATCHET_DB, else ./ratchet.sqlite.")
]
NewDatabaseOption = Annotated[
    Path | None,
    typer.Option("--db", help="The SQLite file, made on first use. Default: $RATCHET_DB, else ./ratchet.sqlite."),
]
RiskOption = Annotated[
    Path | None,
    typer.Option(
        "--risk",
        help="The risk file, or the shipped one by name: default, conservative. Default: ./risk.yaml, else default.",
    ),
]
SymbolsOption = Annotated[
    list[str] | None,
    typer.Option("--symbol", callback=_distinct, help="Take only this symbol of the file; may be repeated."),
]
CalendarOption = Annotated[str | None, typer.Option("--calendar", help="XNYS or 24/7, whatever the symbols look like.")]
ParametersOption = Annotated[
    list[str] | None, typer.Option("--param", help="A parameter of the strategy, as name=value; may be repeated.")
]
ActionsOption = Annotated[
    Path | None,
    typer.Option("--corporate-actions", help="Splits, dividends and new symbols: a CSV file (docs/books.md)."),
]
LatencyOption = Annotated[
    str,
    typer.Option("--latency-ms", metavar="NUMBER", help="Market time until an order or cancel reaches the market."),
]
ExitsOption = Annotated[
    str | None,
    typer.Option(
        "--exits",
        metavar="STYLE",
        help="both_legs (stop and target rest, linked) or rest_stop (the stop rests, the target is watched here). "
        "Default: the venue's, both_legs on paper.",
    ),
]
FilterOption = Annotated[
    FilterName,
    typer.Option("--filter", help="Which prints make a bar: all, by SIP sale conditions, or by LEAN's mask."),
]
ListingsOption = Annotated[
    str | None,
    typer.Option(
        "--listing-exchange",
        metavar="SYMBOL=CODE,...",
        help="Whose auctions open and close a symbol's session, for example IBM=N,SPY=P.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def pairs(
    texts: Iterable[str] | None,
    *,
    what: str = "parameter",
    form: str = "name=value",
    example: str = "fast_period=9",
) -> dict[str, str]:
    """Return `name=value` texts as a mapping; raises BadInput for one without a name or equals sign, or said twice.

    `what`, `form` and `example` are the words of that sentence.
    """
    from engine.core.errors import BadInput

    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise BadInput(f"The {what} {text!r} is not of the form {form}: write for example {example}.")
        if name.strip() in found:
            raise BadInput(f"The {what} {name.strip()} is given twice: give it once.")
        found[name.strip()] = value.strip()
    return found


def listing_exchanges(text: str | None) -> dict[str, str]:
    """Return the listing exchange by symbol of an option as `IBM=N,SPY=P`; raises BadInput for another form."""
    from engine.core.errors import BadInput

    named = text.split(",") if text is not None else None
    found = pairs(named, what="listing exchange of", form="SYMBOL=CODE", example="--listing-exchange IBM=N,SPY=P")
    for symbol, code in found.items():
        if not code:
            raise BadInput(f"The listing exchange of {symbol} is empty: write for example {symbol}=N.")
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


def existing_database(path: Path | None) -> Path:
    """Return the database that a command reads; raises BadInput where there is none."""
    from engine.core.errors import BadInput

    target = database_path(path)
    if not target.exists():
        raise BadInput(
            f"The database {target} does not exist: make it with ratchet run or ratchet backtest, "
            "or name another with --db."
        )
    return target


def latency_ns(text: str) -> int:
    """Return `--latency-ms` in nanoseconds; raises BadInput for what is no whole number, or above an hour."""
    from engine.core.errors import BadInput

    latency_ms = count(text, "--latency-ms")
    if latency_ms > _LATENCY_MS_MAX:
        raise BadInput(f"The option --latency-ms is {text!r}, above an hour: give at most {_LATENCY_MS_MAX}.")
    return latency_ms * 1_000_000


def exit_style(text: str | None) -> ExitStyle:
    """Return the style that `--exits` names, the simulated venue's default for None; raises BadInput for another."""
    from engine.core.errors import BadInput
    from engine.venues.paper import PaperVenue

    offered = {style.value: style for style in PaperVenue.exit_styles}
    if text is None:
        return PaperVenue.exit_styles[0]
    if text not in offered:
        raise BadInput(f"The option --exits is {text!r}, which the venue cannot do: choose {' or '.join(offered)}.")
    return offered[text]


def refuse_overwriting(out: Path | None, option: str, inputs: Mapping[str, Path | None]) -> None:
    """Raise BadInput where a file to write is one of the files, by their options, that the command reads."""
    from engine.core.errors import BadInput

    for name, path in inputs.items():
        if out is not None and path is not None and _is_same_file(out, path):
            raise BadInput(f"The options {option} and {name} name the same file {out}: write to another.")


def _is_same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
