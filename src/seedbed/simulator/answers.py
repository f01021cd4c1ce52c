"""The stand-in's answers: a pure function of prompt text, shape and seed.

Text is made from the item's own words, the last paragraph of the prompt, so that a prompt that lost its
item shows at once.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from seedbed.simulator.groups import followed, group_keys, sections
from seedbed.simulator.shapes import without_shape

Rule = Callable[[str, Mapping[str, Any]], object | None]

EMPTY = "(empty)"
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_BREAK = re.compile(r"\n\s*\n")
_DEEP = 6
_SPAN = 100


def answer(prompt: str, shape: Mapping[str, Any] | None, *, rules: Sequence[Rule] = (), seed: int = 0) -> str:
    """JSON text of the given shape; prose when there is none."""
    text = without_shape(prompt)
    if shape is None:
        return _Maker(text, subject(text), {}, rules, seed).sentence("prose", 12, 24) + "."
    keys = group_keys(shape)
    if keys:
        value: object = _grouped(text, shape, keys, rules, seed)
    else:
        value = _Maker(text, subject(text), shape, rules, seed).value(shape, "", 0)
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def load_rules(module: str) -> tuple[Rule, ...]:
    """The `RULES` of a module, given by its dotted path."""
    found = getattr(importlib.import_module(module), "RULES", None)
    if not isinstance(found, Sequence) or not all(callable(rule) for rule in found):
        raise ValueError(f"{module} has no RULES: a sequence of callables (prompt, schema) -> value or None")
    return tuple(found)


def subject(text: str) -> str:
    """The part of a prompt that is taken for the item: its last paragraph."""
    return _BREAK.split(text.rstrip())[-1].strip()


def _grouped(
    prompt: str, shape: Mapping[str, Any], keys: Sequence[str], rules: Sequence[Rule], seed: int
) -> dict[str, Any]:
    head, parts = sections(prompt, keys)
    properties = followed(shape, shape)["properties"]
    element = followed(shape, followed(shape, properties["answers"])["items"])
    bare = _without_key(element)
    made = []
    for key in keys:
        part = parts[key]
        about = _BREAK.split(part.strip())[0]
        maker = _Maker(head + part, about, shape, rules, seed)
        value = maker.value(bare, "", 1)
        made.append({"key": key, **value} if isinstance(value, Mapping) else {"key": key})
    whole = _Maker(prompt, subject(prompt), shape, rules, seed)
    others = {name: whole.value(each, name, 1) for name, each in properties.items() if name != "answers"}
    return {"answers": made, **others}


def _without_key(element: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: each for name, each in element.get("properties", {}).items() if name != "key"}
    required = [name for name in element.get("required", ()) if name != "key"]
    return {**element, "properties": properties, "required": required}


class _Maker:
    """Makes values for one item; every choice is a hash of (prompt, path, seed)."""

    __slots__ = ("folded", "key", "prompt", "root", "rules", "words")

    def __init__(self, prompt: str, about: str, root: Mapping[str, Any], rules: Sequence[Rule], seed: int) -> None:
        self.prompt = prompt
        self.root = root
        self.rules = rules
        self.words = _WORD.findall(about) or [EMPTY]
        self.folded = f" {' '.join(self.words).casefold()} "
        self.key = blake2b(f"{seed}\0{prompt}".encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def draw(self, path: str) -> int:
        return int.from_bytes(blake2b(path.encode("utf-8", "surrogatepass"), key=self.key, digest_size=8).digest())

    def value(self, schema: Any, path: str, depth: int) -> Any:
        shape = self._settled(schema, depth)
        for rule in self.rules:
            made = rule(self.prompt, shape)
            if made is not None:
                return made
        if "const" in shape:
            return shape["const"]
        if shape.get("enum"):
            return self._option(shape["enum"], path)
        return self._typed(_kind(shape, depth), shape, path, depth)

    def _typed(self, kind: str, shape: Mapping[str, Any], path: str, depth: int) -> Any:
        if kind == "object":
            return self._object(shape, path, depth)
        if kind == "array":
            return self._array(shape, path, depth)
        if kind == "string":
            return self._string(shape, path)
        if kind in ("integer", "number"):
            return self._number(shape, path, whole=kind == "integer")
        return self.draw(path) % 2 == 0 if kind == "boolean" else None

    def _settled(self, schema: Any, depth: int) -> Mapping[str, Any]:
        shape: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
        for _ in range(32):
            shape = followed(self.root, shape)
            if shape.get("allOf"):
                shape = _joined(_without(shape, "allOf"), *(followed(self.root, s) for s in shape["allOf"]))
            elif shape.get("anyOf") or shape.get("oneOf"):
                name = "anyOf" if shape.get("anyOf") else "oneOf"
                branch = _branch(shape[name], depth)
                shape = _joined(_without(shape, name), followed(self.root, branch))
            else:
                break
        return shape

    def _object(self, shape: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        properties = shape.get("properties", {})
        required = shape.get("required", ())
        names = [name for name in properties if depth < _DEEP or name in required]
        names += [name for name in required if name not in properties]
        other = shape.get("additionalProperties")
        return {n: self.value(properties.get(n, other), f"{path}/{n}", depth + 1) for n in names}

    def _array(self, shape: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        low = shape.get("minItems", 0 if depth >= _DEEP else 1)
        high = shape.get("maxItems", low + 2)
        low = min(low, high)
        spread = 0 if depth >= _DEEP else min(high, low + 2) - low
        count = low + self.draw(f"{path}#") % (spread + 1)
        items = shape.get("items")
        made = [self.value(items, f"{path}/{number}", depth + 1) for number in range(count)]
        return self._distinct(made, items, path, depth, low) if shape.get("uniqueItems") else made

    def _distinct(self, made: list[Any], items: Any, path: str, depth: int, low: int) -> list[Any]:
        kept: dict[bytes, Any] = {orjson.dumps(value): value for value in made}
        for attempt in range(64 * low):
            if len(kept) >= low:
                break
            value = self.value(items, f"{path}/~{attempt}", depth + 1)
            if attempt % 2 and isinstance(value, str) and not _bounded(items):
                value = f"{value} {attempt}"
            kept.setdefault(orjson.dumps(value), value)
        return list(kept.values())

    def _option(self, options: Sequence[Any], path: str) -> Any:
        """An option that the item names, else any; the longest that it names comes first."""
        sizes = [self._named(option) for option in options]
        best = max(sizes)
        open_to_choice = [option for option, size in zip(options, sizes, strict=True) if size == best]
        return open_to_choice[self.draw(path) % len(open_to_choice)]

    def _named(self, option: Any) -> int:
        words = _WORD.findall(option) if isinstance(option, str) else []
        phrase = " ".join(words).casefold()
        return len(phrase) if phrase and f" {phrase} " in self.folded else 0

    def _string(self, shape: Mapping[str, Any], path: str) -> str:
        form = shape.get("format")
        if form in ("date", "date-time"):
            return _moment(self.draw(path), with_time=form == "date-time")
        low, high = shape.get("minLength", 0), shape.get("maxLength")
        text = self.sentence(path, 3, 8)
        if len(text) < low:
            text = (f"{text} " * math.ceil((low + 1) / (len(text) + 1)))[: max(low, len(text))]
        return text if high is None or len(text) <= high else _cut(text, low, high)

    def sentence(self, path: str, fewest: int, most: int) -> str:
        """A run of the item's words as they follow each other there."""
        draw = self.draw(path)
        count = len(self.words)
        wanted = min(count, fewest + draw % (most - fewest + 1))
        start = (draw >> 16) % count
        return " ".join(self.words[(start + step) % count] for step in range(wanted))

    def _number(self, shape: Mapping[str, Any], path: str, *, whole: bool) -> int | float:
        step = shape.get("multipleOf") or (1 if whole else None)
        low, high = _bounds(shape)
        if step is None:
            return self._fraction(shape, path, low, high)
        if whole and step != int(step):
            step = 1
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step == shape.get("exclusiveMinimum")
        last -= last * step == shape.get("exclusiveMaximum")
        made = (first + self.draw(path) % (max(last - first, 0) + 1)) * step
        return int(made) if whole else made

    def _fraction(self, shape: Mapping[str, Any], path: str, low: float, high: float) -> float:
        made: float = low + (self.draw(path) % 9999 + 1) / 10001 * (high - low)
        rounded = round(made, 2)
        return rounded if low < rounded < high else made


def _kind(shape: Mapping[str, Any], depth: int) -> str:
    kind = shape.get("type")
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list) and kind:
        if depth >= _DEEP and "null" in kind:
            return "null"
        return next((str(each) for each in kind if each != "null"), "null")
    if "properties" in shape or "required" in shape:
        return "object"
    if "items" in shape or "minItems" in shape:
        return "array"
    return "number" if "minimum" in shape or "maximum" in shape else "string"


def _branch(branches: Sequence[Any], depth: int) -> Mapping[str, Any]:
    simple = [each for each in branches if isinstance(each, Mapping) and "$ref" not in each]
    chosen = simple[0] if depth >= _DEEP and simple else branches[0]
    return chosen if isinstance(chosen, Mapping) else {}


def _without(shape: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in shape.items() if key != name}


def _joined(*shapes: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for shape in shapes:
        properties = {**whole.get("properties", {}), **shape.get("properties", {})}
        required = list(dict.fromkeys([*whole.get("required", ()), *shape.get("required", ())]))
        whole.update(shape)
        if properties:
            whole["properties"] = properties
        if required:
            whole["required"] = required
    return whole


def _bounded(items: Any) -> bool:
    return isinstance(items, Mapping) and any(name in items for name in ("maxLength", "enum", "const", "$ref"))


def _bounds(shape: Mapping[str, Any]) -> tuple[float, float]:
    lows = [shape[name] for name in ("minimum", "exclusiveMinimum") if name in shape]
    highs = [shape[name] for name in ("maximum", "exclusiveMaximum") if name in shape]
    if lows and highs:
        return max(lows), min(highs)
    if lows:
        return max(lows), max(lows) + _SPAN
    return (min(highs) - _SPAN, min(highs)) if highs else (0, _SPAN)


def _moment(draw: int, *, with_time: bool) -> str:
    day = f"{1950 + draw % 75}-{draw // 75 % 12 + 1:02}-{draw // 900 % 28 + 1:02}"
    hour, minute = draw // 25200 % 24, draw // 604800 % 60
    return f"{day}T{hour:02}:{minute:02}:00Z" if with_time else day


def _cut(text: str, low: int, high: int) -> str:
    cut = text[:high]
    trimmed = cut.rstrip()
    return trimmed if len(trimmed) >= low else trimmed.ljust(low, ".")
