"""The synthetic feed: seeded market data with the daily shape of a share market, for a first run without files.

Volume and volatility are high after the open, low at noon and rise into the close; prices wander in regimes of drift
and are printed in cents. Only additions, multiplications, roundings and the raw output of PCG64 are used, whose bits
no version of numpy changes, so that a seed means the same data everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.core.errors import BadInput
from engine.core.messages import FeedInterrupted, MarketEvent
from engine.core.values import (
    DAY_NS,
    MINUTE_NS,
    SECOND_NS,
    Instrument,
    InstrumentId,
    Session,
    Sessions,
    instrument_from_symbol,
)
from engine.feeds.files import Floats, Ints, MarketKind, MarketTable, Mask, ordered_table
from engine.feeds.replay import bar_events, merged, quote_events, sessions_of, tick_events, with_times

DEFAULT_SEED: Final = 1
DEFAULT_SYMBOLS: Final = ("ALFA", "BETA", "GAMA")
DEFAULT_START_DATE: Final = "2025-01-02"

_CALENDAR: Final = "XNYS"
_FULL_SESSION_MINUTES: Final = 390
# Standard deviation of a minute's return at volatility 1 in the quiet hours, as a fraction of the price.
_MINUTE_DEVIATION: Final = 0.0004
_OVERNIGHT_DEVIATION: Final = 0.004
_REOPENING_DEVIATION: Final = 0.005
# Prices inside one minute of a bar.
_STEPS: Final = 12
_TICKS_PER_MINUTE: Final = 20
_REGIME_MINUTES: Final = 10
_BASIS_FROM, _BASIS_RANGE = 40.0, 260.0
_VOLUME_FROM, _VOLUME_RANGE = 2_000.0, 18_000.0
# The raw stream gives 53 bits of a uniform number.
_UNIFORM_STEP: Final = 1.0 / 2**53
# A quote that stands is stated again so often, as by a source that is asked in turn: a quiet market is no lost one.
_QUOTE_NS: Final = 2 * SECOND_NS
# Raises with every change of the generated data, which is a change of what a seed means.
_VERSION: Final = 1
# The same for quotes alone: bars and prints of a seed stay as they are.
_QUOTES_VERSION: Final = 2


class SyntheticMode(StrEnum):
    """Name what the feed sends."""

    BARS = "bars"
    #: Ticks and quotes.
    TICKS = "ticks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Name minutes of one session in which a symbol sends nothing: a halt of its trading or a gap of the feed."""

    #: Counts the sessions of the feed from 0.
    session: int
    #: Counts from the session's open, 0 is its first minute.
    minute: int
    minutes: int
    #: None means every symbol.
    symbol: str | None = None


class _Random:
    # Uniform and bell-shaped numbers from the raw stream, by arithmetic that is exact everywhere.

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def uniform(self, count: int) -> Floats:
        raw: npt.NDArray[np.uint64] = self._bits.random_raw(count)
        return (raw >> np.uint64(11)).astype(np.float64) * _UNIFORM_STEP

    def bell(self, count: int) -> Floats:
        # The sum of four uniform numbers, scaled to mean 0 and deviation 1.
        parts = self.uniform(4 * count).reshape(4, count)
        sums: Floats = parts[0] + parts[1] + parts[2] + parts[3]
        return (sums - 2.0) * sqrt(3.0)


class _Day(NamedTuple):
    # What one symbol does in one session, before it is printed; one number per minute.
    open_ts_ns: int
    deviation: Floats
    drift: Floats
    activity: Floats


class _Share:
    # One symbol: where its price stands, and the generator of its next session.

    def __init__(self, seed: int, ordinal: int) -> None:
        self._key = (_VERSION, seed, ordinal)
        first = _Random(*self._key).uniform(2).tolist()
        self._basis = _BASIS_FROM + _BASIS_RANGE * first[0]
        self._volume = _VOLUME_FROM + _VOLUME_RANGE * first[1]
        self._last = self._basis

    def bars(self, day: _Day, number: int, shocks: Mapping[int, int]) -> tuple[Ints, dict[str, Floats]]:
        random = _Random(*self._key, number)
        minutes = len(day.deviation)
        self._overnight(random)
        spread = random.bell(minutes * _STEPS).reshape(minutes, _STEPS) * (day.deviation / sqrt(_STEPS))[:, None]
        returns = spread + (self._drift(day, random) / _STEPS)[:, None]
        noise = 0.4 + 0.6 * random.uniform(minutes) + 0.6 * random.uniform(minutes)
        self._shake(returns, shocks, random)
        prices = _cents(self._walk(returns.reshape(-1))).reshape(minutes, _STEPS)
        total = prices[:, 0].copy()
        for step in range(1, _STEPS):
            total += prices[:, step]
        low, high = prices.min(axis=1), prices.max(axis=1)
        columns = {
            "open": prices[:, 0],
            "high": high,
            "low": low,
            "close": prices[:, -1],
            "volume": np.maximum(1.0, np.rint(self._volume * day.activity * noise)),
            "vwap": np.clip(total / _STEPS, low, high),
        }
        return day.open_ts_ns + np.arange(minutes) * MINUTE_NS, columns

    def prints(self, day: _Day, number: int, shocks: Mapping[int, int]) -> tuple[Ints, dict[str, Floats]]:
        # A tick and the quote before it in each row.
        random = _Random(*self._key, number)
        minutes = len(day.deviation)
        self._overnight(random)
        drift = self._drift(day, random)
        counts = 1 + (_TICKS_PER_MINUTE * day.activity * (0.5 + random.uniform(minutes))).astype(np.int64)
        minute = np.repeat(np.arange(minutes), counts)
        rows = len(minute)
        moments = np.sort(minute * 60_000 + (random.uniform(rows) * 60_000).astype(np.int64))
        returns = random.bell(rows) * (day.deviation / np.sqrt(counts))[minute] + (drift / counts)[minute]
        first = np.cumsum(counts) - counts
        self._shake(returns, {at: int(first[after]) for at, after in shocks.items()}, random)
        bid = np.floor(self._walk(returns) * 100) / 100
        ask = _cents(bid + 0.01 + np.floor(random.uniform(rows) * 2.2) * 0.01)
        size = random.uniform(rows)
        columns = {
            "price": np.where(random.uniform(rows) < 0.5, bid, ask),
            "size": 100.0 * (1.0 + np.floor(8.0 * size * size * size)),
            "bid": bid,
            "ask": ask,
            "bid_size": 100.0 * (1.0 + np.floor(20.0 * random.uniform(rows))),
            "ask_size": 100.0 * (1.0 + np.floor(20.0 * random.uniform(rows))),
        }
        return day.open_ts_ns + moments * (SECOND_NS // 1000), columns

    def _overnight(self, random: _Random) -> None:
        # A jump, and a pull to where the price began, so that years of sessions end up nowhere absurd.
        jump = float(random.bell(1)[0]) * _OVERNIGHT_DEVIATION
        self._last = self._last * (1.0 + jump) + (self._basis - self._last) * 0.05

    def _drift(self, day: _Day, random: _Random) -> Floats:
        regimes = random.bell(-(-len(day.drift) // _REGIME_MINUTES))
        return np.repeat(regimes, _REGIME_MINUTES)[: len(day.drift)] * day.drift

    def _shake(self, returns: Floats, shocks: Mapping[int, int], random: _Random) -> None:
        # The first price after a halt is another one. Drawn last: a halt changes no other number of its day.
        for position, jump in zip(shocks.values(), random.bell(len(shocks)).tolist(), strict=True):
            row = returns[position : position + 1].reshape(-1)
            row[0] += jump * _REOPENING_DEVIATION

    def _walk(self, returns: Floats) -> Floats:
        prices: Floats = self._last * np.cumprod(1.0 + returns)
        self._last = float(prices[-1])
        return prices


class SyntheticFeed:
    """Send generated sessions of several shares, as bars or as ticks with quotes.

    `sessions` counts them (None: until the calendar ends); `volatility` and `trend` scale the movement and its
    persistence; `halts` stop trading, after which the price jumps; `gaps` lose data and are reported as
    `FeedInterrupted`. `full_sessions_only` leaves out half days.

    Raises BadInput for a date that is none or outside the calendar, or an outage that fits no session or symbol.
    """

    def __init__(
        self,
        *,
        seed: int = DEFAULT_SEED,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        start_date: str = DEFAULT_START_DATE,
        sessions: int | None = 2,
        mode: SyntheticMode = SyntheticMode.BARS,
        gaps: Sequence[Outage] = (),
        halts: Sequence[Outage] = (),
        volatility: float = 1.0,
        trend: float = 0.15,
        full_sessions_only: bool = False,
    ) -> None:
        if seed < 0:
            raise BadInput(f"The seed {seed} is negative: choose 0 or above.")
        self.mode = mode
        #: Ids from 1 in the order of `symbols`.
        self.instruments: tuple[Instrument, ...] = tuple(
            instrument_from_symbol(symbol, number, calendar=_CALENDAR) for number, symbol in enumerate(symbols, start=1)
        )
        self.sessions: Mapping[InstrumentId, Sessions] = sessions_of(self.instruments)
        #: The sessions that will be sent.
        self.schedule: tuple[Session, ...] = tuple(
            _schedule(self.sessions[InstrumentId(1)], start_date, sessions, full_sessions_only=full_sessions_only)
        )
        self._seed = seed
        self._gaps, self._halts = tuple(gaps), tuple(halts)
        self._volatility, self._trend = volatility, trend
        for outage in (*gaps, *halts):
            self._check(outage)
        knobs = (_VERSION, seed, tuple(symbols), start_date, sessions, mode.value, self._gaps, self._halts)
        quoted = (_QUOTES_VERSION,) if mode is SyntheticMode.TICKS else ()
        decided_by = (*knobs, volatility, trend, full_sessions_only, *quoted)
        #: SHA-256 of everything that decides the data.
        self.fingerprint: str = sha256(repr(decided_by).encode()).hexdigest()

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield the events, or those received later than a moment (ns UTC)."""
        if self.mode is SyntheticMode.BARS:
            return self._events(start_after_ts_ns)
        return with_times(self._events(start_after_ts_ns))

    def tables(self) -> Iterator[tuple[MarketTable, ...]]:
        """Yield per session its data in columns: one table of bars, or one of quotes and one of ticks."""
        shares = [_Share(self._seed, ordinal) for ordinal in range(len(self.instruments))]
        for number, session in enumerate(self.schedule):
            day = _day(session, self._volatility, self._trend)
            made = []
            for share, instrument in zip(shares, self.instruments, strict=True):
                make = share.bars if self.mode is SyntheticMode.BARS else share.prints
                made.append(make(day, number, self._shocks(number, instrument.symbol, len(day.drift))))
            if self.mode is SyntheticMode.BARS:
                yield (self._table(MarketKind.BARS, number, made),)
            else:
                stated = [_stated_again(*each, until_ts_ns=session.close_ts_ns) for each in made]
                yield self._table(MarketKind.QUOTES, number, stated), self._table(MarketKind.TICKS, number, made)

    def _events(self, start_after_ts_ns: int | None) -> Iterator[MarketEvent]:
        ids = [instrument.instrument_id for instrument in self.instruments]
        for number, tables in enumerate(self.tables()):
            if start_after_ts_ns is not None and self.schedule[number].close_ts_ns <= start_after_ts_ns - MINUTE_NS:
                continue
            data: Iterator[MarketEvent]
            if self.mode is SyntheticMode.BARS:
                data = bar_events(tables[0], ids, self.sessions, start_after_ts_ns)
            else:
                quotes, ticks = tables
                data = merged(quote_events(quotes, ids, start_after_ts_ns), tick_events(ticks, ids, start_after_ts_ns))
            yield from merged(iter(self._interruptions(number, start_after_ts_ns)), data)

    def _table(self, kind: MarketKind, number: int, whole: Sequence[tuple[Ints, dict[str, Floats]]]) -> MarketTable:
        made = []
        for instrument, (ts_ns, columns) in zip(self.instruments, whole, strict=True):
            kept = self._kept(number, instrument.symbol, ts_ns)
            made.append((ts_ns[kept], {name: values[kept] for name, values in columns.items()}))
        names = {
            MarketKind.BARS: ("open", "high", "low", "close", "volume", "vwap"),
            MarketKind.TICKS: ("price", "size"),
            MarketKind.QUOTES: ("bid", "ask", "bid_size", "ask_size"),
        }[kind]
        return ordered_table(
            kind=kind,
            symbols=tuple(instrument.symbol for instrument in self.instruments),
            codes=np.repeat(np.arange(len(made)), [len(ts_ns) for ts_ns, _ in made]),
            ts_ns=np.concatenate([ts_ns for ts_ns, _ in made]),
            columns={name: np.concatenate([columns[name] for _, columns in made]) for name in names},
        )

    def _shocks(self, number: int, symbol: str, minutes: int) -> dict[int, int]:
        # By halt, the first minute after it.
        halts = [halt for halt in self._halts if halt.session == number and halt.symbol in (None, symbol)]
        ends = [halt.minute + halt.minutes for halt in halts]
        return {position: end for position, end in enumerate(ends) if end < minutes}

    def _kept(self, number: int, symbol: str, ts_ns: Ints) -> Mask:
        kept = np.ones(len(ts_ns), dtype=np.bool_)
        for outage in (*self._halts, *self._gaps):
            if outage.session == number and outage.symbol in (None, symbol):
                from_ts_ns, until_ts_ns = self._bounds(outage)
                kept &= (ts_ns < from_ts_ns) | (ts_ns >= until_ts_ns)
        return kept

    def _interruptions(self, number: int, start_after_ts_ns: int | None) -> list[FeedInterrupted]:
        found = []
        for gap in self._gaps:
            from_ts_ns, until_ts_ns = self._bounds(gap)
            if gap.session != number or (start_after_ts_ns is not None and until_ts_ns <= start_after_ts_ns):
                continue
            found += [
                FeedInterrupted(
                    venue_ts_ns=until_ts_ns,
                    received_ts_ns=until_ts_ns,
                    instrument_id=instrument.instrument_id,
                    from_ts_ns=from_ts_ns,
                    until_ts_ns=until_ts_ns,
                    reason="synthetic gap",
                )
                for instrument in self.instruments
                if gap.symbol in (None, instrument.symbol)
            ]
        return sorted(found, key=lambda event: event.received_ts_ns)

    def _bounds(self, outage: Outage) -> tuple[int, int]:
        start = self.schedule[outage.session].open_ts_ns + outage.minute * MINUTE_NS
        return start, start + outage.minutes * MINUTE_NS

    def _check(self, outage: Outage) -> None:
        if outage.symbol is not None and outage.symbol not in {instrument.symbol for instrument in self.instruments}:
            raise BadInput(f"The outage {outage} names a symbol that the feed does not send: name one that it sends.")
        if not 0 <= outage.session < len(self.schedule):
            raise BadInput(f"The outage {outage} names a session beyond the {len(self.schedule)} of the feed.")
        minutes = _minutes(self.schedule[outage.session])
        if not (outage.minutes > 0 and 0 <= outage.minute <= minutes - outage.minutes):
            raise BadInput(f"The outage {outage} does not fit into the {minutes} minutes of its session: shorten it.")


def synthetic_bars(seed: int = DEFAULT_SEED, *, sessions: int = 252, symbol: str = "SYNTH") -> MarketTable:
    """Return the minute bars of one share over full sessions: 252 of them hold 98,280 bars. Feed it to `ReplayFeed`."""
    feed = SyntheticFeed(seed=seed, symbols=(symbol,), sessions=sessions, full_sessions_only=True)
    tables = [table for (table,) in feed.tables()]
    return ordered_table(
        kind=MarketKind.BARS,
        symbols=(symbol,),
        codes=np.concatenate([table.codes for table in tables]),
        ts_ns=np.concatenate([table.ts_ns for table in tables]),
        columns={name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns},
    )


def _stated_again(ts_ns: Ints, columns: dict[str, Floats], *, until_ts_ns: int) -> tuple[Ints, dict[str, Floats]]:
    # Each row, and the same row again as long as it stands.
    stands = np.append(ts_ns[1:], until_ts_ns) - ts_ns
    counts = np.maximum(1, -(-stands // _QUOTE_NS))
    row = np.repeat(np.arange(len(ts_ns)), counts)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ts_ns[row] + nth * _QUOTE_NS, {name: values[row] for name, values in columns.items()}


def _schedule(calendar: Sessions, start_date: str, count: int | None, *, full_sessions_only: bool) -> Iterator[Session]:
    try:
        moment = (date.fromisoformat(start_date) - date(1970, 1, 1)).days * DAY_NS
    except ValueError:
        raise BadInput(f"The start date {start_date!r} is no date: write it as {DEFAULT_START_DATE}.") from None
    session = calendar.session_from(moment)
    found = 0
    while count is None or found < count:
        if not full_sessions_only or _minutes(session) == _FULL_SESSION_MINUTES:
            found += 1
            yield session
        try:
            session = calendar.session_from(session.close_ts_ns)
        except BadInput:
            if count is None:
                return
            raise


def _minutes(session: Session) -> int:
    return (session.close_ts_ns - session.open_ts_ns) // MINUTE_NS


def _day(session: Session, volatility: float, trend: float) -> _Day:
    minutes = _minutes(session)
    late = (np.arange(minutes) + 0.5) / minutes
    opening, closing = _eighth_power(1.0 - late), _eighth_power(late)
    deviation = _MINUTE_DEVIATION * volatility * (0.75 + 1.5 * opening + 0.5 * closing)
    return _Day(
        open_ts_ns=session.open_ts_ns,
        deviation=deviation,
        drift=trend * deviation,
        activity=0.5 + 2.2 * opening + 1.6 * closing,
    )


def _eighth_power(values: Floats) -> Floats:
    # By multiplication: the bits of a library's power function differ between machines.
    square = values * values
    fourth = square * square
    return fourth * fourth


def _cents(prices: Floats) -> Floats:
    return np.rint(prices * 100) / 100
