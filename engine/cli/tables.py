"""How figures look: money, prices, quantities, moments, states and sparklines, the same in every table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.core.values import AssetClass, Instrument

_CENT: Final = Decimal("0.01")
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_THOUSANDS: Final = ((1e9, "B"), (1e6, "M"), (1e5, "k"))

#: How the state of an order or of trading is coloured.
STATE_STYLES: Final = {
    "NEW": "yellow",
    "ACK": "cyan",
    "PARTIAL": "bold magenta",
    "FILLED": "green",
    "CANCELED": "bright_black",
    "EXPIRED": "bright_black",
    "REJECTED": "bold red",
    "UNKNOWN": "bold white on red",
    "AWAITING_APPROVAL": "bold yellow",
    "ACTIVE": "bold green",
    "REDUCING": "bold yellow",
    "HALTED": "bold white on red",
}
SIDE_STYLES: Final = {"buy": "green", "sell": "red"}


def money(amount: Decimal, *, signed: bool = False) -> str:
    """Return an amount for display: thousands separated, two decimals (half to even), never a negative zero."""
    rounded = amount.quantize(_CENT, ROUND_HALF_EVEN)
    if not rounded:
        return "0.00"
    return f"{rounded:+,.2f}" if signed else f"{rounded:,.2f}"


def exact_money(amount: Decimal, *, signed: bool = False) -> str:
    """Return an amount with every digit that it has, and two decimals at least."""
    digits = _trimmed(amount, decimals_min=2)
    return f"+{digits}" if signed and amount > 0 else digits


def quantity(amount: Decimal) -> str:
    """Return a number of shares or coins with every digit that matters."""
    return _trimmed(amount, decimals_min=0)


def _trimmed(amount: Decimal, *, decimals_min: int) -> str:
    whole, _, decimals = f"{abs(amount):,f}".partition(".")
    decimals = decimals.rstrip("0").ljust(decimals_min, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def price(value: float | Decimal, instrument: Instrument) -> str:
    """Return a price for display: shares by their tick, coins with decimals enough for their size."""
    size = abs(float(value))
    if instrument.asset_class is AssetClass.EQUITY:
        decimals = 2 if size >= 1 else 4
    else:
        decimals = 2 if size >= 1_000 else 4 if size >= 1 else 8
    return f"{value:,.{decimals}f}"


def volume(value: float) -> str:
    """Return a volume in at most seven characters: `12,345`, `1.23M`, `0.0421`."""
    for size, letter in _THOUSANDS:
        if value >= size:
            return f"{value / (1_000 if letter == 'k' else size):,.{0 if letter == 'k' else 2}f}{letter}"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if value >= 100 else f"{value:.4f}"


def percent(fraction: Decimal, *, signed: bool = False) -> str:
    """Return a fraction as per cent with two decimals."""
    return f"{fraction * 100:+.2f} %" if signed else f"{fraction * 100:.2f} %"


def sign_style(amount: Decimal) -> str:
    """Return the colour of a profit or a loss."""
    return "green" if amount > 0 else "red" if amount < 0 else "bright_black"


def gain(amount: Decimal) -> Text:
    """Return a profit or a loss with its sign and colour."""
    return Text(money(amount, signed=True), style=sign_style(amount))


def state_text(shown: str, *, key: str) -> Text:
    """Return a text in the colour of a state."""
    return Text(shown, style=STATE_STYLES.get(key, ""))


def sparkline(values: Sequence[float], width: int) -> str:
    """Return a curve in one line of at most `width` characters; a flat one lies at the bottom."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    # The last value of each part, so that the end of the line is now.
    shown = [values[(position + 1) * len(values) // count - 1] for position in range(count)]
    low, span = min(shown), max(shown) - min(shown)
    if span <= 0:
        return _SPARKS[0] * count
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[round((value - low) / span * top)] for value in shown)


def new_york() -> tzinfo | None:
    """Return the zone of the exchange, or None on a machine without a zone database."""
    try:
        return ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return None


def moment(ts_ns: int, pattern: str, zone: tzinfo | None = None) -> str:
    """Return a moment in ns UTC in a zone (UTC unless one is given), by a pattern of `strftime`."""
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).astimezone(zone or UTC).strftime(pattern)


def show_rows(console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print rows as a table; on a terminal that is too narrow for it, as one block of lines per row.

    What is written into a file or a pipe is never broken into several lines.
    """
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    needed = sum(widths) + 3 * len(widths)
    if console.is_terminal and needed > console.width:
        _show_blocks(console, columns, cells, title=title)
        return
    numbers = [
        name
        for name, *values in zip(columns, *rows, strict=True)
        if all(isinstance(each, int | float) for each in values)
    ]
    table = plain_table(*columns, right=numbers)
    table.title = title or None
    table.title_justify = "left"
    for row in cells:
        table.add_row(*map(Text, row))
    if not console.is_terminal:
        console.width = max(needed, console.width)
    console.print(table)


def _show_blocks(console: Console, columns: Sequence[str], cells: Sequence[Sequence[str]], *, title: str) -> None:
    margin = max(map(cell_len, columns))
    if title:
        console.print(title, style="italic", markup=False)
    for number, row in enumerate(cells, start=1):
        console.print(f"row {number}", style="dim", highlight=False)
        block = Table.grid(padding=(0, 2))
        block.add_column(width=margin, style="bold")
        block.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            block.add_row(name, Text(value))
        console.print(block)


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table in the house style; the columns named in `right` are numbers."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table
