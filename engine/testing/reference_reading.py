"""What the reference venue answers to who asks: the truth of a while ago, with omissions and words of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from engine.core.messages import (
    AccountListed,
    ListedOrder,
    OrderCanceled,
    OrderExpired,
    OrderNotListed,
    OrderRejected,
    QueryOrder,
    VenueReport,
)
from engine.testing.reference_books import VenueOrder
from engine.testing.reference_exchange import ReferenceExchange
from engine.testing.reference_market import MILLISECOND_NS
from engine.testing.reference_temper import ODD_WORD, listed_status

_ENDS = (OrderCanceled, OrderExpired, OrderRejected)


class Reader:
    """Read the books as a lagging replica of them would."""

    def __init__(self, exchange: ReferenceExchange, chance: Random) -> None:
        """Read the books of an exchange, by its temper."""
        self._exchange = exchange
        self._chance = chance

    def listing(self, asked_ts_ns: int, *, is_truncated: bool) -> AccountListed:
        """Return the orders and positions, each as of its own moment; of a truncated listing a part."""
        as_of_ts_ns, temper = self._as_of_ts_ns(), self._exchange.temper
        # Most venues show what is there, and a day's orders are many.
        view = self._view if temper.list_omits or temper.odd_words else VenueOrder.listed_at
        orders = [listed for order in self._exchange.books.orders.values() if (listed := view(order, as_of_ts_ns))]
        positions = self._exchange.books.positions_at(self._as_of_ts_ns())
        if is_truncated:
            orders = orders[: self._chance.randint(0, max(0, len(orders) - 1))]
            positions = positions[: self._chance.randint(0, max(0, len(positions) - 1))]
        stamped = self._exchange.agenda.now_ts_ns + self._exchange.clock_offset_ns
        return AccountListed(
            venue_ts_ns=stamped,
            received_ts_ns=stamped,
            asked_ts_ns=asked_ts_ns,
            orders=tuple(orders),
            positions=tuple(positions),
            is_complete=not is_truncated,
        )

    def answer(self, command: QueryOrder, *, is_truncated: bool) -> tuple[Sequence[VenueReport], VenueOrder | None]:
        """Return the reports that a question about an order finds, or that it found nothing; and the order found."""
        books, temper = self._exchange.books, self._exchange.temper
        as_of_ts_ns = self._as_of_ts_ns()
        reports: list[VenueReport] = []
        found = None
        # What carries no id of ours cannot be found by it, and a part of the pages may lack it.
        if temper.echoes_ids and not is_truncated:
            for order in books.by_client_id.get(command.client_order_id, ()):
                known = self._known(order, as_of_ts_ns)
                found = order if known else found
                reports += known
        if reports:
            return reports, found
        stamped = self._exchange.agenda.now_ts_ns + self._exchange.clock_offset_ns
        absent = OrderNotListed(
            client_order_id=command.client_order_id,
            venue_ts_ns=stamped,
            received_ts_ns=stamped,
            asked_ts_ns=command.decided_ts_ns,
            is_complete=temper.echoes_ids and not is_truncated,
        )
        return [absent], None

    def _known(self, order: VenueOrder, as_of_ts_ns: int) -> list[VenueReport]:
        if self._is_omitted(order):
            return []
        known = [report for ts_ns, report in order.story if ts_ns <= as_of_ts_ns]
        if self._exchange.draws(self._exchange.temper.odd_words):
            # Its status cannot be read, so the answer tells its executions and not its end.
            known = [report for report in known if not isinstance(report, _ENDS)]
        return known

    def _view(self, order: VenueOrder, as_of_ts_ns: int) -> ListedOrder | None:
        listed = order.listed_at(as_of_ts_ns)
        if listed is None or self._is_omitted(order):
            return None
        if self._exchange.draws(self._exchange.temper.odd_words):
            return replace(listed, status=listed_status(ODD_WORD))
        return listed

    def _is_omitted(self, order: VenueOrder) -> bool:
        temper = self._exchange.temper
        if not temper.list_omits:
            return False
        settled_ts_ns = self._exchange.agenda.now_ts_ns - temper.read_lag_ms * MILLISECOND_NS
        return order.versions[-1][0] > settled_ts_ns and self._exchange.draws(temper.list_omits)

    def _as_of_ts_ns(self) -> int:
        lag_ms = self._exchange.temper.read_lag_ms
        return self._exchange.agenda.now_ts_ns - (self._chance.randint(0, lag_ms) if lag_ms else 0) * MILLISECOND_NS
