"""Tell a script word for word: every event, fact and command of an account as lines of text, to be compared as such."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from engine.core.messages import BarClosed, Command, Event, Fact, OrderCreated, Signal, Step, SubmitOrder
from engine.core.values import Leg
from engine.testing.scenario import OPEN_TS_NS, Scenario

#: So much of an identifier is told: enough to know it again.
_SHORT: Final = 8


class ToldScenario(Scenario):
    """Play a script and keep it as text. Moments are seconds after the first session's open.

    What is None is not told.
    """

    def order(self, leg: Leg, number: int = -1) -> SubmitOrder:
        """Return an order of one kind: the latest, or by its place."""
        ids = [fact.client_order_id for fact in self.made(OrderCreated) if fact.leg is leg]
        (found,) = (order for order in self.submitted() if order.client_order_id == ids[number])
        return found

    def give(self, event: Event) -> Step:
        """Step one event and tell it."""
        self.lines: list[str] = getattr(self, "lines", [])
        step = super().give(event)
        self.lines.extend(told_step(event, step))
        return step

    def text(self) -> str:
        """Return everything so far."""
        return "\n".join(self.lines) + "\n"


def told_step(event: Event, step: Step) -> Iterable[str]:
    """Return the lines of a step: the event, then its facts, then `>` and what is to be done outside."""
    yield f"{_moment(event.received_ts_ns)} {told(event)}"
    for fact in step.facts:
        yield f"    {told(fact)}"
    for command in step.commands:
        yield f"  > {told(command)}"


def told(message: Event | Fact | Command) -> str:
    """Return a message as one line: its name and its fields; what is None is not told."""
    if isinstance(message, BarClosed):
        return f"BarClosed close={message.bar.close}"
    values = ((field.name, getattr(message, field.name)) for field in fields(message))
    return " ".join([type(message).__name__, *(_field(name, value) for name, value in values if value is not None)])


def compare_told(path: Path, text: str) -> None:
    """Raise AssertionError where a text is not the one in its file; `RATCHET_RENEW=1` writes the file instead."""
    if "RATCHET_RENEW" in os.environ:
        path.write_text(text, encoding="utf-8")
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, (was, now) in enumerate(zip_longest(known, text.splitlines()), start=1):
        if was != now:
            raise AssertionError(
                f"{path.name}, line {number}:\n  was {was}\n  now {now}\n"
                "Where this is wanted: RATCHET_RENEW=1 pytest, and read the difference before it is committed."
            )


def digest(text: str) -> str:
    """Return sixteen characters that stand for a text."""
    return sha256(text.encode()).hexdigest()[:16]


def _field(name: str, value: Any) -> str:  # noqa: ANN401  # fields are of any type
    if name.endswith("ts_ns") and isinstance(value, int):
        return f"{name.removesuffix('ts_ns').rstrip('_') or 'at'}={_moment(value)}"
    if name == "checks":
        refused = [f"refused={check.number}:{check.value}/{check.limit}" for check in value if check.reason]
        # Every number that the gate looked at, in few characters: the tests of the gate spell them out.
        return " ".join([f"checks={len(value)}:{digest(repr(value))}", *refused])
    if isinstance(value, Signal):
        return f"{name}={value.kind.value} reason={value.reason!r}"
    if name in ("client_order_id", "link") and value:
        return f"{name}={value[:_SHORT]}"
    if isinstance(value, Enum):
        return f"{name}={value.value}"
    return f"{name}={value:f}" if isinstance(value, Decimal) else f"{name}={value!r}"


def _moment(ts_ns: int) -> str:
    return f"{Decimal(ts_ns - OPEN_TS_NS).scaleb(-9).normalize():+f}s"
