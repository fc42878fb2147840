"""One account's history as arrays: what its report is computed from, and what it draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.calendars import ALWAYS_OPEN, load_sessions
from engine.core.errors import BadInput
from engine.core.values import CASH_DECIMALS, MINUTE_NS, Session, Sessions
from engine.research import statistics as figure
from engine.research.report_inputs import Moments, ReportInputs, TradeResult
from engine.research.statistics import Array
from engine.research.trade_statistics import excursions
from engine.store import histories
from engine.store.connection import sqlite
from engine.store.histories import LegCosts, RunHistory, Trip

Positions: TypeAlias = NDArray[np.intp]

_CASH_UNITS: Final = 10**CASH_DECIMALS
#: Calendar -> where its exchange is; one that never closes counts in UTC.
_ZONES: Final = {"XNYS": "America/New_York"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolBars:
    """Hold the bars of one instrument, ascending."""

    instrument_id: int
    symbol: str
    start_ts_ns: Moments
    opens: Array
    highs: Array
    lows: Array
    closes: Array

    def at(self, ts_ns: int) -> int:
        """Return the position of the bar that holds a moment; -1 before the first."""
        return int(np.searchsorted(self.start_ts_ns, ts_ns, side="right")) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Hold what the account was worth at each mark; the first one is the opening balance."""

    ts_ns: Moments
    equity: Array
    #: Market value held, as a fraction of equity.
    exposure: Array
    #: Equity without what deposits and withdrawals after the first one did to it.
    growth: Array

    def at(self, moments: Moments) -> Positions:
        """Return the last mark at or before each moment."""
        return np.maximum(np.searchsorted(self.ts_ns, moments, side="right") - 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Hold the history of one account."""

    run: RunHistory
    #: Where hours and weekdays are counted.
    zone: str
    bars: tuple[SymbolBars, ...]
    #: In the order of their ends; each beside its result in `inputs.trades`.
    trips: tuple[Trip, ...]
    open_positions: int
    sessions: tuple[Session, ...]
    marks: Marks
    costs: tuple[LegCosts, ...]
    #: Per session: share of its bars in which a position was held, and the highest share of equity at a mark.
    session_time: Array
    session_exposure: Array
    #: Deposits less withdrawals, in hundred-millionths of account currency, as the two below.
    funded_e8: int
    final_equity_e8: int
    fees_e8: int
    inputs: ReportInputs


def read_history(connection: sqlite.Connection, run: RunHistory) -> History:
    """Return the history of the account of a run.

    Raises BadInput for an account that has no bar or no money yet: there is nothing to report.
    """
    account_id = run.account_id
    instruments = histories.instrument_histories(connection, account_id)
    bars = tuple(
        filled
        for each in instruments
        if len((filled := _bars(connection, account_id, each.instrument_id, each.symbol)).start_ts_ns)
    )
    flows = histories.external_flows(connection, account_id)
    curve = histories.equity_marks(connection, account_id)
    if not bars or not flows:
        raise BadInput(f"The run {run.run_id} ({run.account}) has no bar yet: let it run, and report on it then.")
    calendar = ALWAYS_OPEN if any(each.calendar == ALWAYS_OPEN for each in instruments) else instruments[0].calendar
    sessions = tuple(_sessions(load_sessions(calendar), bars))
    trips = tuple(histories.round_trip_histories(connection, account_id))
    entries = histories.open_entries(connection, account_id)
    costs = tuple(histories.leg_costs(connection, account_id))
    marks = _marks(flows, curve)
    starts, held = _held(bars, trips, entries)
    funded = sum(amount for _, amount in flows)
    # What was put in after the last mark is in no mark yet.
    late = sum(amount for moment, amount in flows if moment > int(marks.ts_ns[-1]))
    final = curve[-1][2] + late if curve else funded
    return History(
        run=run,
        zone=_ZONES.get(calendar, "UTC"),
        bars=bars,
        trips=trips,
        open_positions=len(entries),
        sessions=sessions,
        marks=marks,
        costs=costs,
        session_time=_session_time(starts, held, sessions),
        session_exposure=_session_exposure(marks, sessions),
        funded_e8=funded,
        final_equity_e8=final,
        fees_e8=sum(each.fees_e8 for each in costs),
        inputs=ReportInputs(
            first_ts_ns=min(int(each.start_ts_ns[0]) for each in bars),
            last_ts_ns=max(*(int(each.start_ts_ns[-1]) + MINUTE_NS for each in bars), int(marks.ts_ns[-1])),
            mark_ts_ns=marks.ts_ns,
            mark_equity=marks.growth,
            final_equity=final / _CASH_UNITS,
            net_pnl=(final - funded) / _CASH_UNITS,
            session_returns=_session_returns(marks, sessions),
            benchmark_returns=(benchmark := _benchmark(bars, sessions)),
            benchmark_total=_benchmark_total(bars, benchmark),
            periods_per_year=(figure.CALENDAR_DAYS_PER_YEAR if calendar == ALWAYS_OPEN else figure.DAYS_PER_YEAR),
            trades=_results(trips, bars),
            exposure_time=float(np.mean(held)),
            exposure_at_close=_exposure_at_close(marks, sessions),
            traded_value=sum(each.value_e8 for each in costs) / _CASH_UNITS,
            fees=sum(each.fees_e8 for each in costs) / _CASH_UNITS,
            slippage=sum(each.slippage for each in costs),
        ),
    )


def _bars(connection: sqlite.Connection, account_id: int, instrument_id: int, symbol: str) -> SymbolBars:
    rows = histories.bar_rows(connection, account_id, instrument_id)
    starts, *prices = zip(*rows, strict=True) if rows else ((),) * 5
    opens, highs, lows, closes = (np.array(column, dtype=np.float64) for column in prices)
    return SymbolBars(
        instrument_id=instrument_id,
        symbol=symbol,
        start_ts_ns=np.array(starts, dtype=np.int64),
        opens=opens,
        highs=highs,
        lows=lows,
        closes=closes,
    )


def _sessions(calendar: Sessions, bars: Sequence[SymbolBars]) -> Iterator[Session]:
    first = min(int(each.start_ts_ns[0]) for each in bars)
    last = max(int(each.start_ts_ns[-1]) for each in bars)
    session = calendar.session_from(first)
    while session.open_ts_ns <= last:
        yield session
        session = calendar.session_from(session.close_ts_ns)


# --- equity -------------------------------------------------------------------------------------------------------


def _marks(flows: Sequence[tuple[int, int]], curve: Sequence[tuple[int, int, int]]) -> Marks:
    # A deposit is no profit and a withdrawal no loss: growth is chained over what lies between them.
    opened_ts_ns, opening = flows[0]
    rows = [(opened_ts_ns, opening, opening), *curve]
    ts_ns = np.array([row[0] for row in rows], dtype=np.int64)
    cash = np.array([row[1] for row in rows], dtype=np.float64) / _CASH_UNITS
    equity = np.array([row[2] for row in rows], dtype=np.float64) / _CASH_UNITS
    growth = equity
    if len(flows) > 1:
        moved = np.zeros(len(rows))
        for moment, amount in flows[1:]:
            if moment <= ts_ns[-1]:
                moved[int(np.searchsorted(ts_ns[1:], moment)) + 1] += amount / _CASH_UNITS
        growth = equity[0] * np.concatenate(([1.0], np.cumprod((equity[1:] - moved[1:]) / equity[:-1])))
    return Marks(ts_ns=ts_ns, equity=equity, exposure=(equity - cash) / equity, growth=growth)


def _closes(marks: Marks, sessions: Sequence[Session]) -> Positions:
    closes = np.array([each.close_ts_ns for each in sessions], dtype=np.int64)
    if len(closes):
        # What comes after the last close (an auction, bars after hours) belongs to the last session.
        closes[-1] = max(closes[-1], marks.ts_ns[-1])
    return marks.at(closes)


def session_closes(history: History) -> Positions:
    """Return the mark that holds at the close of each session."""
    return _closes(history.marks, history.sessions)


def _session_returns(marks: Marks, sessions: Sequence[Session]) -> Array:
    values = marks.growth[_closes(marks, sessions)]
    return np.asarray(np.diff(values, prepend=marks.growth[0]) / np.concatenate((marks.growth[:1], values[:-1])))


def _exposure_at_close(marks: Marks, sessions: Sequence[Session]) -> float:
    held = marks.exposure[_closes(marks, sessions)]
    return float(np.mean(held)) if len(held) else float("nan")


# --- buy and hold ---------------------------------------------------------------------------------------------------


def _benchmark(bars: Sequence[SymbolBars], sessions: Sequence[Session]) -> Array:
    # The mean of the symbols that are known in a session: equal parts, evened out each session.
    closes = np.array([each.close_ts_ns for each in sessions], dtype=np.int64)
    total, known = np.zeros(len(closes)), np.zeros(len(closes))
    for each in bars:
        last = np.searchsorted(each.start_ts_ns, closes, side="left") - 1
        if len(last):
            last[-1] = len(each.start_ts_ns) - 1
        values = np.where(last >= 0, each.closes[np.maximum(last, 0)], np.nan)
        before = np.concatenate(([np.nan], values[:-1]))
        before = np.where(np.isnan(before) & ~np.isnan(values), each.opens[0], before)
        returns = values / before - 1
        known += ~np.isnan(returns)
        total += np.nan_to_num(returns)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _benchmark_total(bars: Sequence[SymbolBars], returns: Array) -> float:
    if len(bars) == 1:
        return float(bars[0].closes[-1] / bars[0].opens[0] - 1)
    return figure.total_return(returns)


# --- trades -------------------------------------------------------------------------------------------------------


def _results(trips: Sequence[Trip], bars: Sequence[SymbolBars]) -> tuple[TradeResult, ...]:
    by_instrument = {each.instrument_id: each for each in bars}
    return tuple(_result(trip, by_instrument[trip.instrument_id]) for trip in trips)


def _result(trip: Trip, bars: SymbolBars) -> TradeResult:
    first, end = max(bars.at(trip.entry_ts_ns), 0), max(bars.at(trip.exit_ts_ns), 0)
    adverse, favourable = excursions(
        direction=1,
        entry_price=trip.entry_price,
        exit_price=trip.exit_price,
        lows=bars.lows[first:end],
        highs=bars.highs[first:end],
    )
    return TradeResult(
        direction=1,
        quantity=trip.quantity,
        entry_ts_ns=trip.entry_ts_ns,
        entry_price=trip.entry_price,
        exit_ts_ns=trip.exit_ts_ns,
        exit_price=trip.exit_price,
        pnl=trip.pnl_e8 / _CASH_UNITS,
        risk=float("nan") if trip.stop_price is None else (trip.entry_price - trip.stop_price) * trip.quantity,
        adverse=adverse,
        favourable=favourable,
    )


# --- exposure -----------------------------------------------------------------------------------------------------


def _held(
    bars: Sequence[SymbolBars], trips: Sequence[Trip], entries: Sequence[tuple[int, int]]
) -> tuple[Moments, NDArray[np.bool_]]:
    # Starts of all bars, and in which of them something was held.
    starts = np.unique(np.concatenate([each.start_ts_ns for each in bars]))
    spans = [(trip.entry_ts_ns, trip.exit_ts_ns) for trip in trips]
    spans += [(entry_ts_ns, int(starts[-1])) for _, entry_ts_ns in entries]
    changes = np.zeros(len(starts) + 1, dtype=np.int64)
    for entry, leave in spans:
        changes[max(int(np.searchsorted(starts, entry, side="right")) - 1, 0)] += 1
        changes[int(np.searchsorted(starts, leave, side="right"))] -= 1
    return starts, np.cumsum(changes)[:-1] > 0


def _session_time(starts: Moments, held: NDArray[np.bool_], sessions: Sequence[Session]) -> Array:
    # A bar after a close counts with the next session, one after the last close with the last.
    closes = np.array([each.close_ts_ns for each in sessions], dtype=np.int64)
    ends = np.searchsorted(starts, closes, side="left")
    ends[-1:] = len(starts)
    firsts = np.concatenate(([0], ends[:-1]))
    counted = np.concatenate(([0], np.cumsum(held)))
    return np.asarray((counted[ends] - counted[firsts]) / np.maximum(ends - firsts, 1), dtype=np.float64)


def _session_exposure(marks: Marks, sessions: Sequence[Session]) -> Array:
    # What a session begins with is what the one before ended with.
    closes = _closes(marks, sessions).tolist()
    return np.array(
        [
            float(np.max(marks.exposure[before : end + 1]))
            for before, end in zip([0, *closes[:-1]], closes, strict=True)
        ],
        dtype=np.float64,
    )
