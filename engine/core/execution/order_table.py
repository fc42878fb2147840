"""The order machine: one table for every order.

`NEW` is written and perhaps sent; `ACK` works at the venue; quantities move by executions only, never by a
state. A wish to cancel is a flag with its own deadline beside the state, so that `PARTIAL` stays visible.
Reports come late, twice and out of order: those races are rows here, not exceptions.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.core.fsm import Row, StateMachine


class OrderState(StrEnum):
    """Name where an order is. Names are kept for ever: rows in databases hold them."""

    NEW = "NEW"
    ACK = "ACK"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"


class OrderTrigger(StrEnum):
    """Name what moves an order."""

    ACKNOWLEDGED = "acknowledged"
    APPROVAL_ASKED = "approval_asked"
    FILLED_IN_PART = "filled_in_part"
    FILLED_IN_FULL = "filled_in_full"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PROVEN_ABSENT = "proven_absent"
    SENT_AGAIN = "sent_again"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_REJECTED = "cancel_rejected"
    BUSTED_IN_PART = "busted_in_part"
    BUSTED_IN_FULL = "busted_in_full"


S = OrderState
T = OrderTrigger

#: States from which only a late execution, a bust or nothing comes.
TERMINAL_STATES: Final = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})
#: States in which an order may still fill.
OPEN_STATES: Final = frozenset(S) - TERMINAL_STATES
#: Nobody has said yet what came of it (I-4).
UNANSWERED_STATES: Final = frozenset({S.NEW, S.UNKNOWN})

_BEFORE_ANSWER: Final = (
    Row(S.NEW, T.ACKNOWLEDGED, S.ACK),
    Row(S.NEW, T.APPROVAL_ASKED, S.AWAITING_APPROVAL),
    Row(S.NEW, T.FILLED_IN_PART, S.PARTIAL, "the fill overtook the acknowledgement"),
    Row(S.NEW, T.FILLED_IN_FULL, S.FILLED, "the fill overtook the acknowledgement"),
    Row(S.NEW, T.CANCELED, S.CANCELED),
    Row(S.NEW, T.EXPIRED, S.EXPIRED),
    Row(S.NEW, T.REJECTED, S.REJECTED),
    Row(S.NEW, T.OUTCOME_UNKNOWN, S.UNKNOWN, "a time-out is not a rejection"),
    Row(S.NEW, T.PROVEN_ABSENT, S.REJECTED, "a complete listing does not hold it"),
    Row(S.NEW, T.CANCEL_REQUESTED, S.NEW),
    Row(S.NEW, T.CANCEL_REJECTED, S.NEW),
    Row(S.UNKNOWN, T.ACKNOWLEDGED, S.ACK),
    Row(S.UNKNOWN, T.APPROVAL_ASKED, S.AWAITING_APPROVAL),
    Row(S.UNKNOWN, T.FILLED_IN_PART, S.PARTIAL),
    Row(S.UNKNOWN, T.FILLED_IN_FULL, S.FILLED),
    Row(S.UNKNOWN, T.CANCELED, S.CANCELED),
    Row(S.UNKNOWN, T.EXPIRED, S.EXPIRED),
    Row(S.UNKNOWN, T.REJECTED, S.REJECTED),
    Row(S.UNKNOWN, T.OUTCOME_UNKNOWN, S.UNKNOWN, "asking again was answered by silence too"),
    Row(S.UNKNOWN, T.PROVEN_ABSENT, S.REJECTED, "a complete listing does not hold it"),
    Row(S.UNKNOWN, T.SENT_AGAIN, S.UNKNOWN, "the same id and payload, after it was proven absent: no answer yet"),
    Row(S.UNKNOWN, T.CANCEL_REQUESTED, S.UNKNOWN),
    Row(S.UNKNOWN, T.CANCEL_REJECTED, S.UNKNOWN),
    Row(S.UNKNOWN, T.BUSTED_IN_PART, S.UNKNOWN),
    Row(S.UNKNOWN, T.BUSTED_IN_FULL, S.UNKNOWN),
    Row(S.AWAITING_APPROVAL, T.ACKNOWLEDGED, S.ACK),
    Row(S.AWAITING_APPROVAL, T.APPROVAL_ASKED, S.AWAITING_APPROVAL),
    Row(S.AWAITING_APPROVAL, T.FILLED_IN_PART, S.PARTIAL),
    Row(S.AWAITING_APPROVAL, T.FILLED_IN_FULL, S.FILLED),
    Row(S.AWAITING_APPROVAL, T.CANCELED, S.CANCELED),
    Row(S.AWAITING_APPROVAL, T.EXPIRED, S.EXPIRED),
    Row(S.AWAITING_APPROVAL, T.REJECTED, S.REJECTED, "the human said no"),
    Row(S.AWAITING_APPROVAL, T.OUTCOME_UNKNOWN, S.AWAITING_APPROVAL, "the unknown outcome is that of a cancel"),
    Row(S.AWAITING_APPROVAL, T.PROVEN_ABSENT, S.UNKNOWN, "it was there: the listing and the answer disagree"),
    Row(S.AWAITING_APPROVAL, T.CANCEL_REQUESTED, S.AWAITING_APPROVAL),
    Row(S.AWAITING_APPROVAL, T.CANCEL_REJECTED, S.AWAITING_APPROVAL),
)

_WORKING: Final = (
    Row(S.ACK, T.ACKNOWLEDGED, S.ACK, "told twice"),
    Row(S.ACK, T.APPROVAL_ASKED, S.AWAITING_APPROVAL),
    Row(S.ACK, T.FILLED_IN_PART, S.PARTIAL),
    Row(S.ACK, T.FILLED_IN_FULL, S.FILLED),
    Row(S.ACK, T.CANCELED, S.CANCELED),
    Row(S.ACK, T.EXPIRED, S.EXPIRED),
    Row(S.ACK, T.REJECTED, S.REJECTED, "accepted first, refused by the market later"),
    Row(S.ACK, T.OUTCOME_UNKNOWN, S.ACK, "the unknown outcome is that of a cancel"),
    Row(S.ACK, T.PROVEN_ABSENT, S.UNKNOWN, "it was there: the listing and the answer disagree"),
    Row(S.ACK, T.CANCEL_REQUESTED, S.ACK),
    Row(S.ACK, T.CANCEL_REJECTED, S.ACK),
    Row(S.PARTIAL, T.ACKNOWLEDGED, S.PARTIAL, "the acknowledgement came after the fill"),
    Row(S.PARTIAL, T.APPROVAL_ASKED, S.PARTIAL, "an old report: it has been filled since"),
    Row(S.PARTIAL, T.FILLED_IN_PART, S.PARTIAL),
    Row(S.PARTIAL, T.FILLED_IN_FULL, S.FILLED),
    Row(S.PARTIAL, T.CANCELED, S.CANCELED, "the rest was canceled"),
    Row(S.PARTIAL, T.EXPIRED, S.EXPIRED, "the rest expired"),
    Row(S.PARTIAL, T.REJECTED, S.REJECTED, "the rest was refused"),
    Row(S.PARTIAL, T.OUTCOME_UNKNOWN, S.PARTIAL, "the unknown outcome is that of a cancel"),
    Row(S.PARTIAL, T.PROVEN_ABSENT, S.UNKNOWN, "it was there: the listing and the fills disagree"),
    Row(S.PARTIAL, T.CANCEL_REQUESTED, S.PARTIAL),
    Row(S.PARTIAL, T.CANCEL_REJECTED, S.PARTIAL),
    Row(S.PARTIAL, T.BUSTED_IN_PART, S.PARTIAL),
    Row(S.PARTIAL, T.BUSTED_IN_FULL, S.ACK, "no execution is left and the order still works"),
)


def _ended_rows(state: OrderState) -> tuple[Row[OrderState, OrderTrigger], ...]:
    # What may still be said of an order that is canceled, rejected or expired.
    return (
        Row(state, T.ACKNOWLEDGED, state, "an old report"),
        Row(state, T.APPROVAL_ASKED, state, "an old report"),
        Row(state, T.FILLED_IN_PART, state, "an execution after the end counts; the rest stays ended"),
        Row(state, T.FILLED_IN_FULL, S.FILLED, "an execution after the end counts and completes the order"),
        Row(state, T.CANCELED, state, "the first ending is kept"),
        Row(state, T.EXPIRED, state, "the first ending is kept"),
        Row(state, T.REJECTED, state, "the first ending is kept"),
        Row(state, T.OUTCOME_UNKNOWN, state, "known already"),
        Row(state, T.PROVEN_ABSENT, state),
        Row(state, T.CANCEL_REJECTED, state, "too late to cancel: it had ended"),
        Row(state, T.BUSTED_IN_PART, state),
        Row(state, T.BUSTED_IN_FULL, state),
    )


_FILLED: Final = (
    Row(S.FILLED, T.ACKNOWLEDGED, S.FILLED, "the acknowledgement came after the fill"),
    Row(S.FILLED, T.APPROVAL_ASKED, S.FILLED, "an old report"),
    Row(S.FILLED, T.FILLED_IN_PART, S.FILLED, "more than was ordered: booked, and trading halts"),
    Row(S.FILLED, T.FILLED_IN_FULL, S.FILLED, "more than was ordered: booked, and trading halts"),
    Row(S.FILLED, T.CANCELED, S.FILLED, "the fill won the race"),
    Row(S.FILLED, T.EXPIRED, S.FILLED, "the fill won the race"),
    Row(S.FILLED, T.REJECTED, S.FILLED, "the executions are the truth"),
    Row(S.FILLED, T.OUTCOME_UNKNOWN, S.FILLED, "known already"),
    Row(S.FILLED, T.PROVEN_ABSENT, S.FILLED, "listings drop finished orders"),
    Row(S.FILLED, T.CANCEL_REJECTED, S.FILLED, "too late to cancel: it had filled"),
    Row(S.FILLED, T.BUSTED_IN_PART, S.PARTIAL, "the venue took an execution back"),
    Row(S.FILLED, T.BUSTED_IN_FULL, S.ACK, "the venue took every execution back"),
)

ORDER_MACHINE: Final = StateMachine(
    "order",
    states=OrderState,
    triggers=OrderTrigger,
    initial=S.NEW,
    rows=(
        *_BEFORE_ANSWER,
        *_WORKING,
        *_FILLED,
        *_ended_rows(S.CANCELED),
        *_ended_rows(S.REJECTED),
        *_ended_rows(S.EXPIRED),
    ),
)
