"""Finds the JSON Schema that a prompt carries in its text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_FENCE = re.compile(r"```json(?:[ \t]*schema)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(r"^[^\n]{0,80}\bJSON Schema\b[^\n{]{0,80}:\s*(?=\{)", re.IGNORECASE | re.MULTILINE)
_MARKS = ("type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "items", "$defs")
_DECODER = json.JSONDecoder()


class Found(NamedTuple):
    shape: Mapping[str, Any]
    start: int
    end: int


def find_shape(prompt: str) -> Found | None:
    """The schema in a ```json fence or after the words "JSON Schema:", with its place in the prompt."""
    if "```" in prompt:
        for fence in _FENCE.finditer(prompt):
            found = _decoded(prompt, fence.start(1))
            if found is not None:
                return Found(found[0], fence.start(), fence.end())
    for label in _LABEL.finditer(prompt):
        found = _decoded(prompt, label.end())
        if found is not None:
            return Found(found[0], label.start(), found[1])
    return None


def without_shape(prompt: str) -> str:
    found = find_shape(prompt)
    return prompt if found is None else prompt[: found.start] + prompt[found.end :]


def _decoded(text: str, start: int) -> tuple[Mapping[str, Any], int] | None:
    begin = text.find("{", start)
    if begin < 0:
        return None
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and any(mark in value for mark in _MARKS):
        return value, end
    return None
