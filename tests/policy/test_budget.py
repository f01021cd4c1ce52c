"""The till: whatever is reserved, adopted, settled and refunded in whatever order, a cap is a cap."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from seedbed.errors import Pause
from seedbed.policy.budget import Cap, Short, Till, share
from seedbed.policy.purses import Purses

amount = st.integers(0, 60)


class TillLaws(RuleBasedStateMachine):
    """A till beside a plain model of it: what is open, and what was spent."""

    reserved = Bundle("reserved")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.till = Till()
        self.open: dict[str, int] = {}
        self.spent = 0
        self.calls = 0
        self.count = 0

    @initialize(caps=st.lists(st.integers(0, 100), max_size=3), calls=st.lists(st.integers(0, 6), max_size=1))
    def opened(self, caps: list[int], calls: list[int]) -> None:
        money = [Cap(f"cap {n}", most) for n, most in enumerate(caps)]
        self.till = Till((*money, *(Cap("calls", most, "calls") for most in calls)))

    def used(self, cap: Cap) -> int:
        return self.calls if cap.unit == "calls" else self.spent

    def held(self, cap: Cap) -> int:
        return len(self.open) if cap.unit == "calls" else sum(self.open.values())

    def answer(self, worst: int) -> str:
        """What the till has to say: no sooner *never* than no call that is open could make room."""
        more = {cap: 1 if cap.unit == "calls" else worst for cap in self.till.caps}
        full = [cap for cap in self.till.caps if self.used(cap) + self.held(cap) + more[cap] > cap.most]
        if any(self.used(cap) + more[cap] > cap.most or not self.held(cap) for cap in full):
            return "never"
        return "wait" if full else "yes"

    @rule(target=reserved, worst=amount)
    def reserve(self, worst: int) -> Any:
        self.count += 1
        intent = f"i{self.count}"
        expected = self.answer(worst)
        assert self.till.reserve(intent, worst) == expected
        if expected == "yes":
            self.open[intent] = worst
        else:
            assert (self.till.short_of(worst) is not None) or expected == "wait"
        return intent

    @rule(target=ended, intent=consumes(reserved), share=st.none() | st.floats(0, 1))
    def settle(self, intent: str, share: float | None) -> Any:
        worst = self.open.pop(intent, None)
        actual = None if share is None else int((worst or 0) * share)
        assert self.till.settle(intent, actual) is (worst is not None)
        if worst is not None:
            self.spent += worst if actual is None else actual
            self.calls += 1
        return intent

    @rule(target=ended, intent=consumes(reserved))
    def refund(self, intent: str) -> Any:
        self.open.pop(intent, None)
        self.till.refund(intent)
        return intent

    @rule(intent=ended, actual=st.none() | amount)
    def settle_again(self, intent: str, actual: int | None) -> None:
        assert self.till.settle(intent, actual) is False

    @invariant()
    def the_sums_are_those_of_what_happened(self) -> None:
        assert (self.till.spent, self.till.reserved) == (self.spent, sum(self.open.values()))

    @invariant()
    def no_cap_is_exceeded(self) -> None:
        for cap in self.till.caps:
            assert self.used(cap) + self.held(cap) <= cap.most


TestTillLaws = TillLaws.TestCase


def test_a_till_without_a_cap_takes_everything() -> None:
    till = Till()
    assert (till.reserve("a", 10**18), till.capped) == ("yes", False)


def test_the_last_nano_of_a_cap_can_be_reserved() -> None:
    assert Till((Cap("run", 100),)).reserve("a", 100) == "yes"


def test_not_one_nano_more_than_a_cap_can_be_reserved() -> None:
    assert Till((Cap("run", 100),)).reserve("a", 101) == "never"


def test_the_narrowest_cap_decides() -> None:
    assert Till((Cap("run", 100), Cap("project", 50))).reserve("a", 60) == "never"


def test_a_question_waits_while_an_open_call_may_free_its_room() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 80)
    assert till.reserve("b", 80) == "wait"


def test_waiting_reserves_nothing() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 80)
    till.reserve("b", 80)
    assert till.reserved == 80


def test_room_that_a_call_did_not_use_is_there_again() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 80)
    till.settle("a", 20)
    assert till.reserve("b", 80) == "yes"


def test_a_question_that_fits_beside_no_open_call_never_comes() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 30)
    till.settle("a", 30)
    till.reserve("b", 30)
    assert till.reserve("c", 71) == "never"


def test_one_cap_that_never_has_room_outweighs_one_that_may() -> None:
    till = Till((Cap("run", 100), Cap("project", 50)))
    till.reserve("a", 45)
    assert till.reserve("b", 60) == "never"


def test_a_call_without_a_price_is_counted_at_its_worst() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 80)
    till.settle("a", None)
    assert (till.spent, till.reserved) == (80, 0)


def test_a_call_that_cost_more_than_its_worst_is_counted_as_it_was() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 80)
    till.settle("a", 130)
    assert (till.spent, till.reserve("b", 1)) == (130, "never")


def test_an_intent_is_reserved_once_however_often_it_is_asked_for() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 40)
    till.reserve("a", 40)
    assert till.reserved == 40


def test_the_cap_that_has_no_room_is_named() -> None:
    till = Till((Cap("run", 100), Cap("calls", 1, "calls")))
    till.reserve("a", 10)
    till.settle("a", 10)
    assert till.short_of(5) == Short("calls", 1, 1, "calls")


def test_no_cap_is_short_where_there_is_none() -> None:
    assert Till().short_of(10**18) is None


def test_a_call_that_was_refunded_does_not_count_under_a_cap_of_calls() -> None:
    till = Till((Cap("calls", 1, "calls"),))
    till.reserve("a", 10)
    till.refund("a")
    assert (till.reserve("b", 10), till.reserve("c", 10)) == ("yes", "wait")


def test_a_cap_of_calls_needs_no_price() -> None:
    assert not Till((Cap("calls", 1, "calls"),)).capped


def test_a_cap_holds_over_threads() -> None:
    till = Till((Cap("run", 1000),))
    barrier = threading.Barrier(8)
    said: list[str] = []

    def work(name: int) -> None:
        barrier.wait()
        said.extend(till.reserve(f"{name}-{n}", 7) for n in range(100))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("yes") == 1000 // 7


# ---------------------------------------------------------------------------------- slices of a cap over all processes


def leased(granted: int, worst: int = 10, ahead: int = 4) -> Till:
    """A till that has asked for money of the project for calls of at most ``worst``, and got some."""
    till = Till(purses=Purses(project=1000), ahead=ahead)
    assert till.reserve("first", worst) == "wait"
    (ask,) = till.asks()
    till.grant(ask, granted, spent=0, others=0, stuck=0)
    return till


def test_a_first_call_asks_for_itself_and_for_as_many_as_a_slice_is_ahead() -> None:
    till = Till(purses=Purses(project=1000), ahead=4)
    till.reserve("first", 10)
    assert [(ask.held, ask.need, ask.want) for ask in till.asks()] == [(0, 10, 40)]


def test_more_is_asked_for_when_less_than_half_of_what_a_slice_is_ahead_is_free() -> None:
    till = leased(40)
    told: list[int] = []
    till.low = lambda: told.append(1)
    assert [till.reserve(name, 10) for name in "ab"] == ["yes", "yes"]
    assert (told, till.asks()) == ([], [])
    assert till.reserve("c", 10) == "yes"
    assert told == [1]
    assert [(ask.held, ask.need, ask.want) for ask in till.asks()] == [(40, 0, 30)]


def test_what_is_granted_is_reserved_to_the_last_nano_and_no_further() -> None:
    till = leased(20)
    assert [till.reserve(name, 10) for name in "abc"] == ["yes", "yes", "wait"]


def test_what_is_held_of_a_cap_falls_when_it_is_in_the_books_and_not_before() -> None:
    till = leased(40)
    till.reserve("a", 10)
    till.settle("a", 7)
    assert (till.holding(), till.commits) == ({"project": 40}, 0)
    till.booked(["a", "of another process"])
    assert (till.holding(), till.commits) == ({"project": 33}, 1)


def test_what_was_used_of_a_cap_counts_what_is_not_in_the_books_yet() -> None:
    till = leased(20)
    till.reserve("a", 20)
    till.settle("a", 15)
    till.booked([])
    short = till.short_of(1000)
    assert short is not None and short.used == 15
    till.booked(["a"])
    till.reserve("b", 1000)
    (ask,) = till.asks()
    till.grant(ask, 0, spent=15, others=0, stuck=0)
    short = till.short_of(1000)
    assert short is not None and short.used == 15


@pytest.mark.parametrize(
    ("till", "capped"),
    [
        (Till(), False),
        (Till((Cap("calls", 5, "calls"),)), False),
        (Till((Cap("run", 5),)), True),
        (Till(purses=Purses(day=5)), True),
        (Till((Cap("calls", 5, "calls"),), Purses(project=5)), True),
    ],
)
def test_money_is_capped_by_a_cap_of_the_run_or_over_all_processes(till: Till, capped: bool) -> None:
    assert till.capped is capped


def test_a_slice_without_room_waits_for_what_is_open_and_then_says_never() -> None:
    till = leased(20)
    till.reserve("a", 10)
    assert till.reserve("b", 15) == "wait"
    (ask,) = till.asks()
    till.grant(ask, 0, spent=990, others=0, stuck=0)
    assert till.reserve("b", 15) == "never", "beyond the cap whatever is given back"
    assert till.reserve("c", 10) == "wait", "the one that is open may cost less"
    till.settle("a", 10)
    till.booked(["a"])
    (ask,) = till.asks()
    till.grant(ask, 0, spent=1000, others=0, stuck=0)
    assert till.reserve("c", 10) == "never"
    short = till.short_of(10)
    assert short is not None and (short.most, short.used) == (1000, 1000)


def test_what_others_hold_is_waited_for() -> None:
    till = Till(purses=Purses(project=1000), ahead=4)
    till.reserve("a", 10)
    (ask,) = till.asks()
    till.grant(ask, 0, spent=0, others=995, stuck=0)
    assert till.reserve("a", 10) == "wait"
    till.grant(ask, 0, spent=0, others=0, stuck=995)
    assert till.reserve("a", 10) == "never", "what ended processes hold comes back by no waiting"


def test_with_the_state_out_of_reach_a_slice_is_used_up_and_what_is_open_waited_for() -> None:
    till = leased(10)
    till.out_of_reach(Pause("The state cannot be asked."))
    assert till.reserve("a", 10) == "yes"
    assert till.reserve("b", 10) == "wait"
    till.settle("a", 10)
    assert till.reserve("b", 10) == "never"


@given(st.integers(0, 10**12), st.integers(1, 50))
def test_a_cost_that_is_shared_adds_up_and_no_part_is_more_than_one_nano_larger(total: int, parts: int) -> None:
    found = share(total, parts)
    assert (sum(found), len(found)) == (total, parts)
    assert found == sorted(found, reverse=True) and found[0] - found[-1] <= 1


def test_nothing_is_shared_among_nobody() -> None:
    assert share(10, 0) == []
