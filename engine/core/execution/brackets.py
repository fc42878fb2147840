"""One bracket: the life of a position from its entry to its exit."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.core.execution.bracket_table import BRACKET_MACHINE, FINAL_STATES, BracketState, BracketTrigger
from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.execution.pairs import Pair
from engine.core.execution.waits import later
from engine.core.messages import BracketTransitioned, ExitPlan
from engine.core.values import ZERO, InstrumentId, StrategyId


@dataclass(slots=True, kw_only=True)
class Bracket:
    """Hold one bracket while the engine lives."""

    bracket_id: int
    strategy_id: StrategyId
    instrument_id: InstrumentId
    symbol: str
    signal_id: int | None
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
    #: One for each execution of the entry and each target: all that is held is in one of them.
    pairs: list[Pair] = field(default_factory=list)
    #: What each target of the plan has been given so far.
    given: list[Decimal] = field(default_factory=list)
    #: When the position is to be left whatever it does, ns UTC.
    leave_at_ts_ns: int | None = None
    #: Whether prices between reports matter to it.
    is_watched: bool = False

    @property
    def held(self) -> Decimal:
        """Return what the bracket holds, in shares or coins."""
        return self.entered - self.exited

    @property
    def is_final(self) -> bool:
        """Return whether nothing is held and nothing is planned; a leg may still wait for its cancel."""
        return self.state in FINAL_STATES

    @property
    def may_lack_a_stop(self) -> bool:
        """Return whether something is held without a stop that works, or may be: a working entry may fill untold."""
        return self.entry_is_open or (self.held > 0 and self.state is not BracketState.PROTECTED)

    @property
    def entry_is_open(self) -> bool:
        """Return whether the entry may still fill."""
        return self.entry is not None and self.entry.is_open

    @property
    def is_settled(self) -> bool:
        """Return whether the bracket is final and none of its orders may still fill."""
        return self.is_final and not self.entry_is_open and not self.open_exits()

    @property
    def living_pairs(self) -> list[Pair]:
        """Return the pairs that still have something to sell; none where nothing is held (an entry taken back)."""
        return [pair for pair in self.pairs if pair.left] if self.held > 0 else []

    @property
    def waiting_pairs(self) -> list[Pair]:
        """Return the pairs that have deadlines of their own; none where the bracket waits as a whole."""
        return [] if self.wanted_exit else self.living_pairs

    @property
    def deadlines(self) -> list[int | None]:
        """Return when what it waits for runs out, ns UTC."""
        return [pair.deadline_ts_ns for pair in self.waiting_pairs] or [self.deadline_ts_ns]

    @property
    def is_left_over(self) -> bool:
        """Return whether it is to be left, holds something, and no exit of it works."""
        return bool(self.wanted_exit) and self.held > 0 and not self.open_exits()

    def postpone(self, lasted_ns: int) -> None:
        """Move every moment that it waits for by the length of a pause, ns."""
        self.deadline_ts_ns = later(self.deadline_ts_ns, lasted_ns)
        self.leave_at_ts_ns = later(self.leave_at_ts_ns, lasted_ns)
        for pair in self.pairs:
            pair.deadline_ts_ns = later(pair.deadline_ts_ns, lasted_ns)

    def void_pairs(self) -> None:
        """Give up what pairs still had to sell: nothing is held any more."""
        for pair in self.pairs:
            pair.deadline_ts_ns = None
            if pair.left:
                pair.void()

    def pair(self, number: int) -> Pair:
        """Return a pair by its number."""
        return self.pairs[number - 1]

    def open_exits(self) -> list[WorkingOrder]:
        """Return exits that may still fill."""
        return [order for order in self.exits if order.is_open]

    def outstanding(self, *, with_done_pairs: bool = False) -> Decimal:
        """Return how much the open exits could still sell; a linked pair counts once (see `Pair.outstanding`)."""
        alone = sum((order.remaining for order in self.exits if not order.pair), ZERO)
        return alone + sum((pair.outstanding(when_done=with_done_pairs) for pair in self.pairs), ZERO)


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
