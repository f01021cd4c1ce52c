"""Stages, selections and pipelines: frozen values that say what is missing and how to make it.

    summary = Stage("q.summary", fills("questions", ["summary"]), prompt="summary.md",
                    shape={"summary": str}, per_call=12)

Prompts and shapes are texts, Python mappings, pydantic classes, or the names of files beside
the project; the project resolves them once, when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from seedbed import conditions
from seedbed.errors import ConfigError, nearest
from seedbed.records import Finding, Item

Shape = Mapping[str, Any] | str | type | None
RowMaker = Callable[[Item, Any], Iterable["Row"]]
Check = Callable[[Item, Any], Iterable[Finding]]
Compute = Callable[[Item], Any]


class Lookup(Protocol):
    """Read-only view of the corpus for context functions; equality only, no SQL."""

    def rows(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        *,
        columns: Sequence[str] | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rows whose columns equal ``where`` (None is NULL). ``order`` is a column, ``-`` before it for descending."""


ContextMaker = Callable[[Lookup, Item], Any]


class Call(Protocol):
    """The only door of an ``async`` stage to a model. Replayed by ``name`` after a kill."""

    def __call__(
        self, name: str, prompt: str, shape: Shape = None, *, tier: str | None = None, **variables: Any
    ) -> Awaitable[Any]: ...


Ask = Callable[[Item, Call], Awaitable[Any]]


class Row(dict[str, Any]):
    """A row that a stage makes, with the table it belongs to."""

    def __init__(self, table: str, /, **values: Any) -> None:
        super().__init__(values)
        self.table = table


@dataclass(frozen=True)
class Unique:
    """A natural key: a second row with the same values (text compared in NFC, whatever the case) is a duplicate."""

    columns: tuple[str, ...]


def unique(*columns: str) -> Unique:
    return Unique(columns)


@dataclass(frozen=True)
class Selection:
    """The rows of a stage. ``table`` may be a view; ``key`` defaults to the table's primary key."""

    table: str
    where: str = ""
    key: tuple[str, ...] = ()

    def condition(self) -> conditions.Condition:
        return conditions.parse(self.where)


@dataclass(frozen=True)
class Fills:
    """A row → cells of the same row. ``source`` may be a view with the table's key columns."""

    table: str
    outputs: tuple[str, ...]
    source: Selection


@dataclass(frozen=True)
class Makes:
    """A row → rows of one or several tables.

    ``into`` names each table with its natural keys, the first of which decides the row's id.
    ``depth`` bounds how often a stage that feeds its own table may be fed by its own rows.
    ``cost`` names, per table, the column that takes each row's share of what its item's calls cost
    (in 10⁻⁹ USD; the shares of an item add up exactly).
    """

    source: Selection
    rows: RowMaker
    into: Mapping[str, tuple[Unique, ...]]
    depth: int | None = None
    cost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathers:
    """The rows of a group key → rows. The item's row holds ``by`` and ``members``, a list of rows."""

    source: Selection
    by: tuple[str, ...]
    rows: RowMaker
    into: Mapping[str, tuple[Unique, ...]]


Relation = Fills | Makes | Gathers
Into = Sequence[str] | Mapping[str, Unique | Sequence[Unique] | None]


def fills(table: str, outputs: Sequence[str], *, source: str | Selection | None = None) -> Fills:
    """A stage that fills ``outputs`` of ``table``; selected from ``source`` (a view) where it is given."""
    if isinstance(outputs, str) or not outputs:
        raise ConfigError(f"fills({table!r}, …) needs a list of at least one output column")
    selection = source if isinstance(source, Selection) else Selection(source or table)
    return Fills(table, tuple(outputs), selection)


def makes(
    source: str | Selection,
    *,
    rows: RowMaker,
    into: Into,
    depth: int | None = None,
    cost: Mapping[str, str] | None = None,
) -> Makes:
    """A stage that makes rows from each row of ``source``."""
    return Makes(_selection(source), rows, _into(into), depth, dict(cost or {}))


def gathers(source: str | Selection, *, by: Sequence[str], rows: RowMaker, into: Into) -> Gathers:
    """A stage that makes rows from each group of rows with equal ``by`` columns."""
    return Gathers(_selection(source), tuple([by] if isinstance(by, str) else by), rows, _into(into))


def _selection(source: str | Selection) -> Selection:
    return source if isinstance(source, Selection) else Selection(source)


def _into(into: Into) -> dict[str, tuple[Unique, ...]]:
    if not isinstance(into, Mapping):
        return dict.fromkeys(into, ())
    return {
        table: () if keys is None else (keys,) if isinstance(keys, Unique) else tuple(keys)
        for table, keys in into.items()
    }


_NAME = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,79}")


@dataclass(frozen=True)
class Stage:
    """A named transformation that makes something missing. Data first, small functions where data will not do.

    Exactly one of ``prompt`` (one question, one shape), ``ask`` (an ``async`` function over ``call``)
    and ``compute`` (a pure function, no model) says how an item is worked.

    name: lower case, dots between words; part of the identity of every outcome.
    eligible: a condition in the language of ``--where``; without it a ``fills`` stage takes the rows
        that have an empty output cell.
    per_call: items asked in one request. context: look-ups shown to the prompt, frozen per round.
    checks: functions of (item, output) that yield findings; an error finding declines the answer.
    attempts: questions per item before it is settled as not acceptable.
    max_output: tokens an answer may have; it bounds what a call can cost.
    prompts, shapes: what an ``ask`` function uses, so that they count in the recipe hash.
    version: raise it to say "this is another recipe" where no text changed.
    gate: ``"pilot"`` stops the stage beyond its pilot until a person has signed it.
    scores: what a reviewer gives each answer, from 1 to 5.
    escalate: tiers that are asked instead from the second question about an item on, the last one for all that follow.
    by_name: only a command that names the stage works it or counts it; one over the whole pipeline leaves it out.
    """

    name: str
    relation: Relation
    prompt: str | None = None
    shape: Shape = None
    ask: Ask | None = None
    compute: Compute | None = None
    eligible: str = ""
    inputs: tuple[str, ...] = ()
    context: Mapping[str, ContextMaker] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    per_call: int = 1
    attempts: int = 3
    tier: str = "default"
    model: str | None = None
    max_output: int = 2048
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prompts: Sequence[str] = ()
    shapes: Sequence[Shape] = ()
    on_change: Literal["report", "redo"] = "report"
    round_size: int = 5000
    overwrite: bool = False
    stream: bool = False
    version: str = "1"
    gate: Literal["", "pilot"] = ""
    scores: tuple[str, ...] = ()
    by_name: bool = False
    escalate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is not a stage name", hint="Use lower-case letters, digits, dots, dashes."
            )
        ways = [way for way in ("prompt", "ask", "compute") if getattr(self, way) is not None]
        if len(ways) != 1:
            said = " and ".join(ways) or "none of them"
            raise ConfigError(f"stage {self.name} needs exactly one of prompt, ask, compute; it has {said}")
        if self.per_call < 1 or self.attempts < 1 or self.max_output < 1 or self.round_size < 1:
            raise ConfigError(f"stage {self.name}: per_call, attempts, max_output, round_size start at 1")
        if self.gate not in ("", "pilot"):
            raise ConfigError(f"stage {self.name}: gate is {self.gate!r}", hint='There is one kind: gate = "pilot".')
        if self.escalate and (self.model is not None or self.prompt is None):
            why = "it names a model outright" if self.model is not None else "it has no prompt"
            raise ConfigError(f"stage {self.name} cannot escalate: {why}", hint="Name a tier, and leave the model out.")
        object.__setattr__(self, "scores", tuple(self.scores))
        object.__setattr__(self, "escalate", tuple(self.escalate))
        conditions.parse(self.eligible)

    @property
    def source(self) -> Selection:
        return self.relation.source

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.relation.outputs if isinstance(self.relation, Fills) else ()

    @property
    def calls_model(self) -> bool:
        return self.compute is None

    def tier_at(self, attempt: int) -> str:
        """The tier that is asked the question of this number, from 1."""
        return self.tier if attempt < 2 or not self.escalate else self.escalate[: attempt - 1][-1]

    @property
    def bounded_rounds(self) -> bool:
        """``makes`` rounds are bounded; ``fills`` rounds are not."""
        return not isinstance(self.relation, Fills)

    def condition(self) -> conditions.Condition:
        """Which rows of the source are eligible."""
        own = [self.source.condition(), conditions.parse(self.eligible)]
        if isinstance(self.relation, Fills) and self._looks_at_cells():
            empty: list[conditions.Condition] = [conditions.Empty(name) for name in self.outputs]
            own.append(empty[0] if len(empty) == 1 else conditions.Either(tuple(empty)))
        return conditions.conjunction(*own)

    def _looks_at_cells(self) -> bool:
        """Whether an empty output cell is what makes a row eligible; a view of its own says it itself."""
        over_view = isinstance(self.relation, Fills) and self.source.table != self.relation.table
        return not self.eligible and not self.overwrite and not over_view

    def columns(self) -> set[str]:
        """Columns that the definition itself names; the corpus is checked for them before a run."""
        named = {
            name for name in conditions.columns(self.condition()) if not name.startswith(conditions.OUTCOME_PREFIX)
        }
        named |= set(self.inputs)
        if isinstance(self.relation, Gathers):
            named |= set(self.relation.by)
        return named


@dataclass(frozen=True)
class Pipeline:
    """An ordered list of stages; ``run`` goes through it until a full pass finds nothing."""

    name: str
    stages: tuple[Stage, ...]

    def __init__(self, name: str, stages: Iterable[Stage]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "stages", tuple(stages))
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"pipeline {name} has two stages named {twice[0]}")

    def stage(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        variants = [stage for stage in self.stages if stage.name.startswith(f"{name}.")]
        if len(variants) == 1:
            return variants[0]
        raise ConfigError(f"there is no stage {name}", hint=nearest(name, [s.name for s in self.stages]))
