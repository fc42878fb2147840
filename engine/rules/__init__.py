"""Rules: a strategy's rule, written once as an expression, for one row (live) and for whole columns (research)."""

from engine.rules.columns import BarColumns, shown_bars
from engine.rules.expressions import (
    Condition,
    Expression,
    Number,
    RuleBar,
    absolute,
    crosses_above,
    crosses_below,
    is_known,
    maximum,
    minimum,
    previous,
    where,
)
from engine.rules.parameters import Parameters, parameter, parameters_from_text
from engine.rules.row import NOTHING, Row
from engine.rules.strategies import BarStrategy, NoParameters, RuleColumns, RuleStrategy
from engine.rules.terms import EntryTerms
from engine.rules.words import strategy_in_words

__all__ = [
    "NOTHING",
    "BarColumns",
    "BarStrategy",
    "Condition",
    "EntryTerms",
    "Expression",
    "NoParameters",
    "Number",
    "Parameters",
    "Row",
    "RuleBar",
    "RuleColumns",
    "RuleStrategy",
    "absolute",
    "crosses_above",
    "crosses_below",
    "is_known",
    "maximum",
    "minimum",
    "parameter",
    "parameters_from_text",
    "previous",
    "shown_bars",
    "strategy_in_words",
    "where",
]
