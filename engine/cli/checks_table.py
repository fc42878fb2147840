"""A decision of the risk gate as a table: one row per check, the same wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from engine.cli.tables import plain_table

_STYLES: Final = {
    "passed": "green",
    "refused": "bold red",
    "not_offered": "yellow",
    "does_not_apply": "bright_black",
}


def checks_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    """Return the checks of a decision (the objects in `decisions.checks`) as a table of at most 80 columns.

    Where a check says no verdict (an older program's), it is passed or refused.
    """
    columns = ["no.", "check", "verdict", "value", "limit"]
    has_sources = any(check.get("source") for check in checks)
    table = plain_table(*columns, *(["source"] if has_sources else []), right=("no.",))
    table.columns[1].no_wrap = True
    for check in checks:
        verdict = str(check.get("verdict") or ("passed" if check["passed"] else "refused"))
        style = _STYLES.get(verdict, "") if check["passed"] else _STYLES["refused"]
        shown = verdict.replace("_", " ")
        if check.get("reason"):
            shown += f": {check['reason']}"
        cells = [
            str(check["number"]),
            check["name"],
            Text(shown, style=style),
            *map(_number, (check["value"], check["limit"])),
        ]
        table.add_row(*cells, *([str(check.get("source") or "")] if has_sources else []))
    return table


def _number(value: object) -> str:
    # Decimals are kept with all the digits of their column.
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not number.is_finite():
        return str(value)
    whole = number.to_integral_value()
    return f"{whole:f}" if whole == number else f"{number.normalize():f}"
