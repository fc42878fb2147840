"""The statistics that a report shows: one list that names, defines and computes each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.research.report_catalogue import Row, Unit
from engine.research.report_equity_statistics import BENCHMARK, RATIOS, RESULT, RISK
from engine.research.report_inputs import ReportInputs
from engine.research.report_trade_statistics import COSTS, TRADES


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """Hold one statistic: its name for programs, its words for people, and how it is computed."""

    key: str
    group: str
    title: str
    unit: Unit
    definition: str
    compute: Callable[[ReportInputs], float]


_GROUPS: Final[dict[str, tuple[Row, ...]]] = {
    "Result": RESULT,
    "Risk": RISK,
    "Ratios": RATIOS,
    "Against buy and hold": BENCHMARK,
    "Trades": TRADES,
    "Exposure and costs": COSTS,
}

#: Every statistic of a report, in the order of its pages.
STATISTICS: Final[tuple[Statistic, ...]] = tuple(
    Statistic(key=key, group=group, title=title, unit=unit, definition=definition, compute=compute)
    for group, rows in _GROUPS.items()
    for key, title, unit, definition, compute in rows
)


def compute_statistics(inputs: ReportInputs) -> dict[str, float]:
    """Return every statistic by its key; NaN for one that is not defined on these inputs."""
    return {statistic.key: statistic.compute(inputs) for statistic in STATISTICS}
