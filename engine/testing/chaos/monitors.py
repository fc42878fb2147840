"""Monitors: what must hold after every step, and what must hold in the end. They read the venue's truth.

Of the engine they look at what left it (requests), at what it committed (its database, through a connection of their
own) and at which step it died; never at what it believes. The numbers are those of the invariants I-1 to I-31.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final

from msgspec import json as msgspec_json

from engine.core.messages import (
    AccountListed,
    Command,
    OrderAwaitingApproval,
    OrderFilled,
    SubmitOrder,
    VenueReport,
)
from engine.core.values import SECOND_NS, ClientOrderId, Side
from engine.store.connection import open_reader
from engine.testing.chaos.endings import endings, halt_reasons, is_a_humans_turn
from engine.testing.chaos.exposure import ExposureWatch
from engine.testing.chaos.market import INSTRUMENT, STEP_NS, SYMBOL
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.chaos.records import records
from engine.testing.chaos.subject import Rules
from engine.testing.reference_books import Execution, OversellAttempt
from engine.testing.reference_venue import ReferenceVenue

_encode: Final = msgspec_json.Encoder().encode
_KEY: Final = INSTRUMENT.instrument_id
#: Between a decision and the look of a monitor nothing may pass but one step of the market.
_LOOK_NS: Final = STEP_NS + SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Hold one breach of an invariant."""

    invariant: str
    ts_ns: int
    message: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.message} (at {self.ts_ns} ns)"


class Monitors:
    """Watch one scenario."""

    def __init__(self, plan: ScenarioPlan, venue: ReferenceVenue, database: Path, rules: Rules) -> None:
        deadlines, limits = rules.deadlines, rules.limits
        self.exposure = ExposureWatch(
            protect_s=deadlines.protect_ns // SECOND_NS, swap_s=deadlines.swap_ns // SECOND_NS
        )
        self.violations: list[Violation] = []
        #: A connection of their own.
        self.reader = open_reader(database)
        self._plan = plan
        self._venue = venue
        #: How much of what busts of sales gave back is gone since.
        self._sold_again = Decimal(0)
        #: Since when exits work although nothing is held, ns UTC.
        self._orphans_since: int | None = None
        self._quote_age_ns = limits.market_data.quote_age_ns_max + _LOOK_NS
        self._listing_age_ns = limits.health.reconciliation_age_ns_max + _LOOK_NS
        self._request_life_ns = deadlines.request_life_ns + 2 * _LOOK_NS
        self._per_minute = limits.messages.per_minute
        #: Sells of others, and busts, make the venue's own numbers disagree with what the engine can know.
        self._is_foreign = any(each.side is Side.SELL for each in plan.temper.foreign)
        self._payloads: dict[ClientOrderId, bytes] = {}
        self._first_sent: dict[ClientOrderId, int] = {}
        self._sent: deque[int] = deque()
        self._attempts_seen = 0
        self._accepted_seen = 0
        #: What the kernel tells: the time, the process that may act (counted from 1), and what has reached it.
        self.now_ts_ns = 0
        self.epoch = 0
        self.quote_ts_ns = 0
        self.listed_ts_ns = 0
        # Executions that some process of the engine was told of, and when; and when each order left last.
        self._told: dict[str, int] = {}
        self._last_sent: dict[ClientOrderId, int] = {}

    def is_calm(self, lasting_ns: int) -> bool:
        """Return whether nothing has left the engine for so long, ns."""
        return not self._sent or self._sent[-1] < self.now_ts_ns - lasting_ns

    def close(self) -> None:
        """Close the connection."""
        self.reader.close()

    def broken(self, invariant: str, message: str) -> None:
        """Note a breach."""
        self.violations.append(Violation(invariant=invariant, ts_ns=self.now_ts_ns, message=message))

    def hear(self, report: VenueReport | AccountListed) -> None:
        """Take in what a process of the engine is told."""
        if isinstance(report, OrderFilled):
            self._told.setdefault(report.execution_id, self.now_ts_ns)
        elif isinstance(report, OrderAwaitingApproval):
            # Nobody can sell before the human has said yes; without one this ends in a halt.
            lasting_s = self._plan.temper.approval_s or 3_600
            self.exposure.price("approval", lasting_s * SECOND_NS, self.now_ts_ns)
        elif isinstance(report, AccountListed):
            for order in report.orders:
                for each in order.executions:
                    self._told.setdefault(each.execution_id, self.now_ts_ns)

    def listed(self, report: VenueReport | AccountListed) -> None:
        """Take in that an engine has taken what it was told: a listing counts from then on."""
        if isinstance(report, AccountListed) and report.is_complete:
            self.listed_ts_ns = self.now_ts_ns

    # --- what leaves the engine ------------------------------------------------------------------------------

    def leaving(self, command: Command, epoch: int) -> None:
        """Look at a command just before it leaves a process."""
        now, identity = self.now_ts_ns, command.client_order_id
        if epoch != self.epoch:
            self.broken("I-17", f"epoch {epoch} sends while epoch {self.epoch} has the account")
        payload = _encode(command)
        self._check_committed(command, payload)
        self._check_budget(now)
        if not isinstance(command, SubmitOrder):
            return
        if self._payloads.setdefault(identity, payload) != payload:
            self.broken("I-2", f"order {identity} leaves with another payload than before")
        self._last_sent[identity] = now
        first = self._first_sent.setdefault(identity, now)
        if command.side is Side.BUY:
            self._check_entry(identity, now, first)

    def _check_committed(self, command: Command, payload: bytes) -> None:
        row = self.reader.execute(
            "SELECT payload FROM commands WHERE client_order_id = ? AND kind = ? ORDER BY id DESC LIMIT 1",
            (command.client_order_id, type(command).__name__),
        ).fetchone()
        if row is None or row[0].encode() != payload:
            self.broken("I-1", f"{type(command).__name__} {command.client_order_id} leaves without a committed row")

    def _check_budget(self, now: int) -> None:
        self._sent.append(now)
        while self._sent[0] < now - 60 * SECOND_NS:
            self._sent.popleft()
        if len(self._sent) > self._per_minute:
            self.broken("I-25", f"{len(self._sent)} requests in a minute")

    def _check_entry(self, identity: ClientOrderId, now: int, first: int) -> None:
        if now - first > self._request_life_ns:
            self.broken("I-5", f"entry {identity} is sent again {(now - first) // SECOND_NS} s after it was decided")
        if now - self.quote_ts_ns > self._quote_age_ns:
            self.broken("I-23", f"entry {identity} leaves on a quote of {(now - self.quote_ts_ns) // SECOND_NS} s ago")
        if now - self.listed_ts_ns > self._listing_age_ns:
            self.broken("I-16", f"entry {identity} leaves {(now - self.listed_ts_ns) // SECOND_NS} s after a listing")
        if self._is_account_halted():
            self.broken("I-27", f"entry {identity} leaves although the account is halted")

    def _is_account_halted(self) -> bool:
        row = self.reader.execute(
            "SELECT to_state FROM trading_states WHERE strategy_id IS NULL AND instrument_id IS NULL "
            "ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return row is not None and row[0] == "HALTED"

    # --- after every step ------------------------------------------------------------------------------------

    def look(self, *, counts_exposure: bool) -> None:
        """Look at the venue's truth."""
        venue = self._venue
        held, working = venue.position(_KEY), venue.working_exits(_KEY)
        if held > 0 or not working:
            self._orphans_since = None
        elif self._orphans_since is None:
            self._orphans_since = self.now_ts_ns
        if venue.short_ever and not self._is_foreign:
            self.broken("I-12", f"the account is or was short ({held})")
        self._look_at_attempts()
        if len(venue.orders) > self._accepted_seen:
            self._accepted_seen = len(venue.orders)
            self._look_at_intents()
        wrong = self.exposure.look(
            self.now_ts_ns,
            held=max(Decimal(0), held - self._bought_by_others() - self._given_back(held)),
            protected=venue.protected(_KEY) if held > 0 else Decimal(0),
            working=working,
            # Short because the venue took an execution back: only a human can put that in order.
            counts=counts_exposure and not venue.short_by_bust,
        )
        if self.exposure.is_long and self._is_halted():
            self.exposure.excuse()
        elif wrong:
            self.broken("I-13", wrong)

    def look_at_the_end(self) -> None:
        """Look at what must hold once everything is healed and calm, and at what the engine has written."""
        now = self.now_ts_ns
        orphans_ns = 0 if self._orphans_since is None else now - self._orphans_since
        ended = endings(self.reader, self._venue, orphans_ns=orphans_ns)
        written = records(
            self.reader, self._venue, self._plan, lives=self.epoch, now_ts_ns=now, listed_ts_ns=self.listed_ts_ns
        )
        for invariant, message in chain(ended, written):
            self.broken(invariant, message)

    # What a human bought through the app is his to protect: the engine names it and halts.
    def _bought_by_others(self) -> Decimal:
        if not self._plan.temper.foreign:
            return Decimal(0)
        others = [each for each in self._venue.executions if each.client_order_id is None and each.symbol == SYMBOL]
        net = sum((each.quantity if each.side is Side.BUY else -each.quantity for each in others), Decimal(0))
        return max(Decimal(0), net)

    # What busts of sales gave back may be in no bracket any more: the engine says so and halts; who resumes, keeps it,
    # until nothing is held any more.
    def _given_back(self, held: Decimal) -> Decimal:
        if not self._plan.temper.busts:
            return Decimal(0)
        given_back = sum(
            (each.quantity for each in self._venue.executions if each.is_busted and each.side is Side.SELL), Decimal(0)
        )
        if held <= 0:
            self._sold_again = given_back
        return given_back - self._sold_again

    def _look_at_attempts(self) -> None:
        attempts = self._venue.oversell_attempts
        if len(attempts) == self._attempts_seen:
            return
        for attempt in attempts[self._attempts_seen :]:
            if not attempt.is_after_bust and not self._is_foreign and self._could_know(attempt):
                what = f"{attempt.command.quantity} of {attempt.position}, of which {attempt.held} are held back"
                self.broken("I-12", f"a sell of {what} was sent")
        self._attempts_seen = len(attempts)

    # Only what the engine may rightly not count: executions that were not told when the order left, of its own linked
    # sibling. Another exit that was open then is exactly what it must not forget.
    def _could_know(self, attempt: OversellAttempt) -> bool:
        left_ts_ns = self._last_sent.get(attempt.command.client_order_id, 0)
        return all(
            self._told.get(each.execution_id, attempt.ts_ns) <= left_ts_ns or not self._is_sibling(each, attempt)
            for each in self._venue.executions
            if each.ts_ns <= attempt.ts_ns
        )

    def _is_sibling(self, execution: Execution, attempt: OversellAttempt) -> bool:
        link = attempt.command.link
        return link is not None and self._venue.orders[execution.venue_order_id].command.link == link

    def _look_at_intents(self) -> None:
        venue = self._venue
        for identity, count in venue.accepted_by_intent.items():
            if count - venue.repeated_by_network.get(identity, 0) > 1:
                self.broken("I-3", f"intent {identity} became {count} orders")

    def _is_halted(self) -> bool:
        return is_a_humans_turn(halt_reasons(self.reader))
