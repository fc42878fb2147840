"""One row: a rule turned into one Python function that takes a bar, as fast as if it were written by hand.

The text of the function is built from our own parts only: readings with checked names, literals and operations.
It updates the indicators, then asks for an entry while flat or for an exit while holding. For two averages:

    def on_bar(bar, context):
        nonlocal now_fast, now_slow
        was_fast = now_fast
        was_slow = now_slow
        now_close = bar.close
        now_fast = stream_fast.update(now_close)
        now_slow = stream_slow.update(now_close)
        if not context.position_quantity:
            if ((now_fast > now_slow) and (was_fast <= was_slow)) and not context.has_working_entry:
                return enter(None, None, (('fast', now_fast), ('slow', now_slow)))
        else:
            if False and context.position_quantity > 0:
                return leave
        return NOTHING
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from engine.core.messages import Bar, Signal
from engine.core.signals import Context
from engine.core.values import MINUTE_NS, Session
from engine.indicators import Indicator
from engine.rules.columns import BAR_FIELDS, OUTSIDE_TS_NS, TIME_READINGS
from engine.rules.expressions import Condition, Expression, Number, Reading, in_order

Values = tuple[tuple[str, float], ...]
OnBar = Callable[[Bar, Context], Sequence[Signal]]

#: Returned, always the same object, when nothing is wanted.
NOTHING: Final[tuple[Signal, ...]] = ()

# Python's parser ends at about a hundred nested parentheses; deeper parts get a line and a name of their own.
_DEPTH_MAX: Final = 30

_TIME_TEXTS: Final = {
    "seconds_from_open": "((bar.start_ts_ns - opened_ts_ns) / 1e9)",
    "seconds_to_close": "((closing_ts_ns - bar.start_ts_ns) / 1e9)",
    "session_number": "float(context.session_number)",
}
_SESSION_LINES: Final = (
    "if context.session is not session:",
    "    session = context.session",
    "    key, opened_ts_ns, closing_ts_ns = bounds(session)",
    "    if key != session_key:",
    "        session_key = key",
    "        for stream in session_streams: stream.reset()",
)
_SESSION_STATE: Final = ("session", "session_key", "opened_ts_ns", "closing_ts_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Hold everything that a strategy's author has written, as expressions."""

    name: str
    indicators: Mapping[str, Indicator]
    entry: Condition
    exit: Condition
    #: In price units; None where the strategy sets none.
    stop_distance: Number | None
    target_distance: Number | None


class Row(NamedTuple):
    """Hold what a rule says at one bar, whatever is held. Distances are NaN where the strategy sets none."""

    entry: bool
    exit: bool
    stop_distance: float
    target_distance: float
    #: Indicators by name.
    values: Values


class RowFunctions(NamedTuple):
    """Hold the two functions of a rule, which share its indicators: feed each bar to one of them, once."""

    on_bar: OnBar
    evaluate: Callable[[Bar, Context], Row]


def compile_rule(
    rule: Rule, *, enter: Callable[[float | None, float | None, Values], Sequence[Signal]], leave: Sequence[Signal]
) -> RowFunctions:
    """Return the functions of a rule with fresh indicators; `enter` makes its entry signal, `leave` is its exit."""
    streams = {name: indicator.stream() for name, indicator in rule.indicators.items()}
    session_streams = [streams[name] for name, indicator in rule.indicators.items() if indicator.per_session]
    make = _compiled(source_of(rule), f"<rule of {rule.name}>")
    functions: RowFunctions = make(*streams.values(), session_streams=session_streams, enter=enter, leave=leave)
    return functions


@lru_cache(maxsize=64)
def _compiled(source: str, name: str) -> Callable[..., RowFunctions]:
    namespace: dict[str, Any] = dict(_HELPERS)
    exec(compile(source, name, "exec"), namespace)  # noqa: S102
    make: Callable[..., RowFunctions] = namespace["make"]
    return make


def _divide(dividend: float, divisor: float) -> float:
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def _larger(one: float, other: float) -> float:
    return one if one > other or math.isnan(one) else other


def _smaller(one: float, other: float) -> float:
    return one if one < other or math.isnan(one) else other


def _known(number: float) -> bool:
    return not math.isnan(number)


# The session's key, and the moments from and to which a bar's start is measured so that its close counts.
def _bounds(session: Session | None) -> tuple[int, float, float]:
    if session is None:
        return OUTSIDE_TS_NS, math.nan, math.nan
    if session.always_open:
        return session.open_ts_ns, -math.inf, math.inf
    return session.open_ts_ns, session.open_ts_ns - MINUTE_NS, session.close_ts_ns - MINUTE_NS


_HELPERS: Final[Mapping[str, Any]] = {
    "INFINITY": math.inf,
    "NAN": math.nan,
    "NOTHING": NOTHING,
    "Row": Row,
    "RowFunctions": RowFunctions,
    "bounds": _bounds,
    "divide": _divide,
    "known": _known,
    "larger": _larger,
    "smaller": _smaller,
}


def source_of(rule: Rule) -> str:
    """Return the text of a rule's module: `make(streams...)` gives its two functions."""
    return "\n".join(
        (
            f"def make({''.join(f'stream_{name}, ' for name in rule.indicators)}*, session_streams, enter, leave):",
            *_indented(_Writer(rule).lines()),
            "",
        )
    )


def _indented(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]


class _Writer:
    """Write the text of one rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        distances = (rule.stop_distance, rule.target_distance)
        roots: list[Expression] = [rule.entry, rule.exit, *(root for root in distances if root is not None)]
        readings = [part for part in chain(*map(in_order, roots)) if isinstance(part, Reading)]
        inputs = chain(*(indicator.inputs for indicator in rule.indicators.values()))
        used = {reading.name for reading in readings}.union(inputs)
        #: Readings whose value of the bar before is wanted: they outlive the function's call.
        self.kept = sorted({reading.name for reading in readings if reading.is_previous})
        self.fields = [name for name in BAR_FIELDS if name in used]
        is_timed = not used.isdisjoint(TIME_READINGS)
        self.has_session = is_timed or any(indicator.per_session for indicator in rule.indicators.values())

    def lines(self) -> list[str]:
        """Return the body of `make`."""
        state = ["session = session_key = object()", "opened_ts_ns = closing_ts_ns = NAN"]
        return [
            *(state if self.has_session else ()),
            *(f"now_{name} = NAN" for name in self.kept),
            "def on_bar(bar, context):",
            *_indented(self.advance()),
            *_indented(self.decide()),
            "def evaluate(bar, context):",
            *_indented(self.advance()),
            *_indented(self.report()),
            "return RowFunctions(on_bar, evaluate)",
        ]

    def advance(self) -> list[str]:
        """Return the lines that take a bar in."""
        state = [*(_SESSION_STATE if self.has_session else ()), *(f"now_{name}" for name in self.kept)]
        kept_times = [name for name in self.kept if name in TIME_READINGS]
        return [
            *([f"nonlocal {', '.join(state)}"] if state else ()),
            *(f"was_{name} = now_{name}" for name in self.kept),
            *(_SESSION_LINES if self.has_session else ()),
            *(f"now_{name} = bar.{name}" for name in self.fields),
            *(f"now_{name} = {_TIME_TEXTS[name]}" for name in kept_times),
            *(self.update(name, indicator) for name, indicator in self.rule.indicators.items()),
        ]

    def update(self, name: str, indicator: Indicator) -> str:
        """Return the line that feeds an indicator."""
        return f"now_{name} = stream_{name}.update({', '.join(f'now_{field}' for field in indicator.inputs)})"

    def decide(self) -> list[str]:
        """Return the lines that ask for an entry while flat, and for an exit while holding."""
        (entry_lines, entry), (exit_lines, leaving), (stop_lines, stop), (target_lines, target) = self.roots()
        return [
            "if not context.position_quantity:",
            *_indented(entry_lines),
            f"    if {entry} and not context.has_working_entry:",
            *_indented(_indented((*stop_lines, *target_lines))),
            f"        return enter({stop}, {target}, {self.values()})",
            "else:",
            *_indented(exit_lines),
            f"    if {leaving} and context.position_quantity > 0:",
            "        return leave",
            "return NOTHING",
        ]

    def report(self) -> list[str]:
        """Return the lines that tell everything about the bar."""
        roots = self.roots()
        texts = ["NAN" if text == "None" else text for _, text in roots]
        return [*chain(*(lines for lines, _ in roots)), f"return Row({', '.join(texts)}, {self.values()})"]

    def roots(self) -> list[tuple[list[str], str]]:
        """Return lines and text of entry, exit, stop distance and target distance."""
        rule = self.rule
        roots = {"entry": rule.entry, "exit": rule.exit, "stop": rule.stop_distance, "target": rule.target_distance}
        return [self.expression(root, name) for name, root in roots.items()]

    def values(self) -> str:
        """Return the text of the indicators' values by name."""
        pairs = [f"({name!r}, now_{name})" for name in self.rule.indicators]
        return f"({pairs[0]},)" if len(pairs) == 1 else f"({', '.join(pairs)})"

    def expression(self, root: Expression | None, prefix: str) -> tuple[list[str], str]:
        """Return the lines that go before an expression, and its text; shared and deep parts get a line each."""
        if root is None:
            return [], "None"
        parts = in_order(root)
        uses = Counter(id(operand) for part in parts for operand in part.operands)
        texts: dict[int, str] = {}
        depths: dict[int, int] = {}
        lines: list[str] = []
        for part in parts:
            text = self.text(part, [texts[id(operand)] for operand in part.operands])
            depth = 1 + max((depths[id(operand)] for operand in part.operands), default=0)
            is_shared = uses[id(part)] > 1 and not text.isidentifier()
            if depth > _DEPTH_MAX or is_shared:
                name = f"{prefix}_{len(lines)}"
                lines.append(f"{name} = {text}")
                text, depth = name, 1
            texts[id(part)], depths[id(part)] = text, depth
        return lines, texts[id(root)]

    def text(self, part: Expression, operands: Sequence[str]) -> str:
        """Return the text of one part, given those of its operands."""
        if not isinstance(part, Reading):
            return part.operation.row.format(*operands)
        if part.is_previous:
            return f"was_{part.name}"
        if part.name in TIME_READINGS and part.name not in self.kept:
            return _TIME_TEXTS[part.name]
        return f"now_{part.name}"
