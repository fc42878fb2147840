"""`ratchet strategy`: prove what a strategy may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import CalendarOption, JsonOption, ParametersOption, SymbolsOption, pairs

app = typer.Typer(no_args_is_help=True, help="Check strategies.")


@app.callback()
def group() -> None:
    """Keep `strategy check` a subcommand while it is the only one."""


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="For example strategies.s1_vwap_ema:S1VwapEma, or s1_vwap_ema.")],
    *,
    bars: Annotated[Path, typer.Option("--bars", help="Minute bars to check it on.")],
    symbols: SymbolsOption = None,
    calendar: CalendarOption = None,
    parameters: ParametersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove on real bars that a strategy does not look ahead, and that batch and stream give the same bits."""
    from dataclasses import asdict

    from engine.app.strategy_loader import load_strategy
    from engine.cli.output import emit_json
    from engine.core.messages import BarClosed
    from engine.feeds.replay import ReplayFeed
    from engine.research.strategy_check import check_strategy

    factory = load_strategy(name, pairs(parameters))
    feed = ReplayFeed.bars(bars, symbols=symbols, calendar=calendar)
    replayed = [event.bar for event in feed.events() if isinstance(event, BarClosed)]
    reports = [
        check_strategy(
            factory,
            [bar for bar in replayed if bar.instrument_id == instrument.instrument_id],
            feed.sessions[instrument.instrument_id],
            instrument=instrument,
        )
        for instrument in feed.instruments
    ]
    if as_json:
        emit_json(
            {
                "passed": all(report.passed for report in reports),
                "reports": [
                    {"symbol": instrument.symbol, **asdict(report)}
                    for instrument, report in zip(feed.instruments, reports, strict=True)
                ],
            }
        )
    else:
        for instrument, report in zip(feed.instruments, reports, strict=True):
            _print(instrument.symbol, report)
    if not all(report.passed for report in reports):
        raise typer.Exit(1)


def _print(symbol: str, report: object) -> None:
    from rich.console import Console
    from rich.table import Table

    from engine.research.strategy_check import StrategyCheckReport

    assert isinstance(report, StrategyCheckReport)
    verdict = "passed" if report.passed else "FAILED"
    table = Table(
        title=f"{report.strategy} on {symbol}: {verdict}",
        title_justify="left",
    )
    for heading in ("Check", "Bars", "Result"):
        table.add_column(heading)
    for outcome in report.checks:
        table.add_row(
            outcome.name, f"{outcome.bars:,}", "same" if outcome.difference is None else str(outcome.difference)
        )
    console = Console()
    console.print(table)
    console.print(
        f"{report.bars:,} bars; the entry holds in {report.entries:,} of them, the exit in {report.exits:,}.",
        highlight=False,
    )
