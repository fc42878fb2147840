from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest

from engine.cli.output import ExitCode, emit_json, exit_code_help, fail
from engine.core.errors import BadInput, Bug, EngineError, Halt, IllegalTransition, Retry


class _Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class _Row:
    symbol: str
    price: Decimal


def test_json_keeps_keys_in_order_and_decimals_exact(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json(
        {"z": Decimal("1E-8"), "a": Decimal("100000.00"), "rows": [_Row("SPY", Decimal("1.10"))], "c": _Colour.RED}
    )
    shown = capsys.readouterr().out
    assert list(json.loads(shown)) == ["z", "a", "rows", "c"]
    assert json.loads(shown) == {
        "z": "0.00000001",
        "a": "100000.00",
        "rows": [{"symbol": "SPY", "price": "1.10"}],
        "c": "red",
    }


def test_json_knows_paths_sets_and_moments(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json(
        {"path": Path("a") / "b", "set": {"y", "x"}, "at": datetime(2025, 1, 2, tzinfo=UTC), "none": None, "é": 1.5}
    )
    assert json.loads(capsys.readouterr().out) == {
        "path": str(Path("a") / "b"),
        "set": ["x", "y"],
        "at": "2025-01-02T00:00:00+00:00",
        "none": None,
        "é": 1.5,
    }


@pytest.mark.parametrize(("wrong", "error"), [(float("nan"), ValueError), (object(), TypeError)])
def test_json_refuses_what_it_has_no_word_for(wrong: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        emit_json({"x": wrong})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("The file x is empty: give another."), ExitCode.BAD_INPUT),
        (Halt("The books differ: compare them."), ExitCode.HALTED),
        (Retry("The database is locked: try again."), ExitCode.TRY_AGAIN),
        (Bug("It cannot be."), ExitCode.BUG),
        (IllegalTransition(machine="order", state="NEW", trigger="x"), ExitCode.BUG),
        (EngineError("It went wrong."), ExitCode.FAILED),
        (FileNotFoundError(2, "No such file or directory", "x.db"), ExitCode.FAILED),
        (ZeroDivisionError("division by zero"), ExitCode.BUG),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_an_error_is_one_line_on_standard_error(
    error: BaseException, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(error) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("ratchet: ")
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err


def test_every_error_of_the_engine_has_a_known_exit_code() -> None:
    kinds: list[type[EngineError]] = [EngineError, Bug, IllegalTransition, Halt, Retry, BadInput]
    assert {ExitCode(kind.exit_code) for kind in kinds} == {
        ExitCode.FAILED,
        ExitCode.BUG,
        ExitCode.HALTED,
        ExitCode.TRY_AGAIN,
        ExitCode.BAD_INPUT,
    }
    assert [line.split()[0] for line in exit_code_help().splitlines()] == ["0", "1", "2", "3", "4", "70", "130"]


def test_what_a_message_quotes_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fail(BadInput("The key 'a\nb\x1b[31m\x07' is unknown:\tremove it."))
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count("\n") == 1
