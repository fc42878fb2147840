"""Lives of orders in every order that a venue may tell them: a Hypothesis machine plays the venue by hand.

`HonestVenue` delays, repeats and swallows answers, but its executions are true: never more than was ordered, never
two legs of one linked pair, nothing after an order's end. `LyingVenue` does all of that, and takes executions back.
More examples: `RATCHET_EXAMPLES=2000 pytest tests/core/test_order_life_properties.py`.
"""

import os
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import (
    Bar,
    BarClosed,
    CancelOrder,
    CancelRejected,
    Event,
    ExecutionBusted,
    Flatten,
    InputsRefused,
    Kill,
    OrderAcknowledged,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OutcomeUnknown,
    Pause,
    QuoteConsulted,
    Resume,
    Signal,
    SignalKind,
    Step,
    SubmitOrder,
    TradeBooked,
)
from engine.core.pipeline import Pipeline
from engine.core.risk.limits import Limits
from engine.core.values import MINUTE_NS, SECOND_NS, ClientOrderId, ExecutionId, SessionTable, Side
from engine.store.inputs import is_journaled
from engine.testing.order_watch import Watch
from engine.testing.scenario import DAY_NS, OPEN_TS_NS, SESSION_NS, SPY, STRATEGY, Scenario, enter, leave

EXAMPLES = int(os.environ.get("RATCHET_EXAMPLES", "150"))
CASH = Decimal(100_000)
#: Wide enough that several brackets live at once; the throttles have their own tests.
WIDE = Limits(
    max_open_entries_per_instrument=3,
    duplicate_window_ns=0,
    max_position_fraction=Decimal(1),
    daily_loss_cap=Decimal("0.9"),
)
#: Two sessions to trade in, and a third in which the deadlines of the second pass.
THREE_SESSIONS = SessionTable(
    "XNYS",
    dates=("2024-03-26", "2024-03-27", "2024-03-28"),
    opens=tuple(OPEN_TS_NS + day * DAY_NS for day in range(3)),
    closes=tuple(OPEN_TS_NS + day * DAY_NS + SESSION_NS for day in range(3)),
)
LAST_TRADING_TS_NS = OPEN_TS_NS + DAY_NS + SESSION_NS
LAST_TS_NS = OPEN_TS_NS + 2 * DAY_NS + 389 * MINUTE_NS


#: What entries state beyond a stop and one target.
PLANS: dict[str, Signal] = {
    "enter": enter(),
    "enter without target": enter(target_distance=None),
    "enter with targets": replace(enter(target_distance=None), targets=((1.0, 0.5), (2.0, 0.3))),
    "enter trailing": replace(enter(), trail_distance=1.5, trail_step=0.5, break_even_distance=1.0),
    "enter with a stop-limit": replace(enter(), stop_limit_offset=0.25),
    "enter for a while": replace(enter(), hold_s_max=90, expires_after_s=45),
    "scale in": replace(enter(), kind=SignalKind.SCALE_IN, fraction=0.5),
}


def account(script: dict[int, Signal], style: ExitStyle) -> Scenario:
    """Return a funded scenario that lasts three sessions."""
    scenario = Scenario(script, limits=WIDE, exit_style=style)
    scenario.pipeline = Pipeline(replace(scenario.pipeline._settings, sessions={SPY: THREE_SESSIONS}))
    scenario.pipeline.step(scenario.events[0])
    return scenario


class VenueMachine(RuleBasedStateMachine):
    """Rules that any venue may follow. Orders are drawn by index, the newest first."""

    style = ExitStyle.BOTH_LEGS

    def __init__(self) -> None:
        super().__init__()
        self.script: dict[int, Signal] = {}
        self.scenario = account(self.script, self.style)
        self.watch = Watch()
        self.steps: list[Step] = []
        self.next_minute = 0
        self.price = 100
        #: The venue's own book: quantity by order, executions by id, and which orders have ended.
        self.filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.executions: dict[str, OrderFilled] = {}
        self.busted: set[str] = set()
        self.ended: set[str] = set()

    # --- the hand ------------------------------------------------------------------------------------------

    def give(self, event: Event) -> Step:
        step = self.scenario.give(event)
        self.steps.append(step)
        self.watch.see(step)
        self.books_balance()
        self.no_deadline_has_passed()
        return step

    def no_deadline_has_passed(self) -> None:
        """I-13, I-30: what has run out was escalated in the step that saw it."""
        deadline = self.scenario.pipeline.execution.next_deadline_ts_ns()
        assert deadline is None or deadline > self.scenario.now_ts_ns

    def books_balance(self) -> None:
        """I-7, I-10, I-11: position and cash are sums over the executions that count, each once."""
        orders = {order.client_order_id: order for order in self.scenario.submitted()}
        position, cash = Decimal(0), CASH
        for execution_id, fill in self.executions.items():
            if execution_id in self.busted:
                continue
            sign = 1 if orders[fill.client_order_id].side is Side.BUY else -1
            position += sign * fill.quantity
            cash -= sign * fill.price * fill.quantity + fill.fee
        ledger = self.scenario.pipeline.ledger
        held, oversold = ledger.position(STRATEGY, SPY), ledger.oversold(STRATEGY, SPY)
        assert held - oversold == position
        assert held == self.watch.position >= 0 <= oversold
        assert ledger.cash == cash
        booked = Counter((trade.execution_id, trade.is_bust) for trade in self.watch.trades)
        assert set(booked.values()) <= {1}
        assert {execution_id for execution_id, is_bust in booked if not is_bust} == set(self.executions)
        assert {execution_id for execution_id, is_bust in booked if is_bust} == self.busted
        assert position >= 0 or self.watch.halted_once

    def times(self) -> dict[str, Any]:
        return {"venue_ts_ns": self.scenario.now_ts_ns, "received_ts_ns": self.scenario.now_ts_ns}

    def order(self, index: int) -> SubmitOrder:
        orders = self.scenario.submitted()
        return orders[-1 - index % len(orders)]

    def room(self, order: SubmitOrder) -> Decimal:
        """Return what a truthful venue may still fill: linked legs share one quantity."""
        if order.client_order_id in self.ended:
            return Decimal(0)
        linked = [
            other
            for other in self.scenario.submitted()
            if other is order or (order.link is not None and other.link == order.link)
        ]
        return order.quantity - sum(self.filled[other.client_order_id] for other in linked)

    def fill(self, order: SubmitOrder, quantity: Decimal, *, cents: int = 0, fee: int = 0) -> None:
        event = OrderFilled(
            **self.times(),
            client_order_id=order.client_order_id,
            execution_id=ExecutionId(f"x-{len(self.executions) + 1}"),
            price=Decimal(self.price) + Decimal(cents) / 100,
            quantity=quantity,
            fee=Decimal(fee) / 100,
        )
        self.executions[event.execution_id] = event
        self.filled[order.client_order_id] += quantity
        self.give(event)

    def end(self, kind: type, order: SubmitOrder) -> None:
        self.ended.add(order.client_order_id)
        self.give(kind(**self.times(), client_order_id=order.client_order_id, reason="told"))

    def has_orders(self) -> bool:
        return bool(self.scenario.submitted())

    # --- the market and the strategy -----------------------------------------------------------------------

    @initialize(
        parts=st.lists(st.sampled_from([10, 40, 60, 100]), max_size=3),
        tells=st.booleans(),
        plan=st.sampled_from([name for name in PLANS if name != "scale in"]),
    )
    def begin(self, *, parts: list[int], tells: bool, plan: str) -> None:
        """Begin somewhere in a life: an entry that waits, or that is filled in parts, with or without answers."""
        self.close_bar(0, plan)
        (entry,) = self.scenario.submitted()
        for part in parts:
            quantity = min(Decimal(part), self.room(entry))
            if quantity > 0:
                self.fill(entry, quantity)
        if tells:
            self.acknowledge_everything()

    @rule(
        move=st.integers(-6, 6),
        wanted=st.sampled_from(["nothing", *PLANS, "limit", "leave", "cancel", "sell a part", "move the stop"]),
    )
    def close_bar(self, move: int, wanted: str) -> None:
        now = self.scenario.now_ts_ns
        minute = max(self.next_minute, -(-(now - OPEN_TS_NS) // MINUTE_NS) - 1)
        if 390 <= minute < 1440:
            minute = 1440
        if OPEN_TS_NS + (minute + 1) * MINUTE_NS > LAST_TRADING_TS_NS:
            return
        self.price = min(140, max(60, self.price + move))
        signal = {
            **PLANS,
            "limit": enter(limit=self.price - 1.0),
            "leave": leave(),
            "cancel": Signal(kind=SignalKind.CANCEL_ENTRY, reason="script"),
            "sell a part": Signal(kind=SignalKind.SCALE_OUT, fraction=0.4),
            "move the stop": Signal(kind=SignalKind.MOVE_STOP, stop_price=self.price - 0.5),
        }.get(wanted)
        if signal is not None:
            self.script[minute] = signal
        self.next_minute = minute + 1
        bar = self.bar(minute)
        self.scenario.now_ts_ns = bar.received_ts_ns
        self.give(bar)

    def bar(self, minute: int) -> BarClosed:
        probe = Scenario({})
        probe.bar(minute, float(self.price))
        event = probe.events[-1]
        assert isinstance(event, BarClosed)
        return event

    def advance(self, until_ts_ns: int) -> None:
        seconds = (min(until_ts_ns, LAST_TS_NS) - self.scenario.now_ts_ns) // SECOND_NS
        if seconds > 0:
            before = len(self.scenario.events)
            step = self.scenario.wait(seconds)
            assert len(self.scenario.events) == before + 1
            self.steps.append(step)
            self.watch.see(step)
            self.books_balance()

    @rule(cents=st.integers(-450, 450), is_print=st.booleans())
    def show_a_price(self, *, cents: int, is_print: bool) -> None:
        self.show(self.price + cents / 100, is_print=is_print)

    @precondition(lambda self: bool(self.scenario.pipeline.execution.watched))
    @rule(is_above=st.booleans(), ticks=st.integers(-1, 1), is_print=st.booleans())
    def reach_a_level(self, *, is_above: bool, ticks: int, is_print: bool) -> None:
        """Show a price at which, or next to which, a bracket has something to do."""
        levels = self.scenario.pipeline.execution.watched[SPY]
        price = levels.above if is_above else levels.below
        if isfinite(price):
            self.show(round(price + ticks / 100, 4), is_print=is_print)

    def show(self, price: float, *, is_print: bool) -> None:
        if self.scenario.now_ts_ns + SECOND_NS > LAST_TRADING_TS_NS:
            return
        show = self.scenario.tick if is_print else self.scenario.quote
        step = show(price)
        self.steps.append(step)
        self.watch.see(step)
        self.books_balance()
        self.no_deadline_has_passed()

    @rule(seconds=st.sampled_from([1, 15, 30, 31, 60, 61, 120, 601]))
    def let_time_pass(self, seconds: int) -> None:
        self.advance(self.scenario.now_ts_ns + seconds * SECOND_NS)

    @rule()
    def sleep_until_the_next_session(self) -> None:
        session = THREE_SESSIONS.session_from(self.scenario.now_ts_ns)
        if session.close_ts_ns < LAST_TRADING_TS_NS:
            self.advance(session.close_ts_ns + 5 * 3600 * SECOND_NS)

    # --- what every venue says -----------------------------------------------------------------------------

    @precondition(has_orders)
    @rule(index=st.integers(0, 5), kind=st.sampled_from([OrderAcknowledged, OrderAcknowledged, OrderAwaitingApproval]))
    def acknowledge(self, index: int, kind: type) -> None:
        extra = {"venue_order_id": f"v-{index}"} if kind is OrderAcknowledged else {}
        self.give(kind(**self.times(), client_order_id=self.order(index).client_order_id, **extra))

    @precondition(has_orders)
    @rule()
    def acknowledge_everything(self) -> None:
        for order in self.scenario.submitted():
            if order.client_order_id not in self.ended:
                self.give(OrderAcknowledged(**self.times(), client_order_id=order.client_order_id, venue_order_id="v"))

    @precondition(has_orders)
    @rule(index=st.integers(0, 5), part=st.integers(1, 120), cents=st.integers(-99, 99), fee=st.integers(0, 9))
    def execute(self, index: int, part: int, cents: int, fee: int) -> None:
        order = self.order(index)
        quantity = min(Decimal(part), self.room(order))
        if quantity > 0:
            self.fill(order, quantity, cents=cents, fee=fee)

    @precondition(lambda self: bool(self.executions))
    @rule(index=st.integers(0, 5))
    def repeat_an_execution(self, index: int) -> None:
        fills = list(self.executions.values())
        step = self.give(fills[-1 - index % len(fills)])
        assert not any(isinstance(fact, TradeBooked) for fact in step.facts)

    @precondition(has_orders)
    @rule(index=st.integers(0, 5), kind=st.sampled_from([OrderCanceled, OrderExpired, OrderRejected]))
    def end_an_order(self, index: int, kind: type) -> None:
        self.end(kind, self.order(index))

    @precondition(lambda self: bool(self.scenario.canceled()))
    @rule(count=st.integers(1, 2))
    def confirm_cancels(self, count: int) -> None:
        wanted = [command for command in self.scenario.commands if isinstance(command, CancelOrder)]
        orders = {order.client_order_id: order for order in self.scenario.submitted()}
        missing = [command for command in wanted if command.client_order_id not in self.ended]
        for command in missing[:count]:
            self.end(OrderCanceled, orders[command.client_order_id])

    @precondition(has_orders)
    @rule(index=st.integers(0, 5), kind=st.sampled_from([CancelRejected, OutcomeUnknown]))
    def answer_badly(self, index: int, kind: type) -> None:
        self.give(kind(**self.times(), client_order_id=self.order(index).client_order_id, reason="told"))

    # --- the operator --------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from([Pause, Resume, Resume, Kill, Flatten]), everywhere=st.booleans())
    def command(self, *, kind: type, everywhere: bool) -> None:
        self.give(kind(**self.times(), reason="test", requested_by="owner", instrument_id=None if everywhere else SPY))

    # --- the end -------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        # Silence after whatever happened, after the close, and through a part of the next session.
        openings = (self.scenario.now_ts_ns, LAST_TRADING_TS_NS, OPEN_TS_NS + 2 * DAY_NS)
        for start in openings:
            for seconds in (61, 122, 244, 488, 976, 1952, 3904):
                self.advance(max(start, self.scenario.now_ts_ns) + seconds * SECOND_NS)
        self.watch.nothing_is_left_waiting()
        self.replays_are_equal()

    def replays_are_equal(self) -> None:
        """I-19, by the door and by the way of a restart, which sees only what was journaled."""
        again, restored = account(self.script, self.style), account(self.script, self.style)
        for event, step in zip(self.scenario.events[1:], self.steps, strict=True):
            assert again.pipeline.step(event) == step
            if is_journaled(event, step):
                bars = [fact for fact in step.facts if isinstance(fact, Bar)]
                refusals = [fact for fact in step.facts if isinstance(fact, InputsRefused)]
                quotes = [fact for fact in step.facts if isinstance(fact, QuoteConsulted)]
                assert restored.pipeline.restore(event, bars, refusals, quotes=quotes) == step


class HonestVenue(VenueMachine):
    """Nothing but the truth, in any order, late, twice or never."""

    def books_balance(self) -> None:
        super().books_balance()
        assert self.watch.position >= 0


class LyingVenue(VenueMachine):
    """Executions beyond the order, after its end, on both legs of a pair, and taken back."""

    @precondition(VenueMachine.has_orders)
    @rule(index=st.integers(0, 5), quantity=st.integers(1, 150))
    def execute_anything(self, index: int, quantity: int) -> None:
        self.fill(self.order(index), Decimal(quantity))

    @precondition(lambda self: bool(self.executions))
    @rule(index=st.integers(0, 5))
    def take_back(self, index: int) -> None:
        fills = list(self.executions.values())
        fill = fills[-1 - index % len(fills)]
        self.busted.add(fill.execution_id)
        self.filled[fill.client_order_id] -= fill.quantity
        self.give(
            ExecutionBusted(
                **self.times(),
                client_order_id=fill.client_order_id,
                execution_id=fill.execution_id,
                reason="clearly erroneous",
            )
        )

    @rule()
    def report_a_foreign_order(self) -> None:
        self.give(OrderCanceled(**self.times(), client_order_id=ClientOrderId("not-ours"), reason="told"))
        assert self.watch.halted_once


class HonestVenueWithoutLinks(HonestVenue):
    """The same, where only the stop rests."""

    style = ExitStyle.REST_STOP


class LyingVenueWithoutLinks(LyingVenue):
    """The same, where only the stop rests."""

    style = ExitStyle.REST_STOP


TestHonestVenue = HonestVenue.TestCase
TestLyingVenue = LyingVenue.TestCase
TestHonestVenueWithoutLinks = HonestVenueWithoutLinks.TestCase
TestLyingVenueWithoutLinks = LyingVenueWithoutLinks.TestCase
_SETTINGS = settings(max_examples=EXAMPLES, stateful_step_count=40)
TestHonestVenue.settings = _SETTINGS
TestLyingVenue.settings = _SETTINGS
TestHonestVenueWithoutLinks.settings = _SETTINGS
TestLyingVenueWithoutLinks.settings = _SETTINGS
