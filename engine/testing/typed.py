"""Hold messages to their own types at run time: what a type checker promises about the source, said of the values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from engine.core.errors import Bug
from engine.core.messages import Step

# Resolving names costs more than looking at values, and scripts play thousands of steps.
_HINTS: Final[dict[Any, tuple[tuple[str, Any], ...]]] = {}


def require_typed(step: Step) -> None:
    """Raise Bug where a fact or a command of a step holds a value that is not of its field's type."""
    for message in (*step.facts, *step.commands):
        for name, value in wrongly_typed(message):
            raise Bug(f"{type(message).__name__}.{name} is {value!r}: not of its type.")


def wrongly_typed(message: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401  # any dataclass
    """Yield the fields of a dataclass whose values are not of their types, with the values, nested ones too."""
    for name, hint in _hints(type(message)):
        value = getattr(message, name)
        if not _fits(value, hint):
            yield name, value
        for part in value if isinstance(value, tuple) else (value,):
            if is_dataclass(part):
                yield from wrongly_typed(part)


def _hints(kind: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ANN401  # any dataclass
    if kind not in _HINTS:
        hints = get_type_hints(kind)
        _HINTS[kind] = tuple((field.name, hints[field.name]) for field in fields(kind))
    return _HINTS[kind]


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401  # a hint is anything
    # A NewType is what it was made of.
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if origin is tuple:
        return _fits_tuple(value, get_args(hint))
    if hint is None:
        hint = NoneType
    if hint is int:
        return type(value) is int
    return isinstance(value, origin or hint)


def _fits_tuple(value: object, hints: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple):
        return False
    if len(hints) == 2 and hints[1] is Ellipsis:
        return all(_fits(each, hints[0]) for each in value)
    return len(value) == len(hints) and all(map(_fits, value, hints))
