"""What a run looks like so far, from the facts of its steps alone. Nothing is drawn here, and no clock is read."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from engine.cli.live_values import OrderLine, PositionLine, RunTotals, SignalLine, Trail, TripCount, TripLine
from engine.cli.live_warnings import Warnings
from engine.cli.tables import new_york
from engine.core.execution.bracket_table import FINAL_STATES, BracketState
from engine.core.messages import (
    Bar,
    BracketOpened,
    BracketPlanned,
    BracketTransitioned,
    CashMoved,
    CheckResult,
    DecisionMade,
    EquityMarked,
    Event,
    ExternalOrderSeen,
    FeeCharged,
    GapMarked,
    InputsRefused,
    LotClosed,
    OrderCreated,
    OrderTransitioned,
    PositionAdjusted,
    PositionChanged,
    QuoteConsulted,
    SignalEmitted,
    SignalKind,
    SignalRefused,
    Step,
    SymbolChanged,
    TradeBooked,
    TradingState,
    TradingStateChanged,
)
from engine.core.values import ZERO, Instrument, InstrumentId, Leg, SessionKind, StrategyId, exact, notional

#: Of each instrument; a view shows as many as it has room for.
BARS_KEPT: Final = 24
_CLOSES_KEPT: Final = 60
_SIGNALS_KEPT: Final = 12
_ORDERS_KEPT: Final = 40
_TRIPS_KEPT: Final = 1_000
#: Facts that no panel shows: they are details of a trade, an entry or a decision that one shows, and are in the tables.
#: Of an adjustment the position that it leaves is shown, and an order that is not ours halts, with its words.
UNSHOWN: Final[frozenset[type]] = frozenset(
    {BracketPlanned, ExternalOrderSeen, FeeCharged, LotClosed, PositionAdjusted, QuoteConsulted, SignalRefused}
)
_SEVERITY: Final = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


@dataclass(slots=True)
class Lane:
    """Hold the last bars of one instrument."""

    instrument: Instrument
    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=BARS_KEPT))
    #: For a curve of the last hour.
    closes: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOSES_KEPT))

    @property
    def last(self) -> Decimal | None:
        """Return the last close."""
        return exact(self.bars[-1].close) if self.bars else None


class RunState:
    """Follow a run step by step."""

    def __init__(self, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self.lanes = {key: Lane(instrument) for key, instrument in instruments.items()}
        self.zone = new_york()
        #: The zone of shown times; None for UTC.
        self.shown_zone = self.zone if any(made.calendar != "24/7" for made in instruments.values()) else None
        self.now_ts_ns = 0
        self.counts: Counter[str] = Counter()
        self.signals: deque[SignalLine] = deque(maxlen=_SIGNALS_KEPT)
        self.orders: dict[int, OrderLine] = {}
        self.positions: dict[tuple[StrategyId, InstrumentId], PositionLine] = {}
        self.trips: dict[int, TripLine] = {}
        self.trip_counts: dict[str, TripCount] = {}
        self.trail = Trail()
        self.fees = ZERO
        self.deposits = ZERO
        self.max_drawdown = ZERO
        self._marked_equity: Decimal | None = None
        self._peak = ZERO
        self._session_start_equity = ZERO
        self._session_until_ts_ns = 0
        self._states: dict[tuple[StrategyId | None, InstrumentId | None], TradingStateChanged] = {}
        self.warnings = Warnings(self.counts, self._symbol)
        # Signals of the current step, whose decisions follow in it.
        self._fresh: dict[int, SignalLine] = {}
        # `Any`: each handler takes its own fact, and the key proves which.
        self._handlers: dict[type, Callable[[Any], None]] = {
            Bar: self._bar,
            GapMarked: self._gap,
            InputsRefused: self._inputs_refused,
            SignalEmitted: self._signal,
            DecisionMade: self._decision,
            OrderCreated: self._order_created,
            OrderTransitioned: self._order_moved,
            BracketOpened: self._bracket_opened,
            BracketTransitioned: self._bracket_moved,
            TradeBooked: self._trade,
            PositionChanged: self._position,
            CashMoved: self._cash,
            EquityMarked: self._equity,
            TradingStateChanged: self._trading_state,
            SymbolChanged: self._renamed,
            **self.warnings.handlers,
        }
        #: What a panel shows.
        self.kinds: frozenset[type] = frozenset(self._handlers)

    def take(self, event: Event, step: Step) -> None:
        """Take in one step."""
        self.now_ts_ns = max(self.now_ts_ns, event.received_ts_ns)
        if self._fresh:
            self._fresh = {}
        for fact in step.facts:
            handler = self._handlers.get(fact.__class__)
            if handler is not None:
                handler(fact)

    # --- what a view asks ----------------------------------------------------------------------------------

    @property
    def equity(self) -> Decimal:
        """Return the equity at the last mark; before the first one, the money that came in."""
        return self.deposits if self._marked_equity is None else self._marked_equity

    @property
    def net_pnl(self) -> Decimal:
        """Return the equity minus the money that came in."""
        return self.equity - self.deposits

    @property
    def session_pnl(self) -> Decimal:
        """Return the equity minus what it was when the session began."""
        return self.equity - self._session_start_equity

    def trading_state(self) -> tuple[TradingState, TradingStateChanged | None]:
        """Return the strictest trading state of any scope, and the fact that set it."""
        if not self._states:
            return TradingState.ACTIVE, None
        fact = max(self._states.values(), key=lambda changed: _SEVERITY[changed.to_state])
        return fact.to_state, fact

    def restrictions(self) -> list[str]:
        """Return a line per scope that may not trade freely, with the reason, and what else a human has to look at."""
        lines = []
        for (strategy_id, instrument_id), fact in self._states.items():
            symbol = self._symbol(instrument_id)
            scope = " ".join(each for each in (strategy_id, symbol) if each) or "account"
            lines.append(f"{fact.to_state.name} {scope}: {fact.reason} ({fact.source})")
        return lines + self.warnings.lines()

    def _symbol(self, instrument_id: InstrumentId | None) -> str:
        lane = None if instrument_id is None else self.lanes.get(instrument_id)
        return "" if lane is None else lane.instrument.symbol

    def recent_orders(self, count: int) -> list[OrderLine]:
        """Return orders, newest first: those that may still fill, and as many others as there is room for."""
        working = [key for key, order in self.orders.items() if order.is_open][-count:]
        others = [key for key, order in self.orders.items() if not order.is_open]
        room = count - len(working)
        chosen = sorted([*working, *(others[-room:] if room else ())], reverse=True)
        return [self.orders[key] for key in chosen]

    def exits_of(self, position: PositionLine, leg: Leg) -> Iterator[Decimal]:
        """Yield the prices of the open stops, or targets, of a position."""
        key = (position.strategy_id, position.instrument_id)
        for order in self.orders.values():
            made = order.created
            if made.leg is leg and order.is_open and (made.strategy_id, made.instrument_id) == key:
                own = made.stop_price if leg is Leg.STOP else made.limit_price
                if own is not None:
                    yield own

    def unrealized(self, position: PositionLine) -> Decimal:
        """Return the profit of an open position at the last close, before fees."""
        last = self.lanes[position.instrument_id].last
        return ZERO if last is None else notional(last, position.quantity) - position.cost

    def fresh_signal(self, signal_id: int) -> SignalLine | None:
        """Return a signal of the latest step with what became of it."""
        return self._fresh.get(signal_id)

    def totals(self) -> RunTotals:
        """Return the figures of the run so far."""
        counts = self.counts
        return RunTotals(
            bars=counts["bars"],
            signals=counts["signals"],
            approved=counts["approved"],
            refused=counts["refused"],
            orders=counts["orders"],
            fills=counts["fills"],
            round_trips={
                reason: TripCount(c.count, c.wins, c.net) for reason, c in self.trip_counts.items() if c.count
            },
            fees=self.fees,
            net_pnl=self.net_pnl,
            final_equity=self.equity,
            max_drawdown=self.max_drawdown,
            open_positions=len(self.positions),
            gaps=counts["gaps"],
            inputs_refused=counts["inputs_refused"],
            suspense=counts["suspense"],
            good_faith=counts["good_faith"],
        )

    # --- market --------------------------------------------------------------------------------------------

    def _bar(self, bar: Bar) -> None:
        if bar.revision:
            # The screen shows what strategies saw.
            return
        lane = self.lanes[bar.instrument_id]
        bars = lane.bars
        if bars and bars[-1].start_ts_ns == bar.start_ts_ns:
            bars[-1] = bar
        else:
            bars.append(bar)
            lane.closes.append(bar.close)
            self.counts["bars"] += 1
        if bar.start_ts_ns >= self._session_until_ts_ns and bar.session_kind is SessionKind.REGULAR:
            self._new_session(bar)

    # A session is a day of its exchange: bars know no calendar, and a regular bar lies within one day of its zone.
    def _new_session(self, bar: Bar) -> None:
        zone = self.zone_of(bar.instrument_id)
        date = datetime.fromtimestamp(bar.start_ts_ns // 1_000_000_000, UTC).astimezone(zone).date()
        midnight = datetime.combine(date + timedelta(days=1), datetime.min.time(), zone)
        self._session_until_ts_ns = int(midnight.timestamp()) * 1_000_000_000
        self._session_start_equity = self.equity

    def zone_of(self, instrument_id: InstrumentId) -> tzinfo:
        """Return the zone in which the sessions of an instrument are days."""
        instrument = self.lanes[instrument_id].instrument
        return UTC if instrument.calendar == "24/7" or self.zone is None else self.zone

    def _renamed(self, fact: SymbolChanged) -> None:
        lane = self.lanes[fact.instrument_id]
        lane.instrument = replace(lane.instrument, symbol=fact.to_symbol)
        for position in self.positions.values():
            if position.instrument_id == fact.instrument_id:
                position.symbol = fact.to_symbol

    def _gap(self, _fact: GapMarked) -> None:
        self.counts["gaps"] += 1

    def _inputs_refused(self, fact: InputsRefused) -> None:
        self.counts["inputs_refused"] += fact.count

    # --- signals and decisions -----------------------------------------------------------------------------

    def _signal(self, fact: SignalEmitted) -> None:
        signal = fact.signal
        line = SignalLine(ts_ns=fact.ts_ns, symbol=fact.symbol, kind=signal.kind.value, reason=signal.reason)
        if signal.kind is not SignalKind.ENTER:
            line.outcome = "nothing to do"
        self._fresh[fact.signal_id] = line
        self.signals.append(line)
        self.counts["signals"] += 1

    def _decision(self, fact: DecisionMade) -> None:
        self.counts["approved" if fact.approved else "refused"] += 1
        line = self._fresh.get(fact.signal_id) if fact.leg is Leg.ENTRY and fact.signal_id is not None else None
        if line is None:
            if fact.approved:
                return
            line = SignalLine(ts_ns=fact.ts_ns, symbol=fact.symbol, kind=fact.leg.value, reason="")
            self.signals.append(line)
        line.approved = fact.approved
        line.outcome = f"approved {fact.quantity:,f}" if fact.approved else _refusal(fact)

    # --- orders and brackets -------------------------------------------------------------------------------

    def _order_created(self, fact: OrderCreated) -> None:
        self.counts["orders"] += 1
        self.orders[fact.order_id] = OrderLine(created=fact)
        if len(self.orders) > _ORDERS_KEPT:
            ended = next((key for key, order in self.orders.items() if not order.is_open), None)
            if ended is not None:
                del self.orders[ended]

    def _order_moved(self, fact: OrderTransitioned) -> None:
        order = self.orders.get(fact.order_id)
        if order is not None:
            order.state = fact.to_state
            order.cancel_requested = fact.cancel_requested
            order.reason = fact.reason or order.reason
        if fact.trigger == "cancel_requested":
            self._say_leaving("canceling")

    def _bracket_opened(self, fact: BracketOpened) -> None:
        self.trips[fact.bracket_id] = TripLine(symbol=fact.symbol)
        if len(self.trips) > _TRIPS_KEPT:
            del self.trips[next(iter(self.trips))]

    def _bracket_moved(self, fact: BracketTransitioned) -> None:
        if fact.trigger in {"exit_wanted", "exit_decided"}:
            self._say_leaving("leaving")
        trip = self.trips.get(fact.bracket_id)
        if trip is None:
            return
        if trip.reason and fact.to_state not in FINAL_STATES:
            self._count_trip(trip, -1)
            trip.reason = ""
        elif not trip.reason and fact.to_state == BracketState.CLOSED and fact.entered_quantity:
            trip.reason, trip.counted_net = fact.exit_reason or "unknown", trip.net
            self._count_trip(trip, 1)

    def _count_trip(self, trip: TripLine, by: int) -> None:
        count = self.trip_counts.setdefault(trip.reason, TripCount())
        count.count += by
        count.wins += by if trip.counted_net > 0 else 0
        count.net += by * trip.counted_net

    def _say_leaving(self, outcome: str) -> None:
        for line in self._fresh.values():
            if line.kind != SignalKind.ENTER:
                line.outcome, line.approved = outcome, True

    # --- books ---------------------------------------------------------------------------------------------

    def _trade(self, fact: TradeBooked) -> None:
        sign = -1 if fact.is_bust else 1
        self.counts["fills"] += sign
        self.fees += sign * fact.fee
        trip = self.trips.get(fact.bracket_id)
        if trip is not None:
            trip.net += fact.realized_pnl - sign * fact.fee
        order = self.orders.get(fact.order_id)
        if order is not None:
            order.filled += sign * fact.quantity
            order.notional += sign * notional(fact.price, fact.quantity)

    def _position(self, fact: PositionChanged) -> None:
        key = (fact.strategy_id, fact.instrument_id)
        self.positions.pop(key, None)
        if fact.quantity:
            self.positions[key] = PositionLine(
                strategy_id=fact.strategy_id,
                instrument_id=fact.instrument_id,
                symbol=fact.symbol,
                quantity=fact.quantity,
                cost=fact.cost,
            )

    def _cash(self, fact: CashMoved) -> None:
        self.deposits += fact.amount
        self._peak += fact.amount
        self._session_start_equity += fact.amount
        if self._marked_equity is not None:
            self._marked_equity += fact.amount

    def _equity(self, fact: EquityMarked) -> None:
        self._marked_equity = fact.equity
        self.trail.add(float(fact.equity))
        if fact.equity > self._peak:
            self._peak = fact.equity
        elif self._peak > 0:
            self.max_drawdown = max(self.max_drawdown, (self._peak - fact.equity) / self._peak)

    def _trading_state(self, fact: TradingStateChanged) -> None:
        scope = (fact.strategy_id, fact.instrument_id)
        if fact.to_state is TradingState.ACTIVE:
            self._states.pop(scope, None)
        else:
            self._states[scope] = fact


def _refusal(fact: DecisionMade) -> str:
    refusing: CheckResult | None = next((check for check in fact.checks if not check.passed), None)
    if refusing is None or refusing.limit == "-":
        return f"refused: {fact.reason}"
    return f"refused: {fact.reason} ({_short(refusing.value)} of {_short(refusing.limit)})"


def _short(value: Decimal | int | str) -> str:
    return f"{value:,.6g}" if isinstance(value, Decimal) else str(value)
