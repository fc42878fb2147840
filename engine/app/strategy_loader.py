"""Find a strategy by its import string, and make instances of it. The engine imports no strategy by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Final, cast

from engine.core.errors import BadInput, EngineError
from engine.core.signals import Strategy
from engine.rules import NoParameters, Parameters, parameters_from_text, strategy_in_words

_PACKAGE: Final = "strategies"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStrategy:
    """Hold a strategy's class and its parameters; calling it makes a fresh instance, one per instrument."""

    #: As it is recorded: `strategies.s1_vwap_ema:S1VwapEma`.
    import_string: str
    #: The module's own name, `s1_vwap_ema`.
    name: str
    strategy_type: type[Strategy]
    parameters: Parameters

    def __call__(self) -> Strategy:
        """Make an instance that has seen no bar."""
        if _takes_parameters(self.strategy_type):
            return self.strategy_type(self.parameters)  # type: ignore[call-arg]
        return self.strategy_type()

    def in_words(self) -> str:
        """Return the strategy's rule with these parameters, for people who ask why."""
        return strategy_in_words(self())


def load_strategy(import_string: str, parameters: Mapping[str, str]) -> LoadedStrategy:
    """Load `module:Class`, `module`, or a bare name in `strategies`, with parameters given as text.

    A folder `strategies` in the working directory joins the shipped one. Raises BadInput where the module, the class
    or a parameter is not there or not right, and for a rule that cannot be written; one instance is made to see.
    """
    module_name, _, class_name = import_string.partition(":")
    if "." not in module_name:
        module_name = f"{_PACKAGE}.{module_name}"
    module = _import(module_name, import_string)
    strategy_type = _named_class(module, class_name) if class_name else _only_class(module)
    parameters_type = getattr(strategy_type, "parameters_type", NoParameters)
    loaded = LoadedStrategy(
        import_string=f"{module_name}:{strategy_type.__name__}",
        name=module_name.rpartition(".")[2],
        strategy_type=strategy_type,
        parameters=parameters_from_text(parameters_type, parameters),
    )
    with blaming(loaded):
        loaded()
    return loaded


@contextmanager
def blaming(strategy: LoadedStrategy) -> Iterator[None]:
    """Raise BadInput that names the strategy and its line for an error that came out of the strategy's own module."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        own = [
            (Path(frame.f_code.co_filename).name, line)
            for frame, line in walk_tb(error.__traceback__)
            if frame.f_globals.get("__name__") == strategy.strategy_type.__module__
        ]
        if not own:
            raise
        file, line = own[-1]
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise BadInput(f"The strategy {strategy.name} failed ({what}, {file} line {line}): mend it.") from error


def strategy_names() -> list[str]:
    """Return the names of the strategies that ship or lie in the working directory's `strategies` folder."""
    _join_working_directory()
    try:
        package = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError:
        return []
    return sorted({module.name for module in pkgutil.iter_modules(package.__path__)})


def _import(module_name: str, import_string: str) -> ModuleType:
    _join_working_directory()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise BadInput(f"The strategy {import_string!r} imports {missing!r}, which is not installed.") from error
        raise BadInput(_missing_module(import_string, module_name)) from error
    except BadInput:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise BadInput(f"The strategy {import_string!r} cannot be imported ({what}): mend its file.") from error
    _require_one_file(module, module_name)
    return module


# At the end of the path, so that a file of the working directory never takes the place of an installed module.
def _join_working_directory() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def _missing_module(import_string: str, module_name: str) -> str:
    names = strategy_names()
    close = get_close_matches(module_name.rpartition(".")[2], names, n=1)
    guess = f" (did you mean {close[0]!r}?)" if close else ""
    known = ", ".join(names) or "none"
    return f"There is no strategy {import_string!r}{guess}: give module:Class, or one of {known}."


# Else an owner who copies a shipped strategy and edits it would run the shipped one without notice.
def _require_one_file(module: ModuleType, module_name: str) -> None:
    own = Path.cwd().joinpath(*module_name.split(".")).with_suffix(".py")
    loaded = Path(module.__file__ or own)
    if own.exists() and loaded.exists() and own.read_bytes() != loaded.read_bytes():
        raise BadInput(f"The strategy {module_name} is in two different files, {own} and {loaded}: rename your own.")


def _named_class(module: ModuleType, class_name: str) -> type[Strategy]:
    found = getattr(module, class_name, None)
    if found is None:
        known = ", ".join(each.__name__ for each in _strategy_classes(module)) or "none"
        raise BadInput(f"The module {module.__name__} has no class {class_name!r}: its strategies are {known}.")
    if not _is_strategy(found):
        raise BadInput(
            f"{module.__name__}:{class_name} is not a strategy: derive it from RuleStrategy or BarStrategy of "
            "engine.strategy, and write all that it leaves open."
        )
    return cast("type[Strategy]", found)


def _only_class(module: ModuleType) -> type[Strategy]:
    classes = _strategy_classes(module)
    if len(classes) != 1:
        names = ", ".join(each.__name__ for each in classes) or "none"
        raise BadInput(f"The module {module.__name__} has not one strategy but {names}: name it as module:Class.")
    return classes[0]


def _strategy_classes(module: ModuleType) -> list[type[Strategy]]:
    own = (each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__)
    return [each for each in own if _is_strategy(each)]


# A class of one's own need not derive from ours, but it has to have everything that the engine reads.
def _is_strategy(value: object) -> bool:
    members = [*Strategy.__annotations__, *(name for name in vars(Strategy) if name.startswith("on_"))]
    return inspect.isclass(value) and not inspect.isabstract(value) and all(hasattr(value, name) for name in members)


def _takes_parameters(strategy_type: type[Strategy]) -> bool:
    return hasattr(strategy_type, "parameters_type")
