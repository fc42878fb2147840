"""Stories: what happened in one scenario, from its first second to how its orders stand in the end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from engine.core.values import SECOND_NS
from engine.store.connection import open_reader
from engine.testing.chaos.market import step_ts_ns
from engine.testing.chaos.monitors import Violation
from engine.testing.chaos.outcome import Outcome
from engine.testing.chaos.plan import ScenarioPlan
from engine.testing.chaos.words import number, short, tempers

ORDER_COLUMNS: Final = ("s", "order", "leg", "side", "type", "quantity", "limit", "stop", "filled", "status", "venue's")
_ORDERS: Final = (
    "SELECT submit_ts_ns, client_order_id, leg, side, order_type, quantity_e8, limit_price_e10, stop_price_e10, "
    "filled_quantity_e8, status, venue_order_id FROM orders ORDER BY id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Hold a scenario in words."""

    #: What was drawn before it began, a line each.
    head: tuple[str, ...]
    #: What happened, oldest first: seconds since the start, and what.
    lines: tuple[str, ...]
    #: The orders in the database at its end, by `ORDER_COLUMNS`.
    orders: tuple[tuple[str, ...], ...]
    #: What broke, if anything did.
    violations: tuple[str, ...]
    #: How it ended, in one line.
    end: str


def story_of(outcome: Outcome, database: Path) -> Story:
    """Return the story of a scenario that was lived with `tells`, and whose database is still there."""
    plan = outcome.plan
    halted = f"the engine halted: {outcome.halted}" if outcome.halted else "the engine ready"
    return Story(
        head=_head(plan),
        lines=outcome.story,
        orders=_orders(database, plan),
        violations=tuple(_violation(each, plan) for each in outcome.violations),
        end=(
            f"{outcome.lives} lives, {len(outcome.faults)} faults, {outcome.brackets} brackets, "
            f"{outcome.executions} executions, longest {outcome.exposed_s:g} s without an exit; "
            + (f"ended at its first violation after {len(outcome.story)} lines" if outcome.violations else halted)
        ),
    )


def _head(plan: ScenarioPlan) -> tuple[str, ...]:
    minutes = (
        f"{plan.minutes} minutes from minute {plan.first_minute} on, then {plan.quiet_minutes} in which all is well"
    )
    rates = ", ".join(f"{kind.value} {rate:g}" for kind, rate in plan.rates.items()) or "as recorded"
    temper = ", ".join(tempers(plan.temper)) or "honest"
    acts = ", ".join(f"{act.act.value} at {_at(step_ts_ns(act.step), plan)} s" for act in plan.acts) or "none"
    halts = ", ".join(
        f"{_at(step_ts_ns(each.from_step), plan)} to {_at(step_ts_ns(each.until_step), plan)} s"
        f"{'' if each.is_told else ' (not told)'}"
        for each in plan.halts
    )
    return (
        f"seed {plan.seed}: market {plan.market_seed}, exits {plan.exit_style.value}, {minutes}",
        f"faults per passage: {rates}",
        f"the venue: {temper}",
        f"the operator: {acts}",
        f"halts of the exchange: {halts or 'none'}",
    )


def _violation(violation: Violation, plan: ScenarioPlan) -> str:
    return f"{violation.invariant} at {_at(violation.ts_ns, plan)} s: {violation.message}"


def _orders(database: Path, plan: ScenarioPlan) -> tuple[tuple[str, ...], ...]:
    reader = open_reader(database)
    try:
        rows = reader.execute(_ORDERS).fetchall()
    finally:
        reader.close()
    first = step_ts_ns(plan.first_step)
    # What the strategy did before the scenario began is no part of it.
    return tuple(
        (
            _at(submitted, plan),
            short(identity),
            leg,
            side,
            kind,
            _scaled(quantity, 8),
            _scaled(limit, 10),
            _scaled(stop, 10),
            _scaled(filled, 8),
            status,
            venues or "",
        )
        for submitted, identity, leg, side, kind, quantity, limit, stop, filled, status, venues in rows
        if submitted >= first
    )


def _at(ts_ns: int, plan: ScenarioPlan) -> str:
    return f"{(ts_ns - step_ts_ns(plan.first_step)) / SECOND_NS:.3f}"


def _scaled(value: int | None, places: int) -> str:
    return "" if value is None else number(Decimal(value).scaleb(-places))
