"""The journal: one hash however it is written, whole steps however it ends."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import Bug, Halt
from engine.core.messages import (
    EMPTY_STEP,
    AccountFunded,
    BarClosed,
    CashMoved,
    ExecutionBusted,
    Kill,
    OrderFilled,
    OrderTransitioned,
    Pause,
    Quote,
    Resume,
    Step,
    Tick,
    TimeAdvanced,
)
from engine.core.values import InstrumentId
from engine.store.accounts import open_account, pending_requests, post_request
from engine.store.check import check_database
from engine.store.connection import open_writer
from engine.store.inputs import read_inputs
from engine.store.writer import GENESIS, MemoryJournal, SqliteJournal
from engine.testing.scenario import OPEN_TS_NS, enter, leave

_examples = count()
_ACTIONS = (
    "bar",
    "bar",
    "ack",
    "fill",
    "part",
    "cancel",
    "reject",
    "expire",
    "wait",
    "bust",
    "pause",
    "resume",
    "kill",
)


def _play(recorded: type[Any], actions: list[tuple[str, int, int]]) -> list[tuple[Any, Step]]:
    # A hand that answers orders at random, sometimes twice and too late.
    scenario = recorded({minute: enter() if minute % 3 else leave() for minute in range(0, 60, 2)})
    minute = 0
    for action, which, amount in actions:
        orders = scenario.submitted()
        if action == "bar" or (not orders and action not in ("wait", "pause", "resume", "kill")):
            scenario.bar(minute, 100.0 + amount / 8)
            minute += 1
        elif action in ("wait", "pause", "resume", "kill"):
            _advance(scenario, action, amount)
        else:
            _answer(scenario, action, orders[-1 - which % len(orders)], amount)
    return scenario.steps  # type: ignore[no-any-return]


def _advance(scenario: Any, action: str, amount: int) -> None:
    if action == "wait":
        scenario.wait(amount + 1)
        return
    kind = {"pause": Pause, "resume": Resume, "kill": Kill}[action]
    times = {"venue_ts_ns": scenario.now_ts_ns, "received_ts_ns": scenario.now_ts_ns}
    scenario.give(kind(**times, reason="test", requested_by="tester"))


def _answer(scenario: Any, action: str, order: Any, amount: int) -> None:
    if action == "bust":
        fills = [event for event in scenario.events if isinstance(event, OrderFilled)]
        if fills:
            fill = fills[-1 - amount % len(fills)]
            scenario.give(
                ExecutionBusted(
                    venue_ts_ns=scenario.now_ts_ns,
                    received_ts_ns=scenario.now_ts_ns,
                    client_order_id=fill.client_order_id,
                    execution_id=fill.execution_id,
                    reason="test",
                )
            )
    elif action in ("fill", "part"):
        quantity = order.quantity if action == "fill" else max(Decimal(1), order.quantity // (amount + 2))
        scenario.fill(order, str(Decimal(100) + Decimal(amount) / 16), str(quantity))
    else:
        getattr(scenario, action)(order)


_histories = st.lists(st.tuples(st.sampled_from(_ACTIONS), st.integers(0, 3), st.integers(0, 40)), max_size=45)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=_histories)
def test_same_steps_have_the_same_hash_in_any_batches(
    actions: list[tuple[str, int, int]], recorded: type[Any], make_store: Callable[..., Any]
) -> None:
    history = _play(recorded, actions)
    memory = MemoryJournal()
    for event, step in history:
        memory.append(event, step)
    name = f"example-{next(_examples)}"
    hashes = {make_store(f"{name}-{batch}.sqlite").write(history, batch=batch) for batch in (1, 7, 4096)}
    assert hashes == {memory.journal_hash}
    report = check_database(make_store(f"{name}-7.sqlite").path)
    assert report.findings == ()
    assert report.journal_hashes == {"main": memory.journal_hash}


def test_a_second_account_has_the_same_hash_and_other_ids(make_store: Callable[..., Any], history: Any) -> None:
    first, second = make_store(name="first"), make_store(name="second")
    assert first.write(history) == second.write(history, batch=4096)
    for table in ("inputs", "signals", "decisions", "brackets", "orders", "order_events", "trades", "commands"):
        ids = {
            account: {row[0] for row in first.rows(f"SELECT id FROM {table} WHERE account_id = {account}")}
            for account in (1, 2)
        }
        assert ids[1]
        assert len(ids[1]) == len(ids[2])
        assert not ids[1] & ids[2]
    assert check_database(first.path).findings == ()


def test_a_journal_goes_on_after_its_last_step(make_store: Callable[..., Any], history: Any) -> None:
    whole = make_store("whole.sqlite").write(history)
    parts = make_store("parts.sqlite")
    parts.write(history[:9], batch=4)
    assert parts.journal().step_count == 9
    assert parts.write(history[9:]) == whole


def test_an_empty_journal_starts_at_genesis(make_store: Callable[..., Any]) -> None:
    assert make_store().journal().journal_hash == GENESIS.hex() == MemoryJournal().journal_hash


def test_passing_inputs_without_facts_are_left_out(make_store: Callable[..., Any]) -> None:
    times: Any = {"venue_ts_ns": 1, "received_ts_ns": 2}
    passing: list[Any] = [
        Tick(**times, instrument_id=InstrumentId(1), price=1.0, size=1.0),
        Quote(**times, instrument_id=InstrumentId(1), bid=1.0, ask=2.0, bid_size=1.0, ask_size=1.0),
        TimeAdvanced(**times),
    ]
    store, memory = make_store(), MemoryJournal()
    store.write([(event, EMPTY_STEP) for event in passing])
    for event in passing:
        memory.append(event, EMPTY_STEP)
    assert store.rows("SELECT count(*) FROM inputs") == [(0,)]
    assert memory.steps == []


def test_a_report_without_facts_is_kept(make_store: Callable[..., Any], history: Any) -> None:
    repeated = next(event for event, _ in history if isinstance(event, OrderFilled))
    store = make_store()
    store.write([*history, (repeated, EMPTY_STEP)])
    assert store.rows("SELECT kind FROM inputs ORDER BY id DESC LIMIT 1") == [("OrderFilled",)]


def test_inputs_come_back_as_they_were(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    read = list(read_inputs(store.connection, store.account.account_id))
    assert [entry[1] for entry in read] == [event for event, _ in history]
    assert [entry[0] for entry in read] == list(range(1, len(history) + 1))
    assert [entry[2] for entry in read] == [
        (event.bar,) if isinstance(event, BarClosed) else () for event, _ in history
    ]


def test_a_transition_from_another_version_is_a_bug_and_writes_nothing(
    make_store: Callable[..., Any], history: Any
) -> None:
    store = make_store()
    at = next(number for number, (_, step) in enumerate(history) if isinstance(step.facts[0], OrderTransitioned))
    store.write(history[:at])
    before = store.rows("SELECT * FROM orders")
    journal = store.journal()
    event, step = history[at]
    wrong = [
        OrderTransitioned(**{name: getattr(fact, name) for name in fact.__slots__} | {"version": 9})
        if isinstance(fact, OrderTransitioned)
        else fact
        for fact in step.facts
    ]
    journal.append(event, Step(tuple(wrong), step.commands))
    with pytest.raises(Bug, match="in the state and version"):
        journal.commit()
    assert store.rows("SELECT * FROM orders") == before
    assert store.journal().step_count == at


def test_a_full_disk_halts_and_keeps_whole_steps(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    store.write(history)
    pages = int(store.rows("PRAGMA page_count")[0][0])
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    journal = store.journal()
    moment = OPEN_TS_NS
    for number in range(3_000):
        event = AccountFunded(venue_ts_ns=moment, received_ts_ns=moment, amount=Decimal(1), source="x" * 50)
        fact = CashMoved(
            movement_id=number + 2, amount=Decimal(1), kind="deposit", source="x", settlement_ts_ns=moment, ts_ns=moment
        )
        journal.append(event, Step((fact,), ()))
    with pytest.raises(Halt, match=r"disk that holds .* is full"):
        journal.commit()
    assert store.rows("SELECT count(*) FROM inputs") == [(len(history),)]
    assert check_database(store.path).findings == ()


def test_a_locked_database_halts(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    other = open_writer(store.path)
    try:
        other.execute("BEGIN IMMEDIATE")
        store.connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(Halt, match="is locked by another process"):
            store.write(history)
    finally:
        other.close()


def test_an_operators_request_is_taken_with_its_step(make_store: Callable[..., Any], history: Any) -> None:
    store = make_store()
    pause = Pause(venue_ts_ns=5, received_ts_ns=5, reason="lunch", requested_by="me")
    number = post_request(store.connection, store.account.account_id, pause)
    (request,) = pending_requests(store.connection, store.account.account_id)
    assert (request.request_id, request.event(5)) == (number, pause)
    journal = store.journal()
    journal.append(*history[0])
    journal.append(request.event(7), EMPTY_STEP)
    journal.take_request(request.request_id)
    journal.commit()
    assert pending_requests(store.connection, store.account.account_id) == []
    assert store.rows("SELECT taken_step_id FROM operator_requests") == [(2,)]


_CHILD = textwrap.dedent(
    """
    import sys
    import time
    from uuid import UUID
    from engine.core.values import instrument_from_symbol
    from engine.store.accounts import open_account, register_instruments, register_strategy
    from engine.store.connection import open_writer
    from engine.store.writer import SqliteJournal
    from engine.testing.scenario import STRATEGY, Scenario, enter, leave

    path, name, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = open_writer(path)
    account = open_account(connection, name, namespace=UUID(int=1), opened_ts_ns=0)
    register_instruments(connection, account.account_id, [instrument_from_symbol("SPY", 1)])
    register_strategy(connection, account.account_id, STRATEGY, import_string="x:X", parameters={})
    journal = SqliteJournal(connection, account)

    class Writing(Scenario):
        def give(self, event):
            step = super().give(event)
            journal.append(event, step)
            if len(self.events) % batch == 0:
                journal.commit()
            return step

    scenario = Writing({minute: leave() if minute % 5 == 4 else enter() for minute in range(380)})
    answered = 0
    print("ready", flush=True)
    for minute in range(380):
        scenario.bar(minute, 100 + minute % 7)
        orders = scenario.submitted()
        for order in orders[answered:]:
            scenario.ack(order)
            if order.order_type.value == "market":
                scenario.fill(order, "100.5")
        answered = len(orders)
    time.sleep(60)
    """
)


@pytest.mark.parametrize(("batch", "seed"), [(1, 1), (1, 2), (64, 3)])
def test_a_kill_at_any_time_leaves_whole_steps(make_store: Callable[..., Any], batch: int, seed: int) -> None:
    store = make_store(name="other")
    command = [sys.executable, "-c", _CHILD, str(store.path), "killed", str(batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
    report = check_database(store.path)
    assert report.findings == ()
    account = open_account(store.connection, "killed", namespace=UUID(int=9), opened_ts_ns=0)
    assert account.namespace == UUID(int=1)
    journal = SqliteJournal(store.connection, account)
    assert journal.journal_hash == report.journal_hashes["killed"]
    assert journal.step_count % batch == 0
