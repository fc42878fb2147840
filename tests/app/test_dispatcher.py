"""Requests leave in order where order matters, beside each other where it does not, and never too late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from engine.app.dispatcher import SEND_NS, Dispatcher
from engine.app.inbox import BoundedInbox
from engine.app.loop import SendFence
from engine.app.runner import first_of
from engine.core.errors import BadInput, Halt, Retry
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    CancelOrder,
    Command,
    Event,
    OrderAcknowledged,
    OutcomeUnknown,
    QueryOrder,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import SECOND_NS, ClientOrderId
from engine.ports import Inbox
from engine.testing.scenario import OPEN_TS_NS, Scenario, enter
from engine.testing.virtual_loop import virtual_loop


def submit(number: int) -> SubmitOrder:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (order,) = scenario.submitted()
    return SubmitOrder(
        **{name: getattr(order, name) for name in SubmitOrder.__slots__ if name != "client_order_id"},
        client_order_id=ClientOrderId(f"order-{number}"),
    )


def cancel(number: int) -> CancelOrder:
    return CancelOrder(client_order_id=ClientOrderId(f"order-{number}"), decided_ts_ns=OPEN_TS_NS)


def ask(number: int) -> QueryOrder:
    return QueryOrder(client_order_id=ClientOrderId(f"order-{number}"), decided_ts_ns=OPEN_TS_NS)


class Desk:
    """A dispatcher on a loop in virtual time, at a venue whose answers take as long as they are told to."""

    def __init__(self) -> None:
        self.exit_styles = tuple(ExitStyle)
        self.loop = virtual_loop(Random(3), ts_ns=OPEN_TS_NS)
        self.inbox = BoundedInbox()
        #: Second and name of what reached the venue.
        self.arrived: list[tuple[int, str]] = []
        self.takes_s: dict[str, float] = {}
        self.listing_s = 0.5
        self.fails: Exception | None = None
        self.lost = False
        fence = SendFence(clock=self.loop, verify=self.verify)
        self.dispatcher = Dispatcher(self, self.inbox, self.loop, fence, settle_ns=10 * SECOND_NS)
        self.task = self.loop.create_task(self.dispatcher.run())
        self.loop.pass_to(OPEN_TS_NS)

    def verify(self) -> None:
        if self.lost:
            raise Halt("Another engine has taken the account over.")

    async def request(self, command: Command) -> Sequence[VenueReport]:
        name = f"{type(command).__name__} {command.client_order_id}"
        self.arrived.append((self.second, name))
        await asyncio.sleep(self.takes_s.get(name, 0.1))
        if self.fails is not None:
            raise self.fails
        now = self.loop.now_ns()
        return [
            OrderAcknowledged(
                venue_ts_ns=now, received_ts_ns=now, client_order_id=command.client_order_id, venue_order_id="v"
            )
        ]

    async def list_account(self, asked_ts_ns: int) -> AccountListed | None:
        self.arrived.append((self.second, "listing"))
        await asyncio.sleep(self.listing_s)
        now = self.loop.now_ns()
        return AccountListed(
            venue_ts_ns=now, received_ts_ns=now, asked_ts_ns=asked_ts_ns, orders=(), positions=(), is_complete=True
        )

    async def listen(self, inbox: Inbox) -> None:
        """Push nothing."""

    @property
    def second(self) -> int:
        return (self.loop.now_ns() - OPEN_TS_NS) // SECOND_NS

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass; return what has come into the inbox."""
        self.loop.pass_to(self.loop.now_ns() + round(seconds * SECOND_NS))
        events = []
        while (event := self.inbox.take()) is not None:
            events.append(event)
        return events


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.loop.shut_down()


def test_requests_of_one_order_leave_one_after_the_other(desk: Desk) -> None:
    desk.takes_s["SubmitOrder order-1"] = 3
    desk.dispatcher.send(submit(1))
    desk.dispatcher.send(cancel(1))
    desk.wait(10)
    assert desk.arrived == [(0, "SubmitOrder order-1"), (3, "CancelOrder order-1")]


def test_a_slow_request_holds_no_other_order_up(desk: Desk) -> None:
    desk.takes_s["CancelOrder order-1"] = 4
    desk.dispatcher.send(cancel(1))
    desk.dispatcher.send(submit(2))
    assert len(desk.wait(1)) == 1
    assert [second for second, _ in desk.arrived] == [0, 0]


def test_a_request_without_an_answer_is_unknown_and_a_question_tells_nothing(desk: Desk) -> None:
    """I-4: a time-out is no refusal."""
    desk.takes_s = {"SubmitOrder order-1": 60, "CancelOrder order-2": 60, "QueryOrder order-3": 60}
    for command in (submit(1), cancel(2), ask(3)):
        desk.dispatcher.send(command)
    assert desk.wait(4.9) == []
    told = desk.wait(0.2)
    assert {type(each) for each in told} == {OutcomeUnknown}
    assert {each.client_order_id for each in told if isinstance(each, OutcomeUnknown)} == {"order-1", "order-2"}
    assert desk.wait(60) == []


def test_an_answer_that_nobody_understands_is_unknown(desk: Desk) -> None:
    desk.fails = Retry("The venue answered with a page of HTML.")
    desk.dispatcher.send(submit(1))
    (told,) = desk.wait(1)
    assert isinstance(told, OutcomeUnknown)
    assert told.reason == "The venue answered with a page of HTML."


def test_an_order_that_could_not_leave_in_time_does_not_leave(desk: Desk) -> None:
    """A process that slept after its commit: the price has moved, and the order may be believed absent by now."""
    for command in (submit(1), cancel(2)):
        desk.dispatcher.send(command)
    desk.loop.ts_ns += SEND_NS + SECOND_NS
    told = desk.wait(5)
    assert [name for _, name in desk.arrived] == ["CancelOrder order-2"]
    assert [each.reason for each in told if isinstance(each, OutcomeUnknown)] == [
        "it waited 3 s to leave and was not sent"
    ]


def test_an_order_decided_of_what_had_waited_does_not_leave(desk: Desk) -> None:
    """A price that stood in the inbox through a suspension is as old as it says, and so is what is decided of it."""
    desk.dispatcher.decide_at(desk.loop.now_ns() - SEND_NS - SECOND_NS)
    desk.dispatcher.send(submit(1))
    (told,) = desk.wait(1)
    assert isinstance(told, OutcomeUnknown)
    desk.dispatcher.decide_at(desk.loop.now_ns())
    desk.dispatcher.send(submit(2))
    desk.wait(1)
    assert [name for _, name in desk.arrived] == ["SubmitOrder order-2"]


def test_no_order_waits_for_a_question_about_it(desk: Desk) -> None:
    desk.takes_s["QueryOrder order-1"] = 4.9
    desk.dispatcher.send(ask(1))
    desk.dispatcher.send(submit(1))
    assert [type(each) for each in desk.wait(1)] == [OrderAcknowledged]
    assert [second for second, _ in desk.arrived] == [0, 0]


def test_an_absence_may_not_be_believed_while_the_order_is_on_its_way(desk: Desk) -> None:
    with pytest.raises(BadInput, match=r"recovery\.settle_s is 7: give more than 7"):
        Dispatcher(desk, desk.inbox, desk.loop, SendFence(clock=desk.loop, verify=desk.verify), settle_ns=7 * SECOND_NS)


def test_nothing_leaves_for_an_account_that_another_engine_has(desk: Desk) -> None:
    """I-17: the lease was good at the commit; bytes that leave a second later are looked at again."""
    desk.lost = True
    desk.dispatcher.send(cancel(1))
    desk.wait(1)
    assert desk.arrived == []
    failure = desk.task.exception()
    assert isinstance(failure, BaseExceptionGroup)
    with pytest.raises(Halt, match="Another engine"):
        raise first_of(failure)


def test_listings_are_asked_for_one_at_a_time_and_the_last_question_counts(desk: Desk) -> None:
    desk.listing_s = 3
    for second in range(3):
        desk.dispatcher.query_account(desk.loop.now_ns() + second)
        assert desk.wait(0.5) == []
    told = desk.wait(8)
    assert [second for second, _ in desk.arrived] == [0, 3]
    assert [each.asked_ts_ns - OPEN_TS_NS for each in told if isinstance(each, AccountListed)] == [0, 1_000_000_002]


def test_listings_that_do_not_come_make_room_for_the_next_question(desk: Desk) -> None:
    desk.listing_s = 60
    desk.dispatcher.query_account(desk.loop.now_ns())
    assert desk.wait(5) == []
    desk.listing_s = 0.1
    desk.dispatcher.query_account(desk.loop.now_ns())
    assert [type(each) for each in desk.wait(1)] == [AccountListed]


def test_it_is_idle_when_every_command_has_its_answer(desk: Desk) -> None:
    idle = [desk.dispatcher.is_idle]
    desk.dispatcher.send(submit(1))
    desk.dispatcher.send(cancel(1))
    for seconds in (0.0, 0.15, 0.1):
        desk.wait(seconds)
        idle.append(desk.dispatcher.is_idle)
    assert idle == [True, False, False, True]


def test_the_loop_sees_a_venue_that_never_has_reports(desk: Desk) -> None:
    desk.dispatcher.send(submit(1))
    assert desk.dispatcher.drain() == ()
    assert desk.dispatcher.exit_styles == tuple(ExitStyle)
