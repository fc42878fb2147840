"""How long what is held may be without protection, by the venue's truth (I-13).

The bound is T_protect while the engine is up and the broker can be reached. A fault that takes the engine down or an
exchange away takes its time off: each has a published price in seconds, paid once where it happens while something is
exposed, or so shortly before that it is the cause. What an exchange halt or the night takes does not count at all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from engine.core.values import SECOND_NS
from engine.testing.chaos.faults import Fault, FaultKind

K = FaultKind

#: Between two looks of the engine at its clock, and for the ways to the venue and back.
SLACK_S: Final = 15
#: What one fault may cost in protection, in seconds. A request without an answer: 5 s until it is given up, two
#: listings that are 10 s apart and their ways, and the same once more for the order that comes after; a lost report:
#: one reconciliation and the way of the next stop.
PRICES_S: Final[dict[FaultKind, int]] = {
    K.CRASH: 60,
    K.DISK_FULL: 60,
    K.DISK_ERROR: 60,
    K.STOPPED: 60,
    K.SECOND_ENGINE: 60,
    K.CLOCK_JUMP: 60,
    K.REQUEST_LOST: 60,
    K.REPLY_LOST: 60,
    K.REPLY_LATE: 30,
    K.REQUEST_TWICE: 10,
    K.SERVER_ERROR: 60,
    K.READ_FAILED: 30,
    K.READ_TRUNCATED: 30,
    K.PUSH_LOST: 30,
    K.PUSH_LATE: 30,
    K.PUSH_TWICE: 0,
    K.FEED_MUTE: 0,
    K.LATE_TICK: 0,
    K.BAD_QUOTE: 0,
}
_APART_NS: Final = 10 * SECOND_NS
#: So many faults of a kind are paid for within one exposure: with more of them, something else has to give.
_PAID_OF_A_KIND: Final = 2
#: A fault this long before the exposure began may be its cause.
_BEFORE_NS: Final = 60 * SECOND_NS


class ExposureWatch:
    """Follow one account's exposure from look to look."""

    def __init__(self, *, protect_s: int, swap_s: int) -> None:
        """Give what the risk file allows, in seconds: without a stop, and with a target in the stop's place."""
        self._protect_ns = (protect_s + SLACK_S) * SECOND_NS
        self._swap_ns = (swap_s + protect_s + SLACK_S) * SECOND_NS
        self._exposed_ns = 0
        self._behind_target_ns = 0
        self._last_ts_ns: int | None = None
        # When what happened, and what it may cost.
        self._prices: list[tuple[int, str, int]] = []
        self._began_ts_ns = 0
        #: The longest time without any exit that works, ns.
        self.longest_ns = 0

    def fault(self, fault: Fault, now_ts_ns: int) -> None:
        """Take in a fault that has just happened."""
        self.price(fault.kind.value, PRICES_S[fault.kind] * SECOND_NS, now_ts_ns)

    def price(self, kind: str, lasting_ns: int, now_ts_ns: int) -> None:
        """Take in that something of a kind may cost so much protection, ns."""
        if lasting_ns:
            self._prices.append((now_ts_ns, kind, lasting_ns))

    @property
    def is_long(self) -> bool:
        """Return whether something has been exposed for longer than it takes to answer."""
        return self._exposed_ns + self._behind_target_ns > SLACK_S * SECOND_NS

    def excuse(self) -> None:
        """Begin to count anew: the engine has halted and said why, which is a human's turn."""
        self._exposed_ns = self._behind_target_ns = 0

    def look(self, now_ts_ns: int, *, held: Decimal, protected: Decimal, working: Decimal, counts: bool) -> str:
        """Look at the truth; return what is wrong, or nothing.

        `protected` is what stops and market sells would sell, `working` what any open sell could; `counts` is False
        while nothing can be done: the exchange is closed or halted, or no engine is up.
        """
        # Looks are a few seconds apart; a longer time between two of them is a night.
        lasted_ns = 0 if self._last_ts_ns is None or not counts else min(_APART_NS, now_ts_ns - self._last_ts_ns)
        self._last_ts_ns = now_ts_ns
        if protected >= held:
            self._exposed_ns = self._behind_target_ns = 0
            return ""
        if not self._exposed_ns and not self._behind_target_ns:
            self._began_ts_ns = now_ts_ns
        if working >= held:
            self._behind_target_ns += lasted_ns
        else:
            self._exposed_ns += lasted_ns
        self.longest_ns = max(self.longest_ns, self._exposed_ns)
        return self._verdict(held - protected)

    def _costs(self) -> dict[str, list[int]]:
        costs: dict[str, list[int]] = {}
        for _, kind, cost in self._prices:
            costs.setdefault(kind, []).append(cost)
        return costs

    def _verdict(self, exposed: Decimal) -> str:
        since = self._began_ts_ns - _BEFORE_NS
        self._prices = [price for price in self._prices if price[0] >= since]
        paid_ns = sum(sum(sorted(costs)[-_PAID_OF_A_KIND:]) for costs in self._costs().values())
        if self._exposed_ns > self._protect_ns + paid_ns:
            return f"{exposed} were without any exit for {self._exposed_ns // SECOND_NS} s"
        if self._exposed_ns + self._behind_target_ns > self._swap_ns + paid_ns:
            return f"{exposed} were without a stop for {(self._exposed_ns + self._behind_target_ns) // SECOND_NS} s"
        return ""
