"""The inbox: one line, oldest first; only quotes that are worthless by now are ever left out."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engine.app.inbox import BoundedInbox
from engine.core.messages import Event, Quote, TimeAdvanced
from engine.core.values import InstrumentId


def quote(instrument: int, ts_ns: int) -> Quote:
    return Quote(
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
        instrument_id=InstrumentId(instrument),
        bid=1.0,
        ask=1.1,
        bid_size=1.0,
        ask_size=1.0,
    )


def moment(ts_ns: int) -> TimeAdvanced:
    return TimeAdvanced(venue_ts_ns=ts_ns, received_ts_ns=ts_ns)


def taken(inbox: BoundedInbox) -> list[Event]:
    events = []
    while (event := inbox.take()) is not None:
        events.append(event)
    return events


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans())), st.integers(1, 12), st.booleans())
def test_nothing_is_lost_but_quotes_that_a_newer_one_follows(
    puts: list[tuple[int, bool]],
    capacity: int,
    supersedes: bool,  # noqa: FBT001 - drawn
) -> None:
    inbox = BoundedInbox(capacity=capacity, supersedes_quotes=supersedes)
    events: list[Event] = [
        quote(instrument, number) if is_quote else moment(number) for number, (instrument, is_quote) in enumerate(puts)
    ]
    for event in events:
        inbox.put(event)
    waiting = inbox.waiting
    kept = taken(inbox)
    assert (waiting, inbox.waiting) == (len(kept), 0)
    assert inbox.superseded == len(events) - len(kept)
    assert [event for event in events if event in kept] == kept
    left_out = [event for event in events if event not in kept]
    assert supersedes or not left_out
    for event in left_out:
        assert isinstance(event, Quote)
        assert any(
            isinstance(each, Quote)
            and each.instrument_id == event.instrument_id
            and each.received_ts_ns > event.received_ts_ns
            for each in kept
        )


def test_quotes_are_left_out_only_where_the_line_is_long() -> None:
    inbox = BoundedInbox(capacity=8, supersedes_quotes=True)
    for number in range(5):
        inbox.put(quote(1, number))
    # Four waited when the fifth came: from then on only the newest counts.
    assert (inbox.waiting, inbox.superseded) == (4, 1)
    for number in range(5, 100):
        inbox.put(quote(1, number))
    assert inbox.waiting <= 5
    assert [event.received_ts_ns for event in taken(inbox)][-1] == 99


def test_a_quote_that_was_taken_is_not_left_out_afterwards() -> None:
    inbox = BoundedInbox(capacity=1, supersedes_quotes=True)
    inbox.put(quote(1, 1))
    assert inbox.take() == quote(1, 1)
    inbox.put(quote(1, 2))
    assert (inbox.waiting, inbox.superseded) == (1, 0)


def test_a_source_waits_for_room_and_goes_on_when_there_is_some() -> None:
    async def scene() -> list[str]:
        inbox, told = BoundedInbox(capacity=2), []

        async def source() -> None:
            for number in range(4):
                await inbox.room()
                inbox.put(moment(number))
                told.append(f"put {number}")

        task = asyncio.create_task(source())
        for _ in range(3):
            await asyncio.sleep(0)
        told.append("full")
        for _ in range(4):
            event = await inbox.get()
            told.append(f"got {event.received_ts_ns}")
        await task
        return told

    told = asyncio.run(scene())
    assert told[:3] == ["put 0", "put 1", "full"]
    assert [each for each in told if each.startswith("got")] == [f"got {number}" for number in range(4)]


def test_who_waits_for_an_event_gets_it() -> None:
    async def scene() -> Event:
        inbox = BoundedInbox()
        task = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        inbox.put(moment(7))
        return await task

    assert asyncio.run(scene()) == moment(7)
    assert BoundedInbox().longest == 0
