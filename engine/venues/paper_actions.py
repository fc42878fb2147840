"""What a corporate action does at the paper venue: a split ends orders and scales shares, a dividend pays."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from engine.core.ledger import split_quantity
from engine.core.messages import CorporateAction, DividendDeclared, ShareSplit
from engine.core.values import ZERO, cents, notional
from engine.venues.paper_desk import PaperDesk
from engine.venues.paper_state import NEVER, Lane, Moment

_WIDE: Final = Context(prec=60)
_PRICE_UNIT: Final = Decimal("1E-10")


def apply_action(desk: PaperDesk, lane: Lane, event: CorporateAction) -> None:
    """Apply an action to an instrument's orders, shares and cash, once; a restart may show it again.

    A dividend is paid at its ex date here: the engine's own books keep it from being spent before it arrives.
    """
    state = lane.state
    if event.venue_ts_ns <= state.action_ts_ns:
        return
    state.action_ts_ns = event.venue_ts_ns
    moment = Moment(event.venue_ts_ns, desk.clock(event.received_ts_ns))
    if isinstance(event, ShareSplit):
        desk.cancel_all(lane, "the instrument was split", moment)
        _split(desk, lane, event)
    elif isinstance(event, DividendDeclared):
        desk.account.cash += cents(_WIDE.multiply(event.per_share, state.position))
    desk.touch(lane)


def _split(desk: PaperDesk, lane: Lane, event: ShareSplit) -> None:
    state = lane.state
    price = ZERO
    if state.price is not None:
        scaled = _WIDE.divide(Decimal(repr(state.price)) * event.old_shares, Decimal(event.new_shares))
        price = scaled.quantize(_PRICE_UNIT, ROUND_HALF_EVEN, _WIDE)
        state.price = float(price)
    # The last quote is of old shares.
    state.quote_ts_ns = -NEVER
    shares = split_quantity(state.position, event.new_shares, event.old_shares)
    state.position = lane.instrument.quantity(shares)
    desk.account.cash += cents(notional(event.cash_in_lieu_price or price, shares - state.position))
