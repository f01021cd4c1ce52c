"""How many items of a stage are missing, remembered for as long as nothing that it depends on has changed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass

from seedbed.engine.projects.project import Project
from seedbed.errors import Pause
from seedbed.ports.state import State, Tally
from seedbed.records import canonical_json, digest
from seedbed.stage import Stage

STILL_MS = 2_000
"""A file that changed so short a time ago may change again without its time telling."""


@dataclass(frozen=True)
class Counted:
    """``again`` of the missing items are settled, and to be done again: changed inputs, or made up by the stand-in.

    ``mark`` says what the count holds for; empty where that is not known, or the count was remembered.
    """

    missing: int
    again: int = 0
    mark: str = ""


def mark_of(project: Project, stage: Stage, settled: int, calls: int) -> str:
    """What a count depends on, with so many items settled and calls bought; empty where that cannot be told cheaply.

    Items settle and stay settled, so their number tells whether their set has changed; which of them a stand-in
    settled changes with each call that is bought. Changed inputs, of a stage that does those again, show in no number.
    """
    if stage.on_change == "redo":
        return ""
    stamp = project.corpus_stamp()
    if stamp is None or time.time_ns() // 1_000_000 - stamp.changed < STILL_MS:
        return ""
    source, model = stage.source, project.model_for(stage)
    selection = [source.table, source.where, list(source.key), stage.eligible, list(stage.outputs), stage.overwrite]
    return digest("missing", canonical_json([stamp.text, settled, calls, model, repr(stage.condition()), selection]))


def mark_now(project: Project, state: State, stage: Stage) -> str:
    """:func:`mark_of` the stage as it stands."""
    calls = state.money().get(stage.name)
    settled = state.standing().get(stage.name, Tally()).settled
    return mark_of(project, stage, settled, calls.calls if calls else 0)


def recalled(state: State, stage: Stage, mark: str) -> Counted | None:
    known = state.note(f"missing.{stage.name}") if mark else None
    return Counted(int(known["missing"]), int(known["again"])) if known and known["mark"] == mark else None


def remember(project: Project, state: State, stage: Stage, counted: Counted) -> None:
    """Keep a count for the next look; a state that is busy keeps none."""
    if counted.mark and project.started:
        with suppress(Pause):
            state.note(f"missing.{stage.name}", asdict(counted))
