"""Six hundred short scenarios with every fault: nothing that must never happen does, on any of them.

A class for each chunk: the workers of `make test` share out by classes, so that all of them have a part.
"""

from __future__ import annotations

import pytest

from engine.testing.chaos.runner import run_trial
from engine.testing.chaos.trial import Trial

_CHUNK = 50
_COUNTING_MIN = 42


def _live(chunk: int) -> None:
    summary = run_trial(Trial(), seed=chunk * _CHUNK, seeds=_CHUNK)
    broken = [f"{found.invariant}: {found.message}; {found.replay}" for found in summary.violations]
    assert not broken, "\n".join(broken)
    assert summary.lived == _CHUNK
    # Some are too quiet to count; twelve chunks of so many are more than five hundred.
    assert summary.scenarios >= _COUNTING_MIN


class _Chunk:
    first = 0

    @pytest.mark.parametrize("part", range(2))
    def test_nothing_breaks(self, part: int) -> None:
        _live(self.first + part)


class TestSeeds0(_Chunk):
    first = 0


class TestSeeds100(_Chunk):
    first = 2


class TestSeeds200(_Chunk):
    first = 4


class TestSeeds300(_Chunk):
    first = 6


class TestSeeds400(_Chunk):
    first = 8


class TestSeeds500(_Chunk):
    first = 10
