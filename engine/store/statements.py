"""SQL text from the metadata: compiled once, run through the raw connection.

SQLAlchemy builds and checks the statements; executing through it would cost more than the statements themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Table,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    update,
)
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import CompilerElement

from engine.core.execution.bracket_table import BRACKET_MACHINE
from engine.core.execution.order_table import ORDER_MACHINE
from engine.store import schema
from engine.store.connection import sqlite
from engine.store.layouts import (
    BARS,
    BRACKET_EVENTS,
    BRACKETS,
    INPUTS,
    LAYOUTS,
    ORDER_EVENTS,
    ORDERS,
    PLAIN_BAR_WIDTH,
    POSITIONS,
    Layout,
)

_DIALECT: Final = sqlite_dialect(paramstyle="named")
#: How many rows a repeated statement writes.
ROWS_AT_ONCE: Final = 256
#: Columns of rows that hold ids of facts, which count from 1 in their account.
SHIFTED: Final = frozenset(
    {
        *("id", "step_id", "signal_id", "decision_id", "order_id", "bracket_id", "trade_id", "opening_trade_id"),
        *("opening_adjustment_id", "closing_trade_id", "closing_adjustment_id"),
    }
)


def fetch(connection: sqlite.Connection, statement: Executable) -> list[Any]:
    """Run a reading statement and return its rows."""
    return execute(connection, statement).fetchall()


def execute(connection: sqlite.Connection, statement: Executable) -> sqlite.Cursor:
    """Run a statement with the values that it was built with."""
    assert isinstance(statement, CompilerElement)
    # Lists (`IN`) are spelled out here: there is no engine of SQLAlchemy below that would do it later.
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    return connection.execute(str(compiled), dict(compiled.params))


class Statements:
    """Hold the writing statements of one account: its id and offset are constants in their text."""

    def __init__(self, *, account_id: int, id_offset: int) -> None:
        self._account: ColumnElement[Any] = literal_column(str(account_id))
        self._offset: ColumnElement[Any] = literal_column(str(id_offset))
        #: By number of table: writes one row of the table's layout.
        self.inserts: tuple[str, ...] = tuple(self._insert(number) for number in range(len(LAYOUTS)))
        #: Writes a bar's short row.
        self.plain_bar = self._values(Layout("bars", LAYOUTS[BARS].columns[:PLAIN_BAR_WIDTH]))
        #: The two of which a backtest writes most, for `ROWS_AT_ONCE` rows in one statement.
        self.many_inputs = _repeated(self.inserts[INPUTS], width=len(LAYOUTS[INPUTS].columns) + 1)
        self.many_plain_bars = _repeated(self.plain_bar, width=PLAIN_BAR_WIDTH)
        #: Moves an order or a bracket by the row of its event, if it stands at the version before.
        self.moves: dict[int, str] = {ORDER_EVENTS: self._order_move(), BRACKET_EVENTS: self._bracket_move()}
        #: Marks an operator's request as taken by a step: number of the request, number of the step.
        self.take_request = self._take_request()

    def _insert(self, number: int) -> str:
        layout = LAYOUTS[number]
        if number == INPUTS:
            payload = func.nullif(_parameter(schema.inputs, "payload"), literal_column("''"))
            return self._values(Layout(layout.table, (*layout.columns, "hash")), payload=payload)
        if number == ORDERS:
            return self._values(layout, **_first_state(ORDER_MACHINE.initial, "status"), **self._order_start())
        if number == BRACKETS:
            return self._values(layout, **_first_state(BRACKET_MACHINE.initial, "state"), **self._bracket_start())
        if number == POSITIONS:
            return self._upsert(layout)
        return self._values(layout)

    def _values(self, layout: Layout, **constants: ColumnElement[Any]) -> str:
        table = schema.METADATA.tables[layout.table]
        return _text(insert(table).values(**{**self._bound(table, layout), **constants}).inline(), layout)

    def _bound(self, table: Table, layout: Layout) -> dict[str, ColumnElement[Any]]:
        values = {name: self._parameter(table, name) for name in layout.columns}
        return {"account_id": self._account, **values}

    def _parameter(self, table: Table, name: str) -> ColumnElement[Any]:
        parameter = _parameter(table, name)
        return parameter + self._offset if name in SHIFTED else parameter

    def _upsert(self, layout: Layout) -> str:
        table = schema.METADATA.tables[layout.table]
        statement = sqlite_insert(table).values(**self._bound(table, layout))
        keys = [column.name for column in table.primary_key]
        changed = {name: statement.excluded[name] for name in layout.columns if name not in keys}
        return _text(statement.on_conflict_do_update(index_elements=keys, set_=changed).inline(), layout)

    def _order_start(self) -> dict[str, ColumnElement[Any]]:
        zero: ColumnElement[Any] = literal_column("0")
        submitted = _parameter(schema.orders, "submit_ts_ns")
        return {"filled_quantity_e8": zero, "cancel_requested": zero, "updated_ts_ns": submitted}

    def _bracket_start(self) -> dict[str, ColumnElement[Any]]:
        zero: ColumnElement[Any] = literal_column("0")
        opened = _parameter(schema.brackets, "opened_ts_ns")
        return {
            "exit_reason": literal_column("''"),
            "entered_quantity_e8": zero,
            "exited_quantity_e8": zero,
            "updated_ts_ns": opened,
        }

    def _order_move(self) -> str:
        table, layout = schema.orders, LAYOUTS[ORDER_EVENTS]
        event = {name: self._parameter(schema.order_events, name) for name in layout.columns}
        filled = event["filled_quantity_e8"]
        statement = update(table).where(
            table.c.id == event["order_id"],
            table.c.version == event["version"] - literal_column("1"),
            table.c.status == event["from_state"],
        )
        changed = statement.values(
            version=event["version"],
            status=event["to_state"],
            filled_quantity_e8=filled,
            cancel_requested=event["cancel_requested"],
            venue_order_id=event["venue_order_id"],
            # The moment of the last execution that counts: a bust of the only one leaves none.
            fill_ts_ns=case(
                (filled > table.c.filled_quantity_e8, event["venue_ts_ns"]),
                (filled == literal_column("0"), null()),
                else_=table.c.fill_ts_ns,
            ),
            updated_ts_ns=event["ts_ns"],
        )
        return _text(changed, layout)

    def _bracket_move(self) -> str:
        table, layout = schema.brackets, LAYOUTS[BRACKET_EVENTS]
        event = {name: self._parameter(schema.bracket_events, name) for name in layout.columns}
        statement = update(table).where(
            table.c.id == event["bracket_id"],
            table.c.version == event["version"] - literal_column("1"),
            table.c.state == event["from_state"],
        )
        changed = statement.values(
            version=event["version"],
            state=event["to_state"],
            exit_reason=event["exit_reason"],
            entered_quantity_e8=event["entered_quantity_e8"],
            exited_quantity_e8=event["exited_quantity_e8"],
            deadline_ts_ns=event["deadline_ts_ns"],
            updated_ts_ns=event["ts_ns"],
        )
        return _text(changed, layout)

    def _take_request(self) -> str:
        table = schema.operator_requests
        number = _parameter(table, "id")
        step = _parameter(table, "taken_step_id") + self._offset
        statement = update(table).where(table.c.id == number, table.c.account_id == self._account)
        return _text(statement.values(taken_step_id=step), Layout(table.name, ("id", "taken_step_id")))


@lru_cache(maxsize=64)
def statements_of(*, account_id: int, id_offset: int) -> Statements:
    """Return the writing statements of an account, compiled once in a process: that takes 10 ms, opening a file one."""
    return Statements(account_id=account_id, id_offset=id_offset)


def _first_state(initial: str, column: str) -> dict[str, ColumnElement[Any]]:
    return {"version": literal_column("1"), column: literal_column(f"'{initial}'")}


def _parameter(table: Table, name: str) -> BindParameter[Any]:
    # SQLAlchemy keeps the bare names of columns for itself in an UPDATE.
    return bindparam(f"p_{name}", type_=table.c[name].type)


def _repeated(statement: str, *, width: int) -> str:
    # One step of the library for many rows: starting and ending a statement costs as much as a short row does.
    head, _, values = statement.rpartition(" VALUES ")
    pieces = re.split(r"\?(\d+)", values)

    def row(number: int) -> str:
        # Text and the places of parameters take turns.
        places = [f"?{int(place) + number * width}" for place in pieces[1::2]]
        return "".join(chain.from_iterable(zip(pieces[0::2], [*places, ""], strict=True)))

    rows = [row(number) for number in range(ROWS_AT_ONCE)]
    return f"{head} VALUES {', '.join(rows)}"


def _text(statement: CompilerElement, layout: Layout) -> str:
    # Parameters are numbered by their place in the row, so that one row serves several statements.
    place = {f"p_{name}": number for number, name in enumerate(layout.columns, start=1)}
    compiled = str(statement.compile(dialect=_DIALECT))
    return re.sub(r":(\w+)", lambda match: f"?{place[match[1]]}", compiled)
