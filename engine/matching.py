"""Order matching as pure functions: working orders and market data in, fills out. These are all the rules.

**Bars.** A bar is matched in two phases, so that an answer to a fill at its open can still meet the rest of it.

1. *Open* (`match_open`): the opening price is the market. Market orders fill at it. A resting stop which it
   satisfies (sell: open <= stop) and a resting limit which it satisfies (sell: open >= limit) fill at it.
2. *Rest* (`match_rest`): the range between the bar's high and low. A sell stop fills where low <= stop, at
   min(open, stop). A sell limit fills at max(open, limit), and only where the price traded *through* it
   (high > limit) or opened at or beyond it; `limit_fills_on_touch` lets high == limit do. Buys mirror this:
   a buy stop at max(open, stop) where high >= stop, a buy limit at min(open, limit) where low < limit.
   Market orders wait for the next open.

Only bars of the regular session match; the venue shows no others. A market order meets the first such bar whose
start is at or after the moment at which the order arrived. An order which arrives inside a bar's minute meets the
worse half of what is left: its stop is held against the whole range, its limit waits for the next bar.

**Stop before target.** Where one phase satisfies several orders, stops come first, then arrival decides. Of
linked orders at most one fills in a phase, so a bar which holds both stop and target is a loss.

**Stop-limit.** It triggers like a stop and is a limit from then on. It fills at its trigger only if the limit
allows the price of the trigger (open phase: the open; rest: the stop's own price or a worse open), at that price.
Otherwise the limit rests, and in a bar's rest phase it waits for the next bar, because nobody knows what the bar
did after the trigger.

**Quotes** (`match_quote`): buys fill at the ask, sells at the bid. A limit fills at the ask or bid that satisfies
it. A stop triggers on quotes (sell: bid <= stop) only for an instrument without prints, and fills at the bid or ask.

**Prints** (`match_tick`): with a standing quote, market orders and triggered stops fill at its ask or bid; without
one, a market order fills at the next print and a stop at the print that triggers it (sell: print <= stop). A limit
fills at the standing ask or bid that satisfies it, else at its own price when a print trades through it.

**Prices.** A fill is at the exact print or at the order's own price, never rounded. Slippage, in basis points, is
adverse, on market and stop fills only, and goes to the tick away from us; zero slippage changes nothing.
A market order with a collar (some venues send a market buy as a limit some percent above the market) fills as a market
order does, but never at a price beyond the collar: it waits for an opening price, quote or print inside it.
Quantities fill whole, unless `fill_quantity_max` caps what one match gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import nan
from typing import Final, NamedTuple

from engine.core.errors import BadInput
from engine.core.messages import Bar, SubmitOrder
from engine.core.values import MINUTE_NS, ZERO, ClientOrderId, Direction, Instrument, OrderType, Side, exact

_BPS: Final = Decimal(10_000)

_MARKET: Final = OrderType.MARKET
_STOP: Final = OrderType.STOP
_STOP_LIMIT: Final = OrderType.STOP_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRules:
    """Hold the settings of the rules.

    Raises BadInput for a negative slippage or a cap that is not above zero.
    """

    #: Adverse, in basis points, on market and stop fills.
    slippage_bps: Decimal = ZERO
    #: Whether a limit fills where a price only touched it.
    limit_fills_on_touch: bool = False
    #: Most that one match gives to an order, in shares or coins; None fills whole orders.
    fill_quantity_max: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        if not ZERO <= self.slippage_bps < _BPS:
            raise BadInput(f"The slippage {self.slippage_bps} bps is outside 0 to 9999: give a small positive number.")
        if self.fill_quantity_max is not None and not self.fill_quantity_max > 0:
            raise BadInput(f"The fill cap {self.fill_quantity_max} is not above zero: leave it out or raise it.")


class WorkingOrder(NamedTuple):
    """Hold what matching needs of a resting order; a change is a new value."""

    client_order_id: ClientOrderId
    is_buy: bool
    order_type: OrderType
    #: Quantity that is still to fill.
    remaining: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    #: The same prices as floats, for comparing with prints; NaN where there is none, which satisfies nothing.
    limit: float
    stop: float
    #: When the order arrived at the venue, ns UTC; it meets no earlier market.
    arrived_ts_ns: int
    link: ClientOrderId | None
    #: True once a stop-limit is a limit.
    triggered: bool = False


class Fill(NamedTuple):
    """Say that an order fills."""

    order: WorkingOrder
    price: Decimal
    quantity: Decimal


class Trigger(NamedTuple):
    """Say that a stop-limit order is a limit order from now on."""

    order: WorkingOrder


Match = Fill | Trigger


def working_order(command: SubmitOrder, arrived_ts_ns: int, *, collar_price: Decimal | None = None) -> WorkingOrder:
    """Return the resting order that a command asks for; `collar_price` bounds what a market order may pay or take."""
    limit_price = command.limit_price if collar_price is None else collar_price
    return WorkingOrder(
        command.client_order_id,
        command.side is Side.BUY,
        command.order_type,
        command.quantity,
        limit_price,
        command.stop_price,
        nan if limit_price is None else float(limit_price),
        nan if command.stop_price is None else float(command.stop_price),
        arrived_ts_ns,
        command.link,
    )


def match_open(orders: Iterable[WorkingOrder], bar: Bar, *, rules: MatchRules, instrument: Instrument) -> list[Match]:
    """Return what the opening price of a regular-session bar decides."""
    price, start = bar.open, bar.start_ts_ns
    matches = []
    for order in orders:
        if order.arrived_ts_ns <= start:
            match = _meet(order, price, trigger=price, rules=rules, instrument=instrument)
            if match is not None:
                matches.append(match)
    return _in_turn(matches) if len(matches) > 1 else matches


def match_rest(orders: Iterable[WorkingOrder], bar: Bar, *, rules: MatchRules, instrument: Instrument) -> list[Match]:
    """Return what the range of a regular-session bar after its open decides."""
    matches = []
    for order in orders:
        match: Match | None = None
        order_type = order.order_type
        if order_type is _STOP or (order_type is _STOP_LIMIT and not order.triggered):
            if order.arrived_ts_ns < bar.start_ts_ns + MINUTE_NS:
                match = _stop_in_range(order, bar, rules=rules, instrument=instrument)
        elif order_type is not _MARKET and order.arrived_ts_ns <= bar.start_ts_ns:
            match = _limit_in_range(order, bar, rules=rules)
        if match is not None:
            matches.append(match)
    return _in_turn(matches) if len(matches) > 1 else matches


def match_quote(
    orders: Iterable[WorkingOrder],
    *,
    bid: float,
    ask: float,
    ts_ns: int,
    stops_trigger: bool,
    rules: MatchRules,
    instrument: Instrument,
) -> list[Match]:
    """Return what a quote decides; stops trigger on it only where the instrument has no prints."""
    matches = []
    for order in orders:
        if order.arrived_ts_ns <= ts_ns:
            at = ask if order.is_buy else bid
            match = _meet(order, at, trigger=at if stops_trigger else nan, rules=rules, instrument=instrument)
            if match is not None:
                matches.append(match)
    return _in_turn(matches) if len(matches) > 1 else matches


def match_tick(
    orders: Iterable[WorkingOrder],
    *,
    price: float,
    standing: tuple[float, float] | None,
    ts_ns: int,
    rules: MatchRules,
    instrument: Instrument,
) -> list[Match]:
    """Return what a print decides; `standing` is the (bid, ask) of the quote in force, None without quotes."""
    matches = []
    for order in orders:
        if order.arrived_ts_ns > ts_ns:
            continue
        match: Match | None
        at = price if standing is None else standing[1] if order.is_buy else standing[0]
        if standing is None and _is_limit(order):
            match = _limit_at_print(order, price, rules)
        else:
            match = _meet(order, at, trigger=price, rules=rules, instrument=instrument)
            if match is None and _is_limit(order):
                match = _limit_at_print(order, price, rules)
        if match is not None:
            matches.append(match)
    return _in_turn(matches) if len(matches) > 1 else matches


def _is_limit(order: WorkingOrder) -> bool:
    if order.limit_price is None or order.order_type is _MARKET:
        return False
    return order.order_type is not _STOP_LIMIT or order.triggered


def _inside_collar(fill: Fill) -> Fill | None:
    order, collar = fill.order, fill.order.limit_price
    if collar is None or (fill.price <= collar if order.is_buy else fill.price >= collar):
        return fill
    return None


# One order against one price at which it could trade now.
def _meet(order: WorkingOrder, at: float, *, trigger: float, rules: MatchRules, instrument: Instrument) -> Match | None:
    order_type = order.order_type
    if order_type is _MARKET:
        return _inside_collar(_slipped(order, exact(at), rules, instrument))
    limit_allows = at <= order.limit if order.is_buy else at >= order.limit
    if _is_limit(order):
        return Fill(order, exact(at), _quantity(order, rules)) if limit_allows else None
    if not (trigger >= order.stop if order.is_buy else trigger <= order.stop):
        return None
    if order_type is _STOP:
        return _slipped(order, exact(at), rules, instrument)
    return Fill(order, exact(at), _quantity(order, rules)) if limit_allows else Trigger(order)


def _stop_in_range(order: WorkingOrder, bar: Bar, *, rules: MatchRules, instrument: Instrument) -> Match | None:
    if not (bar.high >= order.stop if order.is_buy else bar.low <= order.stop):
        return None
    assert order.stop_price is not None
    gapped = bar.open > order.stop if order.is_buy else bar.open < order.stop
    price = exact(bar.open) if gapped else order.stop_price
    if order.order_type is _STOP:
        return _slipped(order, price, rules, instrument)
    assert order.limit_price is not None
    limit_allows = price <= order.limit_price if order.is_buy else price >= order.limit_price
    return Fill(order, price, _quantity(order, rules)) if limit_allows else Trigger(order)


def _limit_in_range(order: WorkingOrder, bar: Bar, *, rules: MatchRules) -> Match | None:
    opened_beyond = bar.open <= order.limit if order.is_buy else bar.open >= order.limit
    if opened_beyond:
        return Fill(order, exact(bar.open), _quantity(order, rules))
    return _limit_at_print(order, bar.low if order.is_buy else bar.high, rules)


# A limit that rests takes the price that was asked for, however far the print went beyond it.
def _limit_at_print(order: WorkingOrder, price: float, rules: MatchRules) -> Match | None:
    through = price < order.limit if order.is_buy else price > order.limit
    if not through and not (rules.limit_fills_on_touch and price == order.limit):
        return None
    assert order.limit_price is not None
    return Fill(order, order.limit_price, _quantity(order, rules))


def _slipped(order: WorkingOrder, price: Decimal, rules: MatchRules, instrument: Instrument) -> Fill:
    if rules.slippage_bps:
        share = rules.slippage_bps / _BPS
        if order.is_buy:
            price = instrument.price(price * (1 + share), Direction.UP)
        else:
            price = instrument.price(price * (1 - share), Direction.DOWN)
    return Fill(order, price, _quantity(order, rules))


def _quantity(order: WorkingOrder, rules: MatchRules) -> Decimal:
    most = rules.fill_quantity_max
    return order.remaining if most is None else min(order.remaining, most)


# Stops first, then arrival (the sort is stable); the first fill of a link takes its siblings out of this phase.
def _in_turn(matches: list[Match]) -> list[Match]:
    matches.sort(key=lambda match: match.order.stop_price is None or match.order.triggered)
    taken: set[ClientOrderId] = set()
    chosen: list[Match] = []
    for match in matches:
        link = match.order.link
        if link is not None:
            if link in taken:
                continue
            if isinstance(match, Fill):
                taken.add(link)
        chosen.append(match)
    return chosen
