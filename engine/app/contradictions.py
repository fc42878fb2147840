"""What in a risk file cannot hold together, found before anything runs, and on which line it stands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.core.errors import BadInput

if TYPE_CHECKING:
    from engine.app.settings import RiskFile

#: The key by which YAML takes the keys of another mapping.
_MERGE: Final = "<<"
#: Two keys of the file and what is wrong with them, in words.
_Found = tuple[str, str, str]


def lines_of(content: bytes, path: Path) -> dict[str, int]:
    """Return the line of each dotted key of a YAML file; raises BadInput for a key that is there twice.

    What a merge key (`<<`) brings in has the line where it stands, unless the mapping has a key of that name itself.
    """
    import yaml

    lines: dict[str, int] = {}
    root = yaml.compose(content, Loader=yaml.SafeLoader)
    for key, line in _keys(root):
        if key in lines:
            raise BadInput(
                f"The risk file {path} holds the key {key} on line {lines[key]} and on line {line}: keep one."
            )
        lines[key] = line
    return lines


# `Any`: the nodes of pyyaml.
def _keys(node: Any, prefix: str = "") -> Iterator[tuple[str, int]]:  # noqa: ANN401
    pairs = node.value if node is not None and node.id == "mapping" else ()
    own = {name.value for name, _ in pairs}
    for name, value in pairs:
        key = f"{prefix}{name.value}"
        yield key, name.start_mark.line + 1
        if name.value == _MERGE:
            yield from _merged(value, prefix, own)
        else:
            yield from _keys(value, f"{key}.")


# Of several merged mappings the first one that has a key counts, as the loader has it.
def _merged(value: Any, prefix: str, own: set[str]) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    seen = set(own)
    for mapping in value.value if value.id == "sequence" else [value]:
        found = [(key, line) for key, line in _keys(mapping) if key.partition(".")[0] not in seen]
        seen |= {key.partition(".")[0] for key, _ in found}
        yield from ((f"{prefix}{key}", line) for key, line in found)


def refuse_contradictions(settings: RiskFile, content: bytes, path: Path) -> None:
    """Raise BadInput for the first pair of settings that contradict each other, naming the line."""
    lines = lines_of(content, path)
    for one, other, sentence in _contradictions(settings):
        # The other one is the default where only one of both stands in the file.
        line = lines.get(one) or lines.get(other)
        place = f"The risk file {path}" + (f", line {line}," if line else "")
        raise BadInput(f"{place} contradicts itself: {sentence}.")


def _contradictions(settings: RiskFile) -> Iterator[_Found]:
    keys = _Keys(settings)
    yield from keys.above("sizing.max_notional_fraction", "exposure.max_position_fraction", "no full entry could pass")
    yield from keys.above("exposure.max_position_fraction", "exposure.max_gross_fraction")
    yield from keys.above("orders.max_open_entries_per_instrument", "orders.max_open")
    yield from keys.above("daily_loss_cap", "breakers.drawdown", "the breaker would always trip first")
    yield from keys.above("sizing.risk_fraction", "daily_loss_cap", "one stop would end the session")
    yield from keys.above("messages.per_second", "messages.per_minute")
    yield from keys.above("messages.per_minute", "messages.per_session")
    for window in ("messages.per_second", "messages.per_minute", "messages.per_session"):
        yield from keys.above("messages.reserve", window, "nothing would be left to entries", or_equal=True)
    yield from _recovered(settings)
    yield from _collared(settings)
    yield from _symbols(settings)
    yield from _groups(settings)


class _Keys:
    def __init__(self, settings: RiskFile) -> None:
        self._settings = settings

    def above(self, one: str, other: str, why: str = "", *, or_equal: bool = False) -> Iterator[_Found]:
        value, bound = self._value(one), self._value(other)
        if value is None or bound is None or value < bound or (value == bound and not or_equal):
            return
        how = "equals" if value == bound else "is above"
        so = f", so {why}" if why else ""
        yield one, other, f"{one} {value} {how} {other} {bound}{so}: lower the first or raise the second"

    # `Any`: a number of the file, or None where it is turned off.
    def _value(self, key: str) -> Any:  # noqa: ANN401
        return reduce(getattr, key.split("."), self._settings)


# A fill whose report was lost is found by the next listing, or, where that fails, by the one after it: its stop has to
# be there before its time is over.
def _recovered(settings: RiskFile) -> Iterator[_Found]:
    recovery, protect_s = settings.recovery, settings.deadlines.protect_s
    needed = 2 * recovery.reconcile_s + recovery.settle_s
    if needed > protect_s:
        sentence = (
            f"deadlines.protect_s {protect_s} is below twice recovery.reconcile_s {recovery.reconcile_s} and "
            f"recovery.settle_s {recovery.settle_s}, so a fill that nobody reported could not be protected in time: "
            "raise the first or lower the others"
        )
        yield "deadlines.protect_s", "recovery.reconcile_s", sentence


# A market entry that leaves as a limit beyond the collar is refused every time.
def _collared(settings: RiskFile) -> Iterator[_Found]:
    orders, most = settings.orders, settings.entry_rules().market_bps_max
    if most is None or most <= orders.price_collar * 10_000:
        return
    key = "orders.slippage_bps_max" if most == orders.slippage_bps_max else "orders.market_as_limit_bps"
    sentence = (
        f"{key} {most} basis points are above orders.price_collar {orders.price_collar}, so every market entry "
        "would be refused: lower the first or raise the second"
    )
    yield key, "orders.price_collar", sentence


def _symbols(settings: RiskFile) -> Iterator[_Found]:
    allowed, blocked = settings.instruments.allowed, settings.instruments.blocked
    both = sorted(allowed & blocked)
    if both:
        sentence = f"instruments.allowed and instruments.blocked both hold {both[0]}: remove it from one"
        yield "instruments.blocked", "instruments.allowed", sentence


def _groups(settings: RiskFile) -> Iterator[_Found]:
    allowed, gross = settings.instruments.allowed, settings.exposure.max_gross_fraction
    entry = settings.sizing.max_notional_fraction
    for name, group in settings.exposure.groups.items():
        key = f"exposure.groups.{name}"
        if group.max_fraction > gross:
            sentence = f"{key}.max_fraction {group.max_fraction} is above exposure.max_gross_fraction {gross}: lower it"
            yield f"{key}.max_fraction", "exposure.max_gross_fraction", sentence
        if group.max_fraction < entry:
            sentence = (
                f"{key}.max_fraction {group.max_fraction} is below sizing.max_notional_fraction {entry}, so no full "
                "entry into the group could pass: raise the first or lower the second"
            )
            yield f"{key}.max_fraction", "sizing.max_notional_fraction", sentence
        unknown = sorted(group.symbols - allowed) if allowed else []
        if unknown:
            sentence = f"{key} holds {unknown[0]}, which instruments.allowed does not: remove it there or allow it"
            yield f"{key}.symbols", "instruments.allowed", sentence
