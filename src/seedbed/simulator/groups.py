"""Grouped calls: one prompt that carries several items, each answered under its key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Sections(NamedTuple):
    head: str
    by_key: dict[str, str]


def group_keys(shape: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that `answers` must carry; empty when the shape is not that of a grouped call."""
    answers = _inside(shape, shape, "properties", "answers")
    key = _inside(shape, answers, "items", "properties", "key")
    keys = key.get("enum")
    return tuple(str(each) for each in keys) if isinstance(keys, list) else ()


def sections(prompt: str, keys: Sequence[str]) -> Sections:
    """Each key's own part of the prompt: from the key to the next one.

    A key may be named more than once (an outline, a closing reminder): its longest part counts.
    """
    marks = list(_marks(prompt, keys))
    best: dict[str, tuple[int, int]] = {}
    for number, (key, _, end) in enumerate(marks):
        stop = marks[number + 1][1] if number + 1 < len(marks) else len(prompt)
        known = best.get(key)
        if known is None or stop - end > known[1] - known[0]:
            best[key] = (end, stop)
    head = prompt[: marks[0][1]] if marks else prompt
    return Sections(head, {key: prompt[slice(*best[key])] if key in best else "" for key in keys})


def _marks(prompt: str, keys: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Where keys stand: first on their lines if all do, else near the start of lines, else anywhere."""
    names = "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
    found: list[re.Match[str]] = []
    for before in (r"^[^\w\n]{0,8}", r"^[^\n]{0,24}?(?<!\w)", r"(?<!\w)"):
        found = list(re.finditer(rf"{before}({names})(?!\w)", prompt, re.MULTILINE))
        if len({match[1] for match in found}) == len(keys):
            break
    return ((match[1], match.start(), match.end()) for match in found)


def _inside(root: Mapping[str, Any], schema: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    current: Any = schema
    for step in path:
        current = followed(root, current).get(step)
        if not isinstance(current, Mapping):
            return {}
    return followed(root, current)


def followed(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its local `$ref` replaced by what it points to."""
    for _ in range(32):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**_target(root, reference), **rest}
    return schema


def _target(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    current: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        current = current.get(name) if isinstance(current, Mapping) else None
    return current if isinstance(current, Mapping) else {}
