"""From facts and commands to rows: pure functions, by type.

A row holds what is hashed and written of one fact. Its ids are those of the fact, which count from 1 in an account: no
account, no offset, no time of writing. Columns that only state tables have (`version`, `status` …) follow from events.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from msgspec import json as msgspec_json

from engine.core.messages import (
    Bar,
    BracketOpened,
    BracketPlanned,
    BracketTransitioned,
    BreakerChanged,
    CashMoved,
    Command,
    DecisionMade,
    EquityMarked,
    ExternalOrderSeen,
    Fact,
    GapMarked,
    InputsRefused,
    InstrumentStatusChanged,
    OrderCreated,
    OrderTransitioned,
    PositionChanged,
    PositionCompared,
    QuoteConsulted,
    Signal,
    SignalEmitted,
    SignalRefused,
    TradeBooked,
    TradingStateChanged,
)
from engine.core.values import (
    CASH_DECIMALS,
    PRICE_DECIMALS,
    QUANTITY_DECIMALS,
    SessionKind,
    cash,
    notional,
    scaled_integer,
)
from engine.store.book_rows import BOOK_FACT_ROWS
from engine.store.guard_rows import breaker_row, quote_row, status_row
from engine.store.layouts import (
    BARS,
    BRACKET_EVENTS,
    BRACKET_PLANS,
    BRACKETS,
    BREAKER_EVENTS,
    CASH_MOVEMENTS,
    COMMANDS,
    DECISION_QUOTES,
    DECISIONS,
    EQUITY_CURVE,
    EXTERNAL_ORDERS,
    GAPS,
    INSTRUMENT_STATUSES,
    LAYOUTS,
    ORDER_EVENTS,
    ORDERS,
    PLAIN_BAR_WIDTH,
    POSITION_COMPARISONS,
    POSITIONS,
    REFUSED_INPUTS,
    REFUSED_SIGNALS,
    SIGNALS,
    TRADES,
    TRADING_STATES,
)
from engine.store.recovery_rows import comparison_row, external_order_row

#: What SQLite stores and msgpack encodes without loss.
Value = int | float | str | bytearray | None
Row = tuple[Value, ...]


_PLAIN_START: Final[Row] = (0, None, None, 0, 1)
_PLAIN_TAIL: Final[Row] = (*_PLAIN_START, *(None,) * 8)

#: What a signal may state besides its columns, in the order of writing.
_TERMS: Final = (
    *("limit_offset", "limit_offset_bps", "stop_limit_offset", "targets", "trail_distance", "trail_step"),
    *("break_even_distance", "expires_after_s", "hold_s_max", "fraction", "stop_price"),
)

_REGULAR: Final = SessionKind.REGULAR
_encode_json: Final = msgspec_json.Encoder().encode


def bar_row(bar: Bar, step: int, place: int) -> Row:
    """Return the row of a bar: short when all that is left out has its usual value."""
    quotes = bar.quotes
    # Adding 0.0 makes a float of a whole number and loses the sign of zero, as the column does.
    start = (
        step,
        bar.instrument_id,
        bar.start_ts_ns,
        bar.open + 0.0,
        bar.high + 0.0,
        bar.low + 0.0,
        bar.close + 0.0,
        bar.volume + 0.0,
        bar.vwap + 0.0,
        "regular" if bar.session_kind is _REGULAR else "extended",
    )
    has_counts = bar.tick_count is not None or bar.quote_count is not None
    if quotes is None and not has_counts and bar.complete and not place and not bar.revision:
        return start
    tail: Row = (place, bar.tick_count, bar.quote_count, bar.revision, int(bar.complete))
    if quotes is None:
        return (*start, *tail, *(None,) * 8)
    return (
        *start,
        *tail,
        quotes.bid_open + 0.0,
        quotes.bid_high + 0.0,
        quotes.bid_low + 0.0,
        quotes.bid_close + 0.0,
        quotes.ask_open + 0.0,
        quotes.ask_high + 0.0,
        quotes.ask_low + 0.0,
        quotes.ask_close + 0.0,
    )


def shortened(row: Row) -> Row:
    """Return a bar's row as `bar_row` made it, from all of its columns."""
    return row[:PLAIN_BAR_WIDTH] if row[PLAIN_BAR_WIDTH:] == _PLAIN_TAIL else row


def hashed_part(table: int, row: Row) -> Row:
    """Return what of a row is hashed: columns that were added later only where one of them holds something.

    So the hash of a row that was written before stays what it was.
    """
    width = LAYOUTS[table].first_width
    if width is None or any(value is not None for value in row[width:]):
        return row
    return row[:width]


def fact_row(fact: Fact, step: int, place: int) -> tuple[int, Row]:
    """Return the number of a fact's table and its row; `place` counts the facts of the step from 0."""
    table, make = _FACT_ROWS[fact.__class__]
    return table, make(fact, step, place)


def command_row(command: Command, step: int) -> tuple[int, Row]:
    """Return the number of the outbox and the row of a command in it."""
    return COMMANDS, (
        step,
        command.__class__.__name__,
        command.client_order_id,
        _json(command),
        command.decided_ts_ns,
    )


def _json(value: object) -> str:
    return _encode_json(value).decode()


def _price(number: Decimal) -> int:
    return scaled_integer(number, decimals=PRICE_DECIMALS)


def _optional_price(number: Decimal | None) -> int | None:
    return None if number is None else scaled_integer(number, decimals=PRICE_DECIMALS)


def _quantity(number: Decimal) -> int:
    return scaled_integer(number, decimals=QUANTITY_DECIMALS)


def _money(number: Decimal) -> int:
    return scaled_integer(number, decimals=CASH_DECIMALS)


def _optional_text(number: Decimal | None) -> str | None:
    # Distances are unrounded products of indicators: they have more digits than any column of integers.
    return None if number is None else str(number)


def _optional_real(number: float | None) -> float | None:
    return None if number is None else number + 0.0


def _gap(fact: GapMarked, step: int, _: int) -> Row:
    return (step, fact.instrument_id, fact.from_ts_ns, fact.until_ts_ns, fact.reason)


def _refused(fact: InputsRefused, step: int, _: int) -> Row:
    return (step, fact.instrument_id, fact.reason, fact.count, fact.ts_ns)


def _signal(fact: SignalEmitted, step: int, _: int) -> Row:
    signal = fact.signal
    return (
        fact.signal_id,
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        signal.kind.value,
        signal.side.value,
        signal.order_type.value,
        _optional_real(signal.limit_price),
        _optional_real(signal.stop_distance),
        _optional_real(signal.target_distance),
        signal.reason,
        # A strategy may give numbers of numpy, which the encoder does not know.
        _json({name: float(value) for name, value in signal.values}),
        fact.bar_start_ts_ns,
        fact.ts_ns,
        _terms(signal),
    )


def _terms(signal: Signal) -> str | None:
    # Only what was stated; a whole number of seconds stays whole, and what is no number is kept as text.
    stated: dict[str, object] = {}
    for name in _TERMS:
        value = getattr(signal, name)
        if value is not None and value != ():
            stated[name] = (
                [[_number(part) for part in target] for target in value] if name == "targets" else _number(value)
            )
    return _json(stated) if stated else None


def _number(value: float) -> float | int | str:
    if isinstance(value, int):
        return value
    return float(value) if isfinite(value) else repr(float(value))


def _decision(fact: DecisionMade, step: int, _: int) -> Row:
    return (
        fact.decision_id,
        step,
        fact.signal_id,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.leg.value,
        fact.side.value,
        fact.order_type.value,
        _quantity(fact.quantity),
        int(fact.approved),
        fact.reason,
        _json(fact.checks),
        fact.ts_ns,
    )


def _bracket(fact: BracketOpened, step: int, _: int) -> Row:
    return (
        fact.bracket_id,
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.signal_id,
        str(fact.exit_style),
        _optional_text(fact.stop_distance),
        _optional_text(fact.target_distance),
        fact.ts_ns,
    )


def _refused_signal(fact: SignalRefused, step: int, _: int) -> Row:
    return (step, fact.signal_id, fact.reason, fact.ts_ns)


def _bracket_plan(fact: BracketPlanned, step: int, _: int) -> Row:
    plan = fact.plan
    return (
        step,
        fact.bracket_id,
        _json([[str(part) for part in target] for target in plan.targets]) if plan.targets else None,
        _optional_text(plan.stop_limit_offset),
        _optional_text(plan.trail_distance),
        _optional_text(plan.trail_step),
        _optional_text(plan.break_even_distance),
        plan.hold_ns_max,
        fact.ts_ns,
    )


def _order(fact: OrderCreated, step: int, _: int) -> Row:
    return (
        fact.order_id,
        step,
        fact.client_order_id,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.bracket_id,
        fact.decision_id,
        fact.leg.value,
        fact.side.value,
        fact.order_type.value,
        _quantity(fact.quantity),
        _optional_price(fact.limit_price),
        _optional_price(fact.stop_price),
        fact.time_in_force.value,
        fact.link,
        _price(fact.reference_price),
        fact.ts_ns,
    )


def _bracket_event(fact: BracketTransitioned, step: int, _: int) -> Row:
    return (
        step,
        fact.bracket_id,
        fact.version,
        fact.from_state,
        fact.to_state,
        fact.trigger,
        fact.exit_reason,
        _quantity(fact.entered_quantity),
        _quantity(fact.exited_quantity),
        fact.deadline_ts_ns,
        fact.ts_ns,
    )


def _order_event(fact: OrderTransitioned, step: int, _: int) -> Row:
    return (
        step,
        fact.order_id,
        fact.version,
        fact.from_state,
        fact.to_state,
        fact.trigger,
        fact.source,
        fact.reason,
        _quantity(fact.filled_quantity),
        int(fact.cancel_requested),
        fact.venue_order_id,
        fact.venue_ts_ns,
        fact.ts_ns,
    )


def _trade(fact: TradeBooked, step: int, _: int) -> Row:
    return (
        fact.trade_id,
        step,
        fact.order_id,
        fact.bracket_id,
        fact.execution_id,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        fact.leg.value,
        fact.side.value,
        _price(fact.price),
        _quantity(fact.quantity),
        _money(notional(fact.price, fact.quantity)),
        # The ledger moves cash in its own unit, so a finer fee is booked as that.
        _money(cash(fact.fee)),
        _money(fact.realized_pnl),
        int(fact.is_bust),
        fact.venue_ts_ns,
        fact.ts_ns,
        fact.settlement_ts_ns,
    )


def _position(fact: PositionChanged, step: int, _: int) -> Row:
    return (
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.symbol,
        _quantity(fact.quantity),
        _money(fact.cost),
        _money(fact.realized_pnl),
        fact.ts_ns,
    )


def _cash_movement(fact: CashMoved, step: int, _: int) -> Row:
    return (
        fact.movement_id,
        step,
        _money(cash(fact.amount)),
        fact.kind,
        fact.source,
        fact.settlement_ts_ns,
        fact.ts_ns,
        fact.strategy_id,
        fact.instrument_id,
    )


def _equity(fact: EquityMarked, step: int, place: int) -> Row:
    return (step, place, fact.ts_ns, _money(fact.cash), _money(fact.equity))


def _trading_state(fact: TradingStateChanged, step: int, _: int) -> Row:
    return (
        step,
        fact.strategy_id,
        fact.instrument_id,
        fact.from_state.value,
        fact.to_state.value,
        fact.reason,
        fact.source,
        fact.ts_ns,
    )


# `Any`: each function takes its own fact, and the key proves which.
_FACT_ROWS: Final[dict[type, tuple[int, Callable[[Any, int, int], Row]]]] = {
    Bar: (BARS, bar_row),
    GapMarked: (GAPS, _gap),
    InputsRefused: (REFUSED_INPUTS, _refused),
    SignalEmitted: (SIGNALS, _signal),
    DecisionMade: (DECISIONS, _decision),
    OrderCreated: (ORDERS, _order),
    OrderTransitioned: (ORDER_EVENTS, _order_event),
    BracketOpened: (BRACKETS, _bracket),
    BracketPlanned: (BRACKET_PLANS, _bracket_plan),
    BracketTransitioned: (BRACKET_EVENTS, _bracket_event),
    BreakerChanged: (BREAKER_EVENTS, breaker_row),
    InstrumentStatusChanged: (INSTRUMENT_STATUSES, status_row),
    QuoteConsulted: (DECISION_QUOTES, quote_row),
    SignalRefused: (REFUSED_SIGNALS, _refused_signal),
    TradeBooked: (TRADES, _trade),
    PositionChanged: (POSITIONS, _position),
    CashMoved: (CASH_MOVEMENTS, _cash_movement),
    EquityMarked: (EQUITY_CURVE, _equity),
    TradingStateChanged: (TRADING_STATES, _trading_state),
    ExternalOrderSeen: (EXTERNAL_ORDERS, external_order_row),
    PositionCompared: (POSITION_COMPARISONS, comparison_row),
    **BOOK_FACT_ROWS,
}
