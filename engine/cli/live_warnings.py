"""What an operator has to look at, from the facts of a run: breakers, halts, suspense, other words of the venue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from engine.core.messages import (
    Bar,
    BreakerChanged,
    ComparisonVerdict,
    ExternalOrderSeen,
    GoodFaithViolated,
    InstrumentStatusChanged,
    PositionAdjusted,
    PositionCompared,
    SignalRefused,
    SuspenseBooked,
    SymbolChanged,
)
from engine.core.values import InstrumentId, StrategyId

#: What is counted, and the words for it.
COUNTED: Final = {
    "gaps": "gaps",
    "inputs_refused": "inputs refused",
    "suspense": "in suspense",
    "good_faith": "good-faith violations",
}

SymbolOf = Callable[[InstrumentId | None], str]
_Scope = tuple[StrategyId | None, InstrumentId | None]


class Warnings:
    """Follow what holds trading back, or needs a human, besides the trading states."""

    def __init__(self, counts: Counter[str], symbol_of: SymbolOf) -> None:
        """Count into `counts`; `symbol_of` names an instrument as it is called now, "" without one."""
        self._counts = counts
        self._symbol_of = symbol_of
        self._tripped: dict[tuple[str, _Scope], BreakerChanged] = {}
        self._halted: dict[InstrumentId, InstrumentStatusChanged] = {}
        self._drifts: dict[InstrumentId, PositionCompared] = {}
        # `Any`: each handler takes its own fact, and the key proves which.
        self.handlers: dict[type, Callable[[Any], None]] = {
            BreakerChanged: self._breaker,
            InstrumentStatusChanged: self._status,
            SuspenseBooked: self._suspense,
            GoodFaithViolated: self._good_faith,
            PositionCompared: self._compared,
        }

    def lines(self) -> list[str]:
        """Return a line per breaker that is tripped, halt that lasts, and kind of entry in the books to look at."""
        found = [f"BREAKER {self._breaker_words(fact)}" for fact in self._tripped.values()]
        found += [f"HALTED by the exchange {self._status_words(fact)}" for fact in self._halted.values()]
        found += [f"DIFFERS from the venue {_compared_words(fact)}" for fact in self._drifts.values()]
        for name, table in (("suspense", "suspense"), ("good_faith", "good_faith_violations")):
            if self._counts[name]:
                found.append(f"LOOK at the table {table}: {self._counts[name]} {COUNTED[name]}")
        return found

    def _breaker(self, fact: BreakerChanged) -> None:
        key = fact.breaker, (fact.strategy_id, fact.instrument_id)
        if fact.to_state == "TRIPPED":
            self._tripped[key] = fact
        else:
            self._tripped.pop(key, None)

    def _status(self, fact: InstrumentStatusChanged) -> None:
        if fact.halted:
            self._halted[fact.instrument_id] = fact
        else:
            self._halted.pop(fact.instrument_id, None)

    def _suspense(self, fact: SuspenseBooked) -> None:
        # A negative quantity takes an earlier one back.
        self._counts["suspense"] += -1 if fact.quantity < 0 else 1

    def _good_faith(self, fact: GoodFaithViolated) -> None:
        self._counts["good_faith"] += -1 if fact.quantity < 0 else 1

    def _compared(self, fact: PositionCompared) -> None:
        # What was adopted halts its instrument, and that is said with the trading states.
        if fact.verdict is ComparisonVerdict.DRIFT:
            self._drifts[fact.instrument_id] = fact
        else:
            self._drifts.pop(fact.instrument_id, None)

    # --- lines of a view without a screen ------------------------------------------------------------------

    def line(self, fact: object) -> str | None:
        """Return the line of a fact that an operator reads, None for one that needs none."""
        match fact:
            case BreakerChanged():
                return f"breaker {self._breaker_words(fact)}"
            case InstrumentStatusChanged():
                verb = "halted" if fact.halted else "trades"
                return f"exchange: {verb} {self._status_words(fact)}"
            case SuspenseBooked():
                what = f"{fact.symbol} {fact.quantity:f} at {fact.price:f}".strip()
                return f"WARNING suspense: {fact.kind} {what}: {fact.reason}"
            case GoodFaithViolated():
                return _good_faith_words(fact)
            case Bar() if fact.revision:
                at = datetime.fromtimestamp(fact.start_ts_ns // 1_000_000_000, UTC)
                return f"{self._symbol_of(fact.instrument_id)} bar of {at:%H:%M} UTC revised ({fact.revision})"
            case _:
                return _plain_words(fact)

    def _breaker_words(self, fact: BreakerChanged) -> str:
        scope = " ".join(each for each in (fact.strategy_id, self._symbol_of(fact.instrument_id)) if each)
        what = f"{fact.breaker} {fact.to_state} {scope or 'account'}"
        measured = "" if fact.limit == "-" else f", {fact.value} of {fact.limit}"
        return f"{what}: {fact.reason}{measured} ({fact.source})"

    def _status_words(self, fact: InstrumentStatusChanged) -> str:
        band = f" between {fact.lower_price} and {fact.upper_price}" if fact.lower_price is not None else ""
        return f"{self._symbol_of(fact.instrument_id)}{band}" + (f": {fact.reason}" if fact.reason else "")


def _good_faith_words(fact: GoodFaithViolated) -> str:
    if fact.quantity < 0:
        return f"good faith: {fact.symbol} {-fact.quantity:f} not sold too early after all: a trade was taken back"
    return f"WARNING good faith: {fact.symbol} {fact.quantity:f} sold before the money for it had settled"


def _plain_words(fact: object) -> str | None:
    match fact:
        case SignalRefused():
            return f"signal {fact.signal_id} not followed: {fact.reason}"
        case PositionAdjusted():
            return f"{fact.symbol} position adjusted by {fact.quantity:+f}: {fact.kind} ({fact.source})"
        case PositionCompared():
            return _COMPARISONS[fact.verdict] + _compared_words(fact)
        case ExternalOrderSeen():
            what = f"{fact.side} {fact.quantity:f} {fact.symbol}, {fact.status}"
            return f"WARNING the venue lists order {fact.venue_order_id} that is not known here: {what}"
        case SymbolChanged():
            return f"{fact.from_symbol} is called {fact.to_symbol} from now on ({fact.source})"
        case _:
            return None


_COMPARISONS: Final = {
    ComparisonVerdict.DRIFT: "WARNING differs from the venue: ",
    ComparisonVerdict.EQUAL: "agrees with the venue again: ",
    ComparisonVerdict.ADOPTED: "WARNING taken over from the venue: ",
}


def _compared_words(fact: PositionCompared) -> str:
    return f"{fact.symbol} {fact.booked:f} in the books, {fact.listed:f} there"
