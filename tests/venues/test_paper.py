"""The paper venue's rules beyond matching: phases, holds, links, times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.errors import BadInput, Bug
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    Command,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    TimeAdvanced,
    VenueReport,
)
from engine.core.values import SECOND_NS, InstrumentId, Side, TimeInForce, instrument_from_symbol
from engine.matching import MatchRules
from engine.testing.venue_contract import (
    SESSIONS,
    SPY,
    Respond,
    VenueDriver,
    bar,
    cancel,
    extended_bar,
    minute,
    order,
    query,
    quote,
    tick,
)
from engine.venues.fees import fee_schedule
from engine.venues.paper import PaperSettings, PaperVenue

BUY, SELL = Side.BUY, Side.SELL
CLOSE = minute(390)
NEXT_OPEN = SESSIONS[1].open_ts_ns
FLAT = (100.0, 100.0, 100.0, 100.0)


def venue_of(**settings: object) -> PaperVenue:
    values: dict[str, object] = {"opening_cash": Decimal(100_000)} | settings
    return PaperVenue(
        {SPY.instrument_id: SPY},
        {SPY.instrument_id: SESSIONS},
        PaperSettings(**values),  # type: ignore[arg-type]
    )


def driver_of(respond: Respond | None = None, **settings: object) -> VenueDriver:
    venue = venue_of(**settings)
    return VenueDriver(venue) if respond is None else VenueDriver(venue, respond)


def holding(quantity: int = 10, respond: Respond | None = None, **settings: object) -> VenueDriver:
    driver = driver_of(respond, **settings)
    driver.send(order("buy", BUY, quantity, decided_ts_ns=minute(0)))
    driver.show(bar(minute(0), FLAT))
    return driver


def names(reports: Sequence[VenueReport]) -> list[str]:
    return [f"{type(report).__name__} {report.client_order_id}" for report in reports]


def reasons(reports: Sequence[VenueReport]) -> list[str]:
    return [getattr(report, "reason", "") for report in reports]


def fills(reports: Sequence[VenueReport]) -> list[tuple[str, str]]:
    return [(r.client_order_id, str(r.price)) for r in reports if isinstance(r, OrderFilled)]


# Orders and the market


def test_only_regular_bars_match() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(-30)))
    assert driver.show(extended_bar(minute(-30), FLAT)) == []
    assert fills(driver.show(bar(minute(0), FLAT))) == [("buy", "100.0")]


def test_times_of_reports_follow_the_phase() -> None:
    def protect(report: VenueReport) -> Sequence[Command]:
        if isinstance(report, OrderFilled) and report.client_order_id == "buy":
            return (order("stop", SELL, 10, stop="99", decided_ts_ns=report.received_ts_ns),)
        return ()

    driver = driver_of(protect)
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(3)))
    driver.show(bar(minute(3), (100.0, 100.0, 98.0, 99.0)))
    assert names(driver.reports) == [
        "OrderAcknowledged buy", "OrderFilled buy", "OrderAcknowledged stop", "OrderFilled stop",
    ]  # fmt: skip
    assert [(r.venue_ts_ns, r.received_ts_ns) for r in driver.reports] == [
        (minute(3), minute(3)),
        (minute(3), minute(3)),
        (minute(3), minute(3)),
        (minute(3), minute(4)),
    ]


def test_execution_ids_count_from_the_order() -> None:
    driver = holding(10, rules=MatchRules(fill_quantity_max=Decimal(4)))
    got = [r for r in driver.reports if isinstance(r, OrderFilled)]
    assert [(str(r.execution_id), int(r.quantity)) for r in got] == [("buy:1", 4), ("buy:2", 4), ("buy:3", 2)]


def test_the_time_exit_cancels_both_legs_and_fills_in_the_same_open() -> None:
    canceled: set[str] = set()

    def leave(report: VenueReport) -> Sequence[Command]:
        if isinstance(report, OrderCanceled):
            canceled.add(report.client_order_id)
            if canceled == {"stop", "target"}:
                return (order("exit", SELL, 10, decided_ts_ns=report.received_ts_ns),)
        return ()

    driver = holding(respond=leave)
    now = minute(1)
    driver.send(
        order("stop", SELL, 10, stop="99", link="pair", decided_ts_ns=now),
        order("target", SELL, 10, limit="101", link="pair", decided_ts_ns=now),
    )
    sent = driver.send(cancel("stop", decided_ts_ns=now), cancel("target", decided_ts_ns=now))
    assert names(sent) == ["OrderCanceled stop", "OrderCanceled target", "OrderAcknowledged exit"]
    shown = driver.show(bar(minute(1), (98.5, 102.0, 98.0, 99.0)))
    assert fills(shown) == [("exit", "98.5")]
    assert {r.received_ts_ns for r in [*sent, *shown]} == {minute(1)}


def test_replies_reach_the_rest_of_a_bar_when_another_symbol_moved_the_clock_on() -> None:
    second = instrument_from_symbol("QQQ", 2)

    def protect(report: VenueReport) -> Sequence[Command]:
        if isinstance(report, OrderFilled) and report.client_order_id == "late":
            stop = order("stop", SELL, 1, stop="99", decided_ts_ns=report.received_ts_ns)
            return (replace(stop, instrument_id=second.instrument_id),)
        return ()

    instruments = {SPY.instrument_id: SPY, second.instrument_id: second}
    venue = PaperVenue(instruments, dict.fromkeys(instruments, SESSIONS), PaperSettings(opening_cash=Decimal(1000)))
    driver = VenueDriver(venue, protect)
    late = replace(order("late", BUY, 1, decided_ts_ns=minute(0)), instrument_id=second.instrument_id)
    driver.send(order("first", BUY, 1, decided_ts_ns=minute(0)), late)
    driver.show(bar(minute(0), FLAT))
    shown = driver.show(
        bar(minute(0), (100.0, 100.0, 98.0, 98.0), instrument_id=second.instrument_id),
        instrument_id=second.instrument_id,
    )
    assert fills(shown) == [("late", "100.0"), ("stop", "99")]
    assert [(r.venue_ts_ns, r.received_ts_ns) for r in shown if isinstance(r, OrderFilled)] == [
        (minute(0), minute(1)),
        (minute(0), minute(1)),
    ]


def test_an_order_decided_at_the_end_of_a_minute_does_not_meet_that_minute() -> None:
    driver = holding()
    driver.send(order("stop", SELL, 10, stop="99", decided_ts_ns=minute(2)))
    assert driver.show(bar(minute(1), (100.0, 100.0, 98.0, 98.0))) == []


def test_a_limit_entry_is_protected_from_the_next_bar_on() -> None:
    def protect(report: VenueReport) -> Sequence[Command]:
        if isinstance(report, OrderFilled) and report.client_order_id == "entry":
            return (order("stop", SELL, 10, stop="98", decided_ts_ns=report.received_ts_ns),)
        return ()

    driver = driver_of(protect)
    driver.send(order("entry", BUY, 10, limit="99", decided_ts_ns=minute(0)))
    assert fills(driver.show(bar(minute(0), (100.0, 100.0, 97.0, 99.5)))) == [("entry", "99")]
    assert fills(driver.show(bar(minute(1), (99.0, 99.0, 97.5, 98.5)))) == [("stop", "98")]


def test_a_bar_is_matched_once() -> None:
    driver = holding()
    driver.send(order("stop", SELL, 10, stop="99", decided_ts_ns=minute(0)))
    assert driver.show(bar(minute(0), (100.0, 100.0, 98.0, 98.0))) == []


def test_a_triggered_stop_limit_rests_as_a_limit() -> None:
    driver = holding()
    driver.send(order("out", SELL, 10, stop="99", limit="99.5", decided_ts_ns=minute(1)))
    assert driver.show(bar(minute(1), (100.0, 100.0, 98.0, 98.5))) == []
    assert fills(driver.show(bar(minute(2), (98.5, 99.6, 98.0, 99.0)))) == [("out", "99.5")]


def test_time_alone_and_bad_prices_do_nothing() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    assert driver.show(TimeAdvanced(venue_ts_ns=minute(1), received_ts_ns=minute(1))) == []
    assert driver.show(tick(minute(1), float("nan"))) == []
    assert driver.show(tick(minute(1), 0.0)) == []
    assert driver.show(quote(minute(1), 100.1, 100.0)) == []
    assert driver.show(quote(minute(1), float("nan"), 100.0)) == []
    assert fills(driver.show(tick(minute(1), 100.5))) == [("buy", "100.5")]


def test_quotes_and_prints_match_only_inside_sessions() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(-10)))
    assert driver.show(tick(minute(-1), 99.0)) == []
    assert driver.show(quote(minute(-1), 99.0, 99.1)) == []
    assert fills(driver.show(quote(minute(0), 99.0, 99.2))) == [("buy", "99.2")]


def test_a_print_beside_a_fresh_quote_fills_at_the_quote_and_beside_a_stale_one_at_itself() -> None:
    driver = driver_of()
    driver.send(order("a", BUY, 1, limit="1", decided_ts_ns=minute(0)))
    driver.show(quote(minute(0), 99.9, 100.1))
    driver.send(order("b", BUY, 1, decided_ts_ns=minute(0)))
    assert fills(driver.show(tick(minute(0) + SECOND_NS, 100.0))) == [("b", "100.1")]
    driver.send(order("c", BUY, 1, decided_ts_ns=minute(2)))
    assert fills(driver.show(tick(minute(2), 100.0))) == [("c", "100.0")]


def test_where_prints_are_expected_a_stop_waits_for_one() -> None:
    driver = holding(prints_expected=True)
    driver.send(order("stop", SELL, 10, stop="99", decided_ts_ns=minute(1)))
    assert fills(driver.show(quote(minute(1) + 1, 98.5, 100.1))) == []
    assert len(fills(driver.show(tick(minute(1) + 2, 98.9)))) == 1


def test_a_stop_triggers_on_quotes_until_prints_come() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    driver.show(quote(minute(0), 99.9, 100.1))
    driver.send(order("stop", SELL, 5, stop="99.5", decided_ts_ns=minute(0)))
    driver.send(order("other", SELL, 5, stop="99", decided_ts_ns=minute(0)))
    assert fills(driver.show(quote(minute(0) + 1, 99.4, 99.6))) == [("stop", "99.4")]
    driver.show(tick(minute(0) + 2, 99.4))
    assert driver.show(quote(minute(0) + 3, 98.9, 99.1)) == []
    assert fills(driver.show(tick(minute(0) + 4, 99.0))) == [("other", "98.9")]


# Holds, cash and refusals


def test_linked_legs_hold_shares_once_and_the_larger() -> None:
    driver = holding(10)
    now = minute(1)
    driver.send(order("stop", SELL, 10, stop="90", link="pair", decided_ts_ns=now))
    assert names(driver.send(order("target", SELL, 8, limit="110", link="pair", decided_ts_ns=now))) == [
        "OrderAcknowledged target"
    ]
    refused = driver.send(order("extra", SELL, 1, limit="110", decided_ts_ns=now))
    assert reasons(refused) == ["Not enough shares to sell"]


def test_selling_without_a_position_is_refused() -> None:
    assert reasons(driver_of().send(order("short", SELL, 1, decided_ts_ns=minute(0)))) == ["Not enough shares to sell"]


@pytest.mark.parametrize(
    ("prices", "quantity", "refused"),
    [
        pytest.param({"limit": "100"}, 1001, True, id="limit beyond the cash"),
        pytest.param({"limit": "100"}, 1000, False, id="limit at the cash"),
        pytest.param({"stop": "101"}, 1000, True, id="stop at its own price"),
        pytest.param({"stop": "90", "limit": "101"}, 1000, True, id="stop-limit at its limit"),
        pytest.param({}, 1001, False, id="market without a known price"),
    ],
)
def test_purchases_need_cash(prices: dict[str, str], quantity: int, refused: bool) -> None:  # noqa: FBT001
    (report,) = driver_of().send(order("buy", BUY, quantity, decided_ts_ns=minute(0), **prices))  # type: ignore[arg-type]
    assert isinstance(report, OrderRejected) is refused


def test_a_market_purchase_is_held_against_the_last_price_while_it_is_fresh() -> None:
    driver = holding(1)
    assert reasons(driver.send(order("big", BUY, 1000, decided_ts_ns=minute(1)))) == ["Not enough buying power"]
    assert names(driver.send(order("later", BUY, 1000, decided_ts_ns=minute(2)))) == ["OrderAcknowledged later"]


def test_working_purchases_hold_cash() -> None:
    driver = driver_of()
    driver.send(order("first", BUY, 600, limit="100", decided_ts_ns=minute(0)))
    refused = driver.send(order("second", BUY, 401, limit="100", decided_ts_ns=minute(0)))
    assert reasons(refused) == ["Not enough buying power"]


def test_a_purchase_dearer_than_the_cash_is_canceled_at_its_fill() -> None:
    driver = driver_of(opening_cash=Decimal(999))
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    shown = driver.show(bar(minute(0), FLAT))
    assert names(shown) == ["OrderCanceled buy"]
    assert reasons(shown) == ["Not enough buying power"]
    assert driver.venue.cash == 999  # type: ignore[attr-defined]


@pytest.mark.parametrize(("stop", "refused"), [("100", True), ("100.01", True), ("99.99", False)])
def test_a_sell_stop_at_or_through_the_market_is_refused(stop: str, refused: bool) -> None:  # noqa: FBT001
    driver = holding()
    (report,) = driver.send(order("stop", SELL, 10, stop=stop, decided_ts_ns=minute(1)))
    assert isinstance(report, OrderRejected) is refused


def test_between_the_phases_the_market_is_the_open() -> None:
    def protect(report: VenueReport) -> Sequence[Command]:
        if isinstance(report, OrderFilled):
            return (order("stop", SELL, 10, stop="100", decided_ts_ns=report.received_ts_ns),)
        return ()

    driver = driver_of(protect)
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    shown = driver.show(bar(minute(0), (100.0, 105.0, 100.0, 105.0)))
    assert names(shown) == ["OrderFilled buy", "OrderRejected stop"]


def test_beside_quotes_the_market_of_a_sell_stop_is_the_bid() -> None:
    driver = driver_of()
    driver.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    driver.show(quote(minute(0), 99.0, 100.0))
    assert names(driver.send(order("a", SELL, 10, stop="99", decided_ts_ns=minute(0)))) == ["OrderRejected a"]
    assert names(driver.send(order("b", SELL, 10, stop="98.99", decided_ts_ns=minute(0)))) == ["OrderAcknowledged b"]


def test_the_market_is_not_known_after_a_minute() -> None:
    driver = holding()
    assert names(driver.send(order("stop", SELL, 10, stop="150", decided_ts_ns=minute(2)))) == [
        "OrderAcknowledged stop"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": Decimal(0)}, "Quantity is not above zero"),
        ({"limit_price": Decimal(1)}, "A market order needs no limit price"),
        ({"stop_price": Decimal(1)}, "A market order needs no stop price"),
    ],
)
def test_malformed_orders_are_refused(changes: dict[str, Decimal], reason: str) -> None:
    command = replace(order("buy", BUY, 1, decided_ts_ns=minute(0)), **changes)  # type: ignore[arg-type]
    assert reasons(driver_of().send(command)) == [reason]


# Linked legs


def test_a_complete_fill_cancels_the_linked_leg_in_the_same_moment() -> None:
    driver = holding()
    now = minute(1)
    driver.send(order("stop", SELL, 10, stop="99", link="pair", decided_ts_ns=now))
    driver.send(order("target", SELL, 10, limit="101", link="pair", decided_ts_ns=now))
    shown = driver.show(bar(minute(1), (100.0, 102.0, 99.5, 101.0)))
    assert names(shown) == ["OrderFilled target", "OrderCanceled stop"]
    assert reasons(shown)[1] == "linked order filled"
    assert len({(r.venue_ts_ns, r.received_ts_ns) for r in shown}) == 1
    assert not driver.venue.has_work(SPY.instrument_id)


def test_a_partial_fill_lowers_the_linked_leg_by_as_much() -> None:
    driver = holding(10, rules=MatchRules(fill_quantity_max=Decimal(6)))
    now = minute(1)
    driver.send(order("stop", SELL, 10, stop="99", link="pair", decided_ts_ns=now))
    driver.send(order("target", SELL, 10, limit="101", link="pair", decided_ts_ns=now))
    assert names(driver.show(bar(minute(1), (100.0, 102.0, 100.0, 101.0)))) == ["OrderFilled target"]
    shown = driver.show(bar(minute(2), (100.0, 100.0, 98.0, 98.0)))
    # Its own fills do not add up to the order, so the end of the lowered stop is told too.
    assert names(shown) == ["OrderFilled stop", "OrderCanceled stop", "OrderCanceled target"]
    assert [r.quantity for r in shown if isinstance(r, OrderFilled)] == [4]


def test_a_partial_fill_that_uses_the_linked_leg_up_cancels_it() -> None:
    driver = holding(10, rules=MatchRules(fill_quantity_max=Decimal(6)))
    now = minute(1)
    driver.send(order("stop", SELL, 10, stop="99", link="pair", decided_ts_ns=now))
    driver.send(order("target", SELL, 5, limit="101", link="pair", decided_ts_ns=now))
    shown = driver.show(bar(minute(1), (100.0, 100.0, 98.0, 98.5)))
    assert names(shown) == ["OrderFilled stop", "OrderCanceled target"]
    assert driver.venue.has_work(SPY.instrument_id)


def test_a_leg_that_arrives_after_its_sibling_filled_is_refused() -> None:
    driver = holding()
    driver.send(order("stop", SELL, 10, stop="99", link="pair", decided_ts_ns=minute(1)))
    driver.show(bar(minute(1), (100.0, 100.0, 98.0, 98.0)))
    late = driver.send(order("target", SELL, 10, limit="101", link="pair", decided_ts_ns=minute(2)))
    assert names(late) == ["OrderRejected target"]


# Fees, work, identity


def test_fees_are_in_the_report_and_in_the_cash() -> None:
    driver = holding(1000, fees=fee_schedule("robinhood"))
    driver.send(order("out", SELL, 1000, decided_ts_ns=minute(1)))
    (sold,) = driver.show(bar(minute(1), FLAT))
    assert isinstance(sold, OrderFilled)
    assert sold.fee == Decimal("0.97")
    assert driver.venue.cash == Decimal(100_000) - Decimal("0.97")  # type: ignore[attr-defined]


def test_work_is_an_order_on_its_way_or_a_position() -> None:
    venue = venue_of(submit_latency_ns=1)
    assert not venue.has_work(SPY.instrument_id)
    venue.send(order("buy", BUY, 10, decided_ts_ns=minute(0)))
    assert venue.has_work(SPY.instrument_id)
    assert venue.working_client_order_ids() == ("buy",)
    venue.observe_open(bar(minute(1), FLAT))
    assert venue.working_client_order_ids() == ()
    assert venue.position(SPY.instrument_id) == 10
    assert venue.has_work(SPY.instrument_id)


def test_a_refusal_is_told_again() -> None:
    driver = driver_of()
    sell = order("short", SELL, 1, decided_ts_ns=minute(0))
    assert driver.send(sell) == driver.send(sell) == driver.send(query("short", decided_ts_ns=minute(0)))


def test_an_id_asked_for_too_early_may_still_come() -> None:
    driver = driver_of()
    assert reasons(driver.send(query("buy", decided_ts_ns=minute(0)))) == ["unknown order"]
    assert names(driver.send(order("buy", BUY, 1, decided_ts_ns=minute(0)))) == ["OrderAcknowledged buy"]


def test_a_cancel_of_an_unknown_order_is_refused() -> None:
    assert reasons(driver_of().send(cancel("ghost", decided_ts_ns=minute(0)))) == ["unknown order"]


def test_an_instrument_that_was_not_given_is_a_bug() -> None:
    stray = replace(order("buy", BUY, 1, decided_ts_ns=minute(0)), instrument_id=InstrumentId(9))
    with pytest.raises(Bug, match="was not given the instrument 9"):
        venue_of().send(stray)


def test_an_order_long_before_the_seen_market_is_refused_aloud() -> None:
    driver = holding()
    driver.show(bar(NEXT_OPEN, FLAT))
    with pytest.raises(BadInput, match="replay later data or use a new book"):
        driver.send(order("old", BUY, 1, decided_ts_ns=minute(-60)))


@pytest.mark.parametrize(
    "settings", [{"submit_latency_ns": -1}, {"cancel_latency_ns": -1}, {"opening_cash": Decimal(-1)}]
)
def test_settings_without_a_meaning_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="is negative"):
        venue_of(**settings)


# A venue that does not link, with Robinhood's collar

FIVE_PERCENT = Decimal("0.05")


def test_without_links_a_fill_leaves_the_other_orders_alone() -> None:
    driver = holding(10, exit_style=ExitStyle.REST_STOP)
    driver.send(order("stop", SELL, 6, stop="99", link="pair", decided_ts_ns=minute(1)))
    driver.send(order("target", SELL, 4, limit="101", link="pair", decided_ts_ns=minute(1)))
    reports = driver.show(bar(minute(1), (100.0, 102.0, 100.0, 101.5)))
    assert names(reports) == ["OrderFilled target"]
    assert driver.venue.working_client_order_ids() == ("stop",)  # type: ignore[attr-defined]


def test_without_links_a_market_order_is_good_for_the_day_only() -> None:
    for style, refused in ((ExitStyle.REST_STOP, ["Invalid Good Til Canceled order"]), (ExitStyle.BOTH_LEGS, [""])):
        driver = driver_of(exit_style=style)
        for_the_day = order("buy", BUY, 1, decided_ts_ns=minute(0))
        lasting = replace(for_the_day, client_order_id="gtc", time_in_force=TimeInForce.GOOD_TILL_CANCELED)  # type: ignore[arg-type]
        assert reasons(driver.send(lasting)) == refused
        assert reasons(driver.send(for_the_day)) == [""]


def test_a_market_buy_pays_no_more_than_its_collar() -> None:
    driver = holding(1, market_buy_collar=FIVE_PERCENT)
    driver.send(order("more", BUY, 10, decided_ts_ns=minute(1)))
    assert driver.show(bar(minute(1), (105.01, 105.5, 104.0, 105.0))) == []
    assert fills(driver.show(bar(minute(2), (105.0, 106.0, 104.0, 105.0)))) == [("more", "105.0")]


def test_a_collar_bounds_the_slipped_price_and_leaves_market_sells_alone() -> None:
    rules = MatchRules(slippage_bps=Decimal(100))
    driver = holding(10, market_buy_collar=FIVE_PERCENT, rules=rules)
    driver.send(order("more", BUY, 1, decided_ts_ns=minute(1)))
    driver.send(order("less", SELL, 1, decided_ts_ns=minute(1)))
    assert fills(driver.show(bar(minute(1), (104.0, 104.0, 90.0, 90.0)))) == [("less", "102.96")]
    assert fills(driver.show(bar(minute(2), (50.0, 50.0, 50.0, 50.0)))) == [("more", "50.50")]


def test_a_collared_buy_holds_the_most_that_it_may_pay() -> None:
    driver = holding(1, opening_cash=Decimal(1_100), market_buy_collar=FIVE_PERCENT)
    assert reasons(driver.send(order("ten", BUY, 10, decided_ts_ns=minute(1)))) == ["Not enough buying power"]
    assert reasons(driver.send(order("nine", BUY, 9, decided_ts_ns=minute(1)))) == [""]


@pytest.mark.parametrize("collar", ["0", "1", "-0.05"])
def test_a_collar_is_a_fraction(collar: str) -> None:
    with pytest.raises(BadInput, match=f"The collar {collar} of market buys"):
        venue_of(market_buy_collar=Decimal(collar))
