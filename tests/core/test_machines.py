"""What the order and bracket machines promise, and what a machine refuses to be. `test_every_machine` has the rest."""

import pytest

from engine.core.errors import Bug, IllegalTransition
from engine.core.execution import order_table
from engine.core.execution.bracket_table import BracketState
from engine.core.execution.order_table import OPEN_STATES, ORDER_MACHINE, TERMINAL_STATES, OrderState, OrderTrigger
from engine.core.fsm import Row, StateMachine


def test_every_odd_order_row_says_why() -> None:
    """A row out of a terminal state, or one that keeps the state of a terminal order, is a race: it needs words."""
    silent = {OrderTrigger.PROVEN_ABSENT, OrderTrigger.BUSTED_IN_PART, OrderTrigger.BUSTED_IN_FULL}
    unexplained = [
        row for row in ORDER_MACHINE.rows if row.source in TERMINAL_STATES and not row.why and row.trigger not in silent
    ]
    assert unexplained == []


@pytest.mark.parametrize("state", [OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED])
def test_what_may_still_be_said_of_an_ended_order_is_the_same_however_it_ended(state: OrderState) -> None:
    assert order_table._ended_rows(state) == tuple(row for row in ORDER_MACHINE.rows if row.source is state)


def test_open_and_terminal_states_part_the_machine() -> None:
    assert set(OrderState) == OPEN_STATES | TERMINAL_STATES
    assert not OPEN_STATES & TERMINAL_STATES


@pytest.mark.parametrize("state", list(OrderState))
def test_a_fill_is_accepted_in_every_order_state(state: OrderState) -> None:
    """I-9: executions count whatever was said before."""
    assert ORDER_MACHINE.advance(state, OrderTrigger.FILLED_IN_FULL) is OrderState.FILLED
    assert ORDER_MACHINE.allows(state, OrderTrigger.FILLED_IN_PART)


@pytest.mark.parametrize("state", list(OrderState))
def test_silence_never_ends_an_order(state: OrderState) -> None:
    """I-4: a time-out makes no terminal state."""
    after = ORDER_MACHINE.advance(state, OrderTrigger.OUTCOME_UNKNOWN)
    assert after not in TERMINAL_STATES or after is state


def test_illegal_transition_names_all_three() -> None:
    with pytest.raises(IllegalTransition, match="order machine has no transition from FILLED by cancel_requested"):
        ORDER_MACHINE.advance(OrderState.FILLED, OrderTrigger.CANCEL_REQUESTED)


def test_a_state_without_a_row_is_refused() -> None:
    row = Row(BracketState.ENTERING, OrderTrigger.CANCELED, BracketState.CLOSED)
    with pytest.raises(Bug, match="no row for"):
        StateMachine("holey", states=BracketState, triggers=OrderTrigger, initial=BracketState.ENTERING, rows=[row])


def test_a_pair_with_two_rows_is_refused() -> None:
    row = Row(OrderState.NEW, OrderTrigger.CANCELED, OrderState.CANCELED)
    with pytest.raises(Bug, match="twice"):
        StateMachine("double", states=OrderState, triggers=OrderTrigger, initial=OrderState.NEW, rows=[row, row])
