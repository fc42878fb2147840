"""A contract that every simulated venue must pass, and a driver that shows it the market as the engine does.

Use: `@pytest.mark.parametrize("check", CONTRACT)`, and `STYLE_CONTRACTS[style]` for the style that the venue does, with
`check(make_venue)`, where `make_venue(cash)` returns a fresh venue without latency, fees or slippage that knows `SPY`
alone. A check raises AssertionError with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    Bar,
    BarClosed,
    CancelOrder,
    CancelRejected,
    Command,
    ListedStatus,
    MarketEvent,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    QueryOrder,
    Quote,
    SubmitOrder,
    Tick,
    VenueReport,
)
from engine.core.values import (
    MINUTE_NS,
    ClientOrderId,
    InstrumentId,
    OrderType,
    SessionKind,
    SessionTable,
    Side,
    TimeInForce,
    instrument_from_symbol,
)
from engine.ports import SimulatedVenue

#: The instrument of the contract.
SPY: Final = instrument_from_symbol("SPY", 1)

#: Open of the contract's first session, 2024-01-02 09:30 in New York, ns UTC.
OPEN_NS: Final = 1_704_205_800_000_000_000
_SESSION_NS: Final = 390 * MINUTE_NS
_DAY_NS: Final = 1_440 * MINUTE_NS

#: Five sessions, of which the third is a half day.
SESSIONS: Final = SessionTable(
    "XNYS",
    dates=("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"),
    opens=tuple(OPEN_NS + day * _DAY_NS for day in (0, 1, 2, 3, 6)),
    closes=tuple(
        OPEN_NS + day * _DAY_NS + (_SESSION_NS - (180 * MINUTE_NS if day == 2 else 0)) for day in (0, 1, 2, 3, 6)
    ),
)

VenueFactory = Callable[[Decimal], SimulatedVenue]
Respond = Callable[[VenueReport], Sequence[Command]]


def minute(number: int) -> int:
    """Return the start of a minute of the contract's first session, counted from 0, ns UTC."""
    return OPEN_NS + number * MINUTE_NS


def bar(start_ts_ns: int, prices: tuple[float, float, float, float], **changes: object) -> BarClosed:
    """Return a finished bar of (open, high, low, close); `changes` go to `Bar`."""
    opening, high, low, close = prices
    values: dict[str, object] = {"instrument_id": SPY.instrument_id, "volume": 100.0, "vwap": close} | changes
    return BarClosed(
        bar=Bar(start_ts_ns=start_ts_ns, open=opening, high=high, low=low, close=close, **values),  # type: ignore[arg-type]
        venue_ts_ns=start_ts_ns + MINUTE_NS,
        received_ts_ns=start_ts_ns + MINUTE_NS,
    )


def extended_bar(start_ts_ns: int, prices: tuple[float, float, float, float]) -> BarClosed:
    """Return a finished bar outside the regular session."""
    return bar(start_ts_ns, prices, session_kind=SessionKind.EXTENDED)


def tick(ts_ns: int, price: float, *, sequence: int | None = None) -> Tick:
    """Return a print of 100 shares."""
    return Tick(
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
        instrument_id=SPY.instrument_id,
        price=price,
        size=100.0,
        sequence=sequence,
    )


def quote(ts_ns: int, bid: float, ask: float) -> Quote:
    """Return a quote of 100 by 100 shares."""
    return Quote(
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
        instrument_id=SPY.instrument_id,
        bid=bid,
        ask=ask,
        bid_size=100.0,
        ask_size=100.0,
    )


def order(
    identity: str,
    side: Side,
    quantity: int | str,
    *,
    decided_ts_ns: int,
    limit: str | None = None,
    stop: str | None = None,
    link: str | None = None,
    day: bool = False,
) -> SubmitOrder:
    """Return a command; the type follows from the prices. A market order is for the day, others too where `day`."""
    kinds = {
        (False, False): OrderType.MARKET,
        (True, False): OrderType.LIMIT,
        (False, True): OrderType.STOP,
        (True, True): OrderType.STOP_LIMIT,
    }
    is_market = limit is None and stop is None
    return SubmitOrder(
        client_order_id=ClientOrderId(identity),
        instrument_id=SPY.instrument_id,
        symbol=SPY.symbol,
        side=side,
        order_type=kinds[limit is not None, stop is not None],
        quantity=Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
        time_in_force=TimeInForce.DAY if day or is_market else TimeInForce.GOOD_TILL_CANCELED,
        decided_ts_ns=decided_ts_ns,
        link=None if link is None else ClientOrderId(link),
    )


def cancel(identity: str, *, decided_ts_ns: int) -> CancelOrder:
    """Return a wish to cancel."""
    return CancelOrder(client_order_id=ClientOrderId(identity), decided_ts_ns=decided_ts_ns)


def query(identity: str, *, decided_ts_ns: int) -> QueryOrder:
    """Return a question about an order."""
    return QueryOrder(client_order_id=ClientOrderId(identity), decided_ts_ns=decided_ts_ns)


def _no_answer(report: VenueReport) -> Sequence[Command]:  # noqa: ARG001 - the signature of an answer
    return ()


@dataclass(slots=True)
class VenueDriver:
    """Show events to a venue in the order in which the engine's loop does, and keep all its reports."""

    venue: SimulatedVenue
    #: What the engine would send in reply to a report.
    respond: Respond = _no_answer
    reports: list[VenueReport] = field(default_factory=list)
    listings: list[AccountListed] = field(default_factory=list)

    def send(self, *commands: Command) -> list[VenueReport]:
        """Send commands, settle, and return the new reports."""
        before = len(self.reports)
        for command in commands:
            self.venue.send(command)
        self.settle()
        return self.reports[before:]

    def show(self, event: MarketEvent, *, instrument_id: InstrumentId = SPY.instrument_id) -> list[VenueReport]:
        """Show an event, if the venue has work, and return the new reports."""
        before = len(self.reports)
        if self.venue.has_work(instrument_id):
            self.venue.observe_open(event)
            while self.settle():
                self.venue.observe_open(event)
            self.venue.observe_rest(event)
            self.settle()
        return self.reports[before:]

    def settle(self) -> bool:
        """Drain, answer and send until nothing comes; return whether anything came."""
        came = False
        while reports := self.venue.drain():
            came = True
            for report in reports:
                if isinstance(report, AccountListed):
                    self.listings.append(report)
                    continue
                self.reports.append(report)
                for command in self.respond(report):
                    self.venue.send(command)
        return came


def _expect(holds: bool, sentence: str, reports: Sequence[VenueReport]) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise AssertionError(f"{sentence} Reports: {list(reports)}")


def _driver_with_position(make_venue: VenueFactory) -> VenueDriver:
    driver = VenueDriver(make_venue(Decimal(100_000)))
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    driver.show(bar(minute(0), (100.0, 101.0, 99.0, 100.0)))
    return driver


def a_market_order_is_acknowledged_and_fills_at_the_next_open(make_venue: VenueFactory) -> None:
    """Check the way of a market order."""
    driver = VenueDriver(make_venue(Decimal(100_000)))
    sent = driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(1)))
    _expect([type(report) for report in sent] == [OrderAcknowledged], "An order is acknowledged.", sent)
    early = driver.show(bar(minute(0), (98.0, 98.0, 98.0, 98.0)))
    _expect(not early, "A bar that starts before the decision fills nothing.", early)
    shown = driver.show(bar(minute(1), (100.25, 101.0, 99.0, 100.0)))
    _expect(
        [(type(r), getattr(r, "price", None), getattr(r, "quantity", None)) for r in shown]
        == [(OrderFilled, Decimal("100.25"), Decimal(10))],
        "A market order fills once, whole, at the next open.",
        shown,
    )


def the_same_id_is_the_same_order(make_venue: VenueFactory) -> None:
    """Check that sending twice is one order and tells the same story."""
    driver = _driver_with_position(make_venue)
    first = {r.execution_id for r in driver.reports if isinstance(r, OrderFilled)}
    again = driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    _expect(
        [type(report) for report in again] == [OrderAcknowledged, OrderFilled],
        "An order that is sent again tells its story again.",
        again,
    )
    _expect({r.execution_id for r in again if isinstance(r, OrderFilled)} == first, "Execution ids stay.", again)
    later = driver.show(bar(minute(1), (100.0, 101.0, 99.0, 100.0)))
    _expect(not later, "An order that is sent again fills no second time.", later)


def a_query_tells_the_story_again(make_venue: VenueFactory) -> None:
    """Check that a query delivers an order's reports, and refuses an unknown id."""
    driver = _driver_with_position(make_venue)
    known = driver.send(query("buy", decided_ts_ns=minute(1)))
    _expect([type(r) for r in known] == [OrderAcknowledged, OrderFilled], "A query tells an order's story.", known)
    unknown = driver.send(query("never-sent", decided_ts_ns=minute(1)))
    _expect([type(r) for r in unknown] == [OrderRejected], "An unknown id is proven absent.", unknown)


def a_cancel_ends_an_order_once(make_venue: VenueFactory) -> None:
    """Check that a cancel precedes the next open, and that a late one is refused."""
    driver = _driver_with_position(make_venue)
    driver.send(order("exit", Side.SELL, 10, limit="100.00", decided_ts_ns=minute(1)))
    driver.send(cancel("exit", decided_ts_ns=minute(1)))
    driver.show(bar(minute(1), (105.0, 106.0, 104.0, 105.0)))
    ends = [r for r in driver.reports if r.client_order_id == "exit" and not isinstance(r, OrderAcknowledged)]
    _expect([type(r) for r in ends] == [OrderCanceled], "A cancel precedes the open that would fill.", ends)
    late = driver.send(cancel("exit", decided_ts_ns=minute(2)))
    _expect([type(r) for r in late] == [CancelRejected], "A cancel of a gone order is refused.", late)
    _expect([getattr(r, "is_known", None) for r in late] == [True], "The refusal says that it was there.", late)
    never = driver.send(cancel("never-sent", decided_ts_ns=minute(2)))
    _expect([getattr(r, "is_known", None) for r in never] == [False], "A cancel of nothing says so.", never)


def a_sale_beyond_the_position_is_refused(make_venue: VenueFactory) -> None:
    """Check that holds count: never short."""
    driver = _driver_with_position(make_venue)
    driver.send(order("stop", Side.SELL, 6, stop="90", decided_ts_ns=minute(1)))
    refused = driver.send(order("more", Side.SELL, 5, limit="110", decided_ts_ns=minute(1)))
    _expect([type(r) for r in refused] == [OrderRejected], "A sale beyond what is left is refused.", refused)


def a_purchase_beyond_the_cash_is_refused(make_venue: VenueFactory) -> None:
    """Check buying power."""
    driver = VenueDriver(make_venue(Decimal(1_000)))
    refused = driver.send(order("buy", Side.BUY, 11, limit="100", decided_ts_ns=minute(0)))
    _expect([type(r) for r in refused] == [OrderRejected], "A purchase beyond the cash is refused.", refused)


def linked_legs_never_both_fill(make_venue: VenueFactory) -> None:
    """Check that legs sent in reply to a fill at the open meet the rest of that bar, the stop first."""

    def protect(report: VenueReport) -> Sequence[Command]:
        if not isinstance(report, OrderFilled) or report.client_order_id != "buy":
            return ()
        now = report.received_ts_ns
        return (
            order("stop", Side.SELL, 10, stop="99.50", link="pair", decided_ts_ns=now),
            order("target", Side.SELL, 10, limit="101.00", link="pair", decided_ts_ns=now),
        )

    driver = VenueDriver(make_venue(Decimal(100_000)), protect)
    driver.send(order("buy", Side.BUY, 10, decided_ts_ns=minute(0)))
    driver.show(bar(minute(0), (100.0, 102.0, 99.0, 100.0)))
    ends = [
        (r.client_order_id, type(r))
        for r in driver.reports
        if isinstance(r, (OrderFilled, OrderCanceled, OrderRejected))
    ]
    expected = [("buy", OrderFilled), ("stop", OrderFilled), ("target", OrderCanceled)]
    _expect(ends == expected, "The stop fills in the bar of its entry and cancels the target.", driver.reports)


def reports_never_go_back_in_time(make_venue: VenueFactory) -> None:
    """Check that `received_ts_ns` never decreases and that drained reports are gone."""
    driver = _driver_with_position(make_venue)
    driver.send(order("out", Side.SELL, 10, decided_ts_ns=minute(1)))
    driver.show(bar(minute(1), (100.0, 101.0, 99.0, 100.0)))
    times = [report.received_ts_ns for report in driver.reports]
    _expect(times == sorted(times), "Times of receipt never decrease.", driver.reports)
    _expect(not driver.venue.drain(), "Drained reports are forgotten.", driver.reports)
    _expect(not driver.venue.has_work(SPY.instrument_id), "A flat venue without orders has no work.", driver.reports)


def a_listing_tells_every_order_and_what_is_held(make_venue: VenueFactory) -> None:
    """Check that a listing comes when it is asked for, whole, with executions, and that asking changes nothing."""
    driver = _driver_with_position(make_venue)
    driver.send(order("rests", Side.SELL, 4, limit="110", decided_ts_ns=minute(1)))
    driver.send(order("canceled", Side.SELL, 4, limit="111", decided_ts_ns=minute(1)))
    driver.send(cancel("canceled", decided_ts_ns=minute(1)))
    driver.send(order("refused", Side.SELL, 7, limit="112", decided_ts_ns=minute(1)))
    driver.show(bar(minute(1), (100.0, 101.0, 99.0, 100.0)))
    _expect(not driver.listings, "A listing that nobody asked for does not come.", driver.reports)
    before = len(driver.reports)
    driver.venue.query_account(minute(2))
    driver.settle()
    _expect(len(driver.reports) == before and len(driver.listings) == 1, "One listing comes.", driver.reports)
    (listing,) = driver.listings
    _expect(
        listing.is_complete and listing.asked_ts_ns == minute(2) and listing.received_ts_ns >= minute(2),
        "It is whole and names the moment of its question.",
        driver.reports,
    )
    stands = {each.client_order_id: (each.status, each.filled_quantity) for each in listing.orders}
    expected = {
        "buy": (ListedStatus.FILLED, Decimal(10)),
        "rests": (ListedStatus.WORKING, Decimal(0)),
        "canceled": (ListedStatus.CANCELED, Decimal(0)),
        "refused": (ListedStatus.REJECTED, Decimal(0)),
    }
    # A broker need not list what it refused.
    _expect(stands | {"refused": expected["refused"]} == expected, f"Every order is listed: {stands}.", driver.reports)
    told = {
        (r.client_order_id, r.execution_id, r.price, r.quantity, r.fee)
        for r in driver.reports
        if isinstance(r, OrderFilled)
    }
    listed = {
        (each.client_order_id, fill.execution_id, fill.price, fill.quantity, fill.fee)
        for each in listing.orders
        for fill in each.executions
    }
    _expect(listed == told, "Executions are listed as they were told.", driver.reports)
    held = [(each.instrument_id, each.symbol, each.quantity) for each in listing.positions]
    _expect(held == [(SPY.instrument_id, SPY.symbol, Decimal(10))], f"What is held is listed: {held}.", driver.reports)


def unlinked_legs_hold_their_shares_each(make_venue: VenueFactory) -> None:
    """Check that a link means nothing to a venue that does not link: the second leg is refused."""
    driver = _driver_with_position(make_venue)
    driver.send(order("stop", Side.SELL, 10, stop="90", link="pair", decided_ts_ns=minute(1)))
    refused = driver.send(order("target", Side.SELL, 10, limit="110", link="pair", decided_ts_ns=minute(1)))
    _expect([type(r) for r in refused] == [OrderRejected], "A second sell of held shares is refused.", refused)
    driver.send(cancel("stop", decided_ts_ns=minute(1)))
    taken = driver.send(order("after", Side.SELL, 10, limit="110", decided_ts_ns=minute(1)))
    _expect([type(r) for r in taken] == [OrderAcknowledged], "A canceled sell frees its shares.", taken)


def a_sell_stop_at_the_market_is_refused(make_venue: VenueFactory) -> None:
    """Check that a stop which the price is at or through is refused, not triggered."""
    driver = _driver_with_position(make_venue)
    for identity, stop in (("at", "100.00"), ("through", "100.01")):
        refused = driver.send(order(identity, Side.SELL, 10, stop=stop, decided_ts_ns=minute(1)))
        _expect([type(r) for r in refused] == [OrderRejected], f"A stop {identity} the market is refused.", refused)


#: What a venue of one exit style must pass beyond the common checks.
STYLE_CONTRACTS: Final[Mapping[ExitStyle, tuple[Callable[[VenueFactory], None], ...]]] = {
    ExitStyle.BOTH_LEGS: (linked_legs_never_both_fill,),
    ExitStyle.REST_STOP: (unlinked_legs_hold_their_shares_each,),
}

#: The checks that every venue must pass.
CONTRACT: Final[tuple[Callable[[VenueFactory], None], ...]] = (
    a_market_order_is_acknowledged_and_fills_at_the_next_open,
    the_same_id_is_the_same_order,
    a_query_tells_the_story_again,
    a_cancel_ends_an_order_once,
    a_sale_beyond_the_position_is_refused,
    a_purchase_beyond_the_cash_is_refused,
    a_sell_stop_at_the_market_is_refused,
    a_listing_tells_every_order_and_what_is_held,
    reports_never_go_back_in_time,
)
