"""One worker: lives scenarios of a trial one after the other, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from engine.core.errors import BadInput
from engine.store.connection import open_writer
from engine.testing.chaos.faults import Chooser, Fault, RecordedChooser, SeededChooser
from engine.testing.chaos.kernel import Kernel
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.chaos.shrink import Shrunk, shrink
from engine.testing.chaos.templates import Templates
from engine.testing.chaos.trial import Plans, StrategyFailed, Trial


class Worker:
    """Live scenarios; raises BadInput wherever the strategy itself is wrong."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        """Load the subject; raises BadInput for one that cannot be taken."""
        self._subject = trial.subject()
        self._lives = trial.lives
        self._plans = Plans(trial, self._subject)
        self._templates = Templates(self._subject, folder)
        #: Where the database of the last scenario is.
        self.database = folder / "scenario.sqlite"

    def live(self, seed: int, *, tells: bool = False) -> Outcome:
        """Live the scenario of a seed."""
        try:
            plan = self._plans.of(seed)
        except StrategyFailed as failure:
            raise BadInput(str(failure)) from failure
        return self._run(plan, SeededChooser(seed, plan.rates), tells=tells)

    def repeat(self, plan: ScenarioPlan, faults: Iterable[Fault], *, tells: bool = False) -> Outcome:
        """Live a scenario again with the faults of a record and no others."""
        return self._run(plan, RecordedChooser(faults), tells=tells)

    def shrink(self, outcome: Outcome, *, attempts_max: int, seconds_max: float) -> Shrunk:
        """Return the smallest schedule found that still breaks what a scenario broke."""
        return shrink(self.repeat, outcome, attempts_max=attempts_max, seconds_max=seconds_max)

    def keep(self, plan: ScenarioPlan, faults: Iterable[Fault], path: Path) -> None:
        """Live a scenario again and leave its database at a path."""
        self.repeat(plan, faults)
        # A copy of the file alone would leave out what is in its log still.
        path.unlink(missing_ok=True)
        with closing(open_writer(self.database)) as lived:
            lived.execute("VACUUM INTO ?", (str(path),))

    def _run(self, plan: ScenarioPlan, chooser: Chooser, *, tells: bool) -> Outcome:
        try:
            database = self._templates.database(plan)
            return Kernel(self._subject, plan, chooser, database, tells=tells, lives=self._lives).run()
        except StrategyFailed as failure:
            raise BadInput(str(failure)) from failure
