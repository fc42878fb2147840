"""Ports: what the shell plugs into the core's world. Four small protocols.

A source or a venue on the network answers in its own time: `LiveFeed` and `LiveVenue` are what a runner on asyncio
makes a feed and a venue of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountListed, Command, Event, MarketEvent, Quote, Step, Tick, VenueReport
from engine.core.values import Instrument, InstrumentId, Sessions


class Clock(Protocol):
    """Tell the time."""

    def now_ns(self) -> int:
        """Return UTC in nanoseconds, never decreasing."""


class Feed(Protocol):
    """Bring market events, in the order in which they were received.

    A quote is as old as its own two times say, however quiet the market is. A feed whose source sends quotes only
    when they change states the last one again while the source answers for it (it was asked, or its own numbered
    stream says that nothing changed), with the times of that answer; that a connection is open proves nothing. After a
    gap it states for each instrument whether the exchange halts it: the word that ended a halt may be lost.
    """

    #: What it sends data of.
    instruments: tuple[Instrument, ...]
    sessions: Mapping[InstrumentId, Sessions]
    #: Stands for the data: the same text is the same events.
    fingerprint: str

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield the events, or those received later than a moment (ns UTC); ends when the source does."""


class Venue(Protocol):
    """Take commands and give reports. Never blocks and never calls back: reports wait until they are drained."""

    #: The styles of exits that it can do, its default first.
    exit_styles: tuple[ExitStyle, ...]

    def send(self, command: Command) -> None:
        """Hand over a committed command; its outcome comes as reports."""

    def query_account(self, asked_ts_ns: int) -> None:
        """Ask for listings of orders and positions; they come as `AccountListed`, or, where they cannot be read, never.

        `asked_ts_ns` is now, by the engine's clock. Reading changes nothing, so that no row stands before it.
        """

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return the reports that have arrived since the last call, oldest first, and forget them."""


class LiveFeed(Protocol):
    """Bring market events as they come, for as long as it is asked to."""

    #: What it sends data of.
    instruments: tuple[Instrument, ...]
    sessions: Mapping[InstrumentId, Sessions]

    async def listen(self, inbox: Inbox) -> None:
        """Put every event into the inbox as it is received, until canceled; what was lost is a `FeedInterrupted`.

        It waits for room before it reads on: nothing piles up but in the network. It comes back by itself from all
        that passes; what it raises is a defect, or needs a human (Halt).
        """


class LiveVenue(Protocol):
    """A broker behind requests and answers. What it does by itself, and when it is asked again, is not its matter."""

    #: The styles of exits that it can do, its default first.
    exit_styles: tuple[ExitStyle, ...]

    async def request(self, command: Command) -> Sequence[VenueReport]:
        """Carry one committed command to the broker once, and return what its answer says.

        Raises Retry where no answer can be understood: the outcome is unknown then, as after a cancellation.
        """

    async def list_account(self, asked_ts_ns: int) -> AccountListed | None:
        """Return the listings of orders and positions, asked for at a moment (ns UTC); None where they do not come."""

    async def listen(self, inbox: Inbox) -> None:
        """Put what the broker pushes into the inbox, until canceled; returns where it pushes nothing."""


class Inbox(Protocol):
    """Take events of many sources in the order in which they are received."""

    def put(self, event: Event) -> None:
        """Add an event that was received just now; never blocks, never drops what matters."""

    async def room(self) -> None:
        """Wait until the line is short enough to read on."""


class SimulatedVenue(Venue, Protocol):
    """A venue that matches on the market events which the shell shows to it, in two phases per bar."""

    #: Whether commands take time to reach it: only then are there any to let arrive.
    is_delayed: bool

    def let_arrive(self, until_ts_ns: int) -> bool:
        """Let the earliest command on its way arrive, if it is there by a moment (ns UTC); return whether one was.

        Its report happens, and is received, at the moment of its arrival. Events that come after that moment are
        shown, and stepped, later.
        """

    def has_work(self, instrument_id: InstrumentId) -> bool:
        """Return whether an order of the instrument works or waits, so that events have to be shown."""

    def observe_open(self, event: MarketEvent) -> None:
        """Match what a bar's opening price decides; ticks and quotes do nothing here."""

    def observe_rest(self, event: MarketEvent) -> None:
        """Match what the rest of a bar decides, or a tick, or a quote."""

    def observe_past(self, event: Tick | Quote) -> None:
        """Know the market as of an event that was processed before a restart; nothing is matched by it."""


class Journal(Protocol):
    """Keep inputs with what they made true."""

    def append(self, event: Event, step: Step) -> None:
        """Add one whole step to the open transaction."""

    def commit(self) -> None:
        """Make all appended steps durable."""
