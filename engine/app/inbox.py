"""The inbox: events of all sources on their way to the engine, in one bounded line."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from engine.core.messages import Event, Quote
from engine.core.values import InstrumentId

#: So many events may wait before sources stop to read.
CAPACITY: Final = 4_096


class BoundedInbox:
    """Hold events, oldest first. One consumer takes them; sources put them and wait for room before they read on.

    Reports and prints are never dropped. While more than half of the room is taken, a quote makes the one of its
    instrument that still waits worthless, and that one is left out: the newest is what orders are decided on.
    """

    def __init__(self, *, capacity: int = CAPACITY, supersedes_quotes: bool = False) -> None:
        """Give the capacity in events; `supersedes_quotes` only where no bars are made of quotes."""
        self._capacity = capacity
        self._line: deque[list[Event | None]] = deque()
        # Of each instrument the slot of its newest quote: it may have been taken already.
        self._quotes: dict[InstrumentId, list[Event | None]] | None = {} if supersedes_quotes else None
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        #: How many events wait.
        self.waiting = 0
        #: How many quotes were left out, and the longest that the line has been.
        self.superseded = 0
        self.longest = 0

    def put(self, event: Event) -> None:
        """Add an event that was received just now."""
        slot: list[Event | None] = [event]
        if self._quotes is not None and isinstance(event, Quote):
            self._supersede(event.instrument_id, slot)
        self._line.append(slot)
        self.waiting += 1
        self.longest = max(self.longest, self.waiting)
        self._filled.set()
        if self.waiting >= self._capacity:
            self._has_room.clear()

    def _supersede(self, instrument_id: InstrumentId, slot: list[Event | None]) -> None:
        assert self._quotes is not None
        older = self._quotes.get(instrument_id)
        self._quotes[instrument_id] = slot
        if older is not None and older[0] is not None and 2 * self.waiting >= self._capacity:
            older[0] = None
            self.waiting -= 1
            self.superseded += 1

    async def get(self) -> Event:
        """Return the oldest event, when there is one."""
        while True:
            event = self.take()
            if event is not None:
                return event
            self._filled.clear()
            await self._filled.wait()

    def take(self) -> Event | None:
        """Return the oldest event, or None where none waits."""
        while self._line:
            slot = self._line.popleft()
            event, slot[0] = slot[0], None
            if event is not None:
                self.waiting -= 1
                if self.waiting < self._capacity:
                    self._has_room.set()
                return event
        return None

    async def room(self) -> None:
        """Wait until the line is shorter than its capacity."""
        await self._has_room.wait()
