"""`ratchet risk`: what the gate decided, and what it would decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import DatabaseOption, JsonOption, RiskOption, amount, existing_database

if TYPE_CHECKING:
    from engine.app.what_if import Answer, Question

app = typer.Typer(no_args_is_help=True, help="Ask the risk gate: what it decided, and what it would decide.")


@app.command()
def explain(
    order: Annotated[
        str,
        typer.Argument(
            metavar="ORDER", help="An order's number, its client order id or the beginning of that; or decision:NUMBER."
        ),
    ],
    *,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the decision on an order: every check with its verdict, value, limit and source.

    Durations are shown in the unit of their setting; --json has them as stored, in nanoseconds.
    Refused requests have no order: name them as decision:NUMBER, from the view v_vetoes.
    """
    from engine.cli.output import emit_json
    from engine.store.decisions import find_decision
    from engine.store.migrate import open_current_reader

    target = existing_database(database)
    connection = open_current_reader(target)
    try:
        decision = find_decision(connection, order)
    finally:
        connection.close()
    if as_json:
        emit_json(decision)
        return
    of_order = "no order" if decision.order_id is None else f"order {decision.order_id}"
    what = f"{decision.leg} {decision.side} {decision.quantity:g} {decision.symbol} ({decision.order_type})"
    _show(
        f"decision {decision.decision_id}, {of_order}: {what}, {decision.timestamp}",
        approved=decision.approved,
        reason=decision.reason,
        checks=decision.checks,
    )


@app.command("what-if")
def what_if(
    symbol: Annotated[str, typer.Argument(help="What would be bought.")],
    *,
    price: Annotated[str, typer.Option("--price", metavar="NUMBER", help="The last price.")],
    stop_distance: Annotated[
        str, typer.Option("--stop-distance", metavar="NUMBER", help="How far below the price its stop would be.")
    ],
    limit: Annotated[str | None, typer.Option("--limit", metavar="NUMBER", help="A limit price; else market.")] = None,
    quantity: Annotated[
        str | None, typer.Option("--quantity", metavar="NUMBER", help="Shares or coins; else the gate sizes it.")
    ] = None,
    equity: Annotated[
        str | None, typer.Option("--equity", metavar="NUMBER", help="An account with so much cash and no database.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="The account. Default: the latest.")] = None,
    risk: RiskOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the gate on an order that nobody made, and show its size and every check. Nothing is written.

    The account is that of the database, as its journal leaves it, under its own risk file unless --risk names another;
    with --equity it is an account that holds so much cash and nothing else. Where the market is closed, the moment is
    the next open.
    """
    from engine.app.what_if import Question

    question = Question(
        symbol=symbol,
        price=amount(price, "--price", above_zero=True),
        stop_distance=amount(stop_distance, "--stop-distance", above_zero=True),
        limit=None if limit is None else amount(limit, "--limit", above_zero=True),
        quantity=None if quantity is None else amount(quantity, "--quantity", above_zero=True),
    )
    answer = _ask(question, equity, account, risk=risk, database=database)
    if as_json:
        from engine.cli.output import emit_json

        emit_json(answer)
        return
    _show_answer(answer)


def _ask(
    question: Question, equity: str | None, account: str | None, *, risk: Path | None, database: Path | None
) -> Answer:
    import time

    from engine.app.settings import load_risk
    from engine.app.what_if import ask_database, ask_fresh
    from engine.core.errors import BadInput

    if equity is None:
        own = None if risk is None else load_risk(risk)
        return ask_database(existing_database(database), question, account=account, risk=own)
    if database is not None or account is not None:
        raise BadInput("The option --equity asks about an account without a database: leave out --db and --account.")
    return ask_fresh(
        question, equity=amount(equity, "--equity", above_zero=True), risk=load_risk(risk), wall_ts_ns=time.time_ns()
    )


def _show_answer(answer: Answer) -> None:
    from engine.cli.tables import exact_money, moment, quantity

    when = moment(answer.ts_ns, "%Y-%m-%d %H:%M:%S UTC") + (" (the next open)" if answer.is_next_open else "")
    sized = "" if answer.quantity == answer.sized_quantity else f", sized by the gate {quantity(answer.sized_quantity)}"
    _show(
        f"buy {quantity(answer.quantity)} {answer.symbol}{sized}, account {answer.account}, "
        f"equity {exact_money(answer.equity)}, {when}",
        approved=answer.approved,
        reason=answer.reason,
        checks=[asdict(check) for check in answer.checks],
    )


def _show(title: str, *, approved: bool, reason: str, checks: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.text import Text

    from engine.cli.checks_table import checks_table

    console = Console()
    console.print(Text(title))
    verdict = "APPROVED" if approved else f"REFUSED: {reason.replace('_', ' ')}"
    console.print(Text(verdict, style="bold green" if approved else "bold red"))
    table = checks_table(checks)
    if not console.is_terminal:
        # A file or a pipe has no width: no line is broken.
        console.width = max(console.width, Measurement.get(console, console.options, table).maximum)
    console.print(table)
