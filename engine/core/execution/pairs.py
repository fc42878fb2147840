"""Pairs: what one execution of an entry has to be sold by - a stop, and perhaps a target.

A pair is the unit of protection. At a venue that links orders its stop and target rest together; elsewhere only the
stop rests, and gives way to a limit order at the target when the price is there. An execution is split over several
targets, one pair for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final

from engine.core.execution.order_table import OrderState
from engine.core.execution.orders import WorkingOrder
from engine.core.values import ZERO, ClientOrderId, Instrument, Leg

WORKING_STATES: Final = frozenset({OrderState.ACK, OrderState.PARTIAL})

# Nobody else's: the precision that a strategy may have set changes no quantity.
_WIDE: Final = Context(prec=60)


class PairPhase(StrEnum):
    """Name what a pair is waiting for."""

    #: Its stop is decided; the venue has not accepted it.
    PROTECTING = "protecting"
    #: Its stop works.
    PROTECTED = "protected"
    #: Its stop-limit is touched and not filled.
    TRIGGERED = "triggered"
    #: The venue has canceled its stop unasked; the fill of the linked target may be on its way.
    ORPHANED = "orphaned"
    #: Its orders are being canceled, for a purpose.
    CANCELING = "canceling"
    #: Its target works alone.
    TAKING = "taking"
    #: A market order sells all of it.
    SELLING = "selling"


class Purpose(StrEnum):
    """Name why the orders of a pair are being canceled."""

    #: The target is reached: a limit order takes the stop's place.
    TAKE = "take"
    #: The stop comes back at its price.
    RESTORE = "restore"
    #: A part is to be sold at market.
    SELL = "sell"


RESTING: Final = frozenset({PairPhase.PROTECTING, PairPhase.PROTECTED, PairPhase.TRIGGERED, PairPhase.ORPHANED})


@dataclass(slots=True, kw_only=True)
class Pair:
    """Hold one pair while the engine lives."""

    #: Counts the pairs of the bracket from 1.
    number: int
    #: What it is to sell in all, in shares or coins.
    quantity: Decimal
    entry_price: Decimal
    #: Where its stop is or shall be; only moves up.
    stop_price: Decimal
    target_price: Decimal | None
    phase: PairPhase = PairPhase.PROTECTING
    purpose: Purpose = Purpose.RESTORE
    deadline_ts_ns: int | None = None
    #: How much of it to sell at market once its orders are gone.
    to_sell: Decimal = ZERO
    #: How many targets the venue has refused or ended.
    failed_targets: int = 0
    #: Every order of it, and where those begin that work together now.
    orders: list[WorkingOrder] = field(default_factory=list)
    first: int = 0
    #: True once its execution was taken back: its orders could sell what others hold, until they are gone.
    is_void: bool = False
    #: What links those that work together now at the venue.
    link: ClientOrderId | None = None

    @property
    def left(self) -> Decimal:
        """Return what it still has to sell: each fill of any of its orders uses it up."""
        left = self.quantity
        for order in self.orders:
            # Most orders of a pair that was swapped often have filled nothing.
            if order.filled:
                left -= order.filled
        return left if left > 0 else ZERO

    @property
    def open_orders(self) -> list[WorkingOrder]:
        """Return its orders that may still fill."""
        return [order for order in self.orders if order.is_open]

    @property
    def stop(self) -> WorkingOrder | None:
        """Return the present stop."""
        return self._present(Leg.STOP)

    @property
    def target(self) -> WorkingOrder | None:
        """Return the present target."""
        return self._present(Leg.TARGET)

    @property
    def has_working_stop(self) -> bool:
        """Return whether the venue has accepted the present stop and not ended it."""
        stop = self.stop
        return stop is not None and stop.state in WORKING_STATES

    def _present(self, leg: Leg) -> WorkingOrder | None:
        return next((order for order in self.orders[self.first :] if order.leg is leg), None)

    def is_present(self, order: WorkingOrder) -> bool:
        """Return whether an order belongs to those that work together now."""
        return order in self.orders[self.first :]

    def outstanding(self, *, when_done: bool = False) -> Decimal:
        """Return how much its open orders could still sell: the larger remainder.

        The venue lowers linked legs by what one of them fills in part, so these never sell above what is left. A leg
        that a done pair has left open counts only where `when_done` asks for what could be sold if its cancel failed.
        """
        remainder = max((order.remaining for order in self.open_orders), default=ZERO)
        left = self.left
        if not left:
            # Only a link keeps a leg from selling what another has sold.
            return remainder if when_done or self.is_void or self.link is None else ZERO
        return remainder if self.link is None else min(remainder, left)

    def void(self) -> None:
        """Leave nothing to sell: what it was to sell was never bought."""
        self.quantity = ZERO
        self.is_void = True
        self.deadline_ts_ns = None

    def begin(self, phase: PairPhase, deadline_ts_ns: int | None) -> None:
        """Enter a phase whose orders take the place of all before."""
        self.first = len(self.orders)
        self.link = None
        self.wait(phase, deadline_ts_ns)

    def wait(self, phase: PairPhase, deadline_ts_ns: int | None) -> None:
        """Enter a phase; the orders stay."""
        self.phase = phase
        self.deadline_ts_ns = deadline_ts_ns


def portions(
    quantity: Decimal, *, total: Decimal, given: Sequence[Decimal], fractions: Sequence[Decimal], instrument: Instrument
) -> list[Decimal]:
    """Return how an execution is split over targets, and at the end what has no target; whole lots each.

    `total` is what the entry has bought with it, `given` what each target has got of it before. Every target gets
    what its cumulative fraction of the total, rounded down to lots, asks for, as far as the execution reaches.
    """
    parts: list[Decimal] = []
    reached, behind, rest = ZERO, ZERO, quantity
    for fraction, before in zip(fractions, given, strict=True):
        reached += fraction
        behind += before
        due = instrument.quantity(_WIDE.multiply(total, reached)) - behind
        part = min(rest, max(ZERO, due))
        parts.append(part)
        behind += part
        rest -= part
    return [*parts, rest]
