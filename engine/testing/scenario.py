"""A scripted account: one instrument, one strategy that does as it is told, and a hand that plays the venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.settings import Deadlines
from engine.core.messages import (
    AccountFunded,
    Bar,
    BarClosed,
    CancelOrder,
    CancelRejected,
    Command,
    Event,
    Fact,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    QueryOrder,
    Quote,
    Signal,
    SignalKind,
    Step,
    SubmitOrder,
    Tick,
    TimeAdvanced,
    TradingState,
    TradingStateChanged,
)
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.pipeline.entries import EntryRules
from engine.core.risk.limits import Limits
from engine.core.signals import Context
from engine.core.values import (
    MINUTE_NS,
    AccountId,
    ClientOrderId,
    ExecutionId,
    InstrumentId,
    OrderType,
    SessionKind,
    SessionTable,
    StrategyId,
    instrument_from_symbol,
)
from engine.testing.typed import require_typed

FactT = TypeVar("FactT")

#: 2024-03-26 and 2024-03-27, 13:30 to 20:00 UTC.
OPEN_TS_NS: Final = 1_711_459_800_000_000_000
DAY_NS: Final = 86_400_000_000_000
SESSION_NS: Final = 390 * MINUTE_NS
TWO_SESSIONS: Final = SessionTable(
    "XNYS",
    dates=("2024-03-26", "2024-03-27"),
    opens=(OPEN_TS_NS, OPEN_TS_NS + DAY_NS),
    closes=(OPEN_TS_NS + SESSION_NS, OPEN_TS_NS + DAY_NS + SESSION_NS),
)
STRATEGY: Final = StrategyId("scripted")
SPY: Final = InstrumentId(1)


class ScriptedStrategy:
    """Want at each minute what the script says: a mapping from the minute's number to a signal."""

    extended_hours = False
    wants_quotes = False
    wants_timer = False
    warm_up_bars: int | None = 0

    def __init__(self, script: Mapping[int, Signal], *, on_fill: Sequence[Signal] = ()) -> None:
        self._script = script
        self._on_fill = on_fill
        #: Whether the strategy saw itself flat, by minute.
        self.was_flat: dict[int, bool] = {}

    def on_bar(self, bar: Bar, context: Context) -> Sequence[Signal]:
        """Return the scripted signal of a bar."""
        minute = (bar.start_ts_ns - OPEN_TS_NS) // MINUTE_NS
        self.was_flat[minute] = context.is_flat
        wanted = self._script.get(minute)
        return () if wanted is None else (wanted,)

    def on_fill(self, fill: OrderFilled, context: Context) -> Sequence[Signal]:
        """Return what is scripted for every fill."""
        del fill, context
        return self._on_fill

    def on_quote(self, quote: Quote, context: Context) -> Sequence[Signal]:
        """Want nothing."""
        del quote, context
        return ()

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        """Want nothing."""
        del ts_ns, context
        return ()


def enter(*, stop_distance: float = 1.5, target_distance: float | None = 3.0, limit: float | None = None) -> Signal:
    """Return a signal to buy with a bracket; at market, or at a limit."""
    return Signal(
        kind=SignalKind.ENTER,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        stop_distance=stop_distance,
        target_distance=target_distance,
        reason="script",
    )


def leave(reason: str = "time") -> Signal:
    """Return a signal to sell everything."""
    return Signal(kind=SignalKind.EXIT, reason=reason)


class Scenario:
    """Play an account by hand: bars in, commands out, reports back. Prices near 100, 100,000 in cash."""

    def __init__(
        self,
        script: Mapping[int, Signal],
        *,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
        entry_rules: EntryRules | None = None,
        exit_style: ExitStyle = ExitStyle.BOTH_LEGS,
        on_fill: Sequence[Signal] = (),
    ) -> None:
        self.strategy = ScriptedStrategy(script, on_fill=on_fill)
        self.pipeline = Pipeline(
            PipelineSettings(
                account_id=AccountId(1),
                namespace=UUID(int=1),
                instruments={SPY: instrument_from_symbol("SPY", 1)},
                sessions={SPY: TWO_SESSIONS},
                strategies=[StrategyBinding(strategy_id=STRATEGY, instrument_id=SPY, strategy=self.strategy)],
                limits=limits or Limits(),
                deadlines=deadlines or Deadlines(),
                entry_rules=entry_rules or EntryRules(),
                exit_style=exit_style,
            )
        )
        self.now_ts_ns = OPEN_TS_NS
        self.events: list[Event] = []
        self.outcomes: list[Step] = []
        self.facts: list[Fact] = []
        self.commands: list[Command] = []
        self.give(
            AccountFunded(
                venue_ts_ns=self.now_ts_ns, received_ts_ns=self.now_ts_ns, amount=Decimal(100_000), source="test"
            )
        )

    def give(self, event: Event) -> Step:
        """Step one event and remember everything."""
        self.events.append(event)
        step = self.pipeline.step(event)
        require_typed(step)
        self.outcomes.append(step)
        self.facts += step.facts
        self.commands += step.commands
        return step

    def bar(self, minute: int, close: float = 100.0) -> Step:
        """Close the bar of a minute of the first session."""
        start = OPEN_TS_NS + minute * MINUTE_NS
        self.now_ts_ns = start + MINUTE_NS
        bar = Bar(
            instrument_id=SPY,
            start_ts_ns=start,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1000.0,
            vwap=close,
            session_kind=SessionKind.REGULAR,
        )
        return self.give(BarClosed(bar=bar, venue_ts_ns=self.now_ts_ns, received_ts_ns=self.now_ts_ns))

    def tick(self, price: float, *, seconds: int = 1) -> Step:
        """Print a price on the tape, some seconds later."""
        self.now_ts_ns += seconds * 1_000_000_000
        now = self.now_ts_ns
        return self.give(Tick(venue_ts_ns=now, received_ts_ns=now, instrument_id=SPY, price=price, size=1.0))

    def quote(self, bid: float, *, seconds: int = 1) -> Step:
        """Quote a bid, and an ask two cents above it, some seconds later."""
        self.now_ts_ns += seconds * 1_000_000_000
        return self.give(Quote(**self._times(), instrument_id=SPY, bid=bid, ask=bid + 0.02, bid_size=1.0, ask_size=1.0))

    def wait(self, seconds: int) -> Step:
        """Let time pass without market data."""
        self.now_ts_ns += seconds * 1_000_000_000
        return self.give(TimeAdvanced(venue_ts_ns=self.now_ts_ns, received_ts_ns=self.now_ts_ns))

    def ack(self, order: SubmitOrder) -> Step:
        """Say that the venue has accepted an order."""
        return self.give(
            OrderAcknowledged(**self._times(), client_order_id=order.client_order_id, venue_order_id="v-1")
        )

    def fill(self, order: SubmitOrder, price: str, quantity: str | None = None, *, execution: str = "") -> Step:
        """Say that an order was filled, wholly unless a quantity is given."""
        amount = order.quantity if quantity is None else Decimal(quantity)
        return self.give(
            OrderFilled(
                **self._times(),
                client_order_id=order.client_order_id,
                execution_id=ExecutionId(execution or f"{order.client_order_id}:{len(self.events)}"),
                price=Decimal(price),
                quantity=amount,
                fee=Decimal(0),
            )
        )

    def cancel(self, order: SubmitOrder) -> Step:
        """Say that an order was canceled."""
        return self._ended(OrderCanceled, order.client_order_id)

    def reject(self, order: SubmitOrder) -> Step:
        """Say that an order was refused."""
        return self._ended(OrderRejected, order.client_order_id)

    def expire(self, order: SubmitOrder) -> Step:
        """Say that an order expired."""
        return self._ended(OrderExpired, order.client_order_id)

    def refuse_cancel(self, order: SubmitOrder) -> Step:
        """Say that an order which the venue has could not be canceled."""
        return self.give(
            CancelRejected(**self._times(), client_order_id=order.client_order_id, reason="test", is_known=True)
        )

    def submitted(self) -> list[SubmitOrder]:
        """Return the orders that were sent, oldest first."""
        return [command for command in self.commands if isinstance(command, SubmitOrder)]

    def canceled(self) -> list[ClientOrderId]:
        """Return the orders whose cancel was asked for."""
        return [command.client_order_id for command in self.commands if isinstance(command, CancelOrder)]

    def asked(self, order: SubmitOrder) -> int:
        """Return how often an order was asked about."""
        return sum(
            isinstance(command, QueryOrder) and command.client_order_id == order.client_order_id
            for command in self.commands
        )

    def halts(self) -> list[str]:
        """Return the reasons of all halts, oldest first."""
        return [fact.reason for fact in self.made(TradingStateChanged) if fact.to_state is TradingState.HALTED]

    def made(self, kind: type[FactT]) -> list[FactT]:
        """Return the facts of one type, oldest first."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def _ended(
        self, kind: Callable[..., OrderCanceled | OrderRejected | OrderExpired], client_order_id: ClientOrderId
    ) -> Step:
        return self.give(kind(**self._times(), client_order_id=client_order_id, reason="test"))

    def _times(self) -> dict[str, Any]:
        return {"venue_ts_ns": self.now_ts_ns, "received_ts_ns": self.now_ts_ns}
