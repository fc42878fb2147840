"""Terms: what a rule's entries say beyond a stop and one target, and terms that cannot be followed."""

from dataclasses import dataclass
from typing import Any

import pytest

from engine.core.errors import BadInput
from engine.core.messages import Bar, Signal
from engine.core.signals import Context
from engine.core.values import InstrumentId, OrderType, SessionKind, instrument_from_symbol
from engine.strategy import EntryTerms, NoParameters, Parameters, RuleBar, RuleStrategy, parameter

BAR = Bar(
    instrument_id=InstrumentId(1),
    start_ts_ns=1_711_459_800_000_000_000,
    open=100.0,
    high=102.0,
    low=98.0,
    close=100.0,
    volume=1.0,
    vwap=100.0,
    session_kind=SessionKind.REGULAR,
)


class Always(RuleStrategy[NoParameters]):
    """Enter at every bar, with a stop of half the bar's range: two."""

    stated = EntryTerms()

    def entry(self, bar: RuleBar) -> bool:
        return True

    def stop_distance(self, bar: RuleBar) -> Any:
        return (bar.high - bar.low) / 2.0

    def terms(self) -> EntryTerms:
        return self.stated


def signal_with(terms: EntryTerms) -> Signal:
    class Stated(Always):
        stated = terms

    (signal,) = Stated().on_bar(BAR, Context(instrument_from_symbol("SPY", 1)))
    return signal


def test_a_rule_without_terms_enters_as_it_did() -> None:
    plain = signal_with(EntryTerms())
    assert plain == Signal(
        kind=plain.kind, stop_distance=2.0, target_distance=None, reason="entry", values=plain.values
    )
    assert plain.order_type is OrderType.MARKET


def test_risks_are_counted_in_the_entry_s_own_stop_distance() -> None:
    signal = signal_with(
        EntryTerms(
            targets=((1.0, 0.5), (2.5, 0.25)),
            stop_limit_risks=0.1,
            trail_risks=1.5,
            trail_step_risks=0.25,
            break_even_risks=1.0,
        )
    )
    assert signal.targets == ((2.0, 0.5), (5.0, 0.25))
    assert (signal.stop_limit_offset, signal.trail_distance, signal.trail_step) == (0.2, 3.0, 0.5)
    assert signal.break_even_distance == 2.0


@pytest.mark.parametrize("stated", [{"limit_offset": 0.05}, {"limit_offset_bps": -3.0}, {"limit_offset": 0.0}])
def test_an_offset_makes_a_limit(stated: dict[str, float]) -> None:
    signal = signal_with(EntryTerms(**stated, expires_after_s=90, hold_s_max=600))  # type: ignore[arg-type]
    assert signal.order_type is OrderType.LIMIT
    assert (signal.expires_after_s, signal.hold_s_max) == (90, 600)
    for name, value in stated.items():
        assert getattr(signal, name) == value


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailParameters(Parameters):
    """Hold a trail."""

    trail: float = parameter(1.0, above=0, most=10)


class ByParameter(RuleStrategy[TrailParameters]):
    """State terms that a parameter decides."""

    parameters_type = TrailParameters

    def entry(self, bar: RuleBar) -> bool:
        return True

    def stop_distance(self, bar: RuleBar) -> float:
        return 2.0

    def terms(self) -> EntryTerms:
        return EntryTerms(trail_risks=self.parameters.trail)


def test_terms_may_depend_on_parameters() -> None:
    strategy = ByParameter(TrailParameters(trail=3.0))
    (signal,) = strategy.on_bar(BAR, Context(instrument_from_symbol("SPY", 1)))
    assert signal.trail_distance == 6.0


@pytest.mark.parametrize(
    ("stated", "sentence"),
    [
        ({"trail_risks": 0.0}, "trail_risks is 0.0"),
        ({"break_even_risks": float("nan")}, "break_even_risks is nan"),
        ({"hold_s_max": -1}, "hold_s_max is -1"),
        ({"targets": ((1.0, 0.0),)}, "targets is 0.0"),
        ({"targets": ((1.0, 0.75), (2.0, 0.5))}, "sum to 1.25"),
        ({"limit_offset": 1.0, "limit_offset_bps": 1.0}, "both given"),
        ({"limit_offset": float("inf")}, "limit_offset is inf"),
        ({"trail_step_risks": 1.0}, "without trail_risks"),
    ],
)
def test_terms_that_cannot_be_followed_are_refused(stated: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        EntryTerms(**stated)


def test_risks_need_a_stop_and_targets_stand_alone() -> None:
    class NoStop(Always):
        stated = EntryTerms(break_even_risks=1.0)

        def stop_distance(self, bar: RuleBar) -> None:
            return None

    class TwoTargets(Always):
        stated = EntryTerms(targets=((1.0, 1.0),))

        def target_distance(self, bar: RuleBar) -> float:
            return 3.0

    with pytest.raises(BadInput, match="NoStop count in risks"):
        NoStop()
    with pytest.raises(BadInput, match="TwoTargets has targets"):
        TwoTargets()
