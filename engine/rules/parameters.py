"""Parameters of a strategy: a frozen dataclass whose fields know their bounds, made from code or from text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeVar, cast, get_type_hints

from engine.core.errors import BadInput

T = TypeVar("T")
P = TypeVar("P", bound="Parameters")
Value = bool | int | float | str

_KINDS: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text",
}
_TRUTHS: Final = {"true": True, "false": False}


def parameter(default: T, *, least: float | None = None, most: float | None = None, above: float | None = None) -> T:
    """Return a dataclass field with a default and bounds: `least` and `most` are allowed values, `above` is not."""
    # Typed by its default, so that `period: int = parameter(9)` reads right; the dataclass takes the field out.
    return field(default=default, metadata={"least": least, "most": most, "above": above})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Be the base of a strategy's parameters, which are int, float, bool or str.

    Raises BadInput for a value of another type or outside the bounds that its `parameter(...)` states.
    """

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for each in fields(self):
            value = _converted(getattr(self, each.name), kinds[each.name])
            if value is None:
                self.refuse(each.name, f"give {_KINDS.get(kinds[each.name], 'an int, float, bool or str')}")
            object.__setattr__(self, each.name, value)
            remedy = _remedy(value, each)
            if remedy:
                self.refuse(each.name, remedy)
        self.check()

    def check(self) -> None:
        """Call `refuse` where parameters do not go together; a subclass overrides this."""

    def refuse(self, name: str, remedy: str) -> NoReturn:
        """Raise BadInput about one parameter."""
        raise BadInput(f"The parameter {name} of {type(self).__name__} is {getattr(self, name)!r}: {remedy}.")


# None where the value is not of the kind. An int is welcome where a float is asked for.
def _converted(value: object, kind: type) -> Value | None:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if kind in _KINDS and type(value) is kind:
        return cast("Value", value)
    return None


def _remedy(value: Value, each: Field[Any]) -> str:
    least, most, above = (each.metadata.get(bound) for bound in ("least", "most", "above"))
    if least is not None and value < least:
        return f"give {least} or more"
    if most is not None and value > most:
        return f"give {most} or less"
    if above is not None and value <= above:
        return f"give more than {above}"
    return ""


def parameters_from_text(parameters_type: type[P], texts: Mapping[str, str]) -> P:
    """Return parameters given as text, by name, with the defaults for those that are left out.

    Raises BadInput for an unknown name and for a value of the wrong type or outside its bounds.
    """
    kinds = get_type_hints(parameters_type)
    known = [each.name for each in fields(parameters_type)]
    values: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in known:
            raise BadInput(_unknown(name, known, parameters_type))
        values[name] = _parsed(name, text, kinds[name])
    return parameters_type(**values)


def _unknown(name: str, known: list[str], parameters_type: type) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f" (did you mean {close[0]}?)" if close else ""
    has = f"give one of {', '.join(known)}" if known else "it takes none"
    return f"The parameter {name!r} is not one of {parameters_type.__name__}{guess}: {has}."


def _parsed(name: str, text: str, kind: type) -> Value:
    try:
        if kind is bool:
            return _TRUTHS[text.strip().lower()]
        return cast("Value", kind(text))
    except (ValueError, KeyError) as error:
        raise BadInput(f"The parameter {name} is {text!r}: give {_KINDS[kind]}.") from error
