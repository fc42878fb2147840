"""The story of an order, for people who ask why: bar, values, rule, checks, and all that became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from engine.core.errors import BadInput
from engine.core.values import CASH_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS, from_scaled
from engine.store.accounts import AccountRow, list_accounts
from engine.store.connection import sqlite

#: How a mapping of a story looks: plain values by name, ready for JSON.
Told = dict[str, Any]

_PREFIX_MIN: Final = 4
#: Digits of the largest number that a key holds.
_DIGITS_MAX: Final = 18
_NS_PER_MS: Final = 1_000_000
_DECIMALS: Final = {"_e10": PRICE_DECIMALS, "_e8": QUANTITY_DECIMALS}
assert QUANTITY_DECIMALS == CASH_DECIMALS

_LISTED: Final = """
SELECT o.id AS order_id, o.client_order_id, a.name AS account, o.submit_timestamp, o.strategy_id, o.symbol, o.leg,
    o.side, o.order_type, o.quantity_e8, o.filled_quantity_e8, o.limit_price_e10, o.stop_price_e10, o.status,
    o.fill_timestamp
FROM orders AS o JOIN accounts AS a ON a.id = o.account_id
"""

# By any symbol that the instrument had.
_OF_SYMBOL: Final = """
(o.account_id, o.instrument_id) IN (SELECT account_id, instrument_id FROM instrument_symbols WHERE symbol = :symbol)
"""

_EXIT_SIGNAL: Final = """
SELECT s.* FROM signals AS s
WHERE s.account_id = :account_id AND s.strategy_id = :strategy_id AND s.instrument_id = :instrument_id
    AND s.kind NOT IN ('enter', 'scale_in') AND s.step_id BETWEEN :opened_step AND :step_id
ORDER BY s.id DESC LIMIT 1
"""

# What was held before the order's first fill and after its last one.
_HELD: Final = """
SELECT
    (SELECT coalesce(sum(quantity_e8), 0) FROM position_adjustments
        WHERE account_id = :account_id AND strategy_id = :strategy_id AND instrument_id = :instrument_id
        AND step_id <= :step_id)
    + (SELECT coalesce(sum((1 - 2 * is_bust) * CASE side WHEN 'buy' THEN quantity_e8 ELSE -quantity_e8 END), 0)
        FROM trades WHERE account_id = :account_id AND strategy_id = :strategy_id
        AND instrument_id = :instrument_id AND (step_id < :step_id OR (step_id = :step_id AND id <= :trade_id)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStory:
    """Hold the whole way of one order, in the order in which it happened; absent parts are None or empty."""

    account: str
    order: Told
    #: What the strategy saw: the bar of the entry's signal, and its finished minute's figures.
    bar: Told | None
    #: By name; None where an indicator had no value yet.
    indicator_values: dict[str, float | None]
    strategy: Told
    signal: Told | None
    #: For what leaves a position: the newest signal to leave or to change it, where a strategy gave one.
    exit_signal: Told | None
    #: What the engine was told in the step that made the order.
    cause: Told
    decision: Told
    checks: list[Told]
    transitions: list[Told]
    fills: list[Told]
    bracket: Told
    bracket_states: list[Told]
    position: Told


def find_order(connection: sqlite.Connection, wanted: str) -> int:
    """Return the id of an order that is named by its id, its client order id, or the unique beginning of that.

    Raises BadInput for a name that no order has, or several.
    """
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= _DIGITS_MAX:
        row = connection.execute("SELECT id FROM orders WHERE id = ?", (int(wanted),)).fetchone()
        if row is not None:
            return int(row[0])
    prefix = wanted.lower().replace("%", "").replace("_", "")
    found = connection.execute(
        "SELECT id, client_order_id FROM orders WHERE client_order_id LIKE ? || '%' LIMIT 4", (prefix,)
    ).fetchall()
    exact = [row for row in found if row[1] == wanted]
    found = exact or found
    if len(prefix) >= _PREFIX_MIN and len(found) == 1:
        return int(found[0][0])
    if found and len(prefix) >= _PREFIX_MIN:
        some = ", ".join(str(row[0]) for row in found[:3])
        raise BadInput(f"The order {wanted!r} may be several (orders {some} and so on): give more of its id.")
    raise BadInput(f"There is no order {wanted!r}: `ratchet order list` shows the newest ones.")


def list_orders(
    connection: sqlite.Connection, *, symbol: str | None = None, status: str | None = None, limit: int = 20
) -> list[Told]:
    """Return orders, the newest first.

    A symbol means its instrument, whatever that was or is called: one that got a new symbol is found by each of them.

    Raises BadInput for a symbol or a status that the database does not know.
    """
    _require_known(connection, symbol, "SELECT DISTINCT symbol FROM instrument_symbols ORDER BY 1", what="symbol")
    _require_known(connection, status, "SELECT name FROM order_states ORDER BY 1", what="status")
    wanted = ((symbol, _OF_SYMBOL), (status, "o.status = :status"))
    conditions = [condition for value, condition in wanted if value is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    query = f"{_LISTED} {where} ORDER BY o.submit_ts_ns DESC, o.id DESC LIMIT :limit"
    return _all(connection, query, {"symbol": symbol, "status": status, "limit": limit})


def _require_known(connection: sqlite.Connection, value: str | None, query: str, *, what: str) -> None:
    if value is None:
        return
    known = [row[0] for row in connection.execute(query)]
    if value not in known:
        raise BadInput(f"The {what} {value!r} is unknown here: give one of {', '.join(known) or 'none, it is empty'}.")


def order_story(connection: sqlite.Connection, order_id: int) -> OrderStory:
    """Return the story of an order; raises BadInput where there is none of this id."""
    order = _one(connection, "SELECT * FROM orders WHERE id = :id", {"id": order_id})
    if order is None:
        raise BadInput(f"There is no order {order_id}: `ratchet order list` shows the newest ones.")
    account = next(each for each in list_accounts(connection) if each.account_id == order["account_id"])
    bracket = _require(_one(connection, "SELECT * FROM brackets WHERE id = :bracket_id", order))
    decision = _require(_one(connection, "SELECT * FROM decisions WHERE id = :decision_id", order))
    signal = _one(connection, "SELECT * FROM signals WHERE id = :signal_id", decision)
    strategy = _require(
        _one(
            connection,
            "SELECT * FROM strategies WHERE account_id = :account_id AND strategy_id = :strategy_id",
            order,
        )
    )
    fills = _fills(connection, order)
    return OrderStory(
        account=account.name,
        order=order,
        bar=_bar(connection, signal, order),
        indicator_values=json.loads(signal["indicator_values"]) if signal else {},
        strategy={**strategy, "parameters": json.loads(strategy["parameters"])},
        signal=_without(signal, "indicator_values"),
        exit_signal=_exit_signal(connection, order, bracket),
        cause=_cause(connection, order, account),
        decision=_require(_without(decision, "checks")),
        checks=json.loads(decision["checks"]),
        transitions=_transitions(connection, order),
        fills=fills,
        bracket=bracket,
        bracket_states=_all(
            connection, "SELECT * FROM bracket_events WHERE bracket_id = :bracket_id ORDER BY version", order
        ),
        position=_position(connection, order, fills),
    )


def _bar(connection: sqlite.Connection, signal: Told | None, order: Told) -> Told | None:
    if signal is None:
        return None
    return _one(
        connection,
        "SELECT timestamp, start_ts_ns, open, high, low, close, volume, vwap, session_kind, revision, complete, "
        "(SELECT max(revision) FROM bars AS later WHERE later.account_id = bars.account_id "
        "AND later.instrument_id = bars.instrument_id AND later.start_ts_ns = bars.start_ts_ns) AS last_revision "
        "FROM bars WHERE account_id = :account_id AND instrument_id = :instrument_id "
        "AND start_ts_ns = :bar_start_ts_ns AND revision = 0",
        {**order, **signal},
    )


def _exit_signal(connection: sqlite.Connection, order: Told, bracket: Told) -> Told | None:
    if order["leg"] == "entry":
        return None
    found = _one(connection, _EXIT_SIGNAL, {**order, "opened_step": bracket["step_id"]})
    if found is not None:
        found["indicator_values"] = json.loads(found["indicator_values"])
    return found


def _cause(connection: sqlite.Connection, order: Told, account: AccountRow) -> Told:
    row = _require(
        _one(connection, "SELECT kind, timestamp, received_ts_ns, payload FROM inputs WHERE id = :step_id", order)
    )
    payload = row.pop("payload")
    return {"step": order["step_id"] - account.id_offset, **row, "input": json.loads(payload) if payload else None}


def _transitions(connection: sqlite.Connection, order: Told) -> list[Told]:
    rows = _all(connection, "SELECT * FROM order_events WHERE order_id = :id ORDER BY version", order)
    made = {
        "version": 1,
        "from_state": None,
        "to_state": "NEW",
        "trigger": "created",
        "source": "engine",
        "reason": "",
        "venue_timestamp": order["submit_timestamp"],
        "timestamp": order["submit_timestamp"],
        "latency_ms": 0.0,
        "since_submit_ms": 0.0,
    }
    for row in rows:
        # Until the engine knew, from the venue's moment on; and since the order was decided.
        row["latency_ms"] = (row["ts_ns"] - row["venue_ts_ns"]) / _NS_PER_MS
        row["since_submit_ms"] = (row["ts_ns"] - order["submit_ts_ns"]) / _NS_PER_MS
    return [made, *rows]


def _fills(connection: sqlite.Connection, order: Told) -> list[Told]:
    query = (
        "SELECT t.*, v.reference_price AS meant_price, v.slippage_bps, v.slippage FROM trades AS t "
        "LEFT JOIN v_slippage AS v ON v.trade_id = t.id WHERE t.order_id = :id ORDER BY t.id"
    )
    return _all(connection, query, order)


def _position(connection: sqlite.Connection, order: Told, fills: Sequence[Told]) -> Told:
    realized = sum((fill["realized_pnl"] for fill in fills), Decimal(0))
    fees = sum((fill["fee"] * (-1 if fill["is_bust"] else 1) for fill in fills), Decimal(0))
    moments = [(fills[0]["step_id"], fills[0]["id"] - 1), (fills[-1]["step_id"], fills[-1]["id"])] if fills else []
    held = [
        connection.execute(_HELD, {**_bindable(order), "step_id": step_id, "trade_id": trade_id}).fetchone()[0]
        for step_id, trade_id in moments or [(order["step_id"], 2**62)]
    ]
    quantities = [_scaled(each, QUANTITY_DECIMALS) for each in held]
    return {
        "before": quantities[0],
        "after": quantities[-1],
        "realized_pnl": _trimmed(realized),
        "fees": _trimmed(fees),
        "realized_pnl_after_fees": _trimmed(realized - fees),
    }


# --- rows as plain values ------------------------------------------------------------------------------------------


def _one(connection: sqlite.Connection, query: str, values: Told | None) -> Told | None:
    return next(iter(_all(connection, query, values or {})), None)


def _all(connection: sqlite.Connection, query: str, values: Told) -> list[Told]:
    cursor = connection.execute(query, _bindable(values))
    names = [column[0] for column in cursor.description]
    return [_told(names, row) for row in cursor]


def _bindable(values: Told) -> Told:
    return {name: value for name, value in values.items() if isinstance(value, int | float | str)} | {
        name: None for name, value in values.items() if value is None
    }


# Whole numbers of 10^-8 and 10^-10 become decimals under the names of their readable twins.
def _told(names: Iterable[str], row: Iterable[Any]) -> Told:
    told: Told = {}
    for name, value in zip(names, row, strict=True):
        stem, mark, scale = name.rpartition("_e")
        decimals = _DECIMALS.get(f"_e{scale}") if mark else None
        if decimals is not None:
            told[stem] = None if value is None else _scaled(value, decimals)
        elif name not in told:
            told[name] = value
    return told


def _scaled(value: int, decimals: int) -> Decimal:
    return _trimmed(from_scaled(value, decimals=decimals))


def _trimmed(number: Decimal) -> Decimal:
    whole = number.to_integral_value()
    return whole if whole == number else number.normalize()


def _without(row: Told | None, name: str) -> Told | None:
    return None if row is None else {key: value for key, value in row.items() if key != name}


def _require(row: Told | None) -> Told:
    assert row is not None, "a foreign key holds that it exists"
    return row
