"""The cash of one account: all of it, and the part that has arrived."""

from __future__ import annotations

from decimal import Decimal

from engine.core.values import ZERO


class CashBook:
    """Keep cash with the moments at which it arrives. What is paid counts at once, what is received when it settles."""

    def __init__(self) -> None:
        #: Everything, settled or not.
        self.total = ZERO
        # What arrives later, by its moment, of trades and of others. A day's sales all settle at one moment.
        self._of_trades: dict[int, Decimal] = {}
        self._of_others: dict[int, Decimal] = {}

    def pay(self, amount: Decimal) -> None:
        """Take an amount out now (or put one in, negative)."""
        self.total -= amount

    def receive(self, amount: Decimal, *, settles_ts_ns: int, ts_ns: int, of_trade: bool) -> None:
        """Put an amount in that arrives at a moment; a negative one takes such an amount back."""
        self.total += amount
        if settles_ts_ns > ts_ns:
            coming = self._of_trades if of_trade else self._of_others
            for moment in [moment for moment in coming if moment <= ts_ns]:
                del coming[moment]
            coming[settles_ts_ns] = coming.get(settles_ts_ns, ZERO) + amount

    def unsettled(self, ts_ns: int) -> Decimal:
        """Return what has not arrived at a moment, ns UTC."""
        return _after(self._of_trades, ts_ns) + _after(self._of_others, ts_ns)

    def settled(self, ts_ns: int) -> Decimal:
        """Return what has arrived at a moment; below zero where more was paid out than that."""
        return self.total - self.unsettled(ts_ns)

    def receivable(self, ts_ns: int) -> Decimal:
        """Return what has not arrived and no trade brought: dividends on their way, which nobody may spend."""
        return _after(self._of_others, ts_ns)

    def paid_ts_ns(self, ts_ns: int) -> int:
        """Return from when on everything paid so far is paid with settled money: now, or a later settlement."""
        if self.settled(ts_ns) >= 0:
            return ts_ns
        moments = sorted(moment for moment in {*self._of_trades, *self._of_others} if moment > ts_ns)
        # Where all that comes is not enough the rest is a loan: nothing better than the last moment is known.
        return next((moment for moment in moments if self.settled(moment) >= 0), moments[-1] if moments else ts_ns)


def _after(coming: dict[int, Decimal], ts_ns: int) -> Decimal:
    return sum((amount for moment, amount in coming.items() if moment > ts_ns), ZERO)
