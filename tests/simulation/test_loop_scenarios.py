"""Short scenarios with every fault through the runner on asyncio (layer 2): nothing that must never happen does."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.testing.chaos.runner import run_trial
from engine.testing.chaos.trial import Trial
from engine.testing.chaos.worker import Worker

_CHUNK = 36
TRIAL = Trial(layer=2)


def _live(chunk: int) -> None:
    summary = run_trial(TRIAL, seed=chunk * _CHUNK, seeds=_CHUNK)
    broken = [f"{found.invariant}: {found.message}; {found.replay}" for found in summary.violations]
    assert not broken, "\n".join(broken)
    assert summary.lived == _CHUNK
    # Four chunks of so many are more than a hundred.
    assert summary.scenarios >= 26


class TestSeeds0:
    @pytest.mark.parametrize("chunk", [0, 1])
    def test_nothing_breaks(self, chunk: int) -> None:
        _live(chunk)


class TestSeeds72:
    @pytest.mark.parametrize("chunk", [2, 3])
    def test_nothing_breaks(self, chunk: int) -> None:
        _live(chunk)


def test_one_seed_is_one_event_log_and_none_of_layer_1(tmp_path: Path) -> None:
    first, second = (Worker(TRIAL, tmp_path).live(7).event_log_hash for _ in range(2))
    assert first == second != Worker(Trial(), tmp_path).live(7).event_log_hash


def test_a_schedule_and_the_line_that_replays_it_name_the_layer() -> None:
    assert TRIAL.replay_line(7) == "ratchet chaos --layer 2 --explain 7"
