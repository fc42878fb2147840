"""Words that columns may hold: lookup tables with foreign keys, so that a new word needs no rebuild of a table.

The words of the core come from its enums and classes; a word is kept for ever, since rows hold it.
"""

from __future__ import annotations

from enum import StrEnum
from types import UnionType
from typing import Final, get_args

from engine.core.execution.bracket_table import BracketState, BracketTrigger, ExitStyle
from engine.core.execution.order_table import OrderState, OrderTrigger
from engine.core.messages import (
    AdjustmentKind,
    CashMovementKind,
    Command,
    ComparisonVerdict,
    Event,
    ListedStatus,
    SignalKind,
    SuspenseKind,
    TradingState,
)
from engine.core.risk.breakers import Breaker, BreakerState, BreakerTrigger
from engine.core.values import AssetClass, Leg, OrderType, SessionKind, Side, TimeInForce


class RunKind(StrEnum):
    """Name what a run was."""

    BACKTEST = "backtest"
    PAPER = "paper"
    LIVE = "live"


class RunStatus(StrEnum):
    """Name how a run stands. A run that was killed stays `running` until the next one says otherwise."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class RequestKind(StrEnum):
    """Name what an operator asks of a running engine."""

    PAUSE = "pause"
    RESUME = "resume"
    KILL = "kill"
    FLATTEN = "flatten"


class ReportSource(StrEnum):
    """Name who says that an order moved."""

    ENGINE = "engine"
    VENUE = "venue"


def _values(words: type[StrEnum]) -> tuple[str, ...]:
    return tuple(word.value for word in words)


def _names(union: UnionType) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in get_args(union))


#: Lookup table -> its words, in the order of their writing.
VOCABULARY: Final[dict[str, tuple[str, ...]]] = {
    "sides": _values(Side),
    "order_types": _values(OrderType),
    "times_in_force": _values(TimeInForce),
    "legs": _values(Leg),
    "session_kinds": _values(SessionKind),
    "asset_classes": _values(AssetClass),
    "signal_kinds": _values(SignalKind),
    "trading_state_names": _values(TradingState),
    "order_states": _values(OrderState),
    "order_triggers": _values(OrderTrigger),
    "bracket_states": _values(BracketState),
    "bracket_triggers": _values(BracketTrigger),
    "exit_styles": _values(ExitStyle),
    "report_sources": _values(ReportSource),
    "input_kinds": _names(Event),
    "command_kinds": _names(Command),
    "run_kinds": _values(RunKind),
    "run_statuses": _values(RunStatus),
    "request_kinds": _values(RequestKind),
    "cash_movement_kinds": _values(CashMovementKind),
    "adjustment_kinds": _values(AdjustmentKind),
    "suspense_kinds": _values(SuspenseKind),
    "breaker_kinds": _values(Breaker),
    "breaker_states": _values(BreakerState),
    "breaker_triggers": _values(BreakerTrigger),
    "listed_statuses": _values(ListedStatus),
    "comparison_verdicts": _values(ComparisonVerdict),
}
