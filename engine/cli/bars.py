"""`ratchet bars`: make minute bars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import CalendarOption, JsonOption, SymbolsOption

app = typer.Typer(no_args_is_help=True, help="Make minute bars.")


@app.callback()
def group() -> None:
    """Keep `bars build` a subcommand while it is the only one."""


@app.command()
def build(
    *,
    out: Annotated[Path, typer.Option("--out", help="The file to write, .parquet or .csv.")],
    ticks: Annotated[Path | None, typer.Option("--ticks", help="Tape prints: symbol, ts, price, size.")] = None,
    quotes: Annotated[Path | None, typer.Option("--quotes", help="Quotes: symbol, ts, bid, ask, sizes.")] = None,
    source_bars: Annotated[Path | None, typer.Option("--bars", help="Finer bars, for example of seconds.")] = None,
    symbols: SymbolsOption = None,
    calendar: CalendarOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build one-minute bars from ticks, quotes or finer bars, as the running engine would."""
    from time import perf_counter

    from engine.cli.output import emit_json
    from engine.core.errors import BadInput
    from engine.feeds.batch_bars import build_bars
    from engine.feeds.files import MarketKind

    given = {MarketKind.TICKS: ticks, MarketKind.QUOTES: quotes, MarketKind.BARS: source_bars}
    named = [(kind, path) for kind, path in given.items() if path is not None]
    if len(named) != 1:
        raise BadInput(
            f"{len(named)} sources were named, but bars are built from one: give --ticks, --quotes or --bars."
        )
    ((kind, path),) = named
    began = perf_counter()
    built = build_bars(kind, path, out, symbols=symbols, calendar=calendar)
    seconds = perf_counter() - began
    if as_json:
        emit_json({"rows": built.rows, "bars": built.bars, "refused": dict(built.refused), "out": str(out)})
        return
    typer.echo(f"{built.bars:,} bars from {built.rows:,} rows of {path} in {seconds:.2f} s: {out}")
    for reason, count in built.refused.items():
        typer.echo(f"  refused: {count:,} rows ({reason})")
