"""The composition root: what a backtest and a paper account are made of. Live trading joins them here.

The three differ in which parts are plugged together and in nothing else: one pipeline, one loop, one journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from engine.app.loop import EngineLoop, Observer, quiet_garbage_collector
from engine.app.resuming import ResumingJournal, last_law
from engine.app.settings import RiskSettings
from engine.app.strategy_loader import LoadedStrategy
from engine.core.bars import PrintSource, TapeRules, trade_filter
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountFunded
from engine.core.pipeline import LAW_VERSION, Pipeline, PipelineSettings, StrategyBinding
from engine.core.values import AccountId, StrategyId
from engine.matching import MatchRules
from engine.ports import Feed
from engine.store.accounts import (
    AccountRow,
    find_account,
    finish_run,
    open_account,
    register_instruments,
    register_strategy,
    start_run,
)
from engine.store.connection import EngineLock, open_writer, sqlite
from engine.store.start_checks import check_place, make_ready
from engine.store.vocabulary import RunKind, RunStatus
from engine.store.writer import SqliteJournal
from engine.venues.fees import fee_schedule
from engine.venues.paper import PaperSettings, PaperVenue
from engine.venues.paper_book import PaperBook

#: Client order ids count accounts inside their own namespace, and each namespace has one account.
_ONLY_ACCOUNT: Final = AccountId(1)
#: Under which the namespaces of backtests are derived; a constant of the product.
_BACKTESTS: Final = UUID("8c5e7a52-52f5-4f0e-9a54-0b8f0d4f9f3a")
_PAPER: Final = UUID("d0f0b6a1-6f0e-4f7d-8c55-3c9f6b6f2a17")
#: Settings that a run keeps only where they are not the usual ones.
TAPE_SETTINGS: Final = ("trade_filter", "listing_exchanges", "keeps_prints")
#: A venue that does not link is simulated as Robinhood, which sends a market buy as a limit 5 % above the market.
_NO_LINK_COLLAR: Final = Decimal("0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Hold everything that decides what a run does."""

    strategy: LoadedStrategy
    feed: Feed
    risk: RiskSettings
    #: Opening balance, in account currency.
    cash: Decimal
    fees: str = "none"
    slippage_bps: Decimal = Decimal(0)
    limit_fills_on_touch: bool = False
    prints_from: PrintSource = PrintSource.TICKS
    exit_style: ExitStyle = PaperVenue.exit_styles[0]
    #: Market time until an order or a cancel reaches the simulated venue.
    latency_ns: int = 0
    #: Which prints make bars, by the name of a trade filter; and the listing exchange by symbol, for its auctions.
    trade_filter: str = "none"
    listing_exchanges: Mapping[str, str] = field(default_factory=dict)
    #: Whether finished minutes are revised without a filter that asks for it; a feed that corrects prints asks too.
    keeps_prints: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown fee schedule and an absurd slippage before anything is written."""
        fee_schedule(self.fees)
        self.match_rules()
        self.tape_rules()

    def tape_rules(self) -> TapeRules:
        """Return how the tape becomes bars; raises BadInput for an unknown filter."""
        return TapeRules(
            filter=trade_filter(self.trade_filter),
            listing_exchanges={
                each.instrument_id: self.listing_exchanges[each.symbol]
                for each in self.feed.instruments
                if each.symbol in self.listing_exchanges
            },
            keeps_prints=self._keeps_prints,
        )

    @property
    def _keeps_prints(self) -> bool:
        return self.keeps_prints or bool(getattr(self.feed, "has_corrections", False))

    def match_rules(self) -> MatchRules:
        """Return the rules by which simulated orders fill."""
        return MatchRules(slippage_bps=self.slippage_bps, limit_fills_on_touch=self.limit_fills_on_touch)

    @property
    def exit_styles(self) -> tuple[ExitStyle, ...]:
        """Return the exit styles that the run's venue can do, its default first."""
        return PaperVenue.exit_styles

    @property
    def parameters(self) -> dict[str, object]:
        """Return the strategy's parameters by name."""
        return asdict(self.strategy.parameters)

    @property
    def settings(self) -> dict[str, object]:
        """Return how orders are simulated, by name: texts and flags only."""
        return {
            "fees": fee_schedule(self.fees).name,
            "slippage_bps": f"{self.slippage_bps.normalize():f}",
            "limit_fills_on_touch": self.limit_fills_on_touch,
            "cash": f"{self.cash.normalize():f}",
            "prints_from": self.prints_from.value,
            "exit_style": self.exit_style.value,
            "latency_ns": str(self.latency_ns),
            **self._tape_settings,
        }

    @property
    def _tape_settings(self) -> dict[str, object]:
        # Left out where every print counts: what was run before there were filters stays the same run.
        settings: dict[str, object] = {"keeps_prints": True} if self._keeps_prints else {}
        if self.trade_filter != "none":
            settings |= {"trade_filter": self.trade_filter, "listing_exchanges": _listing_text(self.listing_exchanges)}
        return settings

    @property
    def record(self) -> dict[str, object]:
        """Return what the row of a run keeps: the settings, under which law they were used, and the risk file."""
        return {**self.settings, "law_version": LAW_VERSION, "risk_file": self.risk.text}

    def text(self) -> str:
        """Return what decides the run, as one line: the same line is the same run."""
        parts: list[object] = [
            self.strategy.import_string,
            sorted(self.parameters.items()),
            self.feed.fingerprint,
            [(each.symbol, each.calendar) for each in self.feed.instruments],
            self.risk.sha256,
            sorted(self.settings.items()),
        ]
        return "|".join(map(str, parts))


def _listing_text(listing_exchanges: Mapping[str, str]) -> str:
    return ",".join(f"{symbol}={code}" for symbol, code in sorted(listing_exchanges.items()))


def listing_exchanges_of(text: str) -> dict[str, str]:
    """Return the listing exchange by symbol of the text that the settings of a run keep."""
    named = (each.partition("=") for each in text.split(",") if each)
    return {symbol: code for symbol, _, code in named}


def make_pipeline(spec: RunSpec, namespace: UUID) -> Pipeline:
    """Return a fresh pipeline with one strategy object per instrument."""
    feed = spec.feed
    return Pipeline(
        PipelineSettings(
            account_id=_ONLY_ACCOUNT,
            namespace=namespace,
            instruments={each.instrument_id: each for each in feed.instruments},
            sessions=feed.sessions,
            strategies=[
                StrategyBinding(
                    strategy_id=StrategyId(spec.strategy.name),
                    instrument_id=each.instrument_id,
                    strategy=spec.strategy(),
                )
                for each in feed.instruments
            ],
            limits=spec.risk.limits,
            deadlines=spec.risk.deadlines,
            entry_rules=spec.risk.entry_rules,
            account=spec.risk.account,
            exit_style=spec.exit_style,
            prints_from=spec.prints_from,
            tape=spec.tape_rules(),
        )
    )


def make_venue(spec: RunSpec, book: PaperBook | None = None) -> PaperVenue:
    """Return the simulated venue that matches a run's orders."""
    feed = spec.feed
    return PaperVenue(
        {each.instrument_id: each for each in feed.instruments},
        feed.sessions,
        PaperSettings(
            opening_cash=spec.cash,
            rules=spec.match_rules(),
            fees=fee_schedule(spec.fees),
            submit_latency_ns=spec.latency_ns,
            cancel_latency_ns=spec.latency_ns,
            prints_expected=spec.prints_from is PrintSource.TICKS,
            exit_style=spec.exit_style,
            market_buy_collar=_NO_LINK_COLLAR if spec.exit_style is ExitStyle.REST_STOP else None,
        ),
        book=book,
    )


def opening(spec: RunSpec, ts_ns: int) -> AccountFunded:
    """Return the input that puts the opening balance into an account."""
    return AccountFunded(venue_ts_ns=ts_ns, received_ts_ns=ts_ns, amount=spec.cash, source="opening balance")


def register(connection: sqlite.Connection, account: AccountRow, spec: RunSpec, kind: RunKind, ts_ns: int) -> int:
    """Write who trades what under which settings, and return the number of the run."""
    account_id, strategy = account.account_id, spec.strategy
    register_instruments(connection, account_id, spec.feed.instruments)
    register_strategy(
        connection,
        account_id,
        StrategyId(strategy.name),
        import_string=strategy.import_string,
        parameters=spec.parameters,
        rule=strategy.in_words(),
    )
    return start_run(
        connection,
        account_id,
        kind=kind,
        strategy=strategy.import_string,
        parameters=spec.parameters,
        risk_hash=spec.risk.sha256,
        data_fingerprint=spec.feed.fingerprint,
        exit_style=spec.exit_style.value,
        settings=spec.record,
        started_ts_ns=ts_ns,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedBacktest:
    """Say where a backtest is found."""

    account: AccountRow
    journal_hash: str
    #: True when it went on after an interrupted one of the same inputs.
    was_resumed: bool


def backtest(
    spec: RunSpec,
    database: Path,
    *,
    wall_ts_ns: int,
    append: bool = False,
    observer: Observer | None = None,
) -> FinishedBacktest:
    """Run a strategy over a feed into a database, as an account of its own; `wall_ts_ns` dates the run's row.

    An interrupted backtest of the same inputs is gone on with: it is repeated, and what is journaled already is
    compared instead of written. Steps are committed in batches.

    Raises BadInput for a database that holds another run, unless `append`, and for a feed without events.
    """
    namespace = uuid5(_BACKTESTS, spec.text())
    events = spec.feed.events()
    first = next(events, None)
    if first is None:
        raise BadInput("The data hold no event of the chosen symbols: name another file or other symbols.")
    check_place(database)
    with EngineLock(database):
        make_ready(database)
        connection = open_writer(database)
        try:
            account, was_resumed = _backtest_account(
                connection, database, namespace, append=append, wall_ts_ns=wall_ts_ns
            )
            run_id = register(connection, account, spec, RunKind.BACKTEST, wall_ts_ns)
            journal = ResumingJournal(SqliteJournal(connection, account), account)
            loop = EngineLoop(
                make_pipeline(spec, namespace), make_venue(spec), journal, is_durable=False, observer=observer
            )
            with quiet_garbage_collector():
                loop.process(opening(spec, first.venue_ts_ns))
                loop.run(chain([first], events))
            finish_run(connection, run_id, status=RunStatus.FINISHED, finished_ts_ns=wall_ts_ns)
            return FinishedBacktest(account=account, journal_hash=journal.journal_hash, was_resumed=was_resumed)
        finally:
            connection.close()


def _backtest_account(
    connection: sqlite.Connection, database: Path, namespace: UUID, *, append: bool, wall_ts_ns: int
) -> tuple[AccountRow, bool]:
    names = [name for (name,) in connection.execute("SELECT name FROM accounts ORDER BY id")]
    latest = find_account(connection, names[-1]) if names else None
    if latest is not None and latest.namespace == namespace and _was_interrupted(connection, latest):
        law = last_law(connection, latest.name)
        if law == LAW_VERSION:
            return latest, True
        if not append:
            raise BadInput(
                f"The interrupted run {latest.name} in {database} was begun under law {law} and this program decides "
                f"by law {LAW_VERSION}: add --append to repeat it beside that one, or name another file with --db."
            )
    if names and not append:
        raise BadInput(
            f"The database {database} already holds {len(names)} run(s), the last one {names[-1]}: "
            "add --append to keep them side by side, or name another file with --db."
        )
    name = f"backtest-{len(names) + 1}"
    return open_account(connection, name, namespace=namespace, opened_ts_ns=wall_ts_ns), False


def _was_interrupted(connection: sqlite.Connection, account: AccountRow) -> bool:
    row = connection.execute(
        "SELECT status FROM runs WHERE account_id = ? ORDER BY id DESC LIMIT 1", (account.account_id,)
    ).fetchone()
    return row is None or row[0] != RunStatus.FINISHED.value


def paper_namespace(spec: RunSpec) -> UUID:
    """Return the namespace of a paper account: derived, as a backtest's, so that the same inputs repeat to the byte.

    No outsider sees these ids. An account at a real broker gets a random namespace, made once and kept.
    """
    return uuid5(_PAPER, spec.text())
