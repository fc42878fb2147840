"""What the records of a scenario must say in the end: the database of the engine, read by a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from engine.core.values import MINUTE_NS, SECOND_NS
from engine.store.connection import sqlite
from engine.testing.chaos.endings import halt_reasons
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.market import INSTRUMENT
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.reference_venue import ReferenceVenue

K = FaultKind

_UNIT: Final = Decimal(10**8)
#: How long a cancel may take: the quiet time at the end is longer.
_UNRESOLVED_NS: Final = 300 * SECOND_NS
#: After so long a healed venue has to be listed again.
_UNLISTED_NS: Final = 60 * SECOND_NS
#: How far from the true time an input may be dated: what a clock may be off.
_CLOCK_ERROR_NS: Final = 61 * SECOND_NS
#: Between a deadline and what it does is a step of the market, and the way of an event.
_LATE_NS: Final = 15 * SECOND_NS
_ENDS_OF_PROCESSES: Final = (K.CRASH, K.DISK_FULL, K.DISK_ERROR, K.STOPPED, K.SECOND_ENGINE, K.CLOCK_JUMP)
#: So often an order may be asked about in a minute: every start of an engine asks anew.
_QUESTIONS_MAX: Final = 6
#: An invariant and what is wrong with it.
Finding = tuple[str, str]


def records(
    reader: sqlite.Connection,
    venue: ReferenceVenue,
    plan: ScenarioPlan,
    *,
    lives: int,
    now_ts_ns: int,
    listed_ts_ns: int,
) -> Iterator[Finding]:
    """Yield what does not hold in the database that a scenario has left.

    `lives` is how many processes there were, `now_ts_ns` the true time of its end, `listed_ts_ns` when the last
    complete listing reached the engine.
    """
    yield from _armed_with_the_fill(reader)
    yield from _known_orders_only(reader)
    if not plan.temper.busts and not plan.temper.foreign:
        yield from _exits_refused(reader)
        yield from _adopted_for_nothing(reader, plan)
    yield from _blind_entries(reader)
    yield from _cumulative(reader)
    yield from _foreign_orders(reader, venue)
    yield from _cancels_resolved(reader)
    yield from _unanswered_at_start(reader)
    yield from _questions(reader)
    if lives == 1 and _is_awake(plan):
        yield from _deadlines_kept(reader)
    yield from _told_times(reader, now_ts_ns)
    if now_ts_ns - listed_ts_ns > _UNLISTED_NS:
        since = f"{(now_ts_ns - listed_ts_ns) // SECOND_NS} s ago" if listed_ts_ns else "never in this life"
        yield "I-6", f"the last complete listing of the venue came {since}"


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


# I-12: the gate is the second guard of exits. Where it has to refuse one, the first did not count right. But where the
# books have taken a difference over while the end of an exit was untold, that exit may have sold it, and counts still.
def _exits_refused(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT leg, quantity, reason FROM decisions AS decision WHERE leg <> 'entry' AND NOT approved AND NOT EXISTS "
        "(SELECT 1 FROM position_adjustments AS taken JOIN orders ON orders.step_id < taken.step_id "
        "WHERE taken.kind = 'adoption' AND taken.step_id <= decision.step_id AND orders.leg <> 'entry' AND NOT EXISTS "
        "(SELECT 1 FROM order_events AS event WHERE event.order_id = orders.id AND event.step_id < taken.step_id "
        "AND event.to_state IN ('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED')))"
    )
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
        said, summed = Decimal(filled) / _UNIT, Decimal(executed) / _UNIT
        yield "I-8", f"order {order} says that {said} filled and its executions are {summed}"


# I-6: what others do in the account is written down.
def _foreign_orders(reader: sqlite.Connection, venue: ReferenceVenue) -> Iterator[Finding]:
    seen = {row[0] for row in reader.execute("SELECT venue_order_id FROM external_orders")}
    for order in venue.orders.values():
        if order.client_order_id is None and order.venue_order_id not in seen:
            yield "I-6", f"order {order.venue_order_id} of somebody else in {INSTRUMENT.symbol} is written down nowhere"


# I-30: a wish to cancel is resolved, or asked for again; not for ever is the order left to work.
def _cancels_resolved(reader: sqlite.Connection) -> Iterator[Finding]:
    if halt_reasons(reader):
        return
    rows = reader.execute(
        "SELECT orders.id, orders.leg, orders.status, (SELECT max(received_ts_ns) FROM inputs) - event.ts_ns AS since "
        "FROM orders JOIN order_events AS event ON event.order_id = orders.id AND event.trigger = 'cancel_requested' "
        f"WHERE orders.status IN ('NEW', 'UNKNOWN', 'ACK', 'PARTIAL') AND since > {_UNRESOLVED_NS}"
    )
    for order, leg, status, since in rows:
        yield "I-30", f"the cancel of {leg} {order}, which is {status}, is unresolved for {since // SECOND_NS} s"


# I-4: what the engine before has sent and nobody has answered is UNKNOWN from the start of the next one on.
def _unanswered_at_start(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT start.id, orders.id FROM inputs AS start JOIN orders ON orders.step_id < start.id "
        "WHERE start.kind = 'EngineStarted' AND NOT EXISTS (SELECT 1 FROM order_events AS event "
        "WHERE event.order_id = orders.id AND event.step_id <= start.id AND event.to_state <> 'NEW')"
    )
    for step, order in rows:
        yield "I-4", f"order {order} has no answer when an engine starts in step {step}, and is not UNKNOWN"


# I-25: one order is not asked about again and again.
def _questions(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT client_order_id, count(*) AS asked FROM commands WHERE kind = 'QueryOrder' "
        f"GROUP BY client_order_id, decided_ts_ns / {MINUTE_NS} HAVING asked > {_QUESTIONS_MAX}"
    )
    for identity, asked in rows:
        yield "I-25", f"order {identity} is asked about {asked} times in a minute"


# I-24: nothing is journaled by a clock that is more than a minute ahead of the truth.
def _told_times(reader: sqlite.Connection, now_ts_ns: int) -> Iterator[Finding]:
    (last_ts_ns,) = reader.execute("SELECT max(received_ts_ns) FROM inputs").fetchone()
    if last_ts_ns > now_ts_ns + _CLOCK_ERROR_NS:
        yield "I-24", f"an input is dated {(last_ts_ns - now_ts_ns) // SECOND_NS} s after the end"


def _is_awake(plan: ScenarioPlan) -> bool:
    return not plan.halts and not any(plan.rates.get(kind) for kind in _ENDS_OF_PROCESSES)


# I-13: where no process ends or sleeps, a deadline of protection is kept. Brackets of one stop only: the deadline of
# others is that of the pair which is next.
def _deadlines_kept(reader: sqlite.Connection) -> Iterator[Finding]:
    rows = reader.execute(
        "SELECT event.bracket_id, coalesce((SELECT min(later.ts_ns) FROM bracket_events AS later "
        "WHERE later.bracket_id = event.bracket_id AND later.version > event.version), "
        "(SELECT max(received_ts_ns) FROM inputs)) - event.deadline_ts_ns AS late_ns FROM bracket_events AS event "
        f"WHERE event.to_state IN ('UNPROTECTED', 'PROTECTING') AND late_ns > {_LATE_NS} "
        "AND (SELECT count(*) FROM orders WHERE orders.bracket_id = event.bracket_id AND orders.leg = 'stop') < 2 "
        # After so many refused exits nothing is waited for any more: it is a human's turn, and the halt says so.
        "AND NOT EXISTS (SELECT 1 FROM trading_states AS halt WHERE halt.reason LIKE '%close the position by hand' "
        "AND halt.ts_ns BETWEEN event.ts_ns AND event.deadline_ts_ns)"
    )
    for bracket, late_ns in rows:
        yield "I-13", f"bracket {bracket} stands without a stop {late_ns // SECOND_NS} s after its deadline"
