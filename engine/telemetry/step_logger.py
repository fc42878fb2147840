"""From steps to log lines: one event per fact that is worth reading, with the ids that lead to its rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog

from engine.core.messages import (
    Bar,
    BracketOpened,
    BracketTransitioned,
    BreakerChanged,
    CashMoved,
    CheckResult,
    DecisionMade,
    EquityMarked,
    Event,
    GapMarked,
    InputsRefused,
    InstrumentStatusChanged,
    OrderCreated,
    OrderTransitioned,
    PositionChanged,
    QuoteConsulted,
    SignalEmitted,
    Step,
    TradeBooked,
    TradingState,
    TradingStateChanged,
)
from engine.core.values import Instrument, InstrumentId
from engine.telemetry.book_lines import BOOK_LINES, BookLine
from engine.telemetry.times import event_time

_Line = tuple[int, str, dict[str, Any]]
_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
_CRITICAL: Final = logging.CRITICAL

#: Facts without a line: what a trade or an adjustment changed follows from its line, equity moves with every bar, and
#: a quote is said with the decision that looked at it.
SILENT: Final[frozenset[type]] = frozenset({PositionChanged, EquityMarked, QuoteConsulted})

# Said of a bar that nobody wants to read.
_UNSAID: Final[_Line] = (logging.NOTSET, "", {})

#: Where an order or a bracket ended badly, or nobody knows how it stands.
_TROUBLED_ORDER_STATES: Final = frozenset({"REJECTED", "UNKNOWN"})
#: How many orders and brackets are remembered, so that a late report still finds its strategy.
_REMEMBERED_MAX: Final = 10_000


class StepLogger:
    """Log every step that it is shown. Bars, lots and fees are logged at the level debug.

    Lines carry `strategy_name, instrument, symbol, order_id, client_order_id, bracket_id, step_id` where they are
    known. Steps are counted from `first_step_id`: the journal's number of the first step that is shown.
    """

    def __init__(
        self,
        instruments: Mapping[InstrumentId, Instrument] | None = None,
        *,
        logger: Any = None,  # noqa: ANN401 - the type of a bound logger depends on its configuration
        first_step_id: int = 1,
    ) -> None:
        self._symbols = {key: instrument.symbol for key, instrument in (instruments or {}).items()}
        self._logger = (structlog.get_logger() if logger is None else logger).bind()
        #: Below this level not even a line's fields are put together.
        self._level: int = self._logger.get_effective_level()
        self._next_step_id = first_step_id
        self._step_id = first_step_id
        self._orders: dict[int, dict[str, Any]] = {}
        self._brackets: dict[int, dict[str, Any]] = {}
        # `Any`: each maker takes its own fact, and the key proves which. The level is the loudest that it can be.
        self._makers: dict[type, tuple[int, Callable[[Any], _Line]]] = {
            Bar: (_INFO, self._bar),
            GapMarked: (_WARNING, self._gap),
            InputsRefused: (_WARNING, self._inputs_refused),
            SignalEmitted: (_INFO, self._signal),
            DecisionMade: (_WARNING, self._decision),
            OrderCreated: (_INFO, self._order_created),
            OrderTransitioned: (_WARNING, self._order_moved),
            BracketOpened: (_INFO, self._bracket_opened),
            BracketTransitioned: (_INFO, self._bracket_moved),
            TradeBooked: (_WARNING, self._trade),
            CashMoved: (_INFO, self._cash),
            TradingStateChanged: (_ERROR, self._trading_state),
            BreakerChanged: (_CRITICAL, self._breaker),
            InstrumentStatusChanged: (_WARNING, self._instrument_status),
            **{kind: (loudest, partial(self._of_books, make)) for kind, (loudest, make) in BOOK_LINES.items()},
        }
        #: What has a line, at some level.
        self.kinds: frozenset[type] = frozenset(self._makers)

    def __call__(self, event: Event, step: Step) -> None:
        """Log what a step made true."""
        self._count_step()
        for fact in step.facts:
            self._remember(fact)
            loudest, make = self._makers.get(fact.__class__, (0, None))
            if make is not None and loudest >= self._level:
                self._write(*make(fact))

    def remember(self, event: Event, step: Step) -> None:
        """Take in a step that was logged before (a restart repeats it), so that later lines know their ids."""
        self._count_step()
        for fact in step.facts:
            self._remember(fact)

    def _count_step(self) -> None:
        self._step_id = self._next_step_id
        self._next_step_id += 1

    def _write(self, level: int, name: str, fields: dict[str, Any]) -> None:
        if level >= self._level:
            self._logger.log(level, name, **fields)

    # An order's later reports name only its number, so what it is for is remembered.
    def _remember(self, fact: object) -> None:
        if isinstance(fact, OrderCreated):
            _put(self._orders, fact.order_id, _subject(fact) | {"client_order_id": fact.client_order_id})
        elif isinstance(fact, BracketOpened):
            _put(self._brackets, fact.bracket_id, _subject(fact))

    # One order of keys for all lines, so that an eye finds them; ids that are not known are left out.
    def _fields(self, ts_ns: int, subject: Mapping[str, Any], **details: Any) -> dict[str, Any]:  # noqa: ANN401 - any value is logged
        return {"event_time": event_time(ts_ns), **subject, "step_id": self._step_id, **details}

    def _instrument(self, instrument_id: InstrumentId) -> dict[str, Any]:
        symbol = self._symbols.get(instrument_id)
        return {"instrument": instrument_id} | ({} if symbol is None else {"symbol": symbol})

    # --- one maker per fact --------------------------------------------------------------------------------

    def _bar(self, bar: Bar) -> _Line:
        if not bar.revision and self._level > _DEBUG:
            return _UNSAID
        fields = self._fields(
            bar.start_ts_ns,
            self._instrument(bar.instrument_id),
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            vwap=bar.vwap,
            complete=bar.complete,
        )
        if bar.revision:
            return _INFO, "bar_revised", fields | {"revision": bar.revision}
        return _DEBUG, "bar_closed", fields

    def _of_books(self, make: Callable[[Any], BookLine], fact: Any) -> _Line:  # noqa: ANN401 - as the makers
        level, name, details = make(fact)
        subject = (
            self._brackets.get(fact.bracket_id, {"bracket_id": fact.bracket_id}) if name == "bracket_planned" else {}
        )
        if getattr(fact, "strategy_id", None) is not None:
            subject = {"strategy_name": fact.strategy_id}
        if getattr(fact, "instrument_id", None) is not None:
            subject = subject | self._instrument(fact.instrument_id)
        return level, name, self._fields(fact.ts_ns, subject, **details)

    def _gap(self, gap: GapMarked) -> _Line:
        subject = self._instrument(gap.instrument_id)
        times = {"gap_from": event_time(gap.from_ts_ns), "gap_until": event_time(gap.until_ts_ns)}
        return _WARNING, "gap_marked", self._fields(gap.until_ts_ns, subject, **times, reason=gap.reason)

    def _inputs_refused(self, fact: InputsRefused) -> _Line:
        subject = self._instrument(fact.instrument_id)
        return _WARNING, "inputs_refused", self._fields(fact.ts_ns, subject, reason=fact.reason, count=fact.count)

    def _signal(self, fact: SignalEmitted) -> _Line:
        signal = fact.signal
        fields = self._fields(
            fact.ts_ns,
            _subject(fact),
            signal_id=fact.signal_id,
            kind=signal.kind,
            side=signal.side,
            order_type=signal.order_type,
            stop_distance=signal.stop_distance,
            target_distance=signal.target_distance,
            reason=signal.reason,
            values=dict(signal.values),
        )
        return _INFO, "signal_emitted", fields

    def _decision(self, fact: DecisionMade) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            _subject(fact),
            decision_id=fact.decision_id,
            signal_id=fact.signal_id,
            leg=fact.leg,
            side=fact.side,
            order_type=fact.order_type,
            quantity=fact.quantity,
        )
        if fact.approved:
            return _INFO, "decision_approved", fields
        return _WARNING, "decision_refused", fields | {"reason": fact.reason} | _refusal(fact.checks)

    def _order_created(self, fact: OrderCreated) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            self._orders[fact.order_id],
            decision_id=fact.decision_id,
            leg=fact.leg,
            side=fact.side,
            order_type=fact.order_type,
            quantity=fact.quantity,
            limit_price=fact.limit_price,
            stop_price=fact.stop_price,
            time_in_force=fact.time_in_force,
        )
        return _INFO, "order_created", fields

    def _order_moved(self, fact: OrderTransitioned) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            self._orders.get(fact.order_id, {"order_id": fact.order_id}),
            from_state=fact.from_state,
            to_state=fact.to_state,
            trigger=fact.trigger,
            source=fact.source,
            reason=fact.reason,
            filled_quantity=fact.filled_quantity,
            cancel_requested=fact.cancel_requested,
            venue_order_id=fact.venue_order_id,
        )
        return _WARNING if fact.to_state in _TROUBLED_ORDER_STATES else _INFO, "order_moved", fields

    def _bracket_opened(self, fact: BracketOpened) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            _subject(fact),
            signal_id=fact.signal_id,
            exit_style=fact.exit_style,
            stop_distance=fact.stop_distance,
            target_distance=fact.target_distance,
        )
        return _INFO, "bracket_opened", fields

    def _bracket_moved(self, fact: BracketTransitioned) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            self._brackets.get(fact.bracket_id, {"bracket_id": fact.bracket_id}),
            from_state=fact.from_state,
            to_state=fact.to_state,
            trigger=fact.trigger,
            exit_reason=fact.exit_reason,
            entered_quantity=fact.entered_quantity,
            exited_quantity=fact.exited_quantity,
        )
        return _INFO, "bracket_moved", fields

    def _trade(self, fact: TradeBooked) -> _Line:
        known = self._orders.get(fact.order_id, {})
        fields = self._fields(
            fact.ts_ns,
            {**_subject(fact), **known},
            trade_id=fact.trade_id,
            execution_id=fact.execution_id,
            leg=fact.leg,
            side=fact.side,
            price=fact.price,
            quantity=fact.quantity,
            fee=fact.fee,
            realized_pnl=fact.realized_pnl,
        )
        return (_WARNING, "trade_busted", fields) if fact.is_bust else (_INFO, "trade_booked", fields)

    def _cash(self, fact: CashMoved) -> _Line:
        return _INFO, "cash_moved", self._fields(fact.ts_ns, {}, amount=fact.amount, kind=fact.kind, source=fact.source)

    def _trading_state(self, fact: TradingStateChanged) -> _Line:
        subject: dict[str, Any] = {} if fact.strategy_id is None else {"strategy_name": fact.strategy_id}
        if fact.instrument_id is not None:
            subject |= self._instrument(fact.instrument_id)
        fields = self._fields(
            fact.ts_ns,
            subject,
            from_state=fact.from_state,
            to_state=fact.to_state,
            reason=fact.reason,
            source=fact.source,
        )
        return _STATE_LEVELS[fact.to_state], "trading_state_changed", fields

    def _breaker(self, fact: BreakerChanged) -> _Line:
        subject: dict[str, Any] = {} if fact.strategy_id is None else {"strategy_name": fact.strategy_id}
        if fact.instrument_id is not None:
            subject |= self._instrument(fact.instrument_id)
        fields = self._fields(
            fact.ts_ns, subject, breaker=fact.breaker, value=fact.value, limit=fact.limit, reason=fact.reason
        )
        if fact.to_state == "TRIPPED":
            return _CRITICAL, "breaker_tripped", fields
        return _INFO, "breaker_armed", fields | {"source": fact.source}

    def _instrument_status(self, fact: InstrumentStatusChanged) -> _Line:
        fields = self._fields(
            fact.ts_ns,
            self._instrument(fact.instrument_id),
            halted=fact.halted,
            reason=fact.reason,
            lower_price=fact.lower_price,
            upper_price=fact.upper_price,
        )
        return (_WARNING if fact.halted else _INFO), "instrument_status_changed", fields


_STATE_LEVELS: Final = {
    TradingState.ACTIVE: _INFO,
    TradingState.REDUCING: _WARNING,
    TradingState.HALTED: _ERROR,
}


def _subject(fact: SignalEmitted | DecisionMade | OrderCreated | BracketOpened | TradeBooked) -> dict[str, Any]:
    subject: dict[str, Any] = {
        "strategy_name": fact.strategy_id,
        "instrument": fact.instrument_id,
        "symbol": fact.symbol,
    }
    if isinstance(fact, OrderCreated | TradeBooked):
        subject["order_id"] = fact.order_id
    if isinstance(fact, OrderCreated | TradeBooked | BracketOpened):
        subject["bracket_id"] = fact.bracket_id
    return subject


def _refusal(checks: tuple[CheckResult, ...]) -> dict[str, Any]:
    for check in checks:
        if not check.passed:
            return {"check": check.name, "check_number": check.number, "value": check.value, "limit": check.limit}
    return {}


def _put(memory: dict[int, dict[str, Any]], key: int, subject: dict[str, Any]) -> None:
    memory[key] = subject
    if len(memory) > _REMEMBERED_MAX:
        del memory[next(iter(memory))]
