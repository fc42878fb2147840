"""A rule is told in words that mean the same rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from engine.core.messages import Bar, Signal
from engine.core.signals import Context
from engine.indicators import EMA, Indicator
from engine.rules import (
    NOTHING,
    BarStrategy,
    Condition,
    NoParameters,
    Number,
    RuleBar,
    RuleStrategy,
    absolute,
    crosses_above,
    crosses_below,
    is_known,
    maximum,
    minimum,
    strategy_in_words,
    where,
)
from engine.rules.words import expression_in_words

BAR = RuleBar(["close", "open", "a", "b"])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda bar: (bar.close > bar.a) & crosses_above(bar.a, bar.b), "close > a & a crosses above b"),
        (lambda bar: crosses_below(bar.a + 1, 2 * bar.b), "a + 1 crosses below 2 * b"),
        (lambda bar: bar.close - (bar.open - bar.a) > 0, "close - (open - a) > 0"),
        (lambda bar: bar.close / (bar.a / bar.b) > -bar.a, "close / (a / b) > -a"),
        (lambda bar: -(bar.a + bar.b) * 0.5 > 0.25, "-(a + b) * 0.5 > 0.25"),
        (lambda bar: ~((bar.a > 1) | (bar.b <= 2)), "not (a > 1 | b <= 2)"),
        (lambda bar: (bar.a == bar.b) | ((bar.a != 1) & (bar.b < 2)), "a == b | a != 1 & b < 2"),
        (lambda bar: ((bar.a > 1) | (bar.b > 2)) & (bar.a >= 0), "(a > 1 | b > 2) & a >= 0"),
        (lambda bar: maximum(bar.a, absolute(bar.b)) > minimum(bar.a, 3), "maximum(a, absolute(b)) > minimum(a, 3)"),
        (lambda bar: where(bar.a > 1, bar.a, 2) > 0, "where(a > 1, a, 2) > 0"),
        (lambda bar: is_known(bar.a / bar.b), "a / b is known"),
        (lambda bar: bar.previous.close < bar.close, "previous close < close"),
        # Only what was at or below it one bar before has crossed.
        (lambda bar: (bar.a > bar.b) & (bar.a <= bar.b), "a > b & a <= b"),
        (lambda bar: (bar.a > 1) & (bar.previous.a <= 2), "a > 1 & previous a <= 2"),
        (lambda bar: (bar.a > bar.b) & (bar.previous.b <= bar.previous.a), "a > b & previous b <= previous a"),
        (lambda bar: (bar.previous.a > 1) & (bar.previous.a <= 1), "previous a > 1 & previous a <= 1"),
    ],
)
def test_an_expression_is_told_with_the_signs_of_its_author(write: Callable[[RuleBar], Condition], words: str) -> None:
    assert expression_in_words(write(BAR)) == words


def test_a_part_that_would_never_end_is_left_out() -> None:
    doubled: Number = BAR.a
    for _ in range(64):
        doubled = doubled + doubled
    words = expression_in_words(crosses_above(doubled, BAR.b) & (BAR.close > 1))
    assert words.endswith(" & close > 1")
    assert "…" in words
    assert len(words) < 5_000


class Whole(RuleStrategy[NoParameters]):
    """Say everything that a rule may say."""

    def indicators(self) -> Mapping[str, Indicator]:
        return {"fast": EMA(period=3)}

    def entry(self, bar: RuleBar) -> Condition | bool:
        return bar.close > bar.fast

    def exit(self, bar: RuleBar) -> Condition | bool:
        return bar.seconds_to_close <= 60

    def stop_distance(self, bar: RuleBar) -> Number | float | None:
        return 0.5 * bar.fast

    def target_distance(self, bar: RuleBar) -> Number | float | None:
        return 2


class Bare(RuleStrategy[NoParameters]):
    """Enter and stay."""

    def entry(self, bar: RuleBar) -> Condition | bool:
        return is_known(bar.close)


class Plain(BarStrategy[NoParameters]):
    """Do nothing, at length.

    More of it.
    """

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        return NOTHING


class Silent(Plain):
    __doc__ = None


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (
            Whole,
            (
                "enter where close > fast; stop 0.5 * fast below the fill; target 2 above the fill; "
                "leave where seconds_to_close <= 60; with fast = EMA(period=3, source='close', seed='sma')"
            ),
        ),
        (Bare, "enter where close is known"),
        (Plain, "Do nothing, at length."),
        (Silent, ""),
    ],
)
def test_a_strategy_is_told_as_its_rule_or_by_its_first_line(strategy: Any, words: str) -> None:
    assert strategy_in_words(strategy()) == words
