"""One minute while it is built, and, on a tape that is revised, for the rest of its day."""

from __future__ import annotations

from array import array
from typing import Final

from engine.core.bars.roles import CLOSING, HIGH_LOW, IGNORED, LAST, OPENING, VOLUME
from engine.core.messages import Bar, QuoteBar
from engine.core.values import MINUTE_NS, InstrumentId, SessionKind

#: Prices and sizes at or above these are refused: no market has them, and sums stay finite below.
PRICE_LIMIT: Final = 1e12
SIZE_LIMIT: Final = 1e18

#: How many units of a price column, 10^-10, one is.
PRICE_UNITS: Final = 1e10

NEVER_NS: Final = 2**63 - 1


def middle_of(bid: float, ask: float) -> float:
    """Return the middle of bid and ask, to the ten decimals that a price column holds, half to even.

    The plain mean of 214.80 and 214.90 prints as 214.85000000000002, which no mark could take.
    """
    return round((bid + ask) / 2 * PRICE_UNITS) / PRICE_UNITS


class Prints:
    """Keep the prints of one minute in order of arrival, 33 bytes each, so that it can be built again."""

    __slots__ = ("prices", "roles", "sequences", "sizes", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self.prices = array("d")
        self.sizes = array("d")
        self.roles = array("B")
        #: -1 where a print has none.
        self.sequences = array("q")

    def __len__(self) -> int:
        """Return the number of prints."""
        return len(self.times)

    def add(self, ts_ns: int, price: float, size: float, *, role: int, sequence: int | None) -> None:
        """Keep one more print."""
        self.times.append(ts_ns)
        self.prices.append(price)
        self.sizes.append(size)
        self.roles.append(role)
        self.sequences.append(-1 if sequence is None else sequence)

    def index_of(self, sequence: int) -> int | None:
        """Return the place of a print, or None where it is not here."""
        try:
            return self.sequences.index(sequence)
        except ValueError:
            return None


class Minute:
    """Hold one minute of one instrument.

    `last_ts_ns` and `last_quote_ts_ns` are never reached before the first print or quote, which sends that one down
    the slow path.
    """

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
        "closing",
        "closing_ts_ns",
        "end_ts_ns",
        "first_quote_ts_ns",
        "first_ts_ns",
        "high",
        "last_quote_ts_ns",
        "last_ts_ns",
        "low",
        "moved",
        "notional",
        "open",
        "opening",
        "opening_ts_ns",
        "prints",
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
        self.first_quote_ts_ns = self.last_quote_ts_ns = NEVER_NS
        self.quote_count = 0
        self.bid_high = self.ask_high = 0.0
        self.bid_low = self.ask_low = PRICE_LIMIT
        self.bid_open = self.bid_close = self.ask_open = self.ask_close = 0.0
        #: Kept prints, where the tape is revised.
        self.prints: Prints | None = None
        #: Volume, notional and count that came from minutes without a price.
        self.moved: list[tuple[float, float, int]] = []
        self._clear()

    def _clear(self) -> None:
        self.first_ts_ns = self.last_ts_ns = NEVER_NS
        self.tick_count = 0
        self.volume = self.notional = 0.0
        self.open = self.close = 0.0
        self.high = 0.0
        self.low = PRICE_LIMIT
        self.opening: float | None = None
        self.closing: float | None = None
        self.opening_ts_ns = self.closing_ts_ns = NEVER_NS

    # --- prints ----------------------------------------------------------------------------------------------

    def add_tick(self, ts_ns: int, price: float, size: float) -> None:
        """Take a print that is like any other."""
        self._set_last(ts_ns, price)
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += size
        self.notional += price * size
        self.tick_count += 1

    def add_print(self, ts_ns: int, price: float, size: float, *, role: int) -> None:
        """Take a print that does what its role says."""
        if role & LAST and not role & (OPENING | CLOSING):
            self._set_last(ts_ns, price)
        elif role & (OPENING | CLOSING):
            self._set_auction(ts_ns, price, role)
        if role & (HIGH_LOW | OPENING | CLOSING):
            self.high = max(self.high, price)
            self.low = min(self.low, price)
        if role & VOLUME:
            self.volume += size
            self.notional += price * size
        self.tick_count += role != IGNORED

    def _set_last(self, ts_ns: int, price: float) -> None:
        if ts_ns < self.first_ts_ns:
            self.first_ts_ns = ts_ns
            self.open = price
        if self.last_ts_ns == NEVER_NS or ts_ns >= self.last_ts_ns:
            self.last_ts_ns = ts_ns
            self.close = price

    def _set_auction(self, ts_ns: int, price: float, role: int) -> None:
        # An auction may be reported in pieces: the first piece opens, the last one closes.
        if role & OPENING and ts_ns < self.opening_ts_ns:
            self.opening_ts_ns = ts_ns
            self.opening = price
        if role & CLOSING and (self.closing is None or ts_ns >= self.closing_ts_ns):
            self.closing_ts_ns = ts_ns
            self.closing = price

    @property
    def has_price(self) -> bool:
        """Return whether a print has set open and close."""
        return self.first_ts_ns != NEVER_NS or self.opening is not None or self.closing is not None

    def ends(self) -> tuple[float, float]:
        """Return open and close: those of the auctions where there are any."""
        # Where an auction is the only price, it is both.
        is_plain = self.first_ts_ns != NEVER_NS or (self.opening is None and self.closing is None)
        first = self.open if is_plain else self.closing
        last = self.close if is_plain else self.opening
        open_ = first if self.opening is None else self.opening
        close = last if self.closing is None else self.closing
        assert open_ is not None, "a minute without plain prints has an auction"
        assert close is not None, "a minute without plain prints has an auction"
        return open_, close

    def move_in(self, other: Minute) -> None:
        """Take the volume of a minute that has no price of its own."""
        self.moved.append((other.volume, other.notional, other.tick_count))
        self._add_moved(self.moved[-1])

    def _add_moved(self, moved: tuple[float, float, int]) -> None:
        volume, notional, count = moved
        self.volume += volume
        self.notional += notional
        self.tick_count += count

    def change_print(self, index: int, *, price: float, size: float, role: int) -> None:
        """Give a kept print other values, or no role, and build the minute again."""
        prints = self.prints
        assert prints is not None, "only kept prints can change"
        prints.prices[index], prints.sizes[index], prints.roles[index] = price, size, role
        before = (*self.ends(), self.high, self.low)
        self._clear()
        for ts_ns, each, amount, does in zip(prints.times, prints.prices, prints.sizes, prints.roles, strict=True):
            self.add_print(ts_ns, each, amount, role=does)
        for moved in self.moved:
            self._add_moved(moved)
        if not self.has_price:
            # Nothing is left to name a price: the bar keeps its own, and its counts say that it was withdrawn.
            self.open, self.close, self.high, self.low = before

    # --- quotes ----------------------------------------------------------------------------------------------

    def add_quote(self, ts_ns: int, bid: float, ask: float) -> None:
        """Take a quote of both sides."""
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

    def add_sides(self, ts_ns: int, bid: float, ask: float) -> None:
        """Take a quote of which a side may be unknown (0)."""
        is_first = ts_ns < self.first_quote_ts_ns
        is_last = self.quote_count == 0 or ts_ns >= self.last_quote_ts_ns
        if is_first:
            self.first_quote_ts_ns = ts_ns
        if is_last:
            self.last_quote_ts_ns = ts_ns
        if bid > 0.0:
            self.bid_open = bid if is_first or not self.bid_open else self.bid_open
            self.bid_close = bid if is_last or not self.bid_close else self.bid_close
            self.bid_high, self.bid_low = max(self.bid_high, bid), min(self.bid_low, bid)
        if ask > 0.0:
            self.ask_open = ask if is_first or not self.ask_open else self.ask_open
            self.ask_close = ask if is_last or not self.ask_close else self.ask_close
            self.ask_high, self.ask_low = max(self.ask_high, ask), min(self.ask_low, ask)
        self.quote_count += 1

    def add_middle(self, middle: float) -> None:
        """Widen high and low by the middle of a quote."""
        self.high = max(self.high, middle)
        self.low = min(self.low, middle)

    def settle_middles(self) -> None:
        """Make open and close of the middle, which follow from those of bid and ask; nothing was traded."""
        self.open = middle_of(self.bid_open, self.ask_open)
        self.add_middle(self.open)
        self.close = middle_of(self.bid_close, self.ask_close)

    def open_quotes_at(self, bid: float, ask: float) -> None:
        """Open the sides where they stood at the end of the minute before; 0 where one did not stand yet."""
        if bid > 0.0:
            self.bid_open = bid
            self.bid_high, self.bid_low = max(self.bid_high, bid), min(self.bid_low, bid)
        if ask > 0.0:
            self.ask_open = ask
            self.ask_high, self.ask_low = max(self.ask_high, ask), min(self.ask_low, ask)

    # --- the bar ---------------------------------------------------------------------------------------------

    def quote_bar(self) -> QuoteBar | None:
        """Return what bid and ask did, or None where one of them was never quoted."""
        if not (self.quote_count and self.bid_close > 0.0 and self.ask_close > 0.0):
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

    def bar(
        self,
        instrument_id: InstrumentId,
        *,
        quotes: QuoteBar | None,
        revision: int,
        complete: bool,
        traded: bool = True,
    ) -> Bar:
        """Return the minute as a bar; `traded` is False where its prices are middles."""
        open_, close = self.ends()
        return Bar(
            instrument_id=instrument_id,
            start_ts_ns=self.start_ts_ns,
            open=open_,
            high=self.high,
            low=self.low,
            close=close,
            volume=self.volume,
            vwap=self.notional / self.volume if traded and self.volume > 0 else close,
            tick_count=self.tick_count,
            quote_count=self.quote_count,
            quotes=quotes,
            session_kind=self.session_kind,
            revision=revision,
            complete=complete,
        )


def minute_of(bar: Bar) -> Minute:
    """Return a finished bar as a minute that can still take late prints, whose own prints are not known.

    They cannot come before its open or after its close; its notional is that of its average price.
    """
    minute = Minute(bar.start_ts_ns, bar.session_kind)
    minute.first_ts_ns, minute.last_ts_ns = minute.start_ts_ns, minute.end_ts_ns
    minute.open, minute.high, minute.low, minute.close = bar.open, bar.high, bar.low, bar.close
    minute.volume, minute.notional = bar.volume, bar.vwap * bar.volume
    minute.tick_count, minute.quote_count = bar.tick_count or 0, bar.quote_count or 0
    return minute
