"""Parameters are checked wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.rules import Parameters, parameter, parameters_from_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths(Parameters):
    """Hold one parameter of each type."""

    period: int = parameter(9, least=2, most=50)
    factor: float = parameter(1.5, above=0)
    both_sides: bool = False
    source: str = "close"

    def check(self) -> None:
        if self.factor > self.period:
            self.refuse("factor", f"give at most period, which is {self.period}")


def test_text_becomes_typed_parameters() -> None:
    texts = {"period": "12", "factor": "2", "both_sides": "True", "source": "open"}
    made = parameters_from_text(Lengths, texts)
    assert made == Lengths(period=12, factor=2.0, both_sides=True, source="open")
    assert parameters_from_text(Lengths, {}) == Lengths()
    assert isinstance(Lengths(factor=2).factor, float)


@pytest.mark.parametrize(
    ("texts", "remedy"),
    [
        ({"perid": "3"}, "did you mean period.*: give one of period, factor, both_sides, source"),
        ({"period": "3.5"}, "period is '3.5': give a whole number"),
        ({"period": "1"}, "period of Lengths is 1: give 2 or more"),
        ({"period": "51"}, "give 50 or less"),
        ({"factor": "0"}, "factor of Lengths is 0.0: give more than 0"),
        ({"factor": "nan"}, "give a finite number"),
        ({"factor": "x"}, "give a finite number"),
        ({"factor": "10"}, "give at most period, which is 9"),
        ({"both_sides": "yes"}, "give true or false"),
    ],
)
def test_wrong_text_is_refused_with_name_value_and_remedy(texts: dict[str, str], remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy):
        parameters_from_text(Lengths, texts)


@pytest.mark.parametrize(
    "values", [{"period": 3.0}, {"period": True}, {"factor": "2"}, {"source": 1}, {"both_sides": 1}]
)
def test_wrong_types_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(values))):
        Lengths(**values)


def test_a_strategy_without_parameters_takes_none() -> None:
    with pytest.raises(BadInput, match="it takes none"):
        parameters_from_text(Parameters, {"x": "1"})
