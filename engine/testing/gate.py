"""A calm day for the gate: one situation in which every check passes, and ways to spoil it one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from engine.core.messages import (
    Approved,
    CheckResult,
    DecisionMade,
    Draft,
    HealthReported,
    InstrumentStatusChanged,
    OrderRequest,
    QuoteConsulted,
    TradingState,
)
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import Limits
from engine.core.risk.situation import NO_HEALTH, GroupExposure, MessageCounts, Situation
from engine.core.risk.sources import ROBINHOOD, SIMULATED
from engine.core.values import (
    SECOND_NS,
    AccountKind,
    InstrumentId,
    Leg,
    OrderType,
    Session,
    Side,
    StrategyId,
    TimeInForce,
    instrument_from_symbol,
)

SPY: Final = instrument_from_symbol("SPY", 1)
BTC: Final = instrument_from_symbol("BTC-USD", 2)
NOW: Final = 10**18

ENTRY: Final = OrderRequest(
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
LIMIT: Final = replace(ENTRY, order_type=OrderType.LIMIT, limit_price=Decimal("99.50"))
STOP: Final = replace(
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
EXIT: Final = replace(STOP, leg=Leg.EXIT, order_type=OrderType.MARKET, stop_price=None, pair=0)

CALM: Final = Situation(
    request=ENTRY,
    instrument=SPY,
    ts_ns=NOW,
    venue=SIMULATED,
    trading_state=TradingState.ACTIVE,
    tripped=(),
    session=Session(date="2024-03-26", open_ts_ns=0, close_ts_ns=10**18),
    quote=None,
    status=None,
    previous_close=None,
    account_kind=AccountKind.MARGIN,
    settled_cash=Decimal(100_000),
    good_faith_violations=0,
    groups=(),
    unknown_orders=0,
    crossing_orders=0,
    bracket_exits_with=Decimal(0),
    bracket_entered=Decimal(0),
    repeated_entries=0,
    window_price=None,
    messages=MessageCounts(last_second=0, last_minute=0, this_session=0),
    health=NO_HEALTH,
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
LEAVING: Final = replace(
    CALM,
    request=EXIT,
    position=Decimal(100),
    exits_with=Decimal(100),
    bracket_exits_with=Decimal(100),
    bracket_entered=Decimal(100),
)
LIMITS: Final = Limits()


def health(**changes: object) -> dict[str, Any]:
    """Return everything in order at a venue that offers everything, but for some changes."""
    report = HealthReported(
        venue_ts_ns=0,
        received_ts_ns=0,
        authorised=True,
        lease_held=True,
        clock_offset_ns=0,
        token_expires_ts_ns=NOW + 3_600 * SECOND_NS,
        storage_writable=True,
        storage_free_bytes=2**40,
        reconciled_ts_ns=NOW,
    )
    return {"venue": ROBINHOOD, "health": replace(report, **changes)}  # type: ignore[arg-type]  # named fields


def quote(bid: float = 99.99, ask: float = 100.01, *, age_ns: int = 0, venue_age_ns: int = 0) -> dict[str, Any]:
    """Return a quote of so much age, received and at its source, ns."""
    times = {"received_ts_ns": NOW - age_ns, "venue_ts_ns": NOW - venue_age_ns}
    return {"quote": QuoteConsulted(instrument_id=InstrumentId(1), bid=bid, ask=ask, **times)}


def status(*, halted: bool = False, lower: str | None = None, upper: str | None = None) -> dict[str, Any]:
    """Return what the exchange says of the instrument."""
    return {
        "status": InstrumentStatusChanged(
            instrument_id=InstrumentId(1),
            halted=halted,
            reason="LUDP" if halted else "",
            lower_price=None if lower is None else Decimal(lower),
            upper_price=None if upper is None else Decimal(upper),
            ts_ns=0,
        )
    }


def messages(second: int = 0, minute: int = 0, session: int = 0) -> dict[str, Any]:
    """Return how many messages were sent."""
    return {"messages": MessageCounts(last_second=second, last_minute=minute, this_session=session)}


def group(value: int) -> dict[str, Any]:
    """Return a group that is worth so much of 30,000."""
    return {"groups": (GroupExposure(name="index", value=Decimal(value), bound=Decimal(30_000)),)}


def decide(situation: Situation, limits: Limits = LIMITS) -> tuple[Approved[OrderRequest] | None, DecisionMade]:
    """Return what a fresh gate decides."""
    draft = Draft(1)
    approved = RiskGate(limits).decide(situation, draft)
    (decision,) = draft.facts
    assert isinstance(decision, DecisionMade)
    return approved, decision


def check(number: int, situation: Situation, limits: Limits = LIMITS) -> CheckResult:
    """Return what one check answers."""
    (result,) = (result for result in decide(situation, limits)[1].checks if result.number == number)
    return result
