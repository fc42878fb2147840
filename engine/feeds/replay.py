"""The replay feed: market data files become market events, in the order of their times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from engine.calendars import load_sessions
from engine.core.bars import GRACE_NS
from engine.core.errors import BadInput, Bug
from engine.core.messages import Bar, BarClosed, MarketEvent, Quote, Tick, TickCanceled, TickCorrected, TimeAdvanced
from engine.core.values import MINUTE_NS, Instrument, InstrumentId, SessionKind, Sessions, instrument_from_symbol
from engine.feeds.batch_stream import changes_of
from engine.feeds.files import Ints, MarketKind, MarketTable, Mask, chunks, read_market, utc_text

_KINDS: Final = (SessionKind.EXTENDED, SessionKind.REGULAR)


class ReplayFeed:
    """Replay one table of bars or ticks or quotes, or one of ticks together with one of quotes.

    Raises BadInput when the data leave the years of a calendar.

    Bars arrive at their end (start + 60 s). Ticks and quotes arrive at their own time; one that is out of order
    arrives with the latest time so far; quotes come before ticks at equal times. Between ticks and quotes, and after
    the last, the feed reports the time at which a minute becomes final, so that bars close without more data.
    """

    def __init__(
        self,
        tables: Sequence[MarketTable],
        *,
        calendar: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._tables = tuple(tables)
        self._calendar = calendar
        first_names = names or {}
        kinds = {table.kind for table in self._tables}
        if len(kinds) != len(self._tables) or (MarketKind.BARS in kinds and len(kinds) > 1) or not kinds:
            raise Bug("A replay takes one table, or one of ticks and one of quotes.")
        written = dict.fromkeys(symbol for table in self._tables for symbol in table.symbols)
        symbols = dict.fromkeys(first_names.get(symbol, symbol) for symbol in written)
        #: Ids from 1 in the order of first appearance (the ticks' file first).
        self.instruments: tuple[Instrument, ...] = tuple(
            instrument_from_symbol(symbol, number, calendar=calendar) for number, symbol in enumerate(symbols, start=1)
        )
        self.sessions: Mapping[InstrumentId, Sessions] = sessions_of(self.instruments)
        ids = {instrument.symbol: instrument.instrument_id for instrument in self.instruments}
        self._ids = {symbol: ids[first_names.get(symbol, symbol)] for symbol in written}
        self._check_years()
        #: Whether the ticks correct or cancel prints, which revises finished minutes.
        self.has_corrections: bool = any(map(has_corrections, self._tables))
        #: Rows that will be replayed.
        self.rows = sum(map(len, self._tables))
        self.kinds: frozenset[MarketKind] = frozenset(kinds)
        digests = "|".join(table.fingerprint() for table in self._tables)
        #: SHA-256 of what is replayed: the same for the same data in another file or format.
        self.fingerprint: str = digests if len(self._tables) == 1 else sha256(digests.encode()).hexdigest()

    @classmethod
    def bars(cls, path: Path | str, *, symbols: Sequence[str] | None = None, calendar: str | None = None) -> Self:
        """Replay a file of minute bars. Raises BadInput for a fault in the file."""
        return cls([read_market(path, MarketKind.BARS, symbols=symbols)], calendar=calendar)

    @classmethod
    def ticks(
        cls,
        path: Path | str,
        *,
        symbols: Sequence[str] | None = None,
        calendar: str | None = None,
        drops_suspicious: bool = False,
    ) -> Self:
        """Replay a file of tape prints; without the rows that it marks suspicious where a filter asks for that.

        Raises BadInput for a fault in the file.
        """
        table = read_market(path, MarketKind.TICKS, symbols=symbols, drops_suspicious=drops_suspicious)
        return cls([table], calendar=calendar)

    @classmethod
    def quotes(
        cls,
        path: Path | str,
        *,
        symbols: Sequence[str] | None = None,
        calendar: str | None = None,
        drops_suspicious: bool = False,
    ) -> Self:
        """Replay a file of quotes, `drops_suspicious` as for ticks. Raises BadInput for a fault in the file."""
        table = read_market(path, MarketKind.QUOTES, symbols=symbols, drops_suspicious=drops_suspicious)
        return cls([table], calendar=calendar)

    @classmethod
    def ticks_and_quotes(
        cls,
        ticks: Path | str,
        quotes: Path | str,
        *,
        symbols: Sequence[str] | None = None,
        calendar: str | None = None,
        drops_suspicious: bool = False,
    ) -> Self:
        """Replay a file of ticks merged with one of quotes, `drops_suspicious` as for ticks.

        Raises BadInput for a fault in either.
        """
        tables = [
            read_market(ticks, MarketKind.TICKS, symbols=symbols, drops_suspicious=drops_suspicious),
            read_market(quotes, MarketKind.QUOTES, symbols=symbols, drops_suspicious=drops_suspicious),
        ]
        return cls(tables, calendar=calendar)

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield the events, or those received later than a moment (ns UTC)."""
        streams = [
            _table_events(table, [self._ids[symbol] for symbol in table.symbols], self.sessions, start_after_ts_ns)
            for table in sorted(self._tables, key=lambda table: table.kind is MarketKind.TICKS)
        ]
        if self.kinds == {MarketKind.BARS}:
            return streams[0]
        return with_times(streams[0] if len(streams) == 1 else merged(*streams))

    def joined(self, names: Mapping[str, str]) -> ReplayFeed:
        """Return the same replay, where the rows of a later symbol are those of its instrument's first one.

        `names` has the first symbol by the later one; both have to be in the data.
        """
        return ReplayFeed(self._tables, calendar=self._calendar, names=names)

    def span_of(self, symbol: str) -> tuple[int, int]:
        """Return the moments of the earliest and the latest row of a symbol of the data, ns UTC."""
        rows = [
            table.ts_ns[table.codes == table.symbols.index(symbol)] for table in self._tables if symbol in table.symbols
        ]
        return min(int(each.min()) for each in rows), max(int(each.max()) for each in rows)

    def _check_years(self) -> None:
        # Asked before the first event: nothing has been written then.
        for table in self._tables:
            for code, symbol in enumerate(table.symbols):
                ts_ns = table.ts_ns[table.codes == code]
                sessions = self.sessions[self._ids[symbol]]
                for moment in (int(ts_ns.min()), int(ts_ns.max())):
                    try:
                        sessions.session_from(moment)
                    except BadInput as error:
                        raise BadInput(
                            f"The {table.kind} of {symbol} reach {utc_text(moment)}, which is outside the calendar "
                            f"{sessions.name}: check the column ts."
                        ) from error


def sessions_of(instruments: Sequence[Instrument]) -> dict[InstrumentId, Sessions]:
    """Return the calendar of each instrument; each table is loaded once."""
    tables = {name: load_sessions(name) for name in {instrument.calendar for instrument in instruments}}
    return {instrument.instrument_id: tables[instrument.calendar] for instrument in instruments}


def is_regular(ts_ns: Ints, sessions: Sessions) -> Mask:
    """Return for each moment (ns UTC, any order) whether it lies inside a session, `[open, close)`."""
    if not len(ts_ns):
        return np.zeros(0, dtype=np.bool_)
    last = int(ts_ns.max())
    session = sessions.session_from(int(ts_ns.min()))
    if session.always_open:
        return np.ones(len(ts_ns), dtype=np.bool_)
    bounds = [session.open_ts_ns, session.close_ts_ns]
    while session.close_ts_ns <= last:
        session = sessions.session_from(session.close_ts_ns)
        bounds += [session.open_ts_ns, session.close_ts_ns]
    inside: Mask = np.searchsorted(np.array(bounds), ts_ns, side="right") % 2 == 1
    return inside


def bar_events(
    table: MarketTable,
    ids: Sequence[InstrumentId],
    sessions: Mapping[InstrumentId, Sessions],
    start_after_ts_ns: int | None = None,
) -> Iterator[BarClosed]:
    """Yield the bars of a table as events; `ids` and `sessions` belong to its symbols."""
    regular = np.zeros(len(table), dtype=np.bool_)
    for code, instrument_id in enumerate(ids):
        rows = table.codes == code
        regular[rows] = is_regular(table.ts_ns[rows], sessions[instrument_id])
    for chunk in chunks(len(table), start=_first_after(table, start_after_ts_ns)):
        for code, is_open, start, received, open_, high, low, close, volume, vwap in zip(
            table.codes[chunk].tolist(),
            regular[chunk].tolist(),
            table.ts_ns[chunk].tolist(),
            table.received_ts_ns[chunk].tolist(),
            *(table.columns[name][chunk].tolist() for name in ("open", "high", "low", "close", "volume", "vwap")),
            strict=True,
        ):
            bar = Bar(
                instrument_id=ids[code],
                start_ts_ns=start,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=volume,
                vwap=vwap,
                session_kind=_KINDS[is_open],
            )
            yield BarClosed(venue_ts_ns=received, received_ts_ns=received, bar=bar)


def tick_events(
    table: MarketTable, ids: Sequence[InstrumentId], start_after_ts_ns: int | None = None
) -> Iterator[Tick | TickCorrected | TickCanceled]:
    """Yield the prints of a table as events, and their corrections and cancels; `ids` belong to its symbols."""
    prints = _prints(table, ids, start_after_ts_ns)
    if not has_corrections(table):
        return prints
    return changes_of(prints, table.extras["corrects"][_first_after(table, start_after_ts_ns) :].to_pylist())


def has_corrections(table: MarketTable) -> bool:
    """Return whether some row of a table corrects or cancels a print."""
    corrects = table.extras.get("corrects")
    return corrects is not None and corrects.null_count < len(corrects)


def _prints(table: MarketTable, ids: Sequence[InstrumentId], start_after_ts_ns: int | None) -> Iterator[Tick]:
    for chunk in chunks(len(table), start=_first_after(table, start_after_ts_ns)):
        for code, ts_ns, received, price, size, sequence, exchange, conditions in zip(
            table.codes[chunk].tolist(),
            table.ts_ns[chunk].tolist(),
            table.received_ts_ns[chunk].tolist(),
            table.columns["price"][chunk].tolist(),
            table.columns["size"][chunk].tolist(),
            *(_extra(table, name, chunk) for name in ("sequence", "exchange", "conditions")),
            strict=False,
        ):
            yield Tick(
                venue_ts_ns=ts_ns,
                received_ts_ns=received,
                instrument_id=ids[code],
                price=price,
                size=size,
                sequence=sequence,
                exchange=exchange,
                conditions=conditions,
            )


def quote_events(
    table: MarketTable, ids: Sequence[InstrumentId], start_after_ts_ns: int | None = None
) -> Iterator[Quote]:
    """Yield the quotes of a table as events; `ids` belong to its symbols."""
    for chunk in chunks(len(table), start=_first_after(table, start_after_ts_ns)):
        for code, ts_ns, received, bid, ask, bid_size, ask_size in zip(
            table.codes[chunk].tolist(),
            table.ts_ns[chunk].tolist(),
            table.received_ts_ns[chunk].tolist(),
            *(table.columns[name][chunk].tolist() for name in ("bid", "ask", "bid_size", "ask_size")),
            strict=True,
        ):
            yield Quote(
                venue_ts_ns=ts_ns,
                received_ts_ns=received,
                instrument_id=ids[code],
                bid=bid,
                ask=ask,
                bid_size=bid_size,
                ask_size=ask_size,
            )


def with_times(events: Iterator[MarketEvent]) -> Iterator[MarketEvent]:
    """Yield the events, and between and after them the moments at which their minutes become final."""
    first = next(events, None)
    if first is None:
        return
    yield first
    received = first.received_ts_ns
    final_ts_ns = _next_final(received)
    for event in events:
        received = event.received_ts_ns
        if received >= final_ts_ns:
            yield _time(final_ts_ns)
            # Input may have come in the grace; minutes between that one and this event are empty.
            if received >= final_ts_ns + MINUTE_NS:
                yield _time(final_ts_ns + MINUTE_NS)
            final_ts_ns = _next_final(received)
        yield event
    yield _time(final_ts_ns)
    if received >= final_ts_ns - GRACE_NS:
        yield _time(final_ts_ns + MINUTE_NS)


def _next_final(ts_ns: int) -> int:
    # The first moment after `ts_ns` at which a minute is over and its grace too.
    return ts_ns + MINUTE_NS - (ts_ns - GRACE_NS) % MINUTE_NS


def _time(ts_ns: int) -> TimeAdvanced:
    return TimeAdvanced(venue_ts_ns=ts_ns, received_ts_ns=ts_ns)


def _table_events(
    table: MarketTable,
    ids: Sequence[InstrumentId],
    sessions: Mapping[InstrumentId, Sessions],
    start_after_ts_ns: int | None,
) -> Iterator[MarketEvent]:
    if table.kind is MarketKind.BARS:
        return bar_events(table, ids, sessions, start_after_ts_ns)
    if table.kind is MarketKind.TICKS:
        return tick_events(table, ids, start_after_ts_ns)
    return quote_events(table, ids, start_after_ts_ns)


def merged(quotes: Iterator[MarketEvent], ticks: Iterator[MarketEvent]) -> Iterator[MarketEvent]:
    """Yield two streams in the order of reception, quotes before ticks at equal times."""
    # A plain two-way merge: heapq.merge with a key costs half a microsecond per event more.
    quote, tick = next(quotes, None), next(ticks, None)
    while quote is not None and tick is not None:
        if quote.received_ts_ns <= tick.received_ts_ns:
            yield quote
            quote = next(quotes, None)
        else:
            yield tick
            tick = next(ticks, None)
    if quote is not None:
        yield quote
    if tick is not None:
        yield tick
    yield from quotes
    yield from ticks


def _first_after(table: MarketTable, ts_ns: int | None) -> int:
    return 0 if ts_ns is None else int(np.searchsorted(table.received_ts_ns, ts_ns, side="right"))


def _extra(table: MarketTable, name: str, chunk: slice) -> Any:
    values = table.extras.get(name)
    return repeat(None) if values is None else values[chunk].to_pylist()
