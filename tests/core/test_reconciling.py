"""What listings, silences and restarts make of orders and positions (I-4, I-5, I-6, I-10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from listed_account import ENTER, LIFE_S, SETTLE_S, Account, filled, held_legs, listed, listed_ack

from engine.core.execution.bracket_table import ExitStyle
from engine.core.execution.order_table import OrderState
from engine.core.execution.settings import Deadlines
from engine.core.messages import (
    AccountListed,
    ComparisonVerdict,
    EngineStopping,
    ExecutionBusted,
    ExternalOrderSeen,
    InstrumentStatus,
    Kill,
    ListedOrder,
    ListedStatus,
    PositionAdjusted,
    PositionCompared,
    QueryOrder,
    Resume,
    Signal,
    SubmitOrder,
    TradeBooked,
)
from engine.core.pipeline import Pipeline, PipelineSettings, StrategyBinding
from engine.core.pipeline.reconciling import BUST_SETTLES_MAX, SIGHTINGS_MIN
from engine.core.signals import Context
from engine.core.values import DAY_NS, SECOND_NS, AccountId, ExecutionId, OrderType, Side, instrument_from_symbol
from engine.testing.scenario import SPY, STRATEGY, TWO_SESSIONS, ScriptedStrategy


def test_a_listed_fill_is_booked_and_protected_in_one_step(account: Account) -> None:
    step = account.venue_lists(filled(account.entry), held=str(account.entry.quantity))
    assert [fact.execution_id for fact in account.made(TradeBooked)] == ["x1"]
    stops = [each for each in step.commands if isinstance(each, SubmitOrder) and each.order_type is OrderType.STOP]
    assert [stop.quantity for stop in stops] == [account.entry.quantity]


def test_the_same_listing_twice_and_the_push_after_it_count_once(account: Account) -> None:
    quantity = str(account.entry.quantity)
    account.venue_lists(filled(account.entry), held=quantity)
    account.venue_lists(filled(account.entry), held=quantity)
    account.fill(account.entry, "100", execution="x1")
    assert len(account.made(TradeBooked)) == 1


def test_a_listing_names_an_order_whose_answer_was_lost(account: Account) -> None:
    account.unknown(account.entry)
    account.venue_lists(listed(account.entry))
    assert account.states(account.entry) == ["UNKNOWN", "ACK"]


def test_an_unknown_order_is_asked_about_at_once(account: Account) -> None:
    account.unknown(account.entry)
    account.pass_seconds(2)
    assert [type(each) for each in account.commands[1:]] == [QueryOrder]


def test_one_listing_without_an_order_proves_nothing(account: Account) -> None:
    account.unknown(account.entry)
    account.pass_seconds(SETTLE_S + 5)
    account.venue_lists()
    assert account.states(account.entry) == ["UNKNOWN"]
    assert len(account.submitted()) == 1


def test_a_part_of_a_listing_proves_nothing(account: Account) -> None:
    account.unknown(account.entry)
    for _ in range(5):
        account.pass_seconds(SETTLE_S)
        account.venue_lists(complete=False)
        account.not_found(account.entry, complete=False)
    assert account.states(account.entry) == ["UNKNOWN"]
    assert len(account.submitted()) == 1


def test_what_is_proven_absent_is_sent_again_the_same(account: Account) -> None:
    account.unknown(account.entry)
    account.venue_lists()
    account.pass_seconds(SETTLE_S)
    account.venue_lists()
    assert account.submitted() == [account.entry, account.entry]
    assert account.states(account.entry) == ["UNKNOWN", "UNKNOWN"]
    account.venue_lists(listed(account.entry))
    assert account.states(account.entry)[-1] == "ACK"


def test_a_venue_that_cannot_be_wrong_is_believed_at_once(account: Account) -> None:
    account.unknown(account.entry)
    account.not_found(account.entry, certain=True)
    assert len(account.submitted()) == 2


def test_an_entry_is_not_sent_late(account: Account) -> None:
    account.unknown(account.entry)
    account.pass_seconds(LIFE_S)
    account.not_found(account.entry, certain=True)
    assert len(account.submitted()) == 1
    assert account.states(account.entry)[-1] == "REJECTED"
    assert not account.pipeline.execution.open_brackets()


def test_an_entry_is_not_sent_again_while_paused(account: Account) -> None:
    from engine.core.messages import Pause

    account.unknown(account.entry)
    account.give(Pause(**account._times(), reason="test", requested_by="test"))
    account.not_found(account.entry, certain=True)
    assert len(account.submitted()) == 1
    assert account.states(account.entry)[-1] == "REJECTED"


def test_an_order_that_was_there_is_never_sent_again(account: Account) -> None:
    account.ack(account.entry)
    for _ in range(6):
        account.pass_seconds(SETTLE_S)
        account.venue_lists()
    assert len(account.submitted()) == 1
    assert account.states(account.entry)[:2] == ["ACK", "UNKNOWN"]
    account.venue_lists(listed(account.entry))
    assert account.states(account.entry)[-1] == "ACK"


def test_a_stop_that_never_arrived_is_sent_again(account: Account) -> None:
    account.ack(account.entry)
    account.fill(account.entry, "100", execution="x1")
    stop = next(each for each in account.submitted() if each.order_type is OrderType.STOP)
    account.unknown(stop)
    account.not_found(stop, certain=True)
    assert account.submitted().count(stop) == 2


def test_a_stop_that_never_arrives_is_given_up_and_the_position_left(account: Account) -> None:
    account.ack(account.entry)
    account.fill(account.entry, "100", execution="x1")
    stop, target = account.submitted()[1:3]
    for _ in range(Deadlines().sends_max):
        account.unknown(stop)
        account.not_found(stop, certain=True)
    assert account.submitted().count(stop) == Deadlines().sends_max
    assert target.client_order_id in account.canceled()
    account.cancel(target)
    assert account.submitted()[-1].order_type is OrderType.MARKET


def test_a_restart_makes_requests_without_an_answer_unknown(account: Account) -> None:
    account.start()
    assert account.states(account.entry) == ["UNKNOWN"]
    account.venue_lists()
    account.pass_seconds(SETTLE_S)
    account.venue_lists()
    assert account.submitted() == [account.entry, account.entry]


def test_a_restart_cancels_again_what_was_to_be_canceled(holder: Account) -> None:
    holder.give(EngineStopping(**holder._times(), reason="test"))
    stop = holder.submitted()[1]
    holder.pipeline.execution.order(stop.client_order_id).cancel_requested = True  # type: ignore[union-attr]
    holder.start()
    assert holder.canceled() == [stop.client_order_id]


def test_a_stop_in_order_cancels_entries_and_keeps_stops(account: Account, holder: Account) -> None:
    assert holder.give(EngineStopping(**holder._times(), reason="test")).commands == ()
    other = Account({0: ENTER})
    other.bar(0)
    other.give(EngineStopping(**other._times(), reason="test"))
    assert other.canceled() == [other.entry.client_order_id]


def test_an_order_that_is_not_ours_is_recorded_and_halts(account: Account) -> None:
    stranger = listed(account.entry, venue_order_id="v-9", client_order_id="somebody", quantity=Decimal(7))
    account.venue_lists(stranger)
    account.venue_lists(stranger)
    assert [fact.venue_order_id for fact in account.made(ExternalOrderSeen)] == ["v-9"]
    assert account.halts() == [
        "the venue lists order v-9 (buy 7 SPY), which is not ours: look at it there, then resume"
    ]


def test_history_of_others_is_recorded_and_halts_nothing(account: Account) -> None:
    account.start(epoch=1)
    old = filled(account.entry, venue_order_id="v-9", client_order_id="somebody", created_ts_ns=1)
    account.venue_lists(old)
    assert len(account.made(ExternalOrderSeen)) == 1
    assert account.halts() == []


def test_an_order_without_our_id_may_be_ours_and_is_not_sent_again(account: Account) -> None:
    account.unknown(account.entry)
    nameless = listed(account.entry, client_order_id=None, venue_order_id="v-7")
    for _ in range(4):
        account.pass_seconds(SETTLE_S)
        account.venue_lists(nameless)
    assert len(account.submitted()) == 1
    assert account.states(account.entry) == ["UNKNOWN"]
    assert "may be order 1 of ours" in account.halts()[0]


def test_a_second_order_under_one_id_is_not_taken_for_the_first(account: Account) -> None:
    account.venue_lists(listed(account.entry), listed(account.entry, venue_order_id="v-2"))
    assert [fact.venue_order_id for fact in account.made(ExternalOrderSeen)] == ["v-2"]
    assert account.halts()


def test_a_word_that_nobody_knows_proves_only_that_the_order_is_there(account: Account) -> None:
    account.unknown(account.entry)
    for _ in range(4):
        account.pass_seconds(SETTLE_S)
        account.venue_lists(listed(account.entry, ListedStatus.UNREADABLE))
    assert account.states(account.entry) == ["UNKNOWN"]
    assert len(account.submitted()) == 1


def test_a_difference_holds_entries_back_and_is_adopted_when_it_lasts(holder: Account) -> None:
    legs, quantity = held_legs(holder), holder.entry.quantity
    holder.venue_lists(*legs, held=str(quantity + 5))
    holder.pass_seconds(SETTLE_S - 1)
    holder.venue_lists(*legs, held=str(quantity + 5))
    assert holder.made(PositionAdjusted) == []
    holder.pass_seconds(1)
    holder.venue_lists(*legs, held=str(quantity + 5))
    verdicts = [fact.verdict for fact in holder.made(PositionCompared)]
    assert verdicts == [ComparisonVerdict.DRIFT, ComparisonVerdict.ADOPTED]
    assert [(fact.strategy_id, fact.quantity) for fact in holder.made(PositionAdjusted)] == [("EXTERNAL", Decimal(5))]
    assert holder.halts() == ["the venue holds 5 SPY that no order of ours bought: look at the account, then resume"]
    holder.venue_lists(*legs, held=str(quantity + 5))
    assert len(holder.made(PositionCompared)) == 2


def test_a_difference_that_goes_away_was_only_late(holder: Account) -> None:
    legs, quantity = held_legs(holder), holder.entry.quantity
    holder.venue_lists(*legs)
    holder.pass_seconds(SETTLE_S)
    holder.venue_lists(*legs, held=str(quantity))
    verdicts = [fact.verdict for fact in holder.made(PositionCompared)]
    assert verdicts == [ComparisonVerdict.DRIFT, ComparisonVerdict.EQUAL]
    assert holder.halts() == []


def test_what_somebody_sold_leaves_the_bracket_and_its_exits(holder: Account) -> None:
    legs, left = held_legs(holder), holder.entry.quantity - 40
    for number in range(SIGHTINGS_MIN):
        # The stop could have sold them, and be listed as filled by the next listing.
        assert adopted(holder) == [], number
        holder.venue_lists(*legs, held=str(left))
        holder.pass_seconds(SETTLE_S)
    assert holder.pipeline.ledger.position(holder.pipeline.execution.open_brackets()[0].strategy_id, SPY) == left
    assert set(holder.canceled()) == {leg.client_order_id for leg in holder.submitted()[1:3]}
    assert "40 SPY less than our orders left" in holder.halts()[0]


def test_a_position_that_listings_show_before_one_fill_and_after_the_next_is_nobody_elses(account: Account) -> None:
    """Positions lag: the same difference, seen of two moments, is none that lasts."""
    entry, held = account.entry, str(account.entry.quantity)
    account.ack(entry)
    account.venue_lists(listed(entry), held=held)
    account.fill(entry, "100")
    stop, target = account.submitted()[1:3]
    account.ack(stop)
    account.pass_seconds(SETTLE_S)
    account.fill(target, "101")
    account.cancel(stop)
    account.venue_lists(held=held)
    assert adopted(account) == []
    account.pass_seconds(SETTLE_S)
    account.venue_lists()
    assert (adopted(account), account.halts()) == ([], [])


def test_a_bust_that_nobody_reported_is_found_when_it_lasts(holder: Account) -> None:
    legs = held_legs(holder)
    legs[0] = listed(holder.entry, ListedStatus.FILLED, filled_quantity=Decimal(0))
    holder.pass_seconds(SETTLE_S)
    holder.venue_lists(*legs)
    assert not any(fact.is_bust for fact in holder.made(TradeBooked))
    holder.pass_seconds(SETTLE_S)
    holder.venue_lists(*legs)
    assert [fact.is_bust for fact in holder.made(TradeBooked)] == [False, True]


def without_executions(holder: Account) -> list[ListedOrder]:
    """Return the holder's orders as a venue lists them that has taken the entry's execution back."""
    entry, *legs = held_legs(holder)
    return [replace(entry, filled_quantity=Decimal(0), executions=()), *legs]


def adopted(holder: Account) -> list[Decimal]:
    return [fact.quantity for fact in holder.made(PositionAdjusted)]


def busted(holder: Account) -> list[bool]:
    return [fact.is_bust for fact in holder.made(TradeBooked)]


def leave_out(holder: Account, lists: Callable[[], object], settles: int) -> None:
    """Let the entry be listed without its execution once, and then be left out of so many listings."""
    holder.pass_seconds(SETTLE_S)
    holder.venue_lists(*without_executions(holder))
    for _ in range(settles):
        holder.pass_seconds(SETTLE_S)
        lists()


def test_a_difference_waits_for_the_bust_that_may_explain_it(holder: Account) -> None:
    _, *legs = without_executions(holder)
    leave_out(holder, lambda: holder.venue_lists(*legs), BUST_SETTLES_MAX - 1)
    assert adopted(holder) == []
    holder.pass_seconds(SETTLE_S)
    holder.venue_lists(*legs)
    assert adopted(holder) == [-holder.entry.quantity]
    assert busted(holder) == [False]


def test_a_difference_waits_for_no_bust_that_was_told(holder: Account) -> None:
    holder.pass_seconds(SETTLE_S)
    entry, *legs = without_executions(holder)
    holder.venue_lists(entry, *legs)
    holder.give(bust_of(holder))
    for _ in range(2):
        holder.venue_lists(entry, *legs, held="7")
        holder.pass_seconds(SETTLE_S)
    assert [fact.strategy_id for fact in holder.made(PositionAdjusted)] == ["EXTERNAL"]


def bust_of(holder: Account) -> ExecutionBusted:
    return ExecutionBusted(
        **holder._times(),
        client_order_id=holder.entry.client_order_id,
        execution_id=ExecutionId("x1"),
        reason="clearly erroneous",
    )


def test_an_order_that_was_thought_over_and_works_is_canceled_and_halts(account: Account) -> None:
    account.reject(account.entry)
    account.pass_seconds(SETTLE_S)
    account.venue_lists(listed(account.entry))
    assert account.canceled() == [account.entry.client_order_id]
    assert "was thought to be REJECTED and works at the venue" in account.halts()[0]


def test_the_essence_of_a_listing_is_what_is_not_known(holder: Account) -> None:
    legs = held_legs(holder)
    event = AccountListed(
        **holder._times(), asked_ts_ns=holder.now_ts_ns, orders=tuple(legs), positions=(), is_complete=True
    )
    holder.venue_lists(*legs, held=str(holder.entry.quantity))
    assert [each.client_order_id for each in holder.pipeline.reconciler.essence(event).orders] == [
        leg.client_order_id for leg in holder.submitted()[1:3]
    ]


def test_a_busted_exit_that_is_over_at_the_venue_is_replaced(holder: Account) -> None:
    """The venue does not let an order work again whose execution it took back."""
    stop = holder.submitted()[1]
    holder.fill(stop, "99", execution="x2")
    over = filled(stop, "99", "x2", venue_order_id=f"v-{stop.client_order_id[:4]}")
    taken_back = listed(stop, ListedStatus.FILLED, venue_order_id=over.venue_order_id)
    entry, _, target = held_legs(holder)
    for _ in range(4):
        holder.pass_seconds(SETTLE_S)
        holder.venue_lists(entry, taken_back, replace(target, status=ListedStatus.CANCELED), held=str(stop.quantity))
    exits = [each for each in holder.submitted() if each.order_type is OrderType.MARKET and each.side is Side.SELL]
    # One exit, sent again as the same order, since this script never answers it.
    assert {(each.client_order_id, each.quantity) for each in exits} == {(exits[0].client_order_id, stop.quantity)}
    assert holder.pipeline.execution.order(stop.client_order_id).state is OrderState.CANCELED  # type: ignore[union-attr]


def test_a_human_who_resumes_lets_exits_be_tried_again(holder: Account) -> None:
    for leg in holder.submitted()[1:3]:
        holder.cancel(leg)
    for _ in range(Deadlines().exit_attempts):
        holder.reject(holder.submitted()[-1])
    assert "market exits ended unfilled" in holder.halts()[-1]
    sent = len(holder.submitted())
    holder.give(Resume(**holder._times(), reason="looked", requested_by="test"))
    assert [each.order_type for each in holder.submitted()[sent:]] == [OrderType.MARKET]


def test_exits_that_sell_a_part_each_are_no_failures(holder: Account) -> None:
    for leg in holder.submitted()[1:3]:
        holder.cancel(leg)
    for number in range(Deadlines().exit_attempts + 2):
        leaving = holder.submitted()[-1]
        holder.fill(leaving, "99", "1", execution=f"part-{number}")
        holder.cancel(leaving)
    assert holder.halts() == []
    assert holder.submitted()[-1].quantity == holder.entry.quantity - Deadlines().exit_attempts - 2


def test_sells_of_others_are_named_by_their_side(account: Account) -> None:
    stranger = listed(account.entry, venue_order_id="v-9", client_order_id=None, side=Side.SELL, quantity=Decimal(3))
    account.venue_lists(stranger)
    assert "sell 3 SPY" in account.halts()[0]


class Minutely(ScriptedStrategy):
    """Enter when a minute turns."""

    wants_timer = True

    def on_timer(self, ts_ns: int, context: Context) -> Sequence[Signal]:
        return [ENTER] if context.is_flat else ()


def minutely() -> Account:
    account = Account({})
    account.pipeline = Pipeline(
        PipelineSettings(
            account_id=AccountId(1),
            namespace=UUID(int=1),
            instruments={SPY: instrument_from_symbol("SPY", 1)},
            sessions={SPY: TWO_SESSIONS},
            strategies=[StrategyBinding(strategy_id=STRATEGY, instrument_id=SPY, strategy=Minutely({}))],
        )
    )
    account.give(replace(account.events[0], **account._times()))
    account.bar(0)
    return account


def test_nothing_is_entered_in_the_step_of_the_kill_switch() -> None:
    """I-27: a minute that turns in that step turns after the kill."""
    account = minutely()
    account.now_ts_ns += 60 * SECOND_NS
    account.give(Kill(**account._times(), reason="test", requested_by="test"))
    assert [each for each in account.submitted() if each.side is Side.BUY] == []
    account.give(Resume(**account._times(), reason="test", requested_by="test"))
    account.now_ts_ns += 60 * SECOND_NS
    account.wait(0)
    assert len(account.submitted()) == 1


def test_something_is_exposed_while_it_has_no_stop_and_anything_can_be_done(account: Account) -> None:
    execution = account.pipeline.execution
    account.ack(account.entry)
    # It may have filled, and nobody has told it.
    assert execution.is_exposed(account.now_ts_ns)
    account.fill(account.entry, "100", execution="x1")
    assert execution.is_exposed(account.now_ts_ns)
    assert not execution.is_exposed(account.now_ts_ns + DAY_NS // 2)  # at night
    for halted, is_exposed in ((True, False), (False, True)):
        account.give(InstrumentStatus(**account._times(), instrument_id=SPY, halted=halted))
        assert execution.is_exposed(account.now_ts_ns) is is_exposed
    account.give(listed_ack(account, account.submitted()[1]))
    assert not execution.is_exposed(account.now_ts_ns)


def test_what_was_given_up_to_a_human_is_not_asked_about_more_often() -> None:
    account = Account({0: ENTER}, exit_style=ExitStyle.REST_STOP)
    account.bar(0)
    account.fill(account.entry, "100", execution="x1")
    for _ in range(1 + Deadlines().exit_attempts):  # the stop, and every exit after it
        assert account.pipeline.execution.is_exposed(account.now_ts_ns)
        account.reject(account.submitted()[-1])
    assert "close the position by hand" in account.halts()[0]
    assert not account.pipeline.execution.is_exposed(account.now_ts_ns)


def test_a_part_that_was_filled_before_nobody_knew_can_be_taken_back(account: Account) -> None:
    account.ack(account.entry)
    account.fill(account.entry, "100", "40", execution="x1")
    for _ in range(2):
        account.pass_seconds(SETTLE_S)
        account.venue_lists(held="40")
    assert account.states(account.entry)[-1] == "UNKNOWN"
    account.venue_lists(
        replace(filled(account.entry), status=ListedStatus.WORKING, filled_quantity=Decimal(40), executions=()),
        held="40",
    )
    assert account.states(account.entry)[-1] == "PARTIAL"
    account.give(bust_of(account))
    assert account.states(account.entry)[-1] == "ACK"
