"""`ratchet bars`: make minute bars, and compare them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import (
    CalendarOption,
    FilterName,
    FilterOption,
    JsonOption,
    ListingsOption,
    SymbolsOption,
    listing_exchanges,
)

if TYPE_CHECKING:
    from engine.feeds.bar_diff import Comparison
    from engine.feeds.files import MarketKind

app = typer.Typer(no_args_is_help=True, help="Make minute bars, and compare them.")


class SessionName(StrEnum):
    """Name a part of the exchange day."""

    ALL = "all"
    REGULAR = "regular"
    EXTENDED = "extended"


@app.command()
def build(
    *,
    source: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="Ticks, quotes or finer bars; told apart by their columns.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, .parquet or .csv.")],
    ticks: Annotated[Path | None, typer.Option("--ticks", help="Tape prints: symbol, ts, price, size.")] = None,
    quotes: Annotated[
        Path | None,
        typer.Option("--quotes", help="Quotes: symbol, ts, bid, ask, sizes; or one side a row: side, price, size."),
    ] = None,
    source_bars: Annotated[Path | None, typer.Option("--bars", help="Finer bars, for example of seconds.")] = None,
    filter_name: FilterOption = FilterName.NONE,
    listing_exchange: ListingsOption = None,
    session: Annotated[
        SessionName, typer.Option("--session", help="Keep the minutes of this part of the day only.")
    ] = SessionName.ALL,
    symbols: SymbolsOption = None,
    calendar: CalendarOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build one-minute bars from ticks, quotes or finer bars, as the running engine would."""
    from time import perf_counter

    from engine.cli.output import emit_json
    from engine.feeds.bar_files import BarRules, build_bars

    kind, path = _named(source, ticks=ticks, quotes=quotes, source_bars=source_bars)
    rules = BarRules(
        filter=filter_name.value,
        listing_exchanges=listing_exchanges(listing_exchange),
        session=None if session is SessionName.ALL else session.value,
        calendar=calendar,
    )
    began = perf_counter()
    built = build_bars(kind, path, out, symbols=symbols, rules=rules)
    seconds = perf_counter() - began
    if as_json:
        emit_json(
            {
                "rows": built.rows,
                "bars": built.bars,
                "revised": built.revised,
                "refused": dict(built.refused),
                "notes": list(built.notes),
                "out": str(out),
            }
        )
        return
    typer.echo(f"{built.bars:,} bars from {built.rows:,} rows of {path} in {seconds:.2f} s: {out}")
    if built.revised:
        typer.echo(f"  revised: {built.revised:,} bars (late prints, auctions, corrections)")
    for reason, count in built.refused.items():
        typer.echo(f"  refused: {count:,} rows ({reason})")
    for note in built.notes:
        typer.echo(f"  {note}")


def _named(
    source: Path | None, *, ticks: Path | None, quotes: Path | None, source_bars: Path | None
) -> tuple[MarketKind, Path]:
    from engine.core.errors import BadInput
    from engine.feeds.bar_files import kind_of
    from engine.feeds.files import MarketKind

    given = {MarketKind.TICKS: ticks, MarketKind.QUOTES: quotes, MarketKind.BARS: source_bars}
    named = [(kind, path) for kind, path in given.items() if path is not None]
    if source is not None:
        named.append((kind_of(source) if not named else MarketKind.TICKS, source))
    if len(named) != 1:
        raise BadInput(
            f"{len(named)} sources were named, but bars are built from one: give INPUT, --ticks, --quotes or --bars."
        )
    return named[0]


@app.command()
def diff(
    left: Annotated[Path, typer.Argument(metavar="A", help="A file of bars.")],
    right: Annotated[Path, typer.Argument(metavar="B", help="Another file of bars.")],
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many differences to name.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Compare two files of bars field by field, each bar at its last revision; exit code 1 when they differ."""
    from engine.cli.output import emit_json
    from engine.feeds.bar_diff import compare_bars

    found = compare_bars(left, right, limit=limit)
    if as_json:
        emit_json(
            {
                "equal": found.is_equal,
                "bars": {"a": found.left_bars, "b": found.right_bars},
                "bars_equal": found.equal,
                "bars_different": found.different,
                "only_in_a": found.only_left,
                "only_in_b": found.only_right,
                "fields": dict(found.fields),
                "first": [
                    {
                        "symbol": each.symbol,
                        "ts": each.ts,
                        "field": each.field,
                        "a": each.left,
                        "b": each.right,
                        "row_a": each.left_row,
                        "row_b": each.right_row,
                    }
                    for each in found.first
                ],
            }
        )
    else:
        _show(found)
    if not found.is_equal:
        raise typer.Exit(1)


def _show(found: Comparison) -> None:
    from rich.console import Console

    from engine.cli.tables import show_rows

    shared = found.equal + found.different
    typer.echo(f"{found.equal:,} of {shared:,} bars in both are equal in {len(found.fields)} fields.")
    if found.only_left or found.only_right:
        typer.echo(f"Only A has {found.only_left:,} bars, only B {found.only_right:,}.")
    if found.different:
        counts = ", ".join(f"{name} {count:,}" for name, count in found.fields.items() if count)
        typer.echo(f"Different: {counts}.")
    if found.first:
        rows = [
            (each.symbol, each.ts, each.field, each.left, each.right, each.left_row or "", each.right_row or "")
            for each in found.first
        ]
        show_rows(Console(), ("Symbol", "Bar", "Field", "A", "B", "Row of A", "Row of B"), rows)
