"""After a power cut everything acknowledged is there, in whole steps; a disk that fails stops the engine at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine.app.loop import EngineLoop
from engine.core.errors import Halt
from engine.core.execution.bracket_table import ExitStyle
from engine.core.messages import BarClosed, Command, Event, SubmitOrder
from engine.store.check import check_database
from engine.store.connection import open_writer
from engine.store.mending import mend_log
from engine.store.migrate import upgrade
from engine.store.writer import MemoryJournal, SqliteJournal
from engine.testing.old_databases import restore_dump
from engine.testing.power import (
    Fault,
    FaultKind,
    OperationKind,
    Outcome,
    PowerCut,
    Recorder,
    Recording,
    Synchronous,
    cut_power,
    power_loss,
    replay,
    unavailable_because,
)
from engine.testing.power.__main__ import main
from engine.testing.power.marks import State, read_state
from engine.testing.power.runs import recordings
from engine.testing.power.workload import (
    DATABASE,
    final_hash,
    history,
    journal_of,
    record_failed_sync,
    record_killed,
    record_session,
    record_upgrade,
)
from engine.testing.scenario import OPEN_TS_NS, Scenario, enter

pytestmark = pytest.mark.skipif(bool(unavailable_because()), reason=unavailable_because() or "it is available")

DUMP = Path(__file__).parents[1] / "store" / "data" / "schema_0001_paper.sql.gz"
#: The step at which disks fail here: the first exit of a round trip, with rows in many tables.
STEP = 20
WRITE_FAULTS = (FaultKind.FULL, FaultKind.SHORT, FaultKind.WRITE_ERROR)


def _bad(cuts: Sequence[PowerCut]) -> list[str]:
    return [str(cut) for cut in cuts if cut.verdict.outcome is not Outcome.WHOLE]


# --- power cuts -----------------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_lost() -> None:
    report = power_loss(600, seed=1)
    assert report.failures == ()
    assert report.lost == 0
    # The images were not easy ones.
    assert report.torn > 100
    assert report.dropped > 300


def test_fewer_syncs_would_lose_commits() -> None:
    # The same lives with NORMAL: it proves that the test above can fail. Files stay sound, and steps whole.
    report = power_loss(150, seed=1, synchronous=Synchronous.NORMAL)
    assert report.lost > 0
    assert report.failures == ()


def test_an_upgrade_is_done_or_not_begun(tmp_path: Path) -> None:
    old = restore_dump(DUMP, tmp_path / DATABASE)
    recording = record_upgrade(Synchronous.FULL, {DATABASE: old.read_bytes()})
    assert recording.marks[0].state.revision == "0001"
    assert recording.marks[0].state.steps > 0
    until = next(mark.position for mark in recording.marks if mark.what == "the schema")
    assert _bad(cut_power(recording, 60, seed=1, until=until)) == []


def test_a_recording_is_the_same_each_time() -> None:
    assert record_session(Synchronous.FULL) == recordings(Synchronous.FULL)[0]


def test_an_image_can_be_made_again(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (replay(5, 17, Synchronous.FULL, folder) for folder in folders)
    assert first == second
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1] == first.image.files


def test_recordings_meet_what_they_are_for() -> None:
    session, restart, upgraded = recordings(Synchronous.FULL)
    steps = len(history())
    assert session.marks[-1].state.steps == steps
    assert session.marks[-1].state.journal_hash == final_hash()
    assert f"{DATABASE}-wal" in restart.files
    assert upgraded.marks[0].state.revision == "0001"
    # A checkpoint writes into the database itself, after a sync of the WAL.
    assert sum(operation.name == DATABASE and bool(operation.data) for operation in session.operations) > 200


# --- failed syncs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session() -> Recording:
    return recordings(Synchronous.FULL)[0]


@pytest.mark.parametrize("first", range(4))
def test_a_failed_sync_loses_nothing_when_the_database_is_closed(session: Recording, first: int) -> None:
    # What the failed sync should have written never reaches the disk, and no later sync repairs that.
    for at_sync in range(first * 2, 64, 8):
        halted = record_failed_sync(session, at_sync=at_sync)
        assert halted.marks[-1].state.journal_hash == final_hash()
        assert _bad(cut_power(halted, 6, seed=at_sync)) == []


def test_a_failed_sync_before_a_kill_is_not_safe(session: Recording) -> None:
    # What `mend_log` is for, and the proof that the tests above and below can fail.
    halted = record_failed_sync(session, at_sync=38)
    killed = record_killed(halted, begins_with_upgrade=False)
    assert _bad(cut_power(killed, 60, seed=1, until=60))


@pytest.mark.parametrize("begins_with_upgrade", [False, True], ids=["opened", "upgraded"])
def test_a_failed_sync_before_a_kill_is_mended_at_the_next_start(
    session: Recording, *, begins_with_upgrade: bool
) -> None:
    for at_sync in (7, 21, 38, 51):
        halted = record_failed_sync(session, at_sync=at_sync)
        killed = record_killed(halted, begins_with_upgrade=begins_with_upgrade, is_mended=True)
        assert halted.halted_at is not None
        first = next(operation for operation in killed.operations if operation.kind is OperationKind.WRITE)
        assert first.name == f"{DATABASE}-wal"
        mended = next(mark.position for mark in killed.marks if mark.what == "the mended log")
        # Most cuts where it was lost before: within the mending and soon after.
        for until, images in ((mended, 15), (mended + 60, 15), (None, 10)):
            assert _bad(cut_power(killed, images, seed=at_sync, until=until)) == []


def test_a_log_whose_mending_fails_halts_and_is_mended_later(tmp_path: Path, before: Before) -> None:
    path = _fresh(tmp_path, before)
    log = path.with_name(f"{DATABASE}-wal")
    first = open_writer(path)
    try:
        _append(journal_of(first), STEP)
        data = log.read_bytes()
        with Recorder(tmp_path) as recorder:
            recorder.fail(Fault(kind=FaultKind.SYNC_ERROR, at=0))
            with pytest.raises(Halt, match=r"wal \(Input/output error\) when its bytes were to be made durable"):
                mend_log(path, recorder.disk_calls())
            assert mend_log(path, recorder.disk_calls())
            written = b"".join(each.data for each in recorder.operations if each.kind is OperationKind.WRITE)
        assert written == data * 2 == log.read_bytes() * 2
        assert [each.kind for each in recorder.operations][-2:] == [OperationKind.SYNC, OperationKind.SYNC_FOLDER]
        assert journal_of(first).step_count == STEP
    finally:
        first.close()
    assert not log.exists()
    assert not mend_log(path)


# --- disks that fail in a commit ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """Hold a database that ends just before the step at which disks fail, and what it holds."""

    data: bytes
    state: State


def _made(folder: Path, steps: int) -> Before:
    path = folder / DATABASE
    upgrade(path)
    connection = open_writer(path)
    _append(journal_of(connection), steps)
    state = read_state(connection)
    connection.close()
    return Before(data=path.read_bytes(), state=state)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    return _made(tmp_path_factory.mktemp("before"), STEP - 1)


def _fresh(folder: Path, before: Before) -> Path:
    for path in folder.iterdir():
        path.unlink()
    (folder / DATABASE).write_bytes(before.data)
    return folder / DATABASE


def _append(journal: SqliteJournal, until: int) -> None:
    for event, step in history()[journal.step_count : until]:
        journal.append(event, step)
    journal.commit()


@cache
def _hash_of_step() -> str:
    journal = MemoryJournal()
    for event, step in history()[:STEP]:
        journal.append(event, step)
    return journal.journal_hash


def _calls_of_a_commit(path: Path) -> dict[str, int]:
    with Recorder(path.parent) as recorder:
        connection = open_writer(path)
        journal = journal_of(connection)
        recorder.fail(None)
        _append(journal, STEP)
        calls = dict(recorder.calls)
        connection.close()
    return calls


def _fail_in_a_commit(path: Path, fault: Fault) -> None:
    with Recorder(path.parent) as recorder:
        connection = open_writer(path)
        journal = journal_of(connection)
        recorder.fail(fault)
        with pytest.raises(Halt):
            _append(journal, STEP)
        assert not connection.in_transaction
        # The process ends while the disk still fails.
        recorder.fail(Fault(kind=fault.kind, at=0, lasts=True) if fault.lasts else None)
        connection.close()


def _check_that_it_goes_on(path: Path, state: State, *, to_its_end: bool) -> None:
    connection = open_writer(path)
    try:
        assert read_state(connection) == state
        journal = journal_of(connection)
        _append(journal, len(history()) if to_its_end else STEP)
        assert journal.journal_hash == (final_hash() if to_its_end else _hash_of_step())
    finally:
        connection.close()
    if to_its_end:
        assert check_database(path).is_sound


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("kind", FaultKind)
def test_a_disk_that_fails_in_a_commit_undoes_it(
    tmp_path: Path, before: Before, kind: FaultKind, *, lasts: bool
) -> None:
    call = {FaultKind.READ_ERROR: "read", FaultKind.SYNC_ERROR: "sync"}.get(kind, "write")
    count = _calls_of_a_commit(_fresh(tmp_path, before))[call]
    assert count
    for at in range(count):
        path = _fresh(tmp_path, before)
        _fail_in_a_commit(path, Fault(kind=kind, at=at, lasts=lasts))
        _check_that_it_goes_on(path, before.state, to_its_end=at == count - 1)


@pytest.mark.parametrize("kind", WRITE_FAULTS)
def test_a_full_disk_undoes_the_making_of_a_database(tmp_path: Path, kind: FaultKind) -> None:
    for number, at in enumerate(range(0, 180, 20)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Recorder(folder) as recorder:
            recorder.fail(Fault(kind=kind, at=at, lasts=True))
            with pytest.raises(Halt):
                upgrade(folder / DATABASE)
        upgrade(folder / DATABASE)
        assert check_database(folder / DATABASE).is_sound


# --- nothing leaves -------------------------------------------------------------------------------------------------


@dataclass
class RecordingVenue:
    """A venue that keeps what it is sent, and never answers."""

    sent: list[Command] = field(default_factory=list)
    exit_styles: tuple[ExitStyle, ...] = (ExitStyle.BOTH_LEGS,)
    is_delayed: bool = False

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def query_account(self, asked_ts_ns: int) -> None:
        raise AssertionError(f"asked at {asked_ts_ns}")

    def drain(self) -> Sequence[Any]:
        return ()

    def let_arrive(self, until_ts_ns: int) -> bool:
        return until_ts_ns < OPEN_TS_NS

    def has_work(self, instrument_id: int) -> bool:
        return instrument_id < 0

    def observe_open(self, event: Event) -> None:
        raise AssertionError(event)

    observe_rest = observe_past = observe_open


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """Return a database with a registered account that has no steps."""
    return _made(tmp_path_factory.mktemp("empty"), 0)


def _trade(path: Path, recorder: Recorder, fault: Fault | None) -> tuple[list[Command], int, bool]:
    # Four bars: the second one brings an order.
    scenario, played, venue = Scenario({1: enter()}), Scenario({}), RecordingVenue()
    for minute in range(4):
        played.bar(minute)
    connection = open_writer(path)
    loop = EngineLoop(scenario.pipeline, venue, journal_of(connection), is_durable=True)
    recorder.fail(fault)
    is_halted = False
    try:
        loop.run(event for event in played.events if isinstance(event, BarClosed))
    except Halt:
        is_halted = True
    recorder.fail(None)
    (journaled,) = connection.execute("SELECT count(*) FROM commands").fetchone()
    connection.close()
    return venue.sent, journaled, is_halted


@pytest.mark.parametrize(
    ("kind", "lasts"),
    [
        (FaultKind.FULL, True),
        (FaultKind.WRITE_ERROR, False),
        (FaultKind.SYNC_ERROR, True),
        (FaultKind.SYNC_ERROR, False),
    ],
)
def test_no_command_leaves_that_is_not_durable(tmp_path: Path, empty: Before, kind: FaultKind, *, lasts: bool) -> None:
    with Recorder(tmp_path) as recorder:
        whole, _, is_halted = _trade(_fresh(tmp_path, empty), recorder, None)
    assert not is_halted
    assert any(isinstance(command, SubmitOrder) for command in whole)
    halts = 0
    for at in range(200):
        path = _fresh(tmp_path, empty)
        with Recorder(tmp_path) as recorder:
            sent, journaled, is_halted = _trade(path, recorder, Fault(kind=kind, at=at, lasts=lasts))
        assert sent == whole[:journaled]
        halts += is_halted
        if not is_halted:
            assert sent == whole
            break
    else:
        pytest.fail("the faults did not come to an end")
    assert halts > 3


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_module_can_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--images", "5", "--seed", "3"]) == 0
    assert "5 images" in capsys.readouterr().out
    assert main(["--seed", "3", "--index", "4", "--keep", str(tmp_path)]) == 0
    assert "seed 3 index 4" in capsys.readouterr().out
    assert (tmp_path / DATABASE).exists()
    assert main(["--seed", "3", "--index", "4", "--keep", str(tmp_path)]) == 2
