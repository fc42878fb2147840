"""What must hold in the end: after the last fault, and after a quiet time in which everything is honest (I-30)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from engine.core.values import SECOND_NS
from engine.store.connection import sqlite
from engine.testing.chaos.market import INSTRUMENT
from engine.testing.reference_venue import ReferenceVenue

_KEY: Final = INSTRUMENT.instrument_id
_UNIT: Final = Decimal(10**8)
#: What the engine says where it can do nothing more about its orders by itself.
_HUMANS_TURN: Final = (
    "close the position by hand",
    "close it by hand",
    "questions unanswered",
    "after its deadline",
    "still waits for",
    "of ours: look at it",
    "took execution",
    "less than our orders left",
    "the gate refused",
    "in no bracket",
)
_UNANSWERED: Final = "('NEW', 'UNKNOWN')"

#: An invariant and what is wrong with it.
Finding = tuple[str, str]


def endings(connection: sqlite.Connection, venue: ReferenceVenue, *, orphans_ns: int) -> Iterator[Finding]:
    """Yield what does not hold; `orphans_ns` is how long exits have worked for a position that is not there."""
    reasons = halt_reasons(connection)
    if not all(reasons):
        yield "I-30", "the engine is halted and says no reason"
    reason = is_a_humans_turn(reasons)
    yield from _unresolved(connection, is_excused=reason)
    yield from _executions(connection, venue, is_halted=reason)
    yield from _positions(connection, venue, is_excused=reason)
    if orphans_ns > 120 * SECOND_NS and not reason:
        yield "I-15", f"exits work for {orphans_ns // SECOND_NS} s although nothing is held"


def halt_reasons(connection: sqlite.Connection) -> list[str]:
    """Return every reason for which the instrument or the account is halted now; none where neither is."""
    reasons: dict[Any, list[str]] = {}
    for strategy, instrument, state, reason in connection.execute(
        "SELECT strategy_id, instrument_id, to_state, reason FROM trading_states ORDER BY id"
    ):
        if state == "HALTED":
            reasons.setdefault((strategy, instrument), []).append(reason)
        else:
            reasons.pop((strategy, instrument), None)
    return [reason for found in reasons.values() for reason in found]


def is_a_humans_turn(reasons: Iterable[str]) -> bool:
    """Return whether one of the reasons says that the engine can do nothing more about its orders by itself.

    Any other halt (an order of somebody else, the kill switch, a breaker) is no excuse: protection passes a halt.
    """
    return any(words in reason for reason in reasons for words in _HUMANS_TURN)


def _unresolved(connection: sqlite.Connection, *, is_excused: bool) -> Iterator[Finding]:
    rows = connection.execute(f"SELECT id, leg, status FROM orders WHERE status IN {_UNANSWERED}").fetchall()
    if rows and not is_excused:
        number, leg, status = rows[0]
        yield "I-30", f"{len(rows)} orders are without an outcome, such as {leg} {number}, which is {status}"


def _executions(connection: sqlite.Connection, venue: ReferenceVenue, *, is_halted: bool) -> Iterator[Finding]:
    # An order whose outcome nobody can find out (a venue that echoes no ids) halts; what it executed is not ours yet.
    hidden = "status = 'UNKNOWN'" if venue.temper.echoes_ids else "status = 'UNKNOWN' OR orders.venue_order_id IS NULL"
    named = f" WHERE NOT ({hidden})" if is_halted else ""
    ours = {row[0] for row in connection.execute(f"SELECT client_order_id FROM orders{named}")}
    booked: dict[str, int] = {}
    trades = f"SELECT execution_id, is_bust FROM trades JOIN orders ON orders.id = trades.order_id{named}"
    for execution_id, is_bust in connection.execute(trades):
        booked[execution_id] = booked.get(execution_id, 0) + (-1 if is_bust else 1)
    true = {
        str(each.execution_id): 0 if each.is_busted else 1 for each in venue.executions if each.client_order_id in ours
    }
    for name in sorted({*booked, *true}):
        counted, there = booked.get(name, 0), true.get(name, 0)
        if counted != there:
            yield "I-7", f"execution {name} counts {counted} times in the books and {there} times at the venue"


def _positions(connection: sqlite.Connection, venue: ReferenceVenue, *, is_excused: bool) -> Iterator[Finding]:
    held = venue.position(_KEY)
    # What was sold and is not held stands in the suspense, which is no position.
    (booked,) = connection.execute(
        "SELECT (SELECT coalesce(sum(quantity_e8), 0) FROM positions) "
        "- (SELECT coalesce(sum(quantity_e8), 0) FROM suspense WHERE kind = 'oversold')"
    ).fetchone()
    if Decimal(booked) / _UNIT != held and not is_excused and not venue.short_by_bust:
        yield "I-10", f"the books hold {Decimal(booked) / _UNIT} and the venue {held}"
