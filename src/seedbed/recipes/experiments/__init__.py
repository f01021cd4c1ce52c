"""Experiments: historic drafts, essays and evaluations in an index, and stages that make what is missing.

The folder beside this page holds the import (``importing``), the second pass over its bad rows (``repairing``), the
index's tables (``tables.sql``), and who reads from it (``reading``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed import Pipeline, Selection, Stage, makes, unique
from seedbed.recipes.experiments import checks, lookups, rows
from seedbed.recipes.experiments.reading import Document, Documents
from seedbed.recipes.experiments.settings import Settings

__all__ = ["Document", "Documents", "pipeline"]

_INPUTS = ("parent", "template", "template_text", "content_hash")


def pipeline(settings: Mapping[str, Any]) -> Pipeline:
    """The stages in their order. Raises ConfigError for a setting that is not one."""
    chosen = Settings.read(settings)
    return Pipeline("experiments", [essay(chosen), evaluation(chosen)])


def essay(chosen: Settings) -> Stage:
    """A draft and a template → the essay that is missing."""
    return Stage(
        "experiments.essay",
        makes(
            Selection("essays_missing", wanted(chosen.essay_templates), key=("id",)),
            rows=rows.essays,
            into={"generations": unique("doc_id")},
            cost={"generations": "cost_nano"},
        ),
        prompt="essay.md",
        shape={"text": str},
        inputs=_INPUTS,
        context={"draft": lookups.text_of_parent},
        checks=[checks.there_is_a_text],
        max_output=8000,
    )


def evaluation(chosen: Settings) -> Stage:
    """An essay and a template → the evaluation that is missing, with its score."""
    return Stage(
        "experiments.evaluation",
        makes(
            Selection("evaluations_missing", wanted(chosen.evaluation_templates), key=("id",)),
            rows=rows.evaluations(chosen.score_rule),
            into={"generations": unique("doc_id")},
            cost={"generations": "cost_nano"},
        ),
        prompt="evaluation.md",
        shape={"text": str},
        inputs=_INPUTS,
        context={"essay": lookups.text_of_parent},
        checks=[checks.there_is_a_text, checks.there_is_a_score(chosen.score_rule)],
        max_output=4000,
    )


def wanted(templates: tuple[str, ...]) -> str:
    """The templates that were named, for each parent; without any, one template for parents that have nothing yet."""
    if not templates:
        return "preferred = 1 and made = 0"
    return f"template in ({', '.join(_quoted(name) for name in templates)})"


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
