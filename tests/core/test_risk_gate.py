"""Each check of the gate at its bound, on both sides; and sizing against fractions."""

import math
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.messages import Approved, CheckResult, DecisionMade, Draft, OrderRequest, TradingState
from engine.core.risk.checks import CHECKS, Situation
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import Limits
from engine.core.values import (
    SECOND_NS,
    InstrumentId,
    Leg,
    OrderType,
    Session,
    Side,
    StrategyId,
    TimeInForce,
    instrument_from_symbol,
)

SPY = instrument_from_symbol("SPY", 1)
BTC = instrument_from_symbol("BTC-USD", 2)
NUMBERS = [1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 19, 23]
NAN = Decimal("NaN")

ENTRY = OrderRequest(
    strategy_id=StrategyId("owner"),
    instrument_id=InstrumentId(1),
    symbol="SPY",
    leg=Leg.ENTRY,
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal(100),
    limit_price=None,
    stop_price=None,
    time_in_force=TimeInForce.DAY,
    reference_price=Decimal(100),
    stop_distance=Decimal("1.5"),
    target_distance=Decimal(3),
)
LIMIT = replace(ENTRY, order_type=OrderType.LIMIT, limit_price=Decimal("99.50"))
STOP = replace(
    ENTRY,
    leg=Leg.STOP,
    side=Side.SELL,
    order_type=OrderType.STOP,
    stop_price=Decimal("98.50"),
    stop_distance=None,
    target_distance=None,
    bracket_id=1,
    pair=1,
)
EXIT = replace(STOP, leg=Leg.EXIT, order_type=OrderType.MARKET, stop_price=None, pair=0)

CALM = Situation(
    request=ENTRY,
    instrument=SPY,
    trading_state=TradingState.ACTIVE,
    session=Session(date="2024-03-26", open_ts_ns=0, close_ts_ns=10**18),
    equity=Decimal(100_000),
    cash=Decimal(100_000),
    reserved=Decimal(0),
    session_start_equity=Decimal(100_000),
    position=Decimal(0),
    instrument_exposure=Decimal(0),
    gross_exposure=Decimal(0),
    open_brackets=0,
    open_entries=0,
    open_orders=0,
    exits_with=Decimal(0),
    entries_this_session=0,
    since_same_ns=None,
)
LEAVING = replace(CALM, request=EXIT, position=Decimal(100), exits_with=Decimal(100))
LIMITS = Limits()


def decide(situation: Situation, limits: Limits = LIMITS) -> tuple[Approved[OrderRequest] | None, DecisionMade]:
    draft = Draft(1)
    approved = RiskGate(limits).decide(situation, draft)
    (decision,) = draft.facts
    assert isinstance(decision, DecisionMade)
    return approved, decision


def check(number: int, situation: Situation, limits: Limits = LIMITS) -> CheckResult:
    (result,) = (result for result in decide(situation, limits)[1].checks if result.number == number)
    return result


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
SMALL = Limits(max_order_quantity=D(100), max_order_notional=D(10_000))

#: Number, what passes, what is refused just beyond it, limits, reason.
BOUNDS: list[tuple[int, dict[str, object], dict[str, object], Limits, str]] = [
    (1, {}, {"trading_state": TradingState.HALTED}, LIMITS, "halted"),
    (1, {}, {"trading_state": TradingState.REDUCING}, LIMITS, "reducing_only"),
    (3, {}, {"instrument": replace(SPY, symbol="QQQ")}, ONLY_SPY, "instrument_not_allowed"),
    (3, {}, {"instrument": replace(SPY, symbol="GME")}, NOT_GME, "instrument_not_allowed"),
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
    (11, {"cash": D(10_000)}, {"cash": D("9999.99")}, LIMITS, "buying_power"),
    (11, {"reserved": D(90_000)}, {"reserved": D("90000.01")}, LIMITS, "buying_power"),
    (12, {"open_brackets": 4}, {"open_brackets": 5}, LIMITS, "max_positions"),
    (12, {"instrument_exposure": D(15_000)}, {"instrument_exposure": D("15000.01")}, LIMITS, "concentration"),
    (13, {"gross_exposure": D(90_000)}, {"gross_exposure": D("90000.01")}, LIMITS, "gross_exposure"),
    (13, {"reserved": D(90_000)}, {"reserved": D("90000.01")}, LIMITS, "gross_exposure"),
    (14, {}, {"open_entries": 1}, LIMITS, "open_entries"),
    (14, {"open_orders": 99}, {"open_orders": 100}, LIMITS, "open_orders"),
    (17, {"since_same_ns": 60 * SECOND_NS}, {"since_same_ns": 60 * SECOND_NS - 1}, LIMITS, "duplicate_order"),
    (
        19,
        {"exits_with": D(7), "position": D(7)},
        {"exits_with": D(7), "position": D(6)},
        LIMITS,
        "exits_exceed_position",
    ),
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
    assert gate.since_same_ns(ENTRY, 1_000) is None
    assert gate.decide(CALM, draft) is not None
    assert gate.since_same_ns(ENTRY, 1_500) == 500
    for other in (
        replace(ENTRY, quantity=Decimal(99)),
        replace(ENTRY, instrument_id=InstrumentId(2)),
        replace(ENTRY, strategy_id=StrategyId("other")),
        LIMIT,
    ):
        assert gate.since_same_ns(other, 1_500) is None


def test_a_refused_entry_and_an_exit_are_not_remembered() -> None:
    gate, draft = RiskGate(LIMITS), Draft(1_000)
    assert gate.decide(replace(CALM, trading_state=TradingState.HALTED), draft) is None
    assert gate.decide(LEAVING, draft) is not None
    assert gate.since_same_ns(ENTRY, 1_500) is None
    assert gate.since_same_ns(EXIT, 1_500) is None


# --- sizing --------------------------------------------------------------------------------------------


def sized(request: OrderRequest, equity: Decimal, limits: Limits = LIMITS) -> Decimal:
    instrument = SPY if request.symbol == "SPY" else BTC
    return RiskGate(limits).size(request, instrument, equity).quantity


@given(
    equity=st.decimals("0.01", 10**9, places=8),
    price=st.decimals("0.0001", 10**6, places=10),
    distance=st.floats(1e-9, 1e6),
    risk=st.decimals("0.0001", 1, places=6),
    fraction=st.decimals("0.0001", 1, places=6),
    symbol=st.sampled_from(["SPY", "BTC-USD"]),
)
def test_size_is_the_floor_of_the_smaller_of_both(
    equity: Decimal, price: Decimal, distance: float, risk: Decimal, fraction: Decimal, symbol: str
) -> None:
    """floor(min(risk x equity / distance, notional x equity / price) / lot) x lot, in fractions, without rounding."""
    request = replace(ENTRY, symbol=symbol, reference_price=price, stop_distance=Decimal(repr(distance)))
    limits = Limits(risk_fraction=risk, max_notional_fraction=fraction)
    lot = Fraction(SPY.lot if symbol == "SPY" else BTC.lot)
    by_risk = Fraction(risk) * Fraction(equity) / Fraction(Decimal(repr(distance)))
    by_notional = Fraction(fraction) * Fraction(equity) / Fraction(price)
    expected = math.floor(min(by_risk, by_notional) / lot) * lot
    assert Fraction(sized(request, equity, limits)) == expected


def test_a_size_that_is_just_below_a_lot_is_not_rounded_up() -> None:
    """28 digits, the usual precision, would make 1.00000000 of 0.99999999 and many nines more."""
    request = replace(ENTRY, symbol="BTC-USD", reference_price=Decimal("3E-9"), stop_distance=Decimal("3E-20"))
    limits = Limits(risk_fraction=Decimal(1), max_notional_fraction=Decimal(1))
    equity = Decimal(f"2.{'9' * 31}E-9")
    assert sized(request, equity, limits) == Decimal("0.99999999")


def test_the_precision_that_somebody_else_set_changes_no_size() -> None:
    request = replace(ENTRY, reference_price=Decimal("33.33"), stop_distance=Decimal("0.0123"))
    expected = sized(request, Decimal("123456.78"))
    with localcontext() as context:
        context.prec = 3
        assert sized(request, Decimal("123456.78")) == expected


@pytest.mark.parametrize(
    "request_",
    [
        replace(ENTRY, stop_distance=None),
        replace(ENTRY, stop_distance=Decimal(0)),
        replace(ENTRY, stop_distance=Decimal(-1)),
        replace(ENTRY, stop_distance=NAN),
        replace(ENTRY, reference_price=Decimal(0)),
        replace(ENTRY, reference_price=NAN),
    ],
)
def test_a_missing_input_sizes_to_nothing(request_: OrderRequest) -> None:
    assert sized(request_, Decimal(100_000)) == 0


@pytest.mark.parametrize("equity", ["0", "-1", "NaN"])
def test_no_equity_sizes_to_nothing(equity: str) -> None:
    assert sized(ENTRY, Decimal(equity)) == 0


def test_exits_are_never_resized() -> None:
    assert RiskGate(LIMITS).size(EXIT, SPY, Decimal(1)) is EXIT


def test_the_situation_has_no_default() -> None:
    """A field that somebody forgets to fill must not read as harmless."""
    assert all(field.default is field.default_factory for field in fields(Situation))
