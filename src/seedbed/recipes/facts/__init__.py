"""Facts: entries exploded into facts, the facts validated, the valid ones turned into six styles of challenge.

The folder beside this page holds the tables (``tables.sql``), the questions (``prompts/``, ``shapes/``), the
topics and ten entries to begin with (``topics.jsonl``, ``sample.jsonl``), and the stand-in's answers (``standin``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed import Pipeline, Selection, Stage, fills, makes, unique
from seedbed.recipes.facts import checks, lookups, rows, validation
from seedbed.recipes.facts.settings import Settings


def pipeline(settings: Mapping[str, Any]) -> Pipeline:
    """The stages in their order. Raises ConfigError for a setting that is not one."""
    chosen = Settings.read(settings)
    return Pipeline(
        "facts",
        [inherit(), explode(chosen), notability(), rewrite(), recover(), validate(), challenges(chosen)],
    )


def inherit() -> Stage:
    """A spin-off without a topic takes that of its nearest ancestor that has one."""
    return Stage(
        "facts.inherit",
        fills("entries", ["topic"], source="entries_heirs"),
        compute=lambda entry: {"topic": entry["inherited_topic"]},
        inputs=("inherited_topic",),
    )


def explode(chosen: Settings) -> Stage:
    """An entry with a topic → facts, and the entries found on the way."""
    return Stage(
        "facts.explode",
        makes(
            Selection("entries", explodable(chosen)),
            rows=rows.exploded,
            into={"facts": [unique("topic", "title"), unique("content_hash")], "entries": unique("topic", "name")},
            depth=chosen.depth,
            cost={"facts": "cost_nano"},
        ),
        prompt="explode.md",
        shape="explode.json",
        inputs=("name", "topic", "richness", "data"),
        context={
            "titles": lookups.existing_titles,
            "about": lookups.about_topic,
            "origin": lookups.origin_of,
            "count": lookups.facts_wanted(chosen.facts_per_entry),
        },
        checks=[checks.explosion_is_sound],
        max_output=8000,
    )


def notability() -> Stage:
    """A fact without a notability score → the score of its source. Costs nothing; a score that is there stays."""
    return Stage(
        "facts.notability",
        fills("facts", ["notability_score"]),
        compute=lambda fact: {"notability_score": rows.notability_of(fact["source_type"])},
        inputs=("source_type",),
    )


REWRITTEN = ("title", "challenge_title", "context", "notability_score", "notability_reason")


def rewrite() -> Stage:
    """Each fact of the corpus that was not rejected → its five texts anew, twenty in a call. Worked by name only."""
    return _rewriting("facts.rewrite", Selection("facts"), "status != 'rejected'", "rewrite.md")


def recover() -> Stage:
    """A fact of little note of which much is known → the same five, one in a call. Worked by name only.

    The view ``facts_weak`` divides: a fact that holds two values can be recovered, the others are vague.
    """
    return _rewriting("facts.recover", Selection("facts_weak", key=("id",)), "recoverable = 1", "recover.md", 1)


def _rewriting(name: str, source: Selection, eligible: str, prompt: str, per_call: int = 20) -> Stage:
    return Stage(
        name,
        fills("facts", REWRITTEN, source=source),
        eligible=eligible,
        prompt=prompt,
        shape="rewrite.json",
        inputs=("topic", "entry", "facts"),
        context={"about": lookups.topic_or_name, "source": lookups.entry_of, "entry_name": lookups.name_of_entry},
        checks=[checks.rewriting_is_sound],
        per_call=per_call,
        max_output=1000,
        by_name=True,
    )


def validate() -> Stage:
    """A pending fact → validated or rejected, with what was found. Costs nothing."""
    return Stage(
        "facts.validate",
        fills("facts", ["status", "findings"]),
        eligible="status = 'pending_validation'",
        compute=validation.validated,
        inputs=(
            "topic", "entry", "title", "challenge_title", "facts", "context", "notability_score", "notability_reason",
            "source_type", "expires_at",
        ),
        context={
            "about": lookups.topic_of,
            "source": lookups.entry_of,
            "others": lookups.other_facts,
            "today": lookups.today,
        },
    )  # fmt: skip


def challenges(chosen: Settings) -> Stage:
    """A validated fact → one challenge for each style, in one call."""
    return Stage(
        chosen.challenges_stage,
        makes(
            Selection("facts_to_challenge", key=("id",)),
            rows=rows.challenged(chosen.style_names, chosen.difficulty),
            into={"challenges": unique("fact", "style", "difficulty")},
            cost={"challenges": "cost_nano"},
        ),
        prompt="challenges.md",
        shape="challenges.json",
        inputs=("title", "entry_name", "topic_name", "facts", "context"),
        context={"wanted": lookups.challenges_wanted(chosen.style_names, chosen.difficulty)},
        checks=[checks.challenges_keep_the_rules],
        max_output=6000,
    )


def explodable(chosen: Settings) -> str:
    """With a topic, not too deep, and of no topic that is switched off."""
    condition = f"topic is not empty and depth <= {chosen.depth}"
    if chosen.disabled:
        listed = ", ".join("'" + slug.replace("'", "''") + "'" for slug in chosen.disabled)
        condition += f" and topic not in ({listed})"
    return condition
