"""Named points of a process's life, and fuses that end or stop it there by a real signal.

Production code knows nothing of this: `arm` wraps methods and functions of a process that is to be killed, before it
starts the command. A point is a door and a side, such as `commit.before` or `send.after`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import engine.app.trading as trading_module
from engine.app.trading import TradingAccount
from engine.core.errors import BadInput
from engine.store.writer import SqliteJournal
from engine.venues.paper import PaperVenue
from engine.venues.paper_book import PaperBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Name something that a process passes on its way, and where it is found."""

    name: str
    #: A class or a module, and the name of the method or function in it.
    owner: Any
    attribute: str
    #: In how many passages of one life a kill is drawn at most.
    passages: int = 1
    #: Whether it is passed before anything new happens: while an account is opened or recovered.
    is_opening: bool = False


#: In the order in which a life passes them. `rows` lies inside the transaction of `commit`: after it all rows are
#: written and nothing is committed; `first_row` lies so inside the transaction of `book`.
DOORS: Final = (
    Door(name="lock", owner=trading_module, attribute="EngineLock", is_opening=True),
    Door(name="upgrade", owner=trading_module, attribute="upgrade", is_opening=True),
    Door(name="account", owner=trading_module, attribute="open_account", is_opening=True),
    Door(name="replay", owner=trading_module, attribute="restore", is_opening=True),
    Door(name="book_open", owner=trading_module, attribute="PaperBook", is_opening=True),
    Door(name="register", owner=trading_module, attribute="register", is_opening=True),
    Door(name="reconcile", owner=TradingAccount, attribute="_reconcile", is_opening=True),
    Door(name="commit", owner=SqliteJournal, attribute="commit", passages=60),
    Door(name="rows", owner=SqliteJournal, attribute="_write", passages=60),
    Door(name="send", owner=PaperVenue, attribute="send", passages=3),
    Door(name="drain", owner=PaperVenue, attribute="drain", passages=25),
    Door(name="book", owner=PaperBook, attribute="write", passages=5),
    Door(name="first_row", owner=PaperBook, attribute="_write_account", passages=5),
    Door(name="finish", owner=trading_module, attribute="finish_run"),
)

#: Every point by name, with its door.
POINTS: Final = {f"{door.name}.{side}": door for door in DOORS for side in ("before", "after")}


@dataclass(slots=True, kw_only=True)
class Fuse:
    """Send this process a signal when it reaches a point for the n-th time."""

    point: str
    passages_left: int = 1
    signal_number: int = signal.SIGKILL

    def reach(self, point: str) -> None:
        """Count a passage; the signal is sent within this call."""
        if point != self.point:
            return
        self.passages_left -= 1
        if self.passages_left == 0:
            os.kill(os.getpid(), self.signal_number)


def arm(fuse: Fuse) -> None:
    """Lay a fuse into this process; raises BadInput for a point that is none."""
    door = POINTS.get(fuse.point)
    if door is None:
        raise BadInput(f"There is no point {fuse.point!r}: name one of {', '.join(POINTS)}.")
    wrap(door, before=lambda: fuse.reach(f"{door.name}.before"), after=lambda *_: fuse.reach(f"{door.name}.after"))


def wrap(door: Door, *, before: Callable[[], None], after: Callable[..., None]) -> None:
    """Call something before and after each passage of a door; `after` is shown the arguments of the passage."""
    inner = getattr(door.owner, door.attribute)

    # A class that is a door (the lock, the book) is only ever called where its name is looked up.
    @wraps(inner, updated=())
    def passage(*arguments: object, **named: object) -> object:
        before()
        result = inner(*arguments, **named)
        after(*arguments)
        return result

    setattr(door.owner, door.attribute, passage)
