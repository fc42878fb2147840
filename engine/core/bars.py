"""The bar stage: prints or quotes of one instrument become finished one-minute bars.

A minute is final when the engine's time has reached its end plus the grace; nothing else closes it. Until then
late and out-of-order input goes to its own minute, so that several minutes may be open at once. Open and close are
the first and last by (venue time, arrival); sums run in the order of arrival, which fixes their last bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from engine.core.messages import Bar, FeedInterrupted, Quote, QuoteBar, Tick
from engine.core.values import MINUTE_NS, SECOND_NS, InstrumentId, SessionKind, Sessions

#: How long after its end a minute still takes late input, ns.
GRACE_NS: Final = 2 * SECOND_NS
#: Prices and sizes at or above these are refused: no market has them, and sums stay finite below.
PRICE_LIMIT: Final = 1e12
SIZE_LIMIT: Final = 1e18

#: How many units of a price column, 10^-10, one is.
PRICE_UNITS: Final = 1e10

_NEVER_NS: Final = 2**63 - 1


class PrintSource(StrEnum):
    """Name what the prices of a bar are made of."""

    TICKS = "ticks"
    #: The middle of bid and ask, for a feed without ticks.
    QUOTES = "quotes"


class Refusal(StrEnum):
    """Name why an input was refused."""

    #: Not finite, not above zero, or absurdly high.
    PRICE = "price"
    #: Not finite, negative or absurdly high; for a print also zero.
    SIZE = "size"
    #: The bid is above the ask.
    CROSSED = "crossed"
    #: Its minute is final already.
    LATE = "late"
    #: Its minute starts more than a minute after the engine's time.
    EARLY = "early"
    #: A print, where the bars are made of quotes.
    UNEXPECTED = "unexpected"


def middle_of(bid: float, ask: float) -> float:
    """Return the middle of bid and ask, to the ten decimals that a price column holds, half to even.

    The plain mean of 214.80 and 214.90 prints as 214.85000000000002, which no mark could take.
    """
    return round((bid + ask) / 2 * PRICE_UNITS) / PRICE_UNITS


class _Minute:
    # One open minute. `last_ts_ns` and `last_quote_ts_ns` are never reached before the first print or quote,
    # which sends that one down the slow path.

    __slots__ = (
        "ask_close",
        "ask_high",
        "ask_low",
        "ask_open",
        "bid_close",
        "bid_high",
        "bid_low",
        "bid_open",
        "close",
        "end_ts_ns",
        "first_quote_ts_ns",
        "first_ts_ns",
        "high",
        "last_quote_ts_ns",
        "last_ts_ns",
        "low",
        "notional",
        "open",
        "quote_count",
        "session_kind",
        "start_ts_ns",
        "tick_count",
        "volume",
    )

    def __init__(self, start_ts_ns: int, session_kind: SessionKind) -> None:
        self.start_ts_ns = start_ts_ns
        self.end_ts_ns = start_ts_ns + MINUTE_NS
        self.session_kind = session_kind
        self.first_ts_ns = self.last_ts_ns = _NEVER_NS
        self.first_quote_ts_ns = self.last_quote_ts_ns = _NEVER_NS
        self.tick_count = self.quote_count = 0
        self.volume = self.notional = 0.0
        self.open = self.close = 0.0
        self.high = self.bid_high = self.ask_high = 0.0
        self.low = self.bid_low = self.ask_low = PRICE_LIMIT
        self.bid_open = self.bid_close = self.ask_open = self.ask_close = 0.0

    def add_tick(self, ts_ns: int, price: float, size: float) -> None:
        if ts_ns < self.first_ts_ns:
            self.first_ts_ns = ts_ns
            self.open = price
        if self.tick_count == 0 or ts_ns >= self.last_ts_ns:
            self.last_ts_ns = ts_ns
            self.close = price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += size
        self.notional += price * size
        self.tick_count += 1

    def add_quote(self, ts_ns: int, bid: float, ask: float) -> None:
        if ts_ns < self.first_quote_ts_ns:
            self.first_quote_ts_ns = ts_ns
            self.bid_open = bid
            self.ask_open = ask
        if self.quote_count == 0 or ts_ns >= self.last_quote_ts_ns:
            self.last_quote_ts_ns = ts_ns
            self.bid_close = bid
            self.ask_close = ask
        self.bid_high = max(self.bid_high, bid)
        self.bid_low = min(self.bid_low, bid)
        self.ask_high = max(self.ask_high, ask)
        self.ask_low = min(self.ask_low, ask)
        self.quote_count += 1

    def add_middle(self, middle: float) -> None:
        self.high = max(self.high, middle)
        self.low = min(self.low, middle)

    def settle_middles(self) -> None:
        # Open and close of the middle follow from those of bid and ask; nothing was traded.
        self.open = middle_of(self.bid_open, self.ask_open)
        self.close = middle_of(self.bid_close, self.ask_close)

    def quote_bar(self) -> QuoteBar | None:
        if not self.quote_count:
            return None
        return QuoteBar(
            bid_open=self.bid_open,
            bid_high=self.bid_high,
            bid_low=self.bid_low,
            bid_close=self.bid_close,
            ask_open=self.ask_open,
            ask_high=self.ask_high,
            ask_low=self.ask_low,
            ask_close=self.ask_close,
        )


class BarBuilder:
    """Build the minutes of one instrument from its ticks, or from its quotes when there are no ticks.

    Every method takes input in the order of `received_ts_ns`, which never decreases. What is returned are the
    bars that became final (revision 0), oldest first, or None. Each raises BadInput for a time that the calendar
    does not hold.
    """

    __slots__ = (
        "_due_ts_ns",
        "_final_before_ts_ns",
        "_grace_ns",
        "_ignored_before_ts_ns",
        "_instrument_id",
        "_kind",
        "_kind_from_ts_ns",
        "_kind_until_ts_ns",
        "_lost",
        "_minute",
        "_minutes",
        "_new_refusals",
        "_prints_from",
        "_sessions",
        "refused",
    )

    def __init__(
        self,
        instrument_id: InstrumentId,
        sessions: Sessions,
        *,
        grace_ns: int = GRACE_NS,
        prints_from: PrintSource = PrintSource.TICKS,
    ) -> None:
        #: Refused inputs by reason since the beginning.
        self.refused: dict[str, int] = {}
        self._new_refusals: dict[str, int] = {}
        self._instrument_id = instrument_id
        self._sessions = sessions
        self._grace_ns = grace_ns
        self._prints_from = prints_from
        self._minutes: dict[int, _Minute] = {}
        self._minute = _NO_MINUTE
        # When the earliest open minute becomes final.
        self._due_ts_ns = _NEVER_NS
        self._final_before_ts_ns = -_NEVER_NS
        self._ignored_before_ts_ns = -_NEVER_NS
        self._lost: list[tuple[int, int]] = []
        # The session kind holds inside these bounds, so that the calendar is asked twice a day.
        self._kind = SessionKind.EXTENDED
        self._kind_from_ts_ns = self._kind_until_ts_ns = 0

    def on_tick(self, tick: Tick) -> Sequence[Bar] | None:
        """Take one print; return the bars that became final by its arrival."""
        minute = self._minute
        ts_ns = tick.venue_ts_ns
        price = tick.price
        size = tick.size
        # Comparisons with NaN are false, so that one chain admits finite positive numbers only.
        if (
            minute.last_ts_ns <= ts_ns < minute.end_ts_ns
            and tick.received_ts_ns < self._due_ts_ns
            and 0.0 < price < PRICE_LIMIT
            and 0.0 < size < SIZE_LIMIT
        ):
            if price > minute.high:
                minute.high = price
            elif price < minute.low:
                minute.low = price
            minute.last_ts_ns = ts_ns
            minute.close = price
            minute.volume += size
            minute.notional += price * size
            minute.tick_count += 1
            return None
        return self._take_tick(tick)

    def on_quote(self, quote: Quote) -> Sequence[Bar] | None:
        """Take one quote; return the bars that became final by its arrival."""
        minute = self._minute
        ts_ns = quote.venue_ts_ns
        if (
            minute.last_quote_ts_ns <= ts_ns < minute.end_ts_ns
            and quote.received_ts_ns < self._due_ts_ns
            and _quote_fault(quote) is None
        ):
            minute.add_quote(ts_ns, quote.bid, quote.ask)
            if self._prints_from is PrintSource.QUOTES:
                minute.add_middle(middle_of(quote.bid, quote.ask))
            return None
        return self._take_quote(quote)

    def on_time(self, received_ts_ns: int) -> Sequence[Bar] | None:
        """Take the engine's time; return the bars that became final by it."""
        return None if received_ts_ns < self._due_ts_ns else self._close(received_ts_ns)

    def on_interrupted(self, interruption: FeedInterrupted) -> None:
        """Mark the open and coming minutes that overlap a lost interval as incomplete."""
        self._lost.append((interruption.from_ts_ns, interruption.until_ts_ns))

    def start_from(self, ts_ns: int) -> None:
        """Ignore without a count what belongs to minutes that start earlier: they were journaled before."""
        self._ignored_before_ts_ns = ts_ns

    def take_refusals(self) -> dict[str, int]:
        """Return the refused inputs by reason since the last call, and forget them (`refused` keeps the totals)."""
        taken, self._new_refusals = self._new_refusals, {}
        return taken

    def _take_tick(self, tick: Tick) -> Sequence[Bar] | None:
        finished = self.on_time(tick.received_ts_ns)
        fault = Refusal.UNEXPECTED if self._prints_from is PrintSource.QUOTES else _tick_fault(tick)
        minute = self._admit(tick.venue_ts_ns, tick.received_ts_ns, fault)
        if minute is not None:
            minute.add_tick(tick.venue_ts_ns, tick.price, tick.size)
        return finished

    def _take_quote(self, quote: Quote) -> Sequence[Bar] | None:
        finished = self.on_time(quote.received_ts_ns)
        minute = self._admit(quote.venue_ts_ns, quote.received_ts_ns, _quote_fault(quote))
        if minute is not None:
            minute.add_quote(quote.venue_ts_ns, quote.bid, quote.ask)
            if self._prints_from is PrintSource.QUOTES:
                minute.add_middle(middle_of(quote.bid, quote.ask))
        return finished

    def _admit(self, ts_ns: int, received_ts_ns: int, fault: Refusal | None) -> _Minute | None:
        # Finds or opens the minute of an input; None when the input is refused or was journaled before.
        start_ts_ns = ts_ns - ts_ns % MINUTE_NS
        if start_ts_ns < self._ignored_before_ts_ns:
            return None
        reason = fault or self._time_fault(start_ts_ns, received_ts_ns)
        if reason is not None:
            self.refused[reason] = self.refused.get(reason, 0) + 1
            self._new_refusals[reason] = self._new_refusals.get(reason, 0) + 1
            return None
        minute = self._minutes.get(start_ts_ns)
        if minute is None:
            minute = self._minutes[start_ts_ns] = _Minute(start_ts_ns, self._kind_at(start_ts_ns))
            self._due_ts_ns = min(self._due_ts_ns, minute.end_ts_ns + self._grace_ns)
        self._minute = minute
        return minute

    def _time_fault(self, start_ts_ns: int, received_ts_ns: int) -> Refusal | None:
        if start_ts_ns < self._final_before_ts_ns:
            return Refusal.LATE
        if start_ts_ns + MINUTE_NS + self._grace_ns <= received_ts_ns:
            return Refusal.LATE
        # A minute per stray clock must not stay open for ever.
        return Refusal.EARLY if start_ts_ns > received_ts_ns + MINUTE_NS else None

    def _kind_at(self, ts_ns: int) -> SessionKind:
        if not self._kind_from_ts_ns <= ts_ns < self._kind_until_ts_ns:
            session = self._sessions.session_from(ts_ns)
            if session.open_ts_ns <= ts_ns:
                bounds = (session.open_ts_ns, session.close_ts_ns)
                self._kind = SessionKind.REGULAR
            else:
                bounds = (ts_ns, session.open_ts_ns)
                self._kind = SessionKind.EXTENDED
            self._kind_from_ts_ns, self._kind_until_ts_ns = bounds
        return self._kind

    def _close(self, received_ts_ns: int) -> Sequence[Bar] | None:
        over_ts_ns = received_ts_ns - self._grace_ns
        self._final_before_ts_ns = max(self._final_before_ts_ns, over_ts_ns - over_ts_ns % MINUTE_NS)
        final = sorted(start for start in self._minutes if start < self._final_before_ts_ns)
        bars = [bar for start in final if (bar := self._finish(self._minutes.pop(start))) is not None]
        self._minute = _NO_MINUTE
        earliest = min(self._minutes, default=None)
        self._due_ts_ns = _NEVER_NS if earliest is None else earliest + MINUTE_NS + self._grace_ns
        self._lost = [lost for lost in self._lost if lost[1] > self._final_before_ts_ns]
        return bars or None

    def _finish(self, minute: _Minute) -> Bar | None:
        from_quotes = self._prints_from is PrintSource.QUOTES
        if not (minute.quote_count if from_quotes else minute.tick_count):
            return None
        if from_quotes:
            minute.settle_middles()
        lost = any(from_ts < minute.end_ts_ns and until_ts > minute.start_ts_ns for from_ts, until_ts in self._lost)
        return Bar(
            instrument_id=self._instrument_id,
            start_ts_ns=minute.start_ts_ns,
            open=minute.open,
            high=minute.high,
            low=minute.low,
            close=minute.close,
            volume=minute.volume,
            vwap=minute.close if from_quotes else minute.notional / minute.volume,
            tick_count=minute.tick_count,
            quote_count=minute.quote_count,
            quotes=minute.quote_bar(),
            session_kind=minute.session_kind,
            complete=not lost,
        )


# Stands where no minute is open; no input ever fits it.
_NO_MINUTE: Final = _Minute(-MINUTE_NS, SessionKind.EXTENDED)


def _tick_fault(tick: Tick) -> Refusal | None:
    if not 0.0 < tick.price < PRICE_LIMIT:
        return Refusal.PRICE
    return None if 0.0 < tick.size < SIZE_LIMIT else Refusal.SIZE


def _quote_fault(quote: Quote) -> Refusal | None:
    if not (0.0 < quote.bid < PRICE_LIMIT and 0.0 < quote.ask < PRICE_LIMIT):
        return Refusal.PRICE
    if quote.bid > quote.ask:
        return Refusal.CROSSED
    sizes_fit = 0.0 <= quote.bid_size < SIZE_LIMIT and 0.0 <= quote.ask_size < SIZE_LIMIT
    return None if sizes_fit else Refusal.SIZE
