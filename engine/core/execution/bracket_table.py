"""The bracket machine: an entry, its stop and target, and the way out.

Both exit styles use this table. `both_legs`: stop and target rest at the venue, which cancels one when the other
fills. `rest_stop`: the stop rests, the target is watched here, and a swap is cancel, confirm, submit (SWAPPING). A
bracket is in the state of its worst pair: without a stop, being sold, being swapped, waiting for its stop, protected.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.core.fsm import Row, StateMachine


class ExitStyle(StrEnum):
    """Name what the venue can do for exits."""

    BOTH_LEGS = "both_legs"
    REST_STOP = "rest_stop"


class BracketState(StrEnum):
    """Name where a bracket is. Names are kept for ever: rows in databases hold them."""

    ENTERING = "ENTERING"
    UNPROTECTED = "UNPROTECTED"
    PROTECTING = "PROTECTING"
    PROTECTED = "PROTECTED"
    SWAPPING = "SWAPPING"
    EXITING = "EXITING"
    CLOSED = "CLOSED"
    ABORTED = "ABORTED"


class BracketTrigger(StrEnum):
    """Name what moves a bracket."""

    ENTRY_FILLED = "entry_filled"
    ENTRY_ENDED = "entry_ended"
    STOP_DECIDED = "stop_decided"
    STOP_WORKING = "stop_working"
    PROTECTION_LOST = "protection_lost"
    EXIT_WANTED = "exit_wanted"
    EXIT_DECIDED = "exit_decided"
    EXIT_ENDED = "exit_ended"
    POSITION_CLOSED = "position_closed"
    POSITION_REOPENED = "position_reopened"
    TARGET_REACHED = "target_reached"
    TARGET_DECIDED = "target_decided"
    STOP_MOVED = "stop_moved"
    PART_WANTED = "part_wanted"
    SWAP_FAILED = "swap_failed"
    SWAP_GOES_ON = "swap_goes_on"


S = BracketState
T = BracketTrigger

#: States without a position and without orders that may still fill as planned.
FINAL_STATES: Final = frozenset({S.CLOSED, S.ABORTED})

BRACKET_MACHINE: Final = StateMachine(
    "bracket",
    states=BracketState,
    triggers=BracketTrigger,
    initial=S.ENTERING,
    rows=(
        Row(S.ENTERING, T.ENTRY_FILLED, S.UNPROTECTED),
        Row(S.ENTERING, T.ENTRY_ENDED, S.ABORTED, "nothing was filled"),
        Row(S.ENTERING, T.EXIT_WANTED, S.ENTERING, "the entry's cancel is under way; a fill meanwhile is left at once"),
        Row(S.UNPROTECTED, T.ENTRY_FILLED, S.UNPROTECTED),
        Row(S.UNPROTECTED, T.ENTRY_ENDED, S.UNPROTECTED),
        Row(S.UNPROTECTED, T.STOP_DECIDED, S.PROTECTING, "in the same transaction as the fill"),
        Row(S.UNPROTECTED, T.PROTECTION_LOST, S.UNPROTECTED),
        Row(S.UNPROTECTED, T.EXIT_WANTED, S.SWAPPING, "a target still works and has to go first"),
        Row(S.UNPROTECTED, T.EXIT_DECIDED, S.EXITING),
        Row(S.UNPROTECTED, T.EXIT_ENDED, S.UNPROTECTED, "a further exit has ended after the one that led here"),
        Row(S.UNPROTECTED, T.TARGET_REACHED, S.UNPROTECTED, "of another pair: the worst one counts"),
        Row(S.UNPROTECTED, T.TARGET_DECIDED, S.UNPROTECTED, "of another pair"),
        Row(S.UNPROTECTED, T.STOP_MOVED, S.UNPROTECTED, "of another pair"),
        Row(S.UNPROTECTED, T.PART_WANTED, S.UNPROTECTED, "of another pair"),
        Row(S.UNPROTECTED, T.SWAP_FAILED, S.UNPROTECTED, "of another pair"),
        Row(S.UNPROTECTED, T.SWAP_GOES_ON, S.SWAPPING, "the pair without a stop is done; another is being swapped"),
        Row(S.UNPROTECTED, T.POSITION_CLOSED, S.CLOSED),
        Row(S.UNPROTECTED, T.POSITION_REOPENED, S.UNPROTECTED),
        Row(S.PROTECTING, T.ENTRY_FILLED, S.UNPROTECTED, "a further part is filled and has no stop yet"),
        Row(S.PROTECTING, T.ENTRY_ENDED, S.PROTECTING),
        Row(S.PROTECTING, T.STOP_DECIDED, S.PROTECTING),
        Row(S.PROTECTING, T.STOP_WORKING, S.PROTECTED),
        Row(S.PROTECTING, T.PROTECTION_LOST, S.UNPROTECTED, "the stop was refused: the price is through it"),
        Row(S.PROTECTING, T.EXIT_WANTED, S.SWAPPING),
        Row(S.PROTECTING, T.EXIT_DECIDED, S.EXITING),
        Row(S.PROTECTING, T.TARGET_REACHED, S.SWAPPING, "a watched target: its stop has to go first"),
        Row(S.PROTECTING, T.STOP_MOVED, S.SWAPPING),
        Row(S.PROTECTING, T.PART_WANTED, S.SWAPPING),
        Row(S.PROTECTING, T.SWAP_GOES_ON, S.SWAPPING),
        Row(S.PROTECTING, T.POSITION_CLOSED, S.CLOSED, "a leg filled before its acknowledgement"),
        Row(S.PROTECTING, T.POSITION_REOPENED, S.UNPROTECTED),
        Row(S.PROTECTED, T.ENTRY_FILLED, S.UNPROTECTED, "a further part is filled and has no stop yet"),
        Row(S.PROTECTED, T.ENTRY_ENDED, S.PROTECTED),
        Row(S.PROTECTED, T.STOP_WORKING, S.PROTECTED),
        Row(S.PROTECTED, T.PROTECTION_LOST, S.UNPROTECTED, "the venue ended a stop on its own, or it is in doubt"),
        Row(S.PROTECTED, T.EXIT_WANTED, S.SWAPPING),
        Row(S.PROTECTED, T.EXIT_DECIDED, S.EXITING),
        Row(S.PROTECTED, T.STOP_DECIDED, S.PROTECTING, "the stop of a further part"),
        Row(S.PROTECTED, T.TARGET_REACHED, S.SWAPPING, "a watched target: its stop has to go first"),
        Row(S.PROTECTED, T.STOP_MOVED, S.SWAPPING, "the stop is canceled, then placed at its new price"),
        Row(S.PROTECTED, T.PART_WANTED, S.SWAPPING, "the legs of what is to be sold have to go first"),
        Row(S.PROTECTED, T.SWAP_GOES_ON, S.SWAPPING),
        Row(S.PROTECTED, T.POSITION_CLOSED, S.CLOSED),
        Row(S.PROTECTED, T.POSITION_REOPENED, S.UNPROTECTED, "an exit's execution was busted"),
        Row(S.SWAPPING, T.ENTRY_FILLED, S.SWAPPING, "a late part: it leaves with the rest"),
        Row(S.SWAPPING, T.ENTRY_ENDED, S.SWAPPING),
        Row(S.SWAPPING, T.STOP_DECIDED, S.PROTECTING, "the swap failed: the stop comes back first"),
        Row(S.SWAPPING, T.STOP_WORKING, S.SWAPPING, "the cancel has not arrived yet"),
        Row(S.SWAPPING, T.PROTECTION_LOST, S.UNPROTECTED, "another pair has lost its stop"),
        Row(S.SWAPPING, T.TARGET_REACHED, S.SWAPPING, "of a further pair"),
        Row(S.SWAPPING, T.TARGET_DECIDED, S.SWAPPING, "the stop is confirmed gone: the target works in its place"),
        Row(S.SWAPPING, T.STOP_MOVED, S.SWAPPING, "of a further pair"),
        Row(S.SWAPPING, T.PART_WANTED, S.SWAPPING, "of a further pair"),
        Row(S.SWAPPING, T.SWAP_FAILED, S.SWAPPING, "the target goes, then the stop comes back"),
        Row(S.SWAPPING, T.EXIT_WANTED, S.SWAPPING),
        Row(S.SWAPPING, T.EXIT_DECIDED, S.EXITING, "every leg is confirmed gone"),
        Row(S.SWAPPING, T.EXIT_ENDED, S.SWAPPING, "an exit of before: the legs go first, then a new one follows"),
        Row(S.SWAPPING, T.POSITION_CLOSED, S.CLOSED, "a leg filled while its cancel was under way"),
        Row(S.SWAPPING, T.POSITION_REOPENED, S.SWAPPING),
        Row(S.EXITING, T.ENTRY_FILLED, S.EXITING, "a late part: it leaves with the rest"),
        Row(S.EXITING, T.ENTRY_ENDED, S.EXITING),
        Row(S.EXITING, T.PROTECTION_LOST, S.UNPROTECTED, "a part is being sold, and another pair has lost its stop"),
        Row(S.EXITING, T.STOP_DECIDED, S.PROTECTING, "a part is sold: the rest has its stop"),
        Row(S.EXITING, T.TARGET_REACHED, S.EXITING, "of another pair: the worst one counts"),
        Row(S.EXITING, T.TARGET_DECIDED, S.EXITING, "of another pair"),
        Row(S.EXITING, T.STOP_MOVED, S.EXITING, "of another pair"),
        Row(S.EXITING, T.PART_WANTED, S.EXITING, "of another pair"),
        Row(S.EXITING, T.SWAP_FAILED, S.EXITING, "of another pair"),
        Row(S.EXITING, T.SWAP_GOES_ON, S.SWAPPING, "a part is sold; another pair is still being swapped"),
        Row(S.EXITING, T.EXIT_WANTED, S.EXITING),
        Row(S.EXITING, T.EXIT_DECIDED, S.EXITING, "a further exit for a late part"),
        Row(S.EXITING, T.EXIT_ENDED, S.UNPROTECTED, "the exit expired or was refused with shares left"),
        Row(S.EXITING, T.POSITION_CLOSED, S.CLOSED),
        Row(S.EXITING, T.POSITION_REOPENED, S.UNPROTECTED),
        Row(S.CLOSED, T.ENTRY_FILLED, S.UNPROTECTED, "an entry's execution after its cancel"),
        Row(S.CLOSED, T.ENTRY_ENDED, S.CLOSED),
        Row(S.CLOSED, T.PROTECTION_LOST, S.CLOSED, "the sibling's cancel comes after the fill"),
        Row(S.CLOSED, T.STOP_WORKING, S.CLOSED, "an old report"),
        Row(S.CLOSED, T.POSITION_CLOSED, S.CLOSED),
        Row(S.CLOSED, T.POSITION_REOPENED, S.UNPROTECTED, "an exit's execution was busted"),
        Row(S.ABORTED, T.ENTRY_FILLED, S.UNPROTECTED, "an entry's execution after its cancel"),
        Row(S.ABORTED, T.ENTRY_ENDED, S.ABORTED),
    ),
)
