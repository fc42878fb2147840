"""What has to hold whenever a process has died: read by SQL from copies of its two files, never asked of the engine.

The venue's book is the truth. The files are copied with their write-ahead logs first, so that looking mends nothing:
the next life finds them as the dead one left them.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from engine.app.trading import book_path
from engine.core.errors import EngineError
from engine.store.check import check_database
from engine.store.connection import sqlite
from engine.testing.kills.life import Word

_CASH_UNIT: Final = Decimal("1E-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Hold what a dead process left, as far as the next one has to keep it."""

    #: Number of the last committed step; 0: none.
    step: int = 0
    #: Hash of each step in hexadecimal, by number.
    digests: dict[int, str] = field(default_factory=dict)
    #: Execution ids in the journal and in the book, each as often as it stands there.
    trades: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    #: Client order ids that the journal has sent, and that the book has taken, each with its payload.
    submitted: dict[str, Any] = field(default_factory=dict)
    accepted: dict[str, Any] = field(default_factory=dict)
    #: By instrument: shares held, and shares that open sells could sell (linked legs once), by the book.
    held: dict[int, Decimal] = field(default_factory=dict)
    exits: dict[int, Decimal] = field(default_factory=dict)
    #: By instrument, by the journal.
    booked: dict[int, Decimal] = field(default_factory=dict)
    #: In account currency, by the book and by the journal; None where there is no row yet.
    venue_cash: Decimal | None = None
    cash: Decimal | None = None
    #: What a person would compare: the trades in their order, and the round trips.
    story: tuple[tuple[Any, ...], ...] = ()
    #: What `ratchet db check` finds.
    findings: tuple[str, ...] = ()


def copied(database: Path, folder: Path) -> Path:
    """Copy a database and its book as they lie there, each with its log, and return the copy of the database."""
    folder.mkdir(exist_ok=True)
    for source in (database, book_path(database)):
        for suffix in ("", "-wal"):
            part = source.with_name(source.name + suffix)
            target = folder / part.name
            for old in (target, target.with_name(target.name + "-shm")):
                old.unlink(missing_ok=True)
            if part.exists():
                shutil.copyfile(part, target)
    return folder / database.name


def read_remains(database: Path) -> Remains:
    """Read a database and its book; either may be missing or empty. Do it on copies, while nobody writes them."""
    found: dict[str, Any] = {}
    if _has_table(database, "inputs"):
        with closing(sqlite.connect(database)) as connection:
            found |= _journal(connection)
        try:
            report = check_database(database)
            found["findings"] = tuple(map(str, report.findings))
        except EngineError as error:
            found["findings"] = (f"db check ended with: {error}",)
    book = book_path(database)
    if _has_table(book, "account"):
        with closing(sqlite.connect(book)) as connection:
            found |= _book(connection)
    return Remains(**found)


def _has_table(path: Path, name: str) -> bool:
    if not path.exists():
        return False
    with closing(sqlite.connect(path)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None


def _journal(connection: sqlite.Connection) -> dict[str, Any]:
    run = connection.execute
    digests = {number: digest.hex() for number, digest in run("SELECT id, hash FROM inputs")}
    trades = run("SELECT execution_id FROM trades WHERE is_bust = 0").fetchall()
    submitted = run("SELECT client_order_id, payload FROM commands WHERE kind = 'SubmitOrder'").fetchall()
    (moved,) = run("SELECT sum(amount_e8) FROM cash_movements").fetchone()
    traded = sum(
        (value if side == "sell" else -value) - fee
        for side, value, fee in run("SELECT side, value_e8, fee_e8 FROM trades")
    )
    return {
        "step": max(digests, default=0),
        "digests": digests,
        "trades": Counter(each for (each,) in trades),
        "submitted": {identity: json.loads(payload) for identity, payload in submitted},
        "booked": {
            number: quantity * _CASH_UNIT
            for number, quantity in run("SELECT instrument_id, sum(quantity_e8) FROM positions GROUP BY 1")
        },
        "cash": None if moved is None else (moved + traded) * _CASH_UNIT,
        "story": (
            *run("SELECT symbol, side, leg, price_e10, quantity_e8, fee_e8, venue_ts_ns FROM trades ORDER BY id"),
            *run("SELECT symbol, entry_ts, exit_ts, exit_reason, pnl FROM v_round_trips ORDER BY exit_ts, symbol"),
        ),
    }


def _book(connection: sqlite.Connection) -> dict[str, Any]:
    run = connection.execute
    orders = [json.loads(body) for (body,) in run("SELECT body FROM orders ORDER BY number")]
    row = run("SELECT body ->> 'cash' FROM account").fetchone()
    executions = run("SELECT body ->> 'execution_id' FROM reports WHERE kind = 'OrderFilled'").fetchall()
    lanes = run("SELECT instrument_id, body ->> 'position' FROM lanes").fetchall()
    return {
        "executions": Counter(each for (each,) in executions),
        "accepted": {each["command"]["client_order_id"]: each["command"] for each in orders},
        "held": {number: Decimal(position) for number, position in lanes},
        "exits": _open_exits(orders),
        "venue_cash": None if row is None else Decimal(row[0]),
    }


def _open_exits(orders: list[dict[str, Any]]) -> dict[int, Decimal]:
    # Linked legs hold shares once, the larger remainder.
    largest: dict[tuple[int, str], Decimal] = {}
    for order in orders:
        command = order["command"]
        if command["side"] == "sell" and order["status"] != "gone":
            group = command["instrument_id"], command["link"] or command["client_order_id"]
            largest[group] = max(largest.get(group, Decimal(0)), Decimal(order["remaining"]))
    exits: dict[int, Decimal] = {}
    for (number, _), remaining in largest.items():
        exits[number] = exits.get(number, Decimal(0)) + remaining
    return exits


def breaches(remains: Remains, *, before: Remains, word: Word) -> Iterator[str]:
    """Yield what does not hold after a death, given what the death before it left and the last word of the life."""
    yield from (f"ratchet db check finds: {each}" for each in remains.findings)
    yield from _lost_commits(remains, before, word)
    for identity, payload in remains.accepted.items():
        if identity not in remains.submitted:
            yield f"I-1: the venue has the order {identity} and no committed command sent it"
        elif remains.submitted[identity] != payload:
            yield f"I-2: the order {identity} reached the venue as another one than was committed"
    yield from (
        f"I-7: the execution {each} stands {count} times in trades"
        for each, count in remains.trades.items()
        if count != 1
    )
    yield from (f"I-7: the book has the execution {each} twice" for each, n in remains.executions.items() if n != 1)
    yield from (f"I-7: the trade {each} never happened at the venue" for each in remains.trades - remains.executions)
    for number, held in remains.held.items():
        if held < 0:
            yield f"I-12: instrument {number} is short by {-held}"
        exits = remains.exits.get(number, Decimal(0))
        if exits > max(held, Decimal(0)):
            yield f"I-12: exits of {exits} work for {held} of instrument {number}"


def _lost_commits(remains: Remains, before: Remains, word: Word) -> Iterator[str]:
    if word.step and remains.digests.get(word.step) != word.digest:
        yield f"I-18: step {word.step} was acknowledged with the hash {word.digest[:16]} and is not in the journal so"
    for number, digest in before.digests.items():
        if remains.digests.get(number) != digest:
            yield f"I-18: step {number} was in the journal after the last death and is not there any more"
            return


def final_breaches(remains: Remains, *, truth: Remains) -> Iterator[str]:
    """Yield what does not hold at the end of a run, given what an uninterrupted one with the same inputs left."""
    for missing in remains.executions - remains.trades:
        yield f"I-7: the execution {missing} is not in trades"
    for number, held in remains.held.items():
        if remains.booked.get(number, Decimal(0)) != held:
            yield f"I-10: the journal holds {remains.booked.get(number, 0)} of instrument {number}, the venue {held}"
    if remains.venue_cash is not None and remains.cash != remains.venue_cash:
        yield f"I-10: the journal has {remains.cash} of cash, the venue {remains.venue_cash}"
    if remains.story != truth.story:
        at = next((n for n, pair in enumerate(zip(remains.story, truth.story, strict=False)) if pair[0] != pair[1]), -1)
        yield (
            f"I-18: the trades are not those of an uninterrupted run (of {len(remains.story)} and {len(truth.story)} "
            f"rows, number {at} is the first that differs)"
        )
    orders, wanted = _undated(remains.accepted), _undated(truth.accepted)
    if orders != wanted:
        other = sorted(key for key in {*orders, *wanted} if orders.get(key) != wanted.get(key))[:3]
        yield f"I-3: the orders at the venue are not those of an uninterrupted run (such as {other})"


def _undated(orders: dict[str, Any]) -> dict[str, Any]:
    # Bars of two instruments end together and are shown one after the other: a report out of the second one's minute
    # is received before or after the end of the first, as the venue's clock stood, which a restart may set back.
    return {key: {**payload, "decided_ts_ns": None} for key, payload in orders.items()}
