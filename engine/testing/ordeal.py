"""An ordeal: an account that trades a price path at a mean venue, and what has to hold whatever that venue does.

    ordeal = Ordeal(script, Temper(delay_s_max=20, overtakes=True), seed=1, exit_style=ExitStyle.BOTH_LEGS)
    ordeal.play([100.0, 100.5, 98.0])
    ordeal.rest()
    ordeal.check()

After every event it watches, by the venue's truth: nothing is sold that is not held, open sells never exceed what is
held, and what is held is not without a stop or a market exit for longer than `exposed_ns_max` of session time, unless
the engine has halted. By the engine's own books, exits that stay never exceed the position, and brackets hold together
what is there. `check` adds the end (flat, or halted with a reason), the books, and that every step replays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Final

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.brackets import Bracket
from engine.core.execution.settings import Deadlines
from engine.core.messages import (
    EMPTY_STEP,
    Bar,
    Event,
    InputsRefused,
    InstrumentStatus,
    ShareSplit,
    Signal,
    Step,
    TimeAdvanced,
    TradingState,
    TradingStateChanged,
)
from engine.core.pipeline import Pipeline
from engine.core.risk.limits import Limits
from engine.core.values import MINUTE_NS, SECOND_NS, StrategyId
from engine.testing.mean_venue import MeanVenue, Temper
from engine.testing.scenario import OPEN_TS_NS, SESSION_NS, SPY, STRATEGY, TWO_SESSIONS, Scenario

#: How often time is told to the engine where nothing else happens.
PULSE_NS: Final = 5 * SECOND_NS


class Ordeal:
    """Play one account against one temper, and note what must never happen."""

    def __init__(
        self,
        script: Mapping[int, Signal],
        temper: Temper,
        *,
        seed: int,
        exit_style: ExitStyle,
        limits: Limits | None = None,
        exposed_ns_max: int | None = None,
        tells_halts: bool = False,
        split: tuple[int, int, int] | None = None,
    ) -> None:
        """Put the parts together; with `tells_halts` the engine is told when the exchange halts and resumes.

        `split` is a minute before whose trading the shares are split, and how many new ones there are for how many.
        """
        self.exit_style = exit_style
        self._script = script
        self._split = split
        self._limits = limits
        self.scenario = self._new_account()
        self.venue = MeanVenue(temper, seed=seed, exit_style=exit_style, sessions=TWO_SESSIONS)
        self.steps: list[tuple[Event, Step]] = []
        #: What was broken, oldest first.
        self.breaches: list[str] = []
        #: The longest time, in ns of session time, that anything was held without a stop or an exit before a halt.
        self.exposed_ns = 0
        waits = Deadlines()
        patience_ns = waits.protect_ns + waits.swap_ns + waits.acknowledge_ns + waits.cancel_ns
        patience_ns += 2 * temper.delay_s_max * SECOND_NS
        self._exposed_ns_max = patience_ns if exposed_ns_max is None else exposed_ns_max
        self._exposed_since: int | None = None
        self._random = Random(seed)
        halts = [(ts_ns, at == 0) for bounds in temper.halted for at, ts_ns in enumerate(bounds)]
        self._news = halts if tells_halts else []

    @property
    def pipeline(self) -> Pipeline:
        """Return the engine that is tried."""
        return self.scenario.pipeline

    @property
    def halts(self) -> list[str]:
        """Return the reasons of the engine's halts, oldest first."""
        changes = self.scenario.made(TradingStateChanged)
        return [fact.reason for fact in changes if fact.to_state is TradingState.HALTED and fact.source == "engine"]

    def _new_account(self) -> Scenario:
        return Scenario(self._script, limits=self._limits, exit_style=self.exit_style)

    # --- playing -------------------------------------------------------------------------------------------

    def play(self, closes: Sequence[float | tuple[float, float]], *, from_minute: int = 0) -> None:
        """Show a close per minute: the venue trades at it from some moment of its minute on, the engine sees it last.

        A pair is a close and what the venue trades at instead: the price was there, and is gone when an order comes.
        """
        for minute, shown in enumerate(closes, start=from_minute):
            close, traded = (self._after_split(price, minute) for price in _pair(shown))
            start = OPEN_TS_NS + minute * MINUTE_NS
            if self._split is not None and minute == self._split[0]:
                self._split_shares(*self._split[1:])
            self.venue.observe(Decimal(repr(traded)), start + self._random.randrange(60) * SECOND_NS)
            self.pass_to(start + MINUTE_NS - 1)
            self.scenario.now_ts_ns = start + MINUTE_NS
            self._take(self.scenario.bar(minute, close))

    def _after_split(self, price: float, minute: int) -> float:
        if self._split is None or minute < self._split[0]:
            return price
        _, new, old = self._split
        return round(price * old / new, 2)

    def _split_shares(self, new: int, old: int) -> None:
        now = self.scenario.now_ts_ns
        self.venue.split(new, old)
        self.give(
            ShareSplit(
                venue_ts_ns=now, received_ts_ns=now, instrument_id=SPY, new_shares=new, old_shares=old, source="test"
            )
        )

    def rest(self) -> None:
        """Let the account alone for some hours, over the night where the session ends meanwhile."""
        for pulse_ns in (*[PULSE_NS] * 120, *[MINUTE_NS] * 180):
            now = self.venue.now_ts_ns
            is_night = OPEN_TS_NS + SESSION_NS + MINUTE_NS <= now < _NEXT_OPEN
            self.pass_to(_NEXT_OPEN if is_night else now + pulse_ns, pulse_ns=pulse_ns)

    def pass_to(self, ts_ns: int, *, pulse_ns: int = PULSE_NS) -> None:
        """Let time pass to a moment, with whatever the venue reports meanwhile."""
        pulse = self.venue.now_ts_ns or OPEN_TS_NS
        while pulse < ts_ns:
            pulse = min(pulse + pulse_ns, ts_ns)
            while (report := self.venue.next_report(pulse)) is not None:
                self.give(report)
            while self._news and self._news[0][0] <= pulse:
                _, is_halted = self._news.pop(0)
                self.give(
                    InstrumentStatus(
                        venue_ts_ns=pulse,
                        received_ts_ns=pulse,
                        instrument_id=SPY,
                        halted=is_halted,
                        reason="volatility",
                    )
                )
            self.give(TimeAdvanced(venue_ts_ns=pulse, received_ts_ns=pulse))

    def give(self, event: Event) -> Step:
        """Give the engine an event, send what it wants sent, and watch."""
        self.scenario.now_ts_ns = max(self.scenario.now_ts_ns, event.received_ts_ns)
        step = self.scenario.give(event)
        self._take(step)
        return step

    def _take(self, step: Step) -> None:
        self.steps.append((self.scenario.events[-1], step))
        for command in step.commands:
            self.venue.send(command)
        self._watch()
        self._watch_the_engine()

    # --- watching ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        venue, now = self.venue, self.scenario.now_ts_ns
        if venue.position < 0 and not venue.has_busted:
            self.breaches.append(f"short by {-venue.position} at {now}")
        if venue.exits_outstanding() > max(Decimal(0), venue.position) and not venue.has_busted:
            self.breaches.append(f"exits of {venue.exits_outstanding()} for {venue.position} at {now}")
        if venue.exposed() <= 0 or self.halts:
            self._exposed_since = None
            return
        if self._exposed_since is None:
            self._exposed_since = now
        exposed_ns = _session_ns(self._exposed_since, now)
        self.exposed_ns = max(self.exposed_ns, exposed_ns)
        if exposed_ns > self._exposed_ns_max:
            self.breaches.append(f"{venue.exposed()} without protection for {exposed_ns / 1e9:.0f} s at {now}")

    # By the engine's own books: this holds even where the venue takes back what it has told.
    def _watch_the_engine(self) -> None:
        now, ledger = self.scenario.now_ts_ns, self.pipeline.ledger
        position = ledger.position(STRATEGY, SPY)
        brackets = self.pipeline.execution.open_brackets()
        outstanding = sum((_stays(bracket) for bracket in brackets), Decimal(0))
        if outstanding > position:
            self.breaches.append(f"exits of {outstanding} stay for {position} in the books at {now}")
        held = sum((max(Decimal(0), bracket.held) for bracket in brackets), Decimal(0))
        if held != int(position):
            self.breaches.append(f"brackets hold {held}, the books {position} at {now}")

    def check(self, *, may_halt: bool) -> None:
        """Raise AssertionError for the first thing that did not hold."""
        if self.breaches:
            raise AssertionError(f"{self.breaches[0]} ({len(self.breaches)} breaches)")
        if self.venue.oversold and not self.venue.has_busted:
            raise AssertionError(f"the engine tried to sell what is not free: {self.venue.oversold[0]}")
        halts = self.halts
        if halts and not (may_halt and all(halts)):
            raise AssertionError(f"halted: {halts}")
        if not halts:
            self._check_flat()
        self._check_replay()

    def _check_flat(self) -> None:
        venue = self.venue
        if venue.position != 0 or venue.exits_outstanding():
            raise AssertionError(f"not flat: {venue.position} held, exits of {venue.exits_outstanding()} open")
        known = self.pipeline.ledger.position(STRATEGY, SPY)
        if known != venue.position:
            raise AssertionError(f"the ledger holds {known}, the venue {venue.position}")
        if self.pipeline.execution.open_brackets(StrategyId(STRATEGY), SPY):
            raise AssertionError("a bracket is still open")

    # Only what a journal keeps is repeated: steps without facts are not written.
    def _check_replay(self) -> None:
        again = self._new_account().pipeline
        for event, step in self.steps:
            if step is EMPTY_STEP:
                continue
            bars = [fact for fact in step.facts if isinstance(fact, Bar)]
            refusals = [fact for fact in step.facts if isinstance(fact, InputsRefused)]
            repeated = again.restore(event, bars, refusals)
            if repeated != step:
                raise AssertionError(f"the step of {event} replays as {repeated}, not {step}")


def _stays(bracket: Bracket) -> Decimal:
    # What the exits could sell whose end nobody has asked for; linked legs count once.
    total = Decimal(0)
    for number in range(len(bracket.pairs) + 1):
        legs = [each for each in bracket.exits if each.pair == number and not each.cancel_requested]
        remaining = [each.remaining for each in legs]
        left = bracket.pair(number).left if number else sum(remaining, Decimal(0))
        total += min(left, max(remaining, default=Decimal(0)) if number else left)
    return total


_NEXT_OPEN: Final = TWO_SESSIONS[1].open_ts_ns


def _pair(shown: float | tuple[float, float]) -> tuple[float, float]:
    return shown if isinstance(shown, tuple) else (shown, shown)


def _session_ns(since_ts_ns: int, until_ts_ns: int) -> int:
    night = max(0, min(until_ts_ns, _NEXT_OPEN) - max(since_ts_ns, OPEN_TS_NS + SESSION_NS))
    return until_ts_ns - since_ts_ns - night
