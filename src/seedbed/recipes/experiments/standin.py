"""The stand-in's answers for this recipe, made from the text of the prompt and from nothing else.

A prompt that lost a line is not answered, so that the loss shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any


def essay(prompt: str, schema: Mapping[str, Any]) -> object | None:
    """The draft's own sentences between two of the stand-in's."""
    item = _item(prompt, schema, "template", "what the template asks", "draft")
    if item is None:
        return None
    sentences = _sentences(item["draft"])
    kept = " ".join(sentences[:6]) or "The draft says nothing."
    return {
        "text": f"{sentences[0] if sentences else 'Nothing'} That is where this essay begins.\n\n{kept}\n\n"
        f"So far the stand-in, by the template {item['template']}; a model would have more to say.\n"
    }


def evaluation(prompt: str, schema: Mapping[str, Any]) -> object | None:
    """A word on the essay, and a score that depends on its text alone."""
    item = _item(prompt, schema, "template", "what the template asks", "essay")
    if item is None:
        return None
    words = len(item["essay"].split())
    score = blake2b(item["essay"].encode("utf-8", "surrogatepass"), digest_size=2).digest()[0] % 10
    return {
        "text": f"The essay has {words} words. The stand-in does not judge; its score is made up.\n\nSCORE: {score}\n"
    }


RULES: Sequence[Callable[[str, Mapping[str, Any]], object | None]] = (essay, evaluation)


def _item(prompt: str, schema: Mapping[str, Any], *labels: str) -> dict[str, str] | None:
    """The lines ``- label: JSON`` of the item; None when one is missing or is no text in JSON."""
    if set(schema.get("properties", ())) != {"text"}:
        return None
    found: dict[str, str] = {}
    for label in labels:
        lines = re.findall(rf"^- {re.escape(label)}: (.*)$", prompt, re.MULTILINE)
        try:
            value = json.loads(lines[-1]) if lines else None
        except ValueError:
            return None
        if not isinstance(value, str):
            return None
        found[label] = value
    return found


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if part]
