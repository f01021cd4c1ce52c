"""What the engine says while it works. Listeners are callables of one event; they never block it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedbed.records import Outcome


@dataclass(frozen=True, slots=True)
class RunStarted:
    run: str
    command: str
    target: str


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """``items`` to do in this round, of which ``settled`` are done already (a round that goes on)."""

    stage: str
    round: str
    items: int
    settled: int = 0


@dataclass(frozen=True, slots=True)
class ItemsSettled:
    stage: str
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    stage: str
    phase: str
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """All sends wait: a rate limit, or a provider that does not answer. ``seconds`` from now."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KeyClosed:
    """A key of an account is set aside; ``key`` is the name of its variable, ``others`` go on.

    ``why``: "key refused", "no credit", "usage limit" or "long wait". ``seconds`` from now until it may be used
    again; None where nobody knows.
    """

    account: str
    key: str
    why: str
    seconds: float | None
    message: str
    others: Sequence[str] = ()

    def text(self) -> str:
        """For people."""
        rest = f"the run goes on with {', '.join(self.others)}" if self.others else "no other key is left"
        return f"{self.key} is set aside, {rest}: {self.message}"


@dataclass(frozen=True, slots=True)
class Draining:
    """Stopping: no new send; ``in_flight`` calls may still come back."""

    reason: str
    in_flight: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for people."""

    text: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    run: str
    status: str
    exit_code: int
    message: str


Event = RunStarted | RoundOpened | ItemsSettled | PhaseEnded | Waiting | KeyClosed | Draining | Notice | RunEnded
Listener = Callable[[Event], None]


class Meter:
    """Live figures of a run for whoever draws progress; written by the engine, read by faces."""

    def __init__(self) -> None:
        self.stage = ""
        self.items = 0
        self.settled = 0
        self.states: dict[str, int] = {}
        self.calls = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.spent = 0
        self.reserved = 0
        self.cap: int | None = None
        self.price_unknown = False
        self.unbounded: set[str] = set()
        self.retries = 0
        self.refused = 0
        """Requests that the provider turned away for their rate (429)."""
        self.held_by = ""
        """The limit that calls wait for, in words; blank while none does."""
        self._settled_before = 0
        self._spent_before = 0

    def open_stage(self, stage: str) -> None:
        """A stage is worked; its rounds follow."""
        self.stage, self.items, self.settled = stage, 0, 0
        self._settled_before, self._spent_before = 0, self.spent

    def open_round(self, items: int, settled: int) -> None:
        """A round begins, or goes on with ``settled`` of its items done by earlier processes."""
        self.items += items
        self.settled += settled
        self._settled_before += settled

    def forecast(self) -> int | None:
        """What this run will have spent when the stage is done, at the mean of its own items so far, in 10⁻⁹ USD.

        None before the first: what earlier processes settled says nothing of the money of this one.
        """
        own = self.settled - self._settled_before
        if self.price_unknown or own <= 0:
            return None
        return self.spent + round((self.spent - self._spent_before) / own * max(0, self.items - self.settled))
