"""Tables of what the gate watches: circuit breakers, what exchanges say of instruments, and quotes it looked at."""

from __future__ import annotations

from typing import Final

from engine.store.columns import flag, moment, price, real, text, whole
from engine.store.tables import (
    TRIGGER,
    id_column,
    instrument_exists,
    owner_column,
    step_column,
    strategy_exists,
    table,
    word_column,
)

breaker_events: Final = table(
    "breaker_events",
    id_column(),
    owner_column(),
    step_column(),
    word_column("breaker", "breaker_kinds"),
    text("strategy_id", optional=True),
    whole("instrument_id", optional=True),
    word_column("from_state", "breaker_states"),
    word_column("to_state", "breaker_states"),
    word_column(TRIGGER, "breaker_triggers"),
    text("value"),
    text("limit_value"),
    text("reason"),
    text("source"),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
    strategy_exists(),
)

instrument_statuses: Final = table(
    "instrument_statuses",
    id_column(),
    owner_column(),
    step_column(),
    whole("instrument_id"),
    flag("halted"),
    text("reason"),
    *price("lower_price", optional=True),
    *price("upper_price", optional=True),
    *moment("ts_ns", twin="timestamp"),
    instrument_exists(),
)

decision_quotes: Final = table(
    "decision_quotes",
    id_column(),
    owner_column(),
    step_column(),
    whole("instrument_id"),
    real("bid"),
    real("ask"),
    *moment("venue_ts_ns", twin="venue_timestamp"),
    *moment("received_ts_ns", twin="timestamp"),
    instrument_exists(),
)
