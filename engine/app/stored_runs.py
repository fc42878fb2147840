"""Runs as a database keeps them: enough of each to make its pipeline again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from engine.app.loop import quiet_garbage_collector
from engine.app.modes import RunSpec, listing_exchanges_of, make_pipeline
from engine.app.resuming import law_of
from engine.app.settings import RiskSettings, load_risk, parse_risk
from engine.app.strategy_loader import load_strategy
from engine.calendars import load_sessions
from engine.core.errors import BadInput
from engine.core.messages import MarketEvent
from engine.core.pipeline import LAW_VERSION
from engine.core.values import AssetClass, Instrument, InstrumentId, Sessions
from engine.store.accounts import AccountRow, list_accounts
from engine.store.connection import explained, sqlite
from engine.store.migrate import open_current_reader
from engine.store.replay import Difference, ReplayReport, replay


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeed:
    """Stand for the feed of a run: what it sent is in the journal."""

    instruments: tuple[Instrument, ...]
    sessions: Mapping[InstrumentId, Sessions]
    fingerprint: str

    def events(self, start_after_ts_ns: int | None = None) -> Iterator[MarketEvent]:
        """Yield nothing."""
        del start_after_ts_ns
        return iter(())


def stored_spec(connection: sqlite.Connection, account: AccountRow, *, risk: Path | None = None) -> RunSpec:
    """Return what decided an account's runs (they all have the same), as far as a pipeline needs it.

    `risk` is the risk file, for runs that did not keep theirs. Raises BadInput for an account without a run, one of
    another law, one whose strategy is not to be found, and where the risk file is missing or another.
    """
    row = connection.execute(
        "SELECT strategy, parameters, data_fingerprint, risk_hash, settings FROM runs WHERE account_id = ? "
        "ORDER BY id DESC LIMIT 1",
        (account.account_id,),
    ).fetchone()
    if row is None:
        raise BadInput(f"The account {account.name} has no run: there is nothing to replay.")
    strategy, parameters, fingerprint, risk_hash, text = row
    settings = json.loads(text)
    if law_of(settings) != LAW_VERSION:
        raise BadInput(
            f"The account {account.name} was run under law {law_of(settings)} and this program decides by law "
            f"{LAW_VERSION}: replay it with the program that wrote it."
        )
    instruments = _instruments(connection, account)
    given: dict[str, Any] = {
        "strategy": load_strategy(strategy, {name: str(value) for name, value in json.loads(parameters).items()}),
        "feed": StoredFeed(
            instruments=instruments,
            sessions={each.instrument_id: load_sessions(each.calendar) for each in instruments},
            fingerprint=fingerprint,
        ),
        "risk": _risk(settings.get("risk_file"), risk_hash, risk, account.name),
    }
    return RunSpec(**given, **_typed(settings))


def _typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    # The settings of a run are texts and flags named like the fields that they came from.
    kinds = get_type_hints(RunSpec)
    typed = {
        each.name: msgspec.convert(settings[each.name], kinds[each.name], strict=False)
        for each in fields(RunSpec)
        if each.name in settings and each.name != "listing_exchanges"
    }
    return typed | {"listing_exchanges": listing_exchanges_of(settings.get("listing_exchanges", ""))}


def _instruments(connection: sqlite.Connection, account: AccountRow) -> tuple[Instrument, ...]:
    rows = connection.execute(
        "SELECT instrument_id, symbol, asset_class, calendar, lot, ticks FROM instruments WHERE account_id = ? "
        "ORDER BY instrument_id",
        (account.account_id,),
    )
    return tuple(
        Instrument(
            instrument_id=InstrumentId(number),
            symbol=symbol,
            asset_class=AssetClass(asset_class),
            calendar=calendar,
            lot=Decimal(lot),
            ticks=tuple((Decimal(start), Decimal(tick)) for start, tick in json.loads(ticks)),
        )
        for number, symbol, asset_class, calendar, lot, ticks in rows
    )


def _risk(text: str | None, digest: str, named: Path | None, account_name: str) -> RiskSettings:
    if named is not None:
        risk = load_risk(named)
        if risk.sha256 != digest:
            raise BadInput(f"The risk file {named} is not the one of account {account_name}: name that one by --risk.")
        return risk
    if text is None or hashlib.sha256(text.encode()).hexdigest() != digest:
        raise BadInput(f"The account {account_name} has not kept its risk file: name it by --risk.")
    return parse_risk(text.encode(), Path("risk.yaml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOutcome:
    """Hold what a replay of a database found."""

    reports: tuple[ReplayReport, ...]
    #: Account -> why it was not replayed.
    left_out: dict[str, str]

    @property
    def is_same(self) -> bool:
        """Return whether every row that was compared is what the journal makes."""
        return all(report.is_same for report in self.reports)

    @property
    def first(self) -> Difference | None:
        """Return the first row that differs, of the first account that has one."""
        return next((report.differences[0] for report in self.reports if report.differences), None)


def replay_database(
    path: Path,
    *,
    account: str | None = None,
    risk: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayOutcome:
    """Replay the accounts of a database, or the one of a name or number, and compare every table.

    An account that cannot be replayed is left out and said, unless it is the only one asked for. Raises BadInput then,
    and for a file that is missing, foreign or of another schema.
    """
    connection = open_current_reader(path)
    try:
        with explained(path):
            connection.execute("BEGIN")
            chosen = _chosen(list_accounts(connection), account, path)
            reports, left_out = [], {}
            for each in chosen:
                try:
                    spec = stored_spec(connection, each, risk=risk)
                except BadInput as error:
                    if len(chosen) == 1:
                        raise
                    left_out[each.name] = str(error)
                    continue
                with quiet_garbage_collector():
                    pipeline = make_pipeline(spec, each.namespace)
                    reports.append(replay(connection, each, pipeline, progress=progress))
    finally:
        connection.close()
    if not reports:
        raise BadInput(f"No account of {path} can be replayed: {'; '.join(left_out.values())}")
    return ReplayOutcome(reports=tuple(reports), left_out=left_out)


def _chosen(accounts: list[AccountRow], wanted: str | None, path: Path) -> list[AccountRow]:
    if not accounts:
        raise BadInput(f"The database {path} holds no account yet: there is nothing to replay.")
    if wanted is None:
        return accounts
    chosen = [each for each in accounts if wanted in (each.name, str(each.account_id))]
    if not chosen:
        known = ", ".join(f"{each.account_id} ({each.name})" for each in accounts)
        raise BadInput(f"The database {path} has no account {wanted!r}: give one of {known}.")
    return chosen
