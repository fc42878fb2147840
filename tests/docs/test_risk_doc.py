"""The page on risk names every check, reason code and key that the engine has, and no others."""

import ast
import inspect
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from engine.app.settings import RiskFile
from engine.core.execution.bracket_table import BracketState
from engine.core.execution.register import UNANSWERED_MAX
from engine.core.messages import TradingState, Verdict, plans
from engine.core.risk import checks
from engine.core.risk.breakers import Breaker
from engine.core.risk.checks import exposure, market, operation, order, results, sizing, throttles
from engine.core.risk.sources import VENUES, Capability

_CODE = re.compile(r"`([a-z_.]+)`")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "risk.md").read_text(encoding="utf-8")


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table of a chapter or section, without its head."""
    chapter = re.split(rf"\n##+ {re.escape(heading)}\n", page, maxsplit=1)[1]
    first = chapter[chapter.index("\n|") + 1 :].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in first.splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield every key of the settings, dotted, with its default."""
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from keys_of(type(field.default), f"{prefix}{name}.")
        else:
            yield prefix + name, field.default


def as_yaml(value: object) -> str:
    if isinstance(value, frozenset):
        return "[]" if not value else str(sorted(value))
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{}"
    return str(value).lower() if isinstance(value, bool) else str(value)


KEYS = dict(keys_of(RiskFile))


def functions() -> dict[str, ast.FunctionDef]:
    modules = (exposure, market, operation, order, results, sizing, throttles, plans)
    trees = [ast.parse(inspect.getsource(module)) for module in modules]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def texts(node: ast.expr | None) -> Iterator[str]:
    """Yield the texts that an expression can be: a constant, or either side of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def reason_in(node: ast.AST, *, is_helper: bool) -> ast.expr | None:
    """Return the expression of a reason: an argument or a variable of that name, or what a helper returns."""
    if isinstance(node, ast.keyword):
        return node.value if node.arg == "reason" else None
    if isinstance(node, ast.Assign):
        return node.value if ast.unparse(node.targets[0]) == "reason" else None
    return node.value if isinstance(node, ast.Return) and is_helper else None


def reasons_of(name: str, known: dict[str, ast.FunctionDef]) -> set[str]:
    """Return the reason codes that a check can give: its own, and those of the helpers that it calls."""
    if name not in known or name in {"passed", "judged"}:
        return set()
    found: set[str] = set()
    for node in ast.walk(known[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found |= reasons_of(node.func.id, known)
        found.update(texts(reason_in(node, is_helper=name.startswith("_") or name == "plan_defect")))
    return found - {""}


def test_the_table_lists_every_check_in_its_order(page: str) -> None:
    listed = [(int(number), name) for number, name, *_ in table(page, "Checks")]
    assert listed == [(number, about.name) for number, about in checks.ABOUT.items()]
    assert [name for _, name in listed] == [check.__name__ for check in checks.CHECKS]
    assert len(listed) == 27


def test_each_check_lists_its_reason_codes(page: str) -> None:
    known = functions()
    listed = {name: set(_CODE.findall(reasons)) for _, name, _, _, _, reasons in table(page, "Checks")}
    assert listed == {check.__name__: reasons_of(check.__name__, known) for check in checks.CHECKS}
    assert len(set().union(*listed.values())) > len(checks.CHECKS)


def test_every_limit_is_named_by_the_check_that_reads_it(page: str) -> None:
    named = [key for *_, keys, _ in table(page, "Checks") for key in _CODE.findall(keys)]
    assert len(set(named)) == len(named)
    # What a breaker reads is a check's too where the check itself compares.
    named += [key for *_, keys, _ in table(page, "Circuit breakers") for key in _CODE.findall(keys)]
    kinds = {key.strip("`") for key, *_ in table(page, "Kinds of orders")}
    assert set(named) | kinds == {
        key for key in KEYS if not key.startswith(("sizing.", "deadlines.", "recovery.", "account.lots"))
    }
    assert not kinds & set(named)


def test_each_check_is_in_its_layer(page: str) -> None:
    rows = {int(number): int(layer) for number, _, layer, *_ in table(page, "Checks")}
    assert rows == {number: about.layer for number, about in checks.ABOUT.items()}
    layers = {int(layer): [int(each) for each in numbers.split(",")] for layer, _, numbers in table(page, "Layers")}
    assert layers == {layer: [number for number, its in rows.items() if its == layer] for layer in checks.Layer}


def test_the_table_of_sources_is_that_of_the_code(page: str) -> None:
    listed = [(name.strip("`"), int(number), *said) for name, number, *said in table(page, "Sources per venue")]
    needed_by = {need: number for number, about in checks.ABOUT.items() for need in about.needs}
    assert listed == [
        (
            each.value,
            needed_by[each],
            *(f"{venue.sources[each].offer.value}: {venue.sources[each].text}" for venue in VENUES.values()),
        )
        for each in Capability
    ]


def test_every_breaker_and_verdict_is_described(page: str) -> None:
    assert [name.strip("`") for name, *_ in table(page, "Circuit breakers")] == [each.value for each in Breaker]
    assert [name.strip("`") for name, *_ in table(page, "Verdicts")] == [each.value for each in Verdict]


def test_every_deadline_is_in_the_table_of_waits(page: str) -> None:
    named = {key for _, keys, _ in table(page, "Deadlines and escalations") for key in _CODE.findall(keys)}
    assert named == {key for key in KEYS if key.startswith("deadlines.")}


def test_the_table_of_keys_is_that_of_the_settings(page: str) -> None:
    rows = table(page, "Every key of risk.yaml")
    assert {key.strip("`"): default for key, default, _ in rows} == {key: as_yaml(value) for key, value in KEYS.items()}
    assert len(rows) == len(KEYS)
    assert all(meaning for *_, meaning in rows)


def test_no_key_is_named_that_does_not_exist(page: str) -> None:
    sections = "|".join({key.partition(".")[0] for key in KEYS if "." in key})
    named = set(re.findall(rf"\b((?:{sections})\.[a-z_]+)", page))
    assert named
    assert named <= set(KEYS)


def test_the_shipped_file_says_what_the_page_says(page: str, repository: Path) -> None:
    document = yaml.safe_load((repository / "risk.yaml").read_text(encoding="utf-8"))
    shipped = {
        f"{section}.{key}" if isinstance(values, dict) else section: value
        for section, values in document.items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
    assert set(shipped) == set(KEYS)
    for key, default, _ in table(page, "Every key of risk.yaml"):
        value = shipped[key.strip("`")]
        if isinstance(value, list | bool | dict):
            assert as_yaml(frozenset(value) if isinstance(value, list) else value) == default
        elif value is None or isinstance(value, str):
            assert as_yaml(value) == default
        else:
            assert Decimal(str(value)) == Decimal(default)


def test_states_and_counts_are_those_of_the_code(page: str) -> None:
    assert [state for state, *_ in table(page, "Trading states")] == [state.value for state in TradingState]
    waiting = {BracketState.UNPROTECTED, BracketState.PROTECTING, BracketState.SWAPPING, BracketState.EXITING}
    waits = " ".join(waits for waits, *_ in table(page, "Deadlines and escalations"))
    assert all(f"`{state.value}`" in waits for state in waiting)
    assert UNANSWERED_MAX == 3, "the page says `the third`"
