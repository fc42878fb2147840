"""A loop in virtual time: everything at its moment, who runs first by the seed, nothing between two calls."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from engine.core.values import SECOND_NS
from engine.testing.virtual_loop import VirtualLoop, virtual_loop

START = 1_700_000_000 * SECOND_NS


def racers(seed: int, *, delayed: float = 0.0) -> list[tuple[str, int]]:
    loop = virtual_loop(Random(seed), ts_ns=START, delayed=delayed)
    told: list[tuple[str, int]] = []

    async def run(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            told.append((name, loop.now_ns() - START))

    for name in "abcd":
        loop.create_task(run(name))
    loop.pass_to(START + 10 * SECOND_NS)
    return told


def test_sleepers_wake_at_their_moments() -> None:
    assert sorted(moment for _, moment in racers(1)) == [second * SECOND_NS for second in (1, 2, 3) for _ in range(4)]


def test_a_seed_decides_who_runs_first() -> None:
    assert racers(1) == racers(1)
    orders = {tuple(name for name, _ in racers(seed)) for seed in range(20)}
    assert len(orders) > 10


def test_calls_may_be_put_off_as_on_a_busy_machine() -> None:
    late = [moment % SECOND_NS for _, moment in racers(1, delayed=0.5)]
    assert any(late)
    assert max(late) < SECOND_NS // 5
    assert racers(1, delayed=0.5) == racers(1, delayed=0.5)


def test_nothing_moves_by_itself() -> None:
    loop = virtual_loop(Random(1), ts_ns=START)
    told: list[str] = []

    async def run() -> None:
        told.append("begun")
        await asyncio.sleep(5)
        told.append("done")

    task = loop.create_task(run())
    assert (told, loop.due_ns()) == ([], START)
    loop.pass_to(START)
    assert (told, loop.due_ns()) == (["begun"], START + 5 * SECOND_NS)
    loop.pass_to(START + 5 * SECOND_NS - 1)
    assert not task.done()
    loop.pass_to(START + 5 * SECOND_NS)
    assert (told, task.done(), loop.due_ns()) == (["begun", "done"], True, None)


def test_it_stops_where_it_is_told_to() -> None:
    loop = virtual_loop(Random(1), ts_ns=START)
    told: list[int] = []

    async def run() -> None:
        while True:
            await asyncio.sleep(1)
            told.append(loop.now_ns())

    loop.create_task(run())
    loop.pass_to(START + 60 * SECOND_NS, until=lambda: len(told) == 3)
    assert loop.now_ns() == told[-1] == START + 3 * SECOND_NS
    loop.shut_down()


def test_time_outs_groups_and_events_work_on_it() -> None:
    loop = virtual_loop(Random(1), ts_ns=START)

    async def run() -> str:
        gate = asyncio.Event()
        try:
            async with asyncio.timeout(2), asyncio.TaskGroup() as group:
                group.create_task(gate.wait())
        except TimeoutError:
            return f"timed out after {(loop.now_ns() - START) // SECOND_NS} s"
        return "never"

    task = loop.create_task(run())
    loop.pass_to(START + 10 * SECOND_NS)
    assert task.result() == "timed out after 2 s"


def test_what_a_call_raises_reaches_who_drives() -> None:
    loop = virtual_loop(Random(1), ts_ns=START)
    loop.call_soon(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        loop.pass_to(START)
    assert isinstance(loop, VirtualLoop)
    assert not loop.is_running()


def test_a_loop_that_is_shut_down_has_ended_every_task() -> None:
    loop = virtual_loop(Random(1), ts_ns=START)
    ended: list[str] = []

    async def run() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cleaned up")

    task = loop.create_task(run())
    loop.pass_to(START)
    loop.shut_down()
    assert (task.cancelled(), ended) == (True, ["cleaned up"])
