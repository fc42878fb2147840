"""`ratchet strategy`: prove what a strategy may not do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import CalendarOption, JsonOption, ParametersOption, SymbolsOption, pairs

if TYPE_CHECKING:
    from engine.research.strategy_check import CheckOutcome, StrategyCheckReport

#: So much of a value is shown where two differ.
_SHOWN_LENGTH = 80

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
    """Prove on real bars that a strategy does not look ahead, and that batch and stream give the same bits.

    Exit code 3 if a proof fails.
    """
    from dataclasses import asdict

    from engine.app.strategy_loader import blaming, load_strategy
    from engine.cli.output import ExitCode, emit_json
    from engine.core.messages import BarClosed
    from engine.feeds.replay import ReplayFeed
    from engine.research.strategy_check import check_strategy

    factory = load_strategy(name, pairs(parameters))
    feed = ReplayFeed.bars(bars, symbols=symbols, calendar=calendar)
    replayed = [event.bar for event in feed.events() if isinstance(event, BarClosed)]
    with blaming(factory):
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
        raise typer.Exit(ExitCode.HALTED)


def _print(symbol: str, report: StrategyCheckReport) -> None:
    from rich.console import Console
    from rich.table import Table

    verdict = "passed" if report.passed else "FAILED"
    table = Table(
        title=f"{report.strategy} on {symbol}: {verdict}",
        title_justify="left",
    )
    for heading in ("Check", "Bars", "Result"):
        table.add_column(heading)
    for outcome in report.checks:
        table.add_row(outcome.name, f"{outcome.bars:,}", "same" if outcome.difference is None else "DIFFERS")
    console = Console()
    console.print(table)
    for outcome in report.checks:
        if outcome.difference is not None:
            console.print(_difference(outcome), markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{report.bars:,} bars; the entry holds in {report.entries:,} of them, the exit in {report.exits:,}.",
        highlight=False,
    )
    if not report.entries:
        console.print("No entry held on these bars: nothing was proven about entries.", highlight=False)


def _difference(outcome: CheckOutcome) -> str:
    from engine.feeds.files import utc_text

    first = outcome.difference
    assert first is not None
    return (
        f"{outcome.name}: differs first at {utc_text(first.bar_start_ts_ns)} in {first.column}: "
        f"expected {_short(first.expected)}, found {_short(first.found)}."
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[: _SHOWN_LENGTH - 1]}…"
