"""From an accepted answer to a document. Pure: the same row, answer and model make the same row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from seedbed import Item, Row
from seedbed.recipes.experiments.identity import document_id, logical_key
from seedbed.recipes.experiments.scores import RULES

RUN = "seedbed"


def essays(draft: Item, answer: Mapping[str, Any]) -> Iterator[Row]:
    yield _generation("essay", draft, answer["text"])


def evaluations(rule: str) -> Callable[[Item, Mapping[str, Any]], Iterator[Row]]:
    """With the score, by the rule that the project states."""

    def rows(essay: Item, answer: Mapping[str, Any]) -> Iterator[Row]:
        text = answer["text"]
        yield _generation("evaluation", essay, text, score=RULES[rule](text), score_rule=rule)

    return rows


def _generation(stage: str, parent: Item, text: str, **more: Any) -> Row:
    """The key is that of an imported document of the same parent, template and model."""
    key = logical_key(stage, parent["parent"], parent["template"], parent.model)
    return Row(
        "generations",
        doc_id=document_id(key, RUN, f"experiments.{stage}"),
        logical_key_id=key,
        stage=stage,
        task_id=f"{parent['task_id']}__{parent['template']}",
        parent_doc_id=parent["parent"],
        template_id=parent["template"],
        model_id=parent.model,
        content_hash=sha256(text.encode()).hexdigest(),
        text=text,
        **more,
    )
