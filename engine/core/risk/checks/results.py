"""How a check answers: its number, name, layer and source, and the four verdicts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

from engine.core.messages import CheckResult, OrderRequest, Verdict
from engine.core.risk.limits import Limits
from engine.core.risk.situation import Situation
from engine.core.risk.sources import Capability, Offer, Source
from engine.core.values import Leg, notional, worst_price

#: What is looked at, or a bound.
Shown = Decimal | int | str
Check = Callable[[Situation, Limits], CheckResult]

# Ratios are shown with so many digits, and nobody else can change them.
_RATIO: Final = Context(prec=9)


class Layer(IntEnum):
    """Name the five layers of risk control, from the single order out to the machine."""

    ORDER = 1
    EXPOSURE = 2
    SIZING = 3
    MARKET = 4
    OPERATION = 5


class About(NamedTuple):
    """Hold what is known of a check before it runs."""

    name: str
    layer: Layer
    #: Where what it looks at comes from, apart from the venue.
    source: str
    #: What it needs to hear from the venue or the shell.
    needs: tuple[Capability, ...] = ()


#: Number -> check, in the order in which they run. The numbers are those of a published list of pre-trade checks.
ABOUT: Final[dict[int, About]] = {
    1: About("trading_state", Layer.OPERATION, "trading states"),
    2: About("authorisation", Layer.OPERATION, "", (Capability.AUTHORISATION,)),
    3: About("tradable_instrument", Layer.ORDER, "risk file", (Capability.HALT_STATUS, Capability.PRICE_BANDS)),
    4: About("session", Layer.ORDER, "calendar"),
    5: About("order_validity", Layer.ORDER, "request"),
    6: About("tick_and_lot", Layer.ORDER, "instrument"),
    7: About("max_order_quantity", Layer.SIZING, "request"),
    8: About("max_order_notional", Layer.SIZING, "request, last bar"),
    9: About("price_collar", Layer.MARKET, "last bar, decisions"),
    10: About("market_data", Layer.MARKET, "last bars", (Capability.QUOTES,)),
    11: About("buying_power", Layer.EXPOSURE, "ledger, orders"),
    12: About("max_position", Layer.MARKET, "ledger, orders"),
    13: About("gross_exposure", Layer.EXPOSURE, "ledger, orders"),
    14: About("open_orders", Layer.EXPOSURE, "orders"),
    15: About("message_throttle", Layer.OPERATION, "commands"),
    16: About("repeated_executions", Layer.OPERATION, "decisions"),
    17: About("duplicate_order", Layer.OPERATION, "decisions"),
    18: About("self_trade", Layer.ORDER, "orders"),
    19: About("exit_quantity", Layer.ORDER, "orders, ledger"),
    20: About("parent_quantity", Layer.ORDER, "bracket"),
    21: About("protectability", Layer.SIZING, "request, venue"),
    22: About("reconciliation", Layer.OPERATION, "orders", (Capability.RECONCILIATION,)),
    23: About("loss_limits", Layer.EXPOSURE, "ledger, circuit breakers"),
    24: About("account_rules", Layer.EXPOSURE, "ledger"),
    25: About("clock_sanity", Layer.OPERATION, "", (Capability.CLOCK,)),
    26: About("token_horizon", Layer.OPERATION, "", (Capability.LOGIN_HORIZON,)),
    27: About("storage_health", Layer.OPERATION, "", (Capability.STORAGE,)),
}


def judged(
    number: int, *, passed: bool, value: Shown, limit: Shown, reason: str, source: str | None = None
) -> CheckResult:
    """Return that a check passed or refused."""
    about = ABOUT[number]
    return CheckResult(
        number=number,
        name=about.name,
        passed=passed,
        value=value,
        limit=limit,
        reason="" if passed else reason,
        verdict=Verdict.PASSED if passed else Verdict.REFUSED,
        source=about.source if source is None else source,
    )


def passed(number: int, value: Shown, limit: Shown = "-", *, source: str | None = None) -> CheckResult:
    """Return that a check passed."""
    return judged(number, passed=True, value=value, limit=limit, reason="", source=source)


def missing(number: int, what: str, *, source: str | None = None) -> CheckResult:
    """Return that a check refuses because something that it needs is missing or no number."""
    return judged(number, passed=False, value=what, limit="a known number", reason="missing_input", source=source)


def inapplicable(number: int, why: str, *, source: str = "") -> CheckResult:
    """Return that a check has nothing to say about the order."""
    return CheckResult(
        number=number,
        name=ABOUT[number].name,
        passed=True,
        value=why,
        limit="-",
        verdict=Verdict.DOES_NOT_APPLY,
        source=source,
    )


#: What every check answers that lets exits pass.
NOT_FOR_EXITS: Final = {number: inapplicable(number, "does not apply to exits") for number in ABOUT}


def without(
    number: int, capability: Capability, situation: Situation, limits: Limits, *, shown: Shown = "-"
) -> CheckResult:
    """Return what silence about a capability means at this venue; `shown` is what was looked at instead."""
    return _silence(number, situation.venue.sources.get(capability), capability, limits.refused_without, shown)


# The same few answers are given for every entry.
@lru_cache(maxsize=256)
def _silence(
    number: int, source: Source | None, capability: Capability, refused_without: frozenset[Capability], shown: Shown
) -> CheckResult:
    offer = Offer.NOT_OFFERED if source is None else source.offer
    text = f"{capability.value}: {'no source' if source is None else source.text}"
    if offer is Offer.OFFERED:
        return missing(number, capability.value, source=text)
    if offer is Offer.NOT_NEEDED:
        return inapplicable(number, "nothing reported, nothing needed", source=text)
    refuses = capability in refused_without
    return CheckResult(
        number=number,
        name=ABOUT[number].name,
        passed=not refuses,
        value=shown,
        limit="refuse" if refuses else "pass",
        reason="not_offered" if refuses else "",
        verdict=Verdict.NOT_OFFERED,
        source=text,
    )


def told_by(capability: Capability, situation: Situation) -> str:
    """Return where a report came from, for the record."""
    source = situation.venue.sources.get(capability)
    return f"{capability.value}: {'reported' if source is None else source.text}"


def cost_of(request: OrderRequest) -> Decimal | None:
    """Return what an entry may cost, in account currency; None where an input is no finite number."""
    # A comparison with NaN is an error, and has to become a refusal.
    price, quantity = worst_price(request.reference_price, request.limit_price), request.quantity
    return notional(price, quantity) if price.is_finite() and quantity.is_finite() else None


def ratio(part: Decimal, whole: Decimal) -> Decimal:
    """Return a part of a whole with nine digits."""
    return _RATIO.divide(part, whole)


def is_positive(number: Decimal | None) -> bool:
    """Return whether a number is there, finite and above zero."""
    return number is not None and number.is_finite() and number > 0


def is_entry(situation: Situation) -> bool:
    """Return whether the request opens or enlarges a position."""
    return situation.request.leg is Leg.ENTRY
