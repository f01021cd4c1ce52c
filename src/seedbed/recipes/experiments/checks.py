"""What an answer must keep to become a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from seedbed import Finding, Item
from seedbed.recipes.experiments.scores import RULES


def there_is_a_text(item: Item, answer: Mapping[str, Any]) -> Iterator[Finding]:
    if not answer["text"].strip():
        yield Finding("empty_text", "the text is empty", "text")


def there_is_a_score(rule: str) -> Callable[[Item, Mapping[str, Any]], Iterator[Finding]]:
    """A score can be read by the rule that the project states."""

    def check(item: Item, answer: Mapping[str, Any]) -> Iterator[Finding]:
        if RULES[rule](answer["text"]) is None:
            yield Finding("no_score", "no score can be read; end with a line of its own: SCORE: and a number", "text")

    return check
