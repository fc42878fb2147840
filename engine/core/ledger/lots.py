"""Lots: what was bought at one time for one cost, and what a sale takes of them.

A holding is its lots, and a lot is never below one unit: a position below zero cannot be written down. What a sale
takes beyond the lots is counted apart, as uncovered. A part of a lot costs its share of the lot's cost, and the last
part what is left of it, so that costs add up to what was paid, to the last unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from engine.core.errors import Bug
from engine.core.values import ZERO, ExecutionId, LotMethod, part_of

_WIDE: Final = Context(prec=60)
_QUANTITY_UNIT: Final = Decimal("1E-8")


class Origin(NamedTuple):
    """Name what changed a holding: a trade, or an adjustment."""

    trade_id: int | None = None
    adjustment_id: int | None = None

    def __str__(self) -> str:
        """Return the name that a choice of lots uses: `T12`, `A3`."""
        return f"A{self.adjustment_id}" if self.trade_id is None else f"T{self.trade_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Hold what is left of one purchase."""

    origin: Origin
    #: Above zero.
    quantity: Decimal
    cost: Decimal
    opened_ts_ns: int
    #: When the money that paid it has settled, ns UTC.
    paid_ts_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse a lot of nothing, or of less."""
        if self.quantity <= 0:
            raise Bug(f"The lot {self.origin} would hold {self.quantity}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Hold what one sale took of one lot."""

    origin: Origin
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    opened_ts_ns: int
    paid_ts_ns: int


@dataclass(slots=True, kw_only=True)
class Entry:
    """Hold one change of a holding, so that all of them can be repeated without a busted one."""

    origin: Origin
    ts_ns: int
    #: Above zero: a new lot. Below: so much is taken from the lots. Zero: a split.
    quantity: Decimal
    #: Cost of the new lot, or what was received for what is taken; None: it leaves at its cost.
    value: Decimal | None
    #: New and old shares of a split.
    ratio: tuple[int, int] = (1, 1)
    paid_ts_ns: int = 0
    #: Lots to be taken first.
    chosen: tuple[str, ...] = ()
    execution_id: ExecutionId | None = None
    closures: tuple[Closure, ...] = ()


class Change(NamedTuple):
    """Hold a closure that became true, or no longer is."""

    entry: Entry
    closure: Closure
    is_reversal: bool


class Figures(NamedTuple):
    """Hold what a holding comes to, or a change of it."""

    quantity: Decimal
    cost: Decimal
    profit: Decimal
    owed: Decimal
    owed_value: Decimal

    def since(self, before: Figures) -> Figures:
        """Return the change from an earlier time."""
        return Figures(*(new - old for new, old in zip(self, before, strict=True)))


@dataclass(slots=True, kw_only=True)
class Holding:
    """Hold what one strategy has of one instrument: lots, oldest first, and never less than none."""

    method: LotMethod
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    #: Sold beyond the lots, and what was received for it.
    uncovered: Decimal = ZERO
    uncovered_value: Decimal = ZERO
    lots: list[Lot] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def figures(self) -> Figures:
        """Return what it comes to now."""
        return Figures(self.quantity, self.cost, self.realized_pnl, self.uncovered, self.uncovered_value)

    def add(self, entry: Entry) -> list[Change]:
        """Take a change in; return what it closed."""
        self.entries.append(entry)
        entry.closures = tuple(self._apply(entry))
        return [Change(entry, closure, False) for closure in entry.closures]

    def remove(self, execution_id: ExecutionId) -> list[Change]:
        """Take a busted execution out, as if it had never been; return which closures that makes false and true."""
        entries = [entry for entry in self.entries if entry.execution_id != execution_id]
        gone = [entry for entry in self.entries if entry.execution_id == execution_id]
        self.quantity = self.cost = self.realized_pnl = self.uncovered = self.uncovered_value = ZERO
        self.lots.clear()
        self.entries = entries
        changes = [Change(entry, closure, True) for entry in gone for closure in entry.closures]
        for entry in entries:
            before, entry.closures = entry.closures, tuple(self._apply(entry))
            changes += [Change(entry, closure, True) for closure in before if closure not in entry.closures]
            changes += [Change(entry, closure, False) for closure in entry.closures if closure not in before]
        return changes

    def unpaid(self, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return how much of a sale would come from lots that are not yet paid with settled money."""
        late = ZERO
        for lot, taken in self._taken(quantity, ()):
            late += taken if lot.paid_ts_ns > ts_ns else ZERO
        return late

    def _apply(self, entry: Entry) -> Iterator[Closure]:
        if entry.quantity > 0:
            self._open(entry)
        elif entry.quantity < 0:
            yield from self._close(entry)
        else:
            self._split(*entry.ratio)

    def _open(self, entry: Entry) -> None:
        assert entry.value is not None
        self.lots.append(
            Lot(
                origin=entry.origin,
                quantity=entry.quantity,
                cost=entry.value,
                opened_ts_ns=entry.ts_ns,
                paid_ts_ns=entry.paid_ts_ns,
            )
        )
        self.quantity += entry.quantity
        self.cost += entry.value

    def _close(self, entry: Entry) -> Iterator[Closure]:
        wanted, left = -entry.quantity, -entry.quantity
        value_left = entry.value
        for lot, taken in self._taken(wanted, entry.chosen):
            cost = lot.cost if taken == lot.quantity else part_of(lot.cost, taken, lot.quantity)
            left -= taken
            if entry.value is None or value_left is None:
                proceeds = cost
            else:
                proceeds = part_of(entry.value, taken, wanted) if left else value_left
                value_left -= proceeds
            self._shrink(lot, taken, cost)
            self.realized_pnl += proceeds - cost
            yield Closure(
                origin=lot.origin,
                quantity=taken,
                cost=cost,
                proceeds=proceeds,
                opened_ts_ns=lot.opened_ts_ns,
                paid_ts_ns=lot.paid_ts_ns,
            )
        if left:
            self.uncovered += left
            self.uncovered_value += value_left or ZERO

    def _taken(self, quantity: Decimal, chosen: Sequence[str]) -> list[tuple[Lot, Decimal]]:
        pairs: list[tuple[Lot, Decimal]] = []
        for lot in self._in_order(chosen):
            if not quantity:
                break
            taken = min(lot.quantity, quantity)
            quantity -= taken
            pairs.append((lot, taken))
        return pairs

    def _in_order(self, chosen: Sequence[str]) -> list[Lot]:
        if self.method is LotMethod.LIFO:
            return self.lots[::-1]
        if self.method is LotMethod.HIFO:
            # Equal costs: the oldest first, since sorting keeps their order.
            return sorted(self.lots, key=lambda lot: -_WIDE.divide(lot.cost, lot.quantity))
        if not chosen:
            return list(self.lots)
        named = {str(lot.origin): lot for lot in self.lots}
        first = [named[name] for name in chosen if name in named]
        return [*first, *(lot for lot in self.lots if lot not in first)]

    def _shrink(self, lot: Lot, taken: Decimal, cost: Decimal) -> None:
        place = self.lots.index(lot)
        if taken == lot.quantity:
            del self.lots[place]
        else:
            self.lots[place] = replace(lot, quantity=lot.quantity - taken, cost=lot.cost - cost)
        self.quantity -= taken
        self.cost -= cost

    def _split(self, new_shares: int, old_shares: int) -> None:
        # Rounded on the running sum, so that the parts add up to the whole; what a part loses its neighbour gets.
        before = after = ZERO
        cost_left = ZERO
        lots: list[Lot] = []
        for lot in self.lots:
            before += lot.quantity
            reached = split_quantity(before, new_shares, old_shares)
            if reached > after:
                lots.append(replace(lot, quantity=reached - after, cost=lot.cost + cost_left))
                cost_left = ZERO
            else:
                cost_left += lot.cost
            after = reached
        if cost_left and lots:
            lots[-1] = replace(lots[-1], cost=lots[-1].cost + cost_left)
        elif cost_left:
            # Less than a unit is left of everything: it is kept as one, at its cost.
            lots = [replace(self.lots[0], quantity=_QUANTITY_UNIT, cost=cost_left)]
            after = _QUANTITY_UNIT
        self.lots = lots
        self.quantity = after
        # What is owed is split as well.
        self.uncovered = split_quantity(self.uncovered, new_shares, old_shares)


def split_quantity(quantity: Decimal, new_shares: int, old_shares: int) -> Decimal:
    """Return what a quantity is after a split, to 10^-8, half to even."""
    scaled = _WIDE.divide(_WIDE.multiply(quantity, Decimal(new_shares)), Decimal(old_shares))
    return scaled.quantize(_QUANTITY_UNIT, ROUND_HALF_EVEN, _WIDE)
