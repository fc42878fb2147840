"""What holds for every market and every wish: never short, exactly once, exact cash, harmless restarts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.messages import (
    AccountListed,
    BarClosed,
    Command,
    MarketEvent,
    OrderCanceled,
    OrderFilled,
    Quote,
    SubmitOrder,
    Tick,
    VenueReport,
)
from engine.core.values import Side, notional
from engine.matching import MatchRules
from engine.testing.venue_contract import SESSIONS, SPY, bar, cancel, minute, order, query, quote, tick
from engine.venues.fees import fee_schedule
from engine.venues.paper import PaperBook, PaperSettings, PaperVenue

CASH = Decimal(100_000)
IDENTITY = SPY.instrument_id


class Trader:
    """Enter as told; protect each entry fill with a linked pair; leave by canceling both and selling the rest."""

    def __init__(self, stop_distance: int) -> None:
        self.stop_distance = stop_distance
        self.sent: dict[str, SubmitOrder] = {}
        self.filled: dict[str, Decimal] = {}
        self.seen: set[str] = set()

    def answer(self, report: VenueReport) -> list[Command]:
        if isinstance(report, OrderFilled):
            return self._on_fill(report)
        if isinstance(report, OrderCanceled) and report.client_order_id.startswith("stop"):
            left = self.sent[report.client_order_id].quantity - self.filled.get(report.client_order_id, Decimal(0))
            if report.reason == "canceled on request" and left > 0:
                return self.submit(
                    order(f"exit:{report.client_order_id}", Side.SELL, str(left), decided_ts_ns=report.received_ts_ns)
                )
        return []

    def _on_fill(self, fill: OrderFilled) -> list[Command]:
        if fill.execution_id in self.seen:
            return []
        self.seen.add(fill.execution_id)
        identity = fill.client_order_id
        self.filled[identity] = self.filled.get(identity, Decimal(0)) + fill.quantity
        if not identity.startswith("entry"):
            return []
        pair, now, many = f"pair:{fill.execution_id}", fill.received_ts_ns, str(fill.quantity)
        stop, target = str(fill.price - self.stop_distance), str(fill.price + 2)
        return [
            *self.submit(order(f"stop:{fill.execution_id}", Side.SELL, many, stop=stop, link=pair, decided_ts_ns=now)),
            *self.submit(
                order(f"target:{fill.execution_id}", Side.SELL, many, limit=target, link=pair, decided_ts_ns=now)
            ),
        ]

    def submit(self, command: SubmitOrder) -> list[Command]:
        if command.client_order_id in self.sent:
            return []
        self.sent[command.client_order_id] = command
        return [command]


class World:
    """Run a venue as the loop does; `reopen` replaces it after each operation, where it is kept in a file."""

    def __init__(
        self,
        venue: PaperVenue,
        reopen: Callable[[], PaperVenue] | None = None,
        *,
        loses: bool = False,
        stop_distance: int = 1,
    ) -> None:
        self.venue = venue
        self.trader = Trader(stop_distance)
        self.reports: list[VenueReport] = []
        self.lowest = Decimal(0)
        self._reopen = reopen
        self._loses = loses

    def do(self, event: MarketEvent, wishes: Sequence[Command]) -> None:
        self._operate(lambda venue: venue.observe_open(event))
        while self._settle():
            self._operate(lambda venue: venue.observe_open(event))
        self._operate(lambda venue: venue.observe_rest(event))
        self._settle()
        for wish in wishes:
            if isinstance(wish, SubmitOrder):
                self.trader.submit(wish)
            self._operate(lambda venue, wish=wish: venue.send(wish))  # type: ignore[misc]
        self._settle()

    def _operate(self, operation: Callable[[PaperVenue], None]) -> None:
        operation(self.venue)
        self.lowest = min(self.lowest, self.venue.position(IDENTITY))
        if self._reopen is None:
            return
        if not self._loses:
            self._waiting = [*getattr(self, "_waiting", []), *self.venue.drain()]
        self.venue = self._reopen()
        if self._loses:
            for identity in list(self.trader.sent):
                self.venue.send(query(identity, decided_ts_ns=0))

    def _settle(self) -> bool:
        came = False
        while reports := self._drain():
            for report in reports:
                if report in self.reports or _known(report, self.reports):
                    continue
                came = True
                self.reports.append(report)
                for command in self.trader.answer(report):
                    self._operate(lambda venue, command=command: venue.send(command))  # type: ignore[misc]
        return came

    def _drain(self) -> Sequence[VenueReport]:
        waiting, self._waiting = getattr(self, "_waiting", []), []
        return [*waiting, *self.venue.drain()]


# A report that a query told again differs in its time of receipt at most.
def _known(report: VenueReport | AccountListed, reports: list[VenueReport]) -> bool:
    return any(
        type(known) is type(report) and replace(known, received_ts_ns=0) == replace(report, received_ts_ns=0)
        for known in reports
    )


PRICES = st.integers(95, 110)
WISHES = st.sampled_from(["", "", "market", "limit", "stop", "day", "leave"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int]:
    kind = draw(st.sampled_from(["bars", "ticks", "quotes"]))
    story: list[tuple[MarketEvent, list[Command]]] = []
    entries: list[str] = []
    for number in range(draw(st.integers(3, 14))):
        event = _event(draw, kind, number)
        now = event.received_ts_ns
        wish = draw(WISHES)
        commands: list[Command] = []
        if wish == "leave":
            commands = [
                cancel(f"{leg}:{entry}:1", decided_ts_ns=now) for entry in entries for leg in ("stop", "target")
            ]
        elif wish:
            entries.append(f"entry{number}")
            price = draw(PRICES)
            prices = {"limit": {"limit": str(price)}, "stop": {"stop": str(price)}}.get(wish, {})
            many = draw(st.integers(1, 12))
            commands = [order(entries[-1], Side.BUY, many, day=wish == "day", decided_ts_ns=now, **prices)]
        story.append((event, commands))
    cap = draw(st.sampled_from([None, Decimal(3)]))
    rules = MatchRules(fill_quantity_max=cap, slippage_bps=draw(st.sampled_from([Decimal(0), Decimal(3)])))
    return story, rules, draw(st.sampled_from([0, 250_000_000]))


def _event(draw: st.DrawFn, kind: str, number: int) -> BarClosed | Tick | Quote:
    opening = float(draw(PRICES))
    if kind == "bars":
        high, low = opening + draw(st.integers(0, 4)), opening - draw(st.integers(0, 4))
        return bar(minute(number), (opening, high, low, (high + low) / 2))
    if kind == "ticks":
        return tick(minute(0) + number * 400_000_000, opening, sequence=number)
    return quote(minute(0) + number * 400_000_000, opening, opening + 0.5)


def paper_settings(rules: MatchRules, latency_ns: int) -> PaperSettings:
    return PaperSettings(
        opening_cash=CASH,
        rules=rules,
        fees=fee_schedule("robinhood"),
        submit_latency_ns=latency_ns,
        cancel_latency_ns=latency_ns,
    )


def run(story: list[tuple[MarketEvent, list[Command]]], world: World) -> World:
    for event, wishes in story:
        world.do(event, wishes)
    return world


def venue_of(values: PaperSettings, path: Path | None = None) -> PaperVenue:
    book = None if path is None else PaperBook(path)
    return PaperVenue({IDENTITY: SPY}, {IDENTITY: SESSIONS}, values, book=book)


@given(histories())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_books_hold_for_every_history(
    history: tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int],
) -> None:
    story, rules, latency_ns = history
    world = run(story, World(venue_of(paper_settings(rules, latency_ns))))
    fills = [report for report in world.reports if isinstance(report, OrderFilled)]
    sides = {identity: command.side for identity, command in world.trader.sent.items()}

    assert world.lowest == 0
    assert len({fill.execution_id for fill in fills}) == len(fills)

    position, cash = Decimal(0), CASH
    for fill in fills:
        sign = 1 if sides[fill.client_order_id] is Side.BUY else -1
        position += sign * fill.quantity
        cash -= sign * notional(fill.price, fill.quantity) + fill.fee
        assert position >= 0
    assert position == world.venue.position(IDENTITY)
    assert cash == world.venue.cash

    for identity, command in world.trader.sent.items():
        filled = sum(fill.quantity for fill in fills if fill.client_order_id == identity)
        assert filled <= command.quantity
        if command.link is not None:
            legs = [i for i, other in world.trader.sent.items() if other.link == command.link]
            assert sum(fill.quantity for fill in fills if fill.client_order_id in legs) <= command.quantity

    times = [report.received_ts_ns for report in world.reports]
    assert times == sorted(times)


@given(histories())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_orders_sent_again_change_nothing(
    history: tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int],
) -> None:
    story, rules, latency_ns = history
    world = run(story, World(venue_of(paper_settings(rules, latency_ns))))
    before = (world.venue.cash, world.venue.position(IDENTITY), world.venue.working_client_order_ids())
    for command in world.trader.sent.values():
        world.venue.send(command)
    again = world.venue.drain()
    known = [report for report in again if _known(report, world.reports)]
    assert len(known) == len(again)
    assert before == (world.venue.cash, world.venue.position(IDENTITY), world.venue.working_client_order_ids())


# A restarted venue knows the market as of its last change. An order that is long on its way may so escape a refusal
# for being through the market; with latency the stops are therefore far.
def restarted(
    history: tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int], *, loses: bool
) -> tuple[World, World]:
    story, rules, latency_ns = history
    values = paper_settings(rules, latency_ns)
    distance = 30 if latency_ns else 1
    plain = run(story, World(venue_of(values), stop_distance=distance))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paper.book"
        world = World(venue_of(values, path), lambda: venue_of(values, path), loses=loses, stop_distance=distance)
        return plain, run(story, world)


@given(histories())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_restarts_between_all_operations_change_no_report(
    history: tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int],
) -> None:
    plain, kept = restarted(history, loses=False)
    assert kept.reports == plain.reports
    assert (kept.venue.cash, kept.venue.position(IDENTITY)) == (plain.venue.cash, plain.venue.position(IDENTITY))


@given(histories())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_crashes_that_lose_every_undrained_report_are_healed_by_queries(
    history: tuple[list[tuple[MarketEvent, list[Command]]], MatchRules, int],
) -> None:
    plain, kept = restarted(history, loses=True)
    assert executions(kept) == executions(plain)
    assert kept.venue.cash == plain.venue.cash


def executions(world: World) -> set[tuple[str, str, Decimal]]:
    return {(r.client_order_id, r.execution_id, r.price) for r in world.reports if isinstance(r, OrderFilled)}
