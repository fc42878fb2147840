"""The pre-trade checks: one small named function each, numbered as in `docs/risk.md`.

A check looks at a `Situation` and answers with a `CheckResult`. Missing or non-finite input refuses. Protective
and reducing orders are never held up by throttles on entries: those checks answer "does not apply" for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.core.messages import CheckResult, OrderRequest, TradingState, is_time, plan_defect
from engine.core.messages.quick import quick_init
from engine.core.risk.limits import Limits
from engine.core.values import Instrument, Leg, OrderType, Session, Side, notional, worst_price


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Hold everything that a decision is made from, at one moment."""

    request: OrderRequest
    instrument: Instrument
    trading_state: TradingState
    #: The session at the decision; None between sessions.
    session: Session | None
    #: Account currency.
    equity: Decimal
    cash: Decimal
    #: What open entries may still cost.
    reserved: Decimal
    session_start_equity: Decimal
    #: Of the strategy in the instrument, in shares or coins.
    position: Decimal
    #: Value at last close, of the instrument and of everything.
    instrument_exposure: Decimal
    gross_exposure: Decimal
    #: Positions and working entries of the account, this one not counted.
    open_brackets: int
    open_entries: int
    open_orders: int
    #: What working and unknown exits could sell, with this request where it is an exit.
    exits_with: Decimal
    entries_this_session: int
    #: Since the same entry was last approved, ns; None if never.
    since_same_ns: int | None


Check = Callable[[Situation, Limits], CheckResult]

#: The largest price and quantity that a request may hold; both columns are wider.
_NUMBER_MAX: Final = Decimal(900_000_000)

_NAMES: Final[dict[int, str]] = {
    1: "trading_state",
    3: "tradable_instrument",
    4: "session",
    5: "order_validity",
    6: "tick_and_lot",
    7: "max_order_quantity",
    8: "max_order_notional",
    9: "price_collar",
    11: "buying_power",
    12: "max_position",
    13: "gross_exposure",
    14: "open_orders",
    17: "duplicate_order",
    19: "exit_quantity",
    23: "daily_loss_cap",
}


def _passed(number: int, value: Decimal | int | str = "-", limit: Decimal | int | str = "-") -> CheckResult:
    return CheckResult(number=number, name=_NAMES[number], passed=True, value=value, limit=limit)


def _result(
    number: int, *, passed: bool, value: Decimal | int | str, limit: Decimal | int | str, reason: str
) -> CheckResult:
    return CheckResult(
        number=number, name=_NAMES[number], passed=passed, value=value, limit=limit, reason="" if passed else reason
    )


def _missing(number: int) -> CheckResult:
    return _result(number, passed=False, value="price x quantity", limit="a finite number", reason="missing_input")


def _cost(request: OrderRequest) -> Decimal | None:
    # None where an input is not a number: a comparison with NaN is an error, and must become a refusal.
    price, quantity = worst_price(request.reference_price, request.limit_price), request.quantity
    return notional(price, quantity) if price.is_finite() and quantity.is_finite() else None


def _is_multiple(number: Decimal, unit: Decimal) -> bool:
    return number.is_finite() and abs(number) <= _NUMBER_MAX and number % unit == 0


def _is_price(number: Decimal) -> bool:
    return number.is_finite() and 0 < number <= _NUMBER_MAX


_NOT_FOR_EXITS: Final = {number: _passed(number, "does not apply to exits") for number in _NAMES}


def trading_state(situation: Situation, limits: Limits) -> CheckResult:
    """Check 1: entries only while ACTIVE; exits always, since they reduce risk."""
    del limits
    state = situation.trading_state
    if situation.request.leg is not Leg.ENTRY:
        return _passed(1, state.value, "exits pass")
    reason = "halted" if state is TradingState.HALTED else "reducing_only"
    return _result(1, passed=state is TradingState.ACTIVE, value=state.value, limit="ACTIVE", reason=reason)


def tradable_instrument(situation: Situation, limits: Limits) -> CheckResult:
    """Check 3: the symbol is on the allow-list and not on the block-list."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[3]
    symbol = situation.instrument.symbol
    allowed = (not limits.allowed_symbols or symbol in limits.allowed_symbols) and symbol not in limits.blocked_symbols
    return _result(3, passed=allowed, value=symbol, limit="allowed_symbols", reason="instrument_not_allowed")


def session(situation: Situation, limits: Limits) -> CheckResult:
    """Check 4: entries in regular hours, unless limits may go to extended hours or entries wait for the next open."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[4]
    if situation.session is not None:
        return _passed(4, situation.session.date, "regular hours")
    is_limit = situation.request.order_type is OrderType.LIMIT
    allowed = limits.next_open_entries or (limits.extended_hours_entries and is_limit)
    return _result(4, passed=allowed, value="between sessions", limit="regular hours", reason="outside_session")


def order_validity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 5: side, prices and their relations; every entry buys and has a stop distance below its price."""
    del limits
    reason = _invalidity(situation.request)
    return _result(5, passed=not reason, value=reason or "valid", limit="valid", reason=reason)


def _invalidity(request: OrderRequest) -> str:
    if request.side is not (Side.BUY if request.leg is Leg.ENTRY else Side.SELL):
        return "wrong_side"
    needs_limit = request.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    needs_stop = request.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    if (request.limit_price is not None) is not needs_limit or (request.stop_price is not None) is not needs_stop:
        return "prices_do_not_fit_type"
    if not all(_is_price(price) for price in (request.limit_price, request.stop_price) if price is not None):
        return "price_out_of_range"
    if request.leg is not Leg.ENTRY:
        return ""
    return _invalid_entry(request)


def _invalid_entry(request: OrderRequest) -> str:
    if not request.reference_price.is_finite() or request.reference_price <= 0:
        return "no_reference_price"
    stop, target = request.stop_distance, request.target_distance
    if stop is None or not stop.is_finite() or stop <= 0:
        return "no_stop_distance"
    if stop >= request.reference_price:
        return "stop_below_zero"
    if target is not None and not (_is_price(target) and _is_price(request.reference_price + target)):
        return "bad_target_distance"
    if not is_time(request.expires_after_ns):
        return "bad_expiry"
    if not (request.size_factor.is_finite() and 0 < request.size_factor <= 1):
        return "bad_fraction"
    return "" if request.plan is None else plan_defect(request.plan)


def tick_and_lot(situation: Situation, limits: Limits) -> CheckResult:
    """Check 6: prices on the tick, quantity a positive multiple of the lot (SEC rule 612; whole shares)."""
    del limits
    request, instrument = situation.request, situation.instrument
    quantity = request.quantity
    if not quantity.is_finite() or quantity <= 0:
        return _result(6, passed=False, value=quantity, limit=instrument.lot, reason="quantity_below_lot")
    if not _is_multiple(quantity, instrument.lot):
        return _result(6, passed=False, value=quantity, limit=instrument.lot, reason="not_a_lot_multiple")
    for price in (request.limit_price, request.stop_price):
        if price is not None and not (price.is_finite() and _is_multiple(price, instrument.tick(price))):
            return _result(6, passed=False, value=price, limit="a tick multiple", reason="not_a_tick_multiple")
    return _passed(6, request.quantity, instrument.lot)


def max_order_quantity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 7: the fat finger, in shares or coins."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[7]
    quantity = situation.request.quantity
    bound = limits.max_order_quantity
    return _result(
        7, passed=quantity.is_finite() and quantity <= bound, value=quantity, limit=bound, reason="order_quantity"
    )


def max_order_notional(situation: Situation, limits: Limits) -> CheckResult:
    """Check 8: the value of one order, at the last price or its limit, whichever is higher."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[8]
    value = _cost(situation.request)
    if value is None:
        return _missing(8)
    bound = limits.max_order_notional
    return _result(8, passed=value <= bound, value=value, limit=bound, reason="order_notional")


def price_collar(situation: Situation, limits: Limits) -> CheckResult:
    """Check 9: an entry's limit price near the last price."""
    request = situation.request
    if request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[9]
    if request.limit_price is None:
        return _passed(9, "market order", limits.price_collar)
    if not (request.limit_price.is_finite() and request.reference_price.is_finite() and request.reference_price > 0):
        return _missing(9)
    distance = abs(request.limit_price - request.reference_price) / request.reference_price
    return _result(
        9, passed=distance <= limits.price_collar, value=distance, limit=limits.price_collar, reason="collar"
    )


def buying_power(situation: Situation, limits: Limits) -> CheckResult:
    """Check 11: cash less what open and unknown entries may still cost."""
    del limits
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[11]
    cost = _cost(situation.request)
    if cost is None:
        return _missing(11)
    available = situation.cash - situation.reserved
    return _result(11, passed=cost <= available, value=cost, limit=available, reason="buying_power")


def max_position(situation: Situation, limits: Limits) -> CheckResult:
    """Check 12: how many positions there may be, and what one instrument may be worth; never short."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[12]
    if situation.open_brackets >= limits.max_positions:
        return _result(
            12, passed=False, value=situation.open_brackets, limit=limits.max_positions, reason="max_positions"
        )
    cost = _cost(situation.request)
    if cost is None:
        return _missing(12)
    value = situation.instrument_exposure + cost
    bound = limits.max_position_fraction * situation.equity
    return _result(12, passed=value <= bound, value=value, limit=bound, reason="concentration")


def gross_exposure(situation: Situation, limits: Limits) -> CheckResult:
    """Check 13: what everything held and reserved would be worth."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[13]
    cost = _cost(situation.request)
    if cost is None:
        return _missing(13)
    value = situation.gross_exposure + situation.reserved + cost
    bound = limits.max_gross_exposure_fraction * situation.equity
    return _result(13, passed=value <= bound, value=value, limit=bound, reason="gross_exposure")


def open_orders(situation: Situation, limits: Limits) -> CheckResult:
    """Check 14: entries per instrument, and orders of the account."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[14]
    if situation.open_entries >= limits.max_open_entries_per_instrument:
        bound = limits.max_open_entries_per_instrument
        return _result(14, passed=False, value=situation.open_entries, limit=bound, reason="open_entries")
    count, bound = situation.open_orders, limits.max_open_orders
    return _result(14, passed=count < bound, value=count, limit=bound, reason="open_orders")


def duplicate_order(situation: Situation, limits: Limits) -> CheckResult:
    """Check 17: the same entry (strategy, instrument, side, quantity, price) not again within the window."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[17]
    since = situation.since_same_ns
    passed = since is None or since >= limits.duplicate_window_ns
    shown = "never" if since is None else since
    return _result(17, passed=passed, value=shown, limit=limits.duplicate_window_ns, reason="duplicate_order")


def exit_quantity(situation: Situation, limits: Limits) -> CheckResult:
    """Check 19: working and unknown exits with this one never exceed the position; linked legs count once.

    An entry waits until exits that could oversell (a leg that a closed bracket has left over) are gone.
    """
    del limits
    value, bound = situation.exits_with, situation.position
    is_some = situation.request.leg is Leg.ENTRY or (value.is_finite() and value > 0)
    return _result(19, passed=is_some and value <= bound, value=value, limit=bound, reason="exits_exceed_position")


def daily_loss_cap(situation: Situation, limits: Limits) -> CheckResult:
    """Check 23: the loss of the session so far, and the number of entries in it."""
    if situation.request.leg is not Leg.ENTRY:
        return _NOT_FOR_EXITS[23]
    count = situation.entries_this_session
    if count >= limits.max_entries_per_session:
        return _result(
            23, passed=False, value=count, limit=limits.max_entries_per_session, reason="entries_per_session"
        )
    loss = situation.session_start_equity - situation.equity
    bound = limits.daily_loss_cap * situation.session_start_equity
    return _result(23, passed=loss < bound, value=loss, limit=bound, reason="daily_loss_cap")


#: Every check, in the order in which it is listed in a decision.
CHECKS: Final[tuple[Check, ...]] = (
    trading_state,
    tradable_instrument,
    session,
    order_validity,
    tick_and_lot,
    max_order_quantity,
    max_order_notional,
    price_collar,
    buying_power,
    max_position,
    gross_exposure,
    open_orders,
    duplicate_order,
    exit_quantity,
    daily_loss_cap,
)
