"""The desk: signals, the gate and execution, between a market's news and the commands to the venue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from engine.core.execution.brackets import Bracket
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.stage import ExecutionStage
from engine.core.execution.wishes import Wish
from engine.core.ledger import Ledger
from engine.core.messages import (
    Draft,
    HaltWanted,
    OrderRequest,
    Signal,
    SignalEmitted,
    SignalKind,
)
from engine.core.pipeline.entries import entry_request
from engine.core.pipeline.settings import Market, PipelineSettings, StrategyBinding
from engine.core.risk.checks import Situation
from engine.core.risk.gate import RiskGate
from engine.core.risk.states import Scope, TradingStates, TradingTrigger
from engine.core.values import (
    ZERO,
    Instrument,
    InstrumentId,
    Leg,
    Session,
    StrategyId,
    notional,
    worst_price,
)


class Desk:
    """Take what strategies and brackets want through the gate to execution."""

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
        self._entry_rules = settings.entry_rules
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._signals = 0
        self._session_date = ""
        self._session_start_equity = ZERO
        self._entries_this_session = 0

    def start_session(self, session: Session) -> None:
        """Begin the day of the loss cap, at the first bar of any instrument's new session."""
        if session.date > self._session_date:
            self._session_date = session.date
            self._session_start_equity = self._ledger.equity
            self._entries_this_session = 0

    def take_signals(
        self,
        binding: StrategyBinding,
        signals: Iterable[Signal],
        *,
        bar_start_ts_ns: int,
        reference_price: Decimal,
        draft: Draft,
    ) -> None:
        """Record what a strategy wants and do what the gate allows; `reference_price` is the last one known."""
        symbol = self._markets[binding.instrument_id].instrument.symbol
        for signal in signals:
            self._signals += 1
            draft.facts.append(
                SignalEmitted(
                    signal_id=self._signals,
                    strategy_id=binding.strategy_id,
                    instrument_id=binding.instrument_id,
                    symbol=symbol,
                    bar_start_ts_ns=bar_start_ts_ns,
                    ts_ns=draft.ts_ns,
                    signal=signal,
                )
            )
            self.fulfil(self._wishes_of(signal, binding, reference_price, draft), draft)

    def _wishes_of(
        self, signal: Signal, binding: StrategyBinding, reference_price: Decimal, draft: Draft
    ) -> Sequence[Wish]:
        brackets = self._execution.open_brackets(binding.strategy_id, binding.instrument_id)
        wishes: list[Wish] = []
        match signal.kind:
            case SignalKind.ENTER | SignalKind.SCALE_IN:
                return [self._entry_request(signal, binding, reference_price)]
            case SignalKind.EXIT:
                reason = "time" if signal.reason == "time" else "signal"
                for bracket in brackets:
                    wishes += self.leave(bracket, reason, reference_price, draft)
            case SignalKind.CANCEL_ENTRY:
                for bracket in brackets:
                    self._execution.cancel_entry(bracket, draft)
            case SignalKind.SCALE_OUT | SignalKind.MOVE_STOP:
                # Recorded; nothing follows yet.
                pass
        return wishes

    def _entry_request(self, signal: Signal, binding: StrategyBinding, reference_price: Decimal) -> OrderRequest:
        return entry_request(
            signal,
            strategy_id=binding.strategy_id,
            instrument=self._markets[binding.instrument_id].instrument,
            reference_price=reference_price,
            rules=self._entry_rules,
            signal_id=self._signals,
        )

    def leave(self, bracket: Bracket, reason: str, reference_price: Decimal, draft: Draft) -> list[Wish]:
        """Start to leave a bracket and return what that takes."""
        bracket.reference_price = reference_price
        return self._execution.want_exit(bracket, reason, draft)

    def fulfil(self, wishes: Iterable[Wish], draft: Draft) -> None:
        """Take wishes to the gate, in order, and place what it approves."""
        for wish in wishes:
            if isinstance(wish, HaltWanted):
                self.halt((None, wish.instrument_id), wish.reason, draft)
            else:
                self._decide(wish, draft)

    def _decide(self, request: OrderRequest, draft: Draft) -> None:
        instrument = self._markets[request.instrument_id].instrument
        sized = self.gate.size(request, instrument, self._ledger.equity)
        approved = self.gate.decide(self._situation(sized, instrument, draft.ts_ns), draft)
        if approved is not None:
            self._entries_this_session += sized.leg is Leg.ENTRY
            self.refresh_context(self._execution.place(approved, draft))
        elif sized.leg is not Leg.ENTRY:
            self.halt((None, sized.instrument_id), f"the gate refused the {sized.leg} of an open position", draft)

    def _situation(self, request: OrderRequest, instrument: Instrument, ts_ns: int) -> Situation:
        execution, ledger = self._execution, self._ledger
        is_entry = request.leg is Leg.ENTRY
        brackets = execution.open_brackets() if is_entry else []
        # Brackets of one strategy in one instrument are one position: an entry that joins it makes no further one.
        others = {(each.strategy_id, each.instrument_id) for each in brackets}
        others.discard((request.strategy_id, request.instrument_id))
        entries = [bracket.entry for bracket in brackets if bracket.entry is not None and bracket.entry.is_open]
        return Situation(
            request=request,
            instrument=instrument,
            trading_state=self.trading_states.effective(request.strategy_id, request.instrument_id),
            session=self._markets[request.instrument_id].sessions.session_at(ts_ns) if is_entry else None,
            equity=ledger.equity,
            cash=ledger.cash,
            reserved=sum((_still_costs(entry) for entry in entries), ZERO),
            session_start_equity=self._session_start_equity,
            position=ledger.position(request.strategy_id, request.instrument_id),
            instrument_exposure=ledger.exposure(request.instrument_id) if is_entry else ZERO,
            gross_exposure=ledger.exposure() if is_entry else ZERO,
            open_brackets=len(others),
            open_entries=sum(1 for entry in entries if entry.instrument_id == request.instrument_id),
            open_orders=execution.open_order_count() if is_entry else 0,
            exits_with=execution.exits_with(request),
            entries_this_session=self._entries_this_session,
            since_same_ns=self.gate.since_same_ns(request, ts_ns) if is_entry else None,
        )

    def refresh_context(self, bracket: Bracket) -> None:
        """Show the strategy of a bracket what it now holds and whether an entry works."""
        strategy_id, instrument_id = bracket.strategy_id, bracket.instrument_id
        context = self._markets[instrument_id].contexts[strategy_id]
        context.position_quantity = self._ledger.position(strategy_id, instrument_id)
        context.has_working_entry = any(
            other.entry_is_open for other in self._execution.open_brackets(strategy_id, instrument_id)
        )

    def brackets_in_scope(self, scope: Scope) -> list[Bracket]:
        """Return the open brackets that an operator's scope names."""
        return self._execution.open_brackets(*scope)

    def change_state(self, scope: Scope, trigger: TradingTrigger, *, reason: str, source: str, draft: Draft) -> None:
        """Move the trading state of a scope."""
        self.trading_states.change(scope, trigger, reason=reason, source=source, draft=draft)

    def halt(self, scope: Scope, reason: str, draft: Draft) -> None:
        """Halt a scope on the engine's own account."""
        self.change_state(scope, TradingTrigger.HALTED, reason=reason, source="engine", draft=draft)

    def cancel_entries(self, scope: Scope, draft: Draft) -> None:
        """Ask for the cancel of every working entry of a scope; exits stay."""
        for bracket in self.brackets_in_scope(scope):
            self._execution.cancel_entry(bracket, draft)


def _still_costs(entry: WorkingOrder) -> Decimal:
    return notional(worst_price(entry.reference_price, entry.limit_price), entry.remaining)


def scope_of(strategy_id: str | None, instrument_id: InstrumentId | None) -> Scope:
    """Return the scope that an operator named."""
    return (None if strategy_id is None else StrategyId(strategy_id), instrument_id)
