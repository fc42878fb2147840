"""Corporate actions from a file, put between the events of another feed.

| Column | Means |
| --- | --- |
| `date` | the ex date: the action is there before the trading of that date, as 2020-08-31 |
| `symbol` | of which instrument of the data, by any of its symbols |
| `kind` | `split`, `dividend` or `symbol` |
| `new`, `old` | of a split: for each `old` shares there are `new` ones |
| `cash_in_lieu` | of a split: paid for a new share of which a part is left; empty: the last close, scaled |
| `per_share`, `pay_date` | of a dividend: dollars for each share, and the date on which they arrive |
| `new_symbol` | of a symbol: the other one |

From the date of a new symbol on the data may have the one or the other: rows of both are one instrument.
The prices of the data have to be as they were traded, not adjusted for what the file says.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.core.errors import BadInput
from engine.core.messages import CorporateAction, DividendDeclared, MarketEvent, ShareSplit, SymbolRenamed
from engine.core.values import DAY_NS, SECOND_NS, Instrument, InstrumentId, Session, Sessions
from engine.feeds.files import utc_text
from engine.feeds.replay import ReplayFeed
from engine.ports import Feed

_COLUMNS: Final = (*("date", "symbol", "kind", "new", "old", "cash_in_lieu", "per_share", "pay_date", "new_symbol"),)
#: Four in the morning in New York: no trade of the ex date is earlier.
_BEFORE_OPEN_NS: Final = 19_800 * SECOND_NS


class ActionsFeed:
    """Send what another feed sends, and each corporate action of a file before the trading of its ex date.

    Raises BadInput, with the number of the row, for an action that is incomplete, stated twice or of an unknown symbol.
    """

    def __init__(self, feed: Feed, path: Path) -> None:
        text = _text(path)
        feed, self._actions = _actions(path, text, feed)
        self._feed = feed
        self.instruments: tuple[Instrument, ...] = feed.instruments
        self.sessions: Mapping[InstrumentId, Sessions] = feed.sessions
        #: Rows that will be replayed, without the actions.
        self.rows = int(getattr(feed, "rows", 0))
        #: Whether the other feed corrects or cancels prints.
        self.has_corrections: bool = getattr(feed, "has_corrections", False)
        #: Sessions of a built-in market.
        self.schedule: tuple[Session, ...] = getattr(feed, "schedule", ())
        self.fingerprint: str = sha256(f"{feed.fingerprint}|{text}".encode()).hexdigest()

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield the events and, among them, the actions of the time that they span."""
        events = self._feed.events(start_after_ts_ns)
        first = next(events, None)
        if first is None:
            return
        # An action of the first day is of use only where something is held already.
        since = first.received_ts_ns - DAY_NS if start_after_ts_ns is None else start_after_ts_ns
        waiting = [action for action in self._actions if action.received_ts_ns > since]
        place = 0
        event: MarketEvent | None = first
        while event is not None:
            while place < len(waiting) and waiting[place].received_ts_ns <= event.received_ts_ns:
                yield waiting[place]
                place += 1
            yield event
            event = next(events, None)


def with_actions(feed: Feed, path: Path | None) -> Feed:
    """Return a feed with the corporate actions of a file, or as it is where none is named."""
    return feed if path is None else ActionsFeed(feed, path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The corporate actions {path} cannot be read ({error}): name a CSV file.") from error


def _actions(path: Path, text: str, feed: Feed) -> tuple[Feed, Sequence[CorporateAction]]:
    reader = csv.DictReader(text.splitlines())
    unknown = [name for name in reader.fieldnames or () if name not in _COLUMNS]
    missing = [name for name in _COLUMNS[:3] if name not in (reader.fieldnames or ())]
    if unknown or missing:
        what = f"has the column {unknown[0]}" if unknown else f"has no column {missing[0]}"
        raise BadInput(f"The corporate actions {path.name}: the file {what}, so name its columns as in {_HEADING}.")
    records = [_texts(fields) for fields in reader]
    names = _first_names(records)
    joined = _joined(feed, _rows(path, records, feed, names))
    # Several of one moment are told apart, in the order of the file.
    return joined, [row.action(place) for place, row in enumerate(_rows(path, records, joined, names))]


def _texts(fields: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: (value or "").strip() for name, value in fields.items() if name}


def _rows(path: Path, records: Sequence[Mapping[str, str]], feed: Feed, names: Mapping[str, str]) -> list[_Row]:
    rows = [_Row(path, number, fields, feed, names=names) for number, fields in enumerate(records, start=1)]
    rows.sort(key=lambda row: row.day)
    _refuse_repeated(rows)
    _refuse_taken(rows, names)
    return rows


def _first_names(records: Sequence[Mapping[str, str]]) -> dict[str, str]:
    # The symbol that an instrument had at first, by each that it got.
    names: dict[str, str] = {}
    for fields in sorted(records, key=lambda fields: fields["date"]):
        new = fields.get("new_symbol", "")
        first = names.get(fields["symbol"], fields["symbol"])
        if fields["kind"] == "symbol" and new and new != first:
            names.setdefault(new, first)
    return names


def _refuse_taken(rows: Sequence[_Row], names: Mapping[str, str]) -> None:
    for row in rows:
        if row.kind == "symbol" and names.get(row.new_symbol, row.first_symbol) != row.first_symbol:
            raise BadInput(
                f"{row.where} the new symbol {row.new_symbol} of {row.symbol}, which {names[row.new_symbol]} has by "
                "another row: leave one of them out."
            )


def _joined(feed: Feed, rows: Sequence[_Row]) -> Feed:
    present = {each.symbol: each for each in feed.instruments}
    names: dict[str, str] = {}
    for row in rows:
        new, first = row.new_symbol, row.first_symbol
        if row.kind != "symbol" or new not in present or new in names or new == first:
            continue
        if not isinstance(feed, ReplayFeed) or present[new].calendar != present[first].calendar:
            raise BadInput(
                f"{row.where} the new symbol {new}, which another instrument of the data has: name a free one."
            )
        starts, _ = feed.span_of(new)
        before = [first, *(name for name, owner in names.items() if owner == first)]
        ends = max(feed.span_of(name)[1] for name in before)
        if starts < row.ts_ns or starts <= ends:
            early = f"the data have {new} from {utc_text(starts)} on"
            late = "" if starts < row.ts_ns else f" and {row.symbol} until {utc_text(ends)}"
            raise BadInput(
                f"{row.where} the new symbol {new} of {row.symbol} from {row.day}, and {early}{late}, so that they are "
                "no one instrument: leave out the rows of one of them, or correct the date."
            )
        names[new] = first
    return feed.joined(names) if names and isinstance(feed, ReplayFeed) else feed


def _refuse_repeated(rows: Sequence[_Row]) -> None:
    # One row too many would make shares or cash from nothing.
    first: dict[tuple[InstrumentId, str, int], _Row] = {}
    for row in rows:
        before = first.setdefault(row.event, row)
        if before is not row:
            raise BadInput(
                f"{row.where} another {row.kind} of {row.symbol} on {row.day}, where row {before.number} has one: "
                "leave one of them out, or make one row of both."
            )


_HEADING: Final = ",".join(_COLUMNS)


class _Row:
    def __init__(
        self, path: Path, number: int, fields: Mapping[str, str], feed: Feed, *, names: Mapping[str, str]
    ) -> None:
        self.where = f"The corporate actions {path.name} have in row {number}"
        self._fields = fields
        self._source = f"{path.name} row {number}"
        self.number = number
        self.kind = self._fields["kind"]
        self.symbol = symbol = self._fields["symbol"]
        self.new_symbol = self._fields.get("new_symbol", "")
        self.first_symbol = names.get(symbol, symbol)
        instrument = next((each for each in feed.instruments if each.symbol == self.first_symbol), None)
        if instrument is None:
            known = ", ".join(each.symbol for each in feed.instruments)
            raise BadInput(f"{self.where} the symbol {symbol!r}, which the data do not have: they have {known}.")
        self._instrument_id = instrument.instrument_id
        self._sessions = feed.sessions[instrument.instrument_id]
        self.day = self._date("date")
        self.ts_ns = self._opens(self.day) - _BEFORE_OPEN_NS
        # Read at once: what is wrong is said before anything runs.
        self.action(0)

    @property
    def event(self) -> tuple[InstrumentId, str, int]:
        return self._instrument_id, self.kind, self.ts_ns

    def action(self, place: int) -> CorporateAction:
        ts_ns = self.ts_ns + place
        match self.kind:
            case "split":
                return self._split(ts_ns)
            case "dividend":
                return DividendDeclared(
                    venue_ts_ns=ts_ns,
                    received_ts_ns=ts_ns,
                    instrument_id=self._instrument_id,
                    per_share=self._amount("per_share"),
                    pays_ts_ns=max(ts_ns, self._opens(self._pay_date())),
                    source=self._source,
                )
            case "symbol":
                if not self.new_symbol:
                    raise BadInput(f"{self.where} a new symbol without its name: fill the column new_symbol.")
                return SymbolRenamed(
                    venue_ts_ns=ts_ns,
                    received_ts_ns=ts_ns,
                    instrument_id=self._instrument_id,
                    symbol=self.new_symbol,
                    source=self._source,
                )
            case other:
                raise BadInput(f"{self.where} the kind {other!r}: use split, dividend or symbol.")

    def _split(self, ts_ns: int) -> ShareSplit:
        new, old = self._fields.get("new", ""), self._fields.get("old", "")
        if not (new.isdecimal() and old.isdecimal() and int(new) and int(old) and int(new) != int(old)):
            raise BadInput(
                f"{self.where} a split without its ratio ({new!r} for {old!r}): fill new and old, as 4 and 1."
            )
        paid = self._fields.get("cash_in_lieu", "")
        return ShareSplit(
            venue_ts_ns=ts_ns,
            received_ts_ns=ts_ns,
            instrument_id=self._instrument_id,
            new_shares=int(new),
            old_shares=int(old),
            source=self._source,
            cash_in_lieu_price=self._amount("cash_in_lieu") if paid else None,
        )

    def _amount(self, name: str) -> Decimal:
        text = self._fields.get(name, "")
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number <= 0:
            raise BadInput(f"{self.where} the {name} {text!r}, which is no number above zero: correct it.")
        return number

    def _date(self, name: str) -> date:
        text = self._fields.get(name, "")
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise BadInput(f"{self.where} the {name} {text!r}: write it as 2020-08-31.") from None

    def _pay_date(self) -> date:
        day = self._date("pay_date")
        if day < self.day:
            raise BadInput(
                f"{self.where} the pay_date {day}, which is before its ex date {self.day}: correct one of them."
            )
        return day

    def _opens(self, day: date) -> int:
        # Of a day without a session: the next one's.
        noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * SECOND_NS
        try:
            return self._sessions.session_from(noon).open_ts_ns
        except BadInput as error:
            raise BadInput(
                f"{self.where} the date {day}, which is outside the calendar {self._sessions.name}."
            ) from error
