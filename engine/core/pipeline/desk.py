"""The desk: signals, the gate and execution, between a market's news and the commands to the venue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from engine.core.execution.brackets import Bracket
from engine.core.execution.orders import Execution, WorkingOrder
from engine.core.execution.plans import as_decimal_or_none
from engine.core.execution.stage import ExecutionStage
from engine.core.execution.wishes import Refused, Wish
from engine.core.ledger import Booking, Ledger
from engine.core.messages import (
    Draft,
    Flatten,
    HaltWanted,
    InstrumentStatus,
    Kill,
    OperatorCommand,
    OrderRequest,
    Pause,
    Resume,
    Signal,
    SignalEmitted,
    SignalKind,
    SignalRefused,
)
from engine.core.pipeline.entries import entry_request
from engine.core.pipeline.guard import Guard
from engine.core.pipeline.settings import Market, PipelineSettings, StrategyBinding
from engine.core.risk.states import Scope, TradingTrigger
from engine.core.values import (
    ZERO,
    Instrument,
    InstrumentId,
    Leg,
    StrategyId,
)

_STOPS: Final[dict[type, TradingTrigger]] = {Pause: TradingTrigger.PAUSED, Kill: TradingTrigger.HALTED}

#: Fees of an execution by kind, where the venue tells.
Fees = tuple[tuple[str, Decimal], ...]


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
        self.guard = Guard(settings, markets=markets, ledger=ledger, execution=execution)
        self.gate = self.guard.gate
        self.trading_states = self.guard.trading_states
        self._entry_rules = settings.entry_rules
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._signals = 0

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
                return self._adjustment(signal, brackets, reference_price, draft)
        return wishes

    def _adjustment(
        self, signal: Signal, brackets: Sequence[Bracket], reference_price: Decimal, draft: Draft
    ) -> Sequence[Wish]:
        for bracket in brackets:
            bracket.reference_price = reference_price
        if signal.kind is SignalKind.SCALE_OUT:
            answer = self._execution.scale_out(brackets, as_decimal_or_none(signal.fraction), draft)
        else:
            answer = self._execution.move_stop(brackets, as_decimal_or_none(signal.stop_price), draft)
        if isinstance(answer, Refused):
            draft.facts.append(SignalRefused(signal_id=self._signals, reason=answer.reason, ts_ns=draft.ts_ns))
            return ()
        return answer

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

    def flatten(self, scope: Scope, draft: Draft) -> None:
        """Leave every bracket of a scope; what no bracket holds cannot be sold by one, so a halt names it."""
        for bracket in self._execution.open_brackets(*scope):
            price = self._markets[bracket.instrument_id].last_price
            self.fulfil(self.leave(bracket, "kill", price, draft), draft)
        for instrument_id in self._markets:
            for key, _ in self._ledger.holdings_of(instrument_id):
                if scope[0] in (None, key[0]) and scope[1] in (None, instrument_id):
                    self.halt_unprotected(*key, "flatten does not sell them: close them by hand", draft)

    def halt_unprotected(self, strategy_id: StrategyId, instrument_id: InstrumentId, reason: str, draft: Draft) -> None:
        """Halt an instrument of which a strategy holds more than its brackets do."""
        brackets = self._execution.open_brackets(strategy_id, instrument_id)
        held = sum((max(ZERO, bracket.held) for bracket in brackets), ZERO)
        rest = self._ledger.position(strategy_id, instrument_id) - held
        if rest > 0:
            symbol = self._markets[instrument_id].instrument.symbol
            self.halt((None, instrument_id), f"{strategy_id} holds {rest} {symbol} in no bracket: {reason}", draft)

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
        situation = self.guard.situation(sized, instrument, draft)
        approved = self.gate.decide(situation, draft)
        if approved is not None:
            self.guard.approved(sized)
            self.refresh_context(self._execution.place(approved, draft))
            return
        self.guard.refused(situation, draft)
        if sized.leg is not Leg.ENTRY:
            position = self._ledger.position(sized.strategy_id, sized.instrument_id)
            self.fulfil(self._execution.refused(sized, draft, position=position), draft)
            self.halt((None, sized.instrument_id), f"the gate refused the {sized.leg} of an open position", draft)

    def passes_again(self, order: WorkingOrder, draft: Draft) -> bool:
        """Return whether the gate passes an order once more that never reached the venue; the decision is recorded."""
        instrument = self._markets[order.instrument_id].instrument
        return self.gate.decide(self.guard.situation_again(order, instrument, draft), draft) is not None

    def refresh_context(self, bracket: Bracket) -> None:
        """Show the strategy of a bracket what it now holds and whether an entry works."""
        strategy_id, instrument_id = bracket.strategy_id, bracket.instrument_id
        context = self._markets[instrument_id].contexts[strategy_id]
        context.position_quantity = self._ledger.position(strategy_id, instrument_id)
        context.has_working_entry = any(
            other.entry_is_open for other in self._execution.open_brackets(strategy_id, instrument_id)
        )

    def react(self, order: WorkingOrder, execution: Execution | None, draft: Draft) -> None:
        """Let an order's news, already booked, move its bracket, and do what that takes."""
        position = self._ledger.position(order.strategy_id, order.instrument_id)
        self.fulfil(self._execution.react(order, execution, draft, position=position), draft)
        if execution is not None and execution.is_bust:
            # Two busts can leave shares that neither bracket holds any more.
            self.halt_unprotected(order.strategy_id, order.instrument_id, "sell them, or resume", draft)
        self.refresh_context(self._execution.bracket(order.bracket_id))

    def book(self, order: WorkingOrder, execution: Execution, fees: Fees, draft: Draft) -> Execution:
        """Book an execution and return it in shares of today; what was sold beyond what was held halts the instrument.

        A split between an execution and its bust makes others of its shares: the books, which repeat all that was,
        know how many lots the bust gives or takes.
        """
        before = self._net(order)
        booking = Booking(
            order_id=order.order_id,
            bracket_id=order.bracket_id,
            execution_id=execution.execution_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            leg=order.leg,
            side=order.side,
            price=execution.price,
            quantity=execution.quantity,
            fee=execution.fee,
            is_bust=execution.is_bust,
            venue_ts_ns=execution.venue_ts_ns,
            fees=fees,
            client_order_id=order.client_order_id,
        )
        booked = self._ledger.book(booking, draft)
        if booked.oversold > 0:
            reason = f"{booked.oversold} was sold that was not held: it stands in the suspense, close it by hand"
            self.halt((None, order.instrument_id), reason, draft)
        after = self._net(order)
        if not execution.is_bust or abs(after - before) == execution.quantity:
            return execution
        instrument = self._markets[order.instrument_id].instrument
        return replace(execution, quantity=abs(_lots(instrument, after) - _lots(instrument, before)))

    def _net(self, order: WorkingOrder) -> Decimal:
        key = (order.strategy_id, order.instrument_id)
        return self._ledger.position(*key) - self._ledger.oversold(*key)

    def take_status(self, event: InstrumentStatus, draft: Draft) -> None:
        """Remember what the exchange says of an instrument; while it halts, waits of execution pause."""
        if not self.guard.take_status(event, draft):
            return
        if event.halted:
            self._execution.pause_waits(event.instrument_id, draft.ts_ns)
        else:
            self._execution.resume_waits(event.instrument_id, draft.ts_ns)

    def change_state(self, scope: Scope, trigger: TradingTrigger, *, reason: str, source: str, draft: Draft) -> None:
        """Move the trading state of a scope."""
        self.trading_states.change(scope, trigger, reason=reason, source=source, draft=draft)

    def halt(self, scope: Scope, reason: str, draft: Draft) -> None:
        """Halt a scope on the engine's own account."""
        self.change_state(scope, TradingTrigger.HALTED, reason=reason, source="engine", draft=draft)

    def stop_trading(self, event: OperatorCommand, draft: Draft) -> None:
        """Let a pause or the kill switch count: nothing is entered from here on. Safe to repeat; others do nothing."""
        trigger = _STOPS.get(type(event))
        if trigger is not None:
            scope, source = scope_of(event.strategy_id, event.instrument_id), f"operator:{event.requested_by}"
            self.change_state(scope, trigger, reason=event.reason, source=source, draft=draft)

    def operate(self, event: OperatorCommand, draft: Draft) -> None:
        """Do what an operator asks for."""
        scope, source = scope_of(event.strategy_id, event.instrument_id), f"operator:{event.requested_by}"
        self.stop_trading(event, draft)
        if isinstance(event, Resume):
            self.change_state(scope, TradingTrigger.RESUMED, reason=event.reason, source=source, draft=draft)
            self.guard.reset(scope, reason=event.reason, source=source, draft=draft)
            for bracket in self._execution.open_brackets(*scope):
                self.fulfil(self._execution.leave_again(bracket, draft), draft)
        if isinstance(event, Kill):
            self.cancel_entries(scope, draft)
        if isinstance(event, Flatten):
            self.flatten(scope, draft)
        self.guard.count_messages(draft)

    def cancel_entries(self, scope: Scope, draft: Draft) -> None:
        """Ask for the cancel of every working entry of a scope; exits stay."""
        self.guard.cancel_entries(scope, draft)


def _lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    whole = instrument.quantity(abs(quantity))
    return whole if quantity > 0 else -whole


def scope_of(strategy_id: str | None, instrument_id: InstrumentId | None) -> Scope:
    """Return the scope that an operator named."""
    return (None if strategy_id is None else StrategyId(strategy_id), instrument_id)
