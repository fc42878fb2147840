"""Power cuts under the journal: record what SQLite writes and syncs, make the disks that a cut may leave, examine them.

docs/power-loss.md says what is covered; `python -m engine.testing.power --images 10000 --seed 1` runs it.
"""

from engine.testing.power.images import CrashImage, Disk
from engine.testing.power.native import is_available, unavailable_because
from engine.testing.power.recorder import Fault, FaultKind, Operation, OperationKind, Recorder
from engine.testing.power.runs import PowerCut, PowerReport, cut_power, power_loss, replay
from engine.testing.power.verify import Outcome, Verdict
from engine.testing.power.workload import Recording, Synchronous

__all__ = [
    "CrashImage",
    "Disk",
    "Fault",
    "FaultKind",
    "Operation",
    "OperationKind",
    "Outcome",
    "PowerCut",
    "PowerReport",
    "Recorder",
    "Recording",
    "Synchronous",
    "Verdict",
    "cut_power",
    "is_available",
    "power_loss",
    "replay",
    "unavailable_because",
]
