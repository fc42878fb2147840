"""The bar builders of a pipeline, and what they go on from after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.core.bars import BarBuilder
from engine.core.messages import Bar, Draft, Event, FeedInterrupted, GapMarked, InputsRefused
from engine.core.pipeline.settings import Market, PipelineSettings
from engine.core.values import MINUTE_NS, InstrumentId

# Minutes of a day on the tape, with its extended hours, and some more.
_REMEMBERED_BARS: Final = 1_500


class Builders:
    """Hold one bar builder per instrument that has sent prints or quotes, in the order of the settings."""

    __slots__ = ("_journaled", "_order", "_revised_ts_ns", "_settings", "by_instrument")

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._order = tuple(settings.instruments)
        #: The builders by instrument; replaced as a whole when one joins.
        self.by_instrument: dict[InstrumentId, BarBuilder] = {}
        # The journal's bars at their last revision, and when that came, until a builder takes them over.
        self._journaled: dict[InstrumentId, dict[int, Bar]] = {}
        self._revised_ts_ns: dict[InstrumentId, int] = {}

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
