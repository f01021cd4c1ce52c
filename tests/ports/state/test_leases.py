"""Leases: any number of processes share a cap, and whatever starts, ends or dies, the sum stays within it."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seedbed.errors import Pause
from seedbed.policy.budget import Asking, Till
from seedbed.policy.purses import Purse, Purses
from seedbed.ports.state import State, TillEntry
from seedbed.ports.state.leases import Granted, Holder, Wanted
from seedbed.ports.state.sqlite import open_state

from .conftest import OpenState

NOON = 1_795_161_600_000
STAGE = "q.summary"


def holder(name: str = "a", at: int = NOON, host: str = "h") -> Holder:
    return Holder(name, host, 7, f"run-{name}", at, at + 60_000)


def wanted(held: int = 0, need: int = 0, want: int | None = None, capacity: int = 100, **more: Any) -> Wanted:
    return Wanted("project", capacity, held, need, need if want is None else want, **more)


def ask(state: State, name: str, one: Wanted, *, joined: bool = False, at: int = NOON) -> Granted:
    found = state.lease(holder(name, at), [one], joined=joined)
    assert found is not None
    return found[0]


def entry(intent: str, nano: int | None, kind: Any = "settle", stage: str = STAGE, at: int = NOON) -> TillEntry:
    return TillEntry(intent, kind, nano, stage, "run-1", "openai/x", at)


# ------------------------------------------------------------------------------------- one question


def test_what_is_needed_is_granted_where_there_is_room(state: State) -> None:
    assert ask(state, "a", wanted(need=100)).amount == 100


def test_nothing_is_granted_where_the_need_has_no_room(state: State) -> None:
    assert ask(state, "a", wanted(need=101)).amount == 0


def test_what_others_hold_is_not_granted_again(state: State) -> None:
    ask(state, "a", wanted(need=60))
    assert [ask(state, "b", wanted(need=n)).amount for n in (41, 40)] == [0, 40]


def test_what_is_booked_is_not_granted_again(state: State) -> None:
    state.settle([], [entry("x-1", 60), entry("x-2", 10, "doubt")])
    found = [ask(state, "b", wanted(need=n)) for n in (31, 30)]
    assert [(one.amount, one.spent) for one in found] == [(0, 70), (30, 70)]


def test_what_is_given_back_is_there_for_others(state: State) -> None:
    ask(state, "a", wanted(need=80))
    ask(state, "a", wanted(held=10), joined=True)
    assert ask(state, "b", wanted(need=90)).amount == 90


def test_more_than_the_need_is_granted_out_of_half_of_what_is_left_for_each(state: State) -> None:
    first = ask(state, "a", wanted(need=1, want=1000)).amount
    second = ask(state, "b", wanted(need=1, want=1000)).amount
    assert (first, second) == (50, 12)


def test_a_stage_has_a_purse_of_its_own(state: State) -> None:
    state.settle([], [entry("x-1", 90, stage="other"), entry("x-2", 30)])
    assert [ask(state, "a", wanted(need=n, stage=STAGE)).amount for n in (71, 70)] == [0, 70]


def test_a_day_counts_what_was_sent_in_it(state: State) -> None:
    day = 86_400_000
    midnight = NOON // day * day
    state.settle(
        [], [entry("x-1", 90, at=midnight - 1), entry("x-2", 30, at=midnight), entry("x-3", 5, at=midnight + day)]
    )
    today = {"since": midnight, "until": midnight + day}
    assert [ask(state, "a", wanted(need=n, **today)).amount for n in (71, 70)] == [0, 70]


def test_calls_without_a_price_are_told(state: State) -> None:
    state.settle([], [entry("x-1", None), entry("x-2", None)])
    state.settle([], [entry("x-2", 7, "price")])
    found = ask(state, "a", wanted())
    assert (found.unknown, found.spent) == (1, 7)


def test_money_of_a_holder_that_was_not_heard_of_stays_counted(state: State) -> None:
    ask(state, "a", wanted(need=60))
    found = ask(state, "b", wanted(need=41), at=NOON + 3_600_000)
    assert (found.amount, found.others, found.stuck) == (0, 0, 60)


def test_what_lapses_is_free_when_its_holder_was_not_heard_of(state: State) -> None:
    ask(state, "a", wanted(need=60, lapses=True, counted=False))
    assert ask(state, "b", wanted(need=100, lapses=True, counted=False), at=NOON + 3_600_000).amount == 100


# ---------------------------------------------------------------------------------------- endings


def test_a_holder_that_leaves_with_nothing_is_forgotten(state: State) -> None:
    ask(state, "a", wanted(need=60))
    ask(state, "a", wanted(held=0), joined=True)
    state.leave("a")
    assert state.leases() == []


def test_what_a_holder_that_leaves_still_holds_stays_counted(state: State) -> None:
    ask(state, "a", wanted(need=60))
    ask(state, "a", wanted(held=7), joined=True)
    state.leave("a")
    assert [ask(state, "b", wanted(need=n)).amount for n in (94, 93)] == [0, 93]


def test_what_was_reckoned_takes_the_place_of_the_slice(state: State) -> None:
    ask(state, "a", wanted(need=60))
    state.reckon("a", {"project": 10, "day": 4}, "h")
    assert [(one.purse, one.held) for one in state.leases("a")] == [("day", 4), ("project", 10)]


def test_a_holder_of_whom_nothing_is_open_is_forgotten(state: State) -> None:
    ask(state, "a", wanted(need=60))
    state.reckon("a", {"project": 0}, "h")
    assert state.leases() == []


def test_what_a_person_released_is_free_and_its_holder_is_told(state: State) -> None:
    ask(state, "a", wanted(need=60))
    released = state.release("a")
    assert [(one.holder.name, one.held) for one in released] == [("a", 60)]
    assert ask(state, "b", wanted(need=100)).amount == 100
    assert state.lease(holder("a"), [wanted(need=1)], joined=True) is None


def test_of_many_that_ask_in_the_same_instant_no_two_get_the_same_money(opened: OpenState) -> None:
    barrier = threading.Barrier(8)
    got: list[int] = []

    def work(name: str) -> None:
        state = opened()
        barrier.wait()
        held = 0
        for _ in range(30):
            held += ask(state, name, wanted(held=held, need=7, want=21, capacity=1000)).amount
        got.append(held)

    opened()
    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1000 - 7 < sum(got) <= 1000


# -------------------------------------------------------------------------------------------- the law


@dataclass
class Process:
    """A till with what the world knows of its calls: open ones may be paid for in full."""

    name: str
    till: Till
    open: dict[str, int] = field(default_factory=dict)
    unbooked: dict[str, TillEntry] = field(default_factory=dict)
    count: int = 0


CAPS = {"project": 100, "stage": 60}
SELDOM = st.integers(0, 5)
"""What befalls a process at the rarer of these numbers."""


class SumLaws(RuleBasedStateMachine):
    """Processes that lease, reserve, settle, doubt, are killed, reckoned and released, against one state."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.state = open_state(Path(self.folder.name) / "state.sqlite")
        self.state._db.execute("pragma synchronous = off")
        self.processes: list[Process] = []
        self.dead: list[Process] = []
        self.paid = {STAGE: 0, "other": 0}
        self.stage_of: dict[str, str] = {}
        self.started = 0
        self.now = NOON

    def teardown(self) -> None:
        self.state.close()
        self.folder.cleanup()

    @initialize()
    def two_start(self) -> None:
        self.start()
        self.start()

    @precondition(lambda self: len(self.processes) < 4)
    @rule()
    def start(self) -> None:
        self.started += 1
        purses = Purses(project=CAPS["project"], stages={STAGE: CAPS["stage"]})
        one = Process(f"p{self.started}", Till((), purses, ahead=4))
        self.processes.append(one)
        asks = [Asking(purse, 0, 0, 0, 0) for purse in purses.all(self.now)]
        self.state.lease(holder(one.name, self.now), [self._wanted(each) for each in asks], joined=False)

    @staticmethod
    def _wanted(one: Asking) -> Wanted:
        purse: Purse = one.purse
        return Wanted(purse.id, purse.cap, one.held, one.need, one.want, purse.stage)

    def _one(self, index: int) -> Process | None:
        return self.processes[index % len(self.processes)] if self.processes else None

    @rule(index=st.integers(0, 9), beat=st.booleans(), befalls=SELDOM)
    def lease(self, index: int, beat: bool, befalls: int) -> None:
        """A question to the state, during which it may be out of reach, or the process may die."""
        one = self._one(index)
        if one is not None:
            self._lease(one, beat=beat, down=befalls == 1, dies=befalls == 2)

    def _lease(self, one: Process, *, beat: bool = False, down: bool = False, dies: bool = False) -> None:
        if not (asks := one.till.asks(beat=beat)):
            return
        if down:
            one.till.out_of_reach(Pause("The state is down."))
            return
        granted = self.state.lease(holder(one.name, self.now), [self._wanted(each) for each in asks], joined=True)
        assert granted is not None
        if dies:
            self._kill(one)
            return
        for each, found in zip(asks, granted, strict=True):
            one.till.grant(each, found.amount, spent=found.spent, others=found.others, stuck=found.stuck)

    @rule(index=st.integers(0, 9), worst=st.integers(1, 30), stage=st.sampled_from([STAGE, "other"]))
    def reserve(self, index: int, worst: int, stage: str) -> None:
        """As the buyer does: where it has to wait, the state is asked once."""
        one = self._one(index)
        if one is None:
            return
        one.count += 1
        intent = f"{one.name}-{one.count}"
        said = one.till.reserve(intent, worst, stage, self.now)
        if said == "wait":
            self._lease(one)
            said = one.till.reserve(intent, worst, stage, self.now)
        if said == "yes":
            one.open[intent] = worst
            self.stage_of[intent] = stage

    @rule(index=st.integers(0, 9), share=st.none() | st.floats(0, 1))
    def settle(self, index: int, share: float | None) -> None:
        one = self._one(index)
        if one is None or not one.open:
            return
        intent, worst = one.open.popitem()
        cost = worst if share is None else int(worst * share)
        one.till.settle(intent, cost)
        one.unbooked[intent] = entry(
            intent, cost, "doubt" if share is None else "settle", self.stage_of[intent], self.now
        )

    @rule(index=st.integers(0, 9))
    def refund(self, index: int) -> None:
        one = self._one(index)
        if one is not None and one.open:
            one.till.refund(one.open.popitem()[0])

    @rule(index=st.integers(0, 9), befalls=SELDOM)
    def book(self, index: int, befalls: int) -> None:
        one = self._one(index)
        if one is None:
            return
        self._book(list(one.unbooked.values()))
        if befalls != 1:
            one.till.booked(one.unbooked)
            one.unbooked.clear()
        else:  # durable, and killed before it is told
            one.unbooked.clear()
            self._kill(one)

    def _book(self, entries: list[TillEntry]) -> None:
        self.state.settle([], entries)
        for each in entries:
            self.paid[each.stage] += each.nano or 0

    @rule(index=st.integers(0, 9), befalls=SELDOM)
    def kill(self, index: int, befalls: int) -> None:
        if befalls == 1 and (one := self._one(index)) is not None:
            self._kill(one)

    def _kill(self, one: Process) -> None:
        self.processes.remove(one)
        self.dead.append(one)

    @rule(index=st.integers(0, 9), befalls=SELDOM)
    def end(self, index: int, befalls: int) -> None:
        """An orderly end, in which what is in flight stays open."""
        one = self._one(index)
        if one is None or befalls != 1:
            return
        asks = one.till.asks(last=True)
        self.state.lease(holder(one.name, self.now), [self._wanted(each) for each in asks], joined=True)
        self.state.leave(one.name)
        self._kill(one)

    @precondition(lambda self: self.dead)
    @rule(index=st.integers(0, 9))
    def reckon(self, index: int) -> None:
        one = self.dead[index % len(self.dead)]
        held = {"project": 0, f"stage {STAGE}": 0}
        for intent, worst in self._left(one).items():
            held["project"] += worst
            held[f"stage {STAGE}"] += worst if self.stage_of[intent] == STAGE else 0
        self.state.reckon(one.name, held, "h")

    @staticmethod
    def _left(one: Process) -> dict[str, int]:
        return {**one.open, **{intent: each.nano or 0 for intent, each in one.unbooked.items()}}

    @precondition(lambda self: any(one.open or one.unbooked for one in self.dead))
    @rule(share=st.floats(0, 1))
    def adopt(self, share: float) -> None:
        """Another process reads a receipt of a dead one."""
        one = next(one for one in self.dead if one.open or one.unbooked)
        if one.unbooked:
            self._book([one.unbooked.popitem()[1]])
            return
        intent, worst = one.open.popitem()
        self._book([entry(intent, int(worst * share), "adopt", self.stage_of[intent], self.now)])

    @precondition(lambda self: self.dead)
    @rule(index=st.integers(0, 9))
    def release(self, index: int) -> None:
        """A person says that nothing more will come of a dead process."""
        one = self.dead.pop(index % len(self.dead))
        self.state.release(one.name)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    def _open(self, stage: str | None) -> int:
        everyone = [*self.processes, *self.dead]
        left = [(self.stage_of[intent], worst) for one in everyone for intent, worst in self._left(one).items()]
        return sum(worst for of, worst in left if stage in (None, of))

    @invariant()
    def spent_and_reserved_stay_within_every_cap(self) -> None:
        assert sum(self.paid.values()) + self._open(None) <= CAPS["project"]
        assert self.paid[STAGE] + self._open(STAGE) <= CAPS["stage"]

    @invariant()
    def what_a_process_may_spend_is_leased(self) -> None:
        for one in self.processes:
            leased = {lease.purse: lease.held for lease in self.state.leases(one.name)}
            for purse, held in one.till.holding().items():
                assert held <= leased[purse]
            assert sum(self._left(one).values()) <= one.till.holding().get("project", 0)

    @invariant()
    def what_all_may_still_spend_stays_within_every_cap(self) -> None:
        for purse, cap, stage in (("project", CAPS["project"], None), (f"stage {STAGE}", CAPS["stage"], STAGE)):
            living = sum(one.till.holding().get(purse, 0) for one in self.processes)
            left = [(self.stage_of[intent], worst) for one in self.dead for intent, worst in self._left(one).items()]
            dead = sum(worst for of, worst in left if stage in (None, of))
            paid = sum(amount for of, amount in self.paid.items() if stage in (None, of))
            assert paid + living + dead <= cap


TestSumLaws = SumLaws.TestCase
TestSumLaws.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


class Two:
    """Two tills over one state, asked in turn until nothing changes."""

    def __init__(self, state: State, cap: int) -> None:
        self.state = state
        self.tills = {name: Till((), Purses(project=cap), ahead=4) for name in ("a", "b")}
        for name, till in self.tills.items():
            asks = [Asking(purse, 0, 0, 0, 0) for purse in till.purses.all(NOON)]
            state.lease(holder(name), [SumLaws._wanted(one) for one in asks], joined=False)

    def reserve(self, name: str, intent: str, worst: int) -> str:
        """The answer after as many questions to the state as change anything."""
        till = self.tills[name]
        for _ in range(3):
            if (said := till.reserve(intent, worst)) != "wait":
                return said
            self.ask(name)
        return said

    def ask(self, name: str, *, beat: bool = False) -> None:
        till = self.tills[name]
        asks = till.asks(beat=beat)
        granted = self.state.lease(holder(name), [SumLaws._wanted(one) for one in asks], joined=True)
        assert granted is not None
        for one, found in zip(asks, granted, strict=True):
            till.grant(one, found.amount, spent=found.spent, others=found.others, stuck=found.stuck)


def test_two_that_each_have_too_little_do_not_strand_each_other(state: State) -> None:
    two = Two(state, 100)
    for name in ("a", "b"):
        assert two.reserve(name, f"{name}-1", 30) == "yes"
        two.tills[name].refund(f"{name}-1")
    said = [two.reserve("a", "a-2", 80), two.reserve("b", "b-2", 80), two.reserve("a", "a-2", 80)]
    assert said == ["wait", "yes", "wait"]


def test_a_slice_that_nobody_used_since_the_last_beat_goes_back(state: State) -> None:
    two = Two(state, 100)
    two.reserve("a", "a-1", 10)
    two.tills["a"].refund("a-1")
    for _ in range(2):
        two.ask("a", beat=True)
    assert two.reserve("b", "b-1", 100) == "yes"


def test_one_waits_for_what_another_may_not_need_and_no_longer(state: State) -> None:
    two = Two(state, 100)
    assert two.reserve("a", "a-1", 60) == "yes"
    assert two.reserve("b", "b-1", 60) == "wait"
    two.tills["a"].settle("a-1", 50)
    state.settle([], [entry("a-1", 50)])
    two.tills["a"].booked(["a-1"])
    for _ in range(2):
        two.ask("a", beat=True)
    assert two.reserve("b", "b-1", 60) == "never"
    assert two.reserve("b", "b-2", 50) == "yes"


def test_with_the_state_down_the_slice_is_used_up_first() -> None:
    till = Till((), Purses(project=100), ahead=4)
    till.reserve("a", 10)
    (asked,) = till.asks()
    till.grant(asked, 20, spent=0, others=0, stuck=0)
    till.out_of_reach(Pause("The state is down."))
    said = [till.reserve("a", 10), till.reserve("b", 10), till.reserve("c", 10)]
    assert said == ["yes", "yes", "wait"]
    for name in ("a", "b"):
        till.settle(name, 10)
    short = till.short_of(10)
    assert till.reserve("c", 10) == "never"
    assert short is not None and short.error is not None and short.error.exit_code == 75
