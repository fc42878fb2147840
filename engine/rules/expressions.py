"""Expressions: what a rule is while it is written, before it meets a bar.

Readings of a bar and constants are joined by + - * /, comparisons, & | ~ and the functions at the end of this
module. Each operation states its text for one row and its numpy function for whole columns, side by side: the two
do the same IEEE 754 arithmetic, so both ways give the same bits. A comparison with NaN is false, except `!=`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Operation:
    """Join operands: the text of one row, with {0} {1} {2} for them, and the function of whole columns."""

    row: str
    columns: Callable[..., NDArray[Any]]


def _larger(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    return np.where((left > right) | np.isnan(left), left, right)


def _smaller(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    return np.where((left < right) | np.isnan(left), left, right)


_ADD: Final = Operation("({0} + {1})", np.add)
_SUBTRACT: Final = Operation("({0} - {1})", np.subtract)
_MULTIPLY: Final = Operation("({0} * {1})", np.multiply)
_DIVIDE: Final = Operation("divide({0}, {1})", np.divide)
# A divisor that is a constant and not zero cannot raise, so that it needs no call.
_DIVIDE_BY_CONSTANT: Final = Operation("({0} / {1})", np.divide)
_NEGATE: Final = Operation("(-{0})", np.negative)
_ABSOLUTE: Final = Operation("abs({0})", np.absolute)
# Written out instead of max() and np.maximum, which differ for NaN and for zeros of both signs.
_MAXIMUM: Final = Operation("larger({0}, {1})", _larger)
_MINIMUM: Final = Operation("smaller({0}, {1})", _smaller)
_WHERE: Final = Operation("({1} if {0} else {2})", np.where)
_LESS: Final = Operation("({0} < {1})", np.less)
_LESS_EQUAL: Final = Operation("({0} <= {1})", np.less_equal)
_GREATER: Final = Operation("({0} > {1})", np.greater)
_GREATER_EQUAL: Final = Operation("({0} >= {1})", np.greater_equal)
_EQUAL: Final = Operation("({0} == {1})", np.equal)
_NOT_EQUAL: Final = Operation("({0} != {1})", np.not_equal)
_IS_KNOWN: Final = Operation("known({0})", lambda values: ~np.isnan(values))
_AND: Final = Operation("({0} and {1})", np.logical_and)
_OR: Final = Operation("({0} or {1})", np.logical_or)
_NOT: Final = Operation("(not {0})", np.logical_not)


def _refused(what: str, remedy: str) -> Callable[..., Any]:
    def refuse(*_: object) -> NoReturn:
        raise BadInput(f"A rule cannot use {what}: {remedy}.")

    return refuse


class Expression:
    """Be a part of a rule: an operation on other parts, without a value until it meets bars."""

    __slots__ = ("operands", "operation")

    # NumPy then leaves `np.float64(2) * expression` to the methods below, and refuses `np.log(expression)`.
    __array_ufunc__ = None

    def __init__(self, operation: Operation, *operands: Expression) -> None:
        self.operation = operation
        self.operands = operands

    def __repr__(self) -> str:
        return text_of(self)

    __hash__ = object.__hash__
    __bool__ = _refused(
        "`and`, `or`, `not`, `if`, `min`, `max` or a chained comparison",
        "write &, |, ~, where(condition, a, b), minimum, maximum, and (a <= x) & (x <= b)",
    )
    __float__ = __int__ = __round__ = _refused(
        "math.*, float(), int() or round()",
        "use + - * /, absolute, minimum, maximum and where, or declare an indicator that computes it",
    )
    __pow__ = __rpow__ = _refused("**", "multiply instead, x * x")
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _refused("% or //", "use + - * / and comparisons")
    __xor__ = __rxor__ = _refused("^", "write (a & ~b) | (~a & b)")


class Number(Expression):
    """Be a part of a rule that has a float64 value at each bar."""

    __slots__ = ()

    def __add__(self, other: Number | float) -> Number:
        return Number(_ADD, self, as_number(other))

    def __radd__(self, other: float) -> Number:
        return Number(_ADD, as_number(other), self)

    def __sub__(self, other: Number | float) -> Number:
        return Number(_SUBTRACT, self, as_number(other))

    def __rsub__(self, other: float) -> Number:
        return Number(_SUBTRACT, as_number(other), self)

    def __mul__(self, other: Number | float) -> Number:
        return Number(_MULTIPLY, self, as_number(other))

    def __rmul__(self, other: float) -> Number:
        return Number(_MULTIPLY, as_number(other), self)

    def __truediv__(self, other: Number | float) -> Number:
        divisor = as_number(other)
        is_plain = isinstance(divisor, Constant) and divisor.value != 0
        return Number(_DIVIDE_BY_CONSTANT if is_plain else _DIVIDE, self, divisor)

    def __rtruediv__(self, other: float) -> Number:
        return Number(_DIVIDE, as_number(other), self)

    def __neg__(self) -> Number:
        return Number(_NEGATE, self)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return Number(_ABSOLUTE, self)

    def __lt__(self, other: Number | float) -> Condition:
        return Condition(_LESS, self, as_number(other))

    def __le__(self, other: Number | float) -> Condition:
        return Condition(_LESS_EQUAL, self, as_number(other))

    def __gt__(self, other: Number | float) -> Condition:
        return Condition(_GREATER, self, as_number(other))

    def __ge__(self, other: Number | float) -> Condition:
        return Condition(_GREATER_EQUAL, self, as_number(other))

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return Condition(_EQUAL, self, as_number(other))

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return Condition(_NOT_EQUAL, self, as_number(other))

    __hash__ = object.__hash__
    __and__ = __rand__ = __or__ = __ror__ = __invert__ = _refused(
        "& | ~ on numbers", "put each comparison into parentheses, (a > b) & (c > d)"
    )


class Condition(Expression):
    """Be a part of a rule that is true or false at each bar."""

    __slots__ = ()

    def __and__(self, other: Condition | bool) -> Condition:
        return Condition(_AND, self, as_condition(other))

    def __rand__(self, other: bool) -> Condition:
        return Condition(_AND, as_condition(other), self)

    def __or__(self, other: Condition | bool) -> Condition:
        return Condition(_OR, self, as_condition(other))

    def __ror__(self, other: bool) -> Condition:
        return Condition(_OR, as_condition(other), self)

    def __invert__(self) -> Condition:
        return Condition(_NOT, self)

    __hash__ = object.__hash__
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refused(
        "a comparison of conditions", "join them by & | ~, and put each comparison of numbers into parentheses"
    )
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = _refused(
        "+ - * / on conditions", "make a number of it by where(condition, 1, 0)"
    )


def _literal(value: float) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return f"({value!r})" if math.copysign(1.0, value) < 0 else repr(value)


class Constant(Number):
    """Be a number that is the same at each bar."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value
        super().__init__(Operation(_literal(value), lambda: np.asarray(value)))


class Truth(Condition):
    """Be a condition that is the same at each bar."""

    __slots__ = ()

    def __init__(self, *, value: bool) -> None:
        super().__init__(Operation(repr(value), lambda: np.asarray(value)))


class Reading(Number):
    """Be a value of the bar, or of the bar before it."""

    __slots__ = ("is_previous", "name")

    def __init__(self, name: str, *, is_previous: bool = False) -> None:
        self.name = name
        self.is_previous = is_previous
        text = f"bar.previous.{name}" if is_previous else f"bar.{name}"
        super().__init__(Operation(text, _refused(f"{text} without bars", "evaluate the whole rule")))


class RuleBar:
    """Stand for any bar while a rule is written: its attributes are readings.

    Raises BadInput for an attribute that no bar and no indicator of the strategy has.
    """

    open: Number
    high: Number
    low: Number
    close: Number
    #: Shares or coins traded in the bar.
    volume: Number
    #: Volume-weighted average price of this one bar.
    vwap: Number
    #: From the session's open to the bar's close; +inf where the market never closes, NaN outside sessions.
    seconds_from_open: Number
    #: From the bar's close to the session's close; +inf where the market never closes, NaN outside sessions.
    seconds_to_close: Number
    #: Counts the sessions that the strategy has seen, from 0.
    session_number: Number
    #: The bar that the strategy saw before this one; all its readings are NaN at the first bar.
    previous: RuleBar

    def __init__(self, names: Iterable[str], *, is_previous: bool = False) -> None:
        self._readings = {name: Reading(name, is_previous=is_previous) for name in names}
        if not is_previous:
            self.previous = RuleBar(self._readings, is_previous=True)

    def __getattr__(self, name: str) -> Number:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "previous":
            raise BadInput("A rule cannot use bar.previous.previous: declare an indicator that looks further back.")
        if name not in self._readings:
            raise BadInput(f"A bar has no {name!r}{_guess(name, self._readings)}: it has {', '.join(self._readings)}.")
        return self._readings[name]


def _guess(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def as_number(value: object) -> Number:
    """Return the value as a part of a rule; raises BadInput unless it is a number, symbolic or plain."""
    if isinstance(value, Number):
        return value
    if isinstance(value, Condition):
        raise BadInput(f"A rule has the condition {value} where a number belongs: use where(condition, a, b).")
    if isinstance(value, int | float | np.integer) and not isinstance(value, bool):
        return Constant(float(value))
    raise BadInput(f"A rule has {value!r} where a number belongs: give an expression, a float or an int.")


def as_condition(value: object) -> Condition:
    """Return the value as a part of a rule; raises BadInput unless it is a condition, symbolic or plain."""
    if isinstance(value, Condition):
        return value
    if isinstance(value, bool):
        return Truth(value=value)
    raise BadInput(
        f"A rule has {value!r} where a condition belongs: compare numbers, with each comparison in parentheses."
    )


def in_order(root: Expression) -> list[Expression]:
    """Return each part of an expression once, operands before what is made of them (without recursion)."""
    ordered: dict[int, Expression] = {}
    waiting = [(root, False)]
    while waiting:
        part, is_ready = waiting.pop()
        if id(part) in ordered:
            continue
        if is_ready:
            ordered[id(part)] = part
        else:
            waiting.append((part, True))
            waiting.extend((operand, False) for operand in part.operands)
    return list(ordered.values())


def text_of(root: Expression) -> str:
    """Return an expression as one line of Python."""
    texts: dict[int, str] = {}
    for part in in_order(root):
        texts[id(part)] = part.operation.row.format(*(texts[id(operand)] for operand in part.operands))
    return texts[id(root)]


def previous(expression: Number | float) -> Number:
    """Return the value of an expression one bar earlier; raises BadInput if it looks back already."""
    moved: dict[int, Expression] = {}
    root = as_number(expression)
    for part in in_order(root):
        moved[id(part)] = _moved_back(part, [moved[id(operand)] for operand in part.operands])
    return as_number(moved[id(root)])


def _moved_back(part: Expression, operands: list[Expression]) -> Expression:
    if isinstance(part, Reading):
        if part.is_previous:
            raise BadInput(f"A rule looks back twice from {part}: declare an indicator that looks further back.")
        return Reading(part.name, is_previous=True)
    if not operands:
        return part
    return (Number if isinstance(part, Number) else Condition)(part.operation, *operands)


def crosses_above(one: Number | float, other: Number | float) -> Condition:
    """Return whether one is above the other now and was at or below it one bar earlier."""
    return (as_number(one) > other) & (previous(one) <= previous(other))


def crosses_below(one: Number | float, other: Number | float) -> Condition:
    """Return whether one is below the other now and was at or above it one bar earlier."""
    return (as_number(one) < other) & (previous(one) >= previous(other))


def maximum(one: Number | float, other: Number | float) -> Number:
    """Return the larger number; NaN if either is."""
    return Number(_MAXIMUM, as_number(one), as_number(other))


def minimum(one: Number | float, other: Number | float) -> Number:
    """Return the smaller number; NaN if either is."""
    return Number(_MINIMUM, as_number(one), as_number(other))


def is_known(number: Number | float) -> Condition:
    """Return whether a number is not NaN: its indicators have warmed up and nothing was divided 0 by 0."""
    return Condition(_IS_KNOWN, as_number(number))


def absolute(number: Number | float) -> Number:
    """Return the number without its sign."""
    return abs(as_number(number))


def where(condition: Condition | bool, when_true: Number | float, when_false: Number | float) -> Number:  # noqa: FBT001 - a condition, by position as in numpy.where
    """Return one number where the condition holds and the other elsewhere."""
    return Number(_WHERE, as_condition(condition), as_number(when_true), as_number(when_false))
