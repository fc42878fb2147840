"""The paper venue's file: restarts, crashes, and files that are not its own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from engine.core.errors import BadInput, Halt, Retry
from engine.core.messages import OrderFilled
from engine.core.values import Side, instrument_from_symbol
from engine.testing.venue_contract import SESSIONS, SPY, VenueDriver, bar, cancel, minute, order, query, tick
from engine.venues.paper import PaperBook, PaperSettings, PaperVenue

FLAT = (100.0, 100.0, 100.0, 100.0)


def opened(path: Path, *, latency_ns: int = 0) -> PaperVenue:
    settings = PaperSettings(opening_cash=Decimal(10_000), submit_latency_ns=latency_ns, cancel_latency_ns=latency_ns)
    return PaperVenue({SPY.instrument_id: SPY}, {SPY.instrument_id: SESSIONS}, settings, book=PaperBook(path))


def names(reports: Sequence[object]) -> list[str]:
    return [f"{type(report).__name__} {report.client_order_id}" for report in reports]  # type: ignore[attr-defined]


def test_a_restart_keeps_orders_cash_and_position(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    driver = VenueDriver(opened(path))
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    driver.show(bar(minute(0), FLAT))
    driver.send(order("stop", Side.SELL, 10, stop="99", decided_ts_ns=minute(1)))
    again = opened(path)
    assert again.cash == 9_000
    assert again.position(SPY.instrument_id) == 10
    assert again.working_client_order_ids() == ("stop",)
    assert again.has_work(SPY.instrument_id)
    assert names(VenueDriver(again).show(bar(minute(1), (100.0, 100.0, 98.0, 98.0)))) == ["OrderFilled stop"]


def test_killed_after_the_open_the_exits_still_meet_the_rest_of_the_bar(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    first = opened(path)
    first.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    first.drain()
    event = bar(minute(0), (100.0, 102.0, 99.0, 101.0))
    first.observe_open(event)  # killed here: nothing was drained, nothing journaled

    driver = VenueDriver(opened(path))
    told = driver.send(query("buy", decided_ts_ns=minute(0)))
    assert names(told) == ["OrderAcknowledged buy", "OrderFilled buy"]
    driver.send(order("stop", Side.SELL, 10, stop="99.5", decided_ts_ns=told[-1].received_ts_ns))
    assert [(type(r), getattr(r, "price", None)) for r in driver.show(event)] == [(OrderFilled, Decimal("99.5"))]
    assert driver.show(event) == []


def test_a_late_answer_to_an_open_meets_the_rest_of_that_bar_after_a_restart_too(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    first = opened(path)
    first.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    event = bar(minute(0), (100.0, 102.0, 99.0, 101.0))
    first.observe_open(event)

    again = opened(path)
    # Another symbol's bar had moved the engine's clock on to the end of this minute before it answered.
    again.send(order("stop", Side.SELL, 10, stop="99.5", decided_ts_ns=minute(1)))
    again.drain()
    again.observe_rest(event)
    assert names(again.drain()) == ["OrderFilled stop"]


def test_a_bar_that_was_matched_is_ignored_when_it_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    driver = VenueDriver(opened(path))
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    driver.show(bar(minute(0), FLAT))
    again = VenueDriver(opened(path))
    again.send(order("stop", Side.SELL, 10, stop="99", decided_ts_ns=minute(0)))
    assert again.show(bar(minute(0), (100.0, 100.0, 98.0, 98.0))) == []


def test_a_print_that_was_matched_is_ignored_when_it_is_shown_again(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    matched, same_time = tick(minute(0), 100.0, sequence=1), tick(minute(0), 98.0, sequence=2)
    driver = VenueDriver(opened(path))
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    driver.show(matched)
    again = VenueDriver(opened(path))
    again.send(order("more", Side.BUY, 1, decided_ts_ns=minute(0)))
    assert again.show(tick(minute(-1), 50.0)) == []
    assert again.show(matched) == []
    assert names(again.show(same_time)) == ["OrderFilled more"]


def test_commands_on_their_way_survive(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    VenueDriver(opened(path, latency_ns=5)).send(order("buy", Side.BUY, 1, limit="90", decided_ts_ns=minute(0)))
    again = VenueDriver(opened(path))
    assert names(again.show(bar(minute(1), FLAT))) == ["OrderAcknowledged buy"]
    late = VenueDriver(opened(path, latency_ns=5))
    late.send(cancel("buy", decided_ts_ns=minute(2)))
    last = VenueDriver(opened(path))
    assert names(last.show(bar(minute(3), FLAT))) == ["OrderCanceled buy"]
    assert VenueDriver(opened(path)).show(bar(minute(4), FLAT)) == []


def test_reports_are_on_disk_before_they_can_be_drained(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    venue = opened(path)
    venue.send(order("buy", Side.BUY, 1, decided_ts_ns=minute(0)))
    with sqlite.connect(str(path)) as reader:
        assert reader.execute("SELECT kind FROM reports").fetchall() == [("OrderAcknowledged",)]
    assert len(venue.drain()) == 1


def test_two_processes_on_one_book_are_stopped(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    opened(path).send(order("zero", Side.BUY, 1, decided_ts_ns=minute(0)))
    first, second = opened(path), opened(path)
    first.send(order("one", Side.BUY, 1, decided_ts_ns=minute(0)))
    with pytest.raises(Halt, match="changed by another process"):
        second.send(order("two", Side.BUY, 1, decided_ts_ns=minute(0)))
    assert second.drain() == []


def test_a_book_that_cannot_be_written_stops_the_venue(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    venue = opened(path)
    with sqlite.connect(str(path)) as other:
        other.execute("DROP TABLE reports")
    with pytest.raises(Halt, match="cannot be written"):
        venue.send(order("buy", Side.BUY, 1, decided_ts_ns=minute(0)))
    assert venue.drain() == []


def test_files_that_are_no_book_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be read as one" * 20)
    foreign = tmp_path / "other.db"
    newer = tmp_path / "newer.book"
    with sqlite.connect(str(foreign)) as other:
        other.execute("CREATE TABLE t (x)")
    PaperBook(newer).close()
    with sqlite.connect(str(newer)) as other:
        other.execute("PRAGMA user_version = 99")
    for path, sentence in (
        (text, "is not an SQLite file"),
        (foreign, "is no paper book|no paper book"),
        (newer, "has version 99"),
        (tmp_path / "missing" / "x.book", "cannot be opened"),
    ):
        with pytest.raises(BadInput, match=sentence):
            PaperBook(path)


def test_a_locked_book_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.venues.paper_book._BUSY_MS", 1)
    path = tmp_path / "paper.book"
    holder = sqlite.connect(str(path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Retry, match="is locked by another process"):
        PaperBook(path)
    holder.close()


def test_a_run_that_does_not_name_what_the_book_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    driver = VenueDriver(opened(path))
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    other = instrument_from_symbol("QQQ", 2)
    settings = PaperSettings(opening_cash=Decimal(0))
    arguments = ({other.instrument_id: other}, {other.instrument_id: SESSIONS}, settings)
    with pytest.raises(BadInput, match="an order in SPY"):
        PaperVenue(*arguments, book=PaperBook(path))
    driver.show(bar(minute(0), FLAT))
    with pytest.raises(BadInput, match="10 of the instrument 1"):
        PaperVenue(*arguments, book=PaperBook(path))
    driver.send(order("out", Side.SELL, 10, decided_ts_ns=minute(1)))
    driver.show(bar(minute(1), FLAT))
    with PaperBook(path) as book:
        assert PaperVenue(*arguments, book=book).cash == 10_000


def test_a_book_belongs_to_the_first_that_binds_it(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    with PaperBook(path) as book:
        assert book.is_empty
        assert book.bind("one")
        assert not book.bind("two")
    with PaperBook(path) as book:
        assert book.bind("one")
        assert book.is_empty


def test_a_book_with_orders_of_nobody_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    opened(path).send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    with PaperBook(path) as book:
        assert not book.is_empty
        assert not book.bind("one")


def test_prints_of_one_moment_are_not_matched_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "paper.book"
    first, moment = opened(path), minute(1)
    touching, through, later = (
        tick(moment, 98.0, sequence=1),
        tick(moment, 97.9, sequence=2),
        tick(moment, 98.5, sequence=3),
    )
    driver = VenueDriver(first)
    driver.send(order("buy", Side.BUY, 10, limit="98", decided_ts_ns=minute(0)))
    driver.show(touching)
    assert names(driver.show(through)) == ["OrderFilled buy"]
    # Its limit is below the two prints that came before it, and they are no reason to fill it.
    driver.send(order("sell", Side.SELL, 10, limit="97.99", decided_ts_ns=moment))

    again = VenueDriver(opened(path))
    assert again.show(touching) == []
    assert again.show(through) == []
    assert names(again.show(later)) == ["OrderFilled sell"]
