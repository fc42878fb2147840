"""The pre-trade checks: one small named function each, numbered as in `docs/risk.md`.

A check looks at a `Situation` and answers with a `CheckResult`. Missing or non-finite input refuses. Protective
and reducing orders are never held up by what holds up entries: those checks answer "does not apply" for them.
"""

from typing import Final

from engine.core.risk.checks.exposure import (
    account_rules,
    buying_power,
    gross_exposure,
    loss_limits,
    open_orders,
)
from engine.core.risk.checks.market import market_data, max_position, price_collar
from engine.core.risk.checks.operation import (
    authorisation,
    clock_sanity,
    reconciliation,
    storage_health,
    token_horizon,
    trading_state,
)
from engine.core.risk.checks.order import (
    exit_quantity,
    order_validity,
    parent_quantity,
    self_trade,
    session,
    tick_and_lot,
    tradable_instrument,
)
from engine.core.risk.checks.results import ABOUT, About, Check, Layer
from engine.core.risk.checks.sizing import max_order_notional, max_order_quantity, protectability
from engine.core.risk.checks.throttles import duplicate_order, message_throttle, repeated_executions

#: Every check, in the order of its number, which is the order in which a decision lists them.
CHECKS: Final[tuple[Check, ...]] = (
    trading_state,
    authorisation,
    tradable_instrument,
    session,
    order_validity,
    tick_and_lot,
    max_order_quantity,
    max_order_notional,
    price_collar,
    market_data,
    buying_power,
    max_position,
    gross_exposure,
    open_orders,
    message_throttle,
    repeated_executions,
    duplicate_order,
    self_trade,
    exit_quantity,
    parent_quantity,
    protectability,
    reconciliation,
    loss_limits,
    account_rules,
    clock_sanity,
    token_horizon,
    storage_health,
)

__all__ = ["ABOUT", "CHECKS", "About", "Check", "Layer"]
