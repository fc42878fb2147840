"""Every schedule that once broke an invariant is replayed for ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.testing.chaos.regressions import Expectation, load_schedule
from engine.testing.chaos.worker import Worker

_HERE = Path(__file__).parent
_FILES = sorted((_HERE / "regressions").glob("*.json"))


def test_there_are_some() -> None:
    assert _FILES


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_it_comes_out_as_expected(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The strategies of owners that the schedules name lie beside them.
    shutil.copytree(_HERE / "owners", tmp_path / "strategies")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    schedule = load_schedule(path)
    outcome = Worker(schedule.trial(), tmp_path).repeat(schedule.plan, schedule.faults)
    broken = [violation.invariant for violation in outcome.violations]
    assert broken == ([] if schedule.expectation is Expectation.HOLDS else [schedule.invariant]), outcome.violations
