"""Write `docs/state-machines.md` from the tables of the engine: `python tools/draw_state_machines.py`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.core.execution.bracket_table import BRACKET_MACHINE, FINAL_STATES, BracketState
from engine.core.execution.order_table import ORDER_MACHINE, TERMINAL_STATES, OrderState
from engine.core.fsm import StateMachine
from engine.core.messages import TradingState
from engine.core.risk.breakers import BREAKER_MACHINE, BreakerState
from engine.core.risk.states import TRADING_MACHINE

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "state-machines.md"

_HEAD: Final = """\
# State machines

<!-- Written by tools/draw_state_machines.py from the tables themselves; a test fails when this page is stale. -->

Each machine is one table: a state and a trigger give the next state. A pair that is not in the table is a bug of the
program and stops it; what a broker may send late, twice or out of order is not a bug, so it has rows. The diagrams
leave out rows that stay in their state; the tables below them list the rows that surprise, with their reason. No
state waits for ever without saying why it may: the column "Until" names the deadline in `risk.yaml` and what follows
when it has passed; [Risk](risk.md#deadlines-and-escalations) has all of them.
"""


class _Chapter(NamedTuple):
    title: str
    machine: StateMachine[Any, Any]
    meanings: Mapping[Any, str]
    #: Of each state that is no end: its deadline and what follows, or why it may last.
    waits: Mapping[Any, str]
    ends: frozenset[Any]
    text: str


_ORDER_MEANINGS: Final = {
    OrderState.NEW: "Decided and written, perhaps sent. The venue has not answered.",
    OrderState.ACK: "The venue has accepted it; nothing is filled.",
    OrderState.PARTIAL: "Filled in part; the rest may still fill.",
    OrderState.FILLED: "Filled in full.",
    OrderState.CANCELED: "Canceled; what was filled stays filled.",
    OrderState.REJECTED: "Refused by the venue, for certain.",
    OrderState.EXPIRED: "Its time in force is over.",
    OrderState.UNKNOWN: "It may or may not have reached the venue. Only the venue's evidence ends this.",
    OrderState.AWAITING_APPROVAL: "The venue holds it until a human approves.",
}
_BRACKET_MEANINGS: Final = {
    BracketState.ENTERING: "The entry is placed; nothing is filled.",
    BracketState.UNPROTECTED: "Something is held that no stop is decided for, or whose stop cannot be relied on.",
    BracketState.PROTECTING: "A stop is decided for everything held; the venue has not accepted all of them.",
    BracketState.PROTECTED: "Stops that the venue has accepted cover everything held.",
    BracketState.SWAPPING: "Orders are being canceled so that others can take their place: a target, a stop at another "
    "price, a sale in part, or the way out of everything; or a target works in the place of its stop.",
    BracketState.EXITING: "A market exit works, of everything or of a part.",
    BracketState.CLOSED: "Nothing is held any more.",
    BracketState.ABORTED: "Nothing was ever held.",
}
_TRADING_MEANINGS: Final = {
    TradingState.ACTIVE: "Everything may be traded.",
    TradingState.REDUCING: "No entries; exits and protection go on.",
    TradingState.HALTED: "No entries; exits and protection go on. Something has to be looked at.",
}
_BREAKER_MEANINGS: Final = {
    BreakerState.ARMED: "It measures, and holds nothing back.",
    BreakerState.TRIPPED: "Its limit was reached: no entries of its scope.",
}

_QUESTIONS: Final = "then a question to the venue; the third without an answer halts the instrument"
_WHILE_IT_WORKS: Final = (
    "A leg may rest. An entry: `deadlines.entry_after_close_s` after its session, then it is canceled. "
    f"A wish to cancel: `deadlines.cancel_s`, {_QUESTIONS}."
)
_ORDER_WAITS: Final = {
    OrderState.NEW: f"`deadlines.acknowledge_s`, {_QUESTIONS}.",
    OrderState.ACK: _WHILE_IT_WORKS,
    OrderState.PARTIAL: _WHILE_IT_WORKS,
    OrderState.UNKNOWN: "Twice `deadlines.acknowledge_s`, then 4, 8 … 64 times, and a question each time; the third "
    "without an answer halts the instrument.",
    OrderState.AWAITING_APPROVAL: "As an entry that works; an exit has the deadline of its bracket.",
}
_BRACKET_WAITS: Final = {
    BracketState.ENTERING: "Its entry has the deadline.",
    BracketState.UNPROTECTED: "`deadlines.protect_s` from the fill on, then the position is left at market; after a "
    "stop-limit was touched `deadlines.stop_limit_s`, after a linked stop was canceled unasked `deadlines.sibling_s`.",
    BracketState.PROTECTING: "`deadlines.protect_s` from the fill on, then the position is left at market.",
    BracketState.PROTECTED: "It may last: the stop rests at the venue.",
    BracketState.SWAPPING: "`deadlines.swap_s`, then the instrument halts; a target in the stop's place gives it back.",
    BracketState.EXITING: "`deadlines.exit_s`, then the instrument halts; so do `deadlines.exit_attempts` exits that "
    "end unfilled.",
}
_TRADING_WAITS: Final = {
    TradingState.ACTIVE: "It may last.",
    TradingState.REDUCING: "A human resumes or halts it.",
    TradingState.HALTED: "A human resumes it.",
}

_BREAKER_WAITS: Final = {
    BreakerState.ARMED: "It may last.",
    BreakerState.TRIPPED: "A human resumes its scope; the daily loss, where it is set so, ends with its session.",
}

_CHAPTERS: Final = (
    _Chapter(
        "Order",
        ORDER_MACHINE,
        _ORDER_MEANINGS,
        _ORDER_WAITS,
        TERMINAL_STATES,
        "One order. Quantities move by executions only, never by a state. A wish to cancel is a flag beside the\n"
        "state, with its own deadline, so that `PARTIAL` stays visible. After an end only late executions and busts\n"
        "move it.",
    ),
    _Chapter(
        "Bracket",
        BRACKET_MACHINE,
        _BRACKET_MEANINGS,
        _BRACKET_WAITS,
        FINAL_STATES,
        "The life of one position: an entry, its stops and targets, and the way out. Each execution of the entry gets\n"
        "its own stop and target in the transaction that books it. Both exit styles use this table.",
    ),
    _Chapter(
        "Trading state",
        TRADING_MACHINE,
        _TRADING_MEANINGS,
        _TRADING_WAITS,
        frozenset(),
        "Held for the account, for each strategy, for each instrument, and for each pair of both; the strictest that\n"
        "applies counts. It is sticky: only an operator's `resume` makes a scope active again.",
    ),
    _Chapter(
        "Circuit breaker",
        BREAKER_MACHINE,
        _BREAKER_MEANINGS,
        _BREAKER_WAITS,
        frozenset(),
        "One for each measure and scope: daily loss, drawdown and error rate of the account, losses in a row of a\n"
        "strategy, repeated executions of a strategy in an instrument. Limits, actions, and who arms which again:\n"
        "[Risk](risk.md#circuit-breakers).",
    ),
)


def page() -> str:
    """Return the whole page as Markdown; raises KeyError for a state that has no meaning or no "until" here."""
    return _HEAD + "".join(_chapter(chapter) for chapter in _CHAPTERS)


def _chapter(chapter: _Chapter) -> str:
    machine = chapter.machine
    parts = [
        f"\n## {chapter.title}\n\n{chapter.text}\n",
        f"\n```mermaid\n{_diagram(machine, chapter.ends)}```\n",
        "\n| State | Meaning | Until |\n| --- | --- | --- |\n",
        *(f"| `{state}` | {chapter.meanings[state]} | {_until(chapter, state)} |\n" for state in machine.states),
        "\n| From | Trigger | To | Why |\n| --- | --- | --- | --- |\n",
        *(f"| `{row.source}` | `{row.trigger}` | `{row.target}` | {row.why} |\n" for row in machine.rows if row.why),
        f"\n{len(machine.rows)} rows in all; those not listed say what they mean.\n",
    ]
    return "".join(parts)


def _until(chapter: _Chapter, state: StrEnum) -> str:
    # A state that is forgotten here stops the page: each new one has to say how it ends.
    return "An end." if state in chapter.ends else chapter.waits[state]


def _diagram(machine: StateMachine[Any, Any], ends: frozenset[Any]) -> str:
    endings = "".join(f"    {state} --> [*]\n" for state in machine.states if state in ends)
    return machine.mermaid() + endings


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
