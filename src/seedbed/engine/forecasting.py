"""Forecasts: of what is left, from what was done; and of a run, from its first items, beside what it came to."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import Foretold
from seedbed.engine.work.rounds import worklist_path
from seedbed.engine.work.worklist import Worklist
from seedbed.errors import SeedbedError
from seedbed.events import Meter
from seedbed.policy.forecast import ENOUGH, Forecast, forecast
from seedbed.ports.corpus import Corpus
from seedbed.ports.receipts import ReceiptStore
from seedbed.ports.state import State
from seedbed.records import Item, Outcome, key_text, key_values, pack
from seedbed.stage import Gathers

PILOT = 34
"""Items of a run from which its forecast is made."""
TIMED = 20
"""Calls of late that are timed."""
LOOKED_AT = 500
"""Items of late that a plan is measured on, at most."""


def size_of(stage: BoundStage, row: Mapping[str, Any]) -> float:
    """Characters of an item's inputs."""
    return float(sum(len(str(row.get(name) or "")) for name in stage.inputs))


def measured(
    project: Project, stage: BoundStage, corpus: Corpus, state: State, items: int, size: float | None
) -> Forecast | None:
    """What ``items`` more of a stage cost, from those of late with today's recipe and model; None if there are few.

    ``size`` is the mean of :func:`size_of` over them.
    """
    done = state.costs(stage.name, stage.recipe, project.model_for(stage.stage), LOOKED_AT)
    if len(done) < ENOUGH:
        return None
    if isinstance(stage.stage.relation, Gathers) or size is None:
        return forecast([(0.0, cost) for _, cost in done], items)
    rows = corpus.fetch(stage.source.name, stage.key, [key_values(key) for key, _ in done])
    sizes = {key_text([row[name] for name in stage.key]): size_of(stage, row) for row in rows}
    pairs = [(sizes[key], cost) for key, cost in done if key in sizes]
    return forecast(pairs, items, size) if len(pairs) >= ENOUGH else None


def seconds_a_call(receipts: ReceiptStore, state: State, stage: BoundStage, model: str) -> float | None:
    """From the intent to the whole answer, on average over calls of late; None before there are some."""
    keys = [key for key, _ in state.costs(stage.name, stage.recipe, model, TIMED)]
    calls = [call for outcome in state.current(stage.name, keys).values() for call in outcome.calls[-1:]]
    took = [p.receipt.at - p.intent.at for p in receipts.of_calls(calls) if p.receipt is not None]
    return sum(took) / len(took) / 1000 if took else None


class Foretelling:
    """Makes the forecast of each stage of a run from its first items. Called by the reader, on its thread."""

    def __init__(self, project: Project, state: State, run: str, meter: Meter) -> None:
        self._project = project
        self._state = state
        self._run = run
        self._meter = meter
        self._done: dict[str, list[tuple[Item | None, int]]] = {}
        self._made: set[str] = set()

    def note(self, stage: str, settled: Sequence[tuple[Item | None, Outcome]]) -> None:
        if stage in self._made:
            return
        done = self._done.setdefault(stage, [])
        for item, outcome in settled:
            if outcome.cost is None:
                self._made.add(stage)  # with a price unknown there is nothing to forecast
                return
            done.append((item, outcome.cost))
        if len(done) >= PILOT:
            self._made.add(stage)
            with suppress(OSError, sqlite3.Error, SeedbedError):  # a run does not end for want of a forecast
                self._foretell(stage, settled[0][1].round, self._done.pop(stage))

    def _foretell(self, stage: str, round_id: str, done: Sequence[tuple[Item | None, int]]) -> None:
        left = max(0, self._meter.items - self._meter.settled)
        sizes = [len(pack(dict(item.row))) for item, _ in done if item is not None]
        size, error = self._mean_size(round_id, left + len(done)) if len(sizes) == len(done) else (None, 0.0)
        if len(sizes) < len(done):
            sizes = [0] * len(done)
        pairs = [(float(own), cost) for own, (_, cost) in zip(sizes, done, strict=True)]
        found = forecast(pairs, left, size, size_error=error)
        if found is None:
            return
        spent = sum(cost for _, cost in done)
        told = Foretold(stage, len(done), len(done) + left, spent + found.low, spent + found.high, None)
        kept = self._state.note(_name(self._run)) or {}
        self._state.note(_name(self._run), {**kept, stage: asdict(told)})

    def _mean_size(self, round_id: str, items: int) -> tuple[float | None, float]:
        """The mean size of the round's items, and its standard error while only some of them are exported."""
        path = worklist_path(self._project.worklists, round_id)
        if not path.exists():
            return None, 0.0
        worklist = Worklist(path)
        try:
            count, mean, deviation = worklist.sizes()
        finally:
            worklist.close()
        if not count:
            return None, 0.0
        return mean, deviation * (max(0.0, 1 - count / max(1, items)) / count) ** 0.5


def foretold(state: State, run: str) -> list[Foretold]:
    """The forecasts of a run, each with what the stage has come to by now."""
    kept = state.note(_name(run)) or {}
    spent = (
        {row.group[0]: None if row.unknown else row.nano for row in state.spending(["stage"], run=run)} if kept else {}
    )
    return [Foretold(**{**told, "came_to": spent.get(stage)}) for stage, told in kept.items()]


def _name(run: str) -> str:
    return f"forecast.{run}"
