"""When a wheel is under test, the tests really import the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import engine

_IS_WHEEL = os.environ.get("RATCHET_TEST_WHEEL") == "1"
_wheel_only = pytest.mark.skipif(not _IS_WHEEL, reason="no wheel is under test (make test WHEEL=...)")


def _package() -> Path:
    return Path(engine.__file__).resolve().parent


def test_the_distribution_names_its_command() -> None:
    scripts = [script for script in entry_points(group="console_scripts") if script.name == "ratchet"]
    assert [script.value for script in scripts] == ["engine.cli.main:main"]


def test_pandas_is_no_runtime_dependency() -> None:
    required = distribution("ratchet-engine").requires or []
    assert required
    assert not [name for name in required if name.startswith(("pandas", "exchange"))]


def test_the_frozen_calendars_are_packaged() -> None:
    assert (_package() / "calendar_tables" / "XNYS.csv").is_file()


def test_the_style_and_script_of_reports_are_packaged() -> None:
    assets = _package() / "research" / "report_assets"
    assert {path.name for path in assets.iterdir()} >= {"page.css", "page.js"}


@_wheel_only
def test_the_engine_comes_from_the_wheel() -> None:
    assert "site-packages" in _package().parts, f"engine was imported from the source tree: {_package()}"


@_wheel_only
def test_a_child_process_imports_the_wheel_too() -> None:
    code = "import engine, strategies; print(engine.__file__); print(*strategies.__path__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    places = done.stdout.split()
    assert len(places) == 2
    assert all("site-packages" in Path(place).parts for place in places), done.stdout


@_wheel_only
def test_the_wheel_holds_migrations_and_default_settings() -> None:
    assert list((_package() / "store" / "migrations").glob("versions/*.py"))
    assert (_package() / "app" / "defaults" / "risk.yaml").stat().st_size > 0


@_wheel_only
def test_the_wheel_is_typed() -> None:
    assert (_package() / "py.typed").is_file()
