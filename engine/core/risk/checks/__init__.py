"""The pre-trade checks: one small named function each, numbered as in `docs/risk.md`.

A check looks at a `Situation` and answers with a `CheckResult`. Missing or non-finite input refuses. Protective
and reducing orders are never held up by what holds up entries: those checks answer "does not apply" for them.
"""

from typing import Final

from engine.core.messages import CheckResult
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
from engine.core.risk.checks.results import ABOUT, NOT_FOR_EXITS, About, Check, Layer, is_entry
from engine.core.risk.checks.sizing import max_order_notional, max_order_quantity, protectability
from engine.core.risk.checks.throttles import duplicate_order, message_throttle, repeated_executions
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation

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

#: The checks that bind exits too, by number; all others let them pass.
BINDING_EXITS: Final = frozenset({1, 5, 6, 19, 20})


def verdicts(situation: Situation, limits: Limits) -> tuple[CheckResult, ...]:
    """Return what every check says of a request."""
    if is_entry(situation):
        return tuple([check(situation, limits) for check in CHECKS])
    results = list(_LET_EXITS_PASS)
    for place, check in _BINDING:
        results[place] = check(situation, limits)
    return tuple(results)


_BINDING: Final = tuple((number - 1, CHECKS[number - 1]) for number in sorted(BINDING_EXITS))
_LET_EXITS_PASS: Final = tuple(NOT_FOR_EXITS[number] for number in sorted(NOT_FOR_EXITS))

__all__ = ["ABOUT", "BINDING_EXITS", "CHECKS", "About", "Check", "Layer", "verdicts"]
