"""`ratchet status | pause | resume | kill | flatten`: look at a trading account and steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import DatabaseOption, JsonOption, database_path, existing_database

if TYPE_CHECKING:
    from pathlib import Path

    from engine.app.operators import OperatorEvent

StrategyOption = Annotated[str | None, typer.Option("--strategy", help="Only this strategy.")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Kept with the command.")]

_WAIT_SECONDS = 10.0


def pause(
    *,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    reason: ReasonOption = "paused by the operator",
    database: DatabaseOption = None,
) -> None:
    """Stop entries; exits and protection go on. Lasts until `ratchet resume`."""
    from engine.core.messages import Pause

    _ask(Pause, database, strategy=strategy, symbol=symbol, reason=reason)


def resume(
    *,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    reason: ReasonOption = "resumed by the operator",
    database: DatabaseOption = None,
) -> None:
    """Clear a pause, a halt or the kill switch of the same scope."""
    from engine.core.messages import Resume

    _ask(Resume, database, strategy=strategy, symbol=symbol, reason=reason)


def kill(
    *,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    reason: ReasonOption = "killed by the operator",
    database: DatabaseOption = None,
) -> None:
    """Halt: no entry any more, working entries are canceled, stops stay. Lasts until `ratchet resume`."""
    from engine.core.messages import Kill

    _ask(Kill, database, strategy=strategy, symbol=symbol, reason=reason)


def flatten(
    *,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    reason: ReasonOption = "flattened by the operator",
    database: DatabaseOption = None,
) -> None:
    """Cancel working entries and close positions at market. Entries go on unless paused or killed.

    Such a round trip is recorded with the exit reason `kill`.
    """
    from engine.core.messages import Flatten

    _ask(Flatten, database, strategy=strategy, symbol=symbol, reason=reason)


def _ask(kind: OperatorEvent, database: Path | None, *, strategy: str | None, symbol: str | None, reason: str) -> None:
    from getpass import getuser

    from engine.app.clock import SystemClock
    from engine.app.operators import is_engine_running, post, wait_until_taken

    path = database_path(database)
    request = post(
        path,
        kind,
        strategy_id=strategy,
        symbol=symbol,
        reason=reason,
        requested_by=getuser(),
        wall_ts_ns=SystemClock().now_ns(),
    )
    what = kind.__name__
    if not is_engine_running(path):
        typer.echo(f"{what} is posted. No engine is running: the next one takes it before anything else.")
        return
    step = wait_until_taken(path, request, seconds=_WAIT_SECONDS)
    if step is None:
        typer.echo(f"{what} is posted, but the engine has not taken it yet: it does so with its next bar.", err=True)
        raise typer.Exit(4)
    typer.echo(f"{what} was taken by the engine in step {step}.")


def status(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Show an account: what may be traded, what is held, which orders work, and what it is worth."""
    from engine.app.operators import is_engine_running
    from engine.cli.output import emit_json
    from engine.core.errors import BadInput
    from engine.store.migrate import open_current_reader
    from engine.store.queries import account_status

    path = existing_database(database)
    connection = open_current_reader(path)
    try:
        found = account_status(connection)
    finally:
        connection.close()
    if found is None:
        raise BadInput(f"The database {path} holds no account yet: start with ratchet run or ratchet backtest.")
    running = is_engine_running(path)
    if as_json:
        emit_json({"database": str(path), "engine_running": running, **found})
    else:
        _print_status(found, running=running)


def _print_status(found: dict[str, Any], *, running: bool) -> None:
    from rich.console import Console

    from engine.cli.tables import show_rows

    console = Console()
    name, kind = found["account"], found["kind"]
    console.print(
        f"[bold]{name}[/]{'' if name == kind else f' · {kind}'} · "
        f"{'engine running' if running else 'no engine running'} · market time {found['market_time'] or '-'}",
        highlight=False,
    )
    console.print(f"Strategy {found['strategy']}", highlight=False)
    console.print("Trading is restricted:" if found["trading_states"] else "Trading: ACTIVE", highlight=False)
    for name, title in (
        ("trading_states", "Trading states"),
        ("pending_requests", "Requests that no engine has taken yet"),
        ("positions", "Positions"),
        ("open_orders", "Open orders"),
    ):
        if rows := found[name]:
            console.print()
            show_rows(console, list(rows[0]), [list(row.values()) for row in rows], title=title)
            console.print()
    console.print(f"Equity {found['equity']} · cash {found['cash']}", highlight=False)
    console.print(
        f"{found['bars']:,} bars · {found['signals']:,} signals · {found['fills']:,} fills · "
        f"{found['round_trips']:,} round trips",
        highlight=False,
    )
