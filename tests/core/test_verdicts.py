"""What each check says of its source, of silence, and of numbers that are none."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.core.messages import Verdict
from engine.core.risk.checks import ABOUT
from engine.core.risk.sources import SIMULATED, VENUES, Capability, Offer
from engine.core.values import (
    AccountKind,
)
from engine.testing.gate import (
    CALM,
    LEAVING,
    LIMITS,
    check,
    decide,
    health,
    quote,
    status,
)

# --- verdicts ------------------------------------------------------------------------------------------


def test_every_answer_names_its_source_and_its_verdict() -> None:
    """A refusal says so; what the venue cannot tell says so; a check that is not for exits says so."""
    for situation in (CALM, replace(CALM, **health(), **quote(), **status(lower="1"))):
        _, decision = decide(situation)
        assert all(result.source for result in decision.checks if result.verdict is not Verdict.DOES_NOT_APPLY)
        assert all(result.passed is (result.verdict is not Verdict.REFUSED) for result in decision.checks)
    _, leaving = decide(LEAVING)
    applied = {result.number for result in leaving.checks if result.verdict is Verdict.PASSED}
    assert applied == {1, 5, 6, 19, 20}


def test_bars_alone_offer_no_quotes_and_a_policy_says_what_that_means() -> None:
    bare = check(10, CALM)
    assert (bare.verdict, bare.passed, bare.reason) == (Verdict.NOT_OFFERED, True, "")
    strict = check(10, CALM, replace(LIMITS, refused_without=frozenset({Capability.QUOTES})))
    assert (strict.verdict, strict.passed, strict.reason) == (Verdict.NOT_OFFERED, False, "not_offered")
    assert decide(CALM, replace(LIMITS, refused_without=frozenset({Capability.QUOTES})))[0] is None


def test_a_broker_without_price_bands_is_told_apart_from_one_that_is_silent() -> None:
    told = replace(CALM, **health(), **quote(), **status())
    assert check(3, told).verdict is Verdict.NOT_OFFERED
    assert decide(told)[0] is not None
    silent = replace(told, status=None)
    assert (check(3, silent).verdict, check(3, silent).reason) == (Verdict.REFUSED, "missing_input")


@pytest.mark.parametrize("capability", list(Capability))
def test_silence_means_what_the_table_of_venues_says(capability: Capability) -> None:
    (number,) = [number for number, about in ABOUT.items() if capability in about.needs]
    shown = {"status": status()["status"]} if capability is Capability.PRICE_BANDS else {}
    for venue in VENUES.values():
        result = check(number, replace(CALM, venue=venue, **shown), replace(LIMITS, refused_without=frozenset()))
        expected = {
            Offer.OFFERED: Verdict.REFUSED,
            Offer.WHEN_SENT: Verdict.NOT_OFFERED,
            Offer.NOT_OFFERED: Verdict.NOT_OFFERED,
            Offer.NOT_NEEDED: Verdict.DOES_NOT_APPLY,
        }[venue.sources[capability].offer]
        assert result.verdict is expected
        assert venue.sources[capability].text in result.source


def test_what_is_reported_counts_where_nothing_is_needed() -> None:
    """A simulated account has no disk to watch; if its shell reports a full one all the same, nothing is bought."""
    full = replace(CALM, **(health(storage_free_bytes=0) | {"venue": SIMULATED}))
    assert check(27, full).reason == "storage_full"


_numbers = ["equity", "cash", "settled_cash", "reserved", "session_start_equity", "position", "instrument_exposure"]


@pytest.mark.parametrize("wrong", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
@pytest.mark.parametrize("field", [*_numbers, "gross_exposure", "window_price", "previous_close", "exits_with"])
def test_a_book_that_is_no_number_refuses(field: str, wrong: Decimal) -> None:
    """I-26 for everything that is not of the request: no infinity slips past a comparison."""
    situation = replace(CALM, account_kind=AccountKind.CASH, **{field: wrong})  # type: ignore[arg-type]  # a named field
    approved, decision = decide(situation)
    assert approved is None, field
    assert decision.reason


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), 0.0, -1.0])
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_quote_that_is_no_number_refuses(side: str, wrong: float) -> None:
    assert not check(10, replace(CALM, **quote(**{side: wrong}))).passed  # type: ignore[arg-type]  # named fields
