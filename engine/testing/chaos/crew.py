"""Crews: workers in this process or in several others, behind one way of asking them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from engine.core.errors import Retry
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.shrink import Shrunk
from engine.testing.chaos.trial import Trial
from engine.testing.chaos.worker import Worker
from engine.testing.places import memory_folder


class Crew:
    """Have scenarios lived by whichever worker is free."""

    def __init__(self, submit: Callable[..., Future[Any]]) -> None:
        """Take what starts a method of a worker, by its name, and promises its result."""
        self._submit = submit

    def live(self, seed: int) -> Future[Outcome]:
        """Have the scenario of a seed lived."""
        return self._submit("live", seed)

    def shrink(self, outcome: Outcome, *, attempts_max: int, seconds_max: float) -> Future[Shrunk]:
        """Have a scenario with a violation shrunk."""
        return self._submit("shrink", outcome, attempts_max=attempts_max, seconds_max=seconds_max)

    def keep(self, outcome: Outcome, path: Path) -> Future[None]:
        """Have a scenario lived again and its database left at a path."""
        return self._submit("keep", outcome.plan, outcome.faults, path)


@contextmanager
def crew(trial: Trial, jobs: int) -> Iterator[Crew]:
    """Yield a crew of so many processes; of this one alone where `jobs` is one.

    Raises BadInput for a trial that cannot be made, Retry where the system ended one of the processes.
    """
    with memory_folder("chaos") as name:
        folder = Path(name)
        if jobs == 1:
            yield Crew(partial(_at_once, Worker(trial, folder)))
            return
        # Whatever is wrong with the trial is said once, here, before processes are started.
        trial.subject()
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(trial, folder))
        try:
            yield Crew(lambda method, *arguments, **options: pool.submit(_ask, method, *arguments, **options))
        except BrokenProcessPool as error:
            raise Retry("A process that lived scenarios was ended by the system: give fewer --jobs.") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _at_once(worker: Worker, method: str, *arguments: Any, **options: Any) -> Future[Any]:  # noqa: ANN401 - any method
    done: Future[Any] = Future()
    done.set_result(getattr(worker, method)(*arguments, **options))
    return done


# --- in another process ----------------------------------------------------------------------------------------------

#: A scenario leaves half a megabyte of cycles.
_COLLECTED_EVERY: Final = 50

_workers: list[Worker] = []
_asked = count(1)


def _begin(trial: Trial, folder: Path) -> None:
    # Ctrl-C reaches every process of a terminal: only the first one answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The collector would look six times through what every scenario makes: rarely, and all at once, costs less.
    gc.disable()
    own = folder / str(os.getpid())
    own.mkdir()
    _workers.append(Worker(trial, own))
    gc.freeze()


def _ask(method: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any method
    if next(_asked) % _COLLECTED_EVERY == 0:
        gc.collect()
    return getattr(_workers[0], method)(*arguments, **options)
