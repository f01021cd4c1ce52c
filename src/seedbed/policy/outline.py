"""What a JSON Schema says of each place of a document, as far as it helps to see where a text ends.

A guide and no judge: the schema itself checks what was read. Alternatives (``anyOf``, ``oneOf``) are laid together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

_DEPTH = 8


class Outline:
    """One place. Without a schema, or where it says nothing, any value may stand there."""

    def __init__(self, schema: Any = None, root: Any = None) -> None:
        self._root = schema if root is None else root
        self._branches = tuple(_branches(schema, self._root, 0))
        self._children: dict[Any, Outline] = {}

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The types that may stand here; empty where nothing is said."""
        found: set[str] = set()
        for branch in self._branches:
            said = _types(branch)
            if not said:
                return frozenset()
            found |= said
        return frozenset(found)

    @cached_property
    def fields(self) -> Mapping[str, tuple[Any, ...]]:
        found: dict[str, tuple[Any, ...]] = {}
        for branch in self._branches:
            for name, schema in _mapping(branch.get("properties")).items():
                found[name] = (*found.get(name, ()), schema)
        return found

    @cached_property
    def required(self) -> frozenset[str]:
        """Names that each alternative asks for."""
        objects = [each for each in self._branches if "object" in (_types(each) or {"object"})]
        sets = [frozenset(each.get("required", ())) for each in objects]
        return frozenset.intersection(*sets) if sets else frozenset()

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The texts of an enumeration, longest first; empty where other texts are allowed."""
        found: set[str] = set()
        for branch in self._branches:
            values = branch.get("enum", [branch["const"]] if "const" in branch else None)
            if values is None:
                if "string" in (_types(branch) or {"string"}):
                    return ()
                continue
            found |= {value for value in values if isinstance(value, str)}
        return tuple(sorted(found, key=lambda value: (-len(value), value)))

    @cached_property
    def most(self) -> float:
        """How many elements a list may have here."""
        return max((branch.get("maxItems", float("inf")) for branch in self._branches), default=float("inf"))

    @property
    def only_text(self) -> bool:
        return self.kinds == {"string"} or self.kinds == {"string", "null"} or (not self.kinds and bool(self.choices))

    @property
    def is_blind(self) -> bool:
        return not any(self._branches)

    def may_be(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds

    def field(self, name: str) -> Outline:
        return self._children.get(name) or self._child(name, self._of_field(name))

    def element(self, number: int) -> Outline:
        found = self._children.get(number if self._has_prefix else -1)
        if found is not None:
            return found
        schemas: list[Any] = []
        for branch in self._branches:
            first = branch.get("prefixItems")
            first = first if isinstance(first, Sequence) else ()
            schemas.append(first[number] if number < len(first) else branch.get("items", {}))
        return self._child(number if self._has_prefix else -1, schemas)

    @cached_property
    def _has_prefix(self) -> bool:
        return any("prefixItems" in branch for branch in self._branches)

    @cached_property
    def names(self) -> frozenset[str]:
        """All names of fields of the whole schema."""
        return frozenset(_names(self._root, 0))

    def _of_field(self, name: str) -> list[Any]:
        if name in self.fields:
            return list(self.fields[name])
        return [each["additionalProperties"] for each in self._branches if _mapping(each.get("additionalProperties"))]

    def _child(self, at: Any, schemas: list[Any]) -> Outline:
        found = self._children.get(at)
        if found is None:
            schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else {}
            found = self._children[at] = Outline(schema, self._root if self._root is not None else {})
            found.__dict__["names"] = self.names
        return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _types(branch: Mapping[str, Any]) -> set[str]:
    said = branch.get("type")
    if isinstance(said, str):
        return {said}
    if isinstance(said, Sequence):
        return set(said)
    values = branch.get("enum", [branch["const"]] if "const" in branch else [])
    if values:
        return {_type_of(value) for value in values}
    if "properties" in branch:
        return {"object"}
    return {"array"} if "items" in branch or "prefixItems" in branch else set()


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) else "array" if isinstance(value, list) else "object"


def _branches(schema: Any, root: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """The alternatives of a schema, each with references followed and ``allOf`` laid together."""
    if not isinstance(schema, Mapping) or depth > _DEPTH:
        yield {}
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield from _branches(followed(reference, root), root, depth + 1)
        return
    several = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(several, Sequence) and several:
        for each in several:
            yield from _branches(each, root, depth + 1)
        return
    parts = schema.get("allOf")
    if not isinstance(parts, Sequence) or not parts:
        yield schema
        return
    merged = dict(schema)
    for part in parts:
        for branch in _branches(part, root, depth + 1):
            merged["properties"] = {**_mapping(merged.get("properties")), **_mapping(branch.get("properties"))}
            merged["required"] = [*merged.get("required", ()), *branch.get("required", ())]
            merged = {**branch, **merged}
    yield merged


def followed(reference: str, root: Any) -> Any:
    """What a reference inside the schema points to; None for any other."""
    if reference[:1] != "#":
        return None
    current = root
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        current = current.get(name) if isinstance(current, Mapping) else None
    return current


def _names(schema: Any, depth: int) -> Iterator[str]:
    if depth > 4 * _DEPTH:
        return
    if isinstance(schema, Mapping):
        yield from _mapping(schema.get("properties"))
        for part in schema.values():
            yield from _names(part, depth + 1)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names(part, depth + 1)
