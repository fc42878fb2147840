"""The page of the state machines is what its generator writes today."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from engine.app.settings import DeadlinesSection
from engine.core.execution.bracket_table import BRACKET_MACHINE
from engine.core.messages import BracketTransitioned
from engine.testing.machines import AnyMachine, core_machines
from engine.testing.scenario import Scenario, enter, leave

MACHINES = core_machines()


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


each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)


def chapter_of(generator: ModuleType, machine: AnyMachine) -> str:
    """Return the text of a machine's own chapter."""
    heading = f"\n## {machine.name[:1].upper()}{machine.name[1:]}\n"
    page = generator.page()
    assert heading in page, f"tools/draw_state_machines.py has no chapter for the {machine.name} machine"
    return str(page.partition(heading)[2].partition("\n## ")[0])


def untils(generator: ModuleType, machine: AnyMachine) -> dict[str, str]:
    """Return what the page says about how long each state may last."""
    rows = [line.strip("| ").split(" | ") for line in chapter_of(generator, machine).splitlines()]
    return {row[0].strip("`"): row[2] for row in rows if len(row) == 3 and row[0].startswith("`")}


@each_machine
def test_every_move_and_every_reason_is_on_the_page(generator: ModuleType, machine: AnyMachine) -> None:
    chapter = chapter_of(generator, machine)
    for row in machine.rows:
        if row.source is not row.target:
            assert any(
                line.startswith(f"    {row.source.value} --> {row.target.value}: ")
                and row.trigger.value in line.partition(": ")[2].split(", ")
                for line in chapter.splitlines()
            )
        if row.why:
            assert f"| `{row.target}` | {row.why} |" in chapter


@each_machine
def test_every_state_is_explained_and_says_how_it_ends(generator: ModuleType, machine: AnyMachine) -> None:
    chapter = chapter_of(generator, machine)
    assert list(untils(generator, machine)) == [state.value for state in machine.states]
    for state, until in untils(generator, machine).items():
        assert until.endswith(".")
        assert (until == "An end.") is (f"    {state} --> [*]\n" in chapter)


def test_no_deadline_is_named_that_the_settings_have_not(generator: ModuleType) -> None:
    waits = " ".join(until for machine in MACHINES for until in untils(generator, machine).values())
    named = set(re.findall(r"`deadlines\.([a-z_]+)`", waits))
    assert named
    assert named <= set(DeadlinesSection.model_fields)


def test_a_bracket_has_a_deadline_exactly_in_the_states_that_name_one(generator: ModuleType) -> None:
    scenario = Scenario({0: enter(), 1: leave()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100")
    legs = scenario.submitted()[1:]
    for leg in legs:
        scenario.ack(leg)
    scenario.bar(1)
    for leg in legs:
        scenario.cancel(leg)
    scenario.fill(scenario.submitted()[-1], "101")
    (machine,) = (machine for machine in MACHINES if machine.name == BRACKET_MACHINE.name)
    named = untils(generator, machine)
    seen = {fact.to_state: fact.deadline_ts_ns is not None for fact in scenario.made(BracketTransitioned)}
    assert set(seen) == set(named) - {"ENTERING", "ABORTED"}
    assert seen == {state: "`deadlines." in named[state] for state in seen}
