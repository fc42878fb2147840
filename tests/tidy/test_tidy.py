"""The rules of the house that no tool checks: sizes, and what the core may know.

Each rule is a function over one parsed file that yields what it found; `test_each_rule_can_fail` proves that
every one of them bites.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]

_FUNCTION_LINES_MAX = 70
_FILE_LINES_MAX = 500
_FILE_BYTES_MAX = 1_000_000

#: What `engine/core` may import besides itself. Nothing here reads a clock, a file, a socket or a random number.
_CORE_IMPORTS = frozenset(
    {
        "__future__",
        "array",
        "abc",
        "bisect",
        "collections",
        "collections.abc",
        "contextlib",
        "dataclasses",
        "decimal",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
        "operator",
        "re",
        "transitions",
        "types",
        "typing",
        "uuid",
    }
)
_CLOCK_NAMES = frozenset(
    {"now", "utcnow", "today", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime"}
)
_CHANCE_NAMES = frozenset({"random", "secrets", "uuid1", "uuid4", "urandom", "SystemRandom"})
#: They differ from process to process, so they are chance too.
_CHANCE_CALLS = frozenset({"hash", "id"})
#: The one file that makes a function from text: of the field names of our own classes, as `dataclasses` does.
_MAKES_FUNCTIONS = "engine/core/messages/quick.py"
_OUTSIDE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"})
_MODE_WORDS = frozenset({"backtest", "backtests", "backtesting", "paper", "live"})

_MONEY_ROOMS = (
    "engine/core/execution",
    "engine/core/ledger",
    "engine/core/pipeline",
    "engine/core/risk",
    "engine/core/values.py",
)
#: Where market data, which is float, turns into money, which never is. A name here needs its reason.
_CROSSINGS = {
    "exact": "prints, fills and marks become decimals here",
    "Instrument.price": "an order price goes to the tick here",
    "Instrument.quantity": "an order quantity goes to the lot here",
    "_finite": "the two above share it",
    "Ledger.__init__": "the last closes are market data, kept as they came",
    "as_decimal": "what a strategy states (distances, offsets, parts), kept unrounded, becomes a decimal here",
    "as_decimal_or_none": "it shares the one above",
    "nanoseconds": "seconds that a strategy states become whole nanoseconds here",
    "Levels": "prices of the tape are compared with levels, as floats",
    "_float": "a level becomes the float that a print at it would be",
    "Pipeline._watch": "a print is compared with levels, as floats",
    "Pipeline._learn": "a print at a level, or a close, becomes a decimal here",
    "Ledger.mark": "a close is market data; `exact` turns it into money where a position is valued",
}

_Rule = Callable[[ast.Module, str], Iterator[tuple[int, str]]]


# --- the rules ------------------------------------------------------------------------------------------------------


def _long_functions(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            if lines > _FUNCTION_LINES_MAX:
                yield node.lineno, f"function {node.name} has {lines} lines"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _long_file(_tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    lines = len(source.splitlines())
    if lines > _FILE_LINES_MAX:
        yield lines, f"the file has {lines} lines"


def _foreign_imports(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        else:
            continue
        for name in names:
            if name not in _CORE_IMPORTS and not f"{name}.".startswith("engine.core."):
                yield node.lineno, f"imports {name}"


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias):
            yield node.lineno, node.name


def _builtin_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    # Only plain names: `bar.open` is a price.
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id


def _clock(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    yield from ((line, f"reads a clock: {name}") for line, name in _names(tree) if name in _CLOCK_NAMES)


def _chance(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    found = [item for item in _names(tree) if item[1] in _CHANCE_NAMES]
    found += [item for item in _builtin_calls(tree) if item[1] in _CHANCE_CALLS]
    yield from ((line, f"depends on chance: {name}") for line, name in found)


def _outside(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    yield from ((line, f"reaches outside: {name}") for line, name in _builtin_calls(tree) if name in _OUTSIDE_CALLS)


def _mode_words(_tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), start=1):
        # Words in text, in snake_case and in CamelCase alike.
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", line)
        yield from ((number, f"says {word!r}") for word in words if word.lower() in _MODE_WORDS)


def _float_money(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    yield from _floats(tree, ())


def _floats(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = (*scope, node.name)
        if ".".join(scope) in _CROSSINGS:
            return
    if isinstance(node, ast.Name) and node.id == "float":
        yield node.lineno, f"names float in {'.'.join(scope) or 'the module'}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield node.lineno, f"writes the float {node.value!r} in {'.'.join(scope) or 'the module'}"
    for child in ast.iter_child_nodes(node):
        yield from _floats(child, scope)


def _bare_except(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "catches everything by a bare except"


def _prints(tree: ast.Module, _source: str) -> Iterator[tuple[int, str]]:
    yield from ((line, "prints") for line, name in _builtin_calls(tree) if name == "print")


# --- applying them --------------------------------------------------------------------------------------------------


def _sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((_ROOT / folder).rglob("*.py"))]
    assert found, f"no Python file under {', '.join(folders)}: the rule would check nothing"
    return found


def _assert_none(rule: _Rule, paths: Iterable[Path], remedy: str) -> None:
    findings = []
    for path in paths:
        source = path.read_text(encoding="utf-8")
        found = rule(ast.parse(source, filename=str(path)), source)
        findings += [f"{path.relative_to(_ROOT)}:{line}: {text}" for line, text in found]
    if findings:
        pytest.fail("\n".join([remedy, *findings]), pytrace=False)


def test_functions_are_short() -> None:
    remedy = f"A function has at most {_FUNCTION_LINES_MAX} lines without its docstring: move a part out, by its name."
    _assert_none(_long_functions, _sources("engine", "strategies", "migrations"), remedy)


def test_files_are_short() -> None:
    remedy = f"A file has at most {_FILE_LINES_MAX} lines (aim at 300): split it where its subject changes."
    _assert_none(_long_file, _sources("engine", "strategies", "migrations", "tests", "tools"), remedy)


def test_core_imports_only_what_is_listed() -> None:
    remedy = (
        "engine/core is pure: it imports engine.core, `transitions` and the listed standard modules (_CORE_IMPORTS)."
    )
    _assert_none(_foreign_imports, _sources("engine/core"), remedy)


def test_core_reads_no_clock() -> None:
    remedy = "Time reaches the core as a field of an event, in ns UTC."
    _assert_none(_clock, _sources("engine/core"), remedy)


def test_core_knows_no_chance() -> None:
    remedy = "The same events give the same bytes: randomness, `hash` and `id` stay outside of engine/core."
    _assert_none(_chance, _sources("engine/core"), remedy)


def test_core_reaches_nothing_outside() -> None:
    remedy = "engine/core takes events and returns facts and commands: files, terminals and code strings stay outside."
    files = [p for p in _sources("engine/core") if p.relative_to(_ROOT).as_posix() != _MAKES_FUNCTIONS]
    _assert_none(_outside, files, remedy)


def test_core_knows_no_mode() -> None:
    remedy = "No line of engine/core knows which wiring runs it: the words for modes belong to engine/app."
    _assert_none(_mode_words, _sources("engine/core"), remedy)


def test_money_is_never_float() -> None:
    remedy = "Money, order prices and order quantities are Decimal; floats cross in the functions of _CROSSINGS only."
    files = [p for p in _sources("engine/core") if p.relative_to(_ROOT).as_posix().startswith(_MONEY_ROOMS)]
    assert len(files) >= len(_MONEY_ROOMS)
    _assert_none(_float_money, files, remedy)


def test_no_bare_except() -> None:
    remedy = "Name the exception: a bare except also swallows Ctrl-C."
    _assert_none(_bare_except, _sources("engine", "strategies", "migrations", "tests", "tools"), remedy)


def test_only_the_command_line_prints() -> None:
    remedy = "Only engine/cli talks to the terminal: return the value, or log it through telemetry."
    files = [p for p in _sources("engine", "strategies", "migrations") if (_ROOT / "engine/cli") not in p.parents]
    _assert_none(_prints, files, remedy)


# --- the files of the repository ------------------------------------------------------------------------------------


def _repository_files() -> list[Path]:
    # Tracked files and those that would be; in an unpacked archive, without git, whatever is not hidden or a build.
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [_ROOT / name for name in listed.stdout.split("\0") if name and (_ROOT / name).is_file()]
    hidden = re.compile(r"(^|/)(\.(?!ci/|github/)|__pycache__/|dist/)")
    return [p for p in _ROOT.rglob("*") if p.is_file() and not hidden.search(p.relative_to(_ROOT).as_posix())]


def test_no_file_is_large() -> None:
    large = [f"{p.relative_to(_ROOT)}: {p.stat().st_size} bytes" for p in _repository_files() if _is_large(p)]
    assert not large, "\n".join([f"Generate or fetch what is over {_FILE_BYTES_MAX} bytes:", *large])


def _is_large(path: Path) -> bool:
    return path.stat().st_size > _FILE_BYTES_MAX


def _mentions(text: str) -> list[str]:
    # Written in pieces, so that this file passes too.
    return [word for word in ("/" + "work/", "." + "library") if word in text]


def test_no_file_names_a_private_place() -> None:
    files = _repository_files()
    assert _ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(_ROOT)}: {word}"
        for path in files
        for word in _mentions(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found, "\n".join(["A file names a place of the workshop: say it by an option or a variable.", *found])


# --- the rules can fail ---------------------------------------------------------------------------------------------

_LONG = "def f():\n" + '    """Say.\n\n    More.\n    """\n' + "    x = 1\n" * 70
_OFFENCES: list[tuple[_Rule, str, str]] = [
    (_long_functions, _LONG, "function f has 71 lines"),
    (_long_functions, "class A:\n    async def g(self):\n" + "        x = 1\n" * 70, "function g has 71 lines"),
    (_long_file, "x = 1\n" * 501, "the file has 501 lines"),
    (_foreign_imports, "import time\n", "imports time"),
    (_foreign_imports, "import enum, numpy as np\n", "imports numpy"),
    (_foreign_imports, "def f():\n    from collections_more import x\n", "imports collections_more"),
    (_foreign_imports, "from engine.corelike import x\n", "imports engine.corelike"),
    (_foreign_imports, "from .values import Side\n", "imports .values"),
    (_foreign_imports, "from engine.app import modes\n", "imports engine.app"),
    (_clock, "x = datetime.now(UTC)\n", "reads a clock: now"),
    (_clock, "from time import time_ns as t\n", "reads a clock: time_ns"),
    (_chance, "x = uuid.uuid4()\n", "depends on chance: uuid4"),
    (_chance, "x = os.urandom(8)\n", "depends on chance: urandom"),
    (_chance, "x = hash('a')\n", "depends on chance: hash"),
    (_outside, "with open('x') as f: pass\n", "reaches outside: open"),
    (_mode_words, "# only in Live trading\n", "says 'Live'"),
    (_mode_words, "def f(is_live): ...\n", "says 'live'"),
    (_mode_words, "class PaperBook: ...\n", "says 'Paper'"),
    (_mode_words, "BACKTEST_DAYS = 1\n", "says 'BACKTEST'"),
    (_float_money, "def cost(price: float): ...\n", "names float in cost"),
    (_float_money, "class Lot:\n    price: 'int'\n    def f(self): return float(self.price)\n", "names float in Lot.f"),
    (_float_money, "x: dict[int, float] = {}\n", "names float in the module"),
    (_float_money, "def price(self): return 0.5\n", "writes the float 0.5 in price"),
    (_bare_except, "try:\n    x = 1\nexcept:\n    raise\n", "catches everything by a bare except"),
    (_prints, "def f():\n    print('x')\n", "prints"),
]


@pytest.mark.parametrize(("rule", "source", "expected"), _OFFENCES)
def test_each_rule_can_fail(rule: _Rule, source: str, expected: str) -> None:
    assert [text for _, text in rule(ast.parse(source), source)] == [expected]


_FINE: list[tuple[_Rule, str]] = [
    (_long_functions, _LONG.replace("    x = 1\n", "", 1)),
    (_long_file, "x = 1\n" * 500),
    (_foreign_imports, "from engine.core import values\nfrom engine.core.values import Side\nimport transitions\n"),
    (_clock, "known = event.venue_ts_ns\n"),
    (_chance, "x = uuid5(namespace, name)\nid = order.id\n"),
    (_outside, "class Bar:\n    open: float\nx = bar.open\n"),
    (_mode_words, "# an order that lives, delivered, is alive; deadlive\n"),
    (_float_money, "class Instrument:\n    def price(self, x: float): return x / 2.0\n"),
    (_float_money, "def exact(value: float): ...\n"),
    (_bare_except, "try:\n    x = 1\nexcept ValueError:\n    raise\n"),
    (_prints, "console.print('x')\n"),
]


@pytest.mark.parametrize(("rule", "source"), _FINE)
def test_no_rule_cries_wolf(rule: _Rule, source: str) -> None:
    assert list(rule(ast.parse(source), source)) == []


def test_private_places_are_found() -> None:
    assert len(_mentions("see /" + "work/x and ." + "library/y")) == 2
    assert _mentions("a framework/x, a library") == []
