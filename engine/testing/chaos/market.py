"""A market for scenarios: a price every few seconds over three sessions, and the bars that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

from engine.core.messages import Bar
from engine.core.values import (
    MINUTE_NS,
    SECOND_NS,
    Instrument,
    InstrumentId,
    SessionKind,
    SessionTable,
    instrument_from_symbol,
)
from engine.testing.scenario import DAY_NS, OPEN_TS_NS, SESSION_NS, SPY

SYMBOL: Final = "SPY"
INSTRUMENT: Final[Instrument] = instrument_from_symbol(SYMBOL, SPY)
#: When each of the sessions opens, ns UTC: 26, 27 and 28 March 2024.
OPENS_TS_NS: Final = (OPEN_TS_NS, OPEN_TS_NS + DAY_NS, OPEN_TS_NS + 2 * DAY_NS)
SESSIONS: Final = SessionTable(
    "XNYS",
    dates=("2024-03-26", "2024-03-27", "2024-03-28"),
    opens=OPENS_TS_NS,
    closes=tuple(opens + SESSION_NS for opens in OPENS_TS_NS),
)
STEP_NS: Final = 5 * SECOND_NS
_STEPS_PER_MINUTE: Final = MINUTE_NS // STEP_NS
MINUTES_PER_SESSION: Final = SESSION_NS // MINUTE_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Hold one market: prices in steps of `STEP_NS` from the first open on, nights left out, and its minute bars."""

    seed: int
    #: Of all sessions, in account currency, on the tick.
    prices: tuple[float, ...]
    bars: tuple[Bar, ...]

    def price(self, step: int) -> Decimal:
        """Return the price of a step exactly."""
        return Decimal(repr(self.prices[step]))


def step_ts_ns(step: int) -> int:
    """Return when a step of the market is, ns UTC."""
    session, within = divmod(step, MINUTES_PER_SESSION * _STEPS_PER_MINUTE)
    return OPENS_TS_NS[session] + within * STEP_NS


def first_step_of(minute: int) -> int:
    """Return the first step of a minute; minutes count over all sessions."""
    return minute * _STEPS_PER_MINUTE


def make_market(seed: int) -> Market:
    """Return the market of a seed: drifts, bursts and jumps around 100, so that stops and targets are reached."""
    random = Random(f"market:{seed}")
    prices: list[float] = []
    cents, drift, wildness = 10_000.0, 0.0, 4.0
    steps = len(OPENS_TS_NS) * MINUTES_PER_SESSION * _STEPS_PER_MINUTE
    for step in range(steps):
        if step % (_STEPS_PER_MINUTE * 5) == 0:
            drift = random.gauss(0, 0.6) + (10_000 - cents) * 0.0005
            wildness = random.choice((2.0, 4.0, 4.0, 7.0))
        jump = random.gauss(0, 60) if random.random() < 0.002 else 0.0
        cents = max(5_000.0, cents + drift + random.gauss(0, wildness) + jump)
        prices.append(round(cents) / 100)
    return Market(seed=seed, prices=tuple(prices), bars=_bars(prices))


def _bars(prices: list[float]) -> tuple[Bar, ...]:
    bars = []
    for first in range(0, len(prices), _STEPS_PER_MINUTE):
        within = prices[first : first + _STEPS_PER_MINUTE]
        bars.append(
            Bar(
                instrument_id=InstrumentId(SPY),
                start_ts_ns=step_ts_ns(first),
                open=within[0],
                high=max(within),
                low=min(within),
                close=within[-1],
                volume=100.0 * len(within),
                vwap=sum(within) / len(within),
                session_kind=SessionKind.REGULAR,
            )
        )
    return tuple(bars)
