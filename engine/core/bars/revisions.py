"""The finished minutes of a tape's day, kept so that what comes late can revise them."""

from __future__ import annotations

from typing import Final

from engine.core.bars.days import TradingDay
from engine.core.bars.minutes import Minute, minute_of
from engine.core.messages import Bar, QuoteBar
from engine.core.values import InstrumentId

#: How many prints of an instrument are kept, about 66 MB; the oldest minutes lose theirs beyond it.
PRINTS_KEPT_MAX: Final = 2_000_000


class KeptMinute:
    """Hold one finished minute with what its last revision said."""

    __slots__ = ("complete", "minute", "quotes", "revision")

    def __init__(self, minute: Minute, *, quotes: QuoteBar | None, complete: bool, revision: int) -> None:
        self.minute = minute
        self.quotes = quotes
        self.complete = complete
        self.revision = revision

    def bar(self, instrument_id: InstrumentId) -> Bar:
        """Return the minute at its last revision."""
        return self.minute.bar(instrument_id, quotes=self.quotes, revision=self.revision, complete=self.complete)

    def revised(self, instrument_id: InstrumentId) -> Bar:
        """Return the minute as its next revision."""
        self.revision += 1
        return self.bar(instrument_id)


class KeptDay:
    """Keep the finished minutes of one trading day."""

    __slots__ = ("_homeless", "_minutes", "_prints", "_prints_max", "day")

    def __init__(self, *, prints_max: int = PRINTS_KEPT_MAX) -> None:
        self.day: TradingDay | None = None
        self._prints_max = prints_max
        self._prints = 0
        self._minutes: dict[int, KeptMinute] = {}
        # Minutes with volume and no price, before the first bar of the day.
        self._homeless: list[Minute] = []

    def turn(self, day: TradingDay) -> None:
        """Forget the kept day when `day` is a later one."""
        if self.day is None or day.start_ts_ns >= self.day.end_ts_ns:
            self.day = day
            self._minutes.clear()
            self._homeless.clear()
            self._prints = 0

    def holds(self, start_ts_ns: int) -> bool:
        """Return whether a minute belongs to the kept day."""
        return self.day is not None and self.day.start_ts_ns <= start_ts_ns < self.day.end_ts_ns

    def get(self, start_ts_ns: int) -> KeptMinute | None:
        """Return a finished minute, or None where it made no bar."""
        return self._minutes.get(start_ts_ns)

    def before(self, start_ts_ns: int) -> KeptMinute | None:
        """Return the last bar before a minute, or None where the day has none."""
        start = max((start for start in self._minutes if start < start_ts_ns), default=None)
        return None if start is None else self._minutes[start]

    def keep(self, minute: Minute, *, quotes: QuoteBar | None, complete: bool, revision: int = 0) -> KeptMinute:
        """Keep a finished minute; the first of the day takes in what had no bar before it."""
        for other in self._homeless:
            minute.move_in(other)
        self._homeless.clear()
        kept = KeptMinute(minute, quotes=quotes, complete=complete, revision=revision)
        self._minutes[minute.start_ts_ns] = kept
        self._prints += len(minute.prints or ())
        if self._prints > self._prints_max:
            self._drop_prints()
        return kept

    def lose(self, from_ts_ns: int, until_ts_ns: int) -> list[KeptMinute]:
        """Mark the finished minutes that overlap a lost interval as incomplete; return those that were not yet."""
        lost = [
            kept
            for _, kept in sorted(self._minutes.items())
            if kept.complete and from_ts_ns < kept.minute.end_ts_ns and until_ts_ns > kept.minute.start_ts_ns
        ]
        for kept in lost:
            kept.complete = False
        return lost

    def adopt(self, bar: Bar) -> None:
        """Keep a bar that was made before a restart, at its last revision."""
        self._minutes[bar.start_ts_ns] = KeptMinute(
            minute_of(bar), quotes=bar.quotes, complete=bar.complete, revision=bar.revision
        )

    def wait(self, minute: Minute) -> None:
        """Hold the volume of a minute without a price for the first bar of the day."""
        self._homeless.append(minute)

    def find(self, sequence: int) -> tuple[KeptMinute, int] | None:
        """Return the finished minute of a print and its place there; None where it is not kept."""
        for kept in reversed(self._minutes.values()):
            prints = kept.minute.prints
            index = None if prints is None else prints.index_of(sequence)
            if index is not None:
                return kept, index
        return None

    def _drop_prints(self) -> None:
        for kept in self._minutes.values():
            if kept.minute.prints is not None:
                self._prints -= len(kept.minute.prints)
                kept.minute.prints = None
            if self._prints <= self._prints_max // 2:
                return
