"""A person's signature for a stage: given after a pilot, taken back at any time, shown wherever the stage is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from seedbed.engine.looks.look import looking
from seedbed.engine.looks.standing import count_missing
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.clock import now_ms
from seedbed.engine.projects.project import Project, utc_text
from seedbed.engine.reviewing import Scorecard, scorecard
from seedbed.engine.work.gate import GateStatus, gate_status, selection_of
from seedbed.errors import UsageError
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import State
from seedbed.ports.state.gates import PilotRow, SignatureRow

LONGEST_NAME = 200
_MODEL = re.compile(r"[^\s/]+/\S+")


@dataclass(frozen=True)
class Signed:
    """A signature with what it was given for. ``missing`` items are to do now; ``stale`` were made by older recipes."""

    signature: SignatureRow
    card: Scorecard
    missing: int
    stale: int
    gated: bool
    dry_run: bool = False


def approve(
    project: Project,
    name: str | None,
    signer: str,
    *,
    items: int | None = None,
    money: int | None = None,
    until: int | None = None,
    models: Sequence[str] = (),
    note: str = "",
    dry_run: bool = False,
) -> Signed:
    """Sign a stage: its recipe, its selection, these models, and a ceiling.

    Without ``items`` the ceiling is what is missing, or was made by an older recipe, at this moment. ``models`` are
    those that the stage's role may resolve to; without them the ones of today. Raises UsageError for a name that is
    blank, and where no pilot of this recipe was run.
    """
    signer = _name_of(signer)
    stage = project.stage(name)
    _check(items, money, until, models)
    with _open(project) as (state, corpus):
        bound = project.bound(stage, corpus, state)
        pilot = _pilot_of(state, bound)
        with looking(project) as look:
            settled = state.tally(stage.name, bound.recipe)
            missing = count_missing(look, stage, settled.settled).missing
        row = SignatureRow(
            stage=stage.name,
            kind="approve",
            name=signer,
            at=now_ms(),
            recipe=bound.recipe,
            selection=selection_of(bound),
            models=tuple(dict.fromkeys(models or models_of(project, state, bound, pilot))),
            items=missing + settled.stale if items is None else items,
            money=money,
            until=until,
            pilot=pilot.id,
            note=note,
        )
        card = scorecard(state, bound, pilot)
        row = replace(row, seen=card.as_told())
        if not dry_run:
            state.recipe(bound.recipe, bound.recipe_body)
            row = state.sign(row)
        return Signed(row, card, missing, settled.stale, bool(stage.gate), dry_run)


def revoke(project: Project, name: str | None, signer: str, *, note: str = "", dry_run: bool = False) -> SignatureRow:
    """Take the signature of a stage back; a run that works under it stops. Raises UsageError where there is none."""
    signer = _name_of(signer)
    stage = project.stage(name)
    with _open(project) as (state, _):
        held = state.signature(stage.name)
        if held is None or held.kind == "revoke":
            raise UsageError(f"{stage.name} has no signature that could be revoked.", hint="See: seedbed status")
        row = SignatureRow(stage.name, "revoke", signer, now_ms(), held.recipe, held.selection, note=note)
        return row if dry_run else state.sign(row)


def models_of(project: Project, state: State, stage: BoundStage, pilot: PilotRow) -> list[str]:
    """The models that the stage's roles resolve to, and for an ``async`` stage those that its pilot asked."""
    found = [project.model_for(stage.stage)] if stage.stage.calls_model else []
    found += map(project.model_of_tier, stage.stage.escalate)
    if stage.stage.ask is not None:
        roles = set(project.tiers_now().values())
        asked = [spent.group[1] for spent in state.spending(["stage", "model"]) if spent.group[0] == stage.name]
        found += [model for model in asked if model in roles]
    return found


def shut(project: Project, target: str | None) -> GateStatus | None:
    """How the gate of a single stage is shut; None where it is open, or there is none, or several stages are meant."""
    stages = project.stages(target)
    if len(stages) != 1 or not stages[0].gate:
        return None
    with _open(project) as (state, corpus):
        bound = project.bound(stages[0], corpus, state)
        found = gate_status(bound, project.model_for(stages[0]), state, now_ms())
    return None if found.open else found


def parse_until(text: str) -> int:
    """``2026-12-31`` (to the end of that day, UTC) or a moment such as ``2026-12-31T18:00Z`` in Unix milliseconds.

    Raises UsageError.
    """
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
            moment = datetime.fromisoformat(text.strip()).replace(tzinfo=UTC) + timedelta(days=1)
        else:
            moment = datetime.fromisoformat(text.strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a date", hint="Write it as 2026-12-31 or 2026-12-31T18:00Z.") from None


# ------------------------------------------------------------------------------------------- their checks


@contextmanager
def _open(project: Project) -> Iterator[tuple[State, Corpus]]:
    with ExitStack() as stack:
        state = project.state()
        stack.callback(state.close)
        corpus = project.corpus()
        stack.callback(corpus.close)
        yield state, corpus


def _name_of(text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise UsageError("A signature needs the name of the person who signs.", hint="Give it with: --as NAME")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError("That is no name of a person: it is too long, or holds characters that cannot be shown.")
    return name


def _check(items: int | None, money: int | None, until: int | None, models: Sequence[str]) -> None:
    for model in models:
        if not _MODEL.fullmatch(model):
            raise UsageError(f"{model!r} is not a model", hint="Write it as provider/name, such as openai/gpt-5-mini.")
    if until is not None and until <= now_ms():
        raise UsageError(f"{utc_text(until)} is past; such a signature would cover nothing.")
    if items == 0 or money == 0:
        raise UsageError("A ceiling of 0 would cover nothing.", hint="Without a signature the gate is shut already.")


def _pilot_of(state: State, stage: BoundStage) -> PilotRow:
    pilot = state.pilot(stage.name)
    if pilot is not None and pilot.recipe == stage.recipe:
        keys = [key for key, _ in pilot.items]
        if state.of_recipe(stage.name, stage.recipe, keys):
            return pilot
    older = " with its recipe of now" if pilot is not None else ""
    raise UsageError(
        f"No pilot of {stage.name} was run{older}, so there is nothing to sign yet.",
        hint=f"Start with: seedbed pilot {stage.name}",
    )
