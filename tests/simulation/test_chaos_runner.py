"""The runner: one seed is one scenario however many processes live it; what breaks is found, shrunk and replayed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from engine.core.errors import BadInput
from engine.core.execution.bracket_table import ExitStyle
from engine.core.values import AccountKind
from engine.store.connection import open_reader
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.plan import MARKETS
from engine.testing.chaos.regressions import Schedule, load_schedule, save_schedule
from engine.testing.chaos.runner import Progress, counts, run_trial
from engine.testing.chaos.story import story_of
from engine.testing.chaos.trial import Plans, Trial, fault_kinds
from engine.testing.chaos.worker import Worker

_FAILING = """
from engine.strategy import BarStrategy


class Failing(BarStrategy):
    def on_bar(self, bar, context):
        return {body}
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(Trial(), tmp_path)


@pytest.fixture
def owners_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with strategies of its own, which are forgotten afterwards."""
    (tmp_path / "strategies").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "strategies"


# --- the same for the same seed --------------------------------------------------------------------------------------


def test_one_seed_is_one_event_log_whatever_the_number_of_processes() -> None:
    alone, again = (run_trial(Trial(), seed=3, seeds=4) for _ in range(2))
    together = run_trial(Trial(), seed=3, seeds=4, jobs=2)
    assert alone.event_log_hash == again.event_log_hash == together.event_log_hash
    assert replace(alone, seconds=0.0) == replace(together, seconds=0.0)
    assert alone.event_log_hash != run_trial(Trial(), seed=4, seeds=4).event_log_hash


def test_what_is_kept_of_a_scenario_is_its_whole_database(worker: Worker, tmp_path: Path) -> None:
    outcome = worker.live(5)
    for _ in range(2):  # a second time over the first one
        worker.keep(outcome.plan, outcome.faults, tmp_path / "kept.sqlite")
    with closing(open_reader(tmp_path / "kept.sqlite")) as kept:
        (brackets,) = kept.execute("SELECT count(*) FROM brackets").fetchone()
    assert brackets >= outcome.brackets > 0


def test_the_account_of_a_risk_file_counts() -> None:
    assert Trial(risk_text="account:\n  kind: cash\n").subject().rules.account.kind is AccountKind.CASH


def test_a_record_of_its_faults_repeats_a_scenario(worker: Worker) -> None:
    outcome = worker.live(5)
    assert outcome.faults
    repeated = worker.repeat(outcome.plan, outcome.faults)
    assert repeated.event_log_hash == outcome.event_log_hash
    assert repeated.faults == outcome.faults


def test_a_time_lives_whole_scenarios_in_order_of_their_seeds() -> None:
    told: list[Progress] = []
    summary = run_trial(Trial(), seed=3, minutes=0.01, on_progress=told.append)
    assert [each.lived for each in told if not each.is_shrinking] == list(range(1, summary.lived + 1))
    assert summary.event_log_hash == run_trial(Trial(), seed=3, seeds=summary.lived).event_log_hash
    assert summary.seconds > 0.6


def test_a_summary_adds_up(worker: Worker) -> None:
    outcomes = [worker.live(seed) for seed in range(3, 6)]
    summary = run_trial(Trial(), seed=3, seeds=3)
    assert summary.lived == 3
    assert summary.scenarios == sum(map(counts, outcomes))
    assert sum(summary.faults.values()) == sum(len(outcome.faults) for outcome in outcomes)
    for name in ("brackets", "orders", "executions", "lives"):
        assert getattr(summary, name) == sum(getattr(outcome, name) for outcome in outcomes)
    assert summary.passages["commit.after"] == sum(outcome.passages["commit.after"] for outcome in outcomes)
    assert summary.scenarios_per_hour == summary.scenarios / summary.seconds * 3_600


# --- which count -----------------------------------------------------------------------------------------------------


def test_a_scenario_counts_with_45_minutes_a_bracket_and_five_faults(worker: Worker) -> None:
    outcome = worker.live(5)
    fault = outcome.faults[0]
    enough = replace(outcome, brackets=1, faults=(fault,) * 5)
    assert counts(enough)
    assert not counts(replace(enough, brackets=0))
    assert not counts(replace(enough, faults=(fault,) * 4))
    assert not counts(replace(enough, plan=replace(enough.plan, minutes=44)))


def test_what_does_not_count_is_lived_and_not_counted() -> None:
    summary = run_trial(Trial(kinds=(FaultKind.CLOCK_JUMP,)), seeds=2)
    assert (summary.lived, summary.scenarios, summary.scenarios_per_hour) == (2, 0, 0.0)
    assert set(summary.faults) <= {"clock_jump"}


# --- what is tried ---------------------------------------------------------------------------------------------------


def test_a_strategy_begins_shortly_before_it_enters() -> None:
    trial = Trial(strategy="s1_vwap_ema", exit_style=ExitStyle.REST_STOP)
    plans = Plans(trial, trial.subject())
    plan = plans.of(1)
    assert plan.exit_style is ExitStyle.REST_STOP
    assert plan.market_seed in range(MARKETS)
    assert plan.first_minute > 390, "it warms up for a session"
    assert plans.of(1 + MARKETS).first_minute == plan.first_minute


def test_a_strategy_that_never_enters_is_refused(owners_folder: Path) -> None:
    (owners_folder / "never_enters.py").write_text(_FAILING.format(body="()"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"never_enters enters on none of the 24 simulated markets"):
        run_trial(Trial(strategy="never_enters"), seeds=1)


@pytest.mark.parametrize(
    ("jobs", "name", "body", "sentence"),
    [
        (2, "divides", "1 / 0", r"The strategy divides failed \(ZeroDivisionError: .*divides.py line 7\): mend it"),
        (1, "says_none", "None", r"The strategy says_none returned NoneType from on_bar: return a sequence of Signal"),
        (1, "says_words", "['buy']", r"The strategy says_words returned str from on_bar"),
    ],
)
def test_a_strategy_that_fails_is_no_defect_of_the_engine(
    owners_folder: Path, jobs: int, name: str, body: str, sentence: str
) -> None:
    (owners_folder / f"{name}.py").write_text(_FAILING.format(body=body), encoding="utf-8")
    with pytest.raises(BadInput, match=sentence):
        run_trial(Trial(strategy=name), seeds=2, jobs=jobs)


def test_an_unknown_fault_is_told_which_are_known() -> None:
    assert fault_kinds("push_lost, crash") == (FaultKind.CRASH, FaultKind.PUSH_LOST)
    with pytest.raises(BadInput, match=r"no fault 'crush': choose among crash, disk_full, .*clock_jump"):
        fault_kinds("crash,crush")


def test_the_line_that_replays_says_all_that_decides() -> None:
    trial = Trial(
        strategy="mine", parameters={"fast": "9"}, risk_name="my risk.yaml", kinds=(FaultKind.CRASH,), is_full=True
    )
    assert trial.replay_line(7) == (
        "ratchet chaos mine --full --faults crash --risk 'my risk.yaml' --param fast=9 --explain 7"
    )
    assert Trial().replay_line(7) == "ratchet chaos --explain 7"


# --- a planted defect ------------------------------------------------------------------------------------------------


@pytest.fixture
def random_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a defect: an id is no function of the intent any more, so that a replay wants another order."""
    from engine.core.execution import register

    chance = Random(1)

    def client_order_id(*arguments: object, **options: object) -> str:
        return str(UUID(int=chance.getrandbits(128)))

    monkeypatch.setattr(register, "client_order_id", client_order_id)


@pytest.mark.usefixtures("random_ids")
def test_a_planted_defect_is_found_shrunk_kept_and_told(tmp_path: Path) -> None:
    summary = run_trial(Trial(kinds=(FaultKind.CRASH, FaultKind.PUSH_LOST)), seeds=3, keep=tmp_path / "kept")
    assert summary.violations
    found = summary.violations[0]
    assert found.invariant in ("I-18", "I-19")
    assert found.schedule is not None
    assert len(found.schedule.faults) <= 1 < found.faults
    assert found.replay == f"ratchet chaos --faults crash,push_lost --explain {found.seed}"
    kept = tmp_path / "kept" / f"{found.invariant}-seed-{found.seed}"
    schedule = load_schedule(kept.with_suffix(".json"))
    assert schedule == found.schedule
    assert kept.with_suffix(".sqlite").stat().st_size > 100_000
    outcome = Worker(schedule.trial(), tmp_path).repeat(schedule.plan, schedule.faults, tells=True)
    assert found.invariant in [violation.invariant for violation in outcome.violations]


# --- schedules and stories -------------------------------------------------------------------------------------------


def test_a_schedule_comes_back_from_its_file(worker: Worker, tmp_path: Path) -> None:
    for seed in range(4):
        outcome = worker.live(seed)
        schedule = Schedule(plan=outcome.plan, faults=outcome.faults, parameters={"a": "1"}, invariant="I-3")
        path = tmp_path / "new" / f"{seed}.json"
        save_schedule(schedule, path)
        assert load_schedule(path) == schedule


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"plan": 3, "faults": []}'])
def test_a_file_that_is_no_schedule_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"other\.json is no schedule"):
        load_schedule(path)


def test_a_story_reads_without_the_program(worker: Worker) -> None:
    outcome = worker.live(5, tells=True)
    story = story_of(outcome, worker.database)
    text = "\n".join([*story.head, *story.lines, story.end])
    for raw in ("Decimal(", "ts_ns", "<", "None", "dataclass", "client_order_id"):
        assert raw not in text
    for said in (
        "life 1 starts",
        "fault: ",
        "> submit ",
        "> cancel ",
        " works as v",
        "listing: holds ",
        "a human: resume",
    ):
        assert said in text
    assert "from here on nothing goes wrong" in text
    assert len(story.orders) == outcome.orders
    assert {len(row) for row in story.orders} == {11}
    # An order of the table is found in the lines by its short id.
    assert story.orders[0][1] in text
    assert outcome.event_log_hash == worker.live(5).event_log_hash, "telling changes nothing"
