"""What is asked for, as it is typed: ``name: what it is``, ``name (int): …``, ``name: one of a, b, c``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed import errors

_FIELD = re.compile(r"(?P<name>[^:()]*?)\s*(?:\((?P<kind>[^()]*)\))?\s*:(?P<meaning>.*)", re.DOTALL)
_NAME = re.compile(r"[^\W\d][\w \-]{0,62}")
_ONE_OF = re.compile(r"one of:?\s+(?P<choices>\S.*)", re.DOTALL | re.IGNORECASE)
_LONGEST_CHOICE = 60

_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "list": {"type": "array", "items": {"type": "string"}},
}
_WORDS: Mapping[str, str] = {
    "text": "",
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "date": "a date as YYYY-MM-DD",
    "list": "a list of texts",
}
_HINT = 'Write it as "summary: one sentence", "year (int): …" or "topic: one of algebra, geometry".'


@dataclass(frozen=True)
class Field:
    """A column to fill. ``kind`` is text, int, number, bool, date or list; ``choices`` are all that is allowed."""

    name: str
    meaning: str
    kind: str = "text"
    choices: tuple[Any, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        made = {**_SCHEMAS[self.kind], "description": self.meaning}
        return {**made, "enum": list(self.choices)} if self.choices else made

    @property
    def logical(self) -> Any:
        """Its type as a column; a list is kept as JSON text."""
        return "json" if self.kind == "list" else self.kind

    @property
    def line(self) -> str:
        """How it stands in the prompt."""
        if self.choices:
            return f"- {self.name}: exactly one of: {', '.join(map(str, self.choices))}"
        words = _WORDS[self.kind]
        return f"- {self.name}{f' ({words})' if words else ''}: {self.meaning}"


def parse_field(text: str) -> Field:
    """Raises UsageError that says how a field is written."""
    found = _FIELD.fullmatch(text.strip())
    if found is None:
        raise errors.UsageError(f"{text!r} says no name and meaning of a field", hint=_HINT)
    name, meaning = found["name"].strip(), " ".join(found["meaning"].split())
    if not _NAME.fullmatch(name) or name.lower().startswith("_seedbed"):
        raise errors.UsageError(
            f"{name!r} is no name of a field: letters, digits, _ and blanks, a letter first", hint=_HINT
        )
    if not meaning:
        raise errors.UsageError(f"the field {name!r} has no meaning", hint=_HINT)
    kind = (found["kind"] or "text").strip().lower()
    if kind not in _SCHEMAS:
        raise errors.UsageError(f"{name} ({kind}) is no type of a field", hint=f"One of {', '.join(_SCHEMAS)}.")
    return Field(name, meaning, kind, _choices(name, kind, meaning))


def parse_fields(texts: Sequence[str]) -> tuple[Field, ...]:
    fields = tuple(parse_field(text) for text in texts)
    if not fields:
        raise errors.UsageError("No field was named.", hint=_HINT)
    names = [field.name.casefold() for field in fields]
    for field in fields:
        if names.count(field.name.casefold()) > 1:
            raise errors.UsageError(f"the field {field.name!r} stands twice")
    return fields


def shape_of(fields: Sequence[Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: field.schema for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _choices(name: str, kind: str, meaning: str) -> tuple[Any, ...]:
    """The values after "one of", where at least two short ones are listed; other text is a meaning."""
    found = _ONE_OF.fullmatch(meaning)
    if found is None or kind in ("bool", "date", "list"):
        return ()
    parts = [part.strip() for part in found["choices"].rstrip(".").split(",")]
    last = re.fullmatch(r"(?:(.+?)\s+)?or\s+(.+)", parts[-1])
    if last is not None and (len(parts) > 1 or last[1]):
        parts[-1:] = [part for part in last.groups() if part]
    if len(parts) < 2 or any(len(part) > _LONGEST_CHOICE for part in parts):
        return ()
    if "" in parts or len(set(parts)) < len(parts):
        raise errors.UsageError(f"the choices of {name!r} hold an empty one or one twice: {meaning}")
    try:
        return tuple(int(part) if kind == "int" else float(part) if kind == "number" else part for part in parts)
    except ValueError:
        raise errors.UsageError(f"the choices of {name!r} are not all of the type {kind}: {meaning}") from None
