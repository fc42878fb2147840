"""Sections of `risk.yaml` about what surrounds an order: market data, messages, health, breakers, missing sources."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.core.execution.settings import Deadlines
from engine.core.risk.limits import (
    BreakerAction,
    BreakerLimits,
    ExposureGroup,
    HealthLimits,
    Limits,
    MarketDataLimits,
    MessageLimits,
)
from engine.core.risk.sources import Capability
from engine.core.values import SECOND_NS, AccountKind, AccountTerms, LotMethod

_Fraction = Annotated[Decimal, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]
_Seconds = Annotated[int, Field(ge=1, le=86_400)]
#: What to do where the venue offers no source for a check.
Policy = Literal["pass", "refuse"]

_MILLISECOND_NS: Final = 1_000_000
_MEBIBYTE: Final = 1024**2
_LIMITS: Final = Limits()
_BREAKERS: Final = _LIMITS.breakers
_TERMS: Final = AccountTerms()
_DEADLINES: Final = Deadlines()


class GateSection(BaseModel):
    """A part of the risk file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSection(GateSection):
    """How the broker keeps the account."""

    kind: AccountKind = _TERMS.kind
    lots: LotMethod = _TERMS.lots
    good_faith_max: _Count = _LIMITS.good_faith_max

    def terms(self) -> AccountTerms:
        """Return the terms of the account."""
        return AccountTerms(kind=self.kind, lots=self.lots)


class GroupSection(GateSection):
    """Symbols that move together, and what they may be worth together."""

    symbols: Annotated[frozenset[str], Field(min_length=1)]
    max_fraction: _Fraction


def groups_of(sections: dict[str, GroupSection]) -> tuple[ExposureGroup, ...]:
    """Return the groups by their names, in the order of the file."""
    return tuple(
        ExposureGroup(name=name, symbols=section.symbols, max_fraction=section.max_fraction)
        for name, section in sections.items()
    )


class MarketDataSection(GateSection):
    """What market data have to be like for an entry."""

    quote_age_s_max: _Seconds = _LIMITS.market_data.quote_age_ns_max // SECOND_NS
    spread_max: _Fraction = _LIMITS.market_data.spread_max
    jump_max: _Fraction = _LIMITS.market_data.jump_max

    def limits(self) -> MarketDataLimits:
        """Return them in the gate's units."""
        return MarketDataLimits(
            quote_age_ns_max=self.quote_age_s_max * SECOND_NS, spread_max=self.spread_max, jump_max=self.jump_max
        )


class MessagesSection(GateSection):
    """How many orders, cancels and questions may leave."""

    per_second: _Count = _LIMITS.messages.per_second
    per_minute: _Count = _LIMITS.messages.per_minute
    per_session: _Count = _LIMITS.messages.per_session
    reserve: Annotated[int, Field(ge=0)] = _LIMITS.messages.reserve

    def limits(self) -> MessageLimits:
        """Return them in the gate's units."""
        return MessageLimits(
            per_second=self.per_second,
            per_minute=self.per_minute,
            per_session=self.per_session,
            reserve=self.reserve,
        )


class HealthSection(GateSection):
    """What the engine's surroundings have to be like for an entry."""

    reconciliation_age_s_max: _Seconds = _LIMITS.health.reconciliation_age_ns_max // SECOND_NS
    clock_offset_ms_max: Annotated[int, Field(ge=1, le=60_000)] = _LIMITS.health.clock_offset_ns_max // _MILLISECOND_NS
    token_s_min: _Seconds = _LIMITS.health.login_ns_min // SECOND_NS
    storage_free_mib_min: _Count = _LIMITS.health.storage_free_bytes_min // _MEBIBYTE

    def limits(self) -> HealthLimits:
        """Return them in the gate's units."""
        return HealthLimits(
            reconciliation_age_ns_max=self.reconciliation_age_s_max * SECOND_NS,
            clock_offset_ns_max=self.clock_offset_ms_max * _MILLISECOND_NS,
            login_ns_min=self.token_s_min * SECOND_NS,
            storage_free_bytes_min=self.storage_free_mib_min * _MEBIBYTE,
        )


class BreakersSection(GateSection):
    """At what circuit breakers trip, and what then happens; `null` turns one off."""

    daily_loss_until: Literal["next_session", "resume"] = "next_session"
    daily_loss_action: BreakerAction = _BREAKERS.daily_loss_action
    drawdown: _Fraction | None = _BREAKERS.drawdown
    drawdown_action: BreakerAction = _BREAKERS.drawdown_action
    consecutive_losses: _Count | None = _BREAKERS.consecutive_losses
    consecutive_losses_action: BreakerAction = _BREAKERS.consecutive_losses_action
    errors: _Count | None = _BREAKERS.errors
    errors_window_s: _Seconds = _BREAKERS.errors_window_ns // SECOND_NS
    errors_action: BreakerAction = _BREAKERS.errors_action
    repeated_entries: _Count | None = _BREAKERS.repeated_entries
    repeated_window_s: _Seconds = _BREAKERS.repeated_window_ns // SECOND_NS
    repeated_action: BreakerAction = _BREAKERS.repeated_action

    def limits(self) -> BreakerLimits:
        """Return them in the gate's units."""
        return BreakerLimits(
            daily_loss_ends_with_session=self.daily_loss_until == "next_session",
            daily_loss_action=self.daily_loss_action,
            drawdown=self.drawdown,
            drawdown_action=self.drawdown_action,
            consecutive_losses=self.consecutive_losses,
            consecutive_losses_action=self.consecutive_losses_action,
            errors=self.errors,
            errors_window_ns=self.errors_window_s * SECOND_NS,
            errors_action=self.errors_action,
            repeated_entries=self.repeated_entries,
            repeated_window_ns=self.repeated_window_s * SECOND_NS,
            repeated_action=self.repeated_action,
        )


class RecoverySection(GateSection):
    """How the engine finds out what became of its orders, in seconds."""

    reconcile_s: Annotated[int, Field(ge=1, le=3_600)] = 20
    request_life_s: Annotated[int, Field(ge=1, le=600)] = _DEADLINES.request_life_ns // SECOND_NS
    settle_s: Annotated[int, Field(ge=1, le=600)] = _DEADLINES.settle_ns // SECOND_NS


def _policy(capability: Capability) -> Policy:
    return "refuse" if capability in _LIMITS.refused_without else "pass"


class NotOfferedSection(GateSection):
    """What happens to an entry where the venue offers no source for a check."""

    authorisation: Policy = _policy(Capability.AUTHORISATION)
    halt_status: Policy = _policy(Capability.HALT_STATUS)
    price_bands: Policy = _policy(Capability.PRICE_BANDS)
    quotes: Policy = _policy(Capability.QUOTES)
    reconciliation: Policy = _policy(Capability.RECONCILIATION)
    clock: Policy = _policy(Capability.CLOCK)
    token_horizon: Policy = _policy(Capability.LOGIN_HORIZON)
    storage: Policy = _policy(Capability.STORAGE)

    def refused(self) -> frozenset[Capability]:
        """Return what refuses."""
        return frozenset(capability for capability in Capability if getattr(self, capability.value) == "refuse")
