"""The bar builders of a pipeline, and what they go on from after a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.core.bars import BarBuilder
from engine.core.messages import (
    Bar,
    BarClosed,
    Draft,
    Event,
    FeedInterrupted,
    GapMarked,
    InputsRefused,
    Quote,
    Tick,
    TickCanceled,
    TickCorrected,
)
from engine.core.pipeline.settings import Market, PipelineSettings
from engine.core.values import MINUTE_NS, InstrumentId

#: What bars are made of.
PrintEvent = Tick | TickCorrected | TickCanceled | Quote

# Minutes of a day on the tape, with its extended hours, and some more.
_REMEMBERED_BARS: Final = 1_500


class Builders:
    """Hold one bar builder per instrument that has sent prints or quotes, in the order of the settings."""

    __slots__ = ("_counted_at", "_journaled", "_order", "_revised_ts_ns", "_settings", "by_instrument")

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._order = tuple(settings.instruments)
        #: The builders by instrument; replaced as a whole when one joins.
        self.by_instrument: dict[InstrumentId, BarBuilder] = {}
        # The journal's bars at their last revision, and when that came, until a builder takes them over.
        self._journaled: dict[InstrumentId, dict[int, Bar]] = {}
        self._revised_ts_ns: dict[InstrumentId, int] = {}
        # The event at which the journal last counted an instrument's refusals.
        self._counted_at: dict[InstrumentId, Event] = {}

    def remember(self, bar: Bar, event: Event) -> None:
        """Keep a journaled bar that a tape may still revise: the minutes of its last day or two."""
        if not self._settings.tape.revises:
            return
        known = self._journaled.setdefault(bar.instrument_id, {})
        known[bar.start_ts_ns] = bar
        if len(known) > _REMEMBERED_BARS:
            del known[min(known)]
        if bar.revision:
            self._revised_ts_ns[bar.instrument_id] = event.received_ts_ns

    def remember_refusals(self, event: Event, facts: Sequence[GapMarked | InputsRefused]) -> None:
        """Keep when the journal counted refusals: what was refused until then is counted."""
        # Bars are refused without a builder.
        if not isinstance(event, BarClosed):
            for fact in facts:
                if isinstance(fact, InputsRefused):
                    self._counted_at[fact.instrument_id] = event

    def rebuild(self, event: PrintEvent | FeedInterrupted) -> None:
        """Give a builder what was processed before a restart, and drop what comes of it: the journal holds that."""
        builder = self.by_instrument[event.instrument_id]
        if isinstance(event, FeedInterrupted):
            builder.on_interrupted(event)
            return
        if isinstance(event, Tick):
            builder.on_tick(event)
        elif isinstance(event, Quote):
            builder.on_quote(event)
        else:
            builder.on_correction(event)
        builder.take_gaps()
        if self._is_counted(event):
            builder.take_refusals()

    def _is_counted(self, event: PrintEvent) -> bool:
        counted_at = self._counted_at.get(event.instrument_id)
        if counted_at is None or event.received_ts_ns > counted_at.received_ts_ns:
            return False
        # A print at which refusals are counted is counted with them; what another event brings comes after its count.
        return event.received_ts_ns < counted_at.received_ts_ns or (
            event == counted_at and not isinstance(event, Quote)
        )

    def add(self, instrument_id: InstrumentId, market: Market) -> BarBuilder:
        """Return a new builder, which goes on after the last minute that its market has."""
        settings = self._settings
        builder = BarBuilder(
            instrument_id,
            market.sessions,
            grace_ns=settings.grace_ns,
            prints_from=settings.prints_from,
            rules=settings.tape,
        )
        if market.last_start_ts_ns >= 0:
            journaled = self._journaled.pop(instrument_id, {})
            builder.start_from(
                market.last_start_ts_ns + MINUTE_NS,
                bars=[bar for _, bar in sorted(journaled.items())],
                revised_ts_ns=self._revised_ts_ns.pop(instrument_id, 0),
            )
        known = {**self.by_instrument, instrument_id: builder}
        # Minutes of several instruments end in the order of the settings: who prints first differs after a restart.
        self.by_instrument = {key: known[key] for key in self._order if key in known}
        return builder

    def interrupt(self, event: FeedInterrupted, draft: Draft) -> None:
        """Mark what a feed lost, in the minutes that are open and as a fact."""
        builder = self.by_instrument.get(event.instrument_id)
        if builder is not None:
            builder.on_interrupted(event)
        draft.facts.append(
            GapMarked(
                instrument_id=event.instrument_id,
                from_ts_ns=event.from_ts_ns,
                until_ts_ns=event.until_ts_ns,
                reason=event.reason,
            )
        )

    def report_refusals(self, draft: Draft) -> None:
        """Say what the builders have refused since the last time."""
        for instrument_id, builder in self.by_instrument.items():
            refuse(instrument_id, builder.take_refusals(), draft)


def refuse(instrument_id: InstrumentId, refusals: Mapping[str, int], draft: Draft) -> None:
    """Say how many inputs of an instrument were refused, by reason."""
    for reason, count in refusals.items():
        draft.facts.append(
            InputsRefused(instrument_id=instrument_id, reason=str(reason), count=count, ts_ns=draft.ts_ns)
        )
