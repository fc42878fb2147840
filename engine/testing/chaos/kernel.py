"""The kernel: one scenario lived in virtual time.

It owns the time. The market moves in steps; between them the venue's happenings, deliveries, starts and stops of
processes come in the order of their moments. Whatever may go wrong is asked of a chooser at a named point, so that a
record of its answers repeats the scenario. The engine is the real one, with a real database file.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final

from engine.app.recovery import restore
from engine.core.errors import BadInput, EngineError, Halt
from engine.core.messages import Command, Event
from engine.core.values import SECOND_NS, Side
from engine.store.accounts import list_accounts
from engine.testing.chaos.endings import halt_reasons
from engine.testing.chaos.faults import CLOCK_JUMPS_S, Chooser, Fault, FaultKind
from engine.testing.chaos.life import Life, VenuePort
from engine.testing.chaos.market import INSTRUMENT, SESSIONS, STEP_NS, step_ts_ns
from engine.testing.chaos.monitors import Monitors
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.plan import OperatorAct, ScenarioPlan
from engine.testing.chaos.store import Crash
from engine.testing.chaos.subject import CASH, Subject, market_of
from engine.testing.chaos.wires import WatchedWire, gap, quote, status, tick, word
from engine.testing.chaos.words import shown
from engine.testing.reference_venue import Delivery, ReferenceVenue

_KEY: Final = INSTRUMENT.instrument_id
_HALF_SPREAD: Final = 0.01
_SETTLING_STEPS, _SETTLING_STEPS_MAX = 12, 60
#: A supervisor starts a process that ended by itself after so long, least and most, seconds.
_AFTER_HALT_S: Final = (5, 15)


class Kernel:
    """Live one scenario."""

    def __init__(
        self,
        subject: Subject,
        plan: ScenarioPlan,
        chooser: Chooser,
        database: Path,
        *,
        tells: bool = False,
        lives: type[Life] = Life,
    ) -> None:
        """Put the parts together; with `tells` the story is kept as lines of text. `lives` is what processes are."""
        self._subject = subject
        self._make_life = lives
        self._plan = plan
        self._chooser = chooser
        chooser.on_fault = self._note_fault
        self._database = database
        self._random = Random(f"kernel:{plan.seed}")
        self._market = market_of(plan.market_seed)
        self.venue = ReferenceVenue(
            plan.temper,
            seed=plan.seed,
            instruments={_KEY: INSTRUMENT},
            sessions={_KEY: SESSIONS},
            exit_style=plan.exit_style,
            opening_cash=CASH,
        )
        self.monitors = Monitors(plan, self.venue, database, subject.rules)
        self._hash = sha256()
        self._story: list[str] | None = [] if tells else None
        self._life: Life | None = None
        self._lives = 0
        self._start_at_ts_ns: int | None = step_ts_ns(plan.first_step)
        self._stopped_until_ts_ns: int | None = None
        self._waiting: list[Delivery] = []
        #: Processes that are stopped while another one has the account, and when they go on.
        self._zombies: list[tuple[int, Life]] = []
        self._started: Life | None = None  # whose start was noticed last
        self._owner: Life | None = None  # who took the account last; a life that refused to start took nothing
        self._muted_until_ts_ns = 0
        self._fed_ts_ns = 0
        self._acts = list(plan.acts)
        self._now = 0
        self._is_healed = False
        self._has_ended = False
        self._halted = ""

    # --- the course of things --------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Live the scenario to its end, or to its first violation."""
        plan = self._plan
        collects = gc.isenabled()
        gc.disable()
        try:
            for step in range(plan.first_step, plan.end_step):
                self._step(step)
                if self.monitors.violations:
                    break
            self._settle()
            if not self.monitors.violations:
                self._end()
        finally:
            self._close()
            if collects:
                gc.enable()
        return self._outcome()

    def _step(self, step: int) -> None:
        ts_ns = step_ts_ns(step)
        self._pass_to(ts_ns)
        if step == self._plan.heal_step:
            self._heal()
        for halt in self._plan.halts:
            if halt.from_step == step:
                self.venue.halt(_KEY, step_ts_ns(halt.until_step))
            if halt.is_told and step in (halt.from_step, halt.until_step):
                self._give(status(self._now, halted=step == halt.from_step))
        # As in a mailbox: what a human asks for waits until an engine is there to take it.
        while self._acts and self._acts[0].step <= step and self._is_up:
            self._operate(self._acts.pop(0).act)
        self.venue.price(_KEY, self._market.price(step), ts_ns)
        if not self._is_healed:
            self._disturb(self._chooser.at("pulse"))
        self._feed(step)
        life = self._life
        if life is not None and self._stopped_until_ts_ns is None:
            self._engine(partial(life.pulse, ts_ns))
        self._look()

    # The price stands still at the end, until what has executed is told everywhere.
    def _settle(self) -> None:
        for number in range(_SETTLING_STEPS_MAX):
            is_calm = number >= _SETTLING_STEPS and self.monitors.is_calm(_SETTLING_STEPS * STEP_NS)
            if self.monitors.violations or is_calm:
                return
            self._pass_to(self._now + STEP_NS)
            life = self._life
            if life is not None:
                self._engine(partial(life.pulse, self._now))
            self._look()

    # Everything that happens before a moment, in its order.
    def _pass_to(self, ts_ns: int) -> None:
        while True:
            wakes = (until for until, _ in self._zombies)
            moments = (self.venue.due(), self._life_due(), self._start_at_ts_ns, self._stopped_until_ts_ns, *wakes)
            due = min([each for each in moments if each is not None], default=ts_ns + 1)
            if due > ts_ns:
                break
            self._set_now(max(self._now, due))
            self._happen()
        self._set_now(ts_ns)

    def _life_due(self) -> int | None:
        return None if self._life is None or self._stopped_until_ts_ns is not None else self._life.due_ts_ns()

    def _set_now(self, ts_ns: int) -> None:
        self._now = self.monitors.now_ts_ns = ts_ns
        if self._life is not None:
            self._life.port.now_ts_ns = ts_ns

    def _happen(self) -> None:
        now = self._now
        if self._start_at_ts_ns is not None and self._start_at_ts_ns <= now:
            self._start()
        if self._stopped_until_ts_ns is not None and self._stopped_until_ts_ns <= now:
            self._go_on()
        for zombie in [each for each in self._zombies if each[0] <= now]:
            self._zombies.remove(zombie)
            self._wake(zombie[1])
        for delivery in self.venue.advance(now):
            self._deliver(delivery)
        due = self._life_due()
        if self._life is not None and due is not None and due <= now:
            self._engine(partial(self._life.wake, now))
            self._notice_start()

    def _look(self) -> None:
        session = SESSIONS.session_at(self._now)
        halted = any(step_ts_ns(each.from_step) <= self._now < step_ts_ns(each.until_step) for each in self._plan.halts)
        is_out = any(each.from_ts_ns <= self._now < each.until_ts_ns for each in self._plan.temper.outages)
        counts = session is not None and not halted and self._is_up and not (is_out and not self._is_healed)
        self.monitors.look(counts_exposure=counts)

    # --- processes -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._start_at_ts_ns = None
        fault = None if self._is_healed else self._chooser.at("start")
        jump_ns = 0 if fault is None else CLOCK_JUMPS_S[fault.amount] * SECOND_NS
        port = VenuePort(self.venue, self._chooser, WatchedWire(self.left, self._lives + 1, on_replaced=self._replaced))
        port.now_ts_ns = self._now
        self._lives += 1
        self.monitors.epoch = self._lives
        self.monitors.listed_ts_ns = 0
        try:
            self._life = self._make_life(
                self._database,
                self._subject.pipeline(self._plan),
                port,
                self._chooser,
                clock_error_ns=jump_ns,
                now_ts_ns=self._now + jump_ns,
                reconcile_ns=self._subject.rules.reconcile_ns,
                seed=self._plan.seed,
            )
        except BadInput as refusal:
            self._tell(f"life {self._lives} refuses to start: {refusal}")
            self._start_at_ts_ns = self._now + self._random.randint(*_AFTER_HALT_S) * SECOND_NS
            return
        except EngineError as error:
            self.monitors.broken("I-18", f"life {self._lives} cannot recover: {error}")
            return
        self._owner = self._life
        self._tell(f"life {self._lives} starts" + (f", its clock {jump_ns // SECOND_NS} s off" if jump_ns else ""))
        self.venue.engine_started(self._now)
        self._engine(partial(self._life.pulse, self._now))

    # A process runs, and its engine has learnt from the venue where it stands.
    @property
    def _is_up(self) -> bool:
        return self._life is not None and self._stopped_until_ts_ns is None and self._life.engine.is_started

    def _replaced(self) -> None:
        self._tell("the process sleeps after a commit, and another one takes the account")
        self.monitors.epoch = 0

    # Let the engine do something; whatever ends its process is handled here.
    def _engine(self, does: Callable[[], Any]) -> None:
        if self._has_ended:
            return
        try:
            does()
        except Crash as crash:
            self._die(f"dies at {crash}", self._plan.restart_s)
        except Halt as halt:
            self._die(f"ends by itself: {halt}", _AFTER_HALT_S)
        except Exception as error:  # noqa: BLE001 - any other end of an engine is a defect of it
            self.monitors.broken("I-18", f"the engine failed with {type(error).__name__}: {error}")
            self._die("fails", _AFTER_HALT_S)

    def _die(self, how: str, restart_s: tuple[int, int]) -> None:
        assert self._life is not None
        self._tell(f"life {self._lives} {how}")
        self._life.die()
        self._life = None
        self._waiting.clear()
        self._stopped_until_ts_ns = None
        self.venue.engine_died(self._now)
        down_ns = self._random.randint(restart_s[0] * 1_000, restart_s[1] * 1_000) * 1_000_000
        self._start_at_ts_ns = self._now + down_ns

    def _go_on(self) -> None:
        self._stopped_until_ts_ns = None
        self._tell("the process goes on")
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            self._hand_over(delivery)

    # A process that was stopped while another one took the account over must neither write nor send any more.
    # When whoever was to replace it refused to start, it owns the account still, and there is nothing to judge.
    def _wake(self, zombie: Life) -> None:
        if zombie is self._owner:
            self._tell("the process that nobody replaced ends")
            zombie.die()
            return
        self._tell("the process that was replaced goes on")
        zombie.port.now_ts_ns, zombie.port.is_replaced = self._now, True
        price = float(self._market.price(min(self._step_of_now(), len(self._market.prices) - 1)))
        try:
            zombie.wake(self._now)
            for _ in range(3):
                zombie.engine.pass_time(zombie.clock(self._now))
                zombie.engine.take(word(OperatorAct.KILL, zombie.clock(self._now)))
                zombie.engine.take(tick(price, zombie.clock(self._now)))
            self.monitors.broken("I-17", "a process that was replaced could still write")
        except (Halt, Crash):
            pass
        except Exception as error:  # noqa: BLE001 - whatever else ends it was no lease
            self.monitors.broken("I-17", f"a process that was replaced failed with {type(error).__name__}: {error}")
        zombie.die()

    def _step_of_now(self) -> int:
        plan = self._plan
        return min(range(plan.first_step, plan.end_step), key=lambda step: abs(step_ts_ns(step) - self._now))

    # --- what goes wrong -------------------------------------------------------------------------------------

    def _disturb(self, fault: Fault | None) -> None:
        if fault is None:
            return
        until = self._now + fault.amount * SECOND_NS
        if fault.kind is FaultKind.FEED_MUTE:
            self._muted_until_ts_ns = max(self._muted_until_ts_ns, until)
        elif fault.kind is FaultKind.LATE_TICK:
            self._give(tick(float(self._market.prices[0]), self._now - fault.amount * SECOND_NS))
        elif fault.kind is FaultKind.BAD_QUOTE:
            bad = float("nan") if fault.passage % 2 else 0.0
            self._give(quote(bad, bad, self._now))
        elif self._is_up:
            self._stop_process(fault, until)

    def _stop_process(self, fault: Fault, until_ts_ns: int) -> None:
        assert self._life is not None
        if fault.kind is FaultKind.STOPPED:
            self._stopped_until_ts_ns = until_ts_ns
            return
        self._zombies.append((until_ts_ns, self._life))
        self._life = None
        self.venue.engine_died(self._now)
        self._start_at_ts_ns = self._now + SECOND_NS

    def _heal(self) -> None:
        self._is_healed = True
        self._chooser.heal()
        self.venue.heal()
        self._muted_until_ts_ns = 0
        self._tell("from here on nothing goes wrong")
        if self._stopped_until_ts_ns is not None:
            self._go_on()

    def _note_fault(self, fault: Fault) -> None:
        self._log("fault", fault.point, fault.passage, fault.kind, fault.amount)
        self._tell("fault:", fault)
        self.monitors.exposure.fault(fault, self._now)

    # --- what reaches the engine -----------------------------------------------------------------------------

    def _deliver(self, delivery: Delivery) -> None:
        fault = self._chooser.at("push") if delivery.channel == "push" else None
        if fault is not None:
            if fault.kind is not FaultKind.PUSH_LOST:
                self.venue.redeliver(delivery, self._now + fault.amount * 1_000_000)
            if fault.kind is not FaultKind.PUSH_TWICE:
                return
        if self._stopped_until_ts_ns is not None:
            self._waiting.append(delivery)
        else:
            self._hand_over(delivery)

    def _hand_over(self, delivery: Delivery) -> None:
        life = self._life
        if life is None:
            return
        report = replace(delivery.report, received_ts_ns=life.clock(self._now))
        self._log("report", type(report).__name__, getattr(report, "client_order_id", ""))
        self._tell(f"{delivery.channel}:", report)
        self.monitors.hear(report)

        def take() -> None:
            self._perhaps_crash("receive.before")
            life.take(report)
            self._perhaps_crash("receive.after")

        self._engine(take)
        self.monitors.listed(report)
        self._notice_start()

    def _notice_start(self) -> None:
        life = self._life
        if life is not None and life.engine.is_started and life is not self._started:
            self._started = life
            self._engine(partial(life.started, life.clock(self._now)))
            self._tell_gap()

    def _perhaps_crash(self, point: str) -> None:
        fault = self._chooser.at(point)
        if fault is not None:
            raise Crash(point)

    def _give(self, event: Event) -> None:
        life = self._life
        if life is not None and self._is_up:
            stamped = replace(event, received_ts_ns=life.clock(self._now))
            self._engine(partial(life.take, stamped))

    def _feed(self, step: int) -> None:
        life = self._life
        if self._now < self._muted_until_ts_ns or life is None or not self._is_up:
            return
        if self._now - self._fed_ts_ns > 2 * STEP_NS:
            self._tell_gap()
            if self._life is not life:
                return
        price, clock = self._market.prices[step], life.clock(self._now)
        self.monitors.quote_ts_ns = self._now
        self._engine(partial(life.take, quote(price - _HALF_SPREAD, price + _HALF_SPREAD, clock)))
        if self._life is life:
            self._engine(partial(life.take, tick(price, clock)))
        self._fed_ts_ns = self._now

    def _tell_gap(self) -> None:
        if self._fed_ts_ns:
            since, self._fed_ts_ns = self._fed_ts_ns, self._now
            self._give(gap(since, self._now))
            told = [each for each in self._plan.halts if each.is_told]
            if told:
                # A feed that is back restates what stands: the word that ended a halt may have come meanwhile.
                halted = any(step_ts_ns(each.from_step) <= self._now < step_ts_ns(each.until_step) for each in told)
                self._give(status(self._now, halted=halted))

    def _operate(self, act: OperatorAct) -> None:
        self._tell(f"a human: {act}")
        for scope in [None, _KEY] if act is OperatorAct.RESUME else [None]:
            self._give(word(act, self._now, instrument_id=scope))

    # --- the end ---------------------------------------------------------------------------------------------

    def _end(self) -> None:
        monitors = self.monitors
        if self._life is None or not self._life.engine.is_started:
            monitors.broken("I-30", "no engine is up after everything was healed")
            return
        monitors.look_at_the_end()
        self._halted = "; ".join(halt_reasons(monitors.reader))
        try:
            restore(self._subject.pipeline(self._plan), monitors.reader, list_accounts(monitors.reader)[0])
        except EngineError as error:
            monitors.broken("I-19", f"the journal does not replay: {error}")

    def _close(self) -> None:
        self._has_ended = True
        for _, zombie in self._zombies:
            zombie.die()
        if self._life is not None:
            self._hash.update(self._life.journal.journal_hash.encode())
            self._life.die()
        self.monitors.close()

    def _outcome(self) -> Outcome:
        entries = {
            each.client_order_id
            for each in self.venue.executions
            if each.side is Side.BUY and each.client_order_id is not None
        }
        return Outcome(
            plan=self._plan,
            faults=tuple(self._chooser.faults),
            violations=tuple(self.monitors.violations),
            brackets=len(entries),
            orders=len(self.venue.orders),
            executions=len(self.venue.executions),
            lives=self._lives,
            passages=dict(self._chooser.passages),
            halted=self._halted,
            event_log_hash=self._hash.hexdigest(),
            exposed_s=self.monitors.exposure.longest_ns / SECOND_NS,
            story=tuple(self._story or ()),
        )

    # --- the record ------------------------------------------------------------------------------------------

    def left(self, command: Command, epoch: int) -> None:
        """Take in a command that is about to leave a process."""
        self._log("request", type(command).__name__, command.client_order_id)
        self._tell(">", command)
        self.monitors.leaving(command, epoch)

    def _log(self, *parts: object) -> None:
        self._hash.update(f"{self._now}|{'|'.join(map(str, parts))}\n".encode())

    def _tell(self, *parts: object) -> None:
        if self._story is not None:
            seconds = (self._now - step_ts_ns(self._plan.first_step)) / SECOND_NS
            self._story.append(f"{seconds:+10.3f} s  {' '.join(map(shown, parts))}")
