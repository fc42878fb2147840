"""A journal that repeats: what an interrupted run has written is compared, and only the rest is written."""

from __future__ import annotations

from engine.core.errors import Halt
from engine.core.messages import Event, Step
from engine.store.accounts import AccountRow
from engine.store.writer import GENESIS, SqliteJournal, chained, step_rows


class ResumingJournal:
    """Stand before a journal and let through only the steps that it does not hold yet."""

    def __init__(self, journal: SqliteJournal, account: AccountRow) -> None:
        self._journal = journal
        self._known = journal.step_count
        self._expected = journal.journal_hash
        self._digest = GENESIS
        self._steps = 0
        self._name = account.name
        # A fresh journal has nothing to compare: it is written to directly.
        if not self._known:
            self.append = journal.append  # type: ignore[method-assign]

    @property
    def journal_hash(self) -> str:
        """Return the hash of the last step, in hexadecimal."""
        return self._journal.journal_hash

    def append(self, event: Event, step: Step) -> None:
        """Compare a step that is known, or add one that is not.

        Raises Halt where the repeated steps are not those that were written.
        """
        if self._steps >= self._known:
            self._journal.append(event, step)
            return
        self._steps += 1
        self._digest = chained(self._digest, *step_rows(event, step, self._steps))
        if self._steps == self._known and self._digest.hex() != self._expected:
            raise Halt(
                f"The interrupted run {self._name} wrote other steps than this program repeats: "
                "name another database with --db."
            )

    def commit(self) -> None:
        """Make all added steps durable."""
        self._journal.commit()
