"""A journal played again: every table that follows from its inputs, made anew beside it and compared row by row.

What a replay takes as given are the inputs and the finished bars. All else (decisions, orders, brackets, trades,
positions, cash, equity, and the hash of every step) is made again by the pipeline, in a file that is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from sqlalchemy import Table

from engine.core.messages import EMPTY_STEP, Event, Step, TimeAdvanced
from engine.core.pipeline import Pipeline
from engine.store.accounts import AccountRow
from engine.store.connection import open_writer, sqlite
from engine.store.inputs import is_journaled, read_consulted_quotes, read_inputs, read_refusals
from engine.store.layouts import LAYOUTS
from engine.store.migrate import upgrade
from engine.store.schema import METADATA
from engine.store.writer import SqliteJournal

#: How many steps are written, and how many rows are compared, at once.
_BATCH: Final = 8_192
#: Tables whose rows are changed by later steps: where a replay ends early they cannot be compared.
_STATES: Final = frozenset({"orders", "brackets", "positions"})
#: Written when a run starts or when somebody asks for something: no step makes them.
_GIVEN: Final = frozenset({"operator_requests"})

_Row = tuple[Any, ...]
_END: Final[tuple[int, Event, Step, bytes]] = (0, TimeAdvanced(venue_ts_ns=0, received_ts_ns=0), EMPTY_STEP, b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Name the first row of a table that is not what the journal's inputs make."""

    table: str
    #: Which row, by its key in words.
    key: str
    #: Number of the row's step in its account.
    step: int
    #: None where the whole row is missing, or is one that no step makes.
    column: str | None
    stored: object
    replayed: object

    def __str__(self) -> str:
        where = f"{self.table}, {self.key} (step {self.step})"
        if self.column is None:
            return f"{where}: {'no step makes this row' if self.replayed is None else 'the row is missing'}"
        return f"{where}: {self.column} is {_shown(self.stored)}, the replay makes {_shown(self.replayed)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """Hold what a replay of one account compared and where it differs."""

    account: str
    steps: int
    #: Table -> rows that were compared.
    rows: dict[str, int]
    #: The first difference of each table, the earliest step first.
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        """Return whether every row is what the inputs make."""
        return not self.differences


def repeated_steps(
    pipeline: Pipeline, connection: sqlite.Connection, account: AccountRow
) -> Iterator[tuple[int, Event, Step, bytes]]:
    """Step a fresh pipeline through an account's journal; yield number, input, outcome and the stored hash."""
    refusals = read_refusals(connection, account)
    quotes = read_consulted_quotes(connection, account)
    for number, event, bars, stored in read_inputs(connection, account.account_id):
        step = pipeline.restore(event, bars, refusals.get(number, ()), quotes=quotes.get(number, ()))
        yield number, event, step, stored


def replay(
    connection: sqlite.Connection,
    account: AccountRow,
    pipeline: Pipeline,
    *,
    progress: Callable[[int], None] | None = None,
) -> ReplayReport:
    """Make an account's tables again from its inputs, by a fresh pipeline of the same settings, and compare them.

    `progress` is told how many steps are done. The connection only reads: let it hold a transaction, so that an engine
    may go on writing meanwhile.
    """
    with TemporaryDirectory(prefix="ratchet-replay-") as folder:
        scratch = _scratch(Path(folder) / "replay.sqlite")
        try:
            steps, failure = _play(connection, account, pipeline, scratch, progress=progress)
            comparison = _Comparison(connection, scratch, account, is_whole=failure is None, steps=steps)
            for table in _tables():
                comparison.compare(table)
        finally:
            scratch.close()
    found = sorted(comparison.differences, key=lambda each: each.step)
    if failure is not None and not found:
        found.append(failure)
    return ReplayReport(account=account.name, steps=steps, rows=comparison.rows, differences=tuple(found))


def _scratch(path: Path) -> sqlite.Connection:
    upgrade(path)
    connection = open_writer(path)
    # It holds no accounts, and lasts as long as this process.
    for pragma in ("foreign_keys=OFF", "synchronous=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _play(
    connection: sqlite.Connection,
    account: AccountRow,
    pipeline: Pipeline,
    scratch: sqlite.Connection,
    *,
    progress: Callable[[int], None] | None,
) -> tuple[int, Difference | None]:
    # How far the journal can be played, and what stops it before its end.
    journal = SqliteJournal(scratch, account)
    done, failure = 0, ""
    steps = repeated_steps(pipeline, connection, account)
    while True:
        try:
            number, event, step, _ = next(steps, _END)
        except sqlite.Error:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a changed input does to the pipeline is the finding
            failure = f"an input that cannot be played ({type(error).__name__}: {error})"
            break
        if not number:
            break
        if number != done + 1:
            failure = f"a step {done + 1}, which is missing"
            break
        if not step.facts and not is_journaled(event, step):
            failure = f"a {type(event).__name__} that changes nothing and would not be journaled"
            break
        journal.append(event, step)
        done = number
        if number % _BATCH == 0:
            journal.commit()
            if progress is not None:
                progress(number)
    journal.commit()
    if not failure:
        return done, None
    return done, Difference(
        table="inputs",
        key=f"id {account.id_offset + done + 1}",
        step=done + 1,
        column="payload",
        stored="what was journaled",
        replayed=failure,
    )


def _tables() -> list[Table]:
    # In the order of their writing within a step; then those that hold no facts yet.
    numbers = {layout.table: number for number, layout in enumerate(LAYOUTS)}
    tables = [
        table
        for table in METADATA.sorted_tables
        if table.name not in _GIVEN and "account_id" in table.c and (table.name == "inputs" or "step_id" in table.c)
    ]
    return sorted(tables, key=lambda table: (numbers.get(table.name, len(numbers)), table.name))


class _Plan(NamedTuple):
    """Hold how the rows of a table are read and told apart."""

    table: str
    columns: tuple[str, ...]
    #: Places of the columns that tell rows apart; of the step alone where rows are numbered as they are written.
    key: tuple[int, ...]
    step: int
    query: str


def _plan(table: Table, account: AccountRow, *, before: int | None) -> _Plan:
    layout = next((layout.columns for layout in LAYOUTS if layout.table == table.name), ("id",))
    # Numbers that the file gives go on from one account to the next.
    is_numbered = "id" in table.c and "id" not in layout
    columns = tuple(
        column.name for column in table.c if column.computed is None and not (is_numbered and column.name == "id")
    )
    step = "id" if table.name == "inputs" else "step_id"
    keys = [step] if is_numbered else [column.name for column in table.primary_key]
    order = ", ".join([*keys, *(["id"] if is_numbered else [])])
    listed = ", ".join(f'"{name}"' for name in columns)
    until = "" if before is None else f" AND {step} < {account.id_offset + before}"
    return _Plan(
        table=table.name,
        columns=columns,
        key=tuple(columns.index(name) for name in keys),
        step=columns.index(step),
        query=f"SELECT {listed} FROM {table.name} WHERE account_id = {account.account_id}{until} ORDER BY {order}",
    )


@dataclass(slots=True)
class _Comparison:
    """Compare the tables of two databases, and keep the first difference of each."""

    stored: sqlite.Connection
    replayed: sqlite.Connection
    account: AccountRow
    is_whole: bool = field(kw_only=True)
    steps: int = field(kw_only=True)
    rows: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def compare(self, table: Table) -> None:
        """Compare one table, chunk by chunk, up to its first difference."""
        if not self.is_whole and table.name in _STATES:
            return
        plan = _plan(table, self.account, before=None if self.is_whole else self.steps + 1)
        ours, theirs = self.stored.execute(plan.query), self.replayed.execute(plan.query)
        count = 0
        while True:
            one, other = ours.fetchmany(_BATCH), theirs.fetchmany(_BATCH)
            if one != other:
                same, difference = self._first(plan, one, other)
                count += same
                self.differences.append(difference)
                break
            if not one:
                break
            count += len(one)
        self.rows[table.name] = count

    def _first(self, plan: _Plan, one: list[_Row], other: list[_Row]) -> tuple[int, Difference]:
        place, (stored, replayed) = next(
            (place, pair) for place, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1]
        )
        keys = [None if row is None else tuple(row[at] for at in plan.key) for row in (stored, replayed)]
        if keys[0] == keys[1]:
            at = next(at for at, name in enumerate(plan.columns) if stored[at] != replayed[at])
            return place, self._difference(plan, stored, column=at, stored=stored[at], replayed=replayed[at])
        if keys[1] is None or (keys[0] is not None and keys[0] < keys[1]):
            return place, self._difference(plan, stored, column=None, stored=stored, replayed=None)
        return place, self._difference(plan, replayed, column=None, stored=None, replayed=replayed)

    def _difference(
        self, plan: _Plan, row: _Row, *, column: int | None, stored: object, replayed: object
    ) -> Difference:
        names = [(plan.columns[at], row[at]) for at in plan.key if plan.columns[at] != "account_id"]
        return Difference(
            table=plan.table,
            key=", ".join(f"{name} {value}" for name, value in names),
            step=row[plan.step] - self.account.id_offset,
            column=None if column is None else plan.columns[column],
            stored=_plain(stored),
            replayed=_plain(replayed),
        )


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
