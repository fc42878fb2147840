"""Oracles for what a scenario has left behind that the monitors of the kernel do not look at yet.

Each reads the database of the engine against the truth of the venue. Once they have stood here for a while they belong
to the endings of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

from engine.store.connection import open_reader, sqlite
from engine.testing.chaos.market import INSTRUMENT
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.reference_venue import ReferenceVenue

_UNIT: Final = Decimal(10**8)
#: An invariant and what is wrong with it.
Finding = tuple[str, str]


def after_life(database: Path, venue: ReferenceVenue, plan: ScenarioPlan) -> Iterator[Finding]:
    """Yield what does not hold in the database that a scenario has left."""
    reader = open_reader(database)
    try:
        yield from _armed_with_the_fill(reader)
        yield from _known_orders_only(reader)
        if not plan.temper.busts and not plan.temper.foreign:
            yield from _exits_refused(reader)
            yield from _adopted_for_nothing(reader, plan)
        yield from _blind_entries(reader)
        yield from _cumulative(reader)
        yield from _foreign_orders(reader, venue)
    finally:
        reader.close()


# I-13: the step that books a fill of an entry holds what protects it: a new exit, or the cancel of what is in its way.
def _armed_with_the_fill(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT trade.execution_id, trade.step_id FROM trades AS trade WHERE trade.leg = 'entry' AND NOT trade.is_bust "
        "AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.step_id = trade.step_id AND orders.leg <> 'entry') "
        "AND NOT EXISTS (SELECT 1 FROM commands WHERE commands.step_id = trade.step_id "
        "AND commands.kind = 'CancelOrder') "
        "AND NOT EXISTS (SELECT 1 FROM trading_states AS state WHERE state.step_id = trade.step_id) "
        "AND NOT EXISTS (SELECT 1 FROM bracket_events AS event WHERE event.step_id = trade.step_id "
        "AND event.bracket_id = trade.bracket_id AND event.to_state IN ('SWAPPING', 'EXITING', 'CLOSED'))"
    )
    for execution_id, step in rows:
        yield "I-13", f"step {step} books the fill {execution_id} of an entry and arms nothing"


# I-2: every request is about an order that was decided, under the very id that was given to it then.
def _known_orders_only(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT kind, client_order_id FROM commands WHERE client_order_id NOT IN (SELECT client_order_id FROM orders)"
    )
    for kind, identity in rows:
        yield "I-2", f"{kind} {identity} is about an order that nobody decided"


# I-12: the gate is the second guard of exits. Where it has to refuse one, the first did not count right.
def _exits_refused(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute("SELECT leg, quantity, reason FROM decisions WHERE leg <> 'entry' AND NOT approved")
    for leg, quantity, reason in rows:
        yield "I-12", f"the gate had to refuse the {leg} of {quantity}: {reason}"


# I-10: where nobody else trades, takes back or hides anything, the venue holds what our executions left.
def _adopted_for_nothing(reader: sqlite.Connection, plan: ScenarioPlan) -> Iterator[Finding]:
    if not plan.temper.echoes_ids:
        return
    for kind, quantity in reader.execute("SELECT kind, quantity FROM position_adjustments"):
        yield "I-10", f"{kind} of {quantity}, although nobody else trades the account"


# I-16: nothing is entered in a step before which an order of the instrument was UNKNOWN.
def _blind_entries(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT entry.id, other.id FROM orders AS entry JOIN orders AS other ON other.id < entry.id "
        "AND other.step_id < entry.step_id WHERE entry.leg = 'entry' AND (SELECT event.to_state FROM order_events "
        "AS event WHERE event.order_id = other.id AND event.step_id < entry.step_id "
        "ORDER BY event.id DESC LIMIT 1) = 'UNKNOWN' AND NOT EXISTS (SELECT 1 FROM order_events AS event "
        "WHERE event.order_id = other.id AND event.step_id = entry.step_id)"
    )
    for entry, other in rows:
        yield "I-16", f"entry {entry} is decided while order {other} is UNKNOWN"


# I-8: what an order has filled is the sum of its executions.
def _cumulative(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT orders.id, orders.filled_quantity_e8, (SELECT coalesce(sum(CASE WHEN trade.is_bust THEN -1 ELSE 1 END "
        "* trade.quantity_e8), 0) FROM trades AS trade WHERE trade.order_id = orders.id) AS executed FROM orders "
        "WHERE orders.filled_quantity_e8 <> executed"
    )
    for order, filled, executed in rows:
        yield "I-8", f"order {order} says that {Decimal(filled) / _UNIT} filled and its executions are {Decimal(executed) / _UNIT}"


# I-6: what others do in the account is written down.
def _foreign_orders(reader: sqlite.Connection, venue: ReferenceVenue) -> Iterator[Finding]:
    seen = {row[0] for row in reader.execute("SELECT venue_order_id FROM external_orders")}
    for order in venue.orders.values():
        if order.client_order_id is None and order.venue_order_id not in seen:
            yield "I-6", f"order {order.venue_order_id} of somebody else in {INSTRUMENT.symbol} is written down nowhere"
