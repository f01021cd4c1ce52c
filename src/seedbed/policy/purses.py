"""Caps that hold over all processes, and which of them a call counts under.

Pure: the zone and the moment come in as arguments. What was spent under a purse stands in the state; what a process
may still spend of it is a slice in its :class:`seedbed.policy.budget.Till`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Purse:
    """A cap in 10⁻⁹ USD over all processes. ``id`` is the same in each of them.

    Calls count whose stage is ``stage`` (any where it is None) and whose intent is from ``since`` to before ``until``
    (Unix milliseconds; None: no bound).
    """

    id: str
    label: str
    cap: int
    stage: str | None = None
    since: int | None = None
    until: int | None = None

    @property
    def of_a_day(self) -> bool:
        return self.since is not None

    def counts(self, stage: str, at: int) -> bool:
        if self.stage is not None and stage != self.stage:
            return False
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass
class Purses:
    """The purses of a project. ``day`` is a cap for each day of ``zone``; ``signed`` are ceilings of signatures."""

    project: int | None = None
    day: int | None = None
    zone: tzinfo = UTC
    stages: Mapping[str, int] = field(default_factory=dict)
    signed: Mapping[str, Purse] = field(default_factory=dict)
    _today: Purse | None = field(default=None, init=False)
    _known: dict[str, tuple[Purse, ...]] = field(default_factory=dict, init=False)

    def __bool__(self) -> bool:
        return self.project is not None or self.day is not None or bool(self.stages) or bool(self.signed)

    def of(self, stage: str, at: int) -> tuple[Purse, ...]:
        """The purses that a call of a stage counts under, sent at a moment in Unix milliseconds."""
        steady = self._known.get(stage)
        if steady is None:
            steady = self._known[stage] = tuple(self._steady(stage))
        return steady if self.day is None else (*steady, self.today(at, self.day))

    def all(self, at: int) -> tuple[Purse, ...]:
        """All purses there are at a moment."""
        found: dict[str, Purse] = {}
        for stage in (*self.stages, *self.signed, ""):
            found.update((purse.id, purse) for purse in self.of(stage, at))
        return tuple(found.values())

    def today(self, at: int, cap: int) -> Purse:
        known = self._today
        if known is None or not known.counts("", at):
            known = self._today = day_purse(at, self.zone, cap)
        return known

    def _steady(self, stage: str) -> list[Purse]:
        found = []
        if self.project is not None:
            found.append(Purse(PROJECT, "cap of the project", self.project))
        if (cap := self.stages.get(stage)) is not None:
            found.append(Purse(f"stage {stage}", f"cap of {stage}", cap, stage=stage))
        if (purse := self.signed.get(stage)) is not None:
            found.append(purse)
        return found


def day_purse(at: int, zone: tzinfo, cap: int) -> Purse:
    """The purse of the day that a moment (Unix milliseconds) lies in; a day in a zone may have 23 or 25 hours."""
    day = day_of(at, zone)
    return Purse(
        f"day {day} {zone}",
        f"cap of the day {day} ({zone})",
        cap,
        since=_midnight(day, zone),
        until=_midnight(day + timedelta(days=1), zone),
    )


def day_of(at: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at / 1000, zone).date()


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
