"""The frozen calendars: half days, holidays, daylight saving, UTC days, and equality with their source."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from engine.calendars import known_calendars, load_sessions, parse_sessions
from engine.core.errors import BadInput
from engine.core.values import DAY_NS, MINUTE_NS, SECOND_NS, Session, SessionTable

_ROOT = Path(__file__).resolve().parents[2]


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


def _xnys() -> SessionTable:
    table = load_sessions("XNYS")
    assert isinstance(table, SessionTable)
    return table


def _session_of(date: str) -> Session:
    session = _xnys().session_at(_ns(f"{date}T15:00"))
    assert session is not None, f"{date} should be a session"
    assert session.date == date
    return session


def test_known_calendars_can_all_be_loaded() -> None:
    assert known_calendars() == ("24/7", "XNYS")
    assert [load_sessions(name).name for name in known_calendars()] == ["24/7", "XNYS"]


def test_a_calendar_is_loaded_once() -> None:
    assert load_sessions("XNYS") is load_sessions("XNYS")


@pytest.mark.parametrize("name", ["XLON", "xnys", "", "../calendars", "24-7"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput) as refusal:
        load_sessions(name)
    assert str(refusal.value) == f"The calendar {name!r} is unknown: use one of 24/7, XNYS."


@pytest.mark.parametrize(
    ("date", "close"),
    [("2026-11-27", "18:00"), ("2024-07-03", "17:00"), ("2024-11-29", "18:00"), ("2024-12-24", "18:00")],
)
def test_half_days_have_210_minutes(date: str, close: str) -> None:
    session = _session_of(date)
    assert session.close_ts_ns == _ns(f"{date}T{close}")
    assert (session.close_ts_ns - session.open_ts_ns) // MINUTE_NS == 210


@pytest.mark.parametrize(
    "date",
    [
        "2001-09-11",  # closed by events, for four days
        "2012-10-29",  # a hurricane
        "2018-12-05",  # a day of mourning
        "2024-03-29",  # Good Friday
        "2024-07-04",
        "2024-11-28",
        "2024-12-25",
        "2025-01-09",  # a day of mourning
        "2022-06-20",  # Juneteenth, observed on the Monday
        "2026-07-03",  # Independence Day, observed on the Friday
        "2024-06-15",  # a Saturday
    ],
)
def test_closed_days_hold_no_session(date: str) -> None:
    assert _xnys().session_at(_ns(f"{date}T15:00")) is None
    assert _xnys().session_from(_ns(f"{date}T15:00")).date > date


def test_juneteenth_was_a_session_before_2022() -> None:
    assert _session_of("2020-06-19").close_ts_ns == _ns("2020-06-19T20:00")


@pytest.mark.parametrize(
    ("date", "open_utc", "close_utc"),
    [
        ("2024-03-08", "14:30", "21:00"),
        ("2024-03-11", "13:30", "20:00"),  # the first session of summer time
        ("2024-11-01", "13:30", "20:00"),
        ("2024-11-04", "14:30", "21:00"),  # the first session of winter time
        ("2006-04-03", "13:30", "20:00"),  # until 2006 summer time began in April
        ("2006-03-31", "14:30", "21:00"),
    ],
)
def test_sessions_follow_daylight_saving(date: str, open_utc: str, close_utc: str) -> None:
    session = _session_of(date)
    assert (session.open_ts_ns, session.close_ts_ns) == (_ns(f"{date}T{open_utc}"), _ns(f"{date}T{close_utc}"))


def test_a_session_holds_its_open_and_not_its_close() -> None:
    opens, closes = _ns("2026-11-27T14:30"), _ns("2026-11-27T18:00")
    table = _xnys()
    assert table.session_at(opens - 1) is None
    assert table.session_at(opens) == table.session_at(closes - 1) == _session_of("2026-11-27")
    assert table.session_at(closes) is None
    assert table.session_from(closes).date == "2026-11-30"


@pytest.mark.parametrize("moment", ["1999-12-01T15:00", "1970-01-01T00:00", "2031-01-02T15:00", "2031-06-01T00:00"])
def test_a_moment_outside_the_table_is_refused_and_never_called_closed(moment: str) -> None:
    for ask in (_xnys().session_at, _xnys().session_from):
        with pytest.raises(BadInput, match=r"outside the calendar XNYS, which holds 2000-01-03 to 2030-12-31"):
            ask(_ns(moment))


def test_sessions_ascend_without_overlap() -> None:
    table = _xnys()
    sessions = [table[index] for index in range(len(table))]
    assert len(sessions) == 7_794
    assert all(session.open_ts_ns < session.close_ts_ns for session in sessions)
    pairs = pairwise(sessions)
    assert all(first.close_ts_ns < then.open_ts_ns and first.date < then.date for first, then in pairs)


# exchange_calendars 4.13 uses what pandas 3.1 deprecates.
@pytest.mark.filterwarnings("ignore:Series.values:DeprecationWarning")
def test_every_frozen_session_equals_its_source() -> None:
    calendars = pytest.importorskip("exchange_calendars")
    schedule = calendars.get_calendar("XNYS", start="2000-01-01", end="2030-12-31").schedule
    table = _xnys()
    frozen = [table[index] for index in range(len(table))]
    assert [session.date for session in frozen] == [f"{day:%Y-%m-%d}" for day in schedule.index]
    assert [session.open_ts_ns for session in frozen] == [moment.value for moment in schedule["open"]]
    assert [session.close_ts_ns for session in frozen] == [moment.value for moment in schedule["close"]]


def test_the_generator_would_write_the_table_that_is_there() -> None:
    pytest.importorskip("exchange_calendars")
    generator = _ROOT / "tools" / "freeze_calendars.py"
    done = subprocess.run([sys.executable, generator, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_table_is_read_from_its_text() -> None:
    table = parse_sessions("TEST", "# a comment\ndate,open,close\n1970-01-02,1,2\n1970-01-03,870,1500\n")
    assert len(table) == 2
    assert table[0] == Session(date="1970-01-02", open_ts_ns=DAY_NS + MINUTE_NS, close_ts_ns=DAY_NS + 2 * MINUTE_NS)
    # A session may end on the next UTC day.
    assert table[1].close_ts_ns == 3 * DAY_NS + 60 * MINUTE_NS


@pytest.mark.parametrize("day", ["1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29", "2024-12-31", "2100-03-01"])
def test_crypto_has_one_session_per_utc_day(day: str) -> None:
    always = load_sessions("24/7")
    start = _ns(f"{day}T00:00")
    expected = Session(date=day, open_ts_ns=start, close_ts_ns=start + DAY_NS, always_open=True)
    for moment in (start, start + 12 * 60 * MINUTE_NS, start + DAY_NS - 1):
        assert always.session_at(moment) == always.session_from(moment) == expected
    assert always.session_from(start + DAY_NS).open_ts_ns == start + DAY_NS
