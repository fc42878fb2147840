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
_WORD_MAX: Final = 16
#: Check -> the unit of its setting, and nanoseconds in one: durations are stored in nanoseconds.
_DURATIONS: Final = {
    "market_data": ("s", 10**9),
    "duplicate_order": ("s", 10**9),
    "reconciliation": ("s", 10**9),
    "clock_sanity": ("ms", 10**6),
    "token_horizon": ("s", 10**9),
}
#: Of checks that look at several things, the reasons with which a duration is shown.
_TIMED: Final = {"market_data": ("stale_quote",), "reconciliation": ("", "not_reconciled")}


def checks_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    """Return the checks of a decision (the objects in `decisions.checks`) as a table of at most 80 columns.

    Where a check says no verdict (an older program's), it is passed or refused.
    """
    has_sources = any(check.get("source") for check in checks)
    table = plain_table(
        "no.", "check", "verdict", "value", "limit", *(["source"] if has_sources else []), right=("no.",)
    )
    rows = [_cells(check, has_source=has_sources) for check in checks]
    for row in rows:
        table.add_row(*row)
    # Sentences may be broken into lines, numbers and words not.
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=bool(rows)):
        lengths = [len(word) for cell in cells for word in str(cell).split()]
        column.min_width = min(_WORD_MAX, max(lengths, default=0))
    return table


def _cells(check: Mapping[str, Any], *, has_source: bool) -> list[Text]:
    cells = [Text(str(check["number"])), Text(_words(check["name"])), _verdict(check)]
    cells += [Text(_shown(check, name)) for name in ("value", "limit")]
    return [*cells, Text(str(check.get("source") or ""))] if has_source else cells


def _verdict(check: Mapping[str, Any]) -> Text:
    verdict = str(check.get("verdict") or ("passed" if check["passed"] else "refused"))
    style = _STYLES.get(verdict, "") if check["passed"] else _STYLES["refused"]
    reason = f": {_words(check['reason'])}" if check.get("reason") else ""
    return Text(f"{_words(verdict)}{reason}", style=style)


def _words(code: str) -> str:
    return code.replace("_", " ")


def _shown(check: Mapping[str, Any], name: str) -> str:
    which, value, reason = check["name"], check[name], check.get("reason") or ""
    # A text tells why there is no duration.
    if which not in _DURATIONS or not isinstance(value, int) or reason not in _TIMED.get(which, (reason,)):
        return _number(value)
    unit, ns = _DURATIONS[which]
    return f"{_number(Decimal(value) / ns)} {unit}"


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
