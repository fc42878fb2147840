"""What comes to the account without a trade: money, corporate actions and corrections, for all stages at once."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.errors import BadInput
from engine.core.execution.stage import ExecutionStage
from engine.core.ledger import Ledger, record, split
from engine.core.messages import (
    AccountFunded,
    BookEvent,
    CashCorrected,
    Draft,
    LotsChosen,
    PositionCorrected,
    ShareSplit,
    SymbolChanged,
    SymbolRenamed,
)
from engine.core.pipeline.desk import Desk
from engine.core.pipeline.settings import Market
from engine.core.values import InstrumentId


class Bookkeeper:
    """Take what no order brought."""

    def __init__(
        self, markets: Mapping[InstrumentId, Market], *, ledger: Ledger, execution: ExecutionStage, desk: Desk
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._execution = execution
        self._desk = desk

    def take(self, event: BookEvent, draft: Draft) -> None:
        """Book an event; raises BadInput for one that the books cannot hold, or of an unknown instrument."""
        if not isinstance(event, AccountFunded | CashCorrected) and event.instrument_id not in self._markets:
            known = ", ".join(str(key) for key in self._markets)
            raise BadInput(f"The instrument {event.instrument_id} is not of this run, which has {known}.")
        if isinstance(event, PositionCorrected | LotsChosen):
            owners = self._markets[event.instrument_id].contexts
            if event.strategy_id not in owners:
                known = ", ".join(owners) or "none"
                raise BadInput(f"The strategy {event.strategy_id!r} does not trade the instrument; these do: {known}.")
        if isinstance(event, ShareSplit):
            split(self._ledger, event, draft)
            self._markets[event.instrument_id].split(event.new_shares, event.old_shares)
            self._desk.fulfil(self._execution.split(event, draft), draft)
        elif isinstance(event, SymbolRenamed):
            self._rename(event, draft)
        else:
            record(self._ledger, event, draft)
        if isinstance(event, PositionCorrected):
            self._correct(event, draft)
        if isinstance(event, ShareSplit | PositionCorrected):
            self._show_positions(event.instrument_id)

    def _correct(self, event: PositionCorrected, draft: Draft) -> None:
        position = self._ledger.position(event.strategy_id, event.instrument_id)
        self._desk.fulfil(self._execution.correct(event.strategy_id, event.instrument_id, position, draft), draft)
        if event.quantity > 0:
            self._desk.halt_unprotected(
                event.strategy_id, event.instrument_id, "nothing protects them: sell them, or resume", draft
            )

    def _rename(self, event: SymbolRenamed, draft: Draft) -> None:
        market = self._markets[event.instrument_id]
        known = market.instrument.symbol
        market.rename(event.symbol)
        self._ledger.rename(market.instrument)
        for bracket in self._execution.open_brackets(None, event.instrument_id):
            bracket.symbol = event.symbol
        draft.facts.append(
            SymbolChanged(
                instrument_id=event.instrument_id,
                from_symbol=known,
                to_symbol=event.symbol,
                source=event.source,
                venue_ts_ns=event.venue_ts_ns,
                ts_ns=draft.ts_ns,
            )
        )

    def _show_positions(self, instrument_id: InstrumentId) -> None:
        for strategy_id, context in self._markets[instrument_id].contexts.items():
            context.position_quantity = self._ledger.position(strategy_id, instrument_id)
