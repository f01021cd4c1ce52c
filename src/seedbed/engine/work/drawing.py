"""``--sample``: which items a draw takes, before parts and limits and what is done already are looked at.

The same seed draws the same items from the same records, whatever was done since: items that this stage
has settled stay in the draw. So a run that is repeated finishes its sample, and never draws another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from seedbed import conditions
from seedbed.engine.projects.binding import BoundStage
from seedbed.engine.projects.project import Project
from seedbed.engine.reports import Drawn
from seedbed.engine.work.rounds import PAGE, Derivation, Scope
from seedbed.errors import UsageError
from seedbed.policy.sampling import draw
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import State
from seedbed.records import WHOLE, key_text, key_values
from seedbed.stage import Gathers, Stage


def require_one_stage(stages: Sequence[Stage], scope: Scope) -> None:
    """Raises UsageError for a sample of several stages."""
    if scope.sample is not None and len(stages) != 1:
        raise UsageError(
            "--sample draws from the items of one stage.",
            hint=f"Name it: {', '.join(stage.name for stage in stages)}",
        )


def drawn(
    project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope
) -> tuple[Scope, Drawn | None]:
    """The scope with the keys of its sample in place of ``sample``, and the draw; a scope without one as it is."""
    if scope.sample is None:
        return scope, None
    whole = replace(scope, sample=None, limit=None, part=WHOLE)
    keys = draw(_pool(Derivation.of(project, stage, corpus, state, whole, bare=True)), scope.sample, scope.seed)
    ordered = tuple(sorted(keys, key=_order))
    return replace(scope, sample=None, ids=ordered), Drawn(scope.sample, scope.seed, ordered)


def _order(key: str) -> tuple[Any, ...]:
    """Keys by their values, numbers before text."""
    return tuple((isinstance(value, str), value) for value in key_values(key))


def _pool(found: Derivation) -> Iterator[str]:
    """What a draw may take, in no order: what is missing and what this stage has settled. A key may come twice."""
    scope = found.scope
    if scope.again or scope.speaks_of_outcomes:
        yield from (item.key for page in found.pages() for item in page.items)
    elif isinstance(found.stage.stage.relation, Gathers):
        yield from found.group_keys()
    elif scope.ids is not None:
        yield from _held(found, scope.ids)
    else:
        yield from _eligible(found)
        yield from _settled(found)


def _eligible(found: Derivation) -> Iterator[str]:
    stage, condition = found.stage, conditions.conjunction(found.stage.stage.condition(), found.scope.condition())
    after: Sequence[Any] | None = None
    while keys := found.corpus.keys(stage.source.name, stage.key, condition, after=after, limit=PAGE):
        yield from map(key_text, keys)
        after = keys[-1]


def _settled(found: Derivation) -> Iterator[str]:
    after: str | None = None
    while page := found.state.prints(found.stage.name, after=after):
        after = page[-1][0]
        yield from _held(found, [key for key, _, _ in page])


def _held(found: Derivation, keys: Sequence[str]) -> Iterator[str]:
    """Those of the keys whose rows the selection and ``--where`` hold for, eligible or settled."""
    stage, eligible = found.stage, found.stage.stage.condition()
    selection = conditions.conjunction(stage.stage.source.condition(), found.scope.condition())
    for start in range(0, len(keys), PAGE):
        chunk = keys[start : start + PAGE]
        settled = found.state.settled(stage.name, chunk)
        for row in found.corpus.fetch(stage.source.name, stage.key, [key_values(key) for key in chunk]):
            key = key_text([row[name] for name in stage.key])
            if conditions.holds(selection, row) and (key in settled or conditions.holds(eligible, row)):
                yield key
