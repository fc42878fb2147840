"""The gate: sizes or refuses every order. Nothing else can make an `Approved`."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Final, TypeGuard

from engine.core.messages import Approved, DecisionMade, Draft, OrderRequest
from engine.core.risk.checks import verdicts
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.risk.throttles import Throttles
from engine.core.values import ZERO, Instrument, Leg, worst_price

# Never rounds up, and is nobody else's: the precision that a strategy may have set changes no size.
_DOWN: Final = Context(prec=60, rounding=ROUND_FLOOR)


class RiskGate:
    """Decide on every request of one account, and keep what the throttles remember."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._decisions = 0
        self.throttles = Throttles(limits)

    def size(self, request: OrderRequest, instrument: Instrument, equity: Decimal) -> OrderRequest:
        """Return an entry with its quantity: what the stop may lose, and what the position may be worth.

        floor(min(risk_fraction x equity / stop distance, max_notional_fraction x equity / price)), in lots, where the
        price is the last one, or the limit if that is higher, and the expected fee is paid out of the second bound,
        times the part of it that the entry asks for.
        0 where that is less than one lot or an input is missing, which the checks then refuse.
        """
        distance, price = request.stop_distance, worst_price(request.reference_price, request.limit_price)
        if request.leg is not Leg.ENTRY:
            return request
        inputs = (distance, price, equity, request.size_factor)
        if distance is None or not all(_is_positive(number) for number in inputs):
            return replace(request, quantity=ZERO)
        by_risk = _DOWN.divide(_DOWN.multiply(self.limits.risk_fraction, equity), distance)
        by_notional = self._affordable(_DOWN.multiply(self.limits.max_notional_fraction, equity), price)
        wanted = _DOWN.multiply(min(by_risk, by_notional), request.size_factor)
        return replace(request, quantity=_whole_lots(wanted, instrument.lot))

    def _affordable(self, amount: Decimal, price: Decimal) -> Decimal:
        # The fee is the larger of its minimum and its rate, so the quantity is the smaller of what either leaves.
        limits = self.limits
        with_minimum = _DOWN.divide(max(ZERO, _DOWN.subtract(amount, limits.fee_min)), price)
        with_rate = _DOWN.divide(amount, _DOWN.add(price, limits.fee_per_unit))
        return min(with_minimum, with_rate)

    def decide(self, situation: Situation, draft: Draft) -> Approved[OrderRequest] | None:
        """Run every check, record the decision, and return the approval or None."""
        request = situation.request
        results = verdicts(situation, self.limits)
        reason = next((result.reason for result in results if not result.passed), "")
        self._decisions += 1
        draft.facts.append(
            DecisionMade(
                decision_id=self._decisions,
                signal_id=request.signal_id,
                strategy_id=request.strategy_id,
                instrument_id=request.instrument_id,
                symbol=request.symbol,
                leg=request.leg,
                side=request.side,
                order_type=request.order_type,
                quantity=request.quantity,
                approved=not reason,
                reason=reason,
                checks=results,
                ts_ns=draft.ts_ns,
            )
        )
        if reason:
            return None
        if request.leg is Leg.ENTRY:
            self.throttles.remember(request, draft.ts_ns)
        return Approved(request, decision_id=self._decisions)


def _is_positive(number: Decimal | None) -> TypeGuard[Decimal]:
    return number is not None and number.is_finite() and number > 0


def _whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    return _DOWN.multiply(_DOWN.divide(quantity, lot).to_integral_value(ROUND_FLOOR), lot)
