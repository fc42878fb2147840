"""Only the gate approves: mypy refuses a raw request, and nothing else in the engine makes an approval."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine

PROGRAM = """
from engine.core.execution.stage import ExecutionStage
from engine.core.messages import Approved, Draft, OrderRequest
from engine.core.risk.gate import RiskGate
from engine.core.risk.situation import Situation


def through_the_gate(stage: ExecutionStage, gate: RiskGate, situation: Situation, draft: Draft) -> None:
    approved = gate.decide(situation, draft)
    if approved is not None:
        stage.place(approved, draft)


def past_the_gate(stage: ExecutionStage, request: OrderRequest, draft: Draft) -> None:
    stage.place(request, draft)  # raw


def without_looking(stage: ExecutionStage, gate: RiskGate, situation: Situation, draft: Draft) -> None:
    stage.place(gate.decide(situation, draft), draft)  # perhaps refused


def approved_of_something_else(stage: ExecutionStage, approved: Approved[str], draft: Draft) -> None:
    stage.place(approved, draft)  # of a text
"""
REFUSED = {"# raw": "OrderRequest", "# perhaps refused": "None", "# of a text": "Approved[str]"}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says about the program, by line."""
    folder = tmp_path_factory.mktemp("mypy")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\nfollow_imports = silent\n")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--no-pretty", program.name]
    environment = {"PYTHONPATH": "", "MYPYPATH": str(Path(engine.__file__).parents[1]), "PATH": ""}
    # Where the engine is installed mypy finds it itself, and refuses to look into site-packages by path.
    if "site-packages" in engine.__file__:
        del environment["MYPYPATH"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    lines = [line.split(":", 2) for line in result.stdout.splitlines() if ": error:" in line]
    assert all(name == program.name for name, *_ in lines), result.stdout
    return {int(number): message for _, number, message in lines}


def line_of(mark: str) -> int:
    return next(number for number, line in enumerate(PROGRAM.splitlines(), start=1) if mark in line)


@pytest.mark.parametrize("mark", REFUSED)
def test_mypy_refuses_what_the_gate_has_not_passed(complaints: dict[int, str], mark: str) -> None:
    message = complaints[line_of(mark)]
    assert 'Argument 1 to "place" of "ExecutionStage"' in message
    assert REFUSED[mark] in message
    assert 'expected "Approved[OrderRequest]"' in message


def test_mypy_accepts_what_the_gate_has_passed(complaints: dict[int, str]) -> None:
    assert set(complaints) == {line_of(mark) for mark in REFUSED}


def makers_of_approvals(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that call `Approved(...)`, or `Approved[...](...)`, under any path."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name == "Approved":
            yield node.lineno


def renames_of_approvals(tree: ast.Module) -> Iterator[int]:
    """Yield the lines that give `Approved` another name, under which it could be made unseen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and node.name == "Approved" and node.asname not in (None, "Approved"):
            yield node.lineno
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == "Approved":
            yield node.lineno


def test_approvals_are_made_in_the_gate_only() -> None:
    root = Path(engine.__file__).parent
    makers = {
        path.relative_to(root).as_posix(): list(makers_of_approvals(ast.parse(path.read_text(encoding="utf-8"))))
        for path in root.rglob("*.py")
    }
    assert {path: len(lines) for path, lines in makers.items() if lines} == {"core/risk/gate.py": 1}


def test_approvals_go_by_their_own_name() -> None:
    root = Path(engine.__file__).parent
    renamed = [path for path in root.rglob("*.py") if any(renames_of_approvals(ast.parse(path.read_text("utf-8"))))]
    assert renamed == []


@pytest.mark.parametrize(
    "source",
    ["Approved(request, decision_id=1)", "Approved[OrderRequest](request)", "messages.Approved(request)"],
)
def test_the_search_finds_a_maker(source: str) -> None:
    assert list(makers_of_approvals(ast.parse(source))) == [1]


@pytest.mark.parametrize("source", ["from engine.core.messages import Approved as A", "Passed = Approved"])
def test_the_search_finds_a_rename(source: str) -> None:
    assert list(renames_of_approvals(ast.parse(source))) == [1]
