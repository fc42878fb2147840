"""Each check of the gate at its bound, on both sides."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.messages import Draft, OrderRequest, TradingState
from engine.core.risk.checks import BINDING_EXITS, CHECKS, verdicts
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import Limits, MessageLimits
from engine.core.risk.sources import ROBINHOOD
from engine.core.values import (
    MINUTE_NS,
    SECOND_NS,
    AccountKind,
    InstrumentId,
    Leg,
    OrderType,
    Side,
    StrategyId,
)
from engine.testing.gate import (
    CALM,
    ENTRY,
    EXIT,
    LEAVING,
    LIMIT,
    LIMITS,
    NOW,
    SPY,
    STOP,
    check,
    decide,
    group,
    health,
    messages,
    quote,
    status,
)

NUMBERS = list(range(1, 28))
NAN = Decimal("NaN")


def test_a_calm_entry_and_a_calm_exit_pass_every_check() -> None:
    for situation in (CALM, replace(CALM, request=LIMIT), LEAVING):
        approved, decision = decide(situation)
        assert decision.approved
        assert decision.reason == ""
        assert all(result.passed and not result.reason for result in decision.checks)
        assert approved is not None
        assert (approved.request, approved.decision_id) == (situation.request, decision.decision_id)


D = Decimal


def entry(**changes: object) -> dict[str, object]:
    return {"request": replace(ENTRY, **changes)}  # type: ignore[arg-type]  # each case names fields of the request


def limit(price: str | None) -> dict[str, object]:
    return {"request": replace(LIMIT, limit_price=None if price is None else D(price))}


ONLY_SPY = Limits(allowed_symbols=frozenset({"SPY"}))
NOT_GME = Limits(blocked_symbols=frozenset({"GME"}))
EXTENDED = Limits(extended_hours_entries=True)
NEXT_OPEN = Limits(next_open_entries=True)
FEW = Limits(messages=MessageLimits(per_second=20, per_minute=30, per_session=40, reserve=10))


CASH = {"account_kind": AccountKind.CASH}
SMALL = Limits(max_order_quantity=D(100), max_order_notional=D(10_000))

#: Number, what passes, what is refused just beyond it, limits, reason.
BOUNDS: list[tuple[int, dict[str, object], dict[str, object], Limits, str]] = [
    (1, {}, {"trading_state": TradingState.HALTED}, LIMITS, "halted"),
    (1, {}, {"trading_state": TradingState.REDUCING}, LIMITS, "reducing_only"),
    (3, {}, {"instrument": replace(SPY, symbol="QQQ")}, ONLY_SPY, "instrument_not_allowed"),
    (3, {}, {"instrument": replace(SPY, symbol="GME")}, NOT_GME, "instrument_not_allowed"),
    (2, health(), health(authorised=False), LIMITS, "not_authorised"),
    (2, health(), health(lease_held=False), LIMITS, "lease_lost"),
    (2, health(), health(authorised=None), LIMITS, "missing_input"),
    (3, status(), status(halted=True), LIMITS, "halt"),
    (3, status(upper="100"), status(upper="99.99"), LIMITS, "outside_price_band"),
    (3, status(lower="100"), status(lower="100.01"), LIMITS, "outside_price_band"),
    (3, status(lower="99"), status(lower="NaN"), LIMITS, "missing_input"),
    (4, {}, {"session": None}, LIMITS, "outside_session"),
    (4, {"session": None, **limit("99.50")}, {"session": None}, EXTENDED, "outside_session"),
    (5, {}, entry(side=Side.SELL), LIMITS, "wrong_side"),
    (5, limit("99.50"), limit(None), LIMITS, "prices_do_not_fit_type"),
    (5, {}, entry(stop_price=D(99)), LIMITS, "prices_do_not_fit_type"),
    (5, limit("99.50"), limit("0"), LIMITS, "price_out_of_range"),
    (5, limit("900000000"), limit("900000000.01"), LIMITS, "price_out_of_range"),
    (5, entry(reference_price=D("1.51")), entry(reference_price=D(0)), LIMITS, "no_reference_price"),
    (5, entry(stop_distance=D("99.99")), entry(stop_distance=D(100)), LIMITS, "stop_below_zero"),
    (5, entry(stop_distance=D("1E-9")), entry(stop_distance=D(0)), LIMITS, "no_stop_distance"),
    (5, {}, entry(stop_distance=None), LIMITS, "no_stop_distance"),
    (5, entry(target_distance=None), entry(target_distance=D(0)), LIMITS, "bad_target_distance"),
    (5, entry(target_distance=D(899_999_900)), entry(target_distance=D(899_999_901)), LIMITS, "bad_target_distance"),
    (6, entry(quantity=D(1)), entry(quantity=D(0)), LIMITS, "quantity_below_lot"),
    (6, entry(quantity=D(2)), entry(quantity=D("1.5")), LIMITS, "not_a_lot_multiple"),
    (6, limit("99.50"), limit("99.505"), LIMITS, "not_a_tick_multiple"),
    (7, entry(quantity=D(100)), entry(quantity=D(101)), SMALL, "order_quantity"),
    (8, entry(quantity=D(100)), entry(quantity=D(101)), SMALL, "order_notional"),
    (9, limit("95"), limit("94.99"), LIMITS, "collar"),
    (9, limit("105"), limit("105.01"), LIMITS, "collar"),
    (9, {"window_price": D("90.91")}, {"window_price": D("90.90")}, LIMITS, "window_collar"),
    (9, {"window_price": D("111.11")}, {"window_price": D("111.12")}, LIMITS, "window_collar"),
    (9, {"window_price": D(100)}, {"window_price": D(0)}, LIMITS, "missing_input"),
    (10, {"previous_close": D(125)}, {"previous_close": D("125.01")}, LIMITS, "price_jump"),
    (10, {"previous_close": D(100)}, {"previous_close": D(0)}, LIMITS, "missing_input"),
    (10, quote(age_ns=5 * SECOND_NS), quote(age_ns=5 * SECOND_NS + 1), LIMITS, "stale_quote"),
    (10, quote(venue_age_ns=5 * SECOND_NS), quote(venue_age_ns=5 * SECOND_NS + 1), LIMITS, "stale_quote"),
    (10, quote(99.99, 100.0), quote(100.0, 100.0), LIMITS, "locked_quote"),
    (10, quote(99.99, 100.0), quote(100.01, 100.0), LIMITS, "crossed_quote"),
    (10, quote(99.5, 100.5), quote(99.49, 100.5), LIMITS, "wide_spread"),
    (10, quote(119.99, 120.01), quote(120.0, 120.02), LIMITS, "price_jump"),
    (10, quote(), quote(bid=float("nan")), LIMITS, "missing_input"),
    (10, health() | quote(), health(), LIMITS, "missing_input"),
    (11, {"cash": D(10_000)}, {"cash": D("9999.99")}, LIMITS, "buying_power"),
    (11, {"reserved": D(90_000)}, {"reserved": D("90000.01")}, LIMITS, "buying_power"),
    (12, {"open_brackets": 4}, {"open_brackets": 5}, LIMITS, "max_positions"),
    (12, {"instrument_exposure": D(15_000)}, {"instrument_exposure": D("15000.01")}, LIMITS, "concentration"),
    (12, group(20_000), group(20_001), LIMITS, "group_exposure"),
    (13, {"gross_exposure": D(90_000)}, {"gross_exposure": D("90000.01")}, LIMITS, "gross_exposure"),
    (13, {"reserved": D(90_000)}, {"reserved": D("90000.01")}, LIMITS, "gross_exposure"),
    (14, {}, {"open_entries": 1}, LIMITS, "open_entries"),
    (14, {"open_orders": 99}, {"open_orders": 100}, LIMITS, "open_orders"),
    (15, messages(second=9), messages(second=10), FEW, "messages_per_second"),
    (15, messages(minute=19), messages(minute=20), FEW, "messages_per_minute"),
    (15, messages(session=29), messages(session=30), FEW, "messages_per_session"),
    (16, {"repeated_entries": 9}, {"repeated_entries": 10}, LIMITS, "repeated_executions"),
    (16, {"tripped": ("drawdown",)}, {"tripped": ("repeated_executions",)}, LIMITS, "repeated_executions"),
    (18, {}, {"crossing_orders": 1}, LIMITS, "self_trade"),
    (17, {"since_same_ns": 60 * SECOND_NS}, {"since_same_ns": 60 * SECOND_NS - 1}, LIMITS, "duplicate_order"),
    (
        19,
        {"exits_with": D(7), "position": D(7)},
        {"exits_with": D(7), "position": D(6)},
        LIMITS,
        "exits_exceed_position",
    ),
    (
        20,
        {"request": EXIT, "bracket_exits_with": D(7), "bracket_entered": D(7)},
        {"request": EXIT, "bracket_exits_with": D(7), "bracket_entered": D(6)},
        LIMITS,
        "exceeds_parent",
    ),
    (21, entry(stop_distance=D("0.01")), entry(stop_distance=D("0.0099")), LIMITS, "stop_too_near"),
    (21, entry(stop_distance=D("99.99")), entry(stop_distance=D(100)), LIMITS, "stop_below_zero"),
    (21, entry(quantity=D(1)), entry(quantity=D("1.5")), LIMITS, "not_whole"),
    (21, {"session": None}, {"session": None, "venue": ROBINHOOD}, LIMITS, "stop_not_taken_now"),
    (21, {}, entry(stop_distance=None), LIMITS, "missing_input"),
    (22, {}, {"unknown_orders": 1}, LIMITS, "unknown_order"),
    (22, health(drifted=(InstrumentId(2),)), health(drifted=(InstrumentId(1),)), LIMITS, "drift"),
    (
        22,
        health(reconciled_ts_ns=NOW - MINUTE_NS),
        health(reconciled_ts_ns=NOW - MINUTE_NS - 1),
        LIMITS,
        "not_reconciled",
    ),
    (22, health(), health(reconciled_ts_ns=None), LIMITS, "missing_input"),
    (23, {}, {"tripped": ("drawdown",)}, LIMITS, "breaker_tripped"),
    (24, CASH | {"settled_cash": D(10_000)}, CASH | {"settled_cash": D("9999.99")}, LIMITS, "unsettled_cash"),
    (24, CASH | {"reserved": D(90_000)}, CASH | {"reserved": D("90000.01")}, LIMITS, "unsettled_cash"),
    (24, CASH | {"good_faith_violations": 2}, CASH | {"good_faith_violations": 3}, LIMITS, "good_faith_violations"),
    (25, health(clock_offset_ns=-SECOND_NS // 2), health(clock_offset_ns=-SECOND_NS // 2 - 1), LIMITS, "clock_offset"),
    (25, health(clock_offset_ns=SECOND_NS // 2), health(clock_offset_ns=SECOND_NS // 2 + 1), LIMITS, "clock_offset"),
    (25, health(), health(clock_offset_ns=None), LIMITS, "missing_input"),
    (
        26,
        health(token_expires_ts_ns=NOW + 30 * MINUTE_NS),
        health(token_expires_ts_ns=NOW + 30 * MINUTE_NS - 1),
        LIMITS,
        "login_expires",
    ),
    (26, health(), health(token_expires_ts_ns=None), LIMITS, "missing_input"),
    (27, health(storage_free_bytes=2**30), health(storage_free_bytes=2**30 - 1), LIMITS, "storage_full"),
    (27, health(), health(storage_writable=False), LIMITS, "storage_not_writable"),
    (27, health(), health(storage_free_bytes=None), LIMITS, "missing_input"),
    (23, {"entries_this_session": 199}, {"entries_this_session": 200}, LIMITS, "entries_per_session"),
    (23, {"equity": D("97000.01")}, {"equity": D(97_000)}, LIMITS, "daily_loss_cap"),
]


@pytest.mark.parametrize(("number", "within", "beyond", "limits", "reason"), BOUNDS)
def test_a_check_passes_at_its_bound_and_refuses_beyond_it(
    number: int, within: dict[str, object], beyond: dict[str, object], limits: Limits, reason: str
) -> None:
    assert check(number, replace(CALM, **within), limits).passed  # type: ignore[arg-type]  # named fields
    refused = replace(CALM, **beyond)  # type: ignore[arg-type]  # same
    result = check(number, refused, limits)
    assert (result.passed, result.reason) == (False, reason)
    approved, decision = decide(refused, limits)
    assert approved is None
    assert not decision.approved
    assert decision.reason in {other.reason for other in decision.checks if not other.passed}


def test_every_check_has_a_refusal_above() -> None:
    assert {number for number, *_ in BOUNDS} == set(NUMBERS)


@pytest.mark.parametrize("request_", [STOP, replace(STOP, leg=Leg.TARGET), EXIT], ids=["stop", "target", "exit"])
@pytest.mark.parametrize(
    ("exits_with", "reason"),
    [("100", ""), ("100.00000001", "exits_exceed_position"), ("0", "exits_exceed_position")],
)
def test_an_exit_never_sells_more_than_is_held(request_: OrderRequest, exits_with: str, reason: str) -> None:
    """I-12, at the bound."""
    situation = replace(LEAVING, request=request_, exits_with=Decimal(exits_with))
    assert check(19, situation).reason == reason


@pytest.mark.parametrize("request_", [STOP, EXIT], ids=lambda request: str(request.order_type))
def test_an_exit_is_answered_as_each_check_would_answer_it(request_: OrderRequest) -> None:
    """Only the checks that bind exits are run for them; what the others say is known before."""
    situation = replace(LEAVING, request=request_)
    assert verdicts(situation, LIMITS) == tuple(each(situation, LIMITS) for each in CHECKS)
    says = {each(situation, LIMITS).number: each(situation, LIMITS).value for each in CHECKS}
    assert {number for number, value in says.items() if value != "does not apply to exits"} == BINDING_EXITS


def test_what_holds_up_entries_never_holds_up_an_exit() -> None:
    """The worst of days: everything that refuses an entry is true, and the exit passes."""
    worst = replace(
        LEAVING,
        trading_state=TradingState.HALTED,
        session=None,
        equity=Decimal(-5),
        cash=Decimal(-5),
        reserved=Decimal(10**9),
        instrument_exposure=Decimal(10**9),
        gross_exposure=Decimal(10**9),
        open_brackets=10**6,
        open_entries=10**6,
        open_orders=10**6,
        entries_this_session=10**6,
        since_same_ns=0,
        tripped=("drawdown", "repeated_executions"),
        unknown_orders=3,
        crossing_orders=3,
        repeated_entries=10**6,
        settled_cash=Decimal(-5),
        account_kind=AccountKind.CASH,
        **messages(10**6, 10**6, 10**6),
        **status(halted=True),
        **quote(bid=float("nan")),
        **health(authorised=False, drifted=(InstrumentId(1),), storage_writable=False),
    )
    strictest = Limits(
        max_order_quantity=Decimal(1),
        max_order_notional=Decimal(1),
        blocked_symbols=frozenset({"SPY"}),
        max_positions=1,
    )
    for request in (
        STOP,
        replace(STOP, leg=Leg.TARGET, order_type=OrderType.LIMIT, limit_price=Decimal(103), stop_price=None),
        EXIT,
    ):
        approved, decision = decide(replace(worst, request=request), strictest)
        assert approved is not None
        assert decision.approved


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
@pytest.mark.parametrize("field", ["quantity", "reference_price", "stop_distance", "target_distance", "limit_price"])
def test_an_input_that_is_no_number_refuses(field: str, number: Decimal) -> None:
    """I-26: missing input denies; no comparison with NaN escapes as an error."""
    situation = replace(CALM, request=replace(LIMIT, **{field: number}))  # type: ignore[arg-type]  # a named field
    approved, decision = decide(situation)
    assert approved is None
    assert decision.reason
    assert [result.number for result in decision.checks] == NUMBERS


@pytest.mark.parametrize("leg", [STOP, EXIT])
def test_an_exit_without_a_number_refuses(leg: OrderRequest) -> None:
    situation = replace(LEAVING, request=replace(leg, quantity=NAN), exits_with=NAN)
    _, decision = decide(replace(situation, exits_with=Decimal(0)))
    assert decision.reason == "quantity_below_lot"
    _, decision = decide(situation)
    assert not decision.approved


@given(
    leg=st.sampled_from([ENTRY, LIMIT, STOP, EXIT]),
    state=st.sampled_from(list(TradingState)),
    amounts=st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=8, max_size=8),
    counts=st.lists(st.integers(0, 300), min_size=4, max_size=4),
)
def test_a_decision_lists_every_check_once_and_says_why(
    leg: OrderRequest, state: TradingState, amounts: list[Decimal], counts: list[int]
) -> None:
    names = ["equity", "cash", "reserved", "session_start_equity", "position", "instrument_exposure", "gross_exposure"]
    situation = replace(
        CALM,
        request=leg,
        trading_state=state,
        exits_with=amounts[7],
        **dict(zip(names, amounts, strict=False)),  # type: ignore[arg-type]  # named fields
        open_brackets=counts[0],
        open_entries=counts[1],
        open_orders=counts[2],
        entries_this_session=counts[3],
    )
    approved, decision = decide(situation)
    assert [result.number for result in decision.checks] == NUMBERS
    assert len({result.name for result in decision.checks}) == len(CHECKS)
    assert all(result.passed is (result.reason == "") for result in decision.checks)
    refusals = [result.reason for result in decision.checks if not result.passed]
    assert decision.reason == (refusals[0] if refusals else "")
    assert decision.approved is (not refusals) is (approved is not None)


def test_the_same_entry_is_remembered_and_a_different_one_is_not_it() -> None:
    gate, draft = RiskGate(LIMITS), Draft(1_000)
    assert gate.throttles.since_same_ns(ENTRY, 1_000) is None
    assert gate.decide(CALM, draft) is not None
    assert gate.throttles.since_same_ns(ENTRY, 1_500) == 500
    for other in (
        replace(ENTRY, quantity=Decimal(99)),
        replace(ENTRY, instrument_id=InstrumentId(2)),
        replace(ENTRY, strategy_id=StrategyId("other")),
        LIMIT,
    ):
        assert gate.throttles.since_same_ns(other, 1_500) is None


def test_a_refused_entry_and_an_exit_are_not_remembered() -> None:
    gate, draft = RiskGate(LIMITS), Draft(1_000)
    assert gate.decide(replace(CALM, trading_state=TradingState.HALTED), draft) is None
    assert gate.decide(LEAVING, draft) is not None
    assert gate.throttles.since_same_ns(ENTRY, 1_500) is None
    assert gate.throttles.since_same_ns(EXIT, 1_500) is None
