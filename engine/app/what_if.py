"""What would the gate say? The same gate, on an order that nobody made, in an account as it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

from engine.app.modes import make_pipeline
from engine.app.recovery import restore
from engine.app.settings import RiskSettings
from engine.app.stored_runs import stored_spec
from engine.calendars import load_sessions
from engine.core.errors import BadInput
from engine.core.messages import AccountFunded, CheckResult, DecisionMade, Draft, OrderRequest
from engine.core.pipeline import Pipeline, PipelineSettings
from engine.core.risk.gate import RiskGate
from engine.core.values import (
    AccountId,
    Instrument,
    Leg,
    OrderType,
    Sessions,
    Side,
    StrategyId,
    TimeInForce,
    instrument_from_symbol,
)
from engine.store.accounts import find_instrument, list_accounts
from engine.store.connection import explained
from engine.store.migrate import open_current_reader

_NOBODY: Final = StrategyId("what-if")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Hold an order that nobody made: an entry, at market unless it has a limit."""

    symbol: str
    price: Decimal
    stop_distance: Decimal
    limit: Decimal | None = None
    #: None: the gate sizes it.
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Hold what the gate says."""

    symbol: str
    #: What the gate would size it to, and what was asked about.
    sized_quantity: Decimal
    quantity: Decimal
    approved: bool
    reason: str
    #: The moment that was decided at, ns UTC, and whether it is the next open because the market was closed.
    ts_ns: int
    is_next_open: bool
    account: str
    equity: Decimal
    checks: tuple[CheckResult, ...]


def ask_database(path: Path, question: Question, *, account: str | None, risk: RiskSettings | None) -> Answer:
    """Ask in an account of a database, as its journal leaves it; `risk` decides in place of the account's own limits.

    Raises BadInput for a database, an account or a symbol that is not there, and Halt for a journal that does not come
    out as it was written.
    """
    connection = open_current_reader(path)
    try:
        with explained(path):
            connection.execute("BEGIN")
            known = list_accounts(connection)
            chosen = [each for each in known if account in (None, each.name)]
            if not chosen:
                names = ", ".join(each.name for each in known) or "none"
                raise BadInput(f"The database {path} has no account {account!r}: it has {names}.")
            spec = stored_spec(connection, chosen[-1])
            pipeline = make_pipeline(spec, chosen[-1].namespace)
            restore(pipeline, connection, chosen[-1])
            # As the journal leaves it: with the symbol that it bears now.
            instrument = pipeline.ledger.instrument(find_instrument(connection, chosen[-1], question.symbol))
    finally:
        connection.close()
    question = replace(question, symbol=instrument.symbol)
    sessions = spec.feed.sessions[instrument.instrument_id]
    strategy_id = StrategyId(spec.strategy.name)
    asked = _Asked(pipeline, instrument, sessions, strategy_id, chosen[-1].name)
    return asked.answer(question, ts_ns=pipeline.now_ts_ns, risk=risk or spec.risk)


def ask_fresh(question: Question, *, equity: Decimal, risk: RiskSettings, wall_ts_ns: int) -> Answer:
    """Ask in an account that holds cash alone, at this moment or the next open. Raises BadInput for a bad symbol."""
    instrument = instrument_from_symbol(question.symbol, 1)
    sessions = load_sessions(instrument.calendar)
    pipeline = Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=0),
            instruments={instrument.instrument_id: instrument},
            sessions={instrument.instrument_id: sessions},
            strategies=[],
            limits=risk.limits,
            account=risk.account,
        )
    )
    pipeline.step(AccountFunded(venue_ts_ns=wall_ts_ns, received_ts_ns=wall_ts_ns, amount=equity, source="what-if"))
    asked = _Asked(pipeline, instrument, sessions, _NOBODY, "none (cash alone)")
    return asked.answer(question, ts_ns=wall_ts_ns, risk=risk)


@dataclass(frozen=True, slots=True)
class _Asked:
    pipeline: Pipeline
    instrument: Instrument
    sessions: Sessions
    strategy_id: StrategyId
    account: str

    def answer(self, question: Question, *, ts_ns: int, risk: RiskSettings) -> Answer:
        pipeline, instrument = self.pipeline, self.instrument
        session = self.sessions.session_from(ts_ns)
        moment = max(ts_ns, session.open_ts_ns)
        draft = Draft(moment)
        # A day that has begun since the last input counts its losses from here.
        pipeline.desk.guard.start_session(session, draft)
        # A gate of its own: it may decide by other limits, and remembers nothing.
        gate = RiskGate(risk.limits)
        equity = pipeline.ledger.equity
        request = gate.size(self._request(question), instrument, equity)
        sized = request.quantity
        if question.quantity is not None:
            request = replace(request, quantity=question.quantity)
        situation = pipeline.desk.guard.situation(request, instrument, draft)
        gate.decide(situation, draft)
        decision = next(fact for fact in reversed(draft.facts) if isinstance(fact, DecisionMade))
        return Answer(
            symbol=question.symbol,
            sized_quantity=sized,
            quantity=request.quantity,
            approved=decision.approved,
            reason=decision.reason,
            ts_ns=moment,
            is_next_open=moment > ts_ns,
            account=self.account,
            equity=equity,
            checks=decision.checks,
        )

    def _request(self, question: Question) -> OrderRequest:
        return OrderRequest(
            strategy_id=self.strategy_id,
            instrument_id=self.instrument.instrument_id,
            symbol=question.symbol,
            leg=Leg.ENTRY,
            side=Side.BUY,
            order_type=OrderType.MARKET if question.limit is None else OrderType.LIMIT,
            quantity=Decimal(0),
            limit_price=question.limit,
            stop_price=None,
            time_in_force=TimeInForce.DAY,
            reference_price=question.price,
            stop_distance=question.stop_distance,
        )
