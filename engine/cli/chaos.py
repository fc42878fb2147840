"""`ratchet chaos`: try a strategy, and the engine under it, where everything goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from engine.cli.chaos_options import (
    SEEDS,
    ExplainOption,
    FaultsOption,
    FullOption,
    JobsOption,
    KeepOption,
    KillsOption,
    LayerOption,
    MinutesOption,
    PowerOption,
    ReplayOption,
    RiskFileOption,
    SeedOption,
    SeedsOption,
    StrategyArgument,
    StyleOption,
)
from engine.cli.options import JsonOption, ParametersOption, amount, count, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.core.execution.bracket_table import ExitStyle
    from engine.testing.chaos.regressions import Schedule
    from engine.testing.chaos.runner import Summary
    from engine.testing.chaos.trial import Trial

_JOBS_MAX = 256


def chaos(
    strategy: StrategyArgument = "chaos_trader",
    *,
    seeds: SeedsOption = None,
    minutes: MinutesOption = None,
    seed: SeedOption = "0",
    faults: FaultsOption = None,
    full: FullOption = False,
    layer: LayerOption = "1",
    exits: StyleOption = None,
    risk: RiskFileOption = None,
    parameters: ParametersOption = None,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    explain: ExplainOption = None,
    replay: ReplayOption = None,
    keep: KeepOption = None,
    kills: KillsOption = None,
    power: PowerOption = None,
) -> None:
    """Live many scenarios in which messages are lost, disks fail and processes die, and check what must never happen.

    Each is a function of its seed. A violation is shrunk to the faults that matter, with the line that replays it.
    Exit codes: 0 nothing broke, 2 bad input, 3 an invariant broke.
    """
    _refuse_two(
        {"--seeds": seeds, "--minutes": minutes, "--explain": explain, "--replay": replay}
        | {"--kills": kills, "--power": power}
    )
    first, processes = count(seed, "--seed"), _jobs(jobs)
    if kills is not None or power is not None:
        from engine.cli.chaos_campaigns import kill_processes, lose_power

        if kills is not None:
            _end(kill_processes(count(kills, "--kills", least=1), first, processes, keep, as_json=as_json))
        elif power is not None:
            _end(lose_power(count(power, "--power", least=1), first, as_json=as_json))
        return
    if replay is not None:
        from engine.testing.chaos.regressions import load_schedule

        schedule = load_schedule(replay)
        _end(_tell(schedule.trial(), schedule, as_json=as_json))
        return
    trial = _trial(strategy, pairs(parameters), risk, faults, exits, is_full=full, layer=_layer(layer))
    if explain is not None:
        _end(_tell(trial, count(explain, "--explain"), as_json=as_json))
        return
    wanted = None if minutes is not None else count(str(SEEDS) if seeds is None else seeds, "--seeds", least=1)
    lasting = None if minutes is None else float(amount(minutes, "--minutes", above_zero=True))
    summary = _live(trial, first, seeds=wanted, minutes=lasting, jobs=processes, keep=keep, is_quiet=as_json)
    from engine.cli.chaos_views import print_summary, summary_json

    if as_json:
        from engine.cli.output import emit_json

        emit_json(summary_json(summary))
    else:
        print_summary(summary, keep)
    _end(not summary.violations)


def _end(holds: bool) -> None:
    from engine.cli.output import ExitCode

    if not holds:
        raise typer.Exit(ExitCode.HALTED)


def _refuse_two(options: Mapping[str, object]) -> None:
    from engine.core.errors import BadInput

    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise BadInput(f"The options {given[0]} and {given[1]} exclude each other: leave one out.")


def _jobs(text: str | None) -> int:
    import os

    from engine.core.errors import BadInput

    if text is None:
        return len(os.sched_getaffinity(0))
    jobs = count(text, "--jobs", least=1)
    if jobs > _JOBS_MAX:
        raise BadInput(f"The option --jobs is {text!r}: give at most {_JOBS_MAX}.")
    return jobs


def _trial(
    strategy: str,
    parameters: dict[str, str],
    risk: Path | None,
    faults: str | None,
    exits: str | None,
    *,
    is_full: bool,
    layer: int,
) -> Trial:
    from engine.app.settings import load_risk
    from engine.testing.chaos.subject import Rules
    from engine.testing.chaos.trial import Trial, fault_kinds

    settings = load_risk(risk)
    # The shipped file says what the engine does by itself: a schedule need not carry it.
    is_usual = Rules.of(settings) == Rules()
    return Trial(
        strategy=strategy,
        parameters=parameters,
        risk_text="" if is_usual else settings.text,
        risk_name="" if risk is None else str(risk),
        exit_style=_exit_style(exits),
        kinds=None if faults is None else fault_kinds(faults),
        is_full=is_full,
        layer=layer,
    )


def _layer(text: str) -> int:
    from engine.core.errors import BadInput
    from engine.testing.chaos.trial import LAYERS

    if text not in map(str, LAYERS):
        raise BadInput(f"The option --layer is {text!r}: choose {' or '.join(map(str, LAYERS))}.")
    return int(text)


def _exit_style(text: str | None) -> ExitStyle | None:
    from engine.core.errors import BadInput
    from engine.core.execution.bracket_table import ExitStyle

    known = {style.value: style for style in ExitStyle}
    if text is not None and text not in known:
        raise BadInput(f"The option --exits is {text!r}: choose {' or '.join(known)}.")
    return None if text is None else known[text]


def _live(
    trial: Trial,
    seed: int,
    *,
    seeds: int | None,
    minutes: float | None,
    jobs: int,
    keep: Path | None,
    is_quiet: bool,
) -> Summary:
    from engine.cli.progress import chaos_progress
    from engine.testing.chaos.runner import run_trial

    if keep is not None:
        # A folder that cannot be made is said now, not after an hour.
        keep.mkdir(parents=True, exist_ok=True)
    with chaos_progress(seeds=seeds, minutes=minutes, is_shown=not is_quiet) as tell:
        return run_trial(trial, seed=seed, seeds=seeds, minutes=minutes, jobs=jobs, keep=keep, on_progress=tell)


# One scenario of a seed, or of a schedule, told; returns whether nothing broke.
def _tell(trial: Trial, what: int | Schedule, *, as_json: bool) -> bool:
    from engine.cli.chaos_views import print_story
    from engine.cli.output import emit_json
    from engine.testing.chaos.story import story_of
    from engine.testing.chaos.worker import Worker
    from engine.testing.places import memory_folder

    with memory_folder("chaos") as folder:
        worker = Worker(trial, Path(folder))
        if isinstance(what, int):
            outcome = worker.live(what, tells=True)
        else:
            outcome = worker.repeat(what.plan, what.faults, tells=True)
        story = story_of(outcome, worker.database)
    if as_json:
        emit_json(story)
    else:
        print_story(story)
    return not story.violations
