"""Decisions of the risk gate, as they were stored: found by their order or by their own number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import BadInput
from engine.store.connection import sqlite
from engine.store.stories import find_order

_PREFIX: Final = "decision:"
_COLUMNS: Final = (
    *("id", "timestamp", "strategy_id", "symbol", "leg", "side", "order_type", "quantity", "approved", "reason"),
    *("signal_id", "checks"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """Hold one decision with its checks as they were stored, by name; rows of older programs have fewer names."""

    decision_id: int
    #: None where it was refused, or the order of it is not asked for.
    order_id: int | None
    timestamp: str
    strategy_id: str
    symbol: str
    leg: str
    side: str
    order_type: str
    quantity: float
    approved: bool
    reason: str
    signal_id: int | None
    checks: list[dict[str, Any]]


def find_decision(connection: sqlite.Connection, wanted: str) -> StoredDecision:
    """Return the decision of an order (its id, client order id or the beginning of that), or `decision:NUMBER`.

    Raises BadInput for a name that none has.
    """
    number = wanted.removeprefix(_PREFIX)
    if wanted.startswith(_PREFIX):
        decision_id = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else -1
    else:
        order_id = find_order(connection, wanted)
        decision_id = connection.execute("SELECT decision_id FROM orders WHERE id = ?", (order_id,)).fetchone()[0]
    row = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM decisions WHERE id = ?", (decision_id,)).fetchone()
    if row is None:
        raise BadInput(
            f"There is no decision {number!r}: `ratchet sql 'SELECT id, symbol, reason FROM decisions'` lists them."
        )
    made = connection.execute("SELECT id FROM orders WHERE decision_id = ?", (decision_id,)).fetchone()
    values = dict(zip(_COLUMNS, row, strict=True))
    values["checks"] = json.loads(values["checks"])
    values["approved"] = bool(values["approved"])
    return StoredDecision(decision_id=values.pop("id"), order_id=None if made is None else made[0], **values)
