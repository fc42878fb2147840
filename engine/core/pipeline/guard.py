"""The guard: what the gate knows at a decision, what trips, and what may be traded.

It gathers a `Situation` from the books, the orders, the market and the reports of the shell; it lets circuit breakers
measure what happens; and it holds the trading states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from engine.core.execution.brackets import Bracket
from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger
from engine.core.messages import (
    AccountListed,
    BracketTransitioned,
    Draft,
    Fact,
    HealthReported,
    InstrumentStatus,
    InstrumentStatusChanged,
    OrderRequest,
    OrderTransitioned,
    QuoteConsulted,
    TradeBooked,
)
from engine.core.pipeline.settings import Market, PipelineSettings
from engine.core.risk.breakers import Breakers, Trip
from engine.core.risk.gate import RiskGate
from engine.core.risk.limits import BreakerAction, ExposureGroup
from engine.core.risk.situation import NO_HEALTH, GroupExposure, MessageCounts, Situation
from engine.core.risk.sources import Capability, Offer
from engine.core.risk.states import Scope, TradingStates, TradingTrigger
from engine.core.values import (
    DAY_NS,
    ZERO,
    AccountKind,
    Instrument,
    InstrumentId,
    Leg,
    OrderType,
    Session,
    exact,
    notional,
    worst_price,
)

_ERRORS: Final = frozenset({OrderState.REJECTED.value, OrderState.UNKNOWN.value})
_TRIGGERS: Final = {
    BreakerAction.REDUCING: TradingTrigger.PAUSED,
    BreakerAction.HALTED: TradingTrigger.HALTED,
}


class Guard:
    """Hold the gate of one account and everything that it looks at."""

    def __init__(
        self,
        settings: PipelineSettings,
        *,
        markets: Mapping[InstrumentId, Market],
        ledger: Ledger,
        execution: ExecutionStage,
    ) -> None:
        self.gate = RiskGate(settings.limits)
        self.trading_states = TradingStates()
        self.breakers = Breakers(settings.limits)
        self._venue = settings.venue
        self._limits = settings.limits
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._groups = _groups_by_instrument(settings)
        self._members = {
            group.name: [key for key, each in settings.instruments.items() if each.symbol in group.symbols]
            for group in settings.limits.groups
        }
        self._account_kind = settings.account.kind
        # What the shell reports.
        self._health = NO_HEALTH
        # What listings of the venue have shown, in the words of `HealthReported`.
        self._reconciled_ts_ns: int | None = None
        self._clock_offset_ns: int | None = None
        self._drifted: frozenset[InstrumentId] = frozenset()
        self._session_date = ""
        self._entries_this_session = 0
        # Profit after fees of brackets that are not closed.
        self._profits: dict[int, Decimal] = {}

    # --- what happens ----------------------------------------------------------------------------------------

    def start_session(self, session: Session, draft: Draft) -> None:
        """Begin the day of the loss cap, at the first bar of any instrument's new session."""
        if session.date > self._session_date:
            self._session_date = session.date
            self._entries_this_session = 0
            self.gate.throttles.start_session()
            self.breakers.start_session(self._ledger.equity, draft)

    def take_health(self, event: HealthReported, draft: Draft) -> None:
        """Remember what surrounds the engine; the input is kept where it says something new."""
        known = replace(event, venue_ts_ns=0, received_ts_ns=0)
        if known != self._health:
            self._health = known
            draft.is_kept = True

    # --- what listings of the venue say ------------------------------------------------------------------------

    @property
    def needs_reconciliation(self) -> bool:
        """Return whether entries wait for the venue's listings."""
        return self._venue.sources[Capability.RECONCILIATION].offer is Offer.OFFERED

    def forget_reconciliation(self, draft: Draft) -> None:
        """Begin anew: what an earlier engine found equal may have changed since."""
        self._learn(reconciled_ts_ns=None, clock_offset_ns=None, drifted=frozenset(), draft=draft)

    def reconciled(self, asked_ts_ns: int, drifted: frozenset[InstrumentId], draft: Draft) -> None:
        """Remember as of when the venue was compared, and where it differs from the books."""
        as_of_ts_ns = asked_ts_ns if self.needs_reconciliation else self._reconciled_ts_ns
        self._learn(reconciled_ts_ns=as_of_ts_ns, clock_offset_ns=self._clock_offset_ns, drifted=drifted, draft=draft)

    def see_venue_clock(self, listed: AccountListed, draft: Draft) -> None:
        """Measure the engine's clock by the venue's: its answer was made between the question and its arrival."""
        if self._venue.sources[Capability.CLOCK].offer is not Offer.OFFERED:
            return
        early_ns = max(0, listed.asked_ts_ns - listed.venue_ts_ns)
        late_ns = max(0, listed.venue_ts_ns - listed.received_ts_ns)
        self._learn(
            reconciled_ts_ns=self._reconciled_ts_ns,
            clock_offset_ns=early_ns - late_ns,
            drifted=self._drifted,
            draft=draft,
        )

    def _learn(
        self,
        *,
        reconciled_ts_ns: int | None,
        clock_offset_ns: int | None,
        drifted: frozenset[InstrumentId],
        draft: Draft,
    ) -> None:
        known = self._reconciled_ts_ns, self._clock_offset_ns, self._drifted
        if known != (reconciled_ts_ns, clock_offset_ns, drifted):
            self._reconciled_ts_ns, self._clock_offset_ns, self._drifted = reconciled_ts_ns, clock_offset_ns, drifted
            draft.is_kept = True

    def _surroundings(self, request: OrderRequest) -> HealthReported:
        # What the core found itself, beside what the shell reports: the stricter of the two counts.
        told, drifted = self._health, self._drifted
        if self._ledger.oversold(request.strategy_id, request.instrument_id):
            # Whoever resumes has not bought back what was sold without being held: exits would be larger than what is.
            drifted = drifted | {request.instrument_id}
        if self._reconciled_ts_ns is self._clock_offset_ns is None and not drifted:
            return told
        offsets = [each for each in (told.clock_offset_ns, self._clock_offset_ns) if each is not None]
        return replace(
            told,
            reconciled_ts_ns=told.reconciled_ts_ns if self._reconciled_ts_ns is None else self._reconciled_ts_ns,
            clock_offset_ns=max(offsets, key=abs, default=None),
            drifted=tuple(sorted({*told.drifted, *drifted})),
        )

    # --- what the exchange says --------------------------------------------------------------------------------

    def take_status(self, event: InstrumentStatus, draft: Draft) -> bool:
        """Remember what the exchange says of an instrument; return whether it was halted or resumed by this."""
        market = self._markets[event.instrument_id]
        before = market.status
        after = InstrumentStatusChanged(
            instrument_id=event.instrument_id,
            halted=event.halted,
            reason=event.reason,
            lower_price=event.lower_price,
            upper_price=event.upper_price,
            ts_ns=draft.ts_ns,
        )
        if before is not None and after == replace(before, ts_ns=draft.ts_ns):
            return False
        market.status = after
        draft.facts.append(after)
        return event.halted is not (before is not None and before.halted)

    def count_messages(self, draft: Draft) -> None:
        """Let the message throttle count what this step has decided to send since it last looked."""
        count = len(draft.commands) - draft.messages_counted
        if count:
            draft.messages_counted += count
            self.gate.throttles.sent(count, draft.ts_ns)

    def watch_equity(self, draft: Draft) -> None:
        """Let the breakers of loss measure the account's worth."""
        self._act(self.breakers.watch_equity(self._ledger.equity, draft), draft)

    def watch_facts(self, facts: Sequence[Fact], draft: Draft) -> None:
        """Let the breakers of errors and of losses in a row see what became true."""
        for fact in facts:
            kind = fact.__class__
            if kind is OrderTransitioned:
                if fact.to_state in _ERRORS and fact.from_state != fact.to_state:  # type: ignore[union-attr]
                    self._act(self.breakers.error(draft), draft)
            elif kind is TradeBooked:
                self._add_profit(fact)  # type: ignore[arg-type]
            elif kind is BracketTransitioned and fact.to_state == "CLOSED":  # type: ignore[union-attr]
                self._conclude(self._execution.bracket(fact.bracket_id), draft)  # type: ignore[union-attr]

    def _add_profit(self, trade: TradeBooked) -> None:
        fee = -trade.fee if trade.is_bust else trade.fee
        self._profits[trade.bracket_id] = self._profits.get(trade.bracket_id, ZERO) + trade.realized_pnl - fee

    def _conclude(self, bracket: Bracket, draft: Draft) -> None:
        profit = self._profits.pop(bracket.bracket_id, None)
        if profit is not None:
            self._act(self.breakers.round_trip(bracket.strategy_id, profit, draft), draft)

    def refused(self, situation: Situation, draft: Draft) -> None:
        """Let the throttle of repeated executions trip where it has just refused an entry."""
        request = situation.request
        if request.leg is Leg.ENTRY:
            scope = (request.strategy_id, request.instrument_id)
            self._act(self.breakers.repeated(scope, situation.repeated_entries, draft), draft)

    def approved(self, request: OrderRequest) -> None:
        """Count an entry that was approved."""
        self._entries_this_session += request.leg is Leg.ENTRY

    def _act(self, trips: Iterable[Trip], draft: Draft) -> None:
        for trip in trips:
            if trip.action is not None:
                source = f"breaker:{trip.breaker.value}"
                trigger = _TRIGGERS[trip.action]
                self.trading_states.change(trip.scope, trigger, reason=trip.reason, source=source, draft=draft)
            if trip.action is BreakerAction.HALTED:
                self.cancel_entries(trip.scope, draft)

    def cancel_entries(self, scope: Scope, draft: Draft) -> None:
        """Ask for the cancel of every working entry of a scope; exits stay."""
        for bracket in self._execution.open_brackets(*scope):
            self._execution.cancel_entry(bracket, draft)

    def reset(self, scope: Scope, *, reason: str, source: str, draft: Draft) -> None:
        """Arm the breakers of exactly this scope again: a human has looked."""
        self.breakers.reset(scope, equity=self._ledger.equity, reason=reason, source=source, draft=draft)
        self.gate.throttles.forget_repeated(*scope)

    # --- what a decision is made from ------------------------------------------------------------------------

    def situation(self, request: OrderRequest, instrument: Instrument, draft: Draft) -> Situation:
        """Return everything that the decision on a request is made from.

        A quote that it looks at becomes a fact of the step, so that a replay looks at the same one.
        """
        self.count_messages(draft)
        execution, ledger = self._execution, self._ledger
        is_entry = request.leg is Leg.ENTRY
        bracket = None if is_entry else execution.bracket(request.bracket_id)
        return Situation(
            request=request,
            instrument=instrument,
            ts_ns=draft.ts_ns,
            venue=self._venue,
            trading_state=self.trading_states.effective(request.strategy_id, request.instrument_id),
            status=self._markets[request.instrument_id].status,
            account_kind=self._account_kind,
            equity=ledger.equity,
            cash=ledger.cash - ledger.receivable(draft.ts_ns),
            session_start_equity=self.breakers.session_start_equity,
            position=ledger.position(request.strategy_id, request.instrument_id),
            exits_with=execution.exits_with(request),
            bracket_exits_with=ZERO if bracket is None else _exits_of(bracket, request),
            bracket_entered=ZERO if bracket is None else bracket.entered,
            entries_this_session=self._entries_this_session,
            health=self._surroundings(request),
            **(self._around_an_entry(request, draft) if is_entry else _NOT_LOOKED_AT),
        )

    def situation_again(self, order: WorkingOrder, instrument: Instrument, draft: Draft) -> Situation:
        """Return what a second decision on an order is made from: all else, as if the order were not there yet.

        A quantity that was decided stays; whatever the order itself holds back is taken out.
        """
        assert order.request is not None
        found = self.situation(order.request, instrument, draft)
        if order.leg is not Leg.ENTRY:
            if order.pair:
                return found
            own = order.remaining
            return replace(found, exits_with=found.exits_with - own, bracket_exits_with=found.bracket_exits_with - own)
        own = _reserved([order])
        return replace(
            found,
            open_entries=found.open_entries - 1,
            open_orders=found.open_orders - 1,
            unknown_orders=found.unknown_orders - (order.state is OrderState.UNKNOWN),
            reserved=found.reserved - own,
            instrument_exposure=found.instrument_exposure - own,
            groups=tuple(replace(group, value=group.value - own) for group in found.groups),
            since_same_ns=None,
            entries_this_session=found.entries_this_session - 1,
            repeated_entries=max(0, found.repeated_entries - 1),
        )

    def _around_an_entry(self, request: OrderRequest, draft: Draft) -> dict[str, Any]:
        # What only the checks look at that let exits pass: most decisions are on exits.
        execution, ledger, market = self._execution, self._ledger, self._markets[request.instrument_id]
        throttles, ts_ns = self.gate.throttles, draft.ts_ns
        brackets = execution.open_brackets()
        entries = [bracket.entry for bracket in brackets if bracket.entry is not None and bracket.entry.is_open]
        # Brackets of one strategy in one instrument are one position: an entry that joins it makes no further one.
        others = {(each.strategy_id, each.instrument_id) for each in brackets}
        others.discard((request.strategy_id, request.instrument_id))
        of_instrument = [entry for entry in entries if entry.instrument_id == request.instrument_id]
        here = [bracket for bracket in brackets if bracket.instrument_id == request.instrument_id]
        return {
            "tripped": self.breakers.tripped_for(request.strategy_id, request.instrument_id),
            "session": market.sessions.session_at(ts_ns),
            "quote": _consult(market, draft),
            "previous_close": _previous_close(market),
            "settled_cash": ledger.settled_cash(ts_ns) if self._account_kind is AccountKind.CASH else ledger.cash,
            "good_faith_violations": ledger.good_faith_violations(ts_ns - 365 * DAY_NS),
            "reserved": _reserved(entries),
            "instrument_exposure": ledger.exposure(request.instrument_id) + _reserved(of_instrument),
            "groups": self._group_exposures(request.instrument_id, entries) if self._groups else (),
            "gross_exposure": ledger.exposure(),
            "open_brackets": len(others),
            "open_entries": len(of_instrument),
            "open_orders": execution.open_order_count(),
            "unknown_orders": sum(order.state is OrderState.UNKNOWN for order in _orders(here)),
            "crossing_orders": sum(_meets(order, request) for order in _orders(here)),
            "since_same_ns": throttles.since_same_ns(request, ts_ns),
            "repeated_entries": throttles.repeated(request, ts_ns),
            "window_price": throttles.window_price(request.instrument_id, ts_ns),
            "messages": throttles.messages(ts_ns),
        }

    def _group_exposures(self, instrument_id: InstrumentId, entries: list[WorkingOrder]) -> tuple[GroupExposure, ...]:
        return tuple(
            GroupExposure(
                name=group.name,
                value=sum((self._ledger.exposure(key) for key in self._members[group.name]), ZERO)
                + _reserved([entry for entry in entries if entry.instrument_id in self._members[group.name]]),
                bound=group.max_fraction * self._ledger.equity,
            )
            for group in self._groups.get(instrument_id, ())
        )


# In place of what is not looked at for an exit.
_NOT_LOOKED_AT: Final[dict[str, Any]] = {
    **dict.fromkeys(("session", "quote", "previous_close", "since_same_ns", "window_price")),
    **dict.fromkeys(("settled_cash", "reserved", "instrument_exposure", "gross_exposure"), ZERO),
    **dict.fromkeys(("good_faith_violations", "open_brackets", "open_entries", "open_orders"), 0),
    **dict.fromkeys(("unknown_orders", "crossing_orders", "repeated_entries"), 0),
    **dict.fromkeys(("tripped", "groups"), ()),
    "messages": MessageCounts(last_second=0, last_minute=0, this_session=0),
}


def _groups_by_instrument(settings: PipelineSettings) -> dict[InstrumentId, tuple[ExposureGroup, ...]]:
    groups = settings.limits.groups
    found = {
        key: tuple(group for group in groups if each.symbol in group.symbols)
        for key, each in settings.instruments.items()
    }
    return {key: mine for key, mine in found.items() if mine}


def _consult(market: Market, draft: Draft) -> QuoteConsulted | None:
    quote = market.quote
    if quote is None:
        return None
    consulted = QuoteConsulted(
        instrument_id=quote.instrument_id,
        bid=quote.bid,
        ask=quote.ask,
        venue_ts_ns=quote.venue_ts_ns,
        received_ts_ns=quote.received_ts_ns,
    )
    if consulted != market.consulted:
        market.consulted = consulted
        draft.facts.append(consulted)
    return consulted


def _previous_close(market: Market) -> Decimal | None:
    # Between sessions a price may move as it likes: only inside one is a jump a sign of bad data.
    bar = market.previous_bar
    return None if bar is None or bar.start_ts_ns < market.open_ts_ns else exact(bar.close)


def _reserved(entries: list[WorkingOrder]) -> Decimal:
    return sum(
        (notional(worst_price(entry.reference_price, entry.limit_price), entry.remaining) for entry in entries), ZERO
    )


def _orders(brackets: list[Bracket]) -> list[WorkingOrder]:
    found = [order for bracket in brackets for order in bracket.open_exits()]
    return found + [bracket.entry for bracket in brackets if bracket.entry is not None and bracket.entry.is_open]


def _meets(order: WorkingOrder, entry: OrderRequest) -> bool:
    # An own sell that a buy could match: one at market, or one whose limit the buy reaches. A stop that rests is no
    # offer yet.
    if order.side is entry.side or order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        return False
    if order.limit_price is None:
        return True
    reach = worst_price(entry.reference_price, entry.limit_price)
    return reach.is_finite() and order.limit_price <= reach


def _exits_of(bracket: Bracket, request: OrderRequest) -> Decimal:
    already = bracket.pair(request.pair).outstanding() if request.pair else ZERO
    return bracket.exited + bracket.outstanding() + max(ZERO, request.quantity - already)
