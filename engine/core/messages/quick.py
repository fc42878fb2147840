"""A quicker constructor for messages, of which every bar, print and order makes several.

A frozen dataclass sets each field by `object.__setattr__`, which looks the name up again; the slot's own setter does
not (a bar: 0.8 instead of 1.3 microseconds). The class stays what it was: frozen, slotted, keyword-only, with the
same signature.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

ClassT = TypeVar("ClassT")


def quick_init(cls: type[ClassT]) -> type[ClassT]:
    """Give a frozen, slotted, keyword-only dataclass an `__init__` that fills its slots directly.

    The text of the function is made of the class's own field names only, as `dataclasses` makes its.
    """
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    space: dict[str, Any] = {f"_set_{name}": getattr(cls, name).__set__ for name in names}
    parameters = []
    for field in fields(cls):  # type: ignore[arg-type]
        if field.default is MISSING:
            parameters.append(field.name)
        else:
            space[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
    body = "\n".join(f"    _set_{name}(self, {name})" for name in names)
    exec(f"def __init__(self, *, {', '.join(parameters)}):\n{body}\n", space)  # noqa: S102
    made = space["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = cls.__init__.__annotations__
    cls.__init__ = made  # type: ignore[method-assign]
    return cls
