"""A venue that fills as LEAN's equity models do: market orders at the next open, or at the quote of the bar in hand.

It is a model to compare engines by, not to trade by: it has no cash of its own, no spread on daily bars and no size.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    AccountListed,
    Bar,
    BarClosed,
    CancelOrder,
    CancelRejected,
    Command,
    ListedPosition,
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
from engine.core.values import ZERO, ClientOrderId, ExecutionId, Instrument, InstrumentId, OrderType, Side, exact
from engine.venues.listings import listed_order


class PerShareFees:
    """Charge a rate for each share and a minimum for each execution, as `engine.venues.fees.FeeSchedule` asks."""

    name = "per-share"

    def __init__(self, rate: Decimal = Decimal("0.005"), minimum: Decimal = Decimal(1)) -> None:
        self.rate = rate
        self.minimum = minimum

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return the fee of one execution in account currency."""
        return max(self.minimum, self.rate * quantity)


class FillAt(StrEnum):
    """Name where a market order fills."""

    #: At the open of the first bar after the decision.
    NEXT_OPEN = "next_open"
    #: At once: a buy at the last ask of the bar that the decision was made from, a sale at its last bid.
    LAST_QUOTE = "last_quote"


class GoldenVenue:
    """Fill whole orders at one price, as `engine.ports.SimulatedVenue` asks. Stops rest and may never be reached.

    Raises BadInput where a bar reaches a resting stop, or a quote is needed that the bar has not: the model says
    nothing about either.
    """

    #: Either style comes to the same here: there are no targets to link or to watch.
    exit_styles: tuple[ExitStyle, ...] = (ExitStyle.REST_STOP, ExitStyle.BOTH_LEGS)
    is_delayed = False

    def __init__(self, instrument: Instrument, *, fill_at: FillAt, fees: PerShareFees) -> None:
        self._instrument: Final = instrument
        self._fill_at = fill_at
        self._fees = fees
        self._bar: Bar | None = None
        self._waiting: dict[ClientOrderId, SubmitOrder] = {}
        self._resting: dict[ClientOrderId, SubmitOrder] = {}
        self._reports: list[VenueReport | AccountListed] = []
        self._taken: dict[ClientOrderId, SubmitOrder] = {}
        # What was said of each order, for those who ask.
        self._said: dict[ClientOrderId, list[VenueReport]] = {}

    def let_arrive(self, until_ts_ns: int) -> bool:
        """Return False: every command has arrived when it is sent."""
        return False

    def send(self, command: Command) -> None:
        """Accept market orders and stops, cancel what has not filled, and repeat what was said."""
        if isinstance(command, SubmitOrder):
            self._accept(command)
        elif isinstance(command, CancelOrder):
            self._cancel(command)
        else:
            self._answer(command)

    def query_account(self, asked_ts_ns: int) -> None:
        """List every order that was ever taken, with its executions, and what is held; asked at a moment, ns UTC."""
        held = ZERO
        for identity, order in self._taken.items():
            sign = 1 if order.side is Side.BUY else -1
            fills = (report for report in self._said[identity] if isinstance(report, OrderFilled))
            held += sum((sign * report.quantity for report in fills), ZERO)
        position = ListedPosition(
            instrument_id=self._instrument.instrument_id, symbol=self._instrument.symbol, quantity=held
        )
        orders = [
            listed_order(
                order,
                self._said[identity],
                venue_order_id=f"golden-{number}",
                instrument_id=order.instrument_id,
                created_ts_ns=order.decided_ts_ns,
                is_open=identity in self._waiting or identity in self._resting,
            )
            for number, (identity, order) in enumerate(self._taken.items(), start=1)
        ]
        self._reports.append(
            AccountListed(
                venue_ts_ns=asked_ts_ns,
                received_ts_ns=asked_ts_ns,
                asked_ts_ns=asked_ts_ns,
                orders=tuple(orders),
                positions=(position,) if held else (),
                is_complete=True,
            )
        )

    def drain(self) -> Sequence[VenueReport | AccountListed]:
        """Return and forget the reports that are ready."""
        reports, self._reports = self._reports, []
        return reports

    def has_work(self, instrument_id: InstrumentId) -> bool:
        """Return True: the quote of the bar in hand is needed before its orders are."""
        return True

    def observe_open(self, event: MarketEvent) -> None:
        """Fill what waited for this bar, at its open."""
        if isinstance(event, BarClosed):
            waiting, self._waiting = self._waiting, {}
            for order in waiting.values():
                self._fill(order, exact(event.bar.open), event.bar.start_ts_ns)

    def observe_rest(self, event: MarketEvent) -> None:
        """Remember the bar, and hold it against the stops."""
        if not isinstance(event, BarClosed):
            return
        self._bar = event.bar
        for order in self._resting.values():
            if order.stop_price is not None and exact(event.bar.low) <= order.stop_price:
                raise BadInput(
                    f"The bar at {event.bar.start_ts_ns} ns UTC reaches the stop {order.stop_price}, which this "
                    "venue cannot fill: give the strategy a stop that is out of reach."
                )

    def observe_past(self, event: Tick | Quote) -> None:
        """Know nothing of ticks and quotes: this venue matches bars."""

    def _accept(self, order: SubmitOrder) -> None:
        identity, ts_ns = order.client_order_id, order.decided_ts_ns
        if identity in self._said:
            self._reports += self._said[identity]
            return
        if order.order_type not in (OrderType.MARKET, OrderType.STOP):
            reason = f"this venue knows no {order.order_type} orders"
            self._say(OrderRejected(client_order_id=identity, reason=reason, venue_ts_ns=ts_ns, received_ts_ns=ts_ns))
            return
        self._taken[identity] = order
        number = f"golden-{len(self._taken)}"
        self._say(
            OrderAcknowledged(client_order_id=identity, venue_order_id=number, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)
        )
        if order.order_type is OrderType.STOP:
            self._resting[identity] = order
        elif self._fill_at is FillAt.NEXT_OPEN:
            self._waiting[identity] = order
        else:
            self._fill(order, self._last_quote(order.side), ts_ns)

    def _last_quote(self, side: Side) -> Decimal:
        quotes = None if self._bar is None else self._bar.quotes
        if quotes is None:
            raise BadInput("The bar in hand has no quotes to fill at: read bars with quotes, or fill at the next open.")
        return exact(quotes.ask_close if side is Side.BUY else quotes.bid_close)

    def _fill(self, order: SubmitOrder, price: Decimal, ts_ns: int) -> None:
        fee = self._fees.fee(self._instrument, order.side, price=price, quantity=order.quantity, ts_ns=ts_ns)
        self._say(
            OrderFilled(
                client_order_id=order.client_order_id,
                execution_id=ExecutionId(f"{order.client_order_id}:1"),
                price=price,
                quantity=order.quantity,
                fee=fee,
                venue_ts_ns=ts_ns,
                received_ts_ns=ts_ns,
            )
        )

    def _cancel(self, command: CancelOrder) -> None:
        identity, ts_ns = command.client_order_id, command.decided_ts_ns
        if self._resting.pop(identity, None) or self._waiting.pop(identity, None):
            canceled = OrderCanceled(
                client_order_id=identity, reason="as asked", venue_ts_ns=ts_ns, received_ts_ns=ts_ns
            )
            self._say(canceled)
            return
        refused = CancelRejected(
            client_order_id=identity,
            reason="it does not work any more",
            is_known=identity in self._said,
            venue_ts_ns=ts_ns,
            received_ts_ns=ts_ns,
        )
        self._say(refused)

    def _answer(self, query: QueryOrder) -> None:
        ts_ns, identity = query.decided_ts_ns, query.client_order_id
        unknown = OrderRejected(
            client_order_id=identity, reason="never seen here", venue_ts_ns=ts_ns, received_ts_ns=ts_ns
        )
        self._reports += self._said.get(identity, [unknown])

    def _say(self, report: VenueReport) -> None:
        self._said.setdefault(report.client_order_id, []).append(report)
        self._reports.append(report)
