"""The signal stage: strategies look at finished bars and say what they want. They send nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from engine.core.messages import Bar, OrderFilled, Quote, Signal
from engine.core.values import ZERO, Instrument, Session


class Context:
    """Show a strategy its own situation at a bar's close. One object per strategy and instrument, reused."""

    __slots__ = ("has_working_entry", "instrument", "position_quantity", "session", "session_number")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        #: What the strategy holds, in shares or coins.
        self.position_quantity: Decimal = ZERO
        #: True while an entry is decided and not yet filled, canceled or refused.
        self.has_working_entry = False
        #: The session of the bar; None for a bar outside regular hours.
        self.session: Session | None = None
        #: Counts the sessions that the strategy has seen, from 0.
        self.session_number = 0

    @property
    def is_flat(self) -> bool:
        """Return whether nothing is held and no entry works."""
        return not self.position_quantity and not self.has_working_entry


class Strategy(Protocol):
    """Turn bars into signals. One instance serves one instrument."""

    #: True to be shown bars outside regular hours too.
    extended_hours: bool
    #: True to have `on_quote` called.
    wants_quotes: bool
    #: True to have `on_timer` called.
    wants_timer: bool
    #: Bars to replay after a restart, so that the strategy goes on with the same bits; None for all.
    warm_up_bars: int | None

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Return what is wanted at the close of a bar (revision 0); usually nothing."""

    def on_fill(self, fill: OrderFilled, context: Context) -> Sequence[Signal]:
        """Return what is wanted after an own fill; usually nothing."""

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        """Return what is wanted after a quote; only called when `wants_quotes` is true.

        Every quote of the instrument is then journaled, since a restart has to show it again: a large account file.
        """

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        """Return what is wanted when the minute turns; only called when `wants_timer` is true."""
