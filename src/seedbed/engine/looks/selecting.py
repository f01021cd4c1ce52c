"""What a person named with ``--where`` and ``--ids``, held against the records before anything is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from seedbed import conditions
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import Project
from seedbed.engine.work.drawing import require_one_stage
from seedbed.engine.work.rounds import OTHER_MODELS, Derivation, Scope, names_of_model
from seedbed.errors import EmptySelection, UsageError
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import State
from seedbed.records import OUTCOME_STATES, key_text, key_values
from seedbed.stage import Gathers, Stage

SHOWN = 3


def selected(project: Project, target: str | None, scope: Scope, *, allow_empty: bool = False) -> Scope:
    """The scope with its keys as the table types them. Raises EmptySelection where no row matches at all.

    Rows that match and are done already are no empty selection: nothing is left to do then.
    """
    stages = project.stages(target)
    require_one_stage(stages, scope)
    if scope.stale_model and not allow_empty:
        _require_model(project, stages, scope.stale_model)
    if not scope.where and scope.ids is None:
        return scope
    if len(stages) != 1:
        raise UsageError(
            "--where and --ids speak of one table, so they need one stage.",
            hint=f"Name it: {', '.join(stage.name for stage in stages)}",
        )
    state = project.remembered()
    corpus = project.corpus()
    try:
        stage = project.bound(stages[0], corpus, state)
        if scope.ids is not None:
            scope = replace(scope, ids=_known_keys(stage, corpus, scope.ids, allow_empty))
        if scope.where and not allow_empty:
            _require_rows(stage, corpus, state, scope)
        return scope
    finally:
        corpus.close()
        state.close()


def _require_model(project: Project, stages: Sequence[Stage], name: str) -> None:
    """Raises EmptySelection, with the models that there are, where none of the stages has an answer of that one."""
    state = project.remembered()
    try:
        counts: Counter[str] = Counter()
        known: set[str] = set()
        for stage in stages:
            for (asked, served), count in state.tally(stage.name).models.items():
                counts[served or asked] += count
                known |= names_of_model(asked, served)
    finally:
        state.close()
    if name not in known | {OTHER_MODELS}:
        there = ", ".join(f"{model} ({count:,})" for model, count in counts.most_common()) or "no accepted answer yet"
        raise EmptySelection(
            f"No accepted answer was made by {name}.",
            why=f"There are: {there}.",
            hint="If that is fine: --allow-empty.",
        )


def _known_keys(stage: BoundStage, corpus: Corpus, ids: tuple[str, ...], allow_empty: bool) -> tuple[str, ...]:
    """Keys as the table holds them: 7 names the row '7' of a text column. Raises EmptySelection for strangers."""
    if isinstance(stage.stage.relation, Gathers):
        return ids
    found: list[str] = []
    for start in range(0, len(ids), 1000):
        chunk = [typed_key(stage, key) for key in ids[start : start + 1000]]
        rows = corpus.fetch(stage.source.name, stage.key, chunk)
        found.extend(key_text([row[name] for name in stage.key]) for row in rows)
    if not found and not allow_empty:
        raise EmptySelection(
            f"--ids names no row of {stage.source.name}.",
            why=f"for example {', '.join(ids[:SHOWN])}; the key is {', '.join(stage.key)}",
            hint="If that is fine, add --allow-empty.",
        )
    return tuple(found)


def typed_key(stage: BoundStage, key: str) -> tuple[object, ...]:
    """The values of a key as its columns hold them. Raises UsageError for a key of another size."""
    values = key_values(key)
    if len(values) != len(stage.key):
        raise UsageError(
            f"{key} is no key of {stage.source.name}",
            hint=f"Its key is {', '.join(stage.key)}: a JSON array of {len(stage.key)} values.",
        )
    types = [stage.types.get(name) for name in stage.key]
    return tuple(
        str(value) if logical == "text" and not isinstance(value, str) else value
        for value, logical in zip(values, types, strict=True)
    )


def _require_rows(stage: BoundStage, corpus: Corpus, state: State, scope: Scope) -> None:
    condition = scope.condition()
    total = corpus.count(stage.source.name, stage.stage.source.condition())
    if any(name.startswith(conditions.OUTCOME_PREFIX) for name in conditions.columns(condition)):
        every = Scope(where=scope.where, states=OUTCOME_STATES)
        missing = Scope(where=scope.where)
        looks = (Derivation(corpus, state, stage, each, bare=True) for each in (every, missing))
        matched = any(found.items for look in looks for found in look.pages())
    else:
        both = conditions.conjunction(stage.stage.source.condition(), condition)
        matched = corpus.count(stage.source.name, both) > 0
    if not matched:
        raise EmptySelection(
            f'--where "{scope.where}" matches 0 of {total:,} rows of {stage.source.name}.',
            hint="If that is fine, add --allow-empty.",
        )
