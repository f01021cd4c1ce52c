"""The log item by item, while a run of any process works (000.73)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedbed.engine.looks.entries import Entry, entry_of
from seedbed.engine.looks.look import Look, looking
from seedbed.engine.projects.project import Project

BETWEEN_LOOKS = 0.5
"""Seconds from one look to the next."""
OVERLAP_MS = 10_000
"""How far back each look goes: several processes commit, so an outcome may come after a later one."""


@dataclass(frozen=True)
class Line:
    stage: str
    run: str
    entry: Entry


def follow(
    project: Project, *, limit: int | None = None, wait: Callable[[float], None] = time.sleep
) -> Iterator[Line | None]:
    """One line per settled item of the runs that work, from their start; None where it rests.

    Ends when no run works any more, or at once when none does. ``limit`` leaves out all but the last
    so many of those that were settled before.
    """
    with looking(project) as look:
        runs = {row.id for row in look.state.runs(limit=1000, status="running")}
        if not runs:
            return
        at = min(row.started for row in look.state.runs(limit=1000, status="running"))
        told = _Told(runs, at)
        before = list(told.new(look))
        yield from before if limit is None else before[len(before) - min(limit, len(before)) :]
    while True:
        with looking(project) as look:
            working = {row.id for row in look.state.runs(limit=1000, status="running")}
            told.runs |= working
            yield from told.new(look)
        if not working:
            return
        yield None
        wait(BETWEEN_LOOKS)


class _Told:
    """Which outcomes were told already; remembers only as far back as the looks go."""

    def __init__(self, runs: set[str], at: int) -> None:
        self.runs = runs
        self.at = at
        self._seen: dict[tuple[str, str, str], int] = {}

    def new(self, look: Look) -> Iterator[Line]:
        start = self.at
        after: tuple[int, str, str] | None = None
        while page := look.state.since(start, after=after):
            for outcome in page:
                after = (outcome.at, outcome.stage, outcome.key)
                name = (outcome.stage, outcome.key, outcome.round)
                if outcome.run in self.runs and name not in self._seen:
                    self._seen[name] = outcome.at
                    self.at = max(self.at, outcome.at - OVERLAP_MS)
                    yield Line(outcome.stage, outcome.run, entry_of(outcome))
        self._seen = {name: at for name, at in self._seen.items() if at >= self.at}
