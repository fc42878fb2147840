"""One bracket: the life of a position from its entry to its exit."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from engine.core.execution.bracket_table import BRACKET_MACHINE, FINAL_STATES, BracketState, BracketTrigger
from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.messages import BracketTransitioned, ExitPlan
from engine.core.values import ZERO, ClientOrderId, InstrumentId, Leg, StrategyId

_WORKING_STATES: Final = frozenset({OrderState.ACK, OrderState.PARTIAL})


@dataclass(slots=True, kw_only=True)
class Bracket:
    """Hold one bracket while the engine lives."""

    bracket_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    signal_id: int | None
    stop_distance: Decimal | None
    target_distance: Decimal | None
    plan: ExitPlan
    state: BracketState = BracketState.ENTERING
    version: int = 1
    #: Filled by the entry, and by exits, in shares or coins.
    entered: Decimal = ZERO
    exited: Decimal = ZERO
    #: Why the position is to be left ("" while it is not), and why it was.
    wanted_exit: str = ""
    exit_reason: str = ""
    deadline_ts_ns: int | None = None
    #: How market exits have ended that left something to sell, since an operator last asked for one.
    failed_exits: list[OrderState] = field(default_factory=list)
    #: Last price known of the instrument, for the record of market exits.
    reference_price: Decimal = ZERO
    entry: WorkingOrder | None = None
    #: Stops, targets and market exits, in the order of their making.
    exits: list[WorkingOrder] = field(default_factory=list)
    #: How many stop-and-target pairs were made: one per execution of the entry.
    pairs: int = 0
    #: The link of each pair, by its number.
    links: dict[int, ClientOrderId] = field(default_factory=dict)

    @property
    def held(self) -> Decimal:
        """Return what the bracket holds, in shares or coins."""
        return self.entered - self.exited

    @property
    def is_final(self) -> bool:
        """Return whether nothing is held and nothing is planned; a leg may still wait for its cancel."""
        return self.state in FINAL_STATES

    @property
    def entry_is_open(self) -> bool:
        """Return whether the entry may still fill."""
        return self.entry is not None and self.entry.is_open

    @property
    def is_settled(self) -> bool:
        """Return whether the bracket is final and none of its orders may still fill."""
        return self.is_final and not self.entry_is_open and not self.open_exits()

    def open_exits(self, *, of_pair: int = 0) -> list[WorkingOrder]:
        """Return exits that may still fill, of one pair or of all."""
        return [order for order in self.exits if order.is_open and of_pair in (0, order.pair)]

    def outstanding(self, *, with_done_pairs: bool = False) -> Decimal:
        """Return how much the open exits could still sell; a linked pair counts once.

        A pair counts at the larger remainder of its legs, and never above what the pair as a whole has left: the
        venue lowers both legs by what one of them fills in part. The leg that a done pair has left open counts only
        where `with_done_pairs` asks for what could be sold if the venue failed to cancel it.
        """
        remainders: dict[int, Decimal] = {}
        total = ZERO
        for order in self.exits:
            if order.is_open and order.pair:
                remainders[order.pair] = max(remainders.get(order.pair, ZERO), order.remaining)
            elif order.is_open:
                total += order.remaining
        left = self._left_by_pair()
        for pair, remainder in remainders.items():
            total += remainder if with_done_pairs and not left[pair] else min(remainder, left[pair])
        return total

    def pair_outstanding(self, pair: int) -> Decimal:
        """Return how much one pair could still sell."""
        remainder = max((order.remaining for order in self.exits if order.pair == pair), default=ZERO)
        return min(remainder, self._left_by_pair().get(pair, ZERO))

    def _left_by_pair(self) -> dict[int, Decimal]:
        # Both legs of a pair are written for the same quantity, and each fill of either uses it up.
        left: dict[int, Decimal] = {}
        for order in self.exits:
            if order.pair:
                left[order.pair] = left.get(order.pair, order.quantity) - order.filled
        return {pair: max(ZERO, quantity) for pair, quantity in left.items()}

    def is_covered(self) -> bool:
        """Return whether stops that the venue has acknowledged cover all that is held."""
        covered = ZERO
        left = self._left_by_pair()
        for order in self.exits:
            if order.leg is Leg.STOP and order.state in _WORKING_STATES and not order.is_leftover:
                covered += min(order.remaining, left[order.pair])
        return covered >= self.held


def move(bracket: Bracket, trigger: BracketTrigger, *, ts_ns: int, deadline_ts_ns: int | None) -> BracketTransitioned:
    """Move a bracket by a trigger, set the deadline of its new state, and return the fact."""
    before = bracket.state
    bracket.state = BRACKET_MACHINE.advance(before, trigger)
    bracket.version += 1
    bracket.deadline_ts_ns = deadline_ts_ns
    return BracketTransitioned(
        bracket_id=bracket.bracket_id,
        version=bracket.version,
        from_state=before.value,
        to_state=bracket.state.value,
        trigger=trigger.value,
        exit_reason=bracket.exit_reason,
        entered_quantity=bracket.entered,
        exited_quantity=bracket.exited,
        deadline_ts_ns=deadline_ts_ns,
        ts_ns=ts_ns,
    )
