"""`ratchet backtest`: a strategy over a file of minute bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import (
    ActionsOption,
    CalendarOption,
    ExitsOption,
    JsonOption,
    LatencyOption,
    ParametersOption,
    RiskOption,
    SymbolsOption,
    amount,
    exit_style,
    latency_ns,
    pairs,
    refuse_overwriting,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.app.loop import Observer
    from engine.app.modes import FinishedBacktest, RunSpec
    from engine.app.results import Performance

_EXAMPLE = "SELECT * FROM v_round_trips LIMIT 10"


def backtest(
    strategy: Annotated[str, typer.Argument(help="For example s1_vwap_ema, or my_module:MyStrategy.")],
    *,
    bars: Annotated[Path, typer.Option("--bars", help="Minute bars: symbol, ts, open, high, low, close, volume.")],
    symbols: SymbolsOption = None,
    cash: Annotated[str, typer.Option("--cash", metavar="AMOUNT", help="Opening balance.")] = "100000",
    fees: Annotated[
        str, typer.Option("--fees", help="none, robinhood (dated SEC and FINRA), or a file of rows.")
    ] = "none",
    slippage_bps: Annotated[
        str, typer.Option("--slippage-bps", metavar="NUMBER", help="Adverse, on market and stop fills.")
    ] = "0",
    limit_touch: Annotated[
        bool, typer.Option("--limit-fills-on-touch", help="Let a limit fill where the price only touched it.")
    ] = False,
    latency_ms: LatencyOption = "0",
    exits: ExitsOption = None,
    both_exits: Annotated[
        bool, typer.Option("--both-exits", help="Run the other exit style too, and show both side by side.")
    ] = False,
    parameters: ParametersOption = None,
    risk: RiskOption = None,
    calendar: CalendarOption = None,
    corporate_actions: ActionsOption = None,
    database: Annotated[
        Path | None,
        typer.Option("--db", help="Keep every row in this SQLite file, made on first use. Default: nowhere."),
    ] = None,
    append: Annotated[bool, typer.Option("--append", help="Keep this run beside those that the file holds.")] = False,
    trades_out: Annotated[
        Path | None, typer.Option("--trades-out", help="Write a row per round trip, .csv or .parquet.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy over minute bars, and keep every decision, order and fill in one SQLite file.

    Without --db the rows are thrown away at the end. Exit codes: 0 done, 2 bad input, 3 halted, 4 try again.
    """
    from engine.app.results import check_round_trips_path
    from engine.app.settings import load_risk
    from engine.app.strategy_loader import load_strategy
    from engine.feeds.corporate import with_actions
    from engine.feeds.replay import ReplayFeed

    if trades_out is not None:
        check_round_trips_path(trades_out)
        refuse_overwriting(trades_out, "--trades-out", {"--bars": bars, "--risk": risk, "--db": database})
    from engine.app.modes import RunSpec

    spec = RunSpec(
        strategy=load_strategy(strategy, pairs(parameters)),
        feed=with_actions(ReplayFeed.bars(bars, symbols=symbols, calendar=calendar), corporate_actions),
        risk=load_risk(risk),
        cash=amount(cash, "--cash", above_zero=True),
        fees=fees,
        slippage_bps=amount(slippage_bps, "--slippage-bps"),
        limit_fills_on_touch=limit_touch,
        latency_ns=latency_ns(latency_ms),
        exit_style=exit_style(exits),
    )
    _run_and_show(spec, database, append=append, trades_out=trades_out, as_json=as_json, both_exits=both_exits)


def _run_and_show(
    spec: RunSpec, database: Path | None, *, append: bool, trades_out: Path | None, as_json: bool, both_exits: bool
) -> None:
    from dataclasses import replace

    from engine.app.results import write_round_trips
    from engine.cli.exit_styles import exits_side_by_side, print_exits_side_by_side

    report, figures = _kept_or_thrown_away(spec, database, append=append, is_quiet=as_json)
    if trades_out is not None:
        write_round_trips(figures.round_trips, trades_out)
    styles = {report["exits"]: report}
    if both_exits:
        other = replace(spec, exit_style=next(each for each in spec.exit_styles if each is not spec.exit_style))
        styles[other.exit_style.value], _ = _kept_or_thrown_away(other, None, append=False, is_quiet=as_json)
    if as_json:
        from engine.cli.output import emit_json

        compared = {"both_exits": exits_side_by_side(styles)} if both_exits else {}
        emit_json({**report, **compared, "database": str(database) if database is not None else None})
        return
    _print(report, figures, database)
    if both_exits:
        print_exits_side_by_side(styles)


def _kept_or_thrown_away(
    spec: RunSpec, database: Path | None, *, append: bool, is_quiet: bool
) -> tuple[dict[str, Any], Performance]:
    if database is not None:
        return _run(spec, database, append=append, is_quiet=is_quiet)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="ratchet-") as folder:
        return _run(spec, Path(folder) / "run.sqlite", append=False, is_quiet=is_quiet)


def _run(spec: RunSpec, database: Path, *, append: bool, is_quiet: bool) -> tuple[dict[str, Any], Performance]:
    from time import perf_counter

    from engine.app.clock import SystemClock
    from engine.app.modes import backtest as run_backtest
    from engine.app.results import performance
    from engine.app.strategy_loader import blaming
    from engine.store.connection import open_reader

    began = perf_counter()
    with blaming(spec.strategy), _progress(spec, is_shown=not is_quiet) as observer:
        finished = run_backtest(spec, database, wall_ts_ns=SystemClock().now_ns(), append=append, observer=observer)
    wall_seconds = perf_counter() - began
    connection = open_reader(database)
    try:
        figures = performance(connection, finished.account.account_id)
    finally:
        connection.close()
    return _report(spec, finished, figures, wall_seconds), figures


def _report(spec: RunSpec, finished: FinishedBacktest, figures: Performance, wall_seconds: float) -> dict[str, Any]:
    from collections import Counter

    from engine.app.results import plain

    return {
        "strategy": spec.strategy.import_string,
        "parameters": spec.parameters,
        "symbols": [instrument.symbol for instrument in spec.feed.instruments],
        "account": finished.account.name,
        "exits": spec.exit_style.value,
        "bars": figures.bars,
        "trades": len(figures.round_trips),
        "exit_reasons": dict(sorted(Counter(trip.exit_reason for trip in figures.round_trips).items())),
        "fills": figures.fills,
        "open_positions": figures.open_positions,
        "final_equity": plain(figures.final_equity, decimals_min=2),
        "net_pnl": plain(figures.net_pnl, decimals_min=2),
        "fees": plain(figures.fees, decimals_min=2),
        "max_drawdown": float(figures.max_drawdown),
        "wall_seconds": round(wall_seconds, 6),
        "bars_per_second": round(figures.bars / wall_seconds, 1),
        "journal_hash": finished.journal_hash,
        "risk_hash": spec.risk.sha256,
        "risk_file": str(spec.risk.path),
        "resumed": finished.was_resumed,
    }


def _print(report: dict[str, Any], figures: Performance, database: Path | None) -> None:
    from shlex import quote

    from rich.console import Console
    from rich.table import Table

    from engine.cli.output import program

    by_reason = ", ".join(f"{count:,} {reason}" for reason, count in report["exit_reasons"].items()) or "none"
    table = Table(title=f"{report['strategy']} on {', '.join(report['symbols'])}", show_header=False, min_width=60)
    for name, value in (
        ("Exits", report["exits"]),
        ("Bars", f"{report['bars']:,}"),
        ("Round trips", f"{report['trades']:,} ({by_reason})"),
        ("Fills", f"{report['fills']:,}"),
        ("Positions still open", f"{report['open_positions']}"),
        ("Final equity", f"{figures.final_equity:,.2f}"),
        ("Net P&L after fees", f"{figures.net_pnl:+,.2f}"),
        ("Fees", f"{figures.fees:,.2f}"),
        ("Max drawdown", f"{report['max_drawdown']:.4%}"),
        ("Time", f"{report['wall_seconds']:.2f} s, {report['bars_per_second']:,.0f} bars/s"),
        ("Journal hash", report["journal_hash"][:16]),
        ("Risk file", f"{report['risk_file']} (SHA-256 {report['risk_hash'][:16]})"),
    ):
        table.add_row(name, value)
    console = Console()
    console.print(table)
    if database is not None:
        console.print("Look inside:")
        example = f"{program()} sql --db {quote(str(database))} {_EXAMPLE!r}"
        console.print(f"  {example}", markup=False, highlight=False, soft_wrap=True)


def _progress(spec: RunSpec, *, is_shown: bool) -> AbstractContextManager[Observer | None]:
    # A bar on a terminal only; nothing where the output is read by a program.
    from contextlib import nullcontext

    from rich.console import Console

    console = Console(stderr=True)
    rows = getattr(spec.feed, "rows", 0)
    if not is_shown or not console.is_terminal or rows < 200_000:
        return nullcontext(None)
    from engine.cli.progress import bar_progress

    return bar_progress(console, rows)
