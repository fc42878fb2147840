"""A strategy's rule in words, for people who ask why an order was made."""

from __future__ import annotations

from typing import Any, Final

from engine.core.signals import Strategy
from engine.rules.expressions import Condition, Constant, Expression, Number, Reading, Truth, in_order
from engine.rules.strategies import RuleStrategy

#: Text of an operation's row -> its sign and how tightly it binds; operands that bind less get parentheses.
_SIGNS: Final = {
    "({0} or {1})": ("|", 1),
    "({0} and {1})": ("&", 2),
    "({0} < {1})": ("<", 4),
    "({0} <= {1})": ("<=", 4),
    "({0} > {1})": (">", 4),
    "({0} >= {1})": (">=", 4),
    "({0} == {1})": ("==", 4),
    "({0} != {1})": ("!=", 4),
    "({0} + {1})": ("+", 5),
    "({0} - {1})": ("-", 5),
    "({0} * {1})": ("*", 6),
    "({0} / {1})": ("/", 6),
    "divide({0}, {1})": ("/", 6),
}
_FUNCTIONS: Final = {
    "abs({0})": "absolute({0})",
    "larger({0}, {1})": "maximum({0}, {1})",
    "smaller({0}, {1})": "minimum({0}, {1})",
    "({1} if {0} else {2})": "where({0}, {1}, {2})",
}
_AND: Final = "({0} and {1})"
_IS_KNOWN: Final = "known({0})"
_CROSSES: Final = {(">", "<="): "crosses above", ("<", ">="): "crosses below"}
_TIGHTEST: Final = 9
#: A part whose words would be longer is left out: shared parts can double it again and again.
_LENGTH_MAX: Final = 2_000
_UNARY: Final = 7
_COMPARISON: Final = 4


def strategy_in_words(strategy: Strategy) -> str:
    """Return what a strategy does: its rule, or the first line of its class's documentation where it has none."""
    if isinstance(strategy, RuleStrategy):
        return rule_in_words(strategy)
    return (type(strategy).__doc__ or "").strip().partition("\n")[0].strip()


def rule_in_words(strategy: RuleStrategy[Any]) -> str:
    """Return a rule as sentences: its indicators, where it enters, its stop and target, and where it leaves."""
    rule = strategy.rule
    parts = [f"enter where {expression_in_words(_as_written(rule.entry, rule.stop_distance, rule.target_distance))}"]
    for name, distance in (("stop", rule.stop_distance), ("target", rule.target_distance)):
        if distance is not None:
            side = "below" if name == "stop" else "above"
            parts.append(f"{name} {expression_in_words(distance)} {side} the fill")
    if not (isinstance(rule.exit, Truth) and str(rule.exit) == "False"):
        parts.append(f"leave where {expression_in_words(rule.exit)}")
    if rule.indicators:
        parts.append("with " + ", ".join(f"{name} = {indicator}" for name, indicator in rule.indicators.items()))
    return "; ".join(parts)


# An entry waits until its distances are known: that is said of every rule, and belongs to none.
def _as_written(entry: Condition, *distances: Number | None) -> Expression:
    written: Expression = entry
    for distance in reversed([each for each in distances if each is not None]):
        if written.operation.row == _AND and written.operands[1].operation.row == _IS_KNOWN:
            (known,) = written.operands[1].operands
            written = written.operands[0] if known is distance else written
    return written


def expression_in_words(root: Expression) -> str:
    """Return an expression as one line with as few parentheses as its signs need."""
    words: dict[int, tuple[str, int]] = {}
    for part in in_order(root):
        text, strength = _words(part, [words[id(operand)] for operand in part.operands])
        words[id(part)] = (text, strength) if len(text) <= _LENGTH_MAX else ("…", _TIGHTEST)
    return words[id(root)][0]


def _words(part: Expression, operands: list[tuple[str, int]]) -> tuple[str, int]:
    row = part.operation.row
    if isinstance(part, Reading):
        return (f"previous {part.name}" if part.is_previous else part.name), _TIGHTEST
    if isinstance(part, Constant):
        return f"{part.value:.15g}", _TIGHTEST
    crossing = _crossing(part)
    if crossing:
        return crossing, _COMPARISON
    if row in _SIGNS:
        sign, strength = _SIGNS[row]
        (left, right) = operands
        # What stands right of - or / keeps its own parentheses, and comparisons do not chain.
        return f"{_within(left, strength)} {sign} {_within(right, strength + (sign not in '&|'))}", strength
    if row == "(-{0})":
        return f"-{_within(operands[0], _UNARY)}", _UNARY
    if row == "(not {0})":
        return f"not {_within(operands[0], _UNARY)}", _UNARY
    if row == _IS_KNOWN:
        return f"{_within(operands[0], _COMPARISON + 1)} is known", _COMPARISON
    return _FUNCTIONS.get(row, row).format(*(text for text, _ in operands)), _TIGHTEST


def _within(words: tuple[str, int], strength: int) -> str:
    text, own = words
    return text if own >= strength else f"({text})"


# Now above and before at or below: the two halves that `crosses_above` joins.
def _crossing(part: Expression) -> str:
    if part.operation.row != _AND:
        return ""
    now, before = part.operands
    signs = tuple(_SIGNS.get(each.operation.row, ("", 0))[0] for each in (now, before))
    name = _CROSSES.get((signs[0], signs[1]))
    if name is None:
        return ""
    if not all(_is_earlier(*pair) for pair in zip(now.operands, before.operands, strict=True)):
        return ""
    one, other = (expression_in_words(each) for each in now.operands)
    return f"{one} {name} {other}"


# Compared part by part, not as text: of shared parts the text can be longer than any memory.
def _is_earlier(now: Expression, before: Expression) -> bool:
    parts, earlier = in_order(now), in_order(before)
    places = {id(part): place for place, part in enumerate(parts)}
    earlier_places = {id(part): place for place, part in enumerate(earlier)}
    return len(parts) == len(earlier) and all(
        _is_same_a_bar_earlier(part, other)
        and [places[id(each)] for each in part.operands] == [earlier_places[id(each)] for each in other.operands]
        for part, other in zip(parts, earlier, strict=True)
    )


def _is_same_a_bar_earlier(part: Expression, other: Expression) -> bool:
    if isinstance(part, Reading) and isinstance(other, Reading):
        return part.name == other.name and not part.is_previous and other.is_previous
    return part.operation.row == other.operation.row
