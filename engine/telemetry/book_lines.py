"""Log lines of the books, of plans and of comparisons with the venue: facts without an order that would tell them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from engine.core.messages import (
    AdjustmentKind,
    BracketPlanned,
    ComparisonVerdict,
    ExternalOrderSeen,
    FeeCharged,
    GoodFaithViolated,
    LotClosed,
    PositionAdjusted,
    PositionCompared,
    SignalRefused,
    SuspenseBooked,
    SymbolChanged,
)
from engine.telemetry.times import event_time

#: Level, name and details of a line.
BookLine = tuple[int, str, dict[str, Any]]

# An announced action explains these; after any other change a human looks whether the broker says the same.
_EXPECTED_ADJUSTMENTS: Final = frozenset({AdjustmentKind.OPENING, AdjustmentKind.SPLIT, AdjustmentKind.CASH_IN_LIEU})


def _lot_closed(fact: LotClosed) -> BookLine:
    details = {
        "quantity": fact.quantity,
        "cost": fact.cost,
        "proceeds": fact.proceeds,
        "realized_pnl": fact.realized_pnl,
        "opened": event_time(fact.opened_ts_ns),
        "holding_days": fact.holding_days,
        "trade_id": fact.closing_trade_id,
        "adjustment_id": fact.closing_adjustment_id,
    }
    return logging.DEBUG, "lot_reopened" if fact.is_reversal else "lot_closed", details


def _fee_charged(fact: FeeCharged) -> BookLine:
    return logging.DEBUG, "fee_charged", {"trade_id": fact.trade_id, "kind": fact.kind, "amount": fact.amount}


def _position_adjusted(fact: PositionAdjusted) -> BookLine:
    details = {
        "adjustment_id": fact.adjustment_id,
        "kind": fact.kind,
        "quantity": fact.quantity,
        "cost": fact.cost,
        "realized_pnl": fact.realized_pnl,
        "ratio": fact.ratio,
        "source": fact.source,
    }
    level = logging.INFO if fact.kind in _EXPECTED_ADJUSTMENTS else logging.WARNING
    return level, "position_adjusted", details


def _suspense_booked(fact: SuspenseBooked) -> BookLine:
    details = {
        "client_order_id": fact.client_order_id,
        "execution_id": fact.execution_id,
        "kind": fact.kind,
        "side": fact.side,
        "price": fact.price,
        "quantity": fact.quantity,
        "value": fact.value,
        "reason": fact.reason,
    }
    return logging.WARNING, "suspense_booked", details


def _good_faith_violated(fact: GoodFaithViolated) -> BookLine:
    details = {
        "trade_id": fact.trade_id,
        "opening_trade_id": fact.opening_trade_id,
        "quantity": fact.quantity,
        "paid": event_time(fact.paid_ts_ns),
    }
    if fact.quantity < 0:
        return logging.INFO, "good_faith_restored", details
    return logging.WARNING, "good_faith_violated", details


def _symbol_changed(fact: SymbolChanged) -> BookLine:
    valid = event_time(fact.venue_ts_ns)
    details = {"from_symbol": fact.from_symbol, "to_symbol": fact.to_symbol, "source": fact.source, "valid": valid}
    return logging.INFO, "symbol_changed", details


def _bracket_planned(fact: BracketPlanned) -> BookLine:
    wanted = {each.name: getattr(fact.plan, each.name) for each in fields(fact.plan)}
    return logging.INFO, "bracket_planned", {name: value for name, value in wanted.items() if value not in (None, ())}


def _signal_refused(fact: SignalRefused) -> BookLine:
    return logging.WARNING, "signal_refused", {"signal_id": fact.signal_id, "reason": fact.reason}


def _external_order_seen(fact: ExternalOrderSeen) -> BookLine:
    # The symbol too: an instrument that this run does not know has no other name.
    names = ("symbol", "venue_order_id", "side", "order_type", "quantity", "filled_quantity", "limit_price")
    details = {name: getattr(fact, name) for name in (*names, "stop_price", "status")}
    return logging.WARNING, "external_order_seen", details | {"created": event_time(fact.created_ts_ns)}


def _position_compared(fact: PositionCompared) -> BookLine:
    details = {"booked": fact.booked, "listed": fact.listed, "verdict": fact.verdict}
    return _COMPARISON_LEVELS[fact.verdict], "position_compared", details


_COMPARISON_LEVELS: Final = {
    ComparisonVerdict.DRIFT: logging.WARNING,
    ComparisonVerdict.EQUAL: logging.INFO,
    # From here on the books hold what nobody here bought, or miss what somebody else sold.
    ComparisonVerdict.ADOPTED: logging.CRITICAL,
}


# `Any`: each maker takes its own fact, and the key proves which. The level is the loudest that it can be.
BOOK_LINES: Final[dict[type, tuple[int, Callable[[Any], BookLine]]]] = {
    LotClosed: (logging.DEBUG, _lot_closed),
    FeeCharged: (logging.DEBUG, _fee_charged),
    PositionAdjusted: (logging.WARNING, _position_adjusted),
    SuspenseBooked: (logging.WARNING, _suspense_booked),
    GoodFaithViolated: (logging.WARNING, _good_faith_violated),
    SymbolChanged: (logging.INFO, _symbol_changed),
    BracketPlanned: (logging.INFO, _bracket_planned),
    SignalRefused: (logging.WARNING, _signal_refused),
    ExternalOrderSeen: (logging.WARNING, _external_order_seen),
    PositionCompared: (logging.CRITICAL, _position_compared),
}
