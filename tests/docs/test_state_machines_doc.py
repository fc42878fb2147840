"""The page of the state machines is what its generator writes today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from engine.core.execution.bracket_table import BRACKET_MACHINE
from engine.core.execution.order_table import ORDER_MACHINE
from engine.core.risk.states import TRADING_MACHINE

MACHINES = [ORDER_MACHINE, BRACKET_MACHINE, TRADING_MACHINE]


@pytest.fixture(scope="module")
def generator(repository: Path) -> ModuleType:
    path = repository / "tools" / "draw_state_machines.py"
    spec = importlib.util.spec_from_file_location("draw_state_machines", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_fresh(generator: ModuleType) -> None:
    stale = "docs/state-machines.md is stale: run `python tools/draw_state_machines.py`"
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), stale


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_move_and_every_reason_is_on_the_page(generator: ModuleType, machine: object) -> None:
    page = generator.page()
    for row in machine.rows:  # type: ignore[attr-defined]  # a machine of any kind
        if row.source is not row.target:
            assert any(
                line.startswith(f"    {row.source.value} --> {row.target.value}: ")
                and row.trigger.value in line.partition(": ")[2].split(", ")
                for line in page.splitlines()
            )
        if row.why:
            assert f"| `{row.target}` | {row.why} |" in page


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_is_explained(generator: ModuleType, machine: object) -> None:
    page = generator.page()
    for state in machine.states:  # type: ignore[attr-defined]  # same
        (line,) = (
            line for line in page.splitlines() if line.startswith(f"| `{state.value}` | ") and line.count("|") == 3
        )
        assert line.endswith(". |")
