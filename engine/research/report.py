"""The numbers of a report: one function gives what the page shows and what `--json` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise
from math import isfinite
from typing import Any, Final

import numpy as np

from engine.app.results import plain
from engine.core.values import CASH_DECIMALS, from_scaled
from engine.research.local_time import find_zone, local, local_text
from engine.research.report_catalogue import Unit
from engine.research.report_history import History, session_closes
from engine.research.report_statistics import STATISTICS
from engine.research.statistics import Array, drawdown_curve

#: Of the layout of the numbers: it rises when a name goes or changes its meaning.
REPORT_VERSION: Final = 1
#: The equity curve is cut into so many parts; each keeps its lowest, its highest and its last mark.
_PARTS: Final = 800
_BINS_MAX: Final = 40
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Numbers = dict[str, Any]


def report_numbers(history: History) -> Numbers:
    """Return every number of a report as plain values: texts, whole numbers, finite floats, None, lists, objects.

    Amounts that are sums of the books are exact texts; whatever was divided is a float; None is what is not defined.
    Moments are ISO 8601 in the exchange's time with their offset.
    """
    trades = _trades(history)
    return {
        "report_version": REPORT_VERSION,
        "run": _run(history),
        "notes": _notes(history),
        "totals": _totals(history),
        "statistics": _statistics(history),
        "equity": _equity(history),
        "sessions": _sessions(history, trades),
        "trades": trades,
        "distribution": {
            "r_multiple": _histogram(trades["r_multiple"]),
            "pnl": _histogram([each.pnl for each in history.inputs.trades]),
        },
        "by_hour": _groups(history, "hour", lambda moment: moment.hour, range(24)),
        "by_weekday": _groups(history, "weekday", lambda moment: _WEEKDAYS[moment.weekday()], _WEEKDAYS),
        "by_exit_reason": _grouped(history, "exit_reason", trades["exit_reason"], sorted(set(trades["exit_reason"]))),
        "by_symbol": _grouped(history, "symbol", trades["symbol"], sorted(set(trades["symbol"]))),
        "costs": _costs(history),
    }


def _run(history: History) -> Numbers:
    run = history.run
    return {
        "run": run.run_id,
        "account": run.account,
        "account_runs": run.account_runs,
        "kind": run.kind,
        "status": run.status,
        "strategy": run.strategy,
        "rule": run.rule,
        "parameters": run.parameters,
        # The risk file's text is told by its hash.
        "settings": {name: value for name, value in run.settings.items() if name != "risk_file"},
        "symbols": [each.symbol for each in history.bars],
        "exit_style": run.exit_style,
        "data_fingerprint": run.data_fingerprint,
        "risk_hash": run.risk_hash,
        "journal_hash": run.journal_hash,
        "started": run.started_timestamp,
        "finished": run.finished_timestamp,
        "time_zone": history.zone,
        "sessions_per_year": history.inputs.periods_per_year,
    }


def _notes(history: History) -> list[str]:
    notes: list[str] = []
    if not history.trips:
        notes.append("No trade was completed: statistics of trades are not defined.")
    if history.open_positions:
        notes.append(f"Positions still open: {history.open_positions}. They count in equity, not among the trades.")
    if history.run.account_runs > 1:
        notes.append(f"The account has {history.run.account_runs} runs; the report covers all of them.")
    if history.run.status == "running":
        notes.append("The run has not ended: the report covers what it has journaled so far.")
    if history.inputs.periods_per_year > len(history.sessions):
        notes.append("Less than a year of sessions: annual figures tell what a year would be if all of it were so.")
    return notes


def _totals(history: History) -> Numbers:
    net = history.final_equity_e8 - history.funded_e8
    return {
        "funded": _money(history.funded_e8),
        "final_equity": _money(history.final_equity_e8),
        "net_pnl": _money(net),
        "fees": _money(history.fees_e8),
        "traded_value": _money(sum(each.value_e8 for each in history.costs)),
        "bars": sum(len(each.start_ts_ns) for each in history.bars),
        "fills": sum(each.fills for each in history.costs),
        "trades": len(history.trips),
        "open_positions": history.open_positions,
    }


def _statistics(history: History) -> Numbers:
    zone = find_zone(history.zone)
    found: Numbers = {}
    for each in STATISTICS:
        value: float | str | None = defined(each.compute(history.inputs))
        if value is not None and each.unit is Unit.MOMENT:
            value = local_text(int(value), zone)
        found[each.key] = {
            "value": value,
            "unit": each.unit.value,
            "group": each.group,
            "title": each.title,
            "definition": each.definition,
        }
    return found


# --- equity -------------------------------------------------------------------------------------------------------


def _equity(history: History) -> Numbers:
    marks, zone = history.marks, find_zone(history.zone)
    kept = _extremes(marks.growth)
    return {
        "moment": [local_text(ts_ns, zone) for ts_ns in marks.ts_ns[kept].tolist()],
        "equity": _rounded(marks.equity[kept], 4),
        "drawdown": _rounded(drawdown_curve(marks.growth)[kept], 8),
    }


def _extremes(values: Array) -> list[int]:
    # What a curve of a few thousand points shows of many more: no peak and no trough is lost.
    edges = np.linspace(0, len(values), min(_PARTS, len(values)) + 1).astype(np.int64).tolist()
    kept = {0}
    for first, end in pairwise(edges):
        part = values[first:end]
        kept |= {first + int(np.argmin(part)), first + int(np.argmax(part)), end - 1}
    return sorted(kept)


def _sessions(history: History, trades: Numbers) -> Numbers:
    closes = session_closes(history)
    entered: Counter[str] = Counter(trades["date"])
    dates = [each.date for each in history.sessions]
    return {
        "date": dates,
        "equity": _rounded(history.marks.equity[closes], 4),
        "return": [defined(each) for each in history.inputs.session_returns.tolist()],
        "benchmark_return": [defined(each) for each in history.inputs.benchmark_returns.tolist()],
        "time_held": _rounded(history.session_time, 6),
        "exposure_highest": _rounded(history.session_exposure, 6),
        "exposure_at_close": _rounded(history.marks.exposure[closes], 6),
        "trades": [entered[day] for day in dates],
    }


# --- trades -------------------------------------------------------------------------------------------------------


def _trades(history: History) -> Numbers:
    zone = find_zone(history.zone)
    trips, results = history.trips, history.inputs.trades
    return {
        "bracket": [each.bracket_id for each in trips],
        "symbol": [each.symbol for each in trips],
        "strategy": [each.strategy_id for each in trips],
        "date": [local(each.entry_ts_ns, zone).date().isoformat() for each in trips],
        "entry": [local_text(each.entry_ts_ns, zone) for each in trips],
        "exit": [local_text(each.exit_ts_ns, zone) for each in trips],
        "quantity": [each.quantity for each in trips],
        "entry_price": [each.entry_price for each in trips],
        "stop_price": [each.stop_price for each in trips],
        "target_price": [each.target_price for each in trips],
        "exit_price": [each.exit_price for each in trips],
        "exit_reason": [each.exit_reason for each in trips],
        "pnl": [_money(each.pnl_e8) for each in trips],
        "fees": [_money(each.fees_e8) for each in trips],
        "r_multiple": [defined(each.r_multiple, 6) for each in results],
        "return": [defined(each.return_fraction, 8) for each in results],
        "adverse_excursion": [defined(each.adverse, 8) for each in results],
        "favourable_excursion": [defined(each.favourable, 8) for each in results],
    }


def _histogram(values: list[float | None]) -> Numbers:
    known = np.array([each for each in values if each is not None], dtype=np.float64)
    if not len(known):
        return {"edges": [], "counts": []}
    wanted = min(_BINS_MAX, max(1, len(np.histogram_bin_edges(known, "auto")) - 1))
    counts, edges = np.histogram(known, wanted)
    return {"edges": _rounded(edges, 6), "counts": counts.tolist()}


def _groups(history: History, name: str, key: Callable[[Any], Any], order: Iterable[Any]) -> list[Numbers]:
    zone = find_zone(history.zone)
    keys = [key(local(each.entry_ts_ns, zone)) for each in history.trips]
    return _grouped(history, name, keys, [each for each in order if each in set(keys)])


def _grouped(history: History, name: str, keys: list[Any], order: list[Any]) -> list[Numbers]:
    results: dict[Any, list[int]] = {key: [] for key in order}
    for position, key in enumerate(keys):
        results[key].append(position)
    return [{name: key, **_group(history, positions)} for key, positions in results.items()]


def _group(history: History, positions: list[int]) -> Numbers:
    cents = [history.trips[position].pnl_e8 for position in positions]
    multiples = [history.inputs.trades[position].r_multiple for position in positions]
    known = [each for each in multiples if isfinite(each)]
    return {
        "trades": len(positions),
        "won": sum(each > 0 for each in cents),
        "win_rate": sum(each > 0 for each in cents) / len(cents),
        "pnl": _money(sum(cents)),
        "expectancy_r": defined(sum(known) / len(known), 6) if known else None,
    }


def _costs(history: History) -> list[Numbers]:
    return [
        {
            "leg": each.leg,
            "fills": each.fills,
            "traded_value": _money(each.value_e8),
            "fees": _money(each.fees_e8),
            "slippage": defined(each.slippage, 6),
            "slippage_bps": defined(each.slippage / (each.value_e8 / 10**CASH_DECIMALS) * 10_000, 6)
            if each.value_e8
            else None,
        }
        for each in history.costs
    ]


# --- plain values -------------------------------------------------------------------------------------------------


def defined(value: float, decimals: int | None = None) -> float | None:
    """Return a number that JSON has a word for, rounded where asked; None for NaN and infinity."""
    if not isfinite(value):
        return None
    number = value if decimals is None else round(value, decimals)
    # A zero has no sign to a reader.
    return number + 0 if isinstance(number, int) else float(number) + 0.0


def _rounded(values: Array, decimals: int) -> list[float | None]:
    return [defined(each, decimals) for each in values.tolist()]


def _money(amount_e8: int) -> str:
    return plain(Decimal(from_scaled(amount_e8, decimals=CASH_DECIMALS)), decimals_min=2)
