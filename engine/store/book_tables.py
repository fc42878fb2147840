"""Tables of the books: lots that were closed, fees by kind, what is in suspense, and other names of instruments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey

from engine.store.columns import flag, moment, money, price, quantity, text, whole
from engine.store.tables import (
    account_column,
    id_column,
    instrument_exists,
    owner_column,
    step_column,
    strategy_exists,
    table,
    word_column,
)


def _reference(name: str, other: str, *, optional: bool = False) -> Column[Any]:
    return whole(name, ForeignKey(f"{other}.id"), optional=optional)


lot_closures = table(
    "lot_closures",
    id_column(),
    owner_column(),
    step_column(),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    _reference("opening_trade_id", "trades", optional=True),
    _reference("opening_adjustment_id", "position_adjustments", optional=True),
    _reference("closing_trade_id", "trades", optional=True),
    _reference("closing_adjustment_id", "position_adjustments", optional=True),
    *quantity(),
    *money("cost"),
    *money("proceeds"),
    *money("realized_pnl"),
    *moment("opened_ts_ns", twin="opened_timestamp"),
    *moment("closed_ts_ns", twin="closed_timestamp"),
    whole("holding_days"),
    flag("is_reversal"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
    strategy_exists(),
)

trade_fees = table(
    "trade_fees",
    id_column(),
    account_column(),
    step_column(),
    _reference("trade_id", "trades"),
    text("kind"),
    *money("amount"),
    *moment("ts_ns", twin="timestamp"),
)

suspense = table(
    "suspense",
    id_column(),
    account_column(),
    step_column(),
    word_column("kind", "suspense_kinds"),
    text("execution_id"),
    text("client_order_id", optional=True),
    text("strategy_id", optional=True),
    whole("instrument_id", optional=True),
    text("symbol"),
    text("side", optional=True),
    *price("price"),
    *quantity(),
    *money("value"),
    text("reason"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
    strategy_exists(),
)

symbol_changes = table(
    "symbol_changes",
    id_column(),
    owner_column(),
    step_column(),
    whole("instrument_id"),
    text("from_symbol"),
    text("to_symbol"),
    text("source"),
    *moment("valid_from_ts_ns", twin="valid_from"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
)

good_faith_violations = table(
    "good_faith_violations",
    id_column(),
    owner_column(),
    step_column(),
    _reference("trade_id", "trades"),
    _reference("opening_trade_id", "trades"),
    text("strategy_id"),
    whole("instrument_id"),
    text("symbol"),
    *quantity(),
    *moment("paid_ts_ns", twin="paid_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
    strategy_exists(),
)
