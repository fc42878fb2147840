"""Adoption: a lasting difference between the books and the venue becomes a labelled row, and halts its instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from engine.core.execution.order_table import UNANSWERED_STATES
from engine.core.execution.orders import Execution
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger, record
from engine.core.messages import AdjustmentKind, Draft, PositionCorrected
from engine.core.pipeline.desk import Desk
from engine.core.pipeline.settings import Market
from engine.core.values import ZERO, ExecutionId, InstrumentId, Side, StrategyId, notional

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

    def is_unsettled(self, instrument_id: InstrumentId) -> bool:
        """Return whether an order is under way that may explain a difference: its fills come first."""
        return any(
            order.instrument_id == instrument_id and (order.state in UNANSWERED_STATES or order.ending is not None)
            for order in self._execution.open_orders()
        )

    def adopt(
        self, instrument_id: InstrumentId, difference: Decimal, draft: Draft, *, missing: Sequence[Execution]
    ) -> None:
        """Book what the venue holds beyond the books (or, negative, less) and halt the instrument.

        `missing` are executions that it does not list any more: each may be why it holds less.
        """
        symbol = self._markets[instrument_id].instrument.symbol
        if difference > 0:
            price = self._ledger.last_price(instrument_id) or ZERO
            self._book(EXTERNAL, instrument_id, difference, notional(price, difference), draft)
            reason = f"the venue holds {difference} {symbol} that no order of ours bought"
        else:
            self._give_up(instrument_id, -difference, draft, missing)
            reason = f"the venue holds {-difference} {symbol} less than our orders left"
        self._desk.halt((None, instrument_id), f"{reason}: look at the account, then resume", draft)

    def _give_up(
        self, instrument_id: InstrumentId, lacking: Decimal, draft: Draft, missing: Sequence[Execution]
    ) -> None:
        # What is not ours went first; then every owner's, in the order in which they came to hold it.
        owners = [key[0] for key, holding in self._ledger.holdings_of(instrument_id) if holding.quantity > 0]
        for owner in sorted(owners, key=lambda name: name != EXTERNAL):
            part = min(lacking, self._ledger.position(owner, instrument_id))
            if part <= 0:
                continue
            lacking -= part
            self._give_up_of(owner, instrument_id, part, missing, draft)
            if owner != EXTERNAL:
                position = self._ledger.position(owner, instrument_id)
                self._desk.fulfil(self._execution.correct(owner, instrument_id, position, draft), draft)

    # What an execution brought that is not listed any more goes first, by its name: its bust takes the same shares.
    def _give_up_of(
        self, owner: StrategyId, instrument_id: InstrumentId, part: Decimal, missing: Sequence[Execution], draft: Draft
    ) -> None:
        for execution in missing:
            order, quantity = execution.order, min(part, execution.quantity)
            if quantity > 0 and order.strategy_id == owner and order.side is Side.BUY:
                part -= quantity
                self._book(owner, instrument_id, -quantity, ZERO, draft, execution_id=execution.execution_id)
        if part > 0:
            self._book(owner, instrument_id, -part, ZERO, draft)

    def _book(
        self,
        owner: StrategyId,
        instrument_id: InstrumentId,
        quantity: Decimal,
        cost: Decimal,
        draft: Draft,
        *,
        execution_id: ExecutionId | None = None,
    ) -> None:
        adjustment = PositionCorrected(
            strategy_id=owner,
            instrument_id=instrument_id,
            kind=AdjustmentKind.ADOPTION,
            quantity=quantity,
            cost=cost,
            source=_SOURCE if execution_id is None else f"{_SOURCE}, which does not list execution {execution_id}",
            execution_id=execution_id,
            venue_ts_ns=draft.ts_ns,
            received_ts_ns=draft.ts_ns,
        )
        record(self._ledger, adjustment, draft)
        context = self._markets[instrument_id].contexts.get(owner)
        if context is not None:
            context.position_quantity = self._ledger.position(owner, instrument_id)
