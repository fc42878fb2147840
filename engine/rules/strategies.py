"""Bases of strategies: `BarStrategy` decides bar by bar, `RuleStrategy` states a rule once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import ClassVar, Generic, TypeVar, cast

import numpy as np

from engine.core.errors import BadInput
from engine.core.messages import Bar, OrderFilled, Quote, Signal, SignalKind
from engine.core.signals import Context
from engine.indicators import Indicator
from engine.rules.columns import BAR_FIELDS, TIME_READINGS, BarColumns, Booleans, Floats, evaluate
from engine.rules.expressions import Condition, Expression, Number, RuleBar, as_condition, as_number, is_known
from engine.rules.parameters import Parameters
from engine.rules.row import NOTHING, Row, Rule, Values, compile_rule
from engine.rules.terms import EntryTerms

P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParameters(Parameters):
    """Be the parameters of a strategy that has none."""


class BarStrategy(ABC, Generic[P]):
    """Be the base of a strategy that decides bar by bar, in Python. One instance serves one instrument."""

    #: The class of `parameters`; a subclass names its own.
    parameters_type: ClassVar[type[Parameters]] = NoParameters

    #: True to be shown bars outside regular hours too.
    extended_hours: bool = False
    #: True to have `on_quote` called.
    wants_quotes: bool = False
    #: True to have `on_timer` called.
    wants_timer: bool = False
    #: Bars to replay after a restart; None for all.
    warm_up_bars: int | None = None

    def __init__(self, parameters: P | None = None) -> None:
        chosen = self.parameters_type() if parameters is None else parameters
        if not isinstance(chosen, self.parameters_type):
            wanted = self.parameters_type.__name__
            raise BadInput(f"{type(self).__name__} got {chosen!r} as its parameters: give {wanted}(...).")
        self.parameters: P = cast("P", chosen)

    @abstractmethod
    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Return what is wanted at the close of a bar; usually nothing."""

    def on_fill(self, fill: OrderFilled, context: Context) -> Sequence[Signal]:
        """Return what is wanted after an own fill; usually nothing."""
        return NOTHING

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        """Return what is wanted after a quote; usually nothing."""
        return NOTHING

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        """Return what is wanted when the minute turns; usually nothing."""
        return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleColumns:
    """Hold what a rule says at each bar, whatever is held. Distances are NaN where the strategy sets none."""

    entry: Booleans
    exit: Booleans
    stop_distance: Floats
    target_distance: Floats


class RuleStrategy(BarStrategy[P]):
    """Be the base of a strategy that is a rule over indicators, written once for one bar and for whole columns.

    Each method below is called once, when the strategy is made, with a bar that stands for any bar. While flat, the
    strategy buys where `entry` holds and its distances are known, at market unless its `terms` say otherwise; while
    holding, it leaves where `exit` holds. Raises BadInput, when it is made, for a rule that cannot be written this way.
    """

    #: What the record gives as the reason of an entry.
    entry_reason: str = "entry"
    #: What the record gives as the reason of an exit: "signal", or "time" for a rule of the clock.
    exit_reason: str = "signal"

    def __init__(self, parameters: P | None = None) -> None:
        super().__init__(parameters)
        #: The rule as it was written.
        self.rule = self._written()
        self._terms = self._stated_terms()
        leave = (Signal(kind=SignalKind.EXIT, reason=self.exit_reason),)
        functions = compile_rule(self.rule, enter=self._enter, leave=leave)
        self.warm_up_bars = _warm_up_bars(self.rule.indicators)
        self._evaluate = functions.evaluate
        self._on_bar = functions.on_bar
        if type(self).on_bar is RuleStrategy.on_bar:
            # Called for every bar: without the method around it.
            self.on_bar = functions.on_bar  # type: ignore[method-assign, assignment]

    def indicators(self) -> Mapping[str, Indicator]:
        """Return the indicators that the rule reads, by the name it reads them by."""
        return {}

    @abstractmethod
    def entry(self, bar: RuleBar) -> Condition | bool:
        """Return where the strategy buys."""

    def exit(self, bar: RuleBar) -> Condition | bool:
        """Return where the strategy sells what it holds; never, unless overridden."""
        return False

    def stop_distance(self, bar: RuleBar) -> Number | float | None:
        """Return how far below its fill the entry is stopped, in price units; None for no stop."""
        return None

    def target_distance(self, bar: RuleBar) -> Number | float | None:
        """Return how far above its fill the entry takes its profit, in price units; None for no target."""
        return None

    def terms(self) -> EntryTerms:
        """Return how entries are made and left beyond that: at market, by stop and target, unless overridden."""
        return EntryTerms()

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Take a bar in and return what is wanted at its close."""
        return self._on_bar(bar, context)

    def row(self, bar: Bar, context: Context) -> Row:
        """Take a bar in, instead of `on_bar`, and return all that the rule says about it."""
        return self._evaluate(bar, context)

    def columns(self, bars: BarColumns) -> dict[str, Floats]:
        """Return the indicators at each bar, by name."""
        inputs = bars.indicator_inputs()
        return {name: indicator.batch(inputs) for name, indicator in self.rule.indicators.items()}

    def signals(self, bars: BarColumns) -> RuleColumns:
        """Return what the rule says at each bar."""
        readings = bars.readings() | self.columns(bars)

        def column(root: Expression | None) -> Floats:
            return np.full(len(bars), np.nan) if root is None else evaluate(root, readings, bars=len(bars))

        return RuleColumns(
            entry=column(self.rule.entry).astype(np.bool_),
            exit=column(self.rule.exit).astype(np.bool_),
            stop_distance=column(self.rule.stop_distance).astype(np.float64),
            target_distance=column(self.rule.target_distance).astype(np.float64),
        )

    def _written(self) -> Rule:
        indicators = dict(self.indicators())
        for name, indicator in indicators.items():
            _require_indicator(name, indicator, owner=type(self).__name__)
        bar = RuleBar((*BAR_FIELDS, *TIME_READINGS, *indicators))
        stop_distance = _distance(self.stop_distance(bar))
        target_distance = _distance(self.target_distance(bar))
        entry = as_condition(self.entry(bar))
        for distance in (stop_distance, target_distance):
            if distance is not None:
                entry = entry & is_known(distance)
        return Rule(
            name=type(self).__name__,
            indicators=indicators,
            entry=entry,
            exit=as_condition(self.exit(bar)),
            stop_distance=stop_distance,
            target_distance=target_distance,
        )

    def _enter(self, stop_distance: float | None, target_distance: float | None, values: Values) -> Sequence[Signal]:
        entry = self._terms.signal(
            stop_distance=stop_distance, target_distance=target_distance, reason=self.entry_reason, values=values
        )
        return (entry,)

    def _stated_terms(self) -> EntryTerms:
        terms, name = self.terms(), type(self).__name__
        if terms.counts_in_risks and self.rule.stop_distance is None:
            raise BadInput(f"The terms of {name} count in risks, but it has no stop_distance: write one.")
        if terms.targets and self.rule.target_distance is not None:
            raise BadInput(
                f"The strategy {name} has targets in its terms and a target_distance: leave one of them out."
            )
        return terms


def _distance(value: Number | float | None) -> Number | None:
    return None if value is None else as_number(value)


def _require_indicator(name: str, indicator: object, *, owner: str) -> None:
    if not isinstance(indicator, Indicator):
        raise BadInput(f"The indicator {name!r} of {owner} is {indicator!r}: give one of engine.indicators.")
    if not name.isidentifier() or iskeyword(name) or name.startswith("_"):
        raise BadInput(f"The indicator name {name!r} of {owner} is not a plain word: rename it.")
    if name in (*BAR_FIELDS, *TIME_READINGS, "previous"):
        raise BadInput(f"The indicator name {name!r} of {owner} is taken by the bar itself: rename it.")
    unknown = [read for read in indicator.inputs if read not in BAR_FIELDS]
    if unknown:
        has = ", ".join(BAR_FIELDS)
        raise BadInput(f"The indicator {name!r} of {owner} reads {unknown[0]!r}, which no bar has: use {has}.")


# One bar more than the slowest indicator, since a rule may look back at the bar before.
def _warm_up_bars(indicators: Mapping[str, Indicator]) -> int | None:
    needs = [indicator.warm_up_bars for indicator in indicators.values()]
    known = [need for need in needs if need is not None]
    return max(known, default=0) + 1 if len(known) == len(needs) else None
