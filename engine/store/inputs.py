"""Inputs as text, and back: what a restart replays.

The payload of an input is its event as JSON; floats come back bit for bit and decimals digit for digit. The input of
a bar that the engine took has no payload: its row in `bars` is the bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import isfinite
from typing import Any, Final, get_args

import msgspec

from engine.core.errors import Bug
from engine.core.messages import (
    EMPTY_STEP,
    AccountListed,
    Bar,
    BarClosed,
    EngineStarted,
    EngineStopping,
    Event,
    GapMarked,
    HealthReported,
    InputsRefused,
    InstrumentStatus,
    OrderNotListed,
    Quote,
    QuoteBar,
    QuoteConsulted,
    Step,
    Tick,
    TickCanceled,
    TickCorrected,
    TimeAdvanced,
)
from engine.core.values import InstrumentId, SessionKind
from engine.store.accounts import AccountRow
from engine.store.connection import sqlite
from engine.store.layouts import BARS, LAYOUTS, PLAIN_BAR_WIDTH
from engine.store.rows import Row

#: Inputs that are journaled only when their step holds something: they change nothing durable otherwise.
_PASSING: Final = frozenset(
    {
        *(Tick, TickCorrected, TickCanceled, Quote, TimeAdvanced, InstrumentStatus, HealthReported),
        *(AccountListed, OrderNotListed, EngineStarted, EngineStopping),
    }
)

_MARKET_NUMBERS: Final = frozenset({"price", "size", "bid", "ask", "bid_size", "ask_size", "old_price", "old_size"})

_encode: Final = msgspec.json.Encoder().encode
_KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in get_args(Event)}
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(kind) for name, kind in _KINDS.items()
}

#: A journaled input: its step, the event, the bars that the step finished, and the hash of the chain.
Journaled = tuple[int, Event, tuple[Bar, ...], bytes]


def is_journaled(event: Event, step: Step) -> bool:
    """Return whether a step has to be kept."""
    return step is not EMPTY_STEP or event.__class__ not in _PASSING


def input_row(event: Event, step: Step, number: int) -> Row:
    """Return the row of an input, without its hash."""
    return (number, event.__class__.__name__, event.venue_ts_ns, event.received_ts_ns, _payload(event, step))


def _payload(event: Event, step: Step) -> str | None:
    if isinstance(event, BarClosed) and _was_taken(event, step):
        return None
    if isinstance(event, Tick | TickCorrected | TickCanceled | Quote):
        return _market_payload(event)
    return _encode(event).decode()


def _was_taken(event: BarClosed, step: Step) -> bool:
    # The event's own bar is the last one of its step: those that time finished come before it.
    bars = [fact for fact in step.facts if fact.__class__ is Bar]
    return bool(bars) and bars[-1] is event.bar


def _market_payload(event: Tick | TickCorrected | TickCanceled | Quote) -> str:
    # JSON has no word for what is not a number: such a price is kept as text, and the reader takes it back.
    fields: dict[str, object] = msgspec.to_builtins(event)
    for name, value in fields.items():
        if isinstance(value, float) and not isfinite(value):
            fields[name] = repr(value)
    return _encode(fields).decode()


def decoded(kind: str, payload: str) -> Event:
    """Return the event that a payload stands for; raises Bug for a kind or a text that no program wrote."""
    try:
        event: Event = _decoders[kind].decode(payload)
    except msgspec.ValidationError:
        return _decoded_not_finite(kind, payload)
    except (KeyError, msgspec.DecodeError) as error:
        raise Bug(f"An input of kind {kind} cannot be read: run `ratchet db check`.") from error
    return event


def _decoded_not_finite(kind: str, payload: str) -> Event:
    fields = msgspec.json.decode(payload)
    try:
        for name in _MARKET_NUMBERS & fields.keys():
            fields[name] = float(fields[name])
        event: Event = msgspec.convert(fields, _KINDS[kind])
    except (msgspec.ValidationError, TypeError, ValueError, AttributeError) as error:
        raise Bug(f"An input of kind {kind} cannot be read: run `ratchet db check`.") from error
    return event


def read_inputs(connection: sqlite.Connection, account_id: int) -> Iterator[Journaled]:
    """Yield the inputs of an account in order, each with the bars that its step finished."""
    offset = _offset_of(connection, account_id)
    bars = _bars_by_step(connection, account_id)
    next_step, next_bars = next(bars, (0, ()))
    cursor = connection.execute(
        "SELECT id, kind, venue_ts_ns, received_ts_ns, payload, hash FROM inputs "
        "WHERE id > ? AND account_id = ? ORDER BY id",
        (offset, account_id),
    )
    for step_id, kind, venue_ts_ns, received_ts_ns, payload, digest in cursor:
        finished: tuple[Bar, ...] = ()
        if step_id == next_step:
            finished = next_bars
            next_step, next_bars = next(bars, (0, ()))
        if payload is not None:
            event = decoded(kind, payload)
        elif finished:
            event = BarClosed(venue_ts_ns=venue_ts_ns, received_ts_ns=received_ts_ns, bar=finished[-1])
        else:
            raise Bug(f"The input {step_id} has neither a payload nor a bar: run `ratchet db check`.")
        yield step_id - offset, event, finished, digest


def _bars_by_step(connection: sqlite.Connection, account_id: int) -> Iterator[tuple[int, tuple[Bar, ...]]]:
    columns = ", ".join(LAYOUTS[BARS].columns)
    cursor = connection.execute(
        f"SELECT {columns} FROM bars WHERE account_id = ? ORDER BY step_id, step_position", (account_id,)
    )
    step = 0
    bars: list[Bar] = []
    for row in chain(cursor, [None]):
        if row is None or row[0] != step:
            if bars:
                yield step, tuple(bars)
            bars = []
        if row is not None:
            step = row[0]
            bars.append(bar_of(row))


def bar_of(row: tuple[Any, ...]) -> Bar:
    """Return the bar of a full row of `bars`, in the order of its layout."""
    # `Any`: the table is STRICT, so each column holds what its type says.
    _, instrument_id, start_ts_ns, open_, high, low, close, volume, vwap, session_kind = row[:PLAIN_BAR_WIDTH]
    _, tick_count, quote_count, revision, complete, *quotes = row[PLAIN_BAR_WIDTH:]
    return Bar(
        instrument_id=InstrumentId(instrument_id),
        start_ts_ns=start_ts_ns,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        vwap=vwap,
        tick_count=tick_count,
        quote_count=quote_count,
        quotes=None if quotes[0] is None else _quotes_of(quotes),
        session_kind=SessionKind(session_kind),
        revision=revision,
        complete=bool(complete),
    )


def _quotes_of(values: list[float]) -> QuoteBar:
    bid_open, bid_high, bid_low, bid_close, ask_open, ask_high, ask_low, ask_close = values
    return QuoteBar(
        bid_open=bid_open,
        bid_high=bid_high,
        bid_low=bid_low,
        bid_close=bid_close,
        ask_open=ask_open,
        ask_high=ask_high,
        ask_low=ask_low,
        ask_close=ask_close,
    )


def _offset_of(connection: sqlite.Connection, account_id: int) -> int:
    row = connection.execute("SELECT id_offset FROM accounts WHERE id = ?", (account_id,)).fetchone()
    if row is None:
        raise Bug(f"The database has no account {account_id}.")
    return int(row[0])


def read_refusals(
    connection: sqlite.Connection, account: AccountRow
) -> dict[int, tuple[GapMarked | InputsRefused, ...]]:
    """Return what a tape lacked and what was refused, by the number of the step that said so."""
    noted: dict[int, tuple[GapMarked | InputsRefused, ...]] = {}
    # The gap of an interrupted feed comes from its event; one in the sequences comes from prints that are not kept.
    for step_id, instrument_id, from_ts_ns, until_ts_ns, reason in connection.execute(
        "SELECT g.step_id, g.instrument_id, g.from_ts_ns, g.until_ts_ns, g.reason FROM gaps AS g "
        "JOIN inputs AS i ON i.id = g.step_id WHERE g.account_id = ? AND i.kind = 'Tick' ORDER BY g.id",
        (account.account_id,),
    ):
        gap = GapMarked(
            instrument_id=InstrumentId(instrument_id), from_ts_ns=from_ts_ns, until_ts_ns=until_ts_ns, reason=reason
        )
        step = step_id - account.id_offset
        noted[step] = (*noted.get(step, ()), gap)
    cursor = connection.execute(
        "SELECT step_id, instrument_id, reason, count, ts_ns FROM refused_inputs WHERE account_id = ? ORDER BY id",
        (account.account_id,),
    )
    for step_id, instrument_id, reason, count, ts_ns in cursor:
        fact = InputsRefused(instrument_id=InstrumentId(instrument_id), reason=reason, count=count, ts_ns=ts_ns)
        step = step_id - account.id_offset
        noted[step] = (*noted.get(step, ()), fact)
    return noted


def read_consulted_quotes(connection: sqlite.Connection, account: AccountRow) -> dict[int, tuple[QuoteConsulted, ...]]:
    """Return the quotes that decisions looked at, by the number of the step that did."""
    found: dict[int, tuple[QuoteConsulted, ...]] = {}
    cursor = connection.execute(
        "SELECT step_id, instrument_id, bid, ask, venue_ts_ns, received_ts_ns FROM decision_quotes "
        "WHERE account_id = ? ORDER BY id",
        (account.account_id,),
    )
    for step_id, instrument_id, bid, ask, venue_ts_ns, received_ts_ns in cursor:
        fact = QuoteConsulted(
            instrument_id=InstrumentId(instrument_id),
            bid=bid,
            ask=ask,
            venue_ts_ns=venue_ts_ns,
            received_ts_ns=received_ts_ns,
        )
        step = step_id - account.id_offset
        found[step] = (*found.get(step, ()), fact)
    return found
