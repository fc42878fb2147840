"""Planted bugs of the runner: the inbox, the dispatcher and the tasks around them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import pytest
from families import LOOP_BLIND, LOOP_ENGINES, LOOP_LOST
from planting import Registry

from engine.app.dispatcher import Dispatcher
from engine.app.loop import SendFence
from engine.app.runner import Runner
from engine.core.messages import Command, OrderRejected, OutcomeUnknown, VenueReport
from engine.core.values import DAY_NS

REGISTRY: Final = Registry()
bug: Final = REGISTRY.bug


@bug(
    "time_out_of_a_request_is_a_rejection",
    "The dispatcher takes a request without an answer for one that was refused.",
    "I-4",
    "I-10",
    "I-12",
    scenarios=LOOP_LOST,
    seeds=4,
)
def _time_out_of_a_request_is_a_rejection(patch: pytest.MonkeyPatch) -> None:
    unknown = Dispatcher._unknown

    def rejected(self: Dispatcher, command: Command, reason: str) -> Sequence[VenueReport]:
        return [
            OrderRejected(
                venue_ts_ns=each.venue_ts_ns,
                received_ts_ns=each.received_ts_ns,
                client_order_id=each.client_order_id,
                reason=reason,
            )
            if isinstance(each, OutcomeUnknown)
            else each
            for each in unknown(self, command, reason)
        ]

    patch.setattr(Dispatcher, "_unknown", rejected)


@bug(
    "listings_waited_for_without_end",
    "Listings that do not come are waited for, and nobody asks again.",
    "I-6",
    "I-13",
    scenarios=LOOP_BLIND,
    seeds=9,
)
def _listings_waited_for_without_end(patch: pytest.MonkeyPatch) -> None:
    init = Dispatcher.__init__

    def patient(self: Dispatcher, *parts: object, **options: object) -> None:
        init(self, *parts, **{**options, "listing_ns": DAY_NS})  # type: ignore[arg-type]  # passed on

    patch.setattr(Dispatcher, "__init__", patient)


@bug(
    "queued_commands_leave_for_another_engine",
    "A process that slept sends what was queued before its sleep without a look at the lease.",
    "I-17",
    scenarios=LOOP_ENGINES,
    seeds=4,
)
def _queued_commands_leave_for_another_engine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SendFence, "pass_through", lambda _: None)


@bug(
    "pulse_ends_unnoticed",
    "The task that tells the time ends by itself, and everything else goes on.",
    "I-6",
    "I-13",
    "I-30",
    scenarios=LOOP_LOST,
    seeds=6,
)
def _pulse_ends_unnoticed(patch: pytest.MonkeyPatch) -> None:
    pulse = Runner._pulse

    async def weak(self: Runner) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(200):
                await pulse(self)

    patch.setattr(Runner, "_pulse", weak)
