"""What a live view keeps of a run: its orders, positions, signals and round trips, and the figures of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.core.execution.order_table import OPEN_STATES, OrderState
from engine.core.messages import OrderCreated
from engine.core.values import ZERO, InstrumentId, StrategyId

_TRAIL_POINTS_MAX: Final = 256


@dataclass(slots=True, kw_only=True)
class SignalLine:
    """Hold one signal and what became of it; or a refusal of an exit, which has no signal of its own."""

    ts_ns: int
    symbol: str
    kind: str
    reason: str
    outcome: str = ""
    #: None where nothing was decided.
    approved: bool | None = None


@dataclass(slots=True, kw_only=True)
class OrderLine:
    """Hold one order as its facts left it."""

    created: OrderCreated
    state: str = OrderState.NEW.value
    filled: Decimal = ZERO
    #: Paid or received for what was filled.
    notional: Decimal = ZERO
    cancel_requested: bool = False
    #: What was said about it last: why it was canceled, refused, ...
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Return whether the order may still fill."""
        return self.state in OPEN_STATES

    @property
    def price(self) -> Decimal | None:
        """Return the average price of what was filled, else the order's own price; None for a market order."""
        if self.filled:
            return self.notional / self.filled
        own = self.created
        return own.limit_price if own.limit_price is not None else own.stop_price


@dataclass(slots=True, kw_only=True)
class PositionLine:
    """Hold what one strategy has of one instrument."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    quantity: Decimal
    cost: Decimal


@dataclass(slots=True, kw_only=True)
class TripLine:
    """Hold one bracket from its first fill on; `reason` is "" until it is closed."""

    symbol: str
    #: Profit after fees, so far.
    net: Decimal = ZERO
    reason: str = ""
    #: The profit with which it was counted.
    counted_net: Decimal = ZERO


@dataclass(slots=True)
class TripCount:
    """Count the round trips that ended for one reason; money after fees."""

    count: int = 0
    wins: int = 0
    net: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Hold the figures of a run; money exact."""

    bars: int
    signals: int
    approved: int
    refused: int
    orders: int
    fills: int
    #: By exit reason: how many, how many of them won, and their profit after fees.
    round_trips: Mapping[str, TripCount]
    fees: Decimal
    #: Equity minus the money that came in: open positions count at their last close.
    net_pnl: Decimal
    final_equity: Decimal
    #: As a fraction of the highest equity before it, at or above zero.
    max_drawdown: Decimal
    open_positions: int
    gaps: int
    inputs_refused: int
    #: Executions that are in no position, and sales of what was not paid for with settled money.
    suspense: int
    good_faith: int


class Trail:
    """Keep the shape of a curve in few points: when they are too many, every other one goes."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._stride = 1
        self._since = 0

    def add(self, value: float) -> None:
        """Take the next value; the last one is always kept."""
        if self._since and self.values:
            self.values[-1] = value
        else:
            self.values.append(value)
        self._since = (self._since + 1) % self._stride
        if len(self.values) > _TRAIL_POINTS_MAX:
            # An odd number of points, so that the first and the last stay.
            self.values = self.values[::2]
            self._stride *= 2
            self._since = 0
