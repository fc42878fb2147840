"""LEAN's sample market as a feed: raw prices times their adjustment factors, daily or minute bars, regular hours.

The files are not part of this project (their data belong to their provider); every function takes the folder in which
`us_equity_lean/` lies. Prices there are integers of 1/10,000 dollar, factors are decimals: their product is exact, and
goes to the ten decimals of a price column.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from engine.calendars import load_sessions
from engine.core.errors import BadInput
from engine.core.messages import Bar, BarClosed, MarketEvent, QuoteBar
from engine.core.values import (
    DAY_NS,
    MINUTE_NS,
    PRICE_DECIMALS,
    Instrument,
    InstrumentId,
    Session,
    Sessions,
    instrument_from_symbol,
)

_UNIT: Final = Decimal(1).scaleb(-PRICE_DECIMALS)
_PRICE_FIELDS: Final = ("open", "high", "low", "close")
#: 15:00 UTC is inside every New York session, half days included.
_MIDDAY_NS: Final = 15 * 60 * MINUTE_NS

#: One row of a file, by column.
Record = Mapping[str, Any]


class PriceFactors:
    """Hold by what the raw prices of a symbol are multiplied, by exchange date."""

    def __init__(self, last_dates: Sequence[str], factors: Sequence[Decimal]) -> None:
        self._last_dates = tuple(last_dates)
        self._factors = tuple(factors)

    def adjusted(self, price_e4: int, day: str) -> float:
        """Return the adjusted price of a raw one, rounded to ten decimals.

        Raises BadInput for a day after the last factor.
        """
        # The first row whose last date is not before the day.
        index = bisect_left(self._last_dates, day)
        if index == len(self._factors):
            raise BadInput(f"The day {day} is after the last adjustment factor: extend the factor file.")
        return float((Decimal(price_e4).scaleb(-4) * self._factors[index]).quantize(_UNIT))


def price_factors(folder: Path, symbol: str) -> PriceFactors:
    """Return the factors of a symbol: dividends times splits."""
    path = folder / "us_equity_lean" / "factor_files.csv"
    with path.open(encoding="ascii", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["symbol"] == symbol]
    if not rows:
        raise BadInput(f"The file {path} has no factors of {symbol}: name a symbol that it holds.")
    return PriceFactors(
        [row["last_date_factor_applies"] for row in rows],
        [Decimal(row["price_factor_dividends"]) * Decimal(row["split_factor"]) for row in rows],
    )


class GoldenFeed:
    """Send bars of one instrument, each when it is over, as `engine.ports.Feed` asks."""

    def __init__(self, instrument: Instrument, sessions: Sessions, closed: Sequence[BarClosed], source: str) -> None:
        self.instruments = (instrument,)
        self.sessions: Mapping[InstrumentId, Sessions] = {instrument.instrument_id: sessions}
        self.fingerprint = f"{source}: {len(closed)} bars"
        self._closed = tuple(closed)

    def __len__(self) -> int:
        """Return how many bars there are."""
        return len(self._closed)

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield the bars, or those received later than a moment, ns UTC."""
        for event in self._closed:
            if start_after_ts_ns is None or event.received_ts_ns > start_after_ts_ns:
                yield event


def daily_feed(folder: Path, symbol: str, *, first: str, last: str) -> GoldenFeed:
    """Return the adjusted daily bars of two exchange dates and between: from open to close, received at the close."""
    factors = price_factors(folder, symbol)
    sessions = load_sessions("XNYS")
    closed = []
    for row in _rows(folder, "daily_trades.parquet", symbol):
        day = row["ts_ny"].date().isoformat()
        if first <= day <= last:
            session = _session_of(day, sessions)
            bar = _bar(row, factors, day, start_ts_ns=session.open_ts_ns)
            closed.append(_closed(bar, session.close_ts_ns))
    return GoldenFeed(instrument_from_symbol(symbol, 1), sessions, closed, f"{symbol} daily {first} to {last}")


def minute_feed(folder: Path, symbol: str, *, first: str, last: str) -> GoldenFeed:
    """Return the adjusted minute bars of regular hours with the bid and ask bars of the same minutes."""
    factors = price_factors(folder, symbol)
    sessions = load_sessions("XNYS")
    quotes = {row["ts_utc"]: row for row in _rows(folder, "minute_quotes.parquet", symbol)}
    closed = []
    for row in _rows(folder, "minute_trades.parquet", symbol):
        day = row["date_ny"].isoformat()
        session = _session_of(day, sessions) if first <= day <= last else None
        start_ts_ns = int(row["ts_utc"].timestamp()) * 1_000_000_000
        if session is not None and session.open_ts_ns <= start_ts_ns < session.close_ts_ns:
            bar = _bar(row, factors, day, start_ts_ns=start_ts_ns, quoted=quotes.get(row["ts_utc"]))
            closed.append(_closed(bar, start_ts_ns + MINUTE_NS))
    return GoldenFeed(instrument_from_symbol(symbol, 1), sessions, closed, f"{symbol} minutes {first} to {last}")


def _rows(folder: Path, name: str, symbol: str) -> list[Record]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "us_equity_lean" / name, filters=[("symbol", "=", symbol)])
    rows: list[Record] = table.to_pylist()
    return rows


def _session_of(day: str, sessions: Sessions) -> Session:
    midnight_ts_ns = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_NS
    session = sessions.session_at(midnight_ts_ns + _MIDDAY_NS)
    if session is None or session.date != day:
        raise BadInput(f"The calendar {sessions.name} has no session on {day}: check the dates of the file.")
    return session


def _closed(bar: Bar, ts_ns: int) -> BarClosed:
    return BarClosed(bar=bar, venue_ts_ns=ts_ns, received_ts_ns=ts_ns)


def _bar(row: Record, factors: PriceFactors, day: str, *, start_ts_ns: int, quoted: Record | None = None) -> Bar:
    opened, high, low, close = (factors.adjusted(row[f"{name}_e4"], day) for name in _PRICE_FIELDS)
    return Bar(
        instrument_id=InstrumentId(1),
        start_ts_ns=start_ts_ns,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=float(row["volume"]),
        vwap=close,
        quotes=None if quoted is None else _quote_bar(quoted, factors, day),
    )


def _quote_bar(row: Record, factors: PriceFactors, day: str) -> QuoteBar:
    names = [f"{side}_{field}" for side in ("bid", "ask") for field in _PRICE_FIELDS]
    return QuoteBar(**{name: factors.adjusted(row[f"{name}_e4"], day) for name in names})
