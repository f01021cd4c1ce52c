"""Money: reserved at its worst before a call, settled after it. Spent + reserved never exceeds a cap.

Pure arithmetic over integers of 10⁻⁹ USD. The durable record is the intent (its reservation) and the till's entry
(its settlement). A :class:`Cap` binds this process alone and is kept here. A purse binds all processes: this one
reserves from its *slice* of it, in memory, and somebody with access to the state (see :meth:`Till.asks`) gets
slices and gives them back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from seedbed.errors import SeedbedError
from seedbed.policy.purses import Purse, Purses

Answer = Literal["yes", "wait", "never"]
Unit = Literal["money", "calls"]


@dataclass(frozen=True, slots=True)
class Cap:
    """A ceiling over what this process does: money in 10⁻⁹ USD, or calls."""

    name: str
    most: int
    unit: Unit = "money"


@dataclass(frozen=True, slots=True)
class Short:
    """Why a reservation was declined for good. ``stuck`` is held by processes that ended without giving it back."""

    name: str
    most: int
    used: int
    unit: Unit = "money"
    stuck: int = 0
    day: str = ""
    error: SeedbedError | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What the till wants of a purse: to keep ``held``, and ``need`` to ``want`` more; ``turn`` dates the question."""

    purse: Purse
    held: int
    need: int
    want: int
    turn: int


@dataclass
class _Slice:
    """What this process has of a purse: what was granted is reserved, settled, or free.

    ``booked`` of what was settled stands in the state. ``turn`` rises with each change that could make a new ask
    come out otherwise; an answer counts as long as no turn came after it.
    """

    purse: Purse
    granted: int = 0
    reserved: int = 0
    settled: int = 0
    booked: int = 0
    need: int = 0
    worst: int = 0
    turn: int = 0
    used: bool = False
    declined: tuple[int, int] | None = None
    spent: int = 0
    others: int = 0
    stuck: int = 0
    error: SeedbedError | None = None

    @property
    def free(self) -> int:
        return self.granted - self.reserved - self.settled

    @property
    def bound(self) -> int:
        """What has to be kept whatever is given back: reserved, and settled but not in the state yet."""
        return self.reserved + max(0, self.settled - self.booked)

    def short(self, worst: int) -> Answer:
        self.need = min(self.need, worst) if self.need else worst
        if self.error is not None:
            return "wait" if self.reserved else "never"
        if self.declined is None or self.declined[0] != self.turn or worst < self.declined[1]:
            return "wait"  # until the state has been asked
        if self.settled > self.booked:
            return "wait"  # counted twice for a moment
        if self.spent + worst > self.purse.cap:
            return "never"
        return "wait" if self.reserved or self.others else "never"

    def used_up(self) -> Short:
        day = self.purse.id if self.purse.of_a_day else ""
        used = self.spent + max(0, self.settled - self.booked)
        return Short(self.purse.label, self.purse.cap, used, stuck=self.stuck, day=day, error=self.error)


@dataclass(frozen=True, slots=True)
class _Held:
    worst: int
    slices: tuple[_Slice, ...] = ()


@dataclass
class Till:
    """The one place where money is reserved. Safe to use from several threads.

    ``ahead`` is for how many calls a slice should do. ``low`` is called, from whatever thread reserves, when a
    slice should be asked for.
    """

    caps: tuple[Cap, ...] = ()
    purses: Purses = field(default_factory=Purses)
    ahead: int = 64
    low: Callable[[], None] = lambda: None
    spent: int = field(default=0, init=False)
    reserved: int = field(default=0, init=False)
    commits: int = field(default=0, init=False)
    """How often entries became durable; whoever looks at what ended processes hold looks again when it rose."""

    def __post_init__(self) -> None:
        self._calls = 0
        self._open: dict[str, _Held] = {}
        self._unbooked: dict[str, tuple[int, tuple[_Slice, ...]]] = {}
        self._slices: dict[str, _Slice] = {}
        self._lock = threading.Lock()

    @property
    def capped(self) -> bool:
        """Whether money is capped, so that each price has to be known."""
        return bool(self.purses) or any(cap.unit == "money" for cap in self.caps)

    # --------------------------------------------------------------------------------------- calls

    def reserve(self, intent: str, worst: int, stage: str = "", at: int = 0) -> Answer:
        """``yes``, ``wait`` (what is open may free room), or ``never`` (nothing open can)."""
        with self._lock:
            if intent in self._open:
                return "yes"
            answer = self._by_caps(worst)
            slices = self._slices_of(stage, at) if self.purses else ()
            low = False
            for each in slices:
                each.used, each.worst = True, worst
                if each.free < worst:
                    answer, low = _worse(answer, each.short(worst)), True
                elif each.free - worst < worst * self.ahead // 2:
                    low = True
            if answer == "yes":
                self._open[intent] = _Held(worst, slices)
                self.reserved += worst
                for each in slices:
                    each.reserved += worst
        if low:
            self.low()
        return answer

    def _by_caps(self, worst: int) -> Answer:
        answer: Answer = "yes"
        for cap in self.caps:
            used, held, more = self._counted(cap), self.reserved, worst
            if cap.unit == "calls":
                held, more = len(self._open), 1
            if used + held + more > cap.most:
                answer = _worse(answer, "wait" if held and used + more <= cap.most else "never")
        return answer

    def settle(self, intent: str, actual: int | None) -> bool:
        """The call ended: its reservation goes, what it cost stays. None (unknown) keeps the reservation as spent.

        False, and nothing changes, for an intent that holds no reservation (it was settled before, or is another
        process's).
        """
        return self._end(intent, actual, 1)

    def refund(self, intent: str) -> None:
        """The call was never charged."""
        self._end(intent, 0, 0)

    def _end(self, intent: str, actual: int | None, calls: int) -> bool:
        with self._lock:
            held = self._open.pop(intent, None)
            if held is None:
                return False
            cost = held.worst if actual is None else actual
            self.reserved -= held.worst
            self.spent += cost
            self._calls += calls
            for each in held.slices:
                each.reserved -= held.worst
                each.settled += cost
                each.turn += 1
            if held.slices and cost:
                self._unbooked[intent] = (cost, held.slices)
            return True

    def booked(self, intents: Iterable[str]) -> None:
        """Their entries are durable in the state."""
        if not self.purses:
            return
        with self._lock:
            self.commits += 1
            for intent in intents:
                cost, slices = self._unbooked.pop(intent, (0, ()))
                for each in slices:
                    each.booked += cost
                    each.turn += 1

    def short_of(self, worst: int, stage: str = "", at: int = 0) -> Short | None:
        """What declines a reservation; None where nothing does."""
        with self._lock:
            for cap in self.caps:
                used = self._counted(cap)
                if used + (1 if cap.unit == "calls" else worst) > cap.most:
                    return Short(cap.name, cap.most, used, cap.unit)
            short = [each for each in (self._slices_of(stage, at) if self.purses else ()) if each.free < worst]
            least = min(short, key=lambda each: each.purse.cap - each.spent, default=None)
            return None if least is None else least.used_up()

    def _counted(self, cap: Cap) -> int:
        return self._calls if cap.unit == "calls" else self.spent

    # -------------------------------------------------------------------------------------- slices

    def holding(self) -> dict[str, int]:
        """By purse, what this process may still spend of it or has not booked yet: never more than it leased."""
        with self._lock:
            return {purse: each.granted - each.booked for purse, each in self._slices.items()}

    def _slices_of(self, stage: str, at: int) -> tuple[_Slice, ...]:
        return tuple(self._slice(purse) for purse in self.purses.of(stage, at))

    def _slice(self, purse: Purse) -> _Slice:
        found = self._slices.get(purse.id)
        if found is None:
            found = self._slices[purse.id] = _Slice(purse)
        return found

    @property
    def starving(self) -> bool:
        """Whether a call waits for money that only the state can give."""
        return any(each.need for each in self._slices.values())

    def asks(self, *, beat: bool = False, last: bool = False) -> list[Asking]:
        """What to ask the state for. On a ``beat`` all slices are told, and one that nobody used goes back.

        What is free of a slice that is too small goes back with the question, so that two processes that each have
        too little do not wait for each other. ``last``: the process ends, all that is free goes back.
        """
        with self._lock:
            return [ask for each in self._slices.values() if (ask := self._ask(each, beat=beat, last=last)) is not None]

    def _ask(self, each: _Slice, *, beat: bool, last: bool) -> Asking | None:
        if each.need and each.free >= each.need:
            each.need = 0
        need = 0 if last else each.need
        idle = beat and not each.used and not need
        low = each.free < each.worst * self.ahead // 2 and not idle and not last
        if not (need or low or beat or last):
            return None
        if beat:
            each.used = False
        if need or idle or last:
            each.granted -= max(0, each.free)  # from here on nobody reserves from it
            return Asking(each.purse, each.bound, need, need * self.ahead, each.turn)
        want = each.worst * self.ahead - each.free if low else 0
        return Asking(each.purse, max(each.bound, each.granted - each.booked), 0, max(0, want), each.turn)

    def grant(self, ask: Asking, granted: int, *, spent: int, others: int, stuck: int) -> None:
        """The state's answer. ``others``: what living processes hold of the purse; ``stuck``: what ended ones do."""
        with self._lock:
            each = self._slice(ask.purse)
            each.granted += granted
            each.error = None
            each.spent, each.others, each.stuck = spent, others, stuck
            if ask.need and granted < ask.need:
                each.declined = (ask.turn, ask.need)
            elif ask.need:
                each.declined, each.need = None, 0

    def out_of_reach(self, error: SeedbedError) -> None:
        """The state cannot be asked: what is left of the slices is used up, then the run pauses."""
        with self._lock:
            for each in self._slices.values():
                each.error = error


def _worse(one: Answer, other: Answer) -> Answer:
    if "never" in (one, other):
        return "never"
    return "wait" if "wait" in (one, other) else "yes"


def share(total: int, parts: int) -> list[int]:
    """Split an amount into integer parts that add up exactly, the larger ones first.

    >>> share(10, 3)
    [4, 3, 3]
    """
    if parts < 1:
        return []
    base, rest = divmod(total, parts)
    return [base + (1 if index < rest else 0) for index in range(parts)]
