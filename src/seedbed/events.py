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


Event = RunStarted | RoundOpened | ItemsSettled | PhaseEnded | Waiting | Draining | Notice | RunEnded
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
        self.retries = 0

    def forecast(self) -> int | None:
        """Money for all items of the round at the mean so far, in 10⁻⁹ USD; None before the first."""
        if self.price_unknown or not self.settled:
            return None
        return round(self.spent * self.items / self.settled)
