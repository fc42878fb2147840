"""What is asked of a venue that does not answer: how often, how long, and when a human is called."""

from dataclasses import replace

from engine.core.messages import OutcomeUnknown
from engine.testing.scenario import Scenario, enter

#: An entry below the market that ends after a minute.
SIXTY_SECONDS = {0: replace(enter(limit=99.5), expires_after_s=60)}


def test_an_outcome_that_the_venue_calls_unknown_is_asked_about() -> None:
    """I-4: an UNKNOWN that nobody asks about would last for ever."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.give(
        OutcomeUnknown(
            venue_ts_ns=scenario.now_ts_ns,
            received_ts_ns=scenario.now_ts_ns,
            client_order_id=entry.client_order_id,
            reason="time-out",
        )
    )
    scenario.wait(30)
    assert scenario.asked(entry) == 1


def test_questions_without_an_answer_halt_the_instrument() -> None:
    """I-30: asked at 30 s, 90 s and 210 s; the third silence is an operator's matter."""
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    for seconds, questions in ((30, 1), (59, 1), (1, 2), (119, 2)):
        scenario.wait(seconds)
        assert (scenario.asked(entry), scenario.halts()) == (questions, [])
    scenario.wait(1)
    assert scenario.halts() == ["order 1 left 3 questions unanswered: look at it at the venue"]


def test_an_answer_in_time_starts_the_count_anew() -> None:
    scenario = Scenario({0: enter()})
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.wait(30)
    scenario.wait(60)
    scenario.ack(entry)
    scenario.wait(3600)
    assert (scenario.asked(entry), scenario.halts()) == (2, [])


def asked_after_a_cancel(scenario: Scenario, *, answers: bool) -> list[int]:
    """Return how many seconds after its time an entry of 60 s was asked about, and canceled again, in ten minutes."""
    scenario.bar(0)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.wait(60)
    moments = []
    for seconds in range(1, 601):
        before = scenario.asked(entry)
        scenario.wait(1)
        if scenario.asked(entry) > before:
            moments.append(seconds)
            assert scenario.canceled().count(entry.client_order_id) == 1 + len(moments)
            if answers:
                scenario.ack(entry)
    return moments


def test_a_cancel_is_sent_again_at_a_steady_pace_while_the_venue_says_that_the_order_works() -> None:
    """I-13: what waits for the cancel of a stop stands without an exit meanwhile."""
    assert asked_after_a_cancel(Scenario(SIXTY_SECONDS), answers=True) == list(range(30, 601, 30))


def test_a_cancel_is_sent_again_less_and_less_often_to_a_venue_that_is_silent() -> None:
    assert asked_after_a_cancel(Scenario(SIXTY_SECONDS), answers=False) == [30, 90, 210, 450]


def test_a_cancel_is_sent_again_less_and_less_often_while_the_exchange_is_closed() -> None:
    late = Scenario({388: SIXTY_SECONDS[0]})
    late.bar(388)
    (entry,) = late.submitted()
    late.ack(entry)
    late.wait(120)
    for _ in range(7_200):
        if late.wait(1).commands:
            late.ack(entry)
    # Asked for once when it was over; again after 30 s, 60 s, and so on, half an hour apart at last.
    assert late.asked(entry) == 8
