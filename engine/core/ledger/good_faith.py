"""Good-faith violations: in a cash account, sales of what was not yet paid for with settled money.

One is counted for each lot that a sale took too early. It is taken back when the sale, or the purchase, is: what has
never been cannot have been too early.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.ledger.lots import Change, Origin
from engine.core.messages import Draft, GoodFaithViolated
from engine.core.values import Instrument, InstrumentId, StrategyId


class GoodFaith:
    """Count the violations of one account."""

    def __init__(self) -> None:
        # What was sold of which lot, -> when, by the venue's time.
        self._violations: dict[tuple[StrategyId, InstrumentId, Origin, Origin], int] = {}

    def count(self, since_ts_ns: int) -> int:
        """Return how many are of a moment or later, ns UTC."""
        return sum(1 for ts_ns in self._violations.values() if ts_ns >= since_ts_ns)

    def judge(self, changes: Iterable[Change], strategy_id: StrategyId, instrument: Instrument, draft: Draft) -> None:
        """Count what closures of lots violate, and take back what is no longer true."""
        for change in changes:
            entry, closure, is_reversal = change
            if entry.origin.trade_id is None or closure.origin.trade_id is None:
                continue
            key = (strategy_id, instrument.instrument_id, entry.origin, closure.origin)
            if is_reversal:
                if self._violations.pop(key, None) is None:
                    continue
            elif closure.paid_ts_ns > entry.ts_ns:
                self._violations[key] = entry.ts_ns
            else:
                continue
            draft.facts.append(_fact(change, strategy_id, instrument, draft.ts_ns))


def _fact(change: Change, strategy_id: StrategyId, instrument: Instrument, ts_ns: int) -> GoodFaithViolated:
    entry, closure, is_reversal = change
    return GoodFaithViolated(
        trade_id=entry.origin.trade_id or 0,
        opening_trade_id=closure.origin.trade_id or 0,
        strategy_id=strategy_id,
        instrument_id=instrument.instrument_id,
        symbol=instrument.symbol,
        quantity=-closure.quantity if is_reversal else closure.quantity,
        paid_ts_ns=closure.paid_ts_ns,
        ts_ns=ts_ns,
    )
