"""Rounds: what is missing, derived from the data; frozen in a worklist; continued after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seedbed import conditions
from seedbed.engine.projects.binding import MEMBERS, BoundStage
from seedbed.engine.projects.project import Project
from seedbed.engine.work.worklist import Worklist
from seedbed.errors import UsageError
from seedbed.ports.corpus import Corpus
from seedbed.ports.state import RoundRow, State
from seedbed.records import (
    OUTCOME_STATES,
    WHOLE,
    Item,
    Outcome,
    OutcomeState,
    Part,
    cell,
    key_text,
    key_values,
    same_cell,
)
from seedbed.stage import Fills, Gathers

FIRST_PAGE = 500
PAGE = 5000
SETTLED_PAGE = 1000
"""Steps in which the mark of what is settled without a gap rises."""
AGAIN: tuple[OutcomeState, ...] = ("rejected", "failed")
"""What ``recover`` takes when nothing else is said."""
OTHER_MODELS = "other"
"""Says, in place of a model's name, every model but the one that the stage asks today."""


@dataclass(frozen=True)
class Scope:
    """Which of a stage's items are meant. ``states`` takes settled items again; ``stale`` those of another recipe.

    ``sample`` items are drawn by ``seed`` from those that where and ids name, before part and limit.
    ``stale_model`` takes accepted items of that model again, or of any but today's: :data:`OTHER_MODELS`.
    """

    where: str = ""
    ids: tuple[str, ...] | None = None
    limit: int | None = None
    part: Part = WHOLE
    states: tuple[OutcomeState, ...] = ()
    stale: bool = False
    redo_diverged: bool = False
    sample: int | None = None
    seed: int = 1
    stale_model: str = ""

    @property
    def again(self) -> bool:
        return bool(self.states or self.stale or self.stale_model)

    def condition(self) -> conditions.Condition:
        return conditions.parse(self.where)

    def taken_again(self) -> Scope:
        """The scope of ``recover``: what was rejected or failed, but what is named, by key or by ``outcome.…``,
        whatever it came to; and what is stale where that is said."""
        if self.again:
            return self
        named = self.ids is not None or self.speaks_of_outcomes
        return replace(self, states=OUTCOME_STATES if named else AGAIN)

    @property
    def speaks_of_outcomes(self) -> bool:
        return any(name.startswith(conditions.OUTCOME_PREFIX) for name in conditions.columns(self.condition()))

    def said(self) -> dict[str, Any]:
        """What was said of it, for the record of a run."""
        words: dict[str, Any] = {
            "where": self.where, "ids": self.ids and len(self.ids), "limit": self.limit,
            "part": "" if self.part == WHOLE else str(self.part), "states": list(self.states), "stale": self.stale,
            "stale_model": self.stale_model, "redo_diverged": self.redo_diverged,
            "sample": None if self.sample is None else {"size": self.sample, "seed": self.seed},
        }  # fmt: skip
        return {name: value for name, value in words.items() if value not in ("", None, [], False)}

    def bounded(self, limit: int | None) -> int | None:
        bounds = [n for n in (self.limit, limit) if n is not None]
        return min(bounds) if bounds else None


@dataclass
class Found:
    """A page of items that are missing, and how far the selection has been read."""

    items: list[Item]
    cursor: Sequence[Any] | None


@dataclass
class Derivation:
    """Derives a stage's missing items, a page at a time; no cursor of the database stays open.

    ``bare`` items have key and row only: enough to count them, and no context is looked up.
    ``held`` items wait in a round of before: they have no outcome and are not missing.
    ``model`` is asked today; ``models`` are all that may answer today, where a function of the user's asks several.
    """

    corpus: Corpus
    state: State
    stage: BoundStage
    scope: Scope
    model: str = ""
    looked_at: int = 0
    bare: bool = False
    models: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    _lookup: Any = field(default=None, init=False)

    @classmethod
    def of(
        cls, project: Project, stage: BoundStage, corpus: Corpus, state: State, scope: Scope, *, bare: bool = False
    ) -> Derivation:
        """A derivation that knows the models of today."""
        model, models = project.model_for(stage.stage), project.models_for(stage.stage)
        return cls(corpus, state, stage, scope, model, bare=bare, models=models)

    @property
    def real(self) -> bool:
        """Whether a model would be asked that is not the stand-in."""
        return bool(self.model) and not self.model.startswith("offline/") and not self.model.endswith("/standin")

    def pages(self, after: Sequence[Any] | None = None) -> Iterator[Found]:
        """Pages in key order, behind the key ``after``."""
        for found in self._pages(after):
            if self.held:
                found.items = [item for item in found.items if item.key not in self.held]
            yield found

    def _pages(self, after: Sequence[Any] | None) -> Iterator[Found]:
        if self.scope.again:
            yield from self._again()
        elif isinstance(self.stage.stage.relation, Gathers):
            yield from self._groups(after)
        elif self.scope.ids is not None:
            yield from self._named()
        else:
            yield from self._rows(after)
            yield from self._of_stand_in()

    # ------------------------------------------------------------------------------ four ways to look

    def _rows(self, after: Sequence[Any] | None) -> Iterator[Found]:
        condition = conditions.conjunction(self.stage.stage.condition(), self.pushed())
        source, key = self.stage.source.name, self.stage.key
        redo = self.stage.stage.on_change == "redo"
        size, most_settled = FIRST_PAGE, False
        while True:
            if most_settled:  # the rows of what is missing are enough
                keys = self.corpus.keys(source, key, condition, after=after, limit=size)
                rows = self._unsettled_rows(keys, condition)
            else:
                rows = self.corpus.page(source, key, condition, after=after, limit=size)
                keys = [tuple(row[name] for name in key) for row in rows]
            if not keys:
                return
            self.looked_at += len(keys)
            after = list(keys[-1])
            items = self._missing(rows)
            yield Found(items, after)
            if len(keys) < size:
                return
            size, most_settled = PAGE, not redo and len(items) < len(keys) // 10

    def _unsettled_rows(self, keys: Sequence[Sequence[Any]], condition: conditions.Condition) -> list[dict[str, Any]]:
        """The rows of those keys that are missing, in their order; one that was changed just now may be none."""
        mine = list(map(key_text, keys))
        if self.scope.part != WHOLE:
            mine = list(filter(self.scope.part.holds, mine))
        unsettled = self.state.unsettled(self.stage.name, mine)
        if self._made_up_counts():
            unsettled |= self.state.stand_ins(self.stage.name, mine)
        missing = [key for key in mine if key in unsettled] if unsettled else []
        rows = {self._key(row): row for row in self._fetch(missing) if conditions.holds(condition, row)}
        return [rows[key] for key in missing if key in rows]

    def _of_stand_in(self) -> Iterator[Found]:
        """Rows that still hold what the stand-in made up: missing, once there is a real model."""
        if not self.real or not isinstance(self.stage.stage.relation, Fills):
            return
        if not self.state.has_stand_ins(self.stage.name):
            return
        after: str | None = None
        own = self.stage.stage.condition()
        where = conditions.conjunction(self.stage.stage.source.condition(), self.scope.condition())
        while page := self.state.outcomes(self.stage.name, states=("accepted",), after=after, limit=1000):
            after = page[-1].key
            made_up = self.state.stand_ins(self.stage.name, [o.key for o in page if self.scope.part.holds(o.key)])
            by_key = {outcome.key: outcome for outcome in page if outcome.key in made_up}
            rows = [row for row in self._fetch(list(by_key)) if conditions.holds(where, row)]
            rows = [row for row in rows if not conditions.holds(own, row)]  # those came with the eligible rows
            items = [self._item(self._key(row), row) for row in rows]
            yield Found(self._with_before(items, by_key), None)

    def _groups(self, after: Sequence[Any] | None) -> Iterator[Found]:
        wanted = None if self.scope.ids is None else set(self.scope.ids)
        for rows, last in self._group_rows(after):
            self.looked_at += len(rows)
            named = rows if wanted is None else [row for row in rows if self._key(row) in wanted]
            yield Found(self._missing(named), last)

    def _group_rows(self, after: Sequence[Any] | None = None) -> Iterator[tuple[list[dict[str, Any]], list[Any]]]:
        """Pages of whole groups as rows, each page with the key that it ends at."""
        relation = self.stage.stage.relation
        if not isinstance(relation, Gathers):
            raise AssertionError("only a gathers stage has groups")
        for name in sorted(conditions.columns(self.pushed()) - set(relation.by)):
            raise UsageError(
                f"--where names {name}, but {self.stage.name} works on whole groups of {self.stage.source.name}.",
                why="A condition on their rows would ask about a part of a group.",
                hint=f"Name {' or '.join(relation.by)}, or outcome.state and the like.",
            )
        condition = conditions.conjunction(self.stage.stage.condition(), self.pushed())
        while groups := self.corpus.group_page(
            self.stage.source.name, relation.by, self.stage.key, condition, after=after
        ):
            after = list(groups[-1][0])
            yield [{**dict(zip(relation.by, by, strict=True)), MEMBERS: members} for by, members in groups], after

    def group_keys(self) -> Iterator[str]:
        """The keys of all groups, or of those that are named."""
        wanted = None if self.scope.ids is None else set(self.scope.ids)
        keys = (self._key(row) for rows, _ in self._group_rows() for row in rows)
        return keys if wanted is None else (key for key in keys if key in wanted)

    def _named(self) -> Iterator[Found]:
        condition = conditions.conjunction(self.stage.stage.condition(), self.pushed())
        for chunk in _chunks(self.scope.ids or (), PAGE):
            rows = [row for row in self._fetch(chunk) if conditions.holds(condition, row)]
            self.looked_at += len(chunk)
            yield Found(self._missing(rows), None)

    def _again(self) -> Iterator[Found]:
        """Settled items, taken again: by outcome state, or because their recipe is another."""
        after: str | None = None
        wanted = set(self.scope.ids) if self.scope.ids is not None else None
        states = self.scope.states or None
        while page := self.state.outcomes(self.stage.name, states=states, after=after, limit=1000):
            after = page[-1].key
            taken = [o for o in page if self._taken_again(o, wanted)]
            by_key = {outcome.key: outcome for outcome in taken}
            rows = self._fetch(list(by_key))
            where = self.scope.condition()
            if not isinstance(self.stage.stage.relation, Gathers):  # the rows of a group were held against it
                where = conditions.conjunction(self.stage.stage.source.condition(), where)
            items = []
            for row in rows:
                key = self._key(row)
                self.looked_at += 1
                full = {**row, **_of_outcome(by_key[key])}
                if conditions.holds(where, full):
                    items.append(self._item(key, row))
            yield Found(self._with_before(items, by_key), None)

    def _taken_again(self, outcome: Outcome, wanted: set[str] | None) -> bool:
        if wanted is not None and outcome.key not in wanted:
            return False
        if not self.scope.part.holds(outcome.key):
            return False
        if self.scope.stale_model and not self._of_stale_model(outcome):
            return False
        return not self.scope.stale or outcome.recipe != self.stage.recipe

    def _of_stale_model(self, outcome: Outcome) -> bool:
        """Whether an accepted answer came from the model named, as it was asked or as it served."""
        if outcome.state != "accepted":
            return False
        if self.scope.stale_model == OTHER_MODELS:
            return bool(outcome.model) and outcome.model not in self.models
        return self.scope.stale_model in names_of_model(outcome.model, outcome.served)

    # --------------------------------------------------------------------------------------- filters

    def pushed(self) -> conditions.Condition:
        """What of ``--where`` the database can decide: all of it, unless it speaks of outcomes."""
        return conditions.ALWAYS if self.scope.speaks_of_outcomes else self.scope.condition()

    def _missing(self, rows: list[dict[str, Any]]) -> list[Item]:
        where = self.scope.condition()
        keyed = {self._key(row): row for row in rows}
        keys = [key for key in keyed if self.scope.part.holds(key)]
        settled = self._settled(keys)
        if self.stage.stage.on_change == "redo" and settled:
            settled -= self._changed(settled, keyed)
        if self.pushed() != where:
            keys = [key for key in keys if conditions.holds(where, keyed[key])]
        return self._with_before([self._item(key, keyed[key]) for key in keys if key not in settled])

    def _settled(self, keys: Sequence[str]) -> set[str]:
        """Those that have an outcome; one of the stand-in counts as none once there is a real model."""
        settled = self.state.settled(self.stage.name, keys)
        if settled and self._made_up_counts():
            settled -= self.state.stand_ins(self.stage.name, sorted(settled))
        return settled

    def _made_up_counts(self) -> bool:
        """Whether there are outcomes of the stand-in, which count as none."""
        return self.real and self.state.has_stand_ins(self.stage.name)

    def _changed(self, settled: set[str], keyed: dict[str, dict[str, Any]]) -> set[str]:
        current = self.state.current(self.stage.name, sorted(settled))
        return {key for key, o in current.items() if o.fingerprint != self.stage.fingerprint(keyed[key])}

    # ----------------------------------------------------------------------------------------- items

    def _key(self, row: dict[str, Any]) -> str:
        relation = self.stage.stage.relation
        names = relation.by if isinstance(relation, Gathers) else self.stage.key
        return key_text([row[name] for name in names])

    def _fetch(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        if isinstance(self.stage.stage.relation, Gathers):
            wanted = set(keys)
            return [row for rows, _ in self._group_rows() for row in rows if self._key(row) in wanted]
        return self.corpus.fetch(self.stage.source.name, self.stage.key, [key_values(key) for key in keys])

    def _item(self, key: str, row: dict[str, Any]) -> Item:
        if self.bare:
            return Item(key, row)
        item = Item(key=key, row=row, fingerprint=self.stage.fingerprint(row))
        makers = self.stage.stage.context
        if not makers:
            return item
        if self._lookup is None:
            self._lookup = self.corpus.lookup()
        context = {name: make(self._lookup, item) for name, make in makers.items()}
        return Item(key=key, row=row, fingerprint=item.fingerprint, context=context)

    def _decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        """JSON columns as lists and mappings, so that prompts and functions need not parse them."""
        return {name: _parsed(value) if self.stage.types.get(name) == "json" else value for name, value in row.items()}

    def _with_before(self, items: list[Item], earlier: Mapping[str, Outcome] | None = None) -> list[Item]:
        """Add the output cells that may be written, as they are now; from the table itself where the source is a view.

        An item of which no cell may be written is no item: its answer would have no place.
        """
        relation = self.stage.stage.relation
        if not isinstance(relation, Fills) or not items:
            return items
        cells: dict[str, dict[str, Any]] = {}
        if relation.table != self.stage.source.name:
            rows = self.corpus.fetch(relation.table, self.stage.key, [key_values(item.key) for item in items])
            cells = {self._key(row): row for row in rows}
        found = []
        for item in items:
            if cells and item.key not in cells:
                continue
            before = self._writable(relation, cells.get(item.key) or item.row, (earlier or {}).get(item.key))
            if before:
                found.append(Item(item.key, item.row, item.fingerprint, before, item.context))
        return found

    def _writable(self, relation: Fills, row: Mapping[str, Any], earlier: Outcome | None) -> dict[str, Any]:
        """Output cells that this stage may write: all of them where it says which rows it takes, or overwrites;
        else those that are empty, or still hold its own earlier answer."""
        stage = self.stage.stage
        now = {name: cell(row.get(name)) for name in relation.outputs}
        if stage.overwrite or stage.eligible:
            return now
        output = output_cells(relation, earlier.output) if earlier is not None else {}
        types = self.stage.types
        return {
            name: value
            for name, value in now.items()
            if conditions.is_empty(value) or (name in output and same_cell(value, output[name], types.get(name)))
        }


def names_of_model(asked: str, served: str) -> set[str]:
    """What a person may call the model of an answer: as asked, with or without its provider, or as it served."""
    return {asked, asked.partition("/")[2], served} - {""}


def output_cells(relation: Fills, output: Any) -> dict[str, Any]:
    """The cells that an output stands for: by name, or the one there is where the answer is a plain value."""
    if isinstance(output, Mapping):
        return {name: output[name] for name in relation.outputs if name in output}
    return {relation.outputs[0]: output} if len(relation.outputs) == 1 else {}


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _of_outcome(outcome: Outcome) -> dict[str, Any]:
    reason = next((f.code for f in outcome.findings if f.severity == "error"), "")
    return {
        "outcome.state": outcome.state,
        "outcome.reason": reason,
        "outcome.attempts": outcome.attempts,
        "outcome.cost": outcome.cost,
    }


def _chunks(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


# ----------------------------------------------------------------------------------------- the round


@dataclass
class OpenRound:
    """A round that is being worked: its row in the state and its worklist (None where it was lost)."""

    row: RoundRow
    worklist: Worklist | None
    derivation: Derivation | None = None

    @property
    def id(self) -> str:
        return self.row.id


def worklist_path(folder: Path, round_id: str) -> Path:
    return folder / f"{round_id}.sqlite"


def continued(row: RoundRow, folder: Path, derivation: Derivation) -> OpenRound:
    """An open round as it was left."""
    path = worklist_path(folder, row.id)
    if not path.exists():
        return OpenRound(row, None)
    return OpenRound(row, Worklist(path), derivation)


def export_pages(work: OpenRound, *, limit: int | None, per_call: int) -> Iterator[list[Item]]:
    """Derive the rest of a round into its worklist; each page is durable before it is handed on."""
    worklist, derivation = work.worklist, work.derivation
    if worklist is None or derivation is None or worklist.complete:
        return
    room = None if limit is None else limit - worklist.count()
    for found in derivation.pages(worklist.cursor):
        items = found.items if room is None else found.items[:room]
        worklist.add(items, per_call=per_call, cursor=found.cursor)
        if room is not None:
            room -= len(items)
        if items:
            yield items
        if room is not None and room <= 0:
            break
    worklist.finish()


def passed(state: State, work: OpenRound, before: int | None = None) -> int:
    """Up to which place of the worklist every item has an outcome in the round, page by page; remembered.

    Outcomes of a round are never taken away, so the place only rises (from ``before``, where it is known). What
    is remembered holds for this worklist only: the end of the file may be lost with the power.
    """
    worklist, row = work.worklist, work.row
    if worklist is None:
        return 0
    if before is None:
        before = row.passed if row.passed and worklist.key_at(row.passed) == row.passed_key else 0
    place, last = before, ""
    for keys in worklist.key_pages(after=before, size=SETTLED_PAGE):
        if state.count_of_keys(work.id, keys) < len(keys):
            break
        place, last = place + len(keys), keys[-1]
    if place > before:
        state.pass_round(work.id, place, last)
    return place


def missing_of_round(state: State, work: OpenRound) -> list[str]:
    """Keys of the worklist that have no outcome in the round; an anti-join, never a subtraction."""
    if work.worklist is None:
        return []
    missing: list[str] = []
    after = ""
    for keys in work.worklist.keys_sorted():
        found = state.keys_of_round(work.id, after=after, up_to=keys[-1])
        if found != keys:
            settled = set(found)
            missing.extend(key for key in keys if key not in settled)
        after = keys[-1]
    return missing
