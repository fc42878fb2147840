"""Tables of recovery: orders that are not ours, comparisons with the venue, and which engine has an account."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, PrimaryKeyConstraint

from engine.store.columns import WHOLE, flag, moment, price, quantity, text, whole
from engine.store.tables import (
    account_column,
    id_column,
    instrument_exists,
    owner_column,
    step_column,
    table,
    word_column,
)

external_orders: Final = table(
    "external_orders",
    id_column(),
    # The instrument may be unknown, so that it does not prove the account.
    account_column(),
    step_column(),
    text("venue_order_id"),
    whole("instrument_id", optional=True),
    text("symbol"),
    word_column("side", "sides"),
    word_column("order_type", "order_types"),
    *quantity(),
    *quantity("filled_quantity"),
    word_column("status", "listed_statuses"),
    *price("limit_price", optional=True),
    *price("stop_price", optional=True),
    *moment("created_ts_ns", twin="created_timestamp"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
)

position_comparisons: Final = table(
    "position_comparisons",
    id_column(),
    owner_column(),
    step_column(),
    whole("instrument_id"),
    text("symbol"),
    *quantity("booked_quantity"),
    *quantity("listed_quantity"),
    word_column("verdict", "comparison_verdicts"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
)

#: No fact and not hashed: it says which engine may write, by the clock of its machine.
leases: Final = table(
    "leases",
    Column("account_id", WHOLE, ForeignKey("accounts.id"), nullable=False),
    whole("epoch"),
    text("owner"),
    *moment("acquired_ts_ns", twin="acquired_timestamp"),
    *moment("renewed_ts_ns", twin="renewed_timestamp"),
    flag("released"),
    PrimaryKeyConstraint("account_id"),
    rowid=False,
)
