"""What is tried: a strategy, and the engine around it as a scenario wires it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from engine.core.execution.settings import Deadlines
from engine.core.messages import AccountFunded, BarClosed, SignalEmitted, SignalKind
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.pipeline.entries import EntryRules
from engine.core.risk.limits import Limits
from engine.core.risk.sources import Capability, Offer, Source, VenueSources
from engine.core.signals import Strategy
from engine.core.values import MINUTE_NS, SECOND_NS, AccountId, AccountTerms, StrategyId
from engine.testing.chaos.market import INSTRUMENT, MINUTES_PER_SESSION, SESSIONS, Market, make_market
from engine.testing.chaos.plan import MARKETS, QUIET_MINUTES, SHORT_MINUTES, ScenarioPlan
from engine.testing.chaos.trader import ChaosTrader

if TYPE_CHECKING:
    from engine.app.settings import RiskSettings

CASH: Final = Decimal(100_000)
#: Client order ids are a function of the scenario, so that one seed is one event log.
_NAMESPACE: Final = UUID(int=4)
#: A strategy is given so many minutes before its first entry, and its scenario begins there.
_LEAD_MINUTES: Final = 2
_SIMULATION: Final = Source(Offer.OFFERED, "the simulation")
_NOT_NEEDED: Final = Source(Offer.NOT_NEEDED, "not simulated")

#: What the reference venue can tell the gate: all that its own behaviour makes a matter of reliability.
REFERENCE: Final = VenueSources(
    name="reference",
    sources={
        **dict.fromkeys(Capability, _NOT_NEEDED),
        Capability.HALT_STATUS: Source(Offer.WHEN_SENT, "status events of the simulation"),
        Capability.PRICE_BANDS: Source(Offer.WHEN_SENT, "status events of the simulation"),
        Capability.QUOTES: _SIMULATION,
        Capability.RECONCILIATION: _SIMULATION,
        Capability.CLOCK: _SIMULATION,
    },
    stops_outside_hours=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Hold what a risk file says, as a pipeline takes it."""

    limits: Limits = field(default_factory=Limits)
    deadlines: Deadlines = field(default_factory=Deadlines)
    entry_rules: EntryRules = field(default_factory=EntryRules)
    account: AccountTerms = field(default_factory=AccountTerms)
    reconcile_ns: int = 20 * SECOND_NS

    @classmethod
    def of(cls, risk: RiskSettings) -> Self:
        """Return what of a risk file counts here."""
        return cls(**{each.name: getattr(risk, each.name) for each in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Hold a strategy to be tried: `make` gives a fresh instance for a seed."""

    name: str
    make: Callable[[int], Strategy]
    rules: Rules = field(default_factory=Rules)
    #: Whether it trades anywhere; else its first entry on a market is looked for.
    trades_anywhere: bool = False

    def pipeline(self, plan: ScenarioPlan) -> Pipeline:
        """Return a fresh pipeline of a scenario."""
        rules = self.rules
        return Pipeline(
            PipelineSettings(
                account_id=AccountId(1),
                namespace=UUID(int=_NAMESPACE.int + plan.seed),
                instruments={INSTRUMENT.instrument_id: INSTRUMENT},
                sessions={INSTRUMENT.instrument_id: SESSIONS},
                strategies=[
                    StrategyBinding(
                        strategy_id=StrategyId(self.name),
                        instrument_id=INSTRUMENT.instrument_id,
                        strategy=self.make(plan.seed),
                    )
                ],
                limits=_without_breakers(rules.limits) if plan.breakers_off else rules.limits,
                deadlines=rules.deadlines,
                entry_rules=rules.entry_rules,
                account=rules.account,
                exit_style=plan.exit_style,
                venue=REFERENCE,
            )
        )


def chaos_trader(rules: Rules | None = None, *, is_restless: bool = False) -> Subject:
    """Return the kit's own strategy, which uses everything; a restless one makes more and smaller changes."""
    return Subject(
        name="chaos_trader",
        make=lambda seed: ChaosTrader(seed=seed, is_restless=is_restless),
        rules=rules or Rules(),
        trades_anywhere=True,
    )


def _without_breakers(limits: Limits) -> Limits:
    off = replace(limits.breakers, errors=None, consecutive_losses=None, drawdown=None, repeated_entries=None)
    return replace(limits, breakers=off, daily_loss_cap=Decimal(1), duplicate_window_ns=0)


@lru_cache(maxsize=MARKETS)
def market_of(seed: int) -> Market:
    """Return the market of a seed, made once."""
    return make_market(seed)


def first_minute(subject: Subject, market_seed: int) -> int | None:
    """Return the minute at which a short scenario of a strategy begins on a market: just before its first entry.

    None where it does not enter on that market early enough for a scenario to fit in.
    """
    market = market_of(market_seed)
    pipeline = subject.pipeline(_plain_plan(market_seed))
    for event in warm_up_events(market, 2 * MINUTES_PER_SESSION):
        wants = [fact.signal.kind for fact in pipeline.step(event).facts if isinstance(fact, SignalEmitted)]
        if SignalKind.ENTER in wants and isinstance(event, BarClosed):
            minute = market.bars.index(event.bar)
            within = minute % MINUTES_PER_SESSION
            if within + SHORT_MINUTES + QUIET_MINUTES < MINUTES_PER_SESSION:
                return max(0, minute - _LEAD_MINUTES)
    return None


def _plain_plan(market_seed: int) -> ScenarioPlan:
    from engine.core.execution.bracket_table import ExitStyle

    return ScenarioPlan(seed=0, exit_style=ExitStyle.REST_STOP, market_seed=market_seed, first_minute=0)


def warm_up_events(market: Market, minutes: int) -> list[AccountFunded | BarClosed]:
    """Return what an account has seen before its scenario: its funding, and the bars of so many minutes."""
    first = market.bars[0].start_ts_ns
    events: list[AccountFunded | BarClosed] = [
        AccountFunded(venue_ts_ns=first, received_ts_ns=first, amount=CASH, source="opening balance")
    ]
    for bar in market.bars[:minutes]:
        closes = bar.start_ts_ns + MINUTE_NS
        events.append(BarClosed(bar=bar, venue_ts_ns=closes, received_ts_ns=closes))
    return events
