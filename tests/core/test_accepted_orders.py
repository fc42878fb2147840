"""What shows that the venue has an order: from then on it is never taken for absent (I-4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from listed_account import SETTLE_S, Account, listed

from engine.core.messages import (
    CancelRejected,
    ExecutionBusted,
    OrderAwaitingApproval,
    OrderCanceled,
    OrderExpired,
    VenueReport,
)
from engine.core.values import ExecutionId


@pytest.mark.parametrize(
    "word",
    [
        lambda times, identity: OrderAwaitingApproval(**times, client_order_id=identity),
        lambda times, identity: OrderCanceled(
            **times, client_order_id=identity, reason="on request", filled_quantity=Decimal(5)
        ),
        lambda times, identity: CancelRejected(
            **times, client_order_id=identity, reason="the order is filled", is_known=True
        ),
        lambda times, identity: OrderExpired(
            **times, client_order_id=identity, reason="the session is over", filled_quantity=Decimal(5)
        ),
    ],
    ids=[
        "waits for approval",
        "canceled, its fills untold",
        "a cancel refused since it is filled",
        "expired, its fills untold",
    ],
)
def test_a_word_without_the_venues_id_shows_all_the_same_that_the_order_is_there(
    account: Account, word: Callable[..., VenueReport]
) -> None:
    account.give(word(account._times(), account.entry.client_order_id))
    for _ in range(3):
        account.pass_seconds(SETTLE_S)
        account.venue_lists()
    assert len(account.submitted()) == 1
    assert "REJECTED" not in account.states(account.entry)


def test_a_cancel_of_what_the_venue_never_saw_proves_nothing_of_it(account: Account) -> None:
    refused = CancelRejected(
        **account._times(), client_order_id=account.entry.client_order_id, reason="no such order", is_known=False
    )
    account.give(refused)
    for _ in range(2):
        account.pass_seconds(SETTLE_S)
        account.venue_lists()
    assert len(account.submitted()) == 2


def test_an_order_that_a_bust_lets_work_again_ends_anew(holder: Account) -> None:
    stop = holder.submitted()[1]
    holder.fill(stop, "99", execution="x2")
    holder.give(
        ExecutionBusted(
            **holder._times(), client_order_id=stop.client_order_id, execution_id=ExecutionId("x2"), reason="error"
        )
    )
    holder.pass_seconds(60)
    holder.give(OrderCanceled(**holder._times(), client_order_id=stop.client_order_id, reason="on request"))
    holder.pass_seconds(1)
    holder.venue_lists(listed(stop, venue_order_id=f"v-{stop.client_order_id[:4]}"))
    assert not any("was thought to be CANCELED" in reason for reason in holder.halts())
