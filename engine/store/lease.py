"""The lease of an account: which engine may write and send. Each engine that takes it raises its epoch by one.

The lock of the file (`EngineLock`) keeps a second engine out where locks work. The epoch holds where they do not: a
process that slept through its own replacement finds a higher one at its next commit, and nothing of it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import ColumnElement, insert, select, update

from engine.core.errors import BadInput, Halt
from engine.store import schema
from engine.store.connection import explained, path_of, sqlite, transaction
from engine.store.statements import execute, fetch

#: How far a clock may be behind the last engine's before it is held to be wrong, ns.
CLOCK_STEP_NS_MAX: Final = 60_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Hold what an engine has taken."""

    account_id: int
    #: Counts the engines of the account, from 1.
    epoch: int
    owner: str
    #: Whether the engine before this one ended in order; True where there was none.
    follows_an_end: bool


def process_owner(*, host: str, pid: int, proc: Path = Path("/proc")) -> str:
    """Return what tells this process from every other: host, number, boot and start, as far as the system says."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of a process may hold spaces: its fields are counted from behind that.
        start = (proc / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return f"{host}, process {pid}"
    return f"{host}, process {pid}, boot {boot}, start {start}"


def take_lease(
    connection: sqlite.Connection, account_id: int, *, owner: str, now_ts_ns: int, is_clock_proven: bool = True
) -> Lease:
    """Take an account over: from here on no engine before this one can commit. `now_ts_ns` is the wall's time, ns UTC.

    Where the clock is yet to be compared with another one, its time is not noted as the account's latest: a clock that
    is an hour ahead would keep every later engine out for an hour. `renew_lease` notes it then.

    Raises BadInput where the clock is behind the last engine's by more than a minute; nothing is changed then.
    """
    table = schema.leases
    with transaction(connection):
        known = fetch(connection, select(table.c.epoch, table.c.renewed_ts_ns, table.c.released).where(_of(account_id)))
        values = {"owner": owner, "acquired_ts_ns": now_ts_ns, "released": 0}
        if is_clock_proven:
            values["renewed_ts_ns"] = now_ts_ns
        if not known:
            execute(connection, insert(table).values(account_id=account_id, epoch=1, **{"renewed_ts_ns": 0, **values}))
            return Lease(account_id=account_id, epoch=1, owner=owner, follows_an_end=True)
        epoch, renewed_ts_ns, released = known[0]
        check_clock(path_of(connection), renewed_ts_ns=renewed_ts_ns, now_ts_ns=now_ts_ns)
        execute(connection, update(table).where(_of(account_id)).values(epoch=epoch + 1, **values))
    return Lease(account_id=account_id, epoch=epoch + 1, owner=owner, follows_an_end=bool(released))


def renew_lease(connection: sqlite.Connection, lease: Lease, *, now_ts_ns: int) -> None:
    """Note the wall's time, ns UTC, as the latest of the account. Raises Halt where another engine has taken it."""
    _note(connection, lease, renewed_ts_ns=now_ts_ns)


def release_lease(connection: sqlite.Connection, lease: Lease, *, now_ts_ns: int) -> None:
    """Note that the engine of a lease ended in order. Raises Halt where another one has taken the account over."""
    _note(connection, lease, renewed_ts_ns=now_ts_ns, released=1)


def _note(connection: sqlite.Connection, lease: Lease, **changed: int) -> None:
    table = schema.leases
    with transaction(connection):
        ours = (_of(lease.account_id), table.c.epoch == lease.epoch)
        if execute(connection, update(table).where(*ours).values(**changed)).rowcount != 1:
            raise taken_over(connection, lease.account_id, lease.epoch)


def check_clock(path: Path | str, *, renewed_ts_ns: int, now_ts_ns: int) -> None:
    """Raise BadInput where the wall's time is more than a minute before what the last engine noted, both ns UTC."""
    if now_ts_ns < renewed_ts_ns - CLOCK_STEP_NS_MAX:
        raise BadInput(
            f"The clock says {_clock_text(now_ts_ns)} and the last engine on {path} noted "
            f"{_clock_text(renewed_ts_ns)}: set the clock of this machine, or, "
            "if it is right now and was wrong then, start again at that time."
        )


class LeaseGuard:
    """Ask whether an engine still has its account, as cheaply as a commit can bear."""

    def __init__(self, connection: sqlite.Connection, *, account_id: int, epoch: int) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._account_id = account_id
        self._epoch = epoch
        self._query = f"SELECT epoch FROM leases WHERE account_id = {account_id:d}"

    def verify(self) -> None:
        """Raise Halt where another engine has taken the account over since."""
        row = self._cursor.execute(self._query).fetchone()
        # Stepping to the end frees the statement: a half-read one would hold its snapshot.
        self._cursor.fetchone()
        if row is None or row[0] != self._epoch:
            raise taken_over(self._connection, self._account_id, self._epoch)


def taken_over(connection: sqlite.Connection, account_id: int, epoch: int) -> Halt:
    """Return the halt of an engine whose account another one has."""
    with explained(path_of(connection)):
        row = connection.execute("SELECT owner, epoch FROM leases WHERE account_id = ?", (account_id,)).fetchone()
    owner, newest = row or ("unknown", "no lease")
    return Halt(
        f"Another engine ({owner}; epoch {newest}) has taken the account over: this one (epoch {epoch}) writes and "
        "sends nothing more; look at what that one does before starting again."
    )


def _clock_text(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _of(account_id: int) -> ColumnElement[bool]:
    return schema.leases.c.account_id == account_id
