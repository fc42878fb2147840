"""Bars and sessions for the tests of rules."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from engine.core.messages import Bar
from engine.core.values import DAY_NS, MINUTE_NS, InstrumentId, Session, SessionTable

MONDAY_TS_NS = 1_704_067_200 * 1_000_000_000  # 2024-01-01 00:00 UTC
OPEN_NS = 14 * 60 * MINUTE_NS + 30 * MINUTE_NS
CLOSE_NS = 21 * 60 * MINUTE_NS


@pytest.fixture
def sessions() -> SessionTable:
    """Ten sessions on ten days, 14:30 to 21:00 UTC."""
    days = [MONDAY_TS_NS + day * DAY_NS for day in range(10)]
    return SessionTable(
        "XNYS",
        dates=tuple(f"2024-01-{day + 1:02d}" for day in range(10)),
        opens=tuple(day + OPEN_NS for day in days),
        closes=tuple(day + CLOSE_NS for day in days),
    )


@pytest.fixture
def walk(sessions: SessionTable) -> Callable[..., list[Bar]]:
    """Make a seeded random walk: `per_session` bars from the open of each of `count` sessions on."""

    def make(*, count: int = 3, per_session: int = 390, seed: int = 7, early_minutes: int = 0) -> list[Bar]:
        return [bar for day in range(count) for bar in _day(sessions[day], per_session, seed + day, early_minutes)]

    return make


def _day(session: Session, bars: int, seed: int, early_minutes: int) -> list[Bar]:
    chance = random.Random(seed)
    price = 100.0
    made: list[Bar] = []
    for minute in range(bars):
        opened = price
        price = round(max(1.0, price + chance.gauss(0.0, 0.08)), 2)
        high = max(opened, price) + 0.01 * chance.randrange(4)
        made.append(
            Bar(
                instrument_id=InstrumentId(1),
                start_ts_ns=session.open_ts_ns + (minute - early_minutes) * MINUTE_NS,
                open=opened,
                high=high,
                low=min(opened, price) - 0.01 * chance.randrange(4),
                close=price,
                volume=float(chance.randrange(5_000)),
                vwap=(opened + price) / 2,
            )
        )
    return made
