"""What breakers, throttles and trading states remember, told word for word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.messages import Draft, Step
from engine.core.risk.breakers import Breakers
from engine.core.risk.limits import BreakerAction, BreakerLimits, Limits
from engine.core.risk.states import ACCOUNT, TradingStates, TradingTrigger
from engine.core.risk.throttles import Throttles
from engine.core.values import SECOND_NS, InstrumentId, StrategyId
from engine.testing.gate import ENTRY, LIMIT, NOW
from engine.testing.told import compare_told, told
from engine.testing.typed import require_typed

FOLDER = Path(__file__).with_name("stories") / "gate_memory"
D = Decimal


class Watched:
    """Breakers, and what they say."""

    def __init__(self, limits: Limits) -> None:
        self.breakers = Breakers(limits)
        self.draft = Draft(NOW)
        self.lines: list[str] = []

    def at(self, seconds: int) -> Draft:
        self.draft = Draft(NOW + seconds * SECOND_NS)
        return self.draft

    def say(self, what: str, trips: object = None) -> None:
        require_typed(Step(facts=tuple(self.draft.facts), commands=()))
        self.lines.append(f"* {what}: {trips!r}")
        self.lines += [f"    {told(fact)}" for fact in self.draft.facts]
        concerned = [
            f"{strategy}/{instrument}:{names}"
            for strategy in ("one", "other")
            for instrument in (1, 2)
            if (names := ",".join(self.breakers.tripped_for(StrategyId(strategy), InstrumentId(instrument))))
        ]
        self.lines.append(f"    = from {self.breakers.session_start_equity}, tripped for {concerned}")


def equities(limits: Limits, amounts: tuple[str, ...]) -> Iterator[str]:
    watched = Watched(limits)
    for number, amount in enumerate(amounts):
        draft = watched.at(number)
        if amount.startswith("session"):
            watched.breakers.start_session(D(amount.split()[1]), draft)
            watched.say(amount)
        elif amount.startswith("fund"):
            watched.breakers.fund(D(amount.split()[1]))
            watched.say(amount)
        elif amount.startswith("reset"):
            _, scope, equity = amount.split()
            scopes = {"account": ACCOUNT, "one": (StrategyId("one"), None)}
            watched.breakers.reset(scopes[scope], equity=D(equity), reason="looked", source="operator:me", draft=draft)
            watched.say(amount)
        else:
            watched.say(f"equity {amount}", watched.breakers.watch_equity(D(amount), draft))
    yield from watched.lines


def breakers() -> Iterator[str]:
    yield "# equity, as shipped"
    yield from equities(
        Limits(),
        (
            "5",
            "fund -100",
            "session 0",
            "0",
            "fund 0.5",
            "session 0.5",
            "0.4",
            "reset account 0.4",
            "fund 1000",
            "session 1000",
            "fund 100",
            "1100",
            "1067.01",
            "1067",
            "1100",
            "session 1067",
            "1200",
            "900.01",
            "900",
            "800",
            "reset one 800",
            "reset account 800",
            "780",
            "fund -50",
            "602",
            "600",
        ),
    )
    yield "# equity, where a human has to look"
    patient = BreakerLimits(daily_loss_ends_with_session=False, daily_loss_action=BreakerAction.HALTED, drawdown=None)
    amounts = ("session 100", "97", "session 97", "94.09", "reset account 94.09", "94.09", "91.28", "91.26")
    yield from equities(Limits(breakers=patient), amounts)
    yield "# trades and errors"
    yield from counted()


def counted() -> Iterator[str]:
    bounds = BreakerLimits(consecutive_losses=3, errors=3, errors_window_ns=60 * SECOND_NS, repeated_entries=2)
    watched = Watched(Limits(breakers=bounds))
    one, other = StrategyId("one"), StrategyId("other")
    trips = "one -1, one -0.01, other -5, one 0, one -1, one -1, one 0.5, one -1, one -2, one -3, one -4, other -5"
    for number, trip in enumerate(trips.split(", ")):
        name, pnl = trip.split()
        tripped = watched.breakers.round_trip(StrategyId(name), D(pnl), watched.at(number))
        watched.say(f"{name} ends with {pnl}", tripped)
    for scope in ((None, InstrumentId(1)), (one, InstrumentId(1)), ACCOUNT, (one, None)):
        draft = watched.at(30)
        watched.breakers.reset(scope, equity=D(7), reason="looked", source="operator:me", draft=draft)
        watched.say(f"reset {scope}")
    for number, pnl in enumerate(("-1", "-1", "-1")):
        watched.say(f"one again {pnl}", watched.breakers.round_trip(one, D(pnl), watched.at(40 + number)))
    for seconds in (100, 130, 160, 189, 190, 300):
        watched.say(f"an error at {seconds} s", watched.breakers.error(watched.at(seconds)))
    for scope, count in (((one, InstrumentId(1)), 1), ((one, InstrumentId(1)), 2), ((other, InstrumentId(2)), 3)):
        watched.say(f"repeated {scope} {count}", watched.breakers.repeated(scope, count, watched.at(400)))
    for scope in ((one, InstrumentId(2)), (one, InstrumentId(1)), ACCOUNT):
        watched.breakers.reset(scope, equity=D(7), reason="looked", source="operator:me", draft=watched.at(500))
        watched.say(f"reset {scope}")
    yield from watched.lines
    off = Watched(Limits(breakers=BreakerLimits(consecutive_losses=None, errors=None, repeated_entries=None)))
    for number in range(30):
        off.breakers.round_trip(one, D(-1), off.at(number))
        off.breakers.error(off.draft)
        off.breakers.repeated(ACCOUNT, number, off.draft)
    off.say("all turned off")
    yield from off.lines


def throttles() -> Iterator[str]:
    limits = Limits(breakers=BreakerLimits(repeated_window_ns=120 * SECOND_NS), collar_window_ns=90 * SECOND_NS)
    throttles = Throttles(limits)
    other = replace(ENTRY, strategy_id=StrategyId("other"), instrument_id=InstrumentId(2))
    requests = {"market": ENTRY, "limit": replace(LIMIT, limit_price=D(101)), "other": other}

    def figures(seconds: int) -> str:
        ts_ns = NOW + seconds * SECOND_NS
        same = [throttles.since_same_ns(request, ts_ns) for request in requests.values()]
        repeated = [throttles.repeated(request, ts_ns) for request in requests.values()]
        prices = [throttles.window_price(InstrumentId(number), ts_ns) for number in (1, 2)]
        return f"    = same {same} repeated {repeated} prices {list(map(str, prices))} {throttles.messages(ts_ns)}"

    yield figures(0)
    for seconds, name, sent in (
        *((0, "limit", 3), (0, "market", 1), (1, "market", 2), (59, "other", 4), (60, "market", 1), (61, "", 5)),
        *((90, "", 1), (91, "market", 0), (120, "", 1), (121, "limit", 2), (182, "", 1), (400, "", 1)),
    ):
        throttles.sent(sent, NOW + seconds * SECOND_NS)
        if name:
            throttles.remember(requests[name], NOW + seconds * SECOND_NS)
        yield f"* {seconds} s: {name or 'nothing'}, {sent} messages"
        yield figures(seconds)
    throttles.start_session()
    for request in requests.values():
        throttles.remember(request, NOW + 401 * SECOND_NS)
    yield figures(401)
    for strategy, instrument in (("none", None), ("owner", 2), ("other", 2), (None, 3), ("owner", None), (None, None)):
        throttles.forget_repeated(
            None if strategy is None else StrategyId(strategy), None if instrument is None else InstrumentId(instrument)
        )
        yield f"* forget {strategy} {instrument}"
        yield figures(402)


def states() -> Iterator[str]:
    states = TradingStates()
    one, spy = StrategyId("one"), InstrumentId(1)
    scopes = {"account": ACCOUNT, "one": (one, None), "SPY": (None, spy), "one/SPY": (one, spy)}
    triggers = {trigger.value[0]: trigger for trigger in TradingTrigger}
    script = (
        "one:p:a one:p:b one:h:c one:h:c one:h:d one:p:e SPY:p:f one:r:g one:h:c one:h:d one/SPY:h:h one/SPY:r:i "
        "one/SPY:r:j one:r:k account:p:l SPY:h:m account:r:n SPY:r:o SPY:h:m"
    )
    for number, line in enumerate(script.split()):
        name, letter, reason = line.split(":")
        trigger = triggers[letter]
        draft = Draft(NOW + number)
        states.change(scopes[name], trigger, reason=reason, source="operator:me", draft=draft)
        require_typed(Step(facts=tuple(draft.facts), commands=()))
        yield f"* {name} {trigger} for {reason}"
        yield from (f"    {told(fact)}" for fact in draft.facts)
        effective = [states.effective(StrategyId(who), InstrumentId(what)) for who in ("one", "two") for what in (1, 2)]
        yield f"    = {' '.join(effective)}"


TELLERS = {teller.__name__: teller for teller in (breakers, throttles, states)}


@pytest.mark.parametrize("name", TELLERS)
def test_the_gate_remembers_as_ever(name: str) -> None:
    compare_told(FOLDER / f"{name}.txt", "\n".join(TELLERS[name]()) + "\n")


def test_every_file_is_told() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(TELLERS)
