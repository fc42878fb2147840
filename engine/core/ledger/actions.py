"""Corporate actions and corrections: what changes the books without a trade."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from engine.core.errors import BadInput, Bug
from engine.core.ledger.ledger import Key, Ledger
from engine.core.messages import (
    AccountFunded,
    AdjustmentKind,
    BookEvent,
    CashCorrected,
    CashMovementKind,
    DividendDeclared,
    Draft,
    LotsChosen,
    PositionCorrected,
    ShareSplit,
    SymbolRenamed,
)
from engine.core.values import ZERO, cents, notional

_WIDE: Final = Context(prec=60)
_PRICE_UNIT: Final = Decimal("1E-10")
_NO_SPLIT: Final = (1, 1)
_BY_HAND: Final = frozenset({AdjustmentKind.OPENING, AdjustmentKind.ADOPTION, AdjustmentKind.CORRECTION})


def record(ledger: Ledger, event: BookEvent, draft: Draft) -> None:
    """Book what came to the account without a trade."""
    match event:
        case AccountFunded():
            ledger.fund(event, draft)
        case CashCorrected():
            ledger.correct_cash(event, draft)
        case PositionCorrected():
            correct_position(ledger, event, draft)
        case LotsChosen():
            ledger.choose_lots(event, draft)
        case DividendDeclared():
            pay_dividend(ledger, event, draft)
        case ShareSplit() | SymbolRenamed():
            raise Bug(f"A {type(event).__name__} concerns more than the books.")


def split(ledger: Ledger, event: ShareSplit, draft: Draft) -> None:
    """Scale every holding of an instrument; what is no whole lot of it is paid out in cash.

    Raises BadInput for a ratio that is none.
    """
    instrument = ledger.instrument(event.instrument_id)
    new, old = event.new_shares, event.old_shares
    if new <= 0 or old <= 0 or new == old:
        raise BadInput(
            f"The split {new}:{old} of {instrument.symbol} has no ratio: give new and old shares, as in 4:1."
        )
    draft.is_kept = True
    price = ledger.last_price(event.instrument_id)
    if price is not None:
        scaled = _WIDE.divide(_WIDE.multiply(price, Decimal(old)), Decimal(new))
        price = scaled.quantize(_PRICE_UNIT, ROUND_HALF_EVEN, _WIDE)
    ledger.split_past(event.instrument_id, (new, old), draft.ts_ns)
    for key, _ in ledger.holdings_of(event.instrument_id):
        ledger.adjust(
            key,
            (ZERO, None, (new, old)),
            kind=AdjustmentKind.SPLIT,
            source=event.source,
            settles_ts_ns=event.venue_ts_ns,
            draft=draft,
        )
        _pay_fraction(ledger, key, event, event.cash_in_lieu_price or price or ZERO, draft)
    if price is not None:
        ledger.reprice(event.instrument_id, price)


def _pay_fraction(ledger: Ledger, key: Key, event: ShareSplit, price: Decimal, draft: Draft) -> None:
    instrument = ledger.instrument(event.instrument_id)
    quantity = ledger.position(*key)
    fraction = quantity - instrument.quantity(quantity)
    if not fraction:
        return
    proceeds = cents(notional(price, fraction))
    ledger.adjust(
        key,
        (-fraction, proceeds, _NO_SPLIT),
        kind=AdjustmentKind.CASH_IN_LIEU,
        source=event.source,
        settles_ts_ns=event.venue_ts_ns,
        draft=draft,
    )
    ledger.move_cash(
        proceeds,
        CashMovementKind.CASH_IN_LIEU,
        event.source,
        settles_ts_ns=event.venue_ts_ns,
        draft=draft,
        key=key,
    )


def pay_dividend(ledger: Ledger, event: DividendDeclared, draft: Draft) -> None:
    """Book a dividend on what is held now, to the cent; the cash is there from its pay date on.

    Raises BadInput for a dividend that is not above zero, or pays before it is declared.
    """
    symbol = ledger.instrument(event.instrument_id).symbol
    if not event.per_share.is_finite() or event.per_share <= 0:
        raise BadInput(f"The dividend {event.per_share} of {symbol} is not above zero: correct its amount.")
    if event.pays_ts_ns < event.venue_ts_ns:
        raise BadInput(f"The dividend of {symbol} pays at {event.pays_ts_ns} ns UTC, before its ex date: correct it.")
    draft.is_kept = True
    for key, holding in ledger.holdings_of(event.instrument_id):
        if not holding.quantity:
            continue
        ledger.move_cash(
            cents(_WIDE.multiply(event.per_share, holding.quantity)),
            CashMovementKind.DIVIDEND,
            event.source,
            settles_ts_ns=event.pays_ts_ns,
            draft=draft,
            key=key,
        )


def correct_position(ledger: Ledger, event: PositionCorrected, draft: Draft) -> None:
    """Take a position in that came without a trade, or out what went.

    Raises BadInput for more than is held, a negative cost, and kinds that only the engine itself makes.
    """
    key = (event.strategy_id, event.instrument_id)
    symbol = ledger.instrument(event.instrument_id).symbol
    held = ledger.position(*key)
    if event.kind not in _BY_HAND:
        raise BadInput(
            f"The adjustment {event.kind} of {symbol} is not made by hand: use opening, adoption or correction."
        )
    if not event.quantity or event.quantity < -held:
        raise BadInput(
            f"The adjustment of {symbol} by {event.quantity} does not fit the {held} that are held: correct it."
        )
    if event.cost < 0 or (event.quantity < 0 and event.cost):
        raise BadInput(
            f"The adjustment of {symbol} has the cost {event.cost}: give the cost of what comes, 0 for what goes."
        )
    if event.quantity > 0 and ledger.last_price(event.instrument_id) is None:
        # Before its first bar it is worth what it cost.
        each = _WIDE.divide(event.cost, event.quantity).quantize(_PRICE_UNIT, ROUND_HALF_EVEN, _WIDE)
        ledger.reprice(event.instrument_id, each)
    ledger.adjust(
        key,
        (event.quantity, event.cost if event.quantity > 0 else None, _NO_SPLIT),
        kind=event.kind,
        source=event.source,
        settles_ts_ns=event.venue_ts_ns,
        draft=draft,
    )
    ledger.reprice(event.instrument_id, ledger.last_price(event.instrument_id) or ZERO)
