"""The bar stage: prints or quotes of one instrument become finished one-minute bars.

A minute is final when the engine's time has reached its end plus the grace; nothing else closes it. Until then
late and out-of-order input goes to its own minute, so that several minutes may be open at once. Open and close are
the first and last by (venue time, arrival); sums run in the order of arrival, which fixes their last bits.

On a tape that is revised, what changes a final minute makes its next revision; strategies see revision 0 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from engine.core.bars.filters import TapeRules
from engine.core.bars.minutes import NEVER_NS, PRICE_LIMIT, SIZE_LIMIT, Minute, middle_of
from engine.core.bars.refusals import Refusal, quote_fault, sides_fault, tick_fault
from engine.core.bars.roles import VOLUME
from engine.core.bars.tape import Tape
from engine.core.messages import Bar, FeedInterrupted, GapMarked, Quote, QuoteBar, Tick, TickCanceled, TickCorrected
from engine.core.values import MINUTE_NS, SECOND_NS, InstrumentId, SessionKind, Sessions

#: How long after its end a minute still takes late input, ns.
GRACE_NS: Final = 2 * SECOND_NS

_DEFAULT_RULES: Final = TapeRules()


class PrintSource(StrEnum):
    """Name what the prices of a bar are made of."""

    TICKS = "ticks"
    #: The middle of bid and ask, for a feed without ticks.
    QUOTES = "quotes"


class BarBuilder:
    """Build the minutes of one instrument from its ticks, or from its quotes when there are no ticks.

    Every method takes input in the order of `received_ts_ns`, which never decreases. What is returned are the
    bars that became final (revision 0), oldest first, and the revisions of final ones; None where nothing became
    true. Gaps in the sequences of a tape are taken by `take_gaps`. Each raises BadInput for a time that the calendar
    does not hold.
    """

    __slots__ = (
        "_due_ts_ns",
        "_final_before_ts_ns",
        "_gaps",
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
        "_rules",
        "_sessions",
        "_tape",
        "refused",
    )

    def __init__(
        self,
        instrument_id: InstrumentId,
        sessions: Sessions,
        *,
        grace_ns: int = GRACE_NS,
        prints_from: PrintSource = PrintSource.TICKS,
        rules: TapeRules = _DEFAULT_RULES,
    ) -> None:
        #: Refused inputs by reason since the beginning.
        self.refused: dict[str, int] = {}
        self._new_refusals: dict[str, int] = {}
        self._instrument_id = instrument_id
        self._sessions = sessions
        self._grace_ns = grace_ns
        self._prints_from = prints_from
        self._rules = rules
        self._minutes: dict[int, Minute] = {}
        # The open minute of the last input, for the fast path; a tape with rules has none there.
        self._minute = _NO_MINUTE
        # Without a filter, revisions and sequences there is no tape to follow: each print is like any other.
        is_plain = rules.filter.name == "none" and not rules.revises
        self._tape = None if is_plain else Tape(instrument_id, sessions, rules)
        # When the earliest open minute becomes final.
        self._due_ts_ns = NEVER_NS
        self._final_before_ts_ns = -NEVER_NS
        self._ignored_before_ts_ns = -NEVER_NS
        self._lost: list[tuple[int, int]] = []
        self._gaps: list[GapMarked] = []
        # The session kind holds inside these bounds, so that the calendar is asked twice a day.
        self._kind = SessionKind.EXTENDED
        self._kind_from_ts_ns = self._kind_until_ts_ns = 0

    def on_tick(self, tick: Tick) -> Sequence[Bar] | None:
        """Take one print; return the bars that it made, empty where it only showed a gap."""
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
            and quote_fault(quote) is None
        ):
            self._add_quote(minute, ts_ns, quote.bid, quote.ask)
            return None
        return self._take_quote(quote)

    def on_correction(self, change: TickCorrected | TickCanceled) -> Sequence[Bar] | None:
        """Take the correction or the cancel of a print; return the minutes that became final, and the revision."""
        made = list(self.on_time(change.received_ts_ns) or ())
        if self._tape is None:
            self._refuse(Refusal.UNKNOWN)
            return made or None
        result = self._tape.change(change, self._minutes.values())
        if isinstance(result, Refusal):
            self._refuse(result)
        elif result is not None:
            made.append(result)
        return made or None

    def on_time(self, received_ts_ns: int) -> Sequence[Bar] | None:
        """Take the engine's time; return the bars that became final by it."""
        return None if received_ts_ns < self._due_ts_ns else self._close(received_ts_ns)

    def on_interrupted(self, interruption: FeedInterrupted) -> None:
        """Mark the open and coming minutes that overlap a lost interval as incomplete."""
        self._lost.append((interruption.from_ts_ns, interruption.until_ts_ns))

    def start_from(self, ts_ns: int, *, bars: Sequence[Bar] = (), revised_ts_ns: int = 0) -> None:
        """Ignore without a count what belongs to minutes that start earlier: they were journaled before.

        On a tape that is revised, `bars` are the minutes of the journal at their last revision; what was received
        up to `revised_ts_ns`, and what came in the grace of a minute, is in them already.
        """
        self._ignored_before_ts_ns = ts_ns
        if self._tape is not None and bars:
            self._tape.adopt(bars, revised_ts_ns)

    def take_refusals(self) -> dict[str, int]:
        """Return the refused inputs by reason since the last call, and forget them (`refused` keeps the totals)."""
        taken, self._new_refusals = self._new_refusals, {}
        return taken

    def take_gaps(self) -> list[GapMarked]:
        """Return the gaps that the sequences showed since the last call, and forget them."""
        taken, self._gaps = self._gaps, []
        return taken

    # --- prints ----------------------------------------------------------------------------------------------

    def _take_tick(self, tick: Tick) -> Sequence[Bar] | None:
        if self._tape is not None:
            return self._take_print(tick, self._tape)
        if tick.sequence is not None:
            # From here on each print goes by its number, and no minute stands on the fast path any more.
            self._tape = Tape(self._instrument_id, self._sessions, self._rules)
            self._minute = _NO_MINUTE
            return self._take_print(tick, self._tape)
        finished = self.on_time(tick.received_ts_ns)
        fault = Refusal.UNEXPECTED if self._prints_from is PrintSource.QUOTES else tick_fault(tick, needs_size=True)
        minute = self._admit(tick.venue_ts_ns, tick.received_ts_ns, fault)
        if minute is not None:
            minute.add_tick(tick.venue_ts_ns, tick.price, tick.size)
        return finished

    def _take_print(self, tick: Tick, tape: Tape) -> Sequence[Bar] | None:
        made = list(self.on_time(tick.received_ts_ns) or ())
        gap = tape.missing_before(tick, self._minutes.values())
        if isinstance(gap, Refusal):
            self._refuse(gap)
            return made or None
        if gap is not None:
            self._lost.append((gap.from_ts_ns, gap.until_ts_ns))
        revision = self._place_print(tick, tape)
        if revision is not None:
            made.append(revision)
        if gap is None:
            return made or None
        made += tape.lose(gap)
        # Not None, so that the gap is asked for.
        self._gaps.append(gap)
        return made

    def _place_print(self, tick: Tick, tape: Tape) -> Bar | None:
        ts_ns, received_ts_ns = tick.venue_ts_ns, tick.received_ts_ns
        start_ts_ns = ts_ns - ts_ns % MINUTE_NS
        role = tape.role_of(tick, is_regular=self._kind_at(start_ts_ns) is SessionKind.REGULAR)
        if role is None:
            self._refuse(Refusal.CONDITION)
            return None
        if not role:
            return None
        role, start_ts_ns = tape.placed(role, ts_ns, start_ts_ns)
        if not role:
            return None
        final_ts_ns = start_ts_ns + MINUTE_NS + self._grace_ns
        if tape.was_seen(final_ts_ns, received_ts_ns, self._ignored_before_ts_ns, grace_ns=self._grace_ns):
            return None
        fault = tick_fault(tick, needs_size=bool(role & VOLUME))
        if self._prints_from is PrintSource.QUOTES:
            fault = Refusal.UNEXPECTED
        if fault is None and self._time_fault(start_ts_ns, received_ts_ns) is Refusal.LATE and tape.revises:
            return self._revise(tick, tape, role=role, start_ts_ns=start_ts_ns)
        minute = self._admit(start_ts_ns, received_ts_ns, fault)
        if minute is not None:
            tape.add(minute, tick, role)
        return None

    def _revise(self, tick: Tick, tape: Tape, *, role: int, start_ts_ns: int) -> Bar | None:
        bar = tape.late(tick, role, start_ts_ns=start_ts_ns, kind=self._kind_at(start_ts_ns))
        if bar is None:
            self._refuse(Refusal.LATE)
        return bar

    # --- quotes ----------------------------------------------------------------------------------------------

    def _take_quote(self, quote: Quote) -> Sequence[Bar] | None:
        finished = self.on_time(quote.received_ts_ns)
        carries = self._tape is not None and self._tape.carries_quotes
        fault = sides_fault(quote) if carries else quote_fault(quote)
        minute = self._admit(quote.venue_ts_ns, quote.received_ts_ns, fault)
        if minute is not None:
            if carries:
                assert self._tape is not None, "only a tape carries quotes"
                self._add_sides(minute, quote.venue_ts_ns, *self._tape.sides(quote))
            else:
                self._add_quote(minute, quote.venue_ts_ns, quote.bid, quote.ask)
        return finished

    def _add_sides(self, minute: Minute, ts_ns: int, bid: float, ask: float) -> None:
        minute.add_sides(ts_ns, bid, ask)
        if self._prints_from is PrintSource.QUOTES and bid > 0.0 and ask > 0.0:
            minute.add_middle(middle_of(bid, ask))

    def _add_quote(self, minute: Minute, ts_ns: int, bid: float, ask: float) -> None:
        minute.add_quote(ts_ns, bid, ask)
        if self._prints_from is PrintSource.QUOTES:
            minute.add_middle(middle_of(bid, ask))

    # --- minutes ---------------------------------------------------------------------------------------------

    def _admit(self, ts_ns: int, received_ts_ns: int, fault: Refusal | None) -> Minute | None:
        # Finds or opens the minute of an input; None when the input is refused or was journaled before.
        start_ts_ns = ts_ns - ts_ns % MINUTE_NS
        if start_ts_ns < self._ignored_before_ts_ns:
            return None
        reason = fault or self._time_fault(start_ts_ns, received_ts_ns)
        if reason is not None:
            self._refuse(reason)
            return None
        minute = self._minutes.get(start_ts_ns)
        if minute is None:
            minute = self._minutes[start_ts_ns] = Minute(start_ts_ns, self._kind_at(start_ts_ns))
            self._due_ts_ns = min(self._due_ts_ns, minute.end_ts_ns + self._grace_ns)
            if self._tape is not None:
                self._tape.open(minute)
        if self._tape is None:
            self._minute = minute
        return minute

    def _refuse(self, reason: Refusal) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self._new_refusals[reason] = self._new_refusals.get(reason, 0) + 1

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
        self._due_ts_ns = NEVER_NS if earliest is None else earliest + MINUTE_NS + self._grace_ns
        self._lost = [lost for lost in self._lost if lost[1] > self._final_before_ts_ns]
        return bars or None

    def _finish(self, minute: Minute) -> Bar | None:
        complete = not any(
            from_ts < minute.end_ts_ns and until_ts > minute.start_ts_ns for from_ts, until_ts in self._lost
        )
        tape = self._tape
        quotes = tape.quotes_of(minute) if tape is not None else minute.quote_bar()
        if self._prints_from is PrintSource.QUOTES:
            return self._bar_of_quotes(minute, quotes, complete=complete)
        if tape is not None:
            return tape.finish(minute, quotes, complete=complete)
        if not minute.tick_count:
            return None
        return minute.bar(self._instrument_id, quotes=quotes, revision=0, complete=complete)

    def _bar_of_quotes(self, minute: Minute, quotes: QuoteBar | None, *, complete: bool) -> Bar | None:
        if quotes is None:
            return None
        minute.settle_middles()
        return minute.bar(self._instrument_id, quotes=quotes, revision=0, complete=complete, traded=False)


# Stands where no minute is open; no input ever fits it.
_NO_MINUTE: Final = Minute(-MINUTE_NS, SessionKind.EXTENDED)
