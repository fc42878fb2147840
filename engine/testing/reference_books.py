"""The truth of the reference venue: its orders and executions, what is held, what is held back, and the money.

Nothing here knows time or chance. Every change of an order and of a position is kept with its moment, so that a
listing can show the account as it was a while ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    ListedExecution,
    ListedOrder,
    ListedPosition,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import ZERO, ClientOrderId, ExecutionId, InstrumentId, OrderType, Side, notional
from engine.testing.reference_temper import listed_status

_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)


@dataclass(slots=True, kw_only=True, eq=False)
class Execution:
    """Hold one execution."""

    execution_id: ExecutionId
    venue_order_id: str
    #: None for an order of somebody else.
    client_order_id: ClientOrderId | None
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    ts_ns: int
    #: True once the venue has taken it back.
    is_busted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class VenueOrder:
    """Hold the truth about one order; one client order id may have several where the venue does not dedupe."""

    venue_order_id: str
    client_order_id: ClientOrderId | None
    #: None for a symbol that the run does not know.
    instrument_id: InstrumentId | None
    #: What was asked for.
    command: SubmitOrder
    created_ts_ns: int
    #: What may still execute.
    remaining: Decimal
    filled: Decimal = ZERO
    #: The status in the venue's own words.
    word: str = "queued"
    is_open: bool = True
    is_triggered: bool = False
    is_awaiting_approval: bool = False
    #: At which price something may happen to it, and on which side of that; None: at any.
    wake_price: Decimal | None = None
    wakes_above: bool = False
    #: True where it is going to be refused late: until then it looks as if it worked.
    is_doomed: bool = False
    #: True once the fill of a linked order has lowered it.
    is_lowered: bool = False
    is_part_due: bool = False
    #: How many parts are left to fill; 0 before the first.
    parts_left: int = 0
    #: True where the venue cancels what its first part leaves.
    is_cut_short: bool = False
    #: True once a reply has told the engine's side the venue's own id of it.
    is_known: bool = False
    executions: list[Execution] = field(default_factory=list)
    #: Everything that there is to report of it, with the true moment of each.
    story: list[tuple[int, VenueReport]] = field(default_factory=list)
    #: How it was listed, from each moment on.
    versions: list[tuple[int, ListedOrder]] = field(default_factory=list)

    @property
    def is_sell(self) -> bool:
        """Return whether it sells."""
        return self.command.side is Side.SELL

    def set_wake_price(self) -> None:
        """Let it be looked at only from its stop on, or, once that has triggered, from its limit on."""
        command = self.command
        if command.stop_price is not None and not self.is_triggered:
            self.wake_price, self.wakes_above = command.stop_price, not self.is_sell
        else:
            self.wake_price, self.wakes_above = command.limit_price, self.is_sell

    def listed_at(self, ts_ns: int) -> ListedOrder | None:
        """Return how a listing showed it at a moment, or None before it was there."""
        for since_ts_ns, version in reversed(self.versions):
            if since_ts_ns <= ts_ns:
                return version
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OversellAttempt:
    """Hold a sell of ours that was sent beyond what was held and free."""

    ts_ns: int
    command: SubmitOrder
    position: Decimal
    #: What other working sells held back, linked ones counted once together with the command.
    held: Decimal
    #: Whether an execution of the symbol was ever taken back: the venue itself had broken its word.
    is_after_bust: bool


class ReferenceBooks:
    """Keep the account as the venue knows it."""

    def __init__(self, *, exit_style: ExitStyle, cash: Decimal, echoes_ids: bool) -> None:
        """Open an account that holds cash only."""
        self.exit_style = exit_style
        self.cash = cash
        #: By the venue's id, oldest first.
        self.orders: dict[str, VenueOrder] = {}
        self.by_client_id: dict[ClientOrderId, list[VenueOrder]] = {}
        self.executions: list[Execution] = []
        self.oversell_attempts: list[OversellAttempt] = []
        #: True once an execution has left less than nothing of a symbol of which none was ever taken back.
        self.short_ever = False
        #: True once a bust, or a sell after one, has.
        self.short_by_bust = False
        #: Symbols of which an execution was taken back.
        self.busted: dict[str, None] = {}
        self._echoes_ids = echoes_ids
        self._filled_by_link: dict[ClientOrderId, Decimal] = {}
        self._open: dict[str, dict[str, VenueOrder]] = {}
        self._positions: dict[str, Decimal] = {}
        # What was held from each moment on, and of which instrument.
        self._holdings: dict[str, tuple[InstrumentId | None, list[tuple[int, Decimal]]]] = {}

    # --- changes -------------------------------------------------------------------------------------------

    def add(self, order: VenueOrder) -> None:
        """Take a new order in."""
        order.set_wake_price()
        self.orders[order.venue_order_id] = order
        self._open.setdefault(order.command.symbol, {})[order.venue_order_id] = order
        if order.client_order_id is not None:
            self.by_client_id.setdefault(order.client_order_id, []).append(order)

    def close(self, order: VenueOrder) -> None:
        """Let an order work no longer."""
        order.is_open = False
        self._open[order.command.symbol].pop(order.venue_order_id, None)

    def execute(self, order: VenueOrder, quantity: Decimal, price: Decimal, ts_ns: int) -> Execution:
        """Book an execution: the order, the position and the money."""
        execution = Execution(
            execution_id=ExecutionId(f"x{len(self.executions) + 1}"),
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id,
            symbol=order.command.symbol,
            side=order.command.side,
            price=price,
            quantity=quantity,
            ts_ns=ts_ns,
        )
        self.executions.append(execution)
        order.executions.append(execution)
        order.remaining -= quantity
        order.filled += quantity
        if order.command.link is not None and self.exit_style is ExitStyle.BOTH_LEGS:
            self._filled_by_link[order.command.link] = self.filled_of_link(order.command) + quantity
        self._move(order, -quantity if order.is_sell else quantity, price, ts_ns)
        return execution

    def bust(self, order: VenueOrder, execution: Execution, ts_ns: int) -> None:
        """Take an execution back; the order does not work again for it."""
        execution.is_busted = True
        self.busted[execution.symbol] = None
        order.filled -= execution.quantity
        quantity = execution.quantity
        self._move(order, quantity if order.is_sell else -quantity, execution.price, ts_ns)

    def _move(self, order: VenueOrder, quantity: Decimal, price: Decimal, ts_ns: int) -> None:
        symbol = order.command.symbol
        held = self._positions.get(symbol, ZERO) + quantity
        self._positions[symbol] = held
        amount = notional(price, abs(quantity))
        self.cash += -amount if quantity > 0 else amount
        self._holdings.setdefault(symbol, (order.instrument_id, []))[1].append((ts_ns, held))
        if held < 0 and symbol in self.busted:
            self.short_by_bust = True
        elif held < 0:
            self.short_ever = True

    def note(self, order: VenueOrder, ts_ns: int, *, clock_offset_ns: int) -> None:
        """Keep how an order is listed from a moment on."""
        command = order.command
        listed = ListedOrder(
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id if self._echoes_ids else None,
            instrument_id=order.instrument_id,
            symbol=command.symbol,
            side=command.side,
            order_type=command.order_type,
            quantity=command.quantity,
            filled_quantity=order.filled,
            status=listed_status(order.word),
            limit_price=command.limit_price,
            stop_price=command.stop_price,
            created_ts_ns=order.created_ts_ns + clock_offset_ns,
            executions=tuple([_listed(each, clock_offset_ns) for each in order.executions if not each.is_busted]),
        )
        order.versions.append((ts_ns, listed))

    # --- the account at a moment ---------------------------------------------------------------------------

    def positions_at(self, ts_ns: int) -> list[ListedPosition]:
        """Return what was held at a moment, by symbol."""
        listed = []
        for symbol in sorted(self._holdings):
            instrument_id, changes = self._holdings[symbol]
            quantity = next((held for since, held in reversed(changes) if since <= ts_ns), ZERO)
            if quantity:
                listed.append(ListedPosition(instrument_id=instrument_id, symbol=symbol, quantity=quantity))
        return listed

    # --- the account now -----------------------------------------------------------------------------------

    def open_orders(self, symbol: str) -> list[VenueOrder]:
        """Return the orders of a symbol that may still execute, oldest first."""
        return list(self._open.get(symbol, {}).values())

    def position(self, symbol: str) -> Decimal:
        """Return what is held."""
        return self._positions.get(symbol, ZERO)

    def siblings(self, command: SubmitOrder) -> list[VenueOrder]:
        """Return the other open orders with the link of a command, where the venue links."""
        if command.link is None or self.exit_style is not ExitStyle.BOTH_LEGS:
            return []
        mine = command.client_order_id
        return [
            each
            for each in self.open_orders(command.symbol)
            if each.command.link == command.link and each.client_order_id != mine
        ]

    def filled_of_link(self, command: SubmitOrder) -> Decimal:
        """Return what orders with the link of a command have filled: one that comes after that is for less."""
        return ZERO if command.link is None else self._filled_by_link.get(command.link, ZERO)

    def working_exits(self, symbol: str) -> Decimal:
        """Return how much the open sells could sell; linked legs count once, at the larger remainder."""
        alone, by_link = ZERO, dict[ClientOrderId, Decimal]()
        for order in self.open_orders(symbol):
            if not order.is_sell:
                continue
            link = order.command.link
            if link is None or self.exit_style is not ExitStyle.BOTH_LEGS:
                alone += order.remaining
            else:
                by_link[link] = max(by_link.get(link, ZERO), order.remaining)
        return alone + sum(by_link.values(), ZERO)

    def protected(self, symbol: str, price: Decimal) -> Decimal:
        """Return how much open stops, and sells that the market takes at once at a price, would sell."""
        covered = sum((order.remaining for order in self.open_orders(symbol) if _protects(order, price)), ZERO)
        # A stop and its linked target may both count, and sell only once.
        return min(covered, self.working_exits(symbol))

    def held_with(self, command: SubmitOrder) -> Decimal:
        """Return how much the open sells and a new one would hold together; linked legs count once."""
        remainders = [each.remaining for each in self.siblings(command)]
        beside = self.working_exits(command.symbol) - max(remainders, default=ZERO)
        return beside + max([ZERO, command.quantity - self.filled_of_link(command), *remainders])

    def buying_power(self, price_of: dict[str, Decimal]) -> Decimal:
        """Return the cash that no open buy needs; a buy without a limit needs its stop or the last price."""
        power = self.cash
        for symbol, orders in self._open.items():
            for order in orders.values():
                if not order.is_sell:
                    power -= notional(cost_price(order.command, price_of.get(symbol, ZERO)), order.remaining)
        return power


def cost_price(command: SubmitOrder, price: Decimal) -> Decimal:
    """Return the price at which a buy is held against the cash."""
    return command.limit_price or max(command.stop_price or ZERO, price)


# A stop-limit that has triggered and rests above the market protects nothing, nor does what nobody has approved.
def _protects(order: VenueOrder, price: Decimal) -> bool:
    command = order.command
    if not order.is_sell or order.is_awaiting_approval:
        return False
    if command.order_type is OrderType.MARKET or (command.order_type in _STOPS and not order.is_triggered):
        return True
    return command.limit_price is None or command.limit_price <= price


def _listed(execution: Execution, clock_offset_ns: int) -> ListedExecution:
    return ListedExecution(
        execution_id=execution.execution_id,
        price=execution.price,
        quantity=execution.quantity,
        fee=ZERO,
        venue_ts_ns=execution.ts_ns + clock_offset_ns,
    )
