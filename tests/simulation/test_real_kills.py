"""Real processes of `ratchet run` that are killed, stopped, doubled, starved of disk, and lied to by the clock.

Tests of one file stay on one worker; all here share one nursery, and nothing here needs more than two processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine.app.trading import book_path
from engine.core.errors import BadInput
from engine.core.values import SECOND_NS
from engine.store.connection import sqlite
from engine.testing.kills import run_kills
from engine.testing.kills.forks import Ending
from engine.testing.kills.life import LifePlan, Word, last_word
from engine.testing.kills.monitors import Remains, breaches, copied, final_breaches, read_remains
from engine.testing.kills.nursery import Nursery, small_disk
from engine.testing.kills.points import POINTS, Fuse, arm
from engine.testing.kills.trials import TRIALS

HOUR_NS = 3_600 * SECOND_NS
#: Short ones: there are many tests.
BARS, TAPE = replace(TRIALS[1], minutes=100), replace(TRIALS[5], minutes=100)
TWO = TRIALS[2]


class Run:
    """A trial in a folder, with what an uninterrupted run of it leaves."""

    def __init__(self, nursery: Nursery, whole: Path, folder: Path, arguments: list[str]) -> None:
        self.nursery = nursery
        self.folder = folder
        self.arguments = arguments
        self.whole = whole
        self.database = folder / "paper.sqlite"
        self.truth = read_remains(whole)

    def command(self, *options: str, database: Path | None = None) -> list[str]:
        return [*self.arguments, "--db", str(database or self.database), *options]

    def live(self, plan: LifePlan | None = None) -> Ending:
        return self.nursery.live(plan or LifePlan(), self.command(), self.folder)

    def remains(self, database: Path | None = None) -> Remains:
        return read_remains(copied(database or self.database, self.folder / "seen"))

    def finish(self) -> None:
        """Come to the end, with the same trades."""
        ending = self.live()
        assert (ending.code, ending.said) == (0, "")
        self.check_end()

    def check_end(self, database: Path | None = None) -> None:
        remains = self.remains(database)
        assert list(breaches(remains, before=Remains(), word=Word())) == []
        assert list(final_breaches(remains, truth=self.truth)) == []


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery")) as opened:
        yield opened


@pytest.fixture(scope="module")
def wholes(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Hold, for each trial that is used here, the database of an uninterrupted run and the arguments."""
    made = {}
    for trial, market in ((BARS, 1), (TAPE, 1), (TWO, 2)):
        folder = tmp_path_factory.mktemp("whole")
        arguments = trial.prepare(folder, market)
        ending = nursery.live(LifePlan(), [*arguments, "--db", str(folder / "whole.sqlite")], folder)
        assert (ending.code, ending.said) == (0, "")
        made[trial.name] = folder / "whole.sqlite", arguments
    return made


@pytest.fixture
def run(nursery: Nursery, wholes: dict[str, tuple[Path, list[str]]], tmp_path: Path) -> Run:
    return _run(nursery, wholes[BARS.name], tmp_path)


@pytest.fixture
def tape_run(nursery: Nursery, wholes: dict[str, tuple[Path, list[str]]], tmp_path: Path) -> Run:
    return _run(nursery, wholes[TAPE.name], tmp_path)


@pytest.fixture
def two_run(nursery: Nursery, wholes: dict[str, tuple[Path, list[str]]], tmp_path: Path) -> Run:
    return _run(nursery, wholes[TWO.name], tmp_path)


def _run(nursery: Nursery, made: tuple[Path, list[str]], folder: Path) -> Run:
    whole, arguments = made
    shutil.copytree(whole.parent / "strategies", folder / "strategies")
    return Run(nursery, whole, folder, arguments)


def one_sentence(ending: Ending, code: int, part: str) -> None:
    assert ending.code == code, ending.said
    assert ending.said.startswith("ratchet: ")
    assert ending.said.count("\n") == 1, ending.said
    assert part in ending.said


# --- killed ------------------------------------------------------------------------------------------------------


def test_killed_at_random_moments_and_again_in_recovery_it_trades_the_same() -> None:
    report = run_kills(25, seed=2)
    assert report.violations == []
    assert report.kills >= 25
    assert report.runs >= 2
    assert report.double_kills > 0
    assert report.by_point["random moment"] > 0
    assert sum(report.by_point.values()) == report.kills == report.lives - report.runs


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_named_point_it_trades_the_same(run: Run, point: str) -> None:
    """Twice in a row: the second life dies at its first passage, which mostly is while it recovers."""
    before = Remains()
    word = run.folder / "word"
    for life, passage in enumerate((2 if POINTS[point].passages > 1 else 1, 1)):
        word.unlink(missing_ok=True)
        ending = run.live(LifePlan(point=point, nth=passage, word=str(word)))
        # An account is made once.
        assert ending.code == -signal.SIGKILL or (point == "account.after" and life), (point, ending)
        remains = run.remains()
        assert list(breaches(remains, before=before, word=last_word(word))) == []
        before = remains
    run.finish()


#: Each of them once ended with other trades: a bar whose open alone was matched stayed open for the venue after a
#: restart, so that a later order arrived in that minute; and questions of the restart moved the venue's clock to the
#: end of another instrument's minute, so that a stop seemed to be late.
LATE = [("book.after", 19), ("book.after", 48), ("book.after", 54), *(("commit.after", n) for n in (63, 182, 193, 265))]


@pytest.mark.parametrize(("point", "nth"), LATE)
def test_killed_inside_the_minute_of_two_instruments_it_trades_the_same(two_run: Run, point: str, nth: int) -> None:
    assert two_run.live(LifePlan(point=point, nth=nth)).is_killed
    two_run.finish()


def test_a_point_that_is_none_is_named() -> None:
    with pytest.raises(BadInput, match=r"no point 'nowhere': name one of lock\.before, "):
        arm(Fuse(point="nowhere"))


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_impossible_numbers_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match="give at least 1, 0 and 1"):
        run_kills(*numbers)


# --- the monitors see what they are for ------------------------------------------------------------------------


RESTING = "UPDATE orders SET body = json_set(body, '$.status', 'working', '$.remaining', '99') WHERE body LIKE '%sell%'"
UNHEARD = "INSERT INTO reports VALUES (999, 'x', 'OrderFilled', json_object('execution_id', 'unheard'))"


@pytest.mark.parametrize(
    ("file", "statement", "sentence"),
    [
        ("journal", "DELETE FROM trades WHERE id = (SELECT max(id) FROM trades)", "db check"),
        ("journal", "UPDATE inputs SET hash = zeroblob(32) WHERE id = 20", "step 20 was in the journal"),
        ("journal", "UPDATE commands SET client_order_id = 'x' WHERE id = 1", "I-1"),
        ("journal", "UPDATE commands SET payload = replace(payload, 'buy', 'sell') WHERE id = 1", "I-2"),
        ("journal", "UPDATE trades SET execution_id = 'another' WHERE id = 3", "never happened at the venue"),
        ("book", "UPDATE lanes SET body = json_set(body, '$.position', '-1')", "I-12: instrument 1 is short by 1"),
        ("book", RESTING, "I-12: exits of"),
        ("book", "UPDATE account SET body = json_set(body, '$.cash', '1')", "I-10: the journal has"),
        ("book", "DELETE FROM orders WHERE number = 1", "I-3"),
        ("book", UNHEARD, "I-7: the execution unheard is not in trades"),
    ],
)
def test_each_monitor_can_fail(run: Run, file: str, statement: str, sentence: str) -> None:
    whole = copied(run.whole, run.folder / "tampered")
    assert [*breaches(run.truth, before=run.truth, word=Word()), *final_breaches(run.truth, truth=run.truth)] == []
    with closing(sqlite.connect(whole if file == "journal" else book_path(whole), isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    after = read_remains(whole)
    found = [*breaches(after, before=run.truth, word=Word()), *final_breaches(after, truth=run.truth)]
    assert any(sentence in each for each in found), found


def test_an_acknowledged_commit_that_is_gone_is_seen(run: Run) -> None:
    word = Word(step=run.truth.step + 1, digest="ab" * 32)
    assert any("was acknowledged" in each for each in breaches(run.truth, before=run.truth, word=word))


# --- stopped, and two at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["commit.after", "rows.after", "send.before", "book.before"])
def test_a_stopped_engine_keeps_its_account_and_goes_on(run: Run, point: str) -> None:
    """I-17: whoever comes meanwhile is refused in one sentence, also inside a transaction of the first."""
    first = run.nursery.start(LifePlan(point=point, nth=3, signal_number=signal.SIGSTOP), run.command(), run.folder)
    first.wait_for_state("T")
    before = run.remains()
    one_sentence(run.live(), 4, f"Another engine (process {first.pid}) works on")
    assert run.remains().digests == before.digests
    first.signal(signal.SIGCONT)
    ending = first.wait()
    assert (ending.code, ending.said) == (0, "")
    run.check_end()


def test_of_two_engines_at_once_one_works(run: Run) -> None:
    both = [run.nursery.start(LifePlan(), run.command("--until", "2025-01-02T15:30Z"), run.folder) for _ in range(2)]
    endings = sorted((life.wait() for life in both), key=lambda each: each.code)
    assert endings[0].code == 0
    one_sentence(endings[1], 4, "Another engine (process ")
    run.finish()


@pytest.mark.parametrize("point", ["commit.before", "commit.after", "send.before", "book.before"])
def test_an_engine_whose_lock_was_taken_away_commits_no_more(run: Run, point: str) -> None:
    """I-17: a stale epoch can neither commit nor send."""
    plan = LifePlan(point=point, nth=3, signal_number=signal.SIGSTOP)
    first = run.nursery.start(plan, run.command(), run.folder)
    first.wait_for_state("T")
    run.database.with_name(run.database.name + ".lock").unlink()
    second = run.live()
    assert (second.code, second.said) == (0, "")
    after = run.remains()
    first.signal(signal.SIGCONT)
    ending = first.wait()
    assert ending.code in {3, 4}, ending
    assert ending.said.count("\n") == 1
    remains = run.remains()
    assert (remains.digests, remains.accepted, remains.executions) == (after.digests, after.accepted, after.executions)
    run.check_end()


# --- a full disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_kib", [4, 100, 330, 500])
def test_a_file_that_cannot_grow_ends_in_a_sentence_and_goes_on_later(run: Run, file_kib: int) -> None:
    """I-21: nothing leaves after a commit that failed; with room again it is as if nothing had been."""
    word = run.folder / "word"
    ending = run.live(LifePlan(file_bytes_max=file_kib * 1024, word=str(word)))
    one_sentence(ending, 3, str(run.database))
    assert list(breaches(run.remains(), before=Remains(), word=last_word(word))) == []
    run.finish()


@pytest.mark.parametrize("free_kib", [0, 20, 400, 800, 1_000])
def test_a_full_disk_ends_in_a_sentence_and_goes_on_later(run: Run, free_kib: int) -> None:
    disk, size_kib = run.folder / "disk", 16_384
    database = disk / "paper.sqlite"
    try:
        with small_disk(disk, size_bytes=size_kib * 1024) as holder:
            seen = Path(f"/proc/{holder}/root{database}")
            ballast = seen.with_name("ballast")
            ballast.write_bytes(bytes((size_kib - free_kib) * 1024))
            plan = LifePlan(mounts_of=holder, word=str(run.folder / "word"))
            full = run.nursery.live(plan, run.command(database=database), run.folder)
            one_sentence(full, 3, str(disk))
            assert "free" in full.said
            left = run.remains(seen)
            assert list(breaches(left, before=Remains(), word=last_word(run.folder / "word"))) == []
            ballast.unlink()
            ending = run.nursery.live(plan, run.command(database=database), run.folder)
            assert (ending.code, ending.said) == (0, "")
            run.check_end(seen)
    except OSError as error:
        if "cannot be mounted" not in str(error):
            raise
        pytest.skip(str(error))


# --- clocks that jump ---------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_between_lives_changes_nothing(tape_run: Run) -> None:
    """I-24: no timer fires or is skipped: the same hashes of the same steps, whatever the wall says."""
    clock = tape_run.folder / "clock"
    for shift_ns, nth in ((HOUR_NS, 60), (-HOUR_NS, 80), (-2 * HOUR_NS, 40), (0, 10_000)):
        clock.write_text(f"{shift_ns}\n", encoding="ascii")
        tape_run.live(LifePlan(point="commit.after", nth=nth, clock=str(clock)))
    tape_run.check_end()
    assert tape_run.remains().digests == tape_run.truth.digests


def test_a_clock_that_jumps_while_it_trades_changes_nothing(run: Run) -> None:
    clock = run.folder / "clock"
    clock.write_text("0\n", encoding="ascii")
    # A hundred minutes of market in a second and a half.
    arguments = run.command()
    arguments[arguments.index("--speed") + 1] = "4000"
    life = run.nursery.start(LifePlan(clock=str(clock)), arguments, run.folder)
    jumps = 0
    while life.state() != "Z":
        jumps += 1
        os.pwrite(descriptor := os.open(clock, os.O_WRONLY), f"{(HOUR_NS, -HOUR_NS)[jumps % 2]}\n\n".encode(), 0)
        os.close(descriptor)
        time.sleep(0.02)
    ending = life.wait()
    assert (ending.code, ending.said) == (0, "")
    assert jumps > 20
    run.check_end()
    assert run.remains().digests == run.truth.digests
