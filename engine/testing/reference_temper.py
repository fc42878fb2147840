"""How the reference venue behaves in one scenario, and what befalls one exchange with it. Plain values, JSON-able.

A `VenueTemper` is chosen once per scenario; its defaults are those of an honest venue. A `Fate` is decided for one
request by whoever drives the simulation. Probabilities lie between 0 and 1 and are drawn anew for each occasion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from engine.core.messages import ListedStatus
from engine.core.values import OrderType, Side, TimeInForce

#: How an exchange over HTTP fails: a status, a page of HTML where JSON was due, or a connection reset.
Status = Literal[401, 429, 500, "html", "reset"]


class Dedupe(StrEnum):
    """Name what a submit does whose client order id was used before."""

    #: It places nothing and is answered by the reports of the original.
    ORIGINAL = "original"
    #: It places nothing and is answered by an error "duplicate id", which is no refusal: the original stands.
    ERROR = "error"
    #: As ORIGINAL for `dedupe_window_s` after the original was taken, as NONE later.
    WINDOWED = "windowed"
    #: It places a second order.
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """Hold an order that a human places through the broker's app; quantity in shares or coins."""

    ts_ns: int
    #: May be one that the run does not know: it fills at once, at `limit_price` or at 10.
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GOOD_TILL_CANCELED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Hold a time `[from_ts_ns, until_ts_ns)` in which every request fails by one status before it does anything."""

    from_ts_ns: int
    until_ts_ns: int
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTemper:
    """Hold how a venue behaves in one scenario; the default is an honest one."""

    dedupe: Dedupe = Dedupe.ORIGINAL
    dedupe_window_s: int = 600
    #: Where it does not, listings carry no ids of ours, and a question by our id cannot be answered.
    echoes_ids: bool = True
    #: Whether what happens to an order is pushed; else only replies, questions and listings tell.
    push: bool = True
    #: Least and most of each way of an exchange, and of a push.
    latency_ms: tuple[int, int] = (20, 80)
    push_latency_ms: tuple[int, int] = (20, 120)
    #: After so long without a reply the engine's side gives an exchange up; a later reply reaches nobody.
    timeout_s: int = 5

    #: Listings and questions show the truth as it was up to so long ago, drawn for each.
    read_lag_ms: int = 0
    #: How probably they omit an order that changed within `read_lag_ms`.
    list_omits: float = 0.0
    #: How probably an order is listed by a status word that nobody knows.
    odd_words: float = 0.0

    #: How probably an order fills in 2 to `parts_max` parts, some seconds apart.
    partial_fills: float = 0.0
    parts_max: int = 4
    #: How probably a part of an order fills and the venue cancels the rest.
    partial_then_canceled: float = 0.0
    #: How probably an order is taken and refused some seconds later.
    rejects_late: float = 0.0
    rejects_late_s: tuple[int, int] = (1, 20)
    #: How probably an order waits for a human, and when he approves it (None: never).
    needs_approval: float = 0.0
    approval_s: int | None = 30
    #: Stops that are good till canceled are canceled an hour after the close, without anybody's asking.
    stop_canceled_overnight: bool = False
    #: How probably an execution is taken back, and after how long.
    busts: float = 0.0
    bust_s: tuple[int, int] = (5, 600)
    #: How probably an order fills, wholly or in part, just before its cancel arrives.
    cancel_fill_race: float = 0.0
    #: Cancels outside of sessions and in halts take effect when trading resumes.
    cancels_wait: bool = False
    #: Whether it refuses to sell what is not held or held for other sells; else such a sell goes short.
    refuses_oversell: bool = True

    foreign: tuple[ForeignOrder, ...] = ()
    outages: tuple[Outage, ...] = ()

    def healed(self) -> VenueTemper:
        """Return an honest temper that keeps how the venue is built: its dedupe, echo, push and rules."""
        return replace(
            VenueTemper(),
            dedupe=self.dedupe,
            dedupe_window_s=self.dedupe_window_s,
            echoes_ids=self.echoes_ids,
            push=self.push,
            cancels_wait=self.cancels_wait,
            refuses_oversell=self.refuses_oversell,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Hold what befalls one exchange; the default is that nothing does."""

    #: The request never arrives.
    request_lost: bool = False
    #: The request is served, and its reply is dropped; pushes may still tell.
    reply_lost: bool = False
    reply_delay_ms: int = 0
    #: The request arrives a second time, up to two seconds later; nobody hears the second reply.
    duplicated: bool = False
    status: Status | None = None
    #: Whether the request was served before it failed by `status`.
    status_after_acceptance: bool = False
    #: Only a part of the pages of a listing is read.
    truncated: bool = False


HONEST: Final = Fate()

#: A word of no known meaning, as brokers add them without telling.
ODD_WORD: Final = "held_for_review"
#: Brokers spell this one both ways, some within one answer.
CANCELED_WORDS: Final = ("canceled", "cancelled")

_STATUSES: Final = {
    "queued": ListedStatus.WORKING,
    "confirmed": ListedStatus.WORKING,
    "partially_filled": ListedStatus.WORKING,
    "awaiting_approval": ListedStatus.AWAITING_APPROVAL,
    "filled": ListedStatus.FILLED,
    "canceled": ListedStatus.CANCELED,
    "cancelled": ListedStatus.CANCELED,
    "rejected": ListedStatus.REJECTED,
    "expired": ListedStatus.EXPIRED,
}


def listed_status(word: str) -> ListedStatus:
    """Return what a venue's status word means, whatever its case and spelling; UNREADABLE for one that is not known."""
    return _STATUSES.get(word.strip().lower(), ListedStatus.UNREADABLE)
