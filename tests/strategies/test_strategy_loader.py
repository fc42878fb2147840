"""Strategies are found by name, in the shipped folder and in one's own, or refused in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.app.strategy_loader import load_strategy, strategy_names
from engine.core.errors import BadInput
from strategies.s1_vwap_ema import S1Parameters, S1VwapEma

OWN = """
from engine.strategy import NOTHING, BarStrategy

class {name}(BarStrategy):
    def on_bar(self, bar, context):
        return NOTHING
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an empty `strategies` folder; the path is put back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "strategies"
    own.mkdir()
    return own


@pytest.mark.parametrize("name", ["strategies.s1_vwap_ema:S1VwapEma", "strategies.s1_vwap_ema", "s1_vwap_ema"])
def test_a_shipped_strategy_is_loaded_by_each_of_its_names(name: str) -> None:
    loaded = load_strategy(name, {"fast_period": "8"})
    one, other = loaded(), loaded()
    assert loaded.import_string == "strategies.s1_vwap_ema:S1VwapEma"
    assert (loaded.name, loaded.strategy_type) == ("s1_vwap_ema", S1VwapEma)
    assert loaded.parameters == S1Parameters(fast_period=8)
    assert isinstance(one, S1VwapEma)
    assert one.parameters == loaded.parameters
    assert one is not other


def test_an_own_folder_joins_the_shipped_one(folder: Path) -> None:
    (folder / "own_joined.py").write_text(OWN.format(name="Own"))
    loaded = load_strategy("own_joined", {})
    assert type(loaded()).__name__ == "Own"
    assert {"own_joined", "s1_vwap_ema"} <= set(strategy_names())


def test_a_changed_copy_of_a_shipped_strategy_is_not_passed_over(folder: Path) -> None:
    (folder / "s1_vwap_ema.py").write_text(OWN.format(name="S1VwapEma"))
    with pytest.raises(BadInput, match="rename your own"):
        load_strategy("s1_vwap_ema", {})


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("s1_vwap_emma", "did you mean 's1_vwap_ema'"),
        ("strategies.nothing:Here", "There is no strategy"),
        ("strategies.s1_vwap_ema:S1", "its strategies are S1VwapEma"),
        ("strategies.s1_vwap_ema:S1Parameters", "is not a strategy"),
        ("engine.strategy:RuleStrategy", "is not a strategy"),
        ("engine.core.errors", "has not one strategy but none"),
        ("", "There is no strategy"),
        (".relative", "cannot be imported"),
    ],
)
def test_what_is_not_there_is_refused(name: str, remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy):
        load_strategy(name, {})


def test_files_that_do_not_work_are_refused(folder: Path) -> None:
    (folder / "own_broken.py").write_text("def broken(:\n")
    (folder / "own_needy.py").write_text("import a_module_that_nobody_has\n")
    (folder / "own_two.py").write_text(OWN.format(name="One") + OWN.format(name="Two"))
    for name, remedy in (
        ("own_broken", "SyntaxError"),
        ("own_needy", "imports 'a_module_that_nobody_has', which is not installed"),
        ("own_two", "One, Two: name it as module:Class"),
    ):
        with pytest.raises(BadInput, match=remedy):
            load_strategy(name, {})


def test_parameters_are_checked_on_loading() -> None:
    with pytest.raises(BadInput, match="give less than slow_period"):
        load_strategy("s1_vwap_ema", {"fast_period": "30"})
