"""What a check of a database may find."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Say what is wrong and where."""

    #: Which check: integrity, foreign keys, journal, orders, brackets, positions, cash or equity.
    check: str
    message: str
    #: Name of the account; "" for the file as a whole.
    account: str = ""
    #: Number of the step in its account; None where it is not one step's.
    step: int | None = None

    def __str__(self) -> str:
        where = f" of account {self.account}" if self.account else ""
        return f"{self.check}{where}: {self.message}"
