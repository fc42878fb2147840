"""What a pipeline is made of, and what it remembers of each market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import isfinite
from typing import Final
from uuid import UUID

from engine.core.bars import GRACE_NS, PrintSource, TapeRules
from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.settings import Deadlines
from engine.core.messages import Bar, InstrumentStatusChanged, Quote, QuoteConsulted
from engine.core.pipeline.entries import EntryRules
from engine.core.risk.limits import Limits
from engine.core.risk.sources import SIMULATED, VenueSources
from engine.core.signals import Context, Strategy
from engine.core.values import (
    MINUTE_NS,
    PRICE_DECIMALS,
    ZERO,
    AccountId,
    AccountTerms,
    Instrument,
    InstrumentId,
    Session,
    Sessions,
    StrategyId,
    exact,
)

#: Which law decides: raised with every release in which the same inputs may come out otherwise than before. A journal
#: is gone on with only under the version that began it.
LAW_VERSION: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyBinding:
    """Bind one strategy object to one instrument under an id."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    strategy: Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSettings:
    """Hold what a pipeline is made of."""

    account_id: AccountId
    #: Makes client order ids: random once per account, or derived from inputs and seed.
    namespace: UUID
    instruments: Mapping[InstrumentId, Instrument]
    sessions: Mapping[InstrumentId, Sessions]
    strategies: Sequence[StrategyBinding]
    limits: Limits = field(default_factory=Limits)
    deadlines: Deadlines = field(default_factory=Deadlines)
    entry_rules: EntryRules = field(default_factory=EntryRules)
    exit_style: ExitStyle = ExitStyle.BOTH_LEGS
    #: What the venue can tell the gate.
    venue: VenueSources = SIMULATED
    #: How long after its end a minute waits for late prints, ns.
    grace_ns: int = GRACE_NS
    prints_from: PrintSource = PrintSource.TICKS
    account: AccountTerms = field(default_factory=AccountTerms)
    #: How the tape becomes bars: its filter, listing exchanges and revisions.
    tape: TapeRules = field(default_factory=TapeRules)


class Market:
    """Remember one instrument: its session, its last bar, and who trades it."""

    __slots__ = (
        "bindings",
        "close_ts_ns",
        "consulted",
        "contexts",
        "extended_on_bars",
        "instrument",
        "last_bar",
        "last_start_ts_ns",
        "on_bars",
        "open_ts_ns",
        "previous_bar",
        "quote",
        "quote_bindings",
        "sessions",
        "status",
        "timer_bindings",
    )

    def __init__(self, instrument: Instrument, sessions: Sessions, bindings: Sequence[StrategyBinding]) -> None:
        self.instrument = instrument
        self.sessions = sessions
        self.bindings = tuple((binding, binding.strategy, Context(instrument)) for binding in bindings)
        self.contexts = {binding.strategy_id: context for binding, _, context in self.bindings}
        #: Who is shown regular bars, and who those outside regular hours too; the methods are looked up once.
        self.on_bars = tuple((binding, strategy.on_bar, context) for binding, strategy, context in self.bindings)
        self.extended_on_bars = tuple(shown for shown in self.on_bars if shown[0].strategy.extended_hours)
        self.quote_bindings = tuple(bound for bound in self.bindings if bound[1].wants_quotes)
        self.timer_bindings = tuple(bound for bound in self.bindings if bound[1].wants_timer)
        #: Bounds of the session of the last regular bar; both 0 before the first.
        self.open_ts_ns = 0
        self.close_ts_ns = 0
        self.last_bar: Bar | None = None
        self.previous_bar: Bar | None = None
        #: The last quote, or what a decision once consulted; and the one that a decision consulted last.
        self.quote: Quote | QuoteConsulted | None = None
        self.consulted: QuoteConsulted | None = None
        #: What the exchange last said; None where it never said anything.
        self.status: InstrumentStatusChanged | None = None
        self.last_start_ts_ns = -1

    @property
    def last_price(self) -> Decimal:
        """Return the close of the last bar; 0 before the first."""
        return exact(self.last_bar.close) if self.last_bar is not None else ZERO

    @property
    def resumes_at_ts_ns(self) -> int | None:
        """Return the end of the last finished minute, ns UTC; None before the first."""
        return None if self.last_start_ts_ns < 0 else self.last_start_ts_ns + MINUTE_NS

    def session_of(self, bar: Bar) -> Session:
        """Return the session of a regular bar; raises BadInput where the calendar has none then."""
        session = self.sessions.session_at(bar.start_ts_ns)
        if session is None:
            raise BadInput(
                f"The bar of {self.instrument.symbol} that starts at {bar.start_ts_ns} ns UTC is marked regular, but "
                f"the calendar {self.sessions.name} is closed then: check the calendar of the feed."
            )
        return session

    def see_quote(self, quote: Quote | QuoteConsulted) -> None:
        """Remember a quote as the last one; one whose prices are no numbers is none, and the one before grows old."""
        if isfinite(quote.bid) and isfinite(quote.ask):
            self.quote = quote

    def rename(self, symbol: str) -> None:
        """Give the instrument another symbol; raises BadInput for one that is empty, or the same."""
        if not symbol or symbol == self.instrument.symbol:
            raise BadInput(f"The new symbol {symbol!r} of {self.instrument.symbol} is not another one: correct it.")
        self.instrument = replace(self.instrument, symbol=symbol)
        for context in self.contexts.values():
            context.instrument = self.instrument

    def split(self, new_shares: int, old_shares: int) -> None:
        """Put the last prices into new shares, so that nothing is sized by old ones; a quote of old shares is none."""
        self.last_bar = _in_new_shares(self.last_bar, new_shares, old_shares)
        self.previous_bar = _in_new_shares(self.previous_bar, new_shares, old_shares)
        self.quote = None


def market_of(markets: Mapping[InstrumentId, Market], instrument_id: InstrumentId) -> Market:
    """Return the market of an instrument; raises BadInput for one that is not of the run."""
    try:
        return markets[instrument_id]
    except KeyError:
        known = ", ".join(str(key) for key in markets)
        raise BadInput(f"The instrument {instrument_id} is not of this run, which has {known}.") from None


def _in_new_shares(bar: Bar | None, new_shares: int, old_shares: int) -> Bar | None:
    if bar is None:
        return None
    # Only its close is looked at again: it is what entries are sized by, and what a jump is measured from.
    return replace(bar, close=round(bar.close * old_shares / new_shares, PRICE_DECIMALS))
