"""The text of an answer → a value of the asked shape, or the reason why not.

What is JSON is read strictly. What is not is mended by edits that lose nothing, or declined.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import jiter
import jsonschema_rs

from seedbed.errors import ConfigError, NotReadable, NotRepairable
from seedbed.policy.doubts import CUT, SLIPPED, doubts
from seedbed.policy.edits import Edit, Repaired, applied, place_before
from seedbed.policy.mending import mend
from seedbed.policy.outline import Outline

# ------------------------------------------------------------------------------------------ text

_LARGE_OR_LONG = re.compile(r"[0-9](?:[eE][+0-9]|[0-9]{14})")
_COLUMN = re.compile(r" at line \d+ column \d+$")


def _strict(text: str) -> Any:
    """The value of strict JSON: whole numbers keep all their digits, fractions become the nearest float."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise NotReadable("the answer holds half of a surrogate pair", code="lone_surrogate") from None
    try:
        if not _LARGE_OR_LONG.search(text):
            return jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
        found = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="lossless-float")
    except ValueError as error:
        raise _named(str(error)) from None
    return _exact(found)


def _exact(value: Any) -> Any:
    """Values with the numbers that Python has: a whole number that a float does not say becomes an int."""
    if isinstance(value, jiter.LosslessFloat):
        number = float(value)
        if number in (float("inf"), float("-inf")):
            raise NotReadable("a number of the answer is too large", code="not_a_number")
        exact = value.as_decimal()
        if exact != Decimal(repr(number)) and exact == exact.to_integral_value():
            return int(exact)
        return number
    if isinstance(value, dict):
        return {name: _exact(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_exact(each) for each in value]
    return value


def _named(words: str) -> NotReadable:
    """What jiter says, as one of our codes."""
    if words.startswith("Detected duplicate key"):
        plain = _COLUMN.sub("", words)
        return NotReadable(f"the answer has {plain.removeprefix('Detected ')} in one object", code="duplicate_key")
    if words.startswith("EOF"):
        return NotReadable("the answer ends in the middle", code="truncated")
    if "surrogate" in words or "end of hex escape" in words:
        return NotReadable("the answer holds half of a surrogate pair", code="lone_surrogate")
    if words.startswith("number out of range"):
        return NotReadable("a number of the answer is too large", code="not_a_number")
    return NotReadable(f"the answer is not JSON: {words}", code="not_json")


# ----------------------------------------------------------------------------------------- shapes

# fmt: off
_KEYWORDS = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "prefixItems", "anyOf", "oneOf", "allOf",
    "not", "enum", "const", "$ref", "$defs", "definitions", "if", "then", "else", "patternProperties",
    "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "uniqueItems", "contains", "minProperties", "maxProperties",
    "propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems",
    "$schema", "$id",
})
# fmt: on
_BY_TYPE: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    None: {"type": "null"},
    type(None): {"type": "null"},
}


def shape_schema(shape: Any) -> dict[str, Any] | None:
    """The JSON Schema (2020-12) of what an author writes as a shape. Raises ConfigError.

    A JSON Schema as it is; names with Python types, where all are required and no others allowed
    (``{"tags": [str], "kind": ("a", "b"), "note": (str, None)}``); a pydantic class; None.
    """
    if shape is None:
        return None
    if hasattr(shape, "model_json_schema"):
        schema: dict[str, Any] = shape.model_json_schema()
    elif isinstance(shape, Mapping):
        schema = _by_name(shape, "") if _has_python_types(shape) else dict(shape)
    else:
        raise ConfigError(
            f"a shape of {type(shape).__name__} is none",
            hint='Write a JSON Schema, a mapping such as {"summary": str}, or a pydantic class.',
        )
    if schema and not schema.keys() & _KEYWORDS:
        names = ", ".join(list(map(str, schema))[:5])
        raise ConfigError(
            f"the shape has no word of JSON Schema: {names}", hint='For named fields write types: {"summary": str}.'
        )
    _compiled(schema)
    return schema


def _has_python_types(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_python_types, value.values()))
    if isinstance(value, list):
        return any(map(_has_python_types, value))
    return isinstance(value, type | tuple | types.UnionType) or get_origin(value) is not None


def _by_name(shape: Mapping[Any, Any], at: str) -> dict[str, Any]:
    for name in shape:
        if not isinstance(name, str):
            raise ConfigError(f"a field of the shape is named {name!r}, which is no text")
    return {
        "type": "object",
        "properties": {name: _by_type(kind, f"{at}/{name}") for name, kind in shape.items()},
        "required": list(shape),
        "additionalProperties": False,
    }


def _by_type(kind: Any, at: str) -> dict[str, Any]:
    if kind is Any:
        return {}
    try:
        if kind in _BY_TYPE:
            return dict(_BY_TYPE[kind])
    except TypeError:
        pass
    if isinstance(kind, Mapping):
        return _by_name(kind, at)
    if isinstance(kind, list) and len(kind) == 1:
        return {"type": "array", "items": _by_type(kind[0], at)}
    if isinstance(kind, tuple) and kind:
        return _choice(kind, at)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, Union):
        return {"anyOf": [_by_type(each, at) for each in arguments]}
    if origin is list and arguments:
        return {"type": "array", "items": _by_type(arguments[0], at)}
    if origin is dict and len(arguments) == 2:
        return {"type": "object", "additionalProperties": _by_type(arguments[1], at)}
    if hasattr(kind, "model_json_schema"):
        nested: dict[str, Any] = kind.model_json_schema()
        if "$defs" not in nested:
            return nested
    raise ConfigError(f"the shape's field {at} has the type {kind!r}, which has no JSON Schema here")


def _choice(kinds: tuple[Any, ...], at: str) -> dict[str, Any]:
    """A tuple: the values that are allowed, or, where it names a type, the types."""
    if any(_has_python_types(each) or isinstance(each, Mapping | list) for each in kinds):
        return {"anyOf": [_by_type(each, at) for each in kinds]}
    if all(isinstance(each, str) for each in kinds):
        return {"type": "string", "enum": list(kinds)}
    return {"enum": list(kinds)}


def _compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    try:
        # offline: a $ref into the network would be fetched
        return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, offline=True)
    except jsonschema_rs.ValidationError as error:
        at = _pointer(error.instance_path)
        where = f", at {at}" if at else ""
        raise ConfigError(f"the shape is no JSON Schema{where}", why=_clipped(error.message)) from None
    except (ValueError, TypeError) as error:
        raise ConfigError("the shape is no JSON Schema", why=_clipped(str(error))) from None


_GROUPS = 64


class ShapeReader:
    """Reads answers of one shape. Without a shape the text itself is the value."""

    def __init__(self, shape: Any) -> None:
        self.schema = shape_schema(shape)
        self._validator = None if self.schema is None else _compiled(self.schema)
        self._outline = Outline(self.schema)
        self._groups: dict[tuple[str, ...], Outline] = {}

    def read(self, text: str) -> Any:
        """The value. Raises NotReadable; ``shape`` is the code where it is JSON of another shape.

        A doubtful reading is none: it is declined with the code ``doubtful``.
        """
        repaired = self.repaired(text)
        if repaired.doubtful:
            raise NotRepairable("; ".join(repaired.doubtful), code="doubtful")
        return repaired.value

    def repaired(self, text: str) -> Repaired:
        """The value with the edits that it took, and the reasons to doubt it. Raises NotReadable as ``read``."""
        if self._validator is None:
            if not text.strip():
                raise NotReadable("the answer is empty", code="empty")
            return Repaired(text)
        return repaired_as(text, self._outline, self.check)

    def of_group(self, keys: Sequence[str]) -> Outline:
        """The outline of an answer for several items of this shape; those of the last few sets of keys are kept."""
        found = self._groups.get(tuple(keys))
        if found is None:
            if len(self._groups) >= _GROUPS:
                self._groups.clear()
            found = self._groups[tuple(keys)] = Outline(group_schema(self.schema, keys))
        return found

    def check(self, value: Any) -> Any:
        """The value itself, when it fits the shape."""
        validator = self._validator
        if validator is None or validator.is_valid(value):
            return value
        errors = sorted(validator.iter_errors(value), key=lambda error: [str(step) for step in error.instance_path])
        words = [_plain_words(error) for error in errors[:5]]
        more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
        field = _pointer(errors[0].instance_path) if errors else ""
        raise NotReadable("; ".join(words) + more, code="shape", field=field)


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _clipped(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


_KIND_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
}
_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def _plain_words(error: jsonschema_rs.ValidationError) -> str:
    at = _pointer(error.instance_path) or "the answer"
    kind = error.kind.name
    value: Any = getattr(error.kind, "value", None)
    if kind == "type":
        names = [value] if isinstance(value, str) else list(value or ())
        wanted = " or ".join(_TYPE_WORDS.get(name, name) for name in names)
        return f"{at} must be {wanted}, not {_KIND_WORDS.get(type(error.instance), 'null')}"
    if kind == "required":
        return f'{at} lacks "{value}"'
    if kind == "additionalProperties":
        return f"{at} has fields that were not asked for: {_clipped(', '.join(map(str, value or ())))}"
    if kind == "enum":
        return f"{at} must be one of {_clipped(json.dumps(value, ensure_ascii=False))}"
    if kind in _MEASURES:
        return f"{at} {_MEASURES[kind].format(value)}"
    return f"{at}: {_clipped(error.message)}"


_MEASURES = {
    "minLength": "is shorter than {} characters",
    "maxLength": "is longer than {} characters",
    "minItems": "has fewer than {} entries",
    "maxItems": "has more than {} entries",
    "minimum": "is less than {}",
    "maximum": "is more than {}",
}


# ---------------------------------------------------------------------------------------- mending


def repaired_as(text: str, outline: Outline, check: Callable[[Any], Any]) -> Repaired:
    """Strict JSON untouched; anything else mended without loss. Raises NotReadable."""
    found = _untouched(text, outline, check)
    if found is not None:
        return found

    def strictly(mended: str) -> Any:
        return check(_strict(mended))

    repaired, mended = mend(text, outline, strictly)
    return Repaired(repaired.value, repaired.edits, (*repaired.doubtful, *doubts(mended)))


def _untouched(text: str, outline: Outline, check: Callable[[Any], Any]) -> Repaired | None:
    """The reading of a text that is JSON by itself; None where it is not, or is a document inside of a string."""
    bare = text.strip()
    edits: tuple[Edit, ...] = ()
    if bare[:1] == "\ufeff":
        bare = bare.strip("\ufeff").strip()
        begin = text.index(bare)
        edits = tuple(each for each in (Edit(0, text[:begin], "", "space"), _tail(text, begin + len(bare))) if each)
    if not bare:
        raise NotReadable("the answer is empty", code="empty")
    if bare[0] not in '{["-0123456789tfn':
        return None
    try:
        value = _strict(bare)
    except NotReadable as error:
        if error.code in ("not_a_number", "lone_surrogate") and bare[0] in "{[" and bare[-1] in "}]":
            raise NotRepairable(error.what, code=error.code) from None
        return None
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        if not outline.is_blind and not outline.may_be("string"):
            return None
        return Repaired(check(value), edits, ("the answer is a text that holds a document",))
    return Repaired(check(value), edits, doubts(bare))


def _tail(text: str, end: int) -> Edit | None:
    return Edit(end, text[end:], "", "space") if text[end:].strip(" \t\r\n") else None


# ----------------------------------------------------------------------------------------- groups

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]')
_COMMA_LAST = re.compile(r",\s*\}\Z")


def group_schema(shape: Any, keys: Sequence[str]) -> dict[str, Any]:
    """The shape of one answer for several items: ``{"answers": [{"key": ..., and the item's fields}]}``.

    Raises ConfigError where the item's shape is no object or has a field ``key`` of its own.
    """
    item = shape_schema(shape)
    if item is None:
        raise ConfigError("items without a shape cannot be asked in groups", hint="Set per_call = 1, or give a shape.")
    hoisted: dict[str, Any] = {name: item[name] for name in ("$defs", "definitions") if name in item}
    element = _followed(item)
    if element.get("type") != "object" or not isinstance(element.get("properties"), Mapping):
        raise ConfigError("only a shape of named fields can be asked in groups", hint="Set per_call = 1.")
    if "key" in element["properties"]:
        raise ConfigError(
            'a shape with a field "key" cannot be asked in groups', hint="Rename it, or set per_call = 1."
        )
    if _refers_to_root(item):
        raise ConfigError("a shape that refers to its own root cannot be asked in groups", hint="Set per_call = 1.")
    key = {"type": "string", "enum": list(keys)}
    answer = {name: value for name, value in element.items() if name not in ("$schema", "$id", *hoisted)}
    answer["properties"] = {"key": key, **element["properties"]}
    answer["required"] = ["key", *element.get("required", ())]
    return {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": answer}},
        "required": ["answers"],
        "additionalProperties": False,
        **hoisted,
    }


def _followed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    current: Any = schema
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        current = current.get(name) if isinstance(current, Mapping) else None
    return current if isinstance(current, Mapping) else schema


def _refers_to_root(value: Any) -> bool:
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith(("#/$defs/", "#/definitions/")):
            return True
        return any(map(_refers_to_root, value.values()))
    return isinstance(value, list) and any(map(_refers_to_root, value))


class Split(NamedTuple):
    """A group's answer by item. ``values`` are not yet checked against the item's shape."""

    values: dict[str, Any]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    doubled: tuple[str, ...]


def split_group(value: Any, keys: Sequence[str]) -> Split:
    """What a group's answer has for each key.

    A key that was answered twice counts once if both say the same, else it is missing and ``doubled``.
    Raises NotReadable (``shape``) for a value without a list of answers.
    """
    answers = value.get("answers") if isinstance(value, Mapping) else None
    if not isinstance(answers, list):
        raise NotReadable('the answer lacks its list of "answers"', code="shape", field="/answers")
    wanted = set(keys)
    found: dict[str, Any] = {}
    texts: dict[str, str] = {}
    unknown: dict[str, None] = {}
    doubled: dict[str, None] = {}
    for each in answers:
        key = each.get("key") if isinstance(each, Mapping) else None
        if not isinstance(key, str) or key not in wanted:
            unknown[key if isinstance(key, str) else json.dumps(key, ensure_ascii=False)] = None
            continue
        content = {name: part for name, part in each.items() if name != "key"}
        text = json.dumps(content, sort_keys=True)
        if texts.setdefault(key, text) != text:
            doubled[key] = None
        found.setdefault(key, content)
    values = {key: found[key] for key in dict.fromkeys(keys) if key in found and key not in doubled}
    missing = tuple(key for key in dict.fromkeys(keys) if key not in values)
    return Split(values, missing, tuple(unknown), tuple(doubled))


@dataclass(frozen=True, slots=True)
class GroupRead:
    """Items of a group that fit their shape, and the reason for each that does not."""

    values: dict[str, Any]
    declined: dict[str, NotReadable]
    split: Split


def read_group(text: str, keys: Sequence[str], item: ShapeReader) -> GroupRead:
    """A group's answer, item by item: one that does not fit, or is doubtful, takes no other with it.

    Raises NotReadable as ``ShapeReader.read``; then ``repaired_group`` tells more.
    """
    repaired = repaired_group(text, keys, item)
    split = split_group(repaired.value, keys)
    declined = _doubtful(text, repaired, item.of_group(keys)) if repaired.doubtful else {}
    values: dict[str, Any] = {}
    for key, value in split.values.items():
        if key in declined:
            continue
        try:
            values[key] = item.check(value)
        except NotReadable as error:
            declined[key] = error
    return GroupRead(values, declined, split)


def _doubtful(text: str, repaired: Repaired, outline: Outline) -> dict[str, NotReadable]:
    """The items of a doubtful answer that are doubtful each by itself. Raises NotRepairable where none is.

    A mark that slipped may come from one item and stand in another, so then all are declined.
    """
    everything = NotRepairable("; ".join(repaired.doubtful), code="doubtful")
    if SLIPPED in repaired.doubtful:
        raise everything
    element = outline.field("answers").element(0)
    mended = applied(text, repaired.edits)
    declined: dict[str, NotReadable] = {}
    for begin, end in _objects(mended):
        value = json.loads(mended[begin:end])
        key = value.get("key")
        if not isinstance(key, str):
            continue
        piece = text[place_before(repaired.edits, begin) : place_before(repaired.edits, end)]
        try:
            alone = repaired_as(piece, element, _as_it_is)
            reasons = alone.doubtful if alone.value == value else repaired.doubtful
        except NotReadable:
            reasons = repaired.doubtful
        if CUT in repaired.doubtful and _COMMA_LAST.search(piece):
            reasons = (CUT,)
        if reasons:
            declined[key] = NotRepairable("; ".join(reasons), code="doubtful")
    if not declined and repaired.doubtful != (CUT,):
        raise everything
    return declined


def _objects(mended: str) -> Iterator[tuple[int, int]]:
    """Where the objects stand that are elements of a list of the document."""
    depth = begin = 0
    for token in _STRUCTURE.finditer(mended):
        if token[0] in ("{", "["):
            depth += 1
            if depth == 3:
                begin = token.start()
        elif token[0] in ("}", "]"):
            if depth == 3 and mended[begin] == "{":
                yield begin, token.end()
            depth -= 1


def _as_it_is(value: Any) -> Any:
    return value


def repaired_group(text: str, keys: Sequence[str], item: ShapeReader) -> Repaired:
    """The value of a group's answer with its edits; only that it is a group's answer is checked."""

    def check(value: Any) -> Any:
        split_group(value, keys)
        return value

    return repaired_as(text, item.of_group(keys), check)
