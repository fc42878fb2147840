"""The terminal view of a run: a screen that redraws itself, or plain lines where there is no terminal.

A step only updates a small state under a lock; a thread redraws it at most eight times a second, however fast the
steps come. All that is shown comes from the facts of the steps, so a view is brought up to date after a restart by
showing it the earlier steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.cli import live_panels
from engine.cli.live_panels import Frame, Heading
from engine.cli.live_state import RunState
from engine.cli.live_values import RunTotals
from engine.cli.tables import moment, money, price, quantity
from engine.core.messages import (
    BracketTransitioned,
    Event,
    GapMarked,
    SignalEmitted,
    Step,
    TradeBooked,
    TradingStateChanged,
)
from engine.core.values import MINUTE_NS, Instrument, InstrumentId

REFRESHES_PER_SECOND: Final = 8
#: Of each symbol, where there is room.
_BARS_WANTED: Final = 8
_ORDERS_WANTED: Final = 10
_TWO_COLUMNS_WIDTH: Final = 120
_BORDERS_HEIGHT: Final = 32
_TWO_COLUMNS_HEIGHT: Final = 24
_HEADER_LINES: Final = 4
_QUIET_LINE_NS: Final = 30 * MINUTE_NS


class LiveView:
    """Show a run while it goes on: an observer of steps and a context manager around them.

    `phase` (what the run is doing) and `speed` may be changed at any time. On a console that is no terminal it prints
    a line per signal, fill, end of a round trip and change of the trading state, and one per thirty market minutes.
    """

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument],
        *,
        title: str,
        mode_label: str = "PAPER",
        console: Console | None = None,
        speed: float | None = None,
        database: Path | str | None = None,
    ) -> None:
        self._state = RunState(instruments)
        self._title = title
        self._mode_label = mode_label
        self._console = Console() if console is None else console
        _show_what_cannot_be_encoded(self._console)
        self._database = "" if database is None else str(database)
        #: Market seconds per second; None for as fast as it goes.
        self.speed = speed
        #: What the run is doing, in a few words.
        self.phase = ""
        self._lock = Lock()
        self._live: Live | None = None
        self._prints_lines = False
        self._quiet_until_ts_ns = 0

    def __call__(self, event: Event, step: Step) -> None:
        """Take in one step."""
        with self._lock:
            self._state.take(event, step)
            lines = list(self._lines(step)) if self._prints_lines else ()
        for line in lines:
            self._console.print(Text(line), soft_wrap=True)

    def __enter__(self) -> Self:
        """Begin to show."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            self._prints_lines = True
            return self
        self._live = Live(
            console=self._console,
            get_renderable=self.render,
            refresh_per_second=REFRESHES_PER_SECOND,
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Show the last state once more and leave the terminal as it was."""
        self._prints_lines = False
        if self._live is not None:
            self._live.stop()
            self._live = None

    def totals(self) -> RunTotals:
        """Return the figures of the run so far."""
        with self._lock:
            return self._state.totals()

    def summary(self) -> RenderableType:
        """Return the figures of the run, for the end of it."""
        return live_panels.summary(self.totals(), title="Summary")

    def restrictions(self) -> list[str]:
        """Return a line per scope that may not trade freely now: its state, what it is, and the reason."""
        with self._lock:
            return self._state.restrictions()

    def render(self) -> RenderableType:
        """Return the whole view for the console's present size."""
        width, height = self._console.size
        with self._lock:
            if width >= _TWO_COLUMNS_WIDTH and height >= _TWO_COLUMNS_HEIGHT:
                return self._two_columns(width, height)
            return self._one_column(width, height)

    # --- layout --------------------------------------------------------------------------------------------

    def _header(self, width: int, *, has_border: bool) -> RenderableType:
        speed = "" if self.speed is None else f"{self.speed:,.6g}x"
        heading = Heading(
            title=self._title,
            mode_label=self._mode_label,
            speed=speed,
            database=self._database,
            phase=self.phase,
        )
        return live_panels.header(self._state, heading, width=width, has_border=has_border)

    # Left the market and what is held of it, right what was wanted and ordered.
    def _two_columns(self, width: int, height: int) -> RenderableType:
        left, state = width // 2, self._state
        # One line stays free for the cursor; two panels in a column take three lines each besides their rows.
        rows = height - 1 - (_HEADER_LINES + 2) - 2 * 3
        held = min(max(2, len(state.lanes)), 4, rows // 3)
        wanted = min(8, rows // 3)
        rows = min(rows, max(_BARS_WANTED * len(state.lanes) + held, wanted + _ORDERS_WANTED))
        grid = Table.grid(padding=0)
        grid.add_row(
            Group(
                live_panels.bars(state, _frame("Bars", left, rows - held)),
                live_panels.positions(state, _frame("Positions", left, held)),
            ),
            Group(
                live_panels.signals(state, _frame("Signals", width - left, wanted)),
                live_panels.orders(state, _frame("Orders", width - left, rows - wanted)),
            ),
        )
        return Group(self._header(width, has_border=True), grid)

    def _one_column(self, width: int, height: int) -> RenderableType:
        state = self._state
        has_border = height >= _BORDERS_HEIGHT and width >= 60
        extra = 3 if has_border else 1
        rows = max(4, height - 1 - _HEADER_LINES - (2 if has_border else 0) - 4 * extra)
        held = max(1, min(len(state.lanes), 3, rows // 5))
        wanted = max(1, min(6, (rows - held) // 4))
        ordered = max(1, min(_ORDERS_WANTED, (rows - held - wanted) // 2))
        bars_rows = max(1, min(rows - held - wanted - ordered, _BARS_WANTED * max(1, len(state.lanes))))
        if bars_rows > len(state.lanes) > 0:
            # As many bars of each symbol; what is left over goes to the orders.
            ordered = min(_ORDERS_WANTED, ordered + bars_rows % len(state.lanes))
            bars_rows -= bars_rows % len(state.lanes)
        return Group(
            self._header(width, has_border=has_border),
            live_panels.bars(state, _frame("Bars", width, bars_rows, has_border=has_border)),
            live_panels.positions(state, _frame("Positions", width, held, has_border=has_border)),
            live_panels.signals(state, _frame("Signals", width, wanted, has_border=has_border)),
            live_panels.orders(state, _frame("Orders", width, ordered, has_border=has_border)),
        )

    # --- lines ---------------------------------------------------------------------------------------------

    def _lines(self, step: Step) -> Iterator[str]:
        state = self._state
        at = moment(state.now_ts_ns, "%Y-%m-%d %H:%M %Z", state.shown_zone)
        for fact in step.facts:
            if (line := self._line(fact)) is not None:
                yield f"{at} {line}"
        if state.now_ts_ns >= self._quiet_until_ts_ns and state.counts["bars"]:
            self._quiet_until_ts_ns = state.now_ts_ns - state.now_ts_ns % _QUIET_LINE_NS + _QUIET_LINE_NS
            yield f"{at} {self._quiet_line()}"

    def _line(self, fact: object) -> str | None:
        match fact:
            case SignalEmitted():
                return self._signal_line(fact)
            case TradeBooked():
                verb = "busted" if fact.is_bust else "filled"
                shown = price(fact.price, self._state.lanes[fact.instrument_id].instrument)
                return f"{fact.symbol} {verb} {fact.side} {quantity(fact.quantity)} at {shown} ({fact.leg})"
            case BracketTransitioned(to_state="CLOSED") if fact.from_state != "CLOSED":
                return self._trip_line(fact)
            case TradingStateChanged():
                return f"trading {fact.from_state} -> {fact.to_state}: {fact.reason} ({fact.source})"
            case GapMarked():
                symbol = self._state.lanes[fact.instrument_id].instrument.symbol
                return f"{symbol} gap of {(fact.until_ts_ns - fact.from_ts_ns) // MINUTE_NS} minutes: {fact.reason}"
            case _:
                return self._state.warnings.line(fact)

    def _signal_line(self, fact: SignalEmitted) -> str:
        line = self._state.fresh_signal(fact.signal_id)
        outcome = "" if line is None else f" -> {line.outcome}"
        because = f" ({fact.signal.reason})" if fact.signal.reason else ""
        return f"{fact.symbol} signal {fact.signal.kind}{outcome}{because}"

    def _trip_line(self, fact: BracketTransitioned) -> str | None:
        trip = self._state.trips.get(fact.bracket_id)
        if trip is None or not trip.reason:
            return None
        total = sum((count.net for count in self._state.trip_counts.values()), Decimal(0))
        return (
            f"{trip.symbol} round trip ended by {trip.reason}: {money(trip.net, signed=True)} "
            f"(all so far {money(total, signed=True)})"
        )

    def _quiet_line(self) -> str:
        state = self._state
        closes = ", ".join(
            f"{lane.instrument.symbol} {price(lane.bars[-1].close, lane.instrument)}"
            for lane in list(state.lanes.values())[:6]
            if lane.bars
        )
        trips = sum(count.count for count in state.trip_counts.values())
        return (
            f"{closes}; equity {money(state.equity)} ({money(state.session_pnl, signed=True)} in this session), "
            f"{len(state.positions)} held, {trips} round trips, {state.counts['bars']:,} bars"
        )


# A terminal without Unicode gets question marks for curves, not an error in the middle of a run.
def _show_what_cannot_be_encoded(console: Console) -> None:
    stream = console.file
    if isinstance(stream, TextIOWrapper) and not console.encoding.startswith("utf"):
        stream.reconfigure(errors="replace")


def _frame(title: str, width: int, rows: int, *, has_border: bool = True) -> Frame:
    return Frame(title=title, width=width, rows=rows, has_border=has_border)
