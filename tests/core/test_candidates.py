"""Orders without our id that may be ours: while one is nobody's, no absence is proven by listings (I-2)."""

from dataclasses import replace

import pytest
from listed_account import ENTER, SETTLE_S, Account, filled, listed, listed_ack

from engine.core.messages import TradeBooked
from engine.core.values import OrderType


@pytest.fixture
def account() -> Account:
    made = Account({0: ENTER})
    made.bar(0)
    return made


def test_an_order_that_may_have_been_listed_is_never_proven_absent(account: Account) -> None:
    """I-2: a venue that echoes no ids leaves it out of later listings; sent again, it would be there twice."""
    account.unknown(account.entry)
    account.venue_lists()
    account.pass_seconds(SETTLE_S // 2)
    account.venue_lists(listed(account.entry, client_order_id=None))
    for _ in range(4):
        account.pass_seconds(SETTLE_S)
        account.venue_lists()
    assert len(account.submitted()) == 1
    assert account.states(account.entry)[-1] == "UNKNOWN"


def test_what_may_have_been_listed_is_absent_once_the_other_has_a_name() -> None:
    """Two equal stops: one was lost, and the listing came before the answer that named the other."""
    account = Account({0: replace(ENTER, target_distance=None, targets=((1.0, 0.5), (2.0, 0.5)))})
    account.bar(0)
    account.fill(account.entry, "100")
    lost, named = (each for each in account.submitted() if each.order_type is OrderType.STOP)
    account.unknown(lost)
    entry = filled(account.entry, venue_order_id="v-0", execution=account.made(TradeBooked)[0].execution_id)
    account.venue_lists(entry, listed(named, client_order_id=None, venue_order_id="v-9"), held="100")
    account.give(replace(listed_ack(account, named), venue_order_id="v-9"))
    before = len(account.submitted())
    for _ in range(3):
        account.pass_seconds(SETTLE_S)
        account.venue_lists(entry, listed(named, client_order_id=None, venue_order_id="v-9"), held="100")
    again = [each.client_order_id for each in account.submitted()[before:]]
    assert lost.client_order_id in again
