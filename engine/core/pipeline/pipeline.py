"""`Pipeline.step(event)`: an event goes in, facts and commands come out.

An event first moves time: deadlines that have passed are escalated and minutes that are over become bars. Then it
goes its way: market data to bars, marks, strategies, the gate and execution; reports to execution, the ledger and,
through the gate, to what is wanted next. No other clock exists, and nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from engine.core.bars import BarBuilder, sets_last
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger
from engine.core.messages import (
    EMPTY_STEP,
    AccountFunded,
    AccountListed,
    Bar,
    BarClosed,
    BookEvent,
    Draft,
    EngineStarted,
    Event,
    FeedInterrupted,
    Flatten,
    GapMarked,
    HealthReported,
    InputsRefused,
    InstrumentStatus,
    Kill,
    LifeEvent,
    OperatorCommand,
    OrderFilled,
    OrderNotListed,
    Pause,
    Quote,
    QuoteConsulted,
    Resume,
    Signal,
    Step,
    Tick,
    TickCanceled,
    TickCorrected,
    TimeAdvanced,
    VenueReport,
)
from engine.core.pipeline.bookkeeping import Bookkeeper
from engine.core.pipeline.builders import Builders, PrintEvent, refuse
from engine.core.pipeline.desk import Desk
from engine.core.pipeline.reconciling import Reconciler
from engine.core.pipeline.settings import Market, PipelineSettings, StrategyBinding, market_of
from engine.core.risk.states import ACCOUNT
from engine.core.values import MINUTE_NS, PRICE_DECIMALS, InstrumentId, SessionKind, exact

_NEVER: Final = 2**63 - 1
# `Step(...)` without the function that NamedTuple puts around it: this runs for every bar.
_new_step: Final = tuple.__new__
_REGULAR: Final = SessionKind.REGULAR
_FORESTALLING: Final = frozenset({EngineStarted, Kill, Pause})
_TAPE_EVENTS: Final = frozenset({Tick, TickCorrected, TickCanceled})


class Pipeline:
    """Hold the whole decision path of one account."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._markets = {
            key: Market(
                instrument,
                settings.sessions[key],
                [binding for binding in settings.strategies if binding.instrument_id == key],
            )
            for key, instrument in settings.instruments.items()
        }
        self.ledger = Ledger(settings.instruments, sessions=settings.sessions, terms=settings.account)
        self.execution = ExecutionStage(
            account_id=settings.account_id,
            namespace=settings.namespace,
            instruments=settings.instruments,
            sessions=settings.sessions,
            deadlines=settings.deadlines,
            exit_style=settings.exit_style,
        )
        self.desk = Desk(settings, markets=self._markets, ledger=self.ledger, execution=self.execution)
        self._bookkeeper = Bookkeeper(self._markets, ledger=self.ledger, execution=self.execution, desk=self.desk)
        self.reconciler = Reconciler(
            self._markets,
            ledger=self.ledger,
            execution=self.execution,
            desk=self.desk,
            deadlines=settings.deadlines,
            report=self._take_listed,
        )
        # Empty while no bracket waits for a price.
        self._watched = self.execution.watched
        self._makers = Builders(settings)
        self._builders = self._makers.by_instrument
        self._has_timers = any(market.timer_bindings for market in self._markets.values())
        self._next_minute_ts_ns = 0
        self._watched_equity = self.ledger.equity
        self._next_deadline_ts_ns = _NEVER
        # Until this moment nothing depends on time alone: one comparison per event is all that time costs.
        self._wake_ts_ns = 0 if self._has_timers else _NEVER
        #: The engine's time, ns UTC: that of the latest event.
        self.now_ts_ns = 0
        # `Any`: each handler takes its own event type, and the key proves which.
        self._handlers: dict[type, Callable[[Any, Draft | None], Step]] = {
            Tick: self._on_tick,
            TickCorrected: self._on_correction,
            TickCanceled: self._on_correction,
            Quote: self._on_quote,
            BarClosed: self._on_bar_closed,
            TimeAdvanced: self._on_time,
            FeedInterrupted: self._on_interrupted,
            **dict.fromkeys((InstrumentStatus, HealthReported, Pause, Resume, Kill, Flatten), self._on_told),
            **dict.fromkeys(get_args(VenueReport), self._on_report),
            **dict.fromkeys((AccountListed, *get_args(LifeEvent)), self._on_venue),
            **dict.fromkeys(get_args(BookEvent), self._on_books),
        }

    def step(self, event: Event) -> Step:
        """Return what an event made true and what is to be done outside.

        Raises BadInput for an event that names an unknown instrument, or a moment outside its calendar.
        """
        if event.received_ts_ns >= self._wake_ts_ns or event.__class__ is EngineStarted:
            draft = Draft(event.received_ts_ns)
            if event.__class__ in _FORESTALLING:
                self._forestall(event, draft)
            elif event.__class__ is Quote:
                # Bars that time finishes here are decided on with this quote, as a replay does that sees only it.
                self._market(event.instrument_id).see_quote(event)
            self._advance_time(draft)
            if event.__class__ not in _TAPE_EVENTS:
                self._makers.report_refusals(draft)
            return self._handlers[event.__class__](event, draft)
        return self._handlers[event.__class__](event, None)

    def restore(
        self,
        event: Event,
        bars: Sequence[Bar],
        refusals: Sequence[GapMarked | InputsRefused] = (),
        *,
        quotes: Sequence[QuoteConsulted] = (),
    ) -> Step:
        """Repeat a journaled step: what prints and quotes made of it comes from the journal.

        That is bars finished or revised, gaps in a tape, counts of refusals, and the quotes that decisions consulted.
        The prints and quotes behind them were not journaled, so the builders are left alone.
        """
        for quote in (*quotes, *([event] if isinstance(event, Quote) else ())):
            self._market(quote.instrument_id).see_quote(quote)
        self._makers.remember_refusals(event, refusals)
        draft = self._begin(event.received_ts_ns, None)
        self._forestall(event, draft)
        self._pass_time(draft)
        for bar in bars:
            if not (isinstance(event, BarClosed) and bar is event.bar):
                self._finish_bar(bar, draft)
                self._makers.remember(bar, event)
        if isinstance(event, Tick | TickCorrected | TickCanceled | Quote | TimeAdvanced):
            draft.facts += refusals
            if isinstance(event, Tick):
                self._watch_print(event, draft)
            if isinstance(event, Quote):
                self._watch(event.instrument_id, event.bid, draft)
                self._show_quote(event, draft)
            self._set_wake()
            return draft.seal()
        if not isinstance(event, BarClosed):
            draft.facts += refusals
        self._set_wake()
        return self._handlers[event.__class__](event, draft)

    def rebuild(self, event: PrintEvent | FeedInterrupted) -> None:
        """Let the bar builders see again what was processed before a restart; all that came of it is in the journal.

        To be called after the last `restore`, in the order of the feed. Nobody else sees the event: no watched price,
        no strategy, no deadline.
        """
        key = event.instrument_id
        if key not in self._builders:
            self._new_builder(key, event.received_ts_ns)
        self._makers.rebuild(event)
        if isinstance(event, Quote):
            self._market(key).see_quote(event)

    def resume_from(self, instrument_id: InstrumentId) -> int | None:
        """Return the end of an instrument's last finished minute, ns UTC: where its feed goes on. None before one."""
        return self._market(instrument_id).resumes_at_ts_ns

    # --- time ----------------------------------------------------------------------------------------------

    # What must count before anything that time alone brings about in the same step.
    def _forestall(self, event: Event, draft: Draft) -> None:
        if isinstance(event, EngineStarted):
            self.reconciler.close_eyes(draft)
        elif isinstance(event, Kill | Pause):
            self.desk.stop_trading(event, draft)

    def _begin(self, ts_ns: int, draft: Draft | None) -> Draft:
        self.now_ts_ns = max(self.now_ts_ns, ts_ns)
        return draft or Draft(ts_ns)

    def _advance_time(self, draft: Draft) -> None:
        self.now_ts_ns = max(self.now_ts_ns, draft.ts_ns)
        self._pass_time(draft)
        for builder in self._builders.values():
            for bar in builder.on_time(draft.ts_ns) or ():
                self._finish_bar(bar, draft)
        self._set_wake()

    def _pass_time(self, draft: Draft) -> None:
        if self.reconciler.is_blind:
            return
        if draft.ts_ns >= self._next_deadline_ts_ns:
            self.desk.fulfil(self.execution.run_out(draft), draft)
            self._observe(draft)
            self._set_next_deadline()
        if self._has_timers and draft.ts_ns >= self._next_minute_ts_ns:
            self._turn_minute(draft)

    def _turn_minute(self, draft: Draft) -> None:
        minute_ts_ns = draft.ts_ns - draft.ts_ns % MINUTE_NS
        self._next_minute_ts_ns = minute_ts_ns + MINUTE_NS
        # A timer changes the strategies that asked for it, so the step is kept even where it yields nothing.
        draft.is_kept = True
        for market in self._markets.values():
            for binding, strategy, context in market.timer_bindings:
                self._take(market, binding, strategy.on_timer(minute_ts_ns, context), draft)

    def _set_next_deadline(self) -> None:
        deadline = self.execution.next_deadline_ts_ns()
        self._next_deadline_ts_ns = _NEVER if deadline is None else deadline
        self._set_wake()

    def _set_wake(self) -> None:
        wake = self._next_deadline_ts_ns
        if self._has_timers:
            wake = min(wake, self._next_minute_ts_ns)
        if self._builders:
            # Every minute is final a grace after the next full minute.
            grace_ns = self._settings.grace_ns
            since = self.now_ts_ns - grace_ns
            wake = min(wake, since - since % MINUTE_NS + MINUTE_NS + grace_ns)
        self._wake_ts_ns = wake

    def _on_time(self, event: TimeAdvanced, draft: Draft | None) -> Step:
        return self._begin(event.received_ts_ns, draft).seal()

    # --- market data ---------------------------------------------------------------------------------------

    def _on_tick(self, tick: Tick, draft: Draft | None) -> Step:
        key = tick.instrument_id
        builder = self._builders.get(key) or self._new_builder(key, tick.received_ts_ns)
        bars = builder.on_tick(tick)
        if bars is None and draft is None and not self._watched:
            return EMPTY_STEP
        return self._seal_made(builder, bars, tick, draft)

    def _on_correction(self, change: TickCorrected | TickCanceled, draft: Draft | None) -> Step:
        key = change.instrument_id
        builder = self._builders.get(key) or self._new_builder(key, change.received_ts_ns)
        bars = builder.on_correction(change)
        if bars is None and draft is None:
            return EMPTY_STEP
        return self._seal_made(builder, bars, change, draft)

    def _seal_made(
        self,
        builder: BarBuilder,
        bars: Sequence[Bar] | None,
        event: Tick | TickCorrected | TickCanceled,
        draft: Draft | None,
    ) -> Step:
        # What a print adds stands before the count of refusals, in a replay as well.
        woken = draft is not None
        draft = self._begin(event.received_ts_ns, draft)
        for bar in bars or ():
            self._finish_bar(bar, draft)
        draft.facts += builder.take_gaps()
        if woken:
            self._makers.report_refusals(draft)
        if isinstance(event, Tick):
            self._watch_print(event, draft)
        return draft.seal()

    def _watch_print(self, tick: Tick, draft: Draft) -> None:
        # A print that sets no last price, such as an average of others, is nothing to sell at.
        if self._watched and sets_last(tick, self._settings.tape, self._markets[tick.instrument_id].sessions):
            self._watch(tick.instrument_id, tick.price, draft)

    def _on_quote(self, quote: Quote, draft: Draft | None) -> Step:
        key = quote.instrument_id
        builder = self._builders.get(key) or self._new_builder(key, quote.received_ts_ns)
        bars = builder.on_quote(quote)
        market = self._markets[quote.instrument_id]
        market.see_quote(quote)
        if bars is None and draft is None and not market.quote_bindings and not self._watched:
            return EMPTY_STEP
        draft = self._begin(quote.received_ts_ns, draft)
        for bar in bars or ():
            self._finish_bar(bar, draft)
        # A sale is made at the bid.
        self._watch(quote.instrument_id, quote.bid, draft)
        self._show_quote(quote, draft)
        return draft.seal()

    def _show_quote(self, quote: Quote, draft: Draft) -> None:
        market = self._markets[quote.instrument_id]
        for binding, strategy, context in market.quote_bindings:
            # What a strategy has seen changes it, so the step is kept even where it yields nothing.
            draft.is_kept = True
            self._take(market, binding, strategy.on_quote(quote, context), draft)

    def _new_builder(self, instrument_id: InstrumentId, ts_ns: int) -> BarBuilder:
        builder = self._makers.add(instrument_id, self._market(instrument_id))
        self._builders = self._makers.by_instrument
        self.now_ts_ns = max(self.now_ts_ns, ts_ns)
        self._set_wake()
        return builder

    def _on_interrupted(self, event: FeedInterrupted, draft: Draft | None) -> Step:
        draft = self._begin(event.received_ts_ns, draft)
        self._market(event.instrument_id)
        self._makers.interrupt(event, draft)
        return draft.seal()

    # --- bars and strategies -------------------------------------------------------------------------------

    def _on_bar_closed(self, event: BarClosed, draft: Draft | None) -> Step:
        ts_ns = event.received_ts_ns
        self.now_ts_ns = ts_ns
        if draft is None:
            draft = Draft(ts_ns)
        bar = event.bar
        if bar.start_ts_ns > self._market(bar.instrument_id).last_start_ts_ns:
            self._finish_bar(bar, draft)
        else:
            refuse(bar.instrument_id, {"late": 1}, draft)
        return _new_step(Step, (tuple(draft.facts), tuple(draft.commands)))

    def _finish_bar(self, bar: Bar, draft: Draft) -> None:
        if bar.revision:
            # A fact for the record: strategies and marks keep what they saw.
            draft.facts.append(bar)
            return
        market = self._markets[bar.instrument_id]
        start_ts_ns = bar.start_ts_ns
        market.last_start_ts_ns = start_ts_ns
        market.previous_bar = market.last_bar
        market.last_bar = bar
        draft.facts.append(bar)
        is_regular = bar.session_kind is _REGULAR
        if is_regular and not market.open_ts_ns <= start_ts_ns < market.close_ts_ns:
            self._new_session(market, bar, draft)
        self.ledger.mark(bar.instrument_id, bar.close, draft)
        if self.ledger.equity is not self._watched_equity:
            self._watch_equity(draft)
        if self._watched and is_regular:
            self._learn(bar.instrument_id, bar.close, draft)
        for binding, on_bar, context in market.on_bars if is_regular else market.extended_on_bars:
            signals = on_bar(bar, context)
            if signals:
                self._take(market, binding, signals, draft)

    def _watch(self, instrument_id: InstrumentId, price: float, draft: Draft) -> None:
        levels = self._watched.get(instrument_id)
        if levels is not None and not levels.below < price < levels.above and 0 < price < _NEVER:
            self._learn(instrument_id, price, draft)

    def _learn(self, instrument_id: InstrumentId, price: float, draft: Draft) -> None:
        # A print may carry the noise of somebody's float arithmetic; no order price is finer than the column.
        known = exact(round(price, PRICE_DECIMALS))
        self.desk.fulfil(self.execution.on_price(instrument_id, known, draft), draft)
        self._set_next_deadline()

    def _new_session(self, market: Market, bar: Bar, draft: Draft) -> None:
        session = market.session_of(bar)
        is_first = not market.close_ts_ns
        market.open_ts_ns, market.close_ts_ns = session.open_ts_ns, session.close_ts_ns
        for _, _, context in market.bindings:
            context.session = session
            context.session_number += not is_first
        self.desk.guard.start_session(session, draft)

    def _take(self, market: Market, binding: StrategyBinding, signals: Sequence[Signal], draft: Draft) -> None:
        # Before the first bar there is no price to size by, so nothing can be wanted yet.
        if not signals or market.last_bar is None:
            return
        self.desk.take_signals(
            binding,
            signals,
            bar_start_ts_ns=market.last_bar.start_ts_ns,
            reference_price=exact(market.last_bar.close),
            draft=draft,
        )
        self.desk.guard.count_messages(draft)
        self._set_next_deadline()

    # Called where the worth of the account has changed, which is while something is held.
    def _watch_equity(self, draft: Draft) -> None:
        if self.ledger.equity is not self._watched_equity:
            self._watched_equity = self.ledger.equity
            self.desk.guard.watch_equity(draft)
        if len(draft.commands) > draft.messages_counted:
            self.desk.guard.count_messages(draft)
            self._set_next_deadline()

    # Called after reports and deadlines, which can bring errors and end round trips.
    def _observe(self, draft: Draft, *, since: int = 0) -> None:
        seen, draft.facts_observed = draft.facts[since:], len(draft.facts)
        self.desk.guard.watch_facts(seen, draft)
        self._watch_equity(draft)

    # --- reports of the venue ------------------------------------------------------------------------------

    def _on_report(self, report: VenueReport, draft: Draft | None) -> Step:
        draft = self._begin(report.received_ts_ns, draft)
        self._take_report(report, draft, since=len(draft.facts))
        self._set_next_deadline()
        return draft.seal()

    def _on_venue(self, event: AccountListed | LifeEvent, draft: Draft | None) -> Step:
        draft = self._begin(event.received_ts_ns, draft)
        draft.facts_observed = len(draft.facts)
        if isinstance(event, AccountListed):
            self.reconciler.take(event, draft)
        elif isinstance(event, EngineStarted):
            self.reconciler.start(event, draft)
        else:
            self.desk.cancel_entries(ACCOUNT, draft)
        self._observe(draft, since=draft.facts_observed)
        self.desk.guard.count_messages(draft)
        self._set_next_deadline()
        return draft.seal()

    def _take_listed(self, report: VenueReport, draft: Draft) -> None:
        self._take_report(report, draft, since=draft.facts_observed)

    def _take_report(self, report: VenueReport, draft: Draft, *, since: int) -> None:
        order = self.execution.order(report.client_order_id)
        if order is None:
            if isinstance(report, OrderFilled):
                self.ledger.book_unmatched(report, draft)
            self.desk.halt(ACCOUNT, f"the venue reports order {report.client_order_id}, which is not ours", draft)
            return
        if isinstance(report, OrderNotListed):
            self.reconciler.take_absence(report, order, draft)
            self._observe(draft, since=since)
            return
        state_before = order.state
        execution = self.execution.apply(report, order, draft)
        if execution is not None:
            fees = report.fees if isinstance(report, OrderFilled) else ()
            execution = self.desk.book(order, execution, fees, draft)
        if execution is not None or order.state is not state_before:
            self.desk.react(order, execution, draft)
        self._observe(draft, since=since)
        if execution is not None and isinstance(report, OrderFilled):
            self._tell_strategies(report, order, draft)

    def _tell_strategies(self, fill: OrderFilled, order: WorkingOrder, draft: Draft) -> None:
        market = self._markets[order.instrument_id]
        for binding, strategy, context in market.bindings:
            if binding.strategy_id == order.strategy_id:
                self._take(market, binding, strategy.on_fill(fill, context), draft)

    # --- operators and money -------------------------------------------------------------------------------

    def _on_books(self, event: BookEvent, draft: Draft | None) -> Step:
        draft = self._begin(event.received_ts_ns, draft)
        self._bookkeeper.take(event, draft)
        self._set_next_deadline()
        if isinstance(event, AccountFunded):
            self.desk.guard.breakers.fund(event.amount)
        self._watch_equity(draft)
        return draft.seal()

    # --- what the exchange, the shell and operators say ----------------------------------------------------

    def _on_told(self, event: InstrumentStatus | HealthReported | OperatorCommand, draft: Draft | None) -> Step:
        draft = self._begin(event.received_ts_ns, draft)
        if isinstance(event, HealthReported):
            self.desk.guard.take_health(event, draft)
        elif isinstance(event, InstrumentStatus):
            self._market(event.instrument_id)
            self.desk.take_status(event, draft)
        else:
            self.desk.operate(event, draft)
        self._set_next_deadline()
        return draft.seal()

    def _market(self, instrument_id: InstrumentId) -> Market:
        return market_of(self._markets, instrument_id)
