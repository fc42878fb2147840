"""A live venue over the reference venue: requests take time, answers come or do not, pushes come by themselves.

It runs on whatever loop of asyncio there is, in real time or in virtual time, by the clock that it is given.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountListed, Command, VenueReport
from engine.core.values import SECOND_NS
from engine.ports import Clock, Inbox
from engine.testing.reference_temper import HONEST, Fate
from engine.testing.reference_venue import Delivery, ReferenceVenue, Told


class ReferenceLink:
    """Be a `LiveVenue`. An answer goes to the oldest request of its order that still waits."""

    def __init__(
        self, venue: ReferenceVenue, clock: Clock, *, fate: Callable[[Command | None], Fate] = lambda _: HONEST
    ) -> None:
        """Put a venue behind requests; `fate` says what befalls each, None standing for listings."""
        self.exit_styles: tuple[ExitStyle, ...] = tuple(ExitStyle)
        self._venue = venue
        self._clock = clock
        self._fate = fate
        self._waiting: defaultdict[str, deque[asyncio.Future[list[Told]]]] = defaultdict(deque)
        self._has_work = asyncio.Event()

    async def request(self, command: Command) -> Sequence[VenueReport]:
        """Carry a command to the venue, and return what its answer says."""
        self._venue.send(command, self._clock.now_ns(), fate=self._fate(command))
        told = await self._answer(command.client_order_id)
        return [each for each in told if not isinstance(each, AccountListed)]

    async def list_account(self, asked_ts_ns: int) -> AccountListed | None:
        """Ask for listings, and wait for them as long as the caller does."""
        self._venue.query_account(asked_ts_ns, self._clock.now_ns(), fate=self._fate(None))
        told = await self._answer("")
        return next((each for each in told if isinstance(each, AccountListed)), None)

    async def listen(self, inbox: Inbox) -> None:
        """Let the venue's time pass, answer who waits, and put everything else into the inbox."""
        while True:
            now_ts_ns = self._clock.now_ns()
            for delivery in self._told(now_ts_ns):
                inbox.put(replace(delivery.report, received_ts_ns=now_ts_ns))
            due_ts_ns = self._venue.due()
            self._has_work.clear()
            try:
                async with asyncio.timeout(None if due_ts_ns is None else max(0, due_ts_ns - now_ts_ns) / SECOND_NS):
                    await self._has_work.wait()
            except TimeoutError:
                continue

    # Answers that come at one moment are one answer.
    def _told(self, now_ts_ns: int) -> list[Delivery]:
        pushed = []
        for key, group in groupby(self._venue.advance(now_ts_ns), key=_key):
            deliveries = list(group)
            waiting = self._waiting[key] if deliveries[0].channel == "reply" else deque()
            while waiting and waiting[0].done():
                waiting.popleft()
            if waiting:
                waiting.popleft().set_result([replace(each.report, received_ts_ns=now_ts_ns) for each in deliveries])
            else:
                pushed += deliveries
        return pushed

    async def _answer(self, key: str) -> list[Told]:
        future: asyncio.Future[list[Told]] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(future)
        self._has_work.set()
        return await future


def _key(delivery: Delivery) -> str:
    report = delivery.report
    return "" if isinstance(report, AccountListed) else f"{report.client_order_id}" * (delivery.channel == "reply")
