"""The story of an order on a screen of 80 columns or more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.cli.checks_table import checks_table
from engine.cli.tables import SIDE_STYLES, exact_money, plain_table, quantity, show_rows, sign_style, state_text, volume
from engine.store.stories import OrderStory

_INDENT: Final = 2
_DAY: Final = slice(0, 10)
_CLOCK: Final = slice(11, 23)
_LISTED: Final = (
    *("order_id", "submit_timestamp", "symbol", "leg", "side", "order_type", "quantity", "filled_quantity"),
    *("limit_price", "stop_price", "status", "client_order_id"),
)

Row = Mapping[str, Any]


def show_orders(orders: Sequence[Row]) -> None:
    """Print a list of orders."""
    console = Console()
    if not orders:
        console.print("No order is like that.")
        return
    names = ("order", "decided", *_LISTED[2:-1], "client order id")
    shown = [name.replace("_", " ") for name in names]
    show_rows(console, shown, [[_cell(order[name]) for name in _LISTED] for order in orders])


def show_story(story: OrderStory) -> None:
    """Print a story from its bar to its result."""
    console = Console()
    order = story.order
    console.print(_title(story))
    sections: list[tuple[str, Sequence[RenderableType]]] = [
        ("Bar", [_bar(story.bar)]),
        ("Indicators", [_pairs(story.indicator_values) or "none were given"]),
        ("Rule", _rule(story.strategy)),
        ("Signal", _signals(story)),
        ("Gate", [_decision(story.decision), checks_table(story.checks)]),
        ("Order", [_order(order), _cause(story.cause)]),
        ("Transitions", [_transitions(story.transitions, order)]),
        ("Fills", [_fills(story.fills, order)]),
        ("Bracket", [_bracket(story.bracket), _bracket_states(story.bracket_states, order)]),
        ("Position", _position(story.position, order)),
    ]
    for number, (name, parts) in enumerate(sections, start=1):
        console.print(Text(f"\n{number:>2} {name}", style="bold"))
        for part in parts:
            shown = Text(part) if isinstance(part, str) else part
            console.print(Padding(shown, (0, 0, 0, _INDENT + 1), expand=False))


def _title(story: OrderStory) -> Text:
    order = story.order
    return Text.assemble(
        (f"Order {order['id']}  ", "bold"),
        (f"{order['side']} ", SIDE_STYLES.get(order["side"], "")),
        f"{quantity(order['quantity'])} {order['symbol']}, {order['leg']}  ",
        state_text(order["status"], key=order["status"]),
        f"\n{order['client_order_id']}\naccount {story.account}, strategy {order['strategy_id']}",
    )


def _bar(bar: Row | None) -> str:
    if bar is None:
        return "no signal asked for this order: see its cause"
    prices = ", ".join(f"{name} {bar[name]:.10g}" for name in ("open", "high", "low", "close"))
    later = "" if bar["last_revision"] == bar["revision"] else f" (revised since: {bar['last_revision']})"
    whole = "" if bar["complete"] else ", incomplete"
    return (
        f"{bar['timestamp']}: {prices}, volume {volume(bar['volume'])}\n"
        f"{bar['session_kind']} session, revision {bar['revision']}{later}{whole}"
    )


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.10g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _rule(strategy: Row) -> list[RenderableType]:
    rule = strategy["rule"] or "was not kept (the run was made by an older program)"
    return [
        *(part.strip() for part in rule.split("; ")),
        f"{strategy['import_string']}: {_pairs(strategy['parameters']) or 'no parameters'}",
    ]


def _signals(story: OrderStory) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for signal in (story.signal, story.exit_signal):
        if signal is None:
            continue
        distances = "".join(
            f", {name} {signal[f'{name}_distance']:.10g} {where}"
            for name, where in (("stop", "below"), ("target", "above"))
            if signal[f"{name}_distance"] is not None
        )
        what = f"{signal['kind']} {signal['side']} {signal['order_type']}" if signal is story.signal else signal["kind"]
        terms = f", terms {signal['terms']}" if signal.get("terms") else ""
        lines.append(f"{signal['id']}: {what}{distances}{terms}, at the bar {signal['bar_timestamp']}")
        if signal["reason"]:
            lines.append(f"   {signal['reason']}")
    return lines or ["none"]


def _decision(decision: Row) -> Text:
    verdict = ("approved", "green") if decision["approved"] else (f"refused: {decision['reason']}", "bold red")
    return Text.assemble(
        f"decision {decision['id']} on {quantity(decision['quantity'])} {decision['symbol']}: ", verdict
    )


def _order(order: Row) -> str:
    prices = "".join(
        f", {name} {exact_money(order[f'{name}_price'])}"
        for name in ("limit", "stop")
        if order[f"{name}_price"] is not None
    )
    return (
        f"{order['order_type']} {order['side']} {quantity(order['quantity'])}{prices}, {order['time_in_force']}, "
        f"last price {exact_money(order['reference_price'])}\ndecided {order['submit_timestamp']}"
    )


def _cause(cause: Row) -> str:
    told = cause["input"] or {}
    named = ("reason", "price", "quantity", "execution_id")
    details = _pairs({name: told[name] for name in named if told.get(name)})
    return f"made in step {cause['step']} by {cause['kind']}{f' ({details})' if details else ''}"


def _transitions(transitions: Sequence[Row], order: Row) -> Table:
    table = plain_table("engine time", "state", "by", "source", "venue time", "latency ms", right=("latency ms",))
    for column in (0, 4, 5):
        table.columns[column].no_wrap = True
    for row in transitions:
        why = row["trigger"].replace("_", " ")
        if row["reason"]:
            why = row["reason"] if row["reason"].startswith(why) else f"{why}: {row['reason']}"
        state = row["to_state"]
        table.add_row(
            _clock(row["timestamp"], order),
            state_text(state, key=state),
            why,
            row["source"],
            _clock(row["venue_timestamp"], order),
            f"{row['latency_ms']:,.3f}",
        )
    return table


def _fills(fills: Sequence[Row], order: Row) -> RenderableType:
    if not fills:
        return "none"
    names = ("venue time", "price", "quantity", "fee", "meant", "slippage bps", "P&L")
    table = plain_table(*names, right=names[1:])
    for fill in fills:
        slippage = fill["slippage_bps"]
        bust = " (busted)" if fill["is_bust"] else ""
        table.add_row(
            _clock(fill["timestamp"], order),
            exact_money(fill["price"]),
            f"{quantity(fill['quantity'])}{bust}",
            exact_money(fill["fee"]),
            "" if fill["meant_price"] is None else f"{fill['meant_price']:.10g}",
            "" if slippage is None else f"{slippage:+.2f}",
            Text(exact_money(fill["realized_pnl"], signed=True), style=sign_style(fill["realized_pnl"])),
        )
    return table


def _bracket(bracket: Row) -> str:
    distances = "".join(
        f", {name} distance {bracket[f'{name}_distance']}"
        for name in ("stop", "target")
        if bracket[f"{name}_distance"] is not None
    )
    left = f", left by {bracket['exit_reason']}" if bracket["exit_reason"] else ""
    return f"bracket {bracket['id']}: {bracket['exit_style']}, now {bracket['state']}{left}{distances}"


def _bracket_states(states: Sequence[Row], order: Row) -> RenderableType:
    if not states:
        return "it has not moved"
    table = plain_table("engine time", "state", "by", "entered", "exited", "until", right=("entered", "exited"))
    table.columns[0].no_wrap = True
    for row in states:
        table.add_row(
            _clock(row["timestamp"], order),
            row["to_state"],
            row["trigger"].replace("_", " "),
            quantity(row["entered_quantity"]),
            quantity(row["exited_quantity"]),
            _clock(row["deadline_timestamp"], order) if row["deadline_timestamp"] else "",
        )
    return table


def _position(position: Row, order: Row) -> list[RenderableType]:
    result = position["realized_pnl_after_fees"]
    return [
        f"{order['symbol']}: {quantity(position['before'])} before, {quantity(position['after'])} after",
        Text.assemble(
            f"realized {exact_money(position['realized_pnl'], signed=True)}, fees {exact_money(position['fees'])}, ",
            "after fees ",
            (exact_money(result, signed=True), sign_style(result)),
        ),
    ]


def _clock(timestamp: str, order: Row) -> str:
    # The date only where it is another than the order's.
    is_same_day = timestamp[_DAY] == order["submit_timestamp"][_DAY]
    return timestamp[_CLOCK] if is_same_day else f"{timestamp[5:10]} {timestamp[_CLOCK]}"


def _cell(value: object) -> object:
    return quantity(value) if isinstance(value, Decimal) else value
