"""Check a strategy: batch = stream bit for bit, the same answer twice, and no look at bars that are yet to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import BadInput
from engine.core.messages import Bar, Signal, SignalKind
from engine.core.signals import Context, Strategy
from engine.core.values import ZERO, Instrument, Session, Sessions, instrument_from_symbol
from engine.rules import BarColumns, RuleStrategy, shown_bars

Column = NDArray[Any]
Answers = list[Sequence[Signal]]

# How many prefixes are computed anew: some spread evenly, some that end with a bar at which something is wanted.
_CUTS_EVEN: Final = 8
_CUTS_WANTED: Final = 8
_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Hold the first place at which two ways of computing disagree."""

    #: Start of the bar, ns UTC.
    bar_start_ts_ns: int
    column: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """Hold the result of one check."""

    name: str
    #: How many bars were compared.
    bars: int
    #: None where all agree.
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyCheckReport:
    """Hold the results of all checks of one strategy."""

    strategy: str
    #: Bars that the strategy was shown.
    bars: int
    #: Entries and exits that it wanted, holding nothing and holding always; as it went for other than rules.
    entries: int
    exits: int
    checks: tuple[CheckOutcome, ...]

    @property
    def passed(self) -> bool:
        """Return whether all checks agree."""
        return self.first_difference is None

    @property
    def first_difference(self) -> Difference | None:
        """Return the difference of the first check that failed, or None."""
        return next((check.difference for check in self.checks if check.difference), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    bars: list[Bar]
    sessions: list[Session | None]
    columns: BarColumns
    instrument: Instrument

    def contexts(self) -> Iterator[tuple[Bar, Context]]:
        context = Context(self.instrument)
        numbers = self.columns.session_number.tolist()
        for bar, session, number in zip(self.bars, self.sessions, numbers, strict=True):
            context.session = session
            context.session_number = number
            yield bar, context

    def head(self, bars: int) -> _Shown:
        return _Shown(
            bars=self.bars[:bars],
            sessions=self.sessions[:bars],
            columns=self.columns.head(bars),
            instrument=self.instrument,
        )


def check_strategy(
    factory: Callable[[], Strategy], bars: Sequence[Bar], sessions: Sessions, *, instrument: Instrument | None = None
) -> StrategyCheckReport:
    """Check a strategy over the bars of one instrument; `factory` makes a fresh strategy at each call.

    Raises BadInput where there are no bars to show to it, or bars that are not ascending or not of one instrument.
    """
    strategy = factory()
    shown = _shown(strategy, bars, sessions, instrument)
    check = _check_rule if isinstance(strategy, RuleStrategy) else _check_answers
    return check(type(strategy).__name__, factory, shown)


def _shown(strategy: Strategy, bars: Sequence[Bar], sessions: Sessions, instrument: Instrument | None) -> _Shown:
    if len({bar.instrument_id for bar in bars}) > 1:
        raise BadInput("The bars are of several instruments: check the strategy on one symbol.")
    kept, where = shown_bars(bars, sessions, extended_hours=strategy.extended_hours)
    if not kept:
        raise BadInput(f"None of the {len(bars)} bars is one that the strategy is shown: check file and calendar.")
    columns = BarColumns.from_bars(kept, where)
    if np.any(np.diff(columns.start_ts_ns) <= 0):
        raise BadInput("The bars are not ascending by start: sort them and drop repeated minutes.")
    chosen = instrument or instrument_from_symbol("CHECKED", int(kept[0].instrument_id), calendar=sessions.name)
    return _Shown(bars=kept, sessions=where, columns=columns, instrument=chosen)


def _check_rule(name: str, factory: Callable[[], Strategy], shown: _Shown) -> StrategyCheckReport:
    batch = _batch(factory, shown)
    compared = [("batch = batch again", shown, batch, _batch(factory, shown))]
    compared.append(("batch = stream", shown, batch, _streamed(factory, shown)))
    compared.append(("batch = on_bar", shown, _wanted(batch), _answered(factory, shown)))
    checks = [_compared(*each) for each in compared]
    cuts = _cuts(len(shown.bars), np.flatnonzero(batch["entry"] | batch["exit"]))
    prefixes = ((shown.head(cut), _batch(factory, shown.head(cut))) for cut in cuts)
    ends = [
        _compared("", head, {key: batch[key][: len(head.bars)] for key in batch}, found) for head, found in prefixes
    ]
    return StrategyCheckReport(
        strategy=name,
        bars=len(shown.bars),
        entries=int(np.count_nonzero(batch["entry"])),
        exits=int(np.count_nonzero(batch["exit"])),
        checks=(*checks, _joined("no look-ahead", ends)),
    )


def _check_answers(name: str, factory: Callable[[], Strategy], shown: _Shown) -> StrategyCheckReport:
    answers = _traded(factory, shown)
    texts = _texts(answers)
    again = _compared("stream = stream again", shown, texts, _texts(_traded(factory, shown)))
    cuts = _cuts(len(shown.bars), np.flatnonzero([bool(answer) for answer in answers]))
    heads = (shown.head(cut) for cut in cuts)
    ends = [
        _compared("", head, {"signals": texts["signals"][: len(head.bars)]}, _texts(_traded(factory, head)))
        for head in heads
    ]
    kinds = [signal.kind for answer in answers for signal in answer]
    return StrategyCheckReport(
        strategy=name,
        bars=len(shown.bars),
        entries=kinds.count(SignalKind.ENTER),
        exits=kinds.count(SignalKind.EXIT),
        checks=(again, _joined("no look-ahead", ends)),
    )


def _cuts(bars: int, wanted: NDArray[np.intp]) -> list[int]:
    even = (bars * part // _CUTS_EVEN for part in range(1, _CUTS_EVEN))
    step = max(1, len(wanted) // _CUTS_WANTED)
    return sorted({cut for cut in (*even, *(wanted[::step] + 1).tolist()) if 0 < cut < bars})


def _rule(factory: Callable[[], Strategy]) -> RuleStrategy[Any]:
    strategy = factory()
    if not isinstance(strategy, RuleStrategy):
        raise BadInput(f"The factory made {type(strategy).__name__} after a rule: let it make one class.")
    return strategy


def _batch(factory: Callable[[], Strategy], shown: _Shown) -> dict[str, Column]:
    strategy = _rule(factory)
    indicators = strategy.columns(shown.columns)
    signals = strategy.signals(shown.columns)
    return {
        **indicators,
        "entry": signals.entry,
        "exit": signals.exit,
        "stop_distance": signals.stop_distance,
        "target_distance": signals.target_distance,
    }


def _streamed(factory: Callable[[], Strategy], shown: _Shown) -> dict[str, Column]:
    strategy = _rule(factory)
    rows = [strategy.row(bar, context) for bar, context in shown.contexts()]
    names = [name for name, _ in rows[0].values]
    columns: dict[str, Column] = {
        name: np.array([row.values[index][1] for row in rows]) for index, name in enumerate(names)
    }
    for name in ("entry", "exit", "stop_distance", "target_distance"):
        columns[name] = np.array([getattr(row, name) for row in rows])
    return columns


# What `on_bar` has to answer by the batch: distances where an entry is wanted, and where an exit is.
def _wanted(batch: dict[str, Column]) -> dict[str, Column]:
    entry = batch["entry"]
    return {
        "entry": entry,
        "exit": batch["exit"],
        "stop_distance": np.where(entry, batch["stop_distance"], np.nan),
        "target_distance": np.where(entry, batch["target_distance"], np.nan),
    }


# Two strategies see all bars: one that never holds shows every entry, one that always holds shows every exit.
def _answered(factory: Callable[[], Strategy], shown: _Shown) -> dict[str, Column]:
    entries = [_first(answer, SignalKind.ENTER) for answer in _held(factory, shown, ZERO)]
    exits = [_first(answer, SignalKind.EXIT) for answer in _held(factory, shown, _ONE)]
    return {
        "entry": np.array([signal is not None for signal in entries]),
        "exit": np.array([signal is not None for signal in exits]),
        "stop_distance": np.array([_or_nan(signal.stop_distance if signal else None) for signal in entries]),
        "target_distance": np.array([_or_nan(signal.target_distance if signal else None) for signal in entries]),
    }


def _held(factory: Callable[[], Strategy], shown: _Shown, quantity: Decimal) -> Iterator[Sequence[Signal]]:
    strategy = factory()
    for bar, context in shown.contexts():
        context.position_quantity = quantity
        yield strategy.on_bar(bar, context)


def _first(answer: Sequence[Signal], kind: SignalKind) -> Signal | None:
    return next((signal for signal in answer if signal.kind is kind), None)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


# A position of one from an entry to the next exit: enough for a strategy that asks what it holds.
def _traded(factory: Callable[[], Strategy], shown: _Shown) -> Answers:
    strategy = factory()
    answers: Answers = []
    quantity = ZERO
    for bar, context in shown.contexts():
        context.position_quantity = quantity
        answer = strategy.on_bar(bar, context)
        if _first(answer, SignalKind.ENTER):
            quantity = _ONE
        elif _first(answer, SignalKind.EXIT):
            quantity = ZERO
        answers.append(answer)
    return answers


# The text of a float has all its bits, and NaN equals NaN in it.
def _texts(answers: Answers) -> dict[str, Column]:
    return {"signals": np.array([repr(tuple(answer)) for answer in answers], dtype=np.object_)}


def _compared(name: str, shown: _Shown, expected: dict[str, Column], found: dict[str, Column]) -> CheckOutcome:
    bars = len(shown.bars)
    differences = [
        difference
        for column in dict.fromkeys((*expected, *found))
        if (difference := _difference(shown, column, expected.get(column), found.get(column)))
    ]
    first = min(differences, key=lambda difference: difference.bar_start_ts_ns, default=None)
    return CheckOutcome(name=name, bars=bars, difference=first)


def _difference(shown: _Shown, column: str, expected: Column | None, found: Column | None) -> Difference | None:
    bars = len(shown.bars)
    if expected is None or found is None or len(expected) != bars or len(found) != bars:
        return Difference(
            bar_start_ts_ns=shown.bars[0].start_ts_ns, column=column, expected=_length(expected), found=_length(found)
        )
    unequal = np.flatnonzero(~_same_bits(expected, found))
    if not len(unequal):
        return None
    at = unequal[0]
    return Difference(
        bar_start_ts_ns=shown.bars[at].start_ts_ns,
        column=column,
        expected=str(expected[at]),
        found=str(found[at]),
    )


def _length(values: Column | None) -> str:
    return "no column" if values is None else f"{len(values)} rows"


# Zeros of both signs differ; NaN equals NaN, whose spare bits mean nothing.
def _same_bits(expected: Column, found: Column) -> NDArray[np.bool_]:
    if expected.dtype != np.float64 or found.dtype != np.float64:
        return np.asarray(expected == found, dtype=np.bool_)
    both_nan = np.isnan(expected) & np.isnan(found)
    equal: NDArray[np.bool_] = (expected.view(np.int64) == found.view(np.int64)) | both_nan
    return equal


def _joined(name: str, outcomes: Sequence[CheckOutcome]) -> CheckOutcome:
    first = next((outcome.difference for outcome in outcomes if outcome.difference), None)
    return CheckOutcome(name=name, bars=sum(outcome.bars for outcome in outcomes), difference=first)
