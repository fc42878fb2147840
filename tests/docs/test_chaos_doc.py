"""The page on chaos names every option and every fault that the program has."""

import re
from pathlib import Path

import pytest
import typer

from engine.cli.commands import app
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.plan import QUIET_MINUTES, SHORT_MINUTES


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "chaos.md").read_text(encoding="utf-8")


def test_every_option_is_named(page: str) -> None:
    command = typer.main.get_command(app)
    declared = command.commands["chaos"].params  # type: ignore[attr-defined]  # a group has commands
    options = [name for each in declared for name in each.opts if name.startswith("--") and name != "--help"]
    assert len(options) >= 15
    assert re.findall(r"^\| `(--\w+)", page, flags=re.MULTILINE) == options


def test_every_fault_is_named(page: str) -> None:
    table = page[page.index("## Faults") :]
    assert set(re.findall(r"`(\w+)`", table)) == {kind.value for kind in FaultKind}


def test_the_numbers_are_those_of_the_program(page: str) -> None:
    assert f"last {SHORT_MINUTES} market minutes" in page
    assert f"honest for {QUIET_MINUTES} minutes" in page
