"""Small parts between the kernel and what it drives: a wire that is watched, and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.core.messages import Command, FeedInterrupted, Flatten, InstrumentStatus, Kill, Pause, Quote, Resume, Tick
from engine.core.values import InstrumentId
from engine.testing.chaos.market import INSTRUMENT
from engine.testing.chaos.plan import OperatorAct

_KEY: Final = INSTRUMENT.instrument_id
_WORDS: Final[dict[OperatorAct, type[Pause | Resume | Kill | Flatten]]] = {
    OperatorAct.PAUSE: Pause,
    OperatorAct.RESUME: Resume,
    OperatorAct.KILL: Kill,
    OperatorAct.FLATTEN: Flatten,
}


class WatchedWire:
    """Tell of every command before it leaves, and which process sends it."""

    def __init__(self, left: Callable[[Command, int], None], epoch: int, *, on_replaced: Callable[[], None]) -> None:
        self._left = left
        self._epoch = epoch
        self._on_replaced = on_replaced

    def leaving(self, command: Command) -> None:
        """Let the kernel see a command before it leaves."""
        self._left(command, self._epoch)

    def replaced(self) -> None:
        """Hear that another engine has taken the account: from here on nothing of this one may leave."""
        self._on_replaced()


def tick(price: float, ts_ns: int) -> Tick:
    """Return a print at a price."""
    return Tick(venue_ts_ns=ts_ns, received_ts_ns=ts_ns, instrument_id=_KEY, price=price, size=100.0)


def quote(bid: float, ask: float, ts_ns: int) -> Quote:
    """Return a quote."""
    return Quote(
        venue_ts_ns=ts_ns, received_ts_ns=ts_ns, instrument_id=_KEY, bid=bid, ask=ask, bid_size=500.0, ask_size=500.0
    )


def gap(since_ts_ns: int, until_ts_ns: int) -> FeedInterrupted:
    """Return that the feed brought nothing from one moment to another."""
    return FeedInterrupted(
        venue_ts_ns=until_ts_ns,
        received_ts_ns=until_ts_ns,
        instrument_id=_KEY,
        from_ts_ns=since_ts_ns,
        until_ts_ns=until_ts_ns,
        reason="no data",
    )


def status(ts_ns: int, *, halted: bool) -> InstrumentStatus:
    """Return that the exchange halts the instrument, or lets it trade again."""
    return InstrumentStatus(
        venue_ts_ns=ts_ns, received_ts_ns=ts_ns, instrument_id=_KEY, halted=halted, reason="volatility"
    )


def word(act: OperatorAct, ts_ns: int, *, instrument_id: InstrumentId | None = None) -> Pause | Resume | Kill | Flatten:
    """Return what a human asks for: of the whole account, or of one instrument."""
    return _WORDS[act](
        venue_ts_ns=ts_ns,
        received_ts_ns=ts_ns,
        reason="chaos",
        requested_by="chaos",
        strategy_id=None,
        instrument_id=instrument_id,
    )
