"""A machine made in the test itself: what it is built of, what it refuses, how it is drawn."""

from __future__ import annotations

from enum import StrEnum

import pytest

from engine.core.errors import Bug, IllegalTransition
from engine.core.fsm import Row, StateMachine


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    DARK = "dark"


class Push(StrEnum):
    WAIT = "wait"
    CUT = "cut"
    MEND = "mend"


ROWS = (
    Row(Light.RED, Push.WAIT, Light.GREEN),
    Row(Light.GREEN, Push.WAIT, Light.RED),
    Row(Light.RED, Push.CUT, Light.DARK),
    Row(Light.GREEN, Push.CUT, Light.DARK, "whatever it showed"),
    Row(Light.DARK, Push.CUT, Light.DARK, "cut twice"),
    Row(Light.DARK, Push.WAIT, Light.RED),
    Row(Light.DARK, Push.MEND, Light.RED),
)


def light() -> StateMachine[Light, Push]:
    return StateMachine("light", states=Light, triggers=Push, initial=Light.RED, rows=iter(ROWS))


def test_a_machine_keeps_what_it_is_made_of() -> None:
    machine = light()
    assert (machine.name, machine.states, machine.triggers, machine.initial) == ("light", Light, Push, Light.RED)
    assert machine.rows == ROWS
    assert ROWS[0].why == ""


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_a_way(row: Row[Light, Push]) -> None:
    machine = light()
    assert machine.allows(row.source, row.trigger)
    assert machine.advance(row.source, row.trigger) is row.target


def test_what_is_no_row_is_no_way() -> None:
    machine = light()
    pairs = {(row.source, row.trigger) for row in ROWS}
    for state in Light:
        for trigger in Push:
            assert machine.allows(state, trigger) is ((state, trigger) in pairs)
    with pytest.raises(IllegalTransition) as refusal:
        machine.advance(Light.RED, Push.MEND)
    assert str(refusal.value) == "The light machine has no transition from red by mend."
    assert (refusal.value.state, refusal.value.trigger) == ("red", "mend")


def test_the_library_is_given_the_same_machine_and_nothing_of_its_own() -> None:
    library = light().machine
    assert list(library.states) == ["red", "green", "dark"]
    assert library.initial == "red"
    assert library.models == []
    # No `to_red` from everywhere, which it would add by itself.
    assert sorted(library.events) == ["cut", "mend", "wait"]
    assert {(each.source, each.dest) for each in library.get_transitions("cut")} == {
        ("red", "dark"),
        ("green", "dark"),
        ("dark", "dark"),
    }


def test_a_drawing_has_every_move_once_and_no_stay() -> None:
    assert light().mermaid() == (
        "stateDiagram-v2\n"
        "    [*] --> red\n"
        "    red --> green: wait\n"
        "    green --> red: wait\n"
        "    red --> dark: cut\n"
        "    green --> dark: cut\n"
        "    dark --> red: wait, mend\n"
    )


def test_states_without_a_row_are_named() -> None:
    with pytest.raises(Bug) as refusal:
        StateMachine("light", states=Light, triggers=Push, initial=Light.RED, rows=ROWS[:1])
    assert str(refusal.value) == "The light table has no row for dark, green."


def test_a_pair_with_two_ways_is_refused() -> None:
    rows = (*ROWS, Row(Light.RED, Push.WAIT, Light.DARK))
    with pytest.raises(Bug) as refusal:
        StateMachine("light", states=Light, triggers=Push, initial=Light.RED, rows=rows)
    assert str(refusal.value) == "The light table holds a pair of state and trigger twice."
