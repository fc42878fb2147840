"""Faults: what may go wrong at which point, who decides it, and the record that repeats it.

A point is a place that a scenario passes many times (`commit.before`, `submit`, `push` …); a fault is named by its
point and by how often that point was passed before. A seed draws faults; a record repeats them without any chance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import log1p
from random import Random
from typing import Final


class FaultKind(StrEnum):
    """Name what can go wrong."""

    #: The process dies: nothing that is not committed is left, and nothing is said.
    CRASH = "crash"
    DISK_FULL = "disk_full"
    DISK_ERROR = "disk_error"
    #: A request never arrives, or arrives and its reply is dropped, or comes late, or it arrives twice.
    REQUEST_LOST = "request_lost"
    REPLY_LOST = "reply_lost"
    REPLY_LATE = "reply_late"
    REQUEST_TWICE = "request_twice"
    #: 401, 429, 5xx, HTML or a reset; the request may have been served before.
    SERVER_ERROR = "server_error"
    #: A question or a listing cannot be read, or only a part of it.
    READ_FAILED = "read_failed"
    READ_TRUNCATED = "read_truncated"
    PUSH_LOST = "push_lost"
    PUSH_LATE = "push_late"
    PUSH_TWICE = "push_twice"
    #: The market data stop for a while although the connection lives.
    FEED_MUTE = "feed_mute"
    LATE_TICK = "late_tick"
    BAD_QUOTE = "bad_quote"
    #: The process is stopped for a while and then goes on; meanwhile a second engine may start.
    STOPPED = "stopped"
    SECOND_ENGINE = "second_engine"
    #: The wall clock is wrong when the next process starts.
    CLOCK_JUMP = "clock_jump"


K = FaultKind

_STORE: Final = (K.CRASH, K.DISK_FULL, K.DISK_ERROR)
_EXCHANGE: Final = (K.REQUEST_LOST, K.REPLY_LOST, K.REPLY_LATE, K.REQUEST_TWICE, K.SERVER_ERROR)
_READ: Final = (K.READ_FAILED, K.READ_TRUNCATED, K.REPLY_LATE, K.SERVER_ERROR)
#: Point -> what can go wrong there.
POINTS: Final[Mapping[str, tuple[FaultKind, ...]]] = {
    **{f"{statement}.{when}": _STORE for statement in ("begin", "statement", "commit") for when in ("before", "after")},
    # Between a commit and its sends: the process sleeps, and another one takes the account.
    "sleep": (K.SECOND_ENGINE,),
    "send.before": (K.CRASH,),
    "send.after": (K.CRASH,),
    "receive.before": (K.CRASH,),
    "receive.after": (K.CRASH,),
    "submit": _EXCHANGE,
    "cancel": _EXCHANGE,
    "question": (K.READ_FAILED, K.REPLY_LATE, K.SERVER_ERROR),
    "listing": _READ,
    "push": (K.PUSH_LOST, K.PUSH_LATE, K.PUSH_TWICE),
    "pulse": (K.FEED_MUTE, K.LATE_TICK, K.BAD_QUOTE, K.STOPPED, K.SECOND_ENGINE),
    "start": (K.CLOCK_JUMP,),
}
#: Least and most of what a fault takes: milliseconds of lateness, seconds of muteness, stops and clock errors.
_AMOUNTS: Final[Mapping[FaultKind, tuple[int, int]]] = {
    K.REPLY_LATE: (500, 8_000),
    K.PUSH_LATE: (500, 30_000),
    K.PUSH_TWICE: (500, 60_000),
    K.FEED_MUTE: (10, 120),
    K.LATE_TICK: (1, 90),
    K.STOPPED: (5, 120),
    K.SECOND_ENGINE: (20, 90),
    # Which status, and whether the request was served before it.
    K.SERVER_ERROR: (0, 9),
    # Which of the jumps below.
    K.CLOCK_JUMP: (0, 3),
}
CLOCK_JUMPS_S: Final = (-3_600, -30, 30, 3_600)
#: A passage of a point goes well at least this seldom, whatever the rates add up to: something has to happen at last.
_TOTAL_MAX: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Hold one fault: where, at which passage, what, and how much of it (see `_AMOUNTS` for the units)."""

    point: str
    passage: int
    kind: FaultKind
    amount: int = 0


class Chooser(ABC):
    """Decide what goes wrong."""

    def __init__(self) -> None:
        #: What was decided so far, oldest first.
        self.faults: list[Fault] = []
        #: How often each point was passed.
        self.passages: dict[str, int] = dict.fromkeys(POINTS, 0)
        #: Hears of every fault as it happens.
        self.on_fault: Callable[[Fault], None] | None = None
        self._is_healed = False

    @abstractmethod
    def at(self, point: str) -> Fault | None:
        """Return what goes wrong at this passage of a point; usually nothing."""

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._is_healed = True

    def _happen(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        if self.on_fault is not None:
            self.on_fault(fault)
        return fault


class SeededChooser(Chooser):
    """Draw faults: each kind that is on at its rate per passage, each point from a stream of its own."""

    def __init__(self, seed: int, rates: Mapping[FaultKind, float]) -> None:
        super().__init__()
        self._streams = {point: Random(f"{seed}:{point}") for point in POINTS}
        self._rates = {point: self._rates_of(kinds, rates) for point, kinds in POINTS.items()}
        # How many passages of a point come before its next fault: one draw per fault, not one per passage.
        self._next = {point: self._gap(point) for point in POINTS}

    @staticmethod
    def _rates_of(
        kinds: tuple[FaultKind, ...], rates: Mapping[FaultKind, float]
    ) -> tuple[tuple[FaultKind, ...], tuple[float, ...]]:
        on = tuple(kind for kind in kinds if rates.get(kind, 0.0) > 0)
        return on, tuple(rates[kind] for kind in on)

    def _gap(self, point: str) -> int:
        total = min(_TOTAL_MAX, sum(self._rates[point][1]))
        if not total:
            return 2**62
        # The whole part of this exponential is geometric: each passage has its fault with probability `total`.
        return self.passages[point] + 1 + int(self._streams[point].expovariate(-log1p(-total)))

    def at(self, point: str) -> Fault | None:
        """Return what goes wrong at this passage of a point; usually nothing."""
        passage = self.passages[point] = self.passages[point] + 1
        if passage < self._next[point]:
            return None
        self._next[point] = self._gap(point)
        if self._is_healed:
            return None
        stream, (kinds, rates) = self._streams[point], self._rates[point]
        kind = stream.choices(kinds, rates)[0]
        least, most = _AMOUNTS.get(kind, (0, 0))
        return self._happen(Fault(point=point, passage=passage, kind=kind, amount=stream.randint(least, most)))


class RecordedChooser(Chooser):
    """Repeat faults that were recorded; the same scenario without some of them is another schedule of it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__()
        self._recorded = {(fault.point, fault.passage): fault for fault in faults}

    def at(self, point: str) -> Fault | None:
        """Return what goes wrong at this passage of a point; usually nothing."""
        passage = self.passages[point] = self.passages[point] + 1
        fault = self._recorded.get((point, passage))
        return None if fault is None or self._is_healed else self._happen(fault)
