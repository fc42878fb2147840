"""The dispatcher: carries committed commands to a venue on the network, and brings what comes of them.

To the loop it is a venue that never blocks; behind it every request is a task with a time-out. Requests of one order
leave one after the other, those of different orders beside each other: a stop does not wait for a slow cancel.

An order that could not leave at once, since the process slept or what it was decided of had waited, does not leave:
meanwhile the price has moved, the engine may have been told that the order is absent, and another may be on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from engine.app.loop import SendFence
from engine.core.errors import BadInput, Retry
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountListed, Command, OutcomeUnknown, QueryOrder, SubmitOrder, VenueReport
from engine.core.values import SECOND_NS, ClientOrderId
from engine.ports import Clock, Inbox, LiveVenue

#: After so long a request counts as unanswered, ns.
REQUEST_NS: Final = 5 * SECOND_NS
#: An order that has not left so long after the moment of its decision is not sent, ns.
SEND_NS: Final = 2 * SECOND_NS
#: After so long listings count as failed, ns: the engine asks again then.
LISTING_NS: Final = 5 * SECOND_NS


class Dispatcher:
    """Be the `Venue` of a loop, over a `LiveVenue`."""

    def __init__(
        self,
        venue: LiveVenue,
        inbox: Inbox,
        clock: Clock,
        fence: SendFence,
        *,
        settle_ns: int,
        request_ns: int = REQUEST_NS,
        listing_ns: int = LISTING_NS,
    ) -> None:
        """Put the parts together; `fence` stands before the bytes of every command, since they may leave late.

        Raises BadInput where the core would believe an order absent, `settle_ns` after it was decided, while its
        request may still be on its way.
        """
        if SEND_NS + request_ns >= settle_ns:
            raise BadInput(
                f"The setting recovery.settle_s is {settle_ns / SECOND_NS:g}: give more than "
                f"{(SEND_NS + request_ns) / SECOND_NS:g}, since so long a request may be on its way."
            )
        self.exit_styles: tuple[ExitStyle, ...] = venue.exit_styles
        self._venue = venue
        self._inbox = inbox
        self._clock = clock
        self._fence = fence
        self._request_s = request_ns / SECOND_NS
        self._listing_s = listing_ns / SECOND_NS
        # What was handed over, and since when it waits, ns UTC.
        self._out: deque[tuple[Command, int]] = deque()
        self._event_ts_ns: int | None = None
        self._asked_ts_ns: int | None = None
        self._has_work = asyncio.Event()
        # The last request of each order that has not ended.
        self._tails: dict[ClientOrderId, asyncio.Task[None]] = {}
        self._listing: asyncio.Task[None] | None = None

    # --- what the loop sees ----------------------------------------------------------------------------------

    def decide_at(self, event_ts_ns: int) -> None:
        """Hear which moment (ns UTC) the commands that follow were decided of: an event may have waited, too."""
        self._event_ts_ns = event_ts_ns

    def send(self, command: Command) -> None:
        """Hand over a committed command; its outcome comes through the inbox."""
        now_ts_ns = self._clock.now_ns()
        self._out.append((command, min(now_ts_ns, self._event_ts_ns or now_ts_ns)))
        self._has_work.set()

    def query_account(self, asked_ts_ns: int) -> None:
        """Ask for listings; a question that is still on its way is not repeated."""
        self._asked_ts_ns = asked_ts_ns
        self._has_work.set()

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return nothing: what comes, comes through the inbox."""
        return ()

    # --- what leaves -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry requests until canceled; those on their way are canceled then, and their outcome is unknown.

        Raises Halt where another engine has taken the account over.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                while self._out:
                    self._start(*self._out.popleft(), group)
                if self._asked_ts_ns is not None and self._listing is None:
                    asked_ts_ns, self._asked_ts_ns = self._asked_ts_ns, None
                    self._listing = group.create_task(self._list(asked_ts_ns))

    @property
    def is_idle(self) -> bool:
        """Return whether no command is on its way; questions do not count."""
        return not self._out and not self._tails

    def _start(self, command: Command, handed_ts_ns: int, group: asyncio.TaskGroup) -> None:
        if isinstance(command, QueryOrder):
            # It changes nothing, so that nothing has to wait for it.
            group.create_task(self._carry(command, handed_ts_ns, None))
            return
        order_id = command.client_order_id
        task = group.create_task(self._carry(command, handed_ts_ns, self._tails.get(order_id)))
        self._tails[order_id] = task
        task.add_done_callback(lambda done: self._ended(order_id, done))

    def _ended(self, order_id: ClientOrderId, task: asyncio.Task[None]) -> None:
        if self._tails.get(order_id) is task:
            del self._tails[order_id]

    async def _carry(self, command: Command, handed_ts_ns: int, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        for report in await self._exchange(command, self._clock.now_ns() - handed_ts_ns):
            self._inbox.put(report)

    async def _exchange(self, command: Command, waited_ns: int) -> Sequence[VenueReport]:
        if waited_ns > SEND_NS and isinstance(command, SubmitOrder):
            return self._unknown(command, f"it waited {waited_ns // SECOND_NS} s to leave and was not sent")
        self._fence.pass_through()
        try:
            async with asyncio.timeout(self._request_s):
                return await self._venue.request(command)
        except TimeoutError:
            return self._unknown(command, f"no answer within {self._request_s:g} s")
        except Retry as failure:
            return self._unknown(command, str(failure))

    # A question that fails tells nothing at all.
    def _unknown(self, command: Command, reason: str) -> Sequence[VenueReport]:
        if isinstance(command, QueryOrder):
            return ()
        now_ts_ns = self._clock.now_ns()
        return (
            OutcomeUnknown(
                venue_ts_ns=now_ts_ns,
                received_ts_ns=now_ts_ns,
                client_order_id=command.client_order_id,
                reason=reason,
            ),
        )

    async def _list(self, asked_ts_ns: int) -> None:
        try:
            async with asyncio.timeout(self._listing_s):
                listed = await self._venue.list_account(asked_ts_ns)
        except (TimeoutError, Retry):
            listed = None
        finally:
            self._listing = None
            self._has_work.set()
        if listed is not None:
            self._inbox.put(listed)
