"""Time and markets of the reference venue: what happens when, and whether an instrument trades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappop, heappush
from typing import Final

from engine.core.messages import SubmitOrder
from engine.core.values import Instrument, Sessions, Side

MILLISECOND_NS: Final = 1_000_000


class Agenda:
    """Keep what happens later, and what time it is."""

    def __init__(self) -> None:
        """Start before everything."""
        self.now_ts_ns = 0
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, ts_ns: int, action: Callable[[], None]) -> None:
        """Let something happen at a moment, or now if that is past."""
        self._count += 1
        heappush(self._later, (max(ts_ns, self.now_ts_ns), self._count, action))

    def due(self) -> int | None:
        """Return when the next thing happens, or None."""
        return self._later[0][0] if self._later else None

    def run_to(self, ts_ns: int) -> None:
        """Let everything up to a moment happen, in order."""
        while self._later and self._later[0][0] <= ts_ns:
            moment, _, action = heappop(self._later)
            self.now_ts_ns = moment
            action()
        self.now_ts_ns = max(self.now_ts_ns, ts_ns)


@dataclass(slots=True, kw_only=True)
class Market:
    """Hold where one instrument trades."""

    instrument: Instrument
    sessions: Sessions
    #: The last price, None before the first, and when it was.
    price: Decimal | None = None
    price_ts_ns: int = 0
    halted_until_ts_ns: int = 0

    def is_trading(self, now_ts_ns: int) -> bool:
        """Return whether orders execute now: in a session, not halted, with a price of this session."""
        session = self.sessions.session_at(now_ts_ns)
        if session is None or self.price is None or self.halted_until_ts_ns > now_ts_ns:
            return False
        return self.price_ts_ns >= session.open_ts_ns or session.always_open

    def resumes_ts_ns(self, now_ts_ns: int) -> int:
        """Return when trading goes on: now, at the end of a halt, or at the next open."""
        moment = max(now_ts_ns, self.halted_until_ts_ns)
        return max(moment, self.sessions.session_from(moment).open_ts_ns)

    def refuses(self, command: SubmitOrder) -> str:
        """Return why the order is malformed or comes too late for this market, or nothing."""
        lot, prices = self.instrument.lot, (command.limit_price, command.stop_price)
        if command.quantity <= 0 or command.quantity % lot:
            return f"The quantity {command.quantity} is not a multiple of {lot}"
        if any(price is not None and (price <= 0 or price % self.instrument.tick(price)) for price in prices):
            return "Prices must be above zero and multiples of the tick"
        if self.is_through(command):
            return f"The {command.side} stop {command.stop_price} is at or through the market {self.price}"
        return ""

    def is_through(self, command: SubmitOrder) -> bool:
        """Return whether the price is at or through the order's stop."""
        if command.stop_price is None or self.price is None:
            return False
        return self.price >= command.stop_price if command.side is Side.BUY else self.price <= command.stop_price
