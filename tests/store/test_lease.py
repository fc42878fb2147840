"""I-17, one writer: a stale epoch can neither commit nor send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.app.loop import SendFence
from engine.core.errors import BadInput, Halt
from engine.store.connection import open_writer
from engine.store.lease import process_owner, release_lease, renew_lease, take_lease
from engine.store.writer import SqliteJournal

SECOND = 1_000_000_000
LEASES = "SELECT epoch, owner, acquired_ts_ns, renewed_ts_ns, released FROM leases"


def test_each_engine_raises_the_epoch(make_store: Callable[..., Any]) -> None:
    store = make_store()
    first = take_lease(store.connection, 1, owner="a", now_ts_ns=5 * SECOND)
    assert (first.epoch, first.follows_an_end) == (1, True)
    assert store.rows(LEASES) == [(1, "a", 5 * SECOND, 5 * SECOND, 0)]
    second = take_lease(store.connection, 1, owner="b", now_ts_ns=6 * SECOND)
    assert (second.epoch, second.follows_an_end) == (2, False)
    release_lease(store.connection, second, now_ts_ns=9 * SECOND)
    assert store.rows(LEASES) == [(2, "b", 6 * SECOND, 9 * SECOND, 1)]
    third = take_lease(store.connection, 1, owner="c", now_ts_ns=9 * SECOND)
    assert (third.epoch, third.follows_an_end) == (3, True)


def test_an_engine_that_was_replaced_writes_nothing_more(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    mine = take_lease(store.connection, 1, owner="host a, process 7", now_ts_ns=0)
    journal = SqliteJournal(store.connection, store.account, epoch=mine.epoch)
    journal.append(*history[0])
    journal.commit()
    other = open_writer(store.path)
    taken = take_lease(other, 1, owner="host b, process 9", now_ts_ns=0)
    other.close()
    journal.append(*history[1])
    with pytest.raises(Halt, match=r"host b, process 9; epoch 2. has taken the account over: .*epoch 1"):
        journal.commit()
    assert not store.connection.in_transaction
    assert store.rows("SELECT count(*) FROM inputs") == [(1,)]
    with pytest.raises(Halt, match="taken the account over"):
        journal.verify_lease()
    with pytest.raises(Halt, match="taken the account over"):
        release_lease(store.connection, mine, now_ts_ns=0)
    assert store.rows("SELECT epoch, released FROM leases") == [(taken.epoch, 0)]


def test_a_journal_without_an_epoch_asks_for_no_lease(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    take_lease(store.connection, 1, owner="a", now_ts_ns=0)
    store.write(history)
    store.journal().verify_lease()


def test_a_lease_that_is_gone_is_lost(make_store: Callable[..., Any]) -> None:
    store = make_store()
    with pytest.raises(Halt, match="no lease"):
        SqliteJournal(store.connection, store.account, epoch=1).verify_lease()


def test_a_clock_that_went_back_is_refused(make_store: Callable[..., Any]) -> None:
    store = make_store()
    noon = 1_704_196_800 * SECOND
    release_lease(store.connection, take_lease(store.connection, 1, owner="a", now_ts_ns=noon), now_ts_ns=noon)
    before = store.rows(LEASES)
    with pytest.raises(BadInput, match=r"2024-01-02 11:58:59 UTC .* 2024-01-02 12:00:00 UTC: set the clock"):
        take_lease(store.connection, 1, owner="b", now_ts_ns=noon - 61 * SECOND)
    assert store.rows(LEASES) == before
    take_lease(store.connection, 1, owner="b", now_ts_ns=noon - 60 * SECOND)


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ts_ns = 0

    def now_ns(self) -> int:
        return self.ts_ns


def test_a_process_that_slept_before_the_send_asks_again() -> None:
    watch, asked = Watch(), []
    fence = SendFence(clock=watch, verify=lambda: asked.append(watch.ts_ns))
    fence.mark()
    watch.ts_ns = SECOND
    fence.pass_through()
    assert asked == []
    watch.ts_ns = SECOND + 1
    fence.pass_through()
    fence.pass_through()
    assert asked == [SECOND + 1]


def test_an_owner_tells_processes_apart(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("b-1\n")
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text("7 (my ratchet (x)) S " + " ".join(str(number) for number in range(4, 30)))
    assert process_owner(host="h", pid=7, proc=tmp_path) == "h, process 7, boot b-1, start 22"
    assert process_owner(host="h", pid=8, proc=tmp_path) == "h, process 8"


def test_a_clock_that_is_not_proven_keeps_nobody_out(make_store: Callable[..., Any]) -> None:
    """A start with a clock an hour ahead must not keep later engines out for an hour."""
    connection, hour, now = make_store().connection, 3_600 * SECOND, 9_000 * SECOND
    first = take_lease(connection, 1, owner="a", now_ts_ns=now + hour, is_clock_proven=False)
    second = take_lease(connection, 1, owner="b", now_ts_ns=now, is_clock_proven=False)
    assert (first.epoch, second.epoch) == (1, 2)
    renew_lease(connection, second, now_ts_ns=now)
    with pytest.raises(BadInput, match="set the clock"):
        take_lease(connection, 1, owner="c", now_ts_ns=now - hour)
    with pytest.raises(Halt, match="has taken the account over"):
        renew_lease(connection, first, now_ts_ns=now)
