"""Jobs happen at their times, by the clock that they are given."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from engine.app.jobs import Job, SessionTrigger, datetime_of, ns_of, run_jobs
from engine.calendars import load_sessions
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen
from engine.testing.virtual_loop import virtual_loop


def at(text: str) -> int:
    return ns_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


def moments(*jobs: Job, since: str, until: str) -> None:
    loop = virtual_loop(Random(1), ts_ns=at(since))
    task = loop.create_task(run_jobs(jobs, loop))
    loop.pass_to(at(until))
    assert not task.done() or task.exception() is None
    loop.shut_down()


def test_a_job_is_done_at_each_of_its_times() -> None:
    told: list[int] = []
    every = IntervalTrigger(minutes=5, start_date=datetime(2026, 11, 27, 14, 2, tzinfo=UTC), timezone=UTC)
    moments(
        Job(name="health", trigger=every, act=told.append), since="2026-11-27T14:00:30", until="2026-11-27T14:20:00"
    )
    assert told == [at(f"2026-11-27T14:{minute:02}:00") for minute in (2, 7, 12, 17)]


def test_jobs_happen_in_the_order_of_their_times() -> None:
    told: list[str] = []

    def job(name: str, minutes: str) -> Job:
        return Job(name=name, trigger=CronTrigger(minute=minutes, timezone=UTC), act=lambda _: told.append(name))

    moments(job("later", "30"), job("sooner", "10,50"), since="2026-11-27T14:00:00", until="2026-11-27T15:00:00")
    assert told == ["sooner", "later", "sooner"]


def test_a_job_of_one_moment_ends_and_the_others_go_on() -> None:
    told: list[str] = []
    once = Job(
        name="once",
        trigger=DateTrigger(datetime(2026, 11, 27, 14, 1, tzinfo=UTC)),
        act=lambda _: told.append("once"),
    )
    often = Job(name="often", trigger=CronTrigger(minute="*/10", timezone=UTC), act=lambda _: told.append("often"))
    moments(once, often, since="2026-11-27T14:00:30", until="2026-11-27T14:25:00")
    assert told == ["once", "often", "often"]
    moments(once, since="2026-11-27T14:00:30", until="2026-11-28T14:25:00")
    assert told[3:] == ["once"]


def test_what_a_process_has_missed_is_done_once() -> None:
    told: list[int] = []
    every = IntervalTrigger(seconds=10, start_date=datetime(2026, 11, 27, 14, 0, tzinfo=UTC), timezone=UTC)
    loop = virtual_loop(Random(1), ts_ns=at("2026-11-27T14:00:05"))
    loop.create_task(run_jobs([Job(name="often", trigger=every, act=told.append)], loop))
    loop.pass_to(at("2026-11-27T14:00:25"))
    loop.ts_ns = at("2026-11-27T14:07:03")
    loop.pass_to(at("2026-11-27T14:07:15"))
    loop.shut_down()
    assert [(each - at("2026-11-27T14:00:00")) // SECOND_NS for each in told] == [10, 20, 423, 430]


def test_sessions_open_and_close_by_their_calendar() -> None:
    """Half days and the end of summer time included; a moment is told once however long its job takes."""
    told: list[int] = []
    trigger = SessionTrigger([load_sessions("XNYS"), load_sessions("XNYS"), AlwaysOpen()])
    job = Job(name="sessions", trigger=trigger, act=told.append)
    moments(job, since="2026-10-30T12:00:00", until="2026-11-02T22:00:00")
    moments(job, since="2026-11-27T14:30:00", until="2026-11-29T00:00:00")
    assert [f"{datetime_of(each):%m-%d %H:%M}" for each in told] == [
        "10-30 13:30",
        "10-30 20:00",
        "11-02 14:30",
        "11-02 21:00",
        "11-27 14:30",
        "11-27 18:00",
    ]


def test_after_its_last_year_a_calendar_has_no_more_sessions() -> None:
    trigger = SessionTrigger([load_sessions("XNYS")])
    assert trigger.get_next_fire_time(None, datetime(2040, 1, 1, tzinfo=UTC)) is None
    assert SessionTrigger([AlwaysOpen()]).get_next_fire_time(None, datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_times_are_kept_to_the_microsecond() -> None:
    moment = at("2026-11-27T14:30:00") + 1_234_567
    assert ns_of(datetime_of(moment)) == moment - 567
    assert ns_of(datetime_of(moment + MINUTE_NS)) - ns_of(datetime_of(moment)) == MINUTE_NS
