"""How long every waiting state may last."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.values import SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Hold the deadlines of waiting states, in nanoseconds of session time."""

    #: An order without any answer becomes UNKNOWN and is asked about.
    acknowledge_ns: int = 30 * SECOND_NS
    #: A cancel without an answer is asked about.
    cancel_ns: int = 30 * SECOND_NS
    #: A filled quantity without a working stop is left at market.
    protect_ns: int = 60 * SECOND_NS
    #: Legs that are not confirmed gone halt the instrument; a target that has taken the stop's place gives it back.
    swap_ns: int = 60 * SECOND_NS
    #: A stop-limit that the price has touched and that is not filled is left at market.
    stop_limit_ns: int = 30 * SECOND_NS
    #: After the venue has canceled a linked stop unasked, the fill of its target is waited for.
    sibling_ns: int = 2 * SECOND_NS
    #: A market exit that has not closed the position halts the instrument.
    exit_ns: int = 600 * SECOND_NS
    #: After its session an entry that still works is canceled.
    entry_after_close_ns: int = 60 * SECOND_NS
    #: So many exits may end unfilled before the instrument halts.
    exit_attempts: int = 3
    #: That a venue does not list an order proves something only so long after the order was last sent.
    settle_ns: int = 10 * SECOND_NS
    #: An entry that never reached the venue is sent again only while it is younger.
    request_life_ns: int = 30 * SECOND_NS
    #: So often an exit that never reached the venue is sent again before it counts as refused.
    sends_max: int = 3
