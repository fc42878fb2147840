"""A day of the tape: a session with the hours on both of its sides."""

from __future__ import annotations

from datetime import datetime

import pytest

from engine.calendars import load_sessions
from engine.core.bars import trading_day
from engine.core.errors import BadInput
from engine.core.values import DAY_NS, MINUTE_NS, AlwaysOpen, SessionTable

_TABLE = load_sessions("XNYS")
assert isinstance(_TABLE, SessionTable)
XNYS: SessionTable = _TABLE
HOUR_NS = 60 * MINUTE_NS


def at(day: str, hour: int) -> int:
    """Return an hour of the clock in UTC."""
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 10**9 + hour * HOUR_NS


@pytest.mark.parametrize(
    ("day", "hour", "session"),
    [
        ("2013-10-07", 8, "2013-10-07"),  # 04:00 in New York
        ("2013-10-07", 15, "2013-10-07"),
        ("2013-10-07", 23, "2013-10-07"),  # 19:00
        ("2013-10-08", 8, "2013-10-08"),
        ("2024-11-30", 1, "2024-11-29"),  # 20:00 after a half day
        ("2024-11-29", 9, "2024-11-29"),  # after Thanksgiving
        ("2001-09-13", 3, "2001-09-10"),
        ("2001-09-17", 9, "2001-09-17"),  # the week that the exchange was closed
    ],
)
def test_extended_hours_belong_to_the_session_that_they_lean_on(day: str, hour: int, session: str) -> None:
    found = trading_day(XNYS, at(day, hour))
    assert found.session.date == session
    assert found.start_ts_ns <= at(day, hour) < found.end_ts_ns


def test_days_follow_each_other_without_a_hole() -> None:
    moment = at("2024-06-28", 12)
    for _ in range(200):
        day = trading_day(XNYS, moment)
        following = trading_day(XNYS, day.end_ts_ns)
        assert following.start_ts_ns == day.end_ts_ns
        assert following.session.open_ts_ns > day.session.close_ts_ns
        assert trading_day(XNYS, day.end_ts_ns - 1) == day
        moment = day.end_ts_ns


def test_a_market_that_never_closes_has_utc_days() -> None:
    day = trading_day(AlwaysOpen(), 5 * DAY_NS + 7)
    assert (day.start_ts_ns, day.end_ts_ns) == (5 * DAY_NS, 6 * DAY_NS)


def test_the_ends_of_the_calendar_have_days_too() -> None:
    first = trading_day(XNYS, XNYS[0].open_ts_ns)
    last = trading_day(XNYS, XNYS[len(XNYS) - 1].open_ts_ns)
    assert first.session == XNYS[0]
    assert last.end_ts_ns == last.session.close_ts_ns + 8 * HOUR_NS
    with pytest.raises(BadInput, match="outside the calendar"):
        trading_day(XNYS, last.session.close_ts_ns)
