"""What the throttles remember: entries that were approved, and messages that were sent."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from engine.core.messages import OrderRequest
from engine.core.risk.limits import Limits
from engine.core.risk.situation import MessageCounts
from engine.core.values import MINUTE_NS, SECOND_NS, InstrumentId, Side, StrategyId, worst_price

_SameEntry = tuple[StrategyId, InstrumentId, Side, Decimal, Decimal | None]
_Repeated = tuple[StrategyId, InstrumentId, Side]


class Throttles:
    """Remember approved entries and sent messages of one account, no longer than a window needs them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._approved_at: dict[_SameEntry, int] = {}
        self._repeated: dict[_Repeated, deque[int]] = {}
        self._prices: dict[InstrumentId, deque[tuple[int, Decimal]]] = {}
        # (moment, how many) of the last minute.
        self._messages: deque[tuple[int, int]] = deque()
        self._messages_this_session = 0

    # --- entries -------------------------------------------------------------------------------------------

    def remember(self, request: OrderRequest, ts_ns: int) -> None:
        """Remember an approved entry."""
        oldest = ts_ns - self._limits.duplicate_window_ns
        self._approved_at = {key: at for key, at in self._approved_at.items() if at > oldest}
        self._approved_at[_same_entry(request)] = ts_ns
        self._repeated.setdefault(_repeated(request), deque()).append(ts_ns)
        price = worst_price(request.reference_price, request.limit_price)
        self._prices.setdefault(request.instrument_id, deque()).append((ts_ns, price))

    def since_same_ns(self, request: OrderRequest, ts_ns: int) -> int | None:
        """Return how long ago the same entry was approved, ns; None if never."""
        approved_at = self._approved_at.get(_same_entry(request))
        return None if approved_at is None else ts_ns - approved_at

    def repeated(self, request: OrderRequest, ts_ns: int) -> int:
        """Return how many entries of the same strategy, instrument and side were approved inside the window."""
        times = self._repeated.get(_repeated(request))
        if times is None:
            return 0
        oldest = ts_ns - self._limits.breakers.repeated_window_ns
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    def window_price(self, instrument_id: InstrumentId, ts_ns: int) -> Decimal | None:
        """Return the price of the first entry of an instrument that was approved inside the window."""
        prices = self._prices.get(instrument_id)
        if prices is None:
            return None
        oldest = ts_ns - self._limits.collar_window_ns
        while prices and prices[0][0] <= oldest:
            prices.popleft()
        return prices[0][1] if prices else None

    def forget_repeated(self, strategy_id: StrategyId | None, instrument_id: InstrumentId | None) -> None:
        """Count the repeated entries of a scope anew: a human has looked at them."""
        for key in list(self._repeated):
            if strategy_id in (None, key[0]) and instrument_id in (None, key[1]):
                del self._repeated[key]

    # --- messages ------------------------------------------------------------------------------------------

    def start_session(self) -> None:
        """Count the messages of a session from none."""
        self._messages_this_session = 0

    def sent(self, count: int, ts_ns: int) -> None:
        """Remember messages that leave now."""
        self._messages_this_session += count
        self._messages.append((ts_ns, count))
        while self._messages[0][0] <= ts_ns - MINUTE_NS:
            self._messages.popleft()

    def messages(self, ts_ns: int) -> MessageCounts:
        """Return how many messages left in the last second, the last minute and this session."""
        second, minute = ts_ns - SECOND_NS, ts_ns - MINUTE_NS
        return MessageCounts(
            last_second=sum(count for at, count in self._messages if at > second),
            last_minute=sum(count for at, count in self._messages if at > minute),
            this_session=self._messages_this_session,
        )


def _same_entry(request: OrderRequest) -> _SameEntry:
    return (request.strategy_id, request.instrument_id, request.side, request.quantity, request.limit_price)


def _repeated(request: OrderRequest) -> _Repeated:
    return (request.strategy_id, request.instrument_id, request.side)
