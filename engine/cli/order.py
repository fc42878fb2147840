"""`ratchet order`: what became of an order, and why it was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import DatabaseOption, JsonOption, count, existing_database

if TYPE_CHECKING:
    from engine.store.stories import OrderStory

app = typer.Typer(no_args_is_help=True, help="Look at orders, and ask why.")


@app.command("list")
def list_(
    *,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="Only this instrument, by any symbol that it had.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only orders that stand so, for example FILLED.")
    ] = None,
    limit: Annotated[str, typer.Option("--limit", metavar="NUMBER", help="Show at most so many orders.")] = "20",
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List orders, the newest first."""
    from engine.cli.output import emit_json
    from engine.store.migrate import open_current_reader
    from engine.store.stories import list_orders

    target = existing_database(database)
    wanted = None if status is None else status.upper()
    connection = open_current_reader(target)
    try:
        orders = list_orders(connection, symbol=symbol, status=wanted, limit=count(limit, "--limit", least=1))
    finally:
        connection.close()
    if as_json:
        emit_json(orders)
        return
    from engine.cli.order_story import show_orders

    show_orders(orders)


@app.command()
def show(
    order: Annotated[
        str, typer.Argument(metavar="ID", help="An order's number, its client order id, or the beginning of that.")
    ],
    *,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why an order was made, and all that became of it.

    From the bar over the indicator values, the rule, the signal and every check of the risk gate to the order, each
    transition with its source and latency, the fills, the states of its bracket, and the position after it.
    """
    from engine.cli.output import emit_json

    target = existing_database(database)
    story = _story(target, order)
    if as_json:
        emit_json(story)
        return
    from engine.cli.order_story import show_story

    show_story(story)


def _story(target: Path, order: str) -> OrderStory:
    from engine.store.migrate import open_current_reader
    from engine.store.stories import find_order, order_story

    connection = open_current_reader(target)
    try:
        # One moment of the file, whatever an engine writes meanwhile.
        connection.execute("BEGIN")
        return order_story(connection, find_order(connection, order))
    finally:
        connection.close()
