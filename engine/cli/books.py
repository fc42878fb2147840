"""`ratchet books`: cash, positions with their lots, realized profit and fees, and that the double entry balances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import DatabaseOption, JsonOption, existing_database

if TYPE_CHECKING:
    from rich.console import Console

    from engine.store.accounts import AccountRow
    from engine.store.book_reading import BooksAt
    from engine.store.connection import sqlite

_LOTS_SHOWN = 20


def books(
    *,
    database: DatabaseOption = None,
    at: Annotated[str | None, typer.Option("--at", help="As it was then: ISO 8601 in UTC. Default: now.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="By its name. Default: the newest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the books of an account, as they follow from its trades, cash movements and position adjustments.

    Exit code 3 if debits and credits differ.
    """
    from engine.cli.run import moment
    from engine.store.book_reading import read_books
    from engine.store.migrate import open_current_reader

    target = existing_database(database)
    connection = open_current_reader(target)
    try:
        found = read_books(connection, _account(connection, account), None if at is None else moment(at))
    finally:
        connection.close()
    if as_json:
        from engine.cli.output import emit_json

        emit_json(found)
    else:
        _print(found)
    if found.debits != found.credits:
        raise typer.Exit(3)


def _account(connection: sqlite.Connection, name: str | None) -> AccountRow:
    from engine.core.errors import BadInput
    from engine.store.accounts import list_accounts

    accounts = list_accounts(connection)
    if not accounts:
        raise BadInput("The database holds no account yet: make one with ratchet run or ratchet backtest.")
    chosen = next((each for each in accounts if each.name == name), None) if name else accounts[-1]
    if chosen is None:
        known = ", ".join(each.name for each in accounts)
        raise BadInput(f"The account {name!r} is not in the database: it has {known}.")
    return chosen


def _print(found: BooksAt) -> None:
    from rich.console import Console
    from rich.table import Table

    from engine.cli.tables import exact_money

    console = Console()
    table = Table(title=f"Books of {found.account}", show_header=False, min_width=60)
    lines = [
        ("Cash", exact_money(found.cash)),
        ("Settled", exact_money(found.cash_settled)),
        ("Unsettled", exact_money(found.cash_unsettled)),
        ("Realized profit", exact_money(found.realized_pnl, signed=True)),
        *((f"Fee {kind}", exact_money(amount)) for kind, amount in found.fees_by_kind.items()),
        *((kind.replace("_", " ").capitalize(), exact_money(each)) for kind, each in found.movements.items()),
        ("In suspense", str(found.suspended)),
        ("Good-faith violations", str(found.good_faith_violations)),
    ]
    for line in lines:
        table.add_row(*line)
    console.print(table)
    _print_lots(console, found)
    _print_realized(console, found)
    _print_entries(console, found)


def _print_lots(console: Console, found: BooksAt) -> None:
    from engine.cli.tables import exact_money, quantity, show_rows

    rows = [
        (position.strategy_id, position.symbol, lot.lot, lot.opened, quantity(lot.quantity), exact_money(lot.cost))
        for position in found.positions
        for lot in position.lots or ()
    ]
    columns = ("strategy", "symbol", "lot", "opened", "quantity", "cost")
    if rows:
        show_rows(console, columns, rows, title="Open lots")


def _print_realized(console: Console, found: BooksAt) -> None:
    from engine.cli.tables import exact_money, quantity, show_rows

    rows = [
        (
            *(each.symbol, each.lot, each.closed, each.holding_days, quantity(each.quantity), exact_money(each.cost)),
            *(exact_money(each.proceeds), exact_money(each.realized_pnl, signed=True)),
        )
        for each in found.realized_lots[-_LOTS_SHOWN:]
    ]
    columns = ("symbol", "lot", "closed", "days", "quantity", "cost", "proceeds", "profit")
    if rows:
        more = len(found.realized_lots) - len(rows)
        title = f"Realized by lot (the last {len(rows)}; {more} more: --json)" if more else "Realized by lot"
        show_rows(console, columns, rows, title=title)


def _print_entries(console: Console, found: BooksAt) -> None:
    from engine.cli.tables import exact_money, show_rows

    rows = [(account, exact_money(balance, signed=True)) for account, balance in found.balances.items()]
    rows.append(("debits", exact_money(found.debits)))
    rows.append(("credits", exact_money(found.credits)))
    balance = "balances" if found.debits == found.credits else "DOES NOT BALANCE"
    show_rows(console, ("account", "balance"), rows, title=f"Double entry: {balance}")
