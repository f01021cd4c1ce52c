"""From an accepted answer to rows. Pure: the same row and answer make the same rows, with no look-ups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from seedbed import Item, Row
from seedbed.recipes.facts.texts import as_text, normal


def exploded(entry: Item, answer: Mapping[str, Any]) -> Iterator[Row]:
    """Facts of the entry, and the entries that were found on the way."""
    for fact in answer["facts"]:
        values = values_of(fact["facts"])
        title = fact["title"].strip()
        yield Row(
            "facts",
            topic=entry["topic"],
            entry=entry["id"],
            title=title,
            challenge_title=fact["challenge_title"].strip(),
            facts=values,
            context=fact["context"].strip(),
            notability_score=fact["notability_score"],
            notability_reason=fact["notability_reason"].strip(),
            source_type=entry["source_type"],
            status="pending_validation",
            content_hash=content_hash(entry["topic"], entry["name"], values, title),
        )
    for spinoff in answer["spinoffs"]:
        yield Row(
            "entries",
            name=spinoff["name"].strip(),
            topic=spinoff["topic"].strip() or entry["topic"],
            parent=entry["id"],
            richness="low",
            source_type="spinoff_discovery",
            depth=entry["depth"] + 1,
        )


def challenged(styles: Sequence[str], difficulty: int) -> Callable[[Item, Mapping[str, Any]], Iterator[Row]]:
    """One challenge for each style, at the level that was asked for."""

    def rows(fact: Item, answer: Mapping[str, Any]) -> Iterator[Row]:
        wanted = levels(styles, difficulty, fact)
        for made in answer["challenges"]:
            data = made["style_data"]
            yield Row(
                "challenges",
                fact=fact["id"],
                style=made["style"],
                difficulty=wanted[made["style"]],
                setup_text=made["setup_text"].strip(),
                challenge_text=made["challenge_text"].strip(),
                reveal_correct=made["reveal_correct"].strip(),
                reveal_wrong=made["reveal_wrong"].strip(),
                correct_answer=made["correct_answer"].strip(),
                style_data={name: data[name] for name in ("answer", "options") if data[name]},
            )

    return rows


def levels(styles: Sequence[str], difficulty: int, fact: Mapping[str, Any]) -> dict[str, int]:
    """The level of each style. Difficulty 0 spreads: facts that are neighbours by ``n`` get different ones."""
    return {style: difficulty or (fact["n"] + place) % 5 + 1 for place, style in enumerate(styles)}


WELL_KNOWN = frozenset(("import_espn", "import_geonames", "import_tmdb"))
"""Sources whose entries somebody has chosen before."""


def notability_of(source_type: str) -> float:
    """The score of a fact that came without one."""
    return 0.8 if source_type in WELL_KNOWN else 0.75


def values_of(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An object from the pairs of an answer. A key that is named twice keeps both, for validation to see."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, value = str(pair["key"]), pair["value"]
        if key in values and values[key] != value:
            value = [values[key], value]
        values[key] = value
    return values


def content_hash(topic: str, entry: str, values: Mapping[str, Any], title: str) -> str:
    """Equal for facts that say the same of the same entry, whatever their titles; by title where no value is held."""
    said = {key: normal(as_text(value)) for key, value in values.items()} or {"title": normal(title)}
    text = json.dumps([topic, normal(entry), said], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
