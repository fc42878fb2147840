"""The page on chaos names every option and every fault that the program has."""

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from engine.cli.chaos import chaos
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.plan import QUIET_MINUTES, SHORT_MINUTES


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "chaos.md").read_text(encoding="utf-8")


def test_every_option_is_named(page: str) -> None:
    hints = get_type_hints(chaos, include_extras=True)
    declared = [get_args(hints[name])[1] for name in inspect.signature(chaos).parameters]
    options = [name for each in declared for name in getattr(each, "param_decls", ()) if name.startswith("--")]
    assert len(options) >= 15
    assert re.findall(r"^\| `(--\w+)", page, flags=re.MULTILINE) == options


def test_every_fault_is_named(page: str) -> None:
    table = page[page.index("## Faults") :]
    assert set(re.findall(r"`(\w+)`", table)) == {kind.value for kind in FaultKind}


def test_the_numbers_are_those_of_the_program(page: str) -> None:
    assert f"last {SHORT_MINUTES} market minutes" in page
    assert f"honest for {QUIET_MINUTES} minutes" in page
