"""Settings: `risk.yaml` as typed values. Unknown keys are refused: a typing error must not loosen a limit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.app.contradictions import refuse_contradictions
from engine.app.gate_sections import (
    AccountSection,
    BreakersSection,
    GroupSection,
    HealthSection,
    MarketDataSection,
    MessagesSection,
    NotOfferedSection,
    RecoverySection,
    groups_of,
)
from engine.core.errors import BadInput
from engine.core.execution.settings import Deadlines
from engine.core.pipeline.entries import EntryRules, OrderPolicy
from engine.core.risk.limits import Limits
from engine.core.values import SECOND_NS, AccountTerms

Fraction = Annotated[Decimal, Field(gt=0, le=1)]
Amount = Annotated[Decimal, Field(gt=0)]
NotNegative = Annotated[Decimal, Field(ge=0, le=1_000)]
Count = Annotated[int, Field(ge=1)]
BasisPoints = Annotated[Decimal, Field(ge=0, lt=10_000)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]

_LIMITS: Final = Limits()
_DEADLINES: Final = Deadlines()
_ENTRIES: Final = EntryRules()
#: Shipped risk files that `--risk` knows by name.
PROFILES: Final = ("default", "conservative")
_PROFILES_PLACE: Final = Path(__file__).parent / "profiles"
_DEFAULT_PLACES: Final = (
    Path(__file__).parent / "defaults" / "risk.yaml",
    Path(__file__).parents[2] / "risk.yaml",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SizingSection(_Section):
    """How large a position may be."""

    risk_fraction: Fraction = _LIMITS.risk_fraction
    max_notional_fraction: Fraction = _LIMITS.max_notional_fraction
    fee_per_unit: NotNegative = _LIMITS.fee_per_unit
    fee_min: NotNegative = _LIMITS.fee_min


class OrdersSection(_Section):
    """Bounds of one order, and of their number."""

    max_quantity: Amount = _LIMITS.max_order_quantity
    max_notional: Amount = _LIMITS.max_order_notional
    price_collar: Fraction = _LIMITS.price_collar
    policy: OrderPolicy = _ENTRIES.policy
    market_as_limit_bps: BasisPoints = _ENTRIES.market_as_limit_bps
    slippage_bps_max: BasisPoints | None = _ENTRIES.slippage_bps_max
    market_as_limit_s: Seconds = _ENTRIES.market_as_limit_ns // SECOND_NS
    max_open: Count = _LIMITS.max_open_orders
    max_open_entries_per_instrument: Count = _LIMITS.max_open_entries_per_instrument
    duplicate_window_s: Annotated[int, Field(ge=0, le=86_400)] = _LIMITS.duplicate_window_ns // SECOND_NS
    max_entries_per_session: Count = _LIMITS.max_entries_per_session
    collar_window: Fraction = _LIMITS.collar_window
    collar_window_s: Seconds = _LIMITS.collar_window_ns // SECOND_NS
    stop_ticks_min: Count = _LIMITS.stop_ticks_min


class ExposureSection(_Section):
    """What may be held."""

    max_position_fraction: Fraction = _LIMITS.max_position_fraction
    max_gross_fraction: Annotated[Decimal, Field(gt=0, le=4)] = _LIMITS.max_gross_exposure_fraction
    groups: dict[str, GroupSection] = {}


class InstrumentsSection(_Section):
    """What may be traded."""

    allowed: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


class SessionSection(_Section):
    """When entries may be made."""

    extended_hours_entries: bool = False
    next_open_entries: bool = False


class DeadlinesSection(_Section):
    """How long a state may wait, in seconds of session time."""

    acknowledge_s: Seconds = _DEADLINES.acknowledge_ns // SECOND_NS
    cancel_s: Seconds = _DEADLINES.cancel_ns // SECOND_NS
    protect_s: Seconds = _DEADLINES.protect_ns // SECOND_NS
    swap_s: Seconds = _DEADLINES.swap_ns // SECOND_NS
    stop_limit_s: Seconds = _DEADLINES.stop_limit_ns // SECOND_NS
    sibling_s: Seconds = _DEADLINES.sibling_ns // SECOND_NS
    exit_s: Seconds = _DEADLINES.exit_ns // SECOND_NS
    entry_after_close_s: Seconds = _DEADLINES.entry_after_close_ns // SECOND_NS
    exit_attempts: Count = _DEADLINES.exit_attempts


class RiskFile(_Section):
    """The whole of `risk.yaml`."""

    sizing: SizingSection = SizingSection()
    daily_loss_cap: Fraction = _LIMITS.daily_loss_cap
    max_positions: Count = _LIMITS.max_positions
    orders: OrdersSection = OrdersSection()
    exposure: ExposureSection = ExposureSection()
    instruments: InstrumentsSection = InstrumentsSection()
    session: SessionSection = SessionSection()
    account: AccountSection = AccountSection()
    market_data: MarketDataSection = MarketDataSection()
    messages: MessagesSection = MessagesSection()
    health: HealthSection = HealthSection()
    breakers: BreakersSection = BreakersSection()
    not_offered: NotOfferedSection = NotOfferedSection()
    deadlines: DeadlinesSection = DeadlinesSection()
    recovery: RecoverySection = RecoverySection()

    def limits(self) -> Limits:
        """Return the gate's limits."""
        orders = self.orders
        return Limits(
            risk_fraction=self.sizing.risk_fraction,
            max_notional_fraction=self.sizing.max_notional_fraction,
            fee_per_unit=self.sizing.fee_per_unit,
            fee_min=self.sizing.fee_min,
            daily_loss_cap=self.daily_loss_cap,
            max_positions=self.max_positions,
            max_order_quantity=orders.max_quantity,
            max_order_notional=orders.max_notional,
            price_collar=orders.price_collar,
            max_position_fraction=self.exposure.max_position_fraction,
            max_gross_exposure_fraction=self.exposure.max_gross_fraction,
            max_open_entries_per_instrument=orders.max_open_entries_per_instrument,
            max_open_orders=orders.max_open,
            duplicate_window_ns=orders.duplicate_window_s * SECOND_NS,
            max_entries_per_session=orders.max_entries_per_session,
            allowed_symbols=self.instruments.allowed,
            blocked_symbols=self.instruments.blocked,
            extended_hours_entries=self.session.extended_hours_entries,
            next_open_entries=self.session.next_open_entries,
            collar_window=orders.collar_window,
            collar_window_ns=orders.collar_window_s * SECOND_NS,
            stop_ticks_min=orders.stop_ticks_min,
            good_faith_max=self.account.good_faith_max,
            groups=groups_of(self.exposure.groups),
            market_data=self.market_data.limits(),
            messages=self.messages.limits(),
            health=self.health.limits(),
            breakers=self.breakers.limits(),
            refused_without=self.not_offered.refused(),
        )

    def entry_rules(self) -> EntryRules:
        """Return what becomes of market entries."""
        orders = self.orders
        return EntryRules(
            policy=orders.policy,
            market_as_limit_bps=orders.market_as_limit_bps,
            market_as_limit_ns=orders.market_as_limit_s * SECOND_NS,
            slippage_bps_max=orders.slippage_bps_max,
        )

    def waiting(self) -> Deadlines:
        """Return the deadlines of waiting states."""
        waits = self.deadlines
        return Deadlines(
            acknowledge_ns=waits.acknowledge_s * SECOND_NS,
            cancel_ns=waits.cancel_s * SECOND_NS,
            protect_ns=waits.protect_s * SECOND_NS,
            swap_ns=waits.swap_s * SECOND_NS,
            stop_limit_ns=waits.stop_limit_s * SECOND_NS,
            sibling_ns=waits.sibling_s * SECOND_NS,
            exit_ns=waits.exit_s * SECOND_NS,
            entry_after_close_ns=waits.entry_after_close_s * SECOND_NS,
            exit_attempts=waits.exit_attempts,
            settle_ns=self.recovery.settle_s * SECOND_NS,
            request_life_ns=self.recovery.request_life_s * SECOND_NS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """Hold the gate's settings and which file they came from."""

    limits: Limits
    deadlines: Deadlines
    entry_rules: EntryRules
    account: AccountTerms
    #: How often the venue's listings are compared with the books, ns.
    reconcile_ns: int
    path: Path
    #: SHA-256 of the file's bytes, hexadecimal.
    sha256: str
    #: Every setting by its dotted key in the file, defaults included.
    keys: tuple[tuple[str, object], ...]
    #: The file itself: each run keeps it, so that its journal can be replayed wherever it lies.
    text: str = ""


def load_risk(path: Path | None = None) -> RiskSettings:
    """Return the settings of a `risk.yaml`: the named one, else the working folder's, else the shipped one.

    A plain name out of `PROFILES` is that shipped profile; a file of the same name is reached as `./NAME`.

    Raises BadInput for a file that cannot be read, is not YAML, holds an unknown key or a value out of range, or
    contradicts itself.
    """
    chosen = _default_path() if path is None else _profile(path) or path
    try:
        content = chosen.read_bytes()
    except OSError as error:
        raise BadInput(
            f"The risk file {chosen} cannot be read ({error.strerror}): name another with --risk."
        ) from error
    return parse_risk(content, chosen)


def parse_risk(content: bytes, path: Path) -> RiskSettings:
    """Return the settings that a risk file's bytes hold; `path` is named where they cannot be taken.

    Raises BadInput for what is not YAML, or holds an unknown key or a value out of range.
    """
    parsed = _parse(content, path)
    return RiskSettings(
        limits=parsed.limits(),
        deadlines=parsed.waiting(),
        entry_rules=parsed.entry_rules(),
        account=parsed.account.terms(),
        reconcile_ns=parsed.recovery.reconcile_s * SECOND_NS,
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        keys=tuple(_dotted(parsed)),
        text=content.decode(errors="replace"),
    )


def _dotted(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in section:
        if isinstance(value, BaseModel):
            yield from _dotted(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            # Named parts, such as groups of symbols: as the file would say them.
            yield f"{prefix}{name}", {each: part.model_dump() for each, part in value.items()}
        else:
            yield f"{prefix}{name}", value


def _default_path() -> Path:
    here = Path("risk.yaml")
    return here if here.exists() else _shipped()


def _shipped() -> Path:
    return next((place for place in _DEFAULT_PLACES if place.exists()), Path("risk.yaml"))


def _profile(path: Path) -> Path | None:
    if str(path) == "default":
        return _shipped()
    return _PROFILES_PLACE / f"{path}.yaml" if str(path) in PROFILES else None


def _parse(content: bytes, path: Path) -> RiskFile:
    import yaml  # 15 ms that `--help` does not need

    try:
        document: Any = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise BadInput(f"The risk file {path}{place} is not valid YAML: correct its indentation or quotes.") from error
    try:
        parsed = RiskFile.model_validate(document or {})
    except ValidationError as error:
        raise BadInput(_sentence(error, path)) from error
    refuse_contradictions(parsed, content, path)
    return parsed


def _sentence(error: ValidationError, path: Path) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the document"
    if first["type"] == "extra_forbidden":
        return f"The risk file {path} has the unknown key {key}: remove it, or correct it after the shipped risk.yaml."
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"The risk file {path} has {key} = {first['input']!r}, but {message}: correct the value."
