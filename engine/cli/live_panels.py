"""The panels of the live view: each draws one part of a run's state into the rows and the width that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from engine.cli.live_state import Lane, RunState
from engine.cli.live_values import OrderLine, PositionLine, RunTotals, SignalLine
from engine.cli.live_warnings import COUNTED
from engine.cli.tables import (
    SIDE_STYLES,
    exact_money,
    gain,
    moment,
    money,
    percent,
    plain_table,
    price,
    quantity,
    sign_style,
    sparkline,
    state_text,
    volume,
)
from engine.core.messages import Bar, TradingState
from engine.core.values import ZERO, Instrument, Leg

_MODE_STYLE: Final = "bold black on yellow"
_DIM: Final = "bright_black"
_SPARK_WIDTH_MAX: Final = 24
#: From this width on, figures that are nice to have are shown too.
_ROOMY_WIDTH: Final = 100
#: A minute of the exchange's day.
_MINUTE: Final = "%H:%M"
#: Where so much is left beside the bars, a curve of the last hour fills it.
_CURVE_WIDTH_MIN: Final = 10
_BAR_COLUMNS: Final = (
    ("open", "high", "low", "close", "volume", "vwap"),
    ("high", "low", "close", "volume", "vwap"),
    ("high", "low", "close", "volume"),
    ("close", "volume"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Say how a panel is drawn: with a border and a title, or as a bare table whose first header is the title."""

    title: str
    width: int
    rows: int
    has_border: bool

    @property
    def inner_width(self) -> int:
        """Return the width of the table itself."""
        return self.width - 4 if self.has_border else self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Hold what stands at the top of the view besides the figures."""

    title: str
    mode_label: str
    speed: str
    database: str
    phase: str


# Cells are `Text`, never `str`: symbols and reasons come from files, and rich would read markup in them.
def _table(frame: Frame, columns: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style=f"{_DIM} bold")
    for position, (name, kind) in enumerate(columns):
        is_text = kind == "text"
        header = frame.title.upper() if position == 0 and not frame.has_border else name
        table.add_column(
            Text(header, style="bold cyan") if position == 0 and not frame.has_border else Text(header),
            justify="right" if kind == "number" else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if is_text else None,
        )
    return table


def _framed(frame: Frame, table: RenderableType) -> RenderableType:
    if not frame.has_border:
        return table
    return Panel(
        table,
        title=Text(frame.title, style="bold cyan"),
        title_align="left",
        border_style=_DIM,
        box=ROUNDED,
        width=frame.width,
        height=frame.rows + 3,
    )


def _filled(
    frame: Frame, rows: Sequence[Sequence[Text]], columns: Sequence[tuple[str, str]], empty: str
) -> RenderableType:
    table = _table(frame, columns)
    for row in rows:
        table.add_row(*row)
    if not rows:
        return _framed(frame, Group(table, Text(empty, style=_DIM, no_wrap=True, overflow="ellipsis")))
    return _framed(frame, table)


# --- header ---------------------------------------------------------------------------------------------------------


def header(state: RunState, heading: Heading, *, width: int, has_border: bool) -> RenderableType:
    """Draw the top: mode, title, trading state; times; equity; round trips."""
    rows = [
        _sides(width, _badge(heading), _trading(state)),
        _sides(width, _times(state, heading), _text(_DIM, heading.phase)),
        _sides(width, _equity(state, width), _text(_DIM, _counts(state))),
        _sides(width, _round_trips(state), _costs(state, width)),
    ]
    if not has_border:
        return Group(*rows)
    return Panel(Group(*rows), box=ROUNDED, border_style=_DIM, width=width, padding=(0, 1))


def _text(style: str, *parts: str) -> Text:
    return Text("".join(parts), style=style, no_wrap=True, overflow="ellipsis")


# A long reason at the right must not push out what is at the left.
def _sides(width: int, left: Text, right: Text) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True, overflow="ellipsis", max_width=max(4, width // 2))
    grid.add_row(left, right)
    return grid


def _badge(heading: Heading) -> Text:
    return Text.assemble((f" {heading.mode_label} ", _MODE_STYLE), " ", (heading.title, "bold"))


def _trading(state: RunState) -> Text:
    value, fact = state.trading_state()
    shown = state_text(f"● {value.value}", key=value.value)
    if fact is None or value is TradingState.ACTIVE:
        return shown
    lane = None if fact.instrument_id is None else state.lanes.get(fact.instrument_id)
    scope = [fact.strategy_id or "", "" if lane is None else lane.instrument.symbol]
    where = " ".join(part for part in scope if part)
    return Text.assemble(shown, f" {where}" if where else "", (f" {fact.reason}", _DIM))


def _times(state: RunState, heading: Heading) -> Text:
    if not state.now_ts_ns:
        parts = ["waiting for the market"]
    else:
        parts = [moment(state.now_ts_ns, "%Y-%m-%d %H:%M:%S UTC")]
        if state.zone is not None:
            parts.append(moment(state.now_ts_ns, "%H:%M New York", state.zone))
    parts += [part for part in (heading.speed, heading.database) if part]
    return Text(" · ".join(parts))


def _equity(state: RunState, width: int) -> Text:
    curve = sparkline(state.trail.values, max(6, min(_SPARK_WIDTH_MAX, width - 70)))
    return Text.assemble(
        ("Equity ", _DIM),
        (money(state.equity), "bold"),
        f" {curve} " if curve else "  ",
        ("session ", _DIM),
        gain(state.session_pnl),
        ("  total ", _DIM),
        gain(state.net_pnl),
    )


def _costs(state: RunState, width: int) -> Text:
    fees = f"fees {money(state.fees)}  " if width >= _ROOMY_WIDTH else ""
    return _text(_DIM, f"{fees}drawdown {percent(state.max_drawdown)}")


def _round_trips(state: RunState) -> Text:
    counted = {reason: count for reason, count in state.trip_counts.items() if count.count}
    total = sum(count.count for count in counted.values())
    shown = Text.assemble(("Round trips ", _DIM), (str(total), "bold"))
    for reason, count in counted.items():
        shown.append(f" · {reason} {count.count} ", style=_DIM)
        shown.append(money(count.net, signed=True), style=sign_style(count.net))
    return shown


def _counts(state: RunState) -> str:
    parts = [f"{state.counts['bars']:,} bars"]
    for name, words in COUNTED.items():
        if state.counts[name]:
            parts.append(f"{state.counts[name]:,} {words}")
    return " · ".join(parts)


# --- bars -----------------------------------------------------------------------------------------------------------


def bars(state: RunState, frame: Frame) -> RenderableType:
    """Draw the last bars of each symbol, newest first; with few rows, of the symbols that traded last."""
    lanes = [lane for lane in state.lanes.values() if lane.bars]
    lanes.sort(key=lambda lane: -lane.bars[-1].start_ts_ns)
    shown = lanes[: max(1, frame.rows)]
    depth = max(1, frame.rows // max(1, len(shown)))
    order = {key: position for position, key in enumerate(state.lanes)}
    shown.sort(key=lambda lane: order[lane.instrument.instrument_id])
    names = _bar_columns(shown, frame.inner_width)
    columns = [("symbol", "left"), ("minute", "left"), *((name, "number") for name in names)]
    curve_width = frame.inner_width - _bars_width(shown, names) - 2
    if curve_width >= _CURVE_WIDTH_MIN:
        columns.append(("last hour", "text"))
    rows = [
        _bar_row(state, lane, bar, names, is_newest=position == 0, curve_width=curve_width)
        for lane in shown
        for position, bar in enumerate(list(lane.bars)[::-1][:depth])
    ]
    return _filled(frame, rows[: frame.rows], columns, "no bar yet")


# The most columns that fit with their figures whole.
def _bar_columns(lanes: Sequence[Lane], width: int) -> tuple[str, ...]:
    for names in _BAR_COLUMNS:
        if _bars_width(lanes, names) <= width:
            return names
    return _BAR_COLUMNS[-1]


def _bars_width(lanes: Sequence[Lane], names: Sequence[str]) -> int:
    symbols = max((len(lane.instrument.symbol) for lane in lanes), default=0)
    prices = max((len(price(lane.bars[-1].high, lane.instrument)) for lane in lanes), default=0)
    # The volume, six letters of a heading, five of a time, and a blank after each.
    return max(6, symbols) + 1 + 7 + 7 + (len(names) - 1) * (max(5, prices) + 1)


def _bar_row(
    state: RunState, lane: Lane, bar: Bar, names: Sequence[str], *, is_newest: bool, curve_width: int
) -> list[Text]:
    instrument = lane.instrument
    rising = "green" if bar.close > bar.open else "red" if bar.close < bar.open else ""
    minute = moment(bar.start_ts_ns, _MINUTE, state.zone_of(instrument.instrument_id))
    cells = [
        Text(instrument.symbol if is_newest else "", style="bold"),
        Text(minute if bar.complete else f"{minute}!", style="" if is_newest else _DIM),
    ]
    for name in names:
        value = getattr(bar, name)
        style = f"bold {rising}" if name == "close" and is_newest else rising if name == "close" else ""
        cells.append(Text(volume(value) if name == "volume" else price(value, instrument), style=style))
    if curve_width >= _CURVE_WIDTH_MIN:
        cells.append(Text(sparkline(lane.closes, curve_width) if is_newest else "", style="cyan"))
    return cells


# --- signals, orders, positions -------------------------------------------------------------------------------------


def signals(state: RunState, frame: Frame) -> RenderableType:
    """Draw the last signals with what became of them, newest first."""
    columns = [("time", "left"), ("symbol", "left"), ("wants", "left"), ("decision", "left"), ("because", "text")]
    newest = list(state.signals)[::-1][: frame.rows]
    return _filled(frame, [_signal_row(state, line) for line in newest], columns, "no signal yet")


def _signal_row(state: RunState, line: SignalLine) -> list[Text]:
    style = _DIM if line.approved is None else "green" if line.approved else "bold red"
    return [
        Text(_clock(state, line.ts_ns), style=_DIM),
        Text(line.symbol, style="bold"),
        Text(line.kind),
        Text(line.outcome, style=style),
        Text(line.reason, style=_DIM),
    ]


def orders(state: RunState, frame: Frame) -> RenderableType:
    """Draw the last orders, newest first; those that may still fill are always among them."""
    columns = [
        ("time", "left"),
        ("symbol", "left"),
        ("leg", "left"),
        ("order", "left"),
        ("quantity", "number"),
        ("price", "number"),
        ("state", "left"),
        ("because", "text"),
    ]
    rows = [_order_row(state, order) for order in state.recent_orders(frame.rows)]
    if frame.inner_width < 72:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    if frame.inner_width < 46:
        columns, rows = columns[1:], [row[1:] for row in rows]
    return _filled(frame, rows, columns, "no order yet")


def _order_row(state: RunState, order: OrderLine) -> list[Text]:
    made = order.created
    is_part = order.is_open and order.filled
    amount = f"{quantity(order.filled)}/{quantity(made.quantity)}" if is_part else quantity(made.quantity)
    own = order.price
    wish = " cancel?" if order.cancel_requested and order.is_open else ""
    shown = {"AWAITING_APPROVAL": "APPROVAL?"}.get(order.state, order.state)
    return [
        Text(_clock(state, made.ts_ns), style=_DIM),
        Text(made.symbol, style="bold"),
        Text(made.leg.value),
        Text(f"{made.side.value} {made.order_type.value}", style=SIDE_STYLES[made.side.value]),
        Text(amount),
        Text("market" if own is None else price(own, state.lanes[made.instrument_id].instrument)),
        state_text(f"{shown}{wish}", key=order.state),
        Text(order.reason, style=_DIM),
    ]


def positions(state: RunState, frame: Frame) -> RenderableType:
    """Draw what is held, with its profit at the last close and the prices of its exits."""
    columns = [
        ("symbol", "left"),
        ("quantity", "number"),
        ("average", "number"),
        ("last", "number"),
        ("unrealised", "number"),
        ("stop", "number"),
        ("target", "number"),
        ("held by", "text"),
    ]
    held = list(state.positions.values())
    rows = [_position_row(state, position) for position in held[: frame.rows]]
    if len(held) > frame.rows > 0:
        hidden = len(held) - frame.rows + 1
        rows[-1] = [Text(f"+{hidden} more", style=_DIM), *(Text("") for _ in columns[1:])]
    if frame.inner_width < 66:
        count = 7 if frame.inner_width >= 56 else 5
        columns, rows = columns[:count], [row[:count] for row in rows]
    return _filled(frame, rows, columns, "flat")


def _position_row(state: RunState, position: PositionLine) -> list[Text]:
    lane = state.lanes[position.instrument_id]
    instrument = lane.instrument
    average = position.cost / position.quantity if position.quantity else ZERO
    return [
        Text(position.symbol, style="bold"),
        Text(quantity(position.quantity)),
        Text(price(average, instrument)),
        Text("-" if lane.last is None else price(lane.last, instrument)),
        gain(state.unrealized(position)),
        _exit_price(state, position, Leg.STOP, instrument),
        _exit_price(state, position, Leg.TARGET, instrument),
        Text(position.strategy_id, style=_DIM),
    ]


def _exit_price(state: RunState, position: PositionLine, leg: Leg, instrument: Instrument) -> Text:
    prices = list(state.exits_of(position, leg))
    if not prices:
        # A position without a stop is the one thing that must not look normal.
        return Text("none" if leg is Leg.STOP else "-", style="bold red" if leg is Leg.STOP else _DIM)
    nearest = max(prices) if leg is Leg.STOP else min(prices)
    return Text(price(nearest, instrument) + ("+" if len(set(prices)) > 1 else ""))


def _clock(state: RunState, ts_ns: int) -> str:
    return moment(ts_ns, _MINUTE, state.shown_zone)


# --- the end --------------------------------------------------------------------------------------------------------


def summary(totals: RunTotals, *, title: str) -> RenderableType:
    """Draw the figures of a finished run; money with every digit that it has."""
    figures = plain_table(title, "", right=("",))
    for name, value in _figures(totals):
        figures.add_row(Text(name), value)
    trips = plain_table("Round trips", "count", "won", "net", right=("count", "won", "net"))
    for reason, count in sorted(totals.round_trips.items()):
        net = Text(exact_money(count.net, signed=True), style=sign_style(count.net))
        trips.add_row(Text(reason), Text(str(count.count)), Text(str(count.wins)), net)
    if not totals.round_trips:
        trips.add_row(Text("none", style=_DIM), Text("0"), Text("0"), Text("0.00"))
    return Group(figures, Text(""), trips)


def _figures(totals: RunTotals) -> list[tuple[str, Text]]:
    figures = [
        ("bars", Text(f"{totals.bars:,}")),
        ("signals", Text(f"{totals.signals:,}")),
        ("decisions approved", Text(f"{totals.approved:,}")),
        ("decisions refused", Text(f"{totals.refused:,}")),
        ("orders", Text(f"{totals.orders:,}")),
        ("fills", Text(f"{totals.fills:,}")),
        ("positions still open", Text(f"{totals.open_positions:,}")),
        ("fees", Text(exact_money(totals.fees))),
        ("net P&L", Text(exact_money(totals.net_pnl, signed=True), style=sign_style(totals.net_pnl))),
        ("final equity", Text(exact_money(totals.final_equity), style="bold")),
        ("max drawdown", Text(f"{totals.max_drawdown * 100:.4f} %")),
    ]
    if totals.gaps:
        figures.append(("gaps in the data", Text(f"{totals.gaps:,}", style="yellow")))
    if totals.inputs_refused:
        figures.append(("inputs refused", Text(f"{totals.inputs_refused:,}", style="yellow")))
    if totals.suspense:
        figures.append(("executions in suspense", Text(f"{totals.suspense:,}", style="bold red")))
    if totals.good_faith:
        figures.append(("good-faith violations", Text(f"{totals.good_faith:,}", style="bold red")))
    return figures
