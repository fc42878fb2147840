"""Families of scenarios in which planted bugs are looked for: each has what its bugs need, and little else."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from planting import Family, family

from engine.core.execution.bracket_table import ExitStyle
from engine.core.values import SECOND_NS, Side
from engine.testing.chaos.faults import FaultKind
from engine.testing.chaos.loop_life import LoopLife
from engine.testing.chaos.market import SYMBOL, step_ts_ns
from engine.testing.chaos.plan import OperatorAct, ScenarioPlan
from engine.testing.reference_temper import Dedupe, ForeignOrder, Outage

K = FaultKind
_PARTS: Final = {"partial_fills": 0.7, "latency_ms": (100, 900), "push_latency_ms": (100, 3_000)}

CALM: Final = family("calm", "nothing goes wrong; orders fill in parts", temper={"partial_fills": 0.5})
LOST_REQUESTS: Final = family(
    "lost requests",
    "requests and replies are lost, 10 % each; orders fill in parts",
    {K.REQUEST_LOST: 0.1, K.REPLY_LOST: 0.1},
    temper=_PARTS,
)
SLOW_ABSENCE: Final = family(
    "slow absence",
    "requests are lost, 60 %, and reads fail, 70 %, so that an absence is proven late",
    {K.REQUEST_LOST: 0.6, K.READ_FAILED: 0.7},
)
NO_DEDUPE: Final = family(
    "no dedupe",
    "the venue takes an id twice, lists late and leaves out what is new; replies are lost, 30 %",
    {K.REPLY_LOST: 0.3},
    temper={"dedupe": Dedupe.NONE, "read_lag_ms": 5_000, "list_omits": 0.8, "push": False},
)
RACES: Final = family(
    "races",
    "cancels lose against fills, 40 %; orders fill in parts; ways take seconds; pushes come late",
    {K.PUSH_LATE: 0.2},
    temper={**_PARTS, "cancel_fill_race": 0.4, "partial_then_canceled": 0.2},
)
PUSHES: Final = family(
    "pushes",
    "pushes are lost, doubled or late, 20 % each; orders fill in parts",
    {K.PUSH_LOST: 0.2, K.PUSH_TWICE: 0.2, K.PUSH_LATE: 0.2},
    temper=_PARTS,
)
OVERTAKING: Final = family(
    "overtaking",
    "replies take two seconds and pushes none; replies are late, 30 %; pushes are lost, 40 %; orders fill in parts",
    {K.PUSH_LOST: 0.4, K.REPLY_LATE: 0.3},
    temper={"latency_ms": (800, 2_000), "push_latency_ms": (10, 50), "partial_fills": 0.7},
)
RESTARTS: Final = family(
    "restarts",
    "processes die at any point; replies are lost, 10 %; pushes come twice, 20 %; orders fill in parts",
    {K.CRASH: 0.003, K.REPLY_LOST: 0.1, K.PUSH_TWICE: 0.2},
    temper=_PARTS,
)
BUSTS: Final = family("busts", "executions are taken back, 20 %", temper={"busts": 0.2, "bust_s": (5, 120)})
DISK: Final = family("disk", "the disk is full or fails", {K.DISK_FULL: 0.002, K.DISK_ERROR: 0.002})
TWO_ENGINES: Final = family(
    "two engines", "processes sleep through their replacement", {K.SECOND_ENGINE: 0.01}, temper={"partial_fills": 0.5}
)
BAD_READS: Final = family(
    "bad reads",
    "listings fail, 30 %, or are cut short, 30 %; pushes are lost, 30 %",
    {K.READ_FAILED: 0.3, K.READ_TRUNCATED: 0.3, K.PUSH_LOST: 0.3},
    temper=_PARTS,
)
BLIND: Final = family("blind", "listings fail, 90 %", {K.READ_FAILED: 0.9})
KILLED: Final = family(
    "killed",
    "a human uses the kill switch after two minutes; processes die at any point",
    {K.CRASH: 0.003},
    acts=((30, OperatorAct.KILL),),
)
MUTED: Final = family("muted", "market data stop for a while, often", {K.FEED_MUTE: 0.04})
APPROVALS: Final = family(
    "approvals",
    "orders wait two minutes for the approval of a human, 50 %",
    temper={"needs_approval": 0.5, "approval_s": 120},
)
CLOCKS: Final = family(
    "clocks", "the clock is wrong at every start; processes die at any point", {K.CLOCK_JUMP: 0.9, K.CRASH: 0.003}
)
REST_STOPS: Final = family(
    "resting stops",
    "only stops rest at the venue; cancels lose against fills, 40 %; ways take seconds",
    style=ExitStyle.REST_STOP,
    temper={**_PARTS, "cancel_fill_race": 0.4},
)
#: A human looks at halts every few minutes, and goes on.
_RESUMED: Final = tuple((step, OperatorAct.RESUME) for step in range(60, 330, 30))
LINKED: Final = family(
    "linked legs",
    "stops and targets rest linked; orders fill in parts; cancels lose against fills, 40 %; requests are lost, 10 %",
    {K.REQUEST_LOST: 0.1, K.PUSH_LATE: 0.2},
    style=ExitStyle.BOTH_LEGS,
    temper={**_PARTS, "cancel_fill_race": 0.4},
)
SILENT_CANCELS: Final = family(
    "silent cancels",
    "only stops rest at the venue; requests are lost, 40 %; a human resumes after halts",
    {K.REQUEST_LOST: 0.4},
    style=ExitStyle.REST_STOP,
    acts=_RESUMED,
)
SLOW_LISTS: Final = family(
    "slow lists",
    "only stops rest at the venue; requests are lost, 30 %, and replies, 10 %; lists are nine seconds behind; orders "
    "fill in parts; a human resumes after halts",
    {K.REQUEST_LOST: 0.3, K.REPLY_LOST: 0.1},
    style=ExitStyle.REST_STOP,
    temper={"partial_fills": 0.7, "read_lag_ms": 9_000},
    acts=_RESUMED,
)
LOST_CANCELS: Final = family(
    "lost cancels",
    "only stops rest at the venue; requests are lost, 50 %; processes die often; a human resumes after halts",
    {K.REQUEST_LOST: 0.5, K.CRASH: 0.01},
    style=ExitStyle.REST_STOP,
    acts=_RESUMED,
)


#: On the runner's own loop of asyncio, in virtual time.
LOOP_LOST: Final = family(
    "loop, lost",
    "the runner on asyncio; requests and replies are lost, 20 % each; nothing is pushed",
    {K.REQUEST_LOST: 0.2, K.REPLY_LOST: 0.2},
    temper={"push": False, "partial_fills": 0.5},
    lives=LoopLife,
)
LOOP_BLIND: Final = family(
    "loop, blind",
    "the runner on asyncio; listings fail, 50 %; nothing is pushed",
    {K.READ_FAILED: 0.5},
    temper={"push": False, "partial_fills": 0.5},
    lives=LoopLife,
)
LOOP_ENGINES: Final = family(
    "loop, two engines",
    "the runner on asyncio; processes sleep through their replacement, often",
    {K.SECOND_ENGINE: 0.03},
    lives=LoopLife,
)


def _after(plan: ScenarioPlan, seconds: int) -> int:
    return step_ts_ns(plan.first_step) + seconds * SECOND_NS


def _with_foreign_order(seed: int) -> ScenarioPlan:
    plan = CALM.plan(seed)
    bought = ForeignOrder(ts_ns=_after(plan, 240), symbol=SYMBOL, side=Side.BUY, quantity=Decimal(7))
    return replace(plan, temper=replace(plan.temper, foreign=(bought,)))


def _with_outages(seed: int) -> ScenarioPlan:
    plan = CALM.plan(seed)
    outages = tuple(
        Outage(from_ts_ns=_after(plan, seconds), until_ts_ns=_after(plan, seconds + 150), status=500)
        for seconds in (150, 450, 750)
    )
    return replace(plan, temper=replace(plan.temper, outages=outages))


FOREIGN: Final = Family(
    name="foreign", words="a human buys 7 shares through the app after four minutes", plan=_with_foreign_order
)
OUTAGES: Final = Family(
    name="outages", words="the venue answers by status 500 three times for 150 seconds", plan=_with_outages
)
