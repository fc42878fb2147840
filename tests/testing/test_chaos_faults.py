"""Seeded faults come as often as their rates say."""

from __future__ import annotations

from math import sqrt

import pytest

from engine.testing.chaos.faults import FaultKind, SeededChooser

PASSAGES = 20_000


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_fault_comes_as_often_as_its_rate_says(rate: float) -> None:
    chooser = SeededChooser(4, {FaultKind.READ_FAILED: rate})
    seen = sum(chooser.at("listing") is not None for _ in range(PASSAGES))
    assert abs(seen / PASSAGES - rate) < 4 * sqrt(rate * (1 - rate) / PASSAGES)


def test_rates_of_a_point_add_up_and_are_kept_among_each_other() -> None:
    chooser = SeededChooser(4, {FaultKind.READ_FAILED: 0.3, FaultKind.READ_TRUNCATED: 0.1})
    kinds = [fault.kind for fault in (chooser.at("listing") for _ in range(PASSAGES)) if fault is not None]
    assert abs(len(kinds) / PASSAGES - 0.4) < 4 * sqrt(0.4 * 0.6 / PASSAGES)
    assert 2.7 < kinds.count(FaultKind.READ_FAILED) / kinds.count(FaultKind.READ_TRUNCATED) < 3.3


def test_something_goes_well_at_last_whatever_the_rates_add_up_to() -> None:
    chooser = SeededChooser(4, {FaultKind.READ_FAILED: 0.9, FaultKind.READ_TRUNCATED: 0.9})
    assert 100 < sum(chooser.at("listing") is None for _ in range(PASSAGES)) < 300
