"""What a statistic of a report is: its names, its unit, its definition and how it is computed."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from engine.research.report_inputs import ReportInputs
from engine.research.statistics import Array


class Unit(StrEnum):
    """Name what a statistic counts in."""

    #: 0.01 is one per cent.
    FRACTION = "fraction"
    #: Account currency.
    MONEY = "money"
    RATIO = "ratio"
    COUNT = "count"
    DAYS = "days"
    #: ns UTC.
    MOMENT = "moment"
    BASIS_POINTS = "basis points"


#: Key for programs, title, unit and definition for people, and how it is computed: one line of the catalogue.
Row: TypeAlias = tuple[str, str, Unit, str, Callable[[ReportInputs], float]]


def of_returns(function: Callable[..., float]) -> Callable[[ReportInputs], float]:
    """Return a computation on session returns."""
    return lambda inputs: function(inputs.session_returns)


def annualised(function: Callable[..., float]) -> Callable[[ReportInputs], float]:
    """Return a computation on session returns that knows how many a year has."""
    return lambda inputs: function(inputs.session_returns, periods_per_year=inputs.periods_per_year)


def against(function: Callable[[Array, Array], float]) -> Callable[[ReportInputs], float]:
    """Return a computation on session returns and those of buy and hold."""
    return lambda inputs: function(inputs.session_returns, inputs.benchmark_returns)


def of_trades(function: Callable[[Array], float], name: str) -> Callable[[ReportInputs], float]:
    """Return a computation on one attribute of the trades."""
    return lambda inputs: function(inputs.of_trades(name))


def known(values: Array) -> Array:
    """Return the values that are defined."""
    return values[~np.isnan(values)]


def best(values: Array) -> float:
    """Return the highest value; NaN without any."""
    return float(np.max(values)) if len(values) else float("nan")


def worst(values: Array) -> float:
    """Return the lowest value; NaN without any."""
    return float(np.min(values)) if len(values) else float("nan")
