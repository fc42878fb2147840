"""One instrument's tape: who its prints are, which minute they belong to, and what late ones revise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from engine.core.bars.days import TradingDay, trading_day
from engine.core.bars.filters import NO_FILTER, TapeRules
from engine.core.bars.minutes import Minute, Prints
from engine.core.bars.refusals import Refusal, tick_fault
from engine.core.bars.revisions import KeptDay, KeptMinute
from engine.core.bars.roles import CLOSING, IGNORED, OPENING, PRICED, VOLUME, Conditions, Place
from engine.core.bars.sequences import Numbered, SequenceGuard
from engine.core.messages import Bar, GapMarked, Quote, QuoteBar, Tick, TickCanceled, TickCorrected
from engine.core.values import MINUTE_NS, InstrumentId, SessionKind, Sessions

# Distinct conditions of a day: a tape uses a few dozen; more would be a stream of nonsense.
_ROLES_MAX: Final = 4096


def sets_last(tick: Tick, rules: TapeRules, sessions: Sessions) -> bool:
    """Return whether a print sets a last price: by its conditions alone, whatever came before it."""
    if rules.filter is NO_FILTER:
        return True
    session = trading_day(sessions, tick.venue_ts_ns).session
    listing = rules.listing_exchanges.get(tick.instrument_id, "")
    start_ts_ns = tick.venue_ts_ns - tick.venue_ts_ns % MINUTE_NS
    is_regular = session.open_ts_ns <= start_ts_ns < session.close_ts_ns
    place = Place(bool(listing) and tick.exchange == listing, is_regular, session.date, listing)
    return bool((rules.filter.role_of(tick.conditions, place) or IGNORED) & PRICED)


class Tape:
    """Follow the tape of one instrument for its bar builder."""

    __slots__ = (
        "_carried",
        "_carried_day",
        "_day",
        "_filter",
        "_guard",
        "_instrument_id",
        "_kept",
        "_last_ts_ns",
        "_listing",
        "_revised_ts_ns",
        "_roles",
        "_sessions",
        "_sides",
        "_sides_day",
        "carries_quotes",
        "revises",
    )

    def __init__(self, instrument_id: InstrumentId, sessions: Sessions, rules: TapeRules) -> None:
        self._instrument_id = instrument_id
        self._sessions = sessions
        self._filter = rules.filter
        self._listing = rules.listing_exchanges.get(instrument_id, "")
        #: Whether finished minutes are kept and revised.
        self.revises = rules.revises
        #: Whether quotes come side by side, and open where they stood.
        self.carries_quotes = rules.filter.carries_quotes
        self._day: TradingDay | None = None
        self._roles: dict[tuple[Conditions, bool, bool], int | None] = {}
        self._guard = SequenceGuard(counts=rules.filter.counts_prints)
        self._last_ts_ns = 0
        self._kept = KeptDay()
        self._revised_ts_ns = 0
        # Bid and ask as they stand, and as they stood at the end of the last finished minute; 0 where unknown.
        self._sides = self._carried = (0.0, 0.0)
        self._sides_day: TradingDay | None = None
        self._carried_day: TradingDay | None = None

    # --- who a print is --------------------------------------------------------------------------------------

    def missing_before(self, tick: Tick, open_minutes: Collection[Minute]) -> GapMarked | Refusal | None:
        """Take the number of a print; return the gap before it, or why it is refused."""
        sequence = tick.sequence
        if sequence is None:
            return None
        before = self._guard.last
        standing = self._guard.take(sequence)
        if standing is Numbered.BEHIND:
            is_new = self.revises and not self._filter.counts_prints and self._find(sequence, open_minutes) is None
            return None if is_new else Refusal.DUPLICATE
        last_ts_ns, self._last_ts_ns = self._last_ts_ns, max(self._last_ts_ns, tick.venue_ts_ns)
        if standing is not Numbered.AHEAD or before is None:
            return None
        missing = sequence - before - 1
        numbers = f"sequence {before + 1} is" if missing == 1 else f"sequences {before + 1} to {sequence - 1} are"
        return GapMarked(
            instrument_id=self._instrument_id,
            from_ts_ns=min(last_ts_ns, tick.venue_ts_ns),
            until_ts_ns=max(last_ts_ns, tick.venue_ts_ns),
            reason=f"{numbers} missing before the print {sequence}",
        )

    def role_of(self, tick: Tick, *, is_regular: bool) -> int | None:
        """Return what a print does to its bar; None where its conditions are unknown."""
        day = self._day_at(tick.venue_ts_ns)
        is_listing = bool(self._listing) and tick.exchange == self._listing
        key = (tick.conditions, is_listing, is_regular)
        try:
            return self._roles[key]
        except KeyError:
            place = Place(is_listing, is_regular, day.session.date, self._listing)
            role = self._filter.role_of(tick.conditions, place)
            if len(self._roles) < _ROLES_MAX:
                self._roles[key] = role
            return role

    def placed(self, role: int, ts_ns: int, start_ts_ns: int) -> tuple[int, int]:
        """Return the role of a print and the minute that it belongs to: auctions go to the ends of the session."""
        if not role & (OPENING | CLOSING):
            return role, start_ts_ns
        session = self._day_at(ts_ns).session
        if role & OPENING:
            if session.open_ts_ns <= ts_ns < session.open_ts_ns + MINUTE_NS:
                return role, session.open_ts_ns
        elif ts_ns >= session.close_ts_ns - MINUTE_NS:
            return role, session.close_ts_ns - MINUTE_NS
        # Reported at another time it opens or closes nothing, and is what it would be elsewhere.
        plain = role & ~(OPENING | CLOSING)
        return plain if plain & PRICED else IGNORED, start_ts_ns

    def _day_at(self, ts_ns: int) -> TradingDay:
        day = self._day
        if day is None or not day.start_ts_ns <= ts_ns < day.end_ts_ns:
            day = self._day = trading_day(self._sessions, ts_ns)
            # The roles of letters have dates.
            self._roles.clear()
        return day

    # --- finished minutes ------------------------------------------------------------------------------------

    def open(self, minute: Minute) -> None:
        """Let an open minute keep its prints, where they may change."""
        if self.revises:
            minute.prints = Prints()

    def add(self, minute: Minute, tick: Tick, role: int) -> None:
        """Add a print to its minute."""
        minute.add_print(tick.venue_ts_ns, tick.price, tick.size, role=role)
        if minute.prints is not None:
            minute.prints.add(tick.venue_ts_ns, tick.price, tick.size, role=role, sequence=tick.sequence)

    def finish(self, minute: Minute, quotes: QuoteBar | None, *, complete: bool) -> Bar | None:
        """Return the bar of a minute that is final, or the revision of the one before that took its volume."""
        if self.revises:
            self._kept.turn(self._day_at(minute.start_ts_ns))
        if minute.has_price:
            if not self.revises:
                return minute.bar(self._instrument_id, quotes=quotes, revision=0, complete=complete)
            return self._kept.keep(minute, quotes=quotes, complete=complete).bar(self._instrument_id)
        if not self._filter.moves_volume or not minute.volume:
            return None
        before = self._kept.before(minute.start_ts_ns)
        if before is None:
            self._kept.wait(minute)
            return None
        before.minute.move_in(minute)
        return self._revised(before)

    def late(self, tick: Tick, role: int, *, start_ts_ns: int, kind: SessionKind) -> Bar | None:
        """Return the revision that a print of a final minute makes; None where it comes too late for that."""
        self._kept.turn(self._day_at(start_ts_ns))
        if not self._kept.holds(start_ts_ns):
            return None
        kept = self._kept.get(start_ts_ns)
        if kept is not None:
            self.add(kept.minute, tick, role)
            return self._revised(kept)
        minute = Minute(start_ts_ns, kind)
        self.open(minute)
        self.add(minute, tick, role)
        if minute.has_price:
            return self._revised(self._kept.keep(minute, quotes=None, complete=True))
        before = self._kept.before(start_ts_ns) if self._filter.moves_volume else None
        if before is None:
            return None
        before.minute.move_in(minute)
        return self._revised(before)

    def change(self, change: TickCorrected | TickCanceled, open_minutes: Collection[Minute]) -> Bar | Refusal | None:
        """Correct or cancel a kept print; return the revision, None while its minute is open, or why not."""
        found = self._find(change.sequence, open_minutes)
        if found is None:
            return Refusal.UNKNOWN
        kept, minute, index = found
        prints = minute.prints
        assert prints is not None, "a print was found among them"
        role = prints.roles[index]
        price, size = prints.prices[index], prints.sizes[index]
        if role == IGNORED or change.old_price not in (None, price) or change.old_size not in (None, size):
            return Refusal.UNKNOWN
        if isinstance(change, TickCanceled):
            minute.change_print(index, price=price, size=size, role=IGNORED)
        else:
            fault = tick_fault(change, needs_size=bool(role & VOLUME))
            if fault is not None:
                return fault
            minute.change_print(index, price=change.price, size=change.size, role=role)
        return None if kept is None else self._revised(kept)

    def lose(self, gap: GapMarked) -> list[Bar]:
        """Return the revisions of the finished minutes in which prints were lost; none where none are kept."""
        return (
            [self._revised(kept) for kept in self._kept.lose(gap.from_ts_ns, gap.until_ts_ns)] if self.revises else []
        )

    def _revised(self, kept: KeptMinute) -> Bar:
        return kept.revised(self._instrument_id)

    def _find(self, sequence: int, open_minutes: Collection[Minute]) -> tuple[KeptMinute | None, Minute, int] | None:
        for minute in open_minutes:
            index = None if minute.prints is None else minute.prints.index_of(sequence)
            if index is not None:
                return None, minute, index
        found = self._kept.find(sequence)
        return None if found is None else (found[0], found[0].minute, found[1])

    # --- after a restart -------------------------------------------------------------------------------------

    def adopt(self, bars: Sequence[Bar], revised_ts_ns: int) -> None:
        """Go on from bars of the journal, in order; what came until `revised_ts_ns` is in them."""
        self._revised_ts_ns = revised_ts_ns
        for bar in bars:
            day = trading_day(self._sessions, bar.start_ts_ns)
            self._kept.turn(day)
            if self._kept.holds(bar.start_ts_ns):
                self._kept.adopt(bar)
            if bar.quotes is not None and not bar.revision:
                self._carried = self._sides = (bar.quotes.bid_close, bar.quotes.ask_close)
                self._carried_day = self._sides_day = day

    def was_seen(self, final_ts_ns: int, received_ts_ns: int, resumed_ts_ns: int, *, grace_ns: int) -> bool:
        """Return whether the journal's bars hold a print that a feed sends again after a restart.

        They hold what came before a minute was final, and what came later up to the last revision.
        """
        if received_ts_ns <= self._revised_ts_ns and final_ts_ns <= self._revised_ts_ns:
            return True
        return final_ts_ns - grace_ns <= resumed_ts_ns and received_ts_ns < final_ts_ns

    # --- quotes ----------------------------------------------------------------------------------------------

    def sides(self, quote: Quote) -> tuple[float, float]:
        """Return bid and ask after a quote, of which one may be missing (0): it stands where it was on this day."""
        day = self._day_at(quote.venue_ts_ns)
        if day is not self._sides_day and day != self._sides_day:
            self._sides = (0.0, 0.0)
        self._sides_day = day
        bid, ask = self._sides
        self._sides = (quote.bid or bid, quote.ask or ask)
        return self._sides

    def quotes_of(self, minute: Minute) -> QuoteBar | None:
        """Return what bid and ask did in a minute that is final."""
        if not self.carries_quotes or not minute.quote_count:
            return minute.quote_bar()
        day = self._day_at(minute.start_ts_ns)
        if day == self._carried_day:
            minute.open_quotes_at(*self._carried)
        self._carried_day = day
        self._carried = (minute.bid_close, minute.ask_close)
        return minute.quote_bar()
