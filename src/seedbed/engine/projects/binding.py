"""A stage bound to a project: its prompt loaded, its shape compiled, its inputs and recipe hash fixed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from seedbed.engine.projects.prompts import WHOLE_ROW, Places, Prompt, cached_prompt, find, load_prompt, names_in
from seedbed.errors import ConfigError, SourceError, nearest
from seedbed.policy.replies import ShapeReader, group_schema, shape_schema
from seedbed.ports.corpus import Corpus, Table
from seedbed.records import Fingerprinter, Item, LogicalType, Message, Request, canonical_json, digest
from seedbed.stage import Fills, Gathers, Makes, Shape, Stage

MEMBERS = "members"
"""Where a gathered item's row holds the rows of its group."""


@dataclass(frozen=True)
class BoundStage:
    """What the engine works with. ``inputs`` are sorted; ``recipe`` is the recipe hash."""

    stage: Stage
    places: Places
    source: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    recipe: str
    recipe_body: Mapping[str, Any]
    prompt: Prompt | None
    reader: ShapeReader | None

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def types(self) -> Mapping[str, LogicalType]:
        return self.source.columns

    @property
    def grouped(self) -> bool:
        return self.stage.prompt is not None and self.stage.per_call > 1

    @cached_property
    def fingerprint(self) -> Callable[[Mapping[str, Any]], str]:
        """Of a row, over the inputs alone. For gathered items the members' inputs count, in key order."""
        of_row = Fingerprinter(self.inputs, self.types)
        if isinstance(self.stage.relation, Gathers):
            return lambda row: digest("gathers", *map(of_row, row[MEMBERS]))
        return of_row

    def shown(self, item: Item) -> dict[str, Any]:
        if isinstance(self.stage.relation, Gathers):
            return dict(item.row)
        return {name: item.row.get(name) for name in self._shown_columns}

    @cached_property
    def _shown_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name in self.inputs)

    @cached_property
    def parameters(self) -> Callable[[int], Mapping[str, Any]]:
        """What is asked with each request, by what multiplies the output maximum; one value for all requests."""
        return cache(lambda room: {**self.stage.parameters, "max_output": self.stage.max_output * room})

    @cached_property
    def shape(self) -> Callable[[int], Mapping[str, Any] | None]:
        """The shape of an answer, by the number of its items; one value for all requests."""
        own = self.reader.schema if self.reader else None
        return cache(lambda items: own if items == 1 else group_schema(own, [label(n) for n in range(items)]))

    def request(self, items: Sequence[Item], attempt: int, feedback: str = "", room: int = 1) -> Request:
        """The question for an item, or for a group under the labels item-1, item-2 …

        ``feedback`` says what was wrong with the answer before; ``room`` multiplies the output
        maximum after an answer that was cut off at it.
        """
        if self.prompt is None:
            raise ConfigError(f"stage {self.name} has no prompt")
        members = [(self._variables(item, shown := self.shown(item)), shown) for item in items]
        if len(items) == 1:
            messages = self.prompt.messages(*members[0])
        else:
            messages = self.prompt.group([(label(n), *member) for n, member in enumerate(members)])
        if feedback:  # before the item: the item stays last, the stable part first
            *head, last = messages
            messages = (*head, Message(last.role, f"{feedback}\n\n{last.text}"))
        return Request(
            role=self.stage.tier_at(attempt),
            messages=messages,
            shape=self.shape(len(items)),
            parameters=self.parameters(len(items) * room),
            model=self.stage.model,
        )

    def _variables(self, item: Item, shown: Mapping[str, Any]) -> dict[str, Any]:
        return {**item.row, WHOLE_ROW: shown, **item.context}


def label(position: int) -> str:
    """What an item of a group is called in the prompt: item-1, item-2 …"""
    return f"item-{position + 1}"


Frozen = Callable[[str, Sequence[str]], Sequence[str]]


def bind(stage: Stage, corpus: Corpus, places: Places, *, outputs_of_all: frozenset[str], frozen: Frozen) -> BoundStage:
    """Check a stage against the corpus and fix its identity.

    ``frozen`` keeps the input list of a stage that takes "all columns" as it was when first planned.
    Raises ConfigError or SourceError before anything is sent.
    """
    source = corpus.table(stage.source.table)
    key = stage.source.key or source.key or _key_of_target(stage, corpus)
    if isinstance(stage.relation, Gathers):
        key = stage.source.key or source.key
    if not key:
        raise SourceError(
            f"{source.name} has no primary key, so its rows cannot be told apart",
            hint="Name a column that is unique: --key COLUMN, or key = [...] in the project file.",
        )
    _check_columns(stage, source, key)
    _check_targets(stage, corpus)
    columns = tuple(source.columns)
    context = tuple(stage.context)
    _check_context(stage, columns)
    own = (*stage.relation.by, MEMBERS) if isinstance(stage.relation, Gathers) else ()
    prompt = load_prompt(stage.prompt, places, known=(*columns, *context, *own)) if stage.prompt is not None else None
    if prompt is not None:
        _check_names(stage, prompt, (*columns, *context, *own, WHOLE_ROW))
    inputs = _inputs(stage, prompt, columns, key, outputs_of_all, frozen)
    schema = shape_schema(_shape_file(stage.shape, places))
    body = _recipe(stage, places, prompt, schema, inputs)
    return BoundStage(
        stage=stage,
        places=places,
        source=source,
        key=tuple(key),
        columns=columns,
        inputs=inputs,
        recipe=digest("recipe", canonical_json(body)),
        recipe_body=body,
        prompt=prompt,
        reader=ShapeReader(schema) if schema is not None else None,
    )


def _key_of_target(stage: Stage, corpus: Corpus) -> tuple[str, ...]:
    """A view has no key of its own: a ``fills`` stage over a view uses its table's."""
    return corpus.table(stage.relation.table).key if isinstance(stage.relation, Fills) else ()


def _check_columns(stage: Stage, source: Table, key: Sequence[str]) -> None:
    for name in [*sorted(stage.columns()), *key]:
        if name not in source.columns:
            raise SourceError(
                f"stage {stage.name} names the column {name}, which {source.name} does not have",
                hint=nearest(name, source.columns),
            )


def _check_context(stage: Stage, columns: Sequence[str]) -> None:
    for name in stage.context:
        if name in columns or name == WHOLE_ROW:
            raise ConfigError(f"stage {stage.name}: the context {name} has the name of a column", hint="Rename it.")


def _check_targets(stage: Stage, corpus: Corpus) -> None:
    relation = stage.relation
    if isinstance(relation, Fills):
        table = corpus.table(relation.table)
        if table.view:
            raise SourceError(f"stage {stage.name} would write into {table.name}, which is a view")
        for name in relation.outputs:
            if name not in table.columns:
                raise SourceError(
                    f"stage {stage.name} fills the column {name}, which {table.name} does not have",
                    hint=nearest(name, table.columns),
                )
        return
    for name, keys in relation.into.items():
        table = corpus.table(name)
        if len(table.key) != 1:
            raise SourceError(f"stage {stage.name} makes rows of {name}, which needs one text column as primary key")
        for column in [c for natural in keys for c in natural.columns]:
            if column not in table.columns:
                raise SourceError(
                    f"stage {stage.name}: unique({column!r}) names a column that {name} does not have",
                    hint=nearest(column, table.columns),
                )


def _check_names(stage: Stage, prompt: Prompt, known: Sequence[str]) -> None:
    for name in sorted(prompt.names):
        if name not in known:
            raise ConfigError(
                f"the prompt of {stage.name} names {name}, which is no column and no context of it",
                hint=nearest(name, known),
            )


def _inputs(
    stage: Stage,
    prompt: Prompt | None,
    columns: Sequence[str],
    key: Sequence[str],
    outputs_of_all: frozenset[str],
    frozen: Frozen,
) -> tuple[str, ...]:
    if stage.inputs:
        return tuple(sorted(stage.inputs))
    if prompt is not None and not prompt.shows_row and WHOLE_ROW not in prompt.names:
        return tuple(sorted(name for name in prompt.names if name in columns))
    named = set(prompt.names) if prompt is not None else set()
    hidden = outputs_of_all | ({"_key"} if "_key" in key else set())
    return tuple(sorted(frozen(stage.name, [n for n in columns if n not in hidden or n in named])))


def _shape_file(shape: Shape, places: Places) -> Shape:
    if not isinstance(shape, str):
        return shape
    if shape.lstrip().startswith("{"):
        return _json(shape, "the shape")
    path = find(shape, places)
    if path is None:
        raise ConfigError(f"the shape {shape} is not there", hint=nearest(shape, names_in(places, ".json")))
    return _json(path.read_text("utf-8"), shape)


def _json(text: str, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name} is not a JSON Schema: it is no object")
    return value


def _recipe(
    stage: Stage, places: Places, prompt: Prompt | None, schema: Mapping[str, Any] | None, inputs: Sequence[str]
) -> dict[str, Any]:
    """What makes two recipes the same: never code, checks, or the model a tier resolves to today."""
    return {
        "prompt": prompt.source if prompt else None,
        "shape": schema,
        "parameters": dict(stage.parameters),
        "max_output": stage.max_output,
        "inputs": list(inputs),
        "role": f"model:{stage.model}" if stage.model else f"tier:{stage.tier}",
        "version": stage.version,
        "prompts": [cached_prompt(text, places).source for text in stage.prompts],
        "shapes": [shape_schema(_shape_file(shape, places)) for shape in stage.shapes],
        "relation": type(stage.relation).__name__.lower(),
        **({"escalate": list(stage.escalate)} if stage.escalate else {}),
    }


def reader_for(shape: Shape, places: Places) -> ShapeReader | None:
    """The compiled shape of one call of an ``ask`` function."""
    schema = shape_schema(_shape_file(shape, places))
    return ShapeReader(schema) if schema is not None else None


def with_shape_of(stage: BoundStage, request: Request, recipe: str) -> BoundStage:
    """The stage as it was when a request of another recipe was asked: its answer is read by that shape."""
    item = _item_shape(request.shape)
    return replace(stage, recipe=recipe, reader=ShapeReader(item) if item is not None else None)


def _item_shape(shape: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The shape of one item, out of that of a group where it is one."""
    if shape is None:
        return None
    answers = shape.get("properties", {}).get("answers", {})
    item = answers.get("items", {}) if isinstance(answers, Mapping) else {}
    if not isinstance(item, Mapping) or "enum" not in item.get("properties", {}).get("key", {}):
        return shape
    properties = {name: each for name, each in item["properties"].items() if name != "key"}
    required = [name for name in item.get("required", ()) if name != "key"]
    return {**item, "properties": properties, "required": required}


def makes_rows(stage: Stage) -> Makes | Gathers | None:
    relation = stage.relation
    return None if isinstance(relation, Fills) else relation
