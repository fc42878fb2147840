"""An order tells its story: from the bar to the position, with every number, and in the order in which it happened."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.core.messages import ExecutionBusted, Flatten, OrderFilled
from engine.core.values import ExecutionId
from engine.store.connection import open_reader
from engine.store.stories import find_order, list_orders, order_story
from engine.testing.scenario import enter, leave


@pytest.fixture
def written(make_store: Callable[..., Any], history: Any) -> Any:
    store = make_store()
    store.write(history)
    return store


def test_an_entry_tells_its_whole_way(written: Any) -> None:
    story = order_story(written.connection, 1)
    assert story.account == "main"
    assert (story.order["leg"], story.order["status"], story.order["quantity"]) == ("entry", "FILLED", 100)
    assert story.bar is not None
    assert [story.bar[name] for name in ("timestamp", "close", "session_kind", "revision", "last_revision")] == [
        "2024-03-26T13:31:00.000Z",
        100.0,
        "regular",
        0,
        0,
    ]
    assert story.signal is not None
    assert (story.signal["id"], story.signal["kind"], story.signal["stop_distance"]) == (1, "enter", 1.5)
    assert story.exit_signal is None
    assert story.strategy["import_string"] == "scripted:Scripted"
    assert (story.cause["kind"], story.cause["step"]) == ("BarClosed", 3)
    assert (story.decision["id"], story.decision["approved"]) == (1, 1)
    assert [check["number"] for check in story.checks] == sorted(check["number"] for check in story.checks)
    assert all(check["passed"] for check in story.checks)
    assert [(row["to_state"], row["source"]) for row in story.transitions] == [
        ("NEW", "engine"),
        ("ACK", "venue"),
        ("PARTIAL", "venue"),
        ("FILLED", "venue"),
    ]
    assert [(fill["price"], fill["quantity"]) for fill in story.fills] == [
        (Decimal("100.01"), 40),
        (Decimal("100.03"), 60),
    ]
    assert story.fills[0]["slippage_bps"] == pytest.approx(1.0)
    assert story.bracket["exit_reason"] == "target"
    assert [row["to_state"] for row in story.bracket_states][-1] == "CLOSED"
    assert (story.position["before"], story.position["after"]) == (0, 100)


def test_an_exit_tells_what_it_realized(written: Any) -> None:
    ((target,),) = written.rows("SELECT max(order_id) FROM trades WHERE leg = 'target'")
    story = order_story(written.connection, target)
    assert story.cause["kind"] == "OrderFilled"
    assert story.cause["input"]["price"] == "100.03"
    assert (story.position["before"], story.position["after"]) == (60, 0)
    assert story.position["realized_pnl"] == 60 * (Decimal("103.03") - Decimal("100.03"))
    assert story.position["realized_pnl_after_fees"] == story.position["realized_pnl"]


def test_latencies_are_counted_in_milliseconds(make_store: Callable[..., Any], recorded: Any) -> None:
    scenario = recorded({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.now_ts_ns += 12_500_000
    scenario.give(
        OrderFilled(
            venue_ts_ns=scenario.now_ts_ns - 2_250_000,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=entry.client_order_id,
            execution_id=ExecutionId("x1"),
            price=Decimal("100.5"),
            quantity=entry.quantity,
            fee=Decimal("0.25"),
        )
    )
    store = make_store()
    store.write(scenario.steps)
    story = order_story(store.connection, 1)
    assert [(row["latency_ms"], row["since_submit_ms"]) for row in story.transitions] == [(0.0, 0.0), (2.25, 12.5)]
    assert story.fills[0]["fee"] == Decimal("0.25")
    assert story.position["fees"] == Decimal("0.25")
    timeline = store.rows(
        "SELECT latency_ms, since_submit_ms FROM v_order_timeline WHERE order_id = 1 ORDER BY version"
    )
    assert timeline == [(0.0, 0.0), (2.25, 12.5)]
    assert store.rows("SELECT answer_latency_ms, fill_latency_ms, fees FROM v_why WHERE order_id = 1") == [
        (12.5, 12.5, 0.25)
    ]


def test_an_order_without_a_fill_says_what_was_held_when_it_was_made(written: Any) -> None:
    ((stop,),) = written.rows("SELECT min(id) FROM orders WHERE leg = 'stop'")
    story = order_story(written.connection, stop)
    assert story.fills == []
    assert (story.position["before"], story.position["after"]) == (40, 40)


def test_leaving_names_the_signal_to_leave(make_store: Callable[..., Any], recorded: Any) -> None:
    scenario = recorded({1: enter(), 3: leave("time")})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100")
    scenario.bar(2)
    scenario.bar(3)
    for order in scenario.submitted()[1:]:
        scenario.cancel(order)
    store = make_store()
    store.write(scenario.steps)
    ((exit_id,),) = store.rows("SELECT id FROM orders WHERE leg = 'exit'")
    story = order_story(store.connection, exit_id)
    assert story.signal is not None
    assert story.exit_signal is not None
    assert (story.signal["kind"], story.exit_signal["kind"], story.exit_signal["reason"]) == ("enter", "exit", "time")
    assert story.cause["kind"] == "OrderCanceled"


def test_a_flatten_is_the_cause_of_its_cancels_and_a_bust_takes_back(
    make_store: Callable[..., Any], recorded: Any
) -> None:
    scenario = recorded({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.fill(entry, "100", execution="x1")
    times = {"venue_ts_ns": scenario.now_ts_ns, "received_ts_ns": scenario.now_ts_ns}
    scenario.give(
        ExecutionBusted(
            **times, client_order_id=entry.client_order_id, execution_id=ExecutionId("x1"), reason="clearly erroneous"
        )
    )
    scenario.give(Flatten(**times, reason="enough", requested_by="me"))
    store = make_store()
    store.write(scenario.steps)
    story = order_story(store.connection, 1)
    assert [fill["is_bust"] for fill in story.fills] == [0, 1]
    assert (story.position["before"], story.position["after"], story.position["realized_pnl"]) == (0, 0, 0)


def test_an_order_is_found_by_its_number_and_by_the_beginning_of_its_name(written: Any) -> None:
    names = dict(written.rows("SELECT id, client_order_id FROM orders"))
    for number, name in names.items():
        assert find_order(written.connection, str(number)) == number
        assert find_order(written.connection, name) == number
        assert find_order(written.connection, name[:13].upper()) == number


@pytest.mark.parametrize("wanted", ["99", "", "%", "____", "zzzz", "9" * 30, "1' OR 1"])
def test_an_order_that_is_not_there_is_one_sentence(written: Any, wanted: str) -> None:
    with pytest.raises(BadInput, match=r"There is no order .*: `ratchet order list`"):
        find_order(written.connection, wanted)


def test_a_beginning_that_several_share_is_refused(written: Any) -> None:
    for statement in ("PRAGMA foreign_keys=OFF", "DROP TRIGGER orders_no_update"):
        written.rows(statement)
    written.rows("UPDATE orders SET client_order_id = 'abcd-' || id")
    with pytest.raises(BadInput, match=r"The order 'abcd-' may be several \(orders 1, 2, 3 and so on\)"):
        find_order(written.connection, "abcd-")


def test_orders_are_listed_newest_first(written: Any) -> None:
    found = list_orders(written.connection)
    assert [row["order_id"] for row in found] == sorted((row["order_id"] for row in found), reverse=True)
    assert len(found) == written.rows("SELECT count(*) FROM orders")[0][0]
    assert found[-1]["quantity"] == 100
    canceled = list_orders(written.connection, symbol="SPY", status="CANCELED", limit=1)
    assert [row["status"] for row in canceled] == ["CANCELED"]


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"symbol": "QQQ"}, r"The symbol 'QQQ' is unknown here: give one of SPY\."),
        ({"status": "DONE"}, "The status 'DONE' is unknown here: give one of ACK, "),
    ],
)
def test_an_unknown_filter_is_refused(written: Any, filters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        list_orders(written.connection, **filters)


def test_every_order_of_a_file_tells_its_story(written: Any) -> None:
    connection = open_reader(written.path)
    for row in list_orders(connection, limit=1_000):
        story = order_story(connection, row["order_id"])
        assert story.transitions[-1]["to_state"] == story.order["status"]
        assert sum((fill["quantity"] for fill in story.fills), Decimal(0)) == story.order["filled_quantity"]
    connection.close()
