"""The till: whatever is reserved, adopted, settled and refunded in whatever order, a cap is a cap."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from seedbed.policy.budget import Cap, Till

amount = st.integers(0, 60)


class TillLaws(RuleBasedStateMachine):
    """A till beside a plain model of it: what is open, and what was spent."""

    reserved = Bundle("reserved")
    ended = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.till = Till()
        self.open: dict[str, int] = {}
        self.adopted: set[str] = set()
        self.spent = {"own": 0, "all": 0}
        self.over = 0
        self.count = 0

    @initialize(caps=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 40), st.booleans()), max_size=3))
    def opened(self, caps: list[tuple[int, int, bool]]) -> None:
        self.till = Till(tuple(Cap(f"cap {n}", nano, before, own) for n, (nano, before, own) in enumerate(caps)))

    def used(self, cap: Cap) -> int:
        return cap.before + self.spent["own" if cap.own else "all"]

    def held(self, cap: Cap) -> int:
        return sum(worst for intent, worst in self.open.items() if not (cap.own and intent in self.adopted))

    def answer(self, worst: int) -> str:
        """What the till has to say: no sooner *never* than no call that is open could make room."""
        full = [cap for cap in self.till.caps if self.used(cap) + self.held(cap) + worst > cap.nano]
        if any(self.used(cap) + worst > cap.nano for cap in full):
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
            assert all(self.used(cap) + self.held(cap) <= cap.nano for cap in self.till.caps)
        return intent

    @rule(target=reserved, worst=amount)
    def adopt(self, worst: int) -> Any:
        self.count += 1
        intent = f"i{self.count}"
        self.till.adopt(intent, worst)
        self.open[intent] = worst
        self.adopted.add(intent)
        self.over += worst
        return intent

    @rule(intent=reserved, worst=amount)
    def adopt_again(self, intent: str, worst: int) -> None:
        if intent in self.open:
            self.till.adopt(intent, worst)

    @rule(target=ended, intent=consumes(reserved), share=st.none() | st.floats(0, 1))
    def settle(self, intent: str, share: float | None) -> Any:
        worst = self.open.pop(intent, None)
        actual = None if share is None else int((worst or 0) * share)
        assert self.till.settle(intent, actual) is (worst is not None)
        if worst is not None:
            cost = worst if actual is None else actual
            self.spent["all"] += cost
            self.spent["own"] += 0 if intent in self.adopted else cost
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
        assert (self.till.spent, self.till.reserved) == (self.spent["all"], sum(self.open.values()))

    @invariant()
    def no_cap_is_exceeded_but_by_what_was_adopted(self) -> None:
        for cap in self.till.caps:
            over = 0 if cap.own else self.over
            assert self.used(cap) + self.held(cap) <= max(cap.nano, cap.before) + over


TestTillLaws = TillLaws.TestCase


def test_a_till_without_a_cap_takes_everything() -> None:
    till = Till()
    assert (till.reserve("a", 10**18), till.capped) == ("yes", False)


def test_the_last_nano_of_a_cap_can_be_reserved() -> None:
    assert Till((Cap("run", 100),)).reserve("a", 100) == "yes"


def test_not_one_nano_more_than_a_cap_can_be_reserved() -> None:
    assert Till((Cap("run", 100),)).reserve("a", 101) == "never"


def test_what_was_spent_before_the_run_counts() -> None:
    assert Till((Cap("project", 100, before=60),)).reserve("a", 41) == "never"


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


def test_what_an_earlier_process_reserved_is_held_beyond_any_cap() -> None:
    till = Till((Cap("run", 100),))
    till.adopt("old", 150)
    assert (till.reserved, till.reserve("a", 60)) == (150, "wait")


def test_what_an_earlier_process_reserved_does_not_count_under_a_cap_of_this_one_alone() -> None:
    till = Till((Cap("run", 100, own=True),))
    till.adopt("old", 150)
    till.settle("old", 150)
    assert till.reserve("a", 100) == "yes"


def test_an_intent_is_reserved_once_however_often_it_is_asked_for() -> None:
    till = Till((Cap("run", 100),))
    till.reserve("a", 40)
    till.reserve("a", 40)
    assert till.reserved == 40


def test_the_cap_with_the_least_room_is_named() -> None:
    wide, narrow = Cap("run", 100), Cap("project", 90, before=50)
    till = Till((wide, narrow))
    assert till.short_of() == (narrow, 50)


def test_no_cap_is_short_where_there_is_none() -> None:
    assert Till().short_of() is None


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
