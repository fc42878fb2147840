"""Adoption: a lasting difference between the books and the venue becomes a labelled row, and halts its instrument."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from engine.core.execution.order_table import UNANSWERED_STATES
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger, record
from engine.core.messages import AdjustmentKind, Draft, PositionCorrected
from engine.core.pipeline.desk import Desk
from engine.core.pipeline.settings import Market
from engine.core.values import ZERO, InstrumentId, Side, StrategyId, notional

#: Who owns what no strategy of this account bought.
EXTERNAL: Final = StrategyId("EXTERNAL")

_SOURCE: Final = "reconciliation with the venue"


class Adopter:
    """Make the books hold what the venue says is held, where a difference has lasted."""

    def __init__(
        self, markets: Mapping[InstrumentId, Market], *, ledger: Ledger, execution: ExecutionStage, desk: Desk
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._desk = desk

    def booked(self, instrument_id: InstrumentId) -> Decimal:
        """Return what all owners together hold of an instrument, in shares or coins, less what was oversold."""
        return sum(
            (
                self._ledger.position(*key) - self._ledger.oversold(*key)
                for key, _ in self._ledger.holdings_of(instrument_id)
            ),
            ZERO,
        )

    def trade_count(self, instrument_id: InstrumentId) -> int:
        """Return how many executions of an instrument were booked."""
        return self._ledger.trade_count(instrument_id)

    def is_unsettled(self, instrument_id: InstrumentId) -> bool:
        """Return whether an order is under way that may explain a difference: its fills come first."""
        return any(
            order.instrument_id == instrument_id and (order.state in UNANSWERED_STATES or order.ending is not None)
            for order in self._execution.open_orders()
        )

    def could_fill(self, instrument_id: InstrumentId, difference: Decimal) -> bool:
        """Return whether open orders could change the position by a difference, if they had filled already."""
        side = Side.BUY if difference > 0 else Side.SELL
        orders = self._execution.open_orders()
        remaining = (each.remaining for each in orders if (each.instrument_id, each.side) == (instrument_id, side))
        return sum(remaining, ZERO) >= abs(difference)

    def adopt(self, instrument_id: InstrumentId, difference: Decimal, draft: Draft) -> None:
        """Book what the venue holds beyond the books (or, negative, less) and halt the instrument."""
        symbol = self._markets[instrument_id].instrument.symbol
        if difference > 0:
            price = self._ledger.last_price(instrument_id) or ZERO
            self._book(EXTERNAL, instrument_id, difference, notional(price, difference), draft)
            reason = f"the venue holds {difference} {symbol} that no order of ours bought"
        else:
            self._give_up(instrument_id, -difference, draft)
            reason = f"the venue holds {-difference} {symbol} less than our orders left"
        self._desk.halt((None, instrument_id), f"{reason}: look at the account, then resume", draft)

    def _give_up(self, instrument_id: InstrumentId, missing: Decimal, draft: Draft) -> None:
        # What is not ours went first; then every owner's, in the order in which they came to hold it.
        owners = [key[0] for key, holding in self._ledger.holdings_of(instrument_id) if holding.quantity > 0]
        for owner in sorted(owners, key=lambda name: name != EXTERNAL):
            part = min(missing, self._ledger.position(owner, instrument_id))
            if part <= 0:
                continue
            missing -= part
            self._book(owner, instrument_id, -part, ZERO, draft)
            if owner != EXTERNAL:
                position = self._ledger.position(owner, instrument_id)
                self._desk.fulfil(self._execution.correct(owner, instrument_id, position, draft), draft)

    def _book(
        self, owner: StrategyId, instrument_id: InstrumentId, quantity: Decimal, cost: Decimal, draft: Draft
    ) -> None:
        adjustment = PositionCorrected(
            strategy_id=owner,
            instrument_id=instrument_id,
            kind=AdjustmentKind.ADOPTION,
            quantity=quantity,
            cost=cost,
            source=_SOURCE,
            venue_ts_ns=draft.ts_ns,
            received_ts_ns=draft.ts_ns,
        )
        record(self._ledger, adjustment, draft)
        context = self._markets[instrument_id].contexts.get(owner)
        if context is not None:
            context.position_quantity = self._ledger.position(owner, instrument_id)
