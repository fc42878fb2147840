"""Every day of 2000 to 2030, looked at from six time zones: who looks never changes which session a moment is in."""

from __future__ import annotations

import ast
import hashlib
import time
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from engine.calendars import load_sessions, parse_sessions
from engine.core.values import MINUTE_NS, SECOND_NS, AlwaysOpen, Session, SessionTable

YEARS = range(2000, 2031)
#: East and west of New York, with summer time in either half of the year, without any, and at a half hour.
VIEWERS = ("UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Sydney", "Asia/Kolkata")
NEW_YORK = ZoneInfo("America/New_York")
#: Wall-clock times at which a viewer looks: around New York's open and close, and when their own clocks change.
LOOKS = ((0, 0), (2, 30), (9, 29), (9, 30), (12, 0), (15, 59), (16, 0), (19, 0), (23, 59))


class Published(NamedTuple):
    """Sessions by the library that the frozen table came from, ns UTC."""

    dates: list[str]
    opens: list[int]
    closes: list[int]

    def date_at(self, ts_ns: int) -> str | None:
        index = bisect_right(self.opens, ts_ns) - 1
        return self.dates[index] if index >= 0 and ts_ns < self.closes[index] else None


@pytest.fixture(scope="module")
def published() -> Published:
    calendars = pytest.importorskip("exchange_calendars")
    schedule = calendars.get_calendar("XNYS", start="2000-01-01", end="2030-12-31").schedule
    return Published(
        [f"{day:%Y-%m-%d}" for day in schedule.index],
        [int(moment.timestamp()) * SECOND_NS for moment in schedule["open"]],
        [int(moment.timestamp()) * SECOND_NS for moment in schedule["close"]],
    )


@pytest.fixture(scope="module")
def table() -> SessionTable:
    sessions = load_sessions("XNYS")
    assert isinstance(sessions, SessionTable)
    return sessions


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND_NS


def seen(ts_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ts_ns // SECOND_NS, tz=UTC).astimezone(zone)


def days_of(year: int) -> Iterator[date]:
    day = date(year, 1, 1)
    while day.year == year:
        yield day
        day += timedelta(days=1)


def of_year(table: SessionTable, year: int) -> list[Session]:
    return [session for session in map(table.__getitem__, range(len(table))) if session.date[:4] == str(year)]


# exchange_calendars 4.13 uses what pandas 3.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values:DeprecationWarning")


@pytest.mark.parametrize("year", YEARS)
def test_each_look_of_each_viewer_finds_the_session_of_that_instant(
    year: int, published: Published, table: SessionTable
) -> None:
    """Gaps and folds of the viewer's own clock included: both readings of an hour that comes twice."""
    last_ts_ns = published.closes[-1]
    wrong = []
    for zone in map(ZoneInfo, VIEWERS):
        for day in days_of(year):
            for hour, minute in LOOKS:
                for fold in (0, 1) if hour == 2 else (0,):
                    ts_ns = ns(datetime(day.year, day.month, day.day, hour, minute, fold=fold, tzinfo=zone))
                    if ts_ns >= last_ts_ns:
                        continue
                    session = table.session_at(ts_ns)
                    if (session and session.date) != published.date_at(ts_ns):
                        wrong.append((zone.key, day, hour, minute, session))
    assert wrong == []


@pytest.mark.parametrize("year", YEARS)
def test_open_and_close_are_the_same_instants_on_every_wall_clock(
    year: int, published: Published, table: SessionTable
) -> None:
    sessions = of_year(table, year)
    assert [session.date for session in sessions] == [day for day in published.dates if day[:4] == str(year)]
    for session in sessions:
        index = published.dates.index(session.date)
        assert (session.open_ts_ns, session.close_ts_ns) == (published.opens[index], published.closes[index])
        for zone in map(ZoneInfo, VIEWERS):
            for ts_ns in (session.open_ts_ns, session.close_ts_ns):
                assert ns(seen(ts_ns, zone)) == ts_ns
            # From the first instant to the last, and not a nanosecond around them.
            assert table.session_at(ns(seen(session.open_ts_ns, zone))) == session
            assert table.session_at(ns(seen(session.close_ts_ns, zone)) - 1) == session
            assert table.session_at(ns(seen(session.open_ts_ns, zone)) - 1) is None
            assert table.session_from(ns(seen(session.open_ts_ns, zone)) - 1) == session


@pytest.mark.parametrize("year", YEARS)
def test_in_new_york_every_session_begins_at_half_past_nine_of_its_own_date(year: int, table: SessionTable) -> None:
    """Through both changes of the clock; half days end at one, and no day has another shape."""
    for session in of_year(table, year):
        opens, closes = seen(session.open_ts_ns, NEW_YORK), seen(session.close_ts_ns, NEW_YORK)
        assert opens.date().isoformat() == closes.date().isoformat() == session.date
        assert (opens.hour, opens.minute) == (9, 30)
        assert (closes.hour, closes.minute) in {(16, 0), (13, 0)}
        length = (session.close_ts_ns - session.open_ts_ns) // MINUTE_NS
        assert length == (closes.hour * 60 + closes.minute) - (opens.hour * 60 + opens.minute)


def test_half_days_are_those_of_the_source(published: Published, table: SessionTable) -> None:
    usual = 390 * MINUTE_NS
    half = [session.date for year in YEARS for session in of_year(table, year) if _length(session) < usual]
    lengths = zip(published.dates, published.opens, published.closes, strict=True)
    assert half == [day for day, opens, closes in lengths if closes - opens < usual]
    assert len(half) == 69


def _length(session: Session) -> int:
    return session.close_ts_ns - session.open_ts_ns


def clock_changes(zone: ZoneInfo, year: int) -> Iterator[date]:
    for day in days_of(year):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
        if noon.utcoffset() != (noon - timedelta(days=1)).utcoffset():
            yield day


@pytest.mark.parametrize("viewer", VIEWERS)
def test_the_week_of_a_clock_change_reads_as_any_other(viewer: str, table: SessionTable) -> None:
    """Whose clock changes, New York's or the viewer's: the session stays where the exchange has it."""
    zone = ZoneInfo(viewer)
    changes = 0
    for year in YEARS:
        for changed in {*clock_changes(zone, year), *clock_changes(NEW_YORK, year)}:
            changes += 1
            for offset in range(-3, 4):
                day = changed + timedelta(days=offset)
                bell = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK)
                local = bell.astimezone(zone)
                session = table.session_at(ns(local))
                assert session is None or (session.date, session.open_ts_ns) == (day.isoformat(), ns(bell))
    assert changes >= 62


@pytest.mark.parametrize("viewer", VIEWERS)
def test_crypto_days_are_utc_days_for_every_viewer(viewer: str) -> None:
    sessions = load_sessions("24/7")
    assert isinstance(sessions, AlwaysOpen)
    zone = ZoneInfo(viewer)
    for year in YEARS:
        for day in days_of(year):
            for hour in (0, 9, 18):
                local = datetime(day.year, day.month, day.day, hour, 30, tzinfo=zone)
                session = sessions.session_at(ns(local))
                assert session.date == local.astimezone(UTC).date().isoformat()
                assert session.open_ts_ns <= ns(local) < session.close_ts_ns


@pytest.mark.parametrize("viewer", VIEWERS)
def test_the_clock_of_the_machine_changes_no_table(
    viewer: str, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    text = (repository / "engine" / "calendar_tables" / "XNYS.csv").read_text(encoding="ascii")

    def digest() -> str:
        table = parse_sessions("XNYS", text)
        return hashlib.sha256(repr([table[index] for index in range(len(table))]).encode()).hexdigest()

    expected = digest()
    try:
        monkeypatch.setenv("TZ", viewer)
        time.tzset()
        assert digest() == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_session_is_worked_out_from_the_day_of_the_week(repository: Path) -> None:
    """Only reports may group by weekday; what trades asks a calendar."""
    forbidden = {"weekday", "isoweekday", "isocalendar", "is_busday", "busday_count", "busday_offset", "day_of_week"}
    found = []
    for path in sorted((repository / "engine").rglob("*.py")):
        if path.is_relative_to(repository / "engine" / "research"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            f"{path.relative_to(repository)}:{node.lineno} {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in forbidden
        ]
    assert found == []
