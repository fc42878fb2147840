"""Golden runs: strategies whose result another engine has published, through this engine from end to end.

The pipeline, gate, execution, ledger and journal are those of every run; market, fills and fees are LEAN's models
(`golden_market`, `golden_venue`). LEAN has no stops here, so each entry has one that is out of reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

from engine.app.loop import EngineLoop, quiet_garbage_collector
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import AccountFunded, EquityMarked, Event, Fact, OrderCreated, Step, TradeBooked
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.risk.limits import BreakerLimits, Limits
from engine.core.signals import Strategy
from engine.core.values import AccountId, StrategyId
from engine.indicators import EMA, MACD, Indicator
from engine.store.accounts import (
    AccountRow,
    finish_run,
    open_account,
    register_instruments,
    register_strategy,
    start_run,
)
from engine.store.connection import open_writer, sqlite
from engine.store.migrate import upgrade
from engine.store.vocabulary import RunKind, RunStatus
from engine.store.writer import SqliteJournal
from engine.strategy import (
    Bar,
    BarStrategy,
    Condition,
    Context,
    NoParameters,
    Number,
    RuleBar,
    RuleStrategy,
    Signal,
    SignalKind,
)
from engine.testing.golden_market import GoldenFeed
from engine.testing.golden_venue import FillAt, GoldenVenue, PerShareFees

OPENING_CASH: Final = Decimal(100_000)
#: LEAN keeps a quarter of a percent of the equity free.
INVESTED: Final = Decimal("0.9975")
FEES: Final = PerShareFees()
#: The gate invests everything that LEAN would, its fee included; every other bound is as wide as it goes.
ALL_IN: Final = Limits(
    risk_fraction=Decimal(1),
    max_notional_fraction=INVESTED,
    fee_per_unit=FEES.rate,
    fee_min=FEES.minimum,
    daily_loss_cap=Decimal(1),
    max_position_fraction=Decimal(1),
    max_gross_exposure_fraction=Decimal(1),
    # 2008 would trip the one on drawdown as shipped.
    breakers=BreakerLimits(drawdown=None, consecutive_losses=None),
    next_open_entries=True,
)
#: Of the price: below an entry by so much there is no trade in these histories.
OUT_OF_REACH: Final = 0.99
_NAMESPACE: Final = UUID("5b1f3c52-6a7e-4c64-9d36-0d1f6f0f8a11")


class BuyAndHold(BarStrategy[NoParameters]):
    """Buy at the first bar and hold."""

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Enter where nothing is held and nothing works."""
        if not context.is_flat:
            return ()
        return (Signal(kind=SignalKind.ENTER, stop_distance=bar.close * OUT_OF_REACH, reason="first bar"),)


class MacdTrend(RuleStrategy[NoParameters]):
    """Hold from a MACD histogram above a quarter of a percent of the fast average until one below minus that."""

    def indicators(self) -> Mapping[str, Indicator]:
        """Return the histogram of MACD(12, 26, 9) and its fast average, each seeded with a simple mean."""
        return {"histogram": MACD(output="histogram"), "fast": EMA(period=12)}

    def entry(self, bar: RuleBar) -> Condition:
        """Buy in an up trend."""
        return bar.histogram / bar.fast > 0.0025

    def exit(self, bar: RuleBar) -> Condition:
        """Sell in a down trend."""
        return bar.histogram / bar.fast < -0.0025

    def stop_distance(self, bar: RuleBar) -> Number:
        """Stop far out of reach."""
        return bar.close * OUT_OF_REACH


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRun:
    """Hold what a golden run came to."""

    account_id: AccountId
    run_id: int
    pipeline: Pipeline
    facts: tuple[Fact, ...]
    journal_hash: str

    @property
    def ended_ts_ns(self) -> int:
        """Return when the last bar was over, ns UTC."""
        return self.pipeline.now_ts_ns

    def trades(self) -> list[TradeBooked]:
        """Return the executions, oldest first."""
        return [fact for fact in self.facts if isinstance(fact, TradeBooked)]

    def orders(self) -> list[OrderCreated]:
        """Return the orders, oldest first."""
        return [fact for fact in self.facts if isinstance(fact, OrderCreated)]

    def marks(self) -> list[EquityMarked]:
        """Return the equity at each bar's close at which it changed."""
        return [fact for fact in self.facts if isinstance(fact, EquityMarked)]


def run_golden(
    feed: GoldenFeed,
    strategy: Strategy,
    *,
    fill_at: FillAt,
    database: Path,
    exit_style: ExitStyle = GoldenVenue.exit_styles[0],
) -> GoldenRun:
    """Run a strategy over a golden feed into a database of its own, with 100,000 in cash."""
    upgrade(database)
    connection = open_writer(database)
    try:
        account, run_id = _register(connection, feed, strategy, fill_at, exit_style)
        journal = SqliteJournal(connection, account)
        pipeline = _pipeline(feed, strategy, exit_style)
        facts: list[Fact] = []
        venue = GoldenVenue(feed.instruments[0], fill_at=fill_at, fees=FEES)

        def remember(_: Event, step: Step) -> None:
            facts.extend(step.facts)

        loop = EngineLoop(pipeline, venue, journal, is_durable=False, observer=remember)
        with quiet_garbage_collector():
            loop.process(_opening(feed))
            loop.run(feed.events())
        finish_run(connection, run_id, status=RunStatus.FINISHED, finished_ts_ns=0)
    finally:
        connection.close()
    return GoldenRun(
        account_id=account.account_id,
        run_id=run_id,
        pipeline=pipeline,
        facts=tuple(facts),
        journal_hash=journal.journal_hash,
    )


def _register(
    connection: sqlite.Connection, feed: GoldenFeed, strategy: Strategy, fill_at: FillAt, exit_style: ExitStyle
) -> tuple[AccountRow, int]:
    account = open_account(connection, "golden", namespace=_NAMESPACE, opened_ts_ns=0)
    account_id, name = account.account_id, type(strategy).__name__
    import_string = f"{type(strategy).__module__}:{name}"
    register_instruments(connection, account_id, feed.instruments)
    register_strategy(connection, account_id, StrategyId(name), import_string=import_string, parameters={})
    run_id = start_run(
        connection,
        account_id,
        kind=RunKind.BACKTEST,
        strategy=import_string,
        parameters={},
        risk_hash="golden",
        data_fingerprint=feed.fingerprint,
        exit_style=exit_style.value,
        settings={"fees": FEES.name, "fill_at": fill_at.value, "cash": str(OPENING_CASH)},
        started_ts_ns=0,
    )
    return account, run_id


def _pipeline(feed: GoldenFeed, strategy: Strategy, exit_style: ExitStyle) -> Pipeline:
    binding = StrategyBinding(
        strategy_id=StrategyId(type(strategy).__name__),
        instrument_id=feed.instruments[0].instrument_id,
        strategy=strategy,
    )
    return Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=_NAMESPACE,
            instruments={each.instrument_id: each for each in feed.instruments},
            sessions=feed.sessions,
            strategies=[binding],
            limits=ALL_IN,
            exit_style=exit_style,
        )
    )


def _opening(feed: GoldenFeed) -> AccountFunded:
    first = next(feed.events())
    return AccountFunded(
        venue_ts_ns=first.venue_ts_ns,
        received_ts_ns=first.received_ts_ns,
        amount=OPENING_CASH,
        source="opening balance",
    )
