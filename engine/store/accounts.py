"""Accounts, and what belongs to them: instruments, strategies, runs, and what operators ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from msgspec import json as msgspec_json
from sqlalchemy import Table, func, insert, select, update

from engine.core.errors import BadInput
from engine.core.messages import Flatten, Kill, OperatorCommand, Pause, Resume
from engine.core.values import AccountId, Instrument, InstrumentId, StrategyId
from engine.store import schema
from engine.store.connection import sqlite, transaction
from engine.store.statements import execute, fetch
from engine.store.vocabulary import RequestKind, RunKind, RunStatus

_encode: Final = msgspec_json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """Hold an account of a database."""

    account_id: AccountId
    name: str
    #: Its ids in tables are those of its facts plus this.
    id_offset: int
    #: Makes client order ids.
    namespace: UUID
    #: What the simulated venue's own file has to hold too; None for an account whose venue keeps no file.
    venue_nonce: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """Hold what an operator asked of a running engine."""

    request_id: int
    kind: RequestKind
    strategy_id: str | None
    instrument_id: InstrumentId | None
    reason: str
    requested_by: str
    requested_ts_ns: int

    def event(self, received_ts_ns: int) -> Pause | Resume | Kill | Flatten:
        """Return the event that the request is for the engine."""
        return _EVENTS[self.kind](
            venue_ts_ns=self.requested_ts_ns,
            received_ts_ns=received_ts_ns,
            reason=self.reason,
            requested_by=self.requested_by,
            strategy_id=self.strategy_id,
            instrument_id=self.instrument_id,
        )


_EVENTS: Final[dict[RequestKind, type[Pause | Resume | Kill | Flatten]]] = {
    RequestKind.PAUSE: Pause,
    RequestKind.RESUME: Resume,
    RequestKind.KILL: Kill,
    RequestKind.FLATTEN: Flatten,
}


def list_accounts(connection: sqlite.Connection) -> list[AccountRow]:
    """Return all accounts of a database, oldest first."""
    table = schema.accounts.c
    columns = (table.id, table.name, table.id_offset, table.namespace, table.venue_nonce)
    return [
        AccountRow(
            account_id=AccountId(row[0]), name=row[1], id_offset=row[2], namespace=UUID(row[3]), venue_nonce=row[4]
        )
        for row in fetch(connection, select(*columns).order_by(table.id))
    ]


def find_account(connection: sqlite.Connection, name: str) -> AccountRow | None:
    """Return the account of a name, or None."""
    return next((account for account in list_accounts(connection) if account.name == name), None)


def open_account(
    connection: sqlite.Connection, name: str, *, namespace: UUID, opened_ts_ns: int, venue_nonce: str | None = None
) -> AccountRow:
    """Return the account of a name; make it, with the namespace, the moment and the nonce, when it is new.

    An account that exists keeps its own namespace: the same intent has to be the same order for ever.
    """
    with transaction(connection):
        known = find_account(connection, name)
        if known is not None:
            return known
        number = int(fetch(connection, select(func.coalesce(func.max(schema.accounts.c.id), 0) + 1))[0][0])
        id_offset = (number - 1) * schema.IDS_PER_ACCOUNT
        row = {"id": number, "name": name, "namespace": str(namespace), "venue_nonce": venue_nonce}
        moments = {"id_offset": id_offset, "opened_ts_ns": opened_ts_ns}
        execute(connection, insert(schema.accounts).values(**row, **moments))
    return AccountRow(
        account_id=AccountId(number), name=name, id_offset=id_offset, namespace=namespace, venue_nonce=venue_nonce
    )


def find_instrument(connection: sqlite.Connection, account: AccountRow, symbol: str) -> InstrumentId:
    """Return the instrument of an account that bears a symbol, or bore it last.

    Raises BadInput for a symbol that none of them ever had.
    """
    known = dict(
        connection.execute(
            "SELECT symbol, instrument_id FROM instrument_symbols WHERE account_id = ? ORDER BY valid_from_ts_ns",
            (account.account_id,),
        ).fetchall()
    )
    if symbol not in known:
        raise BadInput(
            f"The symbol {symbol!r} is not of the account {account.name}, which trades {', '.join(sorted(known))}."
        )
    return InstrumentId(known[symbol])


def register_instruments(
    connection: sqlite.Connection, account_id: int, instruments: Iterable[Instrument], *, valid_from_ts_ns: int = 0
) -> None:
    """Make instruments known to an account; one that is known has to be the same.

    Raises BadInput where an id stands for another symbol or other rules already.
    """
    with transaction(connection):
        for instrument in instruments:
            row = _instrument_row(account_id, instrument)
            keys = ("account_id", "instrument_id")
            if _is_new(connection, schema.instruments, row, keys=keys, what=instrument.symbol):
                symbol = {name: row[name] for name in ("account_id", "instrument_id", "symbol")}
                execute(
                    connection,
                    insert(schema.instrument_symbols).values(**symbol, valid_from_ts_ns=valid_from_ts_ns),
                )


def register_strategy(
    connection: sqlite.Connection,
    account_id: int,
    strategy_id: StrategyId,
    *,
    import_string: str,
    parameters: Mapping[str, Any],
    rule: str | None = None,
) -> None:
    """Make a strategy known to an account, with its rule in words; one that is known has to be the same.

    Raises BadInput where the id stands for another strategy or other parameters already.
    """
    row = {
        "account_id": account_id,
        "strategy_id": strategy_id,
        "import_string": import_string,
        "parameters": _encode(parameters).decode(),
    }
    with transaction(connection):
        keys = ("account_id", "strategy_id")
        if _is_new(connection, schema.strategies, row, keys=keys, what=strategy_id) and rule:
            table = schema.strategies
            ours = (table.c[name] == row[name] for name in keys)
            execute(connection, update(table).where(*ours).values(rule=rule))


def _instrument_row(account_id: int, instrument: Instrument) -> dict[str, object]:
    return {
        "account_id": account_id,
        "instrument_id": instrument.instrument_id,
        "symbol": instrument.symbol,
        "asset_class": instrument.asset_class.value,
        "calendar": instrument.calendar,
        "lot": str(instrument.lot),
        "ticks": _encode(instrument.ticks).decode(),
    }


def _is_new(
    connection: sqlite.Connection, table: Table, row: Mapping[str, object], *, keys: tuple[str, ...], what: str
) -> bool:
    # Write the row when its key is new; the same row again is no error, another one is.
    known = fetch(
        connection, select(*(table.c[name] for name in row)).where(*(table.c[name] == row[name] for name in keys))
    )
    if not known:
        execute(connection, insert(table).values(**row))
        return True
    if tuple(known[0]) != tuple(row.values()):
        raise BadInput(
            f"The account has {what} in its table {table.name} with other values already: "
            "name another database or append a new account."
        )
    return False


def start_run(
    connection: sqlite.Connection,
    account_id: int,
    *,
    kind: RunKind,
    strategy: str,
    parameters: Mapping[str, Any],
    risk_hash: str,
    data_fingerprint: str,
    exit_style: str,
    settings: Mapping[str, Any],
    started_ts_ns: int,
) -> int:
    """Write that a run starts and return its number; runs of the account left `running` were interrupted.

    `settings` is what else decides the run, by name: fees, slippage, opening cash.
    """
    table = schema.runs
    with transaction(connection):
        stale = update(table).where(table.c.account_id == account_id, table.c.status == RunStatus.RUNNING.value)
        execute(connection, stale.values(status=RunStatus.INTERRUPTED.value))
        cursor = execute(
            connection,
            insert(table).values(
                account_id=account_id,
                kind=kind.value,
                status=RunStatus.RUNNING.value,
                strategy=strategy,
                parameters=_encode(parameters).decode(),
                risk_hash=risk_hash,
                data_fingerprint=data_fingerprint,
                exit_style=exit_style,
                settings=_encode(settings).decode(),
                started_ts_ns=started_ts_ns,
            ),
        )
        return int(cursor.lastrowid or 0)


def finish_run(connection: sqlite.Connection, run_id: int, *, status: RunStatus, finished_ts_ns: int) -> None:
    """Write how a run ended, and where its journal did: a check finds by it that steps were cut off."""
    table, account, journal = schema.runs, schema.accounts.c, schema.inputs.c
    with transaction(connection):
        last = fetch(
            connection,
            select(journal.id - account.id_offset, journal.hash)
            .where(table.c.id == run_id, account.id == table.c.account_id, journal.account_id == account.id)
            .order_by(journal.id.desc())
            .limit(1),
        )
        step, digest = last[0] if last else (0, None)
        changed = {"status": status.value, "finished_ts_ns": finished_ts_ns, "final_step": step, "final_hash": digest}
        execute(connection, update(table).where(table.c.id == run_id).values(**changed))


def post_request(connection: sqlite.Connection, account_id: int, request: OperatorCommand) -> int:
    """Put an operator's command into the account's mailbox, where a running engine finds it; return its number."""
    kind = next(kind for kind, event in _EVENTS.items() if isinstance(request, event))
    with transaction(connection):
        cursor = execute(
            connection,
            insert(schema.operator_requests).values(
                account_id=account_id,
                kind=kind.value,
                strategy_id=request.strategy_id,
                instrument_id=request.instrument_id,
                reason=request.reason,
                requested_by=request.requested_by,
                requested_ts_ns=request.venue_ts_ns,
            ),
        )
        return int(cursor.lastrowid or 0)


def pending_requests(connection: sqlite.Connection, account_id: int) -> list[OperatorRequest]:
    """Return what operators asked for and no step has taken yet, oldest first."""
    table = schema.operator_requests.c
    rows = fetch(
        connection,
        select(
            table.id,
            table.kind,
            table.strategy_id,
            table.instrument_id,
            table.reason,
            table.requested_by,
            table.requested_ts_ns,
        )
        .where(table.account_id == account_id, table.taken_step_id.is_(None))
        .order_by(table.id),
    )
    return [
        OperatorRequest(
            request_id=row[0],
            kind=RequestKind(row[1]),
            strategy_id=row[2],
            instrument_id=row[3],
            reason=row[4],
            requested_by=row[5],
            requested_ts_ns=row[6],
        )
        for row in rows
    ]
