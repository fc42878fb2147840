"""Trials: what a run of scenarios is made of, as plain values that travel to other processes and into files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from engine.app.settings import parse_risk
from engine.app.strategy_loader import LoadedStrategy, blaming, load_strategy
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import Bar, OrderFilled, Quote, Signal
from engine.core.signals import Context, Strategy
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.life import Life
from engine.testing.chaos.loop_life import LoopLife
from engine.testing.chaos.plan import MARKETS, ScenarioPlan, draw_plan
from engine.testing.chaos.subject import Rules, Subject, chaos_trader, first_minute

#: The kit's own strategy, by the name that stands in its databases.
OWN_TRADER: Final = "chaos_trader"


#: By the number of their layer (reliability.md says which layers there are).
LAYERS: Final[Mapping[int, type[Life]]] = {1: Life, 2: LoopLife}


class StrategyFailed(BaseException):
    """Say that a strategy is wrong, in a sentence. No handler of the engine may take it for a defect of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Hold what is tried, and how: equal trials have equal scenarios for a seed."""

    #: As `load_strategy` takes it; `OWN_TRADER` for the kit's own.
    strategy: str = OWN_TRADER
    parameters: dict[str, str] = field(default_factory=dict)
    #: The text of a risk file, and the name that it was given by; both empty for the engine's defaults.
    risk_text: str = ""
    risk_name: str = ""
    #: None where each seed draws its own.
    exit_style: ExitStyle | None = None
    #: The only faults that may be on; None for all.
    kinds: tuple[FaultKind, ...] | None = None
    #: Whether each scenario lasts a whole session and more.
    is_full: bool = False
    #: 1: the kernel drives the engine; 2: the runner on asyncio does, on a loop in virtual time.
    layer: int = 1

    def options(self) -> str:
        """Return the options of `ratchet chaos` that make this trial, with its strategy in front."""
        words = [] if self.strategy == OWN_TRADER else [self.strategy]
        words += ["--full"] if self.is_full else []
        words += [] if self.layer == 1 else ["--layer", str(self.layer)]
        words += [] if self.exit_style is None else ["--exits", self.exit_style.value]
        words += [] if self.kinds is None else ["--faults", ",".join(kind.value for kind in self.kinds)]
        words += ["--risk", self.risk_name] if self.risk_name else []
        for name, value in self.parameters.items():
            words += ["--param", f"{name}={value}"]
        return shlex.join(words)

    def replay_line(self, seed: int) -> str:
        """Return the command that lives a seed again and tells its story."""
        return " ".join(filter(None, ("ratchet chaos", self.options(), f"--explain {seed}")))

    @property
    def lives(self) -> type[Life]:
        """Return what the processes of its scenarios are."""
        return LAYERS[self.layer]

    def subject(self) -> Subject:
        """Return what is tried; raises BadInput for a strategy or a risk file that cannot be taken."""
        rules = self._rules()
        if self.strategy == OWN_TRADER:
            if self.parameters:
                raise BadInput(f"The kit's own {OWN_TRADER} has no parameters: leave --param out, or name a strategy.")
            return chaos_trader(rules)
        loaded = load_strategy(self.strategy, self.parameters)
        return Subject(name=loaded.name, make=lambda _seed: _Guarded(loaded), rules=rules)

    def _rules(self) -> Rules:
        if not self.risk_text:
            return Rules()
        risk = parse_risk(self.risk_text.encode(), Path(self.risk_name or "risk.yaml"))
        # The symbol of the simulation stands for whatever the owner trades.
        anything: frozenset[str] = frozenset()
        limits = replace(risk.limits, allowed_symbols=anything, blocked_symbols=anything)
        return replace(Rules.of(risk), limits=limits)


class Plans:
    """Draw the plans of a trial: each begins shortly before its strategy enters, on a market where it does."""

    def __init__(self, trial: Trial, subject: Subject) -> None:
        self._trial = trial
        self._subject = subject
        self._kinds = None if trial.kinds is None else frozenset(trial.kinds)
        self._first: dict[int, int | None] = {}

    def of(self, seed: int) -> ScenarioPlan:
        """Return the plan of a seed; raises BadInput for a strategy that enters on none of the markets."""
        if self._subject.trades_anywhere:
            return self._draw(seed, None)
        for offset in range(MARKETS):
            market = (seed + offset) % MARKETS
            minute = self._first_minute(market)
            if minute is not None:
                return replace(self._draw(seed, minute), market_seed=market)
        raise BadInput(
            f"The strategy {self._subject.name} enters on none of the {MARKETS} simulated markets early enough in a "
            "session for a scenario: loosen its rule by --param, or try another."
        )

    def _draw(self, seed: int, minute: int | None) -> ScenarioPlan:
        trial = self._trial
        return draw_plan(
            seed, first_minute=minute, is_full=trial.is_full, kinds=self._kinds, exit_style=trial.exit_style
        )

    def _first_minute(self, market: int) -> int | None:
        if market not in self._first:
            self._first[market] = first_minute(self._subject, market)
        return self._first[market]


class _Guarded:
    # A strategy whose own errors end the run with a sentence about it, instead of passing for an engine that failed.
    def __init__(self, loaded: LoadedStrategy) -> None:
        self._loaded = loaded
        self._strategy: Strategy = loaded()
        self.extended_hours = self._strategy.extended_hours
        self.wants_quotes = self._strategy.wants_quotes
        self.wants_timer = self._strategy.wants_timer
        self.warm_up_bars = self._strategy.warm_up_bars

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        return self._ask(self._strategy.on_bar, bar, context)

    def on_fill(self, fill: OrderFilled, context: Context) -> Sequence[Signal]:
        return self._ask(self._strategy.on_fill, fill, context)

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        return self._ask(self._strategy.on_quote, quote, context)

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        return self._ask(self._strategy.on_timer, ts_ns, context)

    def _ask(self, method: Callable[..., Any], *arguments: object) -> Sequence[Signal]:
        try:
            with blaming(self._loaded):
                return self._signals(method(*arguments), method.__name__)
        except BadInput as refusal:
            raise StrategyFailed(str(refusal)) from refusal

    def _signals(self, answer: object, method: str) -> Sequence[Signal]:
        signals = tuple(answer) if isinstance(answer, Iterable) else (answer,)
        wrong = next((each for each in signals if not isinstance(each, Signal)), None)
        if wrong is not None or answer is None:
            raise BadInput(
                f"The strategy {self._loaded.name} returned {type(wrong).__name__} from {method}: return a sequence of "
                "Signal, or an empty one."
            )
        return signals


def fault_kinds(names: str) -> tuple[FaultKind, ...]:
    """Return the kinds of faults that a text names, `crash,push_lost`; raises BadInput for one that is not known."""
    known = {kind.value: kind for kind in FaultKind}
    wanted = [name.strip() for name in names.split(",")]
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        raise BadInput(f"There is no fault {unknown!r}: choose among {', '.join(known)}.")
    return tuple(kind for kind in FaultKind if kind.value in wanted)
