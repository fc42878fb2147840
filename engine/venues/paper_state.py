"""What the paper venue knows: orders, lanes (one per instrument) and the account. Plain state, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from engine.core.messages import (
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    Quote,
    SubmitOrder,
    Tick,
)
from engine.core.values import (
    MINUTE_NS,
    ZERO,
    ClientOrderId,
    Instrument,
    InstrumentId,
    OrderType,
    Sessions,
    Side,
    TimeInForce,
)
from engine.matching import WorkingOrder, working_order

#: For how long a price or a quote counts as the market, ns after its moment; then the market is unknown.
MARKET_AGE_NS: Final = MINUTE_NS

#: The mark of a lane's cursor after the phases of a bar; of a tick or quote it is the `fingerprint` once saved.
OPEN_DONE: Final = "open"
REST_DONE: Final = "rest"
TAPE: Final = "tape"
# Marks of no event: what comes at the moment of such a cursor comes after it.
_PHASES: Final = frozenset({"", OPEN_DONE, REST_DONE, TAPE})

NEVER: Final = 2**63 - 1

#: The reports that tell an order's story; they are kept, so that a query can deliver them again.
StoredReport = OrderAcknowledged | OrderFilled | OrderCanceled | OrderExpired | OrderRejected


class Moment(NamedTuple):
    """Hold the two times of the reports that one market event or command causes, ns UTC."""

    venue_ts_ns: int
    received_ts_ns: int


class PaperOrderStatus(StrEnum):
    """Name where an order is: on its way, resting, or over."""

    IN_FLIGHT = "in_flight"
    WORKING = "working"
    GONE = "gone"


@dataclass(slots=True, kw_only=True)
class PaperOrder:
    """Hold one order as the venue knows it; persisted as it is."""

    command: SubmitOrder
    #: Place among all commands that the venue took.
    number: int
    #: When it reaches or reached the venue, ns UTC.
    arrived_ts_ns: int
    remaining: Decimal
    status: PaperOrderStatus = PaperOrderStatus.IN_FLIGHT
    triggered: bool = False
    #: Close of its session, ns UTC; NEVER for an order that no session ends.
    expires_ts_ns: int = NEVER
    #: When a cancel reaches it, ns UTC, and that cancel's place among all commands; None without one.
    cancel_ts_ns: int | None = None
    cancel_number: int | None = None
    fill_count: int = 0
    #: Cash that each unit of a buy holds while it works; zero where the market was unknown.
    hold_price: Decimal = ZERO
    #: Most that a market buy pays; None where the venue sets no bound.
    collar_price: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class LaneState:
    """Hold what the venue knows of one instrument; persisted together with changes."""

    instrument_id: InstrumentId
    position: Decimal = ZERO
    #: The last market event that was matched: its moment, ns UTC, and its phase or fingerprint.
    cursor_ts_ns: int = -1
    cursor_mark: str = ""
    price: float | None = None
    price_ts_ns: int = 0
    bid: float = 0.0
    ask: float = 0.0
    #: Moment of the quote in force, ns UTC; negative while none was seen.
    quote_ts_ns: int = -NEVER
    has_prints: bool = False
    #: Moment of the latest corporate action that was applied, ns UTC.
    action_ts_ns: int = -1
    #: The latest arrival of a command between the two phases of a bar, ns UTC.
    phase_ts_ns: int = -1


@dataclass(slots=True, kw_only=True)
class AccountState:
    """Hold the account: its cash, and the counters that make the venue deterministic."""

    cash: Decimal
    #: How many commands the venue took.
    commands: int = 0
    #: Latest `received_ts_ns` of a report or event, ns UTC.
    received_ts_ns: int = 0


class Lane:
    """Hold one instrument's orders at work and its market."""

    __slots__ = (
        "catching_up",
        "instrument",
        "last_event",
        "next_expiry_ts_ns",
        "pending",
        "phase_ts_ns",
        "saved_mark",
        "session_close_ts_ns",
        "session_open_ts_ns",
        "sessions",
        "state",
        "working",
    )

    def __init__(self, instrument: Instrument, sessions: Sessions, state: LaneState) -> None:
        self.instrument = instrument
        self.sessions = sessions
        self.state = state
        self.working: dict[ClientOrderId, WorkingOrder] = {}
        #: Commands on their way, ascending: (moment of arrival, number, order, whether it is a cancel).
        self.pending: list[tuple[int, int, PaperOrder, bool]] = []
        #: How far the minute has gone of the bar whose open was matched and whose rest was not, ns UTC.
        self.phase_ts_ns: int | None = None
        if state.cursor_mark == OPEN_DONE:
            self.phase_ts_ns = max(state.cursor_ts_ns, state.phase_ts_ns)
        #: No working order expires before this moment, ns UTC.
        self.next_expiry_ts_ns = NEVER
        self.session_open_ts_ns = self.session_close_ts_ns = 0
        self.saved_mark = state.cursor_mark
        self.last_event: Tick | Quote | None = None
        #: True after a restart until the event at the cursor, or the first one beyond it.
        self.catching_up = state.cursor_ts_ns >= 0

    def is_busy(self) -> bool:
        """Return whether events have to be shown: an order works or waits, or a position needs a known market."""
        return bool(self.working or self.pending or self.state.position)

    def rest_order(self, order: PaperOrder) -> None:
        """Put an order among the working ones."""
        working = working_order(order.command, order.arrived_ts_ns, collar_price=order.collar_price)
        if order.triggered or order.remaining != working.remaining:
            working = working._replace(triggered=order.triggered, remaining=order.remaining)
        self.working[order.command.client_order_id] = working
        self.next_expiry_ts_ns = min(self.next_expiry_ts_ns, order.expires_ts_ns)

    def moment_of(self, decided_ts_ns: int) -> int:
        """Return when a command was decided, in this instrument's time.

        A command that comes between the two phases of a bar answers that bar's open, or what arrived since. Another
        instrument's bar may have moved the engine's clock on to the end of that same minute.
        """
        reached = self.phase_ts_ns
        return decided_ts_ns if reached is None else min(decided_ts_ns, reached)

    def pass_phase(self, ts_ns: int) -> None:
        """Let time pass between the two phases of a bar, as far as a command that arrives there."""
        if self.phase_ts_ns is not None:
            self.phase_ts_ns = self.state.phase_ts_ns = max(ts_ns, self.phase_ts_ns)

    def has_passed_bar(self, start_ts_ns: int) -> bool:
        """Return whether both phases of a bar were matched before, by this process or a former one."""
        state = self.state
        return state.cursor_ts_ns > start_ts_ns or (
            state.cursor_ts_ns == start_ts_ns and state.cursor_mark == REST_DONE
        )

    def has_passed(self, event: Tick | Quote) -> bool:
        """Return whether a former process matched a tick or quote: only a restart shows one again.

        Of several events of the cursor's moment those up to and with the marked one have passed.
        """
        state = self.state
        if not self.catching_up or event.received_ts_ns > state.cursor_ts_ns:
            return False
        if event.received_ts_ns < state.cursor_ts_ns:
            return True
        if fingerprint(event) == state.cursor_mark:
            self.catching_up = False
            return True
        return state.cursor_mark not in _PHASES

    def in_session(self, ts_ns: int) -> bool:
        """Return whether the moment is inside a regular session."""
        if not self.session_open_ts_ns <= ts_ns < self.session_close_ts_ns:
            session = self.sessions.session_from(ts_ns)
            self.session_open_ts_ns, self.session_close_ts_ns = session.open_ts_ns, session.close_ts_ns
        return self.session_open_ts_ns <= ts_ns

    def standing_quote(self, ts_ns: int) -> tuple[float, float] | None:
        """Return the (bid, ask) in force at a moment, None where there is none or it is too old."""
        state = self.state
        return (state.bid, state.ask) if ts_ns - state.quote_ts_ns < MARKET_AGE_NS else None

    def market(self, side: Side, ts_ns: int) -> Decimal | None:
        """Return at what an order would trade at a moment, None where the market is not known."""
        quote = self.standing_quote(ts_ns)
        if quote is not None:
            return Decimal(repr(quote[1] if side is Side.BUY else quote[0]))
        state = self.state
        if state.price is None or ts_ns - state.price_ts_ns >= MARKET_AGE_NS:
            return None
        return Decimal(repr(state.price))

    def held_for_sale(self, orders: Iterable[tuple[ClientOrderId | None, Decimal]]) -> Decimal:
        """Return how much the sells that work and `orders`, (link, remaining), hold; links hold once, the larger."""
        held = ZERO
        linked: dict[ClientOrderId, Decimal] = {}
        sells = [(order.link, order.remaining) for order in self.working.values() if not order.is_buy]
        for link, remaining in (*sells, *orders):
            if link is None:
                held += remaining
            else:
                linked[link] = max(linked.get(link, ZERO), remaining)
        return sum(linked.values(), held)


def fingerprint(event: Tick | Quote) -> str:
    """Return what tells an event from others of the same moment."""
    if isinstance(event, Tick):
        return f"tick:{event.venue_ts_ns}:{event.price!r}:{event.size!r}:{event.sequence}"
    return f"quote:{event.venue_ts_ns}:{event.bid!r}:{event.ask!r}:{event.bid_size!r}:{event.ask_size!r}"


def malformed(command: SubmitOrder, *, links: bool) -> str | None:
    """Return what an order lacks, None when it is whole; a venue that `links` takes a market order of any life."""
    if command.quantity <= 0:
        return "Quantity is not above zero"
    wants_limit = command.order_type in {OrderType.LIMIT, OrderType.STOP_LIMIT}
    wants_stop = command.order_type in {OrderType.STOP, OrderType.STOP_LIMIT}
    if wants_limit != (command.limit_price is not None):
        return f"A {command.order_type} order needs {'a' if wants_limit else 'no'} limit price"
    if wants_stop != (command.stop_price is not None):
        return f"A {command.order_type} order needs {'a' if wants_stop else 'no'} stop price"
    if not links and command.order_type is OrderType.MARKET and command.time_in_force is not TimeInForce.DAY:
        return "Invalid Good Til Canceled order"
    return None
