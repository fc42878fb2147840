"""Words: how the parts of a story read. Short ids, times left to the story, nothing that says None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from engine.core.messages import (
    AccountListed,
    CancelOrder,
    CancelRejected,
    ExecutionBusted,
    ListedOrder,
    ListedStatus,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderNotListed,
    OrderRejected,
    OutcomeUnknown,
    QueryOrder,
    SubmitOrder,
)
from engine.testing.chaos.faults import CLOCK_JUMPS_S, Fault, FaultKind
from engine.testing.reference_temper import VenueTemper

#: So much of an id is told: enough to know it again.
SHORT: Final = 8
#: Orders that nothing can happen to any more.
_OVER: Final = frozenset({ListedStatus.FILLED, ListedStatus.CANCELED, ListedStatus.REJECTED, ListedStatus.EXPIRED})
_HONEST: Final = VenueTemper()
#: What the amount of a fault counts.
_UNITS: Final = {
    FaultKind.REPLY_LATE: "by {} ms",
    FaultKind.PUSH_LATE: "by {} ms",
    FaultKind.PUSH_TWICE: "after {} ms",
    FaultKind.FEED_MUTE: "for {} s",
    FaultKind.LATE_TICK: "of {} s ago",
    FaultKind.STOPPED: "for {} s",
    FaultKind.SECOND_ENGINE: "for {} s",
}


def shown(part: object) -> str:
    """Return a part of a story as words: text as it is, a message or a fault in one short line."""
    if isinstance(part, str):
        return part
    found = _WORDS.get(type(part))
    return found(part) if found is not None else _plain(part)


def short(identity: str | None) -> str:
    """Return enough of an id to know it again."""
    return (identity or "?")[:SHORT]


def number(value: Decimal | float) -> str:
    """Return a number without the zeros at its end."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def tempers(temper: VenueTemper) -> list[str]:
    """Return in which ways a venue is not an honest one."""
    said = []
    for each in fields(VenueTemper):
        value = getattr(temper, each.name)
        if value == getattr(_HONEST, each.name) or each.name == "dedupe_window_s":
            continue
        if each.name in ("foreign", "outages"):
            said.append(f"{len(value)} {'orders of others' if each.name == 'foreign' else 'outages'}")
        elif isinstance(value, bool):
            said.append(each.name if value else f"no {each.name}")
        else:
            said.append(f"{each.name} {'-'.join(map(str, value)) if isinstance(value, tuple) else value}")
    return said


def _fault(fault: Fault) -> str:
    where = f"at {fault.point}, passage {fault.passage}"
    if fault.kind is FaultKind.CLOCK_JUMP:
        return f"clock_jump {CLOCK_JUMPS_S[fault.amount]:+d} s {where}"
    amount = _UNITS.get(fault.kind, "").format(fault.amount)
    return " ".join(filter(None, (fault.kind.value, amount, where)))


def _submit(order: SubmitOrder) -> str:
    prices = [number(price) for price in (order.stop_price, order.limit_price) if price is not None]
    terms = [" ".join((order.order_type.value, *prices))]
    terms += [f"linked to {short(order.link)}"] if order.link else []
    what = f"{order.side.value} {number(order.quantity)} {order.symbol}"
    return " ".join(("submit", short(order.client_order_id), what, *terms))


def _filled(report: OrderFilled) -> str:
    what = f"filled {number(report.quantity)} at {number(report.price)}"
    return f"{short(report.client_order_id)} {what} ({report.execution_id})"


def _ended(word: str) -> Callable[[Any], str]:
    def words(report: OrderCanceled | OrderExpired) -> str:
        filled = "" if report.filled_quantity is None else f", {number(report.filled_quantity)} filled"
        return f"{short(report.client_order_id)} {word}{filled}{_because(report.reason)}"

    return words


def _not_listed(report: OrderNotListed) -> str:
    sure = "for certain" if report.is_certain else "in a whole list" if report.is_complete else "in a part of a list"
    return f"{short(report.client_order_id)} is not listed {sure}"


def _listed(listing: AccountListed) -> str:
    # What is over is told by its own reports, and would be listed for the rest of the day.
    over = [order for order in listing.orders if order.status in _OVER]
    told = [_listed_order(order) for order in listing.orders if order not in over]
    orders = ", ".join([*told, *([f"{len(over)} over"] if over else [])]) or "none"
    held = ", ".join(f"{number(each.quantity)} {each.symbol}" for each in listing.positions) or "nothing"
    return f"listing{'' if listing.is_complete else ' (only a part)'}: holds {held}; orders {orders}"


def _listed_order(order: ListedOrder) -> str:
    name = short(order.client_order_id) if order.client_order_id else f"({order.venue_order_id})"
    return f"{name} {order.status.value} {number(order.filled_quantity)}/{number(order.quantity)}"


def _about(word: str) -> Callable[[Any], str]:
    return lambda report: f"{short(report.client_order_id)} {word}{_because(getattr(report, 'reason', ''))}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


_WORDS: Final[dict[type, Callable[[Any], str]]] = {
    Fault: _fault,
    SubmitOrder: _submit,
    CancelOrder: lambda command: f"cancel {short(command.client_order_id)}",
    QueryOrder: lambda command: f"ask about {short(command.client_order_id)}",
    OrderAcknowledged: lambda report: f"{short(report.client_order_id)} works as {report.venue_order_id}",
    OrderAwaitingApproval: _about("waits for approval"),
    OrderFilled: _filled,
    OrderCanceled: _ended("canceled"),
    OrderExpired: _ended("expired"),
    OrderRejected: _about("rejected"),
    CancelRejected: _about("cancel refused"),
    OutcomeUnknown: _about("outcome unknown"),
    OrderNotListed: _not_listed,
    ExecutionBusted: lambda report: (
        f"{short(report.client_order_id)} execution {report.execution_id} taken back{_because(report.reason)}"
    ),
    AccountListed: _listed,
}


# Whatever has no words of its own: its name, and its fields that say something.
def _plain(part: object) -> str:
    if not is_dataclass(part):
        return str(part)
    return " ".join((type(part).__name__, *_fields(part)))


def _fields(part: object) -> Iterator[str]:
    assert is_dataclass(part)
    for each in fields(part):
        value = getattr(part, each.name)
        if value is None or value in ((), "") or each.name.endswith("ts_ns"):
            continue
        if each.name == "client_order_id":
            yield short(value)
        elif isinstance(value, Enum):
            yield f"{each.name}={value.value}"
        else:
            yield f"{each.name}={number(value) if isinstance(value, Decimal) else value}"
