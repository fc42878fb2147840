"""What all indicators share: the interface, checked columns, and the warm-up in front of a TA-Lib handle."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from talib import InsufficientHistory  # type: ignore[attr-defined]  # in TA-Lib, but not in its type stubs

from engine.core.errors import BadInput

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NAN: Final = math.nan

#: The column that tells sessions apart: any value that stays the same within a session and changes at its first bar.
SESSION_COLUMN: Final = "session"

# The longest period that TA-Lib accepts.
_PERIOD_MAX: Final = 100_000


class Stream(Protocol):
    """Turn one bar after another into values.

    `update` takes the bar columns that the indicator names in `inputs`, in that order, and returns the value at
    that bar (NaN in warm-up). Read `stream.update` anew for each bar where speed matters: it becomes TA-Lib's own
    method once the warm-up is over; an older reference stays right, but slower. Bars are validated before they
    come here: a value that is not finite spoils a warm-up, and makes TA-Lib raise after it.
    """

    @property
    def update(self) -> Callable[..., float]: ...


class SessionStream(Stream, Protocol):
    """Be a stream that forgets everything at the first bar of each session, by `reset()`."""

    def reset(self) -> None: ...


class Indicator(ABC):
    """Describe an indicator and its parameters; the same description makes columns and streams."""

    __slots__ = ()

    #: True if the value starts anew in each session: `batch` then reads SESSION_COLUMN too.
    per_session: ClassVar[bool] = False

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Name the bar columns that are read, in the order in which `update` takes them."""

    @property
    @abstractmethod
    def warm_up_bars(self) -> int | None:
        """Count the bars to replay, before the next one, after which a new stream gives the bits of an old one.

        None: only a replay from the first bar does (TA-Lib keeps a running sum over the whole past).
        With `per_session` the count is 0, and the bars since the session's first one are replayed.
        """

    @abstractmethod
    def batch(self, columns: Columns) -> Floats:
        """Compute the whole column, one float64 value per bar, NaN in warm-up.

        Raises BadInput if a column is missing, or if the columns differ in length.
        """

    @abstractmethod
    def stream(self) -> Stream:
        """Make a stream that has seen no bar yet."""


class Handle(Protocol[T_co]):
    """Be one of TA-Lib's stateful stream objects, opened on a history of bars."""

    @property
    def value(self) -> T_co: ...

    @property
    def update(self) -> Callable[..., T_co]: ...


class HandleStream(Generic[T]):
    """Collect the warm-up that a TA-Lib handle is opened on, then be that handle.

    `bars_min` is the number of bars below which opening is not tried; `missing` is the value of the warm-up.
    """

    __slots__ = ("_bars_min", "_history", "_missing", "_open", "update")

    update: Callable[..., T]

    def __init__(self, open_handle: Callable[..., Handle[T]], *, bars_min: int, missing: T) -> None:
        self._open = open_handle
        self._bars_min = bars_min
        self._missing = missing
        self._history: list[tuple[float, ...]] | None = []
        self.update = self._warm_up

    def _warm_up(self, *values: float) -> T:
        history = self._history
        if history is None:  # the caller kept this method over the end of the warm-up
            return self.update(*values)
        history.append(values)
        if len(history) < self._bars_min:
            return self._missing
        try:
            handle = self._open(*np.array(history, dtype=np.float64).T.copy())
        except InsufficientHistory:
            return self._missing
        self._history = None
        self.update = handle.update
        return handle.value


def read_columns(columns: Columns, names: tuple[str, ...]) -> list[Floats]:
    """Return the named columns as contiguous float64 arrays of one length; raises BadInput."""
    arrays = [np.ascontiguousarray(_column(columns, name), dtype=np.float64) for name in names]
    require_one_length(names, arrays)
    return arrays


def session_bounds(columns: Columns, *, bars: int) -> list[int]:
    """Return the positions of the first bars of sessions, then the number of bars; raises BadInput."""
    session = np.asarray(_column(columns, SESSION_COLUMN))
    if len(session) != bars:
        raise BadInput(
            f"The column {SESSION_COLUMN!r} has {len(session)} rows and the bars have {bars}: give one each."
        )
    changes: list[int] = (np.flatnonzero(session[1:] != session[:-1]) + 1).tolist()
    return [0, *changes, bars]


def require_one_length(names: tuple[str, ...], arrays: list[Floats]) -> None:
    """Raise BadInput unless all columns have the same number of rows."""
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in zip(names, arrays, strict=True))
        raise BadInput(f"The columns of an indicator differ in length ({lengths}): give one value per bar in each.")


def _column(columns: Columns, name: str) -> NDArray[Any]:
    if name not in columns:
        known = ", ".join(columns) or "none"
        raise BadInput(f"An indicator reads the column {name!r}, but the columns are {known}: add it.")
    return columns[name]


def require_period(indicator: Indicator, name: str, period: int, *, least: int = 1) -> None:
    """Raise BadInput unless the period is a whole number of bars that TA-Lib accepts."""
    if not isinstance(period, int) or isinstance(period, bool) or not least <= period <= _PERIOD_MAX:
        kind = type(indicator).__name__
        raise BadInput(f"{kind} has {name}={period!r}: give a whole number from {least} to {_PERIOD_MAX}.")


def require_choice(indicator: Indicator, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise BadInput unless the value is one of the choices."""
    if value not in choices:
        kind = type(indicator).__name__
        raise BadInput(f"{kind} has {name}={value!r}: give one of {', '.join(choices)}.")


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide columns; NaN where the denominator is zero, as `ratio_of` does for one bar."""
    result: Floats = np.full(len(numerator), NAN)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def ratio_of(numerator: float, denominator: float) -> float:
    """Divide two numbers; NaN if the denominator is zero."""
    return numerator / denominator if denominator else NAN
