"""Scripted lives of a bracket are broken at every n-th place, and every invariant holds in each of these runs.

What is enumerated: every life of `LIVES` under both exit styles, and in it

- a crash at every 12th class of places of its trail (before and after each BEGIN, statement, COMMIT, send and receipt);
- at every 40th, a crash and another one at every 4th class of places before the next process is settled;
- at every 90th place, every commit from there on failing with a full disk, or with an error of it, or every exchange
  from there on lost, or failing by a status before or after it was served; commits not in the life that spans a night;
- every 60th of the ways in which one request, question, listing or push can go wrong;
- at every 50th class, a crash and then every 8th of these ways before the next process is settled.

The strides begin elsewhere in each life, so that all of them together meet every kind of place.
`python -m engine.testing.chaos.exhaustive` tries them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.order_table import OrderState
from engine.core.execution.recovering import OrderRecovery
from engine.core.messages import Draft
from engine.store.connection import open_reader
from engine.testing.chaos.exhaustive import (
    Breaker,
    Finding,
    Place,
    Row,
    Schedule,
    Search,
    TrailChooser,
    crash_places,
    lasting_failures,
    main,
    recovery_of,
    schedule_of,
)
from engine.testing.chaos.faults import POINTS, Fault, FaultKind
from engine.testing.chaos.lives import LIVES, life_of
from engine.testing.places import memory_folder

CASES = [
    pytest.param(life.name, style, number, id=f"{life.name}-{style}")
    for number, (life, style) in enumerate(product(LIVES, ExitStyle))
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with memory_folder("exhaustive") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def breakers(folder: Path) -> Callable[[str, ExitStyle], Breaker]:
    """Return what makes a breaker once: each begins with a run without faults."""
    return cache(lambda name, style: Breaker(life_of(name), style, folder))


Breakers = Callable[[str, ExitStyle], Breaker]


def shown(row: Row) -> str:
    return "\n".join(map(str, row.findings))


@pytest.mark.parametrize(("life", "style", "number"), CASES)
class TestCrashes:
    def test_life_happens_as_it_is_written(
        self, life: str, style: ExitStyle, number: int, breakers: Breakers, folder: Path
    ) -> None:
        breaker = breakers(life, style)
        breaker.live(Schedule())
        assert breaker.executed_legs() == life_of(life).legs[style]
        points = {point for point, _ in breaker.trail}
        assert {"submit", "listing", "push", "commit.before", "send.after", "receive.before"} <= points

    def test_crash_at_a_place(self, life: str, style: ExitStyle, number: int, breakers: Breakers) -> None:
        row = breakers(life, style).search(Search.CRASH, every=12, begin=number)
        assert not row.findings, shown(row)
        assert row.runs == len(range(number % 12, row.classes, 12))


@pytest.mark.parametrize(("life", "style", "number"), CASES)
class TestSecondCrashes:
    def test_crash_and_crash_of_the_recovery(
        self, life: str, style: ExitStyle, number: int, breakers: Breakers
    ) -> None:
        row = breakers(life, style).search(Search.CRASH_TWICE, every=40, second_every=4, begin=5 * number)
        assert not row.findings, shown(row)
        assert row.runs


@pytest.mark.parametrize(("life", "style", "number"), CASES)
class TestFailures:
    def test_disk_or_venue_fails_from_a_place_on(
        self, life: str, style: ExitStyle, number: int, breakers: Breakers
    ) -> None:
        row = breakers(life, style).search(Search.LASTING, every=90, begin=11 * number)
        assert not row.findings, shown(row)
        assert row.runs

    def test_one_exchange_goes_wrong(self, life: str, style: ExitStyle, number: int, breakers: Breakers) -> None:
        row = breakers(life, style).search(Search.EXCHANGE, every=60, begin=7 * number)
        assert not row.findings, shown(row)
        assert row.runs

    def test_one_exchange_of_a_recovery_goes_wrong(
        self, life: str, style: ExitStyle, number: int, breakers: Breakers
    ) -> None:
        row = breakers(life, style).search(Search.CRASH_EXCHANGE, every=50, second_every=8, begin=5 * number)
        assert not row.findings, shown(row)
        assert row.runs


class TestOddLives:
    """What a list of legs does not say of a life."""

    @pytest.mark.parametrize("style", ExitStyle)
    def test_partial_entry_is_canceled(self, style: ExitStyle, breakers: Breakers) -> None:
        breaker = breakers("limit_partial", style)
        breaker.live(Schedule())
        with closing(open_reader(breaker.database)) as reader:
            row = reader.execute(
                "SELECT status, filled_quantity_e8 > 0, filled_quantity_e8 < quantity_e8 FROM orders "
                "WHERE leg = 'entry'"
            ).fetchone()
        assert row == ("CANCELED", 1, 1)

    @pytest.mark.parametrize("style", ExitStyle)
    def test_kill_switch_ends_entries_and_leaves_the_stop(self, style: ExitStyle, breakers: Breakers) -> None:
        outcome, _ = breakers("kill", style).live(Schedule())
        assert outcome.halted == "chaos"
        assert outcome.brackets == 1

    @pytest.mark.parametrize("style", ExitStyle)
    def test_limit_that_never_fills_is_canceled(self, style: ExitStyle, breakers: Breakers) -> None:
        outcome, trail = breakers("canceled_entry", style).live(Schedule())
        assert (outcome.orders, outcome.executions) == (1, 0)
        assert ("cancel", 1) in trail


class TestClasses:
    """A crash at any place of a class leaves the same behind, so that one of them stands for all."""

    @pytest.mark.parametrize("style", ExitStyle)
    def test_crashes_of_one_class_are_the_same(self, style: ExitStyle, breakers: Breakers) -> None:
        breaker = breakers("target", style)
        classes = classes_of(breaker.trail)
        assert [members[0] for members in classes] == crash_places(breaker.trail)
        assert sum(map(len, classes)) == sum(FaultKind.CRASH in POINTS[point] for point, _ in breaker.trail)
        for members in [each for each in classes if len(each) > 1][::24]:
            assert len({story_after_crash(breaker, place) for place in members}) == 1, members

    @pytest.mark.parametrize("style", ExitStyle)
    def test_crashes_of_two_classes_differ(self, style: ExitStyle, breakers: Breakers) -> None:
        breaker = breakers("target", style)
        places = crash_places(breaker.trail)[::9]
        assert len({story_after_crash(breaker, place) for place in places}) == len(places)


def classes_of(trail: list[Place]) -> list[list[Place]]:
    first = set(crash_places(trail))
    classes: list[list[Place]] = []
    for place in trail:
        if FaultKind.CRASH in POINTS[place[0]]:
            if place in first:
                classes.append([])
            classes[-1].append(place)
    return classes


# All that is seen from outside after a crash: what was told, sent and started, and when.
def story_after_crash(breaker: Breaker, place: Place) -> tuple[str, ...]:
    fault = Fault(point=place[0], passage=place[1], kind=FaultKind.CRASH)
    outcome, _ = breaker.live(Schedule(faults=(fault,)), tells=True)
    assert not outcome.violations
    dies = next(at for at, line in enumerate(outcome.story) if "dies at" in line)
    return (outcome.story[dies].split(" s ")[0], *outcome.story[dies + 1 :])


class TestSensitivity:
    """The search notices a promise that is not kept."""

    def test_orders_that_a_restart_gives_up_are_found(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def give_all_up(recovery: OrderRecovery, draft: Draft) -> None:
            for order in recovery._orders.open_orders():
                if order.state is OrderState.NEW:
                    recovery.give_up(order, "planted", draft)

        monkeypatch.setattr(OrderRecovery, "restarted", give_all_up)
        row = Breaker(life_of("stop"), ExitStyle.BOTH_LEGS, folder).search(Search.CRASH, every=2)
        assert row.findings

    def test_listings_that_lag_beyond_the_settle_time_take_nothing_back(self, folder: Path) -> None:
        """One lagging listing once counted as a bust: it has to last."""
        life = life_of("stop")
        life = replace(life, temper=replace(life.temper, read_lag_ms=20_000))
        row = Breaker(life, ExitStyle.BOTH_LEGS, folder).search(Search.CRASH, every=4)
        assert row.runs
        assert not any("I-7" in finding.violations[0] for finding in row.findings)


class TestSchedules:
    def test_lasting_failure_fails_at_every_passage_from_its_place_on_until_healed(self) -> None:
        fault = Fault(point="submit", passage=2, kind=FaultKind.REQUEST_LOST)
        chooser = TrailChooser(Schedule(faults=(fault,), lasting_at=("submit", "listing")))
        points = ("listing", "submit", "submit", "cancel", "listing", "submit")
        told = [chooser.at(point) for point in points]
        assert [each is not None for each in told] == [False, False, True, False, True, True]
        assert chooser.trail == [
            *(("listing", 1), ("submit", 1), ("submit", 2)),
            *(("cancel", 1), ("listing", 2), ("submit", 3)),
        ]
        chooser.heal()
        assert chooser.at("submit") is None
        assert chooser.passages["submit"] == 4
        assert len(chooser.faults) == 3

    def test_recovery_ends_before_the_third_listing_of_the_second_process(self) -> None:
        listing = [("listing", 1), ("begin.before", 1)]
        trail = [("start", 1), *listing, ("start", 2), *listing, *listing, *listing]
        assert recovery_of(trail) == [("start", 2), *listing, *listing]
        assert not recovery_of([("start", 1), *listing])

    def test_schedule_is_read_back_from_its_text(self, breakers: Breakers) -> None:
        breaker = breakers("stop", ExitStyle.REST_STOP)
        for schedule in lasting_failures(breaker.trail):
            assert schedule_of(str(schedule)) == schedule
        twice = schedule_of("commit.after:12:crash:0 submit:3:reply_late:8000")
        assert [each.amount for each in twice.faults] == [0, 8_000]
        assert schedule_of(str(twice)) == twice

    def test_finding_says_how_to_repeat_it(self) -> None:
        finding = Finding(
            life="stop",
            exit_style=ExitStyle.REST_STOP,
            schedule=schedule_of("commit.after:12:crash:0"),
            violations=("I-3: twice",),
        )
        assert str(finding) == '--repeat "stop rest_stop commit.after:12:crash:0"\n    I-3: twice'


class TestCommand:
    def test_prints_a_row_for_every_search(self, capsys: pytest.CaptureFixture[str]) -> None:
        status = main(["--life", "flatten", "--style", "rest_stop", "--every", "50", "--second-every", "10"])
        lines = capsys.readouterr().out.splitlines()
        assert status == 0
        assert len(lines) == 2 + len(Search)
        assert lines[-1].endswith("0 of them broke an invariant")

    def test_repeats_a_run_and_tells_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--repeat", "stop rest_stop commit.after:12:crash:0"]) == 0
        told = capsys.readouterr().out
        assert "life 1 dies at commit.after" in told
        assert "life 2 starts" in told
