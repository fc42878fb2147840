"""A second bookkeeper for tests of order lives: it knows facts and commands only, and complains at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.core.messages import (
    BracketOpened,
    BracketTransitioned,
    DecisionMade,
    Fact,
    OrderCreated,
    OrderTransitioned,
    PositionChanged,
    Step,
    SubmitOrder,
    TradeBooked,
    TradingState,
    TradingStateChanged,
)
from engine.core.values import Leg, Side

OPEN_STATES: Final = {"NEW", "ACK", "PARTIAL", "UNKNOWN", "AWAITING_APPROVAL"}
WAITING_STATES: Final = {"UNPROTECTED", "PROTECTING", "SWAPPING", "EXITING"}
FINAL_STATES: Final = {"CLOSED", "ABORTED"}


@dataclass
class SeenBracket:
    """Hold what the facts have said of one bracket so far."""

    state: str = "ENTERING"
    version: int = 1
    deadline_ts_ns: int | None = None


@dataclass
class SeenOrder:
    """Hold what the facts have said of one order so far."""

    created: OrderCreated
    state: str = "NEW"
    version: int = 1
    filled: Decimal = Decimal(0)
    cancel_requested: bool = False

    @property
    def is_open(self) -> bool:
        """Return whether it may still fill."""
        return self.state in OPEN_STATES

    @property
    def remaining(self) -> Decimal:
        """Return what may still fill."""
        return max(Decimal(0), self.created.quantity - self.filled) if self.is_open else Decimal(0)


@dataclass
class Watch:
    """Keep a second, naive account of facts and commands only, and raise AssertionError at once."""

    orders: dict[int, SeenOrder] = field(default_factory=dict)
    brackets: dict[int, SeenBracket] = field(default_factory=dict)
    trades: list[TradeBooked] = field(default_factory=list)
    client_ids: set[str] = field(default_factory=set)
    position: Decimal = Decimal(0)
    halted_once: bool = False

    def see(self, step: Step) -> None:
        """Follow a step and look at what has to hold after each."""
        for fact in step.facts:
            self._see_fact(fact)
        for command in step.commands:
            if isinstance(command, SubmitOrder):
                self._see_submit(command, step)
        self._exits_fit_the_position(step)
        self._entries_are_covered(step)
        self._nobody_waits_for_ever()

    def _see_fact(self, fact: Fact) -> None:
        match fact:
            case OrderCreated():
                self.orders[fact.order_id] = SeenOrder(fact)
            case BracketOpened():
                self.brackets[fact.bracket_id] = SeenBracket()
            case OrderTransitioned():
                order = self.orders[fact.order_id]
                self._follow(order, fact)
                order.filled, order.cancel_requested = fact.filled_quantity, fact.cancel_requested
            case BracketTransitioned():
                bracket = self.brackets[fact.bracket_id]
                self._follow(bracket, fact)
                bracket.deadline_ts_ns = fact.deadline_ts_ns
            case TradeBooked():
                self.trades.append(fact)
            case PositionChanged():
                self.position = fact.quantity
            case TradingStateChanged():
                self.halted_once |= fact.to_state is TradingState.HALTED and fact.source == "engine"
            case _:
                pass

    @staticmethod
    def _follow(seen: SeenOrder | SeenBracket, fact: OrderTransitioned | BracketTransitioned) -> None:
        assert fact.version == seen.version + 1, "a version is missing"
        assert fact.from_state == seen.state, "a transition starts where none ended"
        seen.version, seen.state = fact.version, fact.to_state

    def _see_submit(self, command: SubmitOrder, step: Step) -> None:
        assert command.client_order_id not in self.client_ids
        self.client_ids.add(command.client_order_id)
        (created,) = (
            fact
            for fact in step.facts
            if isinstance(fact, OrderCreated) and fact.client_order_id == command.client_order_id
        )
        (decision,) = (
            fact for fact in step.facts if isinstance(fact, DecisionMade) and fact.decision_id == created.decision_id
        )
        assert decision.approved
        assert decision.quantity == command.quantity == created.quantity

    def open_exits(self) -> list[SeenOrder]:
        """Return exits that may still fill."""
        return [order for order in self.orders.values() if order.is_open and order.created.leg is not Leg.ENTRY]

    def _exits_fit_the_position(self, step: Step) -> None:
        # I-12, at every exit that the engine decides. Linked legs count once, at the larger remainder, and share what
        # their pair has left.
        if not any(isinstance(command, SubmitOrder) and command.side is Side.SELL for command in step.commands):
            return
        by_pair: dict[str, Decimal] = {}
        for order in self.open_exits():
            pair = order.created.link or order.created.client_order_id
            by_pair[pair] = max(by_pair.get(pair, Decimal(0)), order.remaining)
        left: dict[str, Decimal] = {}
        for order in self.orders.values():
            pair = order.created.link or order.created.client_order_id
            left[pair] = left.get(pair, order.created.quantity) - order.filled
        assert sum(max(Decimal(0), min(remainder, left[pair])) for pair, remainder in by_pair.items()) <= self.position

    def _entries_are_covered(self, step: Step) -> None:
        # I-13: the fill of an entry and its stop, or the way out, are one step.
        for fact in step.facts:
            if not isinstance(fact, TradeBooked) or fact.leg is not Leg.ENTRY or fact.is_bust:
                continue
            has_stop = any(
                isinstance(other, OrderCreated) and other.leg is Leg.STOP and other.bracket_id == fact.bracket_id
                for other in step.facts
            )
            assert has_stop or self.brackets[fact.bracket_id].state in {"SWAPPING", "EXITING"} or self.halted_once

    def _nobody_waits_for_ever(self) -> None:
        for bracket in self.brackets.values():
            if bracket.state in WAITING_STATES:
                assert bracket.deadline_ts_ns is not None or self.halted_once

    def nothing_is_left_waiting(self) -> None:
        """I-30, after a long silence: what is open rests where it should, or a halt has told an operator."""
        if self.halted_once:
            return
        assert self.position >= 0
        for bracket in self.brackets.values():
            assert bracket.state in FINAL_STATES | {"PROTECTED"}
        for order in self.orders.values():
            if order.is_open:
                # A target may wait for a human as long as he likes: the stop protects meanwhile.
                waits_for_human = order.state == "AWAITING_APPROVAL" and order.created.leg is Leg.TARGET
                assert order.state in {"ACK", "PARTIAL"} or waits_for_human
                assert not order.cancel_requested
                assert order.created.leg in {Leg.STOP, Leg.TARGET}
                assert self.brackets[order.created.bracket_id].state == "PROTECTED"
