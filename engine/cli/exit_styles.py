"""Both exit styles of one backtest, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

#: What of a backtest's report depends on the style.
_COMPARED: Final = (
    "trades",
    "exit_reasons",
    "fills",
    "open_positions",
    "final_equity",
    "net_pnl",
    "fees",
    "max_drawdown",
    "journal_hash",
)

Reports = Mapping[str, dict[str, Any]]


def exits_side_by_side(reports: Reports) -> dict[str, dict[str, Any]]:
    """Return what differs by the exit style, by the style's name, from a report of each."""
    return {style: {key: report[key] for key in _COMPARED} for style, report in reports.items()}


def print_exits_side_by_side(reports: Reports) -> None:
    """Print a column per exit style."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="The same bars in both exit styles", min_width=60)
    table.add_column("")
    for style in reports:
        table.add_column(style, justify="right")
    reasons = sorted({reason for report in reports.values() for reason in report["exit_reasons"]})
    each = list(reports.values())
    lines: list[tuple[str, list[str]]] = [
        ("Round trips", [f"{one['trades']:,}" for one in each]),
        *((f"  by {reason}", [f"{one['exit_reasons'].get(reason, 0):,}" for one in each]) for reason in reasons),
        ("Fills", [f"{one['fills']:,}" for one in each]),
        ("Positions still open", [str(one["open_positions"]) for one in each]),
        ("Net P&L after fees", [f"{Decimal(one['net_pnl']):+,.2f}" for one in each]),
        ("Fees", [f"{Decimal(one['fees']):,.2f}" for one in each]),
        ("Final equity", [f"{Decimal(one['final_equity']):,.2f}" for one in each]),
        ("Max drawdown", [f"{one['max_drawdown']:.4%}" for one in each]),
        ("Journal hash", [one["journal_hash"][:16] for one in each]),
    ]
    for name, values in lines:
        table.add_row(name, *values)
    Console().print(table)
