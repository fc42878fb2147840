"""A desk at the reference venue: one instrument, a hand that sends commands, and everything that was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeVar

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountListed, CancelOrder, QueryOrder, SubmitOrder
from engine.core.values import SECOND_NS, ClientOrderId, OrderType, Side, TimeInForce, instrument_from_symbol
from engine.testing.reference_temper import HONEST, Fate, VenueTemper
from engine.testing.reference_venue import Delivery, ReferenceVenue
from engine.testing.scenario import OPEN_TS_NS, SPY, TWO_SESSIONS

_SPY: Final = instrument_from_symbol("SPY", SPY)
ReportT = TypeVar("ReportT")


class Desk:
    """Trade one instrument by hand, from a minute after the open at a price of 100 on."""

    def __init__(
        self,
        temper: VenueTemper | None = None,
        *,
        seed: int = 1,
        exit_style: ExitStyle = ExitStyle.REST_STOP,
        opening_cash: Decimal = Decimal(100_000),
    ) -> None:
        """Open the venue; without a temper it is honest."""
        self.venue = ReferenceVenue(
            temper or VenueTemper(),
            seed=seed,
            instruments={SPY: _SPY},
            sessions={SPY: TWO_SESSIONS},
            exit_style=exit_style,
            opening_cash=opening_cash,
        )
        self.now_ts_ns = OPEN_TS_NS + 60 * SECOND_NS
        #: Everything that was delivered, oldest first.
        self.deliveries: list[Delivery] = []
        self.price("100")

    def price(self, price: str) -> None:
        """Let the market trade at a price."""
        self.venue.price(SPY, Decimal(price), self.now_ts_ns)

    def wait(self, seconds: float = 3) -> list[Delivery]:
        """Let time pass, and return what is delivered meanwhile."""
        until_ts_ns = self.now_ts_ns + int(seconds * SECOND_NS)
        arrived: list[Delivery] = []
        while (moment := self.venue.due()) is not None and moment <= until_ts_ns:
            self.now_ts_ns = max(self.now_ts_ns, moment)
            arrived += self.venue.advance(self.now_ts_ns)
        self.now_ts_ns = until_ts_ns
        arrived += self.venue.advance(until_ts_ns)
        self.deliveries += arrived
        return arrived

    def submit(
        self,
        name: str,
        side: Side = Side.BUY,
        quantity: int = 10,
        *,
        limit: str | None = None,
        stop: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GOOD_TILL_CANCELED,
        link: str | None = None,
        fate: Fate = HONEST,
    ) -> SubmitOrder:
        """Send an order; its type follows from the prices that it has."""
        kinds = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.LIMIT,
            (False, True): OrderType.STOP,
            (True, True): OrderType.STOP_LIMIT,
        }
        command = SubmitOrder(
            client_order_id=ClientOrderId(name),
            instrument_id=SPY,
            symbol=_SPY.symbol,
            side=side,
            order_type=kinds[limit is not None, stop is not None],
            quantity=Decimal(quantity),
            limit_price=None if limit is None else Decimal(limit),
            stop_price=None if stop is None else Decimal(stop),
            time_in_force=time_in_force,
            decided_ts_ns=self.now_ts_ns,
            link=None if link is None else ClientOrderId(link),
        )
        self.venue.send(command, self.now_ts_ns, fate=fate)
        return command

    def sell(self, name: str, quantity: int = 10, *, stop: str | None = None, limit: str | None = None) -> SubmitOrder:
        """Send a sell."""
        return self.submit(name, Side.SELL, quantity, stop=stop, limit=limit)

    def cancel(self, name: str, *, fate: Fate = HONEST) -> None:
        """Ask to cancel an order."""
        command = CancelOrder(client_order_id=ClientOrderId(name), decided_ts_ns=self.now_ts_ns)
        self.venue.send(command, self.now_ts_ns, fate=fate)

    def query(self, name: str, *, fate: Fate = HONEST) -> list[Delivery]:
        """Ask about an order, wait until the answer or the time-out, and return the replies."""
        command = QueryOrder(client_order_id=ClientOrderId(name), decided_ts_ns=self.now_ts_ns)
        self.venue.send(command, self.now_ts_ns, fate=fate)
        return [each for each in self.wait(6) if each.channel == "reply"]

    def listing(self, *, fate: Fate = HONEST) -> AccountListed | None:
        """Ask for the listings, wait until they come or the time-out, and return them."""
        self.venue.query_account(self.now_ts_ns, self.now_ts_ns, fate=fate)
        found = [each.report for each in self.wait(6) if isinstance(each.report, AccountListed)]
        return found[0] if found else None

    def bought(self, quantity: int = 10) -> None:
        """Buy at market, wait until it is filled and told, and forget those deliveries."""
        self.submit("bought", quantity=quantity)
        self.wait()
        assert self.venue.position(SPY) == quantity
        self.deliveries.clear()

    def told(self, kind: type[ReportT], name: str | None = None, *, channel: str | None = None) -> Sequence[ReportT]:
        """Return the delivered reports of a kind, of one order or of all, by one channel or by both."""
        return [
            each.report
            for each in self.deliveries
            if isinstance(each.report, kind)
            and (name is None or getattr(each.report, "client_order_id", None) == name)
            and (channel is None or each.channel == channel)
        ]
