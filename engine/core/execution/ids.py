"""Client order ids: a pure function of the intent."""

from __future__ import annotations

from uuid import UUID, uuid5

from engine.core.values import AccountId, ClientOrderId, InstrumentId, Leg, StrategyId


def client_order_id(
    namespace: UUID,
    *,
    account_id: AccountId,
    strategy_id: StrategyId,
    instrument_id: InstrumentId,
    sequence: int,
    leg: Leg,
    attempt: int,
) -> ClientOrderId:
    """Return the id of one attempt of one intent: the same intent is the same order for ever.

    `sequence` is allocated in the deciding transaction; `attempt` rises only after the venue's evidence that the
    former attempt is terminal. The namespace is random per account database, so the id tells an outsider nothing.
    """
    name = f"{account_id}|{strategy_id}|{instrument_id}|{sequence}|{leg.value}|{attempt}"
    return ClientOrderId(str(uuid5(namespace, name)))
