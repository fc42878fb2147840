"""Accounts that a test begins with."""

from __future__ import annotations

import pytest
from listed_account import ENTER, Account, listed_ack


@pytest.fixture
def account() -> Account:
    entered = Account({0: ENTER})
    entered.bar(0)
    return entered


@pytest.fixture
def holder(account: Account) -> Account:
    """An account that holds the entry, with its stop and target acknowledged."""
    account.ack(account.entry)
    account.fill(account.entry, "100", execution="x1")
    for leg in account.submitted()[1:]:
        account.give(listed_ack(account, leg))
    return account
